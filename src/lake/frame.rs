//! Frames: named columns of one length; how plain values become one, and how they are read back.
//!
//! In: iterators of values with a column name. Out: a frame; or typed columns of a frame that was read. It has the kinds of columns that
//! the store and the exports have, and no others. Nothing else of the store knows how Arrow names its types.

use polars_arrow::array::{
    Array, BooleanArray, ListArray, MutableBinaryViewArray, PrimitiveArray, StaticArray, Utf8ViewArray,
};
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field, TimeUnit};
use polars_arrow::offset::Offsets;
use polars_arrow::types::NativeType;

use crate::model::Timestamp;

/// Why a frame is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// A column that every file of the table has is not there.
    #[error("column `{0}` is missing")]
    Missing(String),
    /// A column holds something else.
    #[error("column `{name}` does not hold {wanted}")]
    Otherwise {
        /// Its name.
        name: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The encoder refuses it.
    #[error("cannot be encoded: {0}")]
    Unwritable(String),
}

/// Named columns of one length.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    rows: usize,
    columns: Vec<(String, Box<dyn Array>)>,
}

/// Columns that become a frame.
#[derive(Default)]
pub(crate) struct Columns {
    frame: Frame,
}

impl Columns {
    /// Texts.
    pub(crate) fn text<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        self.push(name, Utf8ViewArray::from(MutableBinaryViewArray::from_values_iter(values)).boxed());
    }

    /// Texts, empty where there is none.
    pub(crate) fn optional_text<'a>(&mut self, name: &str, values: impl Iterator<Item = Option<&'a str>>) {
        self.push(name, Utf8ViewArray::from(MutableBinaryViewArray::from_iterator(values)).boxed());
    }

    /// Lists of texts.
    pub(crate) fn text_lists(&mut self, name: &str, lists: &[Vec<String>]) -> Result<(), FrameError> {
        let texts = lists.iter().flatten().map(String::as_str);
        let texts = Utf8ViewArray::from(MutableBinaryViewArray::from_values_iter(texts)).boxed();
        let kind = ListArray::<i64>::default_datatype(ArrowDataType::Utf8View);
        let array = Offsets::try_from_lengths(lists.iter().map(Vec::len))
            .and_then(|ends| ListArray::<i64>::try_new(kind, ends.into(), texts, None));
        self.push(name, array.map_err(|error| FrameError::Unwritable(error.to_string()))?.boxed());
        Ok(())
    }

    /// Times in UTC, empty where unknown.
    pub(crate) fn time(&mut self, name: &str, values: impl Iterator<Item = Timestamp>) {
        self.nanos(name, values.map(|time| time.is_known().then(|| time.nanos())));
    }

    /// Nanoseconds since the Unix epoch in UTC, empty where unknown.
    pub(crate) fn nanos(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        // Without a zone, as every file so far: a column of another type would not go with theirs.
        let kind = ArrowDataType::Timestamp(TimeUnit::Nanosecond, None);
        self.push(name, values.collect::<PrimitiveArray<i64>>().to(kind).boxed());
    }

    /// Numbers of up to 32 bits.
    pub(crate) fn number(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.push(name, PrimitiveArray::from_vec(values.collect()).boxed());
    }

    /// Counts.
    pub(crate) fn count(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        self.push(name, PrimitiveArray::from_vec(values.collect()).boxed());
    }

    /// Counts, empty where nothing was counted.
    pub(crate) fn optional_count(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        self.push(name, values.collect::<PrimitiveArray<u64>>().boxed());
    }

    /// Signed numbers, empty where unknown.
    pub(crate) fn signed(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        self.push(name, values.collect::<PrimitiveArray<i64>>().boxed());
    }

    /// Fractions, empty where unknown.
    pub(crate) fn ratio(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.push(name, values.collect::<PrimitiveArray<f64>>().boxed());
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &str, values: impl Iterator<Item = bool>) {
        self.push(name, values.map(Some).collect::<BooleanArray>().boxed());
    }

    fn push(&mut self, name: &str, array: Box<dyn Array>) {
        self.frame.rows = array.len();
        self.frame.columns.push((name.to_owned(), array));
    }

    /// The frame.
    pub(crate) fn frame(self) -> Frame {
        self.frame
    }
}

impl Frame {
    /// A frame of columns that were read; all of them have so many rows.
    pub(super) const fn of(rows: usize, columns: Vec<(String, Box<dyn Array>)>) -> Self {
        Self { rows, columns }
    }

    /// How many rows there are.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The columns in order.
    pub(super) fn columns(&self) -> &[(String, Box<dyn Array>)] {
        &self.columns
    }

    /// The types of the columns. All may be empty somewhere.
    pub(super) fn schema(&self) -> ArrowSchema {
        let field = |(name, array): &(String, Box<dyn Array>)| Field::new(name.into(), array.dtype().clone(), true);
        self.columns.iter().map(field).collect()
    }

    /// Some of the rows; the values are shared.
    pub(super) fn part(&self, first: usize, rows: usize) -> Self {
        let first = first.min(self.rows);
        let rows = rows.min(self.rows - first);
        let part = |(name, array): &(String, Box<dyn Array>)| (name.clone(), array.sliced(first, rows));
        Self { rows, columns: self.columns.iter().map(part).collect() }
    }

    /// Whether there is such a column.
    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|(own, _)| own == name)
    }

    fn column<A: Array>(&self, name: &str, wanted: &'static str) -> Result<&A, FrameError> {
        let column = self.columns.iter().find(|(own, _)| own == name);
        let (_, array) = column.ok_or_else(|| FrameError::Missing(name.to_owned()))?;
        let otherwise = || FrameError::Otherwise { name: name.to_owned(), wanted };
        array.as_any().downcast_ref().ok_or_else(otherwise)
    }

    /// A column of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Texts<'_>, FrameError> {
        self.column(name, "texts").map(Texts)
    }

    /// A column of numbers.
    pub(super) fn numbers(&self, name: &str) -> Result<Numbers<'_>, FrameError> {
        self.column(name, "numbers of 32 bits").map(Cells)
    }

    /// A column of counts.
    pub(super) fn counts(&self, name: &str) -> Result<Counts<'_>, FrameError> {
        self.column(name, "counts of 64 bits").map(Cells)
    }

    /// A column of signed numbers.
    pub(super) fn signed(&self, name: &str) -> Result<Signed<'_>, FrameError> {
        self.column(name, "signed numbers of 64 bits").map(Cells)
    }

    /// A column of flags.
    pub(super) fn flags(&self, name: &str) -> Result<Flags<'_>, FrameError> {
        self.column(name, "flags").map(Flags)
    }

    /// A column of times.
    pub(super) fn times(&self, name: &str) -> Result<Times<'_>, FrameError> {
        let wanted = "times";
        let array: &PrimitiveArray<i64> = self.column(name, wanted)?;
        let unit_nanos = match array.dtype() {
            ArrowDataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
            ArrowDataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            ArrowDataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            _ => return Err(FrameError::Otherwise { name: name.to_owned(), wanted }),
        };
        Ok(Times { array, unit_nanos })
    }
}

/// A column of texts.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a>(&'a Utf8ViewArray);

impl<'a> Texts<'a> {
    /// The text of a cell.
    pub(super) fn get(self, row: usize) -> Option<&'a str> {
        StaticArray::get(self.0, row)
    }

    /// The text of a cell; empty where it has none.
    pub(super) fn at(self, row: usize) -> &'a str {
        self.get(row).unwrap_or_default()
    }
}

/// A column of numbers of one type.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a, T: NativeType>(&'a PrimitiveArray<T>);

/// A column of numbers of up to 32 bits.
pub(super) type Numbers<'a> = Cells<'a, u32>;
/// A column of counts.
pub(super) type Counts<'a> = Cells<'a, u64>;
/// A column of signed numbers.
pub(super) type Signed<'a> = Cells<'a, i64>;

impl<T: NativeType> Cells<'_, T> {
    /// The number of a cell.
    pub(super) fn get(self, row: usize) -> Option<T> {
        StaticArray::get(self.0, row)
    }

    /// The number of a cell; 0 where it has none.
    pub(super) fn at(self, row: usize) -> T {
        self.get(row).unwrap_or_default()
    }
}

/// A column of flags.
#[derive(Clone, Copy)]
pub(super) struct Flags<'a>(&'a BooleanArray);

impl Flags<'_> {
    /// Whether the flag of a cell is set.
    pub(super) fn at(self, row: usize) -> bool {
        StaticArray::get(self.0, row).unwrap_or_default()
    }
}

/// A column of times.
#[derive(Clone, Copy)]
pub(super) struct Times<'a> {
    array: &'a PrimitiveArray<i64>,
    unit_nanos: i64,
}

impl Times<'_> {
    /// The time of a cell.
    pub(super) fn at(self, row: usize) -> Timestamp {
        let nanos = StaticArray::get(self.array, row).and_then(|time| time.checked_mul(self.unit_nanos));
        nanos.map_or(Timestamp::UNKNOWN, Timestamp::from_nanos)
    }
}
