//! Every finding of a view, one after the other, with what it is about: what exports are made of.
//!
//! In: a view. Out: findings in the order cluster, namespace, destination; those of workloads as a whole after those of their namespace's
//! destinations. Nothing is decided here.

use super::path::document_path;
use super::view::{AtlasView, FindingView, ReviewView};
use crate::model::{Timestamp, Workload, stable_hash};
use crate::summary::{Edge, Peer};

/// One finding with what it is about.
pub(super) struct Listed<'a> {
    pub(super) cluster: &'a str,
    pub(super) namespace: &'a str,
    pub(super) workload: &'a Workload,
    /// The destination; `None` for findings about the workload as a whole.
    pub(super) edge: Option<&'a Edge>,
    /// Name, address, or what else the finding is about; empty for the workload alone.
    pub(super) subject: String,
    pub(super) finding: &'a FindingView,
    pub(super) review: &'a ReviewView,
    /// Path of the document that tells of it.
    pub(super) document: String,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

impl Listed<'_> {
    /// Whether somebody answers for it: an exemption, or an approval.
    pub(super) fn answered(&self) -> Option<String> {
        match (&self.finding.exempted, self.review) {
            (Some(by), _) => Some(by.clone()),
            (None, ReviewView::Approved { owner, reason, .. }) => Some(format!("approved by {owner}: {reason}")),
            _ => None,
        }
    }

    /// The same for the same finding in every run: rule, workload and destination, and nothing measured.
    pub(super) fn fingerprint(&self) -> String {
        let port = self.edge.map_or_else(String::new, |edge| format!("{}/{}", edge.key.port, edge.key.protocol));
        let Self { cluster, namespace, workload, subject, finding, .. } = self;
        let text = [&finding.rule, *cluster, *namespace, &workload.to_string(), subject, &port].join("\n");
        format!("{:016x}", stable_hash(&text))
    }

    /// One sentence.
    pub(super) fn message(&self) -> String {
        let place = format!("{}/{}", self.namespace, self.workload);
        let about = match self.edge {
            Some(edge) => format!(" to {} on {}/{}", self.subject, edge.key.port, edge.key.protocol),
            None if self.subject.is_empty() => String::new(),
            None => format!(" and {}", self.subject),
        };
        format!("{} of {place}{about}: {} ({})", self.finding.class, self.finding.why, self.finding.matched)
    }
}

/// All findings of a view.
pub(super) fn all<'a>(view: &'a AtlasView<'a>) -> Vec<Listed<'a>> {
    let mut listed = Vec::new();
    for (cluster, content) in &view.atlas.clusters {
        for (namespace, seen) in &content.namespaces {
            let document = document_path(view.atlas.clusters.len(), cluster, namespace);
            for (edge, judgement) in view.judged_egress(cluster, namespace) {
                let subject = match &edge.key.peer {
                    Peer::Name(name) => name.to_string(),
                    Peer::Address(address) => address.to_string(),
                    peer => super::peer::plain(peer),
                };
                listed.extend(judgement.findings.iter().map(|finding| Listed {
                    cluster,
                    namespace,
                    workload: &edge.key.workload,
                    edge: Some(edge),
                    subject: subject.clone(),
                    finding,
                    review: &judgement.review,
                    document: document.clone(),
                    first: edge.seen.first,
                    last: edge.seen.last,
                }));
            }
            listed.extend(view.workload_findings(cluster, namespace).iter().map(|found| {
                let known = seen.workloads.get(&found.workload);
                Listed {
                    cluster,
                    namespace,
                    workload: &found.workload,
                    edge: None,
                    subject: found.subject.clone(),
                    finding: &found.finding,
                    review: &found.review,
                    document: document.clone(),
                    first: known.and_then(|known| known.first),
                    last: known.and_then(|known| known.last),
                }
            }));
        }
    }
    listed
}
