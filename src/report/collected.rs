//! What a store's ledger says of each source: what it delivered, what it lost, how long it was away.
//!
//! In: rows of the ledger. Out: one row for each source and way in, as a table or JSON. Nothing is judged here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::escape::identifier;
use super::table::Table;
use crate::lake::LedgerRow;
use crate::model::SourceKind;

/// One source by one way in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CollectedRow {
    /// Its cluster; empty when nobody named one.
    pub cluster: String,
    /// `flows` or `dns`.
    pub kind: &'static str,
    /// Node or resolver.
    pub source: String,
    /// Socket or file.
    pub origin: String,
    /// Minutes in which something arrived.
    pub minutes: u64,
    /// Records that arrived.
    pub read: u64,
    /// Of these, in the store.
    pub used: u64,
    /// Of these, broken.
    pub rejected: u64,
    /// Of these, left out by name.
    pub excluded: u64,
    /// Events lost on the way.
    pub lost: u64,
    /// How often it was away.
    pub absences: u64,
    /// For how long in all, in milliseconds.
    pub away_milliseconds: u64,
    /// The shortest time from event to arrival in milliseconds; negative when the clocks differ.
    pub least_delay_milliseconds: Option<i64>,
    /// The longest of the shortest times of a minute.
    pub most_delay_milliseconds: Option<i64>,
}

/// Sums the ledger by source.
pub fn collected(ledger: &[LedgerRow]) -> Vec<CollectedRow> {
    let mut rows: BTreeMap<(&str, SourceKind, &str, &str), CollectedRow> = BTreeMap::new();
    for row in ledger {
        let empty = || CollectedRow {
            cluster: row.cluster.clone(),
            kind: row.kind.as_str(),
            source: row.source.clone(),
            origin: row.origin.clone(),
            minutes: 0,
            read: 0,
            used: 0,
            rejected: 0,
            excluded: 0,
            lost: 0,
            absences: 0,
            away_milliseconds: 0,
            least_delay_milliseconds: None,
            most_delay_milliseconds: None,
        };
        let sum = rows.entry((&row.cluster, row.kind, &row.source, &row.origin)).or_insert_with(empty);
        sum.minutes += u64::from(row.read > 0);
        sum.read += row.read;
        sum.used += row.used;
        sum.rejected += row.rejected;
        sum.excluded += row.excluded;
        sum.lost += row.lost;
        sum.absences += u64::from(row.missing_nanos > 0);
        sum.away_milliseconds += row.missing_nanos / 1_000_000;
        let delay = row.delay_nanos.map(|nanos| nanos / 1_000_000);
        sum.least_delay_milliseconds = [sum.least_delay_milliseconds, delay].into_iter().flatten().min();
        sum.most_delay_milliseconds = sum.most_delay_milliseconds.max(delay);
    }
    rows.into_values().collect()
}

/// As text for a terminal; empty for a store that nobody collected into.
pub fn collected_text(rows: &[CollectedRow], width: u16) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "source",
        "name",
        "through",
        "#minutes",
        "#read",
        "#rejected",
        "#lost",
        "#absences",
        "#away",
        "#delay",
    ]);
    for row in rows {
        table.row([
            row.kind.to_owned(),
            identifier(&row.source),
            identifier(&row.origin),
            row.minutes.to_string(),
            row.read.to_string(),
            row.rejected.to_string(),
            row.lost.to_string(),
            row.absences.to_string(),
            format!("{}.{} s", row.away_milliseconds / 1_000, row.away_milliseconds / 100 % 10),
            row.least_delay_milliseconds.map_or_else(|| "-".to_owned(), |delay| format!("{delay} ms")),
        ]);
    }
    ["\nCollected live\n\n", &table.to_plain(width), "\n"].concat()
}
