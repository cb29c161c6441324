//! Calico policies: `NetworkPolicy` and `GlobalNetworkPolicy` of `projectcalico.org/v3` and `crd.projectcalico.org/v1`, and
//! their staged forms, which Calico reports on and does not enforce.
//!
//! Tiers by order, policies by order within a tier, rules by place; the first that matches decides, `Log` goes on. A tier
//! that selects a pod denies it what none of its policies decided.

use super::definitions::{Definitions, NetworkSet};
use super::expression;
use super::fields::{Fields, Item};
use super::kubernetes;
use super::object::{frame, identity};
use crate::model::Protocol;
use crate::policy::{
    Action, Block, Dialect, Direction, Doubt, Entity, Key, Match, NamePattern, Peer, Policy, PortMatch, PortSpec,
    Ports, Problem, ProtocolSpec, Rule, Section, Selector, ServicePart, Subject, Tier, TierEnd, Wildcard,
};

/// The kinds of this dialect.
pub(super) const KINDS: [&str; 5] = [
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
];

const STAGED_NOTE: &str = "staged: Calico reports what it would do, and does not enforce it";
const DELETED_NOTE: &str = "staged, with an action other than `Set`: it would not be applied";
const HOST_NOTE: &str = "`doNotTrack` and `preDNAT` are for host endpoints: noted and not judged";
const HTTP_NOTE: &str = "`http` is noted and not judged: it may stop what is allowed here";

/// The order of Calico's `default` tier, where Kubernetes policies stand.
const DEFAULT_ORDER: f64 = 1_000_000.0;

/// Reads one object.
pub(super) fn policy(
    item: &Item<'_>,
    kind: &str,
    cluster: Option<&str>,
    definitions: &Definitions,
) -> Result<Policy, Problem> {
    if kind == "StagedKubernetesNetworkPolicy" {
        return staged_kubernetes(item, cluster);
    }
    let namespaced = !kind.ends_with("GlobalNetworkPolicy");
    let (fields, metadata) = frame(item, &["spec", "status"], namespaced)?;
    let id = identity(item, kind, &metadata, cluster);
    let spec = fields.require("spec")?.fields(&spec_keys(kind))?;
    let tier_item = spec.get("tier");
    let tier_name = spec.text("tier")?.filter(|name| !name.is_empty()).unwrap_or("default");
    let Some(tier) = definitions.calico_tier_named(tier_name) else {
        let item = tier_item.unwrap_or(spec.item);
        return Err(item.refuse("this tier is not among the given objects, so its order is not known; add the Tier"));
    };
    let mut notes = Vec::new();
    let mut is_enforced = !kind.starts_with("Staged");
    let mut is_staged = false;
    if !is_enforced {
        is_staged = is_set(&spec)?;
        notes.push(if is_staged { STAGED_NOTE } else { DELETED_NOTE });
    }
    for key in ["doNotTrack", "preDNAT"] {
        if spec.get(key).map(|item| item.flag()).transpose()? == Some(true) {
            notes.push(HOST_NOTE);
            (is_enforced, is_staged) = (false, false);
        }
    }
    let reader = Reader { namespace: namespaced.then_some(&*id.namespace), definitions };
    let (ingress, egress) = types(&spec)?;
    let section = |list: &str, direction, wanted: bool| -> Result<Option<Section>, Problem> {
        let rules = reader.rules(&spec, list, direction)?;
        Ok(wanted.then_some(Section { isolates: true, rules }))
    };
    Ok(Policy {
        dialect: Dialect::Calico,
        tier: Tier::Ordered {
            name: tier_name.into(),
            rank: rank(tier.order),
            order: spec.get("order").map(|item| item.number()).transpose()?.unwrap_or(f64::INFINITY),
            end: if tier.passes { TierEnd::Continue } else { TierEnd::DenySelected },
        },
        subject: reader.subject(&spec)?,
        egress: section("egress", Direction::Egress, egress)?,
        ingress: section("ingress", Direction::Ingress, ingress)?,
        id,
        is_enforced,
        is_staged,
        notes,
    })
}

fn spec_keys(kind: &str) -> Vec<&'static str> {
    let mut known =
        vec!["tier", "order", "selector", "serviceAccountSelector", "types", "ingress", "egress", "performanceHints"];
    if kind.ends_with("GlobalNetworkPolicy") {
        known.extend(["namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"]);
    }
    if kind.starts_with("Staged") {
        known.push("stagedAction");
    }
    known
}

/// The order of a tier, so that the `default` tier stands where Kubernetes policies do.
fn rank(order: f64) -> f64 {
    (order - DEFAULT_ORDER) / DEFAULT_ORDER
}

fn staged_kubernetes(item: &Item<'_>, cluster: Option<&str>) -> Result<Policy, Problem> {
    let (fields, _) = frame(item, &["spec"], true)?;
    let mut policy = kubernetes::staged(item, cluster)?;
    policy.is_enforced = false;
    policy.is_staged = is_set(&Fields { item: fields.require("spec")? })?;
    policy.notes.push(if policy.is_staged { STAGED_NOTE } else { DELETED_NOTE });
    Ok(policy)
}

/// Whether a staged policy is one to be applied, not one to be deleted, ignored or learnt.
fn is_set(spec: &Fields<'_>) -> Result<bool, Problem> {
    let actions = [("Set", true), ("Delete", false), ("Learn", false), ("Ignore", false)];
    spec.get("stagedAction").map_or(Ok(true), |item| item.word(&actions))
}

/// Which directions a policy is about: (ingress, egress). Without `types`: ingress, unless there are egress rules alone.
fn types(spec: &Fields<'_>) -> Result<(bool, bool), Problem> {
    let stated = spec.items("types")?;
    if stated.is_empty() {
        let (ingress, egress) = (!spec.items("ingress")?.is_empty(), !spec.items("egress")?.is_empty());
        return Ok((ingress || !egress, egress));
    }
    kubernetes::stated_types(stated)
}

/// What a label of a selector for pods looks at.
fn pod_key(text: &str) -> Key {
    match text {
        "projectcalico.org/namespace" => Key::NamespaceName,
        "projectcalico.org/serviceaccount" => Key::ServiceAccount,
        _ => match text.strip_prefix("pcns.") {
            Some(label) => Key::Namespace(label.into()),
            None => Key::Pod(text.into()),
        },
    }
}

fn namespace_key(text: &str) -> Key {
    if text == "projectcalico.org/name" { Key::NamespaceName } else { Key::Namespace(text.into()) }
}

fn service_account_key(text: &str) -> Key {
    if text == "projectcalico.org/name" { Key::ServiceAccount } else { Key::Pod(format!("pcsa.{text}").into()) }
}

fn selector(item: &Item<'_>, key: &dyn Fn(&str) -> Key) -> Result<Selector, Problem> {
    let selector = expression::parse(item.text()?, key).map_err(|message| item.refuse(message))?;
    // Pods that Kubernetes runs; every pod of the traffic is one.
    Ok(without_orchestrator(selector))
}

fn without_orchestrator(selector: Selector) -> Selector {
    match selector {
        Selector::All(parts) => Selector::All(parts.into_iter().map(without_orchestrator).collect()),
        Selector::In(Key::Pod(key), values) if &*key == "projectcalico.org/orchestrator" => {
            if values.iter().any(|value| &**value == "k8s") { Selector::everything() } else { Selector::nothing() }
        }
        other => other,
    }
}

/// Whether a selector asks for labels of service accounts, which nobody knows.
fn asks_for_account_labels(selector: &Selector) -> bool {
    selector.keys().iter().any(|key| matches!(key, Key::Pod(key) if key.starts_with("pcsa.")))
}

struct Reader<'a> {
    /// `None` for cluster-wide policies.
    namespace: Option<&'a str>,
    definitions: &'a Definitions,
}

impl Reader<'_> {
    fn own_namespace(&self) -> Selector {
        self.namespace.map_or_else(Selector::everything, Selector::in_namespace)
    }

    fn subject(&self, spec: &Fields<'_>) -> Result<Subject, Problem> {
        let mut pods = Vec::new();
        if let Some(item) = spec.get("selector") {
            pods.push(selector(&item, &pod_key)?);
        }
        if let Some(item) = spec.get("serviceAccountSelector") {
            pods.push(selector(&item, &service_account_key)?);
        }
        let namespaces = match spec.get("namespaceSelector") {
            Some(item) => selector(&item, &namespace_key)?,
            None => self.own_namespace(),
        };
        Ok(Subject { namespaces, pods: Selector::All(pods) })
    }

    fn rules(&self, spec: &Fields<'_>, list: &str, direction: Direction) -> Result<Vec<Rule>, Problem> {
        let items = spec.items(list)?.into_iter().enumerate();
        items.map(|(index, item)| self.rule(item, list, index, direction)).collect()
    }

    fn rule(&self, item: Item<'_>, list: &str, index: usize, direction: Direction) -> Result<Rule, Problem> {
        let line = item.node.line;
        let fields = item.fields(&[
            "action",
            "protocol",
            "notProtocol",
            "icmp",
            "notICMP",
            "ipVersion",
            "source",
            "destination",
            "http",
            "metadata",
        ])?;
        let action = fields.require("action")?.word(&[
            ("Allow", Action::Allow),
            ("Deny", Action::Deny),
            ("Pass", Action::Pass),
            ("Log", Action::Log),
        ])?;
        let (own, other) = match direction {
            Direction::Egress => ("source", "destination"),
            Direction::Ingress => ("destination", "source"),
        };
        let by_name = direction == Direction::Egress && action == Action::Allow;
        let mut peers = self.entity(&fields, other, (action, by_name))?;
        if let Some(version) = fields.get("ipVersion") {
            let family = if version.integer(4, 6)? == 4 { Entity::Ipv4 } else { Entity::Ipv6 };
            peers.push(Peer::Entity(family));
        }
        let local = self.entity(&fields, own, (action, false))?;
        let mut notes = Vec::new();
        if fields.has("http") {
            notes.push(HTTP_NOTE);
        }
        Ok(Rule {
            index,
            list: list.into(),
            name: "".into(),
            line,
            action,
            peers: both(peers).map(|peer| vec![peer]),
            ports: ports(&fields)?,
            local: both(local),
            dns: None,
            notes,
        })
    }

    /// All conditions of an entity rule; each has to hold.
    fn entity(&self, rule: &Fields<'_>, key: &str, (action, by_name): (Action, bool)) -> Result<Vec<Peer>, Problem> {
        let Some(item) = rule.get(key) else { return Ok(Vec::new()) };
        let fields = item.fields(&[
            "nets",
            "notNets",
            "selector",
            "notSelector",
            "namespaceSelector",
            "serviceAccounts",
            "services",
            "ports",
            "notPorts",
            "domains",
        ])?;
        let mut all = Vec::new();
        if let Some(items) = fields.list("nets")? {
            all.push(Peer::Either(blocks(items)?));
        }
        let none = fields.items("notNets")?;
        if !none.is_empty() {
            all.push(Peer::Not(Box::new(Peer::Either(blocks(none)?))));
        }
        all.extend(self.selected(&fields, by_name)?);
        if let Some(item) = fields.get("notSelector").filter(|item| item.text() != Ok("")) {
            let pods = selector(&item, &pod_key)?;
            all.push(Peer::Not(Box::new(self.pods_and_sets((&Selector::everything(), false), &pods, false))));
        }
        if let Some(item) = fields.get("services") {
            let service = item.fields(&["name", "namespace"])?;
            let namespace = service.text("namespace")?.or(self.namespace).unwrap_or("default").into();
            let name = service.require("name")?.text()?.into();
            let part = if key == "destination" { ServicePart::Endpoints } else { ServicePart::Backends };
            all.push(Peer::Service { namespace, name, part });
        }
        if let Some(items) = fields.list("domains")? {
            if action != Action::Allow {
                return Err(fields.item.refuse("`domains` stands in rules that allow only"));
            }
            let name = |item: Item<'_>| Ok(Peer::Name(NamePattern::parse(item.text()?, Wildcard::Leading)));
            all.push(Peer::Either(items.into_iter().map(name).collect::<Result<_, _>>()?));
        }
        Ok(all)
    }

    /// `selector`, `namespaceSelector` and `serviceAccounts`: pods, and network sets, that all of them mean.
    fn selected(&self, fields: &Fields<'_>, by_name: bool) -> Result<Option<Peer>, Problem> {
        let stated = |key| fields.get(key).filter(|item| item.text() != Ok(""));
        let (pods, namespaces, accounts) =
            (stated("selector"), stated("namespaceSelector"), fields.get("serviceAccounts"));
        // In a policy of a namespace, `notSelector` too means what is left in that namespace.
        let by_exclusion = self.namespace.is_some() && stated("notSelector").is_some();
        if pods.is_none() && namespaces.is_none() && accounts.is_none() && !by_exclusion {
            return Ok(None);
        }
        let mut conditions = Vec::new();
        if let Some(item) = &pods {
            conditions.push(selector(item, &pod_key)?);
        }
        if let Some(item) = accounts {
            let accounts = item.fields(&["names", "selector"])?;
            if let Some(names) = accounts.list("names")?.filter(|names| !names.is_empty()) {
                let names: Vec<Box<str>> =
                    names.iter().map(|item| item.text().map(Into::into)).collect::<Result<_, _>>()?;
                conditions.push(Selector::In(Key::ServiceAccount, names));
            }
            if let Some(item) = accounts.get("selector") {
                conditions.push(selector(&item, &service_account_key)?);
            }
        }
        let is_global = namespaces.as_ref().map(Item::text).transpose()? == Some("global()");
        let is_stated = namespaces.is_some();
        let namespaces = match &namespaces {
            Some(item) => selector(item, &namespace_key)?,
            None => self.own_namespace(),
        };
        let pods = Selector::All(conditions);
        if asks_for_account_labels(&pods) {
            return Ok(Some(Peer::Opaque(Doubt::NotModelled)));
        }
        if is_global {
            return Ok(Some(Peer::Either(self.sets(&pods, by_name, |set| Match::of(set.namespace.is_empty())))));
        }
        Ok(Some(self.pods_and_sets((&namespaces, is_stated), &pods, by_name)))
    }

    /// A set without a namespace has no label of one, which `!=`, `not in` and `!has()` mean as well.
    fn pods_and_sets(&self, (namespaces, is_stated): (&Selector, bool), pods: &Selector, by_name: bool) -> Peer {
        let of_sets = if is_stated { &of_some_namespace(namespaces) } else { namespaces };
        let sets = self.sets(pods, by_name, |set| of_sets.matches(set));
        let chosen = Peer::Pods { namespaces: namespaces.clone(), pods: pods.clone() };
        if sets.is_empty() {
            return chosen;
        }
        Peer::Either(std::iter::once(chosen).chain(sets).collect())
    }

    /// The ranges of network sets that fit; their names as well where the rule can go by name. Of one that may fit, a doubt.
    fn sets(&self, labels: &Selector, by_name: bool, is_there: impl Fn(&NetworkSet) -> Match) -> Vec<Peer> {
        let mut peers = Vec::new();
        for set in &self.definitions.network_sets {
            let fits = is_there(set).and(labels.matches(set));
            let mut members: Vec<Peer> =
                set.nets.iter().map(|net| Peer::Block(Block { net: *net, except: Vec::new() })).collect();
            members.extend(set.names.iter().filter(|_| by_name).cloned().map(Peer::Name));
            match fits {
                Match::Yes => peers.extend(members),
                Match::Unknown(doubt) => peers.push(Peer::Both(vec![Peer::Opaque(doubt), Peer::Either(members)])),
                Match::No => {}
            }
        }
        peers
    }
}

/// `all()` in a `namespaceSelector` means whatever is in some namespace (`libcalico-go`, `entityRuleAPIV2TOBackend`).
fn of_some_namespace(selector: &Selector) -> Selector {
    let parts = |parts: &[Selector]| parts.iter().map(of_some_namespace).collect();
    match selector {
        Selector::All(none) if none.is_empty() => Selector::Has(Key::NamespaceName),
        Selector::All(all) => Selector::All(parts(all)),
        Selector::Any(any) => Selector::Any(parts(any)),
        Selector::Not(part) => Selector::Not(Box::new(of_some_namespace(part))),
        other => other.clone(),
    }
}

fn both(mut parts: Vec<Peer>) -> Option<Peer> {
    if parts.len() > 1 { Some(Peer::Both(parts)) } else { parts.pop() }
}

fn blocks(items: Vec<Item<'_>>) -> Result<Vec<Peer>, Problem> {
    let block = |item: Item<'_>| Ok(Peer::Block(Block { net: item.network_or_address()?, except: Vec::new() }));
    items.into_iter().map(block).collect()
}

fn protocol(item: &Item<'_>) -> Result<Protocol, Problem> {
    if let Ok(number) = item.integer(1, 254) {
        return Ok(Protocol(u8::try_from(number).unwrap_or(0)));
    }
    let known = [
        ("tcp", Protocol::TCP),
        ("udp", Protocol::UDP),
        ("sctp", Protocol::SCTP),
        ("icmp", Protocol::ICMPV4),
        ("icmpv6", Protocol::ICMPV6),
        ("udplite", Protocol(136)),
    ];
    let text = item.text()?.to_ascii_lowercase();
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, protocol)| *protocol);
    found.ok_or_else(|| item.refuse("write TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a protocol number"))
}

fn ports(rule: &Fields<'_>) -> Result<Ports, Problem> {
    let transport = rule.get("protocol").map(|item| protocol(&item)).transpose()?;
    let spec = transport.map_or(ProtocolSpec::Any, ProtocolSpec::Is);
    let mut ports = Ports::default();
    let at = |side: &str, key: &str| -> Result<Vec<PortSpec>, Problem> {
        let Some(item) = rule.item.node.get(side).and_then(|node| node.get(key)) else { return Ok(Vec::new()) };
        let item = Item { node: item, path: format!("{}.{side}.{key}", rule.item.path), origin: rule.item.origin };
        item.list()?.iter().map(port).collect()
    };
    let (wanted, mut from) = (at("destination", "ports")?, at("source", "ports")?);
    if !(wanted.is_empty() && from.is_empty()) && transport.is_none() {
        return Err(rule.item.refuse("ports need `protocol: TCP`, `UDP` or `SCTP`"));
    }
    let any = match rule.get("icmp") {
        Some(item) => icmp(item)?,
        None => PortSpec::Any,
    };
    if from.is_empty() {
        from.push(PortSpec::Any);
    }
    let elements = |port: &PortSpec| -> Vec<PortMatch> {
        from.iter().map(|from| PortMatch { protocol: spec, port: port.clone(), from: from.clone() }).collect()
    };
    if !wanted.is_empty() {
        ports.any_of = Some(wanted.iter().flat_map(elements).collect());
    } else if transport.is_some() || rule.has("icmp") {
        ports.any_of = Some(elements(&any));
    }
    let at_any = |port: PortSpec| PortMatch::of(ProtocolSpec::Any, port);
    ports.none_of = at("destination", "notPorts")?.into_iter().map(at_any).collect();
    let clients = at("source", "notPorts")?;
    ports.none_of.extend(clients.into_iter().map(|from| PortMatch { from, ..at_any(PortSpec::Any) }));
    if let Some(item) = rule.get("notProtocol") {
        ports.none_of.push(PortMatch::of(ProtocolSpec::Is(protocol(&item)?), PortSpec::Any));
    }
    if let Some(item) = rule.get("notICMP") {
        let excluded = icmp(item)?;
        // With neither type nor code it asks for nothing.
        if excluded != PortSpec::Any {
            let of = |protocol| PortMatch::of(ProtocolSpec::Is(protocol), excluded.clone());
            ports.none_of.extend([of(Protocol::ICMPV4), of(Protocol::ICMPV6)]);
        }
    }
    Ok(ports)
}

/// Type and code of ICMP; a type alone means every code.
fn icmp(item: Item<'_>) -> Result<PortSpec, Problem> {
    let fields = item.fields(&["type", "code"])?;
    Ok(PortSpec::icmp(fields.byte("type")?, fields.byte("code")?))
}

/// `80`, `"80"`, `"8000:9000"`, or a name.
fn port(item: &Item<'_>) -> Result<PortSpec, Problem> {
    if let Ok(number) = item.integer(0, 65_535) {
        let number = u16::try_from(number).unwrap_or(0);
        return Ok(PortSpec::Range(number, number));
    }
    let text = item.text()?;
    if let Ok(number) = text.parse::<u16>() {
        return Ok(PortSpec::Range(number, number));
    }
    if let Some((first, last)) = text.split_once(':') {
        return match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if first <= last => Ok(PortSpec::Range(first, last)),
            _ => Err(item.refuse("write a range as `\"8000:9000\"`")),
        };
    }
    kubernetes::port_name(item, text).map(PortSpec::Named)
}
