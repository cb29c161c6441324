//! The judgement of every connection since the change.

use std::collections::{BTreeMap, BTreeSet};

use super::super::end::End;
use super::super::evaluator::{Connection, Evaluator};
use super::super::fold::{Recorded, ReplayEdge, Seen};
use super::super::resolve::workload_of;
use super::super::tally::{peer_text, wanted};
use super::super::verdict::{Judgement, Verdict};
use super::outcome::{Blocked, Fault, Leak, NamespaceSoak, Outcome, Soak, Span};
use super::silence::{self, Feed};
use crate::model;
use crate::policy::probe::PROBE_NAME;
use crate::policy::{Direction, Match, PolicySet};

/// Version of the form.
const SCHEMA: &str = "egress-atlas-soak/1";

/// Connections by when they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Over before the change, in a span as long as the soak.
    pub before: Recorded,
    /// Began before, went on after; and those of the first moments, while the change spreads.
    pub spanning: Recorded,
    /// Began after.
    pub after: Recorded,
}

/// What the judgement rests on.
#[derive(Debug)]
pub struct SoakInput<'a> {
    /// From the change to the end that was asked for.
    pub asked: Span,
    /// Connections.
    pub phases: &'a Phases,
    /// What the flow feeds of each cluster cover.
    pub feeds: &'a BTreeMap<Box<str>, Feed>,
    /// Workloads of each (cluster, namespace) that a baseline shows with traffic.
    pub baseline: &'a BTreeMap<(String, String), BTreeSet<String>>,
}

/// Whose answer a connection belongs to.
type Place = (Box<str>, Box<str>);

#[derive(Default)]
struct Found {
    passed: u64,
    undecidable: u64,
    spanning: u64,
    unknown_verdict: u64,
    explained: u64,
    blocked: BTreeMap<BlockedKey, Seen>,
    leaks: BTreeMap<LeakKey, Seen>,
    alive: BTreeSet<String>,
}

/// Workload, side, peer, port, audited, fault, policies, remedy.
type BlockedKey = (String, &'static str, String, String, bool, Fault, Vec<String>, String);
/// Workload, side, peer, port, policies.
type LeakKey = (String, &'static str, String, String, Vec<String>);

/// Judges every namespace that the policies are about.
pub fn soak<'e, 's: 'e>(
    input: &SoakInput<'_>,
    set: &PolicySet,
    of_cluster: impl Fn(&str) -> Option<&'e Evaluator<'s>>,
) -> Soak {
    let mut judge = Judge { set, found: BTreeMap::new() };
    let governed = governed(input, set, &of_cluster);
    for (recorded, is_after) in [(&input.phases.spanning, false), (&input.phases.after, true)] {
        let prepared: Vec<_> = recorded
            .ends
            .iter()
            .map(|end| of_cluster(&end.cluster).map(|evaluator| evaluator.prepare(end.clone())))
            .collect();
        for edge in &recorded.edges {
            let ends = [edge.client, edge.server].map(|place| prepared.get(place).and_then(Option::as_ref));
            let [Some(client), Some(server)] = ends else { continue };
            let [Some(evaluator), Some(server_side)] = [client, server].map(|one| of_cluster(&one.end.cluster)) else {
                continue;
            };
            let connection = Connection {
                client,
                server,
                port: edge.port,
                protocol: edge.protocol,
                names: &edge.names,
                guessed: edge.guessed,
            };
            if is_after {
                judge.after(edge, &client.end, &server.end, &evaluator.judge_between(server_side, &connection));
            } else {
                judge.spanning(edge, &client.end, &server.end);
            }
        }
    }
    let mut found = judge.found;
    let namespaces = governed
        .into_iter()
        .map(|place| {
            let found = found.remove(&place).unwrap_or_default();
            namespace(input, &place, found)
        })
        .collect();
    Soak { schema: SCHEMA, asked: input.asked, namespaces, caveats: Vec::new() }
}

/// Namespaces that an enforced policy names, or some pod of which one selects.
fn governed<'e, 's: 'e>(
    input: &SoakInput<'_>,
    set: &PolicySet,
    of_cluster: &impl Fn(&str) -> Option<&'e Evaluator<'s>>,
) -> BTreeSet<Place> {
    let mut governed = BTreeSet::new();
    let phases = input.phases;
    for end in [&phases.before, &phases.spanning, &phases.after].into_iter().flat_map(|recorded| &recorded.ends) {
        let Some(evaluator) = of_cluster(&end.cluster) else { continue };
        let is_selected =
            |policy: &crate::policy::Policy| policy.is_enforced && evaluator.selects(policy, end) == Match::Yes;
        if end.is_pod() && set.policies.iter().any(is_selected) {
            governed.insert((end.cluster.clone(), end.namespace.clone()));
        }
    }
    let enforced = set.policies.iter().filter(|policy| policy.is_enforced && !policy.id.namespace.is_empty());
    for policy in enforced {
        for cluster in input.feeds.keys() {
            if policy.id.cluster.as_ref().is_none_or(|own| own == cluster) {
                governed.insert((cluster.clone(), policy.id.namespace.clone()));
            }
        }
    }
    governed
}

struct Judge<'a> {
    set: &'a PolicySet,
    found: BTreeMap<Place, Found>,
}

fn place(end: &End) -> Place {
    (end.cluster.clone(), end.namespace.clone())
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

fn is_probe(end: &End) -> bool {
    workload_of(end).name.starts_with(PROBE_NAME)
}

impl Judge<'_> {
    fn of(&mut self, end: &End) -> &mut Found {
        self.found.entry(place(end)).or_default()
    }

    fn spanning(&mut self, edge: &ReplayEdge, client: &End, server: &End) {
        for end in pods(client, server) {
            self.of(end).spanning += edge.seen.flows;
        }
    }

    fn after(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement) {
        for end in pods(client, server).filter(|end| !is_probe(end)) {
            let workload = workload_of(end).to_string();
            self.of(end).alive.insert(workload);
        }
        match edge.recorded {
            model::Verdict::Denied => self.denied(edge, client, server, judgement, false),
            model::Verdict::Audited => self.denied(edge, client, server, judgement, true),
            model::Verdict::Allowed => self.allowed(edge, client, server, judgement),
            model::Verdict::Unknown | model::Verdict::Failed => {
                for end in pods(client, server) {
                    self.of(end).unknown_verdict += edge.seen.flows;
                }
            }
        }
    }

    fn denied(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement, audited: bool) {
        let name = edge.names.list.first().map(|name| &**name);
        let port = wanted(edge.port, edge.protocol);
        let stopped = judgement.denial();
        // Where no policy of ours stops it, the client's owner is the one who misses something.
        let side = stopped
            .map_or_else(|| if client.is_pod() { Direction::Egress } else { Direction::Ingress }, |(side, _)| side);
        let (own, other) = match side {
            Direction::Egress => (client, peer_text(server, name)),
            Direction::Ingress => (server, peer_text(client, None)),
        };
        let (fault, policies, remedy) = if let Some((_, denial)) = stopped {
            let numbers = denial.by.map_or_else(|| denial.isolated_by.clone(), |rule| vec![rule.policy]);
            let policies = numbers.into_iter().filter_map(|number| self.set.policies.get(number));
            let remedy = denial.nearest.as_ref().map_or_else(
                || format!("no rule comes close: allow {other} at {port}"),
                |nearest| nearest.describe(self.set, &port),
            );
            (Fault::Policies, policies.map(|policy| policy.id.to_string()).collect(), remedy)
        } else if let Some((_, doubt)) = judgement.doubt() {
            (Fault::Undecidable, Vec::new(), format!("whether these policies stop it cannot be told: {doubt}"))
        } else {
            let remedy = "these policies allow it: another policy, or another version of these, is in force".to_owned();
            (Fault::OtherPolicies, Vec::new(), remedy)
        };
        let workload = workload_of(own).to_string();
        let probe = is_probe(client);
        let found = self.of(own);
        if fault == Fault::Policies && !audited {
            found.explained += edge.seen.flows;
        }
        if probe {
            return;
        }
        let key = (workload, word(side), other.into(), port, audited, fault, policies, remedy);
        found.blocked.entry(key).or_default().absorb(edge.seen);
    }

    fn allowed(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement) {
        let flows = edge.seen.flows;
        let Some((side, denial)) = judgement.denial() else {
            for end in pods(client, server) {
                let found = self.of(end);
                found.passed += flows;
                if judgement.verdict == Verdict::Undecidable {
                    found.undecidable += flows;
                }
            }
            return;
        };
        let name = edge.names.list.first().map(|name| &**name);
        let (own, other) = match side {
            Direction::Egress => (client, peer_text(server, name)),
            Direction::Ingress => (server, peer_text(client, None)),
        };
        let numbers = denial.by.map_or_else(|| denial.isolated_by.clone(), |rule| vec![rule.policy]);
        let policies = numbers.into_iter().filter_map(|number| self.set.policies.get(number));
        let policies = policies.map(|policy| policy.id.to_string()).collect();
        let key = (workload_of(own).to_string(), word(side), other.into(), wanted(edge.port, edge.protocol), policies);
        self.of(own).leaks.entry(key).or_default().absorb(edge.seen);
    }
}

/// The ends that are pods; the same namespace counts once.
fn pods<'e>(client: &'e End, server: &'e End) -> impl Iterator<Item = &'e End> {
    let both_in_one = client.is_pod()
        && server.is_pod()
        && place(client) == place(server)
        && workload_of(client) == workload_of(server);
    [client, server].into_iter().filter(|end| end.is_pod()).take(if both_in_one { 1 } else { 2 })
}

fn namespace(input: &SoakInput<'_>, place: &Place, found: Found) -> NamespaceSoak {
    let (cluster, namespace) = (place.0.to_string(), place.1.to_string());
    let before = silence::uses(&input.phases.before, place);
    let after = silence::uses(&input.phases.after, place);
    let blocked: Vec<Blocked> = found
        .blocked
        .into_iter()
        .map(|((workload, side, peer, port, audited, fault, policies, remedy), seen)| Blocked {
            used_before: before.contains_key(&(workload.clone(), peer.clone(), port.clone())),
            workload,
            side,
            peer,
            port,
            connections: seen.flows,
            last: seen.last,
            audited,
            fault,
            policies,
            remedy,
        })
        .collect();
    let leaks: Vec<Leak> = found
        .leaks
        .into_iter()
        .map(|((workload, side, peer, port, policies), seen)| Leak {
            workload,
            side,
            peer,
            port,
            connections: seen.flows,
            last: seen.last,
            policies,
        })
        .collect();
    let quiet = silence::quiet(&before, &after);
    let expected = silence::expected(&before, input.baseline.get(&(cluster.clone(), namespace.clone())));
    let doubts = silence::doubts(&silence::Question {
        asked: input.asked,
        feed: input.feeds.get(&place.0),
        alive: &found.alive,
        expected: &expected,
        quiet: &quiet,
        connections: found.passed + found.explained,
    });
    let outcome = if !blocked.is_empty() || !leaks.is_empty() {
        Outcome::NotClean
    } else if doubts.is_empty() {
        Outcome::Clean
    } else {
        Outcome::NotProven
    };
    NamespaceSoak {
        cluster,
        namespace,
        outcome,
        passed: found.passed,
        undecidable: found.undecidable,
        spanning: found.spanning,
        unknown_verdict: found.unknown_verdict,
        explained_denials: found.explained,
        blocked,
        leaks,
        quiet,
        doubts,
    }
}
