//! What lints know of a cluster beside its policies.
//!
//! In: pods, namespaces and networks, from objects or from a baseline. Out: answers to selectors. What was not given is unknown, never
//! empty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::kube::Labels;
use crate::policy::{Dialect, Doubt, Key, Labelled, Match, Value};

/// How complete the list of pods is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodKnowledge {
    /// No pods were given.
    #[default]
    None,
    /// Workloads that a baseline saw; others may exist, and labels that differ between pods of a workload are missing.
    Seen,
    /// All pods of the cluster at one time.
    All,
}

/// A pod, or a workload that stands for its pods.
#[derive(Clone, Debug, Default)]
pub struct LintPod {
    /// Namespace.
    pub namespace: Box<str>,
    /// The workload, or the pod where none is known, for the reader.
    pub name: Box<str>,
    /// Labels; `None` when not known.
    pub labels: Option<Labels>,
    /// Labels of the namespace; `None` when not known.
    pub namespace_labels: Option<Arc<Labels>>,
    /// Service account; `None` when not known.
    pub service_account: Option<Box<str>>,
    /// Whether it shares its node's network, where most CNIs apply no policy.
    pub host_network: bool,
    /// Whether it does not ask the cluster's resolver (`dnsPolicy` `None` or `Default`).
    pub has_own_resolver: bool,
}

/// A cluster as far as it is known.
#[derive(Clone, Debug)]
pub struct LintCluster {
    /// Name; empty when nobody named it.
    pub name: Box<str>,
    /// Name of the CNI profile.
    pub profile: &'static str,
    /// Dialects that the CNI enforces.
    pub enforces: &'static [Dialect],
    /// Whether a range matches the address of a pod.
    pub block_on_pod: Match,
    /// How complete `pods` is.
    pub knowledge: PodKnowledge,
    /// Pods, those that have ended too.
    pub pods: Vec<LintPod>,
    /// Namespaces with their labels, `None` when not known.
    pub namespaces: BTreeMap<Box<str>, Option<Arc<Labels>>>,
    /// Ranges of pod addresses.
    pub pod_networks: Vec<IpNet>,
    /// Cluster addresses of services.
    pub service_addresses: BTreeSet<IpAddr>,
    /// Addresses of nodes.
    pub node_addresses: BTreeSet<IpAddr>,
}

fn of_namespace<'a>(key: &str, name: &'a str, labels: Option<&'a Labels>) -> Value<'a> {
    if key == "kubernetes.io/metadata.name" {
        return Value::Is(name);
    }
    match labels {
        Some(labels) => labels.get(key).map_or(Value::Absent, |value| Value::Is(value)),
        None => Value::Unknown(Doubt::NamespaceLabelsUnknown),
    }
}

impl Labelled for LintPod {
    fn value(&self, key: &Key) -> Value<'_> {
        match key {
            Key::Pod(key) => match &self.labels {
                Some(labels) => labels.get(key).map_or(Value::Absent, |value| Value::Is(value)),
                None => Value::Unknown(Doubt::LabelsUnknown),
            },
            Key::NamespaceName => Value::Is(&self.namespace),
            Key::Namespace(key) => of_namespace(key, &self.namespace, self.namespace_labels.as_deref()),
            Key::ServiceAccount => {
                self.service_account.as_deref().map_or(Value::Unknown(Doubt::ServiceAccountUnknown), Value::Is)
            }
            Key::Cluster | Key::Node(_) => Value::Unknown(Doubt::PodUnknown),
        }
    }
}

/// Any pod of a namespace: a selector that means it means every pod there.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnyPodOf<'a> {
    pub(super) namespace: &'a str,
    pub(super) labels: Option<&'a Labels>,
}

impl Labelled for AnyPodOf<'_> {
    fn value(&self, key: &Key) -> Value<'_> {
        match key {
            Key::NamespaceName => Value::Is(self.namespace),
            Key::Namespace(key) => of_namespace(key, self.namespace, self.labels),
            Key::Pod(_) | Key::ServiceAccount | Key::Cluster | Key::Node(_) => Value::Unknown(Doubt::PodUnknown),
        }
    }
}
