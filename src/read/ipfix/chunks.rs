//! A capture of IPFIX messages as a source of chunks that any worker can decode.
//!
//! In: a stream of messages, one behind the other. Out: chunks of whole messages. A data record means nothing without a
//! template that came long before it, so that every chunk begins with the templates known so far, in messages of our
//! own; they hold no records and count as nothing.

use std::io::{self, Read};

use super::super::chunks::ChunkSource;
use super::session::{HEADER_BYTES, Header, Lost, Session};
use crate::model::{Account, Place, Rejected};

const CUT_OFF: Rejected = Rejected("IPFIX message cut off where the input ends");
/// How many bytes of messages a chunk has, about.
const CHUNK_BYTES: usize = 1 << 20;

/// Cuts a capture between messages. What is no message ends it.
pub struct IpfixChunks<R> {
    reader: R,
    session: Session,
    offset: u64,
    ended: bool,
    failed: Option<io::Error>,
}

impl<R: Read> IpfixChunks<R> {
    /// Reads from the beginning of a capture.
    pub fn new(reader: R) -> Self {
        Self { reader, session: Session::default(), offset: 0, ended: false, failed: None }
    }

    /// Reads from the beginning of a capture and hands out what lies behind byte `from`, with the templates from before it.
    pub fn behind(reader: R, from: u64) -> Self {
        let mut chunks = Self::new(reader);
        let (mut passed, mut account) = (Vec::new(), Account::default());
        while chunks.offset < from && !chunks.ended {
            passed.clear();
            chunks.step(&mut passed, &mut account);
        }
        chunks
    }

    /// Appends the next message and learns from it, or ends.
    fn step(&mut self, chunk: &mut Vec<u8>, account: &mut Account) {
        let start = chunk.len();
        match self.next_message(chunk, account) {
            Ok(Some(header)) => {
                let message = chunk.get(start..).unwrap_or_default();
                self.session.message(header, message, &mut |_| {});
                self.offset = self.offset.saturating_add(message.len() as u64);
            }
            Ok(None) => self.ended = true,
            Err(error) => {
                self.ended = true;
                self.failed = Some(error);
            }
        }
    }

    /// Appends the next message; `None` at the end.
    fn next_message(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<Header>> {
        let start = chunk.len();
        let mut want = HEADER_BYTES;
        let mut header = None;
        loop {
            let have = chunk.len() - start;
            let missing = want.saturating_sub(have);
            let read = (&mut self.reader).take(missing as u64).read_to_end(chunk);
            let have = chunk.len() - start;
            if have < want {
                chunk.truncate(start);
                if have > 0 {
                    account.reject(CUT_OFF, Place::Byte(self.offset));
                }
                return read.map(|_| None);
            }
            if let Some(header) = header {
                return Ok(Some(header));
            }
            let Some(found) = Header::read(chunk.get(start..).unwrap_or_default()) else {
                chunk.truncate(start);
                return Err(io::Error::other(Lost { offset: self.offset }));
            };
            want = found.length;
            header = Some(found);
        }
    }
}

impl<R: Read + Send> ChunkSource for IpfixChunks<R> {
    fn next_chunk(&mut self, chunk: &mut Vec<u8>, account: &mut Account) -> io::Result<Option<u64>> {
        chunk.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(None);
        }
        // Nothing expires in a capture.
        self.session.write_templates(0, chunk);
        let own = chunk.len();
        let offset = self.offset;
        while !self.ended && chunk.len() - own < CHUNK_BYTES {
            self.step(chunk, account);
        }
        if chunk.len() == own {
            return self.failed.take().map_or(Ok(None), Err);
        }
        // Places in the chunk count from its first byte, where the templates stand: it may lie before the stream's beginning.
        Ok(Some(offset.wrapping_sub(own as u64)))
    }
}
