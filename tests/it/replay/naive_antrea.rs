//! A second evaluator of Antrea's policies, written from their documentation alone: tiers by priority, policies by priority within, rules by
//! place, the first that matches decides; `Pass` asks the policies of Kubernetes, which are final where any isolates the pod; then the
//! baseline tier, else open. No policy isolates by being there.

use egress_atlas::replay::Profile;
use serde_json::{Value, json};

use super::naive::{
    self, Chance, NAMESPACES, Other, Pod, Wanted, holds, namespace_labels, wanted, within, write_terms,
};
use super::walk::{Call, Walk};

enum Peer {
    Select {
        pods: Option<Wanted>,
        namespaces: Option<Wanted>,
    },
    /// `namespaces: {match: Self}`.
    SameNamespace(Option<Wanted>),
    /// `namespaces: {sameLabels: [team]}`.
    SameTeam(Option<Wanted>),
    Block(&'static str, Option<&'static str>),
    Account(&'static str, &'static str),
    Name(&'static str),
    Group(usize),
}

struct Port {
    protocol: Option<&'static str>,
    number: Option<Result<u16, &'static str>>,
    end: Option<u16>,
    from: Option<(u16, Option<u16>)>,
}

struct Rule {
    action: &'static str,
    peers: Option<Vec<Peer>>,
    ports: Option<Vec<Port>>,
    /// Types and codes of ICMP; `None`: all.
    icmp: Option<(Option<u8>, Option<u8>)>,
    applied: Option<Vec<Peer>>,
}

struct Policy {
    /// `None`: of the cluster.
    namespace: Option<&'static str>,
    tier: &'static str,
    /// `None`: each rule says.
    applied: Option<Vec<Peer>>,
    egress: Vec<Rule>,
    ingress: Vec<Rule>,
}

struct World {
    policies: Vec<Policy>,
    /// Members of the cluster's groups.
    groups: Vec<Vec<Peer>>,
    plain: Vec<naive::Policy>,
}

/// In their order.
const TIERS: [&str; 4] = ["emergency", "platform", "application", "baseline"];
const GROUPS: usize = 2;

fn selected(chance: &mut Chance) -> Peer {
    let which = chance.below(3);
    Peer::Select {
        pods: (which != 1).then(|| wanted(chance, false)),
        namespaces: (which != 0).then(|| wanted(chance, true)),
    }
}

fn block(chance: &mut Chance) -> Peer {
    let (net, except) = chance.one(&[
        ("10.0.0.0/8", Some("10.0.1.0/24")),
        ("0.0.0.0/0", Some("203.0.113.0/28")),
        ("203.0.113.0/24", None),
        ("2001:db8::/32", None),
    ]);
    Peer::Block(net, except)
}

fn peer(chance: &mut Chance, egress: bool, of_cluster: bool) -> Peer {
    match chance.below(7) {
        2 => block(chance),
        3 if egress => Peer::Name(chance.one(&["a.example.com", "*.example.com", "*.example.net"])),
        4 if of_cluster => Peer::Group(chance.below(GROUPS)),
        5 if of_cluster => Peer::Account(chance.one(&["default", "builder"]), chance.one(&NAMESPACES)),
        6 if of_cluster && chance.often() => Peer::SameNamespace(chance.often().then(|| wanted(chance, false))),
        6 if of_cluster => Peer::SameTeam(chance.often().then(|| wanted(chance, false))),
        _ => selected(chance),
    }
}

fn applied(chance: &mut Chance, of_cluster: bool) -> Vec<Peer> {
    let one = |chance: &mut Chance| match (of_cluster, chance.below(5)) {
        (false, _) => Peer::Select { pods: Some(wanted(chance, false)), namespaces: None },
        (true, 0) => Peer::Account(chance.one(&["default", "builder"]), chance.one(&NAMESPACES)),
        _ => selected(chance),
    };
    (0..=chance.below(2)).map(|_| one(chance)).collect()
}

fn port(chance: &mut Chance) -> Port {
    let mut made =
        Port { protocol: chance.one(&[None, Some("TCP"), Some("UDP")]), number: None, end: None, from: None };
    match chance.below(4) {
        0 => {}
        1 => made.number = Some(Err("web")),
        2 => (made.number, made.end) = (Some(Ok(80)), Some(chance.one(&[80, 81, 90]))),
        _ => made.number = Some(Ok(chance.one(&[80, 81, 8080]))),
    }
    if chance.below(3) == 0 {
        made.from = Some(chance.one(&[(5_000, None), (4_000, Some(5_000)), (40_000, Some(50_000))]));
    }
    made
}

fn rules(chance: &mut Chance, egress: bool, (of_cluster, by_rule, tier): (bool, bool, &str)) -> Vec<Rule> {
    let actions: &[&str] =
        if tier == "baseline" { &["Allow", "Drop", "Reject"] } else { &["Allow", "Allow", "Drop", "Reject", "Pass"] };
    (0..chance.below(4))
        .map(|_| Rule {
            action: chance.one(actions),
            peers: chance.often().then(|| (0..chance.below(3)).map(|_| peer(chance, egress, of_cluster)).collect()),
            ports: (chance.below(2) == 0).then(|| (0..=chance.below(2)).map(|_| port(chance)).collect()),
            icmp: (chance.below(4) == 0).then(|| {
                chance.one(&[
                    (None, None),
                    (Some(8), None),
                    (Some(8), Some(0)),
                    (Some(3), Some(0)),
                    (Some(13), Some(0)),
                ])
            }),
            applied: by_rule.then(|| applied(chance, of_cluster)),
        })
        .collect()
}

fn policy(chance: &mut Chance) -> Policy {
    let namespace = (chance.below(3) == 0).then(|| chance.one(&NAMESPACES));
    let (of_cluster, by_rule, tier) = (namespace.is_none(), chance.below(4) == 0, chance.one(&TIERS));
    Policy {
        namespace,
        tier,
        applied: (!by_rule).then(|| applied(chance, of_cluster)),
        egress: rules(chance, true, (of_cluster, by_rule, tier)),
        ingress: rules(chance, false, (of_cluster, by_rule, tier)),
    }
}

// --- what the documentation says ---

fn holds_or_none(terms: Option<&Wanted>, pod: &Pod) -> bool {
    terms.is_none_or(|terms| holds(terms, &pod.labels))
}

fn is_meant(peer: &Peer, own: Option<&str>, (subject, other): (&Pod, &Other<'_>), name: &str, world: &World) -> bool {
    let address = match other {
        Other::Pod(pod) => pod.address,
        Other::Outside(address) => *address,
    };
    match (peer, other) {
        (Peer::Block(net, except), _) => within(net, address) && !except.is_some_and(|hole| within(hole, address)),
        (Peer::Group(number), _) => {
            world.groups[*number].iter().any(|member| is_meant(member, None, (subject, other), name, world))
        }
        (Peer::Select { pods, namespaces }, Other::Pod(pod)) => {
            let namespace = match namespaces {
                Some(terms) => holds(terms, &namespace_labels(pod.namespace)),
                None => own.is_none_or(|own| own == pod.namespace),
            };
            namespace && holds_or_none(pods.as_ref(), pod)
        }
        (Peer::SameNamespace(pods), Other::Pod(pod)) => {
            pod.namespace == subject.namespace && holds_or_none(pods.as_ref(), pod)
        }
        (Peer::SameTeam(pods), Other::Pod(pod)) => {
            let team = |pod: &Pod| namespace_labels(pod.namespace).get("team").copied();
            team(pod).is_some() && team(pod) == team(subject) && holds_or_none(pods.as_ref(), pod)
        }
        (Peer::Account(account, namespace), Other::Pod(pod)) => pod.account == *account && pod.namespace == *namespace,
        (Peer::Name(pattern), Other::Outside(_)) => match pattern.strip_prefix('*') {
            Some(rest) => name.len() > rest.len() && name.ends_with(rest),
            None => name == *pattern,
        },
        _ => false,
    }
}

fn is_at(port: &Port, call: &Call<'_>) -> bool {
    let number = match (port.number, call.server) {
        (None, _) => true,
        (Some(Ok(first)), _) => (first..=port.end.unwrap_or(first)).contains(&call.port),
        (Some(Err(_)), Other::Pod(pod)) => call.protocol == "TCP" && pod.web == call.port,
        (Some(Err(_)), Other::Outside(_)) => false,
    };
    let from = port.from.is_none_or(|(first, last)| (first..=last.unwrap_or(first)).contains(&call.client_port));
    port.protocol.unwrap_or("TCP") == call.protocol && number && from
}

fn is_asked(rule: &Rule, call: &Call<'_>) -> bool {
    if rule.ports.is_none() && rule.icmp.is_none() {
        return true;
    }
    let by_message = rule.icmp.is_some_and(|(kind, code)| {
        call.protocol == "ICMP"
            && kind.is_none_or(|kind| kind == call.icmp.0)
            && code.is_none_or(|code| code == call.icmp.1)
    });
    by_message || rule.ports.iter().flatten().any(|port| is_at(port, call))
}

/// What the first rule of these tiers says.
fn first<'p>(world: &'p World, tiers: &[&str], (pod, egress): (&Pod, bool), call: &Call<'_>) -> Option<&'p str> {
    let subject = Other::Pod(pod);
    for tier in tiers {
        for policy in world.policies.iter().filter(|policy| policy.tier == *tier) {
            let own = policy.namespace;
            let applies = |to: &[Peer]| to.iter().any(|peer| is_meant(peer, own, (pod, &subject), "", world));
            if policy.applied.as_ref().is_some_and(|to| !applies(to)) {
                continue;
            }
            let meant = |rule: &&Rule| {
                let anybody = rule.peers.as_ref().is_none_or(Vec::is_empty);
                let peers = rule.peers.iter().flatten();
                rule.applied.as_ref().is_none_or(|to| applies(to))
                    && (anybody
                        || peers.into_iter().any(|peer| is_meant(peer, own, (pod, call.other), call.name, world)))
                    && is_asked(rule, call)
            };
            if let Some(rule) = if egress { &policy.egress } else { &policy.ingress }.iter().find(meant) {
                return Some(rule.action);
            }
        }
    }
    None
}

/// `None`: nothing has anything to say.
fn allowed(world: &World, side: (&Pod, bool), call: &Call<'_>) -> Option<bool> {
    match first(world, &TIERS[..3], side, call) {
        Some("Allow") => return Some(true),
        Some("Drop" | "Reject") => return Some(false),
        _ => {}
    }
    if let Some(answer) = naive::allowed(&world.plain, side, call) {
        return Some(answer);
    }
    first(world, &TIERS[3..], side, call).map(|action| action == "Allow")
}

// --- the same policies as text ---

fn selector(terms: &Wanted) -> Value {
    let mut text = String::new();
    write_terms(&mut text, terms);
    serde_json::from_str(&text).unwrap()
}

fn peer_json(peer: &Peer) -> Value {
    let with_pods = |mut made: Value, pods: Option<&Wanted>| {
        if let Some(terms) = pods {
            made["podSelector"] = selector(terms);
        }
        made
    };
    match peer {
        Peer::Select { pods, namespaces } => {
            let made =
                namespaces.as_ref().map_or_else(|| json!({}), |terms| json!({"namespaceSelector": selector(terms)}));
            with_pods(made, pods.as_ref())
        }
        Peer::SameNamespace(pods) => with_pods(json!({"namespaces": {"match": "Self"}}), pods.as_ref()),
        Peer::SameTeam(pods) => with_pods(json!({"namespaces": {"sameLabels": ["team"]}}), pods.as_ref()),
        Peer::Block(net, None) => json!({"ipBlock": {"cidr": net}}),
        Peer::Block(net, Some(hole)) => json!({"ipBlock": {"cidr": net, "except": [hole]}}),
        Peer::Account(name, namespace) => json!({"serviceAccount": {"name": name, "namespace": namespace}}),
        Peer::Name(pattern) => json!({"fqdn": pattern}),
        Peer::Group(number) => json!({"group": format!("g{number}")}),
    }
}

fn peers_json(peers: &[Peer]) -> Value {
    peers.iter().map(peer_json).collect::<Vec<_>>().into()
}

fn port_json(port: &Port) -> Value {
    let mut made = json!({});
    if let Some(protocol) = port.protocol {
        made["protocol"] = protocol.into();
    }
    match port.number {
        Some(Ok(number)) => made["port"] = number.into(),
        Some(Err(name)) => made["port"] = name.into(),
        None => {}
    }
    if let Some(end) = port.end {
        made["endPort"] = end.into();
    }
    if let Some((first, last)) = port.from {
        made["sourcePort"] = first.into();
        if let Some(last) = last {
            made["sourceEndPort"] = last.into();
        }
    }
    made
}

fn rule_json(rule: &Rule, side: &str) -> Value {
    let mut made = json!({"action": rule.action});
    if let Some(peers) = &rule.peers {
        made[side] = peers_json(peers);
    }
    if let Some(ports) = &rule.ports {
        made["ports"] = ports.iter().map(port_json).collect::<Vec<_>>().into();
    }
    if let Some((kind, code)) = rule.icmp {
        let mut message = json!({});
        for (key, byte) in [("icmpType", kind), ("icmpCode", code)] {
            if let Some(byte) = byte {
                message[key] = byte.into();
            }
        }
        made["protocols"] = json!([{"icmp": message}]);
    }
    if let Some(to) = &rule.applied {
        made["appliedTo"] = peers_json(to);
    }
    made
}

fn text(world: &World) -> String {
    let rules = |rules: &[Rule], side| rules.iter().map(|rule| rule_json(rule, side)).collect::<Vec<_>>();
    let mut items = Vec::new();
    for (place, policy) in world.policies.iter().enumerate() {
        let mut spec = json!({"tier": policy.tier, "priority": place + 1,
            "egress": rules(&policy.egress, "to"), "ingress": rules(&policy.ingress, "from")});
        if let Some(to) = &policy.applied {
            spec["appliedTo"] = peers_json(to);
        }
        let kind = if policy.namespace.is_some() { "NetworkPolicy" } else { "ClusterNetworkPolicy" };
        let mut made = json!({"apiVersion": "crd.antrea.io/v1beta1", "kind": kind, "metadata": {"name": format!("p{place}")}, "spec": spec});
        if let Some(namespace) = policy.namespace {
            made["metadata"]["namespace"] = namespace.into();
        }
        items.push(made);
    }
    for (number, members) in world.groups.iter().enumerate() {
        let mut spec = json!({});
        for member in members {
            match member {
                Peer::Block(..) => spec["ipBlocks"] = json!([peer_json(member)["ipBlock"]]),
                other => spec = peer_json(other),
            }
        }
        items.push(json!({"apiVersion": "crd.antrea.io/v1beta1", "kind": "ClusterGroup", "metadata": {"name": format!("g{number}")}, "spec": spec}));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn two_evaluators_of_antrea_agree() {
    let walk = Walk {
        profile: Profile::ANTREA,
        outside: &[
            ("203.0.113.3", "a.example.com"),
            ("203.0.113.200", "b.example.com"),
            ("198.51.100.1", "x.y.example.com"),
            ("2001:db8::5", "c.example.net"),
        ],
        ports: &[80, 81, 8080, 443],
        protocols: &["TCP", "TCP", "UDP", "ICMP"],
    };
    let make = |chance: &mut Chance| {
        let group = |chance: &mut Chance| vec![if chance.below(2) == 0 { block(chance) } else { selected(chance) }];
        let world = World {
            policies: (0..2 + chance.below(4)).map(|_| policy(chance)).collect(),
            groups: (0..GROUPS).map(|_| group(chance)).collect(),
            plain: (0..chance.below(3)).map(|_| naive::policy(chance)).collect(),
        };
        (vec![text(&world), naive::text(&world.plain)], world)
    };
    walk.check(make, allowed);
}
