//! Frames to a Parquet file, a row group each.
//!
//! In: frames of the same columns. Out: a file with statistics of every row group and column, and the schema that readers such as pandas
//! look for. It knows no paths.

use std::io::{self, Write};
use std::thread;

use polars_arrow::array::Array;
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field};
use polars_parquet::parquet::metadata::KeyValue;
use polars_parquet::write::{
    CompressedPage, CompressionOptions, DynIter, DynStreamingIterator, FileWriter, ParquetType, StatisticsOptions,
    Version, WriteOptions, array_to_columns, fallible_streaming_iterator, get_dtype_encoding, schema_to_metadata_key,
};

use super::super::frame::{Frame, FrameError};
use super::pages::Zstd;

/// Frames with fewer rows are encoded by one thread: starting others takes longer.
const ROWS_SHARED_MIN: usize = 1 << 12;
/// Threads that encode a frame at most.
const THREADS_MAX: usize = 4;

/// A Parquet file that is being written.
pub(crate) struct FrameWriter<W: Write> {
    file: FileWriter<W>,
    notes: Vec<KeyValue>,
}

impl<W: Write> FrameWriter<W> {
    /// A file with the columns of a frame, of which no rows are written yet. `notes` go into the footer.
    pub(crate) fn new(out: W, frame: &Frame, notes: Vec<(String, String)>) -> Result<Self, FrameError> {
        let schema = frame.schema();
        let others = notes.into_iter().map(|(key, value)| KeyValue { key, value: Some(value) });
        let notes = std::iter::once(schema_to_metadata_key(&declared(&schema))).chain(others).collect();
        let options = WriteOptions {
            statistics: StatisticsOptions::default(),
            version: Version::V1,
            // Said in the file; `Zstd` does it.
            compression: CompressionOptions::Zstd(None),
            data_page_size: None,
        };
        let file = FileWriter::try_new(out, schema, options).map_err(refused)?;
        Ok(Self { file, notes })
    }

    /// Writes a frame as one row group; none if it has no rows.
    pub(crate) fn write(&mut self, frame: &Frame) -> Result<(), FrameError> {
        if frame.rows() == 0 {
            return Ok(());
        }
        if frame.schema() != *self.file.schema() {
            return Err(FrameError::Unwritable("its columns are not those of the file".to_owned()));
        }
        let columns = encoded(frame, self.file.parquet_schema().fields(), self.file.options())?;
        let columns = columns
            .iter()
            .map(|pages| Ok(DynStreamingIterator::new(fallible_streaming_iterator::convert(pages.iter().map(Ok)))));
        self.file.write(frame.rows() as u64, DynIter::new(columns)).map_err(refused)
    }

    /// Writes the footer.
    pub(crate) fn finish(mut self) -> Result<(), FrameError> {
        self.file.end(Some(self.notes)).map(|_| ()).map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> FrameError {
    FrameError::Unwritable(error.to_string())
}

/// The schema as the file declares it: many readers of Arrow refuse the string views that are written from, above all in lists.
fn declared(schema: &ArrowSchema) -> ArrowSchema {
    fn kind(kind: &ArrowDataType) -> ArrowDataType {
        match kind {
            ArrowDataType::Utf8View => ArrowDataType::LargeUtf8,
            ArrowDataType::LargeList(inner) => ArrowDataType::LargeList(Box::new(field(inner))),
            other => other.clone(),
        }
    }
    fn field(own: &Field) -> Field {
        Field { dtype: kind(&own.dtype), ..own.clone() }
    }
    schema.iter_values().map(field).collect()
}

/// The pages of one column.
type Pages = Vec<CompressedPage>;
/// A column with its type in the file.
type Typed<'a> = (&'a dyn Array, &'a ParquetType);

/// The pages of all columns, in the order of the columns.
fn encoded(frame: &Frame, types: &[ParquetType], options: WriteOptions) -> Result<Vec<Pages>, FrameError> {
    let columns: Vec<Typed<'_>> = frame.columns().iter().map(|(_, array)| &**array).zip(types).collect();
    let threads = if frame.rows() < ROWS_SHARED_MIN {
        1
    } else {
        thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
    };
    // Neighbours are alike: dealt out, no thread has all the dear ones.
    let mut parts: Vec<Vec<Typed<'_>>> = vec![Vec::new(); threads];
    for (place, column) in columns.iter().enumerate() {
        if let Some(part) = parts.get_mut(place % threads) {
            part.push(*column);
        }
    }
    let done: Vec<Result<Vec<Vec<Pages>>, FrameError>> = thread::scope(|scope| {
        let (own, others) = match parts.split_first() {
            Some((own, others)) => (own.as_slice(), others),
            None => (&[][..], &[][..]),
        };
        let others: Vec<_> = others.iter().map(|part| scope.spawn(move || encode(part, options))).collect();
        let own = encode(own, options);
        let joined =
            others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).collect()
    });
    let mut done: Vec<_> = done.into_iter().map(|part| part.map(Vec::into_iter)).collect::<Result<_, _>>()?;
    let in_order = (0..columns.len()).filter_map(|place| done.get_mut(place % threads)?.next());
    Ok(in_order.flatten().collect())
}

/// The pages of some columns; those of a list are those of its values.
fn encode(columns: &[Typed<'_>], options: WriteOptions) -> Result<Vec<Vec<Pages>>, FrameError> {
    let mut zstd = Zstd::default();
    let mut encode_one = |(array, kind): &Typed<'_>| {
        let leaves = array_to_columns(array.to_boxed(), (*kind).clone(), options, &get_dtype_encoding(array.dtype()));
        let leaves = leaves.map_err(refused)?.into_iter();
        let compressed = leaves.map(|pages| {
            pages
                .map(|page| zstd.compress(&page.map_err(refused)?).map_err(|error: io::Error| refused(error)))
                .collect()
        });
        compressed.collect()
    };
    columns.iter().map(&mut encode_one).collect()
}
