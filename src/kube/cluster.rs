//! The objects of one cluster, and who held an address when.
//!
//! In: objects, one by one, in any order. Out: lookups by name, and by address and time. Pods that shared an address one
//! after another are told apart by time; host-network pods never own an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::HashMap;

use super::node::Node;
use super::pod::{Labels, Pod};
use super::service::{Backend, Service};
use super::workload::{self, Controllers};
use crate::model::Timestamp;

/// Clocks of nodes and of the API server differ, and object times are cut to the second.
const SLACK_NANOS: i64 = 5_000_000_000;

/// Namespace, name and uid.
type PodKey = (Box<str>, Box<str>, Box<str>);
/// Namespace and name.
type ServiceKey = (Box<str>, Box<str>);

#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pods: Vec<Pod>,
    pods_by_name: BTreeMap<PodKey, usize>,
    pods_by_address: HashMap<IpAddr, Vec<usize>>,
    pub(super) services: BTreeMap<ServiceKey, Service>,
    services_by_address: HashMap<IpAddr, BTreeSet<ServiceKey>>,
    pub(super) backends: BTreeMap<IpAddr, BTreeSet<Backend>>,
    pub(super) nodes: BTreeMap<Box<str>, Node>,
    nodes_by_address: HashMap<IpAddr, Box<str>>,
    /// Labels by name, with the version of the object that they are from.
    pub(super) namespaces: BTreeMap<Box<str>, (u64, Labels)>,
    pub(super) controllers: Controllers,
}

impl Cluster {
    pub(super) fn add_pod(&mut self, pod: Pod) {
        let key = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
        let index = *self.pods_by_name.entry(key).or_insert(self.pods.len());
        match self.pods.get_mut(index) {
            Some(known) => known.absorb(pod),
            None => self.pods.push(pod),
        }
    }

    pub(super) fn add_service(&mut self, service: Service) {
        let key = (service.namespace.clone(), service.name.clone());
        match self.services.get_mut(&key) {
            Some(known) => known.absorb(service),
            None => {
                self.services.insert(key, service);
            }
        }
    }

    pub(super) fn add_node(&mut self, node: Node) {
        match self.nodes.get_mut(&node.name) {
            Some(known) => known.absorb(node),
            None => {
                self.nodes.insert(node.name.clone(), node);
            }
        }
    }

    /// Brings workloads and address indexes up to date, once a file has been read.
    pub(super) fn settle(&mut self) {
        self.pods_by_address.clear();
        for &index in self.pods_by_name.values() {
            let Some(pod) = self.pods.get_mut(index) else { continue };
            pod.workload = workload::of_pod(pod, &self.controllers);
            if !pod.host_network {
                for address in &pod.addresses {
                    self.pods_by_address.entry(*address).or_default().push(index);
                }
            }
        }
        let pods = &self.pods;
        for holders in self.pods_by_address.values_mut() {
            // A stable sort: pods that began in the same instant stay in the order of their names.
            holders.sort_by_key(|index| pods.get(*index).map(|pod| pod.started));
        }
        self.services_by_address.clear();
        for (key, service) in &self.services {
            for address in service.cluster_addresses.iter().chain(&service.external_addresses) {
                self.services_by_address.entry(*address).or_default().insert(key.clone());
            }
        }
        self.nodes_by_address.clear();
        let mut nodes: Vec<&Node> = self.nodes.values().collect();
        nodes.sort_by_key(|node| node.created);
        for node in nodes {
            for address in node.addresses() {
                self.nodes_by_address.insert(address, node.name.clone());
            }
        }
    }

    /// The pod that held `address` at `time`.
    pub(super) fn pod_at(&self, address: IpAddr, time: Timestamp) -> Option<&Pod> {
        let holders = self.pods_by_address.get(&address.to_canonical())?;
        let mut pods = holders.iter().filter_map(|index| self.pods.get(*index));
        if !time.is_known() {
            return pods.next().filter(|_| pods.next().is_none());
        }
        // The last one that began owns the address: a pod whose end nobody recorded must have given it back by then.
        pods.clone()
            .rfind(|pod| pod.held_at(time, 0))
            .or_else(|| pods.filter(|pod| pod.held_at(time, SLACK_NANOS)).min_by_key(|pod| distance(pod, time)))
    }

    /// The latest pod of that name.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        let first = (namespace.into(), name.into(), Box::default());
        let namesakes = self.pods_by_name.range(first..).take_while(|(key, _)| &*key.0 == namespace && &*key.1 == name);
        namesakes.filter_map(|(_, index)| self.pods.get(*index)).max_by_key(|pod| pod.started)
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods_by_name.values().filter_map(|index| self.pods.get(*index))
    }

    pub(super) fn services_at(&self, address: IpAddr) -> impl Iterator<Item = &Service> {
        let keys = self.services_by_address.get(&address.to_canonical());
        keys.into_iter().flatten().filter_map(|key| self.services.get(key))
    }

    pub(super) fn node_at(&self, address: IpAddr) -> Option<&Node> {
        self.nodes.get(self.nodes_by_address.get(&address.to_canonical())?)
    }
}

/// How far `time` lies outside the life of `pod`.
fn distance(pod: &Pod, time: Timestamp) -> i64 {
    let before = if pod.started.is_known() { pod.started.nanos().saturating_sub(time.nanos()) } else { 0 };
    let after = pod.ended.map_or(0, |ended| time.nanos().saturating_sub(ended.nanos()));
    before.max(after).max(0)
}
