//! Whether silence means health: feeds that cover the span, workloads that lived through it, destinations that went quiet.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fold::Seen;
use super::outcome::{Quiet, Span};
use super::usual::{Use, Usual};
use crate::model::{Activity, Timestamp};
use crate::summary::{Nodes, Share, minutes_of};

/// What the flow feed of a cluster covers of the soak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// The source that covers least.
    pub least: Box<str>,
    /// Minutes that it covers.
    pub covered_minutes: u64,
    /// Minutes of the span in which its node lived.
    pub expected_minutes: u64,
    /// Nodes that no flow comes from.
    pub silent_nodes: Vec<Box<str>>,
    /// Last flow of any source.
    pub last: Option<Timestamp>,
    /// Events that sources say they lost, at any time.
    pub lost: u64,
}

impl Feed {
    /// Measures the sources of one cluster, by name: each saw what no other did.
    pub fn of(sources: &BTreeMap<&str, &Activity>, nodes: &Nodes, asked: Span) -> Self {
        let window = minutes_of(asked.from, asked.until);
        let shares = sources.iter().map(|(name, activity)| nodes.share(name, activity, &window));
        let least = shares.min_by_key(Share::permille);
        let silent = nodes.without_source(sources.keys().copied(), &window);
        Self {
            least: least.map(|share| share.name.into()).unwrap_or_default(),
            covered_minutes: least.map_or(0, |share| share.covered),
            expected_minutes: least.map_or(0, |share| share.expected),
            silent_nodes: silent.into_iter().map(Into::into).collect(),
            last: sources.values().filter_map(|activity| activity.last).max(),
            lost: sources.values().flat_map(|activity| activity.lost.values()).sum(),
        }
    }

    /// Whether it covers enough of the span that it was measured for to prove anything.
    pub fn covers(&self) -> bool {
        self.last.is_some() && !self.is_short() && self.silent_nodes.is_empty()
    }

    const fn is_short(&self) -> bool {
        self.covered_minutes.saturating_mul(1_000) < self.expected_minutes.saturating_mul(COVERED_PERMILLE_MIN)
    }
}

/// A feed that covers less proves nothing, in thousandths of the span.
const COVERED_PERMILLE_MIN: u64 = 950;

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
        Some(feed) if feed.is_short() => {
            let last = feed.last.map(Timestamp::to_second).unwrap_or_default();
            let of = if feed.least.is_empty() { String::new() } else { format!(" of {}", feed.least) };
            doubts.push(format!(
                "the flows{of} cover {} of the {} asked for; the last one of the cluster is of {last}",
                hours(feed.covered_minutes),
                hours(feed.expected_minutes)
            ));
        }
        Some(_) => {}
    }
    if let Some(feed) = question.feed.filter(|feed| !feed.silent_nodes.is_empty()) {
        doubts.push(format!("no flows of these nodes: {}", feed.silent_nodes.join(", ")));
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
