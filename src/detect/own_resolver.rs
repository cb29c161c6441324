//! Name resolution past the cluster DNS: plain DNS, DNS over TLS or QUIC to a server outside.
//!
//! In: one edge. Out: a finding. Resolvers themselves are exempt, and so are servers inside. DNS over HTTPS or TLS to a known resolver is a list
//! finding (`encrypted_dns`) as well; to an unknown one it looks like any other HTTPS.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::model::{Confidence, Protocol, Severity, Verdict, is_special};

const TEXTS: Texts = Texts {
    class: "own_resolver",
    why: "who resolves names elsewhere is seen by no DNS policy and by no DNS capture, and can carry data out in questions",
    attack: &["T1071.004", "T1572"],
    innocent: "monitoring that tests public resolvers, images with a hard-coded server, mail and DNS software",
    advice: "Point the workload at the cluster DNS, and deny ports 53 and 853 to everything else.",
};

/// The finding for port 53 or 853 to the outside.
pub(super) fn own_resolver(observed: &Observed<'_>) -> Option<Finding> {
    let key = &observed.edge.key;
    let protocol = match (key.port, key.protocol) {
        (53, Protocol::UDP | Protocol::TCP) => "plain DNS",
        (853, Protocol::TCP) => "DNS over TLS (RFC 7858)",
        (853, Protocol::UDP) => "DNS over QUIC (RFC 9250)",
        _ => return None,
    };
    if observed.around.is_resolver(observed.namespace, &key.workload) {
        return None;
    }
    let seen = observed.seen();
    // Resolvers of the organisation and of the cloud, on addresses that nobody outside has.
    if seen.telling_addresses().iter().all(|address| is_special(*address)) {
        return None;
    }
    let connections = seen.connections();
    let denied = seen.with_verdict(Verdict::Denied);
    let severity = if denied == connections { Severity::Low } else { Severity::Medium };
    let measured =
        format!("{protocol} on port {}/{}: {connections} connections, {denied} of them denied", key.port, key.protocol);
    Some(TEXTS.finding(severity, Confidence::High, &observed.subject(), measured))
}
