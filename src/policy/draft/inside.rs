//! Peers in the cluster: workloads and services by pod selectors at the pod's port, never by an address.
//!
//! In: an edge to or from a pod, the templates of all namespaces, the objects of the cluster. Out: the seed of a rule, or what has to be
//! known first.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::SeenEdge;
use super::gate::Out;
use super::labels::{self, Selector};
use super::model::{PendingKind, Ports, RulePeer};
use super::plan::{DraftInput, Seed};
use super::subjects::Templates;
use crate::catalog::Profile;
use crate::kube::{Inventory, Service};
use crate::model::{Protocol, Workload};
use crate::summary::Peer;

/// The rule for a peer in the cluster.
pub(super) fn peer(input: &DraftInput<'_>, templates: &Templates, edge: &SeenEdge) -> Result<Seed, Out> {
    match &edge.peer {
        Peer::Workload { cluster, .. } if !cluster.is_empty() => Err(Out::new(
            PendingKind::NotExpressible,
            format!("the peer runs in cluster `{cluster}`, whose pods no selector here reaches"),
            "a rule by hand: with Cilium Cluster Mesh by `io.cilium.k8s.policy.cluster`, else by the address of its gateway",
        )),
        Peer::Workload { namespace, workload, .. } => pods(input, templates, edge, namespace, workload),
        Peer::Service { namespace, name } => service(input, edge, namespace, name),
        _ => {
            Err(Out::new(PendingKind::Unknown, "no record says who this is", "a baseline with identities of both ends"))
        }
    }
}

fn pods(
    input: &DraftInput<'_>,
    templates: &Templates,
    edge: &SeenEdge,
    namespace: &str,
    workload: &Workload,
) -> Result<Seed, Out> {
    if namespace.is_empty() {
        return Err(Out::new(
            PendingKind::Unknown,
            "no record assigns the peer to a namespace",
            "a baseline with identities of both ends",
        ));
    }
    let template = templates.of_workload(namespace, workload).map_err(|refused| {
        Out::new(
            PendingKind::NoSelector,
            format!("nothing stable selects the peer: {refused}"),
            format!("a label such as `app.kubernetes.io/name` in the pod template of `{namespace}` {workload}"),
        )
    })?;
    let peer =
        RulePeer::Pods { cluster: String::new(), namespace: namespace.to_owned(), selector: template.selector.clone() };
    let mut seed =
        Seed::new(&format!("{namespace}/{}", template.name), peer, ports(input, edge, namespace, &template.selector));
    if !template.also.is_empty() {
        let also: Vec<String> = template.also.iter().map(ToString::to_string).collect();
        seed.remarks.push(format!("the selector means {} too: no label tells them apart", also.join(", ")));
    }
    Ok(seed)
}

/// The pod's port, and where the packet may still carry the service's, that one as well.
fn ports(input: &DraftInput<'_>, edge: &SeenEdge, namespace: &str, selector: &Selector) -> Ports {
    let mut ports: Ports = BTreeSet::from([(edge.protocol, edge.port)]);
    if !has_both_ports(input) {
        return ports;
    }
    let cluster = input.baseline.cluster.as_str();
    for service in input.inventory.services(cluster).filter(|service| *service.namespace == *namespace) {
        let same = Selector::new(labels_of(service)).is_some_and(|own| {
            own.labels().iter().all(|(key, value)| selector.labels().get(key) == Some(value))
                || selector.selects(own.labels())
        });
        for port in service.ports.iter().filter(|port| same && *port.protocol == *edge.protocol.to_string()) {
            if pod_port(input.inventory, cluster, service, port.port, edge.protocol) == Some(edge.port) {
                ports.insert((edge.protocol, port.port));
            }
        }
    }
    ports
}

/// Whether the packet may still carry the service's port where policies judge it.
fn has_both_ports(input: &DraftInput<'_>) -> bool {
    let of_cluster = input.settings.profiles.get(input.baseline.cluster.as_str());
    input.settings.draft.profile == Profile::AwsVpcCni || of_cluster.is_some_and(|profile| **profile == *"aws-vpc-cni")
}

fn service(input: &DraftInput<'_>, edge: &SeenEdge, namespace: &str, name: &str) -> Result<Seed, Out> {
    let cluster = input.baseline.cluster.as_str();
    let admit = "--kube with services and endpointslices, so that its pods and their port are known";
    let known = input.inventory.service(cluster, namespace, name).ok_or_else(|| {
        Out::new(PendingKind::Unknown, format!("the pods behind service `{namespace}/{name}` are not known"), admit)
    })?;
    let selector = Selector::new(labels::stable(&labels_of(known))).ok_or_else(|| {
        Out::new(
            PendingKind::NoSelector,
            format!("the service `{namespace}/{name}` selects no pods by stable labels"),
            "a rule by hand for what stands behind it",
        )
    })?;
    let port = pod_port(input.inventory, cluster, known, edge.port, edge.protocol).ok_or_else(|| {
        Out::new(
            PendingKind::Unknown,
            format!("the pod port behind port {} of service `{namespace}/{name}` is not known", edge.port),
            admit,
        )
    })?;
    let mut ports: Ports = BTreeSet::from([(edge.protocol, port)]);
    if is_on_host(input, edge) {
        return on_host(input, name, ports);
    }
    if has_both_ports(input) {
        ports.insert((edge.protocol, edge.port));
    }
    let peer = RulePeer::Pods { cluster: String::new(), namespace: namespace.to_owned(), selector };
    let mut seed = Seed::new(&format!("{namespace}/service-{name}"), peer, ports);
    seed.remarks.push(format!("the pods of service `{name}`; its port {} is port {port} there", edge.port));
    Ok(seed)
}

/// Whether what stands behind a service are pods on their nodes' network.
pub(super) fn is_on_host(input: &DraftInput<'_>, edge: &SeenEdge) -> bool {
    let Peer::Service { namespace, name } = &edge.peer else { return false };
    let cluster = input.baseline.cluster.as_str();
    let known = input.inventory.service(cluster, namespace, name).filter(|known| !known.selector.is_empty());
    let Some(service) = known else { return false };
    let mut behind = input.inventory.pods(cluster).filter(|pod| {
        pod.namespace == *namespace && service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    });
    behind.any(|pod| pod.host_network)
}

/// Pods on their nodes' network carry the addresses of nodes.
fn on_host(input: &DraftInput<'_>, name: &str, ports: Ports) -> Result<Seed, Out> {
    if input.dialect.has_entities() {
        let mut seed = Seed::new("nodes", RulePeer::Nodes(Vec::new()), ports);
        seed.remarks.push(format!("the pods of service `{name}` are on their nodes' network"));
        return Ok(seed);
    }
    Err(Out::new(
        PendingKind::Unknown,
        format!("the pods behind service `{name}` are on their nodes' network, which no pod selector reaches"),
        "a rule by hand for the addresses of their nodes",
    ))
}

/// The number of the pod's port behind a service's port.
pub(super) fn pod_port(
    inventory: &Inventory,
    cluster: &str,
    service: &Service,
    port: u16,
    protocol: Protocol,
) -> Option<u16> {
    let own = service.ports.iter().find(|own| own.port == port && *own.protocol == *protocol.to_string())?;
    if own.target.is_empty() {
        return Some(port);
    }
    if let Ok(number) = own.target.parse() {
        return Some(number);
    }
    // A named port is a number of each pod's own; slices carry it under the name of the service's port.
    let backends = inventory
        .backends(cluster)
        .filter(|backend| *backend.namespace == *service.namespace && *backend.service == *service.name);
    let numbers: BTreeSet<u16> = backends
        .flat_map(|backend| &backend.ports)
        .filter(|found| found.name == own.name && found.protocol == own.protocol)
        .map(|found| found.port)
        .collect();
    numbers.first().copied().filter(|_| numbers.len() == 1)
}

fn labels_of(service: &Service) -> BTreeMap<String, String> {
    service.selector.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
