//! What a reader might take for certain and must not: ambiguous names, bare addresses, names never used, late answers.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::table::Table;
use super::super::wording::{connections, count, counted, list, share, size, time};
use crate::model::Grade;

/// Most names that are listed as asked and never used.
const ASKED_MAX: usize = 100;

/// Writes the four sections.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    ambiguous(document, digest);
    ip_only(document, digest);
    asked_only(document, digest);
    later(document, digest);
}

fn ambiguous(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Ambiguous names");
    let mut table = Table::new(&["Chosen name", "Port", "Workloads", "#Ambiguous", "#Confidence", "Could also be"]);
    for row in digest.rows.iter().filter(|row| row.is_ambiguous()) {
        let ambiguous = row.seen.grades.get(&Grade::PodAmbiguous).copied().unwrap_or(0);
        let mut candidates: Vec<_> = row.seen.candidates.iter().collect();
        candidates.sort_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
        table.row([
            peer::markdown(row.peer),
            row.port(),
            row.workloads_cell(),
            format!("{} of {}", count(ambiguous), count(row.seen.connections())),
            format!("{:.2}", row.seen.confidence()),
            list(candidates.iter().map(|(name, connections)| format!("{} ({})", code(name), count(**connections))), 5),
        ]);
    }
    if table.is_empty() {
        document.paragraph("None: no address stood for several names that the same pod had asked for.");
        return;
    }
    document.paragraph(
        "The pod had asked for several names that share the address. The number after a candidate is how many connections \
         it could explain.",
    );
    document.table(&table);
}

fn ip_only(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Known by address only");
    let mut table = Table::new(&["Address", "Port", "Workloads", "#Connections", "#Days", "Category", "Review"]);
    for row in digest.rows.iter().filter(|row| row.is_ip_only()) {
        table.row([
            row.addresses_cell(1),
            row.port(),
            row.workloads_cell(),
            connections(&row.seen),
            digest.days(&row.seen),
            row.category.to_string(),
            row.review_cell(),
        ]);
    }
    if table.is_empty() {
        document.paragraph("None: every destination has a name or an identity.");
        return;
    }
    let dns = digest.coverage.kinds.iter().find(|kind| kind.kind == crate::summary::SourceKind::Dns);
    let mut reasons =
        "No DNS answer explains these: the address is written into a configuration, the pod uses a resolver \
                       that was not recorded, or the name was cached before the recording."
            .to_owned();
    if dns.is_none_or(|dns| dns.sources == 0) {
        reasons.push_str(" **No DNS source was read**, so all destinations look like this.");
    }
    document.paragraph(&reasons);
    document.table(&table);
}

fn asked_only(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Asked for, never connected to");
    let asked = &digest.namespace.asked_only;
    if asked.is_empty() {
        document.paragraph("None.");
        return;
    }
    document.paragraph(
        "These names were resolved, and no recorded connection could have used the answer: checks, prefetching, failed \
         attempts, data carried in the names, or connections that the flow source did not see.",
    );
    let mut table = Table::new(&["Name", "Workloads", "#Answers", "First", "Last"]);
    for (name, asked) in asked.iter().take(ASKED_MAX) {
        table.row([
            code(name),
            list(asked.workloads.iter().map(peer::workload), 4),
            count(asked.answers),
            time(asked.first),
            time(asked.last),
        ]);
    }
    document.table(&table);
    if asked.len() > ASKED_MAX {
        document.paragraph(&format!("{} more in `atlas.json`.", counted(size(asked.len() - ASKED_MAX), "name")));
    }
}

fn later(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Connected before asked");
    let mut table = Table::new(&["Destination", "Port", "Workloads", "#Connections", "#Share of the row"]);
    for row in &digest.rows {
        let later = row.seen.grades.get(&Grade::PodLater).copied().unwrap_or(0);
        if later > 0 {
            table.row([
                peer::markdown(row.peer),
                row.port(),
                row.workloads_with(Grade::PodLater),
                count(later),
                share(later, row.seen.connections()),
            ]);
        }
    }
    if table.is_empty() {
        document.paragraph("None.");
        return;
    }
    document.paragraph(
        "The pod's first recorded answer came after the connection: the name was cached before the recording began.",
    );
    document.table(&table);
}
