//! `cilium.io/v2` `CiliumNetworkPolicy`: one object for each pinned name, with one `specs` element for each template.
//!
//! In: a draft with names. Out: objects. `egress: [{}]`, which allows everything in Kubernetes, denies everything here, and empty peer lists
//! select nothing: neither is ever written, and a closed direction says `none` in words. A rule by name stands alone with its
//! ports, and names work because DNS passes the proxy in the baseline policy.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::manifest::{Manifest, object, purpose, selected};
use super::model::{Block, Draft, Evidence, NamePattern, Rule, RulePeer, Subject};
use super::yaml::{Entry, Item, Node, entry, item, list, map};
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// Ports of one `toPorts` element (the CRD's limit).
const PORTS_MAX: usize = 40;
/// The object of the phase in which the DNS proxy only learns.
pub(super) const DNS_VISIBILITY: &str = "dns-visibility";
const NAMESPACE_LABEL: &str = "k8s:io.kubernetes.pod.namespace";

pub(super) fn manifests(draft: &Draft) -> Vec<Manifest> {
    PolicyName::ALL.into_iter().filter_map(|policy| manifest(draft, policy)).collect()
}

fn manifest(draft: &Draft, policy: PolicyName) -> Option<Manifest> {
    let way = policy.direction();
    let specs: Vec<Item> = match policy {
        PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress => {
            vec![item(Vec::new(), spec(None, way, vec![item(Vec::new(), nobody(way))]))]
        }
        PolicyName::EgressBaselineAllow => {
            let rules: Vec<Item> = draft.baseline.iter().flat_map(|own| rules(own, way)).collect();
            if rules.is_empty() { Vec::new() } else { vec![item(Vec::new(), spec(None, way, rules))] }
        }
        PolicyName::EgressAllowlist => of_subjects(draft, way, |subject| &subject.egress),
        PolicyName::IngressAllowlist => of_subjects(draft, way, |subject| &subject.ingress),
    };
    if specs.is_empty() {
        return None;
    }
    let content = match policy {
        PolicyName::EgressAllowlist | PolicyName::IngressAllowlist => ("specs", Node::List(specs)),
        _ => ("spec", specs.into_iter().next()?.node),
    };
    Some(Manifest {
        policy,
        name: policy.as_str().to_owned(),
        subject: String::new(),
        comments: purpose(policy, None),
        tree: object(Dialect::Cilium, Some(&draft.namespace), policy.as_str(), content),
    })
}

/// DNS through the proxy, and nothing closed: what comes before the draft. `None` when the draft has no DNS rule.
pub(super) fn dns_visibility(draft: &Draft) -> Option<Manifest> {
    let bare = |own: &Rule| Rule { evidence: Evidence::default(), remarks: Vec::new(), ..own.clone() };
    let dns: Vec<Rule> = draft.baseline.iter().filter(|own| own.is_dns).map(bare).collect();
    let mut items: Vec<Item> = dns.iter().flat_map(|own| rules(own, Direction::Egress)).collect();
    for own in &mut items {
        own.comments.clear();
    }
    let open = map([("egress", false.into()), ("ingress", false.into())]);
    let spec = map([("endpointSelector", map([])), ("enableDefaultDeny", open), ("egress", Node::List(items))]);
    (!dns.is_empty()).then(|| Manifest {
        policy: PolicyName::EgressBaselineAllow,
        name: DNS_VISIBILITY.to_owned(),
        subject: String::new(),
        comments: Vec::new(),
        tree: object(Dialect::Cilium, Some(&draft.namespace), DNS_VISIBILITY, ("spec", spec)),
    })
}

fn of_subjects(draft: &Draft, way: Direction, of: impl Fn(&Subject) -> &Vec<Rule>) -> Vec<Item> {
    let each = draft.subjects.iter().filter_map(|subject| {
        let rules: Vec<Item> = of(subject).iter().flat_map(|own| rules(own, way)).collect();
        (!rules.is_empty()).then(|| item(vec![selected(subject)], spec(Some(subject), way, rules)))
    });
    each.collect()
}

fn spec(subject: Option<&Subject>, way: Direction, rules: Vec<Item>) -> Node {
    let selector = subject.map_or_else(|| map([]), |subject| labels(subject.selector.labels(), None, ""));
    let section = way.as_str();
    map([("endpointSelector", selector), (section, Node::List(rules))])
}

/// A rule that isolates and allows nothing: the entity `none` has no members.
fn nobody(way: Direction) -> Node {
    map([(side(way, "Entities").as_str(), list(["none".into()]))])
}

fn side(way: Direction, what: &str) -> String {
    format!("{}{what}", if way == Direction::Egress { "to" } else { "from" })
}

/// A rule, once for each kind of peer that may not stand beside another.
fn rules(rule: &Rule, way: Direction) -> Vec<Item> {
    let ports = ports(rule);
    peers(&rule.peer, way)
        .into_iter()
        .map(|(key, peers)| {
            let mut entries = vec![entry(&key, list(peers))];
            if let Some(ports) = &ports {
                entries.push(entry("toPorts", ports.clone()));
            }
            item(rule.comments(), Node::Map(entries))
        })
        .collect()
}

fn peers(peer: &RulePeer, way: Direction) -> Vec<(String, Vec<Node>)> {
    match peer {
        RulePeer::Pods { cluster, namespace, selector } => {
            vec![(side(way, "Endpoints"), vec![labels(selector.labels(), Some(namespace), cluster)])]
        }
        RulePeer::EveryPod => {
            let everywhere = map([(
                "matchExpressions",
                list([map([("key", NAMESPACE_LABEL.into()), ("operator", "Exists".into())])]),
            )]);
            vec![(side(way, "Endpoints"), vec![everywhere])]
        }
        RulePeer::Name(name) if way == Direction::Egress => vec![("toFQDNs".to_owned(), vec![fqdn(name)])],
        RulePeer::Name(_) => Vec::new(),
        RulePeer::Blocks(blocks) if blocks.is_empty() => Vec::new(),
        RulePeer::Blocks(blocks) => vec![(side(way, "CIDRSet"), blocks.iter().map(cidr).collect())],
        RulePeer::ApiServer(_) => vec![(side(way, "Entities"), vec!["kube-apiserver".into()])],
        RulePeer::Nodes(blocks) => {
            let mut found = vec![(side(way, "Entities"), vec!["host".into(), "remote-node".into()])];
            if !blocks.is_empty() {
                found.push((side(way, "CIDRSet"), blocks.iter().map(cidr).collect()));
            }
            found
        }
        RulePeer::Gateway => vec![(side(way, "Entities"), vec!["ingress".into()])],
    }
}

/// The pattern of a name. A star stands for one label here.
fn fqdn(name: &NamePattern) -> Node {
    match name {
        NamePattern::Exact(name) => map([("matchName", name.as_str().into())]),
        NamePattern::OneLabelBelow(parent) => map([("matchPattern", format!("*.{parent}").into())]),
    }
}

fn cidr(block: &Block) -> Node {
    let mut inner = vec![entry("cidr", block.range.to_string().into())];
    if !block.except.is_empty() {
        inner.push(entry("except", list(block.except.iter().map(|net| net.to_string().into()))));
    }
    Node::Map(inner)
}

/// `toPorts`, in portions; with the DNS proxy where questions pass.
fn ports(rule: &Rule) -> Option<Node> {
    if rule.ports.is_empty() {
        return None;
    }
    let each: Vec<Node> = rule
        .ports
        .iter()
        .map(|(protocol, port)| map([("port", port.to_string().into()), ("protocol", protocol.to_string().into())]))
        .collect();
    let portions = each.chunks(PORTS_MAX).map(|portion| {
        let mut entries = vec![entry("ports", list(portion.to_vec()))];
        if rule.is_dns {
            let every = map([("matchPattern", "*".into())]);
            let mut dns = entry("rules", map([("dns", list([every]))]));
            dns.comments = vec![
                "The proxy has to see the questions, or no rule by name opens anything.".to_owned(),
                "Every name may be asked: search paths and cluster names would fail otherwise.".to_owned(),
            ];
            entries.push(dns);
        }
        Node::Map(entries)
    });
    Some(list(portions))
}

/// A selector of endpoints; with a namespace where they are peers, since without one only the policy's own is meant.
fn labels(labels: &BTreeMap<String, String>, namespace: Option<&str>, cluster: &str) -> Node {
    let mut entries: Vec<Entry> =
        labels.iter().map(|(key, value)| entry(&format!("k8s:{key}"), value.as_str().into())).collect();
    if let Some(namespace) = namespace {
        entries.push(entry(NAMESPACE_LABEL, namespace.into()));
    }
    if !cluster.is_empty() {
        entries.push(entry("k8s:io.cilium.k8s.policy.cluster", cluster.into()));
    }
    map([("matchLabels", Node::Map(entries))])
}
