//! What we make ourselves must be well-formed by other people's parsers, the same for the same seed, and contain
//! what it promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use domain::base::Message;
use domain::base::iana::Rcode;
use domain::rdata::{A, Aaaa, Cname};
use egress_atlas::model::Timestamp;
use egress_atlas::simulate::{DemoData, Scenario, Sink, demo, generate};
use serde_json::Value;

/// Cuts a capture into payloads by the rules of fstrm alone, and insists on START and STOP.
fn payloads(capture: &[u8]) -> Vec<&[u8]> {
    let word = |at: usize| usize::try_from(u32::from_be_bytes(capture[at..at + 4].try_into().unwrap())).unwrap();
    assert_eq!((word(0), word(4), word(8), word(12), word(16)), (0, 34, 2, 1, 22));
    assert_eq!(&capture[20..42], b"protobuf:dnstap.Dnstap");
    let mut at = 42;
    let mut found = Vec::new();
    loop {
        let length = word(at);
        if length == 0 {
            assert_eq!((word(at + 4), word(at + 8), at + 12), (4, 3, capture.len()), "STOP ends the file");
            return found;
        }
        found.push(&capture[at + 4..at + 4 + length]);
        at += 4 + length;
    }
}

/// One protobuf field: number, integer value, bytes.
fn fields(mut rest: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = rest[0];
            *rest = &rest[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        match key & 7 {
            0 => {
                let value = varint(&mut rest);
                found.push((key >> 3, value, &[][..]));
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)).unwrap();
                found.push((key >> 3, 0, &rest[..length]));
                rest = &rest[length..];
            }
            5 => {
                found.push((key >> 3, u64::from(u32::from_le_bytes(rest[..4].try_into().unwrap())), &rest[..4]));
                rest = &rest[4..];
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

/// What one tapped message says.
#[derive(Debug, Default)]
struct Tapped {
    is_response: bool,
    client_octets: usize,
    nanos: u64,
    name: String,
    is_missing: bool,
    aliases: Vec<String>,
    addresses: Vec<String>,
    extra: String,
}

fn tapped(payload: &[u8]) -> Tapped {
    let outer = fields(payload);
    assert_eq!(outer.last().unwrap(), &(15, 1, &[][..]), "type MESSAGE comes last");
    let mut tap = Tapped::default();
    for (number, _, bytes) in &outer {
        match number {
            3 => tap.extra = String::from_utf8(bytes.to_vec()).unwrap(),
            14 => {
                for (number, value, bytes) in fields(bytes) {
                    match number {
                        1 => tap.is_response = value == 6,
                        4 => tap.client_octets = bytes.len(),
                        8 | 12 => tap.nanos = value * 1_000_000_000,
                        9 | 13 => tap.nanos += value,
                        10 | 14 => read_dns(&mut tap, bytes),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    tap
}

fn read_dns(tap: &mut Tapped, bytes: &[u8]) {
    let message = Message::from_octets(bytes).unwrap();
    let question = message.sole_question().unwrap();
    tap.name = question.qname().to_string();
    tap.is_missing = message.header().rcode() == Rcode::NXDOMAIN;
    assert_eq!(message.header().qr(), tap.is_response);
    if message.header_counts().nscount() > 0 {
        assert!(message.authority().unwrap().next().unwrap().is_ok());
    }
    for record in message.answer().unwrap() {
        let record = record.unwrap();
        if let Some(alias) = record.to_record::<Cname<_>>().unwrap() {
            tap.aliases.push(alias.data().cname().to_string());
        } else if let Some(address) = record.to_record::<A>().unwrap() {
            tap.addresses.push(address.data().addr().to_string());
        } else if let Some(address) = record.to_record::<Aaaa>().unwrap() {
            tap.addresses.push(address.data().addr().to_string());
        }
    }
}

/// Parses every line, insists on increasing times, and returns the records.
fn lines(log: &[u8]) -> Vec<Value> {
    let mut last = Timestamp::from_nanos(0);
    let text = std::str::from_utf8(log).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let time = Timestamp::parse(record["time"].as_str().unwrap().as_bytes()).unwrap();
            assert!(time >= last, "{line}");
            last = time;
            record
        })
        .collect()
}

fn file<'a>(data: &'a DemoData, name: &str) -> &'a [u8] {
    &data.files.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("{name} is missing")).bytes
}

const LOGS: [&str; 4] = [
    "prod-eu/hubble/node-a.log",
    "prod-eu/hubble/node-b.log",
    "prod-us/hubble/node-a.log",
    "prod-us/hubble/node-b.log",
];

#[test]
fn the_demo_is_small_fast_and_always_the_same() {
    let begun = Instant::now();
    let data = demo();
    let taken = begun.elapsed();
    assert_eq!(data, demo());
    let bytes: usize = data.files.iter().map(|file| file.bytes.len()).sum();
    let flows: usize = LOGS.iter().map(|name| lines(file(&data, name)).len()).sum();
    let messages: usize =
        ["prod-eu", "prod-us"].iter().map(|c| payloads(file(&data, &format!("{c}/dns/coredns.fstrm"))).len()).sum();
    println!("{bytes} bytes, {flows} lines, {messages} DNS messages, {taken:?}");
    assert!(bytes <= 12_000_000, "{bytes}");
    assert!((3_000..=6_000).contains(&flows), "{flows}");
    assert!((1_300..=1_900).contains(&messages), "{messages}");
}

#[test]
fn the_demo_tells_what_it_promises() {
    let data = demo();
    for name in LOGS {
        for line in lines(file(&data, name)) {
            let Some(flow) = line.get("flow") else { continue };
            let length = line.to_string().len();
            assert!((900..2_600).contains(&length), "{length}: {line}");
            assert_eq!(flow["time"], line["time"]);
            assert_eq!(flow["node_name"], line["node_name"]);
            let cluster = name.split('/').next().unwrap();
            assert!(flow["node_name"].as_str().unwrap().starts_with(cluster));
        }
    }
    let check = |file_name: &str, text: &str| {
        assert!(String::from_utf8_lossy(file(&data, file_name)).contains(text), "{text} in {file_name}");
    };
    let [eu_a, eu_b, us_a, us_b] = LOGS;
    check(eu_a, r#""destination":"169.254.169.254""#);
    check(us_a, r#""destination_names":["registry.npmjs.org"]"#);
    check(eu_a, r#""query":"files.pythonhosted.org.","ips":["#);
    check(eu_a, r#""cnames":["dualstack.python.map.fastly.net."]"#);
    check(eu_a, r#""ipVersion":"IPv6""#);
    check(eu_b, r#""verdict":"AUDIT""#);
    check(eu_b, r#""verdict":"DROPPED","drop_reason":133"#);
    check(eu_b, r#""file":{"name":"bpf_lxc.c""#);
    check(eu_b, r#"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"1482""#);
    check(eu_b, r#""node_name":"node-b","time":"2026-03-02T09:22:00Z"}"#);
    check(eu_b, r#""egress_allowed_by":[{"name":"egress-allowlist","namespace":"payments""#);
    check(eu_b, r#""ingress_allowed_by""#);
    check(eu_b, r#""labels":["reserved:kube-apiserver","reserved:remote-node"]"#);
    check(eu_b, r#""labels":["reserved:host"]"#);
    check(us_b, r#""trace_observation_point":"TO_NETWORK""#);
    check(eu_b, "nightly-export-");
    check("prod-eu/kube.json", r#""phase": "Succeeded""#);
    check("egress-atlas.toml", "[[exempt]]");
    check("reviews.toml", r#"decision = "rejected""#);
    for name in ["egress-atlas.toml", "reviews.toml"] {
        toml::from_str::<toml::Table>(std::str::from_utf8(file(&data, name)).unwrap()).unwrap();
    }
}

#[test]
fn the_demo_leaves_a_gap_of_twelve_minutes_and_repeats_denied_packets() {
    let data = demo();
    let log = lines(file(&data, "prod-eu/hubble/node-b.log"));
    let inside = |line: &&Value| {
        let time = line["time"].as_str().unwrap();
        ("2026-03-02T09:10:00.1".."2026-03-02T09:22:00").contains(&time)
    };
    assert_eq!(log.iter().filter(inside).count(), 0);
    let mut attempts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for line in log.iter().filter(|line| line["flow"]["verdict"] == "DROPPED") {
        let flow = &line["flow"];
        let counts = attempts.entry(flow["l4"]["TCP"]["source_port"].to_string()).or_default();
        counts[usize::from(flow["event_type"]["type"] == 1)] += 1;
    }
    assert!(!attempts.is_empty());
    assert!(attempts.values().all(|counts| *counts == [4, 4]), "{attempts:?}");
}

#[test]
fn demo_captures_decode_with_a_parser_of_other_people() {
    let data = demo();
    let all: Vec<Vec<Tapped>> = ["prod-eu", "prod-us"]
        .iter()
        .map(|cluster| payloads(file(&data, &format!("{cluster}/dns/coredns.fstrm"))).into_iter().map(tapped).collect())
        .collect();
    for taps in &all {
        assert!(taps.is_sorted_by_key(|tap| tap.nanos));
        assert_eq!(taps.iter().filter(|tap| tap.is_response).count() * 2, taps.len());
    }
    let [eu, us] = &all[..] else { panic!() };
    assert!(eu.iter().all(|tap| tap.client_octets == 16 && tap.extra.is_empty()));
    assert!(us.iter().all(|tap| tap.client_octets == 4 && tap.extra.starts_with("ns=")));
    let answered = |name: &str| eu.iter().filter(|tap| tap.name == name && tap.is_response).collect::<Vec<_>>();
    assert!(answered("api.stripe.com").iter().any(|tap| tap.addresses.len() == 3));
    for name in ["assets.shop.example.com", "media.shop.example.com"] {
        assert!(answered(name).iter().any(|tap| tap.addresses.contains(&"18.165.83.21".to_owned())), "{name}");
    }
    assert_eq!(
        answered("orders.customer-one.example.com")[0].aliases,
        ["edge.customer-one.example.com", "lb-7.hosting.example.net"]
    );
    let auto = answered("hooks.slack.com.payments.svc.cluster.local");
    assert_eq!(auto[0].aliases, ["hooks.slack.com"]);
    let missing = eu.iter().filter(|tap| tap.is_missing && tap.name.ends_with(".cluster.local")).count();
    assert!(missing > 40, "{missing}");
    for name in ["a1b2c3d4.ngrok-free.app", "webhook.site", "stock-cam.ddns.net", "pastebin.com"] {
        assert!(!answered(name).is_empty(), "{name}");
    }
    assert!(answered("o450777.ingest.sentry.io").iter().any(|tap| tap.addresses.iter().any(|a| a.contains(':'))));
}

#[test]
fn both_demo_clusters_give_the_same_addresses_to_different_pods() {
    let data = demo();
    let owners = |cluster: &str| -> BTreeMap<String, BTreeSet<String>> {
        let objects: Value = serde_json::from_slice(file(&data, &format!("{cluster}/kube.json"))).unwrap();
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for pod in objects["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "Pod") {
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            owners.entry(pod["status"]["podIP"].as_str().unwrap().to_owned()).or_default().insert(name);
        }
        owners
    };
    for (name, ends) in LOGS.iter().map(|name| (name, lines(file(&data, name)))) {
        let mut identities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for source in ends.iter().map(|line| &line["flow"]["source"]).filter(|source| source["pod_name"].is_string()) {
            identities.entry(source["labels"].to_string()).or_default().insert(source["identity"].to_string());
        }
        assert!(identities.values().all(|numbers| numbers.len() == 1), "{name}: equal labels, equal identity");
    }
    let (eu, us) = (owners("prod-eu"), owners("prod-us"));
    assert_eq!(eu.keys().collect::<Vec<_>>(), us.keys().collect::<Vec<_>>());
    assert!(eu.iter().all(|(address, names)| us[address].is_disjoint(names)));
    assert_eq!(eu["10.0.2.60"].len(), 5, "five jobs in a row had one address");
}

/// Keeps everything in memory.
#[derive(Default, PartialEq)]
struct Kept {
    flows: BTreeMap<usize, Vec<u8>>,
    frames: Vec<Vec<u8>>,
    truth: BTreeMap<String, Option<String>>,
    kube: Vec<u8>,
}

impl Sink for Kept {
    fn flow_line(&mut self, node: usize, line: &[u8]) {
        self.flows.entry(node).or_default().extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        self.frames.push(payload.to_vec());
    }

    fn truth(&mut self, flow_id: &str, name: Option<&str>) {
        assert!(self.truth.insert(flow_id.to_owned(), name.map(ToOwned::to_owned)).is_none(), "{flow_id} twice");
    }

    fn kube(&mut self, json: &[u8]) {
        self.kube = json.to_vec();
    }
}

fn kept(scenario: &Scenario) -> Kept {
    let mut kept = Kept::default();
    generate(scenario, &mut kept);
    kept
}

#[test]
fn a_seed_always_makes_the_same_cluster_and_another_seed_another() {
    let small = |seed| Scenario { flows: 2_000, ..Scenario::hard(seed) };
    assert!(kept(&small(5)) == kept(&small(5)));
    assert!(kept(&small(5)) != kept(&small(6)));
}

#[test]
fn the_bench_cluster_has_the_proportions_that_it_promises() {
    let made = kept(&Scenario { flows: 24_000, ..Scenario::bench(1) });
    let records: Vec<Value> = made.flows.values().flat_map(|log| lines(log)).collect();
    let bytes: usize = made.flows.values().map(Vec::len).sum();
    let is_world = |end: &Value| end["labels"][0].as_str().is_some_and(|label| label.starts_with("reserved:world"));
    let external =
        records.iter().filter(|r| is_world(&r["flow"]["source"]) || is_world(&r["flow"]["destination"])).count();
    let dropped = records.iter().filter(|r| r["flow"]["verdict"] == "DROPPED").count();
    let replies = records.iter().filter(|r| r["flow"]["is_reply"] == true).count();
    println!(
        "{} records of {} bytes, {} DNS messages, {external} external, {dropped} dropped, {replies} replies",
        records.len(),
        bytes / records.len(),
        made.frames.len(),
    );
    assert!((24_000..25_000).contains(&records.len()));
    assert!((1_500..=2_100).contains(&(bytes / records.len())));
    assert!((28..=38).contains(&(made.frames.len() * 100 / records.len())), "{} DNS messages", made.frames.len());
    assert!((20..=40).contains(&(external * 100 / records.len())), "{external} external");
    assert!(dropped > 50 && replies * 3 > records.len());
    let objects: Value = serde_json::from_slice(&made.kube).unwrap();
    assert_eq!(
        objects["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "Pod").count(),
        12 * 8 * 4 + 1
    );
}

#[test]
fn the_truth_of_an_easy_cluster_is_what_its_pods_asked_for() {
    let made = kept(&Scenario { flows: 12_000, ..Scenario::easy(3) });
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for tap in made.frames.iter().map(|frame| tapped(frame)).filter(|tap| tap.is_response) {
        for address in tap.addresses {
            answers.entry(address).or_default().insert(tap.name.clone());
        }
    }
    let mut seen = 0;
    for record in made.flows.values().flat_map(|log| lines(log)) {
        let flow = &record["flow"];
        let Some(name) = made.truth.get(flow["uuid"].as_str().unwrap()) else { continue };
        let server = if flow["is_reply"] == true { &flow["IP"]["source"] } else { &flow["IP"]["destination"] };
        let names = &answers[server.as_str().unwrap()];
        assert_eq!(names.iter().collect::<Vec<_>>(), [name.as_ref().unwrap()]);
        seen += 1;
    }
    assert_eq!(seen, made.truth.len());
    assert!(seen > 1_500, "{seen}");
}

#[test]
fn a_hard_cluster_shares_addresses_reuses_them_and_hides_lookups() {
    let made = kept(&Scenario { flows: 30_000, ..Scenario::hard(2) });
    let taps: Vec<Tapped> = made.frames.iter().map(|frame| tapped(frame)).collect();
    assert!(!taps.is_sorted_by_key(|tap| tap.nanos), "late frames are out of order");
    assert!(taps.iter().any(|tap| tap.extra.starts_with("ns=team-")));
    assert!(taps.iter().any(|tap| tap.addresses.iter().any(|address| address.contains(':'))));
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for tap in taps.iter().filter(|tap| tap.is_response) {
        for address in &tap.addresses {
            names.entry(address).or_default().insert(&tap.name);
        }
    }
    assert!(names.values().filter(|names| names.len() > 1).count() > 10);
    let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in made.flows.values().flat_map(|log| lines(log)) {
        let source = &record["flow"]["source"];
        if let (Some(pod), Some(address)) = (source["pod_name"].as_str(), record["flow"]["IP"]["source"].as_str()) {
            pods.entry(address.to_owned()).or_default().insert(pod.to_owned());
        }
    }
    assert!(pods.values().any(|pods| pods.len() > 1), "an address passes on");
    let wanted: BTreeSet<&str> = made.truth.values().flatten().map(String::as_str).collect();
    let asked: BTreeSet<&str> = taps.iter().map(|tap| tap.name.as_str()).collect();
    assert!(wanted.len() > 50 && wanted.intersection(&asked).count() > 50);
    assert!(made.truth.values().any(Option::is_none), "some connections have no name");
}

#[test]
fn what_streams_out_does_not_pile_up_behind() {
    struct Count {
        flows: usize,
        frames: usize,
    }
    impl Sink for Count {
        fn flow_line(&mut self, _: usize, line: &[u8]) {
            assert_eq!(line.last(), Some(&b'\n'));
            self.flows += 1;
        }
        fn dns_frame(&mut self, _: &[u8]) {
            self.frames += 1;
        }
        fn truth(&mut self, _: &str, _: Option<&str>) {}
        fn kube(&mut self, _: &[u8]) {
            assert!(self.flows > 0 && self.frames > 0, "the inventory comes last");
        }
    }
    let begun = Instant::now();
    let mut count = Count { flows: 0, frames: 0 };
    generate(&Scenario { connections: 3_000, flows: u64::MAX, ..Scenario::bench(9) }, &mut count);
    println!("{} records and {} messages in {:?}", count.flows, count.frames, begun.elapsed());
    assert!(count.flows > 15_000);
}
