//! Default-deny per namespace and direction: missing, without effect, under another name; and names that drifted.

use std::collections::BTreeSet;

use super::cover::{closes, is_catch_all, is_everything};
use super::facts::{AnyPodOf, LintCluster, PodKnowledge};
use super::finding::{DENY_MISSING, DENY_RENAMED, DENY_WEAK, DRIFTED_NAME, INGRESS_IMPLIED, LintFinding};
use super::ground::{DIRECTIONS, Ground, is_about_all, is_for};
use crate::model::Severity;
use crate::policy::names::PolicyName;
use crate::policy::{Direction, IMPLIED_INGRESS, Policy, PolicySet};

/// Namespaces of the platform itself, where closing everything stops the cluster.
const PLATFORM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

pub(super) fn check(ground: &mut Ground<'_>) {
    for cluster in ground.clusters {
        let policies: Vec<&Policy> = ground.in_force(cluster).collect();
        let mut namespaces: BTreeSet<&str> = cluster.namespaces.keys().map(|name| &**name).collect();
        namespaces.extend(cluster.pods.iter().map(|pod| &*pod.namespace));
        namespaces.extend(policies.iter().map(|policy| &*policy.id.namespace));
        namespaces.remove("");
        for namespace in namespaces {
            for direction in DIRECTIONS {
                if let Some(found) = missing(cluster, &policies, namespace, direction) {
                    ground.finding(found);
                }
            }
        }
    }
    if ground.clusters.iter().all(|cluster| cluster.namespaces.is_empty()) {
        ground.not_checked("namespaces without any policy: give --kube with namespaces (or --baseline)");
    }
    drifted(ground);
    implied(ground);
}

/// Policies that were written for egress and close ingress by default.
fn implied(ground: &mut Ground<'_>) {
    let set = ground.set;
    for policy in set.policies.iter().filter(|policy| is_implied(policy, Direction::Ingress)) {
        ground.policy(
            &INGRESS_IMPLIED,
            Severity::Medium,
            policy,
            format!(
                "lists egress alone and no `policyTypes`, and so closes all ingress of pods `{}`",
                policy.subject.pods
            ),
            "add `policyTypes: [Egress]`, or `[Ingress, Egress]` if ingress is meant to be closed",
        );
    }
}

fn is_implied(policy: &Policy, direction: Direction) -> bool {
    direction == Direction::Ingress && policy.notes.iter().any(|note| **note == *IMPLIED_INGRESS)
}

/// The policies that close a direction of a namespace for certain, under whatever name.
pub fn closing<'a>(
    set: &'a PolicySet,
    cluster: &LintCluster,
    namespace: &str,
    direction: Direction,
) -> Vec<&'a Policy> {
    let labels = cluster.namespaces.get(namespace).and_then(|labels| labels.as_deref());
    let any = AnyPodOf { namespace, labels };
    let in_force = set.policies.iter().filter(|policy| is_for(policy, cluster));
    in_force.filter(|policy| closes(policy, direction) && is_about_all(policy, &any)).collect()
}

fn missing(cluster: &LintCluster, policies: &[&Policy], namespace: &str, direction: Direction) -> Option<LintFinding> {
    let pinned = match direction {
        Direction::Egress => PolicyName::DefaultDenyEgress,
        Direction::Ingress => PolicyName::DefaultDenyIngress,
    };
    let labels = cluster.namespaces.get(namespace).and_then(|labels| labels.as_deref());
    let any = AnyPodOf { namespace, labels };
    let closing: Vec<&Policy> =
        policies.iter().copied().filter(|policy| closes(policy, direction) && is_about_all(policy, &any)).collect();
    if closing.iter().any(|policy| is_named(policy, pinned, namespace)) {
        return None;
    }
    let weak = policies.iter().find(|policy| *policy.id.namespace == *namespace && *policy.id.name == *pinned.as_str());
    if let Some(policy) = weak {
        let severity = if closing.is_empty() { Severity::High } else { Severity::Low };
        let message = format!("does not close {} of `{namespace}`: {}", direction.as_str(), reason(policy, direction));
        let fix = format!("select every pod, name {} alone, and allow nothing in it", pinned.policy_type());
        return Some(LintFinding::new(&DENY_WEAK, severity, &policy.id, policy.id.line, (message, fix)));
    }
    // What closes by default alone has a finding of its own: its name is not the matter.
    if !closing.is_empty() && closing.iter().all(|policy| is_implied(policy, direction)) {
        return None;
    }
    if let Some(policy) = closing.iter().find(|policy| !is_implied(policy, direction)) {
        let message = format!("closes {} of `{namespace}` under another name than `{pinned}`", direction.as_str());
        let fix = format!("rename it to `{pinned}`: apply the new object before the old one is deleted");
        return Some(LintFinding::new(&DENY_RENAMED, Severity::Low, &policy.id, policy.id.line, (message, fix)));
    }
    Some(absent(cluster, policies, namespace, pinned))
}

fn absent(cluster: &LintCluster, policies: &[&Policy], namespace: &str, pinned: PolicyName) -> LintFinding {
    let is_empty = cluster.knowledge == PodKnowledge::All
        && !cluster.pods.iter().any(|pod| *pod.namespace == *namespace && !pod.host_network);
    let (severity, remark) = if PLATFORM.contains(&namespace) {
        (Severity::Low, "; closing a namespace of the platform needs care")
    } else if is_empty {
        (Severity::Low, "; it has no pod of its own network now")
    } else {
        (Severity::Medium, "")
    };
    let beside = policies.iter().find(|policy| *policy.id.namespace == *namespace);
    LintFinding {
        rule: &DENY_MISSING,
        severity,
        cluster: (!cluster.name.is_empty()).then(|| cluster.name.clone()),
        kind: "Namespace".into(),
        namespace: "".into(),
        name: namespace.into(),
        file: beside.map(|policy| policy.id.file.clone()).unwrap_or_default(),
        line: beside.map_or(0, |policy| policy.id.line),
        message: format!("no policy closes {} of every pod (`{pinned}`){remark}", pinned.direction().as_str()),
        fix: format!("apply `{}` as `draft` writes it, after the allow-lists", pinned.file()),
    }
}

/// Cluster-wide kinds carry the namespace behind the pinned name.
fn is_named(policy: &Policy, pinned: PolicyName, namespace: &str) -> bool {
    let name = &*policy.id.name;
    if !policy.id.namespace.is_empty() {
        return name == pinned.as_str();
    }
    name.strip_prefix(pinned.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix(['.', '-']) == Some(namespace))
}

fn reason(policy: &Policy, direction: Direction) -> String {
    let Some(section) = policy.section(direction) else {
        return format!("it says nothing about {}", direction.as_str());
    };
    if !is_everything(&policy.subject.pods) {
        return format!("it selects only `{}`", policy.subject.pods);
    }
    if section.rules.iter().any(|rule| is_catch_all(&policy.subject, rule)) {
        return "a rule in it opens everything".to_owned();
    }
    "it stops nothing".to_owned()
}

fn drifted(ground: &mut Ground<'_>) {
    let set = ground.set;
    for policy in &set.policies {
        let name = &*policy.id.name;
        if PolicyName::of(name).is_some() {
            continue;
        }
        if let Some(pinned) = near(name) {
            let message =
                format!("`{name}` is close to the pinned name `{pinned}`, and checks and rollback commands go by that");
            let fix = format!("rename it to `{pinned}`, or to something unlike it if it is another policy");
            ground.policy(&DRIFTED_NAME, Severity::Medium, policy, message, fix);
        }
    }
}

/// The pinned name that a name was meant to be.
fn near(name: &str) -> Option<PolicyName> {
    let tokens = |text: &str| {
        let mut tokens: Vec<String> = text
            .split(['-', '.'])
            .filter(|token| !token.is_empty() && !["all", "policy", "netpol", "np"].contains(token))
            .map(str::to_owned)
            .collect();
        tokens.sort();
        tokens
    };
    let joined = |text: &str| text.replace(['-', '.'], "");
    PolicyName::ALL.into_iter().find(|pinned| {
        let pinned = pinned.as_str();
        tokens(name) == tokens(pinned) || distance(&joined(name), &joined(pinned)) <= 2
    })
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &str, two: &str) -> usize {
    if one.len().abs_diff(two.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (place, letter) in one.bytes().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        let mut next = vec![left];
        for (other, above) in two.bytes().zip(row.iter().skip(1).copied()) {
            left = (above + 1).min(left + 1).min(diagonal + usize::from(letter != other));
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_drifted_are_recognised_and_others_left_alone() {
        let check = |name: &str, expected| assert_eq!(near(name), expected, "{name}");
        check("default-deny-egres", Some(PolicyName::DefaultDenyEgress));
        check("deny-default-egress", Some(PolicyName::DefaultDenyEgress));
        check("default-deny-all-ingress", Some(PolicyName::DefaultDenyIngress));
        check("egress-allow-list", Some(PolicyName::EgressAllowlist));
        check("ingres-allowlist", Some(PolicyName::IngressAllowlist));
        check("default-deny", None);
        check("allow-dns", None);
        check("deny-all", None);
        assert_eq!((distance("kitten", "sittin"), distance("", "ab"), distance("abc", "abc")), (2, 2, 0));
    }
}
