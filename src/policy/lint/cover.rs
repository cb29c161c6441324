//! Whether one rule, peer or selector means at least all that another one means.
//!
//! Only what the form alone proves is said: `false` stands for "no, or cannot be told".

use ipnet::IpNet;

use crate::model::Protocol;
use crate::policy::{
    Action, Block, Direction, Entity, Key, Peer, Policy, PortMatch, PortSpec, Ports, ProtocolSpec, Rule, Selector,
    Subject, Tier, TierEnd,
};

/// Whether every pod that `small` means is one that `large` means.
pub(super) fn selector(large: &Selector, small: &Selector) -> bool {
    if large == small || is_everything(large) {
        return true;
    }
    match (large, small) {
        (Selector::All(parts), _) => parts.iter().all(|part| selector(part, small)),
        (_, Selector::All(parts)) => parts.iter().any(|part| selector(large, part)),
        (_, Selector::Any(parts)) => parts.iter().all(|part| selector(large, part)),
        (Selector::Any(parts), _) => parts.iter().any(|part| selector(part, small)),
        (Selector::In(one, wide), Selector::In(two, narrow)) => {
            same(one, two) && narrow.iter().all(|value| wide.contains(value))
        }
        (Selector::Has(one), Selector::In(two, _) | Selector::Has(two)) => same(one, two),
        _ => false,
    }
}

/// Every namespace has a name, so that asking for one selects all.
pub(super) fn is_everything(selector: &Selector) -> bool {
    match selector {
        Selector::All(parts) => parts.iter().all(is_everything),
        Selector::Any(parts) => parts.iter().any(is_everything),
        Selector::Has(key) => same(key, &Key::NamespaceName),
        _ => false,
    }
}

fn same(one: &Key, two: &Key) -> bool {
    let is_name = |key: &Key| match key {
        Key::NamespaceName => true,
        Key::Namespace(label) => &**label == "kubernetes.io/metadata.name",
        _ => false,
    };
    one == two || (is_name(one) && is_name(two))
}

/// The same for subjects.
pub(super) fn subject(large: &Subject, small: &Subject) -> bool {
    // Some dialects write the namespace among the conditions on pods.
    let all = Selector::All(vec![small.namespaces.clone(), small.pods.clone()]);
    selector(&large.namespaces, &all) && selector(&large.pods, &all)
}

/// The same for rules of one direction: peers, ports and the condition on the pod itself; `of` is the subject of the large one.
pub(super) fn rule(of: &Subject, large: &Rule, small: &Rule) -> bool {
    // What a DNS proxy or layer 7 adds is not part of peers and ports.
    (is_all_local(of, large) || large.local == small.local)
        && large.dns.is_some() == small.dns.is_some()
        && large.notes.is_empty()
        && ports(&large.ports, &small.ports)
        && peers(large.peers.as_deref(), small.peers.as_deref())
}

fn peers(large: Option<&[Peer]>, small: Option<&[Peer]>) -> bool {
    match (large, small) {
        (None, _) => true,
        (Some(large), None) => large.contains(&Peer::Entity(Entity::All)),
        (Some(large), Some(small)) => {
            !small.is_empty() && small.iter().all(|small| large.iter().any(|large| peer(large, small)))
        }
    }
}

fn peer(large: &Peer, small: &Peer) -> bool {
    if large == small {
        return !matches!(large, Peer::Opaque(_));
    }
    match (large, small) {
        (Peer::Entity(Entity::All), _)
        | (Peer::Entity(Entity::World), Peer::Entity(Entity::WorldIpv4 | Entity::WorldIpv6) | Peer::Name(_)) => true,
        (Peer::Pods { namespaces, pods }, Peer::Pods { namespaces: small_namespaces, pods: small_pods }) => {
            selector(namespaces, small_namespaces) && selector(pods, small_pods)
        }
        (Peer::Block(large) | Peer::Range(large), Peer::Block(small)) | (Peer::Range(large), Peer::Range(small)) => {
            block(large, small)
        }
        (Peer::Name(large), Peer::Name(small)) => {
            large.is_everything() || (small.is_exact() && large.matches(&small.text))
        }
        (Peer::Either(parts), _) => parts.iter().any(|part| peer(part, small)),
        (_, Peer::Either(parts)) => !parts.is_empty() && parts.iter().all(|part| peer(large, part)),
        (_, Peer::Both(parts)) => parts.iter().any(|part| peer(large, part)),
        _ => false,
    }
}

/// The same for ranges with holes.
pub(super) fn block(large: &Block, small: &Block) -> bool {
    let is_outside = |hole: &IpNet| {
        let touches = hole.contains(&small.net) || small.net.contains(hole);
        !touches || small.except.iter().any(|own| own.contains(hole))
    };
    large.net.contains(&small.net) && large.except.iter().all(is_outside)
}

/// The same for ports.
pub(super) fn ports(large: &Ports, small: &Ports) -> bool {
    if !large.none_of.iter().all(|hole| small.none_of.contains(hole)) {
        return false;
    }
    match (&large.any_of, &small.any_of) {
        (None, _) => true,
        (Some(large), None) => large.contains(&PortMatch::of(ProtocolSpec::Any, PortSpec::Any)),
        (Some(large), Some(small)) => small.iter().all(|small| large.iter().any(|large| port(large, small))),
    }
}

fn port(large: &PortMatch, small: &PortMatch) -> bool {
    let protocol = match (large.protocol, small.protocol) {
        (ProtocolSpec::Any, _) => true,
        (ProtocolSpec::AnyWithPorts, ProtocolSpec::Is(protocol)) => has_ports(protocol),
        (one, two) => one == two,
    };
    let number = match (&large.port, &small.port) {
        (PortSpec::Any, _) => true,
        (PortSpec::Icmp { kind, code }, PortSpec::Icmp { kind: small_kind, code: small_code }) => {
            (kind.is_none() || kind == small_kind) && (code.is_none() || code == small_code)
        }
        (PortSpec::Range(first, last), PortSpec::Range(small_first, small_last)) => {
            first <= small_first && small_last <= last
        }
        (one, two) => one == two,
    };
    let from = large.from == PortSpec::Any || large.from == small.from;
    protocol && number && from
}

fn has_ports(protocol: Protocol) -> bool {
    [Protocol::TCP, Protocol::UDP, Protocol::SCTP].contains(&protocol)
}

/// Whether ports set no limit worth the name: all, or all of one transport.
pub(super) fn is_any_port(ports: &Ports) -> bool {
    let free = |element: &PortMatch| match element.port {
        PortSpec::Any => !matches!(element.protocol, ProtocolSpec::Is(protocol) if !has_ports(protocol)),
        PortSpec::Range(first, last) => last.saturating_sub(first) >= 60_000,
        PortSpec::Named(_) | PortSpec::Icmp { .. } => false,
    };
    let any_client = |element: &PortMatch| element.from == PortSpec::Any;
    let elements = ports.any_of.as_ref();
    elements.is_none_or(|elements| elements.iter().any(|element| free(element) && any_client(element)))
}

/// Whether a rule concerns every pod that its policy selects.
fn is_all_local(subject: &Subject, rule: &Rule) -> bool {
    match &rule.local {
        None => true,
        Some(Peer::Pods { namespaces, pods }) => {
            let selected = Selector::All(vec![subject.namespaces.clone(), subject.pods.clone()]);
            selector(namespaces, &selected) && selector(pods, &selected)
        }
        Some(_) => false,
    }
}

/// Whether peers mean everybody, as far as the dialect can say so.
pub(super) fn is_anybody(rule: &Rule, direction: Direction) -> bool {
    let Some(peers) = &rule.peers else { return true };
    let nets: Vec<IpNet> =
        peers.iter().flat_map(blocks).filter(|block| block.except.is_empty()).map(|block| block.net).collect();
    let widest = IpNet::aggregate(&nets);
    let whole = |is_v4: bool| widest.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == is_v4);
    let is_every_pod = |peer: &Peer| matches!(peer, Peer::Pods { namespaces, pods } if is_everything(namespaces) && is_everything(pods));
    peers.contains(&Peer::Entity(Entity::All))
        || (whole(true) && whole(false))
        || (direction == Direction::Ingress && peers.iter().any(is_every_pod))
}

/// Whether a rule opens or passes everything.
pub(super) fn is_catch_all(of: &Subject, rule: &Rule) -> bool {
    let no_limit = rule
        .ports
        .any_of
        .as_ref()
        .is_none_or(|elements| elements.contains(&PortMatch::of(ProtocolSpec::Any, PortSpec::Any)));
    let is_anybody = rule.peers.as_ref().is_none_or(|peers| peers.contains(&Peer::Entity(Entity::All)));
    is_anybody && no_limit && rule.ports.none_of.is_empty() && is_all_local(of, rule)
}

/// Whether a policy stops what no rule allows, for all pods it selects.
pub(super) fn closes(policy: &Policy, direction: Direction) -> bool {
    let Some(section) = policy.section(direction) else { return false };
    let is_end = |rule: &Rule| {
        rule.action == Action::Deny
            && is_anybody(rule, direction)
            && is_any_port(&rule.ports)
            && is_all_local(&policy.subject, rule)
    };
    let first_end = section.rules.iter().position(is_end);
    let opens =
        |rule: &Rule| matches!(rule.action, Action::Allow | Action::Pass) && is_catch_all(&policy.subject, rule);
    let first_open = section.rules.iter().position(opens);
    match &policy.tier {
        Tier::Union => first_end.is_some() || (section.isolates && first_open.is_none()),
        Tier::Ordered { end: TierEnd::DenySelected, .. } => match (first_end, first_open) {
            (Some(end), Some(open)) => end < open,
            (_, open) => open.is_none(),
        },
        Tier::Ordered { .. } => first_end.is_some_and(|end| first_open.is_none_or(|open| end < open)),
    }
}

/// The ranges that a peer means when it goes by address alone, with everything that is taken out of them.
pub(super) fn blocks(peer: &Peer) -> Vec<Block> {
    match peer {
        Peer::Block(block) | Peer::Range(block) => vec![block.clone()],
        Peer::Either(parts) => parts.iter().flat_map(blocks).collect(),
        Peer::Both(parts) => {
            let (not, positive): (Vec<&Peer>, Vec<&Peer>) = parts.iter().partition(|part| matches!(part, Peer::Not(_)));
            let holes: Vec<IpNet> = not
                .iter()
                .flat_map(|part| match part {
                    Peer::Not(inner) => blocks(inner).into_iter().map(|block| block.net).collect::<Vec<_>>(),
                    _ => Vec::new(),
                })
                .collect();
            let [only] = positive.as_slice() else { return Vec::new() };
            let mut found = blocks(only);
            for block in &mut found {
                block.except.extend(holes.iter().filter(|hole| block.net.contains(*hole)).copied());
            }
            found
        }
        _ => Vec::new(),
    }
}
