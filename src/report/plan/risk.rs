//! How much can go wrong in a namespace: points, each with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::json::{
    BlindSpotDocument, ClusterDocument, EdgeDocument, NamespaceDocument, PeerDocument, WorkloadName,
};
use super::super::wording::{count, counted, share, size};
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
    /// Other namespaces that call it.
    pub called_by: Vec<String>,
    /// Whether anybody outside the cluster calls it.
    pub called_from_outside: bool,
    /// Who answered for its destinations.
    pub owners: Vec<String>,
    /// What its baseline cannot know, one sentence each.
    pub unknown: Vec<String>,
}

/// What a replay of the baseline makes of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Connections that pass for certain.
    pub passed: u64,
    /// Connections that would break.
    pub would_break: u64,
    /// Connections that cannot be told.
    pub undecidable: u64,
}

impl Judged {
    /// All of them.
    pub const fn all(self) -> u64 {
        self.passed.saturating_add(self.would_break).saturating_add(self.undecidable)
    }
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

/// Weighs a namespace; `judged` is what a replay makes of it, where policies were given.
pub(super) fn weigh(
    cluster: (&str, &ClusterDocument),
    (name, namespace): (&str, &NamespaceDocument),
    environment: Environment,
    judged: Option<Judged>,
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
    add(scaled(number, 20, 15), format!("{} with traffic", counted(number, "workload")));
    let outside: Vec<&EdgeDocument> = namespace.egress.iter().filter(|edge| is_outside(edge)).collect();
    let number = destinations(outside.iter().copied());
    add(scaled(number, 40, 20), format!("{} outside the cluster", counted(number, "destination")));
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
    if let Some(judged) = judged {
        let percent = judged.undecidable.saturating_mul(100).checked_div(judged.all()).unwrap_or(0);
        let part = share(judged.undecidable, judged.all());
        add(scaled(percent, 50, 10), format!("{part} of its connections cannot be told by a replay"));
    }
    let dependents = dependents(name, namespace);
    let from_outside = called_from_outside(namespace);
    add(if from_outside { 10 } else { 0 }, "called from outside the cluster".to_owned());
    let number = size(dependents.len());
    add(scaled(number, 5, 10), format!("called from {}", counted(number, "other namespace")));
    let guessed = namespace.totals.guessed_orientation;
    add(scaled(guessed, 100, 5), format!("{} whose direction was guessed", counted(guessed, "connection")));
    let periodic = size(workloads.iter().filter(|(kind, _)| matches!(kind.as_str(), "CronJob" | "Job")).count());
    add(scaled(periodic, 10, 5), format!("{} by schedule", counted(periodic, "workload")));
    let spots = size(namespace.blind_spots.len());
    add(scaled(spots, 5, 10), format!("{} that the baseline knows nothing of", counted(spots, "workload")));
    coverage(cluster.1, &mut add);
    reasons.sort_by(|one, two| two.points.cmp(&one.points).then_with(|| one.what.cmp(&two.what)));
    NamespaceRisk {
        cluster: cluster.0.to_owned(),
        namespace: name.to_owned(),
        environment,
        points: reasons.iter().map(|reason| reason.points).sum(),
        reasons,
        blockers: blockers(namespace, judged),
        called_by: dependents.into_iter().cloned().collect(),
        called_from_outside: from_outside,
        owners: owners(namespace).into_iter().cloned().collect(),
        unknown: namespace.blind_spots.iter().map(unknown).chain(seen_once(cluster.1, namespace)).collect(),
    }
}

/// Destinations of one day among several: peers for failures, or jobs with a longer period.
fn seen_once(cluster: &ClusterDocument, namespace: &NamespaceDocument) -> Option<String> {
    let covered = days_with_traffic(cluster);
    let mut days: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for edge in namespace.egress.iter().filter(|edge| is_outside(edge)) {
        let name = match &edge.peer {
            PeerDocument::Name { name } => name.clone(),
            PeerDocument::Address { address } => address.clone(),
            _ => continue,
        };
        let port = if edge.port == 0 { edge.protocol.clone() } else { format!("{}/{}", edge.port, edge.protocol) };
        days.entry(format!("{name} {port}")).or_default().extend(&edge.days);
    }
    let once: Vec<&String> = days.iter().filter(|(_, days)| days.len() == 1).map(|(name, _)| name).collect();
    let first = once.first().filter(|_| covered.len() >= 2)?;
    let more = if once.len() > 1 { ", ..." } else { "" };
    Some(format!(
        "{} outside seen on one of {} days alone ({first}{more}): a peer for failures, or a job with a longer period",
        counted(size(once.len()), "destination"),
        covered.len()
    ))
}

fn days_with_traffic(cluster: &ClusterDocument) -> BTreeSet<&String> {
    let namespaces = cluster.namespaces.values();
    namespaces
        .flat_map(|namespace| namespace.egress.iter().chain(&namespace.ingress))
        .flat_map(|edge| &edge.days)
        .collect()
}

fn unknown(spot: &BlindSpotDocument) -> String {
    let WorkloadName { kind, name } = &spot.workload;
    let run = spot.run.as_deref().and_then(|run| run.get(..16)).map(|run| run.replace('T', " "));
    let why = match (spot.reason.as_str(), run) {
        ("not-due", Some(run)) => format!("its schedule did not come round; next run {run} UTC"),
        ("not-due", None) => "its schedule did not come round".to_owned(),
        ("due-and-never-seen", Some(run)) => format!("was due {run} UTC and was not seen"),
        ("scaled-to-zero", _) => "scaled to zero".to_owned(),
        ("host-network", _) => "on the host network, where no policy for pods governs it".to_owned(),
        (reason, _) => reason.replace('-', " "),
    };
    format!("{kind}/{name}: {why}")
}

/// Owners of reviews.
fn owners(namespace: &NamespaceDocument) -> BTreeSet<&String> {
    namespace.egress.iter().filter_map(|edge| edge.judgement.as_ref()?.review.owner.as_ref()).collect()
}

fn called_from_outside(namespace: &NamespaceDocument) -> bool {
    namespace.ingress.iter().any(|edge| {
        matches!(
            edge.peer,
            PeerDocument::Outside | PeerDocument::Ingress | PeerDocument::Address { .. } | PeerDocument::Name { .. }
        )
    })
}

/// Who suffers when it breaks: namespaces that call it.
fn dependents<'a>(name: &str, namespace: &'a NamespaceDocument) -> BTreeSet<&'a String> {
    let caller = |edge: &'a EdgeDocument| match &edge.peer {
        PeerDocument::Workload { namespace, .. } if namespace != name => Some(namespace),
        _ => None,
    };
    namespace.ingress.iter().filter_map(caller).collect()
}

/// The share of the window that the flows of the cluster do not cover.
fn coverage(cluster: &ClusterDocument, add: &mut impl FnMut(u64, String)) {
    let flows = || cluster.coverage.iter().filter(|source| source.kind == "flows");
    let lost: u64 = flows().flat_map(|source| source.lost.values()).sum();
    let gaps = size(flows().map(|source| source.gaps.len()).sum());
    add(scaled(gaps, 10, 5), format!("{} in the flows of the cluster", counted(gaps, "gap")));
    add(if lost > 0 { 5 } else { 0 }, format!("{} events reported lost in the cluster", count(lost)));
    let days = days_with_traffic(cluster);
    let missing = WEEK.saturating_sub(size(days.len()));
    add(scaled(missing, WEEK, 10), format!("{} of {WEEK} days have traffic in the baseline", count(size(days.len()))));
}

/// Days that a baseline should have, so that each weekday is in it.
const WEEK: u64 = 7;

/// What an owner has to decide first.
fn blockers(namespace: &NamespaceDocument, replayed: Option<Judged>) -> Vec<String> {
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
    if let Some(breaks) = replayed.map(|replayed| replayed.would_break).filter(|breaks| *breaks > 0) {
        blockers.push(format!("{} of the baseline would break", counted(breaks, "connection")));
    }
    if open > 0 {
        blockers.push(format!("{} without an approval", counted(open, "suspect")));
    }
    if unclassified > 0 {
        blockers.push(format!("{} that no rule classifies", counted(unclassified, "destination")));
    }
    blockers
}
