//! Nothing is "covered", "ready" or "clean" beyond what the evidence shows: sparse feeds, dead exporters, forgotten nodes.

use egress_atlas::model::Timestamp;

use crate::recording::{self, Seen, Told, line};
use crate::support::{Ran, folder, run};

/// Midnight of 2 March 2026.
const START: &str = "2026-03-02T00:00:00Z";
const HOURS: i64 = 4;

fn time(minute: i64) -> Timestamp {
    Timestamp::parse(START.as_bytes()).unwrap().plus_nanos(minute * 60_000_000_000 + 1_000_000_000)
}

/// A connection to the outside that `node` saw; a new one each minute.
fn flow(node: &str, minute: i64, address: &str) -> String {
    let source_port = u16::try_from(20_000 + minute).unwrap();
    line(&Seen { time: time(minute), node, source_port, destination: address, ..Seen::default() })
}

fn flows(node: &str, minutes: impl IntoIterator<Item = i64>) -> String {
    minutes.into_iter().map(|minute| flow(node, minute, "93.184.215.14")).collect()
}

/// Answers to the pod: (minute, name, aliases, address).
fn capture(answers: &[(i64, &str, &[&str], &str)]) -> Vec<u8> {
    let addresses: Vec<[&str; 1]> = answers.iter().map(|(.., address)| [*address]).collect();
    let told = answers.iter().zip(&addresses).map(|((minute, name, aliases, _), addresses)| Told {
        time: time(*minute),
        name,
        aliases,
        addresses,
        ..Told::default()
    });
    recording::capture(&told.collect::<Vec<_>>())
}

/// An answer each minute, so that only flows can fall short.
fn steady() -> Vec<u8> {
    let answers: Vec<(i64, &str, &[&str], &str)> =
        (0..HOURS * 60).map(|minute| (minute, "api.example.com", [].as_slice(), "93.184.215.14")).collect();
    capture(&answers)
}

fn nodes(names: &[(&str, &str)]) -> String {
    let node = |(name, joined): &(&str, &str)| {
        format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, creationTimestamp: '{joined}'}}\n---\n")
    };
    names.iter().map(node).collect()
}

/// Runs `command` over the four hours.
fn asked(command: &[&str], flows: &str, capture: &[u8], kube: &str) -> Ran {
    let folder = folder(&[("flows.log", flows.as_bytes()), ("dns.fstrm", capture), ("kube.yaml", kube.as_bytes())]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (flows, dns, kube_path, out) = (at("flows.log"), at("dns.fstrm"), at("kube.yaml"), at("out"));
    let mut arguments = command.to_vec();
    arguments.extend(["--flows", &flows, "--dns", &dns, "--since", START, "--until", "2026-03-02T04:00:00Z"]);
    if !kube.is_empty() {
        arguments.extend(["--kube", &kube_path]);
    }
    if command[0] == "discover" {
        arguments.extend(["--out", &out]);
    }
    let mut ran = run(&arguments);
    if command[0] == "discover" {
        ran.out = std::fs::read_to_string(folder.path().join("out/shop.md")).unwrap();
    }
    ran
}

fn check(flows: &str, kube: &str, status: u8, told: &str) {
    let ran = asked(&["preflight"], flows, &steady(), kube);
    let (out, told) = (ran.out.split_whitespace().collect::<Vec<_>>().join(" "), told);
    assert!(ran.status == status && out.contains(told), "preflight {}: {}", ran.status, ran.out);
    let ran = asked(&["discover"], flows, &steady(), kube);
    assert_eq!((ran.status, ran.out.contains("**Ready to sign.**")), (status, false), "{}{}", ran.out, ran.err);
}

#[test]
fn a_feed_that_hardly_spoke_covers_little() {
    check(&flows("node-a", [0, 120, 239]), "", 3, "coverage of flows 1 % of the window (0.0 h of 4.0 h)");
    check(&flows("node-a", 0..240), "", 0, "coverage of flows 100 % of the window (4.0 h of 4.0 h)");
}

#[test]
fn a_node_whose_exporter_died_is_not_hidden_by_another() {
    let both = flows("node-a", 0..240) + &flows("node-b", 0..60);
    check(&both, "", 3, "1 of 2 sources cover too little, node-b 25 % of the window");
    let alive = nodes(&[("node-a", "2026-01-01T00:00:00Z"), ("node-b", "2026-01-01T00:00:00Z")]);
    check(&both, &alive, 3, "node-b 25 % of the window");
    // A node that is gone from the objects, or joined later, was whole while it lived.
    check(&both, &nodes(&[("node-a", "2026-01-01T00:00:00Z")]), 0, "each of 2 sources covers 100 % of the window");
    let late = flows("node-a", 0..240) + &flows("node-b", 180..240);
    check(&late, &nodes(&[("node-a", "2026-01-01T00:00:00Z"), ("node-b", "2026-03-02T03:00:00Z")]), 0, "each of 2");
}

#[test]
fn a_node_without_any_flow_is_missed() {
    let kube = nodes(&[("node-a", "2026-01-01T00:00:00Z"), ("node-c", "2026-01-01T00:00:00Z")]);
    check(&flows("node-a", 0..240), &kube, 3, "no flows of 1 of 2 nodes: node-c");
    let ran = asked(&["discover"], &flows("node-a", 0..240), &steady(), &kube);
    assert!(ran.out.contains("1 node without a source of flows"), "{}", ran.out);
}

#[test]
fn answers_and_connections_outside_of_the_window_accuse_nobody() {
    // Asked and used before the window.
    let before: &[(i64, &str, &[&str], &str)] = &[(-300, "old.example.org", &[], "93.184.215.99")];
    let capture = [capture(before), steady()].concat();
    let ran = asked(&["discover"], &(flow("node-a", -299, "93.184.215.99") + &flows("node-a", 0..240)), &capture, "");
    assert!(!ran.out.contains("old.example.org"), "{}", ran.out);
}

#[test]
fn a_name_that_a_connection_may_have_been_for_is_doubted_and_was_not_asked_in_vain() {
    let answers: &[(i64, &str, &[&str], &str)] =
        &[(0, "evil.trycloudflare.com", &[], "93.184.215.14"), (1, "good.example.org", &[], "93.184.215.14")];
    let ran = asked(&["discover"], &flows("node-a", [2]), &capture(answers), "");
    assert!(!ran.out.contains("nothing connected to it"), "{}", ran.out);
    assert!(ran.out.contains("may have been for evil.trycloudflare.com"), "{}", ran.out);
}

#[test]
fn an_alias_of_the_cluster_to_a_host_outside_is_outside() {
    let answers: &[(i64, &str, &[&str], &str)] =
        &[(0, "ext.shop.svc.cluster.local", &["api.partner.example.org"], "93.184.215.14")];
    let ran = asked(&["discover"], &flows("node-a", [1]), &capture(answers), "");
    assert!(ran.out.contains("1 unclassified"), "{}", ran.out);
    let inside: &[(i64, &str, &[&str], &str)] = &[(0, "db.shop.svc.cluster.local", &[], "93.184.215.14")];
    let ran = asked(&["discover"], &flows("node-a", [1]), &capture(inside), "");
    assert!(!ran.out.contains("1 unclassified"), "{}", ran.out);
}

#[test]
fn an_alias_lends_its_name_only_to_a_search_suffix() {
    let check = |asked_name: &str, alias: &str, named: &str| {
        let answers: &[(i64, &str, &[&str], &str)] = &[(0, asked_name, &[alias], "93.184.215.14")];
        let folder = folder(&[("flows.log", flows("node-a", [1]).as_bytes()), ("dns.fstrm", &capture(answers))]);
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let out = at("rows.csv");
        run(&["attribute", "--flows", &at("flows.log"), "--dns", &at("dns.fstrm"), "--out", &out]);
        let rows = std::fs::read_to_string(out).unwrap();
        assert!(rows.lines().nth(1).is_some_and(|row| row.split(',').any(|cell| cell == named)), "{rows}");
    };
    check("api.stripe.com.shop.svc.cluster.local", "api.stripe.com", "api.stripe.com");
    check("api.stripe.com.eu-west-1.compute.internal", "api.stripe.com", "api.stripe.com");
    check("api.stripe.com.attacker.net", "api.stripe.com", "api.stripe.com.attacker.net");
    check("api.stripe.com.x.svc.attacker.net", "api.stripe.com", "api.stripe.com.x.svc.attacker.net");
}

#[test]
fn a_document_of_a_namespace_that_is_gone_does_not_stay() {
    let elsewhere = flows("node-a", [1]).replace("\"shop\"", "\"bygone\"");
    let folder = folder(&[
        ("one.log", (flows("node-a", [1]) + &elsewhere).as_bytes()),
        ("two.log", flows("node-a", [1]).as_bytes()),
        ("out/notes.md", b"mine"),
    ]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let discover = |flows: &str| run(&["discover", "--flows", &at(flows), "--out", &at("out")]);
    discover("one.log");
    assert!(folder.path().join("out/bygone.md").is_file() && folder.path().join("out/shop.md").is_file());
    discover("two.log");
    assert!(!folder.path().join("out/bygone.md").exists() && folder.path().join("out/shop.md").is_file());
    assert!(folder.path().join("out/notes.md").is_file());
}
