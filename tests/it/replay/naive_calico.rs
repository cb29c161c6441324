//! A second evaluator of Calico's policies, written from the reference of the API alone: tiers by order, policies by order within, rules by
//! place; `Log` goes on, `Pass` goes to the next tier, a tier that applies and decides nothing denies unless its default action is `Pass`.

use egress_atlas::replay::Profile;
use serde_json::{Value, json};

use super::naive::{self, Chance, Labels, NAMESPACES, Other, Pod, namespace_labels, within};
use super::walk::{Call, Walk};

/// An expression of Calico's language for selectors.
enum Expression {
    All,
    Is(&'static str, &'static str),
    IsNot(&'static str, &'static str),
    Has(&'static str),
    In(&'static str, &'static str),
    NotIn(&'static str, &'static str),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// What `namespaceSelector` of an entity says.
enum Namespaces {
    Of(Expression),
    /// What has no namespace.
    Global,
}

#[derive(Default)]
struct Entity {
    nets: Vec<&'static str>,
    not_nets: Vec<&'static str>,
    selector: Option<Expression>,
    not_selector: Option<Expression>,
    namespaces: Option<Namespaces>,
    accounts: Vec<&'static str>,
    ports: Vec<&'static str>,
    not_ports: Vec<&'static str>,
}

struct Rule {
    action: &'static str,
    protocol: Option<&'static str>,
    not_protocol: Option<&'static str>,
    icmp: Option<(u8, Option<u8>)>,
    not_icmp: Option<(u8, Option<u8>)>,
    version: Option<u8>,
    source: Entity,
    destination: Entity,
}

struct Policy {
    /// `None`: of the cluster.
    namespace: Option<&'static str>,
    tier: usize,
    order: Option<u32>,
    pods: Expression,
    /// Of the cluster's alone.
    namespaces: Option<Expression>,
    /// The one account that it is about.
    account: Option<&'static str>,
    types: Option<Vec<&'static str>>,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

/// Labels and addresses, of one namespace or of none.
struct Set {
    namespace: Option<&'static str>,
    labels: Labels,
    nets: Vec<&'static str>,
}

struct World {
    policies: Vec<Policy>,
    sets: Vec<Set>,
    /// Whether the tiers before and behind `default` end with `Pass`.
    pass: [bool; 2],
    plain: Vec<naive::Policy>,
}

const NETS: [&str; 5] = ["10.0.0.0/8", "10.0.1.0/24", "203.0.113.0/25", "2001:db8::/32", "198.51.100.1/32"];
/// Tiers with their orders; the second is Calico's own.
const TIERS: [(&str, u32); 3] = [("first", 100), ("default", 1_000_000), ("late", 2_000_000)];
/// Where policies of Kubernetes stand in the tier `default`.
const KUBERNETES_ORDER: u32 = 1_000;

fn expression(chance: &mut Chance, depth: usize) -> Expression {
    let (key, value) = (chance.one(&["app", "team"]), chance.one(&["1", "2"]));
    let more = |chance: &mut Chance| Box::new(expression(chance, depth - 1));
    match chance.below(if depth == 0 { 6 } else { 9 }) {
        0 => Expression::All,
        1 => Expression::Is(key, value),
        2 => Expression::IsNot(key, value),
        3 => Expression::Has(key),
        4 => Expression::In(key, value),
        5 => Expression::NotIn(key, value),
        6 => Expression::Not(more(chance)),
        7 => Expression::And(more(chance), more(chance)),
        _ => Expression::Or(more(chance), more(chance)),
    }
}

/// Over namespaces; by name alone where there are sets of namespaces, whose labels nobody tells.
fn of_namespaces(chance: &mut Chance, by_name: bool) -> Expression {
    match chance.below(3) {
        0 => Expression::All,
        1 if !by_name => expression(chance, 1),
        _ => Expression::Is("projectcalico.org/name", chance.one(&NAMESPACES)),
    }
}

fn some<T: Copy>(chance: &mut Chance, of: &[T]) -> Vec<T> {
    (0..=chance.below(2)).map(|_| chance.one(of)).collect()
}

fn entity(chance: &mut Chance, (ports, is_own): (&[&'static str], bool), by_name: bool) -> Entity {
    let mut made = Entity::default();
    if is_own && chance.often() {
        return made;
    }
    match chance.below(6) {
        0 => made.nets = some(chance, &NETS),
        1 => made.not_nets = some(chance, &NETS),
        2 => made.selector = Some(expression(chance, 1)),
        3 => made.accounts = some(chance, &["default", "builder"]),
        4 => made.not_selector = Some(expression(chance, 1)),
        _ => {}
    }
    if chance.below(3) == 0 {
        made.namespaces = Some(match chance.below(5) {
            0 => Namespaces::Global,
            _ => Namespaces::Of(of_namespaces(chance, by_name)),
        });
    }
    match chance.below(4) {
        0 => made.ports = some(chance, ports),
        1 if chance.below(2) == 0 => made.not_ports = some(chance, ports),
        _ => {}
    }
    made
}

fn rules(chance: &mut Chance, egress: bool, by_name: bool) -> Vec<Rule> {
    let message = |chance: &mut Chance| (chance.one(&[8, 13, 3]), chance.one(&[None, Some(0), Some(1)]));
    let made = |chance: &mut Chance| {
        let protocol = chance.one(&[None, None, Some("TCP"), Some("TCP"), Some("UDP"), Some("ICMP")]);
        let with_ports = matches!(protocol, Some("TCP" | "UDP"));
        let at = |of: &'static [&'static str]| if with_ports { of } else { &[] };
        let one = |chance: &mut Chance, of: &'static [&'static str], is_own| {
            let mut entity = entity(chance, (of, is_own), by_name);
            if at(of).is_empty() {
                (entity.ports, entity.not_ports) = (Vec::new(), Vec::new());
            }
            entity
        };
        let is_icmp = protocol == Some("ICMP");
        Rule {
            action: chance.one(&["Allow", "Allow", "Deny", "Pass", "Log"]),
            protocol,
            not_protocol: (protocol.is_none() && chance.below(4) == 0).then(|| chance.one(&["UDP", "ICMP"])),
            icmp: (is_icmp && chance.below(2) == 0).then(|| message(chance)),
            not_icmp: (is_icmp && chance.below(3) == 0).then(|| message(chance)),
            version: (chance.below(6) == 0).then(|| chance.one(&[4, 6])),
            source: one(chance, &["40000", "5000", "4000:6000"], egress),
            destination: one(chance, &["80", "80:90", "web", "443"], !egress),
        }
    };
    (0..chance.below(4)).map(|_| made(chance)).collect()
}

fn policy(chance: &mut Chance, place: u32, by_name: bool) -> Policy {
    let namespace = (chance.below(2) == 0).then(|| chance.one(&NAMESPACES));
    Policy {
        namespace,
        tier: chance.one(&[0, 1, 1, 2]),
        // Distinct, and on both sides of those of Kubernetes; the first is the last.
        order: (place > 0).then_some(place * 700),
        pods: expression(chance, 1),
        namespaces: (namespace.is_none() && chance.below(3) == 0).then(|| of_namespaces(chance, false)),
        account: (chance.below(6) == 0).then(|| chance.one(&["default", "builder"])),
        types: chance
            .often()
            .then(|| chance.one::<&[&str]>(&[&["Ingress"], &["Egress"], &["Ingress", "Egress"]]).to_vec()),
        ingress: rules(chance, false, by_name),
        egress: rules(chance, true, by_name),
    }
}

fn set(chance: &mut Chance, namespaced: bool) -> Set {
    let mut labels = Labels::new();
    for key in ["app", "team"] {
        if chance.often() {
            labels.insert(key, chance.one(&["1", "2"]));
        }
    }
    Set { namespace: namespaced.then(|| chance.one(&NAMESPACES)), labels, nets: some(chance, &NETS) }
}

// --- what the reference says ---

fn holds(expression: &Expression, labels: &Labels) -> bool {
    let value = |key: &str| labels.get(key).copied();
    match expression {
        Expression::All => true,
        Expression::Is(key, wanted) | Expression::In(key, wanted) => value(key) == Some(*wanted),
        // A label that is not there is not equal to anything.
        Expression::IsNot(key, wanted) | Expression::NotIn(key, wanted) => value(key) != Some(*wanted),
        Expression::Has(key) => value(key).is_some(),
        Expression::Not(one) => !holds(one, labels),
        Expression::And(one, two) => holds(one, labels) && holds(two, labels),
        Expression::Or(one, two) => holds(one, labels) || holds(two, labels),
    }
}

fn namespace_holds(expression: &Expression, namespace: &'static str) -> bool {
    let mut labels = namespace_labels(namespace);
    labels.insert("projectcalico.org/name", namespace);
    holds(expression, &labels)
}

/// Of what has no namespace, and so no label of one; `all()` means whatever has a namespace.
fn no_namespace_holds(expression: &Expression) -> bool {
    match expression {
        Expression::All | Expression::Is(..) | Expression::In(..) | Expression::Has(_) => false,
        Expression::IsNot(..) | Expression::NotIn(..) => true,
        Expression::Not(one) => !no_namespace_holds(one),
        Expression::And(one, two) => no_namespace_holds(one) && no_namespace_holds(two),
        Expression::Or(one, two) => no_namespace_holds(one) || no_namespace_holds(two),
    }
}

fn address_of(end: &Other<'_>) -> std::net::IpAddr {
    match end {
        Other::Pod(pod) => pod.address,
        Other::Outside(address) => *address,
    }
}

/// Whether something of that namespace is where an entity's `namespaceSelector`, else the policy's namespace, says.
fn is_there(entity: &Entity, own: Option<&str>, namespace: Option<&'static str>) -> bool {
    match (&entity.namespaces, namespace) {
        (Some(Namespaces::Global), namespace) => namespace.is_none(),
        (Some(Namespaces::Of(wanted)), Some(namespace)) => namespace_holds(wanted, namespace),
        (Some(Namespaces::Of(wanted)), None) => no_namespace_holds(wanted),
        (None, namespace) => own.is_none_or(|own| namespace == Some(own)),
    }
}

fn is_chosen(entity: &Entity, own: Option<&str>, end: &Other<'_>, sets: &[Set]) -> bool {
    let labelled = |labels: &Labels| entity.selector.as_ref().is_none_or(|wanted| holds(wanted, labels));
    let as_pod = match end {
        Other::Pod(pod) => {
            is_there(entity, own, Some(pod.namespace))
                && labelled(&pod.labels)
                && (entity.accounts.is_empty() || entity.accounts.contains(&pod.account))
        }
        Other::Outside(_) => false,
    };
    let in_set = |set: &Set| {
        is_there(entity, own, set.namespace)
            && labelled(&set.labels)
            && entity.accounts.is_empty()
            && set.nets.iter().any(|net| within(net, address_of(end)))
    };
    as_pod || sets.iter().any(in_set)
}

fn has_port(texts: &[&str], port: u16, pod: Option<&Pod>, protocol: &str) -> bool {
    texts.iter().any(|text| match text.split_once(':') {
        Some((first, last)) => (first.parse().unwrap()..=last.parse().unwrap()).contains(&port),
        None => match text.parse::<u16>() {
            Ok(number) => number == port,
            Err(_) => protocol == "TCP" && pod.is_some_and(|pod| pod.web == port),
        },
    })
}

fn is_meant(entity: &Entity, own: Option<&str>, end: &Other<'_>, port: u16, protocol: &str, sets: &[Set]) -> bool {
    let address = address_of(end);
    let in_any = |nets: &[&str]| nets.iter().any(|net| within(net, address));
    let pod = match end {
        Other::Pod(pod) => Some(*pod),
        Other::Outside(_) => None,
    };
    // As soon as any selector is there, the policy's own namespace counts.
    let selects = entity.selector.is_some()
        || entity.not_selector.is_some() && own.is_some()
        || entity.namespaces.is_some()
        || !entity.accounts.is_empty();
    let refused = entity.not_selector.as_ref().is_some_and(|wanted| {
        pod.is_some_and(|pod| holds(wanted, &pod.labels))
            || sets.iter().any(|set| holds(wanted, &set.labels) && in_any(&set.nets))
    });
    (entity.nets.is_empty() || in_any(&entity.nets))
        && !in_any(&entity.not_nets)
        && (!selects || is_chosen(entity, own, end, sets))
        && !refused
        && (entity.ports.is_empty() || has_port(&entity.ports, port, pod, protocol))
        && !has_port(&entity.not_ports, port, pod, protocol)
}

fn matches(rule: &Rule, own: Option<&str>, (client, call): (&Other<'_>, &Call<'_>), sets: &[Set]) -> bool {
    let is_message =
        |(kind, code): (u8, Option<u8>)| call.icmp.0 == kind && code.is_none_or(|code| call.icmp.1 == code);
    rule.protocol.is_none_or(|own| own == call.protocol)
        && rule.not_protocol != Some(call.protocol)
        && rule.icmp.is_none_or(is_message)
        && !rule.not_icmp.is_some_and(is_message)
        && rule.version.is_none_or(|version| (version == 4) == address_of(call.other).is_ipv4())
        && is_meant(&rule.source, own, client, call.client_port, call.protocol, sets)
        && is_meant(&rule.destination, own, call.server, call.port, call.protocol, sets)
}

fn applies(policy: &Policy, pod: &Pod, egress: bool) -> bool {
    let concerned = match &policy.types {
        Some(types) => types.contains(if egress { &"Egress" } else { &"Ingress" }),
        None if egress => !policy.egress.is_empty(),
        None => !policy.ingress.is_empty() || policy.egress.is_empty(),
    };
    concerned
        && policy.namespace.is_none_or(|own| own == pod.namespace)
        && policy.namespaces.as_ref().is_none_or(|wanted| namespace_holds(wanted, pod.namespace))
        && policy.account.is_none_or(|account| account == pod.account)
        && holds(&policy.pods, &pod.labels)
}

enum Word {
    Final(bool),
    Next,
    Nothing,
}

fn asked(policy: &Policy, egress: bool, ends: (&Other<'_>, &Call<'_>), sets: &[Set]) -> Word {
    for rule in if egress { &policy.egress } else { &policy.ingress } {
        if matches(rule, policy.namespace, ends, sets) {
            match rule.action {
                "Allow" => return Word::Final(true),
                "Deny" => return Word::Final(false),
                "Pass" => return Word::Next,
                _ => {}
            }
        }
    }
    Word::Nothing
}

/// `None`: nothing decides, and profiles let pods through.
fn allowed(world: &World, (pod, egress): (&Pod, bool), call: &Call<'_>) -> Option<bool> {
    let own = Other::Pod(pod);
    let client = if egress { &own } else { call.other };
    'tiers: for (tier, (name, _)) in TIERS.iter().enumerate() {
        let mut members: Vec<(u32, Option<&Policy>)> = world
            .policies
            .iter()
            .filter(|policy| policy.tier == tier)
            .map(|policy| (policy.order.unwrap_or(u32::MAX), Some(policy)))
            .collect();
        if *name == "default" {
            members.push((KUBERNETES_ORDER, None));
        }
        members.sort_by_key(|(order, _)| *order);
        let mut any = false;
        for (_, member) in members {
            let Some(policy) = member else {
                let said = naive::allowed(&world.plain, (pod, egress), call);
                if said == Some(true) {
                    return said;
                }
                any |= said.is_some();
                continue;
            };
            if !applies(policy, pod, egress) {
                continue;
            }
            any = true;
            match asked(policy, egress, (client, call), &world.sets) {
                Word::Final(answer) => return Some(answer),
                Word::Next => continue 'tiers,
                Word::Nothing => {}
            }
        }
        let passes = match *name {
            "first" => world.pass[0],
            "late" => world.pass[1],
            _ => false,
        };
        if any && !passes {
            return Some(false);
        }
    }
    None
}

// --- the same policies as text ---

fn expression_text(expression: &Expression) -> String {
    match expression {
        Expression::All => "all()".to_owned(),
        Expression::Is(key, value) => format!("{key} == '{value}'"),
        Expression::IsNot(key, value) => format!("{key} != \"{value}\""),
        Expression::Has(key) => format!("has({key})"),
        Expression::In(key, value) => format!("{key} in {{'{value}', 'x'}}"),
        Expression::NotIn(key, value) => format!("{key} not in {{'{value}'}}"),
        Expression::Not(one) => format!("!({})", expression_text(one)),
        Expression::And(one, two) => format!("({}) && ({})", expression_text(one), expression_text(two)),
        Expression::Or(one, two) => format!("{} || ({})", expression_text(one), expression_text(two)),
    }
}

fn entity_json(entity: &Entity) -> Value {
    let mut made = json!({});
    for (key, list) in [("nets", &entity.nets), ("notNets", &entity.not_nets)] {
        if !list.is_empty() {
            made[key] = json!(list);
        }
    }
    for (key, wanted) in [("selector", &entity.selector), ("notSelector", &entity.not_selector)] {
        if let Some(wanted) = wanted {
            made[key] = expression_text(wanted).into();
        }
    }
    match &entity.namespaces {
        Some(Namespaces::Global) => made["namespaceSelector"] = "global()".into(),
        Some(Namespaces::Of(wanted)) => made["namespaceSelector"] = expression_text(wanted).into(),
        None => {}
    }
    if !entity.accounts.is_empty() {
        made["serviceAccounts"] = json!({"names": entity.accounts});
    }
    for (key, list) in [("ports", &entity.ports), ("notPorts", &entity.not_ports)] {
        if !list.is_empty() {
            let port = |text: &&str| text.parse::<u16>().map_or_else(|_| Value::from(*text), Value::from);
            made[key] = list.iter().map(port).collect::<Vec<_>>().into();
        }
    }
    made
}

fn rule_json(rule: &Rule) -> Value {
    let mut made = json!({"action": rule.action, "source": entity_json(&rule.source), "destination": entity_json(&rule.destination)});
    for (key, protocol) in [("protocol", rule.protocol), ("notProtocol", rule.not_protocol)] {
        if let Some(protocol) = protocol {
            made[key] = protocol.into();
        }
    }
    for (key, message) in [("icmp", rule.icmp), ("notICMP", rule.not_icmp)] {
        if let Some((kind, code)) = message {
            made[key] = code.map_or_else(|| json!({"type": kind}), |code| json!({"type": kind, "code": code}));
        }
    }
    if let Some(version) = rule.version {
        made["ipVersion"] = version.into();
    }
    made
}

fn text(world: &World) -> String {
    let object = |kind: &str, namespace: Option<&str>, place: usize, spec: Value| {
        let mut made = json!({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": format!("o{place}")}, "spec": spec});
        if let Some(namespace) = namespace {
            made["metadata"]["namespace"] = namespace.into();
        }
        made
    };
    let mut items = Vec::new();
    for (place, policy) in world.policies.iter().enumerate() {
        let rules = |rules: &[Rule]| rules.iter().map(rule_json).collect::<Vec<_>>();
        let mut spec = json!({"tier": TIERS[policy.tier].0, "selector": expression_text(&policy.pods),
            "ingress": rules(&policy.ingress), "egress": rules(&policy.egress)});
        if let Some(order) = policy.order {
            spec["order"] = order.into();
        }
        if let Some(wanted) = &policy.namespaces {
            spec["namespaceSelector"] = expression_text(wanted).into();
        }
        if let Some(account) = policy.account {
            spec["serviceAccountSelector"] = format!("projectcalico.org/name == '{account}'").into();
        }
        if let Some(types) = &policy.types {
            spec["types"] = json!(types);
        }
        let kind = if policy.namespace.is_some() { "NetworkPolicy" } else { "GlobalNetworkPolicy" };
        items.push(object(kind, policy.namespace, place, spec));
    }
    for (place, set) in world.sets.iter().enumerate() {
        let kind = if set.namespace.is_some() { "NetworkSet" } else { "GlobalNetworkSet" };
        let mut made = object(kind, set.namespace, place, json!({"nets": set.nets}));
        made["metadata"]["labels"] = json!(set.labels);
        items.push(made);
    }
    for ((name, order), passes) in [(TIERS[0], world.pass[0]), (TIERS[2], world.pass[1])] {
        let mut made = object("Tier", None, 0, json!({"order": order}));
        made["metadata"]["name"] = name.into();
        if passes {
            made["spec"]["defaultAction"] = "Pass".into();
        }
        items.push(made);
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn two_evaluators_of_calico_agree() {
    let walk = Walk {
        profile: Profile::CALICO,
        outside: &[("203.0.113.3", ""), ("203.0.113.200", ""), ("198.51.100.1", ""), ("2001:db8::5", "")],
        ports: &[80, 81, 8080, 443],
        protocols: &["TCP", "TCP", "UDP", "ICMP"],
    };
    let make = |chance: &mut Chance| {
        let by_name = chance.below(2) == 0;
        let mut sets: Vec<Set> = (0..chance.below(3)).map(|_| set(chance, false)).collect();
        if by_name {
            sets.extend((0..=chance.below(2)).map(|_| set(chance, true)));
        }
        let world = World {
            policies: (0..=u32::try_from(chance.below(5)).unwrap())
                .map(|place| policy(chance, place, by_name))
                .collect(),
            sets,
            pass: [chance.below(2) == 0, chance.below(2) == 0],
            plain: (0..chance.below(3)).map(|_| naive::policy(chance)).collect(),
        };
        (vec![text(&world), naive::text(&world.plain)], world)
    };
    walk.check(make, allowed);
}
