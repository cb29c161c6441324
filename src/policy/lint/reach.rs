//! Rules that reach too far: any destination, the world, wide ranges, every pod; and selectors that were meant to.

use ipnet::IpNet;

use super::cover::{blocks, is_any_port, is_everything};
use super::finding::{
    ANY_DESTINATION, ANY_PORT, ANY_SOURCE, EVERY_POD, PUBLIC_INTERNET, SELECTOR_FOR_INTERNET, SELECTS_NOBODY,
    WHOLE_INTERNET, WIDE_RANGE, WORLD,
};
use super::ground::Ground;
use crate::model::{Severity, is_private};
use crate::policy::{
    Action, Block, Dialect, Direction, Entity, Peer, Policy, PortMatch, PortSpec, Rule, RuleId, Selector,
};

/// A range shorter than this is very wide: IPv4, IPv6.
const WIDE_BITS: (u8, u8) = (12, 24);

pub(super) fn check(ground: &mut Ground<'_>) {
    for (id, policy, rule) in ground.rules(Action::Allow) {
        match &rule.peers {
            None => anybody(ground, id, rule),
            Some(peers) => {
                nobody(ground, id, policy, rule, peers);
                entities(ground, id, rule, peers);
                ranges(ground, id, rule, peers);
                pods(ground, id, policy, rule, peers);
                every_port(ground, id, rule, peers);
            }
        }
    }
}

fn anybody(ground: &mut Ground<'_>, id: RuleId, rule: &Rule) {
    let free = is_any_port(&rule.ports);
    let ports = if free { "any port".to_owned() } else { ports(rule) };
    match id.direction {
        Direction::Egress => ground.rule(
            &ANY_DESTINATION,
            if free { Severity::High } else { Severity::Medium },
            id,
            format!("names no destination, so any address inside and outside is allowed at {ports}"),
            "name the destinations: selectors for pods, names or ranges for what is outside",
        ),
        Direction::Ingress => ground.rule(
            &ANY_SOURCE,
            if free { Severity::Medium } else { Severity::Low },
            id,
            format!("names no source, so anybody inside and outside is let in at {ports}"),
            "name the callers; for a public service keep the port and let only the gateway in",
        ),
    }
}

fn nobody(ground: &mut Ground<'_>, id: RuleId, policy: &Policy, rule: &Rule, peers: &[Peer]) {
    let is_nothing = |peer: &Peer| match peer {
        Peer::Pods { namespaces, pods } => *namespaces == Selector::nothing() || *pods == Selector::nothing(),
        Peer::Either(parts) => parts.is_empty(),
        _ => false,
    };
    if !peers.iter().all(is_nothing) {
        return;
    }
    let alone = policy.section(id.direction).is_some_and(|section| section.rules.len() == 1);
    if policy.dialect == Dialect::Cilium && peers.is_empty() && rule.ports.any_of.is_none() {
        // The documented way to close a direction; only the name tells whether that was meant.
        if alone && ["deny", "isolat", "lockdown", "block"].iter().any(|word| policy.id.name.contains(word)) {
            return;
        }
        ground.rule(
            &SELECTS_NOBODY,
            Severity::Medium,
            id,
            "an empty rule allows nothing in a Cilium policy (alone, it closes the direction); in a Kubernetes policy the same text allows everything",
            "write `toEntities: [none]` (`fromEntities`) if a deny is meant, else name the peers",
        );
        return;
    }
    ground.rule(
        &SELECTS_NOBODY,
        Severity::Medium,
        id,
        "its list of peers is empty or selects nothing, so that it allows nothing",
        "remove the rule, or name the peers",
    );
}

fn entities(ground: &mut Ground<'_>, id: RuleId, rule: &Rule, peers: &[Peer]) {
    let words: Vec<(&str, bool)> = peers
        .iter()
        .filter_map(|peer| match peer {
            Peer::Entity(Entity::All) => Some(("all", true)),
            Peer::Entity(Entity::World) => Some(("world", true)),
            Peer::Entity(Entity::WorldIpv4) => Some(("world-ipv4", true)),
            Peer::Entity(Entity::WorldIpv6) => Some(("world-ipv6", true)),
            Peer::Entity(Entity::Cluster) => Some(("cluster", false)),
            _ => None,
        })
        .collect();
    let free = is_any_port(&rule.ports);
    let ports = if free { "any port".to_owned() } else { ports(rule) };
    for (word, is_world) in words {
        match (is_world, id.direction) {
            (true, Direction::Egress) => ground.rule(
                &WORLD,
                if free { Severity::High } else { Severity::Medium },
                id,
                format!("`{word}` is every address outside the cluster, metadata services included, at {ports}"),
                "use `toFQDNs` with the DNS rule, or `toCIDRSet` with the ranges",
            ),
            (true, Direction::Ingress) => ground.rule(
                &ANY_SOURCE,
                if free { Severity::Medium } else { Severity::Low },
                id,
                format!("`{word}` lets anybody outside the cluster in at {ports}"),
                "name the callers; for a public service let only the gateway in",
            ),
            (false, _) => every_pod(ground, id, rule, "`cluster` is every pod and node of the cluster"),
        }
    }
}

/// Names and ranges outside that are reached at every port; where they are the whole world, that is said already.
fn every_port(ground: &mut Ground<'_>, id: RuleId, rule: &Rule, peers: &[Peer]) {
    let is_name = |peer: &Peer| matches!(peer, Peer::Name(pattern) if !pattern.is_everything());
    let is_range = |block: &Block| block.net.prefix_len() > 0;
    let narrow = peers.iter().any(is_name) || peers.iter().flat_map(blocks).any(|block| is_range(&block));
    if id.direction == Direction::Egress && narrow && !rule.is_for_the_world() && is_any_port(&rule.ports) {
        ground.rule(
            &ANY_PORT,
            Severity::Low,
            id,
            "reaches its destinations at every port and protocol",
            "list the ports in use",
        );
    }
}

/// How much of all addresses a family's ranges hold, from 0 to 1; holes count as not held.
fn share(blocks: &[Block], is_v4: bool) -> f64 {
    let size = |net: &IpNet| 0.5_f64.powi(i32::from(net.prefix_len()));
    let own = blocks.iter().filter(|block| block.net.addr().is_ipv4() == is_v4);
    own.map(|block| size(&block.net) - IpNet::aggregate(&block.except).iter().map(size).sum::<f64>()).sum()
}

fn ranges(ground: &mut Ground<'_>, id: RuleId, rule: &Rule, peers: &[Peer]) {
    let all: Vec<Block> = peers.iter().flat_map(blocks).collect();
    let plain: Vec<IpNet> = all.iter().filter(|block| block.except.is_empty()).map(|block| block.net).collect();
    let joined = IpNet::aggregate(&plain);
    let free = is_any_port(&rule.ports);
    let ports = if free { "any port".to_owned() } else { ports(rule) };
    for (is_v4, everything) in [(true, "0.0.0.0/0"), (false, "::/0")] {
        let whole = joined.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == is_v4);
        if whole {
            whole_internet(ground, id, everything, free, &ports);
        } else if share(&all, is_v4) > 0.5 {
            if id.direction == Direction::Egress {
                ground.rule(
                    &PUBLIC_INTERNET,
                    Severity::Low,
                    id,
                    format!("most of {everything} is allowed at {ports}: every public server can be reached"),
                    "use names where the dialect has them, or the ranges of the vendors",
                );
            }
        } else {
            let limit = if is_v4 { WIDE_BITS.0 } else { WIDE_BITS.1 };
            let mut wide: Vec<&IpNet> =
                joined.iter().filter(|net| net.addr().is_ipv4() == is_v4 && net.prefix_len() < limit).collect();
            wide.sort_unstable();
            for net in wide {
                let severity = if is_private(net.network()) && is_private(net.broadcast()) {
                    Severity::Low
                } else {
                    Severity::Medium
                };
                ground.rule(
                    &WIDE_RANGE,
                    severity,
                    id,
                    format!("`{net}` is a very wide range, allowed at {ports}"),
                    "write the subnets that are really in use",
                );
            }
        }
    }
}

fn whole_internet(ground: &mut Ground<'_>, id: RuleId, everything: &str, free: bool, ports: &str) {
    let (rule, severity, message, fix) = match id.direction {
        Direction::Egress => (
            &WHOLE_INTERNET,
            if free { Severity::High } else { Severity::Medium },
            format!("`{everything}` without `except` at {ports}: private networks and metadata services are in it"),
            "name the destinations, or except private, link-local and metadata ranges",
        ),
        Direction::Ingress => (
            &ANY_SOURCE,
            if free { Severity::Medium } else { Severity::Low },
            format!("`{everything}` lets anybody in at {ports}"),
            "name the callers; for a public service let only the gateway in",
        ),
    };
    ground.rule(rule, severity, id, message, fix);
}

fn pods(ground: &mut Ground<'_>, id: RuleId, policy: &Policy, rule: &Rule, peers: &[Peer]) {
    let is_every = |peer: &Peer| matches!(peer, Peer::Pods { namespaces, pods } if is_everything(namespaces) && is_everything(pods));
    if !peers.iter().any(is_every) {
        return;
    }
    if id.direction == Direction::Egress && peers.iter().all(is_every) {
        let words = ["external", "internet", "outside", "public", "mirror", "registr", "saas", "vendor", "upstream"];
        let name = format!("{} {}", policy.id.name, rule.name).to_ascii_lowercase();
        if let Some(word) = words.iter().find(|word| name.contains(*word)) {
            ground.rule(
                &SELECTOR_FOR_INTERNET,
                Severity::Medium,
                id,
                format!(
                    "the name says `{word}`, and `namespaceSelector: {{}}` means pods of the cluster alone: nothing outside is reached"
                ),
                "write an `ipBlock`, or names in a dialect that has them; keep the selector if pods are meant, and rename the policy",
            );
            return;
        }
    }
    every_pod(ground, id, rule, "the selectors mean every pod of every namespace");
}

fn every_pod(ground: &mut Ground<'_>, id: RuleId, rule: &Rule, what: &str) {
    if is_any_port(&rule.ports) {
        let (message, fix) = (
            format!("{what}, at any port"),
            "select namespaces by `kubernetes.io/metadata.name` and pods by their labels",
        );
        ground.rule(&EVERY_POD, Severity::Low, id, message, fix);
    }
}

/// The ports of a rule for the reader.
fn ports(rule: &Rule) -> String {
    let is_message = |element: &&PortMatch| matches!(element.port, PortSpec::Icmp { .. });
    let byte = |word: &str, byte: Option<u8>| byte.map(|byte| format!(" {word} {byte}")).unwrap_or_default();
    let one = |element: &PortMatch| match &element.port {
        PortSpec::Any => "all ports of a protocol".to_owned(),
        PortSpec::Range(first, last) if first == last => first.to_string(),
        PortSpec::Range(first, last) => format!("{first}-{last}"),
        PortSpec::Named(name) => format!("`{name}`"),
        PortSpec::Icmp { kind, code } => format!("ICMP{}{}", byte("type", *kind), byte("code", *code)),
    };
    let (messages, numbers): (Vec<&PortMatch>, Vec<&PortMatch>) =
        rule.ports.any_of.iter().flatten().partition(is_message);
    let lead = if numbers.is_empty() { "" } else { "port " };
    let mut listed: Vec<String> = numbers.into_iter().chain(messages).map(one).collect();
    listed.dedup();
    let more = listed.len().saturating_sub(4);
    listed.truncate(4);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    if listed.is_empty() { "some ports".to_owned() } else { format!("{lead}{}{tail}", listed.join(", ")) }
}
