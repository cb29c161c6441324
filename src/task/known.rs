//! What an earlier atlas knew, from its JSON form.
//!
//! In: the fields of `atlas.json`. Out: every destination outside, by workload. Nothing here opens a file.

use crate::detect::Baseline;
use crate::report::AtlasDocument;
use crate::report::json::PeerDocument;

/// The destinations outside of an earlier atlas.
pub fn known_destinations(document: &AtlasDocument) -> Baseline {
    let mut baseline = Baseline::default();
    for (cluster, content) in &document.clusters {
        for (namespace, seen) in &content.namespaces {
            for edge in &seen.egress {
                let peer = match &edge.peer {
                    PeerDocument::Name { name } => name,
                    PeerDocument::Address { address } => address,
                    _ => continue,
                };
                baseline.known.insert((
                    cluster.as_str().into(),
                    namespace.as_str().into(),
                    edge.workload.name.as_str().into(),
                    peer.as_str().into(),
                    edge.port,
                ));
            }
        }
    }
    baseline
}
