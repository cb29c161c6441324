//! Traffic that a shorter look would have missed: destinations of a single day, regular spacing, scheduled workloads.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::peer;
use super::super::row::Row;
use super::super::table::Table;
use super::super::wording::{connections, counted, list, size, time};
use crate::model::Workload;

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Rare and periodic");
    let covered = digest.coverage.days.len();
    if covered < 2 {
        document.paragraph(&format!(
            "{} covered: too short to tell the rare from the regular. Weekly and monthly jobs may be missing.",
            counted(size(covered), "day"),
        ));
    } else {
        single_day(document, digest, covered);
    }
    spaced(document, digest);
    scheduled(document, digest);
}

/// Destinations with traffic on one of the days covered.
pub(super) fn seen_once<'d, 'a>(digest: &'d Digest<'a>) -> impl Iterator<Item = &'d Row<'a>> {
    let comparable = digest.coverage.days.len() >= 2;
    digest.rows.iter().filter(move |row| comparable && row.seen.days.len() == 1)
}

fn single_day(document: &mut Document, digest: &Digest<'_>, covered: usize) {
    let mut table = Table::new(&["Destination", "Port", "Workloads", "#Connections", "First seen", "Last seen"]);
    for row in seen_once(digest) {
        table.row([
            peer::markdown(row.peer),
            row.port(),
            row.workloads_cell(),
            connections(&row.seen),
            time(row.seen.first),
            time(row.seen.last),
        ]);
    }
    if table.is_empty() {
        document.paragraph(&format!("No destination was seen on only one of the {covered} days covered."));
        return;
    }
    document.paragraph(&format!(
        "Seen on only one of the {covered} days covered; a job with a longer period looks the same:"
    ));
    document.table(&table);
}

/// Destinations whose days of traffic are equally far apart, by more than a day.
fn spaced(document: &mut Document, digest: &Digest<'_>) {
    for row in &digest.rows {
        let days: Vec<u32> = row.seen.days.iter().copied().collect();
        let mut steps = days.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
        let Some(step) = steps.next().filter(|step| *step > 1) else { continue };
        if days.len() >= 3 && steps.all(|other| other == step) {
            document.bullet(&format!(
                "Every {step} days: {} on {}, {} times.",
                peer::markdown(row.peer),
                row.port(),
                days.len()
            ));
        }
    }
}

fn scheduled(document: &mut Document, digest: &Digest<'_>) {
    let is_scheduled = |workload: &&Workload| matches!(&*workload.kind.0, "CronJob" | "Job");
    let scheduled: Vec<&Workload> = digest.namespace.workloads.keys().filter(is_scheduled).collect();
    if !scheduled.is_empty() {
        document.paragraph(&format!(
            "Workloads that run by schedule or once: {}. Their next run may want something new.",
            list(scheduled.into_iter().map(peer::workload), usize::MAX),
        ));
    }
}
