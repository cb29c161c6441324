//! Which labels of a workload can select it after the next rollout.
//!
//! In: the labels that all pods of a workload carried. Out: those to select by and those refused, each with the reason. A
//! label is refused when a controller, a chart release or a revision writes it, because it changes with the next one.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Workload;
use crate::summary::WorkloadSeen;

/// Keys that name an application, the most specific convention first.
/// Source: Kubernetes documentation, "Recommended Labels", and the older `app`, `k8s-app`, `name` conventions.
const IDENTITY_KEYS: [&str; 9] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app",
    "k8s-app",
    "component",
    "name",
    "role",
    "tier",
];

/// The labels of one workload, sorted out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector<'a> {
    /// Labels to select by; empty when none is fit.
    pub(super) proposed: Vec<&'a str>,
    /// Labels that must not be selected by, with the reason.
    pub(super) refused: Vec<(&'a str, &'static str)>,
    /// Other workloads of the namespace that the proposal selects as well.
    pub(super) shared_with: Vec<&'a Workload>,
}

/// Why a label changes with a rollout; `None` when it survives.
fn refusal(key: &str, value: &str, pods: &BTreeSet<Box<str>>) -> Option<&'static str> {
    let last = key.rsplit('/').next().unwrap_or(key);
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| last.ends_with(suffix));
    match key {
        "statefulset.kubernetes.io/pod-name" | "apps.kubernetes.io/pod-index" => return Some("one replica only"),
        "controller-uid" | "job-name" => return Some("one run of a job"),
        "helm.sh/chart" | "chart" | "app.kubernetes.io/version" | "version" => {
            return Some("changes with each release");
        }
        _ if key.starts_with("batch.kubernetes.io/") => return Some("one run of a job"),
        _ if key.starts_with("topology.kubernetes.io/") || key == "kubernetes.io/hostname" => {
            return Some("names a place");
        }
        _ => {}
    }
    if ends(&["hash", "revision", "-generation", "checksum", "commit", "sha", "build", "timestamp"]) || last == "rev" {
        return Some("one revision");
    }
    if ends(&["-index", "-uid", "-ordinal", "pod-name"]) || pods.contains(value) {
        return Some("one replica only");
    }
    let is_digest = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some("one revision")
}

/// Sorts out the labels of `workload`; `None` when no record carried labels.
pub(super) fn selector<'a>(
    workload: &Workload,
    workloads: &'a BTreeMap<Workload, WorkloadSeen>,
) -> Option<Selector<'a>> {
    let seen = workloads.get(workload)?;
    let labels = seen.labels.as_ref()?;
    let (mut stable, mut refused) = (Vec::new(), Vec::new());
    for label in labels {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        match refusal(key, value, &seen.pods) {
            Some(reason) => refused.push((&**label, reason)),
            None => stable.push(&**label),
        }
    }
    let key = |label: &str| label.split('=').next().unwrap_or_default().to_owned();
    let identifying: Vec<&str> =
        IDENTITY_KEYS.iter().flat_map(|wanted| stable.iter().copied().filter(|label| key(label) == *wanted)).collect();
    let others = |selector: &[&str]| -> Vec<&'a Workload> {
        let carries_all = |labels: &BTreeSet<Box<str>>| selector.iter().all(|label| labels.contains(*label));
        workloads
            .iter()
            .filter(|(other, seen)| *other != workload && seen.labels.as_ref().is_some_and(carries_all))
            .map(|(other, _)| other)
            .collect()
    };
    let proposed = if identifying.is_empty() || !others(&identifying).is_empty() { stable } else { identifying };
    let shared_with = if proposed.is_empty() { Vec::new() } else { others(&proposed) };
    Some(Selector { proposed, refused, shared_with })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    fn workload(name: &str) -> Workload {
        Workload { kind: WorkloadKind("Deployment".into()), name: name.into() }
    }

    fn seen(labels: &[&str]) -> WorkloadSeen {
        WorkloadSeen {
            pods: ["web-0".into()].into(),
            labels: Some(labels.iter().map(|label| (*label).into()).collect()),
            ..WorkloadSeen::default()
        }
    }

    #[test]
    fn labels_that_a_rollout_changes_are_refused() {
        for label in [
            "pod-template-hash=5d4b9c7f66",
            "controller-revision-hash=web-7c9f",
            "rollouts-pod-template-hash=abc",
            "statefulset.kubernetes.io/pod-name=web-0",
            "apps.kubernetes.io/pod-index=0",
            "batch.kubernetes.io/job-name=a",
            "batch.kubernetes.io/controller-uid=a",
            "controller-uid=a",
            "job-name=a",
            "helm.sh/chart=web-1.2.3",
            "app.kubernetes.io/version=1.2.3",
            "service.istio.io/canonical-revision=v1",
            "istio.io/rev=1-20",
            "pod-template-generation=4",
            "checksum=9f86d081884c7d659a2feaa0c55ad015",
            "whatever=9f86d081884c7d659a2feaa0c55ad015",
            "ours=web-0",
        ] {
            let workloads = BTreeMap::from([(workload("web"), seen(&[label, "app=web"]))]);
            let selector = selector(&workload("web"), &workloads).unwrap();
            assert_eq!(selector.proposed, ["app=web"], "{label}");
            assert_eq!(selector.refused.len(), 1, "{label}");
        }
    }

    #[test]
    fn a_proposal_that_catches_a_neighbour_says_so() {
        let check = |mine: &[&str], other: &[&str], proposed: &[&str], shared: usize| {
            let workloads = BTreeMap::from([(workload("web"), seen(mine)), (workload("worker"), seen(other))]);
            let selector = selector(&workload("web"), &workloads).unwrap();
            assert_eq!((selector.proposed.as_slice(), selector.shared_with.len()), (proposed, shared));
        };
        check(&["app=shop", "team=a"], &["app=worker"], &["app=shop"], 0);
        check(&["app=shop", "part=web"], &["app=shop"], &["app=shop", "part=web"], 0);
        check(&["app=shop"], &["app=shop", "part=worker"], &["app=shop"], 1);
        check(&["pod-template-hash=1"], &["app=shop"], &[], 0);
    }
}
