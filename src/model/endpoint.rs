//! One end of a flow as a record describes it: pod, workload, labels, identity kind.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a CNI's identity says an end is. `World` means "no better identity known", not "internet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityKind {
    /// No identity in the record.
    #[default]
    Unknown,
    /// A pod.
    Pod,
    /// This node, or a host-network pod on it.
    Host,
    /// Another node, or a host-network pod on it.
    RemoteNode,
    /// The Kubernetes API server.
    KubeApiserver,
    /// An ingress or gateway proxy.
    Ingress,
    /// Health probes of the CNI itself.
    Health,
    /// A pod that is still starting; its labels are missing.
    Init,
    /// A pod that the CNI does not manage.
    Unmanaged,
    /// Outside, or simply unknown to the CNI; includes CIDR and FQDN identities.
    World,
}

/// The kind of controller that owns a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkloadKind(pub Box<str>);

/// The controller that owns a pod: what a policy selects and a reviewer recognises.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, `Pod`, ...; `Workload` when guessed from a pod's name.
    pub kind: WorkloadKind,
    /// The controller's name.
    pub name: Box<str>,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.0.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.kind.0, self.name) }
    }
}

/// Labels as `key=value`, sorted.
pub type LabelList = Box<[Box<str>]>;

/// One end of a flow record. Everything but the identity kind may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Namespace; empty when unknown or not a pod.
    pub namespace: Box<str>,
    /// Pod name; empty when unknown or not a pod.
    pub pod: Box<str>,
    /// The owning workload, where the record states it (Cilium: only for endpoints local to the node).
    pub workload: Option<Workload>,
    /// Labels as `key=value` without the source prefix (`k8s:`), sorted; CNI bookkeeping removed.
    pub labels: Box<[Box<str>]>,
    /// What the CNI's identity says.
    pub identity: IdentityKind,
    /// Whether this end lives on the node that emitted the record.
    pub local: bool,
    /// Cluster of this end, where named (never Cilium's placeholder `default`).
    pub cluster: Box<str>,
    /// What the record says of the pod's namespace and account, as Cilium writes it (`io.cilium.k8s.namespace.labels.team=blue`,
    /// `io.cilium.k8s.policy.serviceaccount=web`), sorted; never in `labels`.
    pub context: Box<[Box<str>]>,
}

/// What the keys of [`Endpoint::context`] begin with for a label of the namespace.
pub const NAMESPACE_CONTEXT: &str = "io.cilium.k8s.namespace.labels.";
/// The key of [`Endpoint::context`] for the service account.
pub const ACCOUNT_CONTEXT: &str = "io.cilium.k8s.policy.serviceaccount";

impl Endpoint {
    /// Labels and context as one list, as files keep them. A pod's own label of the form of a context stays out: it would come back
    /// as one.
    pub fn all_labels(&self) -> impl Iterator<Item = &str> + Clone {
        let own = self.labels.iter().filter(|label| !is_context(label));
        own.chain(&self.context).map(|label| &**label)
    }

    /// Labels and context from what [`Self::all_labels`] gave.
    pub fn split_labels(all: impl IntoIterator<Item = Box<str>>) -> (LabelList, LabelList) {
        let (context, labels): (Vec<_>, Vec<_>) = all.into_iter().partition(|label| is_context(label));
        (labels.into(), context.into())
    }

    /// Whether the record names a pod or at least its namespace.
    pub fn is_pod(&self) -> bool {
        !self.pod.is_empty() || !self.namespace.is_empty()
    }
}

impl Workload {
    /// Guesses the owner from a pod name by the suffixes that controllers append.
    ///
    /// Deployment: `name-<template hash>-<5 characters>`; `CronJob`: `name-<minutes>-<5>`; `StatefulSet`: `name-<ordinal>`;
    /// `DaemonSet` and Job: `name-<5>`. The alphabet of the random parts is Kubernetes' own (no vowels, no 0, 1, 3), so that
    /// ordinary words are not taken for suffixes. A name that fits no rule is the pod itself.
    pub fn from_pod_name(pod: &str) -> Self {
        let guessed = |kind: &str, name: &str| Self { kind: WorkloadKind(kind.into()), name: name.into() };
        let Some((head, last)) = pod.rsplit_once('-') else {
            return guessed("Pod", pod);
        };
        if head.is_empty() {
            return guessed("Pod", pod);
        }
        if last.len() == 5 && last.bytes().all(is_generated) {
            return match head.rsplit_once('-') {
                Some((name, minutes)) if !name.is_empty() && is_schedule(minutes) => guessed("CronJob", name),
                Some((name, hash)) if !name.is_empty() && is_template_hash(hash) => guessed("Deployment", name),
                _ => guessed("Workload", head),
            };
        }
        if last.len() <= 4 && last.bytes().all(|b| b.is_ascii_digit()) {
            return guessed("StatefulSet", head);
        }
        guessed("Pod", pod)
    }
}

/// Whether a label without its source prefix is one of [`Endpoint::context`].
pub fn is_context(label: &str) -> bool {
    let account = label.strip_prefix(ACCOUNT_CONTEXT).is_some_and(|rest| rest.starts_with('='));
    account || label.starts_with(NAMESPACE_CONTEXT)
}

/// The alphabet of Kubernetes' generated name parts (`k8s.io/apimachinery` rand).
fn is_generated(byte: u8) -> bool {
    b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)
}

/// A pod-template-hash: 6 to 10 characters of the generated alphabet, older releases plain decimal.
fn is_template_hash(text: &str) -> bool {
    (6..=10).contains(&text.len())
        && (text.bytes().all(is_generated) || text.bytes().all(|b| b.is_ascii_digit()))
        && text.bytes().any(|b| b.is_ascii_digit())
}

/// The scheduled time that the `CronJob` controller appends, in minutes since the epoch.
fn is_schedule(text: &str) -> bool {
    (8..=10).contains(&text.len()) && text.starts_with(['2', '3']) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_guessed_from_the_suffixes_that_controllers_append() {
        let check = |pod: &str, expected: &str| assert_eq!(Workload::from_pod_name(pod).to_string(), expected);
        check("coredns-789c5fbdb4-vb8r9", "Deployment/coredns");
        check("web-7d4b9c-abcde", "Pod/web-7d4b9c-abcde");
        check("kapinger-good-64cbf459c4-q4tr9", "Deployment/kapinger-good");
        check("backup-28391040-x7k2p", "CronJob/backup");
        check("postgres-0", "StatefulSet/postgres");
        check("node-local-dns-88zrp", "Workload/node-local-dns");
        check("pos", "Pod/pos");
        check("api-gateway", "Pod/api-gateway");
    }
}
