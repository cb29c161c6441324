//! One end of a Hubble flow: from Cilium's endpoint object to ours.
//!
//! In: the object's texts. Out: an interned [`Endpoint`] and the few facts that the record as a whole is judged by.
//! Labels lose their source prefix and Cilium's bookkeeping. Identity numbers are Cilium's reserved and scoped ranges
//! (`pkg/identity/numericidentity.go`); labels win over numbers, because numbers of local identities repeat per node.

use crate::model::{
    ChainId, Endpoint, EndpointId, IdentityKind, LabelList, TextId, Vocabulary, Workload, WorkloadKind, is_context,
};

use super::facts::{chain, cluster_text};
use super::record::End;

/// What is known about one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EndFacts {
    /// The end itself.
    pub(super) id: EndpointId,
    /// What its identity says.
    pub(super) identity: IdentityKind,
    /// Its cluster.
    pub(super) cluster: TextId,
    /// Whether it lives on the emitting node.
    pub(super) local: bool,
    /// Whether it names a pod.
    pub(super) has_pod: bool,
    /// Whether it carries a pod's identity and labels but none of the fields that every pod has.
    pub(super) is_nameless_pod: bool,
    /// Names of the policy selectors that its identity stands for (`fqdn:` labels without a pattern).
    pub(super) selected_names: ChainId,
}

const NAMESPACE_LABEL: &str = "k8s:io.kubernetes.pod.namespace=";

impl EndFacts {
    /// Interns one end.
    pub(super) fn read(end: &End<'_>, vocabulary: &mut Vocabulary) -> Self {
        let labels = &end.labels.0;
        let label_namespace = labels.iter().find_map(|label| label.strip_prefix(NAMESPACE_LABEL)).unwrap_or_default();
        let stated_namespace = end.namespace.text().unwrap_or_default();
        let namespace = if stated_namespace.is_empty() { label_namespace } else { stated_namespace };
        let pod = end.pod_name.text().unwrap_or_default();
        let number = end.identity.number().unwrap_or_default();
        let reserved = labels.iter().filter_map(|label| label.strip_prefix("reserved:")).filter_map(reserved).min();
        let identity = reserved.map_or_else(
            || identity(number, labels, !namespace.is_empty() || !pod.is_empty()),
            |(_, identity)| identity,
        );
        let local = end.id.number().unwrap_or_default() != 0;
        let cluster = end.cluster_name.text().filter(|name| *name != "default").unwrap_or_default();
        let selected: Vec<&str> = labels
            .iter()
            .filter_map(|label| label.strip_prefix("fqdn:"))
            .filter(|selector| !selector.contains('*'))
            .collect();
        let is_nameless_pod = pod.is_empty()
            && stated_namespace.is_empty()
            && !local
            && reserved.is_none()
            && POD_IDENTITIES.contains(&number)
            && !label_namespace.is_empty();
        let shown = if identity == IdentityKind::World { &[] } else { labels.as_slice() };
        let (own, context) = kubernetes_labels(shown);
        let endpoint = Endpoint {
            namespace: namespace.into(),
            pod: pod.into(),
            workload: workload(end),
            labels: own,
            identity,
            local,
            cluster: cluster.into(),
            context,
        };
        Self {
            id: vocabulary.endpoint(endpoint),
            identity,
            cluster: cluster_text(cluster, vocabulary),
            local,
            has_pod: !pod.is_empty(),
            is_nameless_pod,
            selected_names: chain(&selected, vocabulary),
        }
    }
}

fn workload(end: &End<'_>) -> Option<Workload> {
    let owner = end.workloads.0.as_ref()?;
    let name = owner.name.text().filter(|name| !name.is_empty())?;
    let kind = owner.kind.text().filter(|kind| !kind.is_empty()).unwrap_or("Workload");
    Some(Workload { kind: WorkloadKind(kind.into()), name: name.into() })
}

/// The pod's own labels, and what else of its namespace and account is written as labels.
fn kubernetes_labels<T: AsRef<str>>(labels: &[T]) -> (LabelList, LabelList) {
    let mut kept: Vec<Box<str>> = labels
        .iter()
        .filter_map(|label| label.as_ref().strip_prefix("k8s:"))
        .filter(|label| !label.starts_with("io.cilium.") || is_context(label))
        .filter(|label| !label.starts_with("io.kubernetes.pod.namespace="))
        .map(Into::into)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    Endpoint::split_labels(kept)
}

/// Ranks the `reserved:` labels: a node that runs the API server carries several, and the API server tells most.
fn reserved(label: &str) -> Option<(u8, IdentityKind)> {
    Some(match label {
        "kube-apiserver" => (0, IdentityKind::KubeApiserver),
        "host" => (1, IdentityKind::Host),
        "remote-node" => (2, IdentityKind::RemoteNode),
        "health" => (3, IdentityKind::Health),
        "init" => (4, IdentityKind::Init),
        "ingress" => (5, IdentityKind::Ingress),
        "unmanaged" => (6, IdentityKind::Unmanaged),
        _ if label.starts_with("world") => (7, IdentityKind::World),
        _ => return None,
    })
}

/// Cluster-wide identities, with a cluster mesh's cluster number in the upper bits.
const POD_IDENTITIES: std::ops::Range<u64> = 256..1 << 24;
/// CIDR and FQDN identities, local to one node.
const CIDR_IDENTITIES: std::ops::Range<u64> = 1 << 24..2 << 24;
/// Identities of other nodes, local to one node.
const NODE_IDENTITIES: std::ops::Range<u64> = 2 << 24..3 << 24;

fn identity<T: AsRef<str>>(number: u64, labels: &[T], names_pod: bool) -> IdentityKind {
    let outside = |label: &T| {
        let label = label.as_ref();
        label.starts_with("cidr:") || label.starts_with("fqdn:") || label.starts_with("cidrgroup:")
    };
    match number {
        1 => IdentityKind::Host,
        2 | 9 | 10 => IdentityKind::World,
        3 => IdentityKind::Unmanaged,
        4 => IdentityKind::Health,
        5 => IdentityKind::Init,
        6 => IdentityKind::RemoteNode,
        7 => IdentityKind::KubeApiserver,
        8 => IdentityKind::Ingress,
        _ if CIDR_IDENTITIES.contains(&number) || labels.iter().any(outside) => IdentityKind::World,
        _ if NODE_IDENTITIES.contains(&number) => IdentityKind::RemoteNode,
        _ if names_pod || POD_IDENTITIES.contains(&number) => IdentityKind::Pod,
        _ => IdentityKind::Unknown,
    }
}
