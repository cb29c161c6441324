//! The command on the demo's data.

use std::path::Path;

use egress_atlas::simulate::demo;

use crate::support::{Ran, run};

const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: payments}
spec: {podSelector: {}, policyTypes: [Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: payments}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ledger, namespace: payments}
spec:
  podSelector: {matchLabels: {app: charges-api}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: ledger}}}]
    ports: [{port: 1}]
  - to: [{podSelector: {matchLabels: {app: nobody}}}]
";

fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in demo().files {
        let path = folder.path().join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.bytes).unwrap();
    }
    folder
}

fn replay(folder: &Path, policies: &str, more: &[&str]) -> Ran {
    let file = folder.join("policies.yaml");
    std::fs::write(&file, policies).unwrap();
    let path = |name: &str| format!("prod-eu={}", folder.join("prod-eu").join(name).display());
    let (flows, dns, kube) = (path("hubble"), path("dns"), path("kube.json"));
    let file = file.display().to_string();
    let mut arguments =
        vec!["replay", "--policies", &file, "--flows", &flows, "--dns", &dns, "--kube", &kube, "--profile", "cilium"];
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn what_would_break_is_told_with_the_nearest_miss() {
    let folder = data();
    let ran = replay(folder.path(), POLICIES, &[]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    for expected in ["payments", "would break", "NetworkPolicy payments/default-deny", "Unused rules"] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    assert!(ran.out.lines().all(|line| line.chars().count() <= 120), "{}", ran.out);
}

#[test]
fn formats_agree() {
    let folder = data();
    let json = replay(folder.path(), POLICIES, &["--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let broken = value["totals"]["would_break"].as_u64().unwrap();
    assert!(broken > 0);
    let rows: u64 = value["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|workload| workload["would_break"].as_array().unwrap())
        .map(|row| row["connections"].as_u64().unwrap())
        .sum();
    assert_eq!(rows, broken);
    let csv = replay(folder.path(), POLICIES, &["--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let of_csv: u64 = reader
        .records()
        .map(|record| record.unwrap())
        .filter(|record| &record[4] == "would-break")
        .map(|record| record[11].parse::<u64>().unwrap())
        .sum();
    assert_eq!(of_csv, broken);
    let markdown = replay(folder.path(), POLICIES, &["--format", "markdown"]);
    assert!(markdown.out.starts_with("# Replay\n"));
}

#[test]
fn statuses() {
    let folder = data();
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: payments}\nspec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}\n";
    let check = |policies: &str, more: &[&str], status: u8, expected: &str| {
        let ran = replay(folder.path(), policies, more);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(expected), "{expected}: {}", ran.err);
    };
    check(open, &[], 0, "");
    check(
        open,
        &["--since", "2020-01-01T00:00:00Z", "--until", "2026-03-03T00:00:00Z"],
        3,
        "do not cover the asked window",
    );
    check(&open.replace("podSelector", "podSelecter"), &[], 2, "did you mean `podSelector`?");
    check("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", &[], 2, "no network policy in --policies: only Pod");
    check(open, &["--profile", "prod-eu=weave"], 2, "profiles are generic, cilium");
    let calico =
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {selector: all()}\n";
    check(calico, &[], 3, "some of the policies are not judged");
}

#[test]
fn a_policy_of_another_cluster_decides_nothing() {
    let folder = data();
    let deny = folder.path().join("deny.yaml");
    std::fs::write(&deny, POLICIES).unwrap();
    let other = format!("prod-us={}", deny.display());
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open, namespace: shop}\nspec: {podSelector: {}, ingress: [{}]}\n";
    let ran = replay(folder.path(), open, &["--policies", &other]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
}
