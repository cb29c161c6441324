//! Random small clusters, as the files that a user would give: flow logs, DNS captures, objects, settings and reviews.
//!
//! In: a seed. Out: bytes; the same for the same seed. Every connection is written down as Cilium does, so that what a draft makes of it
//! goes the whole way from the record to the rule.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egress_atlas::model::{Direction, Timestamp};
use egress_atlas::simulate::connection::{Course, Fate, SECOND, observe};
use egress_atlas::simulate::dns_message::QueryType;
use egress_atlas::simulate::dnstap::{self, Resolver};
use egress_atlas::simulate::hubble::HubbleWriter;
use egress_atlas::simulate::identity::{PodFacts, PodObject};
use egress_atlas::simulate::lookup::{Lookup, perform};
use egress_atlas::simulate::objects;
use egress_atlas::simulate::random::Random;
use egress_atlas::simulate::scene::{Connection, Node, Observation, Party, Pod, Scene, Who};
use serde_json::{Value, json};

/// The files of one cluster.
#[derive(Default)]
pub(super) struct Files {
    pub(super) cluster: &'static str,
    pub(super) flows: Vec<u8>,
    pub(super) frames: Vec<u8>,
    pub(super) kube: Vec<u8>,
}

/// Everything that a run is given.
pub(super) struct Estate {
    pub(super) clusters: Vec<Files>,
    pub(super) settings: String,
    pub(super) reviews: String,
}

/// Pods of one template.
struct App {
    cluster: usize,
    namespace: &'static str,
    name: String,
    port: u16,
    pods: Vec<usize>,
    host_network: bool,
    service: Option<Ipv4Addr>,
}

struct Made {
    chance: Random,
    scene: Scene,
    apps: Vec<App>,
    objects: Vec<Vec<Value>>,
    frames: Vec<Vec<(i64, Vec<u8>)>>,
    lines: Vec<Vec<(i64, Observation, &'static str)>>,
    clock: i64,
}

const CLUSTERS: [&str; 2] = ["east", "west"];
const NAMESPACES: [&str; 5] = ["shop", "payments", "platform", "batch", "edge"];
const NAMES: [&str; 8] = ["web", "api", "cart", "worker", "db", "cache", "report", "sync"];
const START: i64 = 1_772_442_000 * SECOND;
/// Where the service addresses of the clusters begin.
const DNS_SERVICE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 96, 0, 10), Ipv4Addr::new(10, 97, 0, 10)];
const PORTS: [u16; 6] = [443, 80, 5432, 8080, 22, 9090];

/// Names and what they answer; several share addresses.
const ZONE: [(&str, &[&str]); 20] = [
    ("api.stripe.com", &["54.187.119.242", "3.18.12.63"]),
    ("cdn-one.vendor.example.com", &["151.101.1.10", "151.101.1.11"]),
    ("cdn-two.vendor.example.com", &["151.101.1.10", "151.101.1.11"]),
    ("six.example.com", &["2600:1901:0:5e8a::", "34.120.7.7"]),
    ("db.internal.example.com", &["10.200.0.5"]),
    ("pastebin.com", &["104.20.3.235"]),
    ("evil.duckdns.org", &["198.51.100.77"]),
    ("shared.duckdns.org", &["151.101.1.10"]),
    ("tunnel.ngrok-free.app", &["3.125.209.94", "2600:1f14::7"]),
    ("registry.npmjs.org", &["104.16.1.35"]),
    ("ghcr.io", &["140.82.121.34"]),
    ("0.pool.ntp.org", &["162.159.200.1"]),
    ("a.shop.example.com", &["203.0.113.21"]),
    ("b.shop.example.com", &["203.0.113.22"]),
    ("c.shop.example.com", &["203.0.113.23"]),
    ("odd_name.example.com", &["203.0.113.31"]),
    ("-dash.example.com", &["203.0.113.32"]),
    ("metadata.google.internal", &["169.254.169.254"]),
    ("mirror.example.com", &["203.0.113.41", "203.0.113.42", "203.0.113.43", "203.0.113.44"]),
    ("harbor.corp.example.com", &["10.50.0.9"]),
];

/// Addresses that nobody asked a name for.
const BARE: [&str; 11] = [
    "203.0.113.9",
    "198.51.100.9",
    "10.200.0.9",
    "100.64.3.3",
    "192.168.77.5",
    "169.254.169.254",
    "fd00:ec2::254",
    "2001:db8::5",
    "8.8.8.8",
    "64:ff9b::5db8:d822",
    "151.101.1.10",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn times(chance: &mut Random, least: u64, most: u64) -> u64 {
    least + chance.below(most - least + 1)
}

pub(super) fn estate(seed: u64) -> Estate {
    let mut made = Made {
        chance: Random::new(seed),
        scene: Scene::default(),
        apps: Vec::new(),
        objects: Vec::new(),
        frames: Vec::new(),
        lines: Vec::new(),
        clock: START,
    };
    let clusters = if made.chance.chance(0.25) { 2 } else { 1 };
    for cluster in 0..clusters {
        made.cluster(cluster);
    }
    for _ in 0..times(&mut made.chance, 12, 45) {
        made.something();
    }
    let (settings, reviews) = (settings(&mut made.chance), reviews(&mut made.chance));
    let with_kube = made.chance.chance(0.75);
    Estate { clusters: (0..clusters).map(|cluster| made.files(cluster, with_kube)).collect(), settings, reviews }
}

impl Made {
    fn cluster(&mut self, cluster: usize) {
        self.objects.push(Vec::new());
        self.frames.push(Vec::new());
        self.lines.push(Vec::new());
        for number in 1..=2_u8 {
            let own = u8::try_from(cluster).unwrap();
            let (name, address) = (format!("node-{number}"), Ipv4Addr::new(172, 18, own, number));
            self.scene.nodes.push(Node {
                full_name: format!("{}/{name}", CLUSTERS[cluster]),
                labels: b"[]".to_vec(),
                address,
                skew: 0,
            });
            let ranges = [format!("10.{own}.{number}.0/24"), format!("fd00:10:{own}:{number}::/64")];
            self.objects[cluster].push(objects::node(&name, &address.to_string(), &ranges));
        }
        self.objects[cluster].push(objects::namespace("kube-system"));
        self.app(cluster, "kube-system", "coredns", "Deployment");
        let endpoint = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4", "endpoints": [{"addresses": [format!("172.18.{cluster}.250")]}],
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]});
        if self.chance.chance(0.5) {
            self.objects[cluster].push(endpoint);
        }
        for namespace in NAMESPACES.iter().take(usize::try_from(times(&mut self.chance, 1, 4)).unwrap()) {
            self.objects[cluster].push(objects::namespace(namespace));
            for _ in 0..times(&mut self.chance, 1, 3) {
                let name = *self.chance.pick(&NAMES).unwrap();
                let kind = *self
                    .chance
                    .pick(&["Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Pod"])
                    .unwrap();
                if !self
                    .apps
                    .iter()
                    .any(|app| app.cluster == cluster && app.namespace == *namespace && app.name == name)
                {
                    self.app(cluster, namespace, name, kind);
                }
            }
        }
    }

    /// A workload with its pods and objects; labels of many kinds, some of which nothing stable is among.
    #[expect(clippy::too_many_lines, reason = "one template, from its labels to its pods")]
    fn app(&mut self, cluster: usize, namespace: &'static str, name: &str, kind: &'static str) {
        let hash = self.chance.generated_part(9) + "4";
        let scheme = if name == "coredns" { 0 } else { self.chance.below(7) };
        let mut labels: Vec<(String, String)> = match scheme {
            0 => vec![("k8s-app".into(), if name == "coredns" { "kube-dns" } else { name }.into())],
            1 => vec![
                ("app.kubernetes.io/name".into(), "suite".into()),
                ("app.kubernetes.io/component".into(), name.into()),
            ],
            2 => vec![("app".into(), "shared".into())],
            3 => vec![
                ("app.kubernetes.io/name".into(), name.into()),
                ("app.kubernetes.io/version".into(), "1.2.3".into()),
                ("team".into(), "blue".into()),
            ],
            4 => vec![("app".into(), "suite".into()), ("app.kubernetes.io/instance".into(), name.into())],
            5 if self.chance.chance(0.5) => Vec::new(),
            _ => vec![("app".into(), name.into())],
        };
        if kind == "Deployment" {
            labels.push(("pod-template-hash".into(), hash.clone()));
        }
        let host_network = name != "coredns" && self.chance.chance(0.08);
        let port = if name == "coredns" { 53 } else { *self.chance.pick(&[8080, 8443, 5432, 9090]).unwrap() };
        let count = times(&mut self.chance, 1, if kind == "Pod" { 1 } else { 3 });
        let dual = self.chance.chance(0.3);
        let mut pods = Vec::new();
        for replica in 0..count {
            let number = u8::try_from(self.scene.pods.len() + 2).unwrap();
            let node = cluster * 2 + self.chance.index(2);
            let own = u8::try_from(cluster).unwrap();
            let place = u8::try_from(node % 2 + 1).unwrap();
            let v4 = if host_network { self.scene.nodes[node].address } else { Ipv4Addr::new(10, own, place, number) };
            let v6 = (dual && !host_network)
                .then(|| Ipv6Addr::new(0xfd00, 0x10, u16::from(own), u16::from(place), 0, 0, 0, u16::from(number)));
            let suffix = self.chance.generated_part(4) + "4";
            let (pod, owner) = match kind {
                "Deployment" => (format!("{name}-{hash}-{suffix}"), ("ReplicaSet", format!("{name}-{hash}"))),
                "StatefulSet" => (format!("{name}-{replica}"), ("StatefulSet", name.to_owned())),
                "DaemonSet" => (format!("{name}-{suffix}"), ("DaemonSet", name.to_owned())),
                "CronJob" => (format!("{name}-29540700-{suffix}"), ("Job", format!("{name}-29540700"))),
                _ => (name.to_owned(), ("Pod", name.to_owned())),
            };
            let own_labels: Vec<(&str, &str)> =
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let object = PodObject::new(&PodFacts {
                cluster: CLUSTERS[cluster],
                namespace,
                pod: &pod,
                workload_kind: kind,
                workload: name,
                labels: &own_labels,
                service_account: "default",
                identity: 1_000 + u32::from(number) + u32::from(own) * 65_536,
                endpoint: 100 + u32::from(number),
            });
            let mut addresses = vec![v4.to_string()];
            addresses.extend(v6.map(|v6| v6.to_string()));
            let mut json = objects::pod(&objects::PodFacts {
                namespace,
                name: &pod,
                labels: &own_labels,
                owner: (owner.0, &owner.1),
                node: self.scene.nodes[node].full_name.rsplit('/').next().unwrap(),
                addresses: &addresses,
                host_address: &self.scene.nodes[node].address.to_string(),
                started: Timestamp::from_nanos(START - 86_400 * SECOND),
                finished: None,
            });
            if kind == "Pod" {
                json["metadata"].as_object_mut().unwrap().remove("ownerReferences");
            }
            json["spec"]["hostNetwork"] = host_network.into();
            json["spec"]["containers"] = json!([{"name": "main", "ports": [{"name": "main", "containerPort": port, "protocol": if port == 53 { "UDP" } else { "TCP" }}]}]);
            self.objects[cluster].push(json);
            match owner.0 {
                "ReplicaSet" => self.objects[cluster].push(objects::controller(
                    "ReplicaSet",
                    namespace,
                    &owner.1,
                    Some(("Deployment", name)),
                )),
                "Job" => {
                    self.objects[cluster].push(objects::controller(
                        "Job",
                        namespace,
                        &owner.1,
                        Some(("CronJob", name)),
                    ));
                }
                _ => {}
            }
            pods.push(self.scene.pods.len());
            self.scene.pods.push(Pod {
                object,
                node,
                v4,
                v6,
                interface: u32::from(number),
                interface_name: format!("lxc{number}"),
                egress_policies: Vec::new(),
                ingress_policies: Vec::new(),
            });
        }
        self.service(cluster, namespace, name, port, &labels, pods, host_network);
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one workload")]
    fn service(
        &mut self,
        cluster: usize,
        namespace: &'static str,
        name: &str,
        port: u16,
        labels: &[(String, String)],
        pods: Vec<usize>,
        host_network: bool,
    ) {
        let number = u8::try_from(self.apps.len() + 20).unwrap();
        let own = u8::try_from(cluster).unwrap();
        let is_dns = name == "coredns";
        let service = (is_dns || self.chance.chance(0.6))
            .then(|| if is_dns { DNS_SERVICE[cluster] } else { Ipv4Addr::new(10, 96 + own, 0, number) });
        if let Some(address) = service {
            let selector: Value = labels
                .iter()
                .filter(|(key, _)| key != "pod-template-hash")
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let ports = if is_dns {
                json!([{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}, {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53}])
            } else {
                let target = if self.chance.chance(0.5) { json!(port) } else { json!("main") };
                json!([{"name": "web", "port": 80, "protocol": "TCP", "targetPort": target}])
            };
            self.objects[cluster].push(json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": if is_dns { "kube-dns" } else { name }, "namespace": namespace},
                "spec": {"type": "ClusterIP", "clusterIP": address.to_string(), "clusterIPs": [address.to_string()], "selector": selector, "ports": ports}}));
        }
        self.apps.push(App { cluster, namespace, name: name.to_owned(), port, pods, host_network, service });
    }

    fn pod_party(&mut self, app: usize, six: bool) -> Party {
        let pod = *self.chance.pick(&self.apps[app].pods).unwrap();
        let own = &self.scene.pods[pod];
        let address = own.v6.filter(|_| six).map_or(IpAddr::V4(own.v4), IpAddr::V6);
        let who = if self.apps[app].host_network { Who::Node(own.node) } else { Who::Pod(pod) };
        Party { who, address, port: self.chance.ephemeral_port() }
    }

    fn any_app(&mut self) -> usize {
        loop {
            let app = self.chance.index(self.apps.len());
            if self.apps[app].name != "coredns" {
                return app;
            }
        }
    }

    /// One thing that happens in a cluster.
    fn something(&mut self) {
        let app = self.any_app();
        let six = self.chance.chance(0.3);
        let client = self.pod_party(app, six);
        let cluster = self.apps[app].cluster;
        let again = times(&mut self.chance, 1, 3);
        match self.chance.below(20) {
            0..=3 => self.call_pod(app, client),
            4..=8 => (0..again).for_each(|_| self.by_name(app, client)),
            9..=10 => self.bare(client),
            11 => {
                let dns = self.apps.iter().position(|app| app.cluster == cluster && app.name == "coredns").unwrap();
                let server = self.pod_party(dns, false);
                let is_tcp = self.chance.chance(0.2);
                self.connect(client, Party { port: 53, ..server }, is_tcp);
            }
            12 => {
                let who = *self.chance.pick(&[Who::World, Who::Node(cluster * 2)]).unwrap();
                self.connect(client, Party { who, address: ip("169.254.20.10"), port: 53 }, false);
            }
            13 => {
                let address = IpAddr::V4(Ipv4Addr::new(172, 18, u8::try_from(cluster).unwrap(), 250));
                self.connect(client, Party { who: Who::ApiServer, address, port: 6443 }, true);
            }
            14 => {
                let node = cluster * 2 + self.chance.index(2);
                let party = Party { who: Who::Node(node), address: self.scene.nodes[node].address.into(), port: 9_100 };
                if self.chance.chance(0.5) {
                    self.connect(client, party, true);
                } else {
                    let port = self.apps[app].port;
                    self.connect(Party { port: 40_000, ..party }, Party { port, ..client }, true);
                }
            }
            15 => self.be_called(app, client),
            16 => {
                let dns = self.chance.chance(0.5);
                let target = ip(if dns { "162.159.200.1" } else { "129.6.15.28" });
                if dns {
                    self.ask(cluster, client.address, "0.pool.ntp.org", &[target]);
                }
                self.connect(client, Party { who: Who::World, address: target, port: 123 }, false);
            }
            17 => {
                let services: Vec<(Ipv4Addr, usize)> = self
                    .apps
                    .iter()
                    .filter_map(|app| Some((app.service.filter(|_| app.name != "coredns")?, app.cluster)))
                    .collect();
                if let Some((address, _)) = self.chance.pick(&services).copied().filter(|(_, own)| *own == cluster) {
                    self.connect(client, Party { who: Who::World, address: address.into(), port: 80 }, true);
                }
            }
            18 => {
                let port = self.apps[app].port;
                self.connect(client, Party { port, ..client }, true);
            }
            _ => {
                let transport = *self.chance.pick(&["SCTP", "ICMPv4"]).unwrap();
                let other = self.any_app();
                let server = self.pod_party(other, false);
                let client = self.pod_party(app, false);
                self.record(client, Party { port: 7_000, ..server }, false, Fate::Allowed, transport);
            }
        }
    }

    fn call_pod(&mut self, app: usize, client: Party) {
        let other = self.any_app();
        let in_reach = self.apps[other].cluster == self.apps[app].cluster || self.chance.chance(0.3);
        if !in_reach {
            return;
        }
        let server = self.pod_party(other, client.address.is_ipv6());
        if server.address.is_ipv6() == client.address.is_ipv6() {
            let port = if self.chance.chance(0.8) { self.apps[other].port } else { *self.chance.pick(&PORTS).unwrap() };
            let is_tcp = self.chance.chance(0.85);
            self.connect(client, Party { port, ..server }, is_tcp);
        }
    }

    fn by_name(&mut self, app: usize, client: Party) {
        let (name, all) = *self.chance.pick(&ZONE).unwrap();
        let fitting: Vec<IpAddr> =
            all.iter().map(|text| ip(text)).filter(|address| address.is_ipv6() == client.address.is_ipv6()).collect();
        let Some(target) = self.chance.pick(&fitting).copied() else { return };
        let cluster = self.apps[app].cluster;
        // Who asked: the pod itself, another pod of the workload, or somebody else.
        let asker = match self.chance.below(8) {
            0 => self.pod_party(app, client.address.is_ipv6()).address,
            1 => {
                let other = self.any_app();
                self.pod_party(other, client.address.is_ipv6()).address
            }
            _ => client.address,
        };
        self.ask(cluster, asker, name, &fitting);
        let port = if self.chance.chance(0.7) { 443 } else { *self.chance.pick(&PORTS).unwrap() };
        let is_tcp = self.chance.chance(0.9);
        self.connect(client, Party { who: Who::World, address: target, port }, is_tcp);
    }

    fn bare(&mut self, client: Party) {
        let fitting: Vec<IpAddr> =
            BARE.iter().map(|text| ip(text)).filter(|address| address.is_ipv6() == client.address.is_ipv6()).collect();
        let address = *self.chance.pick(&fitting).unwrap();
        let port = match address {
            _ if address == ip("8.8.8.8") => 53,
            _ if address == ip("169.254.169.254") => 80,
            _ => *self.chance.pick(&PORTS).unwrap(),
        };
        let is_tcp = self.chance.chance(0.9);
        self.connect(client, Party { who: Who::World, address, port }, is_tcp);
    }

    fn be_called(&mut self, app: usize, server: Party) {
        let port = self.apps[app].port;
        let many = self.chance.chance(0.5);
        for number in 1..=if many { 6_u16 } else { 2 } {
            let address = match server.address {
                IpAddr::V4(_) if number == 1 => ip("10.50.0.77"),
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, u8::try_from(number).unwrap())),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, number)),
            };
            let client = Party { who: Who::World, address, port: self.chance.ephemeral_port() };
            self.connect(client, Party { port, ..server }, true);
        }
    }

    fn ask(&mut self, cluster: usize, client: IpAddr, name: &str, addresses: &[IpAddr]) {
        let resolver =
            Resolver { identity: "coredns".to_owned(), version: "CoreDNS-1.14.7".to_owned(), mapped_addresses: false };
        let lookup = Lookup {
            client,
            time: self.clock,
            name,
            types: &[QueryType::A, QueryType::Aaaa],
            search: &[],
            autopath: false,
            aliases: &[],
            addresses,
            ttl: 30,
            missing: false,
            authoritative: false,
            extra: "",
        };
        let frames = &mut self.frames[cluster];
        perform(&resolver, &mut self.chance, &lookup, &mut |time, payload| frames.push((time, payload)));
        // Mostly at once, sometimes much later than the answer is good for.
        self.clock += if self.chance.chance(0.9) { SECOND } else { 7_200 * SECOND };
    }

    fn connect(&mut self, client: Party, server: Party, is_tcp: bool) {
        let subject = if matches!(client.who, Who::Pod(_)) { Direction::Egress } else { Direction::Ingress };
        let fate = match self.chance.below(25) {
            0 => Fate::Denied(subject),
            1 => Fate::Audited(subject),
            _ => Fate::Allowed,
        };
        self.record(client, server, is_tcp, fate, "");
    }

    fn record(&mut self, client: Party, server: Party, is_tcp: bool, fate: Fate, transport: &'static str) {
        self.clock += SECOND;
        let course = Course {
            start: self.clock,
            round_trip: SECOND / 1_000,
            duration: SECOND / 10,
            data_every: 60 * SECOND,
            fate,
            tag: 0,
        };
        let mut seen = Vec::new();
        observe(&self.scene, &mut self.chance, Connection { client, server, is_tcp }, &course, &mut |one| {
            seen.push(one);
        });
        for one in seen {
            self.lines[one.node / 2].push((one.time, one, transport));
        }
    }

    fn files(&mut self, cluster: usize, with_kube: bool) -> Files {
        let mut files = Files { cluster: CLUSTERS[cluster], ..Files::default() };
        let mut lines = std::mem::take(&mut self.lines[cluster]);
        lines.sort_by_key(|(time, one, _)| (one.node, *time));
        let mut writer = HubbleWriter::default();
        for (_, one, transport) in &lines {
            let uuid = u128::from(self.chance.next_u64()) << 64 | u128::from(self.chance.next_u64());
            let mut line = Vec::new();
            self.scene.write(&mut writer, &mut line, one, uuid);
            files.flows.extend(other_transport(line, transport));
        }
        let mut frames = std::mem::take(&mut self.frames[cluster]);
        frames.sort_by_key(|(time, _)| *time);
        for (_, payload) in &frames {
            dnstap::frame(&mut files.frames, payload);
        }
        if with_kube {
            files.kube = serde_json::to_vec(&objects::list(&self.objects[cluster])).unwrap();
        }
        files
    }
}

/// The line with another transport than UDP.
fn other_transport(line: Vec<u8>, transport: &str) -> Vec<u8> {
    if transport.is_empty() {
        return line;
    }
    let text = String::from_utf8(line).unwrap();
    let (head, rest) = text.split_once(r#""UDP":{"#).unwrap();
    match transport {
        "SCTP" => format!(r#"{head}"SCTP":{{{rest}"#),
        _ => format!(r#"{head}"ICMPv4":{{"type":8}}{}"#, rest.split_once('}').unwrap().1),
    }
    .into_bytes()
}

/// Settings of every kind, some of the time.
fn settings(chance: &mut Random) -> String {
    let mut text = String::new();
    if chance.chance(0.4) {
        text.push_str("[networks]\nnodes = [\"172.18.0.0/16\"]\ninternal = [\"10.50.0.0/16\"]\n");
    }
    let stable = chance.pick(&["1", "5"]).unwrap();
    let ntp =
        chance.pick(&["\"seen\"", "\"public\"", "\"none\"", "[\"162.159.200.0/24\", \"0.pool.ntp.org\"]"]).unwrap();
    write!(
        text,
        "[draft]\npod_to_pod = {}\nstable_days = {stable}\nntp = {ntp}\npublic_clients = 3\n",
        chance.chance(0.5)
    )
    .unwrap();
    writeln!(text, "stable_addresses = {}", chance.pick(&["1", "64"]).unwrap()).unwrap();
    writeln!(text, "min_grade = \"{}\"", chance.pick(&["pod", "pod-ambiguous", "workload", "cluster"]).unwrap())
        .unwrap();
    for (share, line) in [
        (0.3, "wildcard_siblings = 2\n"),
        (0.2, "harbor = \"harbor.corp.example.com\"\n"),
        (0.5, "api_servers = [\"172.18.0.250/31\"]\n"),
    ] {
        if chance.chance(share) {
            text.push_str(line);
        }
    }
    for (share, table) in [
        (0.3, "[[draft.database]]\nname = \"main db\"\nsubnets = [\"10.200.0.0/24\"]\nports = [5432, 443]\n"),
        (
            0.3,
            "[[draft.vendor]]\nmatch = \".vendor.example.com\"\nranges = [\"151.101.1.0/25\"]\nsource = \"vendor\"\nchecked = 2026-03-01\n",
        ),
        (
            0.2,
            "[[draft.vendor]]\nmatch = \"api.stripe.com\"\nranges = [\"54.187.0.0/16\"]\nsource = \"vendor\"\nchecked = 2026-03-01\n",
        ),
        (
            0.5,
            "[[draft.public]]\nworkloads = [\"web\", \"api\", \"worker\"]\nports = [443, 80]\nowner = \"o\"\nreason = \"crawler\"\n",
        ),
    ] {
        if chance.chance(share) {
            text.push_str(table);
        }
    }
    text
}

fn reviews(chance: &mut Random) -> String {
    let mut text = String::new();
    for destination in [
        "pastebin.com",
        "evil.duckdns.org",
        "shared.duckdns.org",
        "tunnel.ngrok-free.app",
        "169.254.169.254",
        "203.0.113.9",
    ] {
        let Some(decision) = chance.pick(&["", "approved", "rejected"]).filter(|decision| !decision.is_empty()) else {
            continue;
        };
        write!(text, "[[review]]\ndestination = \"{destination}\"\nnamespace = \"*\"\nowner = \"o\"\ndecision = \"{decision}\"\nreason = \"r\"\n").unwrap();
    }
    text
}
