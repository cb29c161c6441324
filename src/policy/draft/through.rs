//! Callers that records show at a service's address: the pods behind it have to let them in, and no record of theirs says so.
//!
//! In: an edge of any namespace to a service of this one, and the objects of the cluster. Out: for each workload behind the service the same
//! edge as its own side would have seen it.

use std::collections::BTreeMap;

use super::baseline::SeenEdge;
use super::plan::DraftInput;
use crate::kube::{Pod, Port};
use crate::model::Workload;
use crate::summary::Peer;

/// The edge as seen by every workload behind the service, at the port there; empty where the pods are not known.
pub(super) fn mirrored(input: &DraftInput<'_>, client: &str, edge: &SeenEdge) -> Vec<SeenEdge> {
    let Peer::Service { namespace, name } = &edge.peer else { return Vec::new() };
    let cluster = input.baseline.cluster.as_str();
    let Some(service) = input.inventory.service(cluster, namespace, name).filter(|known| !known.selector.is_empty())
    else {
        return Vec::new();
    };
    let is_behind = |pod: &&Pod| {
        pod.namespace == *namespace
            && !pod.host_network
            && service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    let protocol = edge.protocol.to_string();
    let ports = service.ports.iter().filter(|port| port.port == edge.port && *port.protocol == *protocol);
    let ports: Vec<&Port> = ports.collect();
    let mut seen: BTreeMap<(Workload, u16), SeenEdge> = BTreeMap::new();
    for pod in input.inventory.pods(cluster).filter(is_behind) {
        for number in ports.iter().filter_map(|port| target(port, pod)) {
            seen.entry((pod.workload.clone(), number)).or_insert_with(|| SeenEdge {
                workload: pod.workload.clone(),
                peer: Peer::Workload { cluster: "".into(), namespace: client.into(), workload: edge.workload.clone() },
                port: number,
                addresses: BTreeMap::new(),
                pods: Vec::new(),
                judgement: None,
                ..edge.clone()
            });
        }
    }
    seen.into_values().collect()
}

/// The port at a pod.
fn target(port: &Port, pod: &Pod) -> Option<u16> {
    if port.target.is_empty() {
        return Some(port.port);
    }
    let named = || pod.ports.iter().find(|own| own.name == port.target).map(|own| own.port);
    port.target.parse().ok().or_else(named)
}
