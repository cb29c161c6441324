//! The round trip: a draft replayed on its own baseline breaks nothing that it did not list, and without any one rule exactly what that
//! rule was for, on the demo and on random clusters, in every dialect.
//!
//! Which connections a rule is for is told from the draft's own values, by a reading of them that shares nothing with the writers of the
//! dialects, their parsers or the evaluator.

use std::collections::{BTreeMap, BTreeSet};

use egress_atlas::model::{Protocol, is_special};
use egress_atlas::policy::Direction;
use egress_atlas::policy::draft::{
    Citation, Dialect, Draft, Manifest, NamePattern, Rule, RulePeer, Subject, bundle, manifests,
};
use egress_atlas::policy::names::PolicyName;
use egress_atlas::replay::{End, EndKind, Profile, Recorded, ReplayEdge, Verdict};
use egress_atlas::simulate::Scenario;
use egress_atlas::simulate::random::Random;
use egress_atlas::summary::Peer;

use super::estate::estate;
use super::look;
use super::schema::refused;
use super::world::{World, demo_world, drafts, generated, in_blocks, judged, of_estate, parsed, settings, texts};
use egress_atlas::catalog::Settings;

/// Each dialect with a CNI that enforces it.
pub(super) const ENFORCERS: [(Dialect, Profile); 5] = [
    (Dialect::Kubernetes, Profile::CALICO),
    (Dialect::Cilium, Profile::CILIUM),
    (Dialect::Antrea, Profile::ANTREA),
    (Dialect::Calico, Profile::CALICO),
    (Dialect::ClusterNetworkPolicy, Profile::CALICO),
];

/// An edge as both the baseline and the replay know it: cluster, direction, namespace, workload, peer, port, protocol.
type Edge = (String, Direction, String, String, String, u16, String);

fn peer_key(cluster: &str, peer: &Peer) -> String {
    match peer {
        Peer::Workload { cluster: of, namespace, workload } => {
            let of = if of.is_empty() { cluster } else { of };
            format!("{of}:{namespace}/{workload}")
        }
        Peer::Name(name) => name.to_string(),
        Peer::Address(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

fn key(draft: &Draft, cited: &Citation) -> Edge {
    let (workload, peer) = (cited.workload.to_string(), peer_key(&draft.cluster, &cited.peer));
    let (cluster, namespace) = (draft.cluster.clone(), draft.namespace.clone());
    (cluster, cited.direction, namespace, workload, peer, cited.port, cited.protocol.to_string())
}

/// What a connection of the replay is called in the baseline of one of its ends.
fn called(recorded: &Recorded, edge: &ReplayEdge, direction: Direction) -> Option<Edge> {
    let (client, server) = (&recorded.ends[edge.client], &recorded.ends[edge.server]);
    let text = |end: &End| end.workload.as_ref().map(ToString::to_string).unwrap_or_default();
    let (own, other) = match direction {
        Direction::Egress => (client, server),
        Direction::Ingress => (server, client),
    };
    let peer = match (other.kind, direction) {
        (EndKind::Pod, _) => format!("{}:{}/{}", other.cluster, other.namespace, text(other)),
        (EndKind::HostPod, _) if other.workload.is_some() => {
            format!("{}:{}/{}", other.cluster, other.namespace, text(other))
        }
        (EndKind::KubeApiserver, _) => format!("{:?}", Peer::KubeApiserver),
        (EndKind::Node | EndKind::HostPod, _) => format!("{:?}", Peer::Node),
        (EndKind::Service, _) => {
            format!("{:?}", Peer::Service { namespace: other.namespace.clone(), name: other.name.clone() })
        }
        (EndKind::Gateway, _) => format!("{:?}", Peer::Ingress),
        (EndKind::Outside, Direction::Ingress) if !other.address.is_some_and(is_special) => {
            format!("{:?}", Peer::Outside)
        }
        _ => edge
            .names
            .list
            .first()
            .map_or_else(|| other.address.map(|address| address.to_string()).unwrap_or_default(), ToString::to_string),
    };
    let (cluster, namespace) = (own.cluster.to_string(), own.namespace.to_string());
    own.is_pod().then(|| (cluster, direction, namespace, text(own), peer, edge.port, edge.protocol.to_string()))
}

fn passes(verdict: Option<Verdict>) -> bool {
    matches!(verdict, Some(Verdict::Allowed | Verdict::NotIsolated))
}

fn has_labels(end: &End, wanted: &BTreeMap<String, String>) -> bool {
    let labels = end.labels.as_ref();
    wanted
        .iter()
        .all(|(key, value)| labels.is_some_and(|labels| labels.get(key.as_str()).is_some_and(|own| **own == **value)))
}

/// Whether a rule means a connection to or from `other`, by what the draft says.
fn means(rule: &Rule, other: &End, own: &End, edge: &ReplayEdge) -> bool {
    // A pod is let through to itself by some plugins whatever rules say; that is looked at elsewhere.
    if own == other {
        return false;
    }
    if other.kind == EndKind::Service && !other.backends.is_empty() {
        let behind = |(pod, port): &(std::sync::Arc<End>, u16)| {
            means(rule, pod, own, &ReplayEdge { port: *port, ..edge.clone() })
        };
        return other.backends.iter().all(behind);
    }
    if !rule.ports.is_empty() && !rule.ports.contains(&(edge.protocol, edge.port)) {
        return false;
    }
    let on_node = matches!(other.kind, EndKind::Node | EndKind::HostPod);
    match &rule.peer {
        RulePeer::Pods { namespace, selector, .. } => {
            other.kind == EndKind::Pod && *other.namespace == **namespace && has_labels(other, selector.labels())
        }
        RulePeer::EveryPod => other.kind == EndKind::Pod,
        RulePeer::Name(pattern) => {
            let name = edge.names.list.first().map(|name| &**name).unwrap_or_default();
            matches!(other.kind, EndKind::Outside | EndKind::Unknown)
                && match pattern {
                    NamePattern::Exact(exact) => exact == name,
                    NamePattern::OneLabelBelow(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
                }
        }
        RulePeer::Blocks(blocks) => in_blocks(blocks, other.address),
        RulePeer::ApiServer(blocks) => other.kind == EndKind::KubeApiserver || in_blocks(blocks, other.address),
        RulePeer::Nodes(blocks) => on_node || in_blocks(blocks, other.address),
        RulePeer::Gateway => other.kind == EndKind::Gateway,
    }
}

/// The rules of one side of a connection that mean it, by id.
fn meant<'d>(draft: &'d Draft, recorded: &Recorded, edge: &ReplayEdge, direction: Direction) -> Vec<&'d Rule> {
    let (client, server) = (&recorded.ends[edge.client], &recorded.ends[edge.server]);
    let (own, other) = match direction {
        Direction::Egress => (client, server),
        Direction::Ingress => (server, client),
    };
    if own.kind != EndKind::Pod || *own.cluster != *draft.cluster || *own.namespace != *draft.namespace {
        return Vec::new();
    }
    let shared = draft.baseline.iter().filter(|_| direction == Direction::Egress);
    let of_template = |subject: &&Subject| has_labels(own, subject.selector.labels());
    let subjects = draft.subjects.iter().filter(of_template);
    let rules = subjects.flat_map(|subject| match direction {
        Direction::Egress => &subject.egress,
        Direction::Ingress => &subject.ingress,
    });
    shared.chain(rules).filter(|rule| means(rule, other, own, edge)).collect()
}

fn without(draft: &Draft, id: &str) -> Draft {
    let mut draft = draft.clone();
    draft.baseline.retain(|other| other.id != id);
    for subject in &mut draft.subjects {
        subject.egress.retain(|other| other.id != id);
        subject.ingress.retain(|other| other.id != id);
    }
    draft
}

/// What a round trip went through.
#[derive(Debug, Default)]
struct Trip {
    left: usize,
    passed: usize,
    removed: usize,
    stopped: usize,
}

/// The draft breaks nothing that it did not list; without any one of `rules` (all, or a choice) it breaks what that rule was for, and
/// nothing else.
fn round_trip(
    world: &World,
    settings: &Settings,
    (dialect, profile): &(Dialect, Profile),
    chosen: &mut dyn FnMut() -> bool,
) -> Trip {
    let drafts = drafts(world, settings, *dialect);
    let recorded = &world.recorded;
    let left: BTreeSet<Edge> = drafts
        .iter()
        .flat_map(|draft| {
            let out = draft.pending.iter().filter(|pending| pending.kind.is_left_out());
            out.filter_map(|pending| pending.edge.as_ref()).map(|edge| key(draft, edge))
        })
        .collect();
    let all: Vec<(&str, Vec<String>)> = drafts.iter().map(|draft| (draft.cluster.as_str(), texts(draft))).collect();
    let flat = all.iter().flat_map(|(cluster, texts)| texts.iter().map(|text| (*cluster, text.as_str())));
    let before = judged(recorded, &parsed(flat), profile, 0..recorded.edges.len());
    let mut trip = Trip::default();
    for (index, verdict) in &before {
        trip.passed += usize::from(passes(*verdict));
        if *verdict == Some(Verdict::WouldBreak) {
            let keys =
                [Direction::Egress, Direction::Ingress].map(|way| called(recorded, &recorded.edges[*index], way));
            let server = &recorded.ends[recorded.edges[*index].server];
            let caller = keys[0].as_ref().map(|key| format!("{}:{}/{}", key.0, key.2, key.3)).unwrap_or_default();
            // Behind a service: what its pods' own namespace lists.
            let behind = |key: &Edge| {
                let at = |(pod, port): &(std::sync::Arc<End>, u16)| *pod.namespace == *key.2 && *port == key.5;
                key.1 == Direction::Ingress && key.4 == caller && server.backends.iter().any(at)
            };
            // A node that calls a service by its address is in the baseline of no namespace.
            let unowned = keys == [None, None] && server.kind == EndKind::Service;
            let listed = unowned || keys.iter().flatten().any(|key| left.contains(key)) || left.iter().any(behind);
            assert!(listed, "{dialect}: breaks and is not listed: {keys:?}\n{}", ends(recorded, *index));
            trip.left += 1;
        }
    }
    for draft in &drafts {
        for manifest in bundle(draft).unwrap_or_else(|error| panic!("{dialect}: {error}")).manifests {
            is_valid(*dialect, &manifest);
        }
        is_complete(draft);
        for (_, rule) in draft.rules() {
            if chosen() {
                trip.removed += 1;
                trip.stopped += removed(recorded, draft, rule, profile, (&before, &left));
            }
        }
    }
    trip
}

/// Valid for the API server, nothing dangerous in it, and the same when it is read again.
fn is_valid(dialect: Dialect, manifest: &Manifest) {
    let object = manifest.json();
    look(&object, dialect, "");
    assert_eq!(refused(dialect, &object), None, "{dialect} {}", manifest.name);
}

/// What no draft may lack: both default denies, behind everything that opens; DNS over both transports, in Cilium through the proxy.
fn is_complete(draft: &Draft) {
    let manifests = manifests(draft);
    let dialect = draft.dialect;
    let of =
        |policy: PolicyName| manifests.iter().filter(move |manifest| manifest.policy == policy).map(Manifest::json);
    for (deny, opens) in [
        (PolicyName::DefaultDenyEgress, [PolicyName::EgressBaselineAllow, PolicyName::EgressAllowlist].as_slice()),
        (PolicyName::DefaultDenyIngress, &[PolicyName::IngressAllowlist]),
    ] {
        let denies: Vec<_> = of(deny).collect();
        let [object] = denies.as_slice() else { panic!("{dialect} {}: {} of {deny}", draft.namespace, denies.len()) };
        let section = &object["spec"][deny.direction().as_str()];
        match dialect {
            Dialect::Antrea => assert_eq!(section[0]["action"], "Drop"),
            Dialect::ClusterNetworkPolicy => assert_eq!(section[0]["action"], "Deny"),
            Dialect::Cilium => assert!(section[0].to_string().contains("Entities\":[\"none\"]"), "{section}"),
            Dialect::Kubernetes | Dialect::Calico => assert!(section.is_null(), "{section}"),
        }
        if matches!(dialect, Dialect::Antrea | Dialect::ClusterNetworkPolicy) {
            let last = object["spec"]["priority"].as_u64().unwrap();
            for open in opens.iter().flat_map(|policy| of(*policy)) {
                assert!(open["spec"]["priority"].as_u64().unwrap() < last, "{dialect}: {open}");
            }
        }
    }
    let dns = draft.baseline.iter().find(|rule| rule.id == "baseline/dns").unwrap();
    assert!(dns.ports.contains(&(Protocol::UDP, 53)) && dns.ports.contains(&(Protocol::TCP, 53)), "{dns:?}");
    if dialect == Dialect::Cilium {
        let text = of(PolicyName::EgressBaselineAllow).next().unwrap().to_string();
        assert!(text.contains(r#""rules":{"dns":[{"matchPattern":"*"}]}"#), "{text}");
    }
}

fn ends(recorded: &Recorded, index: usize) -> String {
    let edge = &recorded.edges[index];
    format!("{edge:?}\n  {:?}\n  {:?}", recorded.ends[edge.client], recorded.ends[edge.server])
}

/// Takes one rule out, and says how many connections that stops.
fn removed(
    recorded: &Recorded,
    draft: &Draft,
    rule: &Rule,
    profile: &Profile,
    (before, left): (&BTreeMap<usize, Option<Verdict>>, &BTreeSet<Edge>),
) -> usize {
    let less = without(draft, &rule.id);
    let objects = texts(&less);
    let set = parsed(objects.iter().map(|text| (draft.cluster.as_str(), text.as_str())));
    let here = |end: usize| {
        let end = &recorded.ends[end];
        *end.cluster == *draft.cluster && *end.namespace == *draft.namespace
    };
    let concerned = before.iter().filter(|(_, verdict)| passes(**verdict)).map(|(index, _)| *index).filter(|index| {
        let edge = &recorded.edges[*index];
        here(edge.client) || here(edge.server)
    });
    let after = judged(recorded, &set, profile, concerned);
    let cites: BTreeSet<Edge> = rule.evidence.cites.iter().map(|cited| key(draft, cited)).collect();
    let mut count = 0;
    for (index, verdict) in &after {
        let edge = &recorded.edges[*index];
        let (client, server) = (&recorded.ends[edge.client], &recorded.ends[edge.server]);
        let is_self = |end: &End| client.address.is_some() && client.address == end.address;
        let through = |(pod, _): &(std::sync::Arc<End>, u16)| is_self(pod) || pod.name == client.name;
        if edge.client == edge.server || is_self(server) || server.backends.iter().any(through) {
            continue;
        }
        // The far side of a service is looked at as a whole above: its rules are another namespace's, or cite the callers.
        if server.kind == EndKind::Service && rule.id.contains("/ingress/") {
            continue;
        }
        let mut expected = false;
        let mut was_cited = false;
        for direction in [Direction::Egress, Direction::Ingress] {
            let called = called(recorded, edge, direction);
            let is_left = called.as_ref().is_some_and(|called| left.contains(called));
            was_cited |= is_left || called.is_some_and(|called| cites.contains(&called));
            let meaning = meant(draft, recorded, edge, direction);
            // A node reaches its own pods without any rule.
            let own_node = direction == Direction::Ingress
                && !client.node.is_empty()
                && client.node == server.node
                && client.kind != EndKind::Pod;
            expected |= !own_node && matches!(meaning.as_slice(), [only] if only.id == rule.id);
        }
        // Without DNS through the proxy no rule by name opens anything.
        let unlearned =
            rule.is_dns && draft.dialect == Dialect::Cilium && !edge.names.list.is_empty() && !server.is_pod();
        let stopped = !passes(*verdict);
        count += usize::from(stopped);
        if unlearned {
            continue;
        }
        let (dialect, id) = (draft.dialect, &rule.id);
        assert_eq!(
            stopped,
            expected,
            "{dialect}: without {id}: stopped, and expected to be\n{}\n{objects:?}",
            ends(recorded, *index)
        );
        assert!(
            !stopped || was_cited,
            "{dialect}: without {id} something stops that did not cite it\n{}",
            ends(recorded, *index)
        );
    }
    count
}

#[test]
fn the_demo_survives_its_own_drafts() {
    for draft in ["pod_to_pod = true", "pod_to_pod = false\nstable_days = 1"] {
        let settings = settings(draft);
        let world = demo_world(&settings);
        for enforcer in ENFORCERS {
            let trip = round_trip(&world, &settings, &enforcer, &mut || true);
            assert!(trip.left > 2 && trip.stopped > 20, "{}: {trip:?}", enforcer.0);
        }
    }
}

#[test]
fn clusters_of_the_benchmarks_survive_their_own_drafts() {
    let settings = settings("pod_to_pod = false\nstable_days = 1\nstable_addresses = 64");
    let world = generated(&small(7), &settings);
    for enforcer in ENFORCERS {
        let trip = round_trip(&world, &settings, &enforcer, &mut || true);
        assert!(trip.stopped > 4, "{}: {trip:?}", enforcer.0);
    }
}

pub(super) fn small(seed: u64) -> Scenario {
    Scenario {
        connections: 120,
        flows: 1_000,
        namespaces: 2,
        workloads_per_namespace: 2,
        pods_per_workload: 2,
        names: 12,
        ..Scenario::easy(seed)
    }
}

/// Random clusters; each goes through every dialect, and loses rules of each: most of them in one dialect, in the others some that the
/// cluster's number chooses, since all would take minutes without optimisation.
const ESTATES: u64 = 100;

/// `first`, and every fifth after it.
fn random_clusters(first: u64) {
    let mut all = Trip::default();
    let mut failed = BTreeSet::new();
    let estates = (first..ESTATES).step_by(ENFORCERS.len());
    for seed in estates {
        let (world, settings) = of_estate(&estate(seed));
        for (place, enforcer) in ENFORCERS.iter().enumerate() {
            let mut random = Random::new(seed);
            let share = if seed % 5 == place as u64 { 0.7 } else { 0.2 };
            let run =
                std::panic::AssertUnwindSafe(|| round_trip(&world, &settings, enforcer, &mut || random.chance(share)));
            let Ok(trip) = std::panic::catch_unwind(run) else {
                failed.insert(seed);
                continue;
            };
            all.left += trip.left;
            all.passed += trip.passed;
            all.removed += trip.removed;
            all.stopped += trip.stopped;
        }
    }
    assert_eq!(failed, BTreeSet::new(), "clusters that do not come back; the panics above say why");
    // The generator must not drift into clusters that say nothing.
    assert!(all.left > 50 && all.passed > 1_000 && all.removed > 50 && all.stopped > 50, "{all:?}");
}

#[test]
fn random_clusters_survive_their_own_drafts_kubernetes() {
    random_clusters(0);
}

#[test]
fn random_clusters_survive_their_own_drafts_cilium() {
    random_clusters(1);
}

#[test]
fn random_clusters_survive_their_own_drafts_antrea() {
    random_clusters(2);
}

#[test]
fn random_clusters_survive_their_own_drafts_calico() {
    random_clusters(3);
}

#[test]
fn random_clusters_survive_their_own_drafts_cluster_network_policy() {
    random_clusters(4);
}
