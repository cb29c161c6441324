//! Who is behind an address: pods by name, and by address *for a time*.
//!
//! In: every end that flow records described, and the inventory of Kubernetes objects. Out: the pod of a named end, the pod
//! that an address belonged to at a time, the workload of a pod, the node addresses of a pod. Addresses of different
//! clusters never meet.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use crate::kube::Inventory;
use crate::model::{AddressId, Endpoint, EndpointId, TextId, Timestamp, Vocabulary, Workload};

/// A pod (or, when records name no pod, a namespace's workload).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u32);

/// What is known of a pod, over all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Cluster.
    pub cluster: TextId,
    /// Namespace.
    pub namespace: Box<str>,
    /// Pod name; empty when the records name only namespace or workload.
    pub pod: Box<str>,
    /// The owner: stated, from the inventory, or guessed from the pod's name.
    pub workload: Workload,
    /// Whether the owner was guessed.
    pub guessed: bool,
    /// Labels; empty when no record had any.
    pub labels: BTreeSet<Box<str>>,
    /// Number of its (cluster, namespace, workload) among all parties' workloads.
    pub(crate) workload_number: u32,
    /// Names of the nodes that it was local to.
    nodes: BTreeSet<TextId>,
}

/// An address was a pod's from the first to the last record that says so.
#[derive(Clone, Copy, Debug)]
struct Residence {
    first: Timestamp,
    last: Timestamp,
    party: PartyId,
    /// Whether the pod is known not to have existed before `first`, or after `last`.
    bounds: Bounds,
}

/// What is known of the limits of a residence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    starts: bool,
    ends: bool,
}

impl Residence {
    /// Whether the address can have been this pod's at `time`.
    fn allows(&self, time: Timestamp) -> bool {
        !time.is_known()
            || ((!self.bounds.starts || time >= self.first.plus_nanos(-BOUND_SLACK_NANOS))
                && (!self.bounds.ends || time <= self.last.plus_nanos(BOUND_SLACK_NANOS)))
    }

    fn holds(&self, time: Timestamp) -> bool {
        self.first <= time && time <= self.last
    }
}

/// Clocks of the API server and of nodes differ by so much at most.
const BOUND_SLACK_NANOS: i64 = 10_000_000_000;

/// What makes a pod distinct: cluster, namespace, pod, and the workload where no pod is named.
type PartyName = (TextId, Box<str>, Box<str>, Option<Workload>);

/// All pods.
#[derive(Debug, Default)]
pub struct Parties {
    all: Vec<Party>,
    by_name: HashMap<PartyName, PartyId>,
    by_endpoint: HashMap<(TextId, EndpointId), PartyId>,
    residences: HashMap<(TextId, AddressId), Vec<Residence>>,
    node_addresses: BTreeMap<(TextId, TextId), BTreeSet<AddressId>>,
    nodes: HashSet<(TextId, AddressId)>,
    workloads: HashMap<(TextId, Box<str>, Workload), u32>,
    /// By workload number.
    representatives: Vec<PartyId>,
}

/// A pod that shows within this time after an answer was most likely the one that asked: pods resolve, then connect.
const NEXT_POD_NANOS: i64 = 10_000_000_000;

impl Parties {
    /// Learns an end of a flow; ends that are no pods are not parties.
    pub(crate) fn learn(&mut self, cluster: TextId, id: EndpointId, end: &Endpoint, node: TextId) {
        if !end.is_pod() || end.identity == crate::model::IdentityKind::World {
            return;
        }
        let party = self.named(cluster, end);
        self.by_endpoint.insert((cluster, id), party);
        if let Some(known) = self.all.get_mut(party.0 as usize) {
            if let Some(workload) = &end.workload
                && (known.guessed || *workload < known.workload)
            {
                known.workload = workload.clone();
                known.guessed = false;
            }
            known.labels.extend(end.labels.iter().cloned());
            if !node.is_none() {
                known.nodes.insert(node);
            }
        }
    }

    /// Learns that a node has an address.
    pub(crate) fn learn_node(&mut self, cluster: TextId, node: TextId, address: AddressId) {
        self.nodes.insert((cluster, address));
        self.node_addresses.entry((cluster, node)).or_default().insert(address);
    }

    fn named(&mut self, cluster: TextId, end: &Endpoint) -> PartyId {
        let workload = if end.pod.is_empty() { end.workload.clone() } else { None };
        let key = (cluster, end.namespace.clone(), end.pod.clone(), workload);
        if let Some(&party) = self.by_name.get(&key) {
            return party;
        }
        let party = PartyId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let (workload, guessed) = match &end.workload {
            Some(workload) => (workload.clone(), false),
            None if end.pod.is_empty() => {
                (Workload { kind: crate::model::WorkloadKind("Workload".into()), name: "unknown".into() }, true)
            }
            None => (Workload::from_pod_name(&end.pod), true),
        };
        self.all.push(Party {
            cluster,
            namespace: end.namespace.clone(),
            pod: end.pod.clone(),
            workload,
            guessed,
            labels: BTreeSet::new(),
            workload_number: 0,
            nodes: BTreeSet::new(),
        });
        self.by_name.insert(key, party);
        party
    }

    /// Takes in what the Kubernetes objects say: owners, labels, nodes, and the times of addresses.
    pub(crate) fn learn_inventory(&mut self, inventory: &Inventory, vocabulary: &mut Vocabulary) {
        let clusters: Vec<String> = inventory.clusters().map(ToString::to_string).collect();
        for name in clusters {
            let cluster = vocabulary.text(&name);
            for pod in inventory.pods(&name) {
                let end = Endpoint { namespace: pod.namespace.clone(), pod: pod.name.clone(), ..Endpoint::default() };
                let party = self.named(cluster, &end);
                let node = vocabulary.text(&pod.node);
                if let Some(known) = self.all.get_mut(party.0 as usize) {
                    known.workload = pod.workload.clone();
                    known.guessed = false;
                    if known.labels.is_empty() {
                        known.labels = pod.labels.iter().map(|(key, value)| format!("{key}={value}").into()).collect();
                    }
                    if !node.is_none() {
                        known.nodes.insert(node);
                    }
                }
                if pod.host_network {
                    continue;
                }
                for address in &pod.addresses {
                    let address = vocabulary.address(*address);
                    let bounds = Bounds { starts: pod.started.is_known(), ends: pod.ended.is_some() };
                    let last = pod.ended.unwrap_or(Timestamp::MAX);
                    self.reside_within(cluster, address, Residence { first: pod.started, last, party, bounds });
                }
            }
            for node in inventory.nodes(&name) {
                let number = vocabulary.text(&node.name);
                for address in node.addresses() {
                    let address = vocabulary.address(address);
                    self.learn_node(cluster, number, address);
                }
            }
        }
    }

    /// Records that `address` was `party`'s at both times, as flows show it.
    pub(crate) fn reside(
        &mut self,
        cluster: TextId,
        address: AddressId,
        party: PartyId,
        first: Timestamp,
        last: Timestamp,
    ) {
        self.reside_within(cluster, address, Residence { first, last, party, bounds: Bounds::default() });
    }

    /// Records that `address` was `party`'s, as flows without times show it. Says nothing where anything else is known.
    pub(crate) fn reside_at_some_time(&mut self, cluster: TextId, address: AddressId, party: PartyId) {
        let residences = self.residences.entry((cluster, address)).or_default();
        if residences.iter().all(|residence| residence.party != party) {
            let (first, last) = (Timestamp::UNKNOWN, Timestamp::UNKNOWN);
            residences.push(Residence { first, last, party, bounds: Bounds::default() });
        }
    }

    fn reside_within(&mut self, cluster: TextId, address: AddressId, seen: Residence) {
        let residences = self.residences.entry((cluster, address)).or_default();
        match residences.iter_mut().find(|residence| residence.party == seen.party) {
            Some(residence) => {
                residence.first = residence.first.min(seen.first);
                residence.last = residence.last.max(seen.last);
                residence.bounds.starts |= seen.bounds.starts;
                residence.bounds.ends |= seen.bounds.ends;
            }
            None => residences.push(seen),
        }
    }

    /// Puts everything in an order that does not depend on reading, and numbers the workloads.
    pub(crate) fn settle(&mut self) {
        let parties = &self.all;
        let name =
            |party: PartyId| parties.get(party.0 as usize).map(|party| (&party.namespace, &party.pod, &party.workload));
        for residences in self.residences.values_mut() {
            residences.sort_by(|a, b| (a.first, a.last, name(a.party)).cmp(&(b.first, b.last, name(b.party))));
        }
        for (id, party) in (0_u32..).map(PartyId).zip(&mut self.all) {
            let next = u32::try_from(self.representatives.len()).unwrap_or(u32::MAX);
            let key = (party.cluster, party.namespace.clone(), party.workload.clone());
            party.workload_number = *self.workloads.entry(key).or_insert(next);
            if party.workload_number == next {
                self.representatives.push(id);
            }
        }
    }

    /// One pod that stands for all pods of the same workload.
    pub fn representative(&self, party: PartyId) -> PartyId {
        let number = self.get(party).map(|known| known.workload_number as usize);
        number.and_then(|number| self.representatives.get(number)).copied().unwrap_or(party)
    }

    /// The pod of a number.
    pub fn get(&self, id: PartyId) -> Option<&Party> {
        self.all.get(id.0 as usize)
    }

    /// The pod that an end of a flow names.
    pub(crate) fn of_endpoint(&self, cluster: TextId, endpoint: EndpointId) -> Option<PartyId> {
        self.by_endpoint.get(&(cluster, endpoint)).copied()
    }

    /// The pod that a source of answers claims for a client; without a pod's name, the workload's stand-in.
    pub(crate) fn by_claim(&self, cluster: TextId, hint: &Endpoint) -> Option<PartyId> {
        let workload = if hint.pod.is_empty() { hint.workload.clone() } else { None };
        self.by_name.get(&(cluster, hint.namespace.clone(), hint.pod.clone(), workload)).copied()
    }

    /// The pod behind an end of which only the namespace is known: the one of that namespace that had the address.
    pub(crate) fn within_namespace(
        &self,
        named: PartyId,
        cluster: TextId,
        address: AddressId,
        time: Timestamp,
    ) -> Option<PartyId> {
        let known = self.get(named).filter(|known| known.pod.is_empty() && known.guessed)?;
        let at = self.at(cluster, address, time)?;
        self.get(at).filter(|pod| pod.namespace == known.namespace).map(|_| at)
    }

    /// Whether `party` was ever seen at `address`.
    pub(crate) fn ever_at(&self, cluster: TextId, address: AddressId, party: PartyId) -> bool {
        self.residences.get(&(cluster, address)).is_some_and(|all| all.iter().any(|residence| residence.party == party))
    }

    /// The pod that most likely had `address` at `time`: the one seen before and after; else the nearest in time, where a pod
    /// that shows up soon after comes first.
    pub(crate) fn at(&self, cluster: TextId, address: AddressId, time: Timestamp) -> Option<PartyId> {
        let residences = self.residences.get(&(cluster, address))?;
        let possible = || residences.iter().filter(|residence| residence.allows(time));
        let mut few = possible();
        if let (Some(only), None) = (few.next(), few.next()) {
            return Some(only.party);
        }
        if !time.is_known() {
            return None;
        }
        if let Some(residence) = possible().rfind(|residence| residence.holds(time)) {
            return Some(residence.party);
        }
        let before = possible().filter(|residence| residence.last < time).max_by_key(|residence| residence.last);
        let after = possible().find(|residence| residence.first > time);
        match (before, after) {
            (Some(before), Some(after)) => {
                let (since, until) = (
                    time.nanos().saturating_sub(before.last.nanos()),
                    after.first.nanos().saturating_sub(time.nanos()),
                );
                Some(if until <= NEXT_POD_NANOS || until <= since { after.party } else { before.party })
            }
            (one, two) => one.or(two).map(|residence| residence.party),
        }
    }

    /// The pod that is known to have had `address` at `time`: seen with it before and after.
    pub(crate) fn surely_at(&self, cluster: TextId, address: AddressId, time: Timestamp) -> Option<PartyId> {
        let residences = self.residences.get(&(cluster, address))?;
        residences.iter().rfind(|residence| residence.holds(time)).map(|residence| residence.party)
    }

    /// The addresses of the nodes that a pod was local to.
    pub(crate) fn node_addresses(&self, party: PartyId) -> impl Iterator<Item = AddressId> {
        self.get(party).into_iter().flat_map(move |known| {
            known
                .nodes
                .iter()
                .filter_map(move |node| self.node_addresses.get(&(known.cluster, *node)))
                .flat_map(|addresses| addresses.iter().copied())
        })
    }

    /// Whether an address is a node's.
    pub(crate) fn is_node(&self, cluster: TextId, address: AddressId) -> bool {
        self.nodes.contains(&(cluster, address))
    }

    /// All pods.
    pub fn iter(&self) -> impl Iterator<Item = (PartyId, &Party)> {
        (0_u32..).map(PartyId).zip(&self.all)
    }
}
