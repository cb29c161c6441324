//! Frame Streams as a source of chunks.

use std::io::{self, Read};

use super::chunks::ChunkSource;
use super::framestream::{FRAME_BYTES_MAX, FrameSplitter, FrameStreamError};
use crate::model::{Account, Place, Rejected};

const TOO_LONG: Rejected = Rejected("frame longer than 1 MiB");

/// Cuts a Frame Streams capture between frames. A broken length ends it.
pub struct FrameChunks<R> {
    splitter: FrameSplitter<R>,
    ended: bool,
}

impl<R: Read> FrameChunks<R> {
    /// Reads from the beginning of a capture.
    pub fn new(reader: R) -> Self {
        Self { splitter: FrameSplitter::new(reader, FRAME_BYTES_MAX), ended: false }
    }
}

impl<R: Read + Send> ChunkSource for FrameChunks<R> {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<u64>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.splitter.next_chunk(chunk) {
                Ok(Some(offset)) => return Ok(Some(offset)),
                Ok(None) => {
                    self.ended = true;
                    if self.splitter.was_truncated() {
                        account.note("capture cut without STOP (normal after a crash or a copy of a live file)");
                    }
                    return Ok(None);
                }
                Err(FrameStreamError::FrameTooLong { offset, .. }) => account.reject(TOO_LONG, Place::Byte(offset)),
                Err(error) => {
                    self.ended = true;
                    return Err(io::Error::other(error));
                }
            }
        }
    }
}
