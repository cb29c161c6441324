//! Repeats: rows that differ from an earlier one in nothing but their time become a note beside it.
//!
//! In: rows of one folder, sorted by time. Out: fewer rows; each says when it was seen again, and [`Again`] of every repeat gives the
//! repeat back, so that no later step can tell whether rows were folded. Only repeats within one minute of the clock are folded: a
//! window of time that is read has whole minutes, so that no reader ever gets a part of a row. The only thing that is lost is the
//! id of a repeat, which nobody asks for: a connection is known by the id of its earliest record. For that to hold, repeats must belong to one
//! connection, hence [`IDLE_MIN_NANOS`].

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::model::{Timestamp, Vocabulary};

/// Repeats are folded within one minute of the clock. Nanoseconds.
pub(super) const MINUTE_NANOS: i64 = 60_000_000_000;
/// Records further apart than this may be two connections for a reader; with a shorter idle time, ids of connections cannot be told from
/// folded rows. Nanoseconds.
pub const IDLE_MIN_NANOS: i64 = MINUTE_NANOS;
/// The same for records without a port, for which the idle time is a tenth (see `attribute`).
pub(super) const PORTLESS_GAP_NANOS: i64 = IDLE_MIN_NANOS / 10;
/// No row stands for more records, so that memory of a reader is bounded by rows.
pub(super) const RECORDS_MAX: usize = 64;
/// The longest text of repeats that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = RECORDS_MAX * 40;

/// One repeat of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Again {
    /// How long after the row, in nanoseconds.
    pub(super) offset: i64,
    /// Of an answer: what was left of its time to live, in seconds.
    pub(super) ttl_seconds: u32,
    /// Of an answer: the place of the address, since servers shuffle them.
    pub(super) position: u16,
}

/// A row that may stand for several.
pub(super) trait Repeating: Sized {
    /// Everything that repeats have in common.
    type Key: Eq + Hash;

    /// `None` for a row that stays alone.
    fn key(&self) -> Option<Self::Key>;
    /// Its own time.
    fn time(&self) -> Timestamp;
    /// Its repeats, ascending.
    fn again(&self) -> &[Again];
    /// How far the next repeat may be, in nanoseconds.
    fn gap(&self) -> i64;
    /// Takes in a row that is not earlier.
    fn absorb(&mut self, later: Self, vocabulary: &Vocabulary);

    /// How many records it stands for.
    fn records(&self) -> usize {
        self.again().len() + 1
    }

    /// The time of its last repeat; its own when there is none.
    fn last(&self) -> Timestamp {
        self.time().plus_nanos(self.again().last().map_or(0, |again| again.offset))
    }
}

/// Folds rows, which are sorted by time and stay so.
pub(super) fn fold<R: Repeating>(rows: Vec<R>, vocabulary: &Vocabulary) -> Vec<R> {
    let mut folded: Vec<R> = Vec::with_capacity(rows.len());
    let mut open: HashMap<R::Key, usize> = HashMap::new();
    let mut current = None;
    for row in rows {
        let minute = row.time().nanos().div_euclid(MINUTE_NANOS);
        if current.replace(minute) != Some(minute) {
            open.clear();
        }
        let Some(key) = row.key().filter(|_| row.time().is_known()) else {
            folded.push(row);
            continue;
        };
        match open.entry(key) {
            Entry::Occupied(mut entry) => match folded.get_mut(*entry.get()) {
                Some(open) if takes(open, &row) => open.absorb(row, vocabulary),
                _ => {
                    entry.insert(folded.len());
                    folded.push(row);
                }
            },
            Entry::Vacant(entry) => {
                entry.insert(folded.len());
                folded.push(row);
            }
        }
    }
    folded
}

fn takes<R: Repeating>(open: &R, row: &R) -> bool {
    let gap = row.time().nanos().saturating_sub(open.last().nanos());
    gap <= open.gap() && open.records() + row.records() <= RECORDS_MAX
}

/// Adds the repeats of a row that comes `offset` nanoseconds later, and that row itself as `own` says it.
pub(super) fn add_repeats(again: &mut Vec<Again>, offset: i64, own: Again, later: &[Again]) {
    again.push(Again { offset, ..own });
    again.extend(later.iter().map(|one| Again { offset: one.offset.saturating_add(offset), ..*one }));
    if !again.is_sorted() {
        again.sort_unstable();
    }
}

/// Repeats as a text: offsets with commas between; behind an offset, what differs from the row, as `:ttl` or `:ttl:position`.
pub(super) fn write_repeats(again: &[Again], own: Again) -> String {
    let mut text = String::new();
    for one in again {
        if !text.is_empty() {
            text.push(',');
        }
        text += &one.offset.to_string();
        if (one.ttl_seconds, one.position) != (own.ttl_seconds, own.position) {
            text.push(':');
            text += &one.ttl_seconds.to_string();
        }
        if one.position != own.position {
            text.push(':');
            text += &one.position.to_string();
        }
    }
    text
}

/// The repeats of [`write_repeats`], of a row at `time`; `None` for any other text.
pub(super) fn read_repeats(text: &str, time: Timestamp, own: Again) -> Option<Vec<Again>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.len() > TEXT_BYTES_MAX || !time.is_known() {
        return None;
    }
    let left = MINUTE_NANOS - time.nanos().rem_euclid(MINUTE_NANOS);
    let mut again = Vec::new();
    for part in text.split(',') {
        let mut numbers = part.split(':');
        let offset = numbers.next()?.parse().ok().filter(|offset| (0..left).contains(offset))?;
        let ttl_seconds = numbers.next().map_or(Some(own.ttl_seconds), |number| number.parse().ok())?;
        let position = numbers.next().map_or(Some(own.position), |number| number.parse().ok())?;
        if numbers.next().is_some() || again.len() + 1 >= RECORDS_MAX {
            return None;
        }
        again.push(Again { offset, ttl_seconds, position });
    }
    again.is_sorted().then_some(again)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn again() -> impl Strategy<Value = Vec<Again>> {
        let one = (0..MINUTE_NANOS, 0_u32..3, 0_u16..3);
        prop::collection::vec(one, 0..RECORDS_MAX - 1).prop_map(|all| {
            let mut again: Vec<Again> = (all.into_iter())
                .map(|(offset, ttl_seconds, position)| Again { offset, ttl_seconds, position })
                .collect();
            again.sort_unstable();
            again
        })
    }

    proptest! {
        #[test]
        fn repeats_come_back(again in again(), ttl_seconds in 0_u32..3, position in 0_u16..3) {
            let own = Again { offset: 0, ttl_seconds, position };
            let time = Timestamp::from_nanos(1_772_445_600 * 1_000_000_000);
            prop_assert_eq!(read_repeats(&write_repeats(&again, own), time, own), Some(again));
        }

        #[test]
        fn no_text_panics(text in "[0-9:,-]{0,60}", time: i64) {
            read_repeats(&text, Timestamp::from_nanos(time), Again::default());
        }
    }

    #[test]
    fn texts_that_nobody_wrote_are_refused() {
        let time = Timestamp::from_nanos(90_000_000_000);
        let check = |text: &str, expected: bool| {
            assert_eq!(read_repeats(text, time, Again::default()).is_some(), expected, "{text}");
        };
        check("", true);
        check("0,1,29999999999", true);
        check("30000000000", false);
        check("-1", false);
        check("2,1", false);
        check("1,", false);
        check("1:2:3:4", false);
        check("1:70000:1,1:70000:1", true);
        check("1:1:70000", false);
        check(&vec!["1"; RECORDS_MAX - 1].join(","), true);
        check(&vec!["1"; RECORDS_MAX].join(","), false);
        assert_eq!(read_repeats("1", Timestamp::UNKNOWN, Again::default()), None);
    }
}
