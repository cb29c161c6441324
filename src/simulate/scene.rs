//! The nodes and pods of one made-up cluster, and how an observation of a connection becomes a record.
//!
//! In: nodes, pods, observations. Out: lines of a Hubble exporter file. Decides nothing about what happens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::hubble::{Event, Flags, HubbleWriter, Outcome, Point, Reason, Record, Side, Transport};
use super::identity::{self, PodObject};
use crate::model::{Direction, Timestamp};

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `cluster/node`, as flows name it.
    pub full_name: String,
    /// JSON array of its labels.
    pub labels: Vec<u8>,
    /// Its address.
    pub address: Ipv4Addr,
    /// How far its clock is ahead of true time, in nanoseconds.
    pub skew: i64,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its JSON objects.
    pub object: PodObject,
    /// Index of its node.
    pub node: usize,
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 address of a dual-stack pod.
    pub v6: Option<Ipv6Addr>,
    /// Index of its device on the node.
    pub interface: u32,
    /// Name of its device on the node.
    pub interface_name: String,
    /// JSON array of the policies that govern its egress; empty when none does, and then no verdicts are recorded.
    pub egress_policies: Vec<u8>,
    /// The same for ingress.
    pub ingress_policies: Vec<u8>,
}

/// Who an end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Index of a pod.
    Pod(usize),
    /// Index of a node: itself, or a host-network pod on it.
    Node(usize),
    /// The API server on a node.
    ApiServer,
    /// Outside.
    World,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Party {
    /// Who.
    pub who: Who,
    /// Address used.
    pub address: IpAddr,
    /// Port used.
    pub port: u16,
}

/// A connection, client first.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Who began.
    pub client: Party,
    /// Who was called.
    pub server: Party,
    /// TCP, otherwise UDP.
    pub is_tcp: bool,
}

/// What a node noticed.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// A packet passed.
    Trace(Point, Reason),
    /// A policy decided.
    Verdict(Outcome, Direction),
    /// A packet was dropped by policy.
    Drop(Direction),
}

/// One event of one connection at one node.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// True time in nanoseconds; the node's skew is added on writing.
    pub time: i64,
    /// Index of the node that writes it.
    pub node: usize,
    /// The connection.
    pub connection: Connection,
    /// Flags of the packet.
    pub flags: Flags,
    /// What was noticed.
    pub notice: Notice,
    /// Free for whoever made the connection.
    pub tag: u32,
}

/// Nodes and pods.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Nodes by index.
    pub nodes: Vec<Node>,
    /// Pods by index.
    pub pods: Vec<Pod>,
    /// Whether packets skip the node's routing (no `TO_STACK` records).
    pub host_routing: bool,
    /// Names that Cilium's own DNS proxy knows, as (pod, address, name); for pods under a DNS policy.
    pub proxied_names: Vec<(usize, IpAddr, &'static str)>,
}

impl Scene {
    /// The node that a party lives on.
    pub fn node_of(&self, who: Who) -> Option<usize> {
        match who {
            Who::Pod(pod) => self.pods.get(pod).map(|pod| pod.node),
            Who::Node(node) => Some(node),
            Who::ApiServer | Who::World => None,
        }
    }

    fn side(&self, party: Party, observer: usize) -> Side<'_> {
        let object: &[u8] = match party.who {
            Who::Pod(pod) => match self.pods.get(pod) {
                Some(pod) if pod.node == observer => &pod.object.local,
                Some(pod) => &pod.object.remote,
                None => b"{}",
            },
            Who::Node(node) if node == observer => identity::HOST,
            Who::Node(_) => identity::REMOTE_NODE,
            Who::ApiServer => identity::KUBE_APISERVER,
            Who::World if party.address.is_ipv4() => identity::WORLD_IPV4,
            Who::World => identity::WORLD_IPV6,
        };
        Side { address: party.address, port: party.port, object }
    }

    fn policies(&self, connection: &Connection, direction: Direction) -> &[u8] {
        let who = if direction == Direction::Egress { connection.client.who } else { connection.server.who };
        match who {
            Who::Pod(pod) => self.pods.get(pod).map_or(&[], |pod| match direction {
                Direction::Egress => &pod.egress_policies,
                Direction::Ingress => &pod.ingress_policies,
            }),
            _ => &[],
        }
    }

    fn interface(&self, point: Point, receiver: Who) -> Option<(u32, &str)> {
        match (point, receiver) {
            (Point::ToEndpoint, Who::Pod(pod)) => {
                self.pods.get(pod).map(|pod| (pod.interface, pod.interface_name.as_str()))
            }
            (Point::ToNetwork, _) => Some((2, "eth0")),
            _ => None,
        }
    }

    /// Appends the line of `observation`.
    pub fn write(&self, writer: &mut HubbleWriter, out: &mut Vec<u8>, observation: &Observation, uuid: u128) {
        let Some(node) = self.nodes.get(observation.node) else { return };
        let connection = &observation.connection;
        let is_reply = matches!(observation.notice, Notice::Trace(_, Reason::Reply));
        let (from, to) =
            if is_reply { (connection.server, connection.client) } else { (connection.client, connection.server) };
        let event = match observation.notice {
            Notice::Trace(point, reason) => Event::Trace { point, reason, interface: self.interface(point, to.who) },
            Notice::Verdict(outcome, direction) => Event::Verdict {
                outcome,
                direction,
                policies: if outcome == Outcome::Allowed { self.policies(connection, direction) } else { &[] },
            },
            Notice::Drop(direction) => Event::Drop { direction },
        };
        let known: Vec<&str> = match from.who {
            Who::Pod(pod) if self.node_of(from.who) == Some(observation.node) => self
                .proxied_names
                .iter()
                .filter(|(client, address, _)| *client == pod && *address == to.address)
                .map(|(_, _, name)| *name)
                .collect(),
            _ => Vec::new(),
        };
        let record = Record {
            time: Timestamp::from_nanos(observation.time.saturating_add(node.skew)),
            uuid,
            source: self.side(from, observation.node),
            destination: self.side(to, observation.node),
            transport: if connection.is_tcp { Transport::Tcp(Some(observation.flags)) } else { Transport::Udp },
            node_name: &node.full_name,
            node_labels: &node.labels,
            destination_names: &known,
            event,
        };
        writer.write(out, &record);
    }
}
