//! The soak gate, on flows that a policy shaped: clean, blocked, not enforced, not proven.

use serde_json::{Value, json};

use egress_atlas::model::Timestamp;

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

    /// One connection to each of `days` before noon, at the same hour.
    fn at_noon(mut self, days: impl IntoIterator<Item = i64>, address: &str, verdict: &str) -> Self {
        for day in days {
            let port = 30_000 + self.0.len();
            self.0.push(flow(day * DAY + 20, &time(day * DAY + 20, 7), address, port, verdict));
        }
        self
    }

    fn soak(&self, more: &[&str]) -> Ran {
        self.soak_with(&[], more)
    }

    fn soak_with(&self, files: &[(&str, &str)], more: &[&str]) -> Ran {
        let lines = self.0.iter().flat_map(|record| [record.to_string(), "\n".to_owned()]).collect::<String>();
        let mut all = vec![("flows.json", lines.as_bytes()), ("policies.yaml", POLICIES.as_bytes())];
        all.extend(files.iter().map(|(name, text)| (*name, text.as_bytes())));
        let folder = folder(&all);
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (flows, policies) = (at("flows.json"), at("policies.yaml"));
        let fixed =
            ["soak", "--flows", &flows, "--policies", &policies, "--since", "2026-03-02T12:00:00Z", "--for", "1h"];
        let more: Vec<String> =
            more.iter().map(|word| word.strip_prefix('@').map_or_else(|| (*word).to_owned(), at)).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        run(&[&fixed, &more[..]].concat())
    }
}

/// Minutes after noon of Monday, 2026-03-02.
fn time(minute: i64, second: i64) -> String {
    const NOON: i64 = 1_772_452_800;
    Timestamp::from_nanos((NOON + 60 * minute + second) * 1_000_000_000).to_string()
}

const DAY: i64 = 1_440;

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
  note     compared with the span just before the change, at other hours: no earlier day is covered
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
    let traffic = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").long(-50, 51, OTHER).every_minute(
        0,
        1,
        OTHER,
        "FORWARDED",
    );
    let ran = traffic.soak(&["--format", "json"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    // The one that ended with the change, that of the first minute, and those allowed ones that began before it had spread.
    assert!(json["namespaces"][0]["spanning"].as_u64().unwrap() >= 2, "{}", ran.out);
    assert_eq!((&json["namespaces"][0]["leaks"], &json["namespaces"][0]["lingering"]), (&json!([]), &json!([])));
}

#[test]
fn an_older_connection_that_lives_on_is_no_leak_and_no_proof() {
    let check = |traffic: Traffic| {
        let ran = traffic.soak(&["--format", "json"]);
        assert_eq!(ran.status, 3, "{}{}", ran.out, ran.err);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        let namespace = &json["namespaces"][0];
        assert_eq!(namespace["leaks"], json!([]), "{}", ran.out);
        assert_eq!(namespace["lingering"][0]["peer"], OTHER, "{}", ran.out);
        let text = traffic.soak(&[]).out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("opened before the change, still in use"), "{text}");
    };
    check(Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").long(-50, 100, OTHER));
    // It speaks once in a quarter of an hour: its words after the change are not new connections.
    let mut seldom = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED");
    for minute in (-50..55).step_by(15) {
        seldom.0.push(flow(minute, &time(minute, 30), OTHER, 29_999, "FORWARDED"));
    }
    check(seldom);
    // One that the policies allow may live on.
    let ran = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").long(-50, 100, "198.51.100.8").soak(&[]);
    assert_eq!(ran.status, 0, "{}", ran.out);
}

#[test]
fn what_the_policies_stop_while_the_change_spreads_is_stopped() {
    let check = |traffic: Traffic| {
        let ran = traffic.soak(&["--format", "json"]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(json["namespaces"][0]["blocked"][0]["peer"], OTHER, "{}", ran.out);
    };
    // A job of the hour that hits the first minute.
    check(Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").every_minute(1, 1, OTHER, "DROPPED"));
    // An older connection that the change cuts, and that nobody opens again.
    let mut cut = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED").long(-50, 49, OTHER);
    cut.0.push(flow(3, &time(3, 0), OTHER, 29_999, "DROPPED"));
    check(cut);
}

/// A feed of two weeks: one allowed connection every ten minutes.
fn weeks() -> Traffic {
    let mut traffic = Traffic::new();
    for minute in (-14 * DAY..60).step_by(10).chain([59]) {
        let port = 30_000 + traffic.0.len() % 20_000;
        traffic.0.push(flow(minute, &time(minute, 1), ALLOWED, port, "FORWARDED"));
    }
    traffic
}

#[test]
fn silence_is_judged_by_the_same_hours_of_the_same_weekdays() {
    let other = "198.51.100.44";
    let soak = |traffic: Traffic| {
        let ran = traffic.soak(&["--format", "json"]);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        (ran.status, json["namespaces"][0].clone())
    };
    // Once a day at noon, on every workday: its absence on this one is a finding, though it is a single connection.
    let (status, namespace) = soak(weeks().at_noon([-14, -13, -12, -11, -10, -7, -6, -5, -4, -3], other, "FORWARDED"));
    assert_eq!((status, &namespace["outcome"]), (3, &json!("not-proven")), "{namespace}");
    assert_eq!(namespace["quiet"][0]["peer"], other, "{namespace}");
    assert!(
        namespace["compared_with"].as_str().unwrap().starts_with("the same hours of 14 earlier days"),
        "{namespace}"
    );
    // At other hours it is not due.
    let mut evening = weeks();
    for day in -14..0 {
        for minute in 0..12 {
            let minute = day * DAY + 8 * 60 + minute;
            let port = 55_000 + evening.0.len() % 4_000;
            evening.0.push(flow(minute, &time(minute, 3), other, port, "FORWARDED"));
        }
    }
    let (status, namespace) = soak(evening);
    assert_eq!((status, &namespace["quiet"]), (0, &json!([])), "{namespace}");
    // On weekends alone: a Monday owes nothing.
    let (status, namespace) = soak(weeks().at_noon([-9, -8, -2, -1], other, "FORWARDED"));
    assert_eq!((status, &namespace["quiet"]), (0, &json!([])), "{namespace}");
    // Now and then is no habit.
    let (status, namespace) = soak(weeks().at_noon([-11, -6], other, "FORWARDED"));
    assert_eq!((status, &namespace["quiet"]), (0, &json!([])), "{namespace}");
    // It came, and all is well.
    let (status, namespace) =
        soak(weeks().at_noon([-14, -13, -12, -11, -10, -7, -6, -5, -4, -3, 0], other, "FORWARDED"));
    assert_eq!((status, &namespace["quiet"]), (0, &json!([])), "{namespace}");
}

#[test]
fn a_day_that_no_feed_covers_is_not_compared_with() {
    // Nothing is recorded on the last three days before the change; without these the habit is plain.
    let mut traffic = weeks().at_noon([-14, -13, -12, -11, -10, -7, -6, -5], "198.51.100.44", "FORWARDED");
    let hole = time(-4 * DAY, 0)..time(-60, 0);
    traffic.0.retain(|record| !hole.contains(&record["time"].as_str().unwrap().to_owned()));
    let ran = traffic.soak(&["--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["namespaces"][0]["quiet"][0]["peer"], "198.51.100.44", "{}", ran.out);
}

const JOBS: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "settle", "namespace": "shop"}, "spec": {"schedule": "SCHEDULE"}}
]}"#;

#[test]
fn a_job_owes_a_sign_of_life_when_its_schedule_says_so() {
    let soak = |schedule: &str| {
        let jobs = JOBS.replace("SCHEDULE", schedule);
        weeks().soak_with(&[("kube.json", &jobs)], &["--kube", "@kube.json"])
    };
    let due = soak("30 12 2 * *");
    assert_eq!(due.status, 3, "{}", due.out);
    assert!(due.out.contains("no sign of life since the change from CronJob/settle"), "{}", due.out);
    let later = soak("30 12 3 * *");
    assert_eq!(later.status, 0, "{}", later.out);
    assert!(later.out.contains("CronJob/settle was not due; its next run is 2026-03-03 12:30:00 UTC"), "{}", later.out);
}

fn probe_pod(code: u8, finished: &str) -> String {
    json!({"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "egress-atlas-probe-x2x4z", "namespace": "shop"},
        "status": {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "finishedAt": finished}}}]}}]})
    .to_string()
}

#[test]
fn the_result_of_a_probe_is_read() {
    let soak = |code: u8, finished: &str| {
        Traffic::new()
            .every_minute(-60, 120, ALLOWED, "FORWARDED")
            .soak_with(&[("probe.json", &probe_pod(code, finished))], &["--probe", "@probe.json"])
    };
    let check = |code: u8, status: u8, parts: &[&str]| {
        let ran = soak(code, "2026-03-02T12:05:00Z");
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        assert!(parts.iter().all(|part| ran.out.contains(part)), "{}", ran.out);
    };
    check(0, 0, &["proven", "egress-atlas-probe-x2x4z was blocked"]);
    check(1, 1, &["NO-OP", "reached its canary", "NOT ENFORCED"]);
    check(2, 0, &["could not tell", "assumed"]);
    // One from before the change says nothing about these policies.
    let before = soak(1, "2026-03-02T11:55:00Z");
    assert_eq!(before.status, 0, "{}", before.out);
    let said = before.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("ended at 2026-03-02 11:55:00, outside of the soak, and proves nothing here"), "{said}");
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
    check(
        Traffic::new().every_minute(-60, 90, ALLOWED, "FORWARDED"),
        "the flows of node-a cover 0.5 h of the 1.0 h asked for",
    );
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

#[test]
fn policies_that_isolate_nothing_or_are_not_judged_prove_nothing() {
    let traffic = Traffic::new().every_minute(-60, 120, ALLOWED, "FORWARDED");
    let ran = traffic.soak(&[]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    // As after a typing error in the selector.
    let ran = traffic.soak_with(&[("policies.yaml", &POLICIES.replace("app: cart", "app: crat"))], &[]);
    assert!(ran.status == 3 && ran.out.contains("they isolate nothing here"), "{}", ran.out);
    let calico = "
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default-deny-egress, namespace: shop}
spec: {selector: all(), types: [Egress]}
";
    let ran = traffic.soak_with(&[("policies.yaml", &[POLICIES, calico].concat())], &["--profile", "cilium"]);
    assert!(ran.status == 3 && ran.out.contains("not judged"), "{}", ran.out);
}
