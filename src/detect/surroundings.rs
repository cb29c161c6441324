//! What is known around one destination: who else in the cluster uses it, since when there are records, what was there before.
//!
//! In: one cluster of an atlas, and a baseline where there is one. Out: counts that several detectors share. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{SourceKind, Timestamp, Workload, registrable};
use crate::summary::{Cluster, Edge, EdgeSeen, Peer};

/// Destinations of an earlier atlas: (cluster, namespace, workload name, peer, port).
pub type Known = (Box<str>, Box<str>, Box<str>, Box<str>, u16);

/// What an earlier atlas knew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Every destination outside.
    pub known: BTreeSet<Known>,
}

/// The name or address of a peer outside, as baselines and findings write it.
pub fn outside_name(peer: &Peer) -> Option<Box<str>> {
    match peer {
        Peer::Name(name) => Some(name.clone()),
        Peer::Address(address) => Some(address.to_string().into()),
        _ => None,
    }
}

/// One cluster, as detectors need it.
#[derive(Debug, Default)]
pub struct Surroundings<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// First and last flow record.
    pub flows: Option<(Timestamp, Timestamp)>,
    /// First and last DNS record.
    pub dns: Option<(Timestamp, Timestamp)>,
    /// Workloads that talk to the outside.
    pub workloads: usize,
    /// Destination outside → workloads that talk to it.
    users: BTreeMap<Box<str>, BTreeSet<(&'a str, &'a Workload)>>,
    /// Workload and the domain one label above a name → connections to names there, and to each of them.
    beside: BTreeMap<(&'a str, &'a Workload, &'a str), BTreeMap<&'a str, u64>>,
    /// Workloads that are called on port 53: resolvers themselves.
    resolvers: BTreeSet<(&'a str, &'a Workload)>,
    /// Workloads whose questions for names outside were recorded.
    askers: BTreeSet<(&'a str, &'a Workload)>,
    /// First event of each workload.
    firsts: BTreeMap<(&'a str, &'a Workload), Timestamp>,
    /// What was there before.
    pub baseline: Option<&'a Baseline>,
}

impl<'a> Surroundings<'a> {
    /// Looks at a cluster once.
    pub fn of(cluster: &'a str, content: &'a Cluster, baseline: Option<&'a Baseline>) -> Self {
        let span = |kind| {
            let sources = content.coverage.iter().filter(move |source| source.kind == kind);
            let first = sources.clone().filter_map(|source| source.activity.first).min();
            first.zip(sources.filter_map(|source| source.activity.last).max())
        };
        let mut around =
            Self { cluster, flows: span(SourceKind::Flows), dns: span(SourceKind::Dns), baseline, ..Self::default() };
        let mut talkers = BTreeSet::new();
        for (namespace, seen) in &content.namespaces {
            for edge in &seen.egress {
                if let Some(name) = outside_name(&edge.key.peer) {
                    let who = (&**namespace, &edge.key.workload);
                    around.note_beside(who, edge);
                    talkers.insert(who);
                    around.users.entry(name).or_default().insert(who);
                }
            }
            let firsts = seen.workloads.iter().filter_map(|(workload, seen)| Some((workload, seen.first?)));
            around.firsts.extend(firsts.map(|(workload, first)| ((&**namespace, workload), first)));
            around.askers.extend(seen.domains.keys().map(|(workload, _)| (&**namespace, workload)));
            let resolving = seen.ingress.iter().filter(|edge| edge.key.port == 53);
            around.resolvers.extend(resolving.map(|edge| (&**namespace, &edge.key.workload)));
        }
        around.workloads = talkers.len();
        around
    }

    fn note_beside(&mut self, (namespace, workload): (&'a str, &'a Workload), edge: &'a Edge) {
        if let Peer::Name(name) = &edge.key.peer
            && let Some(above) = above(name)
        {
            let names = self.beside.entry((namespace, workload, above)).or_default();
            *names.entry(name).or_default() += edge.seen.connections();
        }
    }

    /// How many workloads of the cluster talk to a destination outside.
    pub fn users(&self, peer: &Peer) -> usize {
        outside_name(peer).and_then(|name| self.users.get(&name)).map_or(0, BTreeSet::len)
    }

    /// Whether a workload answers DNS questions of others.
    pub fn is_resolver(&self, namespace: &str, workload: &Workload) -> bool {
        let by_name = matches!(&*workload.name, "coredns" | "kube-dns" | "node-local-dns" | "nodelocaldns");
        by_name || self.resolvers.contains(&(namespace, workload))
    }

    /// Whether any question of a workload for a name outside was recorded.
    pub fn is_heard(&self, namespace: &str, workload: &Workload) -> bool {
        self.askers.contains(&(namespace, workload))
    }

    /// When a workload was first seen.
    pub fn workload_first(&self, namespace: &str, workload: &Workload) -> Option<Timestamp> {
        self.firsts.get(&(namespace, workload)).copied()
    }

    /// Days of flow records.
    pub fn days(&self) -> f64 {
        self.flows.map_or(0.0, |(first, last)| last.seconds_since(first) / 86_400.0)
    }
}

/// The domain one label above a name, where that is still somebody's own: not a public suffix, nor a platform that gives out labels.
fn above(name: &str) -> Option<&str> {
    let (_, above) = name.split_once('.')?;
    registrable(name).is_some_and(|domain| above.len() >= domain.len()).then_some(above)
}

/// One edge of egress with what was decided about it so far.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The cluster around it.
    pub around: &'a Surroundings<'a>,
    /// The namespace of the workload.
    pub namespace: &'a str,
    /// The edge.
    pub edge: &'a Edge,
    /// Whether no category is known, so that nobody vouches for regular use of it.
    pub is_unknown: bool,
    /// Whether a list suspects it.
    pub is_suspect: bool,
}

impl<'a> Observed<'a> {
    /// What was seen.
    pub const fn seen(&self) -> &'a EdgeSeen {
        &self.edge.seen
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&'a str> {
        match &self.edge.key.peer {
            Peer::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Connections of the workload to other names of the same owner: those that differ from this one in the first label alone.
    pub fn beside(&self) -> u64 {
        let Some((name, above)) = self.name().and_then(|name| Some((name, above(name)?))) else { return 0 };
        let names = self.around.beside.get(&(self.namespace, &self.edge.key.workload, above));
        names.into_iter().flatten().filter(|(other, _)| **other != name).map(|(_, connections)| connections).sum()
    }

    /// The name or address; empty for destinations inside.
    pub fn subject(&self) -> Box<str> {
        outside_name(&self.edge.key.peer).unwrap_or_default()
    }

    /// How many workloads of the cluster use it.
    pub fn users(&self) -> usize {
        self.around.users(&self.edge.key.peer)
    }

    /// Whether the workload runs by schedule, so that regular connections are its nature.
    pub fn is_scheduled(&self) -> bool {
        matches!(&*self.edge.key.workload.kind.0, "CronJob" | "Job")
    }
}
