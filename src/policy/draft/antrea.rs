//! `crd.antrea.io/v1beta1` `NetworkPolicy`: one object for each pinned name, each rule applied to its own template.
//!
//! In: a draft with names. Out: objects. Nothing is isolated by being selected here: the two `default-deny` files hold the final drops, at a
//! higher number and so behind the others. `fqdn` stands alone in its peer.

use super::dialect::Dialect;
use super::kubernetes::{every_namespace, ip_block, match_labels, pods};
use super::manifest::{Manifest, object, purpose, selected};
use super::model::{Draft, NamePattern, Rule, RulePeer, Subject};
use super::subjects::digest;
use super::yaml::{Item, Node, entry, item, list, map};
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// Antrea's tier for rules of applications; Kubernetes policies come after it.
const TIER: &str = "application";

pub(super) fn manifests(draft: &Draft) -> Vec<Manifest> {
    PolicyName::ALL.into_iter().filter_map(|policy| manifest(draft, policy)).collect()
}

/// Smaller numbers are asked first; the gaps leave room for rules of the user's own.
const fn priority(policy: PolicyName) -> u16 {
    match policy {
        PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => 50,
        PolicyName::EgressBaselineAllow => 60,
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => 90,
    }
}

fn manifest(draft: &Draft, policy: PolicyName) -> Option<Manifest> {
    let way = policy.direction();
    let everyone = list([map([("podSelector", map([]))])]);
    let rules: Vec<Item> = match policy {
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => {
            let what = vec!["The final drop: without it an allow-list allows everything.".to_owned()];
            vec![item(
                what,
                map([("name", policy.as_str().into()), ("action", "Drop".into()), ("appliedTo", everyone)]),
            )]
        }
        PolicyName::EgressBaselineAllow => {
            draft.baseline.iter().filter_map(|own| allow(own, way, everyone.clone())).collect()
        }
        PolicyName::EgressAllowlist => of_subjects(draft, way, |subject| &subject.egress),
        PolicyName::IngressAllowlist => of_subjects(draft, way, |subject| &subject.ingress),
    };
    if rules.is_empty() {
        return None;
    }
    let section = way.as_str();
    let spec = map([("tier", TIER.into()), ("priority", priority(policy).into()), (section, Node::List(rules))]);
    Some(Manifest {
        policy,
        name: policy.as_str().to_owned(),
        subject: String::new(),
        comments: purpose(policy, None),
        tree: object(Dialect::Antrea, Some(&draft.namespace), policy.as_str(), ("spec", spec)),
    })
}

fn of_subjects(draft: &Draft, way: Direction, of: impl Fn(&Subject) -> &Vec<Rule>) -> Vec<Item> {
    let mut found = Vec::new();
    for subject in &draft.subjects {
        let applied = list([map([("podSelector", match_labels(subject.selector.labels()))])]);
        let own = of(subject).iter().filter_map(|rule| allow(rule, way, applied.clone()));
        for (index, mut rule) in own.enumerate() {
            if index == 0 {
                rule.comments.insert(0, selected(subject));
            }
            found.push(rule);
        }
    }
    found
}

fn allow(rule: &Rule, way: Direction, applied: Node) -> Option<Item> {
    let peers = peers(&rule.peer, way);
    if peers.is_empty() {
        return None;
    }
    let side = if way == Direction::Egress { "to" } else { "from" };
    let mut entries = vec![
        entry("name", name(rule).into()),
        entry("action", "Allow".into()),
        entry("appliedTo", applied),
        entry(side, list(peers)),
    ];
    if !rule.ports.is_empty() {
        let ports = rule
            .ports
            .iter()
            .map(|(protocol, port)| map([("protocol", protocol.to_string().into()), ("port", (*port).into())]));
        entries.push(entry("ports", list(ports)));
    }
    Some(item(rule.comments(), Node::Map(entries)))
}

/// A name for logs: unique within the policy, at most 63 characters.
fn name(rule: &Rule) -> String {
    let plain: String = rule.id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    if plain.len() <= 63 {
        return plain;
    }
    let head: String = plain.chars().take(54).collect();
    format!("{head}-{}", digest(&rule.id))
}

fn peers(peer: &RulePeer, way: Direction) -> Vec<Node> {
    match peer {
        RulePeer::Pods { namespace, selector, .. } => vec![pods(namespace, selector.labels())],
        RulePeer::EveryPod => vec![map([("namespaceSelector", every_namespace())])],
        RulePeer::Name(NamePattern::Exact(name)) if way == Direction::Egress => {
            vec![map([("fqdn", name.as_str().into())])]
        }
        RulePeer::Blocks(blocks) | RulePeer::ApiServer(blocks) | RulePeer::Nodes(blocks) => {
            blocks.iter().map(ip_block).collect()
        }
        RulePeer::Name(_) | RulePeer::Gateway => Vec::new(),
    }
}
