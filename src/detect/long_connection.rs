//! Connections that stay open for hours.
//!
//! In: one edge. Out: a finding with the longest time. Known destinations are exempt: database pools, watches and websockets are the norm there.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::LONG_HOURS;
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "long_connection",
    why: "a connection that stays open for hours to a destination that nobody knows may be a reverse shell or a tunnel",
    attack: &["T1572", "T1095"],
    innocent: "websockets, message queues, database pools and watches of products that the catalog does not know",
    advice: "Ask the owner what is kept open; if it is known, give the destination a category.",
};

/// From so many times the threshold on it is serious.
const SERIOUS: f64 = 3.0;

/// The finding for the longest connection.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
pub(super) fn long_connection(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let behaviour = &observed.seen().behaviour;
    let hours = behaviour.longest_seconds as f64 / 3_600.0;
    let least = detect.value(&LONG_HOURS);
    if hours < least || observed.is_scheduled() {
        return None;
    }
    let severity = if hours >= least * SERIOUS || observed.is_suspect { Severity::Medium } else { Severity::Low };
    let measured = format!(
        "longest {hours:.1} h; {} of {} connections open for an hour or more",
        behaviour.long,
        observed.seen().connections()
    );
    Some(TEXTS.finding(severity, Confidence::Medium, &observed.subject(), measured))
}
