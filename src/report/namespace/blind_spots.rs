//! What this baseline cannot know: workloads that exist and whose traffic nobody saw.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::wording::{list, time};
use super::rare::seen_once;
use crate::summary::Blindness;

/// Destinations of a single day that are named here; the section on rare traffic has all.
const SEEN_ONCE_SHOWN: usize = 5;

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    if digest.name.is_empty() {
        return;
    }
    let spots = &digest.namespace.blind_spots;
    document.heading(2, "What this baseline cannot know");
    if spots.is_empty() {
        document.paragraph(
            "No workload is known that was not seen. Only Kubernetes objects (`--kube`, with deployments, statefulsets, daemonsets and cronjobs) \
             can tell of workloads that never spoke.",
        );
    } else {
        document.paragraph("These exist, and an allowlist made from this baseline would not know what they need:");
        for spot in spots {
            document.bullet(&format!("{}: {}", peer::workload(&spot.workload), reason(&spot.blindness)));
        }
    }
    let once: Vec<String> =
        seen_once(digest).map(|row| format!("{} on {}", peer::markdown(row.peer), row.port())).collect();
    if !once.is_empty() {
        document.paragraph(&format!(
            "Seen on one day alone, so that whether and when they come again is not known (a peer for failures, a job with a longer period): {}. \
             A failure that did not happen has peers that nobody saw.",
            list(once, SEEN_ONCE_SHOWN)
        ));
    }
}

fn reason(blindness: &Blindness) -> String {
    let shown = |schedule: &str| if schedule.is_empty() { "no schedule given".to_owned() } else { code(schedule) };
    match blindness {
        Blindness::NeverSeen => "never seen. Idle, or its flows are not recorded.".to_owned(),
        Blindness::ScaledToZero => "scaled to zero. It will speak when it is scaled up.".to_owned(),
        Blindness::Suspended => "suspended.".to_owned(),
        Blindness::HostNetwork => {
            "on the host network. Its traffic is that of the nodes, and no policy for pods governs it.".to_owned()
        }
        Blindness::NotDue { schedule, next: Some(next) } => {
            format!("schedule {} did not come round. Next run: {} UTC.", shown(schedule), time(Some(*next)))
        }
        Blindness::NotDue { schedule, next: None } => {
            format!("not seen; when its schedule ({}) comes round cannot be computed.", shown(schedule))
        }
        Blindness::DueAndNeverSeen { schedule, due } => format!(
            "**should have run** at {} UTC (schedule {}) and was not seen. It may have failed, or its flows are not recorded.",
            time(Some(*due)),
            shown(schedule)
        ),
    }
}
