//! Ports of clients and types of ICMP are asked of the records by every command that judges traffic by policies.

use super::cluster::told;

/// The first line's client calls from port 40000, the next one's from 40001, and so on.
const LINES: [&str; 4] = [
    "x/a > 203.0.113.5 443/TCP = ",
    "x/a > 203.0.113.6 443/TCP = ",
    "x/a > 203.0.113.9 0/ICMP:8 = ",
    "x/a > 203.0.113.8 0/ICMP:13 = ",
];
const POLICY: &str = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: p}, spec: {selector: all(), types: [Egress], \
    egress: [{action: Allow, protocol: TCP, source: {ports: [40000]}}, {action: Allow, protocol: ICMP, icmp: {type: 8}}]}}";

#[test]
fn of_an_investigation() {
    for (address, answer) in [
        ("203.0.113.5", "allowed"),
        ("203.0.113.6", "would-break"),
        ("203.0.113.9", "allowed"),
        ("203.0.113.8", "would-break"),
    ] {
        let document = told(&["investigate", address], POLICY, &LINES, &[]);
        let answers = &document["policies"]["answers"];
        assert_eq!(answers, &serde_json::json!({answer: 1}), "{address}");
    }
}

#[test]
fn of_a_plan_from_traffic() {
    let document = told(&["plan"], POLICY, &LINES, &[]);
    let judged = document["judged"].as_object().unwrap().values().find(|judged| judged["would_break"] != 0);
    assert_eq!(judged, Some(&serde_json::json!({"passed": 2, "would_break": 2, "undecidable": 0})), "{document}");
}

/// What is missing is one message; the protocol alone would open every type.
#[test]
fn of_the_nearest_miss() {
    let check = |rules: &str, expected: &[Option<&str>]| {
        let policy = format!(
            "{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: p}}, spec: {{selector: all(), types: [Egress], egress: {rules}}}}}"
        );
        let lines = ["x/a > 203.0.113.8 0/ICMP:13 = ", "x/a > 203.0.113.9 0/ICMP:8:1 = "];
        let document = told(&["replay"], &policy, &lines, &[]);
        let broken = document["workloads"][0]["would_break"].as_array().unwrap();
        let told: Vec<Option<&str>> = broken
            .iter()
            .map(|row| row["nearest_miss"].as_str().map(|text| text.split_once(": ").unwrap().1))
            .collect();
        assert_eq!(told, expected, "{document}");
    };
    let to = "destination: {nets: [203.0.113.0/24]}";
    let by_type = format!("{{action: Allow, protocol: ICMP, icmp: {{type: 8, code: 0}}, {to}}}");
    let (first, second) = ("add ICMPv4 type 13 code 0", "add ICMPv4 type 8 code 1");
    check(&format!("[{by_type}]"), &[Some(first), Some(second)]);
    // No rule asks for types, so that nobody knows them.
    check(&format!("[{{action: Allow, protocol: TCP, {to}}}]"), &[None, None]);
}

/// A service with two addresses is one server, and its clients are not twice as many.
#[test]
fn of_a_service_with_two_addresses() {
    let lines = ["x/a > ip 10.96.0.11 5000/TCP = ", "x/a > ip fd00::11 5000/TCP = "];
    let document = told(&["investigate", "x/a"], POLICY, &lines, &[]);
    let pairs = document["pairs"].as_array().unwrap();
    let totals: Vec<_> = pairs.iter().map(|pair| (&pair["addresses_total"], &pair["pods_total"])).collect();
    assert_eq!(totals, [(&serde_json::json!(2), &serde_json::json!(1))], "{document}");
}
