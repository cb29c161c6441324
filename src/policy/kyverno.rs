//! Kyverno policies that flag namespaces without both default-deny policies, by their exact pinned names, with a test.
//!
//! In: nothing but the pinned names. Out: files. The first form reports namespaces (`Audit`), also those that are there already; the
//! second refuses workloads in such namespaces (`Enforce`): a namespace itself cannot be refused for what can only be made after
//! it. Fields are those of `kyverno.io/v1` and `cli.kyverno.io/v1alpha1`. Only Kubernetes policies are counted.

use std::fmt::Write as _;

use super::names::PolicyName;

const BOTH: [PolicyName; 2] = [PolicyName::DefaultDenyEgress, PolicyName::DefaultDenyIngress];
/// Kinds that bring pods, as far as people create them by themselves.
const WORKLOADS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"];
const PLATFORM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "kyverno"];

/// Names and contents of all files.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("require-default-deny-audit.yaml", audit()),
        ("require-default-deny-enforce.yaml", enforce()),
        ("test/kyverno-test.yaml", test()),
        ("test/resources.yaml", resources()),
        ("test/values.yaml", values()),
    ]
}

/// The name of a rule for one pinned policy.
fn rule_name(name: PolicyName) -> String {
    format!("has-{name}")
}

/// The variable that holds how many policies of that name a namespace has.
fn variable(name: PolicyName) -> String {
    format!("{}_count", name.as_str().replace('-', "_"))
}

fn head(name: &str, title: &str, text: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: {name}\n  annotations:\n    \
         policies.kyverno.io/title: {title}\n    policies.kyverno.io/category: Network\n    \
         policies.kyverno.io/severity: medium\n    policies.kyverno.io/subject: Namespace, NetworkPolicy\n    \
         policies.kyverno.io/description: >-\n      {text}\nspec:\n"
    )
}

fn exclude(by_name: bool) -> String {
    let key = if by_name { "names" } else { "namespaces" };
    let list = PLATFORM.map(|name| format!("                - {name}\n")).concat();
    format!("      exclude:\n        any:\n          - resources:\n              {key}:\n{list}")
}

/// `condition` is written around the lookup: the policy of that very name in the namespace that `of` names.
fn lookup(out: &mut String, name: PolicyName, of: &str) {
    let variable = variable(name);
    // Writing to a string cannot fail.
    let _unfailing = write!(
        out,
        "      context:\n        - name: {variable}\n          apiCall:\n            urlPath: \"/apis/networking.k8s.io/v1/namespaces/{{{{ {of} }}}}/networkpolicies\"\n            \
         jmesPath: \"items[?metadata.name == '{name}'] | length(@)\"\n"
    );
}

fn deny(out: &mut String, name: PolicyName, action: &str, of: &str) {
    let variable = variable(name);
    let _unfailing = write!(
        out,
        "      validate:\n        failureAction: {action}\n        message: \"namespace {{{{ {of} }}}} has no NetworkPolicy `{name}`\"\n        \
         deny:\n          conditions:\n            any:\n              - key: \"{{{{ {variable} }}}}\"\n                operator: LessThan\n                value: 1\n"
    );
}

fn audit() -> String {
    let mut out = head(
        "require-default-deny-audit",
        "Namespaces have both default-deny policies",
        "Reports every namespace that lacks `default-deny-egress` or `default-deny-ingress`, by exact name.",
    );
    out.push_str("  background: true\n  rules:\n");
    for name in BOTH {
        let _unfailing = write!(
            out,
            "    - name: {}\n      match:\n        any:\n          - resources:\n              kinds:\n                - Namespace\n",
            rule_name(name)
        );
        out.push_str(&exclude(true));
        lookup(&mut out, name, "request.object.metadata.name");
        deny(&mut out, name, "Audit", "request.object.metadata.name");
    }
    out
}

fn enforce() -> String {
    let mut out = head(
        "require-default-deny-enforce",
        "No workload without both default-deny policies",
        "Refuses new workloads in a namespace that lacks `default-deny-egress` or `default-deny-ingress`, by exact name.",
    );
    // Pod controllers are named one by one, so that Kyverno does not derive rules of its own for them.
    out = out.replace(
        "    policies.kyverno.io/category",
        "    pod-policies.kyverno.io/autogen-controllers: none\n    policies.kyverno.io/category",
    );
    out.push_str("  background: false\n  rules:\n");
    let kinds = WORKLOADS.map(|kind| format!("                - {kind}\n")).concat();
    for name in BOTH {
        let _unfailing = write!(
            out,
            "    - name: {}\n      match:\n        any:\n          - resources:\n              kinds:\n{kinds}              operations:\n                - CREATE\n",
            rule_name(name)
        );
        out.push_str(&exclude(false));
        lookup(&mut out, name, "request.namespace");
        deny(&mut out, name, "Enforce", "request.namespace");
    }
    out
}

/// Namespaces of the test: name, and how many policies of each name they have.
const CASES: [(&str, [u8; 2]); 4] =
    [("both", [1, 1]), ("egress-only", [1, 0]), ("ingress-only", [0, 1]), ("neither", [0, 0])];

fn test() -> String {
    let mut out = "apiVersion: cli.kyverno.io/v1alpha1\nkind: Test\nmetadata:\n  name: require-default-deny\npolicies:\n  \
         - ../require-default-deny-audit.yaml\n  - ../require-default-deny-enforce.yaml\nresources:\n  - resources.yaml\nvariables: values.yaml\nresults:\n"
        .to_owned();
    for (policy, kind, of) in
        [("require-default-deny-audit", "Namespace", ""), ("require-default-deny-enforce", "Deployment", "/web-")]
    {
        for (place, name) in BOTH.into_iter().enumerate() {
            for result in ["pass", "fail"] {
                let wanted = u8::from(result == "pass");
                let fitting = CASES.iter().filter(|(_, counts)| counts.get(place) == Some(&wanted));
                let resources = fitting.fold(String::new(), |mut list, (case, _)| {
                    let line =
                        if of.is_empty() { format!("      - {case}\n") } else { format!("      - {case}{of}{case}\n") };
                    list.push_str(&line);
                    list
                });
                let _unfailing = write!(
                    out,
                    "  - policy: {policy}\n    rule: {}\n    kind: {kind}\n    resources:\n{resources}    result: {result}\n",
                    rule_name(name)
                );
            }
        }
    }
    out
}

fn resources() -> String {
    let namespaces =
        CASES.map(|(case, _)| format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {case}\n")).join("---\n");
    let deployments = CASES
        .map(|(case, _)| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{case}\n  namespace: {case}\nspec:\n  selector:\n    matchLabels:\n      app: web\n  \
                 template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n        - name: web\n          image: registry.example/web:1\n"
            )
        })
        .join("---\n");
    format!("{namespaces}---\n{deployments}")
}

/// What the lookups would have answered.
fn values() -> String {
    let mut out = "apiVersion: cli.kyverno.io/v1alpha1\nkind: Values\nmetadata:\n  name: values\nglobalValues:\n  request.operation: CREATE\npolicies:\n".to_owned();
    for (policy, prefix) in [("require-default-deny-audit", ""), ("require-default-deny-enforce", "web-")] {
        let _unfailing = write!(out, "  - name: {policy}\n    resources:\n");
        for (case, counts) in CASES {
            let _unfailing = write!(out, "      - name: {prefix}{case}\n        values:\n");
            for (name, count) in BOTH.into_iter().zip(counts) {
                let _unfailing = writeln!(out, "          {}: {count}", variable(name));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_yaml_and_goes_by_the_exact_names() {
        for (file, text) in files() {
            for document in text.split("---\n") {
                let value: serde_json::Value =
                    serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(value["kind"].is_string(), "{file}");
            }
        }
        for text in [audit(), enforce()] {
            for name in ["default-deny-egress", "default-deny-ingress"] {
                assert!(text.contains(&format!("items[?metadata.name == '{name}'] | length(@)")), "{text}");
            }
        }
    }

    #[test]
    fn the_test_expects_each_namespace_once_for_each_rule() {
        let test: serde_json::Value = serde_saphyr::from_str(&test()).unwrap();
        let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
        for result in test["results"].as_array().unwrap() {
            let key = format!("{}/{}", result["policy"].as_str().unwrap(), result["rule"].as_str().unwrap());
            let resources = result["resources"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
            seen.entry(key).or_default().extend(resources);
        }
        assert_eq!(seen.len(), 4);
        assert!(seen.values().all(|resources| resources.len() == CASES.len()), "{seen:?}");
    }
}
