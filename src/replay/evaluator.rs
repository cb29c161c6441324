//! Policies compiled once, and the judgement of one connection after another.
//!
//! What depends on one end alone (which policies select it, which peers mean it) is worked out once per end; a connection then
//! costs a walk over the rules of the policies that select its ends.

use super::compiled::{Compiled, CompiledRule, Compiler};
use super::end::{End, EndKind, Names};
use super::matching::{self, Flow, Ground};
use super::miss;
use super::plan::{self, Selecting, Stage, Tried, Tries};
use super::profile::{Profile, ServiceView};
use super::resolve::ServiceNames;
use super::stages::{StageSpec, stages};
use super::verdict::{Denial, Judgement, Side, Verdict};
use crate::model::{IcmpMessage, Protocol};
use crate::policy::{Action, Dialect, Direction, Doubt, Match, NamePattern, Peer, Policy, PolicySet, RuleId, Tier};

/// Policies, ready to judge.
#[derive(Debug)]
pub struct Evaluator<'s> {
    set: &'s PolicySet,
    profile: Profile,
    /// Services of the cluster, by namespace and name.
    services: ServiceNames,
    leaves: Vec<&'s Peer>,
    /// By policy, then direction (egress first).
    rules: Vec<[Vec<CompiledRule<'s>>; 2]>,
    /// Policies in the order of their stages.
    stages: Vec<StageSpec>,
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
    /// The client's port, or another one that no rule tells from it (see [`Asked`](super::Asked)); 0 when not known.
    pub client_port: u16,
    /// Type and code of ICMP, or others that no rule tells from them; none when not known.
    pub icmp: Option<IcmpMessage>,
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
        let mut compiler = Compiler::default();
        let rules = set
            .policies
            .iter()
            .map(|policy| [Direction::Egress, Direction::Ingress].map(|direction| compiler.rules(policy, direction)))
            .collect();
        let stages = stages(set, &profile);
        Self { set, profile, services: ServiceNames::new(), leaves: compiler.leaves, rules, stages }
    }

    /// Tells it the services of the cluster, by namespace and name; a rule about any other cannot be told.
    #[must_use]
    pub fn knowing(mut self, services: ServiceNames) -> Self {
        self.services = services;
        self
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
        let ground = Ground { profile: &self.profile, services: &self.services };
        let leaves = self.leaves.iter().map(|peer| matching::leaf(peer, &end, ground)).collect();
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
            // Out of the scope of that API, whatever the CNI.
            EndKind::HostPod if policy.dialect == Dialect::ClusterNetworkPolicy => Match::No,
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
            return self.judge_direct(connection, None);
        }
        let mut all = server.backends.iter().map(|(pod, port)| {
            self.judge_direct(&Connection { server: pod, port: *port, ..*connection }, Some(&server.end))
        });
        let Some(first) = all.next() else { return self.judge_direct(connection, None) };
        let agreed = all.all(|next| next.verdict == first.verdict)
            && (self.profile.service == ServiceView::Backend
                || self.judge_direct(connection, None).verdict == first.verdict);
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

    /// Judges a connection to what its server is; `service` is what the client called, where that is known to be another address.
    fn judge_direct(&self, connection: &Connection<'_>, service: Option<&End>) -> Judgement {
        let Connection { client, server, .. } = *connection;
        let egress = self.side(Direction::Egress, (client, server), connection, service);
        let ingress = if is_own_node(&client.end, &server.end) {
            Side::NotSubject
        } else {
            self.side(Direction::Ingress, (server, client), connection, service)
        };
        let judgement = Judgement::of(egress, ingress);
        let is_open = judgement.verdict == Verdict::NotIsolated;
        if connection.guessed && !(is_open && is_free(client) && is_free(server)) {
            return Judgement::of(Side::Undecidable(Doubt::OrientationGuessed), Side::NotSubject);
        }
        judgement
    }

    fn side(
        &self,
        direction: Direction,
        (subject, other): (&Prepared, &Prepared),
        connection: &Connection<'_>,
        service: Option<&End>,
    ) -> Side {
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
            client_port: connection.client_port,
            icmp: connection.icmp,
            protocol: connection.protocol,
            names: connection.names,
            server: &connection.server.end,
            service,
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
            Compiled::OwnNetwork(_) if end.end.kind == EndKind::HostPod => Match::No,
            Compiled::Leaf(number) | Compiled::OwnNetwork(number) => {
                end.leaves.get(*number).copied().unwrap_or(Match::No)
            }
            Compiled::Name(pattern) => self.name(pattern),
            Compiled::Relative(entity) => matching::relative(*entity, &self.subject.end, &end.end),
            Compiled::SameLabels(keys) => matching::same_labels(keys, &self.subject.end, &end.end),
            Compiled::Service(number, service, part) => {
                let found = end.leaves.get(*number).copied().unwrap_or(Match::No);
                matching::service_called(*service, *part, found, &end.end, &self.flow)
            }
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
        let by_administrator = denial.by.and_then(|rule| self.set().policies.get(rule.policy));
        // A pod's own address is exempt there, whatever the CNI (`policy.networking.k8s.io`).
        if same && by_administrator.is_some_and(|policy| policy.dialect == Dialect::ClusterNetworkPolicy) {
            return Side::NotSubject;
        }
        match self.profile().self_traffic {
            Match::Yes if same => return Side::NotSubject,
            Match::Unknown(doubt) if same => return Side::Undecidable(doubt),
            _ => {}
        }
        let from_node = self.other.end.is_on_node();
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

    fn are_tied(&self, one: usize, two: usize) -> bool {
        // Calico goes on by name.
        let order = |number: usize| match self.set().policies.get(number) {
            Some(Policy { dialect: Dialect::ClusterNetworkPolicy, tier: Tier::Ordered { order, .. }, .. }) => {
                Some(*order)
            }
            _ => None,
        };
        order(one).is_some_and(|first| order(two).is_some_and(|second| first.total_cmp(&second).is_eq()))
    }
}
