//! What this baseline cannot know: workloads that exist and whose traffic nobody saw.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::wording::time;
use crate::summary::Blindness;

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
        return;
    }
    document.paragraph("These exist, and an allowlist made from this baseline would not know what they need:");
    for spot in spots {
        document.bullet(&format!("{}: {}", peer::workload(&spot.workload), reason(&spot.blindness)));
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
