//! What has no effect: selectors without pods, kinds that the CNI passes over, policies that are not in force.

use super::cover::is_everything;
use super::facts::{LintCluster, PodKnowledge};
use super::finding::{NO_SUCH_POD, NOT_IN_FORCE, UNENFORCED_KIND};
use super::ground::Ground;
use crate::model::Severity;
use crate::policy::{Action, Key, Labelled as _, Peer, Policy, RuleId, Selector, Value};

pub(super) fn check(ground: &mut Ground<'_>) {
    kinds(ground);
    if ground.clusters.iter().all(|cluster| cluster.knowledge == PodKnowledge::None) {
        ground.not_checked("selectors without pods: give --kube (or --baseline)");
        return;
    }
    let set = ground.set;
    for (number, policy) in set.policies.iter().enumerate() {
        if !policy.is_enforced {
            continue;
        }
        let Some(clusters) = known(ground, policy) else { continue };
        if clusters.iter().all(|cluster| no_pod(cluster, &policy.subject.namespaces, &policy.subject.pods)) {
            subject(ground, policy, &clusters);
        }
        for (id, _, rule) in set.rules().filter(|(id, _, _)| id.policy == number) {
            if rule.action == Action::Allow {
                peers(ground, id, rule.peers.as_deref().unwrap_or_default(), &clusters);
            }
        }
    }
}

/// The clusters of a policy, when the pods of each are known.
fn known<'a>(ground: &Ground<'a>, policy: &'a Policy) -> Option<Vec<&'a LintCluster>> {
    let clusters: Vec<&LintCluster> = ground.clusters_of(policy).collect();
    let all_known = clusters.iter().all(|cluster| cluster.knowledge != PodKnowledge::None);
    (all_known && !clusters.is_empty()).then_some(clusters)
}

/// Whether no known pod is meant for certain.
fn no_pod(cluster: &LintCluster, namespaces: &Selector, pods: &Selector) -> bool {
    cluster.pods.iter().all(|pod| namespaces.matches(pod).and(pods.matches(pod)).is_no())
}

fn is_complete(clusters: &[&LintCluster]) -> bool {
    clusters.iter().all(|cluster| cluster.knowledge == PodKnowledge::All)
}

fn source(complete: bool) -> &'static str {
    if complete { "pod of --kube" } else { "workload of the baseline" }
}

fn subject(ground: &mut Ground<'_>, policy: &Policy, clusters: &[&LintCluster]) {
    let complete = is_complete(clusters);
    let whole = is_everything(&policy.subject.pods);
    let severity = if complete && !whole { Severity::Medium } else { Severity::Low };
    let what = if whole { "the namespace has no".to_owned() } else { format!("`{}` selects no", policy.subject.pods) };
    ground.policy(
        &NO_SUCH_POD,
        severity,
        policy,
        format!("{what} {}, so that the policy protects none", source(complete)),
        "compare the selector with the pods' labels; keep it if the pods run only at times (jobs)",
    );
}

fn peers(ground: &mut Ground<'_>, id: RuleId, peers: &[Peer], clusters: &[&LintCluster]) {
    let complete = is_complete(clusters);
    for peer in peers {
        let Peer::Pods { namespaces, pods } = peer else { continue };
        if *namespaces == Selector::nothing() || *pods == Selector::nothing() {
            continue;
        }
        if !clusters.iter().all(|cluster| no_pod(cluster, namespaces, pods)) {
            continue;
        }
        let (namespaces, hint) = (namespaces.to_string(), hint(namespaces, clusters));
        let message = format!("no {} fits `{pods}` in `{namespaces}`{hint}", source(complete));
        ground.rule(
            &NO_SUCH_POD,
            Severity::Low,
            id,
            message,
            "compare the selector with the labels of pods and namespaces",
        );
    }
}

/// A plain `name` label is the usual mistake: Kubernetes itself sets only `kubernetes.io/metadata.name`.
fn hint(namespaces: &Selector, clusters: &[&LintCluster]) -> String {
    let asks = namespaces.keys().into_iter().find(|key| matches!(key, Key::Namespace(label) if &**label == "name"));
    let missing = asks.is_some_and(|key| {
        clusters.iter().flat_map(|cluster| &cluster.pods).all(|pod| pod.value(key) == Value::Absent)
    });
    if missing {
        "; no namespace has the label `name`, Kubernetes sets `kubernetes.io/metadata.name`".to_owned()
    } else {
        String::new()
    }
}

fn kinds(ground: &mut Ground<'_>) {
    let set = ground.set;
    for policy in &set.policies {
        if !policy.is_enforced {
            let why = policy.notes.first().copied().unwrap_or("it is staged, or for nodes");
            ground.policy(
                &NOT_IN_FORCE,
                Severity::Low,
                policy,
                format!("decides nothing about pods: {why}"),
                "apply the enforced kind once its soak is clean",
            );
            continue;
        }
        let own = |cluster: &&LintCluster| policy.id.cluster.as_ref().is_none_or(|own| *own == cluster.name);
        let clusters: Vec<&LintCluster> = ground.clusters.iter().filter(own).collect();
        let refusing: Vec<&LintCluster> =
            clusters.iter().copied().filter(|cluster| !cluster.enforces.contains(&policy.dialect)).collect();
        // Policies without a cluster are meant for those of their own CNI.
        if refusing.is_empty() || refusing.len() < clusters.len() {
            continue;
        }
        let profile = refusing.first().map_or("", |cluster| cluster.profile);
        ground.policy(
            &UNENFORCED_KIND,
            Severity::High,
            policy,
            format!("profile `{profile}` does not enforce policies of kind {}", policy.id.kind),
            "write it as a kind that the CNI enforces (`draft --dialect`), or give the right --profile",
        );
    }
}
