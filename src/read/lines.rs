//! A stream cut into chunks of whole lines, with a bound on the length of a line.
//!
//! In: bytes. Out: chunks that end at a newline (the last one may lack it), with their offset. A line beyond the bound is skipped
//! without being held, and counted as rejected.

use std::io::{self, Read};

use super::chunks::ChunkSource;
use crate::model::{Account, Place, Rejected};

/// A line longer than this is no record.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// How much is read at once: what was copied into a chunk is still in the cache of the processor that decodes it.
const READ_BYTES: usize = 128 << 10;

const TOO_LONG: Rejected = Rejected("line longer than 4 MiB");
const CUT_OFF: Rejected = Rejected("record cut off where the input breaks");

/// Cuts a stream at newlines.
pub struct LineChunks<R> {
    reader: R,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    /// Stream offset of the first byte of `rest`.
    offset: u64,
    /// Offset of a line that is being skipped because it is too long.
    skipping: Option<u64>,
    ended: bool,
    /// What broke the last read, behind bytes that were still good.
    failed: Option<io::Error>,
}

impl<R: Read> LineChunks<R> {
    /// Reads from the beginning of a stream.
    pub fn new(reader: R) -> Self {
        Self { reader, rest: Vec::new(), offset: 0, skipping: None, ended: false, failed: None }
    }

    /// Reads more behind the first `filled` bytes of `chunk`, whatever else it holds; false at the end of the stream.
    fn read_more(&mut self, chunk: &mut Vec<u8>, filled: usize) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        // A chunk that comes back from its last use is nearly as long as it will be, so there is little to clear.
        chunk.resize(filled + READ_BYTES, 0);
        let mut end = filled;
        while let Some(free) = chunk.get_mut(end..).filter(|free| !free.is_empty()) {
            match self.reader.read(free) {
                Ok(0) => break,
                Ok(count) => end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What came before an error is still good, and some readers fail once and then pretend to have ended.
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        chunk.truncate(end);
        match self.failed.take_if(|_| end == filled) {
            Some(error) => Err(error),
            None => Ok(end > filled),
        }
    }

    /// Drops the bytes of a line that is too long; false when the stream ended in it.
    fn skip_line(&mut self, chunk: &mut Vec<u8>) -> bool {
        if let Some(end) = memchr::memchr(b'\n', chunk) {
            chunk.drain(..=end);
            self.offset += end as u64 + 1;
            true
        } else {
            self.offset += chunk.len() as u64;
            chunk.clear();
            false
        }
    }
}

impl<R: Read + Send> ChunkSource for LineChunks<R> {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<u64>> {
        let mut filled = self.rest.len();
        if chunk.len() < filled {
            chunk.resize(filled, 0);
        }
        if let Some(beginning) = chunk.get_mut(..filled) {
            beginning.copy_from_slice(&self.rest);
        }
        self.rest.clear();
        while !self.ended {
            match self.read_more(chunk, filled) {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    chunk.truncate(filled);
                    if !chunk.is_empty() || self.skipping.is_some() {
                        account.reject(CUT_OFF, Place::Byte(self.skipping.unwrap_or(self.offset)));
                    }
                    return Err(error);
                }
            }
            if let Some(start) = self.skipping {
                if self.skip_line(chunk) || self.ended {
                    account.reject(TOO_LONG, Place::Byte(start));
                    self.skipping = None;
                } else {
                    filled = chunk.len();
                    continue;
                }
            }
            if let Some(end) = memchr::memrchr(b'\n', chunk) {
                self.rest.extend_from_slice(chunk.get(end + 1..).unwrap_or_default());
                chunk.truncate(end + 1);
                let offset = self.offset;
                self.offset += chunk.len() as u64;
                return Ok(Some(offset));
            }
            if chunk.len() > LINE_BYTES_MAX {
                self.skipping = Some(self.offset);
                self.offset += chunk.len() as u64;
                chunk.clear();
            }
            filled = chunk.len();
        }
        chunk.truncate(filled);
        if chunk.is_empty() {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += chunk.len() as u64;
        Ok(Some(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(bytes: &[u8]) -> (Vec<(u64, usize)>, Account) {
        let mut source = LineChunks::new(bytes);
        let (mut account, mut chunk, mut found) = (Account::default(), Vec::new(), Vec::new());
        while let Some(offset) = source.next_chunk(&mut chunk, &mut account).unwrap() {
            found.push((offset, chunk.len()));
        }
        (found, account)
    }

    #[test]
    fn every_byte_is_in_one_chunk_and_chunks_end_at_newlines() {
        assert_eq!(chunks(b"a\nbc\n").0, [(0, 5)]);
        assert_eq!(chunks(b"a\nbc").0, [(0, 2), (2, 2)]);
        assert_eq!(chunks(b"").0, []);
        let long = b"0123456789abcde\n".repeat(300_000);
        let (found, account) = chunks(&long);
        assert_eq!(found.iter().map(|(_, length)| length).sum::<usize>(), long.len());
        assert!(found.iter().all(|(offset, length)| offset % 16 == 0 && length % 16 == 0));
        assert_eq!(account, Account::default());
    }

    /// Gives some bytes, then fails for ever.
    struct Breaks<'a>(&'a [u8]);

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { self.0.read(buffer) }
        }
    }

    #[test]
    fn what_came_before_a_break_is_kept_and_the_broken_record_is_counted() {
        let mut source = LineChunks::new(Breaks(b"one\ntwo\nthr"));
        let (mut account, mut chunk) = (Account::default(), Vec::new());
        assert_eq!(source.next_chunk(&mut chunk, &mut account).unwrap(), Some(0));
        assert_eq!(chunk, b"one\ntwo\n");
        assert!(source.next_chunk(&mut chunk, &mut account).is_err());
        assert_eq!(account.rejected.get(&CUT_OFF).map(|c| c.first), Some(Place::Byte(8)));
    }

    #[test]
    fn a_line_beyond_the_bound_is_rejected_and_its_neighbours_are_kept() {
        let mut bytes = b"first\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX * 3));
        bytes.extend(b"\nlast\n");
        let (found, account) = chunks(&bytes);
        assert_eq!(account.rejected.get(&TOO_LONG).map(|c| (c.records, c.first)), Some((1, Place::Byte(6))));
        let text: usize = found.iter().map(|(_, length)| length).sum();
        assert_eq!(text, "first\nlast\n".len());
        assert_eq!(found.last(), Some(&(bytes.len() as u64 - 5, 5)));
        let (found, account) = chunks(&vec![b'x'; LINE_BYTES_MAX * 2]);
        assert_eq!((found.len(), account.rejected_total()), (0, 1));
    }
}
