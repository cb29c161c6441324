//! Ports that do not fit: a known product on an unusual port, ports known from miners and back doors, a port with the wrong transport, and tunnels
//! below TCP and UDP.
//!
//! In: one edge and the catalog. Out: a finding. A port is never a verdict: without layer 7 nobody sees what is spoken there.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::{Catalog, Subject};
use crate::model::{Confidence, Protocol, Severity};

const TEXTS: Texts = Texts {
    class: "odd_port",
    why: "traffic on a port that the destination or the protocol does not use otherwise may be something else",
    attack: &["T1571"],
    innocent: "services that were moved to another port on purpose, peer-to-peer software, games, VPN products",
    advice: "Ask the owner what is spoken on this port; a rule with this port needs a reason.",
};

/// Ports on which products offer services to their customers (IANA service names, and vendors' own pages).
const SERVICE_PORTS: [u16; 46] = [
    20, 21, 22, 25, 53, 80, 88, 110, 123, 143, 389, 443, 465, 514, 587, 636, 853, 873, 989, 990, 993, 995, 1194, 1433,
    1521, 1883, 3128, 3306, 3389, 4317, 4318, 5432, 5671, 5672, 6379, 6380, 6443, 6514, 8080, 8443, 8883, 9092, 9200,
    9243, 10516, 27017,
];

/// Ports that are registered for one transport and used with it alone: (port, its transport).
const ONE_TRANSPORT: [(u16, Protocol); 9] = [
    (22, Protocol::TCP),
    (25, Protocol::TCP),
    (80, Protocol::TCP),
    (110, Protocol::TCP),
    (123, Protocol::UDP),
    (143, Protocol::TCP),
    (465, Protocol::TCP),
    (587, Protocol::TCP),
    (3306, Protocol::TCP),
];

/// The finding for an odd port of a destination outside.
pub(super) fn odd_port(observed: &Observed<'_>, catalog: &Catalog) -> Option<Finding> {
    let key = &observed.edge.key;
    let connections = observed.seen().connections();
    let raise = |severity, confidence, what: String| {
        let measured = format!("{what}; {connections} connections");
        Some(TEXTS.finding(severity, confidence, &observed.subject(), measured))
    };
    let carrier = match key.protocol.0 {
        4 => Some("IP in IP"),
        41 => Some("IPv6 in IPv4"),
        47 => Some("GRE"),
        50 | 51 => Some("IPsec"),
        132 => Some("SCTP"),
        _ => None,
    };
    if let Some(carrier) = carrier {
        return raise(
            Severity::Medium,
            Confidence::Medium,
            format!("protocol {} ({carrier}) to the outside", key.protocol.0),
        );
    }
    if key.port == 0 || !matches!(key.protocol, Protocol::TCP | Protocol::UDP) {
        return None;
    }
    if let Some((_, usual)) = ONE_TRANSPORT.iter().find(|(port, usual)| *port == key.port && *usual != key.protocol) {
        return raise(
            Severity::Medium,
            Confidence::Medium,
            format!("port {} over {}, which is used with {usual} alone", key.port, key.protocol),
        );
    }
    if observed.is_unknown {
        // 53 and 853 are findings of their own.
        let subject = Subject { port: Some(key.port), protocol: key.protocol, ..Subject::default() };
        let listed = catalog.reviews(&subject).into_iter().find(|flag| flag.class == "port");
        let listed = listed.filter(|_| !matches!(key.port, 53 | 853))?;
        let severity = if observed.name().is_none() { listed.severity } else { listed.severity.lowered() };
        return raise(severity, Confidence::Low, format!("port {} ({}: {})", key.port, listed.label, listed.why));
    }
    if SERVICE_PORTS.contains(&key.port) || observed.is_suspect {
        return None;
    }
    raise(
        Severity::Medium,
        Confidence::Medium,
        format!("port {}/{} of a known product, where none of its services is", key.port, key.protocol),
    )
}
