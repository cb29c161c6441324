//! A stream of multi-line JSON objects, or one array of them, cut into chunks of whole objects.
//!
//! In: bytes. Out: chunks that hold whole top-level objects with nothing between them but blanks and commas. An object
//! beyond the bound ends the stream, because nothing tells where the next one begins.

use std::io::{self, Read};

use super::chunks::ChunkSource;
use super::lines::LINE_BYTES_MAX;
use crate::model::Account;

/// Cuts a stream between top-level objects.
pub struct ObjectChunks<R> {
    reader: R,
    rest: Vec<u8>,
    offset: u64,
    ended: bool,
}

impl<R: Read> ObjectChunks<R> {
    /// Reads from the beginning of a stream.
    pub fn new(reader: R) -> Self {
        Self { reader, rest: Vec::new(), offset: 0, ended: false }
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
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, _account: &mut Account) -> io::Result<Option<u64>> {
        chunk.clear();
        chunk.append(&mut self.rest);
        while !self.ended {
            let before = chunk.len();
            let result = (&mut self.reader).take(LINE_BYTES_MAX as u64).read_to_end(chunk);
            self.ended = chunk.len() == before;
            if let (Err(error), true) = (result, self.ended) {
                return Err(error);
            }
            if let Some(end) = last_object_end(chunk) {
                self.rest.extend_from_slice(chunk.get(end..).unwrap_or_default());
                chunk.truncate(end);
                break;
            }
            if chunk.len() > 2 * LINE_BYTES_MAX {
                self.ended = true;
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("no object ends within {} bytes of byte {}", chunk.len(), self.offset),
                ));
            }
        }
        let only_closing = chunk.iter().all(|byte| byte.is_ascii_whitespace() || matches!(byte, b']' | b','));
        if only_closing {
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
}
