//! What the evidence of a cluster could have shown: its window, how much of it the flows and the answers cover.
//!
//! In: the coverage of a cluster in a document. Out: spans and shares, and why something unseen is not proven to be gone.

use super::super::json::{ClusterDocument, Window};
use super::super::wording::{count, span};
use crate::model::Timestamp;
use crate::summary::Share;

/// Flows that cover less of their window than this cannot prove that something is gone.
const COVERED_PERMILLE_MIN: u64 = 950;

/// What one kind of source covers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) sources: u64,
    /// Share of their window that is covered, in thousandths: of the node that covers least, of the resolver that covers most.
    pub(super) permille: u64,
    pub(super) lost: u64,
}

/// What a cluster's evidence could have shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) flows: Kind,
    pub(super) dns: Kind,
    /// Nodes that no flow comes from.
    pub(super) silent_nodes: usize,
}

fn parsed(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(text?.as_bytes())
}

impl Reach {
    /// Measures a cluster of a document; `asked` is the document's window.
    pub(super) fn of(cluster: &ClusterDocument, asked: &Window) -> Self {
        let mut reach = Self { silent_nodes: cluster.nodes_without_flows.len(), ..Self::default() };
        for source in &cluster.coverage {
            let is_flows = source.kind == "flows";
            let kind = if is_flows { &mut reach.flows } else { &mut reach.dns };
            let share =
                Share { name: "", covered: source.covered_minutes, expected: source.expected_minutes }.permille();
            kind.permille = match kind.sources {
                0 => share,
                _ if is_flows => kind.permille.min(share),
                _ => kind.permille.max(share),
            };
            kind.sources += 1;
            kind.lost += source.lost.values().sum::<u64>();
            if is_flows {
                reach.from = Timestamp::earliest(reach.from, parsed(source.first.as_deref()));
                reach.until = reach.until.max(parsed(source.last.as_deref()));
            }
        }
        reach.from = parsed(asked.since.as_deref()).or(reach.from);
        reach.until = parsed(asked.until.as_deref()).or(reach.until);
        reach
    }

    /// Length of the window in minutes.
    pub(super) fn minutes(&self) -> u64 {
        match (self.from, self.until) {
            (Some(from), Some(until)) => u64::from(until.minute().saturating_sub(from.minute())).max(1),
            _ => 0,
        }
    }

    /// Why this evidence cannot show that a destination is gone which the baseline saw on `days` days; `None` when it can.
    ///
    /// It must cover its window, and reach over twice the usual distance between two days with traffic, or as long as the baseline.
    pub(super) fn cannot_miss(&self, baseline: &Self, days: u64) -> Option<String> {
        if self.flows.sources == 0 {
            return Some("no flows of this cluster in the current evidence".to_owned());
        }
        if self.flows.sources < baseline.flows.sources {
            return Some(format!(
                "flows come from {} sources, in the baseline from {}: what the others saw is not known",
                count(self.flows.sources),
                count(baseline.flows.sources)
            ));
        }
        let share = self.flows.permille;
        if share < COVERED_PERMILLE_MIN {
            let least = if self.flows.sources > 1 { " of the node that covers least" } else { "" };
            return Some(format!("the current flows{least} cover {}.{} % of their window", share / 10, share % 10));
        }
        if self.silent_nodes > 0 {
            return Some(format!(
                "the current flows lack {} of the nodes",
                count(super::super::wording::size(self.silent_nodes))
            ));
        }
        let usual = baseline.minutes().checked_div(days.max(1)).unwrap_or(0).max(1_440);
        let needed = baseline.minutes().min(usual.saturating_mul(2));
        // Ends of windows are cut by the hour in practice; a twentieth less is no reason to doubt.
        if self.minutes().saturating_mul(20) < needed.saturating_mul(19) {
            return Some(format!(
                "the baseline saw it on {} of {}, so {} of flows are needed, and there are {}",
                count(days),
                span(baseline.minutes()),
                span(needed),
                span(self.minutes())
            ));
        }
        None
    }
}

impl Reach {
    /// Why this evidence cannot show that a *name* is gone, though connections are recorded; `None` when it can.
    ///
    /// Without its answers the same destination appears by its address, or under another name.
    pub(super) fn cannot_name(&self, baseline: &Self) -> Option<String> {
        let (was, is) = (baseline.dns.permille, self.dns.permille);
        if baseline.dns.sources == 0
            || (self.dns.sources >= baseline.dns.sources && is >= COVERED_PERMILLE_MIN.min(was))
        {
            return None;
        }
        Some(match self.dns.sources {
            0 => "no DNS answers in the current evidence: it may be in use under its address".to_owned(),
            sources if sources < baseline.dns.sources => {
                format!(
                    "answers come from {} DNS sources, in the baseline from {}",
                    count(sources),
                    count(baseline.dns.sources)
                )
            }
            _ => format!("the current DNS answers cover {}.{} % of their window", is / 10, is % 10),
        })
    }
}

/// How the evidence of a cluster is worse than that of the baseline, one sentence each.
pub(super) fn differences(baseline: &Reach, current: &Reach) -> Vec<String> {
    let mut found = Vec::new();
    if current.flows.sources == 0 {
        found.push("no flows in the current evidence: the feed is dead or was not given".to_owned());
        return found;
    }
    for (word, kind_of) in [("flows", (|reach| reach.flows) as fn(&Reach) -> Kind), ("DNS", |reach| reach.dns)] {
        let (before, now) = (kind_of(baseline), kind_of(current));
        if before.sources > 0 && now.sources == 0 {
            found.push(format!("no {word} source any more: destinations cannot be compared by name"));
            continue;
        }
        if now.sources < before.sources {
            let (is, was) = (count(now.sources), count(before.sources));
            found.push(format!("{word} come from {is} sources, in the baseline from {was}"));
        }
        let (was, is) = (before.permille, now.permille);
        if now.sources > 0 && is < COVERED_PERMILLE_MIN && is < was {
            found.push(format!(
                "{word} cover {}.{} % of the window, in the baseline {}.{} %",
                is / 10,
                is % 10,
                was / 10,
                was % 10
            ));
        }
        if now.lost > before.lost {
            found.push(format!(
                "{} lost events reported by {word} sources, in the baseline {}",
                count(now.lost),
                count(before.lost)
            ));
        }
    }
    found
}
