//! An investigation as Markdown, for a ticket.

use super::super::document::Document;
use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::wording::{count, list};
use super::enforced::enforced_markdown;
use super::labels::{client_label, evidence_label, pair_client, port_label, server_label, short_time, sizes};
use super::schema::InvestigationDocument;
use super::spark::spark;
use super::text::{answer, coverage};

/// Longest list; JSON has all of it.
const ROWS_MAX: usize = 200;

/// Renders the investigation.
pub fn investigation_markdown(document: &InvestigationDocument) -> String {
    let mut out = Document::default();
    out.heading(1, &format!("Investigation of {}", code(&document.target.text)));
    out.paragraph(&prose(&answer(document)));
    out.paragraph(&prose(&coverage(document)));
    let began: Vec<u64> = document.timeline.buckets.iter().map(|bucket| bucket.began).collect();
    let covered: Vec<bool> = document.timeline.buckets.iter().map(|bucket| bucket.covered).collect();
    if let Some(first) = document.timeline.buckets.first().filter(|_| document.totals.connections > 0) {
        out.heading(2, "When");
        out.paragraph(&format!(
            "`{}` from {}, {} minutes a mark",
            spark(&began, &covered, began.len()),
            short_time(Some(&first.at)),
            document.timeline.step_seconds / 60
        ));
    }
    let mut names =
        vec!["Client", "Server", "Port", "#Connections", "#Denied", "Evidence", "First", "Last", "Findings", "Review"];
    let counted = document.totals.bytes.is_some();
    if counted {
        names.splice(5..5, ["#Sent", "#Received"]);
    }
    let mut pairs = Table::new(&names);
    for pair in document.pairs.iter().take(ROWS_MAX) {
        let judgement = pair.edge.judgement.as_ref();
        let findings =
            judgement.iter().flat_map(|judgement| &judgement.findings).filter(|finding| finding.exempted.is_none());
        let mut cells = vec![
            format!("`{}`", pair_client(document, pair, client_label)),
            format!("`{}`", server_label(&pair.edge.peer)),
            port_label(pair.edge.port, &pair.edge.protocol),
            count(pair.edge.connections),
            count(pair.edge.verdicts.get("denied").copied().unwrap_or(0)),
            evidence_label(pair),
            short_time(pair.edge.first.as_deref()),
            short_time(pair.edge.last.as_deref()),
            list(findings.map(|finding| format!("{} ({})", code(&finding.class), finding.severity)), 3),
            judgement.map_or("-", |judgement| judgement.review.state.as_str()).to_owned(),
        ];
        if counted {
            cells.splice(5..5, sizes(&pair.edge));
        }
        pairs.row(cells);
    }
    section(&mut out, "Who with whom", &pairs, document.pairs.len());
    enforced_markdown(&mut out, document, ROWS_MAX);
    for (title, rows) in [("Names", &document.names), ("Other names on the same addresses", &document.sibling_names)] {
        let mut table = Table::new(&["Name", "Addresses", "#Answers", "First", "Last"]);
        for row in rows.iter().take(ROWS_MAX) {
            let addresses = list(row.addresses.iter().map(|address| code(address)), 4);
            let (first, last) = (short_time(row.first.as_deref()), short_time(row.last.as_deref()));
            table.row([code(&row.name), addresses, count(row.answers), first, last]);
        }
        section(&mut out, title, &table, rows.len());
    }
    around(&mut out, document);
    out.heading(2, "Notes");
    for note in &document.notes {
        out.bullet(&prose(note));
    }
    out.finish()
}

fn around(out: &mut Document, document: &InvestigationDocument) {
    if let Some(around) = &document.around {
        let mut table =
            Table::new(&["Client", "Server", "Port", "#Connections", "#Denied", "#Nearest, min", "First", "Last"]);
        for row in around.rows.iter().take(ROWS_MAX) {
            table.row([
                format!("`{}`", client_label(&row.namespace, &row.client.kind, &row.client.name)),
                format!("`{}`", server_label(&row.server)),
                port_label(row.port, &row.protocol),
                count(row.connections),
                count(row.denied),
                row.nearest_minutes.map_or_else(|| "-".to_owned(), |minutes| minutes.to_string()),
                short_time(row.first.as_deref()),
                short_time(row.last.as_deref()),
            ]);
        }
        section(out, &format!("What the same pods did within {} min", around.minutes), &table, around.rows.len());
    }
}

fn section(out: &mut Document, title: &str, table: &Table, total: usize) {
    if table.is_empty() {
        return;
    }
    out.heading(2, title);
    out.table(table);
    if total > ROWS_MAX {
        out.paragraph(&format!("Showing {ROWS_MAX} of {total}."));
    }
}
