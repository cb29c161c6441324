//! Egress by category: one table each, in document order.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::prose;
use super::super::peer;
use super::super::row::Row;
use super::super::table::Table;
use super::super::wording::{bytes, connections, count, list, size};
use crate::model::Category;

/// What the reader is looking at.
const fn introduction(category: Category) -> &'static str {
    match category {
        Category::Internal => "Inside: pods, services, nodes, private networks.",
        Category::Infra => "What the platform itself needs: clouds, CDNs, DNS, time, certificates.",
        Category::Vendor => "Products that somebody bought or signed up for.",
        Category::Registries => "Container and package registries.",
        Category::Customer => "Customers and partners, as your own rules say.",
        Category::Unclassified => "No rule knows these. Each needs a rule or an owner's word.",
    }
}

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Egress");
    if digest.rows.is_empty() {
        document.paragraph("No connection that began here was seen.");
        return;
    }
    let mut absent = Vec::new();
    for category in Category::ALL {
        let rows: Vec<&Row<'_>> = digest.rows.iter().filter(|row| row.category == category).collect();
        if rows.is_empty() {
            absent.push(category.as_str());
            continue;
        }
        document.heading(3, &format!("{} ({})", title(category), count(size(rows.len()))));
        document.paragraph(introduction(category));
        document.table(&table(digest, &rows));
    }
    if !absent.is_empty() {
        document.paragraph(&format!("Nothing seen in: {}.", absent.join(", ")));
    }
}

fn title(category: Category) -> &'static str {
    match category {
        Category::Internal => "Internal",
        Category::Infra => "Infra",
        Category::Vendor => "Vendor",
        Category::Registries => "Registries",
        Category::Customer => "Customer",
        Category::Unclassified => "Unclassified",
    }
}

fn table(digest: &Digest<'_>, rows: &[&Row<'_>]) -> Table {
    // Most sources count no bytes: a column of nothing would only look like zero.
    let counted = digest.rows.iter().any(|row| row.seen.behaviour.bytes.is_some());
    let mut names = vec!["Destination", "Port", "Workloads", "#Connections", "#Days", "Evidence", "What", "Review"];
    if counted {
        names.splice(4..4, ["#Sent", "#Received"]);
    }
    let mut table = Table::new(&names);
    for row in rows {
        let mut cells = vec![
            peer::markdown(row.peer),
            row.port(),
            row.workloads_cell(),
            connections(&row.seen),
            digest.days(&row.seen),
            row.evidence(),
            list(row.labels().into_iter().map(prose), 2),
            row.review_cell(),
        ];
        if counted {
            let sizes = row.seen.behaviour.bytes.map(|counted| [bytes(counted.sent), bytes(counted.received)]);
            cells.splice(4..4, sizes.unwrap_or_else(|| ["-", "-"].map(ToOwned::to_owned)));
        }
        table.row(cells);
    }
    table
}
