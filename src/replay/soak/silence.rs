//! Whether silence means health: feeds that cover the span, workloads that lived through it, destinations that went quiet.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fold::Seen;
use super::outcome::{Quiet, Span};
use super::usual::{Use, Usual};
use crate::model::{Activity, Timestamp};

/// What the flow feed of a cluster covers of the soak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// Minutes of the span that the best source covers.
    pub covered_minutes: u64,
    /// Last flow of any source.
    pub last: Option<Timestamp>,
    /// Events that sources say they lost, at any time.
    pub lost: u64,
}

impl Feed {
    /// Measures the sources of one cluster.
    pub fn of<'a>(sources: impl Iterator<Item = &'a Activity>, asked: Span) -> Self {
        let mut feed = Self::default();
        for activity in sources {
            feed.last = feed.last.max(activity.last);
            feed.lost += activity.lost.values().sum::<u64>();
            let (Some(first), Some(last)) = (activity.first, activity.last) else { continue };
            let (from, to) = (first.minute().max(asked.from.minute()), last.minute().min(asked.until.minute()));
            let gaps = activity.gaps();
            let silent: u64 = gaps
                .iter()
                .map(|gap| u64::from(gap.until.minute().min(to).saturating_sub(gap.from.minute().max(from))))
                .sum();
            let covered = u64::from((to + 1).saturating_sub(from)).saturating_sub(silent);
            feed.covered_minutes = feed.covered_minutes.max(covered);
        }
        feed
    }

    /// Whether it covers enough of `asked`, the span that it was measured for, to prove anything.
    pub fn covers(&self, asked: Span) -> bool {
        self.last.is_some()
            && self.covered_minutes.saturating_mul(1_000) >= minutes(asked).saturating_mul(COVERED_PERMILLE_MIN)
    }
}

/// A feed that covers less proves nothing, in thousandths of the span.
const COVERED_PERMILLE_MIN: u64 = 950;

fn minutes(asked: Span) -> u64 {
    u64::from(asked.until.minute().saturating_sub(asked.from.minute())).max(1)
}

/// Destinations in regular use before that nobody uses any more. What somebody tries in vain is blocked, and not silent.
pub(super) fn quiet(usual: &Usual, after: &BTreeMap<Use, Seen>, tried: &BTreeSet<Use>) -> Vec<Quiet> {
    let mut quiet = Vec::new();
    for (key, habit) in usual.habits.iter().filter(|(key, _)| !tried.contains(*key)) {
        let last = match after.get(key) {
            None => None,
            // Used since the change, and not on the last day on which it should have come.
            Some(seen) if seen.last.is_some() && habit.due.last() > seen.last.as_ref() => seen.last,
            Some(_) => continue,
        };
        let (workload, peer, port) = key.clone();
        let (connections_before, before) = (habit.connections, habit.when.clone());
        quiet.push(Quiet { workload, peer, port, connections_before, before, last });
    }
    quiet
}

/// What decides whether silence proves anything.
pub(super) struct Question<'a> {
    pub(super) asked: Span,
    pub(super) feed: Option<&'a Feed>,
    pub(super) alive: &'a BTreeSet<String>,
    pub(super) expected: &'a BTreeSet<String>,
    pub(super) connections: u64,
}

/// Why nothing is proven, one sentence each.
pub(super) fn doubts(question: &Question<'_>) -> Vec<String> {
    let mut doubts = Vec::new();
    match question.feed {
        None | Some(Feed { last: None, .. }) => doubts.push("there are no flows of this cluster".to_owned()),
        Some(feed) if !feed.covers(question.asked) => {
            let last = feed.last.map(Timestamp::to_second).unwrap_or_default();
            doubts.push(format!(
                "the flows cover {} of the {} asked for; the last one is of {last}",
                hours(feed.covered_minutes),
                hours(minutes(question.asked))
            ));
        }
        Some(_) => {}
    }
    if question.connections == 0 {
        doubts.push("no connection of this namespace since the change".to_owned());
    }
    let asleep: Vec<&str> = question.expected.difference(question.alive).map(String::as_str).collect();
    if !asleep.is_empty() {
        doubts.push(format!("no sign of life since the change from {}", asleep.join(", ")));
    }
    doubts
}

fn hours(minutes: u64) -> String {
    format!("{}.{} h", minutes / 60, minutes % 60 / 6)
}
