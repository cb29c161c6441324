//! `index.md`: clusters and namespaces in numbers, with links, and the account of every input.

use super::coverage::{Coverage, coverage, kind_word};
use super::digest::{Digest, digest};
use super::document::Document;
use super::escape::{code, prose};
use super::path::document_path;
use super::table::Table;
use super::view::AtlasView;
use super::wording::{count, counted, list, share, size, span, time};
use crate::model::Category;
use crate::summary::{Cluster, InputAccount};

/// Renders the index.
pub fn index_document(view: &AtlasView<'_>) -> String {
    let mut document = Document::default();
    document.heading(1, "Egress atlas");
    document
        .paragraph("Times are UTC. A destination is a peer with a port and a protocol; it counts once per namespace.");
    if view.atlas.clusters.is_empty() {
        document.paragraph("No traffic was found in the inputs.");
    }
    for (name, cluster) in &view.atlas.clusters {
        write_cluster(&mut document, view, name, cluster);
    }
    write_warnings(&mut document, view);
    write_inputs(&mut document, &view.atlas.inputs);
    document.finish()
}

fn write_cluster(document: &mut Document, view: &AtlasView<'_>, name: &str, cluster: &Cluster) {
    document.heading(2, &format!("Cluster {}", code(name)));
    let coverage = coverage(view.atlas, cluster);
    document.paragraph(&looked(&coverage));
    let digests: Vec<Digest<'_>> =
        cluster.namespaces.keys().filter_map(|namespace| digest(view, &coverage, (name, cluster), namespace)).collect();
    let mut table = Table::new(&[
        "Namespace",
        "#Destinations",
        "#Outside",
        "#Unclassified",
        "#Open suspects",
        "#Rejected, in use",
        "#Address only",
        "#Ambiguous",
        "#Denied",
        "#Named by own pod",
    ]);
    for digest in digests.iter().filter(|digest| !digest.name.is_empty()) {
        let path = document_path(view.atlas.clusters.len(), name, digest.name);
        let counts = &digest.counts;
        table.row([
            format!("[{}]({path})", code(digest.name)),
            count(counts.destinations),
            count(counts.outside),
            count(counts.category(Category::Unclassified)),
            count(counts.open_total()),
            count(counts.rejected),
            count(counts.ip_only),
            count(counts.ambiguous),
            count(counts.denied),
            share(counts.own_pod(), counts.outside_connections),
        ]);
    }
    if table.is_empty() {
        document.paragraph("No namespace was seen.");
    } else {
        document.table(&table);
        document.paragraph(
            "Open suspects wait for an owner's decision; those that an owner rejected and that are in use all the same are counted apart, and `--fail-on` \
             goes by both. Denied counts connections. The last column is the share of connections to the outside whose name rests on a \
             DNS answer to the pod itself; `-` when there were none.",
        );
    }
    for digest in digests.iter().filter(|digest| digest.name.is_empty()) {
        let path = document_path(view.atlas.clusters.len(), name, "");
        document.paragraph(&format!(
            "Clients that belong to no namespace (nodes, host-network pods, unnamed addresses): {}, {} outside, {}. \
             [Their document]({path}).",
            counted(digest.counts.destinations, "destination"),
            count(digest.counts.outside),
            counted(digest.counts.open_total(), "open suspect"),
        ));
    }
    for note in view.clock_notes.get(name).into_iter().flatten() {
        document.bullet(&format!("Clocks: {}.", prose(note)));
    }
}

/// Coverage in one line.
fn looked(coverage: &Coverage<'_>) -> String {
    if !coverage.timed {
        return "No record carries a time, so nothing can be said about the time covered.".to_owned();
    }
    let kinds: Vec<String> = coverage
        .kinds
        .iter()
        .map(|kind| format!("{} {} ({})", kind_word(kind.kind), kind.share(), counted(kind.sources, "source")))
        .collect();
    format!(
        "Window: {} to {} ({}, {}). Covered: {}. {}, {} reported lost.",
        time(coverage.from),
        time(coverage.until),
        span(coverage.window_minutes),
        if coverage.asked { "as asked" } else { "as found" },
        kinds.join(", "),
        counted(size(coverage.gaps.len()), "gap"),
        counted(coverage.lost(), "event"),
    )
}

fn write_warnings(document: &mut Document, view: &AtlasView<'_>) {
    document.heading(2, "Warnings");
    if view.atlas.warnings.is_empty() {
        document.paragraph("None.");
    }
    for warning in &view.atlas.warnings {
        document.bullet(&prose(warning));
    }
}

fn write_inputs(document: &mut Document, inputs: &[InputAccount]) {
    document.heading(2, "Inputs");
    if inputs.is_empty() {
        document.paragraph("None.");
        return;
    }
    document.paragraph("Each record read is used, rejected as broken, or excluded for a stated reason.");
    let mut table = Table::new(&["Input", "Format", "#Read", "#Used", "#Rejected", "#Excluded", "Problem"]);
    for input in inputs {
        let account = &input.account;
        let unbalanced = if account.is_balanced() { "" } else { "**the account does not add up** " };
        table.row([
            code(&input.name),
            prose(input.format),
            count(account.read),
            count(account.used),
            count(account.rejected_total()),
            count(account.excluded_total()),
            format!("{unbalanced}{}", input.problem.as_deref().map_or_else(|| "-".to_owned(), prose)),
        ]);
    }
    document.table(&table);
    for input in inputs {
        write_reasons(document, input);
    }
}

fn write_reasons(document: &mut Document, input: &InputAccount) {
    let account = &input.account;
    for (reason, rejected) in &account.rejected {
        document.bullet(&format!(
            "{}: rejected {}: {}; the first at {}.",
            code(&input.name),
            counted(rejected.records, "record"),
            prose(reason.0),
            rejected.first,
        ));
    }
    if !account.excluded.is_empty() {
        let reasons =
            account.excluded.iter().map(|(reason, records)| format!("{} ({})", prose(reason.0), count(*records)));
        document.bullet(&format!("{}: excluded: {}.", code(&input.name), list(reasons, usize::MAX)));
    }
    if !account.notes.is_empty() {
        let notes = account.notes.iter().map(|(note, records)| format!("{} ({})", prose(note), count(*records)));
        document.bullet(&format!("{}: noted: {}.", code(&input.name), list(notes, usize::MAX)));
    }
}
