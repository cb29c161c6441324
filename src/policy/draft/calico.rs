//! `projectcalico.org/v3` `NetworkPolicy` of open-source Calico: one object for each pinned name, each rule bound to its template by the
//! selector of its own side.
//!
//! In: a draft without names. Out: objects. A pod that any policy selects is closed in that direction at the end of the tier, so the two
//! `default-deny` files hold no rule. One rule has one protocol, so a peer at TCP and UDP takes two.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::dialect::Dialect;
use super::kubernetes::NAMESPACE_LABEL;
use super::manifest::{Manifest, object, purpose, selected};
use super::model::{Block, Draft, Rule, RulePeer, Subject};
use super::yaml::{Entry, Item, Node, entry, item, list, map};
use crate::model::Protocol;
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// Ports of one rule (the CRD's limit is 50).
const PORTS_MAX: usize = 50;
/// Ranges of one rule (the CRD's limit is 256).
const NETS_MAX: usize = 256;

pub(super) fn manifests(draft: &Draft) -> Vec<Manifest> {
    PolicyName::ALL.into_iter().filter_map(|policy| manifest(draft, policy)).collect()
}

/// Smaller orders come first; Kubernetes policies stand at 1000.
const fn order(policy: PolicyName) -> u16 {
    match policy {
        PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => 500,
        PolicyName::EgressBaselineAllow => 600,
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => 2000,
    }
}

fn manifest(draft: &Draft, policy: PolicyName) -> Option<Manifest> {
    let way = policy.direction();
    let rules: Vec<Item> = match policy {
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => Vec::new(),
        PolicyName::EgressBaselineAllow => draft.baseline.iter().flat_map(|own| allow(own, way, None)).collect(),
        PolicyName::EgressAllowlist => of_subjects(draft, way, |subject| &subject.egress),
        PolicyName::IngressAllowlist => of_subjects(draft, way, |subject| &subject.ingress),
    };
    let is_deny = matches!(policy, PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress);
    if rules.is_empty() && !is_deny {
        return None;
    }
    let mut spec = vec![
        entry("order", order(policy).into()),
        entry("selector", "all()".into()),
        entry("types", list([policy.policy_type().into()])),
    ];
    if !rules.is_empty() {
        spec.push(entry(way.as_str(), Node::List(rules)));
    }
    Some(Manifest {
        policy,
        name: policy.as_str().to_owned(),
        subject: String::new(),
        comments: purpose(policy, None),
        tree: object(Dialect::Calico, Some(&draft.namespace), policy.as_str(), ("spec", Node::Map(spec))),
    })
}

fn of_subjects(draft: &Draft, way: Direction, of: impl Fn(&Subject) -> &Vec<Rule>) -> Vec<Item> {
    let mut found = Vec::new();
    for subject in &draft.subjects {
        let own = of(subject).iter().flat_map(|rule| allow(rule, way, Some(subject)));
        for (index, mut rule) in own.enumerate() {
            if index == 0 {
                rule.comments.insert(0, selected(subject));
            }
            found.push(rule);
        }
    }
    found
}

/// A rule, once for each protocol, portion of ports and form of peer.
fn allow(rule: &Rule, way: Direction, subject: Option<&Subject>) -> Vec<Item> {
    let mut by_protocol: BTreeMap<Protocol, Vec<u16>> = BTreeMap::new();
    for (protocol, port) in &rule.ports {
        by_protocol.entry(*protocol).or_default().push(*port);
    }
    let mut portions: Vec<(Option<Protocol>, Vec<u16>)> = by_protocol
        .into_iter()
        .flat_map(|(protocol, ports)| {
            ports.chunks(PORTS_MAX).map(|portion| (Some(protocol), portion.to_vec())).collect::<Vec<_>>()
        })
        .collect();
    if portions.is_empty() {
        portions.push((None, Vec::new()));
    }
    let own = subject.map(|subject| map([("selector", selector(subject.selector.labels()).into())]));
    let mut found = Vec::new();
    for peer in peers(&rule.peer) {
        for (protocol, ports) in &portions {
            let ports = (!ports.is_empty()).then(|| entry("ports", list(ports.iter().map(|port| (*port).into()))));
            // Ports are those of the server: the destination in both directions.
            let (mut source, mut destination): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
            let own = own.clone().into_iter().flat_map(|node| match node {
                Node::Map(entries) => entries,
                _ => Vec::new(),
            });
            match way {
                Direction::Egress => {
                    source.extend(own);
                    destination.extend(peer.clone());
                }
                Direction::Ingress => {
                    source.extend(peer.clone());
                    destination.extend(own);
                }
            }
            destination.extend(ports);
            let mut entries = vec![entry("action", "Allow".into())];
            entries.extend(protocol.map(|protocol| entry("protocol", protocol.to_string().into())));
            entries.extend((!source.is_empty()).then(|| entry("source", Node::Map(source))));
            entries.extend((!destination.is_empty()).then(|| entry("destination", Node::Map(destination))));
            found.push(item(rule.comments(), Node::Map(entries)));
        }
    }
    found
}

/// The forms that a peer takes: ranges of one family with the same holes share one.
fn peers(peer: &RulePeer) -> Vec<Vec<Entry>> {
    match peer {
        RulePeer::Pods { namespace, selector: labels, .. } => {
            vec![vec![
                entry("namespaceSelector", format!("{NAMESPACE_LABEL} == '{namespace}'").into()),
                entry("selector", selector(labels.labels()).into()),
            ]]
        }
        RulePeer::EveryPod => vec![vec![entry("namespaceSelector", "all()".into())]],
        RulePeer::Blocks(blocks) | RulePeer::ApiServer(blocks) | RulePeer::Nodes(blocks) => nets(blocks),
        RulePeer::Name(_) | RulePeer::Gateway => Vec::new(),
    }
}

fn nets(blocks: &[Block]) -> Vec<Vec<Entry>> {
    let mut groups: BTreeMap<(bool, Vec<IpNet>), Vec<IpNet>> = BTreeMap::new();
    for block in blocks {
        let is_v6 = matches!(block.range, IpNet::V6(_));
        groups.entry((is_v6, block.except.clone())).or_default().push(block.range);
    }
    let texts = |nets: &[IpNet]| list(nets.iter().map(|net| net.to_string().into()));
    groups
        .into_iter()
        .flat_map(|((_, except), ranges)| {
            let portions = ranges.chunks(NETS_MAX).map(|portion| {
                let mut entries = vec![entry("nets", texts(portion))];
                if !except.is_empty() {
                    entries.push(entry("notNets", texts(&except)));
                }
                entries
            });
            portions.collect::<Vec<_>>()
        })
        .collect()
}

/// An expression of labels; values are label values, which hold no quotes.
fn selector(labels: &BTreeMap<String, String>) -> String {
    let each: Vec<String> = labels.iter().map(|(key, value)| format!("{key} == '{value}'")).collect();
    each.join(" && ")
}
