//! Antrea policies: `NetworkPolicy` and `ClusterNetworkPolicy` of `crd.antrea.io`.
//!
//! Tiers by priority, policies by priority within a tier, rules by place; the first that matches decides. No isolation follows
//! from a policy's being there. `Pass` leaves all later Antrea tiers out and asks Kubernetes policies.

use super::definitions::Definitions;
use super::fields::{Fields, Item};
use super::kubernetes;
use super::labels;
use super::object::{frame, identity};
use crate::model::Protocol;
use crate::policy::{
    Action, Dialect, Direction, Doubt, Entity, Key, NamePattern, Peer, Policy, PortMatch, PortSpec, Ports, Problem,
    ProtocolSpec, Rule, Section, Selector, ServicePart, Subject, Tier, TierEnd, Wildcard,
};

const L7_NOTE: &str = "`l7Protocols` is noted and not judged: it may stop what is allowed here";
const NODE_NOTE: &str = "`appliedTo` with nodes, services or external entities is noted and not judged";

/// Tiers from this priority on come behind Kubernetes policies.
const BASELINE_PRIORITY: f64 = 253.0;

/// Reads one object.
pub(super) fn policy(
    item: &Item<'_>,
    kind: &str,
    cluster: Option<&str>,
    definitions: &Definitions,
) -> Result<Policy, Problem> {
    let namespaced = kind == "NetworkPolicy";
    let (fields, metadata) = frame(item, &["spec", "status"], namespaced)?;
    let id = identity(item, kind, &metadata, cluster);
    let spec = fields.require("spec")?.fields(&["tier", "priority", "appliedTo", "ingress", "egress"])?;
    let tier = spec.text("tier")?.filter(|name| !name.is_empty()).unwrap_or("application").to_ascii_lowercase();
    let Some(priority) = definitions.antrea_tier_named(&tier) else {
        let item = spec.get("tier").unwrap_or(spec.item);
        return Err(item.refuse("this tier is not among the given objects, so its priority is not known; add the Tier"));
    };
    let mut reader = Reader { namespace: namespaced.then(|| id.namespace.clone()), definitions, notes: Vec::new() };
    let applied = spec.list("appliedTo")?.map(|items| reader.applied_to(items)).transpose()?;
    let mut pods = applied.clone().unwrap_or_default();
    let mut section = |list: &str, direction| -> Result<Option<Section>, Problem> {
        let mut rules = Vec::new();
        for (index, item) in spec.items(list)?.into_iter().enumerate() {
            let (rule, of_rule) = reader.rule(item, list, index, direction)?;
            pods.extend(of_rule);
            rules.push(rule);
        }
        Ok((!rules.is_empty()).then_some(Section { isolates: false, rules }))
    };
    let egress = section("egress", Direction::Egress)?;
    let ingress = section("ingress", Direction::Ingress)?;
    let rank = if priority >= BASELINE_PRIORITY { 0.5 } else { priority / 1_000.0 - 0.5 };
    Ok(Policy {
        dialect: Dialect::Antrea,
        tier: Tier::Ordered {
            name: tier.into(),
            rank,
            order: spec.require("priority")?.number()?,
            end: TierEnd::Continue,
        },
        subject: Subject { namespaces: Selector::everything(), pods: Selector::Any(pods) },
        id,
        is_enforced: true,
        is_staged: false,
        egress,
        ingress,
        notes: reader.notes,
    })
}

struct Reader<'a> {
    /// `None` for cluster-wide policies.
    namespace: Option<Box<str>>,
    definitions: &'a Definitions,
    notes: Vec<&'static str>,
}

const PEER_KEYS: [&str; 11] = [
    "podSelector",
    "namespaceSelector",
    "namespaces",
    "ipBlock",
    "group",
    "fqdn",
    "serviceAccount",
    "nodeSelector",
    "externalEntitySelector",
    "scope",
    "service",
];

impl Reader<'_> {
    fn own_namespace(&self) -> Selector {
        self.namespace.as_deref().map_or_else(Selector::everything, Selector::in_namespace)
    }

    /// The pods of `appliedTo`, one selector for each element.
    fn applied_to(&mut self, items: Vec<Item<'_>>) -> Result<Vec<Selector>, Problem> {
        let mut selectors = Vec::new();
        for item in items {
            let fields = item.fields(&PEER_KEYS)?;
            let strange = ["nodeSelector", "service", "externalEntitySelector"].iter().any(|key| fields.has(key));
            if strange {
                self.notes.push(NODE_NOTE);
                continue;
            }
            selectors.push(match self.peer(&fields)? {
                Some(peer) => {
                    if !is_of_pods(&peer) {
                        self.notes.push(NODE_NOTE);
                    }
                    as_selector(peer)
                }
                None => {
                    return Err(fields.item.refuse(
                        "an empty element of `appliedTo`; write `podSelector`, `namespaceSelector` or `group`",
                    ));
                }
            });
        }
        Ok(selectors)
    }

    fn rule(
        &mut self,
        item: Item<'_>,
        list: &str,
        index: usize,
        direction: Direction,
    ) -> Result<(Rule, Vec<Selector>), Problem> {
        let line = item.node.line;
        let peers_key = if direction == Direction::Egress { "to" } else { "from" };
        let mut known = vec![
            "name",
            "action",
            "appliedTo",
            "ports",
            "protocols",
            "l7Protocols",
            "enableLogging",
            "logLabel",
            peers_key,
        ];
        if direction == Direction::Egress {
            known.push("toServices");
        }
        let fields = item.fields(&known)?;
        let words =
            [("Allow", Action::Allow), ("Drop", Action::Deny), ("Reject", Action::Deny), ("Pass", Action::Pass)];
        let action = fields.require("action")?.word(&words)?;
        let mut peers = Vec::new();
        for item in fields.items(peers_key)? {
            let peer_fields = item.fields(&PEER_KEYS)?;
            match self.peer(&peer_fields)? {
                Some(peer) => peers.push(peer),
                None => {
                    return Err(peer_fields
                        .item
                        .refuse("an empty peer; write a selector, `ipBlock`, `group` or `fqdn`"));
                }
            }
        }
        for item in fields.items("toServices")? {
            let service = item.fields(&["name", "namespace", "scope"])?;
            let namespace = service.text("namespace")?.or(self.namespace.as_deref()).unwrap_or("default").into();
            let name = service.require("name")?.text()?.into();
            peers.push(Peer::Service { namespace, name, part: ServicePart::Address });
        }
        let applied = fields.list("appliedTo")?.map(|items| self.applied_to(items)).transpose()?.unwrap_or_default();
        let notes = if fields.has("l7Protocols") { vec![L7_NOTE] } else { Vec::new() };
        let local = (!applied.is_empty())
            .then(|| Peer::Pods { namespaces: Selector::everything(), pods: Selector::Any(applied.clone()) });
        let rule = Rule {
            index,
            list: list.into(),
            name: fields.text("name")?.unwrap_or_default().into(),
            line,
            action,
            peers: (!peers.is_empty()).then_some(peers),
            ports: ports(&fields)?,
            local,
            dns: None,
            notes,
        };
        Ok((rule, applied))
    }

    /// One element of `from`, `to` or `appliedTo`; `None` when it is empty.
    fn peer(&self, fields: &Fields<'_>) -> Result<Option<Peer>, Problem> {
        if let Some(item) = fields.get("ipBlock") {
            return Ok(Some(Peer::Block(kubernetes::block(item)?)));
        }
        if let Some(item) = fields.get("fqdn") {
            return Ok(Some(Peer::Name(NamePattern::parse(item.text()?, Wildcard::Antrea))));
        }
        if let Some(item) = fields.get("group") {
            let namespace = self.namespace.as_deref().unwrap_or_default();
            return match self.definitions.group_named(namespace, item.text()?) {
                Some(peer) => Ok(Some(peer)),
                None => Err(item.refuse("this group is not among the given objects; add it")),
            };
        }
        if let Some(item) = fields.get("serviceAccount") {
            let account = item.fields(&["name", "namespace"])?;
            let namespace = account.text("namespace")?.unwrap_or("default");
            let name = account.require("name")?.text()?.into();
            let pods = Selector::In(Key::ServiceAccount, vec![name]);
            return Ok(Some(Peer::Pods { namespaces: Selector::in_namespace(namespace), pods }));
        }
        if let Some(item) = fields.get("nodeSelector") {
            return Ok(Some(Peer::Nodes(labels::selector(item, &|key| Key::Node(key.into()))?)));
        }
        if fields.has("externalEntitySelector") || fields.has("service") || fields.text("scope")? == Some("ClusterSet")
        {
            return Ok(Some(Peer::Opaque(Doubt::NotModelled)));
        }
        self.selected(fields)
    }

    fn selected(&self, fields: &Fields<'_>) -> Result<Option<Peer>, Problem> {
        let pods =
            fields.get("podSelector").map(|item| labels::selector(item, &|key| Key::Pod(key.into()))).transpose()?;
        let namespaces = fields
            .get("namespaceSelector")
            .map(|item| labels::selector(item, &|key| Key::Namespace(key.into())))
            .transpose()?;
        if let Some(item) = fields.get("namespaces") {
            let relative = item.fields(&["match", "sameLabels"])?;
            let within = if let Some(keys) = relative.list("sameLabels")? {
                let keys = keys.iter().map(|item| item.text().map(Into::into));
                Peer::SameLabels(keys.collect::<Result<_, _>>()?)
            } else {
                relative.require("match")?.word(&[("Self", ())])?;
                Peer::Entity(Entity::SameNamespace)
            };
            let pods =
                Peer::Pods { namespaces: Selector::everything(), pods: pods.unwrap_or_else(Selector::everything) };
            return Ok(Some(Peer::Both(vec![within, pods])));
        }
        if pods.is_none() && namespaces.is_none() {
            return Ok(None);
        }
        Ok(Some(Peer::Pods {
            namespaces: namespaces.unwrap_or_else(|| self.own_namespace()),
            pods: pods.unwrap_or_else(Selector::everything),
        }))
    }
}

/// Whether a selector says the same; see [`as_selector`].
fn is_of_pods(peer: &Peer) -> bool {
    match peer {
        Peer::Pods { .. } => true,
        Peer::Either(parts) => parts.iter().all(is_of_pods),
        _ => false,
    }
}

/// The pods of a peer as one selector; what is no pod selects nothing.
fn as_selector(peer: Peer) -> Selector {
    match peer {
        Peer::Pods { namespaces, pods } => Selector::All(vec![namespaces, pods]),
        Peer::Either(parts) => Selector::Any(parts.into_iter().map(as_selector).collect()),
        _ => Selector::nothing(),
    }
}

fn ports(rule: &Fields<'_>) -> Result<Ports, Problem> {
    let mut found = Vec::new();
    for item in rule.items("ports")? {
        let fields = item.clone().fields(&["protocol", "port", "endPort", "sourcePort", "sourceEndPort"])?;
        let mut element = kubernetes::port_of(&fields)?;
        if let Some(item) = fields.get("sourcePort") {
            let first = item.port()?;
            let last = fields.get("sourceEndPort").map(|item| item.port()).transpose()?.unwrap_or(first);
            if last < first {
                return Err(item.refuse("`sourceEndPort` lies below `sourcePort`"));
            }
            element.from = PortSpec::Range(first, last);
        }
        found.push(element);
    }
    for item in rule.items("protocols")? {
        let fields = item.fields(&["icmp", "igmp"])?;
        if let Some(icmp) = fields.get("icmp") {
            let icmp = icmp.fields(&["icmpType", "icmpCode"])?;
            let types = PortSpec::icmp(icmp.byte("icmpType")?, icmp.byte("icmpCode")?);
            let of = |protocol| PortMatch::of(ProtocolSpec::Is(protocol), types.clone());
            found.extend([of(Protocol::ICMPV4), of(Protocol::ICMPV6)]);
        }
        if fields.has("igmp") {
            found.push(PortMatch::of(ProtocolSpec::Is(Protocol::IGMP), PortSpec::Any));
        }
    }
    Ok(Ports { any_of: (!found.is_empty()).then_some(found), none_of: Vec::new() })
}
