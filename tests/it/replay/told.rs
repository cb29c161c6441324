//! Labels of namespaces and accounts of pods as flow records tell them, without objects and against them.

use serde_json::{Value, json};

use crate::support::{folder, run};

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {team: blue}}}]}]
";

fn end(namespace: &str, more: &[&str]) -> Value {
    let mut labels = vec![format!("k8s:io.kubernetes.pod.namespace={namespace}"), "k8s:app=web".to_owned()];
    labels.extend(more.iter().map(|label| format!("k8s:{label}")));
    json!({"identity": 1000, "namespace": namespace, "pod_name": format!("{namespace}-0"), "labels": labels})
}

fn record(hour: u8, server: &[&str]) -> String {
    let time = format!("2026-03-01T{hour:02}:00:00Z");
    json!({"node_name": "n1", "time": time, "flow": {
        "time": time, "uuid": format!("u{hour}"), "verdict": "FORWARDED", "is_reply": false,
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40_000 + u16::from(hour), "destination_port": 80}},
        "source": end("shop", &[]), "destination": end("pay", server),
        "Type": "L3_L4", "node_name": "n1", "event_type": {"type": 4, "sub_type": 3}}})
    .to_string()
}

const NAME: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=pay";
const BLUE: &str = "io.cilium.k8s.namespace.labels.team=blue";
const RED: &str = "io.cilium.k8s.namespace.labels.team=red";

/// Passed, broken and undecidable connections, and what is said of the source.
fn ask(policy: &str, records: &[String], kube: Option<&str>, stored: bool) -> ([u64; 3], String) {
    let files = folder(&[
        ("flows.ndjson", records.join("\n").as_bytes()),
        ("kube.yaml", kube.unwrap_or_default().as_bytes()),
        ("policy.yaml", policy.as_bytes()),
    ]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let (flows, policies, kube_file, store) =
        (format!("hubble:{}", path("flows.ndjson")), path("policy.yaml"), path("kube.yaml"), path("store"));
    let profile = if policy.contains("cilium.io") { "cilium" } else { "calico" };
    let mut args = vec!["replay", "--policies", &policies, "--profile", profile, "--format", "json"];
    if stored {
        assert_eq!(run(&["import", "--store", &store, "--flows", &flows]).status, 0);
        args.extend(["--store", &store]);
    } else {
        args.extend(["--flows", &flows]);
    }
    if kube.is_some() {
        args.extend(["--kube", &kube_file]);
    }
    let ran = run(&args);
    let answer: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let count = |key: &str| answer["totals"][key].as_u64().unwrap_or_else(|| panic!("{answer}"));
    let said = answer["caveats"].as_array().unwrap().iter().filter_map(Value::as_str);
    let said = said.filter(|text| text.starts_with("labels of namespaces")).collect();
    ([count("allowed") + count("not_isolated"), count("would_break"), count("undecidable")], said)
}

#[test]
fn labels_of_namespaces_are_those_of_the_flows_time() {
    let at = [record(1, &[NAME, BLUE]), record(2, &[NAME, RED]), record(3, &[NAME])];
    for stored in [false, true] {
        let (counts, said) = ask(POLICY, &at, None, stored);
        // The third may have the label and keep it out of records.
        assert_eq!(counts, [1, 1, 1], "{stored}");
        assert!(said.contains("alone for 1 of the namespaces"), "{said}");
    }
    // The object knows today's label; the record the one of then.
    let kube = "apiVersion: v1\nkind: Namespace\nmetadata: {name: pay, labels: {team: blue}}\n";
    let (counts, said) = ask(POLICY, &at, Some(kube), false);
    assert_eq!(counts, [2, 1, 0]);
    assert!(said.contains("with --kube behind them for 1"), "{said}");
    // Nothing is said where nobody asks.
    let (counts, said) = ask(&POLICY.replace("team: blue", "kubernetes.io/metadata.name: pay"), &at, None, false);
    assert_eq!((counts, said.as_str()), ([3, 0, 0], ""));
    // Without any such label in the records, as before.
    let (counts, said) = ask(POLICY, &[record(1, &[])], None, false);
    assert_eq!((counts, said.as_str()), ([0, 0, 1], ""));
}

#[test]
fn accounts_are_those_of_the_records() {
    let policy = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  endpointSelector: {}
  egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': pay, io.cilium.k8s.policy.serviceaccount: till}}]}]
";
    let account = |name: &str| format!("io.cilium.k8s.policy.serviceaccount={name}");
    let check = |labels: &[&str], expected: [u64; 3]| {
        assert_eq!(ask(policy, &[record(1, labels)], None, false).0, expected, "{labels:?}");
    };
    check(&[&account("till")], [1, 0, 0]);
    check(&[&account("other")], [0, 1, 0]);
    check(&[], [0, 0, 1]);
}
