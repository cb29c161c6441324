//! A second evaluator of `ClusterNetworkPolicy` around `NetworkPolicy`, written from the text of the API alone: the admin tier by priority,
//! then the policies of namespaces where any isolates the pod, then the baseline tier, else open.

use egress_atlas::replay::Profile;

use super::naive::{self, Chance, Other, Pod, Wanted, holds, namespace_labels, wanted, within, write_terms};
use super::walk::{Call, Walk};

enum Chosen {
    Namespaces(Wanted),
    Pods { namespaces: Option<Wanted>, pods: Wanted },
    Networks(Vec<&'static str>),
}

struct Port {
    transport: &'static str,
    /// `None`: every port of the transport.
    numbers: Option<(u16, u16)>,
}

struct Rule {
    action: &'static str,
    peers: Vec<Chosen>,
    ports: Option<Vec<Port>>,
}

struct Tiered {
    tier: &'static str,
    priority: usize,
    subject: Chosen,
    egress: Vec<Rule>,
    ingress: Vec<Rule>,
}

const NETWORKS: [&str; 5] = ["10.0.0.0/8", "10.0.1.0/24", "0.0.0.0/0", "203.0.113.0/25", "2001:db8::/32"];

fn chosen(chance: &mut Chance, networks: bool) -> Chosen {
    match chance.below(if networks { 3 } else { 2 }) {
        0 => Chosen::Namespaces(wanted(chance, true)),
        1 => Chosen::Pods { namespaces: chance.often().then(|| wanted(chance, true)), pods: wanted(chance, false) },
        _ => Chosen::Networks((0..=chance.below(2)).map(|_| chance.one(&NETWORKS)).collect()),
    }
}

fn rules(chance: &mut Chance, egress: bool) -> Vec<Rule> {
    let port = |chance: &mut Chance| Port {
        transport: chance.one(&["tcp", "udp"]),
        numbers: chance.often().then(|| chance.one(&[(80, 80), (80, 90), (8080, 8080), (443, 443)])),
    };
    (0..chance.below(3))
        .map(|_| Rule {
            action: chance.one(&["Accept", "Deny", "Pass"]),
            peers: (0..=chance.below(2)).map(|_| chosen(chance, egress)).collect(),
            ports: (!chance.often()).then(|| (0..=chance.below(2)).map(|_| port(chance)).collect()),
        })
        .collect()
}

fn tiered(chance: &mut Chance, priority: usize) -> Tiered {
    Tiered {
        tier: chance.one(&["Admin", "Baseline"]),
        priority,
        subject: chosen(chance, false),
        egress: rules(chance, true),
        ingress: rules(chance, false),
    }
}

// --- what the API says ---

fn is_meant(chosen: &Chosen, other: &Other<'_>) -> bool {
    match (chosen, other) {
        (Chosen::Namespaces(terms), Other::Pod(pod)) => holds(terms, &namespace_labels(pod.namespace)),
        (Chosen::Pods { namespaces, pods }, Other::Pod(pod)) => {
            let namespace = namespaces.as_ref().is_none_or(|terms| holds(terms, &namespace_labels(pod.namespace)));
            namespace && holds(pods, &pod.labels)
        }
        (Chosen::Networks(nets), Other::Pod(pod)) => nets.iter().any(|net| within(net, pod.address)),
        (Chosen::Networks(nets), Other::Outside(address)) => nets.iter().any(|net| within(net, *address)),
        (_, Other::Outside(_)) => false,
    }
}

/// What the first rule that matches says, policies by priority.
fn first<'p>(policies: &'p [Tiered], tier: &str, (pod, egress): (&Pod, bool), call: &Call<'_>) -> Option<&'p str> {
    let mut own: Vec<&Tiered> =
        policies.iter().filter(|policy| policy.tier == tier && is_meant(&policy.subject, &Other::Pod(pod))).collect();
    own.sort_by_key(|policy| policy.priority);
    let rules = own.into_iter().flat_map(|policy| if egress { &policy.egress } else { &policy.ingress });
    let at = |port: &Port| {
        port.transport.eq_ignore_ascii_case(call.protocol)
            && port.numbers.is_none_or(|(first, last)| (first..=last).contains(&call.port))
    };
    let matching = |rule: &&Rule| {
        rule.peers.iter().any(|peer| is_meant(peer, call.other))
            && rule.ports.as_ref().is_none_or(|ports| ports.iter().any(at))
    };
    rules.into_iter().find(matching).map(|rule| rule.action)
}

/// `None`: nothing has anything to say.
fn allowed((tiers, plain): (&[Tiered], &[naive::Policy]), side: (&Pod, bool), call: &Call<'_>) -> Option<bool> {
    match first(tiers, "Admin", side, call) {
        Some("Accept") => return Some(true),
        Some("Deny") => return Some(false),
        _ => {}
    }
    if let Some(answer) = naive::allowed(plain, side, call) {
        return Some(answer);
    }
    match first(tiers, "Baseline", side, call) {
        Some("Accept") => Some(true),
        Some("Deny") => Some(false),
        _ => None,
    }
}

// --- the same policies as text ---

fn selector(terms: &Wanted) -> String {
    let mut out = String::new();
    write_terms(&mut out, terms);
    out
}

fn chosen_text(chosen: &Chosen) -> String {
    match chosen {
        Chosen::Namespaces(terms) => format!("{{\"namespaces\":{}}}", selector(terms)),
        Chosen::Pods { namespaces, pods } => {
            let of = namespaces.as_ref().map(|terms| format!("\"namespaceSelector\":{},", selector(terms)));
            format!("{{\"pods\":{{{}\"podSelector\":{}}}}}", of.unwrap_or_default(), selector(pods))
        }
        Chosen::Networks(nets) => format!("{{\"networks\":{nets:?}}}"),
    }
}

fn rules_text(rules: &[Rule], side: &str) -> String {
    let port = |port: &Port| match port.numbers {
        None => format!("{{\"{}\":{{}}}}", port.transport),
        Some((first, last)) if first == last => {
            format!("{{\"{}\":{{\"destinationPort\":{{\"number\":{first}}}}}}}", port.transport)
        }
        Some((first, last)) => format!(
            "{{\"{}\":{{\"destinationPort\":{{\"range\":{{\"start\":{first},\"end\":{last}}}}}}}}}",
            port.transport
        ),
    };
    let rule = |rule: &Rule| {
        let peers: Vec<String> = rule.peers.iter().map(chosen_text).collect();
        let ports = rule.ports.as_ref().map(|ports| ports.iter().map(port).collect::<Vec<_>>().join(","));
        let ports = ports.map(|ports| format!(",\"protocols\":[{ports}]")).unwrap_or_default();
        format!("{{\"action\":\"{}\",\"{side}\":[{}]{ports}}}", rule.action, peers.join(","))
    };
    rules.iter().map(rule).collect::<Vec<_>>().join(",")
}

fn text(policies: &[Tiered]) -> String {
    let object = |policy: &Tiered| {
        format!(
            "{{\"apiVersion\":\"policy.networking.k8s.io/v1alpha2\",\"kind\":\"ClusterNetworkPolicy\",\"metadata\":{{\"name\":\"t{0}\"}},\"spec\":{{\"tier\":\"{1}\",\"priority\":{0},\"subject\":{2},\"egress\":[{3}],\"ingress\":[{4}]}}}}",
            policy.priority,
            policy.tier,
            chosen_text(&policy.subject),
            rules_text(&policy.egress, "to"),
            rules_text(&policy.ingress, "from")
        )
    };
    let items: Vec<String> = policies.iter().map(object).collect();
    format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}", items.join(","))
}

#[test]
fn two_evaluators_of_tiers_agree() {
    let walk = Walk {
        profile: Profile::CALICO,
        outside: &[("203.0.113.3", ""), ("203.0.113.200", ""), ("198.51.100.1", ""), ("2001:db8::5", "")],
        ports: &[80, 81, 8080, 443],
        protocols: &["TCP", "UDP"],
    };
    let make = |chance: &mut Chance| {
        let plain: Vec<naive::Policy> = (0..chance.below(3)).map(|_| naive::policy(chance)).collect();
        let tiers: Vec<Tiered> = (1..=2 + chance.below(4)).map(|priority| tiered(chance, priority)).collect();
        (vec![naive::text(&plain), text(&tiers)], (tiers, plain))
    };
    walk.check(make, |(tiers, plain), side, call| allowed((tiers, plain), side, call));
}
