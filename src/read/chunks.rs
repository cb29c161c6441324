//! What all framings have in common: a stream gives chunks of whole records.

use std::io;

use crate::model::Account;

/// A stream of whole records, chunk by chunk.
pub trait ChunkSource: Send {
    /// Fills `chunk` with whole records and returns the stream offset of the first; `None` at the end.
    ///
    /// Records that are lost to the framing itself are counted in `account`. An error ends the stream; what was
    /// handed out before stays good.
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<u64>>;
}
