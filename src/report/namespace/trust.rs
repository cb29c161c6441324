//! The trust header: how long was looked, by which sources, and what is missing.

use super::super::coverage::{Coverage, kind_word, source_name};
use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::wording::{count, counted, share, span, time};
use crate::model::Timestamp;

/// Most gaps and losses that are listed one by one.
const LISTED_MAX: usize = 20;

/// Writes the section on coverage.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Coverage");
    let coverage = digest.coverage;
    window(document, coverage);
    kinds(document, coverage);
    gaps(document, coverage);
    losses(document, coverage);
    for note in digest.clock_notes {
        document.bullet(&format!("Clocks: {}.", prose(note)));
    }
    if digest.clock_notes.is_empty() {
        document.bullet("Clocks: the traffic does not tell whether those of flows and DNS answers agree.");
    }
    direction(document, digest);
}

fn window(document: &mut Document, coverage: &Coverage<'_>) {
    let end = |end: Option<Timestamp>, word: &str| match end {
        Some(end) => format!("{word} {}", time(Some(end))),
        None => format!("{word} an unknown time"),
    };
    if !coverage.timed && !coverage.asked {
        document.paragraph("No window was asked for, and no record carries a time.");
        return;
    }
    let asked = if coverage.asked { "Asked window" } else { "Window, as found (no full window was asked for)" };
    document.paragraph(&format!(
        "{asked}: {} {}, {}. The sources watch the whole cluster, not this namespace alone.",
        end(coverage.from, "from"),
        end(coverage.until, "until"),
        span(coverage.window_minutes),
    ));
}

fn kinds(document: &mut Document, coverage: &Coverage<'_>) {
    let mut table = Table::new(&["Source", "#Sources", "#Records", "First", "Last", "#Covered", "Least covered"]);
    for kind in &coverage.kinds {
        let least = kind.least.map_or_else(
            || "-".to_owned(),
            |least| format!("{} {}", source_name(least.name), share(least.covered, least.expected)),
        );
        table.row([
            kind_word(kind.kind).to_owned(),
            count(kind.sources),
            count(kind.records),
            time(kind.first),
            time(kind.last),
            kind.share(),
            least,
        ]);
    }
    document.table(&table);
    for kind in coverage.kinds.iter().filter(|kind| kind.quiet > 0) {
        document.bullet(&format!(
            "{} of {} {} sources spoke too seldom for a rhythm: their silence proves nothing, and gaps in them cannot be told.",
            count(kind.quiet),
            count(kind.sources),
            kind_word(kind.kind),
        ));
    }
}

fn gaps(document: &mut Document, coverage: &Coverage<'_>) {
    if coverage.gaps.is_empty() {
        document.bullet(if coverage.timed { "Gaps: none found." } else { "Gaps: cannot be told." });
        return;
    }
    for (source, gap) in coverage.gaps.iter().take(LISTED_MAX) {
        document.bullet(&format!(
            "**Gap:** {} of {}, {} to {} ({}).",
            kind_word(source.kind),
            source_name(&source.name),
            time(Some(gap.from)),
            time(Some(gap.until)),
            span(u64::from(gap.minutes())),
        ));
    }
    more(document, coverage.gaps.len(), "gap");
}

fn losses(document: &mut Document, coverage: &Coverage<'_>) {
    if coverage.losses.is_empty() {
        document.bullet("Losses: no source reported any.");
        return;
    }
    for (source, place, events) in coverage.losses.iter().take(LISTED_MAX) {
        document.bullet(&format!(
            "**Lost:** {} at {} of {} {}, as reported by the source.",
            counted(*events, "event"),
            code(place),
            kind_word(source.kind),
            source_name(&source.name),
        ));
    }
    more(document, coverage.losses.len(), "loss report");
}

fn more(document: &mut Document, length: usize, noun: &str) {
    if length > LISTED_MAX {
        let rest = super::super::wording::size(length - LISTED_MAX);
        document.bullet(&format!("{} more in `atlas.json`.", counted(rest, noun)));
    }
}

/// What of the namespace's own numbers rests on guesses: direction, and answers that hide the pod.
fn direction(document: &mut Document, digest: &Digest<'_>) {
    let totals = &digest.namespace.totals;
    if totals.guessed_orientation > 0 {
        document.bullet(&format!(
            "Direction: for {} of {} the side that opened it was guessed from the ports.",
            count(totals.guessed_orientation),
            counted(totals.egress_connections.max(totals.guessed_orientation), "connection"),
        ));
    }
    match (totals.answers, totals.answers_to_nodes) {
        (0, _) => document.bullet("DNS: no answer to a client of this namespace was recorded."),
        (answers, 0) => document.bullet(&format!("DNS: {} to clients of this namespace.", counted(answers, "answer"))),
        (answers, to_nodes) => document.bullet(&format!(
            "DNS: {}, of which {} ({}) went to nodes: a node-local cache or host network hides the pod.",
            counted(answers, "answer"),
            count(to_nodes),
            share(to_nodes, answers),
        )),
    }
}
