//! The sum over all edges: per workload what passes, breaks or cannot be told; per rule whether anything used it.

use std::collections::{BTreeMap, BTreeSet};

use super::end::{End, EndKind};
use super::evaluator::{Evaluator, Prepared};
use super::fold::{Recorded, ReplayEdge, Seen};
use super::resolve::workload_of;
use super::verdict::{Citation, Judgement, Side, Verdict};
use crate::model::{self, Timestamp, Workload};
use crate::policy::{Direction, Doubt, Match, RuleId};

/// A group of connections that would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Which way the workload's connection goes.
    pub way: Direction,
    /// On whose side the policies stop it.
    pub side: Direction,
    /// The other end, for the reader.
    pub peer: Box<str>,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: model::Protocol,
    /// How often and when.
    pub seen: Seen,
    /// Policies that stop it.
    pub policies: Vec<String>,
    /// The rule that comes closest and what it lacks; empty when none does.
    pub nearest: String,
    /// That rule.
    pub nearest_rule: Option<RuleId>,
}

/// A group of connections that rules let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Which way the workload's connection goes.
    pub way: Direction,
    /// The other end.
    pub peer: Box<str>,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: model::Protocol,
    /// How often and when.
    pub seen: Seen,
    /// Every rule that lets them through, with the elements that do; empty when no policy is about them.
    pub by: Vec<Citation>,
}

/// A group of connections that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Which way the workload's connection goes.
    pub way: Direction,
    /// On whose side.
    pub side: Direction,
    /// Why.
    pub doubt: Doubt,
    /// The other end.
    pub peer: Box<str>,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: model::Protocol,
    /// How often and when.
    pub seen: Seen,
}

/// Connections by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// No policy has anything to say.
    pub not_isolated: u64,
    /// Allowed by rules.
    pub allowed: u64,
    /// Would break.
    pub would_break: u64,
    /// Cannot be told.
    pub undecidable: u64,
    /// Were denied when they were recorded; in none of the counts above.
    pub already_denied: u64,
    /// Of these, would pass with the given policies.
    pub denied_would_pass: u64,
}

impl Totals {
    /// Connections that pass for certain.
    pub const fn passed(&self) -> u64 {
        self.not_isolated + self.allowed
    }

    fn add(&mut self, verdict: Verdict, denied: bool, flows: u64) {
        if denied {
            self.already_denied += flows;
            if matches!(verdict, Verdict::NotIsolated | Verdict::Allowed) {
                self.denied_would_pass += flows;
            }
            return;
        }
        *match verdict {
            Verdict::NotIsolated => &mut self.not_isolated,
            Verdict::Allowed => &mut self.allowed,
            Verdict::WouldBreak => &mut self.would_break,
            Verdict::Undecidable => &mut self.undecidable,
        } += flows;
    }
}

/// One workload's connections: those it begins, and those to it from ends that are no pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWorkload {
    /// Cluster.
    pub cluster: Box<str>,
    /// Namespace; empty for clients that no record assigns to one.
    pub namespace: Box<str>,
    /// The workload.
    pub workload: Workload,
    /// Counts.
    pub totals: Totals,
    /// What would break, by peer.
    pub breaks: Vec<Break>,
    /// What cannot be told, by reason and peer.
    pub undecided: Vec<Undecided>,
    /// What passes, by peer; empty unless asked for.
    pub passed: Vec<Passed>,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleUse {
    /// The rule.
    pub rule: RuleId,
    /// Connections that it allowed, or denied, for certain.
    pub flows: u64,
    /// Whether the policy selects any pod of the traffic for certain.
    pub selects: bool,
}

/// From the first to the last record of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First event.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
}

/// The outcome of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// By cluster, namespace and workload.
    pub workloads: Vec<ReplayWorkload>,
    /// Every rule that was compiled, in order.
    pub rules: Vec<RuleUse>,
    /// Over all workloads.
    pub totals: Totals,
    /// Connections between ends that no policy is about (nodes, outside).
    pub without_subject: u64,
    /// By cluster.
    pub windows: BTreeMap<Box<str>, Window>,
    /// Distinct connections that were judged.
    pub distinct: u64,
}

/// Whose rows an edge belongs to.
type Owner = (Box<str>, Box<str>, Workload);
/// Way, side, peer, port, protocol, policies, nearest, rule.
type BreakKey = (Direction, Direction, Box<str>, u16, model::Protocol, Vec<String>, String, Option<RuleId>);
/// Way, peer, port, protocol, rules.
type PassedKey = (Direction, Box<str>, u16, model::Protocol, Vec<Citation>);
type UndecidedKey = (Direction, Direction, Doubt, Box<str>, u16, model::Protocol);

#[derive(Default)]
struct Rows {
    totals: Totals,
    breaks: BTreeMap<BreakKey, Seen>,
    undecided: BTreeMap<UndecidedKey, Seen>,
    passed: BTreeMap<PassedKey, Seen>,
}

/// Judges every edge. `of_cluster` gives the evaluator of a cluster; all of them share one set of policies.
///
/// What passes is counted, and listed only if `lists_passed`: there is much of it.
pub fn replay<'e, 's: 'e>(
    recorded: &Recorded,
    lists_passed: bool,
    of_cluster: impl Fn(&str) -> Option<&'e Evaluator<'s>>,
) -> Replay {
    let mut tally = Tally { lists_passed, ..Tally::default() };
    let prepared: Vec<Option<Prepared>> = recorded
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
        tally.edge((evaluator, server_side), edge, client, server);
    }
    for end in &recorded.ends {
        if let Some(evaluator) = of_cluster(&end.cluster) {
            tally.selected(evaluator, end);
        }
    }
    let any = recorded.ends.iter().find_map(|end| of_cluster(&end.cluster));
    tally.finish(any)
}

#[derive(Default)]
struct Tally {
    rows: BTreeMap<Owner, Rows>,
    uses: BTreeMap<RuleId, u64>,
    selecting: BTreeSet<usize>,
    outcome: Replay,
    lists_passed: bool,
}

impl Tally {
    fn edge(
        &mut self,
        (evaluator, server_side): (&Evaluator<'_>, &Evaluator<'_>),
        edge: &ReplayEdge,
        client: &Prepared,
        server: &Prepared,
    ) {
        self.outcome.distinct += 1;
        let window = self.outcome.windows.entry(client.end.cluster.clone()).or_default();
        window.first = Timestamp::earliest(window.first, edge.seen.first);
        window.last = window.last.max(edge.seen.last);
        let (owner, way, peer) = match (client.end.is_pod(), server.end.is_pod()) {
            (true, _) => (&client.end, Direction::Egress, &server.end),
            (false, true) => (&server.end, Direction::Ingress, &client.end),
            (false, false) if client.end.kind == EndKind::Unknown => (&client.end, Direction::Egress, &server.end),
            (false, false) => {
                self.outcome.without_subject += edge.seen.flows;
                return;
            }
        };
        let judgement = evaluator.judge_between(server_side, &edge.connection(client, server));
        let denied = edge.recorded == model::Verdict::Denied;
        let owner = (owner.cluster.clone(), owner.namespace.clone(), workload_of(owner));
        let rows = self.rows.entry(owner).or_default();
        rows.totals.add(judgement.verdict, denied, edge.seen.flows);
        self.outcome.totals.add(judgement.verdict, denied, edge.seen.flows);
        for rule in used(&judgement) {
            *self.uses.entry(rule).or_default() += edge.seen.flows;
        }
        if denied {
            return;
        }
        if judgement.passes() && !self.lists_passed {
            return;
        }
        let name = edge.names.list.first().filter(|_| way == Direction::Egress);
        let peer = peer_text(peer, name.map(|name| &**name));
        if let Some((side, denial)) = judgement.denial() {
            let set = evaluator.set();
            let policies = match denial.by {
                Some(rule) => vec![rule.policy],
                None => denial.isolated_by.clone(),
            };
            let policies = policies.into_iter().filter_map(|number| set.policies.get(number));
            let policies = policies.map(|policy| policy.id.to_string()).collect();
            let wanted = wanted(edge.port, edge.protocol);
            let nearest = denial.nearest.as_ref().map(|nearest| nearest.describe(set, &wanted)).unwrap_or_default();
            let rule = denial.nearest.as_ref().map(|nearest| nearest.rule);
            let key = (way, side, peer, edge.port, edge.protocol, policies, nearest, rule);
            rows.breaks.entry(key).or_default().absorb(edge.seen);
        } else if let Some((side, doubt)) = judgement.doubt() {
            let key = (way, side, doubt, peer, edge.port, edge.protocol);
            rows.undecided.entry(key).or_default().absorb(edge.seen);
        } else {
            let key = (way, peer, edge.port, edge.protocol, judgement.citations().copied().collect());
            rows.passed.entry(key).or_default().absorb(edge.seen);
        }
    }

    fn selected(&mut self, evaluator: &Evaluator<'_>, end: &End) {
        for (number, policy) in evaluator.set().policies.iter().enumerate() {
            if !self.selecting.contains(&number) && evaluator.selects(policy, end) == Match::Yes {
                self.selecting.insert(number);
            }
        }
    }

    fn finish(self, evaluator: Option<&Evaluator<'_>>) -> Replay {
        let Self { rows, uses, selecting, mut outcome, .. } = self;
        outcome.workloads = rows.into_iter().map(|(owner, rows)| workload(owner, rows)).collect();
        let rules = evaluator.into_iter().flat_map(|evaluator| evaluator.set().rules());
        outcome.rules = rules
            .filter(|(_, policy, rule)| policy.is_enforced && !rule.is_for_nobody())
            .map(|(rule, _, _)| RuleUse {
                rule,
                flows: uses.get(&rule).copied().unwrap_or(0),
                selects: selecting.contains(&rule.policy),
            })
            .collect();
        outcome
    }
}

fn workload((cluster, namespace, workload): Owner, rows: Rows) -> ReplayWorkload {
    let mut breaks: Vec<Break> = rows
        .breaks
        .into_iter()
        .map(|((way, side, peer, port, protocol, policies, nearest, nearest_rule), seen)| Break {
            way,
            side,
            peer,
            port,
            protocol,
            seen,
            policies,
            nearest,
            nearest_rule,
        })
        .collect();
    // A stable sort: equals stay in the order of their peers.
    breaks.sort_by_key(|row| std::cmp::Reverse(row.seen.flows));
    let mut undecided: Vec<Undecided> = rows
        .undecided
        .into_iter()
        .map(|((way, side, doubt, peer, port, protocol), seen)| Undecided {
            way,
            side,
            doubt,
            peer,
            port,
            protocol,
            seen,
        })
        .collect();
    undecided.sort_by_key(|row| (row.doubt.code(), std::cmp::Reverse(row.seen.flows)));
    let passed = rows.passed.into_iter();
    let passed = passed.map(|((way, peer, port, protocol, by), seen)| Passed { way, peer, port, protocol, seen, by });
    ReplayWorkload { cluster, namespace, workload, totals: rows.totals, breaks, undecided, passed: passed.collect() }
}

/// The rules that decided, each once.
fn used(judgement: &Judgement) -> BTreeSet<RuleId> {
    let mut rules: BTreeSet<RuleId> = judgement.citations().map(|citation| citation.rule).collect();
    for side in [&judgement.egress, &judgement.ingress] {
        if let Side::Denied(denial) = side {
            rules.extend(denial.by);
        }
    }
    rules
}

/// `443/TCP`, or the protocol alone where there is no port.
pub(super) fn wanted(port: u16, protocol: model::Protocol) -> String {
    if port == 0 { protocol.to_string() } else { format!("{port}/{protocol}") }
}

/// The other end, for the reader.
pub(super) fn peer_text(end: &End, name: Option<&str>) -> Box<str> {
    let address = || end.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string());
    match end.kind {
        EndKind::Pod | EndKind::HostPod => format!("{}/{}", end.namespace, workload_of(end)).into(),
        EndKind::Node if end.node.is_empty() => format!("node {}", address()).into(),
        EndKind::Node => format!("node {}", end.node).into(),
        EndKind::KubeApiserver => "kube-apiserver".into(),
        EndKind::Gateway => "gateway of the CNI".into(),
        EndKind::Service => format!("service {}/{}", end.namespace, end.name).into(),
        EndKind::Outside | EndKind::Unknown => name.map_or_else(|| address().into(), Into::into),
    }
}
