//! The baseline's machine form, read back as what drafts are made from.
//!
//! In: an [`AtlasDocument`]. Out: one [`Baseline`] for each cluster, and why its coverage proves nothing, if so. Values that nobody could have
//! written (an unknown grade, a port without a protocol) count as unknown, never as evidence.

use std::collections::BTreeMap;

use crate::model::{Grade, Protocol, SourceKind, Workload, WorkloadKind};
use crate::policy::draft::{Baseline, SeenEdge, SeenFinding, SeenJudgement, SeenNamespace, SeenReview, SeenWorkload};
use crate::report::{
    AtlasDocument, ClusterDocument, EdgeDocument, JudgementDocument, NamespaceDocument, PeerDocument, WorkloadDocument,
    WorkloadName,
};
use crate::summary::{Peer, Share};

/// The baselines of all clusters, by name.
pub fn baselines(document: &AtlasDocument) -> Vec<Baseline> {
    document.clusters.iter().map(|(name, cluster)| baseline(name, cluster)).collect()
}

/// Why the baseline does not prove what it covers; nothing when it does.
pub fn unproven(document: &AtlasDocument) -> Vec<String> {
    let mut found: Vec<String> = document
        .inputs
        .iter()
        .filter_map(|input| {
            input.problem.as_ref().map(|problem| format!("input `{}` broke off: {problem}", input.name))
        })
        .collect();
    let is_asked = document.window.since.is_some() && document.window.until.is_some();
    if document.clusters.values().all(|cluster| cluster.totals.egress_connections == 0) {
        found.push("it holds no connection".to_owned());
    }
    for (name, cluster) in &document.clusters {
        let flows = cluster.coverage.iter().filter(|source| source.kind == SourceKind::Flows.as_str());
        let shares = flows.map(|source| Share {
            name: &source.name,
            covered: source.covered_minutes,
            expected: source.expected_minutes,
        });
        // The same share as `preflight` asks for.
        if let Some(least) = shares.min_by_key(Share::permille).filter(|least| is_asked && least.permille() < 950) {
            let of = if least.name.is_empty() { String::new() } else { format!(" of `{}`", least.name) };
            let Share { covered, expected, .. } = least;
            found.push(format!("cluster `{name}`: flows{of} cover {covered} of {expected} minutes asked for"));
        }
        if !cluster.nodes_without_flows.is_empty() {
            found.push(format!("cluster `{name}`: no flows of {}", cluster.nodes_without_flows.join(", ")));
        }
    }
    found
}

fn baseline(name: &str, cluster: &ClusterDocument) -> Baseline {
    Baseline {
        cluster: name.to_owned(),
        namespaces: cluster.namespaces.iter().map(|(name, seen)| (name.clone(), namespace(seen))).collect(),
    }
}

fn namespace(seen: &NamespaceDocument) -> SeenNamespace {
    SeenNamespace {
        workloads: seen.workloads.iter().map(seen_workload).collect(),
        egress: seen.egress.iter().map(edge).collect(),
        ingress: seen.ingress.iter().map(edge).collect(),
    }
}

fn seen_workload(seen: &WorkloadDocument) -> SeenWorkload {
    let labels = seen.labels.as_ref().map(|labels| {
        let pairs = labels.iter().map(|label| label.split_once('=').unwrap_or((label, "")));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    });
    SeenWorkload { workload: workload(&seen.workload), pods: seen.pods.clone(), labels }
}

fn workload(name: &WorkloadName) -> Workload {
    Workload { kind: WorkloadKind(name.kind.as_str().into()), name: name.name.as_str().into() }
}

fn peer(peer: &PeerDocument) -> Peer {
    match peer {
        PeerDocument::Workload { cluster, namespace, kind, name } => Peer::Workload {
            cluster: cluster.as_str().into(),
            namespace: namespace.as_str().into(),
            workload: Workload { kind: WorkloadKind(kind.as_str().into()), name: name.as_str().into() },
        },
        PeerDocument::Service { namespace, name } => {
            Peer::Service { namespace: namespace.as_str().into(), name: name.as_str().into() }
        }
        PeerDocument::KubeApiserver => Peer::KubeApiserver,
        PeerDocument::Node => Peer::Node,
        PeerDocument::Ingress => Peer::Ingress,
        PeerDocument::Name { name } => Peer::Name(name.as_str().into()),
        PeerDocument::Address { address } => {
            // An address that does not parse is a name that no rule can hold: it stays visible and stays out.
            address.parse().map_or_else(|_| Peer::Name(address.as_str().into()), Peer::Address)
        }
        PeerDocument::Outside => Peer::Outside,
    }
}

fn protocol(text: &str) -> Protocol {
    let known = [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::SCTP,
        Protocol::ICMPV4,
        Protocol::ICMPV6,
        Protocol::IGMP,
        Protocol::VRRP,
    ];
    let number = || text.strip_prefix("protocol-").and_then(|number| number.parse().ok()).map(Protocol);
    known.into_iter().find(|known| known.to_string() == text).or_else(number).unwrap_or(Protocol::UNKNOWN)
}

fn edge(edge: &EdgeDocument) -> SeenEdge {
    let verdict = |word: &str| edge.verdicts.get(word).copied().unwrap_or(0);
    let mut grades: BTreeMap<Grade, u64> = BTreeMap::new();
    for (word, count) in &edge.grades {
        let grade = Grade::ALL.into_iter().find(|grade| grade.as_str() == word).unwrap_or(Grade::None);
        *grades.entry(grade).or_default() += count;
    }
    SeenEdge {
        workload: workload(&edge.workload),
        peer: peer(&edge.peer),
        port: edge.port,
        protocol: protocol(&edge.protocol),
        connections: edge.connections,
        denied: verdict("denied"),
        audited: verdict("audited"),
        grades,
        confidence: (0..=1_000_u16).rfind(|step| f64::from(*step) <= edge.confidence * 1_000.0 + 0.5).unwrap_or(0),
        first: edge.first.clone(),
        last: edge.last.clone(),
        days: edge.days.clone(),
        addresses: edge
            .addresses
            .iter()
            .filter_map(|(address, count)| address.parse().ok().map(|address| (address, *count)))
            .collect(),
        pods: edge.pods.clone(),
        judgement: edge.judgement.as_ref().map(judgement),
    }
}

fn judgement(judgement: &JudgementDocument) -> SeenJudgement {
    let open = judgement.findings.iter().filter(|finding| finding.exempted.is_none());
    let review = &judgement.review;
    let by = || {
        let parts = [&review.owner, &review.reason].into_iter().flatten().map(String::as_str);
        let text = parts.collect::<Vec<_>>().join(": ");
        let until = review.expires.as_ref().map(|day| format!(", until {day}")).unwrap_or_default();
        if text.is_empty() { review.state.clone() } else { format!("{} ({text}{until})", review.state) }
    };
    SeenJudgement {
        category: judgement.category,
        label: judgement.label.clone(),
        open: open
            .map(|finding| SeenFinding {
                class: format!("{} ({})", finding.class, finding.severity.as_str()),
                why: finding.why.clone(),
            })
            .collect(),
        review: match review.state.as_str() {
            "approved" => SeenReview::Approved(by()),
            "not needed" => SeenReview::NotNeeded,
            _ => SeenReview::Closed(by()),
        },
    }
}
