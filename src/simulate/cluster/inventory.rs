//! The Kubernetes objects of a random cluster at the end of its life.
//!
//! In: the population. Out: one JSON list, as `kubectl get -o json` prints it. Pods that were replaced are gone.

use serde_json::Value;

use super::population::{Population, namespace_name};
use crate::model::Timestamp;
use crate::simulate::objects;

/// Writes the list.
pub(super) fn objects(population: &Population) -> Vec<u8> {
    let node_name = |full: &str| full.rsplit('/').next().unwrap_or_default().to_owned();
    let mut items = vec![objects::namespace("kube-system")];
    let mut namespaces: Vec<usize> = population.workloads.iter().map(|workload| workload.namespace).collect();
    namespaces.dedup();
    items.extend(namespaces.into_iter().map(|number| objects::namespace(&namespace_name(number))));
    for (number, node) in population.scene.nodes.iter().enumerate() {
        let ranges = [format!("10.{number}.0.0/16"), format!("fd00:10:0:{number:x}::/64")];
        items.push(objects::node(&node_name(&node.full_name), &node.address.to_string(), &ranges));
    }
    items.push(objects::service("kube-system", "kube-dns", "10.96.0.10", "coredns", &[(53, "UDP"), (53, "TCP")]));
    items.push(pod(
        population,
        population.resolver,
        "kube-system",
        "coredns-7c65d6cfc9-x7k2p",
        ("coredns", "7c65d6cfc9"),
    ));
    items.push(objects::controller("Deployment", "kube-system", "coredns", None));
    items.push(objects::controller("ReplicaSet", "kube-system", "coredns-7c65d6cfc9", Some(("Deployment", "coredns"))));
    for workload in &population.workloads {
        let namespace = namespace_name(workload.namespace);
        let replica_set = format!("{}-{}", workload.name, workload.template);
        let ports = [(8_080, "TCP")];
        items.push(objects::service(&namespace, &workload.name, &workload.service.to_string(), &workload.name, &ports));
        items.push(objects::controller("Deployment", &namespace, &workload.name, None));
        items.push(objects::controller("ReplicaSet", &namespace, &replica_set, Some(("Deployment", &workload.name))));
    }
    for replica in &population.replicas {
        let Some(workload) = population.workloads.get(replica.workload) else { continue };
        let namespace = namespace_name(workload.namespace);
        items.push(pod(population, replica.pod, &namespace, &replica.pod_name, (&workload.name, &workload.template)));
    }
    let mut bytes = serde_json::to_vec(&objects::list(&items)).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn pod(population: &Population, index: usize, namespace: &str, name: &str, (app, template): (&str, &str)) -> Value {
    let Some(pod) = population.scene.pods.get(index) else { return Value::Null };
    let Some(node) = population.scene.nodes.get(pod.node) else { return Value::Null };
    let mut addresses = vec![pod.v4.to_string()];
    addresses.extend(pod.v6.map(|v6| v6.to_string()));
    objects::pod(&objects::PodFacts {
        namespace,
        name,
        labels: &[("app", app), ("app.kubernetes.io/name", app), ("pod-template-hash", template)],
        owner: ("ReplicaSet", &format!("{app}-{template}")),
        node: node.full_name.rsplit('/').next().unwrap_or_default(),
        addresses: &addresses,
        host_address: &node.address.to_string(),
        // Long before the recording began.
        started: Timestamp::from_nanos(1_772_000_000_000_000_000),
        finished: None,
    })
}
