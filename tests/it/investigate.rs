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
        for key in ["connections", "grades", "verdicts", "first", "last", "days", "addresses", "candidates", "chains"] {
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
    // The demo has a gap and losses: what nobody saw may have happened there.
    let unknown = demo.investigate(&["webhok.site"]);
    assert_eq!(unknown.status, 3, "{}", unknown.err);
    let text = unknown.out.replace('\n', " ");
    assert!(text.contains("that is not proof: there are gaps or losses"), "{text}");
    assert!(text.contains("Did you mean: webhook.site?"), "{text}");
    assert!(unknown.err.contains("status 3: not proven: nothing was found, and there are gaps"), "{}", unknown.err);
    // Without them it is proof.
    let proven = demo.investigate(&["webhok.site", "--in-cluster", "prod-us"]);
    assert_eq!(proven.status, 0, "{}{}", proven.out, proven.err);
    assert!(proven.out.contains("Nothing in covered time"), "{}", proven.out);
    let window = ["--since", "2026-02-20T00:00:00Z", "--until", "2026-03-03T00:00:00Z"];
    let uncovered = demo.investigate(&[&["nothing.example"], &window[..]].concat());
    assert_eq!(uncovered.status, 3, "{}", uncovered.err);
    assert!(uncovered.out.contains("that proves nothing"), "{}", uncovered.out);
    let found = demo.investigate(&[&["webhook.site"], &window[..]].concat());
    assert_eq!(found.status, 3, "{}", found.err);
    assert!(found.err.contains("there may be more than was found"), "{}", found.err);
    assert!(found.out.contains("is NOT covered") && found.out.contains('×'), "{}", found.out);
    let elsewhere = demo.investigate(&["webhook.site", "--in-cluster", "prod-xx"]);
    assert_eq!(elsewhere.status, 3, "{}", elsewhere.out);
    for (target, reason) in [
        ("a b", "neither a name nor an address"),
        ("10.0.0.1/8", "host bits are set"),
        ("300.1.1.1", "looks like an address and is none"),
        ("10.0.0.0/33", "no address range"),
    ] {
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

/// A namespace that may ask DNS, and one workload of it that may call one name at one port.
const IN_FORCE: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-egress, namespace: payments}
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
    ports: [{port: 53, protocol: UDP}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: partners, namespace: payments}
spec:
  endpointSelector: {matchLabels: {app: settlement-worker}}
  egress:
  - toEndpoints: [{matchLabels: {k8s-app: kube-dns, "k8s:io.kubernetes.pod.namespace": kube-system}}]
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
  - toFQDNs: [{matchName: fx.rates.example.org}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toFQDNs: [{matchName: sftp.nordbank.example.net}]
    toPorts: [{ports: [{port: "2222", protocol: TCP}]}]
"#;

#[test]
fn policies_in_force_are_asked_about_every_pair() {
    let demo = Demo::new();
    let file = demo.0.path().join("in-force.yaml");
    std::fs::write(&file, IN_FORCE).unwrap();
    let policies = ["--policies", file.to_str().unwrap(), "--profile", "cilium"];
    let target = "payments/Deployment/settlement-worker";
    let document = demo.json(&[&[target, "--in-cluster", "prod-eu"], &policies[..]].concat());
    let answers: std::collections::BTreeMap<String, Vec<String>> = document["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let reasons = pair["policies"].as_array().unwrap().iter();
            let words = reasons.map(|reason| {
                let text = |key: &str| reason[key].as_str().unwrap_or_default();
                format!("{} {} {}", text("answer"), text("nearest"), reason["rules"]).replace("prod-eu:", "")
            });
            (pair["edge"]["peer"]["name"].as_str().unwrap().to_owned(), words.collect())
        })
        .collect();
    let check = |peer: &str, expected: &[&str]| {
        let seen = answers.get(peer).unwrap_or_else(|| panic!("{peer}: {answers:?}"));
        assert!(expected.iter().all(|text| seen.iter().any(|seen| seen.contains(text))), "{peer}: {seen:?}");
    };
    check("fx.rates.example.org", &["allowed", "CiliumNetworkPolicy payments/partners"]);
    check("sftp.nordbank.example.net", &["would-break", "add 22/TCP"]);
    check("webhook.site", &["would-break"]);
    check("coredns", &["allowed", "NetworkPolicy payments/dns"]);
    // Every connection has exactly one answer.
    let sum = |values: &serde_json::Value| {
        values.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(sum(&document["policies"]["answers"]), document["totals"]["connections"].as_u64().unwrap());
    assert!(demo.json(&[target])["policies"].is_null());
    // Without the labels of pods nothing is certain.
    let unsure = demo.json(&[&["webhook.site"], &["--policies", file.to_str().unwrap()][..]].concat());
    assert_eq!(unsure["policies"]["profiles"]["prod-eu"], "cilium");

    let text = demo.investigate(&[&[target, "--in-cluster", "prod-eu", "--limit", "3"], &policies[..]].concat()).out;
    let (_, section) = text.split_once("Do the policies allow it\n").unwrap();
    let (section, _) = section.split_once("\n\n").unwrap();
    insta::assert_snapshot!(section, @r"
3 policies, profile cilium: 13 not allowed (3 denied when recorded); 13 allowed by a rule.
would-break payments/settlement-worker to webhook.site 443/TCP: 2 connections
  egress: no rule comes near; isolated by CiliumNetworkPolicy payments/partners, NetworkPolicy
    payments/default-deny-egress, NetworkPolicy payments/dns
would-break payments/settlement-worker to payments/ledger 5432/TCP: 4 connections
  egress: no rule comes near; isolated by CiliumNetworkPolicy payments/partners, NetworkPolicy
    payments/default-deny-egress, NetworkPolicy payments/dns
would-break payments/settlement-worker to sftp.nordbank.example.net 22/TCP: 4 connections
  egress: CiliumNetworkPolicy payments/partners egress rule 3 allows this peer at another port: add
    22/TCP; isolated by CiliumNetworkPolicy payments/partners, NetworkPolicy
    payments/default-deny-egress, NetworkPolicy payments/dns
showing 3 of 6 answers (more: --limit N; all: --format json)
");
    let markdown = demo.investigate(&[&[target, "--format", "markdown"], &policies[..]].concat()).out;
    assert!(markdown.contains("## Do the policies allow it\n") && markdown.contains("| would-break | "), "{markdown}");
    let page = demo.0.path().join("page.html");
    let ran = demo.investigate(&[&[target, "--html", page.to_str().unwrap()], &policies[..]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("\"answers\":{") && page.contains("Do the policies allow it"));

    std::fs::write(&file, "apiVersion: v1\nkind: ConfigMap\n").unwrap();
    let ran = demo.investigate(&[&[target], &policies[..]].concat());
    assert_eq!((ran.status, ran.err.contains("no network policy in --policies")), (2, true), "{}", ran.err);
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut waiting, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Whatever a question cannot concern is not even opened: garbage there goes unnoticed.
#[test]
fn of_a_store_only_what_is_asked_for_is_opened() {
    use crate::lake::{demo_files, go, path, words};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (traffic, kube) = demo_files(folder.path());
    assert_eq!(go(&[&words(&["import", "--store", &at("lake")]), &traffic]).status, 0);
    let ask = |more: &[&str]| {
        let question = words(&["investigate", "webhook.site", "--store", &at("lake"), "--format", "json"]);
        go(&[&question, &kube, &words(more)])
    };
    let (eu, day) = (
        ["--in-cluster", "prod-eu"],
        ["--in-cluster", "prod-eu", "--since", "2026-03-02T00:30:00Z", "--until", "2026-03-02T23:00:00Z"],
    );
    let before = (ask(&eu).out, ask(&day).out);
    assert!(before.0.contains("\"to_target\": 2"), "{}", before.0);
    let mut spoilt = 0;
    for table in ["flows", "answers", "questions", "losses"] {
        let Ok(clusters) = std::fs::read_dir(folder.path().join("lake").join(table)) else { continue };
        for cluster in clusters {
            let cluster = cluster.unwrap().path();
            if cluster.ends_with("cluster=prod-us") {
                for file in files(&cluster) {
                    std::fs::write(file, "no Parquet").unwrap();
                    spoilt += 1;
                }
            } else {
                let earlier = cluster.join("date=2026-02-20/bucket=00");
                std::fs::create_dir_all(&earlier).unwrap();
                std::fs::write(earlier.join("old-0000.parquet"), "no Parquet").unwrap();
            }
        }
    }
    assert!(spoilt > 4);
    let asked = ask(&day);
    // The demo has gaps in that window.
    assert_eq!((asked.status, asked.out.as_str()), (3, before.1.as_str()), "{}", asked.err);
    assert!(!asked.err.contains("cannot be read") && asked.err.contains("files not opened"), "{}", asked.err);
    // Without the window the broken day of the same cluster is in the way, and is told.
    assert!(ask(&eu).err.contains("cannot be read"), "{}", ask(&eu).err);
}

/// Records without addresses and ports (Goldmane) tell ends apart by pod and workload alone, and may be alike in everything.
#[test]
fn connections_without_addresses_are_rows_of_their_own() {
    let record = |source: &str, action: u8, bytes: u32| {
        serde_json::json!({"Key": {"source_name": source, "source_namespace": "shop", "source_type": 1, "dest_name": "pub",
            "dest_namespace": "-", "dest_type": 4, "dest_port": 443, "proto": "tcp", "reporter": 1, "action": action},
            "start_time": 1_764_970_845, "end_time": 1_764_970_860, "source_labels": ["app=web"], "packets_in": 1, "packets_out": 1,
            "bytes_in": 10, "bytes_out": bytes, "num_connections_started": 2, "num_connections_completed": 2})
        .to_string()
            + "\n"
    };
    let lines =
        [record("web-7d9c5b6f5-*", 1, 100), record("api-7d9c5b6f5-*", 1, 200), record("cron-7d9c5b6f5-*", 2, 0)]
            .concat();
    let folder = crate::support::folder(&[("goldmane.ndjson", lines.as_bytes())]);
    let flows = format!("goldmane:{}", folder.path().join("goldmane.ndjson").display());
    let ask =
        |threads: &str| run(&["investigate", "shop", "--flows", &flows, "--format", "csv", "--threads", threads]).out;
    let csv = ask("1");
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 3, "{csv}");
    let clients: std::collections::BTreeSet<&str> = rows.iter().map(|row| row[4]).collect();
    assert_eq!(clients.len(), 3, "{csv}");
    assert!(clients.iter().all(|client| client.starts_with("shop/") && client.len() > "shop/".len()), "{csv}");
    // What the record leaves out is empty, and no address of anybody.
    assert!(rows.iter().all(|row| row[5].is_empty() && row[7].is_empty()), "{csv}");
    assert_eq!(ask("4"), csv);
}

/// A table for a program is whole, or says how much is missing.
#[test]
fn csv_and_json_are_whole_or_say_what_is_missing() {
    let demo = Demo::new();
    let csv = |more: &[&str]| demo.investigate(&[&["shop", "--format", "csv"], more].concat());
    let whole = csv(&[]);
    let all = whole.out.lines().count() - 1;
    let json = demo.json(&["shop"]);
    assert_eq!(json["connections"]["total"].as_u64(), Some(all as u64));
    assert_eq!(json["connections"]["rows"].as_array().unwrap().len(), all);
    assert!(!whole.err.contains("NOT in the output"), "{}", whole.err);
    let some = csv(&["--limit", "7"]);
    assert_eq!(some.out.lines().count(), 8);
    assert_eq!(some.out.lines().collect::<Vec<_>>(), whole.out.lines().take(8).collect::<Vec<_>>());
    let left = format!("warning: {} of {all} connections are NOT in the output: it holds the earliest 7", all - 7);
    assert!(some.err.contains(&left), "{left}: {}", some.err);
    let json = demo.json(&["shop", "--limit", "7"]);
    assert_eq!(
        (json["connections"]["shown"].as_u64(), json["connections"]["total"].as_u64()),
        (Some(7), Some(all as u64))
    );
    // A terminal shows so many lines of each list.
    let text = demo.investigate(&["shop", "--limit", "3"]).out;
    assert!(text.contains(&format!("showing 3 of {all} connections (more: --limit N; all: --format json)")), "{text}");
}
