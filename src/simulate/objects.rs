//! The Kubernetes objects of a made-up cluster, as `kubectl get -o json` lists them.
//!
//! In: names, addresses, owners, times. Out: JSON values, only with the fields that an inventory reads.

use serde_json::{Value, json};

use crate::model::Timestamp;

/// Facts about one pod.
#[derive(Clone, Debug)]
pub struct PodFacts<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Pod name.
    pub name: &'a str,
    /// Labels.
    pub labels: &'a [(&'a str, &'a str)],
    /// Kind and name of the direct owner (`ReplicaSet`, `Job`, ...).
    pub owner: (&'a str, &'a str),
    /// Node name.
    pub node: &'a str,
    /// Addresses, the primary first.
    pub addresses: &'a [String],
    /// Address of the node.
    pub host_address: &'a str,
    /// When it was created.
    pub started: Timestamp,
    /// When its containers ended, for pods of finished jobs.
    pub finished: Option<Timestamp>,
}

/// A pod.
pub fn pod(facts: &PodFacts<'_>) -> Value {
    let addresses: Vec<Value> = facts.addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let (phase, state) = match facts.finished {
        Some(finished) => (
            "Succeeded",
            json!({"terminated": {"exitCode": 0, "startedAt": seconds(facts.started), "finishedAt": seconds(finished)}}),
        ),
        None => ("Running", json!({"running": {"startedAt": seconds(facts.started)}})),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": facts.name,
            "namespace": facts.namespace,
            "creationTimestamp": seconds(facts.started),
            "labels": labels(facts.labels),
            "ownerReferences": [{"apiVersion": api(facts.owner.0), "kind": facts.owner.0, "name": facts.owner.1, "controller": true}],
        },
        "spec": {"nodeName": facts.node},
        "status": {
            "phase": phase,
            "podIP": facts.addresses.first(),
            "podIPs": addresses,
            "hostIP": facts.host_address,
            "startTime": seconds(facts.started),
            "containerStatuses": [{"name": "main", "state": state}],
        },
    })
}

/// A controller (`ReplicaSet`, `Deployment`, `Job`, `CronJob`, ...), with its owner where it has one.
pub fn controller(kind: &str, namespace: &str, name: &str, owner: Option<(&str, &str)>) -> Value {
    let mut metadata = json!({"name": name, "namespace": namespace});
    if let (Some((owner_kind, owner_name)), Some(fields)) = (owner, metadata.as_object_mut()) {
        fields.insert(
            "ownerReferences".to_owned(),
            json!([{"apiVersion": api(owner_kind), "kind": owner_kind, "name": owner_name, "controller": true}]),
        );
    }
    json!({"apiVersion": api(kind), "kind": kind, "metadata": metadata, "spec": {}})
}

/// A `CronJob` with its schedule.
pub fn cron_job(namespace: &str, name: &str, schedule: &str) -> Value {
    let mut object = controller("CronJob", namespace, name, None);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("spec".to_owned(), json!({"schedule": schedule}));
    }
    object
}

/// A Deployment that wants no pods.
pub fn scaled_to_zero(namespace: &str, name: &str) -> Value {
    let mut object = controller("Deployment", namespace, name, None);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("spec".to_owned(), json!({"replicas": 0}));
    }
    object
}

/// A service with a cluster address.
pub fn service(namespace: &str, name: &str, address: &str, selector: &str, ports: &[(u16, &str)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(port, protocol)| json!({"name": format!("{}-{port}", protocol.to_ascii_lowercase()), "port": port, "protocol": protocol, "targetPort": port}))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "selector": {"app": selector}, "ports": ports},
    })
}

/// A node.
pub fn node(name: &str, address: &str, pod_ranges: &[String]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": pod_ranges.first(), "podCIDRs": pod_ranges},
        "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]},
    })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
    })
}

/// A list, as `kubectl` prints it.
pub fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Object times have whole seconds.
fn seconds(time: Timestamp) -> String {
    format!("{}Z", time.to_second().replace(' ', "T"))
}

fn labels(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect::<serde_json::Map<_, _>>().into()
}

fn api(kind: &str) -> &'static str {
    match kind {
        "Job" | "CronJob" => "batch/v1",
        "Pod" | "Service" | "Node" => "v1",
        _ => "apps/v1",
    }
}
