//! Plays the day of one demo cluster: habits, jobs, callers from outside, the nodes' own traffic.
//!
//! In: a stage and the habits. Out: the stage, full of lines and taps.

use std::net::{IpAddr, Ipv4Addr};

use super::cast::{WorkloadCast, Zone, zone_of};
use super::habits::{Asking, HABITS, Habit, Target};
use super::stage::{MIDNIGHT, MINUTE, Stage};
use crate::simulate::connection::{Course, Fate, SECOND};
use crate::simulate::dns_message::QueryType;
use crate::simulate::lookup::Lookup;
use crate::simulate::scene::{Connection, Party, Who};

const DAY_MINUTES: i64 = 1_440;
const BOTH: &[QueryType] = &[QueryType::A, QueryType::Aaaa];

/// Plays everything.
pub(super) fn day(stage: &mut Stage) {
    let cluster = stage.cluster;
    for habit in HABITS.iter().filter(|habit| habit.cluster.is_empty() || habit.cluster == cluster) {
        for (pod, replica) in stage.pods_of(habit.who).into_iter().zip(0..) {
            live(stage, habit, pod, replica);
        }
    }
    jobs(stage);
    callers(stage);
    nodes(stage);
}

fn live(stage: &mut Stage, habit: &Habit, pod: usize, replica: i64) {
    let mut remembered = None;
    for turn in 0..habit.times {
        let minute = habit.first + turn * habit.every + replica;
        if minute >= DAY_MINUTES {
            break;
        }
        let jitter = if habit.is_regular { SECOND / 2 } else { 20 * SECOND };
        let time = MIDNIGHT + minute * MINUTE + stage.random.between(0, jitter);
        let (ready, server) = match remembered {
            Some(server) => (time, server),
            None => match reach(stage, habit, pod, time) {
                Some(reached) => reached,
                None => continue,
            },
        };
        if habit.asking == Asking::Once {
            remembered = Some(server);
        }
        call(stage, habit, pod, ready, server);
    }
}

fn call(stage: &mut Stage, habit: &Habit, pod: usize, ready: i64, server: Party) {
    let port = stage.random.ephemeral_port();
    let Some(client) = stage.party(pod, port, server.address.is_ipv6()) else { return };
    let is_inside = matches!(server.who, Who::Pod(_));
    let course = Course {
        start: ready + stage.random.between(300_000, 4_000_000),
        round_trip: if is_inside {
            stage.random.between(250_000, 900_000)
        } else {
            stage.random.between(7_000_000, 40_000_000)
        },
        duration: habit.seconds * SECOND - stage.random.between(0, SECOND),
        data_every: habit.data_every * SECOND,
        fate: habit.fate,
        tag: 0,
    };
    stage.connect(Connection { client, server, is_tcp: habit.is_tcp }, &course);
}

/// Finds out where to connect; asks the resolver if the habit has a name. Returns when that is known.
fn reach(stage: &mut Stage, habit: &Habit, pod: usize, time: i64) -> Option<(i64, Party)> {
    match habit.target {
        Target::Address(octets) => {
            Some((time, Party { who: Who::World, address: IpAddr::V4(octets.into()), port: habit.port }))
        }
        Target::Name(name) => {
            let zone = zone_of(name)?;
            let (ready, addresses) = ask_zone(stage, zone, habit.asking, pod, time);
            let address = addresses.into_iter().find(|address| address.is_ipv6() == habit.over_v6)?;
            Some((ready, Party { who: Who::World, address, port: habit.port }))
        }
        Target::Service(namespace, name) => {
            let ready = ask_service(stage, (namespace, name), habit.asking, pod, time)?;
            let backends = stage.pods_of(name);
            let backend = *stage.random.pick(&backends)?;
            Some((ready, stage.party(backend, habit.port, false)?))
        }
    }
}

fn suffixes(stage: &Stage, pod: usize) -> Vec<String> {
    let namespace = stage.members.get(pod).map_or("default", |member| member.cast.namespace);
    vec![format!("{namespace}.svc.cluster.local"), "svc.cluster.local".to_owned(), "cluster.local".to_owned()]
}

fn ask_zone(stage: &mut Stage, zone: &'static Zone, asking: Asking, pod: usize, time: i64) -> (i64, Vec<IpAddr>) {
    let mut addresses = zone.addresses();
    let rotation = stage.random.index(zone.v4.len());
    if let Some(v4) = addresses.get_mut(..zone.v4.len()) {
        v4.rotate_left(rotation);
    }
    let search = if matches!(asking, Asking::Search | Asking::Autopath) { suffixes(stage, pod) } else { Vec::new() };
    let Some(client) = stage.party(pod, 0, false) else { return (time, addresses) };
    let extra = stage.extra(pod);
    let lookup = Lookup {
        client: client.address,
        time,
        name: zone.name,
        types: BOTH,
        search: &search,
        autopath: asking == Asking::Autopath,
        aliases: zone.aliases,
        addresses: &addresses,
        ttl: zone.ttl.min(30),
        missing: false,
        authoritative: false,
        extra: &extra,
    };
    (stage.look_up(pod, &lookup, Some(zone)).time, addresses)
}

fn ask_service(
    stage: &mut Stage,
    service: (&'static str, &'static str),
    asking: Asking,
    pod: usize,
    time: i64,
) -> Option<i64> {
    let address = *Stage::services().get(&service)?;
    let client = stage.party(pod, 0, false)?.address;
    let extra = stage.extra(pod);
    let (namespace, name) = service;
    let own = suffixes(stage, pod).into_iter().next().unwrap_or_default();
    let (short, full) = (format!("{name}.{namespace}.{own}"), format!("{name}.{namespace}.svc.cluster.local"));
    let addresses = [IpAddr::V4(address)];
    let mut lookup = Lookup {
        client,
        time,
        name: &short,
        types: BOTH,
        search: &[],
        autopath: false,
        aliases: &[],
        addresses: &[],
        ttl: 30,
        missing: true,
        authoritative: true,
        extra: &extra,
    };
    if asking == Asking::Search {
        lookup.time = stage.look_up(pod, &lookup, None).time;
    }
    lookup = Lookup { name: &full, addresses: &addresses, missing: false, ..lookup };
    Some(stage.look_up(pod, &lookup, None).time)
}

/// A job's pod takes the address of the one before, half a minute after that ended.
fn jobs(stage: &mut Stage) {
    const ADDRESS: u8 = 60;
    let cast = |name| WorkloadCast {
        namespace: "shop",
        name,
        kind: "CronJob",
        nodes: &[1],
        ports: &[],
        governed: false,
        proxied: false,
    };
    let runs = [
        ("price-sync", 118, "orders.customer-one.example.com"),
        ("nightly-export", 120, "reports-nightly.s3.eu-central-1.amazonaws.com"),
        ("price-sync", 478, "orders.customer-one.example.com"),
        ("price-sync", 838, "orders.customer-one.example.com"),
        ("price-sync", 1_198, "orders.customer-one.example.com"),
    ];
    for (name, minute, destination) in runs {
        let started = MIDNIGHT + minute * MINUTE;
        let job = format!("{name}-{}", started / MINUTE);
        let pod_name = format!("{job}-{}", stage.random.generated_part(5));
        let pod = stage.add_at(cast(name), pod_name, ("Job", job), 1, ADDRESS, started);
        if let Some(member) = stage.members.get_mut(pod) {
            member.finished = Some(started + 90 * SECOND);
        }
        let habit = Habit {
            who: name,
            target: Target::Name(destination),
            port: 443,
            is_tcp: true,
            first: minute,
            every: DAY_MINUTES,
            times: 1,
            asking: Asking::Plain,
            seconds: 22,
            data_every: 5,
            fate: Fate::Allowed,
            over_v6: false,
            is_regular: false,
            cluster: "",
        };
        live(stage, &habit, pod, 0);
    }
}

/// Customers reach the gateway from the internet.
fn callers(stage: &mut Stage) {
    let Some(gateway) = stage.pods_of("gateway").first().copied() else { return };
    for turn in 0..24 {
        let octet = |number: i64| u8::try_from(number).unwrap_or(1);
        let address = Ipv4Addr::new(
            octet(stage.random.between(78, 95)),
            octet(stage.random.between(2, 250)),
            octet(stage.random.between(0, 255)),
            octet(stage.random.between(1, 254)),
        );
        let Some(server) = stage.party(gateway, 443, false) else { return };
        let client = Party { who: Who::World, address: IpAddr::V4(address), port: stage.random.ephemeral_port() };
        let course = Course {
            start: MIDNIGHT + turn * 60 * MINUTE + stage.random.between(0, 30 * MINUTE),
            round_trip: 600_000,
            duration: stage.random.between(SECOND, 9 * SECOND),
            data_every: 5 * SECOND,
            fate: Fate::Allowed,
            tag: 0,
        };
        stage.connect(Connection { client, server, is_tcp: true }, &course);
    }
}

/// The nodes' own traffic: image pulls, probes, and pods that talk to the API server.
fn nodes(stage: &mut Stage) {
    let plain = |start: i64, round_trip: i64| Course {
        start,
        round_trip,
        duration: 3 * SECOND,
        data_every: 5 * SECOND,
        fate: Fate::Allowed,
        tag: 0,
    };
    let registry = Party { who: Who::World, address: IpAddr::V4(Ipv4Addr::new(44, 208, 254, 194)), port: 443 };
    for turn in 0..4_i64 {
        let base = MIDNIGHT + turn * 360 * MINUTE;
        for node in 0..stage.scene.nodes.len() {
            let Some(address) = stage.scene.nodes.get(node).map(|node| IpAddr::V4(node.address)) else { continue };
            let start = base + stage.random.between(0, 50 * MINUTE);
            let client = Party { who: Who::Node(node), address, port: stage.random.ephemeral_port() };
            stage.connect(Connection { client, server: registry, is_tcp: true }, &plain(start, 11_000_000));
            let probed =
                stage.pods_of("storefront").into_iter().find(|pod| stage.scene.node_of(Who::Pod(*pod)) == Some(node));
            if let Some(server) = probed.and_then(|pod| stage.party(pod, 8080, false)) {
                let client = Party { port: stage.random.ephemeral_port(), ..client };
                stage.connect(Connection { client, server, is_tcp: true }, &plain(start + MINUTE, 200_000));
            }
        }
        let gateway = stage.pods_of("gateway").first().copied().unwrap_or(0);
        let port = stage.random.ephemeral_port();
        if let Some(client) = stage.party(gateway, port, false) {
            let address = IpAddr::V4(Ipv4Addr::new(172, if stage.cluster == "prod-eu" { 18 } else { 19 }, 0, 9));
            let server = Party { who: Who::ApiServer, address, port: 6_443 };
            stage.connect(Connection { client, server, is_tcp: true }, &plain(base + 11 * MINUTE, 700_000));
        }
    }
}
