//! Policies compiled once, and the judgement of one connection after another.
//!
//! What depends on one end alone (which policies select it, which peers mean it) is worked out once per end; a connection then
//! costs a walk over the rules of the policies that select its ends.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::end::{End, EndKind, Names};
use super::matching::{self, Flow};
use super::miss;
use super::plan::{self, Selecting, Stage, Tried, Tries};
use super::profile::{Profile, ServiceView};
use super::verdict::{Denial, Judgement, Side, Verdict};
use crate::model::Protocol;
use crate::policy::{
    Action, Dialect, Direction, Doubt, Entity, Match, NamePattern, Peer, Policy, PolicySet, Rule, RuleId, Tier, TierEnd,
};

/// A peer of a rule, its leaves numbered.
#[derive(Clone, Debug)]
enum Compiled<'s> {
    /// Depends on the other end alone; answered once per end.
    Leaf(usize),
    /// Depends on the names of the connection.
    Name(&'s NamePattern),
    /// Depends on both ends.
    Relative(Entity),
    Either(Vec<Self>),
    Both(Vec<Self>),
    Not(Box<Self>),
}

/// The peers of a rule, and its condition on the pod itself.
#[derive(Clone, Debug)]
struct CompiledRule<'s> {
    rule: &'s Rule,
    peers: Option<Vec<Compiled<'s>>>,
    local: Option<Compiled<'s>>,
}

/// Policies, ready to judge.
#[derive(Debug)]
pub struct Evaluator<'s> {
    set: &'s PolicySet,
    profile: Profile,
    leaves: Vec<&'s Peer>,
    /// By policy, then direction (egress first).
    rules: Vec<[Vec<CompiledRule<'s>>; 2]>,
    /// Policies in the order of their stages.
    stages: Vec<StageSpec>,
}

/// A stage before it is known which of its policies select a pod.
#[derive(Debug)]
struct StageSpec {
    policies: Vec<usize>,
    /// `None`: a union.
    end: Option<TierEnd>,
    after_pass: usize,
}

/// An end with everything that depends on it alone.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The end.
    pub end: End,
    leaves: Vec<Match>,
    egress: Vec<Stage>,
    ingress: Vec<Stage>,
    backends: Vec<(Self, u16)>,
}

/// A connection to judge.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Who began it.
    pub client: &'a Prepared,
    /// Who was called.
    pub server: &'a Prepared,
    /// The server's port; 0 when not known or when the protocol has none.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Names of the server's address.
    pub names: &'a Names,
    /// Whether only the ports told client from server.
    pub guessed: bool,
}

const fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

impl<'s> Evaluator<'s> {
    /// Compiles the policies that the profile enforces; the others decide nothing (see [`Evaluator::not_enforced`]).
    pub fn new(set: &'s PolicySet, profile: Profile) -> Self {
        let mut compiler = Compiler { leaves: Vec::new(), numbers: HashMap::new() };
        let rules = set
            .policies
            .iter()
            .map(|policy| [Direction::Egress, Direction::Ingress].map(|direction| compiler.rules(policy, direction)))
            .collect();
        let stages = stages(set, &profile);
        Self { set, profile, leaves: compiler.leaves, rules, stages }
    }

    /// The policies that were compiled.
    pub const fn set(&self) -> &'s PolicySet {
        self.set
    }

    /// The profile.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Policies that this profile's CNI does not enforce.
    pub fn not_enforced(&self) -> impl Iterator<Item = &'s Policy> {
        let enforces = self.profile.enforces;
        self.set.policies.iter().filter(move |policy| !enforces.contains(&policy.dialect))
    }

    /// Works out what depends on an end alone.
    pub fn prepare(&self, end: End) -> Prepared {
        let leaves = self.leaves.iter().map(|peer| matching::leaf(peer, &end, &self.profile)).collect();
        let backends = end.backends.iter().map(|(pod, port)| (self.prepare((**pod).clone()), *port)).collect();
        Prepared {
            leaves,
            egress: self.stages_of(&end, Direction::Egress),
            ingress: self.stages_of(&end, Direction::Ingress),
            backends,
            end,
        }
    }

    /// Whether, and how surely, a policy is about an end.
    pub fn selects(&self, policy: &Policy, end: &End) -> Match {
        if policy.id.cluster.as_ref().is_some_and(|cluster| *cluster != end.cluster) {
            return Match::No;
        }
        let labels = || policy.subject.namespaces.matches(end).and(policy.subject.pods.matches(end));
        match end.kind {
            EndKind::Pod => labels(),
            EndKind::HostPod => labels().and(self.profile.host_network),
            EndKind::Unknown => Match::Unknown(Doubt::PodUnknown),
            _ => Match::No,
        }
    }

    fn stages_of(&self, end: &End, direction: Direction) -> Vec<Stage> {
        let of = |spec: &StageSpec| {
            let selecting = spec.policies.iter().filter_map(|number| {
                let policy = self.set.policies.get(*number)?;
                policy.section(direction)?;
                let selected = self.selects(policy, end);
                (!selected.is_no()).then_some((*number, selected))
            });
            let policies: Vec<Selecting> = selecting.collect();
            match spec.end {
                None => Stage::Union(policies),
                Some(end) => Stage::Ordered { policies, end, after_pass: spec.after_pass },
            }
        };
        self.stages.iter().map(of).collect()
    }

    /// Judges a connection.
    pub fn judge(&self, connection: &Connection<'_>) -> Judgement {
        let server = connection.server;
        if server.end.kind != EndKind::Service || server.backends.is_empty() {
            return self.judge_direct(connection);
        }
        let mut all = server
            .backends
            .iter()
            .map(|(backend, port)| self.judge_direct(&Connection { server: backend, port: *port, ..*connection }));
        let Some(first) = all.next() else { return self.judge_direct(connection) };
        let agreed = all.all(|next| next.verdict == first.verdict)
            && (self.profile.service == ServiceView::Backend || self.judge_direct(connection).verdict == first.verdict);
        if agreed { first } else { Judgement::of(Side::Undecidable(Doubt::ServiceAddress), Side::NotSubject) }
    }

    /// Judges a connection into another cluster, over the same policies: each side by the network plugin that is there (`server_side`
    /// for the server). Both ends are prepared again, since what a rule means for an end depends on the plugin that applies it.
    pub fn judge_between(&self, server_side: &Self, connection: &Connection<'_>) -> Judgement {
        if self.profile == server_side.profile {
            return self.judge(connection);
        }
        let client_there = server_side.prepare(connection.client.end.clone());
        let server_here = self.prepare(connection.server.end.clone());
        let here = self.judge(&Connection { server: &server_here, ..*connection });
        let there = server_side.judge(&Connection { client: &client_there, ..*connection });
        match there.egress {
            // Nothing about either side: the connection as a whole is in doubt.
            Side::Undecidable(Doubt::OrientationGuessed | Doubt::ServiceAddress) => there,
            _ => Judgement::of(here.egress, there.ingress),
        }
    }

    fn judge_direct(&self, connection: &Connection<'_>) -> Judgement {
        let Connection { client, server, .. } = *connection;
        let egress = self.side(Direction::Egress, client, server, connection);
        let ingress = if is_own_node(&client.end, &server.end) {
            Side::NotSubject
        } else {
            self.side(Direction::Ingress, server, client, connection)
        };
        let judgement = Judgement::of(egress, ingress);
        let is_open = judgement.verdict == Verdict::NotIsolated;
        if connection.guessed && !(is_open && is_free(client) && is_free(server)) {
            return Judgement::of(Side::Undecidable(Doubt::OrientationGuessed), Side::NotSubject);
        }
        judgement
    }

    fn side(&self, direction: Direction, subject: &Prepared, other: &Prepared, connection: &Connection<'_>) -> Side {
        let stages = match direction {
            Direction::Egress => &subject.egress,
            Direction::Ingress => &subject.ingress,
        };
        if !subject.end.is_pod() && subject.end.kind != EndKind::Unknown {
            return Side::NotSubject;
        }
        if stages.iter().all(Stage::is_empty) {
            return Side::NotIsolated;
        }
        let flow = Flow {
            direction,
            port: connection.port,
            protocol: connection.protocol,
            names: connection.names,
            server: &connection.server.end,
        };
        let attempt = Attempt { evaluator: self, subject, other, flow };
        let outcomes = plan::follow(stages, &attempt);
        let passes = !outcomes.allowed.is_empty() || outcomes.may_be_allowed || outcomes.open;
        match outcomes.denied {
            None if outcomes.allowed.is_empty() && !outcomes.may_be_allowed => Side::NotIsolated,
            None => Side::Allowed(outcomes.allowed),
            Some(_) if passes => Side::Undecidable(outcomes.doubt.unwrap_or(Doubt::NotModelled)),
            Some(denial) => attempt.denied(denial, stages),
        }
    }
}

/// Whether a node calls a pod that runs on it: always let in (kubelet probes).
fn is_own_node(client: &End, server: &End) -> bool {
    matches!(client.kind, EndKind::Node | EndKind::HostPod | EndKind::KubeApiserver)
        && server.kind == EndKind::Pod
        && !client.node.is_empty()
        && client.node == server.node
}

/// Whether no policy may select the end in any direction.
fn is_free(end: &Prepared) -> bool {
    end.egress.iter().chain(&end.ingress).all(Stage::is_empty)
}

impl Stage {
    pub(super) const fn is_empty(&self) -> bool {
        match self {
            Self::Union(policies) | Self::Ordered { policies, .. } => policies.is_empty(),
        }
    }

    pub(super) fn policies(&self) -> &[Selecting] {
        match self {
            Self::Union(policies) | Self::Ordered { policies, .. } => policies,
        }
    }
}

/// One side of one connection.
pub(super) struct Attempt<'a, 's> {
    evaluator: &'a Evaluator<'s>,
    subject: &'a Prepared,
    other: &'a Prepared,
    pub(super) flow: Flow<'a>,
}

impl<'s> Attempt<'_, 's> {
    pub(super) const fn other(&self) -> &End {
        &self.other.end
    }

    pub(super) fn set(&self) -> &'s PolicySet {
        self.evaluator.set
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.evaluator.profile
    }

    fn compiled(&self, policy: usize) -> &[CompiledRule<'s>] {
        let rules = self.evaluator.rules.get(policy).and_then(|both| both.get(place(self.flow.direction)));
        rules.map(Vec::as_slice).unwrap_or_default()
    }

    fn peer(&self, peer: &Compiled<'_>, end: &Prepared) -> Match {
        match peer {
            Compiled::Leaf(number) => end.leaves.get(*number).copied().unwrap_or(Match::No),
            Compiled::Name(pattern) => self.name(pattern),
            Compiled::Relative(entity) => matching::relative(*entity, &self.subject.end, &end.end),
            Compiled::Either(parts) => parts.iter().fold(Match::No, |so_far, part| so_far.or(self.peer(part, end))),
            Compiled::Both(parts) => parts.iter().fold(Match::Yes, |so_far, part| so_far.and(self.peer(part, end))),
            Compiled::Not(part) => self.peer(part, end).negated(),
        }
    }

    fn name(&self, pattern: &NamePattern) -> Match {
        let found = matching::name(pattern, &self.other.end, self.flow.names);
        if found.is_no() { found } else { found.and(self.is_served()) }
    }

    /// Whether a DNS proxy learns the name, where the dialect needs one; see [`Attempt::serves`].
    fn is_served(&self) -> Match {
        Match::of(self.flow.names.list.first().is_none_or(|name| self.serves(name)))
    }

    /// Whether a rule with `rules.dns` of the pod's policies lets the DNS proxy serve a name; always so where no policy with names
    /// is Cilium's.
    pub(super) fn serves(&self, name: &str) -> bool {
        let policies = || self.subject.egress.iter().flat_map(Stage::policies);
        let policies = policies().filter_map(|(number, _)| self.set().policies.get(*number));
        let mut needed = false;
        for policy in policies {
            let rules = policy.egress.as_ref().map(|section| section.rules.as_slice()).unwrap_or_default();
            for rule in rules {
                if rule.dns.as_ref().is_some_and(|names| names.iter().any(|pattern| pattern.matches(name))) {
                    return true;
                }
                let by_name = rule.peers.iter().flatten().any(|peer| matches!(peer, Peer::Name(_)));
                needed |= policy.dialect == Dialect::Cilium && by_name;
            }
        }
        !needed
    }

    /// The peers of a rule, and which of them it is.
    pub(super) fn peers(&self, policy: usize, rule: usize) -> (Match, Option<usize>) {
        self.compiled(policy).get(rule).map_or((Match::No, None), |compiled| self.compiled_peers(compiled))
    }

    fn compiled_peers(&self, compiled: &CompiledRule<'_>) -> (Match, Option<usize>) {
        let local = compiled.local.as_ref().map_or(Match::Yes, |local| self.peer(local, self.subject));
        if local.is_no() {
            return (Match::No, None);
        }
        let Some(peers) = &compiled.peers else { return (local, None) };
        let mut found = (Match::No, None);
        for (place, peer) in peers.iter().enumerate() {
            match self.peer(peer, self.other) {
                Match::Yes => {
                    found = (Match::Yes, Some(place));
                    break;
                }
                Match::Unknown(doubt) if found.0.is_no() => found = (Match::Unknown(doubt), Some(place)),
                _ => {}
            }
        }
        (local.and(found.0), found.1)
    }

    /// What a certain denial means where the API leaves something open.
    fn denied(&self, mut denial: Denial, stages: &[Stage]) -> Side {
        let same = self.subject.end.kind == EndKind::Pod
            && self.subject.end.address.is_some()
            && self.subject.end.address == self.other.end.address;
        match self.profile().self_traffic {
            Match::Yes if same => return Side::NotSubject,
            Match::Unknown(doubt) if same => return Side::Undecidable(doubt),
            _ => {}
        }
        let from_node = matches!(self.other.end.kind, EndKind::Node | EndKind::HostPod | EndKind::KubeApiserver);
        let nodes_known = !self.other.end.node.is_empty() && !self.subject.end.node.is_empty();
        if self.flow.direction == Direction::Ingress && from_node && !nodes_known {
            return Side::Undecidable(Doubt::NodeTraffic);
        }
        let by_kubernetes = denial.by.is_none()
            && denial.isolated_by.iter().all(|number| {
                self.set().policies.get(*number).is_some_and(|policy| policy.dialect == Dialect::Kubernetes)
            });
        if self.flow.protocol == Protocol::UNKNOWN {
            return Side::Undecidable(Doubt::ProtocolUnknown);
        }
        if let Match::Unknown(doubt) = self.profile().stops_other_protocols
            && by_kubernetes
            && !matching::is_in_api(self.flow.protocol)
        {
            return Side::Undecidable(doubt);
        }
        denial.nearest = miss::nearest(self, denial.by, stages);
        Side::Denied(denial)
    }
}

impl Tries for Attempt<'_, '_> {
    fn rules(&self, policy: usize, take: &mut dyn FnMut(Tried) -> bool) {
        for (number, compiled) in self.compiled(policy).iter().enumerate() {
            if compiled.rule.action == Action::Log {
                continue;
            }
            let (ports, port) = matching::ports(&compiled.rule.ports, &self.flow);
            if ports.is_no() {
                continue;
            }
            let (peers, peer) = self.compiled_peers(compiled);
            let found = peers.and(ports);
            if found.is_no() {
                continue;
            }
            let rule = RuleId { policy, direction: self.flow.direction, rule: number };
            if take(Tried { rule, action: compiled.rule.action, found, peer, port }) {
                return;
            }
        }
    }

    fn isolates(&self, policy: usize) -> bool {
        let section = self.set().policies.get(policy).and_then(|policy| policy.section(self.flow.direction));
        section.is_some_and(|section| section.isolates)
    }
}

/// Numbers the distinct peers.
struct Compiler<'s> {
    leaves: Vec<&'s Peer>,
    numbers: HashMap<&'s Peer, usize>,
}

impl<'s> Compiler<'s> {
    fn rules(&mut self, policy: &'s Policy, direction: Direction) -> Vec<CompiledRule<'s>> {
        let rules = policy.section(direction).map(|section| section.rules.as_slice()).unwrap_or_default();
        rules
            .iter()
            .map(|rule| CompiledRule {
                rule,
                peers: rule.peers.as_ref().map(|peers| peers.iter().map(|peer| self.peer(peer)).collect()),
                local: rule.local.as_ref().map(|local| self.peer(local)),
            })
            .collect()
    }

    fn peer(&mut self, peer: &'s Peer) -> Compiled<'s> {
        match peer {
            Peer::Name(pattern) => Compiled::Name(pattern),
            Peer::Entity(entity @ (Entity::Host | Entity::RemoteNode | Entity::SameNamespace)) => {
                Compiled::Relative(*entity)
            }
            Peer::Either(parts) => Compiled::Either(parts.iter().map(|part| self.peer(part)).collect()),
            Peer::Both(parts) => Compiled::Both(parts.iter().map(|part| self.peer(part)).collect()),
            Peer::Not(part) => Compiled::Not(Box::new(self.peer(part))),
            leaf => {
                let next = self.leaves.len();
                let number = *self.numbers.entry(leaf).or_insert(next);
                if number == next {
                    self.leaves.push(leaf);
                }
                Compiled::Leaf(number)
            }
        }
    }
}

/// Calico's tier for Kubernetes policies, and their place in it.
const CALICO_KUBERNETES_ORDER: f64 = 1_000.0;

/// Behind Antrea's tier `application` (priority 250), as its tier for administrators' policies of the API (251).
const ANTREA_ADMIN_RANK: f64 = -0.249;

/// Rank, whether ordered, name of the tier.
type StageKey = (TotalOrder, bool, Box<str>);
/// The end of the tier, and its policies with their orders.
type Members = (Option<TierEnd>, Vec<(TotalOrder, usize)>);

/// The stages of all enforced policies, in order.
fn stages(set: &PolicySet, profile: &Profile) -> Vec<StageSpec> {
    let is_enforced = |policy: &Policy| policy.is_enforced && profile.enforces.contains(&policy.dialect);
    // Where Calico's own policies are, those of Kubernetes stand among them in its default tier.
    let with_calico = set.policies.iter().any(|policy| is_enforced(policy) && policy.dialect == Dialect::Calico);
    let mut tiers: BTreeMap<StageKey, Members> = BTreeMap::new();
    for (number, policy) in set.policies.iter().enumerate().filter(|(_, policy)| is_enforced(policy)) {
        let (key, end, order) = match &policy.tier {
            Tier::Union if with_calico && policy.dialect == Dialect::Kubernetes => {
                ((TotalOrder(0.0), true, "default".into()), Some(TierEnd::DenySelected), CALICO_KUBERNETES_ORDER)
            }
            Tier::Union => ((TotalOrder(0.0), false, "".into()), None, 0.0),
            Tier::Ordered { name, rank, order, end } => {
                // Antrea asks administrators' policies of the API behind its own tiers.
                let is_late =
                    profile.name == "antrea" && policy.dialect == Dialect::ClusterNetworkPolicy && *rank < 0.0;
                let rank = if is_late { ANTREA_ADMIN_RANK } else { *rank };
                ((TotalOrder(rank), true, name.clone()), Some(*end), *order)
            }
        };
        let tier = tiers.entry(key).or_insert((end, Vec::new()));
        tier.1.push((TotalOrder(order), number));
    }
    let ranks: Vec<f64> = tiers.keys().map(|(rank, _, _)| rank.0).collect();
    let skips_to_union = |place: usize| {
        // Antrea's `Pass` leaves all later tiers before Kubernetes policies out; elsewhere only its own.
        let own = ranks.get(place).copied().unwrap_or(0.0);
        let antrea = profile.name == "antrea" || set.policies.iter().any(|policy| policy.dialect == Dialect::Antrea);
        if antrea && own < 0.0 { ranks.iter().position(|rank| *rank >= 0.0).unwrap_or(ranks.len()) } else { place + 1 }
    };
    tiers
        .into_values()
        .enumerate()
        .map(|(place, (end, mut policies))| {
            policies.sort();
            let policies = policies.into_iter().map(|(_, number)| number).collect();
            StageSpec { policies, end, after_pass: skips_to_union(place) }
        })
        .collect()
}

/// Numbers with a total order.
#[derive(Clone, Copy, Debug)]
struct TotalOrder(f64);

impl PartialEq for TotalOrder {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for TotalOrder {}

impl PartialOrd for TotalOrder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalOrder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
