//! One demo cluster: builds its nodes and pods from the cast and collects what its nodes and its resolver see.
//!
//! In: the cast. Out: a stage on which [`super::play`] acts, and which [`super::files`] writes down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cast::{WORKLOADS, WorkloadCast, Zone};
use crate::model::Timestamp;
use crate::simulate::connection::{self, Course};
use crate::simulate::dns_message::QueryType;
use crate::simulate::dnstap::Resolver;
use crate::simulate::identity::{self, PodFacts, PodObject};
use crate::simulate::lookup::{self, Answered, Lookup};
use crate::simulate::random::Random;
use crate::simulate::scene::{Connection, Node, Observation, Party, Pod, Scene, Who};

/// 2026-03-02T00:00:00Z in nanoseconds.
pub(super) const MIDNIGHT: i64 = 1_772_409_600_000_000_000;
/// One minute in nanoseconds.
pub(super) const MINUTE: i64 = 60_000_000_000;

/// A pod and what the inventory must say of it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) cast: WorkloadCast,
    pub(super) name: String,
    /// Kind and name of its direct owner.
    pub(super) owner: (&'static str, String),
    pub(super) node: usize,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) started: i64,
    pub(super) finished: Option<i64>,
}

/// One DNS message at Cilium's DNS proxy.
#[derive(Clone, Debug)]
pub(super) struct ProxiedDns {
    pub(super) pod: usize,
    pub(super) port: u16,
    pub(super) zone: &'static Zone,
    pub(super) query_type: QueryType,
    pub(super) is_response: bool,
}

/// What one line of a node's log says.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Flow(Observation),
    Dns(ProxiedDns),
    Lost { from: i64, count: u64 },
}

/// A cluster while the day is played.
pub(super) struct Stage {
    pub(super) cluster: &'static str,
    pub(super) scene: Scene,
    pub(super) random: Random,
    pub(super) resolver: Resolver,
    pub(super) members: Vec<Member>,
    /// By time and node.
    pub(super) lines: Vec<(i64, usize, Line)>,
    /// Event times and dnstap payloads.
    pub(super) taps: Vec<(i64, Vec<u8>)>,
    used: [u8; 2],
    endpoints: u32,
}

/// The nodes of every cluster.
pub(super) const NODES: [&str; 2] = ["node-a", "node-b"];

impl Stage {
    pub(super) fn new(cluster: &'static str, seed: u64) -> Self {
        let is_eu = cluster == "prod-eu";
        let (region, resolver) =
            if is_eu { ("eu-central-1", ("CoreDNS-1.13.1", true)) } else { ("us-east-1", ("CoreDNS-1.14.7", false)) };
        let nodes = NODES.iter().zip(["a", "b"]).zip(2_u8..).map(|((name, zone), last)| Node {
            full_name: format!("{cluster}/{name}"),
            labels: identity::node_labels(name, region, &format!("{region}{zone}"), "general"),
            address: Ipv4Addr::new(172, if is_eu { 18 } else { 19 }, 0, last),
            skew: if last == 2 { 0 } else { 1_700_000 },
        });
        let mut stage = Self {
            cluster,
            scene: Scene { nodes: nodes.collect(), host_routing: !is_eu, ..Scene::default() },
            random: Random::new(seed),
            resolver: Resolver {
                identity: "coredns-6f6b679f8f-x7k2p".to_owned(),
                version: resolver.0.to_owned(),
                mapped_addresses: resolver.1,
            },
            members: Vec::new(),
            lines: Vec::new(),
            taps: Vec::new(),
            used: [10, 10],
            endpoints: 300,
        };
        // The same addresses belong to other workloads in the other cluster.
        let cast: Vec<&WorkloadCast> =
            if is_eu { WORKLOADS.iter().collect() } else { WORKLOADS.iter().rev().collect() };
        for workload in cast {
            let template = stage.random.generated_part(9);
            for (ordinal, node) in workload.nodes.iter().enumerate() {
                let part = stage.random.generated_part(5);
                let (name, owner) = match workload.kind {
                    "StatefulSet" => {
                        (format!("{}-{ordinal}", workload.name), ("StatefulSet", workload.name.to_owned()))
                    }
                    "DaemonSet" => (format!("{}-{part}", workload.name), ("DaemonSet", workload.name.to_owned())),
                    // A template hash always has a digit, which tells it from a word.
                    _ => (
                        format!("{}-7{template}-{part}", workload.name),
                        ("ReplicaSet", format!("{}-7{template}", workload.name)),
                    ),
                };
                stage.add(*workload, name, owner, *node, MIDNIGHT - 9_000 * MINUTE);
            }
        }
        stage
    }

    /// Adds a pod at the next address of its node and returns its index.
    pub(super) fn add(
        &mut self,
        cast: WorkloadCast,
        name: String,
        owner: (&'static str, String),
        node: usize,
        started: i64,
    ) -> usize {
        let last = self.used.get_mut(node).map_or(0, |used| {
            *used += 1;
            *used
        });
        self.add_at(cast, name, owner, node, last, started)
    }

    /// Adds a pod at a chosen address; the one that had it before must be gone.
    pub(super) fn add_at(
        &mut self,
        cast: WorkloadCast,
        name: String,
        owner: (&'static str, String),
        node: usize,
        last: u8,
        started: i64,
    ) -> usize {
        let subnet = if node == 0 { 1 } else { 2 };
        let v4 = Ipv4Addr::new(10, 0, subnet, last);
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0, u16::from(subnet), 0, 0, 0, u16::from(last));
        self.endpoints += 37;
        // Equal labels, equal identity: all pods of a workload share it.
        let known = self.members.iter().position(|member| member.cast.name == cast.name).unwrap_or(self.members.len());
        let identity = 20_000 + 61 * u32::try_from(known).unwrap_or(0);
        let workload_kind = if owner.0 == "Job" { "CronJob" } else { cast.kind };
        let labels =
            [("app", cast.name), ("app.kubernetes.io/name", cast.name), ("app.kubernetes.io/part-of", cast.namespace)];
        let object = PodObject::new(&PodFacts {
            cluster: self.cluster,
            namespace: cast.namespace,
            pod: &name,
            workload_kind,
            workload: cast.name,
            labels: &labels,
            service_account: cast.name,
            identity,
            endpoint: self.endpoints,
        });
        let policies = |name: &str| {
            if cast.governed { identity::allowed_by("NetworkPolicy", name, cast.namespace) } else { Vec::new() }
        };
        let pod = Pod {
            object,
            node,
            v4,
            v6: Some(v6),
            interface: self.endpoints - 300,
            interface_name: format!("lxc{:012x}", crate::simulate::random::mixed(u64::from(self.endpoints)) >> 16),
            egress_policies: policies("egress-allowlist"),
            ingress_policies: policies("ingress-allowlist"),
        };
        self.scene.pods.push(pod);
        self.members.push(Member { cast, name, owner, node, v4, v6, started, finished: None });
        self.members.len() - 1
    }

    /// The pods of a workload.
    pub(super) fn pods_of(&self, workload: &str) -> Vec<usize> {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.cast.name == workload)
            .map(|(index, _)| index)
            .collect()
    }

    /// One end of a connection: a pod at its IPv4 or IPv6 address.
    pub(super) fn party(&self, pod: usize, port: u16, over_v6: bool) -> Option<Party> {
        let pod_scene = self.scene.pods.get(pod)?;
        let address = match pod_scene.v6 {
            Some(v6) if over_v6 => IpAddr::V6(v6),
            _ => IpAddr::V4(pod_scene.v4),
        };
        Some(Party { who: Who::Pod(pod), address, port })
    }

    /// Plays one connection.
    pub(super) fn connect(&mut self, connection: Connection, course: &Course) {
        let lines = &mut self.lines;
        connection::observe(&self.scene, &mut self.random, connection, course, &mut |observation| {
            lines.push((observation.time, observation.node, Line::Flow(observation)));
        });
    }

    /// Plays one lookup, and now and then the flow that carried it.
    pub(super) fn look_up(&mut self, pod: usize, lookup: &Lookup<'_>, zone: Option<&'static Zone>) -> Answered {
        let taps = &mut self.taps;
        let answered =
            lookup::perform(&self.resolver, &mut self.random, lookup, &mut |time, payload| taps.push((time, payload)));
        let proxied = self.members.get(pod).is_some_and(|member| member.cast.proxied);
        if let (true, Some(zone)) = (proxied, zone) {
            self.proxy(pod, answered, zone);
        }
        let resolver = self.pods_of("coredns").first().and_then(|coredns| self.party(*coredns, 53, false));
        if let (Some(client), Some(server)) = (self.party(pod, answered.port, false), resolver)
            && self.random.chance(0.3)
        {
            let course = Course {
                start: answered.time - 1_200_000,
                round_trip: 900_000,
                duration: 0,
                data_every: 0,
                fate: connection::Fate::Allowed,
                tag: 0,
            };
            self.connect(Connection { client, server, is_tcp: false }, &course);
        }
        answered
    }

    fn proxy(&mut self, pod: usize, answered: Answered, zone: &'static Zone) {
        let Some(node) = self.members.get(pod).map(|member| member.node) else { return };
        for address in zone.addresses() {
            if !self.scene.proxied_names.contains(&(pod, address, zone.name)) {
                self.scene.proxied_names.push((pod, address, zone.name));
            }
        }
        for (query_type, early) in [(QueryType::A, 900_000), (QueryType::Aaaa, 700_000)] {
            for (is_response, later) in [(false, 0), (true, 550_000)] {
                let line = Line::Dns(ProxiedDns { pod, port: answered.port, zone, query_type, is_response });
                self.lines.push((answered.time - early + later, node, line));
            }
        }
    }

    /// The names of services: (namespace, name) → (cluster address, pods' workload, ports).
    pub(super) fn services() -> BTreeMap<(&'static str, &'static str), Ipv4Addr> {
        let mut services = BTreeMap::new();
        for (workload, last) in WORKLOADS.iter().filter(|workload| !workload.ports.is_empty()).zip(20_u8..) {
            let address =
                if workload.name == "coredns" { Ipv4Addr::new(10, 96, 0, 10) } else { Ipv4Addr::new(10, 96, 1, last) };
            services.insert((workload.namespace, workload.name), address);
        }
        services
    }

    /// The `extra` text of the tap: only the newer cluster is set up for it.
    pub(super) fn extra(&self, pod: usize) -> String {
        match self.members.get(pod) {
            Some(member) if self.cluster == "prod-us" => format!("ns={} pod={}", member.cast.namespace, member.name),
            _ => String::new(),
        }
    }
}

/// Wraps nanoseconds.
pub(super) const fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}
