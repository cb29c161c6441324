//! Coverage: what the sources of a cluster saw of the time in which they should have seen it. The one definition that every gate and
//! every document uses.
//!
//! A node's flows are seen by that node's agent alone, so each flow source answers for itself, and a node without a source is a hole. Resolvers
//! share their clients, so answers count as covered while any of them was there.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Cluster;
use crate::kube::Inventory;
pub use crate::model::{Activity, Gap, SourceKind};
use crate::model::{Timestamp, minutes_within};

/// The coverage of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCoverage {
    /// What it delivers.
    pub kind: SourceKind,
    /// The node (flows) or resolver (DNS); empty when the records do not name it.
    pub name: Box<str>,
    /// When it spoke.
    pub activity: Activity,
}

/// The nodes that Kubernetes objects list, with the time when each joined (unknown where the object does not say).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(BTreeMap<Box<str>, Timestamp>);

/// Minutes that a source covers, of the minutes in which it should have been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The source's name.
    pub name: &'a str,
    /// Minutes in which it was certainly there.
    pub covered: u64,
    /// Minutes of the window that fall into the life of its node.
    pub expected: u64,
}

impl Share<'_> {
    /// In thousandths; a source of which nothing is expected covers it.
    pub fn permille(&self) -> u64 {
        self.covered.saturating_mul(1_000).checked_div(self.expected).unwrap_or(1_000).min(1_000)
    }
}

/// The whole minutes of a window, since the epoch; at least one.
pub fn minutes_of(from: Timestamp, until: Timestamp) -> Range<u32> {
    from.minute()..until.minute().max(from.minute().saturating_add(1))
}

impl Nodes {
    /// The nodes of a cluster.
    pub fn of(inventory: &Inventory, cluster: &str) -> Self {
        Self(inventory.nodes(cluster).map(|node| (node.name.clone(), node.created)).collect())
    }

    /// What a source of flows covers of `window`. A node that joined later or that is gone from the objects is expected only while it lived; without
    /// objects nobody knows that it is gone.
    pub fn share<'a>(&self, name: &'a str, activity: &Activity, window: &Range<u32>) -> Share<'a> {
        let mut expected = window.clone();
        match self.0.get(name) {
            Some(joined) if joined.is_known() => expected.start = expected.start.max(joined.minute()),
            Some(_) => {}
            None if self.0.is_empty() || name.is_empty() => {}
            None => {
                let last = activity.minutes.keys().next_back();
                expected.end = last.map_or(expected.start, |last| expected.end.min(last.saturating_add(1)));
            }
        }
        let covered = activity.covered_minutes(&expected);
        Share { name, covered, expected: u64::from(expected.end.saturating_sub(expected.start)) }
    }

    /// Nodes that lived in `window` and have no source among `sources`. Where no source bears the name of a node, sources are not named
    /// by nodes and nothing is known.
    pub fn without_source<'a>(&self, sources: impl Iterator<Item = &'a str>, window: &Range<u32>) -> Vec<&str> {
        let mut missing = self.0.clone();
        let known = sources.filter(|name| missing.remove(*name).is_some()).count();
        let lived = |joined: &Timestamp| !joined.is_known() || joined.minute() < window.end;
        let missing = self.0.iter().filter(|(name, joined)| known > 0 && missing.contains_key(*name) && lived(joined));
        missing.map(|(name, _)| &**name).collect()
    }

    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no node is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cluster {
    /// The minutes that were asked for; where no end was given, up to the first or last event of any source.
    pub fn window(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Range<u32> {
        let first = || self.coverage.iter().filter_map(|source| source.activity.first).min();
        let last = || self.coverage.iter().filter_map(|source| source.activity.last).max();
        since.or_else(first).zip(until.or_else(last)).map_or(0..0, |(from, until)| minutes_of(from, until))
    }

    /// What each source of flows covers of `window`, in the order of their names.
    pub fn flow_shares(&self, window: &Range<u32>) -> impl Iterator<Item = Share<'_>> {
        self.of_kind(SourceKind::Flows).map(|source| self.nodes.share(&source.name, &source.activity, window))
    }

    /// Nodes that lived in `window` and that no flow comes from.
    pub fn nodes_without_flows(&self, window: &Range<u32>) -> Vec<&str> {
        self.nodes.without_source(self.of_kind(SourceKind::Flows).map(|source| &*source.name), window)
    }

    /// Minutes of `window` in which any resolver's answers were recorded.
    pub fn dns_minutes(&self, window: &Range<u32>) -> u64 {
        covered_by_any(self.of_kind(SourceKind::Dns).map(|source| &source.activity), window)
    }

    fn of_kind(&self, kind: SourceKind) -> impl Iterator<Item = &SourceCoverage> {
        self.coverage.iter().filter(move |source| source.kind == kind)
    }
}

/// Minutes of `window` in which any of the sources was there.
fn covered_by_any<'a>(sources: impl Iterator<Item = &'a Activity>, window: &Range<u32>) -> u64 {
    let mut stretches: Vec<Range<u32>> = sources.flat_map(Activity::alive).collect();
    stretches.sort_by_key(|stretch| (stretch.start, stretch.end));
    let mut joined: Vec<Range<u32>> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            _ => joined.push(stretch),
        }
    }
    minutes_within(&joined, window)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(minutes: Range<u32>) -> Activity {
        Activity { minutes: minutes.map(|minute| (minute, 1)).collect(), ..Activity::default() }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_nanos(minute * 60_000_000_000)
    }

    #[test]
    fn a_node_answers_for_the_time_in_which_it_lived() {
        let check = |nodes: &[(&str, Timestamp)], spoke: Range<u32>, expected: (u64, u64)| {
            let nodes = Nodes(nodes.iter().map(|(name, joined)| ((*name).into(), *joined)).collect());
            let share = nodes.share("a", &activity(spoke), &(100..200));
            assert_eq!((share.covered, share.expected), expected);
        };
        check(&[], 100..200, (100, 100));
        check(&[], 100..130, (30, 100));
        check(&[("a", Timestamp::UNKNOWN)], 100..130, (30, 100));
        check(&[("a", at(150))], 150..200, (50, 50));
        // Removed since.
        check(&[("b", at(0))], 100..130, (30, 30));
        check(&[("b", at(0))], 0..50, (0, 0));
    }

    #[test]
    fn a_node_without_a_source_is_missed_unless_sources_bear_other_names() {
        let nodes = Nodes([("a".into(), at(0)), ("b".into(), at(50)), ("c".into(), at(300))].into());
        assert_eq!(nodes.without_source(["a"].into_iter(), &(100..200)), ["b"]);
        assert_eq!(nodes.without_source([""].into_iter(), &(100..200)), [""; 0]);
        assert_eq!(nodes.without_source(["a", "b", "gone"].into_iter(), &(100..200)), [""; 0]);
    }

    #[test]
    fn resolvers_stand_in_for_each_other() {
        let sources = [activity(0..50), activity(40..60), activity(80..100)];
        assert_eq!(covered_by_any(sources.iter(), &(0..100)), 80);
    }
}
