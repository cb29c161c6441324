//! One pod: its names, its addresses, and the time in which they were its own.
//!
//! In: a `Pod` object. Out: a [`Pod`]. Two observations of the same pod (files taken at different times) become one. It
//! never decides who owned an address; that takes all pods (see `cluster`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::object::{ContainerPortEntry, OwnerReference, PodObject, PodStatus};
use crate::model::{Protocol, Timestamp, Workload};

/// Labels, sorted by key.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// A pod as the API server described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Labels.
    pub labels: Labels,
    /// The controller that owns it, lifted to the one a person knows (Deployment rather than `ReplicaSet`).
    pub workload: Workload,
    /// All its addresses, sorted; the node's addresses when it uses the host network.
    pub addresses: Vec<IpAddr>,
    /// The node it runs on; empty while it waits for one.
    pub node: Box<str>,
    /// Whether it shares the node's network, so that its address says nothing about it.
    pub host_network: bool,
    /// When the kubelet took it on, else when it was created; unknown when the object says neither.
    pub started: Timestamp,
    /// When it gave its addresses back, as far as known: its last container's end once it has finished, else the
    /// time by which its deletion is due.
    pub ended: Option<Timestamp>,
    /// `ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`; empty when not stated.
    pub dns_policy: Box<str>,
    /// Ports that its containers declare; a policy may refer to them by name.
    pub ports: BTreeSet<ContainerPort>,
    /// Service account; empty when not stated.
    pub service_account: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) version: u64,
    pub(super) owner: Option<Owner>,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPort {
    /// Name; may be empty.
    pub name: Box<str>,
    /// Number.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

impl ContainerPort {
    fn of(entry: &ContainerPortEntry) -> Option<Self> {
        let protocol = match entry.protocol.as_str() {
            "" | "TCP" => Protocol::TCP,
            "UDP" => Protocol::UDP,
            "SCTP" => Protocol::SCTP,
            _ => return None,
        };
        Some(Self { name: entry.name.as_str().into(), port: entry.container_port, protocol })
    }
}

/// The controller that an object names as its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
}

impl Owner {
    /// The controlling owner; the first one where none is marked as controlling.
    pub(super) fn of(references: &[OwnerReference]) -> Option<Self> {
        let reference = references.iter().find(|reference| reference.controller).or_else(|| references.first())?;
        Some(Self { kind: reference.kind.as_str().into(), name: reference.name.as_str().into() })
    }
}

impl Pod {
    /// Builds a pod from its object; the workload is filled in once all controllers are known.
    pub(super) fn from_object(object: PodObject, namespace: &str) -> Self {
        let PodObject { metadata, spec, status } = object;
        let started = time(&status.start_time).or_else(|| time(&metadata.creation_timestamp));
        let addresses = addresses(&status);
        let on_host = spec.host_network || (!status.pod_ip.is_empty() && status.pod_ip == status.host_ip);
        let ended = ended(&status, started, time(&metadata.deletion_timestamp));
        // An object without a uid (somebody trimmed it) is told from its namesakes by the time of its creation.
        let uid = if metadata.uid.is_empty() { metadata.creation_timestamp } else { metadata.uid };
        Self {
            namespace: namespace.into(),
            workload: Workload::from_pod_name(&metadata.name),
            name: metadata.name.into(),
            labels: metadata.labels,
            addresses,
            node: spec.node_name.into(),
            host_network: on_host,
            started: started.unwrap_or(Timestamp::UNKNOWN),
            ended,
            dns_policy: spec.dns_policy.into(),
            ports: {
                let containers = spec.init_containers.iter().chain(&spec.containers);
                containers.flat_map(|container| &container.ports).filter_map(ContainerPort::of).collect()
            },
            service_account: spec.service_account_name.into(),
            uid: uid.into(),
            version: metadata.resource_version.parse().unwrap_or(0),
            owner: Owner::of(&metadata.owner_references),
        }
    }

    /// Joins another observation of the same pod, in any order.
    pub(super) fn absorb(&mut self, other: Self) {
        let ended = self.ended.into_iter().chain(other.ended).min();
        let started = if self.started.is_known() && other.started.is_known() {
            self.started.min(other.started)
        } else {
            self.started.max(other.started)
        };
        let mut addresses = std::mem::take(&mut self.addresses);
        addresses.extend(&other.addresses);
        if other.rank() > self.rank() {
            *self = other;
        }
        addresses.sort_unstable();
        addresses.dedup();
        self.addresses = addresses;
        self.started = started;
        self.ended = ended;
    }

    /// Whether the pod held its addresses at `time`, give or take `slack_nanos`.
    pub(super) fn held_at(&self, time: Timestamp, slack_nanos: i64) -> bool {
        let begun = !self.started.is_known() || self.started.plus_nanos(-slack_nanos) <= time;
        begun && self.ended.is_none_or(|ended| time <= ended.plus_nanos(slack_nanos))
    }

    // Resource versions are compared for freshness only; the rest makes the choice the same in any order.
    fn rank(&self) -> (u64, bool, &Labels, &str, Option<&Owner>) {
        (self.version, self.host_network, &self.labels, &self.node, self.owner.as_ref())
    }
}

/// Reads a time of the API server; `None` when it is absent or no RFC 3339.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text.as_bytes())
}

fn addresses(status: &PodStatus) -> Vec<IpAddr> {
    let texts = status.pod_ips.iter().map(|entry| entry.ip.as_str()).chain([status.pod_ip.as_str()]);
    let mut found: Vec<IpAddr> = texts.filter_map(address).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Reads an address, IPv4-mapped forms unmapped; `None` for anything that is no usable address (`None`, empty, `0.0.0.0`).
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok()?.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// The end of a pod. One that has finished keeps its object for long, while its address goes to the next pod at once.
fn ended(status: &PodStatus, started: Option<Timestamp>, deletion: Option<Timestamp>) -> Option<Timestamp> {
    if !matches!(status.phase.as_str(), "Succeeded" | "Failed") {
        return deletion;
    }
    let containers = status.container_statuses.iter();
    let finished = containers.filter_map(|container| time(&container.state.terminated.finished_at)).max();
    // An evicted pod has no container left to tell; its conditions changed last when it ended.
    let changed = || status.conditions.iter().filter_map(|condition| time(&condition.last_transition_time)).max();
    finished.or_else(changed).or(deletion).or(started).or(Some(Timestamp::UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(text: &str) -> Pod {
        Pod::from_object(serde_json::from_str(text).unwrap(), "shop")
    }

    #[test]
    fn the_end_is_when_the_address_was_given_back() {
        let check = |status: &str, deletion: &str, expected: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z","deletionTimestamp":{deletion}}},"status":{status}}}"#
            );
            assert_eq!(pod(&text).ended.map(|t| t.to_string()).unwrap_or_default(), expected, "{text}");
        };
        check(r#"{"phase":"Running"}"#, "null", "");
        check(r#"{"phase":"Running"}"#, r#""2026-01-02T00:00:30Z""#, "2026-01-02T00:00:30Z");
        check(
            r#"{"phase":"Succeeded","containerStatuses":[
                {"state":{"terminated":{"finishedAt":"2026-01-01T00:05:00Z"}}},
                {"state":{"terminated":{"finishedAt":"2026-01-01T00:07:00Z"}}}]}"#,
            "null",
            "2026-01-01T00:07:00Z",
        );
        check(
            r#"{"phase":"Failed","reason":"Evicted","conditions":[{"lastTransitionTime":"2026-01-01T01:00:00Z"}]}"#,
            "null",
            "2026-01-01T01:00:00Z",
        );
        check(r#"{"phase":"Failed"}"#, "null", "2026-01-01T00:00:00Z");
    }

    #[test]
    fn two_observations_are_one_pod_in_either_order() {
        let text = |version: u8, ip: &str, phase: &str, label: &str| {
            format!(
                r#"{{"metadata":{{"name":"a","uid":"u","resourceVersion":"{version}","labels":{{"app":"{label}"}}}},
                    "spec":{{"nodeName":"n"}},
                    "status":{{"phase":"{phase}","startTime":"2026-01-01T00:00:00Z","podIP":"{ip}"}}}}"#
            )
        };
        let early = pod(&text(9, "10.0.0.1", "Running", "old"));
        let late = pod(&text(10, "fd00::1", "Succeeded", "new"));
        let (mut one, mut two) = (early.clone(), late.clone());
        one.absorb(late);
        two.absorb(early);
        assert_eq!(one, two);
        assert_eq!(one.labels.get("app").map(|l| &**l), Some("new"));
        assert_eq!(one.addresses.len(), 2);
        assert!(one.ended.is_some());
    }

    #[test]
    fn a_pod_on_the_address_of_its_node_uses_the_host_network() {
        assert!(pod(r#"{"spec":{"hostNetwork":true}}"#).host_network);
        assert!(pod(r#"{"status":{"podIP":"10.1.0.4","hostIP":"10.1.0.4"}}"#).host_network);
        assert!(!pod(r#"{"status":{"podIP":"10.2.0.4","hostIP":"10.1.0.4"}}"#).host_network);
        assert!(!pod("{}").host_network);
    }
}
