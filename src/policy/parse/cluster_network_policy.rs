//! `ClusterNetworkPolicy` of `policy.networking.k8s.io/v1alpha2`, and its predecessors `AdminNetworkPolicy` and
//! `BaselineAdminNetworkPolicy` of v1alpha1.
//!
//! Two tiers around the policies of namespaces; the smaller priority comes first; the first rule that matches decides.

use super::fields::{Fields, Item};
use super::kubernetes::port_name;
use super::labels;
use super::object::{frame, identity};
use crate::model::Protocol;
use crate::policy::{
    Action, Block, Dialect, Direction, Key, NamePattern, Peer, Policy, PortMatch, PortSpec, Ports, Problem,
    ProtocolSpec, Rule, Section, Selector, Subject, Tier, TierEnd, Wildcard,
};

/// The kinds of this dialect.
pub(super) const KINDS: [&str; 3] = ["ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"];

/// Before everything of namespaces; Calico's own tiers of a smaller order come before it.
const ADMIN_RANK: f64 = -0.999;
/// Behind everything of namespaces.
const BASELINE_RANK: f64 = 1.0;
/// Rules of one direction, and peers, ports and names of one rule.
const ELEMENTS_MAX: usize = 25;
const RULES_MAX: usize = 100;

/// Reads one object.
pub(super) fn policy(item: &Item<'_>, kind: &str, cluster: Option<&str>) -> Result<Policy, Problem> {
    let (fields, metadata) = frame(item, &["spec", "status"], false)?;
    let id = identity(item, kind, &metadata, cluster);
    let is_new = kind == "ClusterNetworkPolicy";
    let known: &[&str] = match kind {
        "ClusterNetworkPolicy" => &["tier", "priority", "subject", "ingress", "egress"],
        "AdminNetworkPolicy" => &["priority", "subject", "ingress", "egress"],
        _ => &["subject", "ingress", "egress"],
    };
    let spec = fields.require("spec")?.fields(known)?;
    let is_baseline = match kind {
        "ClusterNetworkPolicy" => spec.require("tier")?.word(&[("Admin", false), ("Baseline", true)])?,
        kind => kind == "BaselineAdminNetworkPolicy",
    };
    let order = if known.contains(&"priority") { spec.require("priority")?.integer(0, 1_000)? } else { 0 };
    let (namespaces, pods) = ends(&spec.require("subject")?.fields(&["namespaces", "pods"])?)?;
    let section = |list: &str, direction| section(&spec, list, direction, is_new, is_baseline);
    Ok(Policy {
        dialect: Dialect::ClusterNetworkPolicy,
        tier: Tier::Ordered {
            name: if is_baseline { "baseline" } else { "admin" }.into(),
            rank: if is_baseline { BASELINE_RANK } else { ADMIN_RANK },
            #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
            order: order as f64,
            end: TierEnd::Continue,
        },
        subject: Subject { namespaces, pods },
        id,
        is_enforced: true,
        is_staged: false,
        egress: section("egress", Direction::Egress)?,
        ingress: section("ingress", Direction::Ingress)?,
        notes: Vec::new(),
    })
}

/// `namespaces` or `pods`, exactly one of them.
fn ends(fields: &Fields<'_>) -> Result<(Selector, Selector), Problem> {
    let of_namespace = |item: Item<'_>| {
        // The first releases of v1alpha1 wrapped the selector once more.
        if item.node.get("namespaceSelector").is_some() {
            let wrapped = item.fields(&["namespaceSelector"])?.require("namespaceSelector")?;
            return labels::selector(wrapped, &|key| Key::Namespace(key.into()));
        }
        labels::selector(item, &|key| Key::Namespace(key.into()))
    };
    match (fields.get("namespaces"), fields.get("pods")) {
        (Some(namespaces), None) => Ok((of_namespace(namespaces)?, Selector::everything())),
        (None, Some(pods)) => {
            let pods = pods.fields(&["namespaceSelector", "podSelector"])?;
            let labels = labels::selector(pods.require("podSelector")?, &|key| Key::Pod(key.into()))?;
            // Without a selector for namespaces: all of them.
            let namespaces = pods.get("namespaceSelector").map_or(Ok(Selector::everything()), of_namespace)?;
            Ok((namespaces, labels))
        }
        _ => Err(fields.item.refuse("write exactly one of `namespaces` and `pods`")),
    }
}

fn section(
    spec: &Fields<'_>,
    list: &str,
    direction: Direction,
    is_new: bool,
    is_baseline: bool,
) -> Result<Option<Section>, Problem> {
    let items = spec.items(list)?;
    let most = if is_new { ELEMENTS_MAX } else { RULES_MAX };
    if items.len() > most {
        return Err(spec
            .item
            .refuse(format!("more than {most} rules in `{list}`; the API server refuses that: split the policy")));
    }
    let mut rules = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        rules.push(rule(item, list, index, direction, (is_new, is_baseline))?);
    }
    Ok((!rules.is_empty()).then_some(Section { isolates: false, rules }))
}

fn rule(
    item: Item<'_>,
    list: &str,
    index: usize,
    direction: Direction,
    (is_new, is_baseline): (bool, bool),
) -> Result<Rule, Problem> {
    let line = item.node.line;
    let (peers_key, ports_key) =
        (if direction == Direction::Egress { "to" } else { "from" }, if is_new { "protocols" } else { "ports" });
    let fields = item.fields(&["name", "action", peers_key, ports_key])?;
    let allow = if is_new { "Accept" } else { "Allow" };
    let words = [(allow, Action::Allow), ("Deny", Action::Deny), ("Pass", Action::Pass)];
    // The older baseline kind has nothing to pass to.
    let words = if is_baseline && !is_new { words.get(..2).unwrap_or_default() } else { &words };
    let action = fields.require("action")?.word(words)?;
    let mut peers = Vec::new();
    let items = fields.require(peers_key)?.list()?;
    if items.is_empty() || items.len() > ELEMENTS_MAX {
        return Err(fields.item.refuse(format!("`{peers_key}` must have 1 to {ELEMENTS_MAX} elements")));
    }
    for item in items {
        peers.extend(peer(item, direction, action)?);
    }
    let mut ports = Vec::new();
    for item in fields.items(ports_key)? {
        ports.push(if is_new { protocol(item)? } else { old_port(item)? });
    }
    Ok(Rule {
        index,
        list: list.into(),
        name: fields.text("name")?.unwrap_or_default().into(),
        line,
        action,
        peers: Some(peers),
        ports: Ports { any_of: (!ports.is_empty()).then_some(ports), ..Ports::default() },
        local: None,
        dns: None,
        notes: Vec::new(),
    })
}

fn peer(item: Item<'_>, direction: Direction, action: Action) -> Result<Vec<Peer>, Problem> {
    let known: &[&str] = match direction {
        Direction::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
        Direction::Ingress => &["namespaces", "pods"],
    };
    let fields = item.fields(known)?;
    let given = known.iter().filter(|key| fields.has(key)).count();
    if given != 1 {
        return Err(fields.item.refuse(format!("write exactly one of {}", known.join(", "))));
    }
    if let Some(item) = fields.get("networks") {
        let nets = item.list()?;
        let block = |item: Item<'_>| Ok(Peer::Range(Block { net: item.network()?, except: Vec::new() }));
        return nets.into_iter().map(block).collect();
    }
    if let Some(item) = fields.get("domainNames") {
        if action != Action::Allow {
            return Err(item.refuse("`domainNames` stands in rules that accept only"));
        }
        return item.list()?.iter().map(name).collect();
    }
    if let Some(item) = fields.get("nodes") {
        return Ok(vec![Peer::Nodes(labels::selector(item, &|key| Key::Node(key.into()))?)]);
    }
    let (namespaces, pods) = ends(&fields)?;
    Ok(vec![Peer::Pods { namespaces, pods }])
}

/// A name, or `*.` before a name of at least two labels.
fn name(item: &Item<'_>) -> Result<Peer, Problem> {
    let text = item.text()?;
    let rest = text.strip_prefix("*.").unwrap_or(text);
    let labels = rest.trim_end_matches('.').split('.').count();
    if rest.contains('*') || rest.is_empty() || (rest.len() != text.len() && labels < 2) {
        return Err(item.refuse("write a name, or `*.` and a name of at least two labels"));
    }
    Ok(Peer::Name(NamePattern::parse(text, Wildcard::Leading)))
}

const TRANSPORTS: [(&str, Protocol); 3] = [("tcp", Protocol::TCP), ("udp", Protocol::UDP), ("sctp", Protocol::SCTP)];

/// One element of `protocols`.
fn protocol(item: Item<'_>) -> Result<PortMatch, Problem> {
    let fields = item.fields(&["tcp", "udp", "sctp", "destinationNamedPort"])?;
    if let Some(name) = fields.get("destinationNamedPort") {
        let port = PortSpec::Named(port_name(&name, name.text()?)?);
        return Ok(PortMatch::of(ProtocolSpec::AnyWithPorts, port));
    }
    let given: Vec<_> = TRANSPORTS.iter().filter(|(key, _)| fields.has(key)).collect();
    let [(key, protocol)] = given.as_slice() else {
        return Err(fields.item.refuse("write exactly one of `tcp`, `udp`, `sctp` and `destinationNamedPort`"));
    };
    let transport = fields.require(key)?.fields(&["destinationPort"])?;
    let port = match transport.get("destinationPort") {
        None => PortSpec::Any,
        Some(item) => number_or_range(item)?,
    };
    Ok(PortMatch::of(ProtocolSpec::Is(*protocol), port))
}

fn number_or_range(item: Item<'_>) -> Result<PortSpec, Problem> {
    let fields = item.fields(&["number", "range"])?;
    match (fields.get("number"), fields.get("range")) {
        (Some(number), None) => number.port().map(|port| PortSpec::Range(port, port)),
        (None, Some(range)) => self::range(&range.fields(&["start", "end"])?),
        _ => Err(fields.item.refuse("write exactly one of `number` and `range`")),
    }
}

fn range(fields: &Fields<'_>) -> Result<PortSpec, Problem> {
    let (start, end) = (fields.require("start")?.port()?, fields.require("end")?.port()?);
    if end < start { Err(fields.item.refuse("`end` lies below `start`")) } else { Ok(PortSpec::Range(start, end)) }
}

/// One element of `ports` of v1alpha1.
fn old_port(item: Item<'_>) -> Result<PortMatch, Problem> {
    let fields = item.fields(&["portNumber", "portRange", "namedPort"])?;
    let transports = [("TCP", Protocol::TCP), ("UDP", Protocol::UDP), ("SCTP", Protocol::SCTP)];
    let transport = |fields: &Fields<'_>| -> Result<ProtocolSpec, Problem> {
        let given = fields.get("protocol").map(|item| item.word(&transports)).transpose()?;
        Ok(ProtocolSpec::Is(given.unwrap_or(Protocol::TCP)))
    };
    match (fields.get("portNumber"), fields.get("portRange"), fields.get("namedPort")) {
        (Some(item), None, None) => {
            let fields = item.fields(&["protocol", "port"])?;
            let port = fields.require("port")?.port()?;
            Ok(PortMatch::of(transport(&fields)?, PortSpec::Range(port, port)))
        }
        (None, Some(item), None) => {
            let fields = item.fields(&["protocol", "start", "end"])?;
            Ok(PortMatch::of(transport(&fields)?, range(&fields)?))
        }
        (None, None, Some(item)) => {
            let port = PortSpec::Named(port_name(&item, item.text()?)?);
            Ok(PortMatch::of(ProtocolSpec::AnyWithPorts, port))
        }
        _ => Err(fields.item.refuse("write exactly one of `portNumber`, `portRange` and `namedPort`")),
    }
}
