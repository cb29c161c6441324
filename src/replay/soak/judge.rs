//! The judgement of every connection since the change.

use std::collections::{BTreeMap, BTreeSet};

use super::super::end::End;
use super::super::evaluator::Evaluator;
use super::super::fold::{Recorded, ReplayEdge, Seen};
use super::super::resolve::workload_of;
use super::super::tally::{peer_text, wanted};
use super::super::verdict::{Judgement, Side, Verdict};
use super::outcome::{Blocked, Fault, Leak, Lingering, NamespaceSoak, Outcome, Soak, Span};
use super::silence::{self, Feed};
use super::usual::{self, BaselineDay, EarlierDay, Place, Use};
use crate::model::{self, Timestamp};
use crate::policy::probe::PROBE_NAME;
use crate::policy::{Direction, Match, PolicySet, ProbeAnswer, ProbeResult, fingerprints};

/// Version of the form.
const SCHEMA: &str = "egress-atlas-soak/1";

/// Connections by when they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Over before the change, day by day.
    pub earlier: Vec<EarlierDay>,
    /// Over before the change, in a span as long as the soak.
    pub before: Recorded,
    /// Began before and ended with the change; and those of the first moments, while the change spreads.
    pub spanning: Recorded,
    /// Began before, and lives on long after the change has spread.
    pub lingering: Recorded,
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
    /// The days of a baseline; empty without one.
    pub baseline: &'a [BaselineDay],
    /// Jobs by schedule of each (cluster, namespace).
    pub schedules: &'a BTreeMap<(Box<str>, Box<str>), Vec<Scheduled>>,
    /// Results of probes since the policies took effect.
    pub probes: &'a [ProbeResult],
}

/// A `CronJob` whose times are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The workload in words.
    pub workload: String,
    /// Its first run within the soak; `None` when none is due.
    pub due: Option<Timestamp>,
    /// Its first run after the soak.
    pub next: Option<Timestamp>,
}

#[derive(Default)]
struct Found {
    passed: u64,
    /// Of these, those that the policies had anything to say about on this end.
    ruled: u64,
    undecidable: u64,
    spanning: u64,
    unknown_verdict: u64,
    explained: u64,
    explained_on_ingress: u64,
    blocked: BTreeMap<BlockedKey, Seen>,
    leaks: BTreeMap<LeakKey, Seen>,
    lingering: BTreeMap<LeakKey, Seen>,
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
    let phases = input.phases;
    for (recorded, phase) in
        [(&phases.spanning, Phase::Spanning), (&phases.lingering, Phase::Lingering), (&phases.after, Phase::After)]
    {
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
            let judgement = evaluator.judge_between(server_side, &edge.connection(client, server));
            match phase {
                Phase::After => judge.after(edge, &client.end, &server.end, &judgement),
                Phase::Lingering => judge.lingering(edge, &client.end, &server.end, &judgement),
                Phase::Spanning => judge.spanning(edge, &client.end, &server.end, &judgement),
            }
        }
    }
    let mut found = judge.found;
    let namespaces = governed
        .into_iter()
        .map(|place| {
            let found = found.remove(&place).unwrap_or_default();
            namespace(input, &place, found, &not_judged(&place, set, of_cluster(&place.0)))
        })
        .collect();
    Soak { schema: SCHEMA, asked: input.asked, policies: fingerprints(set), namespaces, caveats: Vec::new() }
}

#[derive(Clone, Copy)]
enum Phase {
    Spanning,
    Lingering,
    After,
}

/// Namespaces that an enforced policy names, or some pod of which one selects.
fn governed<'e, 's: 'e>(
    input: &SoakInput<'_>,
    set: &PolicySet,
    of_cluster: &impl Fn(&str) -> Option<&'e Evaluator<'s>>,
) -> BTreeSet<Place> {
    let mut governed = BTreeSet::new();
    let phases = input.phases;
    let recorded = [&phases.before, &phases.spanning, &phases.lingering, &phases.after];
    for end in recorded.into_iter().flat_map(|recorded| &recorded.ends) {
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

    /// The grace is for what passes while the change spreads. What these policies stop is stopped, a connection that they cut too.
    fn spanning(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement) {
        for end in pods(client, server) {
            self.of(end).spanning += edge.seen.flows;
        }
        if edge.recorded == model::Verdict::Denied && judgement.denial().is_some() {
            self.denied(edge, client, server, judgement, false);
        }
    }

    /// What lives on is no proof; what the policies would stop will not come back once it ends.
    fn lingering(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement) {
        self.spanning(edge, client, server, judgement);
        if edge.recorded == model::Verdict::Denied {
            return;
        }
        for end in pods(client, server).filter(|end| !is_probe(end)) {
            let workload = workload_of(end).to_string();
            self.of(end).alive.insert(workload);
        }
        if let Some((own, key)) = self.stopped(edge, client, server, judgement) {
            self.of(own).lingering.entry(key).or_default().absorb(edge.seen);
        }
    }

    /// Who is stopped by which policies, if any.
    fn stopped<'e>(
        &self,
        edge: &ReplayEdge,
        client: &'e End,
        server: &'e End,
        judgement: &Judgement,
    ) -> Option<(&'e End, LeakKey)> {
        let (side, denial) = judgement.denial()?;
        let name = edge.names.list.first().map(|name| &**name);
        let (own, other) = match side {
            Direction::Egress => (client, peer_text(server, name)),
            Direction::Ingress => (server, peer_text(client, None)),
        };
        let numbers = denial.by.map_or_else(|| denial.isolated_by.clone(), |rule| vec![rule.policy]);
        let policies = numbers.into_iter().filter_map(|number| self.set.policies.get(number));
        let policies = policies.map(|policy| policy.id.to_string()).collect();
        let key = (workload_of(own).to_string(), word(side), other.into(), wanted(edge.port, edge.protocol), policies);
        Some((own, key))
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
            found.explained_on_ingress += if side == Direction::Ingress { edge.seen.flows } else { 0 };
        }
        if probe {
            return;
        }
        let key = (workload, word(side), other.into(), port, audited, fault, policies, remedy);
        found.blocked.entry(key).or_default().absorb(edge.seen);
    }

    fn allowed(&mut self, edge: &ReplayEdge, client: &End, server: &End, judgement: &Judgement) {
        let flows = edge.seen.flows;
        if let Some((own, key)) = self.stopped(edge, client, server, judgement) {
            self.of(own).leaks.entry(key).or_default().absorb(edge.seen);
            return;
        }
        for end in pods(client, server) {
            let found = self.of(end);
            found.passed += flows;
            let side = if std::ptr::eq(end, client) { &judgement.egress } else { &judgement.ingress };
            if matches!(side, Side::Allowed(_) | Side::Denied(_) | Side::Undecidable(_)) {
                found.ruled += flows;
            }
            if judgement.verdict == Verdict::Undecidable {
                found.undecidable += flows;
            }
        }
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

/// Policies for a namespace that say nothing here: of a kind that the network plugin does not enforce, or that cannot be judged.
fn not_judged(place: &Place, set: &PolicySet, evaluator: Option<&Evaluator<'_>>) -> Vec<String> {
    let unenforced = evaluator.into_iter().flat_map(Evaluator::not_enforced);
    let idle = set.policies.iter().filter(|policy| !policy.is_enforced);
    let concerns = |policy: &&crate::policy::Policy| {
        (policy.id.namespace.is_empty() || policy.id.namespace == place.1)
            && policy.id.cluster.as_ref().is_none_or(|own| *own == place.0)
    };
    let names: BTreeSet<String> = unenforced.chain(idle).filter(concerns).map(|policy| policy.id.to_string()).collect();
    names.into_iter().collect()
}

fn namespace(input: &SoakInput<'_>, place: &Place, found: Found, not_judged: &[String]) -> NamespaceSoak {
    let (cluster, namespace) = (place.0.to_string(), place.1.to_string());
    let phases = input.phases;
    let mut known: BTreeSet<Use> = usual::uses(&phases.before, place).into_keys().collect();
    for day in &phases.earlier {
        known.extend(
            [&day.within, &day.beyond].into_iter().flat_map(|recorded| usual::uses(recorded, place).into_keys()),
        );
    }
    let mut usual = usual::usual(place, input.asked, (&phases.earlier, &phases.before), input.baseline);
    let not_tried = by_schedule(input.schedules.get(place), &mut usual.workloads);
    let mut after = usual::uses(&phases.after, place);
    for (key, seen) in usual::uses(&phases.lingering, place) {
        after.entry(key).or_default().absorb(seen);
    }
    let blocked = blocked(found.blocked, &known);
    let tried = blocked.iter().map(|one| (one.workload.clone(), one.peer.clone(), one.port.clone())).collect();
    let (leaks, lingering) = (leaks(found.leaks), lingering(found.lingering));
    let quiet = silence::quiet(&usual, &after, &tried);
    let mut doubts = silence::doubts(&silence::Question {
        feed: input.feeds.get(&place.0),
        alive: &found.alive,
        expected: &usual.workloads,
        connections: found.passed + found.explained,
    });
    let connections = found.passed + found.explained;
    if connections > 0 && found.ruled + found.explained == 0 {
        doubts.push(
            "these policies select none of its pods that had traffic: they isolate nothing here (a typing error in a selector?)"
                .to_owned(),
        );
    }
    if let Some(first) = not_judged.first() {
        let more = if not_judged.len() > 1 { ", ..." } else { "" };
        doubts.push(format!("{} of the policies are not judged ({first}{more})", not_judged.len()));
    }
    let is_here =
        |probe: &&ProbeResult| probe.namespace == namespace && probe.cluster.as_ref().is_none_or(|own| *own == cluster);
    let probes: Vec<ProbeResult> = input.probes.iter().filter(is_here).cloned().collect();
    let is_open = probes.iter().any(|probe| probe.answer == ProbeAnswer::Reachable);
    let outcome = if !blocked.is_empty() || !leaks.is_empty() || is_open {
        Outcome::NotClean
    } else if doubts.is_empty() && quiet.is_empty() && lingering.is_empty() {
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
        explained_on_ingress: found.explained_on_ingress,
        probes,
        blocked,
        leaks,
        lingering,
        quiet,
        compared_with: usual.basis,
        not_tried,
        doubts,
    }
}

fn blocked(found: BTreeMap<BlockedKey, Seen>, known: &BTreeSet<Use>) -> Vec<Blocked> {
    let each = found.into_iter();
    each.map(|((workload, side, peer, port, audited, fault, policies, remedy), seen)| Blocked {
        used_before: known.contains(&(workload.clone(), peer.clone(), port.clone())),
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
    .collect()
}

fn leaks(found: BTreeMap<LeakKey, Seen>) -> Vec<Leak> {
    let leak = |((workload, side, peer, port, policies), seen): (LeakKey, Seen)| {
        let (connections, last) = (seen.flows, seen.last);
        Leak { workload, side, peer, port, connections, last, policies }
    };
    found.into_iter().map(leak).collect()
}

fn lingering(found: BTreeMap<LeakKey, Seen>) -> Vec<Lingering> {
    let lingering = |((workload, side, peer, port, policies), seen): (LeakKey, Seen)| {
        let connections = seen.flows;
        Lingering { workload, side, peer, port, connections, policies }
    };
    found.into_iter().map(lingering).collect()
}

/// Schedules know better than habits when a job has to show itself. Returns what was not due, in words.
fn by_schedule(schedules: Option<&Vec<Scheduled>>, expected: &mut BTreeSet<String>) -> Vec<String> {
    let mut not_tried = Vec::new();
    for job in schedules.into_iter().flatten() {
        if job.due.is_some() {
            expected.insert(job.workload.clone());
            continue;
        }
        expected.remove(&job.workload);
        let next = job.next.map_or_else(|| "not known".to_owned(), |next| format!("{} UTC", next.to_second()));
        not_tried.push(format!("{} was not due; its next run is {next}", job.workload));
    }
    not_tried
}
