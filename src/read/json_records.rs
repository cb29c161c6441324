//! JSON records inside whatever shippers and stores wrap around them.
//!
//! In: chunks of whole lines or whole objects. Out: each record on its own, with its place. Looks into container log
//! prefixes, server-sent events, syslog lines that carry JSON, `{"log":".."}` lines, search hits (`_source`, `hits`),
//! collector events (`event`) and lists of records. Never follows a wrapper deeper than a JSON text can be nested.

use std::marker::PhantomData;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::hubble::{Piece, pieces};
use super::json::{LooseObject, ObjectVisitor, Scalar};
use super::log_line::{Content, content};
use super::open::Framing;
use crate::model::{Account, Excluded, Place, Rejected};

/// Text that begins as an object and is no JSON.
pub(super) const BROKEN_JSON: Rejected = Rejected("broken JSON");
const BROKEN_UTF8: Rejected = Rejected("invalid UTF-8");
const PARTIAL_LINE: Rejected = Rejected("line that the container runtime split");
/// A line of something else in between.
pub(super) const FOREIGN_LINE: Excluded = Excluded("line that holds no record");
/// A JSON object of something else.
pub(super) const FOREIGN_OBJECT: Excluded = Excluded("JSON object of another shape");

/// A record with what surrounds it, or several of them.
#[derive(Debug, Default)]
pub(super) struct Enveloped<'de, T> {
    own: T,
    inner: Vec<Self>,
    line: Scalar<'de>,
}

impl<'de, T: LooseObject<'de>> LooseObject<'de> for Enveloped<'de, T> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "_source" | "event" | "flow" | "ipfix" | "hits" | "items" | "flows" | "data" => {
                self.inner.extend(map.next_value::<Several<'de, T>>()?.0);
            }
            "log" => self.line = map.next_value()?,
            _ => return self.own.take(key, map),
        }
        Ok(true)
    }
}

impl<'de, T: LooseObject<'de>> Deserialize<'de> for Enveloped<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// One record, or a list of them; anything else is none.
struct Several<'de, T>(Vec<Enveloped<'de, T>>);

struct SeveralVisitor<T>(PhantomData<T>);

impl<'de, T: LooseObject<'de>> Visitor<'de> for SeveralVisitor<T> {
    type Value = Several<'de, T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a record or a list of records")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Several(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let one: Enveloped<'de, T> = ObjectVisitor(PhantomData).visit_map(map)?;
        Ok(Several(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Several(members)) = list.next_element::<Several<'de, T>>()? {
            all.extend(members);
        }
        Ok(Several(all))
    }
}

impl<'de, T: LooseObject<'de>> Deserialize<'de> for Several<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeveralVisitor(PhantomData))
    }
}

/// Takes a record; the account entry is its own business.
pub(super) trait TakeRecord {
    /// The shape of a record.
    type Record<'de>: LooseObject<'de>;

    /// Takes one record; the outer one is the wrapper's own fields (host, time), or nothing.
    fn take(
        &mut self,
        record: &Self::Record<'_>,
        wrapper: Option<&Self::Record<'_>>,
        place: Place,
        account: &mut Account,
    );
}

/// Hands every record of a chunk over; what is no record is accounted for here.
pub(super) fn each_record<T: TakeRecord>(
    chunk: &[u8],
    base: u64,
    framing: Framing,
    taker: &mut T,
    account: &mut Account,
) {
    if framing == Framing::Objects {
        for (start, piece) in pieces(chunk) {
            let place = Place::Byte(base.saturating_add(start as u64));
            match piece {
                Piece::Object(object) => text(object, place, taker, account),
                Piece::Broken => account.reject(BROKEN_JSON, place),
                Piece::Foreign => account.exclude(FOREIGN_LINE),
            }
        }
        return;
    }
    each_line(chunk, base, |line, place| match content(line) {
        Content::Blank => {}
        Content::Part => account.reject(PARTIAL_LINE, place),
        Content::Whole(line) => text(line, place, taker, account),
    });
}

/// Hands every line of a chunk over, with its place.
pub(super) fn each_line(chunk: &[u8], base: u64, mut take: impl FnMut(&[u8], Place)) {
    let (mut rest, mut offset) = (chunk, base);
    while !rest.is_empty() {
        let length = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let Some((line, next)) = rest.split_at_checked(length) else { break };
        take(line, Place::Byte(offset));
        rest = next;
        offset = offset.saturating_add(length as u64);
    }
}

/// The JSON object of a line: the line itself, a server-sent event's data, or what a syslog line carries.
pub(super) fn object_in(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with('{') {
        return Some(line);
    }
    if let Some(data) = line.strip_prefix("data:") {
        return Some(data.trim_start()).filter(|data| data.starts_with('{'));
    }
    let (head, _) = line.split_once('{')?;
    let is_syslog = head.starts_with('<') || head.contains(" tigera_secure");
    line.get(head.len()..).filter(|_| is_syslog)
}

fn text<T: TakeRecord>(bytes: &[u8], place: Place, taker: &mut T, account: &mut Account) {
    let Ok(line) = std::str::from_utf8(bytes) else { return account.reject(BROKEN_UTF8, place) };
    let Some(object) = object_in(line) else { return account.exclude(FOREIGN_LINE) };
    let Ok(enveloped) = serde_json::from_str::<Enveloped<'_, T::Record<'_>>>(object) else {
        return account.reject(BROKEN_JSON, place);
    };
    // A shipper's envelope holds the line as text; one of them is looked into.
    if let (true, Some(inner)) = (enveloped.inner.is_empty(), enveloped.line.text()) {
        let Content::Whole(inner) = content(inner.as_bytes()) else { return account.exclude(FOREIGN_LINE) };
        let inner = std::str::from_utf8(inner).unwrap_or_default();
        match object_in(inner).map(serde_json::from_str::<Enveloped<'_, T::Record<'_>>>) {
            Some(Ok(inside)) => hand_over(&inside, Some(&enveloped.own), place, taker, account),
            Some(Err(_)) => account.reject(BROKEN_JSON, place),
            None => account.exclude(FOREIGN_LINE),
        }
        return;
    }
    hand_over(&enveloped, None, place, taker, account);
}

fn hand_over<T: TakeRecord>(
    outermost: &Enveloped<'_, T::Record<'_>>,
    wrapper: Option<&T::Record<'_>>,
    place: Place,
    taker: &mut T,
    account: &mut Account,
) {
    // The nesting of a JSON text is bounded, and so is this list; records stay in their order.
    let mut waiting = vec![(outermost, None)];
    while let Some((enveloped, nearest)) = waiting.pop() {
        if !enveloped.inner.is_empty() {
            waiting.extend(enveloped.inner.iter().rev().map(|inner| (inner, Some(&enveloped.own))));
        } else if nearest.is_some() {
            taker.take(&enveloped.own, nearest, place, account);
        } else {
            taker.take(&enveloped.own, wrapper, place, account);
        }
    }
}

/// The keys of the first objects of some content, for telling formats apart.
#[derive(Debug, Default)]
pub(super) struct Keys(pub(super) Vec<String>);

impl<'de> LooseObject<'de> for Keys {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, _: &mut A) -> Result<bool, A::Error> {
        self.0.push(key.to_owned());
        Ok(false)
    }
}

impl TakeRecord for Keys {
    type Record<'de> = Self;

    fn take(&mut self, record: &Self, wrapper: Option<&Self>, _: Place, account: &mut Account) {
        account.accept();
        self.0.extend(record.0.iter().cloned());
        self.0.extend(wrapper.into_iter().flat_map(|wrapper| wrapper.0.iter().cloned()));
    }
}
