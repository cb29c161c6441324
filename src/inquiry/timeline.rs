//! Time in equal buckets: how many connections began, how many were open, how many were denied, by which evidence.
//!
//! In: the span that the evidence covers, or the asked window. Out: at most [`BUCKETS_MAX`] buckets whose length is a round number, so that
//! their borders are times that people use.

use std::collections::BTreeMap;

use crate::model::{Grade, Timestamp, Verdict};

/// Most buckets of a timeline: what fits a terminal beside a label.
pub const BUCKETS_MAX: usize = 60;

const MINUTE_NANOS: i64 = 60_000_000_000;
/// Lengths of a bucket in minutes; the shortest that needs few enough buckets is taken.
const STEPS_MINUTES: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080];

/// One bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Connections that began in it.
    pub began: u64,
    /// Connections that were open in it, begun earlier or not.
    pub open: u64,
    /// Of those that began, denied.
    pub denied: u64,
    /// Of those that began and went outside the cluster, by grade of evidence.
    pub grades: BTreeMap<Grade, u64>,
}

/// A timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Start of the first bucket.
    pub from: Timestamp,
    /// Length of a bucket in nanoseconds.
    pub step_nanos: i64,
    /// The buckets in order.
    pub buckets: Vec<Bucket>,
}

impl Timeline {
    /// An empty timeline over a span; no bucket when the span is not known.
    pub fn over(from: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let (Some(from), Some(until)) = (from.filter(|time| time.is_known()), until.filter(|time| time.is_known()))
        else {
            return Self { from: Timestamp::UNKNOWN, step_nanos: MINUTE_NANOS, buckets: Vec::new() };
        };
        let until = until.max(from);
        let needed = |step: i64| {
            let start = from.nanos().div_euclid(step);
            let buckets = until.nanos().div_euclid(step).saturating_sub(start).saturating_add(1);
            usize::try_from(buckets).unwrap_or(usize::MAX)
        };
        let steps = STEPS_MINUTES.map(|minutes| minutes * MINUTE_NANOS);
        // Beyond more than a year the longest step is doubled until it fits.
        let longest = STEPS_MINUTES.last().copied().unwrap_or(1) * MINUTE_NANOS;
        let longer = std::iter::successors(Some(longest), |step| step.checked_mul(2));
        let step = steps.into_iter().chain(longer).find(|step| needed(*step) <= BUCKETS_MAX).unwrap_or(i64::MAX);
        let start = from.nanos().div_euclid(step) * step;
        Self {
            from: Timestamp::from_nanos(start),
            step_nanos: step,
            buckets: vec![Bucket::default(); needed(step).min(BUCKETS_MAX)],
        }
    }

    /// The number of the bucket that a time falls into.
    pub fn number(&self, time: Timestamp) -> Option<usize> {
        if !time.is_known() || self.buckets.is_empty() {
            return None;
        }
        let offset = time.nanos().checked_sub(self.from.nanos())?.div_euclid(self.step_nanos);
        usize::try_from(offset).ok().filter(|number| *number < self.buckets.len())
    }

    /// Start of a bucket.
    pub fn start(&self, number: usize) -> Timestamp {
        let offset = i64::try_from(number).unwrap_or(0).saturating_mul(self.step_nanos);
        self.from.plus_nanos(offset)
    }

    /// Counts a connection; a grade belongs to those that leave the cluster.
    pub(super) fn count(
        &mut self,
        (first, last): (Timestamp, Timestamp),
        verdict: Verdict,
        grade: Option<Grade>,
        times: u64,
    ) {
        let began = self.number(first);
        if let Some(bucket) = began.and_then(|number| self.buckets.get_mut(number)) {
            bucket.began += times;
            bucket.denied += if verdict == Verdict::Denied { times } else { 0 };
            if let Some(grade) = grade {
                *bucket.grades.entry(grade).or_default() += times;
            }
        }
        // A connection may have begun before the asked window.
        let opened = if first < self.from { Some(0) } else { began };
        let closed = self.number(last).or_else(|| (last > self.from).then_some(self.buckets.len().saturating_sub(1)));
        if let (Some(opened), Some(closed)) = (opened.filter(|_| first.is_known()), closed) {
            let open = self.buckets.iter_mut().take(closed.saturating_add(1)).skip(opened);
            // One that only went on is open, too.
            open.for_each(|bucket| bucket.open += times.max(1));
        }
    }

    /// Adds the counts of the same span from elsewhere.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            mine.began += theirs.began;
            mine.open += theirs.open;
            mine.denied += theirs.denied;
            for (grade, count) in &theirs.grades {
                *mine.grades.entry(*grade).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn buckets_are_round_and_few() {
        let check = |from: &str, until: &str, start: &str, minutes: i64, buckets: usize| {
            let timeline = Timeline::over(Some(time(from)), Some(time(until)));
            assert_eq!(
                (timeline.step_nanos / MINUTE_NANOS, timeline.buckets.len()),
                (minutes, buckets),
                "{from} {until}"
            );
            assert_eq!(timeline.from, time(start));
        };
        check("2026-03-02T00:00:30Z", "2026-03-02T00:30:00Z", "2026-03-02T00:00:00Z", 1, 31);
        check("2026-03-02T00:20:30Z", "2026-03-02T23:59:00Z", "2026-03-02T00:00:00Z", 30, 48);
        check("2026-03-02T05:00:00Z", "2026-03-09T05:00:00Z", "2026-03-02T03:00:00Z", 180, 57);
        check("2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", 1, 1);
        assert!(Timeline::over(None, Some(time("2026-03-02T00:00:00Z"))).buckets.is_empty());
        assert!(Timeline::over(Some(Timestamp::from_nanos(0)), Some(Timestamp::MAX)).buckets.len() <= BUCKETS_MAX);
    }

    #[test]
    fn a_long_connection_is_open_in_every_bucket_between() {
        let mut timeline = Timeline::over(Some(time("2026-03-02T00:00:00Z")), Some(time("2026-03-02T00:04:00Z")));
        let span = |first: &str, last: &str| (time(first), time(last));
        timeline.count(span("2026-03-02T00:01:10Z", "2026-03-02T00:03:00Z"), Verdict::Denied, Some(Grade::Pod), 1);
        timeline.count(span("2026-03-01T00:01:10Z", "2026-03-02T00:01:00Z"), Verdict::Allowed, None, 1);
        timeline.count((Timestamp::UNKNOWN, Timestamp::UNKNOWN), Verdict::Allowed, None, 1);
        let seen: Vec<_> = timeline.buckets.iter().map(|bucket| (bucket.began, bucket.open, bucket.denied)).collect();
        assert_eq!(seen, [(0, 1, 0), (1, 2, 1), (0, 1, 0), (0, 1, 0), (0, 0, 0)]);
    }
}
