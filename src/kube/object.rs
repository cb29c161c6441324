//! Kubernetes objects as the API server prints them, reduced to the fields that the inventory needs.
//!
//! In: one object, JSON bytes or a value read from YAML. Out: plain structs. Unknown fields are passed over, `null` reads
//! as absent (the API server prints empty lists that way). Field names: Kubernetes API reference, core/v1, apps/v1,
//! batch/v1 and discovery.k8s.io/v1. Nothing is judged here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Declares structs whose every field may be absent or `null`.
macro_rules! objects {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[serde($rename:meta)])? $field:ident: $kind:ty,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct $name {
            $($(#[serde($rename)])? #[serde(deserialize_with = "or_default")] pub(super) $field: $kind,)*
        }
    )*};
}

objects! {
    /// `metadata` of any object.
    Metadata {
        namespace: String,
        name: String,
        uid: String,
        resource_version: String,
        labels: BTreeMap<Box<str>, Box<str>>,
        annotations: BTreeMap<Box<str>, String>,
        owner_references: Vec<OwnerReference>,
        creation_timestamp: String,
        deletion_timestamp: String,
    }
    OwnerReference { kind: String, name: String, controller: bool, }

    PodObject { metadata: Metadata, spec: PodSpec, status: PodStatus, }
    PodSpec {
        host_network: bool,
        node_name: String,
        dns_policy: String,
        service_account_name: String,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
    }
    Container { ports: Vec<ContainerPortEntry>, }
    ContainerPortEntry { name: String, container_port: u16, protocol: String, }
    PodStatus {
        phase: String,
        start_time: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        #[serde(rename = "podIPs")]
        pod_ips: Vec<AddressEntry>,
        #[serde(rename = "hostIP")]
        host_ip: String,
        container_statuses: Vec<ContainerStatus>,
        conditions: Vec<Condition>,
    }
    ContainerStatus { state: ContainerState, }
    ContainerState { terminated: Terminated, }
    Terminated { finished_at: String, }
    Condition { last_transition_time: String, }
    AddressEntry { ip: String, hostname: String, }

    ServiceObject { metadata: Metadata, spec: ServiceSpec, status: ServiceStatus, }
    ServiceSpec {
        r#type: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        #[serde(rename = "clusterIPs")]
        cluster_ips: Vec<String>,
        #[serde(rename = "externalIPs")]
        external_ips: Vec<String>,
        external_name: String,
        selector: BTreeMap<Box<str>, Box<str>>,
        ports: Vec<PortEntry>,
    }
    PortEntry { name: String, protocol: String, port: u16, node_port: u16, target_port: NumberOrName, }
    ServiceStatus { load_balancer: LoadBalancer, }
    LoadBalancer { ingress: Vec<AddressEntry>, }

    EndpointSliceObject { metadata: Metadata, endpoints: Vec<SliceEndpoint>, ports: Vec<PortEntry>, }
    SliceEndpoint { addresses: Vec<String>, target_ref: TargetReference, }
    TargetReference { kind: String, namespace: String, name: String, }

    EndpointsObject { metadata: Metadata, subsets: Vec<Subset>, }
    Subset { addresses: Vec<SubsetAddress>, not_ready_addresses: Vec<SubsetAddress>, ports: Vec<PortEntry>, }
    SubsetAddress { ip: String, target_ref: TargetReference, }

    NodeObject { metadata: Metadata, spec: NodeSpec, status: NodeStatus, }
    NodeSpec {
        #[serde(rename = "podCIDR")]
        pod_cidr: String,
        #[serde(rename = "podCIDRs")]
        pod_cidrs: Vec<String>,
    }
    NodeStatus { addresses: Vec<NodeAddress>, }
    NodeAddress { r#type: String, address: String, }

    NamespaceObject { metadata: Metadata, }

    /// Deployment, `ReplicaSet`, `StatefulSet`, `DaemonSet`, Job and `CronJob` alike.
    ControllerObject { metadata: Metadata, spec: ControllerSpec, status: ControllerStatus, }
    ControllerSpec { replicas: Option<u32>, schedule: String, }
    ControllerStatus { desired_number_scheduled: Option<u32>, }
}

/// A port number, or the name of a container port.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrName {
    Number(u16),
    Name(String),
}

impl Default for NumberOrName {
    fn default() -> Self {
        Self::Number(0)
    }
}
