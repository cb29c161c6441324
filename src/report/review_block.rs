//! A decision on a suspect, ready to paste into `reviews.toml` and to complete by its owner.

use std::collections::BTreeSet;

use super::escape::{identifier, toml_string};
use super::row::Row;
use crate::summary::Peer;

/// One `[[review]]` table for a row whose review is open; owner, decision, reason and expiry are left for the owner to fill in.
pub(super) fn review_block(cluster: &str, namespace: &str, row: &Row<'_>) -> String {
    let destination = match row.peer {
        Peer::Name(name) => name.to_string(),
        Peer::Address(address) => address.to_string(),
        peer => super::peer::plain(peer),
    };
    let workloads: BTreeSet<String> = row.edges_to_decide().map(|edge| edge.key.workload.to_string()).collect();
    let classes: BTreeSet<&str> = row.findings().iter().map(|finding| finding.class.as_str()).collect();
    let listed = |items: Vec<String>| items.iter().map(|item| identifier(item)).collect::<Vec<_>>().join(", ");
    let lines = [
        "[[review]]".to_owned(),
        format!(
            "# {} from {}, port {}",
            listed(classes.iter().map(ToString::to_string).collect()),
            listed(workloads.into_iter().collect()),
            row.port
        ),
        format!("destination = {}", toml_string(&destination)),
        format!("cluster = {}", toml_string(cluster)),
        format!("namespace = {}", toml_string(namespace)),
        "decision = \"\"  # \"approved\" or \"rejected\"".to_owned(),
        "owner = \"\"     # who answers for it".to_owned(),
        "reason = \"\"    # what it is for".to_owned(),
        "expires = \"\"   # last day, YYYY-MM-DD; leave the line out if it never does".to_owned(),
    ];
    lines.join("\n")
}
