//! The evidence behind each row: exact addresses, times, the rule that decided, and CNAME chains.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::escape::code;
use super::super::peer;
use super::super::row::Row;
use super::super::table::Table;
use super::super::wording::{counted, list, size, time};
use crate::summary::LISTED_MAX;

/// Addresses that a row shows.
const ADDRESSES_SHOWN: usize = 4;
/// Chains that a name shows.
const CHAINS_SHOWN: usize = 4;

/// Writes the two sections.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Details: times, addresses, rules");
    let mut table = Table::new(&["Destination", "Port", "First seen", "Last seen", "Decided by", "Addresses or names"]);
    for row in &digest.rows {
        let rules = list(row.rules().into_iter().map(code), 3);
        let found = if row.is_outside() || row.seen.names.is_empty() {
            row.addresses_cell(ADDRESSES_SHOWN)
        } else {
            format!("asked for as {}", row.names_cell(ADDRESSES_SHOWN))
        };
        table.row([
            peer::markdown(row.peer),
            row.port(),
            time(row.seen.first),
            time(row.seen.last),
            if rules == "-" { "no rule".to_owned() } else { format!("{}: {rules}", row.category) },
            found,
        ]);
    }
    if table.is_empty() {
        document.paragraph("None.");
    } else {
        document.paragraph("In the order of the tables above. Addresses are what was seen, the most used first.");
        let is_full = |row: &&Row<'_>| {
            row.is_outside() && row.edges.iter().any(|(edge, _)| edge.seen.addresses.len() >= LISTED_MAX)
        };
        let full = digest.rows.iter().filter(is_full).count();
        if full > 0 {
            document.paragraph(&format!(
                "Of {}, only the {LISTED_MAX} smallest addresses of each workload are listed. Category and suspicion follow from all of them.",
                counted(size(full), "destination")
            ));
        }
        document.table(&table);
    }
    chains(document, digest);
}

fn chains(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Details: CNAME evidence");
    let mut shown = std::collections::BTreeMap::<String, std::collections::BTreeSet<&str>>::new();
    for row in &digest.rows {
        if !row.seen.chains.is_empty() {
            let chains = row.seen.chains.iter().map(|chain| &**chain);
            shown.entry(peer::markdown(row.peer)).or_default().extend(chains);
        }
    }
    if shown.is_empty() {
        document.paragraph("No answer went through a CNAME.");
        return;
    }
    document.paragraph("The name on the left is the one that was asked for and the one to allow; the rest is how the answer got to an address.");
    for (name, chains) in shown {
        let chain = |chain: &str| chain.split(" → ").map(code).collect::<Vec<_>>().join(" → ");
        for text in chains.iter().take(CHAINS_SHOWN) {
            document.bullet(&format!("{name} → {}", chain(text)));
        }
        if chains.len() > CHAINS_SHOWN {
            document.bullet(&format!("{name}: {} more in `atlas.json`", chains.len() - CHAINS_SHOWN));
        }
    }
}
