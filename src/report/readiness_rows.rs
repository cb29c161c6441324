//! Readiness as rows: one for each input and each check.
//!
//! In: what was checked. Out: columns, and a Markdown table of the same. Judges nothing.

use super::escape::{code, prose};
use super::readiness::Readiness;
use super::table::Table;
use super::tables::{Column, Columns};
use crate::model::columns;

/// Cluster, what was checked, outcome, detail; inputs have no cluster.
fn rows(found: &Readiness) -> impl Iterator<Item = [String; 4]> {
    let inputs = found.inputs.iter().map(|input| {
        let reasons = if input.reasons.is_empty() { String::new() } else { format!(": {}", input.reasons.join(", ")) };
        let detail = format!("{} of {} {} records used{reasons}", input.used, input.read, input.format);
        [String::new(), input.name.clone(), input.outcome.word().to_owned(), detail]
    });
    let checks = found.clusters.iter().flat_map(|cluster| {
        cluster.checks.iter().map(|check| {
            [cluster.cluster.clone(), check.name.to_owned(), check.outcome.word().to_owned(), check.detail.clone()]
        })
    });
    inputs.chain(checks)
}

/// As columns.
pub fn readiness_columns(found: &Readiness) -> Columns {
    let mut values: [Vec<String>; 4] = Default::default();
    for row in rows(found) {
        for (column, cell) in values.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    columns::PREFLIGHT.into_iter().zip(values.map(Column::Text)).collect()
}

/// As Markdown.
pub fn readiness_markdown(found: &Readiness) -> String {
    let mut table = Table::new(&["Cluster", "Check", "Outcome", "Detail"]);
    for [cluster, name, outcome, detail] in rows(found) {
        let cluster = if cluster.is_empty() { "-".to_owned() } else { code(&cluster) };
        table.row([cluster, code(&name), outcome, prose(&detail)]);
    }
    table.to_markdown()
}
