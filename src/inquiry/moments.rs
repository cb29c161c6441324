//! Matching connections one by one: the earliest, as many as there is room for.
//!
//! In: connections in any order. Out: rows in an order that their content alone decides, so that neither threads nor slices show. Two connections
//! that are alike in everything are two rows: records without addresses and ports (Goldmane) have many of those. Never more rows than the bound.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ends::Ends;
use super::target::Role;
use crate::attribute::{Counts, Evidence, Named, PartyId};
use crate::model::{AddressId, Bytes, Grade, NameId, Protocol, Timestamp, Verdict};

/// One matching connection.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How it concerns the target.
    pub role: Role,
    /// Its ends.
    pub ends: Ends,
    /// First record.
    pub first: Timestamp,
    /// Last record.
    pub last: Timestamp,
    /// The client's pod.
    pub client: Option<PartyId>,
    /// The client's address.
    pub client_address: AddressId,
    /// The server's pod.
    pub server: Option<PartyId>,
    /// The server's address.
    pub server_address: AddressId,
    /// What the CNI did.
    pub verdict: Verdict,
    /// How the name is known.
    pub grade: Grade,
    /// Every name that the evidence allows, best first.
    pub names: Box<[NameId]>,
    /// When the answer behind the best name came.
    pub answered_at: Timestamp,
    /// How likely the best name is right.
    pub confidence: f64,
    /// How many connections it stands for, and its bytes.
    pub counts: Counts,
}

/// What orders moments whatever the order of reading: all that a row shows, as texts and numbers of the records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MomentKey {
    first: Timestamp,
    cluster: Box<str>,
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    protocol: Protocol,
    last: Timestamp,
    /// Namespace, pod and workload of either end: all there is where the records leave addresses out.
    parties: Box<str>,
    names: Box<str>,
    verdict: Verdict,
    connections: u64,
    bytes: Option<Bytes>,
    /// Which of those that are alike in all of this.
    ordinal: u32,
}

impl MomentKey {
    fn of(evidence: &Evidence, named: &Named<'_>) -> Self {
        let address = |address| evidence.vocabulary.address_of(address);
        let party = |party: Option<PartyId>| {
            let known = party.and_then(|party| evidence.parties.get(party));
            known.map(|party| format!("{}/{}/{}", party.namespace, party.pod, party.workload)).unwrap_or_default()
        };
        let spelt = named.attributed.candidates.iter().map(|candidate| &candidate.name).chain(named.reported);
        let spelt: Vec<&str> = spelt.map(|name| evidence.vocabulary.name_of(*name)).collect();
        Self {
            first: named.first,
            cluster: evidence.vocabulary.text_of(named.cluster).into(),
            client: (address(named.client_address), named.client_port),
            server: (address(named.server_address), named.port),
            protocol: named.protocol,
            last: named.last,
            parties: format!("{} {}", party(named.client), party(named.server)).into(),
            names: spelt.join(" ").into(),
            verdict: named.verdict,
            connections: named.counts.connections,
            bytes: named.counts.bytes,
            ordinal: 0,
        }
    }
}

/// The earliest moments, at most so many.
#[derive(Debug)]
pub(super) struct Moments {
    kept: BTreeMap<MomentKey, Moment>,
    rows_max: usize,
}

impl Moments {
    pub(super) const fn new(rows_max: usize) -> Self {
        Self { kept: BTreeMap::new(), rows_max }
    }

    /// Keeps a connection if it is among the earliest.
    pub(super) fn keep(&mut self, evidence: &Evidence, named: &Named<'_>, role: Role, ends: Ends) {
        let is_full = self.kept.len() >= self.rows_max;
        if is_full && self.kept.last_key_value().is_none_or(|(last, _)| last.first < named.first) {
            return;
        }
        let attributed = named.attributed;
        let moment = Moment {
            role,
            ends,
            first: named.first,
            last: named.last,
            client: named.client,
            client_address: named.client_address,
            server: named.server,
            server_address: named.server_address,
            verdict: named.verdict,
            grade: attributed.grade,
            names: attributed.candidates.iter().map(|candidate| candidate.name).collect(),
            answered_at: attributed.candidates.first().map_or(Timestamp::UNKNOWN, |best| best.answered_at),
            confidence: attributed.confidence,
            counts: named.counts,
        };
        self.insert(MomentKey::of(evidence, named), moment);
    }

    fn insert(&mut self, mut key: MomentKey, moment: Moment) {
        key.ordinal = u32::MAX;
        let alike = self.kept.range(..=&key).next_back().map(|(before, _)| before);
        let before = alike.filter(|before| MomentKey { ordinal: u32::MAX, ..(*before).clone() } == key);
        key.ordinal = before.map_or(0, |before| before.ordinal.saturating_add(1));
        self.kept.insert(key, moment);
        if self.kept.len() > self.rows_max {
            self.kept.pop_last();
        }
    }

    /// Takes the moments of another part in.
    pub(super) fn absorb(&mut self, other: Self) {
        for (key, moment) in other.kept {
            self.insert(key, moment);
        }
    }

    /// In their order.
    pub(super) fn into_rows(self) -> Vec<Moment> {
        self.kept.into_values().collect()
    }
}
