//! Connections that stay open for hours.
//!
//! In: one edge. Out: a finding with the longest time. Known destinations are exempt: database pools, watches and websockets are the norm there. So
//! is what many workloads do, and a stream beside an interface of the same owner that the workload calls all the time.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{LONG_HOURS, LONG_WORKLOADS};
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "long_connection",
    why: "a connection that stays open for hours to a destination that nobody knows may be a reverse shell or a tunnel",
    attack: &["T1572", "T1095"],
    innocent: "websockets, message queues, database pools and watches of products that the catalog does not know",
    advice: "Ask the owner what is kept open; if it is known, give the destination a category.",
};

/// From so many times the threshold on it is serious.
const SERIOUS: f64 = 6.0;
/// So many connections to other names beside it make it one of several services of an owner that the workload works with.
const BESIDE_MIN: u64 = 24;

/// The finding for the longest connection.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
pub(super) fn long_connection(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let behaviour = &observed.seen().behaviour;
    let hours = behaviour.longest_seconds as f64 / 3_600.0;
    let least = detect.value(&LONG_HOURS);
    let is_common = observed.users() as f64 > detect.value(&LONG_WORKLOADS);
    if hours < least || is_common || observed.is_scheduled() || observed.beside() >= BESIDE_MIN {
        return None;
    }
    let severity = if hours >= least * SERIOUS || observed.is_suspect { Severity::Medium } else { Severity::Low };
    let measured = format!(
        "longest {hours:.1} h; {} of {} connections open for an hour or more; used by {} of the cluster's workloads",
        behaviour.long,
        observed.seen().connections(),
        observed.users()
    );
    Some(TEXTS.finding(severity, Confidence::Medium, &observed.subject(), measured))
}
