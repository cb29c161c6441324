//! Plain values as bytes, and back: what partial results are written in.
//!
//! In and out: integers, texts and lists, little-endian, lengths first. Reading distrusts its input: a length is compared with
//! what is there before anything is allocated, and nothing past the end is ever read.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Activity, Gap, Timestamp};

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Minutes reach to the year 2262, as times do.
const MINUTES_MAX: u32 = 154_000_000;

/// Writes values.
#[derive(Debug, Default)]
pub struct Encoder(pub Vec<u8>);

impl Encoder {
    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A time; one that is unknown is kept as that.
    pub fn time(&mut self, time: Timestamp) {
        self.0.extend_from_slice(&time.nanos().to_le_bytes());
    }

    /// A length, or how many values follow.
    pub fn count(&mut self, count: usize) {
        self.u64(count as u64);
    }

    /// A text with its length.
    pub fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// When a source spoke.
    pub fn activity(&mut self, activity: &Activity) {
        self.count(activity.minutes.len());
        for (minute, records) in &activity.minutes {
            self.u32(*minute);
            self.u64(*records);
        }
        self.time(activity.first.unwrap_or(Timestamp::UNKNOWN));
        self.time(activity.last.unwrap_or(Timestamp::UNKNOWN));
        self.u64(activity.records);
        self.count(activity.lost.len());
        for (place, events) in &activity.lost {
            self.text(place);
            self.u64(*events);
        }
        self.count(activity.lost_at.len());
        for minute in &activity.lost_at {
            self.u32(*minute);
        }
        self.count(activity.known_gaps.len());
        for gap in &activity.known_gaps {
            self.time(gap.from);
            self.time(gap.until);
        }
        self.count(activity.alive_at.len());
        for minute in &activity.alive_at {
            self.u32(*minute);
        }
    }
}

/// Reads values of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.bytes().map(u8::from_le_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A number of records or events; no honest sum comes near to what would overflow.
    pub fn amount(&mut self) -> Result<u64, Malformed> {
        self.u64().and_then(|value| if value < 1 << 56 { Ok(value) } else { Err(Malformed("a count is absurd")) })
    }

    /// A time; before 1970 there is none.
    pub fn time(&mut self) -> Result<Timestamp, Malformed> {
        let time = self.bytes().map(|bytes| Timestamp::from_nanos(i64::from_le_bytes(bytes)))?;
        if sound_time(time) { Ok(time) } else { Err(Malformed("a time is before 1970")) }
    }

    /// How many values follow, of at least `least` bytes each.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.u64()?).map_err(|_| Malformed("a count is absurd"))?;
        if count > self.0.len() / least.max(1) { Err(Malformed("it ends early")) } else { Ok(count) }
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.count(1)?;
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        std::str::from_utf8(head).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// Whether everything was read.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("something follows its end")) }
    }

    fn minute(&mut self) -> Result<u32, Malformed> {
        self.u32().and_then(
            |minute| {
                if minute < MINUTES_MAX { Ok(minute) } else { Err(Malformed("a time is after 2262")) }
            },
        )
    }

    /// When a source spoke.
    pub fn activity(&mut self) -> Result<Activity, Malformed> {
        let mut activity = Activity::default();
        let known = |time: Timestamp| time.is_known().then_some(time);
        let mut minutes = BTreeMap::new();
        for _ in 0..self.count(12)? {
            minutes.insert(self.minute()?, self.amount()?);
        }
        activity.minutes = minutes;
        activity.first = known(self.time()?);
        activity.last = known(self.time()?);
        activity.records = self.amount()?;
        for _ in 0..self.count(16)? {
            let place = self.text()?.into();
            activity.lost.insert(place, self.amount()?);
        }
        let mut lost_at = BTreeSet::new();
        for _ in 0..self.count(4)? {
            lost_at.insert(self.minute()?);
        }
        activity.lost_at = lost_at;
        for _ in 0..self.count(16)? {
            let (from, until) = (self.time()?, self.time()?);
            if !from.is_known() || from > until {
                return Err(Malformed("a gap ends before it begins"));
            }
            activity.known_gaps.insert(Gap { from, until });
        }
        for _ in 0..self.count(4)? {
            activity.alive_at.insert(self.minute()?);
        }
        Ok(activity)
    }
}

/// Whether a time is one that arithmetic on differences survives.
pub(crate) fn sound_time(time: Timestamp) -> bool {
    !time.is_known() || time.nanos() >= 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn activities_come_back(
            minutes in prop::collection::btree_map(0_u32..MINUTES_MAX, 0_u64..1 << 40, 0..9),
            lost in prop::collection::btree_map("[a-z]{0,5}", 0_u64..9, 0..3),
            first in prop::option::of(0_i64..i64::MAX),
        ) {
            let activity = Activity {
                minutes,
                first: first.map(Timestamp::from_nanos),
                last: None,
                records: 7,
                lost: lost.into_iter().map(|(place, events)| (place.into(), events)).collect(),
                lost_at: [3, 4].into(),
                known_gaps: [Gap { from: Timestamp::from_nanos(1), until: Timestamp::from_nanos(2) }].into(),
                alive_at: [4, 5, 9].into(),
            };
            let mut encoder = Encoder::default();
            encoder.activity(&activity);
            let mut decoder = Decoder(&encoder.0);
            prop_assert_eq!(decoder.activity().unwrap(), activity);
            decoder.end().unwrap();
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder(&bytes);
            drop(decoder.activity());
            let mut decoder = Decoder(&bytes);
            while decoder.text().is_ok() {}
        }
    }

    #[test]
    fn lengths_are_compared_with_what_is_there() {
        let mut encoder = Encoder::default();
        encoder.u64(u64::MAX);
        assert_eq!(Decoder(&encoder.0).text(), Err(Malformed("it ends early")));
        assert!(Decoder(&encoder.0).count(12).is_err());
    }
}
