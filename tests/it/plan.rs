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
        "egress-atlas soak --policies drafts/prod-eu/shop --since \"$APPLIED\" --for 48h",
        "kubectl --context prod-us apply -f drafts/prod-us/payments/egress-baseline-allow.yaml",
        "Decide first",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
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
