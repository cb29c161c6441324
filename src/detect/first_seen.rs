//! Destinations that were not there before: not in the baseline, or not in the first days of the records.
//!
//! In: one edge, its cluster, a baseline where there is one. Out: a finding that says how much history there is.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::{Known, Observed, outside_name};
use crate::catalog::Detect;
use crate::catalog::settings_detect::FIRST_SEEN_DAYS;
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "first_seen",
    why: "the workload did without this destination until now",
    attack: &["T1041", "T1105"],
    innocent: "a release, a new feature, a changed provider, a job that runs once a week or once a month",
    advice: "Compare the time of the first contact with the releases of the workload.",
};

/// The finding for a new destination of a workload that is not new itself.
pub(super) fn first_seen(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let Observed { around, namespace, edge, .. } = *observed;
    let subject = outside_name(&edge.key.peer)?;
    let severity = if observed.is_suspect || observed.name().is_none() { Severity::Medium } else { Severity::Low };
    let workload = &edge.key.workload;
    if let Some(baseline) = around.baseline {
        let begin: Known = (around.cluster.into(), namespace.into(), workload.name.clone(), "".into(), 0);
        let mut of_workload = baseline.known.range(begin..).take_while(|(cluster, in_namespace, name, ..)| {
            **cluster == *around.cluster && **in_namespace == *namespace && *name == workload.name
        });
        let known = of_workload.clone().count();
        if known == 0 || of_workload.any(|(.., peer, _)| *peer == subject) {
            return None;
        }
        let measured = format!("not among the {known} destinations of the workload in the baseline");
        return Some(TEXTS.finding(severity, Confidence::High, &subject, measured));
    }
    let ((from, until), first) = (around.flows?, edge.seen.first?);
    let (before, after) = (first.seconds_since(from) / 86_400.0, until.seconds_since(first) / 86_400.0);
    let is_new = before >= detect.value(&FIRST_SEEN_DAYS) && before >= 3.0 * after;
    let is_old_workload = around
        .workload_first(namespace, workload)
        .is_some_and(|start| first.seconds_since(start) / 86_400.0 >= detect.value(&FIRST_SEEN_DAYS));
    let measured = || {
        format!(
            "first contact {}, after {before:.1} days of flows without it; used by {} of the cluster's workloads",
            first.to_second(),
            observed.users()
        )
    };
    // With others the destination is a change of the cluster, not of this workload.
    (is_new && is_old_workload && observed.users() == 1 && !observed.is_scheduled())
        .then(|| TEXTS.finding(severity, Confidence::Medium, &subject, measured()))
}
