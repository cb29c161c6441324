//! `investigate`: what the evidence says about one target, and when it says nothing.

use crate::support::{Ran, fixture, run};

struct Demo(tempfile::TempDir);

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(&["demo", "--out", folder.path().to_str().unwrap()]).status, 0);
        Self(folder)
    }

    /// Runs `investigate` on both clusters of the demo.
    fn investigate(&self, arguments: &[&str]) -> Ran {
        let path = |name: &str| self.0.path().join("data").join(name).display().to_string();
        let mut all = vec!["investigate".to_owned()];
        all.extend(arguments.iter().map(ToString::to_string));
        for cluster in ["prod-eu", "prod-us"] {
            for (flag, rest) in [("--flows", "hubble"), ("--dns", "dns/coredns.fstrm"), ("--kube", "kube.json")] {
                all.extend([flag.to_owned(), format!("{cluster}={}", path(&format!("{cluster}/{rest}")))]);
            }
        }
        all.extend(["--config".to_owned(), path("egress-atlas.toml"), "--reviews".to_owned(), path("reviews.toml")]);
        run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ran = self.investigate(&[arguments, &["--format", "json"]].concat());
        assert_eq!(ran.status, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }
}

#[test]
fn a_name_is_answered_on_one_screen() {
    let ran = Demo::new().investigate(&["webhook.site"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
    insta::assert_snapshot!(ran.out, @r#"
webhook.site  name
2 connections: 2 to it; 1 client and 1 server; 2026-03-02 10:15:12 to 2026-03-02 10:24:11; none
denied.
No window was asked; the evidence reaches from 2026-03-02 00:01:06 to 2026-03-02 23:40:15; 1 gap,
1,482 events reported lost.

When
····················█···························
2026-03-02 00:00:00          2026-03-02 23:30:00
each mark 30 min, at most 2 connections began in one; · nothing seen

Who with whom
CLIENT                     SERVER           PORT  CONN  DENIED  EVIDENCE  FIRST   LAST      TIMELINE
payments/set..ment-worker  webhook.site  443/TCP     2       0  pod       10:15  10:24  ·····█······

What it is
webhook.site
  unclassified (no rule knows it (top-level domain .site is often abused))
  high webhook_receiver: request inbox; used by the 2025 npm worm to take out secrets [T1567.004]
  review in payments: rejected by team-payments

Names, by the answers
NAME          ADDRESSES      ANSWERS  FIRST   LAST
webhook.site  178.63.67.106        2  10:15  10:24

Addresses, by the answers
ADDRESS        NAMES         ANSWERS  FIRST   LAST
178.63.67.106  webhook.site        2  10:15  10:24

What the same pods did within 10 min
CLIENT                      SERVER                 PORT  CONN  DENIED  NEAREST  FIRST   LAST
payments/settlement-worker  kube-system/coredns  53/UDP     1       0    0 min  10:24  10:24

Connections, the earliest first
    TIME  CLIENT                                     SERVER            VERDICT  EVIDENCE  ANSWER AGE
10:15:12  payments/settlement-..er-7w4dqhdp8q-n9j8v  webhook.site:443  allowed  pod            0.0 s
10:24:09  payments/settlement-..er-7w4dqhdp8q-n9j8v  webhook.site:443  allowed  pod            0.0 s

note: Counts are connections, whatever the number of records that tell of each; the flow records
      read here carry no bytes, so volumes are not known.
"#);
}

#[test]
fn every_kind_of_target_finds_the_same_connections() {
    let demo = Demo::new();
    let connections = |target: &str| demo.json(&[target])["totals"]["connections"].as_u64().unwrap();
    let by_name = connections("webhook.site");
    assert!(by_name > 0);
    assert_eq!(connections("*.site"), by_name);
    assert_eq!(connections("178.63.67.106"), by_name);
    assert_eq!(connections("178.63.67.0/24"), by_name);
    let workload = demo.json(&["payments/Deployment/settlement-worker", "--in-cluster", "prod-eu"]);
    assert_eq!(workload["target"]["kind"], "workload");
    let pair = |document: &serde_json::Value| {
        let pairs = document["pairs"].as_array().unwrap();
        pairs
            .iter()
            .find(|pair| pair["edge"]["peer"]["name"] == "webhook.site")
            .map(|pair| pair["edge"]["connections"].clone())
    };
    assert_eq!(pair(&workload).and_then(|count| count.as_u64()), Some(by_name));
    let pod = workload["connections"]["rows"][0]["client"].as_str().unwrap().to_owned();
    assert_eq!(demo.json(&[&pod])["target"]["kind"], "pod");
    let namespace = demo.json(&["payments"]);
    assert_eq!(namespace["target"]["kind"], "namespace");
    assert!(namespace["around"].is_null() && pair(&namespace).is_some());
    assert!(demo.json(&["webhook.site", "--in-cluster", "prod-us"])["totals"]["connections"] == 0);
}

#[test]
fn sums_agree_with_each_other_and_with_the_baseline() {
    let demo = Demo::new();
    let document = demo.json(&["shop", "--in-cluster", "prod-eu"]);
    let sum = |values: &serde_json::Value| {
        values.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    let all = document["totals"]["connections"].as_u64().unwrap();
    let pairs = document["pairs"].as_array().unwrap();
    assert_eq!(pairs.iter().map(|pair| pair["edge"]["connections"].as_u64().unwrap()).sum::<u64>(), all);
    let began = document["timeline"]["buckets"].as_array().unwrap().iter();
    assert_eq!(began.map(|bucket| bucket["began"].as_u64().unwrap()).sum::<u64>(), all);
    assert_eq!(sum(&document["totals"]["verdicts"]), all);
    assert_eq!(document["connections"]["rows"].as_array().unwrap().len() as u64, all);
    let atlas = std::fs::read_to_string(demo.0.path().join("discovery/atlas.json")).unwrap();
    let atlas: serde_json::Value = serde_json::from_str(&atlas).unwrap();
    for edge in atlas["clusters"]["prod-eu"]["namespaces"]["shop"]["egress"].as_array().unwrap() {
        let same = pairs.iter().find(|pair| {
            ["workload", "peer", "port", "protocol"].iter().all(|key| pair["edge"][key] == edge[key])
                && pair["namespace"] == "shop"
        });
        let same = same.unwrap_or_else(|| panic!("no pair for {}", edge["peer"]));
        for key in ["connections", "grades", "verdicts", "first", "last", "addresses", "candidates", "chains"] {
            assert_eq!(same["edge"][key], edge[key], "{key} of {}", edge["peer"]);
        }
        // How sure a finding is may rest on what else the namespace asked, which an investigation does not read.
        for key in ["category", "rule", "label", "review"] {
            assert_eq!(same["edge"]["judgement"][key], edge["judgement"][key], "{key} of {}", edge["peer"]);
        }
        let rules = |edge: &serde_json::Value| -> Vec<String> {
            let findings = edge["judgement"]["findings"].as_array().unwrap().iter();
            findings.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(rules(&same["edge"]), rules(edge), "findings of {}", edge["peer"]);
    }
}

#[test]
fn surroundings_and_siblings_are_told() {
    let demo = Demo::new();
    let document = demo.json(&["stock-cam.ddns.net", "--around", "30m"]);
    let around = document["around"]["rows"].as_array().unwrap();
    assert!(!around.is_empty());
    assert!(around.iter().all(|row| row["nearest_minutes"].as_u64().unwrap() <= 30));
    assert!(around.iter().all(|row| row["server"]["name"] != "stock-cam.ddns.net"));
    // Two names of the demo share the addresses of one content network.
    let shared = demo.json(&["assets.shop.example.com"]);
    let siblings = shared["sibling_names"].as_array().unwrap();
    assert!(siblings.iter().any(|row| row["name"] == "media.shop.example.com"), "{siblings:?}");
    let roles = &demo.json(&["media.shop.example.com"])["totals"];
    assert!(roles["possibly_to_target"].as_u64().unwrap() + roles["to_target"].as_u64().unwrap() > 0, "{roles}");
}

#[test]
fn nothing_found_is_proven_or_not() {
    let demo = Demo::new();
    let known = demo.investigate(&["webhok.site"]);
    assert_eq!(known.status, 0);
    assert!(
        known.out.contains("Nothing in covered time")
            && known.out.replace('\n', " ").contains("Did you mean: webhook.site?"),
        "{}",
        known.out
    );
    let window = ["--since", "2026-02-20T00:00:00Z", "--until", "2026-03-03T00:00:00Z"];
    let uncovered = demo.investigate(&[&["nothing.example"], &window[..]].concat());
    assert_eq!(uncovered.status, 3, "{}", uncovered.err);
    assert!(uncovered.out.contains("that proves nothing"), "{}", uncovered.out);
    let found = demo.investigate(&[&["webhook.site"], &window[..]].concat());
    assert_eq!(found.status, 0);
    assert!(found.out.contains("is NOT covered") && found.out.contains('×'), "{}", found.out);
    let elsewhere = demo.investigate(&["webhook.site", "--in-cluster", "prod-xx"]);
    assert_eq!(elsewhere.status, 3, "{}", elsewhere.out);
    for (target, reason) in [("a b", "neither a name nor an address"), ("10.0.0.1/8", "host bits are set")] {
        let ran = demo.investigate(&[target]);
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains(reason), "{}", ran.err);
    }
}

#[test]
fn threads_and_forms_change_nothing() {
    let demo = Demo::new();
    let one = demo.investigate(&["platform", "--threads", "1", "--format", "json"]).out;
    assert_eq!(demo.investigate(&["platform", "--threads", "5", "--format", "json"]).out, one);
    let csv = demo.investigate(&["webhook.site", "--format", "csv"]).out;
    assert!(csv.starts_with("first,last,role,cluster,client,client_ip,"), "{csv}");
    let markdown = demo.investigate(&["webhook.site", "--format", "markdown"]).out;
    assert!(markdown.starts_with("# Investigation of `webhook.site`\n"), "{markdown}");
}

#[test]
fn real_captures_are_investigated_too() {
    let Some(file) = std::fs::read_dir(fixture("hubble")).unwrap().filter_map(Result::ok).find(|entry| {
        entry.file_name().to_string_lossy().contains("flows")
            || entry.path().extension().is_some_and(|kind| kind == "json")
    }) else {
        panic!("no fixture of Hubble flows")
    };
    let ran = run(&["investigate", "kube-system", "--flows", &file.path().display().to_string()]);
    assert!(matches!(ran.status, 0 | 3), "{}", ran.err);
    assert!(ran.out.contains("kube-system"), "{}", ran.out);
}
