//! Truth tables over pods a, b, c in namespaces x, y, z, as the conformance tests of Kubernetes use them; the cases are our own
//! wording of the API's rules. Self-connections and nodes are left out, as there.
//!
//! A case is: policies, port and protocol, and expectations that override one another from left to right. `*` stands for every
//! pod, `x/*` for those of a namespace, `out` for an address outside.

use egress_atlas::kube::ContainerPort;
use egress_atlas::model::Protocol;
use egress_atlas::replay::{End, Names, Profile, Verdict};

use super::{Case, judge, set};

const PODS: [&str; 9] = ["x/a", "x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];

/// Every pod serves TCP 80 (`web`) and 81 (`other`), UDP 80 and SCTP 80; pod c names its ports the other way round.
fn pod(name: &str) -> End {
    let (namespace, label) = name.split_once('/').unwrap();
    let place = PODS.iter().position(|pod| *pod == name).unwrap();
    let mut end = End::pod(namespace, &[("pod", label)]);
    end.namespace_labels = Some(std::sync::Arc::new([("ns".into(), namespace.into())].into()));
    end.address = Some(format!("10.0.{}.{}", place / 3, 10 + place % 3).parse().unwrap());
    let names = if label == "c" { ["other", "web"] } else { ["web", "other"] };
    let port = |name: &str, port, protocol| ContainerPort { name: name.into(), port, protocol };
    end.ports = Some(
        [
            port(names[0], 80, Protocol::TCP),
            port(names[1], 81, Protocol::TCP),
            port("dns", 80, Protocol::UDP),
            port("sig", 80, Protocol::SCTP),
        ]
        .into(),
    );
    end
}

fn end(name: &str) -> End {
    match name.strip_prefix("out=") {
        Some(address) => End::outside(address.parse().unwrap()),
        None => pod(name),
    }
}

fn matches(pattern: &str, pod: &str) -> bool {
    pattern == "*" || pattern == pod || pattern.strip_suffix('*').is_some_and(|namespace| pod.starts_with(namespace))
}

/// Checks all pairs; expectations read `client>server+` (passes) or `client>server-` (stopped).
fn check(name: &str, policies: &str, port: u16, protocol: Protocol, expected: &[&str]) {
    check_with(name, Profile::CALICO, policies, port, protocol, expected);
}

fn check_with(name: &str, profile: Profile, policies: &str, port: u16, protocol: Protocol, expected: &[&str]) {
    let set = set(policies);
    let mut outside: Vec<&str> = Vec::new();
    for rule in expected {
        let ends = rule.trim_end_matches(['+', '-']).split('>');
        outside.extend(ends.filter(|end| end.starts_with("out=")));
    }
    outside.sort_unstable();
    outside.dedup();
    let all: Vec<&str> = PODS.iter().copied().chain(outside).collect();
    for client in &all {
        for server in &all {
            if client == server || (client.starts_with("out") && server.starts_with("out")) {
                continue;
            }
            let mut passes = true;
            for rule in expected {
                let (from, to) = rule.trim_end_matches(['+', '-']).split_once('>').unwrap();
                if matches(from, client) && matches(to, server) {
                    passes = rule.ends_with('+');
                }
            }
            let (one, two) = (end(client), end(server));
            let case = Case { client: &one, server: &two, port, protocol, names: Names::default() };
            let judgement = judge(&set, profile.clone(), &case);
            let found = judgement.verdict;
            let wanted = if passes { judgement.passes() } else { found == Verdict::WouldBreak };
            assert!(wanted, "{name}: {client} to {server} {port}/{protocol}: {judgement:?}");
        }
    }
}

/// A policy of namespace x from its spec.
fn x(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: x}}\nspec: {spec}\n"
    )
}

const TCP: Protocol = Protocol::TCP;

#[test]
fn isolation() {
    check("no policy", "apiVersion: v1\nkind: List\nitems: []", 80, TCP, &[]);
    check("deny all ingress", &x("{podSelector: {}, policyTypes: [Ingress]}"), 80, TCP, &["*>x/*-"]);
    check("types default to ingress", &x("{podSelector: {}}"), 80, TCP, &["*>x/*-"]);
    check("an empty list is no section", &x("{podSelector: {}, egress: []}"), 80, TCP, &["*>x/*-"]);
    check("deny all egress", &x("{podSelector: {}, policyTypes: [Egress]}"), 80, TCP, &["x/*>*-"]);
    check("both", &x("{podSelector: {}, policyTypes: [Ingress, Egress]}"), 80, TCP, &["x/*>*-", "*>x/*-"]);
    check("one pod", &x("{podSelector: {matchLabels: {pod: a}}}"), 80, TCP, &["*>x/a-"]);
    check("allow all ingress", &x("{podSelector: {}, ingress: [{}]}"), 80, TCP, &[]);
    check("allow all egress", &x("{podSelector: {}, policyTypes: [Egress], egress: [{}]}"), 80, TCP, &[]);
    check("an egress section isolates both ways", &x("{podSelector: {}, egress: [{}]}"), 80, TCP, &["*>x/*-"]);
    check(
        "an ingress section without its type is ignored",
        &x("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}"),
        80,
        TCP,
        &["x/*>*-"],
    );
    check(
        "null is absent",
        &x("{podSelector: {matchLabels: }, policyTypes: [Ingress], ingress: null}"),
        80,
        TCP,
        &["*>x/*-"],
    );
}

#[test]
fn peers() {
    let from = |peers: &str| x(&format!("{{podSelector: {{}}, ingress: [{{from: {peers}}}]}}"));
    check(
        "pods of the own namespace",
        &from("[{podSelector: {matchLabels: {pod: b}}}]"),
        80,
        TCP,
        &["*>x/*-", "x/b>x/*+"],
    );
    check(
        "all pods of a namespace",
        &from("[{namespaceSelector: {matchLabels: {ns: \"y\"}}}]"),
        80,
        TCP,
        &["*>x/*-", "y/*>x/*+"],
    );
    check(
        "a namespace by the label that Kubernetes sets",
        &from("[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]"),
        80,
        TCP,
        &["*>x/*-", "z/*>x/*+"],
    );
    check(
        "both in one element",
        &from("[{namespaceSelector: {matchLabels: {ns: \"y\"}}, podSelector: {matchLabels: {pod: a}}}]"),
        80,
        TCP,
        &["*>x/*-", "y/a>x/*+"],
    );
    check(
        "two elements",
        &from("[{namespaceSelector: {matchLabels: {ns: \"y\"}}}, {podSelector: {matchLabels: {pod: a}}}]"),
        80,
        TCP,
        &["*>x/*-", "y/*>x/*+", "x/a>x/*+"],
    );
    check("every namespace is not the world", &from("[{namespaceSelector: {}}]"), 80, TCP, &["out=203.0.113.9>x/*-"]);
    check("an empty list is anybody", &from("[]"), 80, TCP, &["out=203.0.113.9>x/*+"]);
    check(
        "negative expressions match what lacks the key",
        &from("[{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x, \"y\"]}]}}]"),
        80,
        TCP,
        &["*>x/*-", "z/*>x/*+"],
    );
    check(
        "expressions",
        &from(
            "[{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}, {key: gone, operator: DoesNotExist}]}}]",
        ),
        80,
        TCP,
        &["*>x/*-", "x/b>x/*+", "x/c>x/*+"],
    );
}

#[test]
fn both_ends_have_a_say() {
    let two = format!(
        "{}---\n{}",
        x(
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: \"y\"}}}]}]}"
        ),
        x("{podSelector: {}}").replace("namespace: x", "namespace: \"y\"").replace("name: p,", "name: q,")
    );
    check("the server's namespace stops it", &two, 80, TCP, &["x/a>*-", "*>y/*-"]);
    let both = two.replace(
        "spec: {podSelector: {}}",
        "spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}}]}]}",
    );
    check("both let it through", &both, 80, TCP, &["x/a>*-", "*>y/*-", "x/*>y/*+"]);
}

#[test]
fn union_of_policies() {
    let policies = format!(
        "{}---\n{}",
        x("{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}"),
        x("{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: z}}}]}]}")
            .replace("name: p,", "name: q,")
    );
    check("any rule is enough", &policies, 80, TCP, &["*>x/*-", "x/a>x/*+", "z/*>x/b+"]);
}

#[test]
fn ports() {
    let at = |ports: &str| x(&format!("{{podSelector: {{}}, ingress: [{{ports: {ports}}}]}}"));
    check("a port", &at("[{port: 80}]"), 80, TCP, &[]);
    check("another port", &at("[{port: 80}]"), 81, TCP, &["*>x/*-"]);
    check("TCP unless stated", &at("[{port: 80}]"), 80, Protocol::UDP, &["*>x/*-"]);
    check("UDP", &at("[{port: 80, protocol: UDP}]"), 80, Protocol::UDP, &[]);
    check("SCTP", &at("[{port: 80, protocol: SCTP}]"), 80, Protocol::SCTP, &[]);
    check("SCTP is not TCP", &at("[{port: 80, protocol: SCTP}]"), 80, TCP, &["*>x/*-"]);
    check("a protocol without a port", &at("[{protocol: UDP}]"), 80, Protocol::UDP, &[]);
    check("a range holds its ends", &at("[{port: 80, endPort: 81}]"), 81, TCP, &[]);
    check("and nothing beyond", &at("[{port: 82, endPort: 90}]"), 81, TCP, &["*>x/*-"]);
    check("no ports are all ports", &at("[]"), 81, Protocol::UDP, &[]);
    check("several", &at("[{port: 79}, {port: 81}]"), 81, TCP, &[]);
    check("a name is looked up in each pod", &at("[{port: web}]"), 80, TCP, &["*>x/*+", "*>x/c-"]);
    check("and gives another number there", &at("[{port: web}]"), 81, TCP, &["*>x/*-", "*>x/c+"]);
    check("a name has a protocol", &at("[{port: web}]"), 80, Protocol::UDP, &["*>x/*-"]);
    check("an unknown name matches nothing", &at("[{port: nobody}]"), 80, TCP, &["*>x/*-"]);
    let egress = x("{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}");
    check(
        "names of egress are the server's",
        &egress,
        80,
        TCP,
        &["x/*>*/c-", "x/*>x/c-", "x/*>y/c-", "x/*>z/c-", "x/*>out=203.0.113.9-"],
    );
}

#[test]
fn ranges() {
    let to = |peers: &str| x(&format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: {peers}}}]}}"));
    check(
        "a range outside",
        &to("[{ipBlock: {cidr: 203.0.113.0/24}}]"),
        80,
        TCP,
        &["x/*>*-", "x/*>out=203.0.113.9+", "x/*>out=198.51.100.1-"],
    );
    check(
        "a hole",
        &to("[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]"),
        80,
        TCP,
        &["x/*>*-", "x/*>out=203.0.113.9-", "x/*>out=203.0.113.16+"],
    );
    check(
        "another element may allow what a hole leaves out",
        &to("[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}, {ipBlock: {cidr: 203.0.113.9/32}}]"),
        80,
        TCP,
        &["x/*>*-", "x/*>out=203.0.113.9+", "x/*>out=203.0.113.10-"],
    );
    check(
        "IPv4 never covers IPv6",
        &to("[{ipBlock: {cidr: 0.0.0.0/0}}]"),
        80,
        TCP,
        &["x/*>out=2001:db8::1-", "x/*>out=203.0.113.9+"],
    );
    check(
        "mapped addresses are IPv4",
        &to("[{ipBlock: {cidr: 203.0.113.0/24}}]"),
        80,
        TCP,
        &["x/*>*-", "x/*>out=::ffff:203.0.113.9+"],
    );
    check(
        "IPv6",
        &to("[{ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}}]"),
        80,
        TCP,
        &["x/*>*-", "x/*>out=2001:db8::1+", "x/*>out=2001:db8:1::1-"],
    );
    let pods = to("[{ipBlock: {cidr: 10.0.1.0/24}}]");
    check("Calico matches ranges on pods", &pods, 80, TCP, &["x/*>*-", "x/*>y/*+"]);
    check_with("Cilium does not", Profile::CILIUM, &pods, 80, TCP, &["x/*>*-"]);
    let (client, server) = (pod("x/a"), pod("y/a"));
    let case = Case { client: &client, server: &server, port: 80, protocol: TCP, names: Names::default() };
    assert_eq!(judge(&set(&pods), Profile::GENERIC, &case).verdict, Verdict::Undecidable);
}
