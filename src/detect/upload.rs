//! Much more sent than received.
//!
//! In: the bytes of one edge, where the source counts them. Out: a finding. Hubble counts none, so that nothing is judged there: no bytes is not
//! the same as few bytes.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{UPLOAD_MEGABYTES, UPLOAD_RATIO};
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "upload",
    why: "data flows out to a destination that nobody knows, and little comes back",
    attack: &["T1048", "T1567"],
    innocent: "backups, log shipping and media uploads to a store that the catalog does not know",
    advice: "Ask the owner what is sent; if it is known, give the destination a category.",
};

/// The finding for bytes out of proportion.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(super) fn upload(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let bytes = observed.seen().behaviour.bytes?;
    let megabytes = bytes.sent as f64 / 1e6;
    let ratio = bytes.sent as f64 / bytes.received.max(1) as f64;
    if megabytes < detect.value(&UPLOAD_MEGABYTES) || ratio < detect.value(&UPLOAD_RATIO) {
        return None;
    }
    let measured = format!("{megabytes:.1} MB sent, {:.1} MB received: {ratio:.0} to 1", bytes.received as f64 / 1e6);
    let severity = if observed.is_suspect { Severity::High } else { Severity::Medium };
    Some(TEXTS.finding(severity, Confidence::Medium, &observed.subject(), measured))
}
