//! What stands behind services: by endpoint slices where there are any, else by the selectors of the services.
//!
//! In: the inventory. Out: addresses with the services behind which they stand, and the pods of one service.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::end::Behind;
use crate::kube::{Inventory, Pod, Port, Service};
use crate::model::Protocol;

/// Every address that stands behind a service of a cluster.
pub(super) fn behind(inventory: &Inventory, cluster: &str) -> HashMap<IpAddr, Arc<[Behind]>> {
    let mut found: HashMap<IpAddr, Vec<Behind>> = HashMap::new();
    for backend in inventory.backends(cluster) {
        let ports = backend.ports.iter().filter_map(|port| Some((port.port, protocol(port)?))).collect();
        let (namespace, name) = (backend.namespace.clone(), backend.service.clone());
        found.entry(backend.address).or_default().push(Behind { namespace, name, ports });
    }
    let with_slices: HashSet<(&str, &str)> =
        inventory.backends(cluster).map(|backend| (&*backend.namespace, &*backend.service)).collect();
    for service in inventory.services(cluster) {
        if service.selector.is_empty() || with_slices.contains(&(&*service.namespace, &*service.name)) {
            continue;
        }
        for pod in pods(inventory, cluster, service) {
            let ports = service.ports.iter().filter_map(|port| Some((target(port, pod)?, protocol(port)?))).collect();
            let of = Behind { namespace: service.namespace.clone(), name: service.name.clone(), ports };
            for address in &pod.addresses {
                found.entry(*address).or_default().push(of.clone());
            }
        }
    }
    let sorted = |mut list: Vec<Behind>| {
        list.sort();
        list.dedup();
        list.into()
    };
    found.into_iter().map(|(address, list)| (address, sorted(list))).collect()
}

/// The pods that a service selects, with the port there; for services without endpoint slices.
pub(super) fn selected<'a>(
    inventory: &'a Inventory,
    cluster: &'a str,
    service: &'a Service,
    port: u16,
) -> impl Iterator<Item = (&'a Pod, u16)> {
    let ports = service.ports.iter().filter(move |known| known.port == port);
    let selecting = !service.selector.is_empty() && !has_slices(inventory, cluster, service);
    let pods = pods(inventory, cluster, service).filter(move |_| selecting);
    pods.flat_map(move |pod| ports.clone().filter_map(move |port| Some((pod, target(port, pod)?))))
}

fn has_slices(inventory: &Inventory, cluster: &str, service: &Service) -> bool {
    inventory.backends(cluster).any(|backend| backend.namespace == service.namespace && backend.service == service.name)
}

fn pods<'a>(inventory: &'a Inventory, cluster: &'a str, service: &'a Service) -> impl Iterator<Item = &'a Pod> {
    let fits = |pod: &&Pod| {
        pod.namespace == service.namespace
            && service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    inventory.pods(cluster).filter(fits)
}

/// The port at a pod.
fn target(port: &Port, pod: &Pod) -> Option<u16> {
    if port.target.is_empty() {
        return Some(port.port);
    }
    port.target.parse().ok().or_else(|| {
        let named = pod.ports.iter().find(|own| own.name == port.target && Some(own.protocol) == protocol(port));
        named.map(|own| own.port)
    })
}

fn protocol(port: &Port) -> Option<Protocol> {
    match &*port.protocol {
        "" | "TCP" => Some(Protocol::TCP),
        "UDP" => Some(Protocol::UDP),
        "SCTP" => Some(Protocol::SCTP),
        _ => None,
    }
}
