//! Lets a random cluster live: lookups and connections in order of time, written out as soon as nothing earlier can come.
//!
//! In: a scenario. Out: calls of the sink. Memory follows what is under way, never what was written.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};

use super::population::{Choice, FORWARDER, Population, Remembered, namespace_name};
use super::scenario::Scenario;
use super::{Sink, inventory};
use crate::model::Direction;
use crate::simulate::connection::{self, Course, Fate, SECOND};
use crate::simulate::dns_message::QueryType;
use crate::simulate::dnstap::Resolver;
use crate::simulate::hubble::{HubbleWriter, Reason};
use crate::simulate::literal;
use crate::simulate::lookup::{self, Answered, Lookup};
use crate::simulate::random::Random;
use crate::simulate::scene::{Connection, Notice, Observation, Party, Who};

/// 2026-03-02T00:00:00Z in nanoseconds.
const BEGIN: i64 = 1_772_409_600_000_000_000;
const BOTH: &[QueryType] = &[QueryType::A, QueryType::Aaaa];
/// Nothing that a connection notes lies further before its beginning.
const LEAD: i64 = 2_000_000;
/// `tag` of a connection without truth; one more is an external one without a name; two more is site 0.
const INTERNAL: u32 = 0;
const NAMELESS: u32 = 1;

struct Pending {
    order: u64,
    observation: Observation,
}

impl Pending {
    fn key(&self) -> (i64, u64) {
        (self.observation.time, self.order)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

struct Life<'a, S> {
    scenario: &'a Scenario,
    sink: &'a mut S,
    random: Random,
    population: Population,
    resolver: Resolver,
    writer: HubbleWriter,
    flows: BinaryHeap<Reverse<Pending>>,
    frames: BinaryHeap<Reverse<(i64, u64, Vec<u8>)>>,
    order: u64,
    made: u64,
    line: Vec<u8>,
}

/// Plays `scenario` into `sink`.
pub(super) fn live(scenario: &Scenario, sink: &mut impl Sink) {
    let mut random = Random::new(scenario.seed);
    let population = Population::new(scenario, &mut random);
    let mut life = Life {
        scenario,
        sink,
        random,
        population,
        resolver: Resolver {
            identity: "coredns-7c65d6cfc9-x7k2p".to_owned(),
            version: "CoreDNS-1.14.7".to_owned(),
            mapped_addresses: false,
        },
        writer: HubbleWriter::default(),
        flows: BinaryHeap::new(),
        frames: BinaryHeap::new(),
        order: 0,
        made: 0,
        line: Vec::with_capacity(4_096),
    };
    let mut now = BEGIN;
    let mut connections = 0;
    while connections < scenario.connections && life.made < scenario.flows {
        now += life.random.between(0, 2 * scenario.interval);
        life.release(now);
        life.step(now);
        connections += 1;
    }
    life.release(i64::MAX);
    let objects = inventory::objects(&life.population);
    life.sink.kube(&objects);
}

impl<S: Sink> Life<'_, S> {
    /// Writes everything that lies before `now`.
    fn release(&mut self, now: i64) {
        while let Some(next) = self.flows.peek()
            && next.0.observation.time < now
            && let Some(Reverse(pending)) = self.flows.pop()
        {
            self.write(&pending.observation);
        }
        while let Some(next) = self.frames.peek()
            && next.0.0 < now
            && let Some(Reverse((_, _, payload))) = self.frames.pop()
        {
            self.sink.dns_frame(&payload);
        }
    }

    fn write(&mut self, observation: &Observation) {
        let uuid = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
        self.line.clear();
        self.population.scene.write(&mut self.writer, &mut self.line, observation, uuid);
        self.sink.flow_line(observation.node, &self.line);
        let name = match observation.tag {
            INTERNAL => return,
            NAMELESS => None,
            tag => usize::try_from(tag - 2).ok().and_then(|site| self.population.sites.get(site)),
        };
        let mut text = Vec::with_capacity(36);
        literal::uuid(&mut text, uuid);
        self.sink.truth(std::str::from_utf8(&text).unwrap_or_default(), name.map(|site| site.name.as_str()));
    }

    fn step(&mut self, now: i64) {
        let replica = self.random.index(self.population.replicas.len());
        if self.random.chance(self.scenario.churn) {
            self.population.churn(replica, now, &mut self.random);
        }
        if self.random.chance(self.scenario.inbound) {
            self.inbound(now, replica);
        } else if self.random.chance(self.scenario.internal) {
            self.internal(now, replica);
        } else {
            self.external(now, replica);
        }
    }

    fn party(&self, pod: usize, port: u16, over_v6: bool) -> Option<Party> {
        let pod_scene = self.population.scene.pods.get(pod)?;
        let address = pod_scene.v6.filter(|_| over_v6).map_or(IpAddr::V4(pod_scene.v4), IpAddr::V6);
        Some(Party { who: Who::Pod(pod), address, port })
    }

    fn connect(&mut self, replica: usize, connection: Connection, course: &Course) {
        let (flows, order, made) = (&mut self.flows, &mut self.order, &mut self.made);
        let lost_replies = 1.0 - self.scenario.replies;
        let mut keep = Random::new(self.random.next_u64());
        let mut last = course.start;
        connection::observe(&self.population.scene, &mut self.random, connection, course, &mut |observation| {
            last = last.max(observation.time);
            let is_reply = matches!(observation.notice, Notice::Trace(_, Reason::Reply));
            if is_reply && lost_replies > 0.0 && keep.chance(lost_replies) {
                return;
            }
            *order += 1;
            *made += 1;
            flows.push(Reverse(Pending { order: *order, observation }));
        });
        if let Some(replica) = self.population.replicas.get_mut(replica) {
            replica.busy_until = replica.busy_until.max(last);
        }
    }

    fn course(&mut self, start: i64, is_inside: bool, fate: Fate, tag: u32) -> Course {
        let is_long = self.random.chance(self.scenario.long_connections);
        let duration = if is_long {
            self.random.between(60 * SECOND, 900 * SECOND)
        } else {
            self.random.between(SECOND / 100, 3 * SECOND)
        };
        let round_trip =
            if is_inside { self.random.between(250_000, 900_000) } else { self.random.between(6_000_000, 60_000_000) };
        Course {
            start: start + LEAD,
            round_trip,
            duration,
            data_every: if is_long { 30 * SECOND } else { 5 * SECOND },
            fate,
            tag,
        }
    }

    fn inbound(&mut self, now: i64, replica: usize) {
        let Some(pod) = self.population.replicas.get(replica).map(|replica| replica.pod) else { return };
        let Some(server) = self.party(pod, 8_443, false) else { return };
        let address = Ipv4Addr::from_bits(0x5400_0000 | u32::try_from(self.random.below(256)).unwrap_or(0) << 8 | 9);
        let client = Party { who: Who::World, address: IpAddr::V4(address), port: self.random.ephemeral_port() };
        let course = self.course(now, true, Fate::Allowed, INTERNAL);
        self.connect(replica, Connection { client, server, is_tcp: true }, &course);
    }

    fn internal(&mut self, now: i64, replica: usize) {
        // Workloads have few peers, so that distinct edges stay few.
        let count = self.population.replicas.len();
        let step = 1 + self.random.index(5);
        let peer = (replica * 7 + step * 13) % count;
        let Some((client_pod, server_pod, server_workload)) = self
            .population
            .replicas
            .get(replica)
            .zip(self.population.replicas.get(peer))
            .map(|(client, server)| (client.pod, server.pod, server.workload))
        else {
            return;
        };
        let mut ready = now;
        if self.random.chance(self.scenario.service_lookups) {
            ready = self.ask_service(now, replica, server_workload);
        }
        let port = self.random.ephemeral_port();
        let (Some(client), Some(server)) = (self.party(client_pod, port, false), self.party(server_pod, 8_080, false))
        else {
            return;
        };
        let course = self.course(ready, true, Fate::Allowed, INTERNAL);
        self.connect(replica, Connection { client, server, is_tcp: true }, &course);
    }

    fn external(&mut self, now: i64, replica: usize) {
        let Some((pod, workload)) = self
            .population
            .replicas
            .get(replica)
            .and_then(|replica| Some((replica.pod, self.population.workloads.get(replica.workload)?.clone())))
        else {
            return;
        };
        let port = self.random.ephemeral_port();
        if self.random.chance(self.scenario.direct) {
            let last = self.random.below(200);
            let last = if self.scenario.fixed_edges { u64::from(workload.service.octets()[3]) } else { last };
            let address = IpAddr::V4(Ipv4Addr::new(45, 33, 7, u8::try_from(last).unwrap_or(1)));
            let Some(client) = self.party(pod, port, false) else { return };
            let server = Party { who: Who::World, address, port: 8_443 };
            let course = self.course(now, false, Fate::Allowed, NAMELESS);
            self.connect(replica, Connection { client, server, is_tcp: true }, &course);
            return;
        }
        let chosen = if self.scenario.fixed_edges {
            self.random.index(workload.sites.len())
        } else {
            self.random.popular_index(workload.sites.len())
        };
        let Some(index) = workload.sites.get(chosen).copied() else { return };
        let Some((ready, addresses)) = self.resolve(now, replica, index) else { return };
        let over_v6 = workload.is_dual_stack && addresses.iter().any(IpAddr::is_ipv6);
        let usable: Vec<IpAddr> = addresses.into_iter().filter(|address| address.is_ipv6() == over_v6).collect();
        let address = match workload.choice {
            Choice::First => usable.first(),
            Choice::Last => usable.last(),
            Choice::Any => self.random.pick(&usable),
        };
        let (Some(address), Some(client)) = (address.copied(), self.party(pod, port, over_v6)) else { return };
        let site_port = self.population.sites.get(index).map_or(443, |site| site.port);
        let server = Party { who: Who::World, address, port: site_port };
        let fate =
            if workload.is_governed && self.random.chance(self.scenario.denied / self.scenario.governed.max(0.01)) {
                Fate::Denied(Direction::Egress)
            } else {
                Fate::Allowed
            };
        let tag = u32::try_from(index).unwrap_or(0) + 2;
        let course = self.course(ready, false, fate, tag);
        self.connect(replica, Connection { client, server, is_tcp: true }, &course);
    }

    /// What a replica believes of a site, from its cache, its node's cache or the resolver; and when it knows.
    fn resolve(&mut self, now: i64, replica: usize, index: usize) -> Option<(i64, Vec<IpAddr>)> {
        let site = self.population.sites.get(index)?.clone();
        let holder = self.population.replicas.get(replica)?;
        let workload = self.population.workloads.get(holder.workload)?;
        let (is_eternal, is_encrypted, is_searching, is_chasing, is_forwarded) = (
            workload.is_eternal,
            workload.is_encrypted,
            workload.is_searching,
            workload.is_chasing,
            workload.is_forwarded,
        );
        let namespace = namespace_name(workload.namespace);
        let pod = self.population.scene.pods.get(holder.pod)?;
        let (node, mut client) = (pod.node, IpAddr::V4(pod.v4));
        if let Some(known) = holder.cache.get(&index)
            && (is_eternal || known.expires > now && self.random.chance(self.scenario.reuse))
        {
            return Some((now, known.addresses.clone()));
        }
        let has_node_cache = !is_forwarded && self.population.node_caches.get(node).is_some_and(Option::is_some);
        if !is_encrypted && let Some((address, cache)) = self.between(node, is_forwarded) {
            client = address;
            if let Some(known) = cache.get(&index)
                && known.expires > now
            {
                return Some((now + 100_000, known.addresses.clone()));
            }
        }
        let addresses = self.answer(&site.v4, &site.v6);
        let mut ready = now + 20_000_000;
        if !is_encrypted {
            let aliases: Vec<&str> = site.aliases.iter().map(String::as_str).collect();
            let search = if is_searching {
                vec![
                    format!("{namespace}.svc.cluster.local"),
                    "svc.cluster.local".to_owned(),
                    "cluster.local".to_owned(),
                ]
            } else {
                Vec::new()
            };
            let extra = self.hint(replica);
            let mut asked = question(client, now, &site.name);
            asked = Lookup {
                search: &search,
                aliases: &aliases,
                addresses: &addresses,
                ttl: site.ttl,
                extra: &extra,
                ..asked
            };
            ready = self.perform(replica, &asked).time;
            if let (true, Some(target)) = (is_chasing, aliases.last()) {
                let later = ready + self.random.between(100_000, 150_000_000);
                let chased = Lookup { time: later, name: target, search: &[], aliases: &[], ..asked };
                // A chasing stub connects when its own question for the target is answered.
                ready = self.perform(replica, &chased).time;
            }
        }
        let remembered = Remembered { addresses: addresses.clone(), expires: now + i64::from(site.ttl) * SECOND };
        if is_forwarded {
            self.population.forwarder_cache.insert(index, remembered.clone());
        }
        if has_node_cache && let Some(Some(cache)) = self.population.node_caches.get_mut(node) {
            cache.insert(index, remembered.clone());
        }
        self.population.replicas.get_mut(replica)?.cache.insert(index, remembered);
        Some((ready, addresses))
    }

    /// The cache that asks in a pod's stead, and from where.
    fn between(&self, node: usize, is_forwarded: bool) -> Option<(IpAddr, &BTreeMap<usize, Remembered>)> {
        if is_forwarded {
            return Some((IpAddr::V4(FORWARDER), &self.population.forwarder_cache));
        }
        let cache = self.population.node_caches.get(node)?.as_ref()?;
        Some((IpAddr::V4(self.population.scene.nodes.get(node)?.address), cache))
    }

    /// At most four addresses per family, rotated or not.
    fn answer(&mut self, v4: &[IpAddr], v6: &[IpAddr]) -> Vec<IpAddr> {
        let mut answer = Vec::with_capacity(8);
        for family in [v4, v6] {
            let turn = if self.random.chance(self.scenario.rotation) { self.random.index(family.len()) } else { 0 };
            answer.extend(family.iter().cycle().skip(turn).take(family.len().min(4)));
        }
        answer
    }

    fn hint(&mut self, replica: usize) -> String {
        if !self.random.chance(self.scenario.hints) {
            return String::new();
        }
        let named = if self.random.chance(self.scenario.wrong_hints) {
            self.random.index(self.population.replicas.len())
        } else {
            replica
        };
        let Some(named) = self.population.replicas.get(named) else { return String::new() };
        let namespace = self.population.workloads.get(named.workload).map_or(0, |workload| workload.namespace);
        format!("ns={} pod={}", namespace_name(namespace), named.pod_name)
    }

    fn ask_service(&mut self, now: i64, replica: usize, server_workload: usize) -> i64 {
        let Some(server) = self.population.workloads.get(server_workload) else { return now };
        let name = format!("{}.{}.svc.cluster.local", server.name, namespace_name(server.namespace));
        let addresses = [IpAddr::V4(server.service)];
        let pod = self.population.replicas.get(replica).and_then(|replica| self.population.scene.pods.get(replica.pod));
        let Some(client) = pod.map(|pod| IpAddr::V4(pod.v4)) else { return now };
        let asked = Lookup { addresses: &addresses, authoritative: true, ..question(client, now, &name) };
        self.perform(replica, &asked).time
    }

    /// Performs a lookup on the resolver's clock; loses and delays frames; now and then shows it as a flow.
    fn perform(&mut self, replica: usize, asked: &Lookup<'_>) -> Answered {
        let skew = self.scenario.resolver_skew;
        let shifted = Lookup { time: asked.time + skew, ..*asked };
        let mut fortune = Random::new(self.random.next_u64());
        let (frames, order, scenario) = (&mut self.frames, &mut self.order, self.scenario);
        let mut answered = lookup::perform(&self.resolver, &mut self.random, &shifted, &mut |time, payload| {
            if scenario.lost > 0.0 && fortune.chance(scenario.lost) {
                return;
            }
            *order += 1;
            let delay = if scenario.late > 0 { fortune.between(0, scenario.late) } else { 0 };
            frames.push(Reverse((time - skew + delay, *order, payload)));
        });
        answered.time -= skew;
        if self.random.chance(self.scenario.dns_flows) {
            self.dns_flow(replica, asked.client, answered);
        }
        answered
    }

    fn dns_flow(&mut self, replica: usize, client: IpAddr, answered: Answered) {
        let pod = self.population.replicas.get(replica).map_or(0, |replica| replica.pod);
        let Some(server) = self.party(self.population.resolver, 53, false) else { return };
        let Some(mut from) = self.party(pod, answered.port, false) else { return };
        if from.address != client {
            let node = self.population.scene.node_of(from.who).unwrap_or(0);
            from = Party { who: Who::Node(node), address: client, port: answered.port };
        }
        let course = Course {
            start: answered.time,
            round_trip: 600_000,
            duration: 0,
            data_every: 0,
            fate: Fate::Allowed,
            tag: INTERNAL,
        };
        self.connect(replica, Connection { client: from, server, is_tcp: false }, &course);
    }
}

fn question(client: IpAddr, time: i64, name: &str) -> Lookup<'_> {
    Lookup {
        client,
        time,
        name,
        types: BOTH,
        search: &[],
        autopath: false,
        aliases: &[],
        addresses: &[],
        ttl: 30,
        missing: false,
        authoritative: false,
        extra: "",
    }
}
