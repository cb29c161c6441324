//! Row groups of a Parquet file as frames.
//!
//! In: a file that anybody may have written. Out: its footer, and frames with the columns that are of kinds that a store has; others are passed
//! over. One row group is in memory at a time.

use std::cell::Cell;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use polars_arrow::array::Array;
use polars_arrow::datatypes::{ArrowDataType, Field, TimeUnit};
use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::metadata::{ColumnChunkMetadata, FileMetadata, RowGroupMetadata};
use polars_parquet::parquet::read::{BasicDecompressor, PageMetaData, PageReader};
use polars_parquet::parquet::schema::Repetition;
use polars_parquet::parquet::schema::types::{
    IntegerType, PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType, PrimitiveType, TimeUnit as ParquetUnit,
};
use polars_parquet::read::{Filter, column_iter_to_arrays};

use super::super::frame::Frame;
use super::footer::read_footer;
use super::pages::{PageError, Zstd};

/// Rows of a row group at most: many times what is written.
const GROUP_ROWS_MAX: usize = 1 << 22;

/// Why a Parquet file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::lake) enum ReadError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The footer does not parse.
    #[error("{0}")]
    Footer(String),
    /// A row group claims more rows than can be.
    #[error("row group of {0} rows, which is too many")]
    Rows(usize),
    /// A column is not where, or not what, the footer says.
    #[error("column `{name}`: {reason}")]
    Column {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// A Parquet file, open.
pub(in crate::lake) struct StoredFile {
    file: File,
    bytes: u64,
    footer: FileMetadata,
    zstd: Zstd,
}

impl StoredFile {
    /// Reads the footer.
    pub(in crate::lake) fn new(mut file: File) -> Result<Self, ReadError> {
        let bytes = file.metadata()?.len();
        let footer = read_footer(&mut file, bytes)?;
        Ok(Self { file, bytes, footer, zstd: Zstd::default() })
    }

    /// The footer.
    pub(in crate::lake) fn into_footer(self) -> FileMetadata {
        self.footer
    }

    /// Rows of the file as frames, one for each row group that has some of them, without the column named `without`.
    pub(in crate::lake) fn frames(
        self,
        rows: Range<usize>,
        without: Option<&str>,
    ) -> impl Iterator<Item = Result<Frame, ReadError>> {
        let Self { mut file, bytes, footer, mut zstd } = self;
        let mut first = 0_usize;
        footer.row_groups.into_iter().filter_map(move |group| {
            let start = first;
            first = first.saturating_add(group.num_rows());
            let own = rows.start.clamp(start, first) - start..rows.end.clamp(start, first) - start;
            let mut chunks = Chunks { file: &mut file, bytes, zstd: &mut zstd };
            (!own.is_empty()).then(|| chunks.frame(&group, own, without))
        })
    }
}

struct Chunks<'a> {
    file: &'a mut File,
    bytes: u64,
    zstd: &'a mut Zstd,
}

impl Chunks<'_> {
    fn frame(
        &mut self,
        group: &RowGroupMetadata,
        rows: Range<usize>,
        without: Option<&str>,
    ) -> Result<Frame, ReadError> {
        if group.num_rows() > GROUP_ROWS_MAX {
            return Err(ReadError::Rows(group.num_rows()));
        }
        let mut columns = Vec::with_capacity(group.n_columns());
        for chunk in group.parquet_columns() {
            let [name] = chunk.descriptor().path_in_schema.as_slice() else { continue };
            let Some(kind) = kind(&chunk.descriptor().descriptor.primitive_type) else { continue };
            if Some(name.as_str()) == without {
                continue;
            }
            let array = self.array(chunk, group.num_rows(), rows.clone(), kind);
            let broken = |reason| ReadError::Column { name: name.to_string(), reason };
            columns.push((name.to_string(), array.map_err(broken)?));
        }
        Ok(Frame::of(rows.len(), columns))
    }

    fn array(
        &mut self,
        chunk: &ColumnChunkMetadata,
        group_rows: usize,
        rows: Range<usize>,
        kind: ArrowDataType,
    ) -> Result<Box<dyn Array>, String> {
        if usize::try_from(chunk.num_values()) != Ok(group_rows) {
            return Err(format!("has {} values for {group_rows} rows", chunk.num_values()));
        }
        let bytes = self.read(chunk)?;
        let plain = self.zstd.decompress(&bytes, chunk.compression(), group_rows);
        let plain = plain.map_err(|error: PageError| error.to_string())?;
        let own = &chunk.descriptor().descriptor;
        let page = PageMetaData::new(0, chunk.num_values(), Compression::Uncompressed, own.clone());
        let length = plain.len();
        let pages = PageReader::new_with_page_meta(Cursor::new(plain.into()), page, Vec::new(), length);
        let field = Field::new(own.primitive_type.field_info.name.clone(), kind, true);
        let filter = (rows.len() < group_rows).then(|| Filter::new_ranged(rows.start, rows.end));
        let pages = vec![BasicDecompressor::new(pages, Vec::new())];
        let (arrays, _) = decoded(|| column_iter_to_arrays(pages, vec![&own.primitive_type], field, filter))?;
        match <[Box<dyn Array>; 1]>::try_from(arrays) {
            Ok([array]) if array.len() == rows.len() => Ok(array),
            _ => Err(format!("has not the {} rows that it says", rows.len())),
        }
    }

    /// The bytes of a column.
    fn read(&mut self, chunk: &ColumnChunkMetadata) -> Result<Vec<u8>, String> {
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let (start, length) = (u64::try_from(start), u64::try_from(chunk.compressed_size()));
        let within = start
            .ok()
            .zip(length.ok())
            .filter(|(start, length)| start.checked_add(*length).is_some_and(|end| end <= self.bytes));
        let (start, length) = within.ok_or("does not lie within the file")?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map(|()| bytes).map_err(|error| error.to_string())
    }
}

thread_local! {
    /// Whether this thread is in a decoder whose panics are expected.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What a decoder of polars makes of bytes that anybody may have written. It takes much on trust, and panics where that is not so: such a
/// file is damaged, and no reason to stop.
pub(super) fn decoded<T, E: std::fmt::Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static QUIET: Once = Once::new();
    // The file is named where it is reported; the decoder's own words would only look like a fault of this program.
    QUIET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                usual(panic);
            }
        }));
    });
    let outside = IS_DECODING.replace(true);
    // Whatever a decoder leaves behind half done goes with it.
    let done = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(outside);
    match done {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("it contradicts itself".to_owned()),
    }
}

/// How a column is read; `None` for what no store has.
fn kind(own: &PrimitiveType) -> Option<ArrowDataType> {
    use PrimitiveConvertedType as Converted;
    use PrimitiveLogicalType as Logical;
    if own.field_info.repetition == Repetition::Repeated {
        return None;
    }
    match (own.physical_type, own.logical_type, own.converted_type) {
        (PhysicalType::Boolean, ..) => Some(ArrowDataType::Boolean),
        (PhysicalType::ByteArray, Some(Logical::String), _)
        | (PhysicalType::ByteArray, None, Some(Converted::Utf8)) => Some(ArrowDataType::Utf8View),
        (PhysicalType::Int32, Some(Logical::Integer(IntegerType::UInt32)), _)
        | (PhysicalType::Int32, None, Some(Converted::Uint32)) => Some(ArrowDataType::UInt32),
        (PhysicalType::Int64, Some(Logical::Integer(IntegerType::UInt64)), _)
        | (PhysicalType::Int64, None, Some(Converted::Uint64)) => Some(ArrowDataType::UInt64),
        (PhysicalType::Int64, Some(Logical::Integer(IntegerType::Int64)), _)
        | (PhysicalType::Int64, None, None | Some(Converted::Int64)) => Some(ArrowDataType::Int64),
        (PhysicalType::Int64, Some(Logical::Timestamp { unit, .. }), _) => {
            let unit = match unit {
                ParquetUnit::Nanoseconds => TimeUnit::Nanosecond,
                ParquetUnit::Microseconds => TimeUnit::Microsecond,
                ParquetUnit::Milliseconds => TimeUnit::Millisecond,
            };
            Some(ArrowDataType::Timestamp(unit, None))
        }
        _ => None,
    }
}
