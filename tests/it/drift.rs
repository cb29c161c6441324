//! Drift: what counts as new, gone, changed, and what is only silent.

use std::path::Path;

use egress_atlas::report::json::{NamespaceDocument, PeerDocument};
use egress_atlas::report::{AtlasDocument, Change, ChangeKind, Drift, drift, drift_csv, drift_markdown, drift_text};

use crate::support::run;

fn baseline() -> AtlasDocument {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery/atlas.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn shop(document: &mut AtlasDocument) -> &mut NamespaceDocument {
    document.clusters.get_mut("prod-eu").unwrap().namespaces.get_mut("shop").unwrap()
}

fn is_named(peer: &PeerDocument, wanted: &str) -> bool {
    matches!(peer, PeerDocument::Name { name } if name == wanted)
}

fn rename(document: &mut AtlasDocument, from: &str, to: &str) {
    for edge in &mut shop(document).egress {
        if is_named(&edge.peer, from) {
            edge.peer = PeerDocument::Name { name: to.to_owned() };
        }
    }
}

fn remove(document: &mut AtlasDocument, name: &str) {
    shop(document).egress.retain(|edge| !is_named(&edge.peer, name));
}

fn only(found: &Drift) -> &Change {
    assert_eq!(found.changes.len(), 1, "{}", drift_text(found, 100));
    &found.changes[0]
}

const ASSETS: &str = "assets.shop.example.com";

#[test]
fn the_same_traffic_is_no_drift() {
    let found = drift(&baseline(), &baseline());
    assert!(found.changes.is_empty() && found.is_proven() && !found.has_drifted(), "{}", drift_text(&found, 100));
}

#[test]
fn a_destination_that_the_baseline_lacks_is_new() {
    let mut before = baseline();
    remove(&mut before, ASSETS);
    let found = drift(&before, &baseline());
    let change = only(&found);
    assert_eq!((change.change, change.destination.as_str(), change.port), (ChangeKind::New, ASSETS, 443));
    assert_eq!(change.workloads, ["Deployment/search", "Deployment/storefront"]);
    assert!(found.has_drifted());
}

#[test]
fn a_destination_of_a_live_workload_under_live_flows_is_gone() {
    let mut now = baseline();
    remove(&mut now, ASSETS);
    // The demo has a gap on one node: with full coverage nothing excuses the silence.
    for source in &mut now.clusters.get_mut("prod-eu").unwrap().coverage {
        (source.covered_minutes, source.gaps) = (source.expected_minutes, Vec::new());
    }
    let found = drift(&baseline(), &now);
    assert_eq!(only(&found).change, ChangeKind::Gone);
    assert!(found.has_drifted());
}

#[test]
fn silence_is_not_proof() {
    let full = |document: &mut AtlasDocument| {
        for source in &mut document.clusters.get_mut("prod-eu").unwrap().coverage {
            (source.covered_minutes, source.gaps) = (source.expected_minutes, Vec::new());
        }
    };
    let check = |spoil: &dyn Fn(&mut AtlasDocument), reason: &str| {
        let mut now = baseline();
        remove(&mut now, ASSETS);
        full(&mut now);
        spoil(&mut now);
        let found = drift(&baseline(), &now);
        let silent: Vec<&Change> =
            found.of_kind(ChangeKind::Silent).filter(|change| change.destination == ASSETS).collect();
        assert_eq!(silent.len(), 1, "{reason}: {}", drift_text(&found, 100));
        assert!(silent[0].details[0].contains(reason), "{:?}", silent[0].details);
        assert!(found.of_kind(ChangeKind::Gone).next().is_none() && !found.is_proven());
    };
    check(
        &|now| {
            let users = ["search", "storefront"];
            shop(now).egress.retain(|edge| !users.contains(&edge.workload.name.as_str()));
            shop(now).ingress.retain(|edge| !users.contains(&edge.workload.name.as_str()));
        },
        "not seen at all",
    );
    check(&|now| now.clusters.get_mut("prod-eu").unwrap().coverage[0].covered_minutes = 60, "% of their window");
    check(&|now| now.clusters.get_mut("prod-eu").unwrap().coverage.clear(), "no flows of this cluster");
    check(
        &|now| {
            for source in &mut now.clusters.get_mut("prod-eu").unwrap().coverage {
                source.first = Some("2026-03-02T22:00:00Z".to_owned());
            }
        },
        "so 23 h",
    );
    // A node whose exporter died takes its half of the traffic with it.
    let is_node_b =
        |source: &egress_atlas::report::json::Source| source.kind == "flows" && source.name.contains("node-b");
    check(
        &|now| now.clusters.get_mut("prod-eu").unwrap().coverage.retain(|source| !is_node_b(source)),
        "flows come from 1 sources, in the baseline from 2",
    );
    // Without answers a destination appears under its address.
    check(
        &|now| now.clusters.get_mut("prod-eu").unwrap().coverage.retain(|source| source.kind != "dns"),
        "no DNS answers in the current evidence",
    );
    check(
        &|now| {
            let sources = &mut now.clusters.get_mut("prod-eu").unwrap().coverage;
            for source in sources.iter_mut().filter(|source| source.kind == "dns") {
                source.covered_minutes = 60;
            }
        },
        "the current DNS answers cover",
    );
    // One of two users sleeps.
    check(
        &|now| {
            shop(now).egress.retain(|edge| edge.workload.name != "search");
            shop(now).ingress.retain(|edge| edge.workload.name != "search");
        },
        "Deployment/search not seen at all",
    );
}

#[test]
fn a_dead_feed_is_said_and_nothing_is_called_gone() {
    let mut now = baseline();
    now.clusters.remove("prod-eu");
    let found = drift(&baseline(), &now);
    assert!(found.of_kind(ChangeKind::Gone).next().is_none());
    assert!(
        found.coverage.iter().any(|worse| worse.cluster == "prod-eu" && worse.difference.contains("the feed is dead"))
    );
    assert!(!found.has_drifted() && !found.is_proven());
}

#[test]
fn an_address_that_gets_a_name_is_the_same_destination() {
    let mut before = baseline();
    for edge in &mut shop(&mut before).egress {
        if is_named(&edge.peer, "stock-cam.ddns.net") {
            edge.peer = PeerDocument::Address { address: edge.addresses.keys().next().unwrap().clone() };
        }
    }
    let found = drift(&before, &baseline());
    let change = only(&found);
    assert_eq!(change.change, ChangeKind::Changed);
    assert!(change.details[0].contains("it has a name now"), "{:?}", change.details);
    let back = drift(&baseline(), &before);
    assert!(only(&back).details[0].contains("are missing now"));
}

#[test]
fn what_changes_about_a_destination_is_named() {
    let mut now = baseline();
    for edge in &mut shop(&mut now).egress {
        if is_named(&edge.peer, "stock-cam.ddns.net") {
            let judgement = edge.judgement.as_mut().unwrap();
            judgement.findings[0].rule = "other_rule".to_owned();
            judgement.review.state = "approved".to_owned();
            edge.workload.name = "storefront".to_owned();
            edge.verdicts = [("denied".to_owned(), 36)].into();
        }
    }
    let found = drift(&baseline(), &now);
    insta::assert_snapshot!(only(&found).details.join("\n"), @r#"
also used by Deployment/storefront
suspected now: other_rule
no longer suspected: behaviour/beaconing
review approved, was pending
36 of 36 connections denied, none before
"#);
}

#[test]
fn every_form_says_the_same() {
    let (mut before, mut now) = (baseline(), baseline());
    remove(&mut before, ASSETS);
    rename(&mut now, "stock-cam.ddns.net", "evil|\u{1b}[2J.example");
    let found = drift(&before, &now);
    insta::assert_snapshot!(drift_text(&found, 100), @r#"
Baseline 2026-03-02 00:01 to 2026-03-02 23:40, current 2026-03-02 00:01 to 2026-03-02 23:40.
2 new, 0 changed, 1 gone, 0 silent (not proven gone).

CHANGE  NAMESPACE     DESTINATION                       PORT      WORKLOADS
new     prod-eu/shop  evil\u{7c}\u{1b}\u{5b}2J.example  8080/TCP  Deployment/search
         behaviour/beaconing, suspect/dynamic_dns (high); review pending
new     prod-eu/shop  assets.shop.example.com           443/TCP   Deployment/searc..yment/storefront
         16 connections, evidence pod
gone    prod-eu/shop  stock-cam.ddns.net                8080/TCP  Deployment/search
         behaviour/beaconing, suspect/dynamic_dns (high); review pending
"#);
    insta::assert_snapshot!(drift_markdown(&found), @r#"
# Drift since the baseline

Baseline 2026-03-02 00:01 to 2026-03-02 23:40, current 2026-03-02 00:01 to 2026-03-02 23:40: **2 new, 0 changed, 1 gone, 0 silent (not proven gone)**.

## New

Review each; what stays needs an entry in the allowlist, what is suspect needs an owner.

| Namespace      | Destination                        | Port     | Workloads                                    | Category     | Evidence | Review     | Connections | Last seen  | What                         |
| -------------- | ---------------------------------- | -------- | -------------------------------------------- | ------------ | -------- | ---------- | ----------: | ---------- | ---------------------------- |
| `prod-eu/shop` | `evil\u{7c}\u{1b}\u{5b}2J.example` | 8080/TCP | `Deployment/search`                          | unclassified | pod      | pending    |          36 | 2026-03-02 | behaviour/beaconing, suspect/dynamic\_dns (high); review pending |
| `prod-eu/shop` | `assets.shop.example.com`          | 443/TCP  | `Deployment/search`, `Deployment/storefront` | vendor       | pod      | not needed |          16 | 2026-03-02 | 16 connections, evidence pod |

## Gone

Candidates for removal from the allowlist.

| Namespace      | Destination          | Port     | Workloads           | Category     | Evidence | Review  | Connections | Last seen  | What |
| -------------- | -------------------- | -------- | ------------------- | ------------ | -------- | ------- | ----------: | ---------- | ---- |
| `prod-eu/shop` | `stock-cam.ddns.net` | 8080/TCP | `Deployment/search` | unclassified | pod      | pending |          36 | 2026-03-02 | behaviour/beaconing, suspect/dynamic\_dns (high); review pending |
"#);
    insta::assert_snapshot!(drift_csv(&found).unwrap(), @r#"
change,cluster,namespace,direction,destination,port,protocol,workloads,category,findings,severity,review,evidence,connections,first,last,details
new,prod-eu,shop,egress,evil|[2J.example,8080,TCP,Deployment/search,unclassified,behaviour/beaconing;suspect/dynamic_dns,high,pending,pod,36,2026-03-02T00:03:00.313912853Z,2026-03-02T23:23:01.568453889Z,
new,prod-eu,shop,egress,assets.shop.example.com,443,TCP,Deployment/search;Deployment/storefront,vendor,,,not needed,pod,16,2026-03-02T00:21:10.461590596Z,2026-03-02T20:22:19.233366056Z,
gone,prod-eu,shop,egress,stock-cam.ddns.net,8080,TCP,Deployment/search,unclassified,behaviour/beaconing;suspect/dynamic_dns,high,pending,pod,36,2026-03-02T00:03:00.313912853Z,2026-03-02T23:23:01.568453889Z,
"#);
}

#[test]
fn the_command_compares_folders_and_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    run(&["demo", "--out", &at("demo")]);
    let baseline = at("demo/discovery");
    let same = run(&["drift", "--baseline", &baseline, "--current", &baseline, "--format", "json"]);
    assert_eq!(same.status, 0, "{}{}", same.out, same.err);
    assert!(same.out.contains("egress-atlas-drift/1"));

    let mut traffic = vec!["drift".to_owned(), "--baseline".to_owned(), baseline.clone()];
    for cluster in ["prod-eu", "prod-us"] {
        for (flag, path) in [("--flows", "hubble"), ("--dns", "dns"), ("--kube", "kube.json")] {
            traffic.extend([flag.to_owned(), format!("{cluster}={}", at(&format!("demo/data/{cluster}/{path}")))]);
        }
    }
    traffic.extend(["--config".to_owned(), at("demo/data/egress-atlas.toml")]);
    traffic.extend(["--reviews".to_owned(), at("demo/data/reviews.toml")]);
    let read = run(&traffic.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(read.status, 0, "{}{}", read.out, read.err);

    let mut changed = self::baseline();
    remove(&mut changed, ASSETS);
    std::fs::create_dir(at("old")).unwrap();
    std::fs::write(at("old/atlas.json"), serde_json::to_vec(&changed).unwrap()).unwrap();
    let ran = run(&["drift", "--baseline", &at("old"), "--current", &baseline]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let ran = run(&["drift", "--baseline", &at("old"), "--current", &baseline, "--fail-on", "suspect"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = run(&["drift", "--baseline", &at("old"), "--current", &baseline, "--namespace", "payments"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = run(&["drift", "--baseline", &at("old"), "--current", &baseline, "--namespace", "nope"]);
    assert!(ran.status == 2 && ran.err.contains("--namespace `nope`"), "{}", ran.err);

    let missing = run(&["drift", "--baseline", &at("nowhere"), "--current", &baseline]);
    assert!(
        missing.status == 2 && missing.err.contains("give the folder that `discover --out` wrote"),
        "{}",
        missing.err
    );
    std::fs::write(at("old/atlas.json"), b"{\"schema\":\"egress-atlas/0\"}").unwrap();
    let other = run(&["drift", "--baseline", &at("old"), "--current", &baseline]);
    assert!(other.status == 2 && other.err.contains("`egress-atlas/0`"), "{}", other.err);
}
