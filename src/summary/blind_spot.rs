//! What a baseline cannot know: workloads that exist and were never seen, schedules that did not come round.
//!
//! In: an atlas and the inventory. Out: blind spots by namespace, in the order of workloads. Nothing is guessed: without
//! Kubernetes objects nobody can say what is missing, and then there is none.

use std::collections::{BTreeMap, BTreeSet};

use super::atlas::{Atlas, Cluster};
use crate::kube::{Controller, Inventory, Schedule};
use crate::model::{SourceKind, Timestamp, Workload};

/// Why the traffic of a workload is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blindness {
    /// It should run, and no record shows it.
    NeverSeen,
    /// It wants no pods at the moment.
    ScaledToZero,
    /// Suspended.
    Suspended,
    /// All its pods use the host network: its traffic is that of the nodes, and no pod policy governs it.
    HostNetwork,
    /// Its schedule does not come round within the covered window.
    NotDue {
        /// The schedule.
        schedule: Box<str>,
        /// The first run after the window; unknown when the schedule has no fixed times or another time zone than UTC.
        next: Option<Timestamp>,
    },
    /// Its schedule came round, and no record shows it.
    DueAndNeverSeen {
        /// The schedule.
        schedule: Box<str>,
        /// The first run that should have been seen.
        due: Timestamp,
    },
}

/// A workload of whose traffic a baseline knows nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlindSpot {
    /// The workload.
    pub workload: Workload,
    /// Why.
    pub blindness: Blindness,
}

/// Fills in the blind spots of every namespace.
pub(super) fn find(atlas: &mut Atlas, inventory: &Inventory) {
    for (name, cluster) in &mut atlas.clusters {
        let window = flows_window(cluster);
        let seen = with_traffic(cluster);
        let host_network = on_host_network(inventory, name);
        for controller in inventory.controllers(name).filter(|controller| controller.is_top_level()) {
            let known = (controller.namespace.clone(), controller.workload());
            if seen.contains(&known) {
                continue;
            }
            let blindness = if host_network.contains(&known) {
                Some(Blindness::HostNetwork)
            } else {
                blindness(controller, window)
            };
            if let Some(blindness) = blindness {
                let spot = BlindSpot { workload: controller.workload(), blindness };
                cluster.namespaces.entry(controller.namespace.clone()).or_default().blind_spots.push(spot);
            }
        }
        for namespace in cluster.namespaces.values_mut() {
            namespace.blind_spots.sort();
        }
    }
}

/// Workloads that some edge shows. A namespace also lists those that only objects tell of.
fn with_traffic(cluster: &Cluster) -> BTreeSet<(Box<str>, Workload)> {
    let mut seen = BTreeSet::new();
    for (name, namespace) in &cluster.namespaces {
        let edges = namespace.egress.iter().chain(&namespace.ingress);
        seen.extend(edges.map(|edge| (name.clone(), edge.key.workload.clone())));
    }
    seen
}

/// Workloads all of whose pods use the host network, with their namespace.
fn on_host_network(inventory: &Inventory, cluster: &str) -> BTreeSet<(Box<str>, Workload)> {
    let mut all: BTreeMap<(Box<str>, Workload), bool> = BTreeMap::new();
    for pod in inventory.pods(cluster) {
        *all.entry((pod.namespace.clone(), pod.workload.clone())).or_insert(true) &= pod.host_network;
    }
    all.into_iter().filter_map(|(key, all)| all.then_some(key)).collect()
}

/// First and last flow of any source of the cluster.
fn flows_window(cluster: &Cluster) -> Option<(Timestamp, Timestamp)> {
    let flows = || cluster.coverage.iter().filter(|source| source.kind == SourceKind::Flows);
    let first = flows().filter_map(|source| source.activity.first).min()?;
    Some((first, flows().filter_map(|source| source.activity.last).max()?))
}

fn blindness(controller: &Controller, window: Option<(Timestamp, Timestamp)>) -> Option<Blindness> {
    if controller.suspended {
        return Some(Blindness::Suspended);
    }
    if controller.kind == "CronJob" {
        let schedule = controller.schedule.clone();
        let is_utc = matches!(&*controller.time_zone, "" | "UTC" | "Etc/UTC");
        let (Some((first, last)), Some(parsed)) = (window, Schedule::parse(&schedule).filter(|_| is_utc)) else {
            return Some(Blindness::NotDue { schedule, next: None });
        };
        // A run in the minute of the first record may have begun before it.
        let due = parsed.next_after(first).filter(|due| *due <= last);
        return Some(match due {
            Some(due) => Blindness::DueAndNeverSeen { schedule, due },
            None => Blindness::NotDue { schedule, next: parsed.next_after(last) },
        });
    }
    match (controller.kind, controller.replicas) {
        (_, Some(0)) => Some(Blindness::ScaledToZero),
        // A finished job that left no trace, and a replica set without owner that wants nothing it states: not expected to speak.
        ("Job", _) | ("ReplicaSet", None) => None,
        _ => Some(Blindness::NeverSeen),
    }
}
