//! The `source` and `destination` objects of a Hubble record, and the labels of a node, written once and reused.
//!
//! In: facts about a pod or a node. Out: JSON fragments. Only an end that lives on the emitting node carries
//! `ID` and `workloads`, as in real records.

use super::literal;

/// Facts about one pod.
#[derive(Clone, Debug)]
pub struct PodFacts<'a> {
    /// Cluster name.
    pub cluster: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Pod name.
    pub pod: &'a str,
    /// Kind of the owning workload.
    pub workload_kind: &'a str,
    /// Name of the owning workload.
    pub workload: &'a str,
    /// Labels as `key=value`.
    pub labels: &'a [(&'a str, &'a str)],
    /// Service account.
    pub service_account: &'a str,
    /// Cilium's security identity.
    pub identity: u32,
    /// Cilium's endpoint number on the node.
    pub endpoint: u32,
}

/// The object of one pod, as its own node and as every other node writes it.
#[derive(Clone, Debug)]
pub struct PodObject {
    /// With `ID` and `workloads`.
    pub local: Vec<u8>,
    /// Without them.
    pub remote: Vec<u8>,
}

impl PodObject {
    /// Writes both forms.
    pub fn new(facts: &PodFacts<'_>) -> Self {
        let mut labels: Vec<String> = facts.labels.iter().map(|(key, value)| format!("k8s:{key}={value}")).collect();
        labels.push(format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={}", facts.namespace));
        labels.push(format!("k8s:io.cilium.k8s.policy.cluster={}", facts.cluster));
        labels.push(format!("k8s:io.cilium.k8s.policy.serviceaccount={}", facts.service_account));
        labels.push(format!("k8s:io.kubernetes.pod.namespace={}", facts.namespace));
        labels.sort_unstable();
        let mut body = Vec::new();
        body.extend_from_slice(br#""identity":"#);
        literal::decimal(&mut body, u64::from(facts.identity));
        for (key, value) in [("cluster_name", facts.cluster), ("namespace", facts.namespace)] {
            literal::shown(&mut body, format_args!(",\"{key}\":"));
            literal::quoted(&mut body, value);
        }
        body.extend_from_slice(br#","labels":"#);
        literal::quoted_list(&mut body, labels.iter().map(String::as_str));
        body.extend_from_slice(br#","pod_name":"#);
        literal::quoted(&mut body, facts.pod);
        let remote = [b"{", body.as_slice(), b"}"].concat();
        let mut local = Vec::new();
        literal::shown(&mut local, format_args!("{{\"ID\":{},", facts.endpoint));
        local.extend_from_slice(&body);
        local.extend_from_slice(br#","workloads":[{"name":"#);
        literal::quoted(&mut local, facts.workload);
        local.extend_from_slice(br#","kind":"#);
        literal::quoted(&mut local, facts.workload_kind);
        local.extend_from_slice(b"}]}");
        Self { local, remote }
    }
}

/// An end outside every cluster, IPv4; identity 9 as a dual-stack cluster assigns it.
pub const WORLD_IPV4: &[u8] = br#"{"identity":9,"labels":["reserved:world-ipv4"]}"#;
/// An end outside every cluster, IPv6; identity 10 as a dual-stack cluster assigns it.
pub const WORLD_IPV6: &[u8] = br#"{"identity":10,"labels":["reserved:world-ipv6"]}"#;
/// The emitting node itself, or a host-network pod on it.
pub const HOST: &[u8] = br#"{"identity":1,"labels":["reserved:host"]}"#;
/// Another node, or a host-network pod there.
pub const REMOTE_NODE: &[u8] = br#"{"identity":6,"labels":["reserved:remote-node"]}"#;
/// The API server on a node.
pub const KUBE_APISERVER: &[u8] = br#"{"identity":7,"labels":["reserved:kube-apiserver","reserved:remote-node"]}"#;

/// The JSON array of labels that a managed cloud puts on a node.
pub fn node_labels(node: &str, region: &str, zone: &str, pool: &str) -> Vec<u8> {
    let labels = [
        "kubernetes.io/arch=amd64".to_owned(),
        format!("kubernetes.io/hostname={node}"),
        "kubernetes.io/os=linux".to_owned(),
        format!("node.example.com/pool={pool}"),
        "node.kubernetes.io/instance-type=m6i.xlarge".to_owned(),
        format!("topology.kubernetes.io/region={region}"),
        format!("topology.kubernetes.io/zone={zone}"),
    ];
    let mut out = Vec::new();
    literal::quoted_list(&mut out, labels.iter().map(String::as_str));
    out
}

/// The `egress_allowed_by` or `ingress_allowed_by` array for one policy.
pub fn allowed_by(kind: &str, name: &str, namespace: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(br#"[{"name":"#);
    literal::quoted(&mut out, name);
    out.extend_from_slice(br#","namespace":"#);
    literal::quoted(&mut out, namespace);
    out.extend_from_slice(br#","labels":"#);
    let labels = [
        format!("k8s:io.cilium.k8s.policy.derived-from={kind}"),
        format!("k8s:io.cilium.k8s.policy.name={name}"),
        format!("k8s:io.cilium.k8s.policy.namespace={namespace}"),
    ];
    literal::quoted_list(&mut out, labels.iter().map(String::as_str));
    out.extend_from_slice(br#","revision":"7","kind":"#);
    literal::quoted(&mut out, kind);
    out.extend_from_slice(b"}]");
    out
}
