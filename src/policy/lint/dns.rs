//! Names and DNS: names that no DNS rule serves, and egress that is closed without DNS.

use std::collections::{BTreeMap, BTreeSet};

use super::cover::{closes, subject};
use super::facts::{AnyPodOf, LintCluster, PodKnowledge};
use super::finding::{DNS_CLOSED, DNS_WITHOUT_TCP, LintFinding, NAME_WITHOUT_DNS};
use super::ground::Ground;
use crate::model::{Protocol, Severity};
use crate::policy::{
    Action, Dialect, Direction, Entity, Labelled, NamePattern, Peer, Policy, PortMatch, PortSpec, Ports, ProtocolSpec,
};

pub(super) fn check(ground: &mut Ground<'_>) {
    names(ground);
    for cluster in ground.clusters {
        closed(ground, cluster);
    }
}

fn names(ground: &mut Ground<'_>) {
    for (id, policy, rule) in ground.rules(Action::Allow) {
        let wanted: Vec<&NamePattern> = rule.peers.iter().flatten().filter_map(name_of).collect();
        if policy.dialect != Dialect::Cilium || wanted.is_empty() {
            continue;
        }
        let Some(cluster) = ground.clusters_of(policy).next() else { continue };
        let servers: Vec<(&Policy, &[NamePattern])> = ground.in_force(cluster).flat_map(servers).collect();
        let mut doubtful = false;
        let mut unserved = BTreeSet::new();
        for name in wanted {
            let fitting: Vec<&Policy> = servers
                .iter()
                .filter(|(_, patterns)| patterns.iter().any(|one| serves(one, name)))
                .map(|(policy, _)| *policy)
                .collect();
            match is_served(policy, &fitting, cluster) {
                Some(true) => {}
                Some(false) => {
                    unserved.insert(&*name.text);
                }
                None => doubtful = true,
            }
        }
        if doubtful {
            ground.not_checked("whether DNS rules select the same pods as the names they serve: give --kube with pods");
        }
        let Some(first) = unserved.first() else { continue };
        let more = if unserved.len() > 1 { format!(" and {} more", unserved.len() - 1) } else { String::new() };
        let message = if servers.is_empty() {
            format!("`{first}`{more}: no rule sends DNS through the proxy, so that the name never gets an address")
        } else {
            format!("`{first}`{more}: no DNS rule for these pods serves the name")
        };
        let fix = "allow port 53 to the DNS pods with `rules.dns` that match the name, for the same pods";
        ground.rule(&NAME_WITHOUT_DNS, Severity::High, id, message, fix);
    }
}

fn name_of(peer: &Peer) -> Option<&NamePattern> {
    match peer {
        Peer::Name(pattern) => Some(pattern),
        _ => None,
    }
}

fn servers(policy: &Policy) -> Vec<(&Policy, &[NamePattern])> {
    let rules = policy.egress.iter().flat_map(|section| &section.rules);
    rules.filter(|rule| rule.action == Action::Allow).filter_map(|rule| Some((policy, rule.dns.as_deref()?))).collect()
}

/// A wildcard is served where a name that fits it would be.
fn serves(pattern: &NamePattern, name: &NamePattern) -> bool {
    pattern.is_everything() || pattern.text == name.text || pattern.matches(&name.text.replace('*', "x"))
}

/// Whether one of the policies serves every pod of a policy; `None` when the pods would have to be known.
fn is_served(policy: &Policy, fitting: &[&Policy], cluster: &LintCluster) -> Option<bool> {
    if fitting.iter().any(|other| subject(&other.subject, &policy.subject)) {
        return Some(true);
    }
    if fitting.is_empty() {
        return Some(false);
    }
    let selects = |of: &Policy, pod| of.subject.namespaces.matches(pod).and(of.subject.pods.matches(pod));
    let mut own = cluster.pods.iter().filter(|pod| selects(policy, *pod).is_yes()).peekable();
    own.peek()?;
    let mut served = true;
    for pod in own {
        let found = fitting.iter().map(|other| selects(other, pod));
        let found: Vec<_> = found.collect();
        if found.iter().all(|one| one.is_no()) {
            return Some(false);
        }
        served &= found.iter().any(|one| one.is_yes());
    }
    served.then_some(true)
}

/// What policies do with the DNS of a pod.
#[derive(Clone, Copy)]
struct State<'a> {
    closer: Option<&'a Policy>,
    udp: bool,
    tcp: bool,
    opens: bool,
}

fn state<'a>(policies: &[&'a Policy], pod: &impl Labelled) -> State<'a> {
    let mut state = State { closer: None, udp: false, tcp: false, opens: false };
    for policy in policies {
        let selected = policy.subject.namespaces.matches(pod).and(policy.subject.pods.matches(pod));
        if selected.is_no() {
            continue;
        }
        if selected.is_yes() && closes(policy, Direction::Egress) {
            state.closer = state.closer.or(Some(policy));
        }
        for rule in policy.egress.iter().flat_map(|section| &section.rules).filter(|rule| rule.action == Action::Allow)
        {
            let applies = match &rule.local {
                Some(Peer::Pods { namespaces, pods }) => !namespaces.matches(pod).and(pods.matches(pod)).is_no(),
                _ => true,
            };
            if applies {
                state.opens |= rule.peers.as_ref().is_none_or(|peers| !is_nobody(peers));
                let reaches = rule.peers.as_ref().is_none_or(|peers| peers.iter().any(may_be_dns));
                state.udp |= reaches && lets(&rule.ports, Protocol::UDP);
                state.tcp |= reaches && lets(&rule.ports, Protocol::TCP);
            }
        }
    }
    state
}

fn is_nobody(peers: &[Peer]) -> bool {
    peers.iter().all(|peer| matches!(peer, Peer::Entity(Entity::None)))
}

/// Whether a peer may be a resolver. Certain only where it is not.
fn may_be_dns(peer: &Peer) -> bool {
    match peer {
        Peer::Pods { namespaces, .. } => ["kube-system", "openshift-dns", "dns"]
            .iter()
            .any(|namespace| !namespaces.matches(&AnyPodOf { namespace, labels: None }).is_no()),
        Peer::Name(_)
        | Peer::Entity(Entity::None | Entity::KubeApiserver | Entity::Ingress | Entity::SameNamespace) => false,
        Peer::Either(parts) => parts.iter().any(may_be_dns),
        Peer::Both(parts) => parts.iter().all(may_be_dns),
        Peer::Block(_)
        | Peer::Range(_)
        | Peer::Entity(_)
        | Peer::Service { .. }
        | Peer::Services { .. }
        | Peer::Nodes(_)
        | Peer::SameLabels(_)
        | Peer::Not(_)
        | Peer::Opaque(_) => true,
    }
}

/// Port 53, or the ports on which DNS pods listen behind their service.
fn lets(ports: &Ports, protocol: Protocol) -> bool {
    let is_dns = |element: &PortMatch| {
        let fits = match element.protocol {
            ProtocolSpec::Is(own) => own == protocol,
            ProtocolSpec::Any | ProtocolSpec::AnyWithPorts => true,
        };
        fits && match &element.port {
            PortSpec::Any | PortSpec::Named(_) => true,
            PortSpec::Icmp { .. } => false,
            PortSpec::Range(first, last) => [53, 1053, 5353, 8053].iter().any(|port| (first..=last).contains(&port)),
        }
    };
    ports.any_of.as_ref().is_none_or(|elements| elements.iter().any(is_dns))
}

fn closed<'a>(ground: &mut Ground<'a>, cluster: &'a LintCluster) {
    let policies: Vec<&Policy> = ground.in_force(cluster).collect();
    let mut found: BTreeMap<(&str, usize), (State<'_>, BTreeSet<&str>)> = BTreeMap::new();
    let place = |policy: &Policy| policies.iter().position(|other| std::ptr::eq(*other, policy)).unwrap_or(0);
    let mut seen = BTreeSet::new();
    for pod in &cluster.pods {
        if pod.host_network || pod.has_own_resolver || !seen.insert((&*pod.namespace, &*pod.name)) {
            continue;
        }
        let state = state(&policies, pod);
        if let Some(closer) = state.closer.filter(|_| !state.udp || !state.tcp) {
            let entry = found.entry((&pod.namespace, place(closer))).or_insert((state, BTreeSet::new()));
            entry.0.opens |= state.opens;
            entry.1.insert(&pod.name);
        }
    }
    if cluster.knowledge == PodKnowledge::None {
        let mut namespaces: BTreeSet<&str> = policies.iter().map(|policy| &*policy.id.namespace).collect();
        namespaces.remove("");
        for namespace in namespaces {
            let state = state(&policies, &AnyPodOf { namespace, labels: None });
            if let Some(closer) = state.closer.filter(|_| !state.udp || !state.tcp) {
                found.insert((namespace, place(closer)), (state, BTreeSet::new()));
            }
        }
    }
    for ((namespace, _), (state, workloads)) in found {
        if let Some(finding) = finding(namespace, state, &workloads) {
            ground.finding(finding);
        }
    }
}

fn finding(namespace: &str, state: State<'_>, workloads: &BTreeSet<&str>) -> Option<LintFinding> {
    let policy = state.closer?;
    let who = match workloads.len() {
        0 => format!("pods of `{namespace}`"),
        count => {
            let shown: Vec<&str> = workloads.iter().take(3).copied().collect();
            let more = if count > 3 { format!(" and {} more", count - 3) } else { String::new() };
            format!("`{namespace}`: {}{more}", shown.join(", "))
        }
    };
    let fix = "allow port 53, UDP and TCP, to the DNS pods (`egress-baseline-allow` of `draft` does)";
    let (rule, severity, message) = match (state.udp, state.tcp) {
        (false, false) if state.opens => {
            (&DNS_CLOSED, Severity::Medium, format!("{who}: egress is closed and no rule allows DNS"))
        }
        (false, false) => (&DNS_CLOSED, Severity::Low, format!("{who}: egress is sealed, DNS included")),
        (false, true) => (
            &DNS_CLOSED,
            Severity::Medium,
            format!("{who}: DNS is allowed over TCP only; `port: 53` without `protocol` means TCP"),
        ),
        _ => (&DNS_WITHOUT_TCP, Severity::Low, format!("{who}: DNS is allowed over UDP only")),
    };
    Some(LintFinding::new(rule, severity, &policy.id, policy.id.line, (message, fix.to_owned())))
}
