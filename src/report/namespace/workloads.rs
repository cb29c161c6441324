//! The workloads of the namespace: pods seen, how the owner is known, and the labels that can select it.

use std::collections::BTreeMap;

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::row::Row;
use super::super::table::Table;
use super::super::wording::{count, list, size, time};
use super::labels::selector;
use crate::model::Workload;

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Workloads");
    let workloads = &digest.namespace.workloads;
    if workloads.is_empty() {
        document.paragraph("None was seen.");
        return;
    }
    let mut table = Table::new(&["Workload", "#Pods", "Owner", "#Destinations", "First seen", "Last seen"]);
    let mut destinations: BTreeMap<&Workload, u64> = BTreeMap::new();
    for workload in digest.rows.iter().flat_map(Row::workloads) {
        *destinations.entry(workload).or_default() += 1;
    }
    for (workload, seen) in workloads {
        table.row([
            peer::workload(workload),
            count(size(seen.pods.len())),
            if seen.guessed { "**guessed** from pod names" } else { "stated" }.to_owned(),
            count(destinations.get(workload).copied().unwrap_or(0)),
            time(seen.first),
            time(seen.last),
        ]);
    }
    document.table(&table);
    document.paragraph("Labels to select by: each was on every pod seen, and survives a rollout.");
    for workload in workloads.keys() {
        let name = peer::workload(workload);
        let Some(selector) = selector(workload, workloads) else {
            document.bullet(&format!("{name}: no record carried labels."));
            continue;
        };
        let mut sentences = vec![if selector.proposed.is_empty() {
            "**none**; no label of all its pods survives a rollout.".to_owned()
        } else {
            format!("{}.", list(selector.proposed.iter().map(|label| code(label)), usize::MAX))
        }];
        if !selector.shared_with.is_empty() {
            let others = list(selector.shared_with.iter().map(|other| peer::workload(other)), 3);
            sentences.push(format!("**These also select** {others}."));
        }
        if !selector.refused.is_empty() {
            let refused = selector.refused.iter().map(|(label, reason)| format!("{} ({reason})", code(label)));
            sentences.push(format!("Refused: {}.", list(refused, 8)));
        }
        document.bullet(&format!("{name}: {}", sentences.join(" ")));
    }
}
