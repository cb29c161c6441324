//! Readiness as JSON, as columns for CSV, and as Markdown.
//!
//! In: finished checks. Out: texts; in the columns one row for each input, check, source and way into the store, told apart by `kind`. Decides nothing.

use super::super::collected::CollectedRow;
use super::super::document::Document;
use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::tables::{Column, Columns};
use super::super::wording::count;
use super::checks::{ClusterReadiness, InputRow, Readiness, SourceRow};
use super::text::second;
use crate::model::Timestamp;
use crate::model::columns::PREFLIGHT;

/// As JSON.
pub fn readiness_json(readiness: &Readiness) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(readiness).map(|text| text + "\n")
}

/// One row of the columns.
#[derive(Default)]
struct FlatRow<'a> {
    kind: &'a str,
    cluster: &'a str,
    name: &'a str,
    outcome: &'a str,
    detail: String,
    input: Option<&'a InputRow>,
    source: Option<&'a SourceRow>,
    collected: Option<&'a CollectedRow>,
}

fn rows(readiness: &Readiness) -> Vec<FlatRow<'_>> {
    let mut rows: Vec<FlatRow<'_>> = (readiness.inputs.iter())
        .map(|input| FlatRow {
            kind: "input",
            name: &input.name,
            outcome: input.outcome.as_str(),
            detail: said(input),
            input: Some(input),
            ..FlatRow::default()
        })
        .collect();
    for cluster in &readiness.clusters {
        let name = cluster.cluster.as_str();
        rows.extend(cluster.checks.iter().map(|check| FlatRow {
            kind: "check",
            cluster: name,
            name: check.name,
            outcome: check.outcome.as_str(),
            detail: check.detail.clone(),
            ..FlatRow::default()
        }));
        rows.extend(cluster.sources.iter().map(|source| FlatRow {
            kind: "source",
            cluster: name,
            name: &source.name,
            detail: source.kind.to_owned(),
            source: Some(source),
            ..FlatRow::default()
        }));
    }
    rows.extend(readiness.collected.iter().map(|collected| FlatRow {
        kind: "collected",
        cluster: &collected.cluster,
        name: &collected.source,
        detail: format!(
            "{} by {}: {} of {} used, away {} times for {} ms in all",
            collected.kind,
            collected.origin,
            collected.used,
            collected.read,
            collected.absences,
            collected.away_milliseconds
        ),
        collected: Some(collected),
        ..FlatRow::default()
    }));
    rows
}

fn said(input: &InputRow) -> String {
    let reasons = if input.reasons.is_empty() { String::new() } else { format!(": {}", input.reasons.join(", ")) };
    format!("{} of {} {} records used{reasons}", input.used, input.read, input.format)
}

/// The columns, in order.
pub fn readiness_columns(readiness: &Readiness) -> Columns {
    let rows = rows(readiness);
    let text = |value: fn(&FlatRow<'_>) -> String| Column::Text(rows.iter().map(value).collect());
    let counts = |value: fn(&FlatRow<'_>) -> Option<u64>| Column::Counts(rows.iter().map(value).collect());
    let times = |value: fn(&SourceRow) -> &str| {
        let nanos = |row: &FlatRow<'_>| Timestamp::parse(value(row.source?).as_bytes()).map(Timestamp::nanos);
        Column::Time(rows.iter().map(nanos).collect())
    };
    let values = [
        text(|row| row.kind.to_owned()),
        text(|row| row.cluster.to_owned()),
        text(|row| row.name.to_owned()),
        text(|row| row.outcome.to_owned()),
        text(|row| row.detail.clone()),
        counts(|row| {
            let read = row.input.map(|input| input.read).or(row.collected.map(|collected| collected.read));
            row.source.map(|source| source.records).or(read)
        }),
        times(|source| &source.first),
        times(|source| &source.last),
        counts(|row| row.source.map(|source| source.covered_percent)),
        counts(|row| row.source.map(|source| u64::try_from(source.gaps.len()).unwrap_or(u64::MAX))),
        counts(|row| row.source.map(|source| source.lost).or(row.collected.map(|collected| collected.lost))),
    ];
    PREFLIGHT.into_iter().zip(values).collect()
}

/// As Markdown.
pub fn readiness_markdown(readiness: &Readiness) -> String {
    let mut document = Document::default();
    document.heading(1, "Pre-flight");
    let mut inputs = Table::new(&["Outcome", "Input", "Format", "#Read", "#Used", "#Rejected", "#Excluded", "Why"]);
    for input in &readiness.inputs {
        inputs.row([
            input.outcome.word().to_owned(),
            code(&input.name),
            prose(input.format),
            count(input.read),
            count(input.used),
            count(input.rejected),
            count(input.excluded),
            if input.reasons.is_empty() { "-".to_owned() } else { prose(&input.reasons.join(", ")) },
        ]);
    }
    document.heading(2, "Inputs");
    if inputs.is_empty() {
        document.paragraph("None.");
    } else {
        document.table(&inputs);
    }
    if readiness.clusters.is_empty() {
        document.paragraph("No usable record in any input: nothing can be discovered with these.");
    }
    for cluster in &readiness.clusters {
        write_cluster(&mut document, cluster);
    }
    let mut collected = Table::new(&["Cluster", "Kind", "Source", "By", "#Read", "#Used", "#Lost", "#Absences"]);
    for row in &readiness.collected {
        collected.row([
            code(&row.cluster),
            row.kind.to_owned(),
            code(&row.source),
            code(&row.origin),
            count(row.read),
            count(row.used),
            count(row.lost),
            count(row.absences),
        ]);
    }
    if !collected.is_empty() {
        document.heading(2, "Collected into the store");
        document.table(&collected);
    }
    document.finish()
}

fn write_cluster(document: &mut Document, cluster: &ClusterReadiness) {
    document.heading(2, &format!("Cluster {}", code(&cluster.cluster)));
    document.paragraph(&format!("Window: {} to {}.", second(&cluster.window.0), second(&cluster.window.1)));
    let mut checks = Table::new(&["Outcome", "Check", "What was found"]);
    for check in &cluster.checks {
        checks.row([check.outcome.word().to_owned(), check.name.to_owned(), prose(&check.detail)]);
    }
    document.table(&checks);
    let mut sources = Table::new(&["Source", "Name", "#Records", "First", "Last", "#Covered", "#Gaps", "#Lost"]);
    for source in &cluster.sources {
        sources.row([
            source.kind.to_owned(),
            code(&source.name),
            count(source.records),
            second(&source.first),
            second(&source.last),
            format!("{} %", source.covered_percent),
            count(u64::try_from(source.gaps.len()).unwrap_or(u64::MAX)),
            count(source.lost),
        ]);
    }
    if !sources.is_empty() {
        document.table(&sources);
    }
}
