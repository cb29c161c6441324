//! The columns of `egress.parquet` and `ingress.parquet`, as plain vectors of equal length.
//!
//! In: an [`AtlasView`]. Out: one row for each edge, in the order cluster, namespace, edge. Lists stay lists. Whoever writes
//! the file turns the vectors into its own columns.

use std::collections::BTreeSet;

use super::view::{AtlasView, Judgement};
use crate::model::columns::{EGRESS, INGRESS};
use crate::model::{Bytes, Timestamp, Verdict};
use crate::summary::{Edge, Peer};

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text.
    Text(Vec<String>),
    /// Lists of text.
    Texts(Vec<Vec<String>>),
    /// Ports.
    Port(Vec<u16>),
    /// Counts.
    Count(Vec<u64>),
    /// Counts, `None` when nobody counted.
    Counts(Vec<Option<u64>>),
    /// Numbers between 0 and 1.
    Ratio(Vec<f64>),
    /// Numbers, `None` when unknown.
    Ratios(Vec<Option<f64>>),
    /// Nanoseconds since the Unix epoch, UTC; `None` when unknown.
    Time(Vec<Option<i64>>),
}

impl Column {
    /// How many rows there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Port(values) => values.len(),
            Self::Count(values) => values.len(),
            Self::Counts(values) => values.len(),
            Self::Ratio(values) => values.len(),
            Self::Ratios(values) => values.len(),
            Self::Time(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Named columns in table order.
pub type Columns = Vec<(&'static str, Column)>;

/// One edge with where it belongs.
struct Place<'a> {
    cluster: &'a str,
    namespace: &'a str,
    edge: &'a Edge,
}

/// The columns of `egress.parquet`.
pub fn egress_columns(view: &AtlasView<'_>) -> Columns {
    let judged: Vec<(Place<'_>, &Judgement)> = namespaces(view)
        .flat_map(|(cluster, namespace)| {
            let edges = view.judged_egress(cluster, namespace);
            edges.map(move |(edge, judgement)| (Place { cluster, namespace, edge }, judgement))
        })
        .collect();
    let places: Vec<&Place<'_>> = judged.iter().map(|(place, _)| place).collect();
    let judgement =
        |value: fn(&Judgement) -> String| Column::Text(judged.iter().map(|(_, judgement)| value(judgement)).collect());
    let lists =
        |value: fn(&Edge) -> Vec<String>| Column::Texts(judged.iter().map(|(place, _)| value(place.edge)).collect());
    let mut columns = identity(&places);
    columns.extend([
        judgement(|judgement| judgement.category.to_string()),
        judgement(|judgement| judgement.rule.clone()),
        judgement(|judgement| judgement.label.clone().unwrap_or_default()),
    ]);
    columns.extend(verdicts(&places));
    columns.extend([
        Column::Text(places.iter().map(|place| place.edge.seen.usual_grade().to_string()).collect()),
        Column::Ratio(places.iter().map(|place| place.edge.seen.confidence()).collect()),
    ]);
    columns.extend(times(&places));
    columns.extend(witnesses(&places));
    columns.extend([
        lists(|edge| edge.seen.candidates.keys().map(ToString::to_string).collect()),
        lists(|edge| edge.seen.names.keys().map(ToString::to_string).collect()),
        lists(|edge| edge.seen.chains.iter().map(ToString::to_string).collect()),
        Column::Texts(judged.iter().map(|(_, judgement)| suspect_classes(judgement)).collect()),
        judgement(worst_severity),
        judgement(|judgement| judgement.review.as_str().to_owned()),
    ]);
    let counted = |value: fn(Bytes) -> u64| {
        Column::Counts(places.iter().map(|place| place.edge.seen.behaviour.bytes.map(value)).collect())
    };
    columns.extend([
        counted(|bytes| bytes.sent),
        counted(|bytes| bytes.received),
        counted(|bytes| bytes.packets_sent),
        counted(|bytes| bytes.packets_received),
    ]);
    EGRESS.into_iter().zip(columns).collect()
}

/// The columns of `ingress.parquet`.
pub fn ingress_columns(view: &AtlasView<'_>) -> Columns {
    let mut places = Vec::new();
    for (cluster, seen) in &view.atlas.clusters {
        for (namespace, seen) in &seen.namespaces {
            places.extend(seen.ingress.iter().map(|edge| Place { cluster, namespace, edge }));
        }
    }
    let places: Vec<&Place<'_>> = places.iter().collect();
    let mut columns = identity(&places);
    columns.extend(verdicts(&places));
    columns.extend(times(&places));
    columns.extend(witnesses(&places));
    INGRESS.into_iter().zip(columns).collect()
}

fn namespaces<'a>(view: &AtlasView<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let clusters = view.atlas.clusters.iter();
    clusters.flat_map(|(cluster, seen)| seen.namespaces.keys().map(move |namespace| (&**cluster, &**namespace)))
}

/// From the cluster to the protocol.
fn identity(places: &[&Place<'_>]) -> Vec<Column> {
    let text = |value: fn(&Place<'_>) -> String| Column::Text(places.iter().map(|place| value(place)).collect());
    vec![
        text(|place| place.cluster.to_owned()),
        text(|place| place.namespace.to_owned()),
        text(|place| place.edge.key.workload.kind.0.to_string()),
        text(|place| place.edge.key.workload.name.to_string()),
        text(|place| peer_parts(&place.edge.key.peer).0.to_owned()),
        text(|place| peer_parts(&place.edge.key.peer).1),
        text(|place| peer_parts(&place.edge.key.peer).2),
        text(|place| peer_parts(&place.edge.key.peer).3),
        Column::Port(places.iter().map(|place| place.edge.key.port).collect()),
        text(|place| place.edge.key.protocol.to_string()),
    ]
}

/// All connections, then by verdict.
fn verdicts(places: &[&Place<'_>]) -> Vec<Column> {
    let count = |value: fn(&Edge) -> u64| Column::Count(places.iter().map(|place| value(place.edge)).collect());
    vec![
        count(|edge| edge.seen.connections()),
        count(|edge| edge.seen.with_verdict(Verdict::Allowed)),
        count(|edge| edge.seen.with_verdict(Verdict::Audited)),
        count(|edge| edge.seen.with_verdict(Verdict::Denied)),
        count(|edge| edge.seen.with_verdict(Verdict::Unknown).saturating_add(edge.seen.with_verdict(Verdict::Failed))),
    ]
}

/// First, last, number of days.
fn times(places: &[&Place<'_>]) -> Vec<Column> {
    let known = |time: Option<Timestamp>| time.filter(|time| time.is_known()).map(Timestamp::nanos);
    vec![
        Column::Time(places.iter().map(|place| known(place.edge.seen.first)).collect()),
        Column::Time(places.iter().map(|place| known(place.edge.seen.last)).collect()),
        Column::Count(places.iter().map(|place| super::wording::size(place.edge.seen.days.len())).collect()),
    ]
}

/// Pods and addresses.
fn witnesses(places: &[&Place<'_>]) -> Vec<Column> {
    let list = |value: fn(&Edge) -> Vec<String>| Column::Texts(places.iter().map(|place| value(place.edge)).collect());
    vec![
        list(|edge| edge.seen.pods.iter().map(ToString::to_string).collect()),
        list(|edge| edge.seen.addresses.keys().map(ToString::to_string).collect()),
    ]
}

/// Type, cluster, namespace and name of a peer; empty where it has none. The types are those of `atlas.json`.
fn peer_parts(peer: &Peer) -> (&'static str, String, String, String) {
    let none = String::new;
    match peer {
        Peer::Workload { cluster, namespace, workload } => {
            ("workload", cluster.to_string(), namespace.to_string(), workload.to_string())
        }
        Peer::Service { namespace, name } => ("service", none(), namespace.to_string(), name.to_string()),
        Peer::KubeApiserver => ("kube-apiserver", none(), none(), none()),
        Peer::Node => ("node", none(), none(), none()),
        Peer::Ingress => ("ingress", none(), none(), none()),
        Peer::Name(name) => ("name", none(), none(), name.to_string()),
        Peer::Address(address) => ("address", none(), none(), address.to_string()),
        Peer::Outside => ("outside", none(), none(), none()),
    }
}

fn suspect_classes(judgement: &Judgement) -> Vec<String> {
    let held = judgement.findings.iter().filter(|finding| finding.exempted.is_none());
    held.map(|finding| finding.class.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn worst_severity(judgement: &Judgement) -> String {
    let held = judgement.findings.iter().filter(|finding| finding.exempted.is_none());
    held.map(|finding| finding.severity).max().map(|severity| severity.to_string()).unwrap_or_default()
}
