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

#[test]
fn a_baseline_is_replayed_with_less_certainty() {
    let folder = data();
    let path = |name: &str| format!("prod-eu={}", folder.path().join("prod-eu").join(name).display());
    let out = folder.path().join("discovery").display().to_string();
    let discovered = run(&[
        "discover",
        "--flows",
        &path("hubble"),
        "--dns",
        &path("dns"),
        "--kube",
        &path("kube.json"),
        "--out",
        &out,
    ]);
    assert_eq!(discovered.status, 0, "{}", discovered.err);
    let file = folder.path().join("policies.yaml");
    let from_baseline = |policies: &str| {
        std::fs::write(&file, policies).unwrap();
        run(&[
            "replay",
            "--baseline",
            &out,
            "--policies",
            &file.display().to_string(),
            "--profile",
            "cilium",
            "--format",
            "json",
        ])
    };
    let count = |ran: &Ran, key: &str| {
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        value["totals"][key].as_u64().unwrap()
    };
    let baseline = from_baseline(POLICIES);
    let traffic = replay(folder.path(), POLICIES, &["--format", "json"]);
    assert_eq!((baseline.status, traffic.status), (1, 1), "{}", baseline.err);
    assert!(baseline.out.contains("a baseline keeps less"));
    // The demo's policies ask for nothing that a baseline lacks, but for the pods of edges with denials.
    assert_eq!(count(&baseline, "undecidable"), 0, "{}", baseline.out);
    let all = |ran: &Ran| {
        ["not_isolated", "allowed", "would_break", "already_denied"].iter().map(|key| count(ran, key)).sum::<u64>()
    };
    assert_eq!(all(&baseline), all(&traffic), "{}", baseline.out);
    assert_eq!(count(&baseline, "would_break"), count(&traffic, "would_break"));
    let ran = run(&["replay", "--baseline", "/nowhere", "--policies", &file.display().to_string()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("give the folder that `discover --out` wrote"), "{}", ran.err);
}

#[test]
fn a_rule_for_the_world_is_no_remedy_and_a_rule_for_nobody_is_not_unused() {
    let folder = data();
    let policies = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: default-deny-egress, namespace: payments}
spec: {endpointSelector: {}, egress: [{toEntities: [none]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: time, namespace: payments}
spec:
  endpointSelector: {}
  egress: [{toCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}], toPorts: [{ports: [{port: '123', protocol: UDP}]}]}]
";
    let ran = replay(folder.path(), policies, &[]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    // To add 443 to the rule for time servers would let the pod reach every address there is.
    assert!(ran.out.contains("no rule comes near") && !ran.out.contains("at another"), "{}", ran.out);
    // What only closes has nothing to let through.
    assert!(ran.out.contains("Unused rules: 1 of 1"), "{}", ran.out);
}

#[test]
fn a_baseline_that_does_not_cover_what_was_asked_proves_nothing() {
    let folder = data();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery/atlas.json");
    let mut atlas: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: payments}\nspec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}\n";
    std::fs::write(folder.path().join("open.yaml"), open).unwrap();
    let policies = folder.path().join("open.yaml").display().to_string();
    let baseline = folder.path().join("atlas.json").display().to_string();
    let mut check = |since: serde_json::Value, until: serde_json::Value, status: u8| {
        (atlas["window"]["since"], atlas["window"]["until"]) = (since, until);
        for source in atlas["clusters"]["prod-eu"]["coverage"].as_array_mut().unwrap() {
            source["expected_minutes"] = 10_080.into();
        }
        std::fs::write(&baseline, atlas.to_string()).unwrap();
        let ran = run(&["replay", "--baseline", &baseline, "--policies", &policies]);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
    };
    check(serde_json::Value::Null, serde_json::Value::Null, 0);
    check("2026-02-24T00:00:00Z".into(), "2026-03-03T00:00:00Z".into(), 3);
}
