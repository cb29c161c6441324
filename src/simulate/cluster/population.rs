//! Who lives in a random cluster: nodes, workloads with their habits, pods, and the names of the outside world.
//!
//! In: a scenario. Out: a population, which changes only when a pod is replaced.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scenario::Scenario;
use crate::simulate::identity::{self, PodFacts, PodObject};
use crate::simulate::random::Random;
use crate::simulate::scene::{Node, Pod, Scene};

/// The cluster's name.
pub(super) const CLUSTER: &str = "made-up";

/// Where the forwarder asks from: neither a pod's address nor a node's.
pub(super) const FORWARDER: Ipv4Addr = Ipv4Addr::new(172, 18, 250, 53);

/// A name of the outside world.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) v4: Vec<IpAddr>,
    pub(super) v6: Vec<IpAddr>,
    pub(super) ttl: u32,
    pub(super) port: u16,
}

/// Which address of an answer a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    First,
    Last,
    Any,
}

/// A workload and the traits that its pods share.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "traits are drawn independently of each other")]
pub(super) struct Workload {
    pub(super) namespace: usize,
    pub(super) name: String,
    pub(super) template: String,
    pub(super) sites: Vec<usize>,
    pub(super) choice: Choice,
    pub(super) is_chasing: bool,
    pub(super) is_eternal: bool,
    pub(super) is_dual_stack: bool,
    pub(super) is_encrypted: bool,
    pub(super) is_searching: bool,
    pub(super) is_governed: bool,
    pub(super) is_forwarded: bool,
    pub(super) service: Ipv4Addr,
}

/// An answer that a client or a node remembers.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) expires: i64,
}

/// A replica of a workload; the pod behind it changes.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) workload: usize,
    /// Index of its present pod in the scene.
    pub(super) pod: usize,
    pub(super) pod_name: String,
    /// When its last connection ends.
    pub(super) busy_until: i64,
    pub(super) cache: BTreeMap<usize, Remembered>,
}

/// Everybody.
pub(super) struct Population {
    pub(super) scene: Scene,
    pub(super) sites: Vec<Site>,
    pub(super) workloads: Vec<Workload>,
    pub(super) replicas: Vec<Replica>,
    /// Whether a node has its own DNS cache, and what it holds.
    pub(super) node_caches: Vec<Option<BTreeMap<usize, Remembered>>>,
    /// What the forwarder's cache holds.
    pub(super) forwarder_cache: BTreeMap<usize, Remembered>,
    /// Index of the resolver's pod.
    pub(super) resolver: usize,
    used: Vec<u16>,
    free: Vec<Vec<(Ipv4Addr, Ipv6Addr)>>,
    endpoints: u32,
}

impl Population {
    pub(super) fn new(scenario: &Scenario, random: &mut Random) -> Self {
        let node_count = scenario.nodes.clamp(1, 200);
        let nodes = (0..node_count).map(|node| {
            let name = format!("worker-{node}");
            let zone = format!("eu-west-1{}", if node % 2 == 0 { "a" } else { "b" });
            Node {
                full_name: format!("{CLUSTER}/{name}"),
                labels: identity::node_labels(&name, "eu-west-1", &zone, "general"),
                address: Ipv4Addr::new(172, 18, 1, u8::try_from(node + 2).unwrap_or(u8::MAX)),
                skew: random.between(-scenario.node_skew, scenario.node_skew),
            }
        });
        let scene = Scene { nodes: nodes.collect(), ..Scene::default() };
        let node_caches = (0..node_count).map(|_| random.chance(scenario.node_caches).then(BTreeMap::new)).collect();
        let mut population = Self {
            scene,
            sites: sites(scenario, random),
            workloads: Vec::new(),
            replicas: Vec::new(),
            node_caches,
            forwarder_cache: BTreeMap::new(),
            resolver: 0,
            used: vec![0; node_count],
            free: vec![Vec::new(); node_count],
            endpoints: 100,
        };
        population.resolver = population.admit(None, "coredns-7c65d6cfc9-x7k2p", 0);
        population.settle(scenario, random);
        population
    }

    fn settle(&mut self, scenario: &Scenario, random: &mut Random) {
        let roles = ["api", "worker", "web", "sync", "batch", "relay", "store", "index"];
        for namespace in 0..scenario.namespaces.max(1) {
            for number in 0..scenario.workloads_per_namespace.max(1) {
                let role = roles.get(number % roles.len()).copied().unwrap_or("app");
                let service = u16::try_from(self.workloads.len()).unwrap_or(u16::MAX).saturating_add(256).to_be_bytes();
                let draw = random.next_u64() % 10_000;
                let first = scenario.first_address * 10_000.0;
                let taken = f64::from(u32::try_from(draw).unwrap_or(0));
                let choice = if taken < first {
                    Choice::First
                } else if taken < first + scenario.last_address * 10_000.0 {
                    Choice::Last
                } else {
                    Choice::Any
                };
                let mut used: Vec<usize> =
                    (0..scenario.names_per_workload.max(1)).map(|_| random.popular_index(self.sites.len())).collect();
                used.dedup();
                self.workloads.push(Workload {
                    namespace,
                    name: format!("{role}-{number}"),
                    template: format!("6{}", random.generated_part(9)),
                    sites: used,
                    choice,
                    is_chasing: random.chance(scenario.chasing),
                    is_eternal: random.chance(scenario.eternal_caches),
                    is_dual_stack: random.chance(scenario.dual_stack),
                    is_encrypted: random.chance(scenario.encrypted_dns),
                    is_searching: random.chance(scenario.search),
                    is_governed: random.chance(scenario.governed),
                    // Without forwarders nothing is drawn, so that all else stays as it is.
                    is_forwarded: scenario.forwarders > 0.0 && random.chance(scenario.forwarders),
                    service: Ipv4Addr::new(10, 96, service[0], service[1]),
                });
                let workload = self.workloads.len() - 1;
                for _ in 0..scenario.pods_per_workload.max(1) {
                    let node = random.index(self.scene.nodes.len());
                    let (pod, pod_name) = self.hire(workload, node, random);
                    self.replicas.push(Replica { workload, pod, pod_name, busy_until: 0, cache: BTreeMap::new() });
                }
            }
        }
    }

    fn hire(&mut self, workload: usize, node: usize, random: &mut Random) -> (usize, String) {
        let template = self.workloads.get(workload).map(|workload| format!("{}-{}", workload.name, workload.template));
        let name = format!("{}-{}", template.unwrap_or_default(), random.generated_part(5));
        (self.admit(Some(workload), &name, node), name)
    }

    /// Adds a pod: at the address that was freed last on its node, or at a new one.
    fn admit(&mut self, workload: Option<usize>, name: &str, node: usize) -> usize {
        let (v4, v6) = match self.free.get_mut(node).and_then(Vec::pop) {
            Some(addresses) => addresses,
            None => self.address(node),
        };
        self.endpoints += 1;
        let described = workload.and_then(|workload| self.workloads.get(workload));
        let namespace =
            described.map_or_else(|| "kube-system".to_owned(), |workload| namespace_name(workload.namespace));
        let workload_name = described.map_or("coredns", |workload| workload.name.as_str());
        let labels = [
            ("app", workload_name),
            ("app.kubernetes.io/instance", workload_name),
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/name", workload_name),
            ("pod-template-hash", described.map_or("7c65d6cfc9", |workload| workload.template.as_str())),
        ];
        let object = PodObject::new(&PodFacts {
            cluster: CLUSTER,
            namespace: &namespace,
            pod: name,
            workload_kind: "Deployment",
            workload: workload_name,
            labels: &labels,
            service_account: workload_name,
            identity: 20_000 + workload.map_or(0, |workload| u32::try_from(workload).unwrap_or(0) + 1),
            endpoint: self.endpoints,
        });
        let policies = if described.is_some_and(|workload| workload.is_governed) {
            identity::allowed_by("NetworkPolicy", "egress-allowlist", &namespace)
        } else {
            Vec::new()
        };
        self.scene.pods.push(Pod {
            object,
            node,
            v4,
            v6: Some(v6),
            interface: self.endpoints,
            interface_name: format!("lxc{:012x}", crate::simulate::random::mixed(u64::from(self.endpoints)) >> 16),
            egress_policies: policies,
            ingress_policies: Vec::new(),
        });
        self.scene.pods.len() - 1
    }

    fn address(&mut self, node: usize) -> (Ipv4Addr, Ipv6Addr) {
        let number = self.used.get_mut(node).map_or(0, |used| {
            *used += 1;
            *used
        });
        let subnet = u8::try_from(node).unwrap_or(u8::MAX);
        let [high, low] = (number + 9).to_be_bytes();
        (Ipv4Addr::new(10, subnet, high, low), Ipv6Addr::new(0xfd00, 0x10, 0, u16::from(subnet), 0, 0, 0, number + 9))
    }

    /// Replaces the pods of an idle replica and of another one on the same node, which takes the address over.
    pub(super) fn churn(&mut self, replica: usize, now: i64, random: &mut Random) {
        let Some(node) = self.replace(replica, now, random) else { return };
        let count = self.replicas.len();
        let start = random.index(count);
        for other in (0..count).map(|step| (start + step) % count).filter(|other| *other != replica) {
            let is_neighbour = self
                .replicas
                .get(other)
                .and_then(|other| self.scene.pods.get(other.pod))
                .is_some_and(|pod| pod.node == node);
            if is_neighbour && self.replace(other, now, random).is_some() {
                return;
            }
        }
    }

    /// Replaces the pod of an idle replica and returns its node.
    fn replace(&mut self, replica: usize, now: i64, random: &mut Random) -> Option<usize> {
        let present = self.replicas.get(replica).filter(|replica| replica.busy_until < now)?;
        let workload = present.workload;
        let (node, freed) =
            self.scene.pods.get(present.pod).and_then(|pod| pod.v6.map(|v6| (pod.node, (pod.v4, v6))))?;
        let (pod, pod_name) = self.hire(workload, node, random);
        if let Some(free) = self.free.get_mut(node) {
            free.push(freed);
        }
        if let Some(replica) = self.replicas.get_mut(replica) {
            *replica = Replica { workload, pod, pod_name, busy_until: 0, cache: BTreeMap::new() };
        }
        Some(node)
    }
}

/// The name of a namespace.
pub(super) fn namespace_name(number: usize) -> String {
    format!("team-{number}")
}

fn sites(scenario: &Scenario, random: &mut Random) -> Vec<Site> {
    let count = scenario.names.max(1);
    let mut next = 0_u32;
    let mut fresh = |amount: u64| -> (Vec<IpAddr>, Vec<IpAddr>) {
        (0..amount)
            .map(|_| {
                next += 1;
                // 20.0.0.0/8 and 2a10::/16 are ordinary unicast; nothing is ever sent there.
                let v4 = Ipv4Addr::from_bits(0x1400_0000 | next.wrapping_mul(2_654_435) & 0x00ff_ffff);
                let [high, low] = [next >> 16, next & 0xffff].map(|half| u16::try_from(half).unwrap_or(0));
                (IpAddr::V4(v4), IpAddr::V6(Ipv6Addr::new(0x2a10, 0x1000, 0, 0, 0, 0, high, low)))
            })
            .unzip()
    };
    let edges: Vec<_> = (0..(count / 12).max(2)).map(|_| fresh(4 + random.below(5))).collect();
    (0..count)
        .map(|number| {
            let vendor = number / 3;
            let label = ["api", "cdn", "events"].get(number % 3).copied().unwrap_or("www");
            let name = format!("{label}.vendor-{vendor}.test");
            let edge = random.chance(scenario.shared_edges).then(|| random.index(edges.len()));
            let (v4, v6) = match edge.and_then(|edge| edges.get(edge)) {
                Some(pool) => pool.clone(),
                None => fresh(1 + random.below(4)),
            };
            let mut aliases = Vec::new();
            if random.chance(scenario.aliased) {
                let target = match edge {
                    Some(edge) if random.chance(0.5) => format!("pool-{edge}.edge-network.test"),
                    Some(edge) => format!("{label}-{vendor}.pool-{edge}.edge-network.test"),
                    None => format!("lb.vendor-{vendor}.test"),
                };
                if random.chance(0.3) {
                    aliases.push(format!("{label}.vendor-{vendor}.traffic-manager.test"));
                }
                aliases.push(target);
            }
            let ttl = [5, 30, 30, 60, 300].get(random.index(5)).copied().unwrap_or(30);
            let port = if random.chance(0.9) { 443 } else { 80 };
            Site { name, aliases, v4, v6, ttl, port }
        })
        .collect()
}
