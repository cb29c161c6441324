//! The rollout plan of the demo.

use std::path::Path;

use serde_json::Value;

use crate::support::run;

fn discovery() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery").to_str().unwrap().to_owned()
}

fn plan(more: &[&str]) -> Value {
    let baseline = discovery();
    let ran = run(&[&["plan", "--baseline", &baseline, "--format", "json"], more].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn steps(plan: &Value) -> Vec<String> {
    let shown = |step: &Value| {
        let namespaces: Vec<String> = (step["namespaces"].as_array().unwrap().iter())
            .map(|place| format!("{}/{}", place[0].as_str().unwrap(), place[1].as_str().unwrap()))
            .collect();
        format!("{}: {}", step["title"].as_str().unwrap(), namespaces.join(" "))
    };
    plan["steps"].as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn without_a_word_on_environments_the_least_risky_goes_first() {
    let plan = plan(&[]);
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
The least risky namespace: prod-us/payments
The rest: prod-eu/payments prod-us/platform prod-eu/shop prod-us/shop prod-eu/platform
"#);
    assert!(plan["notes"][0].as_str().unwrap().contains("No namespace is known to be staging"));
    let left_out: Vec<&str> = plan["left_out"].as_array().unwrap().iter().map(|row| row[1].as_str().unwrap()).collect();
    assert_eq!(left_out, ["kube-system", "kube-system"]);
    let points: Vec<u64> =
        plan["ranking"].as_array().unwrap().iter().map(|risk| risk["points"].as_u64().unwrap()).collect();
    assert!(points.is_sorted());
    for risk in plan["ranking"].as_array().unwrap() {
        let sum: u64 =
            risk["reasons"].as_array().unwrap().iter().map(|reason| reason["points"].as_u64().unwrap()).sum();
        assert_eq!(risk["points"], sum);
    }
}

#[test]
fn staging_goes_before_production_and_the_rest_in_waves() {
    let plan = plan(&["--environment", "staging=pay*", "--environment", "staging=shop", "--wave", "1"]);
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
One staging namespace: prod-us/payments
The rest of staging: prod-eu/payments prod-eu/shop prod-us/shop
One low-risk production namespace: prod-us/platform
The rest: prod-eu/platform
"#);
}

#[test]
fn commands_name_the_objects_of_the_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts").to_str().unwrap().to_owned();
    let baseline = discovery();
    let drafted = run(&["draft", "--baseline", &baseline, "--dialect", "kubernetes", "--out", &drafts]);
    assert!(matches!(drafted.status, 0 | 1 | 3), "{}", drafted.err);
    let ran = run(&["plan", "--baseline", &baseline, "--policies", &drafts]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = ran.out.replace(&drafts, "drafts");
    for part in [
        "## Step 1: The least risky namespace",
        "kubectl --context prod-eu delete networkpolicies.networking.k8s.io -n shop default-deny-egress --ignore-not-found",
        "kubectl --context prod-us delete networkpolicies.networking.k8s.io -n platform egress-allowlist-build-runner --ignore-not-found",
        "egress-atlas soak --policies prod-eu=drafts/prod-eu/shop --since \"$APPLIED\" --for 48h",
        "kubectl --context prod-us apply -k drafts/prod-us/payments\n",
        "Decide first",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn a_cluster_with_a_hostile_name_keeps_its_folder_and_its_objects() {
    let atlas = std::fs::read_to_string(Path::new(&discovery()).join("atlas.json")).unwrap();
    let mut atlas: Value = serde_json::from_str(&atlas).unwrap();
    let clusters = atlas["clusters"].as_object_mut().unwrap();
    for (old, new) in [("prod-eu", "../eu=[x]"), ("prod-us", "arn:aws:us")] {
        let content = clusters.remove(old).unwrap();
        clusters.insert(new.to_owned(), content);
    }
    let folder = crate::support::folder(&[("atlas.json", atlas.to_string().as_bytes())]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (baseline, drafts) = (at(""), at("drafts"));
    let drafted = run(&["draft", "--baseline", &baseline, "--dialect", "cilium", "--out", &drafts]);
    assert!(matches!(drafted.status, 0 | 1 | 3), "{}", drafted.err);
    let ran = run(&["plan", "--baseline", &baseline, "--policies", &drafts]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = ran.out.replace(&drafts, "drafts").replace(&baseline, "BASE");
    for part in [
        "kubectl --context '../eu=[x]' apply -k drafts/_2e._2feu_3d_5bx_5d/shop\n",
        "kubectl --context '../eu=[x]' delete -k drafts/_2e._2feu_3d_5bx_5d/shop --ignore-not-found\n# egress",
        "kubectl --context '../eu=[x]' delete ciliumnetworkpolicies.cilium.io -n shop default-deny-egress --ignore-not-found",
        "egress-atlas replay --policies drafts/arn_3aaws_3aus/shop --profile cilium --flows",
        "--baseline BASE --flows",
        "drafts/arn_3aaws_3aus/shop/README.md",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    for wrong in ["\\`", "\\.", " 1 workloads", " 1 gaps", "| 1 workloads", "BASELINE"] {
        assert!(!text.contains(wrong), "`{wrong}` in\n{text}");
    }
    let ran = run(&["replay", "--policies", &drafts, "--baseline", &baseline, "--profile", "cilium"]);
    assert!(matches!(ran.status, 1 | 3), "{}", ran.err);
}

#[test]
fn a_plan_is_made_from_traffic_as_from_the_baseline_of_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["demo", "--out", folder.path().to_str().unwrap()]).status, 0);
    let at = |name: &str| folder.path().join("data").join(name).display().to_string();
    let mut all = vec!["plan".to_owned(), "--format".to_owned(), "json".to_owned()];
    for cluster in ["prod-eu", "prod-us"] {
        for (flag, rest) in [("--flows", "hubble"), ("--dns", "dns/coredns.fstrm"), ("--kube", "kube.json")] {
            all.extend([flag.to_owned(), format!("{cluster}={}", at(&format!("{cluster}/{rest}")))]);
        }
    }
    all.extend(["--config".to_owned(), at("egress-atlas.toml"), "--reviews".to_owned(), at("reviews.toml")]);
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    let ran = run(&words);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let made: Value = serde_json::from_str(&ran.out).unwrap();
    let baseline = folder.path().join("discovery").display().to_string();
    let config = at("egress-atlas.toml");
    let kube: Vec<String> =
        ["prod-eu", "prod-us"].map(|name| format!("{name}={}", at(&format!("{name}/kube.json")))).into();
    let other = run(&[
        "plan",
        "--format",
        "json",
        "--baseline",
        &baseline,
        "--config",
        &config,
        "--kube",
        &kube[0],
        "--kube",
        &kube[1],
    ]);
    let other: Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(made["ranking"], other["ranking"]);
    assert_eq!(steps(&made), steps(&other));
    // What is asked and not covered is said.
    let ran = run(&[&words[..], &["--since", "2026-02-20T00:00:00Z", "--until", "2026-03-03T00:00:00Z"]].concat());
    assert!(ran.status == 3 && ran.err.contains("not proven"), "{}", ran.err);
    let nothing = std::process::Command::new(env!("CARGO_BIN_EXE_egress-atlas")).arg("plan").output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("--baseline"));
}

#[test]
fn bad_words_are_refused() {
    let baseline = discovery();
    let check = |more: &[&str], part: &str| {
        let ran = run(&[&["plan", "--baseline", &baseline], more].concat());
        assert!(ran.status == 2 && ran.err.contains(part), "{}", ran.err);
    };
    check(&["--environment", "shop"], "write staging=PATTERN");
    check(&["--environment", "canary=shop"], "`canary` is none of staging, production, system");
    let folder = crate::support::folder(&[("no.json", b"{}"), ("notes.txt", b"hello\n")]);
    for name in ["no.json", "notes.txt"] {
        let kube = format!("prod-eu={}", folder.path().join(name).display());
        check(&["--kube", &kube], "no Kubernetes objects in it; --kube takes what `kubectl get");
    }
    check(&["--policies", "/nowhere/at/all"], "no folder of any cluster of the baseline");
}

/// A cluster's policies that cannot be used are told before any traffic is read.
#[test]
fn broken_policies_of_one_cluster_are_refused_at_once() {
    let good = b"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: n}, spec: {podSelector: {}}}";
    let flows = "/nowhere/flows.json";
    let check = |files: &[(&str, &[u8])], part: &str| {
        let folder = crate::support::folder(files);
        let ran = run(&["plan", "--flows", flows, "--policies", folder.path().to_str().unwrap()]);
        assert!(ran.status == 2 && ran.err.contains(part), "{}", ran.err);
    };
    check(&[("east/p.yaml", good), ("west/p.yaml", b"kind: [")], "west/p.yaml");
    // The same object twice is an error of the folder as a whole, and of no folder in it; what holds no policy is passed over.
    check(
        &[("east/p.yaml", good), ("west/p.yaml", good), ("notes/read.md", b"#"), ("more/c.yaml", b"kind: List")],
        flows,
    );
}

#[test]
fn what_a_replay_cannot_tell_and_what_it_breaks_is_weighed() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts").to_str().unwrap().to_owned();
    let baseline = discovery();
    run(&["draft", "--baseline", &baseline, "--dialect", "cilium", "--out", &drafts]);
    let plan = plan(&["--policies", &drafts]);
    let of_cluster = format!("{drafts}/prod-eu");
    let replayed = run(&["replay", "--baseline", &baseline, "--policies", &of_cluster, "--format", "json"]);
    let replayed: Value = serde_json::from_str(&replayed.out).unwrap();
    let of_shop = |key: &str| -> u64 {
        let rows = replayed["workloads"].as_array().unwrap().iter();
        let own = rows.filter(|row| row["cluster"] == "prod-eu" && row["namespace"] == "shop");
        own.map(|row| row["totals"][key].as_u64().unwrap()).sum()
    };
    let judged = &plan["judged"]["prod-eu/shop"];
    assert_eq!(judged["undecidable"], of_shop("undecidable"));
    assert_eq!(judged["would_break"], of_shop("would_break"));
    assert!(of_shop("undecidable") > 0 && of_shop("would_break") > 0, "{replayed}");
    let ranking = plan["ranking"].as_array().unwrap();
    let shop = ranking.iter().find(|risk| risk["cluster"] == "prod-eu" && risk["namespace"] == "shop").unwrap();
    assert!(shop["reasons"].to_string().contains("of its connections cannot be told by a replay"), "{shop}");
    assert!(shop["blockers"].to_string().contains("of the baseline would break"), "{shop}");
    assert!(shop["unknown"].to_string().contains("Deployment/flash-sale: scaled to zero"), "{shop}");
}

#[test]
fn settings_say_what_namespaces_are_for_and_who_is_called() {
    let settings = "[plan]\nstaging = [\"pay*\"]\ncontacts = [\"shop=team shop | #shop\"]\n";
    let folder = crate::support::folder(&[("egress-atlas.toml", settings.as_bytes())]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let plan = plan(&["--config", &at("egress-atlas.toml"), "--runbook", &at("runbook.md")]);
    assert_eq!(steps(&plan)[0], "One staging namespace: prod-us/payments");
    // What is said on the command line comes first.
    let other = self::plan(&["--config", &at("egress-atlas.toml"), "--environment", "production=payments"]);
    assert!(steps(&other)[0].starts_with("The least risky namespace"), "{:?}", steps(&other));
    let runbook = std::fs::read_to_string(at("runbook.md")).unwrap();
    for part in [
        "## Layout",
        "## Rollout",
        "## Escalation",
        "team shop",
        "team-platform",
        "**nobody named**",
        "Roll back egress:",
        "Roll back ingress:",
        "kubectl --context prod-eu delete networkpolicies.networking.k8s.io -n shop default-deny-ingress --ignore-not-found",
        "kubectl --context prod-eu get networkpolicies.networking.k8s.io -n shop",
    ] {
        assert!(runbook.contains(part), "`{part}` is missing in\n{runbook}");
    }
    // The deny goes before the allow-lists: the other way round, each would close what it should open.
    let shop = runbook.split("### `prod-eu/shop`").nth(1).unwrap();
    assert!(shop.find("default-deny-egress").unwrap() < shop.find("egress-allowlist").unwrap());
}
