//! How the other end of an edge is called in documents, and whether it lies outside the cluster.

use super::escape::{code, identifier};
use crate::model::Workload;
use crate::summary::Peer;

/// The peer for a Markdown document: identifiers in code spans, kinds in words.
pub(super) fn markdown(peer: &Peer) -> String {
    match peer {
        Peer::KubeApiserver | Peer::Node | Peer::Ingress | Peer::Outside => plain(peer),
        _ => format!("`{}`", plain(peer)),
    }
}

/// The peer without markup, escaped.
pub(super) fn plain(peer: &Peer) -> String {
    match peer {
        Peer::Workload { cluster, namespace, workload } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{}:", identifier(cluster)) };
            format!("{place}{}/{}", identifier(namespace), identifier(&workload.to_string()))
        }
        Peer::Service { namespace, name } => format!("{}/Service/{}", identifier(namespace), identifier(name)),
        Peer::KubeApiserver => "Kubernetes API server".to_owned(),
        Peer::Node => "cluster nodes".to_owned(),
        Peer::Ingress => "ingress gateway".to_owned(),
        Peer::Name(name) => identifier(name),
        Peer::Address(address) if address.is_unspecified() => "address not recorded".to_owned(),
        Peer::Address(address) => address.to_string(),
        Peer::Outside => "outside the cluster".to_owned(),
    }
}

/// Whether a policy has to name the peer by name or address, because no selector finds it.
pub(super) const fn is_outside(peer: &Peer) -> bool {
    matches!(peer, Peer::Name(_) | Peer::Address(_))
}

/// A workload for a Markdown document.
pub(super) fn workload(workload: &Workload) -> String {
    code(&workload.to_string())
}
