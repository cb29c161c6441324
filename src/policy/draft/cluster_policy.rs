//! `policy.networking.k8s.io/v1alpha2` `ClusterNetworkPolicy`, experimental channel: objects of the cluster, one set of pods each.
//!
//! In: a draft with names. Out: objects in the Baseline tier, where a `NetworkPolicy` that isolates a pod stays final, so that nothing here
//! opens what an application closed. Objects hold 25 rules, rules 25 peers and ports, peers 25 ranges or names; more of them are
//! split. Ranges have no holes here, so blocks are written as what remains of them. Callers are pods only.

use super::blocks::without_holes;
use super::dialect::Dialect;
use super::kubernetes::{every_namespace, match_labels, one_namespace};
use super::manifest::{Manifest, object, purpose};
use super::model::{Block, Draft, NamePattern, Rule, RulePeer, Subject};
use super::subjects::digest;
use super::yaml::{Item, Node, entry, item, list, map};
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// The CRD's limit on rules, peers, ranges, names and protocols.
const MAX: usize = 25;

pub(super) fn manifests(draft: &Draft) -> Vec<Manifest> {
    let mut found = Vec::new();
    for policy in PolicyName::ALL {
        let way = policy.direction();
        match policy {
            PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => {
                found.extend(split(draft, policy, None, &[deny(policy)]));
            }
            PolicyName::EgressBaselineAllow => {
                let rules: Vec<Item> = draft.baseline.iter().flat_map(|own| accept(own, way)).collect();
                found.extend(split(draft, policy, None, &rules));
            }
            PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => {
                for subject in &draft.subjects {
                    let own = if way == Direction::Egress { &subject.egress } else { &subject.ingress };
                    let rules: Vec<Item> = own.iter().flat_map(|own| accept(own, way)).collect();
                    found.extend(split(draft, policy, Some(subject), &rules));
                }
            }
        }
    }
    found
}

/// Smaller numbers are asked first. Two objects of one number only ever accept, so their order does not matter.
const fn priority(policy: PolicyName) -> u16 {
    match policy {
        PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => 500,
        PolicyName::EgressBaselineAllow => 600,
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => 1000,
    }
}

fn split(draft: &Draft, policy: PolicyName, subject: Option<&Subject>, rules: &[Item]) -> Vec<Manifest> {
    let section = policy.direction().as_str();
    let template = subject.map(|subject| format!(".{}", subject.name)).unwrap_or_default();
    let portions = rules.chunks(MAX).enumerate().map(|(index, portion)| {
        let number = if index == 0 { String::new() } else { format!(".{}", index + 1) };
        let name = format!("{policy}.{}{template}{number}", draft.namespace);
        let chosen = match subject {
            None => map([("namespaces", one_namespace(&draft.namespace))]),
            Some(subject) => map([(
                "pods",
                map([
                    ("namespaceSelector", one_namespace(&draft.namespace)),
                    ("podSelector", match_labels(subject.selector.labels())),
                ]),
            )]),
        };
        let spec = map([
            ("tier", "Baseline".into()),
            ("priority", priority(policy).into()),
            ("subject", chosen),
            (section, Node::List(portion.to_vec())),
        ]);
        Manifest {
            policy,
            subject: subject.map(|subject| subject.name.clone()).unwrap_or_default(),
            comments: purpose(policy, subject),
            tree: object(Dialect::ClusterNetworkPolicy, None, &name, ("spec", spec)),
            name,
        }
    });
    portions.collect()
}

fn deny(policy: PolicyName) -> Item {
    let everyone = map([("namespaces", every_namespace())]);
    let rule = |side: &str, peers: Vec<Node>| {
        map([("name", policy.as_str().into()), ("action", "Deny".into()), (side, list(peers))])
    };
    match policy.direction() {
        Direction::Egress => {
            let anywhere = map([("networks", list(["0.0.0.0/0".into(), "::/0".into()]))]);
            item(Vec::new(), rule("to", vec![everyone, anywhere]))
        }
        Direction::Ingress => item(
            vec![
                "This dialect selects callers in the cluster only: clients outside are not kept out by it.".to_owned(),
            ],
            rule("from", vec![everyone]),
        ),
    }
}

/// A rule, once for each portion of its peers and ports.
fn accept(rule: &Rule, way: Direction) -> Vec<Item> {
    let side = if way == Direction::Egress { "to" } else { "from" };
    let peers = peers(&rule.peer, way);
    let ports: Vec<Node> = rule
        .ports
        .iter()
        .map(|(protocol, port)| {
            let number = map([("destinationPort", map([("number", (*port).into())]))]);
            map([(protocol.to_string().to_ascii_lowercase().as_str(), number)])
        })
        .collect();
    let mut found = Vec::new();
    for peers in peers.chunks(MAX) {
        let portions: Vec<&[Node]> = if ports.is_empty() { vec![&[]] } else { ports.chunks(MAX).collect() };
        for ports in portions {
            let mut entries = vec![
                entry("name", name(rule).into()),
                entry("action", "Accept".into()),
                entry(side, list(peers.to_vec())),
            ];
            if !ports.is_empty() {
                entries.push(entry("protocols", list(ports.to_vec())));
            }
            found.push(item(rule.comments(), Node::Map(entries)));
        }
    }
    found
}

/// At most 100 characters.
fn name(rule: &Rule) -> String {
    if rule.id.len() <= 100 {
        return rule.id.clone();
    }
    let head: String = rule.id.chars().take(91).collect();
    format!("{head}-{}", digest(&rule.id))
}

fn peers(peer: &RulePeer, way: Direction) -> Vec<Node> {
    match peer {
        RulePeer::Pods { namespace, selector, .. } => vec![map([(
            "pods",
            map([("namespaceSelector", one_namespace(namespace)), ("podSelector", match_labels(selector.labels()))]),
        )])],
        RulePeer::EveryPod => vec![map([("namespaces", every_namespace())])],
        RulePeer::Name(NamePattern::Exact(name)) if way == Direction::Egress => {
            vec![map([("domainNames", list([name.as_str().into()]))])]
        }
        RulePeer::Blocks(blocks) | RulePeer::ApiServer(blocks) | RulePeer::Nodes(blocks)
            if way == Direction::Egress =>
        {
            networks(blocks)
        }
        _ => Vec::new(),
    }
}

fn networks(blocks: &[Block]) -> Vec<Node> {
    let ranges: Vec<Node> = blocks.iter().flat_map(without_holes).map(|net| net.to_string().into()).collect();
    ranges.chunks(MAX).map(|portion| map([("networks", list(portion.to_vec()))])).collect()
}
