//! What a soak found; the fields are those of its JSON form.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::Timestamp;
use crate::policy::{ProbeAnswer, ProbeResult};

/// The answer for a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing that was needed is blocked, and the evidence could have shown it.
    Clean,
    /// Nothing blocked was seen, but the evidence could not have shown all of it.
    NotProven,
    /// Something is blocked, or the policies are not enforced.
    NotClean,
}

impl Outcome {
    /// The words in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::NotProven => "not proven",
            Self::NotClean => "NOT CLEAN",
        }
    }
}

/// Why a connection was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// These policies stop it.
    Policies,
    /// These policies allow it: another one, or another version, is in force.
    OtherPolicies,
    /// Whether these policies stop it cannot be told.
    Undecidable,
}

/// Connections that were denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// The workload that wanted to connect, or that should have been reached.
    pub workload: String,
    /// `egress` or `ingress`: on whose side it was stopped, where that is known.
    pub side: &'static str,
    /// The other end.
    pub peer: String,
    /// `443/TCP`.
    pub port: String,
    /// Connections.
    pub connections: u64,
    /// Last one.
    #[serde(serialize_with = "as_text")]
    pub last: Option<Timestamp>,
    /// Whether they were let through in audit mode.
    pub audited: bool,
    /// Why.
    pub fault: Fault,
    /// Policies that stop it.
    pub policies: Vec<String>,
    /// What one change would let it through, or why it cannot be told.
    pub remedy: String,
    /// Whether the same was in use before.
    pub used_before: bool,
}

/// Connections that a policy must have stopped and that were let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// The workload.
    pub workload: String,
    /// `egress` or `ingress`.
    pub side: &'static str,
    /// The other end.
    pub peer: String,
    /// `443/TCP`.
    pub port: String,
    /// Connections.
    pub connections: u64,
    /// Last one.
    #[serde(serialize_with = "as_text")]
    pub last: Option<Timestamp>,
    /// Policies that should have stopped it.
    pub policies: Vec<String>,
}

/// A destination that was in use before and is not any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Quiet {
    /// The workload.
    pub workload: String,
    /// The other end.
    pub peer: String,
    /// `443/TCP`.
    pub port: String,
    /// Connections that would have been usual, of the poorest comparable days; 0 where only days are known.
    pub connections_before: u64,
    /// When it was in use before, in words.
    pub before: String,
    /// Last one since the change; `None` when there was none at all.
    #[serde(serialize_with = "as_text")]
    pub last: Option<Timestamp>,
}

/// Connections from before the change that live on, and that the policies would stop if they were opened again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lingering {
    /// The workload.
    pub workload: String,
    /// `egress` or `ingress`.
    pub side: &'static str,
    /// The other end.
    pub peer: String,
    /// `443/TCP`.
    pub port: String,
    /// Connections.
    pub connections: u64,
    /// Policies that would stop them.
    pub policies: Vec<String>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Start.
    #[serde(serialize_with = "known_as_text")]
    pub from: Timestamp,
    /// End.
    #[serde(serialize_with = "known_as_text")]
    pub until: Timestamp,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespaceSoak {
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// The answer.
    pub outcome: Outcome,
    /// Connections since the policies took effect that began or ended here and passed.
    pub passed: u64,
    /// Of these, those that cannot be told to be allowed by the policies.
    pub undecidable: u64,
    /// Connections that began before and went on: no proof of anything, since a change may leave them alone.
    pub spanning: u64,
    /// Connections whose verdict the records do not say.
    pub unknown_verdict: u64,
    /// Denials that these policies explain, the probe's included: proof that they are enforced.
    pub explained_denials: u64,
    /// Of these, denials on ingress.
    pub explained_on_ingress: u64,
    /// Probes that ended since the policies took effect, in the order of time.
    pub probes: Vec<ProbeResult>,
    /// What was blocked.
    pub blocked: Vec<Blocked>,
    /// What was let through and must not have been.
    pub leaks: Vec<Leak>,
    /// Older connections that live on and will not come back.
    pub lingering: Vec<Lingering>,
    /// What fell silent.
    pub quiet: Vec<Quiet>,
    /// What silence was judged by; empty without anything to compare with.
    pub compared_with: String,
    /// Jobs by schedule that were not due, so that nothing is known of them, one sentence each.
    pub not_tried: Vec<String>,
    /// Why nothing is proven, one sentence each.
    pub doubts: Vec<String>,
}

/// All namespaces that the policies are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Soak {
    /// Version of the form.
    pub schema: &'static str,
    /// From the change to the end that was asked for.
    pub asked: Span,
    /// Marks of the policies that were judged, by object.
    pub policies: BTreeMap<String, String>,
    /// In the order of clusters and namespaces.
    pub namespaces: Vec<NamespaceSoak>,
    /// What of the policies has no part in the answer.
    pub caveats: Vec<String>,
}

impl NamespaceSoak {
    /// Whether something shows that the policies stop anything: a denial that they explain, or a probe that was blocked.
    pub fn is_enforcement_proven(&self) -> bool {
        self.explained_denials > 0 || self.probes.iter().any(|probe| probe.answer == ProbeAnswer::Blocked)
    }

    /// Whether a probe got out.
    pub fn has_reached_canary(&self) -> bool {
        self.probes.iter().any(|probe| probe.answer == ProbeAnswer::Reachable)
    }
}

impl Soak {
    /// The worst answer; not proven when no namespace is under a policy.
    pub fn outcome(&self) -> Outcome {
        self.namespaces.iter().map(|namespace| namespace.outcome).max().unwrap_or(Outcome::NotProven)
    }
}

#[expect(clippy::ref_option, reason = "the form that serde calls")]
fn as_text<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn known_as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    time.to_string().serialize(serializer)
}
