//! The tables of an investigation on a terminal.
//!
//! In: lists of the document, and how much of each is shown. Out: tables; whoever prints them fits them to the width.

use super::super::escape::identifier;
use super::super::table::Table;
use super::super::wording::count;
use super::labels::{evidence_label, pair_client, port_label, short_client, short_server, short_time, sizes};
use super::schema::{AddressTold, AroundRow, ConnectionRow, InvestigationDocument, NameTold};
use super::spark::spark;
use crate::model::Timestamp;

/// How much of each list is printed.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) rows: usize,
    pub(super) clock: Clock,
    pub(super) marks: usize,
}

pub(super) fn pairs_table(document: &InvestigationDocument, shown: Shown) -> Table {
    let covered: Vec<bool> = document.timeline.buckets.iter().map(|bucket| bucket.covered).collect();
    let mut names = vec!["CLIENT", "SERVER", "#PORT", "#CONN", "#DENIED", "EVIDENCE", "#FIRST", "#LAST"];
    // On a narrow terminal names need the room more than a drawing.
    if shown.marks > 0 {
        names.push("#TIMELINE");
    }
    let counted = document.totals.bytes.is_some();
    // Names need the room more than a column of zeros.
    let none_denied = !document.totals.verdicts.contains_key("denied");
    if counted {
        names.splice(5..5, ["#SENT", "#RECEIVED"]);
        if none_denied {
            names.remove(4);
        }
    }
    let mut table = Table::new(&names);
    for pair in document.pairs.iter().take(shown.rows) {
        let edge = &pair.edge;
        let began: Vec<u64> = pair.began.iter().copied().map(u64::from).collect();
        let possible = if pair.roles.contains_key("possible") { "?" } else { "" };
        let mut cells = vec![
            pair_client(document, pair, short_client),
            format!("{}{possible}", short_server(&edge.peer)),
            port_label(edge.port, &edge.protocol),
            count(edge.connections),
            count(edge.verdicts.get("denied").copied().unwrap_or(0)),
            evidence_label(pair),
            shown.clock.minute(edge.first.as_deref()),
            shown.clock.minute(edge.last.as_deref()),
        ];
        if shown.marks > 0 {
            cells.push(spark(&began, &covered, if counted { shown.marks / 2 } else { shown.marks }));
        }
        if counted {
            cells.splice(5..5, sizes(edge));
            if none_denied {
                cells.remove(4);
            }
        }
        table.row(cells);
    }
    table
}

pub(super) fn names_table(rows: &[NameTold], shown: Shown) -> Table {
    let mut table = Table::new(&["!NAME", "ADDRESSES", "#ANSWERS", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            identifier(&row.name),
            together(&row.addresses, row.addresses_total),
            count(row.answers),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

pub(super) fn addresses_table(rows: &[AddressTold], shown: Shown) -> Table {
    let mut table = Table::new(&["!ADDRESS", "NAMES", "#ANSWERS", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            identifier(&row.address),
            together(&row.names, row.names_total),
            count(row.answers),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

/// The first two, and how many there are in all.
fn together(items: &[String], total: usize) -> String {
    let shown: Vec<String> = items.iter().take(2).map(|item| identifier(item)).collect();
    let rest = total.saturating_sub(shown.len());
    if rest > 0 { format!("{}, +{rest} more", shown.join(", ")) } else { shown.join(", ") }
}

pub(super) fn around_table(rows: &[AroundRow], shown: Shown) -> Table {
    let mut table = Table::new(&["CLIENT", "SERVER", "#PORT", "#CONN", "#DENIED", "#NEAREST", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            short_client(&row.namespace, &row.client.kind, &row.client.name),
            short_server(&row.server),
            port_label(row.port, &row.protocol),
            count(row.connections),
            count(row.denied),
            row.nearest_minutes.map_or_else(|| "-".to_owned(), |minutes| format!("{minutes} min")),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

pub(super) fn connections_table(rows: &[ConnectionRow], shown: Shown) -> Table {
    let mut table = Table::new(&["#TIME", "CLIENT", "SERVER", "#VERDICT", "EVIDENCE", "#ANSWER AGE"]);
    for row in rows.iter().take(shown.rows) {
        let client = if row.client.is_empty() { &row.client_address } else { &row.client };
        let name = row.names.first().filter(|_| row.server.is_empty());
        let server = name.or(Some(&row.server).filter(|server| !server.is_empty())).unwrap_or(&row.server_address);
        table.row([
            shown.clock.second(row.first.as_deref()),
            identifier(client),
            format!("{}:{}", identifier(server), row.port),
            row.verdict.to_owned(),
            if row.server.is_empty() { row.evidence.to_owned() } else { "identity".to_owned() },
            age(row),
        ]);
    }
    table
}

/// How old the answer was when the connection began.
fn age(row: &ConnectionRow) -> String {
    let time = |text: &Option<String>| text.as_deref().and_then(|text| Timestamp::parse(text.as_bytes()));
    match (time(&row.first), time(&row.answered_at)) {
        (Some(first), Some(answered)) => format!("{:.1} s", first.seconds_since(answered)),
        _ => "-".to_owned(),
    }
}

/// Writes times as short as the window allows.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    one_day: bool,
}

impl Clock {
    pub(super) fn of(document: &InvestigationDocument) -> Self {
        let day = |text: &Option<String>| text.as_deref().and_then(|text| text.get(..10)).map(ToString::to_string);
        let (since, until) = (day(&document.window.since), day(&document.window.until));
        Self { one_day: since.is_some() && since == until }
    }

    /// A time to the minute; without the date where all is of one day, without the year otherwise.
    pub(super) fn minute(self, text: Option<&str>) -> String {
        short_time(text).get(if self.one_day { 11 } else { 5 }..16).unwrap_or("-").to_owned()
    }

    /// A time to the second.
    pub(super) fn second(self, text: Option<&str>) -> String {
        short_time(text).get(if self.one_day { 11 } else { 0 }..).unwrap_or("-").to_owned()
    }
}
