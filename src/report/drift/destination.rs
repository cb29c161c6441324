//! The edges of a document as destinations: one entry for each peer, port and protocol, whatever workloads use it.
//!
//! In: the edges of a namespace. Out: sums by destination. Nothing is compared here.

use std::collections::{BTreeMap, BTreeSet};

use super::super::json::{EdgeDocument, PeerDocument};
use crate::model::{Category, Severity, Timestamp};

/// What makes a destination distinct within a namespace and a direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) peer: String,
    pub(super) port: u16,
    pub(super) protocol: String,
}

/// How a policy could speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Name,
    Address,
    Inside,
}

/// What was seen of a destination.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) form: Form,
    pub(super) workloads: BTreeSet<String>,
    pub(super) category: Option<Category>,
    pub(super) findings: BTreeMap<String, Severity>,
    pub(super) review: Option<String>,
    pub(super) grades: BTreeMap<String, u64>,
    pub(super) verdicts: BTreeMap<String, u64>,
    pub(super) addresses: BTreeSet<String>,
    pub(super) days: BTreeSet<String>,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

impl Destination {
    pub(super) fn connections(&self) -> u64 {
        self.verdicts.values().sum()
    }

    pub(super) fn denied(&self) -> u64 {
        self.verdicts.get("denied").copied().unwrap_or(0)
    }

    /// Grades sort from strong to weak by their place in the contract.
    pub(super) fn evidence(&self) -> Option<String> {
        crate::model::Grade::ALL
            .iter()
            .map(|grade| grade.as_str())
            .find(|word| self.grades.contains_key(*word))
            .map(Into::into)
    }

    fn absorb(&mut self, edge: &EdgeDocument) {
        self.workloads.insert(workload(edge));
        for (sum, counts) in [(&mut self.grades, &edge.grades), (&mut self.verdicts, &edge.verdicts)] {
            for (word, count) in counts {
                *sum.entry(word.clone()).or_default() += count;
            }
        }
        self.addresses.extend(edge.addresses.keys().cloned());
        self.days.extend(edge.days.iter().cloned());
        let time = |text: &Option<String>| text.as_deref().and_then(|text| Timestamp::parse(text.as_bytes()));
        self.first = Timestamp::earliest(self.first, time(&edge.first));
        self.last = self.last.max(time(&edge.last));
        let Some(judgement) = &edge.judgement else { return };
        self.category = self.category.max(Some(judgement.category));
        let open = judgement.findings.iter().filter(|finding| finding.exempted.is_none());
        self.findings.extend(open.map(|finding| (finding.rule.clone(), finding.severity)));
        // `pending` must win over `not needed`, `rejected` over `approved`; no two workloads of a namespace differ otherwise.
        if self.review.as_deref().is_none_or(|state| state == "not needed") {
            self.review = Some(judgement.review.state.clone());
        }
    }
}

/// The workload of an edge in words.
pub(super) fn workload(edge: &EdgeDocument) -> String {
    if edge.workload.kind.is_empty() {
        edge.workload.name.clone()
    } else {
        format!("{}/{}", edge.workload.kind, edge.workload.name)
    }
}

fn peer(peer: &PeerDocument) -> (String, Form) {
    match peer {
        PeerDocument::Workload { cluster, namespace, kind, name } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{cluster}:") };
            (format!("{place}{namespace}/{kind}/{name}"), Form::Inside)
        }
        PeerDocument::Service { namespace, name } => (format!("{namespace}/Service/{name}"), Form::Inside),
        PeerDocument::KubeApiserver => ("Kubernetes API server".to_owned(), Form::Inside),
        PeerDocument::Node => ("cluster nodes".to_owned(), Form::Inside),
        PeerDocument::Ingress => ("ingress gateway".to_owned(), Form::Inside),
        PeerDocument::Outside => ("outside the cluster".to_owned(), Form::Inside),
        PeerDocument::Name { name } => (name.clone(), Form::Name),
        PeerDocument::Address { address } => (address.clone(), Form::Address),
    }
}

/// All destinations of some edges.
pub(super) fn destinations(edges: &[EdgeDocument]) -> BTreeMap<Key, Destination> {
    let mut all = BTreeMap::new();
    for edge in edges {
        let (peer, form) = peer(&edge.peer);
        let key = Key { peer, port: edge.port, protocol: edge.protocol.clone() };
        let empty = || Destination {
            form,
            workloads: BTreeSet::new(),
            category: None,
            findings: BTreeMap::new(),
            review: None,
            grades: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            addresses: BTreeSet::new(),
            days: BTreeSet::new(),
            first: None,
            last: None,
        };
        all.entry(key).or_insert_with(empty).absorb(edge);
    }
    all
}
