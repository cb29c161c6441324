//! The as-of join: for one connection, every name that the evidence allows, best first, with the grade of the evidence.
//!
//! In: the answers of one partition, indexed, and a connection. Out: candidates and grade. The order of precedence is that of
//! [`Grade`]: the very pod first, then its workload, its node, the cluster, what the CNI reported, nothing.

use std::ops::Range;

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
    /// On the clock of the answers.
    pub(crate) time: Timestamp,
    /// How much later an answer may be stamped that was there before.
    pub(crate) near_nanos: i64,
    pub(crate) reported: ChainId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Client(Client),
    Workload(u32),
    Cluster,
}

/// Stretches of an order, by who got the answers in them.
type Groups<K> = HashMap<(TextId, AddressId, K), Range<usize>>;

/// The answers of one partition, by who got them.
///
/// They are sorted once, for everybody: by cluster, address, name, time. The orders of clients and workloads are shares of
/// that order, dealt out without comparing again.
pub(crate) struct AnswerIndex {
    answers: Vec<Answer>,
    clients: Vec<Client>,
    everybody: HashMap<(TextId, AddressId), Range<usize>>,
    /// Places in `answers`.
    client_order: Vec<u32>,
    of_clients: Groups<Client>,
    workload_order: Vec<u32>,
    of_workloads: Groups<u32>,
}

impl AnswerIndex {
    pub(crate) fn build(
        mut answers: Vec<Answer>,
        client_of: impl Fn(&Answer) -> Client,
        reached: impl Fn(&Answer) -> AddressId,
        parties: &Parties,
        vocabulary: &Vocabulary,
    ) -> Self {
        // Among answers that are alike in all that ranks, the text of the chain decides which one speaks.
        let chain = |answer: &Answer| -> Vec<&str> {
            vocabulary.chain_of(answer.chain).iter().map(|name| vocabulary.name_of(*name)).collect()
        };
        let order = |answer: &Answer| {
            let place = (answer.cluster, reached(answer), answer.name, answer.time);
            (place, std::cmp::Reverse(answer.position), answer.addresses, answer.ttl_seconds, answer.kind)
        };
        answers.sort_unstable_by(|one, two| {
            let alike = order(one).cmp(&order(two));
            if alike.is_eq() && one.chain != two.chain { chain(one).cmp(&chain(two)) } else { alike }
        });
        let clients: Vec<Client> = answers.iter().map(client_of).collect();
        let mut everybody = HashMap::new();
        let mut start = 0;
        for run in answers.chunk_by(|one, two| (one.cluster, reached(one)) == (two.cluster, reached(two))) {
            if let Some(first) = run.first() {
                everybody.insert((first.cluster, reached(first)), start..start + run.len());
            }
            start += run.len();
        }
        let (client_order, of_clients) = dealt(&answers, &reached, clients.iter().map(|client| Some(*client)));
        let workloads = clients.iter().map(|client| match client {
            Client::Party(party) => parties.get(*party).map(|party| party.workload_number),
            Client::Address(_) => None,
        });
        let (workload_order, of_workloads) = dealt(&answers, &reached, workloads);
        Self { answers, clients, everybody, client_order, of_clients, workload_order, of_workloads }
    }

    /// Whether there is no answer at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// When the question's client was told its address: the last `each` times not after the question and the first `each` after it,
    /// in order; and whether always for one name. By bisection in each name, as in [`around`].
    pub(crate) fn times_around(&self, question: &Question, each: usize) -> (Vec<Timestamp>, bool) {
        let Places::Some(order) = self.places(question.cluster, question.address, Scope::Client(question.client))
        else {
            return (Vec::new(), false);
        };
        let answer = |at: usize| order.get(at).and_then(|at| self.answers.get(*at as usize));
        let times = |places: Range<usize>| places.filter_map(answer).map(|answer| answer.time);
        let (mut past, mut future) = (Vec::new(), Vec::new());
        let (mut start, mut names) = (0, 0);
        while let Some(first) = answer(start) {
            let end =
                first_without(start + 1..order.len(), |at| answer(at).is_some_and(|other| other.name == first.name));
            let next = first_without(start..end, |at| answer(at).is_some_and(|other| other.time <= question.time));
            past.extend(times(next.saturating_sub(each).max(start)..next));
            future.extend(times(next..next.saturating_add(each).min(end)));
            names += 1;
            start = end;
        }
        past.sort_unstable();
        future.sort_unstable();
        past.drain(..past.len().saturating_sub(each));
        future.truncate(each);
        past.append(&mut future);
        (past, names == 1)
    }

    /// Whether nobody was ever told this address.
    pub(crate) fn is_unknown(&self, cluster: TextId, address: AddressId) -> bool {
        !self.everybody.contains_key(&(cluster, address))
    }

    /// The places of a scope's answers for an address, by name, then time.
    fn places(&self, cluster: TextId, address: AddressId, scope: Scope) -> Places<'_> {
        match scope {
            Scope::Cluster => Places::All(self.everybody.get(&(cluster, address)).cloned().unwrap_or(0..0)),
            Scope::Client(client) => {
                let range = self.of_clients.get(&(cluster, address, client));
                Places::Some(range.and_then(|range| self.client_order.get(range.clone())).unwrap_or_default())
            }
            Scope::Workload(number) => {
                let range = self.of_workloads.get(&(cluster, address, number));
                Places::Some(range.and_then(|range| self.workload_order.get(range.clone())).unwrap_or_default())
            }
        }
    }

    /// Every answer with the client that got it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Answer, Client)> {
        self.answers.iter().zip(self.clients.iter().copied())
    }

    /// The groups of answers per client, for what is learnt about clients.
    pub(crate) fn client_groups(&self) -> impl Iterator<Item = (Client, Vec<&Answer>)> {
        self.of_clients.iter().filter_map(|((_, _, client), range)| {
            let places = self.client_order.get(range.clone())?;
            Some((*client, places.iter().filter_map(|at| self.answers.get(*at as usize)).collect()))
        })
    }

    /// For each name known to `scope`, the last answer not after `time` and the first one after it.
    fn names(&self, question: &Question, scope: Scope) -> Vec<(Option<&Answer>, Option<&Answer>)> {
        let until = |answer: &Answer| !question.time.is_known() || answer.time <= question.time;
        match self.places(question.cluster, question.address, scope) {
            Places::All(range) => around(range, |at| self.answers.get(at), until),
            Places::Some(order) => {
                around(0..order.len(), |at| order.get(at).and_then(|at| self.answers.get(*at as usize)), until)
            }
        }
    }
}

/// For each name among the answers at `places`, which are in the order of names and then of times: the last answer that is `past`, and
/// the first that is not. By bisection, since a client asks for the same few names all week and makes as many connections.
fn around<'a>(
    places: Range<usize>,
    answer: impl Fn(usize) -> Option<&'a Answer>,
    past: impl Fn(&Answer) -> bool,
) -> Vec<(Option<&'a Answer>, Option<&'a Answer>)> {
    let mut names = Vec::new();
    let mut start = places.start;
    while let Some(first) = answer(start).filter(|_| start < places.end) {
        let end = first_without(start + 1..places.end, |at| answer(at).is_some_and(|other| other.name == first.name));
        let next = first_without(start..end, |at| answer(at).is_some_and(&past));
        let last = next.checked_sub(1).filter(|last| *last >= start);
        names.push((last.and_then(&answer), answer(next).filter(|_| next < end)));
        start = end;
    }
    names
}

/// The first of `places` that is not `in_front`, where all that are stand in front of all that are not.
fn first_without(places: Range<usize>, in_front: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = places;
    while start < end {
        let middle = start.midpoint(end);
        if in_front(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}

/// Where the answers of a scope are.
enum Places<'a> {
    All(Range<usize>),
    Some(&'a [u32]),
}

/// Deals the places of `answers` out to their owners; each owner's share keeps the order. Answers without an owner are left out.
fn dealt<K: Copy + Eq + std::hash::Hash>(
    answers: &[Answer],
    reached: impl Fn(&Answer) -> AddressId,
    owners: impl Iterator<Item = Option<K>>,
) -> (Vec<u32>, Groups<K>) {
    let mut numbers: HashMap<(TextId, AddressId, K), u32> = HashMap::new();
    let mut counts: Vec<usize> = Vec::new();
    let mut numbered: Vec<u32> = Vec::with_capacity(answers.len());
    for (answer, owner) in answers.iter().zip(owners) {
        let number = owner.map_or(u32::MAX, |owner| {
            let next = u32::try_from(counts.len()).unwrap_or(u32::MAX);
            *numbers.entry((answer.cluster, reached(answer), owner)).or_insert(next)
        });
        if number as usize == counts.len() {
            counts.push(0);
        }
        if let Some(count) = counts.get_mut(number as usize) {
            *count += 1;
        }
        numbered.push(number);
    }
    let mut starts = Vec::with_capacity(counts.len());
    let mut total = 0;
    for count in &counts {
        starts.push(total);
        total += count;
    }
    let groups = (numbers.into_iter())
        .filter_map(|(key, number)| {
            let (start, count) = (starts.get(number as usize)?, counts.get(number as usize)?);
            Some((key, *start..start + count))
        })
        .collect();
    let mut order = vec![0; total];
    for (place, number) in (0_u32..).zip(numbered) {
        let Some(next) = starts.get_mut(number as usize) else { continue };
        if let Some(slot) = order.get_mut(*next) {
            *slot = place;
        }
        *next += 1;
    }
    (order, groups)
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
    let usable =
        |answer: &&Answer| age(answer) <= options.window_nanos || Candidate::of(answer).is_valid_at(question.time);
    let near_nanos = question.near_nanos.min(options.skew_nanos);
    let near = |answer: &&Answer| -age(answer) <= near_nanos;
    // An answer that is stamped a moment later speaks for its name before one that is much older.
    let of_name = |past: Option<&Answer>, after: Option<&Answer>| {
        let (past, after) = (past.filter(&usable), after.filter(&near));
        match (past, after) {
            (Some(past), Some(_)) if age(past) <= near_nanos => Some(Candidate::of(past)),
            (past, after) => after.or(past).map(Candidate::of),
        }
    };
    let inside: Vec<Candidate> = names.iter().filter_map(|(past, after)| of_name(*past, *after)).collect();
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
        if self.index.is_unknown(question.cluster, question.address) {
            return self.only_reported(reported);
        }
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
        let (grade, candidates) = self.told_to_client(question)?;
        // What a node was told may have been asked by anything on it: its cache on behalf of pods, or another process.
        let is_node =
            matches!(question.client, Client::Address(address) if self.parties.is_node(question.cluster, address));
        Some((if is_node { Grade::Node } else { grade }, candidates))
    }

    fn told_to_client(&self, question: &Question) -> Option<(Grade, Vec<Candidate>)> {
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
