//! Words of an investigation that its table, its text and its Markdown share: who, where, when, how known.
//!
//! In: fields of the document. Out: short texts, already harmless for a terminal. Decides nothing.

use std::collections::BTreeMap;

use super::super::escape::{identifier, prose};
use super::super::peer;
use super::super::table::cut_middle;
use super::super::wording::{bytes, count, list};
use super::schema::{InvestigationDocument, PairDocument};
use crate::model::Timestamp;
use crate::report::json::{EdgeDocument, PeerDocument};

/// A workload as a terminal has room for: without its kind.
pub(super) fn short_client(namespace: &str, kind: &str, name: &str) -> String {
    client_label(namespace, if namespace.is_empty() { kind } else { "" }, name)
}

pub(super) fn short_server(server: &PeerDocument) -> String {
    match server {
        PeerDocument::Workload { cluster, namespace, name, .. } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{}:", identifier(cluster)) };
            format!("{place}{}", client_label(namespace, "", name))
        }
        _ => server_label(server),
    }
}

pub(super) fn client_label(namespace: &str, kind: &str, name: &str) -> String {
    let workload = if kind.is_empty() { identifier(name) } else { identifier(&format!("{kind}/{name}")) };
    if namespace.is_empty() { workload } else { format!("{}/{workload}", identifier(namespace)) }
}

pub(super) fn server_label(server: &PeerDocument) -> String {
    match server {
        PeerDocument::Workload { cluster, namespace, kind, name } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{}:", identifier(cluster)) };
            format!("{place}{}", client_label(namespace, kind, name))
        }
        PeerDocument::Service { namespace, name } => client_label(namespace, "Service", name),
        PeerDocument::Name { name } => identifier(name),
        PeerDocument::Address { address } => identifier(address),
        PeerDocument::KubeApiserver => peer::plain(&crate::summary::Peer::KubeApiserver),
        PeerDocument::Node => peer::plain(&crate::summary::Peer::Node),
        PeerDocument::Ingress => peer::plain(&crate::summary::Peer::Ingress),
        PeerDocument::Outside => peer::plain(&crate::summary::Peer::Outside),
    }
}

pub(super) fn port_label(port: u16, protocol: &str) -> String {
    if port == 0 { identifier(protocol) } else { format!("{port}/{}", identifier(protocol)) }
}

/// Grades, the most frequent first.
fn grades_label(grades: &BTreeMap<String, u64>) -> String {
    let mut grades: Vec<_> = grades.iter().collect();
    grades.sort_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
    match grades.as_slice() {
        [(only, _)] => identifier(only),
        several => list(several.iter().map(|(grade, number)| format!("{} {}", identifier(grade), count(**number))), 2),
    }
}

/// How the server is known: by the grade of its name, or by its identity in the cluster.
pub(super) fn evidence_label(pair: &PairDocument) -> String {
    match pair.edge.peer {
        PeerDocument::Name { .. } => grades_label(&pair.edge.grades),
        PeerDocument::Address { .. } => "none".to_owned(),
        _ => "identity".to_owned(),
    }
}

pub(super) fn pair_client(
    document: &InvestigationDocument,
    pair: &PairDocument,
    label: impl Fn(&str, &str, &str) -> String,
) -> String {
    let label = label(&pair.namespace, &pair.edge.workload.kind, &pair.edge.workload.name);
    let several = document.pairs.iter().any(|other| other.cluster != pair.cluster);
    if several { format!("{}:{label}", identifier(&pair.cluster)) } else { label }
}

/// Bytes sent and received; `-` where nobody counted.
pub(super) fn sizes(edge: &EdgeDocument) -> [String; 2] {
    let counted = edge.bytes.map(|counted| [bytes(counted.sent), bytes(counted.received)]);
    counted.unwrap_or_else(|| ["-", "-"].map(ToOwned::to_owned))
}

/// A time to the second; `-` when unknown.
pub(super) fn short_time(text: Option<&str>) -> String {
    let time = text.and_then(|text| Timestamp::parse(text.as_bytes()));
    time.map_or_else(|| "-".to_owned(), Timestamp::to_second)
}

/// A sentence for a terminal: harmless, and without the marks that Markdown needs.
pub(super) fn plain(sentence: &str) -> String {
    prose(sentence).replace('\\', "")
}

/// A paragraph in lines of at most `width` characters; lines after the first begin with `indent`.
pub(super) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let lead: String = text.chars().take_while(|character| *character == ' ').collect();
    let mut lines = vec![lead];
    for word in text.split_whitespace() {
        let word = cut_middle(word, width.max(20));
        match lines.last_mut() {
            Some(line) if line.trim().is_empty() => line.push_str(&word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n") + "\n"
}
