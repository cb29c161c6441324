//! The finished value: clusters, their namespaces, and the account of what it rests on.

use std::collections::{BTreeMap, BTreeSet};

use super::{BlindSpot, Domains, Edge, Nodes, SourceCoverage};
use crate::model::{Account, Grade, Timestamp, Workload};

/// The map of every destination that workloads talk to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Atlas {
    /// The asked window's start, if one was asked for.
    pub since: Option<Timestamp>,
    /// The asked window's end, if one was asked for.
    pub until: Option<Timestamp>,
    /// By cluster name.
    pub clusters: BTreeMap<Box<str>, Cluster>,
    /// What became of the records of each input, in the order of their names.
    pub inputs: Vec<InputAccount>,
    /// Sentences about the inputs as a whole that a reader must know.
    pub warnings: BTreeSet<Box<str>>,
}

/// The account of one input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputAccount {
    /// The file's name, without the folders above it.
    pub name: Box<str>,
    /// `hubble`, `dnstap`, `kube`.
    pub format: &'static str,
    /// What became of its records.
    pub account: Account,
    /// Why it ended early, if it did (a broken length, a truncated gzip).
    pub problem: Option<Box<str>>,
}

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// By name; the empty name holds clients that no record assigns to a namespace (nodes, unnamed addresses).
    pub namespaces: BTreeMap<Box<str>, Namespace>,
    /// Sources in the order of kind and name.
    pub coverage: Vec<SourceCoverage>,
    /// Its nodes, as far as Kubernetes objects list them.
    pub nodes: Nodes,
    /// How far the clock of the DNS answers is ahead of that of the flows, in nanoseconds; 0 where they agree, `None` where the
    /// traffic does not tell.
    pub dns_ahead_nanos: Option<i64>,
    /// The client that asks for many outside names and connects to none, if there is one.
    pub forwarder: Option<Forwarder>,
    /// Counts over the whole cluster.
    pub totals: Totals,
}

/// A client that asks for others: a forwarder or cache between the pods and the tap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarder {
    /// Its address, or `NAMESPACE/POD`.
    pub client: Box<str>,
    /// Answers with an address outside that it got.
    pub answers: u64,
    /// The same of all clients of the cluster that are no nodes.
    pub of: u64,
}

/// Counts over a cluster or a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Egress connections (client side).
    pub egress_connections: u64,
    /// Egress connections to destinations outside the cluster, by grade of evidence.
    pub external_grades: BTreeMap<Grade, u64>,
    /// Connections whose initiator had to be guessed from the ports.
    pub guessed_orientation: u64,
    /// Answers (name, address) received by this cluster's or namespace's clients.
    pub answers: u64,
    /// Of these, given to nodes instead of pods: a node-local cache or host network hides the pod.
    pub answers_to_nodes: u64,
}

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// What its workloads talk to, in key order.
    pub egress: Vec<Edge>,
    /// Who calls its workloads, in key order.
    pub ingress: Vec<Edge>,
    /// Its workloads.
    pub workloads: BTreeMap<Workload, WorkloadSeen>,
    /// Names that its pods got addresses for and never connected to, by name.
    pub asked_only: BTreeMap<Box<str>, Asked>,
    /// Its workloads of whose traffic nothing is known, in their order; empty without Kubernetes objects.
    pub blind_spots: Vec<BlindSpot>,
    /// What its workloads asked below each registrable domain.
    pub domains: Domains,
    /// Counts over the namespace.
    pub totals: Totals,
}

/// What is known of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadSeen {
    /// Its pods by name.
    pub pods: BTreeSet<Box<str>>,
    /// Labels that every one of its pods carried, as `key=value`; `None` when no record had labels.
    pub labels: Option<BTreeSet<Box<str>>>,
    /// Whether the owner was guessed from the pod's name.
    pub guessed: bool,
    /// First event as client or server.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
}

/// A name that was asked and answered, without a connection that could have used it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How many answers (name, address).
    pub answers: u64,
    /// Workloads that asked.
    pub workloads: BTreeSet<Workload>,
    /// First answer.
    pub first: Option<Timestamp>,
    /// Last answer.
    pub last: Option<Timestamp>,
}
