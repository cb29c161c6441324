//! What was seen between two ends.
//!
//! In: connections of the pair, in any order. Out: counts, and lists that hold the first so many by content; how many there were beside them is known.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;

use super::bounded::Bounded;
use super::place::Placed;
use super::target::Role;
use crate::attribute::{Evidence, Named, PartyId};
use crate::catalog::RuleRanges;
use crate::model::{AddressId, ChainId, Grade, NameId, Timestamp, Verdict};
use crate::summary::{EdgeSeen, Watched};

/// How many distinct addresses, pods and names are held of a pair; documents show fewer.
const HELD_MAX: usize = 4_096;

/// What was seen between two ends, still in numbers.
#[derive(Debug)]
pub struct Pair {
    /// Connections by role of the target.
    pub roles: BTreeMap<Role, u64>,
    /// Connections that began in each bucket of the timeline.
    pub began: Vec<u32>,
    verdicts: BTreeMap<Verdict, u64>,
    grades: BTreeMap<Grade, u64>,
    confidence_permille: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    days: BTreeSet<u32>,
    addresses: Bounded<AddressId, u64>,
    pods: Bounded<PartyId, ()>,
    candidates: Bounded<NameId, u64>,
    names: Bounded<NameId, u64>,
    chains: Bounded<ChainId, ()>,
    behaviour: Watched,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            roles: BTreeMap::new(),
            began: Vec::new(),
            verdicts: BTreeMap::new(),
            grades: BTreeMap::new(),
            confidence_permille: 0,
            first: None,
            last: None,
            days: BTreeSet::new(),
            addresses: Bounded::new(HELD_MAX),
            pods: Bounded::new(HELD_MAX),
            candidates: Bounded::new(HELD_MAX),
            names: Bounded::new(HELD_MAX),
            chains: Bounded::new(HELD_MAX),
            behaviour: Watched::default(),
        }
    }
}

impl Pair {
    pub(super) fn count(
        &mut self,
        evidence: &Evidence,
        named: &Named<'_>,
        (role, by_name): (Role, bool),
        (bucket, buckets): (Option<usize>, usize),
    ) {
        let times = named.counts.connections;
        *self.roles.entry(role).or_default() += times;
        self.began.resize(buckets, 0);
        if let Some(began) = bucket.and_then(|bucket| self.began.get_mut(bucket)) {
            *began = began.saturating_add(u32::try_from(times).unwrap_or(u32::MAX));
        }
        if times > 0 {
            *self.verdicts.entry(named.verdict).or_default() += times;
        }
        let attributed = named.attributed;
        if times > 0 {
            *self.grades.entry(attributed.grade).or_default() += times;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a confidence is between 0 and 1")]
        let permille = (attributed.confidence * 1_000.0).round() as u64;
        self.confidence_permille += permille * times;
        if named.first.is_known() {
            self.first = Timestamp::earliest(self.first, Some(named.first));
            self.last = self.last.max(Some(named.last));
            let (first, last) = (named.first.day(), named.last.day());
            self.days.extend(first..=last.min(first.saturating_add(3_660)));
        }
        self.behaviour.add(named, by_name);
        self.list(evidence, named, by_name);
    }

    fn list(&mut self, evidence: &Evidence, named: &Named<'_>, by_name: bool) {
        let times = named.counts.connections;
        // What a record leaves out is no address.
        if !named.server_address.is_unrecorded() {
            count_held(evidence, &mut self.addresses, named.server_address, times);
        }
        if let Some(party) = named.client {
            self.pods.entry(evidence, party);
        }
        let candidates = &named.attributed.candidates;
        for (place, candidate) in candidates.iter().enumerate() {
            let list = if by_name && place > 0 { &mut self.candidates } else { &mut self.names };
            count_held(evidence, list, candidate.name, times);
        }
        for name in named.reported {
            if !candidates.iter().any(|candidate| candidate.name == *name) {
                count_held(evidence, &mut self.names, *name, times);
            }
        }
        if let Some(best) = candidates.first()
            && !best.chain.is_none()
        {
            self.chains.entry(evidence, best.chain);
        }
    }

    pub(super) fn absorb(&mut self, evidence: &Evidence, other: Self) {
        add(&mut self.roles, other.roles);
        self.began.resize(self.began.len().max(other.began.len()), 0);
        for (mine, theirs) in self.began.iter_mut().zip(other.began) {
            *mine = mine.saturating_add(theirs);
        }
        add(&mut self.verdicts, other.verdicts);
        add(&mut self.grades, other.grades);
        self.confidence_permille += other.confidence_permille;
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
        self.days.extend(other.days);
        let add = |mine: &mut u64, theirs| *mine += theirs;
        self.candidates.absorb(evidence, other.candidates, add);
        self.names.absorb(evidence, other.names, add);
        self.addresses.absorb(evidence, other.addresses, add);
        self.pods.absorb(evidence, other.pods, |(), ()| ());
        self.chains.absorb(evidence, other.chains, |(), ()| ());
        self.behaviour.absorb(other.behaviour);
    }

    /// The same in the form of an edge: texts, sorted, at most [`LISTED_MAX`](crate::summary::LISTED_MAX) in each list.
    pub fn seen(&self, evidence: &Evidence, ranges: &RuleRanges) -> EdgeSeen {
        let vocabulary = &evidence.vocabulary;
        let names = |names: &Bounded<NameId, u64>| {
            names.known.iter().map(|(name, count)| (vocabulary.name_of(*name).into(), *count)).collect()
        };
        let addresses = &self.addresses;
        let pods = self.pods.known.keys().filter_map(|party| Some(evidence.parties.get(*party)?.pod.clone()));
        let chain = |chain: &ChainId| {
            let names: Vec<&str> = vocabulary.chain_of(*chain).iter().map(|name| vocabulary.name_of(*name)).collect();
            names.join(" → ").into()
        };
        let all = EdgeSeen {
            verdicts: self.verdicts.clone(),
            grades: self.grades.clone(),
            confidence_permille: self.confidence_permille,
            first: self.first,
            last: self.last,
            days: self.days.clone(),
            addresses: addresses.known.iter().map(|(id, count)| (vocabulary.address_of(*id), *count)).collect(),
            beyond: BTreeMap::new(),
            pods: pods.filter(|pod| !pod.is_empty()).collect(),
            candidates: names(&self.candidates),
            names: names(&self.names),
            chains: self.chains.known.keys().map(chain).collect(),
            behaviour: self.behaviour.clone().named(|party| evidence.parties.get(party).map(|known| &*known.pod)),
        };
        let mut seen = EdgeSeen::default();
        seen.absorb_with(all, ranges);
        // Those that were not even held are judged as well.
        for number in addresses.left_out().iter() {
            seen.pass_over(vocabulary.address_of(AddressId(number)), ranges);
        }
        seen
    }

    /// Connections.
    pub(super) fn connections(&self) -> u64 {
        self.roles.values().sum()
    }

    /// How many distinct server addresses and client pods these pairs had together, before lists are cut.
    pub(super) fn distinct(pairs: &[&Self], evidence: &Evidence) -> (usize, usize) {
        let addresses: HashSet<u32> = pairs.iter().flat_map(|pair| pair.addresses.met()).collect();
        let parties = pairs.iter().flat_map(|pair| pair.pods.met());
        let pods: HashSet<&str> =
            parties.filter_map(|party| evidence.parties.get(PartyId(party))).map(|party| &*party.pod).collect();
        (addresses.len(), pods.iter().filter(|pod| !pod.is_empty()).count())
    }

    /// Whether names or chains were too many to be held.
    pub(super) const fn is_cut(&self) -> bool {
        self.candidates.is_cut || self.names.is_cut || self.chains.is_cut
    }
}

fn count_held<K: Placed>(evidence: &Evidence, counts: &mut Bounded<K, u64>, key: K, times: u64) {
    if let Some(count) = counts.entry(evidence, key) {
        *count += times;
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *counts.entry(key).or_default() += count;
    }
}
