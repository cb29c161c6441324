//! What only the owner knows: questions that can be answered with yes or no.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::row::Row;
use super::super::wording::{count, counted, list, size};
use super::rare::seen_once;
use crate::model::{Category, Verdict};

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Questions for the owner");
    let mut questions: Vec<String> = digest.rows.iter().filter_map(about_row).collect();
    questions.extend(digest.rows.iter().filter_map(about_name));
    questions.extend(digest.rows.iter().filter_map(about_denied));
    questions.extend(about_rare(digest));
    questions.extend(about_asked(digest));
    questions.extend(about_guessed(digest));
    if questions.is_empty() {
        document.paragraph("None.");
        return;
    }
    document.paragraph("Each can be answered with yes or no.");
    for (index, question) in questions.iter().enumerate() {
        document.numbered(index + 1, question);
    }
}

fn about_row(row: &Row<'_>) -> Option<String> {
    let (who, what, port) = (row.workloads_cell(), peer::markdown(row.peer), row.port());
    if row.review().is_rejected() {
        return Some(format!("{what} on {port} was rejected and {who} still reaches it: will this be ended?"));
    }
    if row.review().is_open() {
        let classes: Vec<String> = row.findings().iter().map(|finding| code(&finding.class)).collect();
        let classes = if classes.is_empty() { String::new() } else { format!(" ({})", list(classes, 3)) };
        return Some(format!("Is {who} meant to reach {what} on {port}{classes}?"));
    }
    if row.category != Category::Unclassified {
        return None;
    }
    Some(if row.is_ip_only() {
        format!("Does {what} on {port}, called by {who}, belong to you or to a party you know?")
    } else {
        format!("Is {who} meant to reach {what} on {port}?")
    })
}

fn about_name(row: &Row<'_>) -> Option<String> {
    let (candidate, _) = row.seen.candidates.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)))?;
    row.is_ambiguous().then(|| {
        format!(
            "Does {} use {} on {}, and not {}?",
            row.workloads_cell(),
            peer::markdown(row.peer),
            row.port(),
            code(candidate),
        )
    })
}

fn about_denied(row: &Row<'_>) -> Option<String> {
    let denied = row.seen.with_verdict(Verdict::Denied);
    (denied > 0).then(|| {
        format!(
            "Should connections from {} to {} on {} stay denied ({} so far)?",
            row.workloads_cell(),
            peer::markdown(row.peer),
            row.port(),
            count(denied),
        )
    })
}

fn about_rare(digest: &Digest<'_>) -> Option<String> {
    let rare: Vec<&Row<'_>> = seen_once(digest).filter(|row| row.is_outside()).collect();
    (!rare.is_empty()).then(|| {
        let names = rare.into_iter().map(|row| format!("{} on {}", peer::markdown(row.peer), row.port()));
        format!("Will the traffic of a single day come again: {}?", list(names, 6))
    })
}

fn about_asked(digest: &Digest<'_>) -> Option<String> {
    let names = digest.namespace.asked_only.len();
    (names > 0).then(|| {
        format!(
            "Is any of the names asked for and never connected to ({}) needed in a failover, a renewal or a monthly job?",
            count(size(names))
        )
    })
}

fn about_guessed(digest: &Digest<'_>) -> Option<String> {
    let guessed: Vec<String> = digest
        .namespace
        .workloads
        .iter()
        .filter(|(_, seen)| seen.guessed)
        .map(|(workload, seen)| format!("{} ({})", peer::workload(workload), counted(size(seen.pods.len()), "pod")))
        .collect();
    (!guessed.is_empty()).then(|| format!("Are these owners, guessed from pod names, right: {}?", list(guessed, 8)))
}
