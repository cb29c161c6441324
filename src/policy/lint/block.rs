//! Ranges of addresses inside the cluster, where the CNI does not judge by them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::cover::blocks;
use super::facts::LintCluster;
use super::finding::BLOCK_ON_PODS;
use super::ground::Ground;
use crate::model::{Severity, is_special};
use crate::policy::{Action, Block, Match};

pub(super) fn check(ground: &mut Ground<'_>) {
    let clusters = ground.clusters;
    let has_networks =
        |cluster: &LintCluster| !cluster.pod_networks.is_empty() || !cluster.service_addresses.is_empty();
    if !clusters.iter().any(has_networks) {
        ground.not_checked("ranges on pod, service and node addresses: give --kube with nodes and services");
        return;
    }
    for (id, policy, rule) in ground.rules(Action::Allow) {
        for block in &rule.peers.iter().flatten().flat_map(blocks).collect::<Vec<_>>() {
            let own: Vec<&LintCluster> = ground.clusters_of(policy).filter(|cluster| has_networks(cluster)).collect();
            let Some(cluster) = own.first() else { continue };
            let Some(what) = what(cluster, &block.net) else {
                if covers_pods(cluster, block) {
                    let message = format!(
                        "`{}` covers the range of pods too; profile `{}` knows pods by identity and matches no range on them",
                        block.net, cluster.profile
                    );
                    ground.rule(
                        &BLOCK_ON_PODS,
                        Severity::Low,
                        id,
                        message,
                        "select the pods by labels, if they are meant",
                    );
                }
                continue;
            };
            let (severity, message) = match (what, cluster.block_on_pod) {
                ("a service", _) => (
                    Severity::Medium,
                    format!(
                        "`{}` is the address of a service; most CNIs judge after translation, at the pod",
                        block.net
                    ),
                ),
                (_, Match::No) => (
                    Severity::Medium,
                    format!(
                        "`{}` holds only addresses of {what}; profile `{}` knows these by identity and matches no range on them",
                        block.net, cluster.profile
                    ),
                ),
                (_, Match::Unknown(_)) => {
                    ground.not_checked("whether ranges match pods and nodes: give --profile");
                    continue;
                }
                (_, Match::Yes) => (
                    Severity::Low,
                    format!("`{}` holds only addresses of {what}, which change with every rollout", block.net),
                ),
            };
            ground.rule(
                &BLOCK_ON_PODS,
                severity,
                id,
                message,
                "select the pods by labels (nodes by the CNI's own word for them)",
            );
        }
    }
}

/// Whether a private range holds pods among other things, where ranges do not match them. Ranges over the world are not meant for
/// pods.
fn covers_pods(cluster: &LintCluster, block: &Block) -> bool {
    let is_excepted = |pods: &IpNet| block.except.iter().any(|hole| hole.contains(pods));
    cluster.block_on_pod.is_no()
        && is_special(block.net.addr())
        && block.net.prefix_len() >= 7
        && cluster.pod_networks.iter().any(|pods| block.net.contains(pods) && !is_excepted(pods))
}

fn what(cluster: &LintCluster, net: &IpNet) -> Option<&'static str> {
    let is_host = net.prefix_len() == net.max_prefix_len();
    let only = |address: &IpAddr| is_host && net.addr() == *address;
    if cluster.pod_networks.iter().any(|pods| pods.contains(net)) {
        Some("pods")
    } else if cluster.service_addresses.iter().any(only) {
        Some("a service")
    } else if cluster.node_addresses.iter().any(only) {
        Some("nodes")
    } else {
        None
    }
}
