//! Attributed connections counted, in any order and in any number of parts.
//!
//! In: connections and answers, one at a time. Out: counts under small numbers, for each distinct edge and question. Texts are made at the end
//! (`build.rs`), when the numbers of distinct things are known. No opinion.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::askers::Askers;
use super::behaviour::Watched;
use super::domains::is_inside_answer;
use super::place::Networks;
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink};
use crate::kube::Inventory;
use crate::model::{AddressId, ChainId, Grade, IdentityKind, NameId, Protocol, TextId, Timestamp, Verdict};

/// The workload of an end: a pod's, or the stand-in for ends that are no pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    /// The workload that this pod belongs to (the workload's number and one of its pods to look it up).
    Of(PartyId),
    Node,
    Unnamed,
}

/// The other end, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Other {
    Of(PartyId),
    Service(AddressId),
    Name(NameId),
    Address(AddressId),
    KubeApiserver,
    Node,
    Ingress,
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) cluster: TextId,
    pub(super) owner: Owner,
    pub(super) other: Other,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) ingress: bool,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) verdicts: BTreeMap<Verdict, u64>,
    pub(super) grades: BTreeMap<Grade, u64>,
    pub(super) confidence_permille: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) days: BTreeSet<u32>,
    pub(super) addresses: HashMap<AddressId, u64>,
    pub(super) pods: HashSet<PartyId>,
    pub(super) candidates: HashMap<NameId, u64>,
    pub(super) names: HashMap<NameId, u64>,
    pub(super) chains: HashSet<ChainId>,
    pub(super) behaviour: Watched,
}

/// Who asked for what: cluster, a pod that stands for its workload (none for clients without one), name.
pub(super) type Question = (TextId, Option<PartyId>, NameId);

/// What one thread has seen.
pub struct Builder<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) networks: &'a Networks,
    pub(super) edges: HashMap<Key, Seen>,
    pub(super) asked: HashMap<Question, (u64, Timestamp, Timestamp)>,
    pub(super) used: HashSet<Question>,
    pub(super) inside_answers: HashMap<Question, IpAddr>,
    pub(super) guessed: BTreeMap<TextId, u64>,
    pub(super) answers_to_nodes: BTreeMap<TextId, u64>,
    pub(super) askers: Askers,
}

impl<'a> Builder<'a> {
    /// An empty builder.
    pub fn new(inventory: &'a Inventory, networks: &'a Networks) -> Self {
        Self {
            inventory,
            networks,
            edges: HashMap::new(),
            asked: HashMap::new(),
            used: HashSet::new(),
            inside_answers: HashMap::new(),
            guessed: BTreeMap::new(),
            answers_to_nodes: BTreeMap::new(),
            askers: Askers::default(),
        }
    }

    /// The pods of one workload share the smallest number among them, so that they fold into one edge.
    fn owner(evidence: &Evidence, party: PartyId) -> PartyId {
        evidence.parties.representative(party)
    }

    fn server(&self, evidence: &Evidence, named: &Named<'_>) -> Other {
        if let Some(party) = named.server {
            return Other::Of(Self::owner(evidence, party));
        }
        let address = evidence.vocabulary.address_of(named.server_address);
        let cluster = evidence.vocabulary.text_of(named.cluster);
        match named.server_kind {
            IdentityKind::KubeApiserver => return Other::KubeApiserver,
            IdentityKind::Host | IdentityKind::RemoteNode => return Other::Node,
            IdentityKind::Ingress => return Other::Ingress,
            _ => {}
        }
        if self.inventory.is_api_server(cluster, address) {
            return Other::KubeApiserver;
        }
        if self.inventory.service_at(cluster, address).is_some() {
            return Other::Service(named.server_address);
        }
        if self.inventory.node_at(cluster, address).is_some() {
            return Other::Node;
        }
        match named.attributed.candidates.first() {
            Some(candidate) => Other::Name(candidate.name),
            None if named.server_address.is_unrecorded() => Other::Address(AddressId::NONE),
            None => Other::Address(named.server_address),
        }
    }

    fn client(&self, evidence: &Evidence, named: &Named<'_>) -> Other {
        if let Some(party) = named.client {
            return Other::Of(Self::owner(evidence, party));
        }
        let address = evidence.vocabulary.address_of(named.client_address);
        let cluster = evidence.vocabulary.text_of(named.cluster);
        match named.client_kind {
            IdentityKind::KubeApiserver => Other::KubeApiserver,
            IdentityKind::Host | IdentityKind::RemoteNode => Other::Node,
            IdentityKind::Ingress => Other::Ingress,
            _ if self.inventory.node_at(cluster, address).is_some() => Other::Node,
            _ if named.client_address.is_unrecorded() => Other::Outside,
            _ if self.networks.is_inside(cluster, address) => Other::Address(named.client_address),
            _ => Other::Outside,
        }
    }

    fn count(&mut self, key: Key, named: &Named<'_>, party: Option<PartyId>, evidence: &Evidence) {
        let seen = self.edges.entry(key).or_default();
        let times = named.counts.connections;
        if times > 0 {
            *seen.verdicts.entry(named.verdict).or_default() += times;
        }
        if named.first.is_known() {
            seen.first = Timestamp::earliest(seen.first, Some(named.first));
            seen.last = seen.last.max(Some(named.last));
            let (first, last) = (named.first.day(), named.last.day());
            seen.days.extend(first..=last.min(first.saturating_add(3_660)));
        }
        let peer_address = if key.ingress { named.client_address } else { named.server_address };
        // What a record leaves out is no address.
        if !peer_address.is_unrecorded() {
            *seen.addresses.entry(peer_address).or_default() += times;
        }
        seen.pods.extend(party);
        if key.ingress {
            // The workload is the server here.
            if let Some(bytes) = named.counts.bytes {
                seen.behaviour.add_bytes(bytes.swapped());
            }
            return;
        }
        seen.behaviour.add(named, matches!(key.other, Other::Name(_) | Other::Address(_)));
        let attributed = named.attributed;
        if times > 0 {
            *seen.grades.entry(attributed.grade).or_default() += times;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a confidence is between 0 and 1")]
        let permille = (attributed.confidence * 1_000.0).round() as u64;
        seen.confidence_permille += permille * times;
        for (place, candidate) in attributed.candidates.iter().enumerate() {
            let list =
                if matches!(key.other, Other::Name(_)) && place > 0 { &mut seen.candidates } else { &mut seen.names };
            *list.entry(candidate.name).or_default() += times;
        }
        for name in named.reported {
            if !attributed.candidates.iter().any(|candidate| candidate.name == *name) {
                *seen.names.entry(*name).or_default() += times;
            }
        }
        if let Some(candidate) = attributed.candidates.first()
            && !candidate.chain.is_none()
        {
            seen.chains.insert(candidate.chain);
        }
        // The connection may have been for any of its candidates, so none of them was asked in vain.
        let client = named.client.map(|party| Self::owner(evidence, party));
        self.used.extend(attributed.candidates.iter().map(|candidate| (key.cluster, client, candidate.name)));
    }
}

/// Whether a client lies outside the cluster, so that its connection is no egress of ours.
fn is_outside(networks: &Networks, evidence: &Evidence, named: &Named<'_>) -> bool {
    let cluster = evidence.vocabulary.text_of(named.cluster);
    let address = evidence.vocabulary.address_of(named.client_address);
    named.client.is_none()
        && match named.client_kind {
            IdentityKind::World => {
                named.client_address.is_unrecorded() || !networks.is_inside(cluster, address) || named.server.is_some()
            }
            IdentityKind::Unknown => !networks.is_inside(cluster, address) && named.server.is_some(),
            _ => false,
        }
}

/// Whether a connection is egress of somebody here: its client is not outside, and is a pod or calls none.
///
/// A node or an unnamed client that calls a pod is that pod's ingress; nobody would review it as egress.
pub fn is_egress(networks: &Networks, evidence: &Evidence, named: &Named<'_>) -> bool {
    !is_outside(networks, evidence, named) && (named.client.is_some() || named.server.is_none())
}

impl Sink for Builder<'_> {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        if named.guessed {
            *self.guessed.entry(named.cluster).or_default() += 1;
        }
        let egress = is_egress(self.networks, evidence, named);
        let key = |cluster, owner, other, ingress| Key {
            cluster,
            owner,
            other,
            port: named.port,
            protocol: named.protocol,
            ingress,
        };
        if egress {
            self.askers.connected(named.cluster, named.client, named.client_address, named.attributed.grade);
            let owner = match named.client {
                Some(party) => Owner::Of(Self::owner(evidence, party)),
                None if matches!(named.client_kind, IdentityKind::Host | IdentityKind::RemoteNode) => Owner::Node,
                None => Owner::Unnamed,
            };
            let key = key(named.cluster, owner, self.server(evidence, named), false);
            self.count(key, named, named.client, evidence);
        }
        if let Some(party) = named.server {
            let owner = Owner::Of(Self::owner(evidence, party));
            let key = key(named.server_cluster, owner, self.client(evidence, named), true);
            self.count(key, named, Some(party), evidence);
        } else if !egress {
            // From outside to something of ours that is no pod: a node port, a gateway.
            let owner = match named.server_kind {
                IdentityKind::Host | IdentityKind::RemoteNode => Owner::Node,
                _ => Owner::Unnamed,
            };
            let key = key(named.cluster, owner, self.client(evidence, named), true);
            self.count(key, named, None, evidence);
        }
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>) {
        // An answer from outside of the window may name a connection in it; what it was for besides is not asked.
        if !evidence.asks_for(answer.time) {
            return;
        }
        let owner = client.map(|party| Self::owner(evidence, party));
        let asked = self.asked.entry((answer.cluster, owner, answer.name)).or_insert((0, answer.time, answer.time));
        asked.0 += 1;
        asked.1 = asked.1.earlier(answer.time);
        asked.2 = asked.2.max(answer.time);
        let address = evidence.vocabulary.address_of(answer.address);
        let is_node = client.is_none() && evidence.parties.is_node(answer.cluster, answer.client);
        if is_node {
            *self.answers_to_nodes.entry(answer.cluster).or_default() += 1;
        } else if !self.networks.is_inside(evidence.vocabulary.text_of(answer.cluster), address) {
            self.askers.told(answer.cluster, client, answer.client);
        }
        if is_inside_answer(address) {
            let known = self.inside_answers.entry((answer.cluster, owner, answer.name)).or_insert(address);
            *known = address.min(*known);
        }
    }
}
