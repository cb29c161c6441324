//! Objects and baselines → what lints know of clusters.
//!
//! In: the inventory of `--kube`, the document of `--baseline`, and the profile of each cluster. Out: one description per cluster;
//! where both are given, workloads of the baseline come on top: jobs have pods only at times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kube::{Inventory, Labels};
use crate::policy::lint::{LintCluster, LintPod, PodKnowledge};
use crate::replay::Profile;
use crate::report::{AtlasDocument, WorkloadDocument};

/// What is known of a cluster.
pub fn lint_cluster(
    name: &str,
    profile: &Profile,
    inventory: &Inventory,
    baseline: Option<&AtlasDocument>,
) -> LintCluster {
    let mut namespaces: BTreeMap<Box<str>, Option<Arc<Labels>>> = inventory
        .namespaces(name)
        .map(|(namespace, labels)| (namespace.into(), Some(Arc::new(labels.clone()))))
        .collect();
    let mut pods = of_objects(name, inventory, &namespaces);
    let mut knowledge = if pods.is_empty() { PodKnowledge::None } else { PodKnowledge::All };
    if let Some(content) = baseline.and_then(|atlas| atlas.clusters.get(name)) {
        for (namespace, content) in content.namespaces.iter().filter(|(namespace, _)| !namespace.is_empty()) {
            namespaces.entry(namespace.as_str().into()).or_default();
            pods.extend(content.workloads.iter().map(|workload| of_workload(namespace, workload)));
        }
        if knowledge == PodKnowledge::None && !pods.is_empty() {
            knowledge = PodKnowledge::Seen;
        }
    }
    LintCluster {
        name: name.into(),
        profile: profile.name,
        enforces: profile.enforces,
        block_on_pod: profile.block_on_pod,
        knowledge,
        pods,
        namespaces,
        pod_networks: inventory.pod_networks(name),
        service_addresses: inventory.service_addresses(name),
        node_addresses: inventory.nodes(name).flat_map(|node| node.internal_addresses.iter().copied()).collect(),
    }
}

fn of_objects(
    cluster: &str,
    inventory: &Inventory,
    namespaces: &BTreeMap<Box<str>, Option<Arc<Labels>>>,
) -> Vec<LintPod> {
    let mut seen = BTreeSet::new();
    // Pods of one workload with the same labels are the same to every selector. Those that have ended count: jobs come back.
    let distinct = inventory
        .pods(cluster)
        .filter(|pod| seen.insert((&pod.namespace, &pod.workload, &pod.labels, pod.host_network)));
    distinct
        .map(|pod| LintPod {
            namespace: pod.namespace.clone(),
            name: pod.workload.name.clone(),
            labels: Some(pod.labels.clone()),
            namespace_labels: namespaces.get(&pod.namespace).cloned().flatten(),
            service_account: (!pod.service_account.is_empty()).then(|| pod.service_account.clone()),
            host_network: pod.host_network,
            has_own_resolver: matches!(&*pod.dns_policy, "None" | "Default"),
        })
        .collect()
}

fn of_workload(namespace: &str, workload: &WorkloadDocument) -> LintPod {
    let labels = workload.labels.as_ref().map(|labels| {
        let pair = |label: &String| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            (key.into(), value.into())
        };
        labels.iter().map(pair).collect()
    });
    LintPod { namespace: namespace.into(), name: workload.workload.name.as_str().into(), labels, ..LintPod::default() }
}
