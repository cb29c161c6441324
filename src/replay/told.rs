//! Who told the labels of namespaces that policies ask for.
//!
//! In: ends of connections and the policies. Out: a sentence for the reader, where any policy asks for more than the name of a namespace.

use std::collections::{BTreeMap, BTreeSet};

use super::end::{EndKind, ToldBy};
use super::fold::Recorded;
use crate::policy::{Key, Peer, PolicySet, Selector};

/// What the labels of namespaces rest on, as far as flow records are among it.
pub fn namespaces_told(recorded: &Recorded, set: &PolicySet) -> Option<String> {
    if !asks_for_labels(set) {
        return None;
    }
    let mut told: BTreeMap<ToldBy, BTreeSet<(&str, &str)>> = BTreeMap::new();
    let pods = recorded.ends.iter().filter(|end| end.kind == EndKind::Pod && end.namespace_labels.is_some());
    for end in pods {
        told.entry(end.namespace_told_by).or_default().insert((&end.cluster, &end.namespace));
    }
    let count = |by: ToldBy| told.get(&by).map_or(0, BTreeSet::len);
    let (records, both) = (count(ToldBy::Records), count(ToldBy::Both));
    (records + both > 0).then(|| {
        format!(
            "labels of namespaces come from flow records, as of each flow: alone for {records} of the namespaces, with --kube behind them for {both}; from --kube alone for {}",
            count(ToldBy::Objects)
        )
    })
}

fn asks_for_labels(set: &PolicySet) -> bool {
    let asks = |selector: &Selector| {
        selector
            .keys()
            .iter()
            .any(|key| matches!(key, Key::Namespace(label) if &**label != "kubernetes.io/metadata.name"))
    };
    let of_subject = set.policies.iter().any(|policy| asks(&policy.subject.namespaces) || asks(&policy.subject.pods));
    let peers = set.rules().flat_map(|(_, _, rule)| rule.peers.iter().flatten().chain(&rule.local));
    let mut waiting: Vec<&Peer> = peers.collect();
    let mut of_peer = false;
    while let Some(peer) = waiting.pop() {
        match peer {
            Peer::Pods { namespaces, pods } => of_peer |= asks(namespaces) || asks(pods),
            Peer::Either(parts) | Peer::Both(parts) => waiting.extend(parts),
            Peer::Not(part) => waiting.push(part),
            Peer::SameLabels(_) => of_peer = true,
            _ => {}
        }
    }
    of_subject || of_peer
}
