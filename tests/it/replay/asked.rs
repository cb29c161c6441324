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
