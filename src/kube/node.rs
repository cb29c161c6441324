//! Nodes: their addresses and the pod ranges that they were given.
//!
//! In: `Node` objects. Out: [`Node`] values. The addresses that a CNI keeps on a node for tunnels and its own router count
//! as the node's, because node traffic and translated pod traffic appear under them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::object::NodeObject;
use super::pod::{Labels, address, time};
use crate::model::Timestamp;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: Box<str>,
    /// Labels.
    pub labels: Labels,
    /// `InternalIP` addresses.
    pub internal_addresses: BTreeSet<IpAddr>,
    /// `ExternalIP` addresses.
    pub external_addresses: BTreeSet<IpAddr>,
    /// Addresses of the CNI's tunnel and router interfaces, from the node's annotations.
    pub network_addresses: BTreeSet<IpAddr>,
    /// Ranges from which its pods may take addresses; many cloud CNIs do not use them.
    pub pod_networks: BTreeSet<IpNet>,
    /// When it joined; unknown when the object does not say.
    pub created: Timestamp,
}

/// Annotations that hold an address of the node: Cilium (`pkg/annotation`) and Calico with the Kubernetes datastore.
const ADDRESS_ANNOTATIONS: [&str; 9] = [
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
];

impl Node {
    /// Builds a node from its object.
    pub(super) fn from_object(object: NodeObject) -> Self {
        let NodeObject { metadata, spec, status } = object;
        let of_type = |kind: &str| {
            let entries = status.addresses.iter().filter(|entry| entry.r#type == kind);
            entries.filter_map(|entry| address(&entry.address)).collect()
        };
        let annotated = ADDRESS_ANNOTATIONS.iter().filter_map(|key| metadata.annotations.get(*key));
        let networks = spec.pod_cidrs.iter().chain([&spec.pod_cidr]);
        Self {
            internal_addresses: of_type("InternalIP"),
            external_addresses: of_type("ExternalIP"),
            network_addresses: annotated.filter_map(|text| address(text)).collect(),
            pod_networks: networks.filter_map(|text| text.parse::<IpNet>().ok()).map(|net| net.trunc()).collect(),
            created: time(&metadata.creation_timestamp).unwrap_or(Timestamp::UNKNOWN),
            name: metadata.name.into(),
            labels: metadata.labels,
        }
    }

    /// All its addresses, of whatever type.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.internal_addresses.iter().chain(&self.external_addresses).chain(&self.network_addresses).copied()
    }

    /// Joins another observation of a node of the same name, in any order.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.internal_addresses.append(&mut other.internal_addresses);
        self.external_addresses.append(&mut other.external_addresses);
        self.network_addresses.append(&mut other.network_addresses);
        self.pod_networks.append(&mut other.pod_networks);
        self.created = self.created.max(other.created);
        // The youngest observation is not known; any of several values, always the same one.
        for (key, value) in other.labels {
            let kept = self.labels.entry(key).or_insert_with(|| value.clone());
            if value < *kept {
                *kept = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_addresses_are_the_nodes_own() {
        let text = r#"{"metadata":{"name":"n1","annotations":{"projectcalico.org/IPv4VXLANTunnelAddr":"10.244.3.0",
            "projectcalico.org/IPv4Address":"192.0.2.4/24"}},
            "spec":{"podCIDR":"10.244.3.0/24","podCIDRs":["10.244.3.0/24","fd00:3::/64"]},
            "status":{"addresses":[{"type":"InternalIP","address":"192.0.2.4"},{"type":"Hostname","address":"n1"},
            {"type":"ExternalIP","address":"198.51.100.4"}]}}"#;
        let node = Node::from_object(serde_json::from_str(text).unwrap());
        let addresses: Vec<String> = node.addresses().map(|a| a.to_string()).collect();
        assert_eq!(addresses, ["192.0.2.4", "198.51.100.4", "10.244.3.0"]);
        assert_eq!(node.pod_networks.len(), 2);
    }
}
