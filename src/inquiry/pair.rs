//! What was seen between two ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::target::Role;
use crate::attribute::{Evidence, Named, PartyId};
use crate::model::{AddressId, ChainId, Grade, NameId, Timestamp, Verdict};
use crate::summary::{EdgeSeen, LISTED_MAX, Watched};

/// How many distinct addresses, pods and names are held of a pair; documents show fewer.
const HELD_MAX: usize = 4_096;

/// What was seen between two ends, still in numbers.
#[derive(Debug, Default)]
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
    addresses: HashMap<AddressId, u64>,
    pods: HashSet<PartyId>,
    candidates: HashMap<NameId, u64>,
    names: HashMap<NameId, u64>,
    chains: HashSet<ChainId>,
    behaviour: Watched,
}

impl Pair {
    pub(super) fn count(
        &mut self,
        named: &Named<'_>,
        role: Role,
        bucket: Option<usize>,
        buckets: usize,
        by_name: bool,
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
        count_held(&mut self.addresses, named.server_address, times);
        if let Some(party) = named.client
            && self.pods.len() < HELD_MAX
        {
            self.pods.insert(party);
        }
        for (place, candidate) in attributed.candidates.iter().enumerate() {
            count_held(
                if by_name && place > 0 { &mut self.candidates } else { &mut self.names },
                candidate.name,
                times,
            );
        }
        for name in named.reported {
            if !attributed.candidates.iter().any(|candidate| candidate.name == *name) {
                count_held(&mut self.names, *name, times);
            }
        }
        if let Some(best) = attributed.candidates.first()
            && !best.chain.is_none()
            && self.chains.len() < HELD_MAX
        {
            self.chains.insert(best.chain);
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
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
        for (mine, theirs) in [(&mut self.candidates, other.candidates), (&mut self.names, other.names)] {
            theirs.into_iter().for_each(|(name, count)| *mine.entry(name).or_default() += count);
        }
        other.addresses.into_iter().for_each(|(address, count)| *self.addresses.entry(address).or_default() += count);
        self.pods.extend(other.pods);
        self.chains.extend(other.chains);
        self.behaviour.absorb(other.behaviour);
    }

    /// The same in the form of an edge: texts, sorted, at most [`LISTED_MAX`] in each list.
    pub fn seen(&self, evidence: &Evidence) -> EdgeSeen {
        let vocabulary = &evidence.vocabulary;
        let names = |names: &HashMap<NameId, u64>| {
            let all: BTreeMap<Box<str>, u64> =
                names.iter().map(|(name, count)| (vocabulary.name_of(*name).into(), *count)).collect();
            all.into_iter().take(LISTED_MAX).collect()
        };
        let addresses: BTreeMap<IpAddr, u64> =
            self.addresses.iter().map(|(address, count)| (vocabulary.address_of(*address), *count)).collect();
        let pods: BTreeSet<Box<str>> = self
            .pods
            .iter()
            .filter_map(|party| Some(evidence.parties.get(*party)?.pod.clone()))
            .filter(|pod| !pod.is_empty())
            .collect();
        let chain = |chain: &ChainId| {
            let names: Vec<&str> = vocabulary.chain_of(*chain).iter().map(|name| vocabulary.name_of(*name)).collect();
            names.join(" → ").into()
        };
        let chains: BTreeSet<Box<str>> = self.chains.iter().map(chain).collect();
        EdgeSeen {
            verdicts: self.verdicts.clone(),
            grades: self.grades.clone(),
            confidence_permille: self.confidence_permille,
            first: self.first,
            last: self.last,
            days: self.days.clone(),
            addresses: addresses.into_iter().take(LISTED_MAX).collect(),
            pods: pods.into_iter().take(LISTED_MAX).collect(),
            candidates: names(&self.candidates),
            names: names(&self.names),
            chains: chains.into_iter().take(LISTED_MAX).collect(),
            behaviour: self.behaviour.clone().named(|party| evidence.parties.get(party).map(|known| &*known.pod)),
        }
    }

    /// How many distinct server addresses and client pods there were, before lists are cut.
    pub fn distinct(&self) -> (usize, usize) {
        (self.addresses.len(), self.pods.len())
    }
}

fn count_held<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u64>, key: K, times: u64) {
    if counts.len() < HELD_MAX || counts.contains_key(&key) {
        *counts.entry(key).or_default() += times;
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *counts.entry(key).or_default() += count;
    }
}
