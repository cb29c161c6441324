//! Plays the script: pods at their addresses, lookups, connections, and what policies stop.
//!
//! In: the cast and the script. Out: observations of the node and taps of the resolver, which [`super::files`] writes down.

use std::net::{IpAddr, Ipv4Addr};

use super::cast::{CLUSTER, NODE, WORKLOADS, WorkloadCast, addresses};
use super::script::{Allowed, HABITS, Habit, RECORDED, RUNS, Run, Target, governs};
use crate::model::{Direction, Timestamp};
use crate::simulate::connection::{self, Course, Fate, SECOND};
use crate::simulate::dns_message::QueryType;
use crate::simulate::dnstap::Resolver;
use crate::simulate::identity::{self, PodFacts, PodObject};
use crate::simulate::lookup::{self, Lookup};
use crate::simulate::random::{Random, mixed};
use crate::simulate::scene::{Connection, Node, Observation, Party, Pod, Scene, Who};

/// 2026-03-02T00:00:00Z in nanoseconds, a Monday.
pub(super) const MONDAY: i64 = 1_772_409_600_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const SEED: u64 = 20_260_302;
/// Share of lookups whose packets are recorded as flows too.
const RECORDED_LOOKUPS: f64 = 0.1;

/// A pod that runs all the time, for the inventory.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) cast: WorkloadCast,
    pub(super) name: String,
    /// Its replica set.
    pub(super) owner: String,
    pub(super) address: Ipv4Addr,
}

/// The cluster while the weeks are played.
pub(super) struct Stage {
    scene: Scene,
    pub(super) random: Random,
    resolver: Resolver,
    pub(super) members: Vec<Member>,
    /// Namespace of every pod, by its place in the scene.
    places: Vec<&'static str>,
    pub(super) seen: Vec<Observation>,
    /// Event times and dnstap payloads.
    pub(super) taps: Vec<(i64, Vec<u8>)>,
}

/// The node's address.
pub(super) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

/// The minute of the script in which a moment lies.
pub(super) const fn minute_of(nanos: i64) -> i64 {
    (nanos - MONDAY).div_euclid(MINUTE)
}

impl Stage {
    pub(super) fn new() -> Self {
        let node = Node {
            full_name: format!("{CLUSTER}/{NODE}"),
            labels: identity::node_labels(NODE, "eu-central-1", "eu-central-1a", "general"),
            address: NODE_ADDRESS,
            skew: 0,
        };
        let mut stage = Self {
            scene: Scene { nodes: vec![node], host_routing: true, ..Scene::default() },
            random: Random::new(SEED),
            resolver: Resolver {
                identity: "coredns-6f6b679f8f-x7k2p".to_owned(),
                version: "CoreDNS-1.14.7".to_owned(),
                mapped_addresses: false,
            },
            members: Vec::new(),
            places: Vec::new(),
            seen: Vec::new(),
            taps: Vec::new(),
        };
        for (cast, last) in WORKLOADS.iter().filter(|cast| cast.kind == "Deployment").zip(10_u8..) {
            let owner = format!("{}-7{}", cast.name, stage.random.generated_part(9));
            let name = format!("{owner}-{}", stage.random.generated_part(5));
            let address = Ipv4Addr::new(10, 0, 1, last);
            stage.add(*cast, &name, address);
            stage.members.push(Member { cast: *cast, name, owner, address });
        }
        stage
    }

    /// Adds a pod and returns its place.
    fn add(&mut self, cast: WorkloadCast, name: &str, address: Ipv4Addr) -> usize {
        let number = WORKLOADS.iter().position(|known| known.namespace == cast.namespace && known.name == cast.name);
        let endpoint = 300 + 37 * u32::try_from(self.scene.pods.len()).unwrap_or(0);
        let app_label = [("app", cast.name), ("app.kubernetes.io/name", cast.name)];
        let object = PodObject::new(&PodFacts {
            cluster: CLUSTER,
            namespace: cast.namespace,
            pod: name,
            workload_kind: cast.kind,
            workload: cast.name,
            labels: &app_label,
            service_account: cast.name,
            identity: 20_000 + 61 * u32::try_from(number.unwrap_or(0)).unwrap_or(0),
            endpoint,
        });
        self.scene.pods.push(Pod {
            object,
            node: 0,
            v4: address,
            v6: None,
            interface: endpoint - 290,
            interface_name: format!("lxc{:012x}", mixed(u64::from(endpoint)) >> 16),
            egress_policies: Vec::new(),
            ingress_policies: Vec::new(),
        });
        self.places.push(cast.namespace);
        self.scene.pods.len() - 1
    }

    /// Plays every recorded week.
    pub(super) fn play(&mut self) {
        for habit in HABITS {
            let Some(pod) = self.pod_of(habit.namespace, habit.who) else { continue };
            let times = (habit.first..habit.until).step_by(usize::try_from(habit.every).unwrap_or(1));
            for minute in times.filter(|minute| habit.hours.hold(*minute) && is_recorded(*minute)) {
                self.follow(habit, pod, minute);
            }
        }
        for (run, number) in RUNS.iter().zip(0_u8..) {
            self.run(run, number);
        }
        self.seen.sort_by_key(|observation| observation.time);
        self.taps.sort();
    }

    fn pod_of(&self, namespace: &str, name: &str) -> Option<usize> {
        let is_it = |member: &Member| member.cast.namespace == namespace && member.cast.name == name;
        self.members.iter().position(is_it)
    }

    fn follow(&mut self, habit: &Habit, pod: usize, minute: i64) {
        let time = MONDAY + minute * MINUTE + self.random.between(0, 90 * SECOND);
        self.connect(pod, habit.target, habit.port, habit.allowed, time);
    }

    fn run(&mut self, run: &Run, number: u8) {
        let Some(cast) = WORKLOADS.iter().find(|cast| cast.namespace == run.namespace && cast.name == run.who) else {
            return;
        };
        let is_stopped = governs(run.namespace, run.minute) && run.allowed.is_stopped(run.minute);
        for attempt in 0..if is_stopped { run.attempts } else { 1 } {
            let started = run.minute + 2 * attempt;
            let part = self.random.generated_part(5);
            // A run's pod has an address of its own, so that no record can be mistaken for another run's.
            let address = Ipv4Addr::new(10, 0, 2, 10 + number * 4 + u8::try_from(attempt).unwrap_or(0));
            let pod = self.add(*cast, &format!("{}-{}-{part}", run.who, MONDAY / MINUTE + run.minute), address);
            let time = MONDAY + started * MINUTE + self.random.between(2 * SECOND, 20 * SECOND);
            self.connect(pod, run.target, run.port, run.allowed, time);
        }
    }

    fn connect(&mut self, pod: usize, target: Target, port: u16, allowed: Allowed, time: i64) {
        let Some((ready, server)) = self.reach(pod, target, port, time) else { return };
        let Some(client) = self.party(pod) else { return };
        let governed = self.places.get(pod).is_some_and(|namespace| governs(namespace, minute_of(ready)));
        let is_stopped = governed && allowed.is_stopped(minute_of(ready));
        let is_inside = matches!(server.who, Who::Pod(_));
        let course = Course {
            start: ready + self.random.between(300_000, 4_000_000),
            round_trip: if is_inside { 400_000 } else { self.random.between(7_000_000, 40_000_000) },
            duration: self.random.between(SECOND, 3 * SECOND),
            data_every: 5 * SECOND,
            fate: if is_stopped { Fate::Denied(Direction::Egress) } else { Fate::Allowed },
            tag: 0,
        };
        self.observe(Connection { client, server, is_tcp: true }, &course);
    }

    fn party(&mut self, pod: usize) -> Option<Party> {
        let address = IpAddr::V4(self.scene.pods.get(pod)?.v4);
        Some(Party { who: Who::Pod(pod), address, port: self.random.ephemeral_port() })
    }

    /// Finds out where to connect. Returns when that is known.
    fn reach(&mut self, pod: usize, target: Target, port: u16, time: i64) -> Option<(i64, Party)> {
        match target {
            Target::Address(octets) => {
                Some((time, Party { who: Who::World, address: IpAddr::V4(octets.into()), port }))
            }
            Target::Name(name) => {
                let mut known: Vec<IpAddr> = addresses(name).iter().copied().map(IpAddr::V4).collect();
                let turn = self.random.index(known.len());
                known.rotate_left(turn);
                let ready = self.look_up(pod, name, &known, false, time)?;
                Some((ready, Party { who: Who::World, address: known.first().copied()?, port }))
            }
            Target::Service(namespace, name) => {
                let server = self.pod_of(namespace, name)?;
                let address = IpAddr::V4(service_address(namespace, name)?);
                let full = format!("{name}.{namespace}.svc.cluster.local");
                let ready = self.look_up(pod, &full, &[address], true, time)?;
                Some((ready, Party { port, ..self.party(server)? }))
            }
        }
    }

    fn look_up(&mut self, pod: usize, name: &str, known: &[IpAddr], inside: bool, time: i64) -> Option<i64> {
        let client = self.party(pod)?;
        let lookup = Lookup {
            client: client.address,
            time,
            name,
            types: &[QueryType::A],
            search: &[],
            autopath: false,
            aliases: &[],
            addresses: known,
            ttl: 30,
            missing: false,
            authoritative: inside,
            extra: "",
        };
        let taps = &mut self.taps;
        let answered =
            lookup::perform(&self.resolver, &mut self.random, &lookup, &mut |time, payload| taps.push((time, payload)));
        if self.random.chance(RECORDED_LOOKUPS) {
            let resolver = self.pod_of("kube-system", "coredns")?;
            let server = Party { port: 53, ..self.party(resolver)? };
            let course = Course {
                start: answered.time - 1_200_000,
                round_trip: 900_000,
                duration: 0,
                data_every: 0,
                fate: Fate::Allowed,
                tag: 0,
            };
            self.observe(
                Connection { client: Party { port: answered.port, ..client }, server, is_tcp: false },
                &course,
            );
        }
        Some(answered.time)
    }

    fn observe(&mut self, connection: Connection, course: &Course) {
        self.govern(&connection, course.start);
        let seen = &mut self.seen;
        connection::observe(&self.scene, &mut self.random, connection, course, &mut |one| seen.push(one));
    }

    /// Puts both ends under the policies of that moment.
    fn govern(&mut self, connection: &Connection, time: i64) {
        for who in [connection.client.who, connection.server.who] {
            let Who::Pod(pod) = who else { continue };
            let (Some(namespace), Some(pod)) = (self.places.get(pod), self.scene.pods.get_mut(pod)) else { continue };
            let is_governed = governs(namespace, minute_of(time));
            let by = |name: &str| {
                if is_governed { identity::allowed_by("CiliumNetworkPolicy", name, namespace) } else { Vec::new() }
            };
            (pod.egress_policies, pod.ingress_policies) = (by("egress-allowlist"), by("ingress-allowlist"));
        }
    }

    /// The scene as it is at `observation`.
    pub(super) fn scene_at(&mut self, observation: &Observation) -> &Scene {
        self.govern(&observation.connection, observation.time);
        &self.scene
    }
}

/// Whether some file covers the minute, to its end and a little on.
fn is_recorded(minute: i64) -> bool {
    RECORDED.iter().any(|(_, from, until)| (*from..*until - 3).contains(&minute))
}

/// The cluster address of a service.
pub(super) fn service_address(namespace: &str, name: &str) -> Option<Ipv4Addr> {
    let place = WORKLOADS.iter().position(|cast| cast.namespace == namespace && cast.name == name)?;
    let last = if name == "coredns" { 10 } else { 20 + u8::try_from(place).ok()? };
    Some(Ipv4Addr::new(10, 96, 0, last))
}

/// Wraps nanoseconds.
pub(super) const fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}
