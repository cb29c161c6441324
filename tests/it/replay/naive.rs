//! A second evaluator of `NetworkPolicy`, written from the text of the API alone and as simply as possible, against the real one on
//! random small clusters.
//!
//! It knows nothing of the real one's forms: policies are made as JSON for the real one and kept as plain values for this one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use egress_atlas::kube::ContainerPort;
use egress_atlas::model::Protocol;
use egress_atlas::replay::{End, Profile};

use super::walk::{Call, Walk};

pub(super) type Labels = BTreeMap<&'static str, &'static str>;

/// A small, fast source of chance (xorshift); no cryptography.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn often(&mut self) -> bool {
        self.below(4) > 0
    }
}

pub(super) struct Pod {
    pub(super) namespace: &'static str,
    pub(super) labels: Labels,
    pub(super) address: IpAddr,
    pub(super) account: &'static str,
    /// The number of its container port `web`.
    pub(super) web: u16,
}

pub(super) enum Term {
    Is(&'static str, &'static str),
    In(&'static str, Vec<&'static str>),
    NotIn(&'static str, Vec<&'static str>),
    Exists(&'static str),
    Missing(&'static str),
}

pub(super) type Wanted = Vec<Term>;

enum Peer {
    Select { namespaces: Option<Wanted>, pods: Option<Wanted> },
    Block { net: &'static str, except: Option<&'static str> },
}

struct Port {
    protocol: Option<&'static str>,
    number: Option<Result<u16, &'static str>>,
    end: Option<u16>,
}

struct Rule {
    peers: Option<Vec<Peer>>,
    ports: Option<Vec<Port>>,
}

pub(super) struct Policy {
    namespace: &'static str,
    pods: Wanted,
    types: Option<Vec<&'static str>>,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

pub(super) const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const KEYS: [&str; 2] = ["app", "team"];
const VALUES: [&str; 2] = ["1", "2"];
const NETS: [(&str, Option<&str>); 6] = [
    ("10.0.0.0/8", None),
    ("10.0.1.0/24", Some("10.0.1.0/30")),
    ("0.0.0.0/0", Some("203.0.113.0/24")),
    ("203.0.113.0/24", Some("203.0.113.0/28")),
    ("2001:db8::/32", Some("2001:db8:1::/48")),
    ("::/0", None),
];

pub(super) fn namespace_labels(namespace: &str) -> Labels {
    let mut labels: Labels =
        [("kubernetes.io/metadata.name", NAMESPACES.into_iter().find(|n| *n == namespace).unwrap())].into();
    if namespace != "z" {
        labels.insert("team", if namespace == "x" { "1" } else { "2" });
    }
    labels
}

pub(super) fn wanted(chance: &mut Chance, namespaces: bool) -> Wanted {
    (0..chance.below(3))
        .map(|_| {
            let key = chance.one(&KEYS);
            match chance.below(6) {
                0 if namespaces => Term::Is("kubernetes.io/metadata.name", chance.one(&NAMESPACES)),
                0 | 1 => Term::Is(key, chance.one(&VALUES)),
                2 => Term::In(key, vec!["1", "2"]),
                3 => Term::NotIn(key, vec![chance.one(&VALUES)]),
                4 => Term::Exists(key),
                _ => Term::Missing(key),
            }
        })
        .collect()
}

fn rules(chance: &mut Chance) -> Option<Vec<Rule>> {
    chance.often().then(|| {
        (0..chance.below(3))
            .map(|_| Rule {
                peers: chance.often().then(|| (0..chance.below(3)).map(|_| peer(chance)).collect()),
                ports: chance.often().then(|| (0..chance.below(3)).map(|_| port(chance)).collect()),
            })
            .collect()
    })
}

fn peer(chance: &mut Chance) -> Peer {
    if chance.below(3) == 0 {
        let (net, except) = chance.one(&NETS);
        return Peer::Block { net, except: except.filter(|_| chance.often()) };
    }
    let which = chance.below(3);
    Peer::Select {
        namespaces: (which != 0).then(|| wanted(chance, true)),
        pods: (which != 1).then(|| wanted(chance, false)),
    }
}

fn port(chance: &mut Chance) -> Port {
    let protocol = chance.one(&[None, Some("TCP"), Some("UDP")]);
    match chance.below(4) {
        0 => Port { protocol, number: None, end: None },
        1 => Port { protocol, number: Some(Err("web")), end: None },
        2 => Port { protocol, number: Some(Ok(80)), end: Some(chance.one(&[80, 81, 90])) },
        _ => Port { protocol, number: Some(Ok(chance.one(&[80, 81, 8080]))), end: None },
    }
}

pub(super) fn policy(chance: &mut Chance) -> Policy {
    Policy {
        namespace: chance.one(&NAMESPACES),
        pods: wanted(chance, false),
        types: chance.one(&[None, Some(0), Some(1), Some(2)]).map(|which| match which {
            0 => vec!["Ingress"],
            1 => vec!["Egress"],
            _ => vec!["Egress", "Ingress"],
        }),
        ingress: rules(chance),
        egress: rules(chance),
    }
}

// --- what the API says ---

pub(super) fn holds(terms: &Wanted, labels: &Labels) -> bool {
    terms.iter().all(|term| match term {
        Term::Is(key, value) => labels.get(key) == Some(value),
        Term::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
        Term::NotIn(key, values) => !labels.get(key).is_some_and(|value| values.contains(value)),
        Term::Exists(key) => labels.contains_key(key),
        Term::Missing(key) => !labels.contains_key(key),
    })
}

/// Whether an address lies in a range, bit by bit.
pub(super) fn within(net: &str, address: IpAddr) -> bool {
    let (base, length) = net.split_once('/').unwrap();
    let bits = |address: IpAddr| -> (u128, u32) {
        match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        }
    };
    let ((base, width), (address, other)) = (bits(base.parse().unwrap()), bits(address));
    let ignored = width - length.parse::<u32>().unwrap();
    let cut = |bits: u128| bits.checked_shr(ignored).unwrap_or(0);
    width == other && cut(base) == cut(address)
}

/// The other end: a pod, or an address outside.
pub(super) enum Other<'a> {
    Pod(&'a Pod),
    Outside(IpAddr),
}

fn means(peer: &Peer, own: &str, other: &Other<'_>) -> bool {
    match (peer, other) {
        (Peer::Select { namespaces, pods }, Other::Pod(pod)) => {
            let namespace = match namespaces {
                Some(terms) => holds(terms, &namespace_labels(pod.namespace)),
                None => pod.namespace == own,
            };
            namespace && pods.as_ref().is_none_or(|terms| holds(terms, &pod.labels))
        }
        (Peer::Select { .. }, Other::Outside(_)) => false,
        (Peer::Block { net, except }, other) => {
            let address = match other {
                Other::Pod(pod) => pod.address,
                Other::Outside(address) => *address,
            };
            within(net, address) && !except.is_some_and(|hole| within(hole, address))
        }
    }
}

fn at(port: &Port, server: &Other<'_>, number: u16, protocol: &str) -> bool {
    if port.protocol.unwrap_or("TCP") != protocol {
        return false;
    }
    match (port.number, server) {
        (None, _) => true,
        (Some(Ok(first)), _) => first <= number && number <= port.end.unwrap_or(first),
        (Some(Err(_)), Other::Pod(pod)) => pod.web == number && protocol == "TCP",
        (Some(Err(_)), Other::Outside(_)) => false,
    }
}

/// `None`: not isolated.
pub(super) fn allowed(policies: &[Policy], (pod, egress): (&Pod, bool), call: &Call<'_>) -> Option<bool> {
    let word = if egress { "Egress" } else { "Ingress" };
    let mut isolated = false;
    let mut passes = false;
    for policy in policies {
        if policy.namespace != pod.namespace || !holds(&policy.pods, &pod.labels) {
            continue;
        }
        let section = if egress { &policy.egress } else { &policy.ingress };
        let concerned = match &policy.types {
            Some(types) => types.contains(&word),
            None => !egress || policy.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        };
        if !concerned {
            continue;
        }
        isolated = true;
        for rule in section.iter().flatten() {
            let by_peer = match &rule.peers {
                Some(peers) if !peers.is_empty() => peers.iter().any(|peer| means(peer, policy.namespace, call.other)),
                _ => true,
            };
            let by_port = match &rule.ports {
                Some(ports) if !ports.is_empty() => {
                    ports.iter().any(|port| at(port, call.server, call.port, call.protocol))
                }
                _ => true,
            };
            passes |= by_peer && by_port;
        }
    }
    isolated.then_some(passes)
}

// --- the same policies as text ---

pub(super) fn write_terms(out: &mut String, terms: &Wanted) {
    let list = |values: &[&str]| values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(",");
    out.push_str("{\"matchExpressions\":[");
    let expressions: Vec<String> = terms
        .iter()
        .map(|term| match term {
            Term::Is(key, value) => format!("{{\"key\":\"{key}\",\"operator\":\"In\",\"values\":[\"{value}\"]}}"),
            Term::In(key, values) => format!("{{\"key\":\"{key}\",\"operator\":\"In\",\"values\":[{}]}}", list(values)),
            Term::NotIn(key, values) => {
                format!("{{\"key\":\"{key}\",\"operator\":\"NotIn\",\"values\":[{}]}}", list(values))
            }
            Term::Exists(key) => format!("{{\"key\":\"{key}\",\"operator\":\"Exists\"}}"),
            Term::Missing(key) => format!("{{\"key\":\"{key}\",\"operator\":\"DoesNotExist\"}}"),
        })
        .collect();
    out.push_str(&expressions.join(","));
    out.push_str("]}");
}

fn write_rules(out: &mut String, rules: &[Rule], side: &str) {
    out.push('[');
    for (place, rule) in rules.iter().enumerate() {
        out.push_str(if place > 0 { ",{" } else { "{" });
        let mut parts = Vec::new();
        if let Some(peers) = &rule.peers {
            let peers: Vec<String> = peers.iter().map(peer_text).collect();
            parts.push(format!("\"{side}\":[{}]", peers.join(",")));
        }
        if let Some(ports) = &rule.ports {
            let texts: Vec<String> = ports.iter().map(port_text).collect();
            parts.push(format!("\"ports\":[{}]", texts.join(",")));
        }
        out.push_str(&parts.join(","));
        out.push('}');
    }
    out.push(']');
}

fn peer_text(peer: &Peer) -> String {
    let mut parts = Vec::new();
    match peer {
        Peer::Block { net, except } => {
            let except = except.map(|hole| format!(",\"except\":[\"{hole}\"]")).unwrap_or_default();
            parts.push(format!("\"ipBlock\":{{\"cidr\":\"{net}\"{except}}}"));
        }
        Peer::Select { namespaces, pods } => {
            for (key, terms) in [("namespaceSelector", namespaces), ("podSelector", pods)] {
                if let Some(terms) = terms {
                    let mut text = format!("\"{key}\":");
                    write_terms(&mut text, terms);
                    parts.push(text);
                }
            }
        }
    }
    format!("{{{}}}", parts.join(","))
}

fn port_text(port: &Port) -> String {
    let mut parts = Vec::new();
    if let Some(protocol) = port.protocol {
        parts.push(format!("\"protocol\":\"{protocol}\""));
    }
    match port.number {
        Some(Ok(number)) => parts.push(format!("\"port\":{number}")),
        Some(Err(name)) => parts.push(format!("\"port\":\"{name}\"")),
        None => {}
    }
    if let Some(end) = port.end {
        parts.push(format!("\"endPort\":{end}"));
    }
    format!("{{{}}}", parts.join(","))
}

pub(super) fn text(policies: &[Policy]) -> String {
    let mut out = String::from("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
    for (place, policy) in policies.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(
            out,
            "{comma}{{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{{\"name\":\"p{place}\",\"namespace\":\"{}\"}},\"spec\":{{\"podSelector\":",
            policy.namespace
        )
        .unwrap();
        write_terms(&mut out, &policy.pods);
        if let Some(types) = &policy.types {
            let types: Vec<String> = types.iter().map(|word| format!("\"{word}\"")).collect();
            write!(out, ",\"policyTypes\":[{}]", types.join(",")).unwrap();
        }
        for (key, rules, side) in [("ingress", &policy.ingress, "from"), ("egress", &policy.egress, "to")] {
            if let Some(rules) = rules {
                write!(out, ",\"{key}\":").unwrap();
                write_rules(&mut out, rules, side);
            }
        }
        out.push_str("}}");
    }
    out.push_str("]}");
    out
}

pub(super) fn pods(chance: &mut Chance) -> Vec<Pod> {
    (0..4_u8)
        .map(|place| {
            let mut labels = Labels::new();
            for key in KEYS {
                if chance.often() {
                    labels.insert(key, chance.one(&VALUES));
                }
            }
            let address = format!("10.0.{}.{}", place % 2, place + 1).parse().unwrap();
            let account = chance.one(&["default", "builder"]);
            Pod { namespace: chance.one(&NAMESPACES), labels, address, account, web: chance.one(&[80, 8080]) }
        })
        .collect()
}

pub(super) fn end(pod: &Pod) -> End {
    let labels: Vec<(&str, &str)> = pod.labels.iter().map(|(key, value)| (*key, *value)).collect();
    let mut end = End::pod(pod.namespace, &labels);
    let of_namespace = namespace_labels(pod.namespace);
    let of_namespace = of_namespace.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    end.namespace_labels = Some(std::sync::Arc::new(of_namespace));
    end.address = Some(pod.address);
    end.service_account = Some(pod.account.into());
    end.ports = Some([ContainerPort { name: "web".into(), port: pod.web, protocol: Protocol::TCP }].into());
    end
}

#[test]
fn two_evaluators_agree() {
    let walk = Walk {
        // Calico's profile answers every question that the API leaves open, as the naive evaluator does.
        profile: Profile::CALICO,
        outside: &[("203.0.113.3", ""), ("203.0.113.77", ""), ("198.51.100.1", ""), ("2001:db8::5", "")],
        ports: &[80, 81, 8080, 443],
        protocols: &["TCP", "UDP"],
    };
    let make = |chance: &mut Chance| {
        let policies: Vec<Policy> = (0..=chance.below(4)).map(|_| policy(chance)).collect();
        (vec![text(&policies)], policies)
    };
    walk.check(make, |policies, side, call| allowed(policies, side, call));
}
