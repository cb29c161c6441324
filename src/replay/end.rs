//! One end of a connection as policies see it: a pod with its labels at that time, a node, an address outside.

use std::net::IpAddr;
use std::sync::Arc;

use crate::kube::{ContainerPort, Labels};
use crate::model::{Protocol, Workload};
use crate::policy::{Doubt, Key, Labelled, Value};

/// What an end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndKind {
    /// A pod with an address of its own.
    Pod,
    /// A pod that shares its node's network.
    HostPod,
    /// A node.
    Node,
    /// The API server.
    KubeApiserver,
    /// A gateway proxy of the CNI.
    Gateway,
    /// The address of a service, not translated to a pod's.
    Service,
    /// Outside the cluster.
    Outside,
    /// An address that may be a pod's and that nobody knows.
    #[default]
    Unknown,
}

/// That an address is one of those behind a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Behind {
    /// Namespace of the service.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Ports there.
    pub ports: Vec<(u16, Protocol)>,
}

/// Where the labels of a namespace come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToldBy {
    /// The `Namespace` object: all of them, as of when it was listed. Also where nobody told any.
    #[default]
    Objects,
    /// Flow records of Cilium alone: as of the time of the flow, and clusters may keep some out of them, so that one which is
    /// missing may be there.
    Records,
    /// Flow records, and the object for what these do not have.
    Both,
}

/// One end of a connection. Empty and `None` mean not known, unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End {
    /// What it is.
    pub kind: EndKind,
    /// Cluster.
    pub cluster: Box<str>,
    /// Namespace of a pod.
    pub namespace: Box<str>,
    /// The workload, for the reader.
    pub workload: Option<Workload>,
    /// Pod, node or service by name, for the reader; two ends that differ only here are the same to a policy.
    pub name: Box<str>,
    /// Labels of the pod.
    pub labels: Option<Labels>,
    /// Whether the labels come from flow records of Cilium, which leave out some labels that pods have.
    pub labels_are_filtered: bool,
    /// Labels of the namespace.
    pub namespace_labels: Option<Arc<Labels>>,
    /// Who told these.
    pub namespace_told_by: ToldBy,
    /// Service account of the pod.
    pub service_account: Option<Box<str>>,
    /// Container ports of the pod.
    pub ports: Option<Arc<[ContainerPort]>>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The node it is, or runs on.
    pub node: Box<str>,
    /// Labels of that node.
    pub node_labels: Option<Arc<Labels>>,
    /// The services that it stands behind; `None` when the services of the cluster are not known.
    pub services: Option<Arc<[Behind]>>,
    /// Whether it is known to be neither a pod nor a node of the cluster, although it has a part in it (a managed API server).
    pub is_external: bool,
    /// The pods behind a service, and the port there; empty when not known.
    pub backends: Vec<(Arc<Self>, u16)>,
}

impl End {
    /// A pod with these labels, for tests and for callers that have no flow records.
    pub fn pod(namespace: &str, labels: &[(&str, &str)]) -> Self {
        Self {
            kind: EndKind::Pod,
            namespace: namespace.into(),
            labels: Some(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()),
            namespace_labels: Some(Arc::new(Labels::new())),
            service_account: Some("default".into()),
            ports: Some([].into()),
            ..Self::default()
        }
    }

    /// An address outside the cluster.
    pub fn outside(address: IpAddr) -> Self {
        Self { kind: EndKind::Outside, address: Some(address.to_canonical()), ..Self::default() }
    }

    /// Whether it is a pod, on whatever network.
    pub const fn is_pod(&self) -> bool {
        matches!(self.kind, EndKind::Pod | EndKind::HostPod)
    }

    /// Whether it is a node, or shares one's network.
    pub const fn is_on_node(&self) -> bool {
        matches!(self.kind, EndKind::Node | EndKind::HostPod)
            || matches!(self.kind, EndKind::KubeApiserver) && !self.is_external
    }

    /// Whether it is outside the cluster, an API server there included.
    pub const fn is_outside(&self) -> bool {
        matches!(self.kind, EndKind::Outside) || self.is_external
    }

    fn pod_label(&self, key: &str) -> Value<'_> {
        let Some(labels) = &self.labels else { return Value::Unknown(Doubt::LabelsUnknown) };
        match labels.get(key) {
            Some(value) => Value::Is(value),
            None if self.labels_are_filtered && is_left_out(key) => Value::Unknown(Doubt::LabelsUnknown),
            None => Value::Absent,
        }
    }
}

/// Labels that Cilium keeps out of identities unless told otherwise (`labelfilter`, defaults), so that its records lack them.
pub(super) fn is_left_out(key: &str) -> bool {
    let bookkeeping = [
        "pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "controller-uid",
        "etcd_node",
        "job-name",
    ];
    let prefix = key.split_once('/').map(|(prefix, _)| prefix).unwrap_or_default();
    let reserved = prefix.ends_with("kubernetes.io") || prefix.ends_with("k8s.io");
    bookkeeping.contains(&key) || key.starts_with("annotation") || (reserved && prefix != "app.kubernetes.io")
}

impl Labelled for End {
    fn value(&self, key: &Key) -> Value<'_> {
        if self.kind == EndKind::Unknown {
            return Value::Unknown(Doubt::PodUnknown);
        }
        match key {
            Key::Pod(key) => self.pod_label(key),
            Key::NamespaceName => Value::Is(&self.namespace),
            Key::Namespace(key) if &**key == "kubernetes.io/metadata.name" => Value::Is(&self.namespace),
            Key::Namespace(key) => match &self.namespace_labels {
                Some(labels) => match labels.get(key) {
                    Some(value) => Value::Is(value),
                    None if self.namespace_told_by == ToldBy::Records => Value::Unknown(Doubt::NamespaceLabelsUnknown),
                    None => Value::Absent,
                },
                None => Value::Unknown(Doubt::NamespaceLabelsUnknown),
            },
            Key::ServiceAccount => match &self.service_account {
                Some(name) => Value::Is(name),
                None => Value::Unknown(Doubt::ServiceAccountUnknown),
            },
            Key::Cluster => Value::Is(&self.cluster),
            Key::Node(key) => match &self.node_labels {
                Some(labels) => labels.get(key).map_or(Value::Absent, |value| Value::Is(value)),
                None => Value::Unknown(Doubt::NodeTraffic),
            },
        }
    }
}

/// How much the names of a connection's destination are worth to a rule that goes by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameEvidence {
    /// Answers to the pod itself, or the CNI's own record.
    Own,
    /// Answers to other pods, or outdated ones.
    Weak,
    /// None.
    #[default]
    None,
}

/// The names that a destination may have had, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    /// Lower case, without the final dot.
    pub list: Vec<Box<str>>,
    /// What they rest on.
    pub evidence: NameEvidence,
}

impl Names {
    /// One name that the pod itself asked for.
    pub fn own(name: &str) -> Self {
        Self { list: vec![name.into()], evidence: NameEvidence::Own }
    }
}
