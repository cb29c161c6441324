//! One rule of a policy: whom it concerns, at which ports, and what it does.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Doubt, NamePattern, Selector};
use crate::model::Protocol;

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Lets it through.
    Allow,
    /// Stops it (`Deny`, `Drop`, `Reject`).
    Deny,
    /// Leaves it to later tiers.
    Pass,
    /// Records it and goes on to the next rule.
    Log,
}

/// An address range with holes. An address in a hole is not denied, only not meant by this element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The range.
    pub net: IpNet,
    /// The holes.
    pub except: Vec<IpNet>,
}

impl Block {
    /// Whether the block means an address; IPv4-mapped forms are unmapped first.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.net.contains(&address) && !self.except.iter().any(|hole| hole.contains(&address))
    }
}

/// A group of ends that a CNI knows by a word (Cilium `toEntities`, and what other dialects write instead).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Everything.
    All,
    /// Everything outside the cluster.
    World,
    /// The same, IPv4 only.
    WorldIpv4,
    /// The same, IPv6 only.
    WorldIpv6,
    /// Everything inside the cluster: pods, nodes, the API server.
    Cluster,
    /// The pod's own node.
    Host,
    /// Any other node.
    RemoteNode,
    /// The API server.
    KubeApiserver,
    /// A gateway proxy of the CNI.
    Ingress,
    /// The CNI's own health probes.
    Health,
    /// A pod that is still starting.
    Init,
    /// A pod that the CNI does not manage.
    Unmanaged,
    /// Pods of the subject's own namespace (Antrea `namespaces.match: Self`).
    SameNamespace,
    /// Whatever has an IPv4 address.
    Ipv4,
    /// Whatever has an IPv6 address.
    Ipv6,
    /// Nothing.
    None,
}

/// What a rule that names a service means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServicePart {
    /// Whatever stands behind it, at every port (Cilium `toServices`, Antrea `serviceReference`).
    Backends,
    /// Whatever stands behind it, at the ports there (Calico `services` of a destination).
    Endpoints,
    /// The service's own address, so that a call straight to a pod behind it is another matter (Antrea `toServices`).
    Address,
}

/// Whom a rule means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Pods whose namespace and labels fit.
    Pods {
        /// Of the namespace.
        namespaces: Selector,
        /// Of the pod.
        pods: Selector,
    },
    /// Addresses.
    Block(Block),
    /// Addresses, whoever has them: a pod or a node as well, on every CNI (`networks` of `ClusterNetworkPolicy`).
    Range(Block),
    /// Addresses that a DNS answer gave for a name.
    Name(NamePattern),
    /// What a CNI knows by a word.
    Entity(Entity),
    /// A service by name.
    Service {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
        /// What of it.
        part: ServicePart,
    },
    /// What stands behind services with these labels, at every port (Cilium `k8sServiceSelector`).
    Services {
        /// Their namespace; `None` for any.
        namespace: Option<Box<str>>,
        /// Of the service.
        labels: Selector,
    },
    /// Nodes by their labels, host-network pods on them among them.
    Nodes(Selector),
    /// Pods of namespaces that have the same values as the subject's for all these labels (Antrea `sameLabels`).
    SameLabels(Vec<Box<str>>),
    /// At least one of these (members of a group).
    Either(Vec<Self>),
    /// All of these at once (Calico: selector and nets of one entity rule).
    Both(Vec<Self>),
    /// Whatever this does not mean (Calico `notNets`, `notSelector`).
    Not(Box<Self>),
    /// Something that is not modelled.
    Opaque(Doubt),
}

/// A transport in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolSpec {
    /// Any.
    Any,
    /// TCP, UDP and SCTP, and nothing else (Cilium `ANY` beside a port).
    AnyWithPorts,
    /// This one.
    Is(Protocol),
}

/// A port in a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortSpec {
    /// All ports.
    Any,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// A container port of the server by name.
    Named(Box<str>),
    /// Messages of ICMP with this type and this code; `None`: any.
    Icmp {
        /// Type.
        kind: Option<u8>,
        /// Code.
        code: Option<u8>,
    },
}

impl PortSpec {
    /// Messages of this type and this code; with neither, all of the protocol.
    pub const fn icmp(kind: Option<u8>, code: Option<u8>) -> Self {
        if kind.is_none() && code.is_none() { Self::Any } else { Self::Icmp { kind, code } }
    }
}

/// One element of a rule's ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMatch {
    /// Transport.
    pub protocol: ProtocolSpec,
    /// Port at the server.
    pub port: PortSpec,
    /// Port at the client (Calico `source.ports`, Antrea `sourcePort`); any, where the dialect has no such thing.
    pub from: PortSpec,
}

impl PortMatch {
    /// Whatever the client's port.
    pub const fn of(protocol: ProtocolSpec, port: PortSpec) -> Self {
        Self { protocol, port, from: PortSpec::Any }
    }
}

/// The ports of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// One of these; `None`: every port and protocol, ICMP too.
    pub any_of: Option<Vec<PortMatch>>,
    /// None of these (Calico `notPorts`, `notProtocol`, `notICMP`).
    pub none_of: Vec<PortMatch>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place among the rules of its list in the object, from 0.
    pub index: usize,
    /// The list in the object that it stands in (`egress`, `egressDeny`, ...), with the spec's number where an object has several.
    pub list: Box<str>,
    /// Its own name, where the dialect gives rules names; else empty.
    pub name: Box<str>,
    /// Line in the file, from 1.
    pub line: usize,
    /// What it does.
    pub action: Action,
    /// One of these; `None`: anybody, outside the cluster too. An empty list means nobody.
    pub peers: Option<Vec<Peer>>,
    /// At which ports.
    pub ports: Ports,
    /// A further condition on the selected pod itself (Calico `source` of an egress rule, Antrea `appliedTo` of a rule).
    pub local: Option<Peer>,
    /// Names that a DNS proxy serves to the pod by this rule (Cilium `rules.dns`); `None` without such a section.
    pub dns: Option<Vec<NamePattern>>,
    /// What of the rule is noted and not judged.
    pub notes: Vec<&'static str>,
}

impl Rule {
    /// Whether it can never match anybody, so that it only isolates.
    pub fn is_for_nobody(&self) -> bool {
        let nobody = |peer: &Peer| matches!(peer, Peer::Entity(Entity::None));
        self.peers.as_ref().is_some_and(|peers| peers.iter().all(nobody))
    }

    /// Whether it means the world at large: to widen it would be no remedy for a single destination.
    pub fn is_for_the_world(&self) -> bool {
        let world = |peer: &Peer| match peer {
            Peer::Block(block) | Peer::Range(block) => {
                block.net.prefix_len() <= if block.net.addr().is_ipv4() { 8 } else { 16 }
            }
            Peer::Entity(entity) => {
                matches!(entity, Entity::All | Entity::World | Entity::WorldIpv4 | Entity::WorldIpv6)
            }
            _ => false,
        };
        self.peers.as_ref().is_none_or(|peers| peers.iter().any(world))
    }
}

/// The rules of a policy in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Whether the policy, by being there, stops what nothing allows.
    pub isolates: bool,
    /// In the order of the object; order matters only within ordered tiers.
    pub rules: Vec<Rule>,
}
