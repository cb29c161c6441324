//! The soak gate, on flows that a policy shaped: clean, blocked, not enforced, not proven.

use serde_json::{Value, json};

use crate::support::{Ran, folder, run};

const POLICIES: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: egress-allowlist-cart, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cart}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: 198.51.100.0/24}}]
    ports: [{protocol: TCP, port: 443}]
";

/// One connection a minute from `from` (minutes after noon, before when negative) for `minutes`.
struct Traffic(Vec<Value>);

impl Traffic {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn every_minute(mut self, from: i64, minutes: i64, address: &str, verdict: &str) -> Self {
        for minute in from..from + minutes {
            let port = 30_000 + self.0.len();
            self.0.push(flow(minute, &time(minute, 1), address, port, verdict));
        }
        self
    }

    /// One connection that is seen every four minutes.
    fn long(mut self, from: i64, minutes: i64, address: &str) -> Self {
        for minute in (from..from + minutes).step_by(4) {
            self.0.push(flow(minute, &time(minute, 30), address, 29_999, "FORWARDED"));
        }
        self
    }

    fn soak(&self, more: &[&str]) -> Ran {
        let lines = self.0.iter().flat_map(|record| [record.to_string(), "\n".to_owned()]).collect::<String>();
        let folder = folder(&[("flows.json", lines.as_bytes()), ("policies.yaml", POLICIES.as_bytes())]);
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (flows, policies) = (at("flows.json"), at("policies.yaml"));
        let fixed =
            ["soak", "--flows", &flows, "--policies", &policies, "--since", "2026-03-02T12:00:00Z", "--for", "1h"];
        run(&[&fixed, more].concat())
    }
}

fn time(minute: i64, second: u32) -> String {
    let minute = 12 * 60 + minute;
    format!("2026-03-02T{:02}:{:02}:{second:02}Z", minute / 60, minute % 60)
}

fn flow(minute: i64, time: &str, address: &str, port: usize, verdict: &str) -> Value {
    let outside = json!({"identity": 2, "labels": ["reserved:world"]});
    json!({"flow": {
        "time": time,
        "uuid": format!("{minute}-{port}"),
        "verdict": verdict,
        "drop_reason_desc": if verdict == "DROPPED" { "POLICY_DENIED" } else { "" },
        "IP": {"source": "10.0.1.5", "destination": address, "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": port, "destination_port": 443, "flags": {"SYN": true}}},
        "source": {"identity": 4001, "namespace": "shop", "pod_name": "cart-7d9f6b5c4d-x2x4z",
            "labels": ["k8s:app=cart", "k8s:io.kubernetes.pod.namespace=shop"], "workloads": [{"name": "cart", "kind": "Deployment"}]},
        "destination": outside,
        "Type": "L3_L4", "node_name": "node-a", "traffic_direction": "EGRESS",
        "event_type": {"type": 4, "sub_type": 3}, "trace_observation_point": "TO_STACK",
        "is_reply": false
    }, "node_name": "node-a", "time": time})
}

const ALLOWED: &str = "198.51.100.7";
const OTHER: &str = "203.0.113.9";

#[test]
fn traffic_that_the_policies_allow_is_clean() {
    let ran = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").soak(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("clean: 1 namespace under policy"), "{}", ran.out);
}

#[test]
fn what_is_denied_is_named_with_its_remedy() {
    let traffic = Traffic::new()
        .every_minute(-60, 60, OTHER, "FORWARDED")
        .every_minute(-60, 120, ALLOWED, "FORWARDED")
        .every_minute(5, 50, OTHER, "DROPPED");
    let ran = traffic.soak(&[]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(ran.out, @r#"
NOT CLEAN: 1 namespace under policy, since 2026-03-02 12:00:00 until 2026-03-02 13:00:00.

NAMESPACE     ANSWER     PASSED  BLOCKED  LEAKED  OLDER  UNDECIDABLE  ENFORCEMENT
default/shop  NOT CLEAN      58       50       0      2            0  proven

default/shop: NOT CLEAN
  blocked  Deployment/cart to 203.0.113.9 443/TCP: 50 connections denied, in use before, last
           2026-03-02 12:54:01. no rule comes close: allow 203.0.113.9 at 443/TCP
  doubt    Deployment/cart fell silent towards 203.0.113.9 443/TCP: 60 connections in the same span
           before, none since
"#);
    let json: Value = serde_json::from_str(&traffic.soak(&["--format", "json"]).out).unwrap();
    let blocked = &json["namespaces"][0]["blocked"][0];
    assert_eq!(
        (&blocked["connections"], &blocked["used_before"], &blocked["fault"]),
        (&50.into(), &true.into(), &"policies".into())
    );
    assert_eq!(json["outcome"], "not-clean");
}

#[test]
fn traffic_that_must_have_been_stopped_says_that_nothing_is_enforced() {
    let ran =
        Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").every_minute(5, 50, OTHER, "FORWARDED").soak(&[]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("NOT ENFORCED") && ran.out.contains("leak"), "{}", ran.out);
}

#[test]
fn what_began_before_the_change_or_while_it_spread_proves_nothing() {
    let traffic = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").long(-50, 100, OTHER).every_minute(
        0,
        1,
        OTHER,
        "FORWARDED",
    );
    let ran = traffic.soak(&["--format", "json"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    // The long one, that of the first minute, and those allowed ones that began before the change had spread.
    assert!(json["namespaces"][0]["spanning"].as_u64().unwrap() >= 2, "{}", ran.out);
    assert_eq!(json["namespaces"][0]["leaks"], json!([]));
}

#[test]
fn denials_that_these_policies_do_not_explain_are_not_clean() {
    let ran = Traffic::new()
        .every_minute(-60, 120, ALLOWED, "FORWARDED")
        .every_minute(5, 50, "198.51.100.8", "DROPPED")
        .soak(&[]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("these policies allow it: another policy"), "{}", ran.out);
}

#[test]
fn silence_is_not_health() {
    let check = |traffic: Traffic, reason: &str| {
        let ran = traffic.soak(&[]);
        assert_eq!(ran.status, 3, "{reason}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(reason), "{reason}: {}", ran.out);
    };
    // The span is not over, or the feed died in it.
    check(Traffic::new().every_minute(-60, 90, ALLOWED, "FORWARDED"), "the flows cover 0.5 h of the 1.0 h asked for");
    // The feed lives, the workload does not.
    let mut other = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED");
    for record in other.0.iter_mut().skip(60) {
        record["flow"]["source"]["namespace"] = "blog".into();
        record["flow"]["source"]["workloads"][0]["name"] = "press".into();
        record["flow"]["source"]["pod_name"] = "press-7d9f6b5c4d-x2x4z".into();
        record["flow"]["source"]["labels"] = json!(["k8s:app=press", "k8s:io.kubernetes.pod.namespace=blog"]);
        record["flow"]["IP"]["source"] = "10.0.1.6".into();
    }
    check(other, "no sign of life since the change from Deployment/cart");
    // Denials that the exporter does not record show as silence alone.
    check(
        Traffic::new().every_minute(-60, 60, OTHER, "FORWARDED").every_minute(-60, 120, ALLOWED, "FORWARDED"),
        "Deployment/cart fell silent towards 203.0.113.9 443/TCP",
    );
    // Nothing at all.
    check(
        Traffic::new().every_minute(-60, 30, ALLOWED, "FORWARDED"),
        "no connection of this namespace since the change",
    );
}

#[test]
fn the_probe_is_proof_and_no_damage() {
    let mut traffic =
        Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").every_minute(5, 1, "1.1.1.1", "DROPPED");
    let probe = traffic.0.last_mut().unwrap();
    probe["flow"]["source"]["pod_name"] = "egress-atlas-probe-x2x4z".into();
    probe["flow"]["source"]["workloads"] = json!([{"name": "egress-atlas-probe", "kind": "Job"}]);
    probe["flow"]["IP"]["source"] = "10.0.1.7".into();
    let ran = traffic.soak(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("proven"), "{}", ran.out);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let traffic = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED");
    let check = |more: &[&str], part: &str| {
        let ran = traffic.soak(more);
        assert!(ran.status == 2 && ran.err.contains(part), "{}", ran.err);
    };
    check(&["--grace", "2h"], "the soak is over before the change has spread");
    check(&["--baseline", "/nowhere"], "give the folder that `discover --out` wrote");
}
