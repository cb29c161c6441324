//! When each source was alive: records per minute, reported losses, and the gaps that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Timestamp;

/// What a source delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Flow records of one node.
    Flows,
    /// DNS answers of one resolver.
    Dns,
}

impl SourceKind {
    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Dns => "dns",
        }
    }
}

/// Silent time of a source that was busy before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Start of the first silent minute.
    pub from: Timestamp,
    /// End of the last silent minute.
    pub until: Timestamp,
}

impl Gap {
    /// Length in whole minutes.
    pub fn minutes(&self) -> u32 {
        self.until.minute().saturating_sub(self.from.minute())
    }
}

/// Mergeable record of when a source spoke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Minute since the epoch → records.
    pub minutes: BTreeMap<u32, u64>,
    /// First event.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
    /// Records, with or without a time.
    pub records: u64,
    /// Losses as the source reports them: place → events.
    pub lost: BTreeMap<Box<str>, u64>,
    /// Minutes in which a loss was reported.
    pub lost_at: BTreeSet<u32>,
    /// Times in which the collector knows that the source was away.
    pub known_gaps: BTreeSet<Gap>,
    /// Minutes in which the collector knows that the source was connected. Between its events they say that a silence was
    /// none; they are no events, and before the first and behind the last they say nothing.
    pub alive_at: BTreeSet<u32>,
}

/// A silence of at least this many minutes of a busy source is a gap.
const GAP_MINUTES_MIN: u32 = 5;

impl Activity {
    /// Counts one record.
    pub fn record(&mut self, time: Timestamp) {
        self.run(time, time, 1);
    }

    /// Counts `records` of one minute, the first of them at `first`, the last at `last`.
    pub fn run(&mut self, first: Timestamp, last: Timestamp, records: u64) {
        self.records += records;
        if first.is_known() {
            *self.minutes.entry(first.minute()).or_default() += records;
            self.first = Timestamp::earliest(self.first, Some(first));
            self.last = self.last.max(Some(last));
        }
    }

    /// Adds the activity of the same source from elsewhere.
    pub fn absorb(&mut self, other: Self) {
        for (minute, records) in other.minutes {
            *self.minutes.entry(minute).or_default() += records;
        }
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
        self.records += other.records;
        self.lost_at.extend(other.lost_at);
        self.known_gaps.extend(other.known_gaps);
        self.alive_at.extend(other.alive_at);
        for (place, events) in other.lost {
            *self.lost.entry(place).or_default() += events;
        }
    }

    /// Silent runs that are out of step with the source's own rhythm: longer than five minutes and than twice
    /// what all but one in a hundred of its pauses take; or in which losses were reported. A source that speaks rarely
    /// proves little by its silence alone. Times in which the source is known to have been away are gaps however short.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.silent_runs();
        if self.known_gaps.is_empty() {
            return gaps;
        }
        gaps.extend(&self.known_gaps);
        gaps.sort_unstable();
        gaps.dedup_by(|next, kept| {
            let meet = next.from <= kept.until;
            if meet {
                kept.until = kept.until.max(next.until);
            }
            meet
        });
        gaps
    }

    fn silent_runs(&self) -> Vec<Gap> {
        let heard = self.heard();
        let steps = heard.iter().zip(heard.iter().skip(1));
        let limit = self.longest_usual_pause().map_or(u32::MAX, |pause| GAP_MINUTES_MIN.max(pause.saturating_mul(2)));
        steps
            .filter(|(before, after)| self.is_silence(**before, **after, limit))
            .map(|(before, after)| Gap { from: minute_start(before + 1), until: minute_start(*after) })
            .collect()
    }

    /// Minutes with events, and between the first and the last of them those in which the source was connected.
    fn heard(&self) -> BTreeSet<u32> {
        let mut heard: BTreeSet<u32> = self.minutes.keys().copied().collect();
        if let (Some(first), Some(last)) = (heard.first().copied(), heard.last().copied()) {
            heard.extend(self.alive_at.range(first..=last));
        }
        heard
    }

    /// The pause that only one in a hundred exceeds, in minutes; of few pauses, all but the two longest. `None` when
    /// there are too few to speak of a rhythm.
    fn longest_usual_pause(&self) -> Option<u32> {
        let minutes = || self.minutes.keys();
        let mut pauses: Vec<u32> = minutes().zip(minutes().skip(1)).map(|(before, after)| after - before).collect();
        if pauses.len() < 20 {
            return None;
        }
        pauses.sort_unstable();
        pauses.get(pauses.len() - 1 - (pauses.len() / 100).max(2)).copied()
    }

    /// Whether it speaks often enough for an unusual silence to be told from a usual one.
    pub fn has_rhythm(&self) -> bool {
        self.longest_usual_pause().is_some()
    }

    /// Stretches of minutes (since the epoch, the end excluded) in which the source was certainly there: from record to record where the
    /// pause between them is one of its rhythm. Of a source with too few records for a rhythm, a longer pause than
    /// five minutes proves nothing: it may have been away as well as idle.
    pub fn alive(&self) -> Vec<Range<u32>> {
        let limit =
            self.longest_usual_pause().map_or(GAP_MINUTES_MIN, |pause| GAP_MINUTES_MIN.max(pause.saturating_mul(2)));
        let mut alive: Vec<Range<u32>> = Vec::new();
        for minute in &self.heard() {
            match alive.last_mut() {
                Some(stretch) if !self.is_silence(stretch.end.saturating_sub(1), *minute, limit) => {
                    stretch.end = minute.saturating_add(1);
                }
                _ => alive.push(*minute..minute.saturating_add(1)),
            }
        }
        for gap in &self.known_gaps {
            let away = gap.from.minute()..gap.until.minute();
            alive = (alive.into_iter())
                .flat_map(|stretch| {
                    [stretch.start..stretch.end.min(away.start), stretch.start.max(away.end)..stretch.end]
                })
                .filter(|stretch| stretch.start < stretch.end)
                .collect();
        }
        alive
    }

    fn is_silence(&self, before: u32, after: u32, limit: u32) -> bool {
        let pause = after.saturating_sub(before);
        pause > limit || (pause > GAP_MINUTES_MIN && self.lost_at.range(before + 1..=after).next().is_some())
    }

    /// Minutes from the first record to the last.
    pub fn lifetime_minutes(&self) -> u64 {
        let ends = self.minutes.keys().next().zip(self.minutes.keys().next_back());
        ends.map_or(0, |(first, last)| u64::from(last - first) + 1)
    }

    /// Minutes of `window` in which the source was certainly there.
    pub fn covered_minutes(&self, window: &Range<u32>) -> u64 {
        minutes_within(&self.alive(), window)
    }
}

/// How many minutes of `window` lie in any of `stretches`, which do not overlap.
pub fn minutes_within(stretches: &[Range<u32>], window: &Range<u32>) -> u64 {
    let within = |stretch: &Range<u32>| stretch.end.min(window.end).saturating_sub(stretch.start.max(window.start));
    stretches.iter().map(|stretch| u64::from(within(stretch))).sum()
}

fn minute_start(minute: u32) -> Timestamp {
    Timestamp::from_nanos(i64::from(minute).saturating_mul(60_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(minutes: impl IntoIterator<Item = u32>) -> Activity {
        let mut activity = Activity::default();
        for minute in minutes {
            activity.record(minute_start(minute));
        }
        activity
    }

    #[test]
    fn a_busy_source_that_falls_silent_has_a_gap() {
        let activity = activity((0..60).chain(72..120));
        let gaps = activity.gaps();
        assert_eq!(gaps, [Gap { from: minute_start(60), until: minute_start(72) }]);
        assert_eq!(gaps[0].minutes(), 12);
        assert_eq!(activity.covered_minutes(&(0..120)), 108);
        assert_eq!(activity.covered_minutes(&(50..75)), 13);
    }

    #[test]
    fn few_records_prove_nothing_between_them() {
        let sparse = activity([0, 3, 2_000, 4_439]);
        assert_eq!((sparse.gaps(), sparse.covered_minutes(&(0..4_440))), (vec![], 6));
        // A slow rhythm is one all the same.
        assert_eq!(activity((0..=900).step_by(30)).covered_minutes(&(0..900)), 900);
    }

    #[test]
    fn what_the_collector_knows_to_be_missing_is_not_covered() {
        let mut busy = activity(0..100);
        busy.known_gaps.insert(Gap { from: minute_start(20), until: minute_start(30) });
        assert_eq!(busy.alive(), [0..20, 30..100]);
        assert_eq!(busy.covered_minutes(&(0..100)), 90);
    }

    #[test]
    fn a_source_that_was_connected_was_not_away_and_no_longer_there_either() {
        let mut late = activity((0..60).chain(72..120));
        let (first, last) = (late.first, late.last);
        late.alive_at.extend([64, 68, 9_000]);
        assert_eq!(late.gaps(), []);
        assert_eq!((late.first, late.last, late.lifetime_minutes()), (first, last, 120));
        assert_eq!(late.covered_minutes(&(0..10_000)), 120);
        assert_eq!(late.minutes.len(), 108);
        let mut other = Activity::default();
        other.absorb(late);
        assert_eq!(other.gaps(), []);
    }

    #[test]
    fn short_silences_and_sparse_sources_have_none() {
        assert_eq!(activity((0..60).chain(64..120)).gaps(), []);
        assert_eq!(activity((0..600).step_by(30)).gaps(), []);
        assert_eq!(activity([]).gaps(), []);
    }

    #[test]
    fn a_pause_in_which_losses_were_reported_is_a_gap_whatever_the_rhythm() {
        let mut sparse = activity((0..600).step_by(30));
        sparse.lost_at.insert(80);
        assert_eq!(sparse.gaps(), [Gap { from: minute_start(61), until: minute_start(90) }]);
    }
}
