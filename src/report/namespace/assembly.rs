//! Puts the sections of the document in order.

use std::collections::BTreeMap;

use super::super::coverage::coverage;
use super::super::digest::{Digest, digest};
use super::super::document::Document;
use super::super::escape::code;
use super::super::path::document_path;
use super::super::view::AtlasView;
use super::{
    appendix, blind_spots, details, egress, evidence, infrastructure, ingress, questions, rare, suspects, trust,
    uncertain, verdict, workloads,
};

/// Renders the document of every namespace: path below the output folder → text.
pub fn documents(view: &AtlasView<'_>) -> BTreeMap<String, String> {
    let clusters = view.atlas.clusters.len();
    let mut documents = BTreeMap::new();
    for (cluster_name, cluster) in &view.atlas.clusters {
        let coverage = coverage(view.atlas, cluster);
        for namespace in cluster.namespaces.keys() {
            if let Some(digest) = digest(view, &coverage, (cluster_name, cluster), namespace) {
                documents.insert(document_path(clusters, cluster_name, namespace), render(&digest));
            }
        }
    }
    documents
}

/// Renders the document of one namespace; `None` when the atlas has no such namespace.
pub fn namespace_document(view: &AtlasView<'_>, cluster: &str, namespace: &str) -> Option<String> {
    let (cluster_name, cluster) = view.atlas.clusters.get_key_value(cluster)?;
    let coverage = coverage(view.atlas, cluster);
    digest(view, &coverage, (cluster_name, cluster), namespace).map(|digest| render(&digest))
}

fn render(digest: &Digest<'_>) -> String {
    let mut document = Document::default();
    let subject = if digest.name.is_empty() {
        "Traffic of clients without a namespace".to_owned()
    } else {
        format!("Traffic of namespace {}", code(digest.name))
    };
    document.heading(1, &subject);
    let mut about = format!(
        "Cluster {}. Times are UTC. A destination is a peer with a port and a protocol.",
        code(digest.cluster_name)
    );
    if digest.name.is_empty() {
        about.push_str(" These clients are nodes, host-network pods and addresses that no record assigns to a pod.");
    }
    document.paragraph(&about);
    for write in [
        verdict::write,
        trust::write,
        evidence::write,
        workloads::write,
        egress::write,
        uncertain::write,
        suspects::write,
        ingress::write,
        rare::write,
        blind_spots::write,
        infrastructure::write,
        questions::write,
        details::write,
        appendix::write,
    ] {
        write(&mut document, digest);
    }
    document.finish()
}
