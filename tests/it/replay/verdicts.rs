//! Verdicts as the command gives them: records, objects and policies as files, one line per connection.
//!
//! Cases stand in `verdicts/`: a title (`#`), documents (`version Kind namespace/name spec`, or the whole object in braces), then
//! connections with what becomes of them. An empty line ends a case.

use super::cluster::check;

fn document(line: &str) -> String {
    if line.starts_with('{') {
        return format!("---\n{line}\n");
    }
    let mut words = line.splitn(4, ' ');
    let [version, kind, name, spec] = [(); 4].map(|()| words.next().unwrap_or_else(|| panic!("{line}")));
    let metadata = match name.split_once('/') {
        Some((namespace, name)) => format!("{{name: {name}, namespace: {namespace}}}"),
        None => format!("{{name: {name}}}"),
    };
    format!("---\napiVersion: {version}\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n")
}

/// Asks about every case, with each of these lists of arguments.
fn cases(text: &str, arguments: &[&[&str]]) {
    for case in text.split("\n\n") {
        let lines = case.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let (questions, documents): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains(" > "));
        let policies: String = documents.iter().map(|line| document(line)).collect();
        assert!(!questions.is_empty() && !documents.is_empty(), "{case}");
        for arguments in arguments {
            check(&policies, &questions, arguments);
        }
    }
}

#[test]
fn kubernetes() {
    cases(include_str!("verdicts/kubernetes.txt"), &[&[]]);
}

// The kinds tell the CNI as well as the user does.
#[test]
fn cilium() {
    cases(include_str!("verdicts/cilium.txt"), &[&[], &["--profile", "cilium"]]);
}

#[test]
fn calico() {
    cases(include_str!("verdicts/calico.txt"), &[&[], &["--profile", "calico"]]);
}

#[test]
fn antrea() {
    cases(include_str!("verdicts/antrea.txt"), &[&[], &["--profile", "antrea"]]);
}

#[test]
fn cluster_network_policy() {
    cases(include_str!("verdicts/cluster-network-policy.txt"), &[&[]]);
}

/// What is staged decides nothing, says so, and can be judged on demand.
#[test]
fn staged_policies_are_not_in_force() {
    let staged = document("projectcalico.org/v3 StagedGlobalNetworkPolicy p {selector: all(), types: [Egress]}");
    let open =
        document("networking.k8s.io/v1 NetworkPolicy x/q {podSelector: {}, policyTypes: [Egress], egress: [{}]}");
    let ask = |policies: &str, answer: &str, arguments: &[&str]| {
        check(policies, &[&format!("x/a > 203.0.113.5 443/TCP = {answer}")], arguments)
    };
    // With nothing in force there is no answer.
    assert_eq!(ask(&staged, "pass", &[]), 3);
    assert_eq!(ask(&staged, "break", &["--staged"]), 1);
    assert_eq!(ask(&(staged.clone() + &open), "pass", &[]), 0);
    let deleted = staged.replace("selector: all()", "stagedAction: Delete, selector: all()");
    assert_eq!(ask(&deleted, "pass", &["--staged"]), 3);
}

#[test]
fn a_misspelt_list_does_not_vanish() {
    let list = |key: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, {key}: [{{metadata: {{name: p, namespace: x}}, spec: {{podSelector: {{}}, policyTypes: [Egress]}}}}]}}"
        )
    };
    check(&list("Items"), &["x/a > 203.0.113.5 443/TCP = break"], &[]);
    let parsed = |text: &str| {
        let source = egress_atlas::policy::PolicySource { file: "p", text, cluster: None };
        egress_atlas::policy::PolicySet::parse(&[source])
    };
    assert!(parsed(&list("itmes")).unwrap_err().to_string().contains("did you mean `items`?"));
}
