//! The inventory of all clusters: what a name or an address stood for.
//!
//! In: lookups by cluster (two clusters may use the same addresses), address and time. Out: borrowed objects, and iterators
//! in sorted order. An unknown cluster answers nothing. Nothing is read here (see `load`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::cluster::Cluster;
use super::node::Node;
use super::pod::{Labels, Pod};
use super::service::{Backend, Service};
use super::workload::{self, Controller};
use crate::model::{Timestamp, Workload};

/// Kubernetes objects of any number of clusters.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub(super) clusters: BTreeMap<Box<str>, Cluster>,
}

impl Inventory {
    /// Names of all clusters, sorted.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.clusters.keys().map(|name| &**name)
    }

    /// Whether no object was kept.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Finds the pod that held `address` at `time`.
    ///
    /// Of several pods in turn, the last one that had begun and had not ended; five seconds around its life still count where no
    /// other pod fits. Without a time, the only pod that ever held the address, if there is only one. Never a host-network pod.
    pub fn pod_at(&self, cluster: &str, address: IpAddr, time: Timestamp) -> Option<&Pod> {
        self.clusters.get(cluster)?.pod_at(address, time)
    }

    /// Finds a pod by name; the latest, where several bore the name in turn.
    pub fn pod(&self, cluster: &str, namespace: &str, name: &str) -> Option<&Pod> {
        self.clusters.get(cluster)?.pod(namespace, name)
    }

    /// All pods of a cluster, by namespace, name and uid.
    pub fn pods(&self, cluster: &str) -> impl Iterator<Item = &Pod> {
        self.clusters.get(cluster).into_iter().flat_map(Cluster::pods)
    }

    /// Finds the service at an address: the one whose cluster address it is, else the only one that uses it outside.
    pub fn service_at(&self, cluster: &str, address: IpAddr) -> Option<&Service> {
        let address = address.to_canonical();
        let mut outside = self.services_at(cluster, address);
        let inside = self.services_at(cluster, address).find(|service| service.cluster_addresses.contains(&address));
        inside.or_else(|| outside.next().filter(|_| outside.next().is_none()))
    }

    /// Finds the service at an address and port: load balancers may share an address and differ by port.
    pub fn service_at_port(&self, cluster: &str, address: IpAddr, port: u16) -> Option<&Service> {
        let address = address.to_canonical();
        let mut outside = self.services_at(cluster, address).filter(|service| service.answers_outside(address, port));
        self.service_at(cluster, address).or_else(|| outside.next().filter(|_| outside.next().is_none()))
    }

    /// All services at an address, by namespace and name.
    pub fn services_at(&self, cluster: &str, address: IpAddr) -> impl Iterator<Item = &Service> {
        self.clusters.get(cluster).into_iter().flat_map(move |cluster| cluster.services_at(address))
    }

    /// Finds a service by name.
    pub fn service(&self, cluster: &str, namespace: &str, name: &str) -> Option<&Service> {
        self.clusters.get(cluster)?.services.get(&(namespace.into(), name.into()))
    }

    /// All services of a cluster, by namespace and name.
    pub fn services(&self, cluster: &str) -> impl Iterator<Item = &Service> {
        self.clusters.get(cluster).into_iter().flat_map(|cluster| cluster.services.values())
    }

    /// The services that have `address` as one of their backends.
    pub fn backends_at(&self, cluster: &str, address: IpAddr) -> impl Iterator<Item = &Backend> {
        let found = self.clusters.get(cluster).and_then(|cluster| cluster.backends.get(&address.to_canonical()));
        found.into_iter().flatten()
    }

    /// All backends of a cluster, by address.
    pub fn backends(&self, cluster: &str) -> impl Iterator<Item = &Backend> {
        self.clusters.get(cluster).into_iter().flat_map(|cluster| cluster.backends.values().flatten())
    }

    /// Whether `address` is the API server: the `kubernetes` service of the `default` namespace, or what stands behind it.
    pub fn is_api_server(&self, cluster: &str, address: IpAddr) -> bool {
        let named = |namespace: &str, name: &str| namespace == "default" && name == "kubernetes";
        self.services_at(cluster, address).any(|service| named(&service.namespace, &service.name))
            || self.backends_at(cluster, address).any(|backend| named(&backend.namespace, &backend.service))
    }

    /// Finds the node at an address, tunnel and router addresses of its CNI included; the youngest, if several had it in turn.
    pub fn node_at(&self, cluster: &str, address: IpAddr) -> Option<&Node> {
        self.clusters.get(cluster)?.node_at(address)
    }

    /// Finds a node by name.
    pub fn node(&self, cluster: &str, name: &str) -> Option<&Node> {
        self.clusters.get(cluster)?.nodes.get(name)
    }

    /// All nodes of a cluster, by name.
    pub fn nodes(&self, cluster: &str) -> impl Iterator<Item = &Node> {
        self.clusters.get(cluster).into_iter().flat_map(|cluster| cluster.nodes.values())
    }

    /// The pod ranges of the nodes, joined where they touch. Evidence only: cloud CNIs take pod addresses from elsewhere.
    pub fn pod_networks(&self, cluster: &str) -> Vec<IpNet> {
        let networks: Vec<IpNet> = self.nodes(cluster).flat_map(|node| node.pod_networks.iter().copied()).collect();
        let mut joined = IpNet::aggregate(&networks);
        joined.sort_unstable();
        joined
    }

    /// The cluster addresses of all services, sorted: evidence of the service range.
    pub fn service_addresses(&self, cluster: &str) -> BTreeSet<IpAddr> {
        self.services(cluster).flat_map(|service| service.cluster_addresses.iter().copied()).collect()
    }

    /// All namespaces of a cluster with their labels, by name.
    pub fn namespaces(&self, cluster: &str) -> impl Iterator<Item = (&str, &Labels)> {
        let found = self.clusters.get(cluster).into_iter().flat_map(|cluster| &cluster.namespaces);
        found.map(|(name, (_, labels))| (&**name, labels))
    }

    /// The labels of a namespace.
    pub fn namespace(&self, cluster: &str, name: &str) -> Option<&Labels> {
        self.clusters.get(cluster)?.namespaces.get(name).map(|(_, labels)| labels)
    }

    /// All controllers of a cluster, by kind, namespace and name.
    pub fn controllers(&self, cluster: &str) -> impl Iterator<Item = &Controller> {
        self.clusters.get(cluster).into_iter().flat_map(|cluster| cluster.controllers.values())
    }

    /// Names the workload of a pod: by its owners where the pod is known, else by its name; `None` without a pod name.
    pub fn workload_of(&self, cluster: &str, namespace: &str, pod: &str) -> Option<Workload> {
        if pod.is_empty() {
            return None;
        }
        let Some(known) = self.clusters.get(cluster) else {
            return Some(Workload::from_pod_name(pod));
        };
        let found = known.pod(namespace, pod).map(|found| found.workload.clone());
        Some(found.unwrap_or_else(|| workload::of_name(namespace, pod, &known.controllers)))
    }
}
