//! Allow-lists that close nothing: in dialects without implicit isolation everything else passes too.

use super::cover::{closes, subject};
use super::finding::LIST_WITHOUT_DENY;
use super::ground::{DIRECTIONS, Ground};
use crate::model::Severity;
use crate::policy::{Action, Dialect, Direction, Policy};

pub(super) fn check(ground: &mut Ground<'_>) {
    let set = ground.set;
    for policy in &set.policies {
        for direction in DIRECTIONS {
            if !policy.is_enforced || !is_list(policy, direction) {
                continue;
            }
            let Some(cluster) = ground.clusters_of(policy).next() else { continue };
            let closed = ground
                .in_force(cluster)
                .any(|other| closes(other, direction) && subject(&other.subject, &policy.subject));
            if closed {
                continue;
            }
            let partly = ground
                .in_force(cluster)
                .any(|other| closes(other, direction) && subject(&policy.subject, &other.subject));
            let severity = if partly { Severity::Low } else { Severity::High };
            let fix = match policy.dialect {
                Dialect::Antrea => "add a last rule with `action: Drop` and no peers",
                Dialect::ClusterNetworkPolicy => "add a Deny rule behind it, or a default-deny for the namespace",
                _ => "let the policy isolate (`enableDefaultDeny`), or add a default-deny for the namespace",
            };
            ground.policy(
                &LIST_WITHOUT_DENY,
                severity,
                policy,
                format!(
                    "allows some {} traffic, and nothing stops the rest{}",
                    direction.as_str(),
                    if partly { " for all of its pods" } else { "" }
                ),
                fix,
            );
        }
    }
}

/// Whether a policy allows without stopping anything.
fn is_list(policy: &Policy, direction: Direction) -> bool {
    policy.section(direction).is_some_and(|section| {
        let allows = section.rules.iter().any(|rule| rule.action == Action::Allow);
        let denies = section.rules.iter().any(|rule| rule.action == Action::Deny);
        let implicit = matches!(policy.dialect, Dialect::Kubernetes | Dialect::Calico);
        allows && !denies && !section.isolates && !implicit
    })
}
