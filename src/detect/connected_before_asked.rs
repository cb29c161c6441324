//! Connections that came before any answer that could explain them, though DNS was being recorded: the address was known from elsewhere.
//!
//! In: the grades of one edge. Out: a finding of low severity. The first hour of a capture is left out, since clients have caches.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::BEFORE_CONNECTIONS;
use crate::model::{Confidence, Grade, Severity};

const TEXTS: Texts = Texts {
    class: "connected_before_asked",
    why: "the workload knew the address before it asked for the name: it may come from a configuration, or from another resolver",
    attack: &["T1071", "T1568"],
    innocent: "clients with caches of their own that last for hours, a gap in the DNS capture, clocks that disagree",
    advice: "Look for the address in the workload's configuration, and at the coverage of DNS at the time.",
};

/// Seconds of DNS records before the first connection, at least.
const WARM_UP: f64 = 3_600.0;

/// The finding for a name that was asked for only afterwards.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn connected_before_asked(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let seen = observed.seen();
    let (dns, _) = observed.around.dns?;
    let later = seen.grades.get(&Grade::PodLater).copied().unwrap_or(0);
    let only = seen.grades.iter().all(|(grade, count)| *grade == Grade::PodLater || *count == 0);
    let warm = seen.first?.seconds_since(dns) >= WARM_UP;
    let measured = || {
        format!(
            "{later} connections, none of them after an answer to the pod, the first {:.1} h after DNS records began",
            seen.first.map_or(0.0, |first| first.seconds_since(dns) / 3_600.0)
        )
    };
    (only && warm && later as f64 >= detect.value(&BEFORE_CONNECTIONS))
        .then(|| TEXTS.finding(Severity::Low, Confidence::Low, &observed.subject(), measured()))
}
