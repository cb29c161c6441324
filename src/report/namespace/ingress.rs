//! Who calls into the namespace.

use std::collections::{BTreeMap, BTreeSet};

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::peer;
use super::super::row::together;
use super::super::table::Table;
use super::super::wording::{connections, list, port, time};
use crate::model::{Protocol, Workload};
use crate::summary::{Edge, Peer};

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Ingress");
    let mut groups: BTreeMap<(&Peer, u16, Protocol), Vec<&Edge>> = BTreeMap::new();
    for edge in &digest.namespace.ingress {
        groups.entry((&edge.key.peer, edge.key.port, edge.key.protocol)).or_default().push(edge);
    }
    if groups.is_empty() {
        document.paragraph("No connection into this namespace was seen.");
        return;
    }
    let mut table =
        Table::new(&["Caller", "Port", "Workloads called", "#Connections", "#Days", "First seen", "Last seen"]);
    for ((caller, number, protocol), edges) in &groups {
        let seen = together(edges.iter().copied());
        let workloads: BTreeSet<&Workload> = edges.iter().map(|edge| &edge.key.workload).collect();
        table.row([
            peer::markdown(caller),
            port(*number, *protocol),
            list(workloads.into_iter().map(peer::workload), 4),
            connections(&seen),
            digest.days(&seen),
            time(seen.first),
            time(seen.last),
        ]);
    }
    document.table(&table);
    let callers: BTreeSet<&Peer> = groups.keys().map(|(caller, _, _)| *caller).collect();
    for caller in callers {
        if let Some(note) = hidden_origin(caller) {
            document.bullet(note);
        }
    }
}

/// What a caller hides behind itself, if it does.
const fn hidden_origin(caller: &Peer) -> Option<&'static str> {
    match caller {
        Peer::Outside => Some(
            "Outside the cluster: all external clients taken together. Behind a load balancer that translates addresses the \
             real origin is hidden.",
        ),
        Peer::Node => Some(
            "Cluster nodes: health probes of the kubelet, host-network pods, and outside traffic that entered by a node port \
             and lost its origin to address translation. The records do not tell them apart.",
        ),
        Peer::Ingress => Some(
            "Ingress gateway: it calls in its own name; the real origin of the request is in the gateway's logs only.",
        ),
        _ => None,
    }
}
