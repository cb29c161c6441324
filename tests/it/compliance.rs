//! Evidence for controls: nothing is claimed that is not shown.

use egress_atlas::catalog::Catalog;
use egress_atlas::kube::Inventory;
use egress_atlas::policy::lint::lint;
use egress_atlas::policy::{PolicySet, PolicySource, fingerprints};
use egress_atlas::replay::Profile;
use egress_atlas::report::{Compliance, ComplianceInput, Control, GateEvidence, Standing, compliance, compliance_json};
use egress_atlas::task::lint_cluster;
use serde_json::{Value, json};

use crate::support::{folder, run};

const CLOSED: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-egress, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-ingress, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
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
const CILIUM: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: default-deny-egress, namespace: shop}
spec: {endpointSelector: {}, egress: [{}]}
";
const EVERYTHING: &str = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: anything, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
";

fn set(text: &str) -> PolicySet {
    PolicySet::parse(&[PolicySource { file: "p.yaml", text, cluster: None }]).unwrap()
}

/// A soak of `of` that was clean, enforced on both sides.
fn soak(of: &PolicySet) -> Value {
    json!({"schema": "egress-atlas-soak/1", "outcome": "clean", "policies": fingerprints(of),
        "asked": {"from": "2026-03-02T12:00:00Z", "until": "2026-03-04T12:00:00Z"},
        "namespaces": [{"cluster": "c", "namespace": "shop", "outcome": "clean", "explained_denials": 5,
            "explained_on_ingress": 2, "leaks": [], "doubts": [], "probes": []}]})
}

/// A replay of `of` in which traffic used every rule.
fn replay(of: &PolicySet) -> Value {
    json!({"schema": "egress-atlas-replay/1", "policies": fingerprints(of),
        "profiles": [{"cluster": "c", "profile": "generic", "first": null, "last": null}],
        "rules": [{"rule": "NetworkPolicy shop/egress-allowlist-cart egress rule 1", "namespace": "shop", "direction": "egress", "connections": 9}]})
}

fn judge(set: &PolicySet, gates: &[Value]) -> Compliance {
    let cluster = lint_cluster("c", &Profile::named("cilium").unwrap(), &Inventory::default(), None);
    let clusters = [cluster];
    let found = lint(set, &clusters, &Catalog::embedded().unwrap());
    let gates: Vec<GateEvidence> =
        gates.iter().map(|gate| GateEvidence::parse("gate.json", &gate.to_string()).unwrap()).collect();
    compliance(&ComplianceInput { set, lint: &found, clusters: &clusters, gates: &gates, baseline: None })
}

/// SC-7, CIS 5.3.2, PCI 1.3.1, PCI 1.3.2 of the namespace.
fn standings(found: &Compliance) -> [Standing; 4] {
    Control::ALL.map(|control| found.rows.iter().find(|row| row.control == control).unwrap().standing)
}

use Standing::{Met, NotMet, NotProven};

#[test]
fn a_control_is_met_only_when_everything_is_shown() {
    let of = set(CLOSED);
    let check = |gates: &[Value], expected: [Standing; 4], sentence: &str| {
        let found = judge(&of, gates);
        let text = compliance_json(&found).unwrap();
        assert_eq!(standings(&found), expected, "{sentence}: {text}");
        assert!(text.contains(sentence), "{sentence}: {text}");
    };
    check(&[soak(&of), replay(&of)], [Met, Met, Met, Met], "3 denials on egress that these policies explain");
    // Policies alone are an intention.
    check(
        &[],
        [NotProven, Met, NotProven, NotProven],
        "a soak of this namespace: nothing shows that ingress is enforced",
    );
    check(
        &[soak(&of)],
        [Met, Met, NotProven, NotProven],
        "a replay: nothing shows which rules of egress are necessary",
    );
    // Enforcement of one direction says nothing of the other.
    let mut one_way = soak(&of);
    one_way["namespaces"][0]["explained_on_ingress"] = 0.into();
    check(
        &[one_way, replay(&of)],
        [NotProven, Met, NotProven, Met],
        "a denial on ingress: nothing shows that it is enforced",
    );
    // A probe leaves the cluster, and so it speaks of egress.
    let mut probed = soak(&of);
    probed["namespaces"][0]["explained_denials"] = 2.into();
    probed["namespaces"][0]["probes"] = json!([{"pod": "egress-atlas-probe-1", "answer": "blocked"}]);
    check(&[probed.clone(), replay(&of)], [Met, Met, Met, Met], "the probe egress-atlas-probe-1 was blocked");
    probed["namespaces"][0]["probes"][0]["answer"] = "reachable".into();
    check(&[probed.clone(), replay(&of)], [NotMet, Met, Met, NotMet], "reached its canary");
    // A probe that could not tell is no probe, and neither is one with an answer that nobody knows.
    for (answer, sentence) in
        [("cannot-tell", "it could not tell"), ("", "a denial on egress"), ("Blocked", "a denial on egress")]
    {
        probed["namespaces"][0]["probes"][0]["answer"] = answer.into();
        check(&[probed.clone(), replay(&of)], [NotProven, Met, Met, NotProven], sentence);
    }
    probed["namespaces"][0]["probes"] = json!([]);
    check(&[probed, replay(&of)], [NotProven, Met, Met, NotProven], "a denial on egress");
    let mut leaky = soak(&of);
    leaky["namespaces"][0]["leaks"] = json!([{}]);
    check(&[leaky, replay(&of)], [NotMet, Met, NotMet, NotMet], "passed that policies must have stopped");
    // One that says on which side speaks against that side.
    for (side, expected) in [("egress", [NotMet, Met, Met, NotMet]), ("ingress", [NotMet, Met, NotMet, Met])] {
        let mut leaky = soak(&of);
        leaky["namespaces"][0]["leaks"] = json!([{"side": side}]);
        check(&[leaky, replay(&of)], expected, "passed that policies must have stopped");
    }
    // What was found in another namespace, or another cluster, shows nothing of this one.
    for key in ["namespace", "cluster"] {
        let mut elsewhere = soak(&of);
        elsewhere["namespaces"][0][key] = "other".into();
        check(&[elsewhere, replay(&of)], [NotProven, Met, NotProven, NotProven], "a soak of this namespace");
    }
    let mut elsewhere = replay(&of);
    elsewhere["profiles"][0]["cluster"] = "other".into();
    check(&[soak(&of), elsewhere], [Met, Met, NotProven, NotProven], "a replay: nothing shows");
    let mut doubtful = soak(&of);
    doubtful["namespaces"][0]["doubts"] = json!(["the flows cover 3.0 h of the 48.0 h asked for"]);
    check(&[doubtful, replay(&of)], [NotProven, Met, NotProven, NotProven], "the flows cover 3.0 h");
    let mut unused = replay(&of);
    unused["rules"][0]["connections"] = 0.into();
    check(&[soak(&of), unused], [Met, Met, Met, NotProven], "why 1 rule without any recorded traffic is necessary");
}

#[test]
fn results_about_other_policies_prove_nothing() {
    let (old, now) = (set(&CLOSED.replace("443", "8443")), set(CLOSED));
    let found = judge(&now, &[soak(&old), replay(&now)]);
    assert_eq!(standings(&found), [NotProven, Met, NotProven, NotProven], "{}", compliance_json(&found).unwrap());
    let found = judge(&now, &[soak(&now), replay(&old)]);
    assert_eq!(standings(&found), [Met, Met, NotProven, NotProven]);
    // A policy that was judged and is gone: without it something else is in force, even where what is left closes.
    let fewer = set(CLOSED.rsplit_once("---").unwrap().0);
    let found = judge(&fewer, &[soak(&now), replay(&now)]);
    let text = compliance_json(&found).unwrap();
    assert_eq!(standings(&found), [NotProven, Met, NotProven, NotProven], "{text}");
    assert!(text.contains("judged another NetworkPolicy shop/egress-allowlist-cart"), "{text}");
    // One of another namespace is no part of this one.
    let wider = set(&format!("{CLOSED}{}", EVERYTHING.replace("shop", "other")));
    assert_eq!(standings(&judge(&now, &[soak(&wider), replay(&wider)])), [Met, Met, Met, Met]);
    // Under another name it is another policy, and a namespace that lacks one is open.
    let renamed = set(&CLOSED.replace("default-deny-egress", "default-deny-egres"));
    let found = judge(&renamed, &[soak(&now), replay(&now)]);
    assert_eq!(standings(&found), [NotProven, Met, NotProven, NotProven], "{}", compliance_json(&found).unwrap());
    // Of several soaks the latest counts: what an earlier one found may have been mended, and the other way round.
    let mut leaky = soak(&now);
    leaky["namespaces"][0]["leaks"] = json!([{}]);
    leaky["asked"]["until"] = "2026-03-20T12:00:00Z".into();
    assert_eq!(standings(&judge(&now, &[leaky.clone(), soak(&now), replay(&now)]))[0], NotMet);
    leaky["asked"]["until"] = "2026-03-01T12:00:00Z".into();
    assert_eq!(standings(&judge(&now, &[leaky, soak(&now), replay(&now)]))[0], Met);
}

#[test]
fn policies_that_do_not_close_are_not_met_whatever_else_is_shown() {
    let open = set(&format!("{CLOSED}{EVERYTHING}"));
    let found = judge(&open, &[soak(&open), replay(&open)]);
    assert_eq!(standings(&found), [NotMet, Met, Met, NotMet], "{}", compliance_json(&found).unwrap());
    let half = CLOSED.split("---").next().unwrap();
    let half = set(half);
    let found = judge(&half, &[soak(&half), replay(&half)]);
    assert_eq!(standings(&found), [NotMet, Met, NotMet, Met], "{}", compliance_json(&found).unwrap());
}

/// The benchmark's check lists one kind. Another one counts when it is shown to do what the control is for.
#[test]
fn another_kind_of_policy_counts_once_it_is_shown_to_isolate() {
    let check = |text: &str, with_soak: bool, expected: Standing, sentence: &str| {
        let of = set(text);
        let gates = if with_soak { vec![soak(&of), replay(&of)] } else { Vec::new() };
        let found = judge(&of, &gates);
        let cis = found.rows.iter().find(|row| row.control == Control::Cis532).unwrap();
        assert_eq!(cis.standing, expected, "{cis:?}");
        assert!(format!("{cis:?}").contains(sentence), "{sentence}: {cis:?}");
    };
    let (egress, both) = (CILIUM, CILIUM.replace("egress: [{}]", "egress: [{}], ingress: [{}]"));
    check(&both, true, Met, "CiliumNetworkPolicy stands in for Kubernetes");
    check(&both, false, NotProven, "a soak of this namespace: nothing shows that egress is enforced");
    check(egress, true, NotProven, "no policy closes ingress of every pod");
    let of_cluster = both
        .replace("kind: CiliumNetworkPolicy", "kind: CiliumClusterwideNetworkPolicy")
        .replace(", namespace: shop", "");
    check(
        &format!("{of_cluster}---{}", egress.replace("default-deny-egress", "more")),
        true,
        Met,
        "stands in for Kubernetes",
    );
    check(
        &both.replace("endpointSelector: {}", "endpointSelector: {matchLabels: {app: cart}}"),
        true,
        NotProven,
        "no policy closes egress",
    );
}

#[test]
fn the_command_writes_markdown_and_json() {
    let namespaces = r#"{"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}},
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "bare"}}]}"#;
    let mut evidence = soak(&set(CLOSED));
    evidence["namespaces"][0]["cluster"] = "default".into();
    let folder = folder(&[
        ("p.yaml", CLOSED.as_bytes()),
        ("kube.json", namespaces.as_bytes()),
        ("soak.json", evidence.to_string().as_bytes()),
        ("other.json", b"{\"schema\": \"egress-atlas-drift/1\"}"),
    ]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let audit =
        |more: &[&str]| run(&[&["audit", "--policies", &at("p.yaml"), "--kube", &at("kube.json")], more].concat());
    let ran = audit(&["--evidence", &at("soak.json"), "--compliance", &at("out.md")]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let text = std::fs::read_to_string(at("out.md")).unwrap();
    assert!(
        text.contains("**NIST 800-53 SC-7 (5): met**") && text.contains("soak from 2026-03-02T12:00:00Z"),
        "{text}"
    );
    assert!(text.contains("- against: no network policy object in this namespace"), "{text}");
    audit(&["--compliance", &at("out.json")]);
    let json: Value = serde_json::from_str(&std::fs::read_to_string(at("out.json")).unwrap()).unwrap();
    assert_eq!(json["schema"], "egress-atlas-compliance/1");
    assert_eq!(json["rows"].as_array().unwrap().len(), 8);
    let refused = audit(&["--evidence", &at("other.json"), "--compliance", &at("out.md")]);
    assert!(refused.status == 2 && refused.err.contains("egress-atlas-drift/1"), "{}", refused.err);
}
