//! The first screen: five lines that say whether the document can be signed and what stands in the way.

use super::super::coverage::{KindCoverage, kind_word};
use super::super::digest::{Counts, Digest};
use super::super::document::Document;
use super::super::wording::{count, counted, sentence_list, share, size, span, time};
use crate::model::{Category, Grade};

/// Writes the verdict.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Verdict");
    for (index, line) in
        [readiness(digest), looked(digest), names(&digest.counts), seen(digest), needs(digest)].iter().enumerate()
    {
        document.numbered(index + 1, line);
    }
}

/// Seven days: what runs once a week must have had its turn.
const BASELINE_MINUTES: u64 = 7 * 1_440;

/// What must be decided before anybody can sign.
fn blockers(counts: &Counts) -> Vec<String> {
    let unclassified = counts.category(Category::Unclassified);
    [
        (counts.open_total(), counted(counts.open_total(), "open suspect")),
        (counts.rejected, format!("{} still in use", counted(counts.rejected, "rejected suspect"))),
        (unclassified, counted(unclassified, "unclassified destination")),
    ]
    .into_iter()
    .filter_map(|(number, words)| (number > 0).then_some(words))
    .collect()
}

/// What limits the claim without being open to a decision.
fn reservations(digest: &Digest<'_>) -> Vec<String> {
    let coverage = digest.coverage;
    let mut words = Vec::new();
    for kind in coverage.kinds.iter().filter(|kind| kind.sources == 0) {
        words.push(format!("no source of {}", kind_word(kind.kind)));
    }
    if words.is_empty() && coverage.falls_short() {
        words.push("the window is not covered in full".to_owned());
    }
    if !coverage.silent_nodes.is_empty() {
        let nodes = size(coverage.silent_nodes.len());
        words.push(format!("{} without a source of flows", counted(nodes, "node")));
    }
    if coverage.timed && coverage.window_minutes < BASELINE_MINUTES {
        words.push(format!("a window of {}, where weekly jobs need seven days", span(coverage.window_minutes)));
    }
    if !coverage.gaps.is_empty() {
        words.push(counted(size(coverage.gaps.len()), "gap"));
    }
    if coverage.lost() > 0 {
        words.push(format!("{} reported lost", counted(coverage.lost(), "event")));
    }
    words
}

/// Why the records cannot carry any verdict, if they cannot.
fn unproven(digest: &Digest<'_>) -> Option<&'static str> {
    let [flows, dns] = &digest.coverage.kinds;
    if flows.sources == 0 {
        return Some("no source of flows was read, so nothing can be said about connections");
    }
    if dns.sources == 0 && digest.counts.outside > 0 {
        return Some("no source of DNS was read, so destinations outside are known by address at best");
    }
    let namespace = digest.namespace;
    let silent = namespace.egress.is_empty() && namespace.ingress.is_empty();
    silent.then_some("no connection of this namespace was seen; its pods may not have run, or not have been recorded")
}

fn readiness(digest: &Digest<'_>) -> String {
    let (blockers, reservations) = (blockers(&digest.counts), reservations(digest));
    let reserved = match reservations.as_slice() {
        [] => String::new(),
        reservations => format!(" Reservations: {}.", sentence_list(reservations)),
    };
    match (unproven(digest), blockers.is_empty()) {
        (Some(reason), _) => format!("**Not proven:** {reason}.{reserved}"),
        (None, false) => format!("**Not ready to sign:** {}.{reserved}", sentence_list(&blockers)),
        (None, true) if reserved.is_empty() => {
            "**Ready to sign.** Nothing is open, and the window is covered.".to_owned()
        }
        (None, true) => format!("**Ready to sign with reservations:** {}.", sentence_list(&reservations)),
    }
}

fn looked(digest: &Digest<'_>) -> String {
    let coverage = digest.coverage;
    if !coverage.timed {
        return "**Looked:** no record carries a time, so nothing can be said about the time covered.".to_owned();
    }
    let [flows, dns] = coverage.kinds.each_ref().map(KindCoverage::share);
    format!(
        "**Looked:** {} to {} ({}, {}). Flows cover: {flows}. DNS covers: {dns}.",
        time(coverage.from),
        time(coverage.until),
        span(coverage.window_minutes),
        if coverage.asked { "as asked" } else { "as found; no window was asked for" },
    )
}

fn names(counts: &Counts) -> String {
    let all = counts.outside_connections;
    if all == 0 {
        return "**Names:** no connection left the cluster.".to_owned();
    }
    let own = counts.graded(&[Grade::Pod]);
    format!(
        "**Names:** of {} to the outside, {} have one name from the pod's own DNS answers, {} a name that is less certain, {} no name.",
        counted(all, "connection"),
        share(own, all),
        share(all - own - counts.graded(&[Grade::None]), all),
        share(counts.graded(&[Grade::None]), all),
    )
}

fn seen(digest: &Digest<'_>) -> String {
    let counts = &digest.counts;
    let categories: Vec<String> =
        counts.categories.iter().map(|(category, number)| format!("{category} {}", count(*number))).collect();
    let detail = if categories.is_empty() { String::new() } else { format!(" ({})", categories.join(", ")) };
    format!(
        "**Seen:** {}, {}{detail}, {} outside the cluster.",
        counted(size(digest.namespace.workloads.len()), "workload"),
        counted(counts.destinations, "destination"),
        count(counts.outside),
    )
}

fn needs(digest: &Digest<'_>) -> String {
    let counts = &digest.counts;
    let gaps = size(digest.coverage.gaps.len());
    let severities: Vec<String> =
        counts.open.iter().rev().map(|(severity, number)| format!("{} {severity}", count(*number))).collect();
    let suspects = match severities.as_slice() {
        [] => String::new(),
        severities => format!(" ({})", severities.join(", ")),
    };
    let items: Vec<String> = [
        (counts.open_total(), format!("{}{suspects}", counted(counts.open_total(), "open suspect"))),
        (counts.rejected, format!("{} still in use", counted(counts.rejected, "rejected suspect"))),
        (
            counts.category(Category::Unclassified),
            format!("{} unclassified", count(counts.category(Category::Unclassified))),
        ),
        (counts.ip_only, format!("{} known by address only", count(counts.ip_only))),
        (counts.ambiguous, counted(counts.ambiguous, "ambiguous name")),
        (counts.denied, counted(counts.denied, "denied connection")),
        (gaps, counted(gaps, "gap")),
    ]
    .into_iter()
    .filter_map(|(number, words)| (number > 0).then_some(words))
    .collect();
    match items.as_slice() {
        [] => "**Needs you:** nothing.".to_owned(),
        items => format!("**Needs you:** {}.", sentence_list(items)),
    }
}
