//! From the view to the fields of `atlas.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::path::document_path;
use super::super::view::{AtlasView, FindingView, Judgement, ReviewView};
use super::schema::{
    ATLAS_SCHEMA, AskedDocument, AtlasDocument, BlindSpotDocument, ClusterDocument, EdgeDocument, FindingDocument,
    Input, JudgementDocument, NamespaceDocument, PeerDocument, RejectedRecords, ReviewDocument, Source, TotalsDocument,
    Window, WorkloadDocument, WorkloadFindingDocument, WorkloadName,
};
use crate::model::{Timestamp, Workload};
use crate::summary::{
    BlindSpot, Blindness, Cluster, Edge, InputAccount, Namespace, Nodes, Peer, SourceCoverage, SourceKind, Totals,
};

/// Renders `atlas.json`, ended by one newline.
///
/// # Errors
///
/// Only if memory for the text cannot be had; the form itself always serialises.
pub fn atlas_json(view: &AtlasView<'_>) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&atlas_document(view))?;
    text.push('\n');
    Ok(text)
}

/// The fields of `atlas.json` for a view.
pub fn atlas_document(view: &AtlasView<'_>) -> AtlasDocument {
    AtlasDocument {
        schema: ATLAS_SCHEMA.to_owned(),
        window: window(view.atlas.since, view.atlas.until),
        inputs: view.atlas.inputs.iter().map(input).collect(),
        warnings: texts(&view.atlas.warnings),
        clusters: view
            .atlas
            .clusters
            .iter()
            .map(|(name, cluster)| (name.to_string(), cluster_document(view, name, cluster)))
            .collect(),
    }
}

pub(in crate::report) fn rfc3339(time: Option<Timestamp>) -> Option<String> {
    time.filter(|time| time.is_known()).map(|time| time.to_string())
}

fn window(since: Option<Timestamp>, until: Option<Timestamp>) -> Window {
    Window { since: rfc3339(since), until: rfc3339(until) }
}

fn texts(texts: &BTreeSet<Box<str>>) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Counts by the text of their keys; keys with the same text add up.
pub(in crate::report) fn counts<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key.to_string()).or_default() += count;
    }
    sums
}

fn input(input: &InputAccount) -> Input {
    let account = &input.account;
    Input {
        name: input.name.to_string(),
        format: input.format.to_owned(),
        read: account.read,
        used: account.used,
        rejected: account
            .rejected
            .iter()
            .map(|(reason, count)| {
                (reason.0.to_owned(), RejectedRecords { records: count.records, first: count.first.to_string() })
            })
            .collect(),
        excluded: account.excluded.iter().map(|(reason, records)| (reason.0.to_owned(), *records)).collect(),
        notes: counts(&account.notes),
        problem: input.problem.as_ref().map(ToString::to_string),
    }
}

fn cluster_document(view: &AtlasView<'_>, name: &str, cluster: &Cluster) -> ClusterDocument {
    let namespaces = cluster.namespaces.iter();
    let asked = cluster.window(view.atlas.since, view.atlas.until);
    ClusterDocument {
        coverage: cluster.coverage.iter().map(|source| source_document(cluster, source, &asked)).collect(),
        nodes_without_flows: cluster.nodes_without_flows(&asked).into_iter().map(str::to_owned).collect(),
        clock_notes: view.clock_notes.get(name).cloned().unwrap_or_default(),
        totals: totals(&cluster.totals),
        namespaces: namespaces
            .map(|(namespace, seen)| (namespace.to_string(), namespace_fields(view, name, namespace, seen)))
            .collect(),
    }
}

pub(in crate::report) fn source_document(cluster: &Cluster, source: &SourceCoverage, asked: &Range<u32>) -> Source {
    let activity = &source.activity;
    let share = match source.kind {
        SourceKind::Flows => cluster.nodes.share(&source.name, activity, asked),
        SourceKind::Dns => Nodes::default().share(&source.name, activity, asked),
    };
    Source {
        kind: source.kind.as_str().to_owned(),
        name: source.name.to_string(),
        records: activity.records,
        first: rfc3339(activity.first),
        last: rfc3339(activity.last),
        covered_minutes: share.covered,
        expected_minutes: share.expected,
        gaps: activity.gaps().iter().map(|gap| window(Some(gap.from), Some(gap.until))).collect(),
        lost: counts(&activity.lost),
    }
}

fn totals(totals: &Totals) -> TotalsDocument {
    TotalsDocument {
        egress_connections: totals.egress_connections,
        external_grades: counts(&totals.external_grades),
        guessed_orientation: totals.guessed_orientation,
        answers: totals.answers,
        answers_to_nodes: totals.answers_to_nodes,
    }
}

fn namespace_fields(view: &AtlasView<'_>, cluster: &str, name: &str, namespace: &Namespace) -> NamespaceDocument {
    NamespaceDocument {
        document: document_path(view.atlas.clusters.len(), cluster, name),
        totals: totals(&namespace.totals),
        workloads: namespace
            .workloads
            .iter()
            .map(|(workload, seen)| WorkloadDocument {
                workload: workload_name(workload),
                guessed: seen.guessed,
                pods: texts(&seen.pods),
                labels: seen.labels.as_ref().map(texts),
                first: rfc3339(seen.first),
                last: rfc3339(seen.last),
            })
            .collect(),
        egress: view
            .judged_egress(cluster, name)
            .map(|(edge, judgement)| edge_document(edge, Some(judgement)))
            .collect(),
        ingress: namespace.ingress.iter().map(|edge| edge_document(edge, None)).collect(),
        asked_only: namespace
            .asked_only
            .iter()
            .map(|(name, asked)| AskedDocument {
                name: name.to_string(),
                answers: asked.answers,
                workloads: asked.workloads.iter().map(workload_name).collect(),
                first: rfc3339(asked.first),
                last: rfc3339(asked.last),
            })
            .collect(),
        blind_spots: namespace.blind_spots.iter().map(blind_spot).collect(),
        workload_findings: view
            .workload_findings(cluster, name)
            .iter()
            .map(|found| WorkloadFindingDocument {
                workload: workload_name(&found.workload),
                subject: Some(found.subject.clone()).filter(|subject| !subject.is_empty()),
                finding: finding_document(&found.finding),
                review: review_document(&found.review),
            })
            .collect(),
    }
}

fn blind_spot(spot: &BlindSpot) -> BlindSpotDocument {
    let (reason, schedule, run) = match &spot.blindness {
        Blindness::NeverSeen => ("never-seen", None, None),
        Blindness::ScaledToZero => ("scaled-to-zero", None, None),
        Blindness::Suspended => ("suspended", None, None),
        Blindness::HostNetwork => ("host-network", None, None),
        Blindness::NotDue { schedule, next } => ("not-due", Some(schedule), *next),
        Blindness::DueAndNeverSeen { schedule, due } => ("due-and-never-seen", Some(schedule), Some(*due)),
    };
    BlindSpotDocument {
        workload: workload_name(&spot.workload),
        reason: reason.to_owned(),
        schedule: schedule.map(ToString::to_string),
        run: rfc3339(run),
    }
}

pub(in crate::report) fn workload_name(workload: &Workload) -> WorkloadName {
    WorkloadName { kind: workload.kind.0.to_string(), name: workload.name.to_string() }
}

pub(in crate::report) fn peer_document(peer: &Peer) -> PeerDocument {
    match peer {
        Peer::Workload { cluster, namespace, workload } => PeerDocument::Workload {
            cluster: cluster.to_string(),
            namespace: namespace.to_string(),
            kind: workload.kind.0.to_string(),
            name: workload.name.to_string(),
        },
        Peer::Service { namespace, name } => {
            PeerDocument::Service { namespace: namespace.to_string(), name: name.to_string() }
        }
        Peer::KubeApiserver => PeerDocument::KubeApiserver,
        Peer::Node => PeerDocument::Node,
        Peer::Ingress => PeerDocument::Ingress,
        Peer::Name(name) => PeerDocument::Name { name: name.to_string() },
        Peer::Address(address) => PeerDocument::Address { address: address.to_string() },
        Peer::Outside => PeerDocument::Outside,
    }
}

pub(in crate::report) fn edge_document(edge: &Edge, judgement: Option<&Judgement>) -> EdgeDocument {
    let seen = &edge.seen;
    let mut verdicts = BTreeMap::new();
    for (verdict, connections) in &seen.verdicts {
        *verdicts.entry(verdict.as_str().to_owned()).or_default() += connections;
    }
    EdgeDocument {
        workload: workload_name(&edge.key.workload),
        peer: peer_document(&edge.key.peer),
        port: edge.key.port,
        protocol: edge.key.protocol.to_string(),
        connections: seen.connections(),
        verdicts,
        grades: counts(&seen.grades),
        confidence: (seen.confidence() * 1_000.0).round() / 1_000.0,
        first: rfc3339(seen.first),
        last: rfc3339(seen.last),
        days: seen.days.iter().map(|day| date(*day)).collect(),
        addresses: counts(&seen.addresses),
        pods: texts(&seen.pods),
        candidates: counts(&seen.candidates),
        names: counts(&seen.names),
        chains: texts(&seen.chains),
        bytes: seen.behaviour.bytes.map(Into::into),
        judgement: judgement.map(judgement_document),
    }
}

fn date(day: u32) -> String {
    Timestamp::from_nanos(i64::from(day).saturating_mul(86_400_000_000_000)).date()
}

fn judgement_document(judgement: &Judgement) -> JudgementDocument {
    JudgementDocument {
        category: judgement.category,
        rule: judgement.rule.clone(),
        label: judgement.label.clone(),
        findings: judgement.findings.iter().map(finding_document).collect(),
        review: review_document(&judgement.review),
    }
}

fn finding_document(finding: &FindingView) -> FindingDocument {
    FindingDocument {
        rule: finding.rule.clone(),
        class: finding.class.clone(),
        severity: finding.severity,
        confidence: finding.confidence,
        matched: finding.matched.clone(),
        why: finding.why.clone(),
        false_positive: finding.false_positive.clone(),
        attack: finding.attack.clone(),
        advice: finding.advice.clone(),
        exempted: finding.exempted.clone(),
    }
}

fn review_document(review: &ReviewView) -> ReviewDocument {
    let state = review.as_str().to_owned();
    match review {
        ReviewView::Pending | ReviewView::NotNeeded => {
            ReviewDocument { state, owner: None, reason: None, expires: None }
        }
        ReviewView::Approved { owner, reason, expires }
        | ReviewView::Rejected { owner, reason, expires }
        | ReviewView::Expired { owner, reason, expires } => {
            ReviewDocument { state, owner: Some(owner.clone()), reason: Some(reason.clone()), expires: expires.clone() }
        }
    }
}
