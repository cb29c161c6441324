//! A stream of multi-line JSON objects, or one array of them, cut into chunks of whole objects.
//!
//! In: bytes. Out: chunks that hold whole top-level objects with nothing between them but blanks and commas. An object
//! beyond the bound is given up and counted; the next one that begins a line is read again.

use std::io::{self, Read};

use super::chunks::ChunkSource;
use super::lines::LINE_BYTES_MAX;
use crate::model::{Account, Place, Rejected};

const UNCLOSED: Rejected = Rejected("object that is never closed");
const CUT_OFF: Rejected = Rejected("record cut off where the input breaks");

/// Cuts a stream between top-level objects.
pub struct ObjectChunks<R> {
    reader: R,
    rest: Vec<u8>,
    offset: u64,
    ended: bool,
    /// What broke the last read, behind bytes that were still good.
    failed: Option<io::Error>,
}

impl<R: Read> ObjectChunks<R> {
    /// Reads from the beginning of a stream.
    pub fn new(reader: R) -> Self {
        Self { reader, rest: Vec::new(), offset: 0, ended: false, failed: None }
    }
}

/// Where the last whole object ends, counting braces outside strings.
fn last_object_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped, mut end) = (0_usize, false, false, None);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    end = Some(at + 1);
                }
            }
            _ => {}
        }
    }
    end
}

impl<R: Read + Send> ChunkSource for ObjectChunks<R> {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<u64>> {
        chunk.clear();
        chunk.append(&mut self.rest);
        while !self.ended {
            if let Some(error) = self.failed.take() {
                self.ended = true;
                if !is_closing(chunk) {
                    account.reject(CUT_OFF, Place::Byte(self.offset));
                }
                return Err(error);
            }
            let before = chunk.len();
            let result = (&mut self.reader).take(LINE_BYTES_MAX as u64).read_to_end(chunk);
            self.failed = result.err();
            self.ended = self.failed.is_none() && chunk.len() == before;
            if let Some(end) = last_object_end(chunk) {
                self.rest.extend_from_slice(chunk.get(end..).unwrap_or_default());
                chunk.truncate(end);
                break;
            }
            if chunk.len() > 2 * LINE_BYTES_MAX {
                // An object that is never closed: the next one that begins a line is where to go on.
                let next =
                    memchr::memmem::find(chunk.get(1..).unwrap_or_default(), b"\n{").map_or(chunk.len(), |at| at + 2);
                account.reject(UNCLOSED, Place::Byte(self.offset));
                chunk.drain(..next);
                self.offset += next as u64;
            }
        }
        if is_closing(chunk) {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += chunk.len() as u64;
        Ok(Some(offset))
    }
}

/// Whether nothing is left but what stands between and behind objects.
fn is_closing(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_whitespace() || matches!(byte, b']' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_between_objects() {
        let object = "{\n  \"a\": \"}{\\\"\",\n  \"b\": {\"c\": 1}\n}\n";
        let bytes = object.repeat(200_000);
        let mut source = ObjectChunks::new(bytes.as_bytes());
        let (mut chunk, mut total) = (Vec::new(), 0);
        while source.next_chunk(&mut chunk, &mut Account::default()).unwrap().is_some() {
            assert_eq!(chunk.last(), Some(&b'}'));
            total += chunk.len();
        }
        assert_eq!(total, bytes.trim_end().len());
    }

    #[test]
    fn an_object_that_is_never_closed_costs_only_itself() {
        let object = "{\n  \"a\": 1\n}\n";
        let bytes = format!("{{\n  \"broken\": {{\n{}", object.repeat(1_500_000));
        let mut source = ObjectChunks::new(bytes.as_bytes());
        let (mut chunk, mut account, mut objects) = (Vec::new(), Account::default(), 0);
        while source.next_chunk(&mut chunk, &mut account).unwrap().is_some() {
            objects += memchr::memchr_iter(b'{', &chunk).count();
        }
        assert_eq!(account.rejected_total(), 1);
        assert_eq!(objects, 1_500_000);
    }
}
