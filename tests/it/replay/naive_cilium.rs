//! A second evaluator of `CiliumNetworkPolicy`, written from its documentation alone: a section that is not empty isolates unless
//! `enableDefaultDeny` says otherwise, a deny beats every allow, ranges mean addresses outside, names need a DNS rule that serves them.

use egress_atlas::replay::Profile;
use serde_json::{Value, json};

use super::naive::{Chance, NAMESPACES, Other, Pod, Wanted, holds, wanted, within, write_terms};
use super::walk::{Call, Walk};

enum Peers {
    /// Selectors, each with its namespace; without one, the policy's own.
    Endpoints(Vec<(Wanted, Option<&'static str>)>),
    Entities(Vec<&'static str>),
    Cidrs(Vec<&'static str>),
    CidrSet(&'static str, &'static str),
    Names(Vec<(&'static str, &'static str)>),
}

struct Rule {
    peers: Option<Peers>,
    /// Port and protocol; a port 0 is every port.
    ports: Option<Vec<(u16, Option<&'static str>)>>,
    /// Types of ICMP, by number and as they are written; in place of ports.
    icmps: Option<Vec<(u8, &'static str)>>,
    /// Names that the DNS proxy serves by this rule.
    dns: Option<&'static str>,
}

struct Spec {
    /// `None`: of the cluster.
    namespace: Option<&'static str>,
    pods: Wanted,
    /// Egress, then ingress: allow, deny, and what `enableDefaultDeny` says.
    sides: [(Vec<Rule>, Vec<Rule>, Option<bool>); 2],
}

fn peers(chance: &mut Chance, egress: bool, deny: bool) -> Peers {
    match chance.below(if egress && !deny { 5 } else { 4 }) {
        0 => Peers::Endpoints(
            (0..chance.below(3))
                .map(|_| (wanted(chance, false), chance.often().then(|| chance.one(&NAMESPACES))))
                .collect(),
        ),
        1 => Peers::Entities((0..chance.below(3)).map(|_| chance.one(&["all", "world", "cluster", "none"])).collect()),
        2 => Peers::Cidrs(
            (0..chance.below(3))
                .map(|_| chance.one(&["0.0.0.0/0", "203.0.113.0/25", "10.0.0.0/8", "2001:db8::/32"]))
                .collect(),
        ),
        3 => {
            let (net, except) = chance.one(&[("203.0.113.0/24", "203.0.113.0/28"), ("0.0.0.0/0", "198.51.100.0/24")]);
            Peers::CidrSet(net, except)
        }
        _ => Peers::Names(
            (0..=chance.below(2))
                .map(|_| {
                    chance.one(&[
                        ("matchName", "a.example.com"),
                        ("matchName", "b.example.com"),
                        ("matchPattern", "*.example.com"),
                        ("matchPattern", "*.example.net"),
                    ])
                })
                .collect(),
        ),
    }
}

fn rules(chance: &mut Chance, egress: bool, deny: bool) -> Vec<Rule> {
    let most = if deny { 2 } else { 4 };
    let mut made: Vec<Rule> = (0..chance.below(most))
        .map(|_| Rule {
            peers: chance.often().then(|| peers(chance, egress, deny)),
            ports: chance.often().then(|| {
                (0..=chance.below(2))
                    .map(|_| (chance.one(&[80, 443, 0]), chance.one(&[None, Some("TCP"), Some("UDP"), Some("ANY")])))
                    .collect()
            }),
            icmps: None,
            dns: None,
        })
        .collect();
    for rule in &mut made {
        if chance.below(5) == 0 {
            rule.ports = None;
            let kinds = [(8, "8"), (8, "\"EchoRequest\""), (13, "\"Timestamp\""), (3, "\"3\"")];
            rule.icmps = Some((0..=chance.below(2)).map(|_| chance.one(&kinds)).collect());
        }
    }
    if egress && !deny && chance.below(3) == 0 {
        let dns = Some(chance.one(&["*", "a.example.com"]));
        made.push(Rule {
            peers: Some(Peers::Entities(vec!["cluster"])),
            ports: Some(vec![(53, Some("ANY"))]),
            icmps: None,
            dns,
        });
    }
    made
}

fn spec(chance: &mut Chance) -> Spec {
    let side = |chance: &mut Chance, egress| {
        let deny = if chance.below(3) == 0 { rules(chance, egress, true) } else { Vec::new() };
        let flag = (chance.below(4) == 0).then(|| chance.below(2) == 0);
        (rules(chance, egress, false), deny, flag)
    };
    Spec {
        namespace: chance.often().then(|| chance.one(&NAMESPACES)),
        pods: wanted(chance, false),
        sides: [side(chance, true), side(chance, false)],
    }
}

// --- what the documentation says ---

fn fits(pattern: (&str, &str), name: &str) -> bool {
    match pattern {
        ("matchName", exact) => exact == name,
        (_, "*") => true,
        (_, pattern) => {
            let rest = pattern.strip_prefix('*').unwrap();
            name.strip_suffix(rest).is_some_and(|label| !label.is_empty() && !label.contains('.'))
        }
    }
}

fn is_served(policies: &[&Spec], name: &str) -> bool {
    let rules = policies.iter().flat_map(|policy| &policy.sides[0].0);
    rules.filter_map(|rule| rule.dns).any(|dns| dns == "*" || dns == name)
}

fn is_meant(rule: &Rule, policy: &Spec, other: &Other<'_>, name: &str, all: &[&Spec]) -> bool {
    match (&rule.peers, other) {
        (None, _) => rule.ports.is_some() || rule.icmps.is_some(),
        (Some(Peers::Endpoints(list)), Other::Pod(pod)) => list.iter().any(|(labels, namespace)| {
            let namespace = namespace.or(policy.namespace);
            namespace.is_none_or(|namespace| namespace == pod.namespace) && holds(labels, &pod.labels)
        }),
        (Some(Peers::Entities(words)), _) => words.iter().any(|word| match *word {
            "all" => true,
            "world" => matches!(other, Other::Outside(_)),
            "cluster" => matches!(other, Other::Pod(_)),
            _ => false,
        }),
        (Some(Peers::Cidrs(nets)), Other::Outside(address)) => nets.iter().any(|net| within(net, *address)),
        (Some(Peers::CidrSet(net, except)), Other::Outside(address)) => {
            within(net, *address) && !within(except, *address)
        }
        (Some(Peers::Names(patterns)), Other::Outside(_)) => {
            patterns.iter().any(|pattern| fits(*pattern, name)) && is_served(all, name)
        }
        _ => false,
    }
}

fn at(rule: &Rule, call: &Call<'_>) -> bool {
    if let Some(kinds) = &rule.icmps {
        return call.protocol == "ICMP" && kinds.iter().any(|(kind, _)| *kind == call.icmp.0);
    }
    rule.ports.as_ref().is_none_or(|ports| {
        ports.iter().any(|(port, protocol)| {
            // `ANY` is TCP, UDP and SCTP.
            (*port == 0 || *port == call.port)
                && call.protocol != "ICMP"
                && protocol.is_none_or(|own| own == "ANY" || own == call.protocol)
        })
    })
}

/// `None`: not isolated.
fn allowed(policies: &[Spec], (pod, egress): (&Pod, bool), call: &Call<'_>) -> Option<bool> {
    let own: Vec<&Spec> = policies
        .iter()
        .filter(|policy| policy.namespace.is_none_or(|own| own == pod.namespace) && holds(&policy.pods, &pod.labels))
        .collect();
    let (mut isolated, mut passes, mut stopped) = (false, false, false);
    for policy in &own {
        let (allow, deny, flag) = &policy.sides[usize::from(!egress)];
        isolated |= flag.unwrap_or(!allow.is_empty() || !deny.is_empty());
        let matches = |rule: &Rule| is_meant(rule, policy, call.other, call.name, &own) && at(rule, call);
        passes |= allow.iter().any(matches);
        stopped |= deny.iter().any(matches);
    }
    if stopped {
        return Some(false);
    }
    isolated.then_some(passes)
}

// --- the same policies as text ---

fn labels(terms: &Wanted, namespace: Option<&str>) -> Value {
    let mut text = String::new();
    write_terms(&mut text, terms);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    if let Some(namespace) = namespace {
        value["matchLabels"] = json!({"k8s:io.kubernetes.pod.namespace": namespace});
    }
    value
}

fn rule_json(rule: &Rule, side: &str) -> Value {
    let mut made = json!({});
    match &rule.peers {
        None => {}
        Some(Peers::Endpoints(list)) => {
            let each: Vec<Value> = list.iter().map(|(terms, namespace)| labels(terms, *namespace)).collect();
            made[format!("{side}Endpoints")] = each.into();
        }
        Some(Peers::Entities(words)) => made[format!("{side}Entities")] = json!(words),
        Some(Peers::Cidrs(nets)) => made[format!("{side}CIDR")] = json!(nets),
        Some(Peers::CidrSet(net, except)) => {
            made[format!("{side}CIDRSet")] = json!([{"cidr": net, "except": [except]}]);
        }
        Some(Peers::Names(patterns)) => {
            made["toFQDNs"] = patterns.iter().map(|(key, text)| json!({*key: text})).collect::<Vec<_>>().into();
        }
    }
    if let Some(kinds) = &rule.icmps {
        let kind = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let fields: Vec<Value> = kinds.iter().map(|(_, text)| json!({"family": "IPv4", "type": kind(text)})).collect();
        made["icmps"] = json!([{"fields": fields}]);
    }
    if let Some(ports) = &rule.ports {
        let each = ports.iter().map(|(port, protocol)| match protocol {
            Some(protocol) => json!({"port": port.to_string(), "protocol": protocol}),
            None => json!({"port": port.to_string()}),
        });
        let mut element = json!({"ports": each.collect::<Vec<_>>()});
        if let Some(dns) = rule.dns {
            element["rules"] = json!({"dns": [{"matchPattern": dns}]});
        }
        made["toPorts"] = json!([element]);
    }
    made
}

fn text(policies: &[Spec]) -> String {
    let object = |(place, policy): (usize, &Spec)| {
        let mut spec = json!({"endpointSelector": labels(&policy.pods, None)});
        let mut flags = json!({});
        for ((allow, deny, flag), (word, side)) in policy.sides.iter().zip([("egress", "to"), ("ingress", "from")]) {
            for (key, rules) in [(word.to_owned(), allow), (format!("{word}Deny"), deny)] {
                if !rules.is_empty() {
                    spec[key] = rules.iter().map(|rule| rule_json(rule, side)).collect::<Vec<_>>().into();
                }
            }
            if let Some(flag) = flag {
                flags[word] = json!(flag);
            }
        }
        if flags.as_object().is_some_and(|flags| !flags.is_empty()) {
            spec["enableDefaultDeny"] = flags;
        }
        let name = format!("p{place}");
        match policy.namespace {
            Some(namespace) => json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec}),
            None => json!({"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
                "metadata": {"name": name}, "spec": spec}),
        }
    };
    let items: Vec<Value> = policies.iter().enumerate().map(object).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn two_evaluators_of_cilium_agree() {
    let walk = Walk {
        profile: Profile::CILIUM,
        outside: &[
            ("203.0.113.3", "a.example.com"),
            ("203.0.113.200", "b.example.com"),
            ("198.51.100.1", "x.y.example.com"),
            ("2001:db8::5", "c.example.net"),
        ],
        ports: &[80, 81, 443, 53],
        protocols: &["TCP", "UDP", "ICMP"],
    };
    let make = |chance: &mut Chance| {
        let policies: Vec<Spec> = (0..=1 + chance.below(4)).map(|_| spec(chance)).collect();
        (vec![text(&policies)], policies)
    };
    walk.check(make, |policies, side, call| allowed(policies, side, call));
}
