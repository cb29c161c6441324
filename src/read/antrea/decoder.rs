//! The decoders of Antrea's text forms: every line or object to a record, every record accounted for.
//!
//! In: chunks of lines or objects. Out: flow rows. Each line is read for what it is, so that rotated files of several
//! versions and mixed logs are read alike.

use serde::de::MapAccess;

use crate::model::{Account, Batch, Place, Rejected, Vocabulary};

use super::super::json::{LooseObject, Scalar};
use super::super::json_records::{FOREIGN_LINE, FOREIGN_OBJECT, TakeRecord, each_line, each_record};
use super::super::log_line::{Content, content};
use super::super::open::Framing;
use super::record::Record;
use super::{audit, csv, flow_log};

const BROKEN_UTF8: Rejected = Rejected("invalid UTF-8");
const PARTIAL_LINE: Rejected = Rejected("line that the container runtime split");

/// Decodes the flow log, JSON records and the audit log.
#[derive(Debug, Default)]
pub struct AntreaLogDecoder;

/// Decodes table exports.
#[derive(Debug, Default)]
pub struct AntreaCsvDecoder;

impl AntreaLogDecoder {
    /// Decodes whole lines or objects; `base` is the byte offset of the chunk in its stream. `with_cluster` keeps the
    /// clusters that records name.
    #[expect(clippy::too_many_arguments, reason = "what every decoder takes, and two facts of the file")]
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        framing: Framing,
        with_cluster: bool,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let mut taker = Taker { with_cluster, vocabulary, batch };
        if framing == Framing::Objects {
            return each_record(chunk, base, framing, &mut taker, account);
        }
        each_line(chunk, base, |line, place| {
            let Some(text) = line_text(line, place, account) else { return };
            if text.starts_with('{') {
                let Place::Byte(offset) = place;
                each_record(text.as_bytes(), offset, framing, &mut taker, account);
            } else if text.contains(',') {
                taker.settle(flow_log::read(text, account), place, account);
            } else if audit::is_audit_line(text) {
                taker.settle(audit::read(text, account), place, account);
            } else {
                account.exclude(FOREIGN_LINE);
            }
        });
    }
}

impl AntreaCsvDecoder {
    /// Decodes whole lines; `base` is the byte offset of the chunk in its stream. `header` is the file's first line if
    /// it names the columns, and `with_cluster` keeps the clusters that records name.
    #[expect(clippy::too_many_arguments, reason = "what every decoder takes, and two facts of the file")]
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        header: Option<&str>,
        with_cluster: bool,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let mut taker = Taker { with_cluster, vocabulary, batch };
        each_line(chunk, base, |line, place| {
            let Some(text) = line_text(line, place, account) else { return };
            if text.starts_with('{') {
                let Place::Byte(offset) = place;
                each_record(text.as_bytes(), offset, Framing::Lines, &mut taker, account);
            } else if header != Some(text) {
                taker.settle(csv::read(text, header, account), place, account);
            }
        });
    }
}

/// The text of a line; a line without one is accounted for.
fn line_text<'a>(line: &'a [u8], place: Place, account: &mut Account) -> Option<&'a str> {
    let text = match content(line) {
        Content::Blank => return None,
        Content::Part => Err(PARTIAL_LINE),
        Content::Whole(line) => std::str::from_utf8(line).map_err(|_| BROKEN_UTF8),
    };
    text.map_err(|reason| account.reject(reason, place)).ok()
}

struct Taker<'a> {
    with_cluster: bool,
    vocabulary: &'a mut Vocabulary,
    batch: &'a mut Batch,
}

impl Taker<'_> {
    fn settle(&mut self, record: Result<Record, Rejected>, place: Place, account: &mut Account) {
        let added = record.and_then(|record| record.add(self.with_cluster, self.vocabulary, self.batch, account));
        match added {
            Ok(()) => account.accept(),
            Err(reason) => account.reject(reason, place),
        }
    }
}

/// A JSON object whose keys are names of information elements or columns.
#[derive(Debug)]
struct Named(Record);

impl Default for Named {
    fn default() -> Self {
        Self(Record { is_tracked: true, ..Record::default() })
    }
}

impl<'de> LooseObject<'de> for Named {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match map.next_value::<Scalar<'de>>()? {
            Scalar::Text(text) => self.0.set(key, &text),
            Scalar::Number(number) => self.0.set(key, &number.to_string()),
            _ => {}
        }
        Ok(true)
    }
}

impl TakeRecord for Taker<'_> {
    type Record<'de> = Named;

    fn take(&mut self, record: &Named, _: Option<&Named>, place: Place, account: &mut Account) {
        if !record.0.is_flow {
            return account.exclude(FOREIGN_OBJECT);
        }
        match record.0.add(self.with_cluster, self.vocabulary, self.batch, account) {
            Ok(()) => account.accept(),
            Err(reason) => account.reject(reason, place),
        }
    }
}
