//! The account of one input: every record that was read is used, rejected with a reason, or excluded by name.
//!
//! `read = used + rejected + excluded` holds at any time ([`Account::is_balanced`]).

use std::collections::BTreeMap;
use std::fmt;

/// Where a record stands in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Byte offset of the record's first byte, in the uncompressed stream.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

/// Why a record is broken. The text is what a user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rejected(pub &'static str);

/// Why a good record is not part of the result. The text is what a user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Excluded(pub &'static str);

/// How often a reason occurred, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectCount {
    /// How many records.
    pub records: u64,
    /// The first of them.
    pub first: Place,
}

/// What became of the records of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records that were read.
    pub read: u64,
    /// Records that are in the result.
    pub used: u64,
    /// Broken records by reason.
    pub rejected: BTreeMap<Rejected, RejectCount>,
    /// Good records that are left out, by name.
    pub excluded: BTreeMap<Excluded, u64>,
    /// Things worth telling that change no count (unknown fields, records without a time).
    pub notes: BTreeMap<&'static str, u64>,
}

impl Account {
    /// Counts a record that is in the result.
    pub fn accept(&mut self) {
        self.read += 1;
        self.used += 1;
    }

    /// Counts a broken record.
    pub fn reject(&mut self, reason: Rejected, place: Place) {
        self.read += 1;
        let count = self.rejected.entry(reason).or_insert(RejectCount { records: 0, first: place });
        count.records += 1;
        count.first = count.first.min(place);
    }

    /// Counts a record that is left out on purpose.
    pub fn exclude(&mut self, reason: Excluded) {
        self.read += 1;
        *self.excluded.entry(reason).or_default() += 1;
    }

    /// Counts something worth telling.
    pub fn note(&mut self, what: &'static str) {
        *self.notes.entry(what).or_default() += 1;
    }

    /// How many records were rejected.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().map(|count| count.records).sum()
    }

    /// How many records were excluded.
    pub fn excluded_total(&self) -> u64 {
        self.excluded.values().sum()
    }

    /// Whether every record is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.read == self.used + self.rejected_total() + self.excluded_total()
    }

    /// Adds another account of the same input.
    pub fn absorb(&mut self, other: &Self) {
        self.read += other.read;
        self.used += other.used;
        for (reason, count) in &other.rejected {
            let mine = self.rejected.entry(*reason).or_insert(RejectCount { records: 0, first: count.first });
            mine.records += count.records;
            mine.first = mine.first.min(count.first);
        }
        for (reason, records) in &other.excluded {
            *self.excluded.entry(*reason).or_default() += records;
        }
        for (what, records) in &other.notes {
            *self.notes.entry(what).or_default() += records;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_accounted_for_in_any_order_of_merging() {
        let mut left = Account::default();
        left.accept();
        left.reject(Rejected("not JSON"), Place::Byte(90));
        let mut right = Account::default();
        right.exclude(Excluded("agent event"));
        right.reject(Rejected("not JSON"), Place::Byte(7));
        let (mut one, mut two) = (left.clone(), right.clone());
        one.absorb(&right);
        two.absorb(&left);
        assert_eq!(one, two);
        assert!(one.is_balanced());
        assert_eq!(one.read, 4);
        assert_eq!(one.rejected.get(&Rejected("not JSON")).map(|c| c.first), Some(Place::Byte(7)));
    }
}
