//! The decoder: chunks of a Hubble stream in, rows and account entries out.
//!
//! In: bytes cut at line or object borders, and the offset they begin at. Out: rows in the batch, every record counted
//! exactly once. It keeps a bounded memory of repeated pieces between chunks and never fails as a whole.

use memchr::memchr;

use crate::model::{Account, Batch, Place, Rejected, Vocabulary};

use super::facts::Memory;
use super::line::{Content, content};
use super::objects::{Piece, pieces};
use super::response::Response;
use super::{parse, rows, scan};

/// A line that is longer is not ordinary: what is looked for in a broken one must be near.
const ORDINARY_BYTES_MAX: usize = 64 << 10;

const BROKEN_UTF8: Rejected = Rejected("invalid UTF-8");
const PARTIAL_LINE: Rejected = Rejected("line that the container runtime split");

/// Decodes Hubble JSON.
///
/// It remembers numbers of the vocabulary that it is given: use one decoder with one vocabulary.
#[derive(Debug)]
pub struct HubbleDecoder {
    memory: Memory,
    parser_only: bool,
    scanned: u64,
}

impl HubbleDecoder {
    /// A new decoder; `keep_ids` fills [`crate::model::FlowRow::id`] from `uuid`.
    pub fn new(keep_ids: bool) -> Self {
        Self { memory: Memory::new(keep_ids), parser_only: false, scanned: 0 }
    }

    /// A decoder that takes no shortcuts, to compare with.
    #[doc(hidden)]
    pub fn parser_only(keep_ids: bool) -> Self {
        Self { parser_only: true, ..Self::new(keep_ids) }
    }

    /// How many records took the shortcut so far.
    #[doc(hidden)]
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Decodes whole lines, one record each; blank lines are none.
    ///
    /// `chunk` holds whole lines (the last may lack its newline); `base` is the byte offset of the chunk in its stream.
    pub fn decode_lines(
        &mut self,
        chunk: &[u8],
        base: u64,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.memory.enter(vocabulary);
        let mut rest = chunk;
        let mut offset = base;
        while !rest.is_empty() {
            let place = Place::Byte(offset);
            let taken = self.ordinary(rest, place, vocabulary, batch, account);
            let length = taken.unwrap_or_else(|| {
                let length = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                self.line(rest.get(..length).unwrap_or(rest), place, vocabulary, batch, account);
                length
            });
            rest = rest.get(length..).unwrap_or_default();
            offset = offset.saturating_add(length as u64);
        }
        self.memory.leave(vocabulary);
    }

    /// Decodes whole objects in any layout: pretty-printed, one after the other, or members of one list.
    ///
    /// `chunk` holds whole objects (see [`super::whole_objects`]); `base` is the byte offset of the chunk in its stream.
    pub fn decode_objects(
        &mut self,
        chunk: &[u8],
        base: u64,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.memory.enter(vocabulary);
        for (start, piece) in pieces(chunk) {
            let place = Place::Byte(base.saturating_add(start as u64));
            match piece {
                Piece::Object(object) => self.object(object, true, place, vocabulary, batch, account),
                Piece::Broken => account.reject(parse::BROKEN_JSON, place),
                Piece::Foreign => account.exclude(parse::FOREIGN_LINE),
            }
        }
        self.memory.leave(vocabulary);
    }

    /// Decodes one message of a relay's or an agent's stream.
    pub(in crate::read) fn response(
        &mut self,
        response: &Response,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.memory.enter(vocabulary);
        response.add(place, &mut self.memory, vocabulary, batch, account);
        self.memory.leave(vocabulary);
    }

    /// Takes the shortcut if the lines begin with an ordinary record; gives the length of its line.
    fn ordinary(
        &mut self,
        lines: &[u8],
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) -> Option<usize> {
        if self.parser_only {
            return None;
        }
        let near = lines.get(..ORDINARY_BYTES_MAX).unwrap_or(lines);
        let (facts, length) = scan::record(near, &mut self.memory, vocabulary)?;
        if length == near.len() && length < lines.len() && near.last() != Some(&b'\n') {
            return None;
        }
        self.scanned += 1;
        rows::add(&facts, place, vocabulary, batch, account);
        Some(length)
    }

    fn line(
        &mut self,
        line: &[u8],
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        match content(line) {
            Content::Blank => {}
            Content::Part => account.reject(PARTIAL_LINE, place),
            Content::Whole(record) if record.first() == Some(&b'{') => {
                // What begins and ends as the line does was not ordinary a moment ago.
                let is_new = record.len() != line.strip_suffix(b"\n").unwrap_or(line).len();
                self.object(record, is_new, place, vocabulary, batch, account);
            }
            Content::Whole(other) if std::str::from_utf8(other).is_err() => account.reject(BROKEN_UTF8, place),
            Content::Whole(_) => account.exclude(parse::FOREIGN_LINE),
        }
    }

    /// An object on a line or in a list; `is_new` if the shortcut was not tried yet.
    fn object(
        &mut self,
        object: &[u8],
        is_new: bool,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let Some(line) = self.unwrapped(object, is_new, place, vocabulary, batch, account) else { return };
        match content(line.as_bytes()) {
            Content::Whole(inner) if inner.first() == Some(&b'{') => {
                if self.unwrapped(inner, true, place, vocabulary, batch, account).is_some() {
                    account.exclude(parse::FOREIGN_OBJECT);
                }
            }
            Content::Part => account.reject(PARTIAL_LINE, place),
            Content::Whole(_) | Content::Blank => account.exclude(parse::FOREIGN_LINE),
        }
    }

    /// Decodes one object; gives the line back that it is an envelope of.
    fn unwrapped(
        &mut self,
        object: &[u8],
        is_new: bool,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) -> Option<String> {
        if is_new && self.ordinary(object, place, vocabulary, batch, account).is_some() {
            return None;
        }
        let Ok(text) = std::str::from_utf8(object) else {
            account.reject(BROKEN_UTF8, place);
            return None;
        };
        parse::object(text, place, &mut self.memory, vocabulary, batch, account)
    }
}
