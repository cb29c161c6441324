//! Policy files: what is read, what is refused and how it is said.

use egress_atlas::policy::{PolicySet, PolicySource};

fn read(text: &str) -> Result<PolicySet, String> {
    let source = PolicySource { file: "p.yaml", text, cluster: None };
    PolicySet::parse(&[source]).map_err(|error| error.to_string())
}

/// A Kubernetes policy from its spec, which begins on line 4.
fn spec(text: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {text}\n"
    )
}

#[test]
fn mistakes_name_file_line_object_path_and_remedy() {
    let check = |text: &str, expected: &str| {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}\nexpected {expected}\nfound    {error}");
    };
    let refuse = |text: &str, expected: &str| check(&spec(text), expected);
    refuse(
        "\n  podSelecter: {}",
        "p.yaml line 5 (document 1): NetworkPolicy shop/p: `spec`: unknown key `podSelecter`; did you mean `podSelector`?",
    );
    refuse(
        "\n  podSelector: {}\n  ingress:\n  - from:\n    - namspaceSelector: {}",
        "p.yaml line 8 (document 1): NetworkPolicy shop/p: `spec.ingress[0].from[0]`: unknown key `namspaceSelector`; did you mean `namespaceSelector`?",
    );
    refuse("{podSelector: {matchlabels: {a: b}}}", "did you mean `matchLabels`?");
    refuse("{ingress: [{from: [{}]}]}", "an empty peer");
    refuse("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}", "`ipBlock` stands alone");
    refuse("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}", "strictly within");
    refuse("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [192.168.0.0/16]}}]}]}", "strictly within");
    refuse("{ingress: [{from: [{ipBlock: {cidr: ten}}]}]}", "no address range");
    refuse("{ingress: [{ports: [{port: \"80\"}]}]}", "without quotes");
    refuse("{ingress: [{ports: [{port: 0}]}]}", "from 1 to 65535");
    refuse("{ingress: [{ports: [{port: 90, endPort: 80}]}]}", "below `port`");
    refuse("{ingress: [{ports: [{port: web, endPort: 80}]}]}", "that is a number");
    refuse("{ingress: [{ports: [{port: 80, protocol: tcp}]}]}", "known are `TCP`, `UDP`, `SCTP`");
    refuse("{policyTypes: [Egres]}", "did you mean `Egress`?");
    refuse("{podSelector: {matchExpressions: [{key: a, operator: In}]}}", "must not be empty");
    refuse("{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}", "must be empty");
    refuse("{podSelector: {matchLabels: {a: true}}}", "a text in quotes");
    refuse("{podSelector: []}", "must be a mapping, found a list");
    check("kind: NetworkPolicy\nmetadata: {name: p}", "needs `apiVersion` and `kind`");
    check(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namspace: x}",
        "did you mean `namespace`?",
    );
    check("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {}", "needs the key `name`");
    check("a: [", "not valid YAML or JSON");
    check("just text", "a Kubernetes object is a mapping");
    let twice = format!("{}---\n{}", spec("{}"), spec("{}"));
    check(&twice, "the same object stands in p.yaml line 1");
    check("apiVersion: k8s.ovn.org/v1\nkind: EgressFirewall\nmetadata: {name: default}", "are not modelled");
}

#[test]
fn every_mistake_is_told_at_once() {
    let error = read(&format!("{}---\n{}", spec("{a: 1}"), spec("{b: 1}"))).unwrap_err();
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(error.contains("line 9 (document 2)"), "{error}");
}

#[test]
fn lists_documents_and_other_objects() {
    let check = |text: &str, policies: usize, passed: u64| {
        let set = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((set.policies.len(), set.passed.values().sum::<u64>()), (policies, passed), "{text}");
    };
    check("", 0, 0);
    check("---\n# nothing\n---\n", 0, 0);
    check(&spec("{}"), 1, 0);
    check(&spec("{}").replace('\n', "\r\n"), 1, 0);
    check(&format!("\u{feff}{}", spec("{}")), 1, 0);
    check(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\n---\n{}...\n", spec("{}")), 1, 1);
    check(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
        2,
        0,
    );
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Secret\"},{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"a\"},\"spec\":{}}]}",
        1,
        1,
    );
    check("apiVersion: v1\nkind: List\nitems: null\n", 0, 0);
    check("[]", 0, 0);
}

#[test]
fn identity_of_objects_and_rules() {
    let text = spec("\n  podSelector: {}\n  egress:\n  - to: [{podSelector: {}}]\n  - ports: [{port: 53}]");
    let set = read(&format!("# first\n---\n{text}")).unwrap();
    let policy = &set.policies[0];
    assert_eq!((policy.id.document, policy.id.line, &*policy.id.namespace), (1, 3, "shop"));
    let rules: Vec<(String, usize)> = set.rules().map(|(id, _, rule)| (set.rule_text(id), rule.line)).collect();
    assert_eq!(
        rules,
        [("NetworkPolicy shop/p egress rule 1".to_owned(), 9), ("NetworkPolicy shop/p egress rule 2".to_owned(), 10)]
    );
}
