//! Attributed connections → an [`Atlas`], in any order and in any number of parts.
//!
//! While building, everything is counted under small numbers; texts are made once, at the end, when the numbers of distinct
//! things are known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::askers::Askers;
use super::behaviour::Watched;
use super::blind_spot;
use super::domains::{Answered, add_answered, add_unanswered, is_inside_answer};
use super::place::Networks;
use super::{
    Asked, Atlas, Cluster, Edge, EdgeKey, EdgeSeen, Namespace, Nodes, Peer, SourceCoverage, WorkloadSeen,
    edge::keep_smallest,
};
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink};
use crate::catalog::RuleRanges;
use crate::kube::Inventory;
use crate::model::{
    AddressId, ChainId, Grade, IdentityKind, NameId, Protocol, TextId, Timestamp, Verdict, Workload, WorkloadKind,
};

/// The workload of an end: a pod's, or the stand-in for ends that are no pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Owner {
    /// The workload that this pod belongs to (the workload's number and one of its pods to look it up).
    Of(PartyId),
    Node,
    Unnamed,
}

/// The other end, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Other {
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
struct Key {
    cluster: TextId,
    owner: Owner,
    other: Other,
    port: u16,
    protocol: Protocol,
    ingress: bool,
}

#[derive(Debug, Default)]
struct Seen {
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

/// Who asked for what: cluster, a pod that stands for its workload (none for clients without one), name.
type Question = (TextId, Option<PartyId>, NameId);

/// What one thread has seen.
pub struct Builder<'a> {
    inventory: &'a Inventory,
    networks: &'a Networks,
    edges: HashMap<Key, Seen>,
    asked: HashMap<Question, (u64, Timestamp, Timestamp)>,
    used: HashSet<Question>,
    inside_answers: HashMap<Question, IpAddr>,
    guessed: BTreeMap<TextId, u64>,
    answers_to_nodes: BTreeMap<TextId, u64>,
    askers: Askers,
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

/// Makes the atlas of all parts. Addresses that an edge has no room to list are told apart by `ranges`.
pub fn build(evidence: &Evidence, inventory: &Inventory, ranges: &RuleRanges, parts: Vec<Builder<'_>>) -> Atlas {
    let mut edges: BTreeMap<Text, BTreeMap<(Text, bool, EdgeKey), EdgeSeen>> = BTreeMap::new();
    let mut atlas = Atlas::default();
    let writer = Writer { evidence, inventory, ranges };
    let mut asked: HashMap<_, (u64, Timestamp, Timestamp)> = HashMap::new();
    let mut used = HashSet::new();
    let mut inside_answers: HashMap<Question, IpAddr> = HashMap::new();
    let mut askers = Askers::default();
    for part in parts {
        askers.absorb(part.askers);
        for (key, seen) in part.edges {
            let (namespace, edge) = writer.key(&key);
            let cluster = edges.entry(writer.text(key.cluster)).or_default();
            cluster
                .entry((namespace, key.ingress, edge))
                .or_default()
                .absorb_with(writer.seen(seen, key.ingress), ranges);
        }
        for (key, (answers, first, last)) in part.asked {
            let all = asked.entry(key).or_insert((0, first, last));
            *all = (all.0 + answers, all.1.earlier(first), all.2.max(last));
        }
        used.extend(part.used);
        for (key, address) in part.inside_answers {
            let known = inside_answers.entry(key).or_insert(address);
            *known = address.min(*known);
        }
        for (cluster, count) in part.guessed {
            atlas.clusters.entry(writer.text(cluster)).or_default().totals.guessed_orientation += count;
        }
        for (cluster, count) in part.answers_to_nodes {
            atlas.clusters.entry(writer.text(cluster)).or_default().totals.answers_to_nodes += count;
        }
    }
    for (name, rows) in edges {
        let cluster = atlas.clusters.entry(name).or_default();
        for ((namespace, ingress, key), seen) in rows {
            add_edge(cluster, namespace, ingress, Edge { key, seen });
        }
    }
    for (cluster, forwarder) in askers.forwarders(evidence) {
        let cluster = atlas.clusters.entry(writer.text(cluster)).or_default();
        // Without flows nobody connects.
        cluster.forwarder = (cluster.totals.egress_connections > 0).then_some(forwarder);
    }
    for ((cluster, owner, name), (answers, first, last)) in asked {
        let question = (cluster, owner, name);
        let is_used = used.contains(&question);
        writer.asked(&mut atlas, question, (answers, first, last), (is_used, inside_answers.get(&question).copied()));
    }
    writer.unanswered(&mut atlas);
    for ((kind, cluster, name), activity) in &evidence.activity {
        let coverage = SourceCoverage { kind: *kind, name: name.clone(), activity: activity.clone() };
        atlas.clusters.entry(cluster.clone()).or_default().coverage.push(coverage);
    }
    for (name, cluster) in &mut atlas.clusters {
        cluster.nodes = Nodes::of(inventory, name);
    }
    writer.workloads(&mut atlas);
    for namespace in atlas.clusters.values_mut().flat_map(|cluster| cluster.namespaces.values_mut()) {
        forget_reached_services(namespace);
    }
    blind_spot::find(&mut atlas, inventory);
    atlas
}

/// A service's name is answered with an address that the CNI translates before the flow is recorded, so the connection shows
/// only the pod behind it. Asking for a service of a namespace that was then reached is nothing to tell.
fn forget_reached_services(namespace: &mut Namespace) {
    let reached: BTreeSet<&str> = namespace
        .egress
        .iter()
        .filter_map(|edge| match &edge.key.peer {
            Peer::Workload { namespace, .. } | Peer::Service { namespace, .. } => Some(&**namespace),
            _ => None,
        })
        .collect();
    namespace.asked_only.retain(|name, _| {
        let of_service = name.split_once(".svc.").and_then(|(service, _)| service.rsplit('.').next());
        of_service.is_none_or(|namespace| !reached.contains(namespace))
    });
}

type Text = Box<str>;

fn add_edge(cluster: &mut Cluster, namespace: Text, ingress: bool, edge: Edge) {
    let external = matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_));
    let target = cluster.namespaces.entry(namespace).or_default();
    if ingress {
        target.ingress.push(edge);
        return;
    }
    for totals in [&mut target.totals, &mut cluster.totals] {
        totals.egress_connections += edge.seen.connections();
        if external {
            for (grade, count) in &edge.seen.grades {
                *totals.external_grades.entry(*grade).or_default() += count;
            }
        }
    }
    target.egress.push(edge);
}

/// Turns numbers into texts.
struct Writer<'a> {
    evidence: &'a Evidence,
    inventory: &'a Inventory,
    ranges: &'a RuleRanges,
}

impl Writer<'_> {
    fn text(&self, id: TextId) -> Text {
        self.evidence.vocabulary.text_of(id).into()
    }

    fn key(&self, key: &Key) -> (Text, EdgeKey) {
        let stand_in = |name: &str| Workload { kind: WorkloadKind("".into()), name: name.into() };
        let (namespace, workload) = match key.owner {
            Owner::Of(party) => match self.evidence.parties.get(party) {
                Some(known) => (known.namespace.clone(), known.workload.clone()),
                None => ("".into(), stand_in("unknown")),
            },
            Owner::Node => ("".into(), stand_in("node")),
            Owner::Unnamed => ("".into(), stand_in("unnamed client")),
        };
        let peer = self.peer(key);
        (namespace, EdgeKey { workload, peer, port: key.port, protocol: key.protocol })
    }

    fn peer(&self, key: &Key) -> Peer {
        let vocabulary = &self.evidence.vocabulary;
        match key.other {
            Other::Of(party) => match self.evidence.parties.get(party) {
                Some(known) => Peer::Workload {
                    cluster: if known.cluster == key.cluster { "".into() } else { self.text(known.cluster) },
                    namespace: known.namespace.clone(),
                    workload: known.workload.clone(),
                },
                None => Peer::Node,
            },
            Other::Service(address) => {
                let address = vocabulary.address_of(address);
                let cluster = vocabulary.text_of(key.cluster);
                let service = self.inventory.service_at_port(cluster, address, key.port);
                match service.or_else(|| self.inventory.service_at(cluster, address)) {
                    Some(service) => Peer::Service { namespace: service.namespace.clone(), name: service.name.clone() },
                    None => Peer::Address(address),
                }
            }
            Other::Name(name) => Peer::Name(vocabulary.name_of(name).into()),
            Other::Address(address) => Peer::Address(vocabulary.address_of(address)),
            Other::KubeApiserver => Peer::KubeApiserver,
            Other::Node => Peer::Node,
            Other::Ingress => Peer::Ingress,
            Other::Outside => Peer::Outside,
        }
    }

    fn seen(&self, seen: Seen, ingress: bool) -> EdgeSeen {
        let vocabulary = &self.evidence.vocabulary;
        let names = |counts: HashMap<NameId, u64>| {
            let mut texts: BTreeMap<Text, u64> =
                counts.into_iter().map(|(name, count)| (vocabulary.name_of(name).into(), count)).collect();
            keep_smallest(&mut texts);
            texts
        };
        let addresses =
            seen.addresses.into_iter().map(|(address, count)| (vocabulary.address_of(address), count)).collect();
        let chain = |chain: ChainId| {
            let targets: Vec<&str> = vocabulary.chain_of(chain).iter().map(|name| vocabulary.name_of(*name)).collect();
            Text::from(targets.join(" → "))
        };
        let pods = seen.pods.into_iter().filter_map(|party| self.evidence.parties.get(party));
        let seen = EdgeSeen {
            verdicts: seen.verdicts,
            grades: if ingress { BTreeMap::new() } else { seen.grades },
            confidence_permille: seen.confidence_permille,
            first: seen.first,
            last: seen.last,
            days: seen.days,
            addresses,
            beyond: BTreeMap::new(),
            pods: pods.map(|party| party.pod.clone()).filter(|pod| !pod.is_empty()).collect(),
            candidates: names(seen.candidates),
            names: names(seen.names),
            chains: seen.chains.into_iter().map(chain).collect(),
            behaviour: seen.behaviour.named(|party| self.evidence.parties.get(party).map(|known| &*known.pod)),
        };
        let mut made = EdgeSeen::default();
        made.absorb_with(seen, self.ranges);
        made
    }

    fn asked(
        &self,
        atlas: &mut Atlas,
        (cluster, owner, name): (TextId, Option<PartyId>, NameId),
        (answers, first, last): (u64, Timestamp, Timestamp),
        (used, inside): (bool, Option<IpAddr>),
    ) {
        let cluster = atlas.clusters.entry(self.text(cluster)).or_default();
        cluster.totals.answers += answers;
        let Some(party) = owner.and_then(|owner| self.evidence.parties.get(owner)) else { return };
        let namespace = cluster.namespaces.entry(party.namespace.clone()).or_default();
        namespace.totals.answers += answers;
        let text = self.evidence.vocabulary.name_of(name);
        let answered = Answered { name: text, answers, first, last, is_connected: used, inside };
        add_answered(&mut namespace.domains, &party.workload, &answered);
        if used {
            return;
        }
        let asked: &mut Asked = namespace.asked_only.entry(self.evidence.vocabulary.name_of(name).into()).or_default();
        asked.answers += answers;
        asked.workloads.insert(party.workload.clone());
        asked.first = Timestamp::earliest(asked.first, Some(first));
        asked.last = asked.last.max(Some(last));
    }

    /// Adds the questions that got no address.
    fn unanswered(&self, atlas: &mut Atlas) {
        let Evidence { vocabulary, parties, .. } = self.evidence;
        self.evidence.questions.each_of_pods(vocabulary, parties, |cluster, party, domain, asking| {
            let Some(party) = parties.get(party) else { return };
            let cluster = atlas.clusters.entry(self.text(cluster)).or_default();
            let namespace = cluster.namespaces.entry(party.namespace.clone()).or_default();
            add_unanswered(&mut namespace.domains, &party.workload, vocabulary.name_of(domain), asking);
        });
    }

    /// Lists the workloads of every namespace that has traffic, with the labels that all their pods share.
    fn workloads(&self, atlas: &mut Atlas) {
        for (_, party) in self.evidence.parties.iter() {
            let Some(cluster) = atlas.clusters.get_mut(self.evidence.vocabulary.text_of(party.cluster)) else {
                continue;
            };
            let Some(namespace) = cluster.namespaces.get_mut(&party.namespace) else { continue };
            let seen: &mut WorkloadSeen = namespace.workloads.entry(party.workload.clone()).or_default();
            if !party.pod.is_empty() {
                seen.pods.insert(party.pod.clone());
            }
            seen.guessed |= party.guessed;
            if !party.labels.is_empty() {
                seen.labels = Some(match seen.labels.take() {
                    Some(shared) => shared.intersection(&party.labels).cloned().collect(),
                    None => party.labels.clone(),
                });
            }
        }
        for cluster in atlas.clusters.values_mut() {
            for namespace in cluster.namespaces.values_mut() {
                let times = namespace.egress.iter().chain(&namespace.ingress);
                for edge in times {
                    if let Some(seen) = namespace.workloads.get_mut(&edge.key.workload) {
                        seen.first = Timestamp::earliest(seen.first, edge.seen.first);
                        seen.last = seen.last.max(edge.seen.last);
                    }
                }
            }
        }
    }
}
