//! Commands that name real objects: what is applied in which order, and how each direction is rolled back.
//!
//! In: a plan. Out: lines for a shell, every word quoted that a shell could take for something else.

use std::collections::BTreeSet;

use super::super::path::cluster_folder;
use super::schedule::Plan;
use crate::policy::Direction;
use crate::policy::draft::Dialect;
use crate::policy::names::PolicyName;

/// What opens comes first, what closes last.
pub(super) const APPLY_ORDER: [PolicyName; 5] = [
    PolicyName::EgressBaselineAllow,
    PolicyName::EgressAllowlist,
    PolicyName::IngressAllowlist,
    PolicyName::DefaultDenyEgress,
    PolicyName::DefaultDenyIngress,
];

/// Where the policies of a namespace lie.
pub(super) fn folder(plan: &Plan, cluster: &str, namespace: &str) -> String {
    let clusters: BTreeSet<&str> = plan.ranking.iter().map(|risk| risk.cluster.as_str()).collect();
    let path =
        if clusters.len() > 1 { format!("{}/{namespace}", cluster_folder(cluster)) } else { namespace.to_owned() };
    quoted(&format!("{}/{path}", plan.drafts.trim_end_matches('/')))
}

/// What undoes one direction: the objects of the policies, or the pinned names where none were given.
pub(super) fn rollback(plan: &Plan, cluster: &str, namespace: &str, direction: Direction) -> Vec<String> {
    let context = quoted(cluster);
    let Some(objects) = plan.objects.get(&format!("{cluster}/{namespace}")) else {
        let names = PolicyName::ALL.into_iter().filter(|name| name.direction() == direction);
        return names
            .map(|name| {
                format!(
                    "kubectl --context {context} delete {} -n {} {name} --ignore-not-found",
                    Dialect::Kubernetes.resource(),
                    quoted(namespace)
                )
            })
            .collect();
    };
    let word = direction.as_str().to_ascii_lowercase();
    let own = objects.iter().filter(|object| object.direction == word);
    own.map(|object| {
        let place =
            if object.namespace.is_empty() { String::new() } else { format!(" -n {}", quoted(&object.namespace)) };
        format!(
            "kubectl --context {context} delete {}{place} {} --ignore-not-found",
            object.resource,
            quoted(&object.name)
        )
    })
    .collect()
}

/// A word for the shell.
pub(super) fn quoted(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=:@".contains(&byte)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''").replace('\n', " "))
    }
}
