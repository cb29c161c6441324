//! What the sources of a cluster could see: the window, each kind's share of it, gaps, losses, quiet sources.
//!
//! In: the coverage of a cluster's sources and the asked window. Out: the facts that the trust header, the index and the
//! terminal summary state.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::Timestamp;
use crate::summary::{Atlas, Cluster, Gap, Nodes, Share, SourceCoverage, SourceKind};

/// What was covered of what was asked.
#[derive(Clone, Debug)]
pub(super) struct Coverage<'a> {
    /// The window's start: as asked, else the first event of any source.
    pub(super) from: Option<Timestamp>,
    /// The window's end: as asked, else the last event of any source.
    pub(super) until: Option<Timestamp>,
    /// Whether both ends were asked for.
    pub(super) asked: bool,
    /// Length of the window in minutes.
    pub(super) window_minutes: u64,
    /// Flows, then DNS.
    pub(super) kinds: [KindCoverage<'a>; 2],
    /// Every gap, in the order of kind, source and time.
    pub(super) gaps: Vec<(&'a SourceCoverage, Gap)>,
    /// Every reported loss: source, place, events.
    pub(super) losses: Vec<(&'a SourceCoverage, &'a str, u64)>,
    /// Days with flow records, as days since the epoch.
    pub(super) days: BTreeSet<u32>,
    /// Whether there was a single source that spoke of time.
    pub(super) timed: bool,
    /// Nodes of the objects that no flow comes from.
    pub(super) silent_nodes: Vec<&'a str>,
}

/// The sources of one kind.
#[derive(Clone, Debug)]
pub(super) struct KindCoverage<'a> {
    /// What they deliver.
    pub(super) kind: SourceKind,
    /// How many they are.
    pub(super) sources: u64,
    /// Records of all of them.
    pub(super) records: u64,
    /// First event of any.
    pub(super) first: Option<Timestamp>,
    /// Last event of any.
    pub(super) last: Option<Timestamp>,
    /// Minutes that are covered: of flows the sum over all sources, of DNS those in which any resolver spoke.
    pub(super) minutes: u64,
    /// Minutes that should be.
    pub(super) expected: u64,
    /// The source that covers least of its share.
    pub(super) least: Option<Share<'a>>,
    /// Sources that speak too seldom for their silence to mean anything: silent in most minutes, without a rhythm, and no gap of them is known.
    pub(super) quiet: u64,
}

/// Measures the coverage of `cluster`.
pub(super) fn coverage<'a>(atlas: &Atlas, cluster: &'a Cluster) -> Coverage<'a> {
    let sources = &cluster.coverage;
    let first = sources.iter().filter_map(|source| source.activity.first).min();
    let last = sources.iter().filter_map(|source| source.activity.last).max();
    let (from, until) = (atlas.since.or(first), atlas.until.or(last));
    let window = cluster.window(atlas.since, atlas.until);
    let kinds = [SourceKind::Flows, SourceKind::Dns].map(|kind| of_kind(kind, cluster, &window));
    let gaps = sources.iter().flat_map(|source| source.activity.gaps().into_iter().map(move |gap| (source, gap)));
    let losses = sources
        .iter()
        .flat_map(|source| source.activity.lost.iter().map(move |(place, events)| (source, &**place, *events)));
    let flows = sources.iter().filter(|source| source.kind == SourceKind::Flows);
    Coverage {
        from,
        until,
        asked: atlas.since.is_some() && atlas.until.is_some(),
        window_minutes: u64::from(window.end - window.start),
        kinds,
        gaps: gaps.collect(),
        losses: losses.collect(),
        days: flows.flat_map(|source| source.activity.minutes.keys().map(|minute| minute / 1_440)).collect(),
        timed: first.is_some(),
        silent_nodes: cluster.nodes_without_flows(&window),
    }
}

fn of_kind<'a>(kind: SourceKind, cluster: &'a Cluster, window: &Range<u32>) -> KindCoverage<'a> {
    let mut all = KindCoverage {
        kind,
        sources: 0,
        records: 0,
        first: None,
        last: None,
        minutes: 0,
        expected: 0,
        least: None,
        quiet: 0,
    };
    for source in cluster.coverage.iter().filter(|source| source.kind == kind) {
        let activity = &source.activity;
        all.sources += 1;
        all.records += activity.records;
        all.first = [all.first, activity.first].into_iter().flatten().min();
        all.last = all.last.max(activity.last);
        let is_sparse = super::wording::size(activity.minutes.len()).saturating_mul(2) < activity.lifetime_minutes();
        // A slow rhythm is one all the same, and where gaps were found they could be told.
        all.quiet += u64::from(is_sparse && !activity.has_rhythm() && activity.gaps().is_empty());
    }
    match kind {
        SourceKind::Flows => {
            for share in cluster.flow_shares(window) {
                all.minutes += share.covered;
                all.expected += share.expected;
            }
            all.least = cluster.flow_shares(window).min_by_key(Share::permille);
        }
        SourceKind::Dns if all.sources > 0 => {
            all.minutes = cluster.dns_minutes(window);
            all.expected = u64::from(window.end - window.start);
            let of_kind = cluster.coverage.iter().filter(|source| source.kind == kind);
            let shares = of_kind.map(|source| Nodes::default().share(&source.name, &source.activity, window));
            all.least = shares.min_by_key(Share::permille);
        }
        SourceKind::Dns => {}
    }
    all
}

impl KindCoverage<'_> {
    /// The share of the window that its sources cover, in words.
    pub(super) fn share(&self) -> String {
        if self.sources == 0 {
            return "no source".to_owned();
        }
        super::wording::share(self.minutes, self.expected)
    }
}

impl Coverage<'_> {
    /// Events that sources say they lost.
    pub(super) fn lost(&self) -> u64 {
        self.losses.iter().map(|(_, _, events)| *events).sum()
    }

    /// Whether some source kind is missing or covers less than 99 % of the window.
    pub(super) fn falls_short(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| kind.sources == 0 || kind.minutes.saturating_mul(100) < kind.expected.saturating_mul(99))
            || !self.silent_nodes.is_empty()
    }
}

/// The source's name in words: the node or resolver, or that the records do not say.
pub(super) fn source_name(name: &str) -> String {
    if name.is_empty() { "(not named)".to_owned() } else { super::escape::code(name) }
}

/// What a source delivers, as a sentence says it.
pub(super) const fn kind_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Flows => "flows",
        SourceKind::Dns => "DNS",
    }
}
