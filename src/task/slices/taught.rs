//! What the ledger of a store knows about coverage, summed.
//!
//! In: rows of the ledger. Out: when each source was there, away, or losing records, and how many records were refused on the way
//! in. Adding is commutative and associative.

use std::collections::BTreeMap;

use crate::attribute::codec::{Decoder, Encoder, Malformed};
use crate::lake::LedgerRow;
use crate::model::{Activity, Gap, SourceKind, Timestamp};

/// Where gaps that the collector knows of are counted.
const AWAY: &str = "collector: lost by the source's or its own account";

/// What rows of the ledger say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taught {
    /// By kind, cluster (empty when the source names none) and source.
    pub activity: BTreeMap<(SourceKind, Box<str>, Box<str>), Activity>,
    /// Records refused when they arrived.
    pub rejected: u64,
    /// Records left out by name when they arrived.
    pub excluded: u64,
}

impl Taught {
    /// Adds a row.
    pub fn add(&mut self, row: &LedgerRow) {
        self.rejected += row.rejected;
        self.excluded += row.excluded;
        let source = (row.kind, row.cluster.as_str().into(), row.source.as_str().into());
        let activity = self.activity.entry(source).or_default();
        if row.read > 0 {
            // When it arrived, which may be long after it happened.
            activity.alive_at.insert(row.minute.minute());
        }
        if row.lost > 0 {
            *activity.lost.entry(AWAY.into()).or_default() += row.lost;
            activity.lost_at.insert(row.minute.minute());
        }
        if row.missing_nanos > 0 {
            activity.known_gaps.insert(away(row));
        }
    }

    /// Adds what other rows say.
    pub fn absorb(&mut self, other: Self) {
        self.rejected += other.rejected;
        self.excluded += other.excluded;
        for (source, activity) in other.activity {
            self.activity.entry(source).or_default().absorb(activity);
        }
    }

    pub(super) fn write(&self, out: &mut Encoder) {
        out.u64(self.rejected);
        out.u64(self.excluded);
        out.count(self.activity.len());
        for ((kind, cluster, source), activity) in &self.activity {
            out.u8(*kind as u8);
            out.text(cluster);
            out.text(source);
            out.activity(activity);
        }
    }

    pub(super) fn read(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut taught = Self { rejected: input.amount()?, excluded: input.amount()?, ..Self::default() };
        for _ in 0..input.count(17)? {
            let kind = match input.u8()? {
                0 => SourceKind::Flows,
                1 => SourceKind::Dns,
                _ => return Err(Malformed("a source is of no known kind")),
            };
            let source = (kind, input.text()?.into(), input.text()?.into());
            taught.activity.insert(source, input.activity()?);
        }
        Ok(taught)
    }
}

/// The time for which a source had been away when it came back.
fn away(row: &LedgerRow) -> Gap {
    let missing = i64::try_from(row.missing_nanos).unwrap_or(i64::MAX);
    // The minute of the return is told; the gap ends somewhere in it.
    let until = row.minute.plus_nanos(60_000_000_000);
    Gap { from: row.minute.plus_nanos(missing.saturating_neg()).max(Timestamp::from_nanos(0)), until }
}
