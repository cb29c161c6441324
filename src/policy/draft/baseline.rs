//! What a draft is made from: edges, labels and judgements of the namespaces of one cluster.
//!
//! In: filled from `atlas.json` by whoever read it. Plain values; nothing is decided here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{Category, Grade, Protocol, Workload};
use crate::summary::Peer;

/// The namespaces of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// The cluster's name.
    pub cluster: String,
    /// By name.
    pub namespaces: BTreeMap<String, SeenNamespace>,
}

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenNamespace {
    /// Its workloads.
    pub workloads: Vec<SeenWorkload>,
    /// Where its workloads connect to.
    pub egress: Vec<SeenEdge>,
    /// Who connects to its workloads.
    pub ingress: Vec<SeenEdge>,
}

/// One workload.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenWorkload {
    /// Kind and name.
    pub workload: Workload,
    /// Its pods.
    pub pods: Vec<String>,
    /// Labels on all its pods; `None` when nobody told.
    pub labels: Option<BTreeMap<String, String>>,
}

/// One edge, as the baseline has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenEdge {
    /// The namespace's side.
    pub workload: Workload,
    /// The other side.
    pub peer: Peer,
    /// The server's port; 0 when there is none.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// All connections.
    pub connections: u64,
    /// Of these, denied by a policy in force.
    pub denied: u64,
    /// Of these, let through although a policy in audit mode would have denied them.
    pub audited: u64,
    /// Connections by grade.
    pub grades: BTreeMap<Grade, u64>,
    /// Mean confidence in the name, in thousandths.
    pub confidence: u16,
    /// First event, RFC 3339.
    pub first: Option<String>,
    /// Last event, RFC 3339.
    pub last: Option<String>,
    /// Days with traffic, `YYYY-MM-DD`, sorted.
    pub days: Vec<String>,
    /// Addresses of the peer → connections; at most 64.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Pods of the workload.
    pub pods: Vec<String>,
    /// What was judged; none for ingress.
    pub judgement: Option<SeenJudgement>,
}

/// What was judged of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJudgement {
    /// What the destination is for.
    pub category: Category,
    /// Who or what it is.
    pub label: Option<String>,
    /// What is suspect and not exempted.
    pub open: Vec<SeenFinding>,
    /// Where the review stands.
    pub review: SeenReview,
}

/// A reason to suspect that nobody exempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFinding {
    /// Class and severity, `tunnel (high)`.
    pub class: String,
    /// Why.
    pub why: String,
}

/// Where a review stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenReview {
    /// Nothing to review.
    NotNeeded,
    /// Approved, by whom and why.
    Approved(String),
    /// Not in force: `pending`, `rejected (...)`, `expired (...)`.
    Closed(String),
}
