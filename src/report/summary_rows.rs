//! The table that `discover` prints, for programs: one row for each namespace.
//!
//! In: an [`AtlasView`]. Out: rows in the order of clusters and namespaces, as values for JSON, as columns, and as Markdown. Names stand as they
//! were recorded in the first two, and escaped in the last.

use serde::Serialize;

use super::coverage::coverage;
use super::digest::digest;
use super::escape::code;
use super::row::Row;
use super::table::Table;
use super::tables::{Column, Columns};
use super::view::AtlasView;
use super::wording::{count, share};
use crate::model::columns::SUMMARY;
use crate::model::{Category, Severity};

/// Version of the JSON form.
pub const SUMMARY_SCHEMA: &str = "egress-atlas-summary/1";

/// All namespaces of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SummaryDocument {
    /// [`SUMMARY_SCHEMA`].
    pub schema: &'static str,
    /// In the order of clusters and namespaces.
    pub namespaces: Vec<SummaryRow>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SummaryRow {
    /// Its cluster.
    pub cluster: String,
    /// Its name; empty for clients that no record assigns to one.
    pub namespace: String,
    /// Distinct destinations.
    pub destinations: u64,
    /// Of these, outside the cluster.
    pub outside: u64,
    /// Of these, known to no rule.
    pub unclassified: u64,
    /// Suspects that somebody has to decide: pending, or a decision that ran out.
    pub open_suspects: u64,
    /// The most severe suspect without an approval, open or rejected; null when there is none. `--fail-on` goes by it.
    pub worst: Option<Severity>,
    /// Destinations that nothing names.
    pub ip_only: u64,
    /// Connections to the outside.
    pub outside_connections: u64,
    /// Of these, named by an answer to the very pod.
    pub named_by_own_answer: u64,
    /// Suspects that an owner rejected and that are in use all the same.
    pub rejected_in_use: u64,
}

/// Makes the rows.
pub fn summary_document(view: &AtlasView<'_>) -> SummaryDocument {
    let mut namespaces = Vec::new();
    for (name, cluster) in &view.atlas.clusters {
        let coverage = coverage(view.atlas, cluster);
        for namespace in cluster.namespaces.keys() {
            let Some(digest) = digest(view, &coverage, (name, cluster), namespace) else { continue };
            if namespace.is_empty() && digest.rows.is_empty() {
                continue;
            }
            let rows = digest.rows.iter().filter_map(Row::unanswered);
            let whole = digest.workload_findings.iter().filter(|found| found.is_unanswered());
            let worst = rows.chain(whole.map(|found| found.finding.severity)).max();
            let counts = &digest.counts;
            namespaces.push(SummaryRow {
                cluster: name.to_string(),
                namespace: namespace.to_string(),
                destinations: counts.destinations,
                outside: counts.outside,
                unclassified: counts.category(Category::Unclassified),
                open_suspects: counts.open_total(),
                worst,
                ip_only: counts.ip_only,
                outside_connections: counts.outside_connections,
                named_by_own_answer: counts.own_pod(),
                rejected_in_use: counts.rejected,
            });
        }
    }
    SummaryDocument { schema: SUMMARY_SCHEMA, namespaces }
}

/// The columns, in order.
pub fn summary_columns(document: &SummaryDocument) -> Columns {
    let rows = &document.namespaces;
    let text = |value: fn(&SummaryRow) -> String| Column::Text(rows.iter().map(value).collect());
    let number = |value: fn(&SummaryRow) -> u64| Column::Count(rows.iter().map(value).collect());
    let values = [
        text(|row| row.cluster.clone()),
        text(|row| row.namespace.clone()),
        number(|row| row.destinations),
        number(|row| row.outside),
        number(|row| row.unclassified),
        number(|row| row.open_suspects),
        text(|row| row.worst.map(|worst| worst.to_string()).unwrap_or_default()),
        number(|row| row.ip_only),
        number(|row| row.outside_connections),
        number(|row| row.named_by_own_answer),
        number(|row| row.rejected_in_use),
    ];
    SUMMARY.into_iter().zip(values).collect()
}

/// The table as Markdown.
pub fn summary_markdown(document: &SummaryDocument) -> String {
    let mut table = Table::new(&[
        "Cluster",
        "Namespace",
        "#Destinations",
        "#Outside",
        "#Unclassified",
        "#Open suspects",
        "#Rejected, in use",
        "Worst",
        "#IP-only",
        "#Named by the pod's own answer",
    ]);
    for row in &document.namespaces {
        table.row([
            code(&row.cluster),
            if row.namespace.is_empty() { "(no namespace)".to_owned() } else { code(&row.namespace) },
            count(row.destinations),
            count(row.outside),
            count(row.unclassified),
            count(row.open_suspects),
            count(row.rejected_in_use),
            row.worst.map_or("-", Severity::as_str).to_owned(),
            count(row.ip_only),
            share(row.named_by_own_answer, row.outside_connections),
        ]);
    }
    if table.is_empty() { "No traffic was found in the inputs.\n".to_owned() } else { table.to_markdown() }
}
