//! `NetworkPolicy` of `networking.k8s.io/v1`, normalised as the API server does.
//!
//! Defaults: `policyTypes` from the sections that are there, protocol TCP, namespace `default`. What the API server refuses is an
//! error here (`pkg/apis/networking/validation`).

use super::fields::{Fields, Item};
use super::labels;
use super::object::{frame, identity};
use crate::model::Protocol;
use crate::policy::{
    Action, Block, Dialect, Direction, IMPLIED_INGRESS, Key, Peer, Policy, PortMatch, PortSpec, Ports, Problem,
    ProtocolSpec, Rule, Section, Selector, Subject, Tier,
};

/// Reads one object.
pub(super) fn policy(item: &Item<'_>, cluster: Option<&str>) -> Result<Policy, Problem> {
    of_kind(item, "NetworkPolicy", &[], cluster)
}

/// Reads Calico's staged form of one object.
pub(super) fn staged(item: &Item<'_>, cluster: Option<&str>) -> Result<Policy, Problem> {
    of_kind(item, "StagedKubernetesNetworkPolicy", &["stagedAction"], cluster)
}

fn of_kind(item: &Item<'_>, kind: &str, more: &[&str], cluster: Option<&str>) -> Result<Policy, Problem> {
    let (fields, metadata) = frame(item, &["spec", "status"], true)?;
    let id = identity(item, kind, &metadata, cluster);
    let mut pods = Selector::everything();
    let mut notes = Vec::new();
    let (mut egress, mut ingress) = (None, Some(Section { isolates: true, rules: Vec::new() }));
    if let Some(spec) = fields.get("spec") {
        let known = ["podSelector", "policyTypes", "ingress", "egress"];
        let known: Vec<&str> = known.iter().chain(more).copied().collect();
        let spec = spec.fields(&known)?;
        if let Some(selector) = spec.get("podSelector") {
            pods = labels::selector(selector, &|key| Key::Pod(key.into()))?;
        }
        let (has_ingress, has_egress) = types(&spec)?;
        let is_stated = !spec.items("policyTypes")?.is_empty() || !spec.items("ingress")?.is_empty();
        if has_egress && !is_stated {
            notes.push(IMPLIED_INGRESS);
        }
        let section = |direction, wanted: bool| -> Result<Option<Section>, Problem> {
            let rules = rules(&spec, direction, &metadata.namespace)?;
            Ok(wanted.then_some(Section { isolates: true, rules }))
        };
        egress = section(Direction::Egress, has_egress)?;
        ingress = section(Direction::Ingress, has_ingress)?;
    }
    Ok(Policy {
        dialect: Dialect::Kubernetes,
        tier: Tier::Union,
        subject: Subject { namespaces: Selector::in_namespace(&id.namespace), pods },
        id,
        is_enforced: true,
        is_staged: false,
        egress,
        ingress,
        notes,
    })
}

/// Which directions a policy is about: (ingress, egress).
fn types(spec: &Fields<'_>) -> Result<(bool, bool), Problem> {
    let stated = spec.items("policyTypes")?;
    if stated.is_empty() {
        // An empty list of rules counts as absent: the API server does not keep the difference.
        let has_egress = !spec.items("egress")?.is_empty();
        return Ok((true, has_egress));
    }
    stated_types(stated)
}

/// The directions that a list states: (ingress, egress).
pub(super) fn stated_types(stated: Vec<Item<'_>>) -> Result<(bool, bool), Problem> {
    let (mut ingress, mut egress) = (false, false);
    for item in stated {
        match item.word(&[("Ingress", Direction::Ingress), ("Egress", Direction::Egress)])? {
            Direction::Ingress => ingress = true,
            Direction::Egress => egress = true,
        }
    }
    Ok((ingress, egress))
}

fn rules(spec: &Fields<'_>, direction: Direction, namespace: &str) -> Result<Vec<Rule>, Problem> {
    let (list, peers_key) = match direction {
        Direction::Egress => ("egress", "to"),
        Direction::Ingress => ("ingress", "from"),
    };
    let mut rules = Vec::new();
    for (index, item) in spec.items(list)?.into_iter().enumerate() {
        let line = item.node.line;
        let fields = item.fields(&[peers_key, "ports"])?;
        let mut peers = Vec::new();
        for peer in fields.items(peers_key)? {
            peers.push(self::peer(peer, namespace)?);
        }
        rules.push(Rule {
            index,
            list: list.into(),
            name: "".into(),
            line,
            action: Action::Allow,
            // Absent and empty are the same here: anybody.
            peers: (!peers.is_empty()).then_some(peers),
            ports: ports(&fields)?,
            local: None,
            dns: None,
            notes: Vec::new(),
        });
    }
    Ok(rules)
}

fn peer(item: Item<'_>, namespace: &str) -> Result<Peer, Problem> {
    let fields = item.fields(&["podSelector", "namespaceSelector", "ipBlock"])?;
    if let Some(block) = fields.get("ipBlock") {
        if fields.has("podSelector") || fields.has("namespaceSelector") {
            return Err(fields.item.refuse("`ipBlock` stands alone; write selectors as an element of their own"));
        }
        return Ok(Peer::Block(self::block(block)?));
    }
    let (pods, namespaces) = (fields.get("podSelector"), fields.get("namespaceSelector"));
    if pods.is_none() && namespaces.is_none() {
        return Err(fields
            .item
            .refuse("an empty peer means nobody can say whom; write `podSelector`, `namespaceSelector` or `ipBlock`"));
    }
    let pods = pods.map(|item| labels::selector(item, &|key| Key::Pod(key.into()))).transpose()?;
    let namespaces = namespaces.map(|item| labels::selector(item, &|key| Key::Namespace(key.into()))).transpose()?;
    Ok(Peer::Pods {
        namespaces: namespaces.unwrap_or_else(|| Selector::in_namespace(namespace)),
        pods: pods.unwrap_or_else(Selector::everything),
    })
}

/// An `ipBlock`; holes have to lie strictly within the range.
pub(super) fn block(item: Item<'_>) -> Result<Block, Problem> {
    let fields = item.fields(&["cidr", "except"])?;
    let net = fields.require("cidr")?.network()?;
    let mut except = Vec::new();
    for item in fields.items("except")? {
        let hole = item.network()?;
        if !net.contains(&hole) || net == hole {
            return Err(item.refuse(format!("`{hole}` does not lie strictly within `{net}`")));
        }
        except.push(hole);
    }
    Ok(Block { net, except })
}

fn ports(rule: &Fields<'_>) -> Result<Ports, Problem> {
    let mut found = Vec::new();
    for item in rule.items("ports")? {
        found.push(port(item)?);
    }
    // Absent and empty are the same here: every port and protocol.
    Ok(Ports { any_of: (!found.is_empty()).then_some(found), ..Ports::default() })
}

/// One element of `ports`: protocol TCP unless stated; `endPort` only behind a number.
fn port(item: Item<'_>) -> Result<PortMatch, Problem> {
    port_of(&item.fields(&["port", "endPort", "protocol"])?)
}

/// `protocol`, `port` and `endPort` of an element.
pub(super) fn port_of(fields: &Fields<'_>) -> Result<PortMatch, Problem> {
    let protocol = match fields.get("protocol") {
        None => Protocol::TCP,
        Some(item) => item.word(&[("TCP", Protocol::TCP), ("UDP", Protocol::UDP), ("SCTP", Protocol::SCTP)])?,
    };
    let end = fields.get("endPort").map(|item| Ok((item.port()?, item))).transpose()?;
    let port = match fields.get("port") {
        None => PortSpec::Any,
        Some(item) => {
            if let Ok(name) = item.text() {
                PortSpec::Named(port_name(&item, name)?)
            } else {
                let first = item.port()?;
                PortSpec::Range(first, first)
            }
        }
    };
    let port = match (port, end) {
        (port, None) => port,
        (PortSpec::Range(first, _), Some((last, item))) => {
            if last < first {
                return Err(item.refuse(format!("`endPort` {last} lies below `port` {first}")));
            }
            PortSpec::Range(first, last)
        }
        (_, Some((_, item))) => return Err(item.refuse("`endPort` needs a `port` that is a number")),
    };
    Ok(PortMatch::of(ProtocolSpec::Is(protocol), port))
}

/// The name of a container port: up to 15 letters, digits and `-`, a letter among them (RFC 6335, section 5.1).
pub(super) fn port_name(item: &Item<'_>, name: &str) -> Result<Box<str>, Problem> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=15).contains(&name.len())
        && name.bytes().all(inner)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(name.into());
    }
    let shown: String = name.chars().take(80).collect();
    Err(item.refuse(format!(
        "`{shown}` is no port: write a number without quotes, or the name of a container port (up to 15 lower case letters, digits and `-`)"
    )))
}
