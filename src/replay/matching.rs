//! Whether a peer or a port of a rule means the other end of a connection.

use super::end::{End, EndKind, NameEvidence, Names};
use super::profile::Profile;
use super::resolve::ServiceNames;
use crate::kube::Labels;
use crate::model::{IcmpMessage, Protocol};
use crate::policy::{
    Block, Direction, Doubt, Entity, Key, Labelled, Match, NamePattern, Peer, PortMatch, PortSpec, Ports, ProtocolSpec,
    Selector, ServicePart, Value,
};

/// What of the connection rules ask for, beside its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow<'a> {
    pub(super) direction: Direction,
    pub(super) port: u16,
    /// The client's port; 0 when not known.
    pub(super) client_port: u16,
    /// Type and code of ICMP; none when not known.
    pub(super) icmp: Option<IcmpMessage>,
    pub(super) protocol: Protocol,
    pub(super) names: &'a Names,
    /// The end whose container ports a named port is looked up in.
    pub(super) server: &'a End,
    /// The service that the client called, where the server is a pod behind it.
    pub(super) service: Option<&'a End>,
}

/// What an evaluator knows beside the ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) profile: &'a Profile,
    /// Services of the cluster, by namespace and name.
    pub(super) services: &'a ServiceNames,
}

/// Whether a peer that depends on nothing but the other end means it.
pub(super) fn leaf(peer: &Peer, end: &End, ground: Ground<'_>) -> Match {
    let profile = ground.profile;
    match peer {
        Peer::Pods { namespaces, pods } => match end.kind {
            EndKind::Pod => namespaces.matches(end).and(pods.matches(end)),
            EndKind::HostPod => {
                let labels = namespaces.matches(end).and(pods.matches(end));
                labels.and(profile.host_network)
            }
            EndKind::Node | EndKind::KubeApiserver | EndKind::Gateway | EndKind::Outside => Match::No,
            EndKind::Service => Match::Unknown(Doubt::ServiceAddress),
            EndKind::Unknown => Match::Unknown(Doubt::PodUnknown),
        },
        Peer::Block(block) => self::block(block, end, profile),
        Peer::Range(range) => self::range(range, end),
        Peer::Entity(entity) => self::entity(*entity, end),
        Peer::Opaque(doubt) => Match::Unknown(*doubt),
        Peer::Service { namespace, name, part } => service((namespace, name), *part, end, ground),
        Peer::Services { namespace, labels } => services((namespace.as_deref(), labels), end, ground),
        Peer::Nodes(selector) => nodes(selector, end),
        Peer::Both(parts) => parts.iter().fold(Match::Yes, |so_far, part| so_far.and(leaf(part, end, ground))),
        Peer::Either(parts) => parts.iter().fold(Match::No, |so_far, part| so_far.or(leaf(part, end, ground))),
        Peer::Not(part) => leaf(part, end, ground).negated(),
        Peer::Name(_) => Match::Unknown(Doubt::NameUnknown),
        // Depends on the subject as well; see `same_labels`.
        Peer::SameLabels(_) => Match::Unknown(Doubt::NotModelled),
    }
}

fn block(block: &Block, end: &End, profile: &Profile) -> Match {
    let covers = end.address.map(|address| block.contains(address));
    match (end.kind, covers) {
        (_, Some(false)) => Match::No,
        (_, Some(true)) if end.is_outside() => Match::Yes,
        (EndKind::Pod, _) => profile.block_on_pod.and(covered(covers)),
        // An API server on no known node may be outside as well.
        (EndKind::KubeApiserver, _) if end.node.is_empty() && !profile.block_on_node.is_yes() => {
            Match::Unknown(Doubt::BlockOnNode).and(covered(covers))
        }
        (EndKind::HostPod | EndKind::Node | EndKind::KubeApiserver | EndKind::Gateway, _) => {
            profile.block_on_node.and(covered(covers))
        }
        (EndKind::Service, _) => Match::Unknown(Doubt::ServiceAddress),
        (EndKind::Unknown, Some(true)) if profile.block_on_pod.is_yes() => Match::Yes,
        (EndKind::Unknown | EndKind::Outside, _) => Match::Unknown(Doubt::PodUnknown),
    }
}

/// A range that means whoever has the address.
fn range(range: &Block, end: &End) -> Match {
    match (end.kind, end.address.map(|address| range.contains(address))) {
        (_, Some(false)) => Match::No,
        (EndKind::Service, _) => Match::Unknown(Doubt::ServiceAddress),
        (_, covers) => covered(covers),
    }
}

const fn covered(covers: Option<bool>) -> Match {
    match covers {
        Some(yes) => Match::of(yes),
        None => Match::Unknown(Doubt::PodUnknown),
    }
}

fn nodes(selector: &Selector, end: &End) -> Match {
    match end.kind {
        EndKind::Unknown => Match::Unknown(Doubt::PodUnknown),
        EndKind::Service => Match::Unknown(Doubt::ServiceAddress),
        _ if end.is_on_node() => selector.matches(end),
        _ => Match::No,
    }
}

fn service((namespace, name): (&str, &str), part: ServicePart, end: &End, ground: Ground<'_>) -> Match {
    if end.kind == EndKind::Service {
        return Match::of(&*end.namespace == namespace && &*end.name == name);
    }
    let unknown = Match::Unknown(Doubt::ServiceAddress);
    let Some(services) = &end.services else { return unknown };
    if services.iter().any(|behind| &*behind.namespace == namespace && &*behind.name == name) {
        // Whether it was called by the service is not in a record of the pod.
        return if part == ServicePart::Address { unknown } else { Match::Yes };
    }
    let is_known = ground.services.keys().any(|(of, known)| &**of == namespace && &**known == name);
    if is_known { Match::No } else { unknown }
}

/// Labels of a service.
struct OfService<'a>(&'a Labels);

impl Labelled for OfService<'_> {
    fn value(&self, key: &Key) -> Value<'_> {
        match key {
            Key::Pod(key) => self.0.get(key).map_or(Value::Absent, |value| Value::Is(value)),
            _ => Value::Absent,
        }
    }
}

/// Whether an end is, or stands behind, a service with such labels.
fn services((namespace, wanted): (Option<&str>, &Selector), end: &End, ground: Ground<'_>) -> Match {
    let unknown = Match::Unknown(Doubt::ServiceAddress);
    let fits = |of: &str, name: &str| {
        if namespace.is_some_and(|namespace| namespace != of) {
            return Match::No;
        }
        let known = ground.services.get(&(Box::from(of), Box::from(name)));
        known.map_or(unknown, |labels| wanted.matches(&OfService(labels)))
    };
    if end.kind == EndKind::Service {
        return fits(&end.namespace, &end.name);
    }
    let Some(behind) = &end.services else { return unknown };
    behind.iter().fold(Match::No, |so_far, service| so_far.or(fits(&service.namespace, &service.name)))
}

/// Whether a connection is what a rule about a service means, once its end fits or may fit.
pub(super) fn service_called(
    (namespace, name): (&str, &str),
    part: ServicePart,
    found: Match,
    end: &End,
    flow: &Flow<'_>,
) -> Match {
    match (part, flow.service) {
        (ServicePart::Address, Some(service)) => {
            return Match::of(&*service.namespace == namespace && &*service.name == name);
        }
        (ServicePart::Endpoints, _) if found.is_yes() => {}
        _ => return found,
    }
    let behind = end.services.iter().flat_map(|services| services.iter());
    let mut behind = behind.filter(|behind| &*behind.namespace == namespace && &*behind.name == name);
    match flow.port {
        _ if end.kind == EndKind::Service => Match::Yes,
        0 => Match::Unknown(Doubt::PortUnknown),
        number => Match::of(behind.any(|behind| behind.ports.contains(&(number, flow.protocol)))),
    }
}

/// Whether the namespaces of two pods have the same values for all of these labels.
pub(super) fn same_labels(keys: &[Box<str>], subject: &End, end: &End) -> Match {
    if !end.is_pod() {
        return if end.kind == EndKind::Unknown { Match::Unknown(Doubt::PodUnknown) } else { Match::No };
    }
    keys.iter().fold(Match::Yes, |so_far, key| {
        let key = Key::Namespace(key.clone());
        so_far.and(match (subject.value(&key), end.value(&key)) {
            (Value::Unknown(doubt), _) | (_, Value::Unknown(doubt)) => Match::Unknown(doubt),
            (Value::Is(one), Value::Is(two)) => Match::of(one == two),
            _ => Match::No,
        })
    })
}

/// Words of Cilium, as far as they depend on the other end alone; a node is this node or another one, see [`relative`].
fn entity(entity: Entity, end: &End) -> Match {
    let is_plain = matches!(entity, Entity::All | Entity::None | Entity::Ipv4 | Entity::Ipv6);
    if end.kind == EndKind::Service && !is_plain {
        return Match::Unknown(Doubt::ServiceAddress);
    }
    if end.kind == EndKind::Unknown && !is_plain {
        return Match::Unknown(Doubt::PodUnknown);
    }
    let is_v4 = end.address.map(|address| address.to_canonical().is_ipv4());
    match entity {
        Entity::All => Match::Yes,
        Entity::None | Entity::Health | Entity::Init | Entity::Unmanaged => Match::No,
        Entity::World => world(end),
        Entity::WorldIpv4 => world(end).and(Match::of(is_v4 == Some(true))),
        Entity::WorldIpv6 => world(end).and(Match::of(is_v4 == Some(false))),
        Entity::Cluster => Match::of(end.kind != EndKind::Outside),
        Entity::KubeApiserver => Match::of(end.kind == EndKind::KubeApiserver),
        Entity::Ingress => Match::of(end.kind == EndKind::Gateway),
        Entity::SameNamespace => Match::of(end.is_pod()),
        Entity::Ipv4 => is_v4.map_or(Match::Unknown(Doubt::PodUnknown), Match::of),
        Entity::Ipv6 => is_v4.map_or(Match::Unknown(Doubt::PodUnknown), |is_v4| Match::of(!is_v4)),
        Entity::Host | Entity::RemoteNode => Match::of(matches!(end.kind, EndKind::Node | EndKind::HostPod)),
    }
}

/// Outside the cluster. Cilium gives an API server there both identities (`reserved:kube-apiserver`, `reserved:world`).
fn world(end: &End) -> Match {
    if end.kind == EndKind::KubeApiserver && end.node.is_empty() && !end.is_external {
        return Match::Unknown(Doubt::NodeTraffic);
    }
    Match::of(end.is_outside())
}

/// Whether a node is the pod's own (`host`) or another one (`remote-node`).
pub(super) fn relative(entity: Entity, subject: &End, end: &End) -> Match {
    if entity == Entity::SameNamespace {
        return self::entity(entity, end).and(Match::of(subject.namespace == end.namespace));
    }
    if !matches!(end.kind, EndKind::Node | EndKind::HostPod | EndKind::KubeApiserver) || end.node.is_empty() {
        return match end.kind {
            EndKind::Node | EndKind::HostPod => Match::Unknown(Doubt::NodeTraffic),
            EndKind::KubeApiserver if !end.is_external => Match::Unknown(Doubt::NodeTraffic),
            _ => self::entity(entity, end),
        };
    }
    if subject.node.is_empty() {
        return Match::Unknown(Doubt::NodeTraffic);
    }
    Match::of((entity == Entity::Host) == (subject.node == end.node))
}

/// Whether a name of a rule is the one that the connection's address was asked by.
pub(super) fn name(pattern: &NamePattern, end: &End, names: &Names) -> Match {
    match end.kind {
        EndKind::Outside | EndKind::Unknown => {}
        EndKind::KubeApiserver if end.is_external => {}
        // Names that resolve to what is in the cluster are opened by no dialect.
        _ => return Match::No,
    }
    match (names.list.split_first(), names.evidence) {
        (None, _) | (_, NameEvidence::None) => Match::Unknown(Doubt::NameUnknown),
        (Some((best, _)), NameEvidence::Own) if pattern.matches(best) => Match::Yes,
        (Some((best, _)), NameEvidence::Weak) if pattern.matches(best) => Match::Unknown(Doubt::NameEvidenceWeak),
        (Some((_, others)), _) if others.iter().any(|other| pattern.matches(other)) => {
            Match::Unknown(Doubt::NameAmbiguous)
        }
        _ => Match::No,
    }
}

/// Whether the ports of a rule mean the connection's, and by which element.
pub(super) fn ports(ports: &Ports, flow: &Flow<'_>) -> (Match, Option<usize>) {
    let (found, place) = match &ports.any_of {
        None => (Match::Yes, None),
        Some(elements) => {
            let mut found = (Match::No, None);
            for (place, element) in elements.iter().enumerate() {
                match port(element, flow) {
                    Match::Yes => {
                        found = (Match::Yes, Some(place));
                        break;
                    }
                    Match::Unknown(doubt) if found.0.is_no() => found = (Match::Unknown(doubt), Some(place)),
                    _ => {}
                }
            }
            found
        }
    };
    let excluded = ports.none_of.iter().fold(Match::No, |so_far, element| so_far.or(port(element, flow)));
    (found.and(excluded.negated()), place)
}

const WITH_PORTS: [Protocol; 3] = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];

/// Whether the protocol is one that the Kubernetes API knows.
pub(super) fn is_in_api(protocol: Protocol) -> bool {
    WITH_PORTS.contains(&protocol)
}

pub(super) fn protocol(spec: ProtocolSpec, flow: &Flow<'_>) -> Match {
    match spec {
        ProtocolSpec::Any => Match::Yes,
        _ if flow.protocol == Protocol::UNKNOWN => Match::Unknown(Doubt::ProtocolUnknown),
        ProtocolSpec::AnyWithPorts => Match::of(is_in_api(flow.protocol)),
        ProtocolSpec::Is(protocol) => Match::of(protocol == flow.protocol),
    }
}

fn port(element: &PortMatch, flow: &Flow<'_>) -> Match {
    let protocol = self::protocol(element.protocol, flow);
    if protocol.is_no() {
        return Match::No;
    }
    protocol.and(number(&element.port, flow)).and(from(&element.from, flow))
}

/// Whether the client's port is one of those meant. A name would be that of a container port of the client, which calls from others.
fn from(spec: &PortSpec, flow: &Flow<'_>) -> Match {
    match spec {
        PortSpec::Any => Match::Yes,
        PortSpec::Range(first, last) if flow.client_port != 0 => {
            Match::of((*first..=*last).contains(&flow.client_port))
        }
        _ if !is_in_api(flow.protocol) && flow.protocol != Protocol::UNKNOWN => Match::No,
        PortSpec::Range(..) => Match::Unknown(Doubt::ClientPortUnknown),
        PortSpec::Named(_) => Match::Unknown(Doubt::NamedPortUnknown),
        PortSpec::Icmp { .. } => Match::No,
    }
}

/// Whether the number is one of those meant, whatever the protocol.
pub(super) fn number(spec: &PortSpec, flow: &Flow<'_>) -> Match {
    match spec {
        PortSpec::Any => Match::Yes,
        PortSpec::Icmp { kind, code } => icmp((*kind, *code), flow),
        // The port that counts is the one behind the service.
        _ if flow.server.kind == EndKind::Service && flow.server.backends.is_empty() => {
            Match::Unknown(Doubt::ServiceAddress)
        }
        _ if flow.port == 0 && !is_in_api(flow.protocol) && flow.protocol != Protocol::UNKNOWN => Match::No,
        _ if flow.port == 0 => Match::Unknown(Doubt::PortUnknown),
        PortSpec::Range(first, last) => Match::of((*first..=*last).contains(&flow.port)),
        PortSpec::Named(name) => named(name, flow),
    }
}

/// Whether a message has the type and the code that a rule names.
fn icmp((kind, code): (Option<u8>, Option<u8>), flow: &Flow<'_>) -> Match {
    match (flow.protocol, flow.icmp) {
        (Protocol::UNKNOWN, _) => Match::Unknown(Doubt::ProtocolUnknown),
        (Protocol::ICMPV4 | Protocol::ICMPV6, Some(message)) => {
            Match::of(kind.is_none_or(|kind| kind == message.kind) && code.is_none_or(|code| code == message.code))
        }
        (Protocol::ICMPV4 | Protocol::ICMPV6, None) if kind.is_none() && code.is_none() => Match::Yes,
        (Protocol::ICMPV4 | Protocol::ICMPV6, None) => Match::Unknown(Doubt::IcmpTypeUnknown),
        _ => Match::No,
    }
}

/// A named port is looked up in the pod that serves, whichever end the policy is about.
fn named(name: &str, flow: &Flow<'_>) -> Match {
    match (flow.server.kind, &flow.server.ports) {
        (EndKind::Pod | EndKind::HostPod, Some(ports)) => Match::of(
            ports.iter().any(|port| *port.name == *name && port.port == flow.port && port.protocol == flow.protocol),
        ),
        (EndKind::Pod | EndKind::HostPod, None) | (EndKind::Unknown, _) => Match::Unknown(Doubt::NamedPortUnknown),
        (EndKind::Service, _) => Match::Unknown(Doubt::ServiceAddress),
        // Outside there is no pod to ask.
        _ => Match::No,
    }
}
