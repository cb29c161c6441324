//! Frames in Parquet files.
//!
//! In: frames, one for each row group. Out: files that every reader of Parquet reads; and frames again. The encoding of columns is that of
//! polars' Parquet crate; compression, and every length that a file claims, are looked after here.

mod footer;
mod pages;
mod read;
mod write;

pub(super) use read::{ReadError, StoredFile};
pub(crate) use write::FrameWriter;
