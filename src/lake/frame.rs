//! Data frames: how columns of plain values become one, and how they are read back.
//!
//! In: iterators of values with a column name. Out: a frame; or typed columns of a frame that was read. The only place
//! of the store that knows how polars names its types.

use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Int64Chunked, IntoColumn, IntoSeries, NamedFrom, NewChunkedArray,
    PlSmallStr, PolarsResult, Series, StringChunked, TimeUnit, TimeZone, UInt32Chunked, UInt64Chunked,
};

use crate::model::Timestamp;

/// Columns that become a frame.
#[derive(Default)]
pub(super) struct Columns {
    columns: Vec<Column>,
    failed: Option<String>,
}

impl Columns {
    /// Texts.
    pub(super) fn text<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        self.columns.push(StringChunked::from_iter_values(name.into(), values).into_series().into_column());
    }

    /// Texts, empty where there is none.
    pub(super) fn optional_text<'a>(&mut self, name: &str, values: impl Iterator<Item = Option<&'a str>>) {
        self.columns.push(StringChunked::from_iter_options(name.into(), values).into_series().into_column());
    }

    /// Times in UTC, empty where unknown.
    pub(super) fn time(&mut self, name: &str, values: impl Iterator<Item = Timestamp>) {
        let nanos: Vec<Option<i64>> = values.map(|time| time.is_known().then(|| time.nanos())).collect();
        let utc = DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC));
        match Series::new(name.into(), nanos).cast(&utc) {
            Ok(series) => self.columns.push(series.into_column()),
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    /// Numbers of up to 32 bits.
    pub(super) fn number(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.columns.push(Series::new(name.into(), values.collect::<Vec<_>>()).into_column());
    }

    /// Counts.
    pub(super) fn count(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        self.columns.push(Series::new(name.into(), values.collect::<Vec<_>>()).into_column());
    }

    /// Counts, empty where nothing was counted.
    pub(super) fn optional_count(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        self.columns.push(Series::new(name.into(), values.collect::<Vec<_>>()).into_column());
    }

    /// Signed numbers, empty where unknown.
    pub(super) fn signed(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        self.columns.push(Series::new(name.into(), values.collect::<Vec<_>>()).into_column());
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &str, values: impl Iterator<Item = bool>) {
        self.columns.push(Series::new(name.into(), values.collect::<Vec<_>>()).into_column());
    }

    /// The frame, sorted as the rows came.
    pub(super) fn frame(self, rows: usize) -> Result<DataFrame, String> {
        match self.failed {
            Some(reason) => Err(reason),
            None => DataFrame::new(rows, self.columns).map_err(|error| error.to_string()),
        }
    }
}

fn series<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a Series> {
    Ok(frame.column(name)?.as_materialized_series())
}

/// A column of texts.
pub(super) fn texts<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a StringChunked> {
    series(frame, name)?.str()
}

/// A column of numbers.
pub(super) fn numbers<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a UInt32Chunked> {
    series(frame, name)?.u32()
}

/// A column of counts.
pub(super) fn counts<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a UInt64Chunked> {
    series(frame, name)?.u64()
}

/// A column of signed numbers.
pub(super) fn signed<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a Int64Chunked> {
    series(frame, name)?.i64()
}

/// A column of flags.
pub(super) fn flags<'a>(frame: &'a DataFrame, name: &str) -> PolarsResult<&'a BooleanChunked> {
    series(frame, name)?.bool()
}

/// A column of times.
pub(super) fn times(frame: &DataFrame, name: &str) -> PolarsResult<Int64Chunked> {
    let nanos = series(frame, name)?
        .cast(&DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)))?
        .to_physical_repr()
        .into_owned();
    Ok(nanos.i64()?.clone().with_name(PlSmallStr::EMPTY))
}

/// The time of a cell.
pub(super) fn time_at(column: &Int64Chunked, row: usize) -> Timestamp {
    column.get(row).map_or(Timestamp::UNKNOWN, Timestamp::from_nanos)
}
