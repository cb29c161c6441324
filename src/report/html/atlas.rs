//! The page of a baseline: everything of `atlas.json` that a reader looks at, each text once.
//!
//! Fifty thousand edges repeat the same few thousand names, so that edges refer to texts and findings by number.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::super::json::{
    AtlasDocument, ClusterDocument, EdgeDocument, FindingDocument, Input, PeerDocument, ReviewDocument, Source,
    TotalsDocument, Window, WorkloadFindingDocument,
};
use super::page::page;
use crate::model::Timestamp;

/// What the script reads.
#[derive(Serialize)]
struct PageData<'a> {
    kind: &'static str,
    window: &'a Window,
    warnings: &'a [String],
    inputs: &'a [Input],
    clusters: Vec<PageCluster<'a>>,
    texts: Vec<&'a str>,
    findings: Vec<&'a FindingDocument>,
    reviews: Vec<&'a ReviewDocument>,
    edges: Vec<PageEdge>,
    /// What is suspect about a workload as a whole.
    whole: Vec<PageWorkload<'a>>,
}

#[derive(Serialize)]
struct PageWorkload<'a> {
    cluster: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    found: &'a WorkloadFindingDocument,
}

#[derive(Serialize)]
struct PageCluster<'a> {
    name: &'a str,
    coverage: &'a [Source],
    totals: &'a TotalsDocument,
    clock_notes: &'a [String],
    namespaces: Vec<&'a str>,
}

/// One edge of egress; numbers are places in the lists of the page.
#[derive(Serialize)]
struct PageEdge {
    /// Cluster, namespace, kind, workload.
    from: [usize; 4],
    /// Type of the peer, its cluster if it is another one, its namespace, its kind, its name.
    to: [usize; 5],
    port: u16,
    protocol: usize,
    category: &'static str,
    rule: usize,
    label: usize,
    /// Connections: all, denied, audited.
    count: [u64; 3],
    /// Bytes sent and received; null when nobody counted.
    bytes: Option<[u64; 2]>,
    /// Milliseconds since the epoch; null when unknown.
    seen: [Option<i64>; 2],
    /// Days since the epoch.
    days: Vec<u32>,
    /// Grade, connections, in turn.
    grades: Vec<u64>,
    confidence: f64,
    /// Address, connections, in turn.
    addresses: Vec<u64>,
    pods: Vec<usize>,
    candidates: Vec<u64>,
    names: Vec<u64>,
    chains: Vec<usize>,
    findings: Vec<usize>,
    review: usize,
}

#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    known: HashMap<&'a str, usize>,
    findings: Vec<&'a FindingDocument>,
    // By content; looked up only, never walked.
    known_findings: HashMap<(&'a str, &'a str, &'a str, Option<&'a str>), usize>,
    reviews: Vec<&'a ReviewDocument>,
}

impl<'a> Texts<'a> {
    fn text(&mut self, text: &'a str) -> usize {
        let next = self.list.len();
        let number = *self.known.entry(text).or_insert(next);
        if number == next {
            self.list.push(text);
        }
        number
    }

    fn counts(&mut self, counts: &'a BTreeMap<String, u64>) -> Vec<u64> {
        counts.iter().flat_map(|(text, count)| [u64::try_from(self.text(text)).unwrap_or(0), *count]).collect()
    }

    fn finding(&mut self, finding: &'a FindingDocument) -> usize {
        let key = (finding.rule.as_str(), finding.matched.as_str(), finding.why.as_str(), finding.exempted.as_deref());
        let next = self.findings.len();
        let number = *self.known_findings.entry(key).or_insert(next);
        if number == next {
            self.findings.push(finding);
        } else if self.findings.get(number) != Some(&finding) {
            // The same match with another severity: a list of its own entry.
            self.findings.push(finding);
            return next;
        }
        number
    }

    fn review(&mut self, review: &'a ReviewDocument) -> usize {
        let known = self.reviews.iter().position(|known| *known == review);
        known.unwrap_or_else(|| {
            self.reviews.push(review);
            self.reviews.len() - 1
        })
    }
}

/// The page of a baseline.
///
/// # Errors
///
/// Only if memory for the text cannot be had.
pub fn atlas_page(atlas: &AtlasDocument) -> Result<String, serde_json::Error> {
    let mut texts = Texts::default();
    // Number 0 is nothing.
    texts.text("");
    let mut edges = Vec::new();
    for (cluster, content) in &atlas.clusters {
        for (namespace, seen) in &content.namespaces {
            edges.extend(seen.egress.iter().map(|edge| page_edge(&mut texts, (cluster, namespace), edge)));
        }
    }
    let data = PageData {
        kind: "atlas",
        window: &atlas.window,
        warnings: &atlas.warnings,
        inputs: &atlas.inputs,
        clusters: atlas.clusters.iter().map(|(name, cluster)| page_cluster(name, cluster)).collect(),
        texts: texts.list,
        findings: texts.findings,
        reviews: texts.reviews,
        edges,
        whole: atlas.clusters.iter().flat_map(|(name, cluster)| page_workloads(name, cluster)).collect(),
    };
    page("Egress", concat!(include_str!("shared.js"), include_str!("flowmap.js"), include_str!("atlas.js")), &data)
}

fn page_workloads<'a>(cluster: &'a str, content: &'a ClusterDocument) -> impl Iterator<Item = PageWorkload<'a>> {
    content.namespaces.iter().flat_map(move |(namespace, seen)| {
        seen.workload_findings.iter().map(move |found| PageWorkload { cluster, namespace, found })
    })
}

fn page_cluster<'a>(name: &'a str, cluster: &'a ClusterDocument) -> PageCluster<'a> {
    PageCluster {
        name,
        coverage: &cluster.coverage,
        totals: &cluster.totals,
        clock_notes: &cluster.clock_notes,
        namespaces: cluster.namespaces.keys().map(String::as_str).collect(),
    }
}

fn page_edge<'a>(texts: &mut Texts<'a>, (cluster, namespace): (&'a str, &'a str), edge: &'a EdgeDocument) -> PageEdge {
    let judgement = edge.judgement.as_ref();
    let verdict = |word: &str| edge.verdicts.get(word).copied().unwrap_or(0);
    let days = edge.days.iter().filter_map(|day| Some(Timestamp::parse(format!("{day}T00:00:00Z").as_bytes())?.day()));
    PageEdge {
        from: [cluster, namespace, &edge.workload.kind, &edge.workload.name].map(|text| texts.text(text)),
        to: peer(texts, &edge.peer),
        port: edge.port,
        protocol: texts.text(&edge.protocol),
        category: judgement.map_or("unclassified", |judgement| judgement.category.as_str()),
        rule: judgement.map_or(0, |judgement| texts.text(&judgement.rule)),
        label: judgement.and_then(|judgement| judgement.label.as_deref()).map_or(0, |label| texts.text(label)),
        count: [edge.connections, verdict("denied"), verdict("audited")],
        bytes: edge.bytes.map(|counted| [counted.sent, counted.received]),
        seen: [&edge.first, &edge.last].map(|time| milliseconds(time.as_deref())),
        days: days.collect(),
        grades: texts.counts(&edge.grades),
        confidence: edge.confidence,
        addresses: texts.counts(&edge.addresses),
        pods: edge.pods.iter().map(|pod| texts.text(pod)).collect(),
        candidates: texts.counts(&edge.candidates),
        names: texts.counts(&edge.names),
        chains: edge.chains.iter().map(|chain| texts.text(chain)).collect(),
        findings: judgement
            .iter()
            .flat_map(|judgement| &judgement.findings)
            .map(|finding| texts.finding(finding))
            .collect(),
        review: judgement.map_or(0, |judgement| texts.review(&judgement.review)),
    }
}

fn milliseconds(time: Option<&str>) -> Option<i64> {
    Timestamp::parse(time?.as_bytes()).map(|time| time.nanos() / 1_000_000)
}

fn peer<'a>(texts: &mut Texts<'a>, peer: &'a PeerDocument) -> [usize; 5] {
    let parts = match peer {
        PeerDocument::Name { name } => ["name", "", "", "", name],
        PeerDocument::Address { address } => ["address", "", "", "", address],
        PeerDocument::Service { namespace, name } => ["service", "", namespace, "Service", name],
        PeerDocument::Workload { cluster, namespace, kind, name } => ["workload", cluster, namespace, kind, name],
        PeerDocument::KubeApiserver => ["inside", "", "", "", "Kubernetes API server"],
        PeerDocument::Node => ["inside", "", "", "", "cluster nodes"],
        PeerDocument::Ingress => ["inside", "", "", "", "ingress gateway"],
        PeerDocument::Outside => ["inside", "", "", "", "outside the cluster"],
    };
    parts.map(|part| texts.text(part))
}
