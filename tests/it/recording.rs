//! Recordings made for tests: what a tap and an exporter would have written, and generated clusters in memory.

use egress_atlas::model::Timestamp;
use egress_atlas::simulate::{Scenario, Sink, dns_message as dns, dnstap, generate};

/// 2 March 2026, 10:00, and so many seconds.
pub(crate) fn at(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a few days in nanoseconds")]
    Timestamp::parse(b"2026-03-02T10:00:00Z").unwrap().plus_nanos((seconds * 1e9).round() as i64)
}

/// An answer that a client got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) time: Timestamp,
    pub(crate) client: &'a str,
    pub(crate) name: &'a str,
    pub(crate) aliases: &'a [&'a str],
    /// All of one family; without any the answer is empty.
    pub(crate) addresses: &'a [&'a str],
    pub(crate) ttl: u32,
    pub(crate) extra: &'a str,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            time: at(0.0),
            client: "10.0.1.5",
            name: "api.example.com",
            aliases: &[],
            addresses: &["93.184.215.14"],
            ttl: 60,
            extra: "",
        }
    }
}

/// A dnstap capture of these answers.
pub(crate) fn capture(answers: &[Told<'_>]) -> Vec<u8> {
    let resolver =
        dnstap::Resolver { identity: "coredns".into(), version: "CoreDNS-1.14.7".into(), mapped_addresses: false };
    let mut capture = Vec::new();
    dnstap::start(&mut capture);
    for (id, told) in (0_u16..).zip(answers) {
        let addresses: Vec<std::net::IpAddr> = told.addresses.iter().map(|address| address.parse().unwrap()).collect();
        let is_v6 = addresses.first().is_some_and(std::net::IpAddr::is_ipv6);
        let query_type = if is_v6 { dns::QueryType::Aaaa } else { dns::QueryType::A };
        let answer = dns::Answer {
            rcode: 0,
            aliases: told.aliases,
            addresses: &addresses,
            ttl: told.ttl,
            authoritative: false,
            compressed: false,
        };
        let (mut message, mut payload) = (Vec::new(), Vec::new());
        dns::response(&mut message, dns::Question { id, name: told.name, query_type }, &answer);
        let tap = dnstap::Tap {
            client: told.client.parse().unwrap(),
            port: 40_000,
            query_time: told.time,
            response_time: Some(told.time),
            message: &message,
            extra: told.extra,
        };
        resolver.write(&mut payload, &tap);
        dnstap::frame(&mut capture, &payload);
    }
    dnstap::stop(&mut capture);
    capture
}

/// A connection to the outside, as the node of its client records it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) time: Timestamp,
    /// `CLUSTER/NODE`, or a node alone.
    pub(crate) node: &'a str,
    /// Without a name the client is the node itself.
    pub(crate) pod: &'a str,
    pub(crate) workload: &'a str,
    pub(crate) source: &'a str,
    pub(crate) source_port: u16,
    pub(crate) destination: &'a str,
    pub(crate) port: u16,
    /// What Hubble itself calls the destination.
    pub(crate) reported: &'a [&'a str],
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Self {
            time: at(0.0),
            node: "node-a",
            pod: "web-6c5f9d7b8c-x2x4z",
            workload: "web",
            source: "10.0.1.5",
            source_port: 20_000,
            destination: "93.184.215.14",
            port: 443,
            reported: &[],
        }
    }
}

/// The line of an exporter.
pub(crate) fn line(seen: &Seen<'_>) -> String {
    let source = if seen.pod.is_empty() {
        serde_json::json!({"identity": 1, "labels": ["reserved:host"]})
    } else {
        serde_json::json!({
            "ID": 7, "identity": 100, "namespace": "shop", "pod_name": seen.pod,
            "labels": [format!("k8s:app={}", seen.workload)],
            "workloads": [{"name": seen.workload, "kind": "Deployment"}],
        })
    };
    serde_json::json!({"flow": {
        "time": seen.time.to_string(), "verdict": "FORWARDED", "Type": "L3_L4", "node_name": seen.node,
        "IP": {"source": seen.source, "destination": seen.destination},
        "l4": {"TCP": {"source_port": seen.source_port, "destination_port": seen.port, "flags": {"SYN": true}}},
        "source": source,
        "destination": {"identity": 2, "labels": ["reserved:world"]},
        "destination_names": seen.reported,
        "is_reply": false, "event_type": {"type": 4, "sub_type": 3}, "traffic_direction": "EGRESS",
    }, "node_name": seen.node, "time": seen.time.to_string()})
    .to_string()
        + "\n"
}

/// The lines of an exporter, each with a client's port of its own.
pub(crate) fn lines<'a>(seen: impl IntoIterator<Item = Seen<'a>>) -> String {
    (20_000_u16..).zip(seen).map(|(source_port, seen)| line(&Seen { source_port, ..seen })).collect()
}

/// A generated cluster.
#[derive(Default)]
pub(crate) struct Generated {
    /// Lines of all exporters, in order of time.
    pub(crate) flows: Vec<u8>,
    /// A capture.
    pub(crate) dns: Vec<u8>,
    pub(crate) kube: Vec<u8>,
}

impl Sink for Generated {
    fn flow_line(&mut self, _: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.dns, payload);
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, json: &[u8]) {
        self.kube.extend_from_slice(json);
    }
}

/// Plays a scenario into memory.
pub(crate) fn generated(scenario: &Scenario) -> Generated {
    let mut made = Generated::default();
    dnstap::start(&mut made.dns);
    generate(scenario, &mut made);
    dnstap::stop(&mut made.dns);
    made
}
