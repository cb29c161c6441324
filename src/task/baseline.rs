//! `atlas.json` → connections to replay.
//!
//! A baseline keeps one edge for each workload, peer, port and protocol. In: the document. Out: ends as far as it describes them;
//! what it does not keep (container ports, labels of namespaces, nodes) is not known, and rules that ask for it cannot be told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::kube::Labels;
use crate::model::{Protocol, Timestamp, Verdict, Workload, WorkloadKind};
use crate::replay::{BaselineDay, End, EndKind, NameEvidence, Names, Observed, Recorded, Seen};
use crate::report::json::{EdgeDocument, NamespaceDocument, PeerDocument, WorkloadName};
use crate::report::{AtlasDocument, ClusterDocument};

/// Labels by cluster, namespace, kind and name of the workload.
type Known<'a> = BTreeMap<(&'a str, &'a str, &'a str, &'a str), Option<Labels>>;

/// The connections of a baseline. Connections between workloads are taken from the client's side alone.
pub fn of_baseline(atlas: &AtlasDocument) -> Recorded {
    let mut known = Known::new();
    for (cluster, content) in &atlas.clusters {
        for (namespace, content) in &content.namespaces {
            for workload in &content.workloads {
                let WorkloadName { kind, name } = &workload.workload;
                let labels = workload.labels.as_ref().map(|labels| read_labels(labels));
                known.insert((cluster, namespace, kind, name), labels);
            }
        }
    }
    let mut observed = Vec::new();
    for (cluster, content) in &atlas.clusters {
        for (namespace, content) in &content.namespaces {
            let place = Place { cluster, namespace, known: &known };
            place.add(content, &mut observed);
        }
    }
    Recorded::collect(observed)
}

/// The connections of each day of a baseline. A baseline keeps no counts for single days, so that counts are those of all.
pub fn of_baseline_days(atlas: &AtlasDocument) -> Vec<BaselineDay> {
    let namespaces = || atlas.clusters.values().flat_map(|cluster| cluster.namespaces.values());
    let edges = || namespaces().flat_map(|namespace| namespace.egress.iter().chain(&namespace.ingress));
    let dates: BTreeSet<&String> = edges().flat_map(|edge| &edge.days).collect();
    let day = |date: &&String| {
        let day = Timestamp::parse(format!("{date}T00:00:00Z").as_bytes())?.day();
        let of_day = |edges: &[EdgeDocument]| edges.iter().filter(|edge| edge.days.contains(*date)).cloned().collect();
        let mut only = AtlasDocument {
            schema: atlas.schema.clone(),
            window: atlas.window.clone(),
            inputs: Vec::new(),
            warnings: Vec::new(),
            clusters: BTreeMap::new(),
        };
        for (name, cluster) in &atlas.clusters {
            let mut copy = ClusterDocument::default();
            for (name, namespace) in &cluster.namespaces {
                let own = NamespaceDocument {
                    workloads: namespace.workloads.clone(),
                    egress: of_day(&namespace.egress),
                    ingress: of_day(&namespace.ingress),
                    ..NamespaceDocument::default()
                };
                copy.namespaces.insert(name.clone(), own);
            }
            only.clusters.insert(name.clone(), copy);
        }
        Some(BaselineDay { day, recorded: of_baseline(&only) })
    };
    dates.iter().filter_map(day).collect()
}

fn read_labels(labels: &[String]) -> Labels {
    let pair = |label: &String| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        (key.into(), value.into())
    };
    labels.iter().map(pair).collect()
}

/// Where edges belong.
struct Place<'a> {
    cluster: &'a str,
    namespace: &'a str,
    known: &'a Known<'a>,
}

impl Place<'_> {
    fn add(&self, content: &NamespaceDocument, observed: &mut Vec<(Observed, Seen)>) {
        for edge in &content.egress {
            let client = self.workload(self.cluster, self.namespace, &edge.workload);
            for (server, flows) in self.peers(edge) {
                observed.push(one(edge, client.clone(), server, flows, names(edge)));
            }
        }
        for edge in &content.ingress {
            if matches!(edge.peer, PeerDocument::Workload { .. }) {
                continue;
            }
            let server = self.workload(self.cluster, self.namespace, &edge.workload);
            for (client, flows) in self.peers(edge) {
                observed.push(one(edge, client, server.clone(), flows, Names::default()));
            }
        }
    }

    fn workload(&self, cluster: &str, namespace: &str, workload: &WorkloadName) -> End {
        let WorkloadName { kind, name } = workload;
        if namespace.is_empty() {
            let kind = if name == "node" { EndKind::Node } else { EndKind::Unknown };
            return End { kind, cluster: cluster.into(), name: name.as_str().into(), ..End::default() };
        }
        End {
            kind: EndKind::Pod,
            cluster: cluster.into(),
            namespace: namespace.into(),
            workload: Some(Workload { kind: WorkloadKind(kind.as_str().into()), name: name.as_str().into() }),
            labels: self.known.get(&(cluster, namespace, kind, name)).cloned().flatten(),
            labels_are_filtered: true,
            ..End::default()
        }
    }

    /// The other ends of an edge, one for each address, with their connections.
    fn peers(&self, edge: &EdgeDocument) -> Vec<(End, u64)> {
        let addresses = edge.addresses.iter().filter_map(|(text, flows)| Some((text.parse::<IpAddr>().ok()?, *flows)));
        let with = |end: End| -> Vec<(End, u64)> {
            let mut ends: Vec<(End, u64)> = addresses
                .clone()
                .map(|(address, flows)| (End { address: Some(address), ..end.clone() }, flows))
                .collect();
            // Beyond 64 addresses a baseline keeps the number of connections alone.
            let listed: u64 = ends.iter().map(|(_, flows)| flows).sum();
            if let Some(rest) = edge.connections.checked_sub(listed).filter(|rest| *rest > 0) {
                ends.push((end, rest));
            }
            ends
        };
        let of = |kind| End { kind, cluster: self.cluster.into(), ..End::default() };
        match &edge.peer {
            PeerDocument::Workload { cluster, namespace, kind, name } => {
                let cluster = if cluster.is_empty() { self.cluster } else { cluster };
                let workload = WorkloadName { kind: kind.clone(), name: name.clone() };
                with(self.workload(cluster, namespace, &workload))
            }
            PeerDocument::Service { namespace, name } => {
                with(End { namespace: namespace.as_str().into(), name: name.as_str().into(), ..of(EndKind::Service) })
            }
            PeerDocument::KubeApiserver => with(of(EndKind::KubeApiserver)),
            PeerDocument::Node => with(of(EndKind::Node)),
            PeerDocument::Ingress => with(of(EndKind::Gateway)),
            PeerDocument::Name { .. } | PeerDocument::Address { .. } | PeerDocument::Outside => {
                with(of(EndKind::Outside))
            }
        }
    }
}

fn names(edge: &EdgeDocument) -> Names {
    let PeerDocument::Name { name } = &edge.peer else { return Names::default() };
    let own = ["pod", "pod-ambiguous", "pod-later", "reported"];
    let all_own = edge.grades.keys().all(|grade| own.contains(&grade.as_str()));
    let others = edge.candidates.keys().map(|name| name.as_str().into());
    Names {
        list: std::iter::once(name.as_str().into()).chain(others).collect(),
        evidence: if all_own { NameEvidence::Own } else { NameEvidence::Weak },
    }
}

fn one(edge: &EdgeDocument, client: End, server: End, flows: u64, names: Names) -> (Observed, Seen) {
    let time = |text: &Option<String>| text.as_ref().and_then(|text| Timestamp::parse(text.as_bytes()));
    let denied = edge.verdicts.get("denied").copied().unwrap_or(0);
    let recorded = if denied > 0 && denied == edge.connections { Verdict::Denied } else { Verdict::Unknown };
    let protocol = protocol(&edge.protocol);
    let observed = Observed {
        client,
        server,
        port: edge.port,
        client_port: 0,
        icmp: None,
        protocol,
        names,
        guessed: false,
        recorded,
    };
    (observed, Seen { flows, first: time(&edge.first), last: time(&edge.last) })
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
    known.into_iter().find(|protocol| protocol.to_string() == text).or_else(number).unwrap_or(Protocol::UNKNOWN)
}
