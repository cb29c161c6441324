//! `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy` of `cilium.io/v2`.
//!
//! Isolation follows from a section that is not empty, unless `enableDefaultDeny` says otherwise. A rule without peers and ports
//! means nobody; without peers but with ports, anybody; an empty list of peers means nobody. Layer 7 rules are noted and not
//! judged, but `rules.dns` is kept: names work only where the DNS proxy serves them.

use super::definitions::Definitions;
use super::fields::{Fields, Item};
use super::icmp;
use super::kubernetes::port_name;
use super::labels;
use super::object::{frame, identity};
use crate::model::Protocol;
use crate::policy::{
    Action, Block, Dialect, Direction, Doubt, Entity, Key, NamePattern, ObjectId, Peer, Policy, PortMatch, PortSpec,
    Ports, Problem, ProtocolSpec, Rule, Section, Selector, ServicePart, Subject, Tier, Wildcard,
};

const L7_NOTE: &str =
    "layer 7 rules (HTTP, Kafka, TLS names) are noted and not judged: they may stop what is allowed here";
const NODE_NOTE: &str = "policies for nodes (`nodeSelector`) are noted and not judged";
const AUTHENTICATION_NOTE: &str = "`authentication` is noted and not judged";

/// Reads one object; each of its `specs` becomes a policy.
pub(super) fn policies(
    item: &Item<'_>,
    kind: &str,
    cluster: Option<&str>,
    definitions: &Definitions,
) -> Result<Vec<Policy>, Problem> {
    let namespaced = kind == "CiliumNetworkPolicy";
    let (fields, metadata) = frame(item, &["spec", "specs", "status"], namespaced)?;
    let id = identity(item, kind, &metadata, cluster);
    let specs = fields.items("specs")?;
    let number = |place: usize| format!("specs {} ", place + 1);
    let specs = fields
        .get("spec")
        .map(|spec| (String::new(), spec))
        .into_iter()
        .chain(specs.into_iter().enumerate().map(|(place, spec)| (number(place), spec)));
    let policies: Vec<Policy> = specs
        .map(|(prefix, spec)| Reader { id: &id, namespaced, definitions, prefix: &prefix }.spec(spec))
        .collect::<Result<_, _>>()?;
    if policies.is_empty() {
        return Err(item.refuse("needs `spec` or `specs`"));
    }
    Ok(policies)
}

struct Reader<'a> {
    id: &'a ObjectId,
    namespaced: bool,
    definitions: &'a Definitions,
    prefix: &'a str,
}

/// What a key of a Cilium selector looks at; the source of a label (`k8s:`, `any:`) is cut off.
fn key(text: &str) -> Key {
    let text = text.strip_prefix("k8s:").or_else(|| text.strip_prefix("any:")).unwrap_or(text);
    match text {
        "io.kubernetes.pod.namespace" => Key::NamespaceName,
        "io.cilium.k8s.policy.serviceaccount" => Key::ServiceAccount,
        "io.cilium.k8s.policy.cluster" => Key::Cluster,
        _ => match text.strip_prefix("io.cilium.k8s.namespace.labels.") {
            Some(label) => Key::Namespace(label.into()),
            None => Key::Pod(text.into()),
        },
    }
}

/// What a key of a selector for nodes looks at.
fn node_key(text: &str) -> Key {
    Key::Node(text.strip_prefix("k8s:").or_else(|| text.strip_prefix("any:")).unwrap_or(text).into())
}

const ENTITIES: [(&str, Entity); 14] = [
    ("all", Entity::All),
    ("world", Entity::World),
    ("world-ipv4", Entity::WorldIpv4),
    ("world-ipv6", Entity::WorldIpv6),
    ("cluster", Entity::Cluster),
    ("host", Entity::Host),
    ("remote-node", Entity::RemoteNode),
    ("kube-apiserver", Entity::KubeApiserver),
    ("ingress", Entity::Ingress),
    ("health", Entity::Health),
    ("init", Entity::Init),
    ("unmanaged", Entity::Unmanaged),
    ("none", Entity::None),
    ("unknown", Entity::None),
];

impl Reader<'_> {
    fn spec(&self, spec: Item<'_>) -> Result<Policy, Problem> {
        let spec = spec.fields(&[
            "description",
            "labels",
            "log",
            "endpointSelector",
            "nodeSelector",
            "enableDefaultDeny",
            "egress",
            "egressDeny",
            "ingress",
            "ingressDeny",
        ])?;
        let mut notes = Vec::new();
        let for_nodes = spec.has("nodeSelector");
        if for_nodes {
            notes.push(NODE_NOTE);
        }
        let pods = match spec.get("endpointSelector") {
            Some(item) => labels::selector(item, &key)?,
            None if for_nodes => Selector::nothing(),
            None => return Err(spec.item.refuse("needs `endpointSelector` (`{}` for every pod) or `nodeSelector`")),
        };
        let mut default_deny = [None, None];
        if let Some(item) = spec.get("enableDefaultDeny") {
            let flags = item.fields(&["egress", "ingress"])?;
            for (slot, name) in default_deny.iter_mut().zip(["egress", "ingress"]) {
                *slot = flags.get(name).map(|item| item.flag()).transpose()?;
            }
        }
        let [egress_deny, ingress_deny] = default_deny;
        let namespaces = self.own_namespace();
        Ok(Policy {
            id: self.id.clone(),
            dialect: Dialect::Cilium,
            tier: Tier::Union,
            subject: Subject { namespaces, pods },
            is_enforced: !for_nodes,
            is_staged: false,
            egress: self.section(&spec, Direction::Egress, egress_deny)?,
            ingress: self.section(&spec, Direction::Ingress, ingress_deny)?,
            notes,
        })
    }

    fn own_namespace(&self) -> Selector {
        if self.namespaced { Selector::in_namespace(&self.id.namespace) } else { Selector::everything() }
    }

    fn section(
        &self,
        spec: &Fields<'_>,
        direction: Direction,
        default_deny: Option<bool>,
    ) -> Result<Option<Section>, Problem> {
        let lists = match direction {
            Direction::Egress => [("egress", Action::Allow), ("egressDeny", Action::Deny)],
            Direction::Ingress => [("ingress", Action::Allow), ("ingressDeny", Action::Deny)],
        };
        let mut rules = Vec::new();
        for (list, action) in lists {
            for (index, item) in spec.items(list)?.into_iter().enumerate() {
                rules.push(self.rule(item, direction, action, (list, index))?);
            }
        }
        let isolates = default_deny.unwrap_or(!rules.is_empty());
        Ok((isolates || !rules.is_empty()).then_some(Section { isolates, rules }))
    }

    fn rule(
        &self,
        item: Item<'_>,
        direction: Direction,
        action: Action,
        (list, index): (&str, usize),
    ) -> Result<Rule, Problem> {
        let line = item.node.line;
        let side = if direction == Direction::Egress { "to" } else { "from" };
        let named = |rest: &str| format!("{side}{rest}");
        let all: Vec<String> =
            ["Endpoints", "Entities", "CIDR", "CIDRSet", "Groups", "Nodes", "Requires"].map(named).into();
        let mut known: Vec<&str> = all.iter().map(String::as_str).collect();
        known.extend(["toPorts", "icmps"]);
        if direction == Direction::Egress {
            known.push("toServices");
        }
        if action == Action::Allow {
            known.push("authentication");
            if direction == Direction::Egress {
                known.push("toFQDNs");
            }
        }
        let fields = item.fields(&known)?;
        let mut notes = Vec::new();
        if fields.has("authentication") {
            notes.push(AUTHENTICATION_NOTE);
        }
        let mut dns = None;
        let ports = ports(&fields, &mut notes, &mut dns)?;
        let peers = self.peers(&fields, &named)?;
        let is_empty = peers.is_none() && ports.any_of.is_none() && !fields.has("toPorts");
        let requires = fields.list(&named("Requires"))?.is_some_and(|items| !items.is_empty());
        Ok(Rule {
            index,
            list: format!("{}{list}", self.prefix).into(),
            name: "".into(),
            line,
            action,
            // `egress: [{}]` allows nothing here, unlike in Kubernetes.
            peers: if is_empty { Some(Vec::new()) } else { peers },
            ports,
            local: requires.then_some(Peer::Opaque(Doubt::NotModelled)),
            dns,
            notes,
        })
    }

    /// All destinations of a rule; `None` when it names none at all, an empty list when it names an empty one.
    fn peers(&self, fields: &Fields<'_>, named: &impl Fn(&str) -> String) -> Result<Option<Vec<Peer>>, Problem> {
        let mut peers = None::<Vec<Peer>>;
        let mut kinds = 0;
        let mut add = |found: Option<Vec<Peer>>| {
            if let Some(found) = found {
                kinds += 1;
                peers.get_or_insert_default().extend(found);
            }
        };
        add(each(fields, &named("Endpoints"), |item| self.endpoints(item))?);
        add(each(fields, &named("Entities"), |item| Ok(vec![Peer::Entity(item.word(&ENTITIES)?)]))?);
        add(each(fields, &named("CIDR"), |item| {
            Ok(vec![Peer::Block(Block { net: item.network_or_address()?, except: Vec::new() })])
        })?);
        add(each(fields, &named("CIDRSet"), |item| self.cidr_set(item))?);
        let opaque = |_: Item<'_>| Ok(vec![Peer::Opaque(Doubt::NotModelled)]);
        add(each(fields, &named("Groups"), opaque)?);
        add(each(fields, &named("Nodes"), |item| Ok(vec![Peer::Nodes(labels::selector(item, &node_key)?)]))?);
        add(each(fields, "toServices", |item| self.service(item))?);
        let by_name = each(fields, "toFQDNs", |item| name_pattern(item).map(|pattern| vec![Peer::Name(pattern)]))?;
        if by_name.is_some() && kinds > 0 {
            return Err(fields
                .item
                .refuse("`toFQDNs` stands with `toPorts` only; write other destinations as a rule of their own"));
        }
        Ok(by_name.or(peers))
    }

    /// A selector without a namespace means the policy's own.
    fn endpoints(&self, item: Item<'_>) -> Result<Vec<Peer>, Problem> {
        if let Some(entity) = reserved(&item) {
            return Ok(vec![Peer::Entity(entity)]);
        }
        let pods = labels::selector(item, &key)?;
        let names_namespace = pods.keys().iter().any(|key| matches!(key, Key::NamespaceName | Key::Namespace(_)));
        let namespaces = if names_namespace { Selector::everything() } else { self.own_namespace() };
        Ok(vec![split(namespaces, pods)])
    }

    fn cidr_set(&self, item: Item<'_>) -> Result<Vec<Peer>, Problem> {
        let fields = item.fields(&["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
        let mut except = Vec::new();
        for hole in fields.items("except")? {
            except.push(hole.network_or_address()?);
        }
        let block = |net| Peer::Block(Block { net, except: except.clone() });
        match (fields.get("cidr"), fields.get("cidrGroupRef"), fields.get("cidrGroupSelector")) {
            (Some(cidr), None, None) => {
                let net = cidr.network_or_address()?;
                match except.iter().find(|hole| !net.contains(*hole)) {
                    Some(hole) => Err(fields.item.refuse(format!("`{hole}` does not lie within `{net}`"))),
                    None => Ok(vec![block(net)]),
                }
            }
            (None, Some(name), None) => match self.definitions.cidr_group_named(name.text()?) {
                Some(nets) => Ok(nets.iter().copied().map(block).collect()),
                None => Err(name.refuse("this CiliumCIDRGroup is not among the given objects; add it")),
            },
            (None, None, Some(item)) => {
                let selector = labels::selector(item, &key)?;
                Ok(self.definitions.cidr_groups_of(&selector).map(block).collect())
            }
            _ => Err(fields.item.refuse("write exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`")),
        }
    }

    fn service(&self, item: Item<'_>) -> Result<Vec<Peer>, Problem> {
        let fields = item.fields(&["k8sService", "k8sServiceSelector"])?;
        if let Some(item) = fields.get("k8sServiceSelector") {
            let chosen = item.fields(&["namespace", "selector"])?;
            let namespace = chosen.text("namespace")?.filter(|name| !name.is_empty()).map(Into::into);
            let labels = labels::selector(chosen.require("selector")?, &|text: &str| Key::Pod(text.into()))?;
            return Ok(vec![Peer::Services { namespace, labels }]);
        }
        let service = fields.require("k8sService")?;
        let service = service.fields(&["serviceName", "namespace"])?;
        let namespace = service.text("namespace")?.unwrap_or(&self.id.namespace).into();
        let name = service.require("serviceName")?.text()?.into();
        Ok(vec![Peer::Service { namespace, name, part: ServicePart::Backends }])
    }
}

fn each(
    fields: &Fields<'_>,
    list: &str,
    read: impl Fn(Item<'_>) -> Result<Vec<Peer>, Problem>,
) -> Result<Option<Vec<Peer>>, Problem> {
    let Some(items) = fields.list(list)? else { return Ok(None) };
    let mut peers = Vec::new();
    for item in items {
        peers.extend(read(item)?);
    }
    Ok(Some(peers))
}

fn ports(
    fields: &Fields<'_>,
    notes: &mut Vec<&'static str>,
    dns: &mut Option<Vec<NamePattern>>,
) -> Result<Ports, Problem> {
    let mut found = Vec::new();
    for item in fields.items("toPorts")? {
        let element =
            item.fields(&["ports", "rules", "listener", "serverNames", "terminatingTLS", "originatingTLS"])?;
        let listed = element.items("ports")?;
        if listed.is_empty() {
            found.push(PortMatch::of(ProtocolSpec::Any, PortSpec::Any));
        }
        if listed.len() > 40 {
            return Err(element.item.refuse("more than 40 ports; Cilium refuses that: split the rule"));
        }
        for item in listed {
            found.push(port(item)?);
        }
        if ["listener", "serverNames", "terminatingTLS", "originatingTLS"].iter().any(|key| element.has(key)) {
            notes.push(L7_NOTE);
        }
        if let Some(rules) = element.get("rules") {
            let rules = rules.fields(&["http", "kafka", "dns", "l7", "l7proto"])?;
            if ["http", "kafka", "l7", "l7proto"].iter().any(|key| rules.has(key)) {
                notes.push(L7_NOTE);
            }
            if let Some(items) = rules.list("dns")? {
                let patterns = dns.get_or_insert_default();
                for item in items {
                    patterns.push(name_pattern(item)?);
                }
            }
        }
    }
    for item in fields.items("icmps")? {
        for item in item.fields(&["fields"])?.items("fields")? {
            let field = item.fields(&["family", "type"])?;
            let families = [("IPv4", Protocol::ICMPV4), ("IPv6", Protocol::ICMPV6)];
            let family = field.get("family").map(|item| item.word(&families)).transpose()?;
            let family = family.unwrap_or(Protocol::ICMPV4);
            let kind = icmp::kind(&field.require("type")?, family)?;
            found.push(PortMatch::of(ProtocolSpec::Is(family), PortSpec::icmp(Some(kind), None)));
        }
    }
    Ok(Ports { any_of: (!found.is_empty()).then_some(found), none_of: Vec::new() })
}

/// `reserved:host` and the like, as a label of a selector.
fn reserved(item: &Item<'_>) -> Option<Entity> {
    let labels = item.node.get("matchLabels")?;
    let labels = Item { node: labels, path: String::new(), origin: item.origin };
    let entries = labels.entries().ok()?;
    let [(key, _)] = entries.as_slice() else { return None };
    let word = key.strip_prefix("reserved:").or_else(|| key.strip_prefix("reserved."))?;
    ENTITIES.iter().find(|(known, _)| *known == word).map(|(_, entity)| *entity)
}

/// Conditions on the namespace stand apart, so that a near miss can tell them from those on the pod.
fn split(namespaces: Selector, pods: Selector) -> Peer {
    let Selector::All(conditions) = pods else { return Peer::Pods { namespaces, pods } };
    let (of_namespace, of_pod): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|condition| {
        condition.keys().iter().all(|key| matches!(key, Key::NamespaceName | Key::Namespace(_)))
    });
    let namespaces = if of_namespace.is_empty() { namespaces } else { Selector::All(of_namespace) };
    Peer::Pods { namespaces, pods: Selector::All(of_pod) }
}

fn name_pattern(item: Item<'_>) -> Result<NamePattern, Problem> {
    let fields = item.fields(&["matchName", "matchPattern"])?;
    match (fields.text("matchName")?, fields.text("matchPattern")?) {
        (Some(name), None) => Ok(NamePattern::exact(name)),
        (None, Some(pattern)) => Ok(NamePattern::parse(pattern, Wildcard::Cilium)),
        _ => Err(fields.item.refuse("write exactly one of `matchName` and `matchPattern`")),
    }
}

/// A port is a text here; protocol `ANY` unless stated.
fn port(item: Item<'_>) -> Result<PortMatch, Problem> {
    let fields = item.fields(&["port", "endPort", "protocol"])?;
    let words = [
        ("ANY", ProtocolSpec::AnyWithPorts),
        ("TCP", ProtocolSpec::Is(Protocol::TCP)),
        ("UDP", ProtocolSpec::Is(Protocol::UDP)),
        ("SCTP", ProtocolSpec::Is(Protocol::SCTP)),
        ("ICMP", ProtocolSpec::Is(Protocol::ICMPV4)),
        ("ICMPv6", ProtocolSpec::Is(Protocol::ICMPV6)),
        ("VRRP", ProtocolSpec::Is(Protocol::VRRP)),
        ("IGMP", ProtocolSpec::Is(Protocol::IGMP)),
    ];
    let protocol =
        fields.get("protocol").map(|item| item.word(&words)).transpose()?.unwrap_or(ProtocolSpec::AnyWithPorts);
    let Some(item) = fields.get("port") else { return Ok(PortMatch::of(protocol, PortSpec::Any)) };
    let text = item.text()?;
    let end = fields.get("endPort").map(|item| item.integer(0, 65_535)).transpose()?.unwrap_or(0);
    let port = match (text.parse::<u16>(), u16::try_from(end).unwrap_or(0)) {
        (Ok(0), _) => PortSpec::Any,
        (Ok(first), 0) => PortSpec::Range(first, first),
        (Ok(first), last) if last >= first => PortSpec::Range(first, last),
        (Ok(_), _) => return Err(item.refuse("`endPort` lies below `port`")),
        (Err(_), 0) => PortSpec::Named(port_name(&item, text)?),
        (Err(_), _) => return Err(item.refuse("`endPort` needs a `port` that is a number")),
    };
    Ok(PortMatch::of(protocol, port))
}
