//! The footer of a Parquet file.
//!
//! In: a file that anybody may have written. Out: what it says of its columns and row groups. What polars' own decoder of footers takes on
//! trust, lengths of lists and places in the file, is checked before it gets to see them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use polars_parquet::parquet::metadata::FileMetadata;
use polars_parquet::parquet::read::deserialize_metadata;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{ColumnChunk, FileMetaData};

use super::read::{ReadError, decoded};

/// What every Parquet file ends with.
const MARK: [u8; 4] = *b"PAR1";
/// The bytes behind the footer: its length and the mark.
const TAIL_BYTES: usize = 8;
/// Bytes of a footer at most: of some ten thousand row groups.
const FOOTER_BYTES_MAX: u64 = 1 << 26;
/// Columns that hold columns, at most; no store has any.
const GROUPS_MAX: usize = 1 << 8;

/// The footer of a file of so many bytes.
pub(super) fn read_footer(file: &mut File, bytes: u64) -> Result<FileMetadata, ReadError> {
    let refuse = |reason: &str| ReadError::Footer(reason.to_owned());
    let room = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| refuse("no Parquet file: it is shorter than any"))?;
    let mut tail = [0; TAIL_BYTES];
    file.seek(SeekFrom::Start(room))?;
    file.read_exact(&mut tail)?;
    let [one, two, three, four, mark @ ..] = tail;
    if mark != MARK {
        return Err(refuse("no Parquet file: it does not end with `PAR1`"));
    }
    let length = u64::from(u32::from_le_bytes([one, two, three, four]));
    let start = room.checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
    file.seek(SeekFrom::Start(start.ok_or_else(|| refuse("its footer is longer than can be"))?))?;
    let mut footer = Vec::new();
    file.take(length).read_to_end(&mut footer)?;
    let damaged = |reason: String| ReadError::Footer(format!("its footer is damaged: {reason}"));
    check(&footer).map_err(damaged)?;
    decoded(|| deserialize_metadata(footer.into())).map_err(damaged)
}

/// Whether lists are no longer than the footer, and columns lie where something can lie.
fn check(footer: &[u8]) -> Result<(), String> {
    // An entry of a list takes a byte at least, and is counted as eight.
    let mut decoder = TCompactInputProtocol::new(footer, footer.len().saturating_mul(8));
    let claimed = FileMetaData::read_from_in_protocol(&mut decoder).map_err(|error| error.to_string())?;
    if claimed.schema.iter().filter(|column| column.num_children.is_some_and(|own| own != 0)).count() > GROUPS_MAX {
        return Err("too many columns within columns".to_owned());
    }
    if claimed.row_groups.iter().flat_map(|group| &group.columns).all(has_place) {
        Ok(())
    } else {
        Err("a column lies outside of any file".to_owned())
    }
}

fn has_place(column: &ColumnChunk) -> bool {
    let Some(own) = &column.meta_data else { return false };
    let starts = [Some(own.data_page_offset), own.dictionary_page_offset];
    let is_length = own.total_compressed_size >= 0;
    is_length
        && starts
            .into_iter()
            .flatten()
            .all(|start| start >= 0 && start.checked_add(own.total_compressed_size).is_some())
}
