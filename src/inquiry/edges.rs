//! What was found, in the form that everything else judges and prints: an atlas that holds nothing but the target's connections.

use std::collections::BTreeMap;

use super::ends::{Ends, Side};
use super::matches::Found;
use super::pair::Pair;
use super::target::Role;
use crate::attribute::Evidence;
use crate::catalog::RuleRanges;
use crate::kube::Inventory;
use crate::model::{TextId, Workload, WorkloadKind};
use crate::summary::{Atlas, Edge, EdgeKey, EdgeSeen, Nodes, Peer, SourceCoverage};

/// What an edge does not say: when within the timeline, and as what the target took part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeTimes {
    /// Connections that began in each bucket.
    pub began: Vec<u32>,
    /// Connections by role of the target.
    pub roles: BTreeMap<Role, u64>,
    /// Distinct addresses and pods, before lists were cut.
    pub distinct: (usize, usize),
}

/// By cluster and namespace: what belongs to each edge, in the order of the edges.
pub type TimesByNamespace = BTreeMap<(Box<str>, Box<str>), Vec<EdgeTimes>>;

/// Cluster, namespace and key of an edge.
pub type Place = (Box<str>, Box<str>, EdgeKey);

/// Turns numbers of the evidence into texts.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The evidence.
    pub evidence: &'a Evidence,
    /// The Kubernetes objects.
    pub inventory: &'a Inventory,
}

impl Writer<'_> {
    /// The text of a number.
    pub fn text(&self, id: TextId) -> &str {
        self.evidence.vocabulary.text_of(id)
    }

    /// Namespace and workload of a client; what is no pod has no namespace.
    pub fn client(&self, ends: &Ends) -> (Box<str>, Workload) {
        let stand_in = |name: &str| ("".into(), Workload { kind: WorkloadKind("".into()), name: name.into() });
        match ends.client {
            Side::Workload(party) => match self.evidence.parties.get(party) {
                Some(known) => (known.namespace.clone(), known.workload.clone()),
                None => stand_in("unknown"),
            },
            Side::Address(address) | Side::Service(address) => {
                stand_in(&self.evidence.vocabulary.address_of(address).to_string())
            }
            Side::Name(name) => stand_in(self.evidence.vocabulary.name_of(name)),
            Side::KubeApiserver => stand_in("kube-apiserver"),
            Side::Node => stand_in("node"),
            Side::Ingress => stand_in("ingress gateway"),
        }
    }

    /// The server.
    pub fn server(&self, ends: &Ends) -> Peer {
        let vocabulary = &self.evidence.vocabulary;
        match ends.server {
            Side::Workload(party) => match self.evidence.parties.get(party) {
                Some(known) => Peer::Workload {
                    cluster: if ends.server_cluster.is_none() {
                        "".into()
                    } else {
                        self.text(ends.server_cluster).into()
                    },
                    namespace: known.namespace.clone(),
                    workload: known.workload.clone(),
                },
                None => Peer::Node,
            },
            Side::Service(address) => {
                let (address, cluster) = (vocabulary.address_of(address), self.text(ends.cluster));
                let by_port = self.inventory.service_at_port(cluster, address, ends.port);
                match by_port.or_else(|| self.inventory.service_at(cluster, address)) {
                    Some(service) => Peer::Service { namespace: service.namespace.clone(), name: service.name.clone() },
                    None => Peer::Address(address),
                }
            }
            Side::Name(name) => Peer::Name(vocabulary.name_of(name).into()),
            Side::Address(address) => Peer::Address(vocabulary.address_of(address)),
            Side::KubeApiserver => Peer::KubeApiserver,
            Side::Node => Peer::Node,
            Side::Ingress => Peer::Ingress,
        }
    }

    /// Where a pair of ends stands in the atlas of what was found.
    pub fn place(&self, ends: &Ends) -> Place {
        let (namespace, workload) = self.client(ends);
        let key = EdgeKey { workload, peer: self.server(ends), port: ends.port, protocol: ends.protocol };
        (self.text(ends.cluster).into(), namespace, key)
    }

    /// The atlas of what was found, with the coverage of every cluster (or of the one that is meant); and, for each namespace, what
    /// belongs to its edges, in their order. `ranges` are those of the rules that will judge it.
    pub fn atlas(&self, found: &Found, cluster: Option<&str>, ranges: &RuleRanges) -> (Atlas, TimesByNamespace) {
        let mut places: BTreeMap<Place, Vec<&Pair>> = BTreeMap::new();
        for (ends, pair) in &found.pairs {
            places.entry(self.place(ends)).or_default().push(pair);
        }
        let mut atlas = Atlas::default();
        let mut times = TimesByNamespace::new();
        for ((cluster, namespace, key), pairs) in places {
            let (seen, edge_times) = self.edge(&pairs, ranges);
            times.entry((cluster.clone(), namespace.clone())).or_default().push(edge_times);
            let target = atlas.clusters.entry(cluster).or_default().namespaces.entry(namespace).or_default();
            target.egress.push(Edge { key, seen });
        }
        for ((kind, name, source), activity) in &self.evidence.activity {
            if cluster.is_none_or(|cluster| cluster == &**name) {
                let coverage = SourceCoverage { kind: *kind, name: source.clone(), activity: activity.clone() };
                atlas.clusters.entry(name.clone()).or_default().coverage.push(coverage);
            }
        }
        for (name, cluster) in &mut atlas.clusters {
            cluster.nodes = Nodes::of(self.inventory, name);
        }
        (atlas, times)
    }

    /// What pairs of one place (a service with two addresses has two) make together.
    fn edge(&self, pairs: &[&Pair], ranges: &RuleRanges) -> (EdgeSeen, EdgeTimes) {
        let (mut seen, mut times) = (EdgeSeen::default(), EdgeTimes::default());
        for pair in pairs {
            seen.absorb_with(pair.seen(self.evidence, ranges), ranges);
            times.began.resize(times.began.len().max(pair.began.len()), 0);
            times.began.iter_mut().zip(&pair.began).for_each(|(mine, more)| *mine = mine.saturating_add(*more));
            for (role, count) in &pair.roles {
                *times.roles.entry(*role).or_default() += count;
            }
        }
        times.distinct = Pair::distinct(pairs, self.evidence);
        (seen, times)
    }
}
