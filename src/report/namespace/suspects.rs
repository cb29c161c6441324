//! Suspect destinations: what, why, how sure, since when, from which pods, how much, and where the owner's word stands.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::{code, prose};
use super::super::peer;
use super::super::review_block::review_block;
use super::super::row::Row;
use super::super::table::Table;
use super::super::view::{FindingView, ReviewView, WorkloadFinding};
use super::super::wording::{connections, count, list, time, volume};

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Suspects");
    let mut suspects: Vec<&Row<'_>> = digest
        .rows
        .iter()
        .filter(|row| !row.findings().is_empty() || !matches!(row.review(), ReviewView::NotNeeded))
        .collect();
    // The sort is stable: among equals the document order stays.
    suspects.sort_by_key(|row| (std::cmp::Reverse(row.severity()), row.review().urgency()));
    if suspects.is_empty() && digest.workload_findings.is_empty() {
        document.paragraph("None.");
    }
    whole_workloads(document, digest);
    if !suspects.is_empty() {
        overview(document, &suspects);
        for (index, row) in suspects.iter().enumerate() {
            suspect(document, digest, index + 1, row);
        }
    }
    exempted(document, digest);
}

/// What is suspect about workloads as a whole, and not about one destination.
fn whole_workloads(document: &mut Document, digest: &Digest<'_>) {
    let held = digest.workload_findings.iter().filter(|found| found.finding.exempted.is_none());
    for found in held {
        let about = if found.subject.is_empty() { String::new() } else { format!(" and {}", code(&found.subject)) };
        document.heading(
            3,
            &format!("{} as a whole{about}: {}", peer::workload(&found.workload), code(&found.finding.class)),
        );
        why(document, &found.finding);
        document.bullet(&whole_gate(digest, found));
    }
    for found in digest.workload_findings.iter().filter(|found| found.finding.exempted.is_some()) {
        document.paragraph(&format!(
            "{} as a whole matched {}, and that is not held against it: {}",
            peer::workload(&found.workload),
            code(&found.finding.class),
            prose(found.finding.exempted.as_deref().unwrap_or_default()),
        ));
    }
}

/// How the owner answers for a workload as a whole.
fn whole_gate(digest: &Digest<'_>, found: &WorkloadFinding) -> String {
    let state = found.review.as_str();
    if !found.review.is_open() {
        return format!("**Review: {state}.**");
    }
    let exemption = format!(
        "an `[[exempt]]` in the settings with `workloads` {}, `namespaces` {} and `class` {}",
        code(&found.workload.name),
        code(digest.name),
        code(&found.finding.class),
    );
    if found.subject.is_empty() {
        return format!("**Review: {state}.** To answer for it: {exemption}.");
    }
    format!(
        "**Review: {state}.** To decide: a `[[review]]` of {} in `reviews.toml`, or {exemption}.",
        code(&found.subject)
    )
}

fn overview(document: &mut Document, suspects: &[&Row<'_>]) {
    document.paragraph("Severity says how bad it would be if true, confidence how sure the match is. Until an owner decides, a suspect is open.");
    let mut table = Table::new(&["#No.", "Destination", "Port", "Severity", "Class", "#Connections", "Review"]);
    for (index, row) in suspects.iter().enumerate() {
        table.row([
            (index + 1).to_string(),
            peer::markdown(row.peer),
            row.port(),
            row.severity().map_or("-", |severity| severity.as_str()).to_owned(),
            list(classes(row), 3),
            count(row.seen.connections()),
            row.review().as_str().to_owned(),
        ]);
    }
    document.table(&table);
}

fn classes(row: &Row<'_>) -> std::collections::BTreeSet<String> {
    row.findings().iter().map(|finding| code(&finding.class)).collect()
}

fn suspect(document: &mut Document, digest: &Digest<'_>, number: usize, row: &Row<'_>) {
    document.heading(3, &format!("{number}. {} on {}", peer::markdown(row.peer), row.port()));
    for finding in row.findings() {
        why(document, finding);
    }
    document.bullet(&format!(
        "When: {} to {}, on {} days.",
        time(row.seen.first),
        time(row.seen.last),
        digest.days(&row.seen).replace('/', " of "),
    ));
    document.bullet(&format!(
        "Who: {}; pods {}.",
        row.workloads_cell(),
        list(row.seen.pods.iter().map(|pod| code(pod)), 5)
    ));
    let sizes = row.seen.behaviour.bytes.map(|counted| format!("; {}", volume(counted))).unwrap_or_default();
    document.bullet(&format!("How much: {} connections{sizes}.", connections(&row.seen)));
    document.bullet(&format!("Name known by: {}. Addresses: {}.", row.evidence(), row.addresses_cell(3)));
    gate(document, digest, row);
}

fn why(document: &mut Document, finding: &FindingView) {
    document.bullet(&format!(
        "{}, severity **{}**, confidence {}: {} (rule {}, matched {})",
        code(&finding.class),
        finding.severity,
        finding.confidence,
        prose(&finding.why),
        code(&finding.rule),
        code(&finding.matched),
    ));
    if let Some(reading) = &finding.false_positive {
        document.bullet(&format!("Innocent reading: {}", prose(reading)));
    }
    if !finding.attack.is_empty() {
        document.bullet(&format!("MITRE ATT&CK: {}.", list(finding.attack.iter().map(|id| code(id)), 5)));
    }
    if !finding.advice.is_empty() {
        document.bullet(&format!("To do: {}", prose(&finding.advice)));
    }
}

/// Where the owner's word stands, and what to paste where there is none.
fn gate(document: &mut Document, digest: &Digest<'_>, row: &Row<'_>) {
    let decided = |word: &str, owner: &str, reason: &str, until: &Option<String>, ends: &str| {
        let until =
            until.as_ref().map_or_else(|| "without an end".to_owned(), |until| format!("{ends} {}", prose(until)));
        format!("**Review: {word}** by {}, {until}: {}", prose(owner), prose(reason))
    };
    let line = match row.review() {
        ReviewView::NotNeeded => "Review: not needed.".to_owned(),
        ReviewView::Pending => {
            "**Review: pending.** Nobody has decided. To decide, complete this in `reviews.toml`:".to_owned()
        }
        ReviewView::Approved { owner, reason, expires } => decided("approved", owner, reason, expires, "until"),
        ReviewView::Rejected { owner, reason, expires } => {
            format!(
                "{}. It is still in use.",
                decided("rejected", owner, reason, expires, "until").trim_end_matches('.')
            )
        }
        ReviewView::Expired { owner, reason, expires } => {
            format!(
                "{}. To renew it, complete this in `reviews.toml`:",
                decided("expired", owner, reason, expires, "since").trim_end_matches('.')
            )
        }
    };
    document.bullet(&line);
    if row.review().is_open() {
        document.fenced("toml", &review_block(digest.cluster_name, digest.name, row));
    }
}

fn exempted(document: &mut Document, digest: &Digest<'_>) {
    let lines: Vec<String> = digest
        .rows
        .iter()
        .flat_map(|row| row.exempted().into_iter().map(move |finding| (row, finding)))
        .map(|(row, finding)| {
            format!(
                "{} on {}, {}: {}",
                peer::markdown(row.peer),
                row.port(),
                code(&finding.class),
                prose(finding.exempted.as_deref().unwrap_or_default()),
            )
        })
        .collect();
    if !lines.is_empty() {
        document.paragraph("Matched, and not held against the namespace:");
        for line in lines {
            document.bullet(&line);
        }
    }
}
