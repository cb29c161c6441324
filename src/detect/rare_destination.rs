//! Destinations that one workload of many talked to, a few times, on one day.
//!
//! In: one edge and its cluster. Out: a finding of low severity. Prevalence counts workloads, not pods: a `DaemonSet` is one actor.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{RARE_CONNECTIONS, RARE_DAYS, RARE_WORKLOADS};
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "rare_destination",
    why: "nobody else in the cluster talks to it, and this workload hardly does: it is not what the workload is for",
    attack: &["T1041", "T1105"],
    innocent: "monthly jobs, webhooks set by users, redirects, a person who tried something out",
    advice: "Ask the owner whether the destination is needed before it enters a policy.",
};

/// The finding for a destination of one workload and one day.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn rare_destination(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let Observed { around, .. } = *observed;
    let seen = observed.seen();
    let connections = seen.connections();
    let is_rare = observed.users() == 1
        && connections as f64 <= detect.value(&RARE_CONNECTIONS)
        && seen.days.len() == 1
        && around.workloads as f64 >= detect.value(&RARE_WORKLOADS)
        && around.days() >= detect.value(&RARE_DAYS)
        && !observed.is_scheduled();
    let measured = || {
        format!("1 of {} workloads, {connections} connections, 1 of {:.0} days", around.workloads, around.days().ceil())
    };
    is_rare.then(|| TEXTS.finding(Severity::Low, Confidence::Low, &observed.subject(), measured()))
}
