//! One row of a namespace's traffic: a workload, a peer, a port, and what was seen between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Behaviour;
use crate::catalog::{AddressClass, RuleRanges};
use crate::model::{Grade, Protocol, Timestamp, Verdict, Workload};

/// The other end of an edge, by the best identity that the evidence gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A workload in a cluster.
    Workload {
        /// Its cluster; empty when it is the same cluster.
        cluster: Box<str>,
        /// Its namespace.
        namespace: Box<str>,
        /// The workload.
        workload: Workload,
    },
    /// A service address that no record resolved to a pod.
    Service {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// The Kubernetes API server.
    KubeApiserver,
    /// A node, or a host-network pod on it.
    Node,
    /// A gateway or ingress proxy of the CNI.
    Ingress,
    /// A destination known by name.
    Name(Box<str>),
    /// An address without a name.
    Address(IpAddr),
    /// Clients outside the cluster, taken together (ingress only).
    Outside,
}

/// What makes an edge distinct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// The workload of the namespace that the edge belongs to: client of egress, server of ingress.
    pub workload: Workload,
    /// The other end.
    pub peer: Peer,
    /// The server's port; 0 when the protocol has none or the record did not say.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// How many distinct values an edge lists; the smallest are kept, so that the choice does not depend on order.
pub const LISTED_MAX: usize = 64;

/// What was seen between the ends of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeSeen {
    /// Connections by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Connections by grade of evidence for the peer's name.
    pub grades: BTreeMap<Grade, u64>,
    /// Sum of the confidence in the name over all connections, in thousandths.
    pub confidence_permille: u64,
    /// First event; unknown when no record carried a time.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
    /// Days with traffic, as days since the epoch.
    pub days: BTreeSet<u32>,
    /// Addresses of the peer → connections; the [`LISTED_MAX`] smallest.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Of the addresses that are not listed, the smallest of each class: what rules say of all addresses, they say of these and the listed ones.
    pub beyond: BTreeMap<AddressClass, IpAddr>,
    /// Pods of the workload; the [`LISTED_MAX`] smallest.
    pub pods: BTreeSet<Box<str>>,
    /// Other names that the evidence also allows → connections (candidates that were not chosen).
    pub candidates: BTreeMap<Box<str>, u64>,
    /// Names by which an in-cluster peer was looked up, or that the CNI reported → connections.
    pub names: BTreeMap<Box<str>, u64>,
    /// CNAME chains behind the name, each as its targets joined by ` → `.
    pub chains: BTreeSet<Box<str>>,
    /// How the destination was used over time.
    pub behaviour: Behaviour,
}

/// One row of a namespace's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// What makes it distinct.
    pub key: EdgeKey,
    /// What was seen.
    pub seen: EdgeSeen,
}

impl EdgeSeen {
    /// All connections.
    pub fn connections(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Connections with `verdict`.
    pub fn with_verdict(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// The best grade that any connection has.
    pub fn best_grade(&self) -> Grade {
        self.grades.keys().next().copied().unwrap_or(Grade::None)
    }

    /// The grade that most connections have; the better one of equals.
    pub fn usual_grade(&self) -> Grade {
        self.grades
            .iter()
            .max_by_key(|(grade, count)| (**count, std::cmp::Reverse(**grade)))
            .map_or(Grade::None, |(grade, _)| *grade)
    }

    /// Mean confidence in the name, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
    pub fn confidence(&self) -> f64 {
        match self.connections() {
            0 => 0.0,
            connections => self.confidence_permille as f64 / 1_000.0 / connections as f64,
        }
    }

    /// Every address that the rules have to be asked about, sorted: no rule says of the others what it says of none of these.
    pub fn telling_addresses(&self) -> Vec<IpAddr> {
        let telling: BTreeSet<IpAddr> = self.addresses.keys().chain(self.beyond.values()).copied().collect();
        telling.into_iter().collect()
    }

    /// Adds what was seen elsewhere of the same edge, and remembers what kind of addresses the list has no room for.
    pub fn absorb_with(&mut self, other: Self, ranges: &RuleRanges) {
        add_counts(&mut self.addresses, other.addresses);
        while self.addresses.len() > LISTED_MAX
            && let Some((address, _)) = self.addresses.pop_last()
        {
            self.pass_over(address, ranges);
        }
        self.absorb(Self { addresses: BTreeMap::new(), ..other });
    }

    /// Remembers the kind of an address that the list has no room for.
    pub fn pass_over(&mut self, address: IpAddr, ranges: &RuleRanges) {
        let smallest = self.beyond.entry(ranges.class(address)).or_insert(address);
        *smallest = address.min(*smallest);
    }

    /// Adds what was seen elsewhere of the same edge. Of addresses beyond the list nothing remains.
    pub fn absorb(&mut self, other: Self) {
        add_counts(&mut self.verdicts, other.verdicts);
        add_counts(&mut self.grades, other.grades);
        self.confidence_permille += other.confidence_permille;
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
        self.days.extend(other.days);
        add_counts(&mut self.addresses, other.addresses);
        keep_smallest(&mut self.addresses);
        for (class, address) in other.beyond {
            let smallest = self.beyond.entry(class).or_insert(address);
            *smallest = address.min(*smallest);
        }
        self.pods.extend(other.pods);
        while self.pods.len() > LISTED_MAX {
            self.pods.pop_last();
        }
        add_counts(&mut self.candidates, other.candidates);
        keep_smallest(&mut self.candidates);
        add_counts(&mut self.names, other.names);
        keep_smallest(&mut self.names);
        self.chains.extend(other.chains);
        while self.chains.len() > LISTED_MAX {
            self.chains.pop_last();
        }
        self.behaviour.absorb(other.behaviour);
    }

    /// A copy without the behaviour but its bytes: it is large, and needed by detectors only.
    #[must_use]
    pub fn without_behaviour(&self) -> Self {
        Self {
            verdicts: self.verdicts.clone(),
            grades: self.grades.clone(),
            confidence_permille: self.confidence_permille,
            first: self.first,
            last: self.last,
            days: self.days.clone(),
            addresses: self.addresses.clone(),
            beyond: self.beyond.clone(),
            pods: self.pods.clone(),
            candidates: self.candidates.clone(),
            names: self.names.clone(),
            chains: self.chains.clone(),
            behaviour: Behaviour { bytes: self.behaviour.bytes, ..Behaviour::default() },
        }
    }
}

fn add_counts<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *counts.entry(key).or_default() += count;
    }
}

/// Drops the largest keys beyond the limit. A key once dropped has the limit's number of smaller ones before it for
/// ever, so the counts of those that stay are exact whatever the order.
pub(super) fn keep_smallest<K: Ord, V>(counts: &mut BTreeMap<K, V>) {
    while counts.len() > LISTED_MAX {
        counts.pop_last();
    }
}
