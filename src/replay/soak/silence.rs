//! Whether silence means health: feeds that cover the span, workloads that lived through it, destinations that went quiet.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fold::Recorded;
use super::super::resolve::workload_of;
use super::super::tally::{peer_text, wanted};
use super::outcome::{Quiet, Span};
use crate::model::{Activity, Timestamp, Verdict};
use crate::policy::probe::PROBE_NAME;
use crate::summary::minutes_of;

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
            let covered = activity.covered_minutes(&minutes_of(asked.from, asked.until));
            feed.covered_minutes = feed.covered_minutes.max(covered);
        }
        feed
    }
}

/// A feed that covers less proves nothing, in thousandths of the span.
const COVERED_PERMILLE_MIN: u64 = 950;
/// A destination with fewer connections before may be silent by chance.
const QUIET_CONNECTIONS_MIN: u64 = 10;

/// Workload, peer, port.
pub(super) type Use = (String, String, String);

/// What the workloads of a namespace connected to with success.
pub(super) fn uses(recorded: &Recorded, place: &(Box<str>, Box<str>)) -> BTreeMap<Use, u64> {
    let mut uses = BTreeMap::new();
    for edge in recorded.edges.iter().filter(|edge| edge.recorded != Verdict::Denied) {
        let (Some(client), Some(server)) = (recorded.ends.get(edge.client), recorded.ends.get(edge.server)) else {
            continue;
        };
        if !client.is_pod() || (&client.cluster, &client.namespace) != (&place.0, &place.1) {
            continue;
        }
        let name = edge.names.list.first().map(|name| &**name);
        let key = (workload_of(client).to_string(), peer_text(server, name).into(), wanted(edge.port, edge.protocol));
        *uses.entry(key).or_default() += edge.seen.flows;
    }
    uses
}

/// Destinations in regular use before that nobody uses any more.
pub(super) fn quiet(before: &BTreeMap<Use, u64>, after: &BTreeMap<Use, u64>) -> Vec<Quiet> {
    let gone = before.iter().filter(|(key, flows)| **flows >= QUIET_CONNECTIONS_MIN && !after.contains_key(*key));
    gone.map(|((workload, peer, port), flows)| Quiet {
        workload: workload.clone(),
        peer: peer.clone(),
        port: port.clone(),
        connections_before: *flows,
    })
    .collect()
}

/// Workloads that should show some traffic.
pub(super) fn expected(before: &BTreeMap<Use, u64>, baseline: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    let known = before.keys().map(|(workload, _, _)| workload.clone());
    let mut expected: BTreeSet<String> = known.chain(baseline.into_iter().flatten().cloned()).collect();
    expected.retain(|workload| !workload.contains(PROBE_NAME));
    expected
}

/// What decides whether silence proves anything.
pub(super) struct Question<'a> {
    pub(super) asked: Span,
    pub(super) feed: Option<&'a Feed>,
    pub(super) alive: &'a BTreeSet<String>,
    pub(super) expected: &'a BTreeSet<String>,
    pub(super) quiet: &'a [Quiet],
    pub(super) connections: u64,
}

/// Why nothing is proven, one sentence each.
pub(super) fn doubts(question: &Question<'_>) -> Vec<String> {
    let mut doubts = Vec::new();
    let asked = question.asked;
    let minutes = u64::from(asked.until.minute().saturating_sub(asked.from.minute())).max(1);
    match question.feed {
        None | Some(Feed { last: None, .. }) => doubts.push("there are no flows of this cluster".to_owned()),
        Some(feed) if feed.covered_minutes.saturating_mul(1_000) < minutes.saturating_mul(COVERED_PERMILLE_MIN) => {
            let last = feed.last.map(Timestamp::to_second).unwrap_or_default();
            doubts.push(format!(
                "the flows cover {} of the {} asked for; the last one is of {last}",
                hours(feed.covered_minutes),
                hours(minutes)
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
    doubts.extend(question.quiet.iter().map(|quiet| {
        format!(
            "{} fell silent towards {} {}: {} connections in the same span before, none since",
            quiet.workload, quiet.peer, quiet.port, quiet.connections_before
        )
    }));
    doubts
}

fn hours(minutes: u64) -> String {
    format!("{}.{} h", minutes / 60, minutes % 60 / 6)
}
