//! A second evaluator of `ClusterNetworkPolicy` around `NetworkPolicy`, written from the text of the API alone: the admin tier by priority,
//! then the policies of namespaces where any isolates the pod, then the baseline tier, else open.

use std::net::IpAddr;

use egress_atlas::model::Protocol;
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Connection, Evaluator, Names, Profile, Verdict};

use super::naive::{self, Chance, Other, Pod, Wanted, holds, namespace_labels, wanted, within, write_terms};

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
fn first<'p>(
    policies: &'p [Tiered],
    tier: &str,
    (pod, egress): (&Pod, bool),
    other: &Other<'_>,
    (number, transport): (u16, &str),
) -> Option<&'p str> {
    let mut own: Vec<&Tiered> =
        policies.iter().filter(|policy| policy.tier == tier && is_meant(&policy.subject, &Other::Pod(pod))).collect();
    own.sort_by_key(|policy| policy.priority);
    let rules = own.into_iter().flat_map(|policy| if egress { &policy.egress } else { &policy.ingress });
    let at = |port: &Port| {
        port.transport.eq_ignore_ascii_case(transport)
            && port.numbers.is_none_or(|(first, last)| (first..=last).contains(&number))
    };
    let matching = |rule: &&Rule| {
        rule.peers.iter().any(|peer| is_meant(peer, other))
            && rule.ports.as_ref().is_none_or(|ports| ports.iter().any(at))
    };
    rules.into_iter().find(matching).map(|rule| rule.action)
}

/// `None`: nothing has anything to say.
fn allowed(
    (tiers, plain): (&[Tiered], &[naive::Policy]),
    side: (&Pod, bool),
    (other, server): (&Other<'_>, &Other<'_>),
    at: (u16, &str),
) -> Option<bool> {
    match first(tiers, "Admin", side, other, at) {
        Some("Accept") => return Some(true),
        Some("Deny") => return Some(false),
        _ => {}
    }
    if let Some(answer) = naive::allowed(plain, side.0, side.1, other, server, at.0, at.1) {
        return Some(answer);
    }
    match first(tiers, "Baseline", side, other, at) {
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

const CLUSTERS: u64 = 900;
const TRIALS: usize = 3;

#[test]
fn two_evaluators_of_tiers_agree() {
    let outside: [IpAddr; 4] =
        ["203.0.113.3", "203.0.113.200", "198.51.100.1", "2001:db8::5"].map(|a| a.parse().unwrap());
    let (mut cases, mut broken, mut by_rule) = (0_u64, 0_u64, 0_u64);
    let names = Names::default();
    for seed in 1..=CLUSTERS {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let pods = naive::pods(&mut chance);
        let plain: Vec<naive::Policy> = (0..chance.below(3)).map(|_| naive::policy(&mut chance)).collect();
        let tiers: Vec<Tiered> = (1..=2 + chance.below(4)).map(|priority| tiered(&mut chance, priority)).collect();
        let texts = [naive::text(&plain), text(&tiers)];
        let source = |text| PolicySource { file: "p.json", text, cluster: None };
        let set = PolicySet::parse(&texts.each_ref().map(|text| source(text)))
            .unwrap_or_else(|error| panic!("{error}\n{texts:?}"));
        let evaluator = Evaluator::new(&set, Profile::CALICO);
        let prepared: Vec<_> = pods.iter().map(|pod| evaluator.prepare(naive::end(pod))).collect();
        let world: Vec<_> =
            outside.iter().map(|address| evaluator.prepare(egress_atlas::replay::End::outside(*address))).collect();
        let ends: Vec<_> = (pods.iter().map(Other::Pod).zip(&prepared))
            .chain(outside.iter().map(|address| Other::Outside(*address)).zip(&world))
            .collect();
        for (client, one) in &ends {
            for (server, two) in &ends {
                let same = matches!((client, server), (Other::Pod(a), Other::Pod(b)) if a.address == b.address);
                if same || matches!((client, server), (Other::Outside(_), Other::Outside(_))) {
                    continue;
                }
                for _ in 0..TRIALS {
                    let number = chance.one(&[80, 81, 8080, 443]);
                    let (protocol, written) = chance.one(&[(Protocol::TCP, "TCP"), (Protocol::UDP, "UDP")]);
                    let side = |end: &Other<'_>, other: &Other<'_>, egress| match end {
                        Other::Pod(pod) => allowed((&tiers, &plain), (pod, egress), (other, server), (number, written)),
                        Other::Outside(_) => None,
                    };
                    let expected = match (side(client, server, true), side(server, client, false)) {
                        (Some(false), _) | (_, Some(false)) => Verdict::WouldBreak,
                        (None, None) => Verdict::NotIsolated,
                        _ => Verdict::Allowed,
                    };
                    let judgement = evaluator.judge(&Connection {
                        client: one,
                        server: two,
                        port: number,
                        client_port: 0,
                        protocol,
                        names: &names,
                        guessed: false,
                    });
                    assert_eq!(
                        judgement.verdict, expected,
                        "cluster {seed}, {number}/{written}\n{texts:?}\n{:?}\n{:?}\n{judgement:?}",
                        one.end, two.end
                    );
                    cases += 1;
                    broken += u64::from(expected == Verdict::WouldBreak);
                    by_rule += u64::from(expected == Verdict::Allowed);
                }
            }
        }
    }
    assert!(cases > 100_000, "{cases}");
    assert!(broken * 10 > cases && by_rule * 20 > cases, "{broken} and {by_rule} of {cases}");
}
