//! What the namespace needs of the platform: DNS, the API server, time, instance metadata; read off its egress.

use std::net::IpAddr;

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::peer;
use super::super::row::Row;
use super::super::wording::{connections, list};
use crate::model::{Protocol, is_link_local};
use crate::summary::Peer;

/// Ports of DNS: plain, over TLS (RFC 7858), multicast and `OpenShift`'s pods.
const DNS_PORTS: [u16; 3] = [53, 853, 5353];

/// Class that the catalog gives to metadata endpoints.
const METADATA_CLASS: &str = "cloud_metadata";

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Infrastructure needs");
    let line = |subject: &str, keep: &dyn Fn(&Row<'_>) -> bool, absent: &str| {
        let rows: Vec<&Row<'_>> = digest.rows.iter().filter(|row| keep(row)).collect();
        if rows.is_empty() {
            format!("{subject}: {absent}")
        } else {
            format!("{subject}: {}.", list(rows.into_iter().map(describe), 8))
        }
    };
    document.bullet(&line(
        "DNS",
        &is_dns,
        "no connection to a DNS port was seen; the pods may ask a cache on their node.",
    ));
    document.bullet(&line("Kubernetes API server", &|row| *row.peer == Peer::KubeApiserver, "not seen."));
    document.bullet(&line("Time (NTP)", &|row| row.port == 123 && row.protocol == Protocol::UDP, "not seen."));
    document.bullet(&line("Instance metadata", &is_metadata, "not seen."));
    document.bullet(&line("Nodes", &|row| *row.peer == Peer::Node && !is_dns(row), "not seen."));
}

fn is_dns(row: &Row<'_>) -> bool {
    DNS_PORTS.contains(&row.port)
}

fn is_metadata(row: &Row<'_>) -> bool {
    let flagged = row.findings().into_iter().chain(row.exempted()).any(|finding| finding.class == METADATA_CLASS);
    let link_local = matches!(row.peer, Peer::Address(address @ IpAddr::V4(_)) if is_link_local(*address));
    flagged || (link_local && !is_dns(row) && row.port != 123)
}

fn describe(row: &Row<'_>) -> String {
    let note = match row.peer {
        Peer::Address(address) if is_dns(row) && is_link_local(*address) => " (link-local: a cache on the node)",
        Peer::Node if is_dns(row) => " (a cache on the node, or host-network DNS)",
        peer if is_dns(row) && peer::is_outside(peer) => {
            " (**not the cluster's DNS**: names asked there are not recorded)"
        }
        _ => "",
    };
    let place = match row.peer {
        Peer::KubeApiserver => String::new(),
        Peer::Node if !is_dns(row) => String::new(),
        peer => format!("{} on ", peer::markdown(peer)),
    };
    format!("{place}{}{note} ({} connections)", row.port(), connections(&row.seen))
}
