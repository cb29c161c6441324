//! `networking.k8s.io/v1` `NetworkPolicy`: one object for each template, since an object selects one set of pods.
//!
//! In: a draft without names. Out: objects. An absent peer list means everybody and an absent port list every port, so a rule whose peer
//! cannot be said is not written at all; `ipBlock` stands alone in its element, and its holes lie inside it.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::manifest::{Manifest, object, object_name, purpose};
use super::model::{Block, Draft, Rule, RulePeer, Subject};
use super::yaml::{Entry, Item, Node, entry, item, list, map};
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// The label that the API server sets on every namespace.
pub(super) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Ports of one element: some agents hold no more for a peer (aws-network-policy-agent#136).
const PORTS_MAX: usize = 24;

pub(super) fn manifests(draft: &Draft) -> Vec<Manifest> {
    let mut found = Vec::new();
    for policy in PolicyName::ALL {
        match policy {
            PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => {
                found.push(manifest(draft, policy, None, Vec::new()));
            }
            PolicyName::EgressBaselineAllow => {
                let rules = draft.baseline.iter().flat_map(|own| rules(own, Direction::Egress)).collect::<Vec<_>>();
                if !rules.is_empty() {
                    found.push(manifest(draft, policy, None, rules));
                }
            }
            PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => {
                for subject in &draft.subjects {
                    let own = if policy == PolicyName::EgressAllowlist { &subject.egress } else { &subject.ingress };
                    let rules: Vec<Item> = own.iter().flat_map(|rule| rules(rule, policy.direction())).collect();
                    if !rules.is_empty() {
                        found.push(manifest(draft, policy, Some(subject), rules));
                    }
                }
            }
        }
    }
    found
}

fn manifest(draft: &Draft, policy: PolicyName, subject: Option<&Subject>, rules: Vec<Item>) -> Manifest {
    let name = object_name(policy, subject);
    let selector = subject.map_or_else(|| map([]), |subject| match_labels(subject.selector.labels()));
    let mut spec = vec![entry("podSelector", selector), entry("policyTypes", list([policy.policy_type().into()]))];
    if !rules.is_empty() {
        let section = policy.direction().as_str();
        spec.push(entry(section, Node::List(rules)));
    }
    Manifest {
        policy,
        subject: subject.map(|subject| subject.name.clone()).unwrap_or_default(),
        comments: purpose(policy, subject),
        tree: object(Dialect::Kubernetes, Some(&draft.namespace), &name, ("spec", Node::Map(spec))),
        name,
    }
}

/// A rule, once for each portion of its ports.
fn rules(rule: &Rule, direction: Direction) -> Vec<Item> {
    let peers = peers(&rule.peer);
    if peers.is_empty() {
        return Vec::new();
    }
    let side = if direction == Direction::Egress { "to" } else { "from" };
    let ports: Vec<Node> = rule
        .ports
        .iter()
        .map(|(protocol, port)| map([("protocol", protocol.to_string().into()), ("port", (*port).into())]))
        .collect();
    if ports.is_empty() {
        return vec![item(rule.comments(), map([(side, list(peers))]))];
    }
    ports
        .chunks(PORTS_MAX)
        .map(|portion| item(rule.comments(), map([(side, list(peers.clone())), ("ports", list(portion.to_vec()))])))
        .collect()
}

fn peers(peer: &RulePeer) -> Vec<Node> {
    match peer {
        RulePeer::Pods { namespace, selector, .. } => vec![pods(namespace, selector.labels())],
        RulePeer::EveryPod => vec![map([("namespaceSelector", every_namespace())])],
        RulePeer::Blocks(blocks) | RulePeer::ApiServer(blocks) | RulePeer::Nodes(blocks) => {
            blocks.iter().map(ip_block).collect()
        }
        RulePeer::Name(_) | RulePeer::Gateway => Vec::new(),
    }
}

/// Pods of one namespace.
pub(super) fn pods(namespace: &str, labels: &BTreeMap<String, String>) -> Node {
    map([("namespaceSelector", one_namespace(namespace)), ("podSelector", match_labels(labels))])
}

/// One namespace, by the label that nobody can forge without the right to write namespaces.
pub(super) fn one_namespace(namespace: &str) -> Node {
    map([("matchLabels", map([(NAMESPACE_LABEL, namespace.into())]))])
}

/// Every namespace, said in words: `{}` is too easily the rest of something that got lost.
pub(super) fn every_namespace() -> Node {
    map([("matchExpressions", list([map([("key", NAMESPACE_LABEL.into()), ("operator", "Exists".into())])]))])
}

/// `matchLabels` of these labels.
pub(super) fn match_labels(labels: &BTreeMap<String, String>) -> Node {
    let labels: Vec<Entry> = labels.iter().map(|(key, value)| entry(key, value.as_str().into())).collect();
    map([("matchLabels", Node::Map(labels))])
}

/// An `ipBlock` element.
pub(super) fn ip_block(block: &Block) -> Node {
    let mut inner = vec![entry("cidr", block.range.to_string().into())];
    if !block.except.is_empty() {
        inner.push(entry("except", list(block.except.iter().map(|net| net.to_string().into()))));
    }
    map([("ipBlock", Node::Map(inner))])
}
