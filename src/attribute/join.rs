//! The as-of join: for one connection, every name that the evidence allows, best first, with the grade of the evidence.
//!
//! In: the answers of one partition, indexed, and a connection. Out: candidates and grade. The order of precedence is that of
//! [`Grade`]: the very pod first, then its workload, its node, the cluster, what the CNI reported, nothing.

use hashbrown::HashMap;

use super::answers::Answer;
use super::parties::{Parties, PartyId};
use super::rank::Habits;
use crate::model::{AddressId, ChainId, Grade, NameId, TextId, Timestamp, Vocabulary};

/// How far the join looks. All lengths in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct JoinOptions {
    /// An answer that is older than this (and expired) is stale.
    pub window_nanos: i64,
    /// An answer may be stamped this much after the connection it served (clocks, write before stamp).
    pub skew_nanos: i64,
    /// How long after the connection an answer still counts as `pod-later`.
    pub later_nanos: i64,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self { window_nanos: 86_400_000_000_000, skew_nanos: 2_000_000_000, later_nanos: 3_600_000_000_000 }
    }
}

/// An answer stays usable for this long after its time to live: stub resolvers and runtimes round up.
pub(crate) const VALID_GRACE_NANOS: i64 = 30_000_000_000;

/// Who asked, as precisely as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Client {
    Party(PartyId),
    Address(AddressId),
}

/// A name that the evidence allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The queried name.
    pub name: NameId,
    /// When the answer came; unknown for names that the CNI reported.
    pub answered_at: Timestamp,
    /// CNAME targets of that answer.
    pub chain: ChainId,
    /// Time to live of that answer in seconds.
    pub ttl_seconds: u32,
    /// Place of the address among the addresses of that answer.
    pub position: u16,
    /// Addresses of that answer.
    pub addresses: u16,
}

impl Candidate {
    fn of(answer: &Answer) -> Self {
        Self {
            name: answer.name,
            answered_at: answer.time,
            chain: answer.chain,
            ttl_seconds: answer.ttl_seconds,
            position: answer.position,
            addresses: answer.addresses,
        }
    }

    /// Whether the answer was still valid at `time`.
    pub(crate) fn is_valid_at(&self, time: Timestamp) -> bool {
        let lifetime = i64::from(self.ttl_seconds) * 1_000_000_000 + VALID_GRACE_NANOS;
        time <= self.answered_at.plus_nanos(lifetime)
    }
}

/// The outcome of the join for one connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributed {
    /// How the name is known.
    pub grade: Grade,
    /// Every name that the evidence allows, best first; empty for [`Grade::None`].
    pub candidates: Vec<Candidate>,
    /// How likely the first candidate is right, 0 to 1, calibrated on recordings with known truth.
    pub confidence: f64,
}

/// One connection's question to the join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) cluster: TextId,
    pub(crate) client: Client,
    pub(crate) address: AddressId,
    pub(crate) port: u16,
    pub(crate) time: Timestamp,
    pub(crate) reported: ChainId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Client(Client),
    Workload(u32),
    Cluster,
}

/// The answers of one partition, by who got them.
pub(crate) struct AnswerIndex {
    answers: Vec<Answer>,
    clients: Vec<Client>,
    /// Positions in `answers`, grouped by (cluster, address, scope), then by name, then by time.
    order: Vec<u32>,
    groups: HashMap<(TextId, AddressId, Scope), std::ops::Range<usize>>,
}

impl AnswerIndex {
    pub(crate) fn build(
        mut answers: Vec<Answer>,
        client_of: impl Fn(&Answer) -> Client,
        parties: &Parties,
        vocabulary: &Vocabulary,
    ) -> Self {
        // Among answers that are alike in all that ranks, the text of the chain decides which one speaks.
        let chain = |answer: &Answer| -> Vec<&str> {
            vocabulary.chain_of(answer.chain).iter().map(|name| vocabulary.name_of(*name)).collect()
        };
        let order = |answer: &Answer| {
            (answer.time, answer.name, answer.position, answer.addresses, answer.ttl_seconds, answer.kind)
        };
        answers.sort_by(|one, two| {
            let alike = order(one).cmp(&order(two));
            if alike.is_eq() && one.chain != two.chain { chain(one).cmp(&chain(two)) } else { alike }
        });
        let clients = answers.iter().map(client_of).collect();
        let mut index = Self { answers, clients, order: Vec::new(), groups: HashMap::new() };
        index.add_groups(|index, at| index.clients.get(at).map(|client| Scope::Client(*client)));
        index.add_groups(|index, at| match index.clients.get(at) {
            Some(Client::Party(party)) => parties.get(*party).map(|party| Scope::Workload(party.workload_number)),
            _ => None,
        });
        index.add_groups(|_, _| Some(Scope::Cluster));
        index
    }

    fn add_groups(&mut self, scope: impl Fn(&Self, usize) -> Option<Scope>) {
        let scope_rank = |scope: &Scope| match scope {
            Scope::Client(Client::Party(party)) => (0, party.0),
            Scope::Client(Client::Address(address)) => (1, address.0),
            Scope::Workload(number) => (2, *number),
            Scope::Cluster => (3, 0),
        };
        let mut keyed: Vec<_> = self
            .answers
            .iter()
            .enumerate()
            .filter_map(|(at, answer)| {
                let scope = scope(self, at)?;
                let order = (
                    answer.name,
                    answer.time,
                    std::cmp::Reverse(answer.position),
                    answer.addresses,
                    answer.ttl_seconds,
                );
                Some(((answer.cluster, answer.address, scope_rank(&scope)), order, scope, u32::try_from(at).ok()?))
            })
            .collect();
        // Stable: what is alike here stays in the order of the answers.
        keyed.sort_by_key(|(group, order, _, _)| (*group, *order));
        for run in keyed.chunk_by(|(one, ..), (two, ..)| one == two) {
            let start = self.order.len();
            self.order.extend(run.iter().map(|(.., at)| *at));
            if let Some(((cluster, address, _), _, scope, _)) = run.first() {
                self.groups.insert((*cluster, *address, *scope), start..self.order.len());
            }
        }
    }

    /// Every answer with the client that got it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Answer, Client)> {
        self.answers.iter().zip(self.clients.iter().copied())
    }

    /// The groups of answers per client, for what is learnt about clients.
    pub(crate) fn client_groups(&self) -> impl Iterator<Item = (Client, Vec<&Answer>)> {
        self.groups.iter().filter_map(|((_, _, scope), range)| match scope {
            Scope::Client(client) => Some((
                *client,
                self.order.get(range.clone())?.iter().filter_map(|at| self.answers.get(*at as usize)).collect(),
            )),
            _ => None,
        })
    }

    /// For each name known to `scope`, the last answer not after `time` and the first one after it.
    fn names(&self, question: &Question, scope: Scope) -> Vec<(Option<&Answer>, Option<&Answer>)> {
        let group = self.groups.get(&(question.cluster, question.address, scope));
        let Some(order) = group.and_then(|range| self.order.get(range.clone())) else {
            return Vec::new();
        };
        let answer = |at: &u32| self.answers.get(*at as usize);
        order
            .chunk_by(|one, two| answer(one).map(|a| a.name) == answer(two).map(|a| a.name))
            .map(|of_one_name| {
                let until = if question.time.is_known() {
                    of_one_name.partition_point(|at| answer(at).is_some_and(|a| a.time <= question.time))
                } else {
                    of_one_name.len()
                };
                let (past, future) = of_one_name.split_at_checked(until).unwrap_or((of_one_name, &[]));
                (past.last().and_then(answer), future.first().and_then(answer))
            })
            .collect()
    }
}

/// What one scope knows about the destination.
enum Found {
    Inside(Vec<Candidate>),
    Stale(Vec<Candidate>),
    Later(Vec<Candidate>),
    Nothing,
}

fn look(index: &AnswerIndex, question: &Question, scope: Scope, options: &JoinOptions) -> Found {
    let names = index.names(question, scope);
    let age = |answer: &Answer| question.time.nanos().saturating_sub(answer.time.nanos());
    let past: Vec<Candidate> = names.iter().filter_map(|(past, _)| past.map(Candidate::of)).collect();
    if !question.time.is_known() {
        return if past.is_empty() { Found::Nothing } else { Found::Stale(past) };
    }
    let inside: Vec<Candidate> = names
        .iter()
        .filter_map(|(past, _)| *past)
        .filter(|answer| age(answer) <= options.window_nanos || Candidate::of(answer).is_valid_at(question.time))
        .map(Candidate::of)
        .collect();
    if !inside.is_empty() {
        return Found::Inside(inside);
    }
    let after = |nanos: i64| -> Vec<Candidate> {
        let answers = names.iter().filter_map(|(_, future)| *future);
        answers.filter(|answer| -age(answer) <= nanos).map(Candidate::of).collect()
    };
    let stamped_late = after(options.skew_nanos);
    if !stamped_late.is_empty() {
        return Found::Inside(stamped_late);
    }
    if !past.is_empty() {
        return Found::Stale(past);
    }
    let later = after(options.later_nanos);
    if later.is_empty() { Found::Nothing } else { Found::Later(later) }
}

/// What the evidence of the client itself says: candidates that are inside the window.
///
/// Used to learn habits before anything is ranked.
pub(crate) fn own_candidates(index: &AnswerIndex, question: &Question, options: &JoinOptions) -> Vec<Candidate> {
    match look(index, question, Scope::Client(question.client), options) {
        Found::Inside(candidates) => candidates,
        _ => Vec::new(),
    }
}

/// Everything that the join needs besides the question.
pub(crate) struct Joiner<'a> {
    pub(crate) index: &'a AnswerIndex,
    pub(crate) parties: &'a Parties,
    pub(crate) habits: &'a Habits,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) options: &'a JoinOptions,
}

impl Joiner<'_> {
    /// Names the destination of one connection.
    pub(crate) fn join(&self, question: &Question) -> Attributed {
        let reported = self.vocabulary.chain_of(question.reported);
        if let Some((grade, candidates)) = self.own(question) {
            return self.ranked(question, grade, candidates, reported);
        }
        if let Some((grade, mut candidates)) = self.of_others(question) {
            // The CNI's report stems from this very pod, so among what others asked only its names count.
            if !reported.is_empty() {
                candidates.retain(|candidate| reported.contains(&candidate.name));
            }
            if !candidates.is_empty() {
                return self.ranked(question, grade, candidates, reported);
            }
        }
        self.only_reported(reported)
    }

    fn own(&self, question: &Question) -> Option<(Grade, Vec<Candidate>)> {
        match look(self.index, question, Scope::Client(question.client), self.options) {
            Found::Inside(candidates) if candidates.len() == 1 => Some((Grade::Pod, candidates)),
            Found::Inside(candidates) => Some((Grade::PodAmbiguous, candidates)),
            Found::Stale(candidates) => Some((Grade::PodStale, candidates)),
            Found::Later(candidates) => Some((Grade::PodLater, candidates)),
            Found::Nothing => None,
        }
    }

    fn of_others(&self, question: &Question) -> Option<(Grade, Vec<Candidate>)> {
        let any = |grade: Grade, scope: Scope| match look(self.index, question, scope, self.options) {
            Found::Inside(candidates) | Found::Stale(candidates) | Found::Later(candidates) => {
                Some((grade, candidates))
            }
            Found::Nothing => None,
        };
        let party = match question.client {
            Client::Party(party) => self.parties.get(party).map(|known| (party, known.workload_number)),
            Client::Address(_) => None,
        };
        party
            .and_then(|(_, number)| any(Grade::Workload, Scope::Workload(number)))
            .or_else(|| {
                let (party, _) = party?;
                self.of_nodes(question, party)
            })
            .or_else(|| any(Grade::Cluster, Scope::Cluster))
    }

    /// What any address of the pod's nodes was told; each name once, by its latest answer.
    fn of_nodes(&self, question: &Question, party: PartyId) -> Option<(Grade, Vec<Candidate>)> {
        let told = |address| match look(self.index, question, Scope::Client(Client::Address(address)), self.options) {
            Found::Inside(found) | Found::Stale(found) | Found::Later(found) => found,
            Found::Nothing => Vec::new(),
        };
        let mut candidates: Vec<Candidate> = self.parties.node_addresses(party).flat_map(told).collect();
        let order =
            |candidate: &Candidate| (candidate.answered_at, std::cmp::Reverse(candidate.position), candidate.addresses);
        candidates.sort_by(|one, two| {
            (one.name.cmp(&two.name))
                .then_with(|| order(two).cmp(&order(one)))
                .then_with(|| self.chain_text(one).cmp(&self.chain_text(two)))
        });
        candidates.dedup_by_key(|candidate| candidate.name);
        (!candidates.is_empty()).then_some((Grade::Node, candidates))
    }

    fn chain_text(&self, candidate: &Candidate) -> Vec<&str> {
        self.vocabulary.chain_of(candidate.chain).iter().map(|name| self.vocabulary.name_of(*name)).collect()
    }

    fn ranked(&self, question: &Question, grade: Grade, candidates: Vec<Candidate>, reported: &[NameId]) -> Attributed {
        let (candidates, confidence) = self.habits.rank(question, grade, candidates, reported, self.vocabulary);
        Attributed { grade, candidates, confidence }
    }

    fn only_reported(&self, reported: &[NameId]) -> Attributed {
        let mut candidates: Vec<Candidate> = reported
            .iter()
            .map(|name| Candidate {
                name: *name,
                answered_at: Timestamp::UNKNOWN,
                chain: ChainId::NONE,
                ttl_seconds: 0,
                position: 0,
                addresses: 0,
            })
            .collect();
        candidates.sort_by(|a, b| self.vocabulary.name_of(a.name).cmp(self.vocabulary.name_of(b.name)));
        candidates.dedup_by_key(|candidate| candidate.name);
        match u32::try_from(candidates.len()) {
            Ok(0) | Err(_) => Attributed { grade: Grade::None, candidates, confidence: 0.0 },
            Ok(count) => Attributed { grade: Grade::Reported, candidates, confidence: 0.9 / f64::from(count) },
        }
    }
}
