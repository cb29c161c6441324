//! Bytes, packets and numbers of connections, from the records of the sources that have them to every output.

use std::fmt::Write as _;

use serde_json::Value;

use crate::lake::{go, path, words};
use crate::support::{Ran, fixture, folder, run};

/// One record of Calico's flow log: pod of `shop/web` to a partner, five minutes that end at 10:00 plus `minute`.
fn calico(minute: u32, reporter: &str, counts: &str) -> String {
    let end = 1_772_445_600 + minute * 60;
    format!(
        "{{\"start_time\":{},\"end_time\":{end},\"source_ip\":\"10.0.0.5\",\"source_name\":\"web-5d9c5b6f5-abcde\",\"source_name_aggr\":\"web-5d9c5b6f5-*\",\"source_namespace\":\"shop\",\"source_port\":null,\"source_type\":\"wep\",\"dest_ip\":\"203.0.113.10\",\"dest_name\":\"-\",\"dest_name_aggr\":\"pub\",\"dest_namespace\":\"-\",\"dest_port\":443,\"dest_type\":\"net\",\"dest_domains\":[\"drop.partner.example.net\"],\"proto\":\"tcp\",\"action\":\"allow\",\"reporter\":\"{reporter}\",{counts}}}\n",
        end - 300
    )
}

/// The same between two pods, as one of the two reporters says it.
fn inside(reporter: &str, counts: &str) -> String {
    calico(0, reporter, counts)
        .replace("203.0.113.10", "10.0.0.9")
        .replace("\"dest_name\":\"-\"", "\"dest_name\":\"ledger-0\"")
        .replace("\"dest_name_aggr\":\"pub\"", "\"dest_name_aggr\":\"ledger-*\"")
        .replace("\"dest_namespace\":\"-\"", "\"dest_namespace\":\"pay\"")
        .replace("\"dest_type\":\"net\"", "\"dest_type\":\"wep\"")
        .replace("[\"drop.partner.example.net\"]", "[]")
}

/// Eleven connections: two were open before, then three, none and six began; 12 MB out, 90 kB back. Between pods one connection, which both
/// ends report.
fn flow_log() -> String {
    let mut log = String::new();
    for (minute, began, open, sent) in [(0, 3, 5, 4_000_000), (5, 0, 1, 2_000_000), (10, 6, 7, 6_000_000)] {
        let counts = format!(
            "\"num_flows\":{open},\"num_flows_started\":{began},\"num_flows_completed\":1,\"bytes_in\":30000,\"bytes_out\":{sent},\"packets_in\":300,\"packets_out\":4000"
        );
        log += &calico(minute, "src", &counts);
    }
    let counts = |went_in: u64, went_out: u64| {
        format!(
            "\"num_flows\":1,\"num_flows_started\":1,\"num_flows_completed\":1,\"bytes_in\":{went_in},\"bytes_out\":{went_out},\"packets_in\":3,\"packets_out\":5"
        )
    };
    log += &inside("src", &counts(700, 9_000));
    log += &inside("dst", &counts(8_990, 700));
    log
}

fn edges(atlas: &str, direction: &str) -> Vec<(String, u64, Value)> {
    let atlas: Value = serde_json::from_str(&std::fs::read_to_string(atlas).unwrap()).unwrap();
    let mut found = Vec::new();
    let clusters = atlas["clusters"].as_object().unwrap().values();
    for namespace in clusters.flat_map(|cluster| cluster["namespaces"].as_object().unwrap().values()) {
        for edge in namespace[direction].as_array().unwrap() {
            let peer = edge["peer"]["name"].as_str().or(edge["peer"]["address"].as_str()).unwrap_or("-").to_owned();
            found.push((peer, edge["connections"].as_u64().unwrap(), edge["bytes"].clone()));
        }
    }
    found
}

fn counted(sent: u64, received: u64, packets_sent: u64, packets_received: u64) -> Value {
    serde_json::json!({"sent": sent, "received": received, "packets_sent": packets_sent, "packets_received": packets_received})
}

#[test]
fn intervals_become_connections_and_bytes_count_once() {
    let folder = folder(&[("flows.log", flow_log().as_bytes()), ("again.log", flow_log().as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let flows = words(&["--flows", &at("flows.log")]);
    let ran = go(&[&words(&["discover", "--out", &at("out")]), &flows]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let egress = [
        ("drop.partner.example.net".to_owned(), 11, counted(12_000_000, 90_000, 12_000, 900)),
        ("ledger".to_owned(), 1, counted(9_000, 700, 5, 5)),
    ];
    let mut seen = edges(&at("out/atlas.json"), "egress");
    seen.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(seen, egress);
    // The server has received what the client sent.
    let ingress = edges(&at("out/atlas.json"), "ingress");
    assert_eq!((ingress.len(), ingress[0].1, &ingress[0].2), (1, 1, &counted(700, 9_000, 5, 5)));
    let document = std::fs::read_to_string(at("out/shop.md")).unwrap();
    assert!(document.contains("| 12.0 MB |  90.0 kB |") && document.contains("`upload`"), "{document}");
    // A file that was delivered twice adds nothing.
    let both = words(&["--flows", &at("flows.log"), "--flows", &at("again.log")]);
    assert_eq!(go(&[&words(&["discover", "--out", &at("twice")]), &both]).status, 0);
    assert_eq!(edges(&at("twice/atlas.json"), "egress").len(), 2);
    for edge in edges(&at("twice/atlas.json"), "egress") {
        assert!(egress.contains(&edge), "{edge:?}");
    }
    // A store says the same.
    assert_eq!(go(&[&words(&["import", "--store", &at("lake")]), &flows]).status, 0);
    assert_eq!(go(&[&words(&["discover", "--store", &at("lake"), "--out", &at("stored")])]).status, 0);
    assert_eq!(edges(&at("stored/atlas.json"), "egress"), edges(&at("out/atlas.json"), "egress"));
}

#[test]
fn an_investigation_tells_how_much() {
    let folder = folder(&[("flows.log", flow_log().as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let ask = |more: &[&str]| -> Ran {
        run(&[&["investigate", "drop.partner.example.net", "--flows", &at("flows.log")], more].concat())
    };
    let text = ask(&[]).out;
    assert!(
        text.contains("11 connections") && text.contains("12.0 MB sent, 90.0 kB received by the clients."),
        "{text}"
    );
    assert!(text.contains("SENT  RECEIVED") && !text.contains("volumes are not known"), "{text}");
    let json: Value = serde_json::from_str(&ask(&["--format", "json"]).out).unwrap();
    assert_eq!(json["totals"]["bytes"], counted(12_000_000, 90_000, 12_000, 900));
    let each: Vec<u64> = json["connections"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["connections"].as_u64().unwrap())
        .collect();
    assert_eq!(each, [5, 0, 6]);
    let csv = ask(&["--format", "csv"]).out;
    assert!(csv.lines().next().unwrap().ends_with(",confidence,connections,bytes_sent,bytes_received"), "{csv}");
    assert!(csv.contains(",5,4000000,30000"), "{csv}");
    assert!(ask(&["--format", "markdown"]).out.contains("| 12.0 MB |  90.0 kB |"));
    let page = at("page.html");
    assert_eq!(ask(&["--html", &page]).status, 0);
    assert!(std::fs::read_to_string(&page).unwrap().contains("\"bytes\":{\"sent\":12000000,"));
}

/// Bytes of every edge outside, by what a fixture says; from the records' own numbers.
fn discovered(format: &str, file: &str) -> Vec<(String, u64, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let ran = run(&["discover", "--out", &out, "--flows", &format!("{format}:{file}")]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    edges(&path(folder.path(), "out/atlas.json"), "egress")
}

#[test]
fn real_and_constructed_records_of_every_source_keep_their_counts() {
    let goldmane = discovered("goldmane", &fixture("calico/constructed-goldmane-gojson-egress-pub.ndjson"));
    assert!(goldmane.iter().any(|(.., bytes)| bytes["sent"].as_u64() > Some(0)), "{goldmane:?}");
    let table = discovered("antrea-csv", &fixture("antrea/s3-v2.7.0.csv"));
    assert!(table.iter().any(|(.., bytes)| bytes["sent"].as_u64() > Some(0)), "{table:?}");
    // The agent's text log counts nothing, and says nothing.
    let log = discovered("antrea-log", &fixture("antrea/flowlogger-v2.7.0.numeric.log"));
    assert!(!log.is_empty() && log.iter().all(|(.., bytes)| bytes.is_null()), "{log:?}");
}

/// Antrea's agents repeat totals: a connection of three records has sent what the last one says, whichever node says it.
#[test]
fn totals_of_one_connection_are_not_added_up() {
    let template = std::fs::read_to_string(fixture("antrea/constructed-v2.7-ipfix-json-mode.ndjson")).unwrap();
    let first = template.lines().next().unwrap();
    let mut record: Value = serde_json::from_str(first).unwrap();
    let mut log = String::new();
    for (end, total) in [(1_772_445_660, 1_000), (1_772_445_720, 5_000), (1_772_445_780, 70_000)] {
        set(&mut record, "flowStartSeconds", 1_772_445_600);
        set(&mut record, "flowEndSeconds", end);
        set(&mut record, "octetTotalCount", total);
        set(&mut record, "reverseOctetTotalCount", total / 10);
        writeln!(log, "{record}").unwrap();
    }
    let folder = folder(&[("flows.ndjson", log.as_bytes())]);
    let seen = discovered("antrea-log", &path(folder.path(), "flows.ndjson"));
    let [(_, 1, bytes)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((bytes["sent"].as_u64(), bytes["received"].as_u64()), (Some(70_000), Some(7_000)));
}

/// Sets a field wherever it stands in a record.
fn set(value: &mut Value, name: &str, number: u64) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if key == name { *field = number.into() } else { set(field, name, number) }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|field| set(field, name, number)),
        _ => {}
    }
}

#[test]
fn a_counter_beyond_belief_is_left_out_and_noted() {
    let counts = "\"num_flows\":1,\"num_flows_started\":1,\"bytes_in\":18446744073709551615,\"bytes_out\":12";
    let folder = folder(&[("flows.log", calico(0, "src", counts).as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let ran = run(&["discover", "--out", &at("out"), "--flows", &at("flows.log")]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(edges(&at("out/atlas.json"), "egress"), [("drop.partner.example.net".to_owned(), 1, Value::Null)]);
    assert!(std::fs::read_to_string(at("out/atlas.json")).unwrap().contains("beyond belief"));
}
