//! How much can go wrong in a namespace: points, each with its reason.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::json::{ClusterDocument, EdgeDocument, NamespaceDocument, PeerDocument};
use super::super::wording::{count, share, size};
use crate::model::{Category, Grade};

/// What a namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Breaking it hurts nobody's customers.
    Staging,
    /// Everything else, and whatever nobody classified.
    Production,
    /// Of the cluster itself: DNS, the network, storage.
    System,
}

/// Points for one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What.
    pub what: String,
    /// How many points.
    pub points: u64,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespaceRisk {
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// What it is for.
    pub environment: Environment,
    /// Sum of the points.
    pub points: u64,
    /// Where they come from, the most first.
    pub reasons: Vec<Reason>,
    /// What must be decided before its step begins.
    pub blockers: Vec<String>,
}

/// `1 gap in the flows`, `2 gaps in the flows`.
fn counted(number: u64, one: &str, rest: &str) -> String {
    format!("{} {one}{} {rest}", count(number), if number == 1 { "" } else { "s" })
}

/// `most` points at `full` or above, in proportion below.
fn scaled(number: u64, full: u64, most: u64) -> u64 {
    (number.min(full) * most).div_ceil(full.max(1))
}

fn is_outside(edge: &EdgeDocument) -> bool {
    matches!(edge.peer, PeerDocument::Name { .. } | PeerDocument::Address { .. })
}

fn destinations<'a>(edges: impl Iterator<Item = &'a EdgeDocument>) -> u64 {
    let keys: BTreeSet<String> = edges.map(|edge| format!("{:?} {} {}", edge.peer, edge.port, edge.protocol)).collect();
    size(keys.len())
}

/// Weighs a namespace.
pub(super) fn weigh(
    cluster: (&str, &ClusterDocument),
    name: &str,
    namespace: &NamespaceDocument,
    environment: Environment,
) -> NamespaceRisk {
    let mut reasons = Vec::new();
    let mut add = |points: u64, what: String| {
        if points > 0 {
            reasons.push(Reason { what, points });
        }
    };
    let workloads: BTreeSet<_> = namespace
        .egress
        .iter()
        .chain(&namespace.ingress)
        .map(|edge| (&edge.workload.kind, &edge.workload.name))
        .collect();
    let number = size(workloads.len());
    add(scaled(number, 20, 15), counted(number, "workload", "with traffic"));
    let outside: Vec<&EdgeDocument> = namespace.egress.iter().filter(|edge| is_outside(edge)).collect();
    let number = destinations(outside.iter().copied());
    add(scaled(number, 40, 20), counted(number, "destination", "outside the cluster"));
    let connections: u64 = outside.iter().map(|edge| edge.connections).sum();
    let graded = |grade: Grade| outside.iter().filter_map(|edge| edge.grades.get(grade.as_str())).sum::<u64>();
    let ambiguous = graded(Grade::PodAmbiguous);
    let percent = |part: u64| part.saturating_mul(100).checked_div(connections).unwrap_or(0);
    add(
        scaled(percent(ambiguous), 50, 10),
        format!("{} of outside connections have several candidate names", share(ambiguous, connections)),
    );
    let nameless = graded(Grade::None);
    add(
        scaled(percent(nameless), 50, 15),
        format!("{} of outside connections have no name", share(nameless, connections)),
    );
    dependents(name, namespace, &mut add);
    let guessed = namespace.totals.guessed_orientation;
    add(scaled(guessed, 100, 5), counted(guessed, "connection", "whose direction was guessed"));
    let periodic = size(workloads.iter().filter(|(kind, _)| matches!(kind.as_str(), "CronJob" | "Job")).count());
    add(scaled(periodic, 10, 5), counted(periodic, "workload", "with a schedule"));
    let spots = size(namespace.blind_spots.len());
    add(scaled(spots, 5, 10), counted(spots, "workload", "that the baseline knows nothing of"));
    coverage(cluster.1, &mut add);
    reasons.sort_by(|one, two| two.points.cmp(&one.points).then_with(|| one.what.cmp(&two.what)));
    NamespaceRisk {
        cluster: cluster.0.to_owned(),
        namespace: name.to_owned(),
        environment,
        points: reasons.iter().map(|reason| reason.points).sum(),
        reasons,
        blockers: blockers(namespace),
    }
}

/// Who suffers when it breaks.
fn dependents(name: &str, namespace: &NamespaceDocument, add: &mut impl FnMut(u64, String)) {
    let from_outside = namespace.ingress.iter().any(|edge| {
        matches!(
            edge.peer,
            PeerDocument::Outside | PeerDocument::Ingress | PeerDocument::Address { .. } | PeerDocument::Name { .. }
        )
    });
    add(if from_outside { 10 } else { 0 }, "called from outside the cluster".to_owned());
    let callers: BTreeSet<&String> = namespace
        .ingress
        .iter()
        .filter_map(|edge| match &edge.peer {
            PeerDocument::Workload { namespace, .. } if namespace != name => Some(namespace),
            _ => None,
        })
        .collect();
    let number = size(callers.len());
    add(scaled(number, 5, 10), format!("called from {}", counted(number, "other namespace", "")).trim_end().to_owned());
}

/// The share of the window that the flows of the cluster do not cover.
fn coverage(cluster: &ClusterDocument, add: &mut impl FnMut(u64, String)) {
    let flows = || cluster.coverage.iter().filter(|source| source.kind == "flows");
    let lost: u64 = flows().flat_map(|source| source.lost.values()).sum();
    let gaps = size(flows().map(|source| source.gaps.len()).sum());
    add(scaled(gaps, 10, 5), counted(gaps, "gap", "in the flows of the cluster"));
    add(if lost > 0 { 5 } else { 0 }, counted(lost, "event", "reported lost in the cluster"));
}

/// What an owner has to decide first.
fn blockers(namespace: &NamespaceDocument) -> Vec<String> {
    let judged = || {
        namespace
            .egress
            .iter()
            .filter(|edge| is_outside(edge))
            .filter_map(|edge| Some((edge, edge.judgement.as_ref()?)))
    };
    let open = destinations(
        judged()
            .filter(|(_, judgement)| matches!(judgement.review.state.as_str(), "pending" | "expired" | "rejected"))
            .map(|(edge, _)| edge),
    );
    let unclassified = destinations(
        judged().filter(|(_, judgement)| judgement.category == Category::Unclassified).map(|(edge, _)| edge),
    );
    let mut blockers = Vec::new();
    if open > 0 {
        blockers.push(counted(open, "suspect", "without an approval"));
    }
    if unclassified > 0 {
        blockers.push(counted(unclassified, "destination", "that no rule classifies"));
    }
    blockers
}
