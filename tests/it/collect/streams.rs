//! Streams of gRPC servers: the same rows as from files, through breaks, repeats, garbage and TLS.

use std::collections::BTreeSet;

use egress_atlas::catalog::FeedKind;
use egress_atlas::lake::LedgerRow;
use egress_atlas::model::{Account, Batch, Place, Vocabulary};
use egress_atlas::read::Format;
use egress_atlas::read::feed::{FeedDecoder, Heard};
use serde_json::{Value, json};

use super::server::{Certificates, Server, Step};
use super::wire::{RESPONSE, RESULT, bytes_field, encode, number_field, time};
use super::{Collector, ledger, store, wait};
use crate::decoding::{Outcome, decode, shown};
use crate::support::{fixture, run};

fn heard(kind: FeedKind, messages: &[Vec<u8>]) -> Outcome {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = FeedDecoder::default();
    for message in messages {
        for event in Heard::read(kind, message).unwrap().events {
            decoder.decode(&event, Place::Byte(0), &mut vocabulary, &mut batch, &mut account);
        }
    }
    shown(&vocabulary, &batch, account)
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Cases that no published record has.
fn shapes() -> Vec<Value> {
    let pod = json!({"ID": 7, "identity": 3001, "namespace": "shop", "pod_name": "web-1", "labels": ["k8s:app=web"],
        "workloads": [{"name": "web", "kind": "Deployment"}], "cluster_name": "eu"});
    let world =
        json!({"identity": 16_777_217, "labels": ["cidr:192.0.2.1/32", "fqdn:api.example.com.", "reserved:world"]});
    let flow = |more: Value| {
        let mut flow = json!({"time": "2026-03-02T10:00:00.000000001Z", "uuid": "u-1", "verdict": "FORWARDED", "Type": "L3_L4",
            "IP": {"source": "10.0.0.1", "destination": "192.0.2.1"}, "l4": {"TCP": {"source_port": 4000,
            "destination_port": 443, "flags": {"SYN": true}}}, "source": pod, "destination": world, "node_name": "eu/node-a",
            "event_type": {"type": 4, "sub_type": 3}, "traffic_direction": "INGRESS", "node_labels": ["a=b"],
            "destination_names": ["api.example.com"]});
        for (key, value) in more.as_object().unwrap() {
            flow[key] = value.clone();
        }
        json!({"flow": flow, "node_name": "eu/node-a", "time": "2026-03-02T10:00:00.000000001Z"})
    };
    vec![
        flow(json!({})),
        flow(json!({"is_reply": false})),
        flow(json!({"is_reply": true, "source_names": ["x.example.com"]})),
        flow(
            json!({"verdict": "DROPPED", "drop_reason": 133, "drop_reason_desc": "POLICY_DENIED", "event_type": {"type": 5}}),
        ),
        flow(json!({"verdict": "DROPPED", "drop_reason": 181, "event_type": {"type": 1, "sub_type": 181}})),
        flow(json!({"verdict": "DROPPED", "drop_reason_desc": "INVALID_SOURCE_IP", "event_type": {"type": 1}})),
        flow(json!({"verdict": "AUDIT"})),
        flow(json!({"verdict": 15, "extensions": {"@type": "x"}, "is_reply": false})),
        flow(json!({"verdict": "TRANSLATED", "Type": "SOCK"})),
        flow(json!({"aggregate": {"egress_flow_count": 3}, "Summary": "TCP Flags: SYN"})),
        flow(json!({"reply": true, "l4": {"UDP": {"source_port": 53, "destination_port": 999}}})),
        flow(json!({"l4": {"SCTP": {"destination_port": 9}}})),
        flow(json!({"l4": {"ICMPv6": {}}, "IP": {"source": "2001:db8::1", "destination": "2001:db8::2"}})),
        flow(json!({"IP": {"source": "nonsense", "destination": "192.0.2.1"}})),
        flow(json!({"IP": null})),
        flow(json!({"l4": {"TCP": {"source_port": 70000}}})),
        flow(json!({"source": {"identity": 4, "labels": ["reserved:health"]}})),
        flow(json!({"time": null, "node_name": null})),
        flow(json!({"Type": "L7", "event_type": {"type": 129}, "is_reply": true, "IP": {"source": "10.0.0.10",
            "destination": "10.0.0.1"}, "l7": {"type": "RESPONSE", "dns": {"query": "api.example.com.",
            "ips": ["192.0.2.1", "192.0.2.2"], "ttl": 30, "cnames": ["edge.example.net."], "rcode": 0}}})),
        flow(
            json!({"Type": "L7", "l7": {"type": "RESPONSE", "dns": {"query": "no.example.com.", "ttl": 4_294_967_295_u64, "rcode": 3}}}),
        ),
        json!({"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "12"}, "node_name": "eu/node-a",
            "time": "2026-03-02T10:00:01Z"}),
        json!({"node_status": {"state_change": 1, "node_names": ["eu/node-a"]}}),
    ]
}

#[test]
fn flows_of_a_relay_are_the_rows_of_their_json() {
    let mut all = shapes();
    for entry in std::fs::read_dir(fixture("hubble")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson")
            && !path.ends_with("handwritten-shapes.ndjson")
        {
            all.extend(objects(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    // Agents' own events never come by this stream; fields that JSON alone has are notes and no rows.
    all.retain(|record| record.get("flow").or(record.get("lost_events")).or(record.get("node_status")).is_some());
    assert!(all.len() > 300, "{}", all.len());
    let mut used = 0;
    for record in &all {
        let mut text = decode(Format::Hubble, &record.to_string());
        let mut stream = heard(FeedKind::Relay, &[encode(RESPONSE, record)]);
        for account in [&mut text.account, &mut stream.account] {
            account.notes.remove("record with unknown fields");
        }
        assert_eq!(stream, text, "{record}");
        used += text.account.used;
    }
    assert!(used > 300, "{used}");
}

#[test]
fn flows_of_goldmane_are_the_rows_of_their_json() {
    let key = |more: Value| {
        let mut key = json!({"source_name": "web-7d9c5b6f5-*", "source_namespace": "shop", "source_type": "WorkloadEndpoint",
            "dest_name": "pub", "dest_namespace": "-", "dest_type": "Network", "dest_port": 443, "proto": "tcp",
            "reporter": "Src", "action": "Allow"});
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        json!({"id": 9, "flow": {"Key": key, "start_time": 1_764_970_845, "end_time": 1_764_970_860,
            "source_labels": ["app=web", "projectcalico.org/x=y"], "num_connections_started": 3, "bytes_out": 100}})
    };
    let mut listed = key(json!({}));
    listed["flow"]["source_ips"] = json!(["10.0.0.1"]);
    listed["flow"]["dest_ips"] = json!(["192.0.2.1", "192.0.2.2", "x"]);
    let cases = [
        key(json!({})),
        key(
            json!({"action": "Deny", "reporter": "Dst", "dest_type": "WorkloadEndpoint", "dest_name": "db-0", "dest_namespace": "data"}),
        ),
        key(json!({"policies": {"enforced_policies": [{"action": "Allow", "name": "p"}],
            "pending_policies": [{"action": "Pass"}, {"policy_index": 1, "action": "Deny"}]}})),
        key(json!({"dest_type": "NetworkSet", "dest_name": "partners", "dest_port": 0})),
        key(json!({"dest_port": 70_000})),
        listed,
    ];
    for record in &cases {
        let (text, stream) =
            (decode(Format::Goldmane, &record.to_string()), heard(FeedKind::Goldmane, &[encode(RESULT, record)]));
        assert_eq!(stream, text, "{record}");
    }
}

/// One of Antrea's records: both addresses, ports, times, and what the source's agent knows.
fn antrea_flow(second: u64, source: &[u8], pod: &str, egress_action: u64) -> Vec<u8> {
    let (mut ip, mut transport, mut kubernetes, mut labels, mut pair, mut flow) = Default::default();
    number_field(1, 4, &mut ip);
    bytes_field(2, source, &mut ip);
    bytes_field(3, &[192, 0, 2, 1], &mut ip);
    for (number, value) in [(1, 6), (2, 4000), (3, 443)] {
        number_field(number, value, &mut transport);
    }
    bytes_field(1, b"app", &mut pair);
    bytes_field(2, b"web", &mut pair);
    bytes_field(1, &pair, &mut labels);
    number_field(1, 3, &mut kubernetes);
    for (number, text) in [(2, "shop"), (3, pod), (6, "node-a"), (30, "egress-1")] {
        bytes_field(number, text.as_bytes(), &mut kubernetes);
    }
    bytes_field(5, &labels, &mut kubernetes);
    number_field(29, egress_action, &mut kubernetes);
    let nanos = |second: u64| i64::try_from(second).unwrap() * 1_000_000_000;
    bytes_field(3, &time(nanos(second - 5)), &mut flow);
    bytes_field(4, &time(nanos(second)), &mut flow);
    for (number, message) in [(6, &ip), (7, &transport), (8, &kubernetes)] {
        bytes_field(number, message, &mut flow);
    }
    flow
}

fn antrea_response(flows: &[Vec<u8>], dropped: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for flow in flows {
        bytes_field(1, flow, &mut out);
    }
    number_field(2, dropped, &mut out);
    out
}

#[test]
fn flows_of_antrea_are_read_by_number() {
    let flows = [
        antrea_flow(1_772_445_600, &[10, 0, 0, 1], "web-1", 0),
        antrea_flow(1_772_445_601, &[10, 0, 0, 1], "web-1", 2),
        antrea_flow(1_772_445_602, &[10, 0], "web-1", 0),
    ];
    let outcome = heard(FeedKind::Antrea, &[antrea_response(&flows, 0)]);
    assert_eq!(
        outcome.flows,
        [
            "2026-03-02T10:00:00Z 10.0.0.1:4000 > 192.0.2.1:443 TCP Allowed Source:Tracked (Pod shop /web-1 [app=web]) > (World) node=node-a since 2026-03-02T09:59:55Z",
            "2026-03-02T10:00:01Z 10.0.0.1:4000 > 192.0.2.1:443 TCP Denied Source:Tracked (Pod shop /web-1 [app=web]) > (World) node=node-a since 2026-03-02T09:59:56Z",
        ]
    );
    crate::decoding::accounts(&outcome, 2, &[("address that does not parse", 1)]);
}

proptest::proptest! {
    #[test]
    fn no_message_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400), flips in proptest::collection::vec((0_usize..4_000, 0_u8..8), 0..4)) {
        for kind in FeedKind::ALL {
            drop(Heard::read(kind, &bytes));
        }
        // Nearly good ones reach further.
        let mut message = encode(RESPONSE, &shapes()[18]);
        for (at, bit) in flips {
            let at = at % message.len();
            message[at] ^= 1 << bit;
        }
        if Heard::read(FeedKind::Relay, &message).is_ok() {
            heard(FeedKind::Relay, &[message]);
        }
    }
}

/// The n-th event of a node, one a second up to now.
fn event(node: &str, number: u64) -> Step {
    let at = egress_atlas::model::Timestamp::from_nanos(base() + i64::try_from(number).unwrap() * 1_000_000_000);
    let record = json!({"flow": {"time": at.to_string(), "uuid": format!("{node}-{number}"), "verdict": "FORWARDED", "Type": "L3_L4",
        "IP": {"source": format!("10.0.0.{}", node.len() + usize::from(node.ends_with('b'))), "destination": format!("192.0.2.{}", number % 250)},
        "l4": {"TCP": {"source_port": 4000 + number, "destination_port": 443, "flags": {"SYN": true}}},
        "source": {"ID": 7, "identity": 3001, "namespace": "shop", "pod_name": "web-1"}, "destination": {"identity": 2},
        "node_name": node, "event_type": {"type": 4}, "is_reply": false}, "node_name": node, "time": at.to_string()});
    Step::Message(encode(RESPONSE, &record))
}

/// A minute ago, the same for a whole test run.
fn base() -> i64 {
    static BASE: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        (i64::try_from(now.as_secs()).unwrap() - 120) * 1_000_000_000
    });
    *BASE
}

fn status(state: u64, nodes: &[&str]) -> Step {
    Step::Message(encode(RESPONSE, &json!({"node_status": {"state_change": state, "node_names": nodes}})))
}

fn lost(node: &str, events: u64) -> Step {
    let record = json!({"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": events}, "node_name": node,
        "time": egress_atlas::model::Timestamp::from_nanos(base()).to_string()});
    Step::Message(encode(RESPONSE, &record))
}

fn sum(rows: &[LedgerRow], of: impl Fn(&LedgerRow) -> u64) -> u64 {
    rows.iter().map(of).sum()
}

/// The ids of all flows in the store, and how many rows there are.
fn stored(folder: &std::path::Path) -> (BTreeSet<String>, usize) {
    let at = folder.join("rows.ndjson").display().to_string();
    let ran = run(&["attribute", "--store", &store(folder), "--out", &at]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&at).unwrap();
    let ids: Vec<String> =
        objects(&text).iter().map(|row| row["flow_id"].as_str().unwrap_or_default().to_owned()).collect();
    (ids.iter().cloned().collect(), ids.len())
}

/// `since` of a relay's request, in seconds from [`base`].
fn since(request: &[u8]) -> Option<i64> {
    let json: Vec<u8> = request.to_vec();
    // Field 7, a message of field 1 (seconds).
    let at = json.windows(2).position(|pair| pair[0] == 0x3a)?;
    let (mut value, mut shift) = (0_u64, 0);
    for byte in &json[at + 3..] {
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(i64::try_from(value).unwrap() - base() / 1_000_000_000)
}

#[test]
fn a_relay_is_resumed_behind_every_break_and_nothing_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut first: Vec<Step> = vec![status(1, &["eu/a", "eu/b"])];
    first.extend((0..20).flat_map(|number| [event("eu/a", number), event("eu/b", number)]));
    first.extend([lost("eu/b", 5), Step::Bytes(vec![0, 0, 0, 0, 3, 0xff, 0xff, 0xff]), Step::Wait(50), Step::Reset]);
    // The ring of `a` still has everything; `b` begins behind a hole.
    let mut second: Vec<Step> = (15..25).map(|number| event("eu/a", number)).collect();
    second.extend((40..45).map(|number| event("eu/b", number)));
    second.extend([status(2, &["eu/c"]), Step::Status(14, "relay is going away")]);
    // A relay replays a node's history on its own when it finds the node again.
    let third: Vec<Step> = (0..30).map(|number| event("eu/a", number)).collect();
    let server = Server::start(None, vec![first, second, vec![Step::Http(503)], vec![Step::Silence], third]);
    let address = format!("tcp://127.0.0.1:{}", server.port);
    let tables = format!("[[relay]]\naddress = \"{address}\"\nconnect = \"1s\"\n");
    let collector = Collector::start(folder.path(), &tables);
    wait("the fifth stream is open", || server.asked().len() == 5);
    wait("everything is taken", || collector.metric("messages_total") == 1 + 40 + 2 + 10 + 5 + 1 + 30);
    assert!(collector.get("/metrics").contains(&format!("stream_up{{address=\"{address}\"}} 1")));
    let log = collector.stop();
    for told in ["relay is going away", "HTTP status 503", "no answer within 1s", "nodes away", "eu/c"] {
        assert!(log.contains(told), "{told} in {log}");
    }
    let asked = server.asked();
    assert!(asked.iter().all(|(path, _, _)| path == "/observer.Observer/GetFlows"));
    assert!(asked.iter().all(|(_, _, request)| request.starts_with(&[0x18, 1])), "follow");
    let resumed: Vec<Option<i64>> = asked.iter().map(|(_, _, request)| since(request)).collect();
    assert_eq!(
        resumed,
        [None, Some(14), Some(19), Some(19), Some(19)],
        "from the slower node on, and five seconds more"
    );
    let rows = ledger(folder.path());
    assert!(rows.iter().all(|row| row.read == row.used + row.rejected + row.excluded), "{rows:?}");
    // 30 of `a`, 20 and 5 of `b`.
    assert_eq!(sum(&rows, |row| row.used), 55);
    assert_eq!(sum(&rows, |row| row.rejected), 1, "the garbage");
    assert_eq!(sum(&rows, |row| row.lost), 5);
    assert_eq!(sum(&rows, |row| row.read), 1 + 40 + 2 + 10 + 5 + 1 + 30);
    let missing = |node: &str| sum(&rows, |row| if row.source == node { row.missing_nanos } else { 0 });
    assert_eq!(missing("a"), 0, "the first event behind the break had been seen");
    assert!(rows.iter().all(|row| row.origin == address && (row.source.is_empty() || row.cluster == "eu")), "{rows:?}");
    let (ids, count) = stored(folder.path());
    assert_eq!((ids.len(), count), (55, 55));
}

#[test]
fn a_killed_collector_asks_the_relay_again_and_keeps_no_row_twice() {
    let folder = tempfile::tempdir().unwrap();
    let events = |range: std::ops::Range<u64>| range.map(|number| event("n", number)).collect::<Vec<_>>();
    let server = Server::start(None, vec![events(0..60), events(10..90)]);
    let tables = format!("[[relay]]\naddress = \"tcp://127.0.0.1:{}\"\n", server.port);
    let collector = Collector::start(folder.path(), &tables);
    wait("the first sixty are taken", || collector.metric("messages_total") == 60);
    std::thread::sleep(std::time::Duration::from_millis(250));
    collector.kill();
    let collector = Collector::start(folder.path(), &tables);
    wait("the rest is taken", || collector.metric("messages_total") == 80);
    collector.stop();
    assert_eq!(since(&server.asked()[1].2), Some(-1), "a minute before the last event");
    let rows = ledger(folder.path());
    assert_eq!((sum(&rows, |row| row.used), sum(&rows, |row| row.excluded)), (90, 50));
    assert_eq!(sum(&rows, |row| row.missing_nanos), 0, "what came first had been seen before");
    assert_eq!(stored(folder.path()).1, 90);
}

#[test]
fn certificates_are_checked_on_both_sides() {
    let ours = Certificates::new(&["*.hubble-relay.cilium.io"]);
    let others = Certificates::new(&["*.hubble-relay.cilium.io"]);
    let try_with = |asks: bool, more: &str| {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Some(ours.server(asks)), vec![vec![event("n", 1)]]);
        let tables = format!("[[relay]]\naddress = \"tls://127.0.0.1:{}\"\n{more}", server.port);
        let collector = Collector::start(folder.path(), &tables);
        wait("it connects or says why not", || {
            collector.metric("messages_total") == 1 || collector.log().contains("no stream; it is tried again")
        });
        (collector.metric("messages_total"), collector.stop())
    };
    let trusting =
        |ca: &Certificates, name: &str| format!("ca = \"{}\"\nserver_name = \"{name}\"\n", ca.path("ca.crt"));
    let showing = |of: &Certificates| {
        format!("certificate = \"{}\"\nkey = \"{}\"\n", of.path("client.crt"), of.path("client.key"))
    };
    let good = trusting(&ours, "atlas.hubble-relay.cilium.io");
    let check = |asks: bool, more: &str, told: &str| {
        let (taken, log) = try_with(asks, more);
        assert_eq!(taken, u64::from(told.is_empty()), "{log}");
        assert!(log.contains(told), "{log}");
    };
    check(false, &good, "");
    check(true, &[good.as_str(), &showing(&ours)].concat(), "");
    check(true, &good, "no stream; it is tried again");
    check(true, &[good.as_str(), &showing(&others)].concat(), "no stream; it is tried again");
    check(false, &trusting(&others, "atlas.hubble-relay.cilium.io"), "invalid peer certificate");
    check(false, &trusting(&ours, "relay.example.com"), "not valid for name");
}

#[test]
fn goldmane_and_antrea_are_followed_with_what_they_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&["goldmane", "localhost"]);
    let window = base() / 1_000_000_000;
    let flow = |id: u64, name: &str| {
        Step::Message(encode(
            RESULT,
            &json!({"id": id, "flow": {"Key": {"source_name": name, "source_namespace": "shop",
            "source_type": "WorkloadEndpoint", "dest_name": "pub", "dest_type": "Network", "dest_port": 443, "proto": "tcp",
            "reporter": "Src", "action": "Allow"}, "start_time": window, "end_time": window + 15}}),
        ))
    };
    let goldmane = Server::start(
        Some(certificates.server(true)),
        vec![vec![flow(1, "a-*"), flow(2, "b-*"), Step::Wait(50), Step::Reset], vec![flow(7, "b-*"), flow(8, "c-*")]],
    );
    let second = u64::try_from(window).unwrap();
    let (one, two) = (antrea_flow(second, &[10, 0, 0, 1], "w", 0), antrea_flow(second + 1, &[10, 0, 0, 1], "w", 0));
    let antrea = Server::start(
        Some(certificates.server(false)),
        vec![vec![Step::Message(antrea_response(&[one.clone(), two], 3)), Step::Message(antrea_response(&[one], 4))]],
    );
    std::fs::write(folder.path().join("token"), "abc.def\n").unwrap();
    let tables = format!(
        "[[goldmane]]\naddress = \"tls://127.0.0.1:{}\"\nserver_name = \"goldmane\"\nca = \"{ca}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\
         [[antrea]]\naddress = \"tls://localhost:{}\"\nca = \"{ca}\"\ntoken = \"{}\"\n",
        goldmane.port,
        certificates.path("client.crt"),
        certificates.path("client.key"),
        antrea.port,
        folder.path().join("token").display(),
        ca = certificates.path("ca.crt"),
    );
    let collector = Collector::start(folder.path(), &tables);
    wait("everything is taken", || collector.metric("messages_total") == 6);
    assert_eq!(collector.metric("lost_total"), 4);
    collector.stop();
    let rows = ledger(folder.path());
    let of = |source: &str| {
        let rows: Vec<LedgerRow> = rows.iter().filter(|row| row.source == source).cloned().collect();
        (
            sum(&rows, |row| row.used),
            sum(&rows, |row| row.excluded),
            sum(&rows, |row| row.lost),
            sum(&rows, |row| row.missing_nanos),
        )
    };
    assert_eq!(of("goldmane"), (3, 1, 0, 0));
    assert_eq!(of("antrea"), (2, 1, 4, 0));
    let asked = antrea.asked();
    assert_eq!(asked[0].0, "/antrea_io.antrea.pkg.apis.flow.v1alpha1.FlowStreamService/GetFlows");
    assert_eq!((asked[0].1.as_deref(), asked[0].2.as_slice()), (Some("Bearer abc.def"), [0x20, 1, 0x28, 1].as_slice()));
    assert_eq!(goldmane.asked()[0].0, "/goldmane.Flows/Stream");
    assert_eq!(goldmane.asked().len(), 2);
}
