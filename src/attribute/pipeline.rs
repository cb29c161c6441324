//! From the folds of all workers to attributed connections, partition by partition.
//!
//! Stage 1 ([`Evidence::gather`]): observations of one connection meet in one partition, whatever worker read them, and become
//! connections with a client. Stage 2 ([`attribute`]): connections and answers meet by the server's address; a first pass
//! learns habits, a second one names and hands over. Partitions are worked on by several threads; nothing that is handed
//! over depends on their order.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::answers::Answer;
use super::clocks::Clocks;
use super::connection::{self, Connection};
use super::fold::{Fold, FoldLimits, address_hash};
use super::join::{AnswerIndex, Attributed, Client, JoinOptions, Joiner, Question, own_candidates};
use super::orientation::Oriented;
use super::parties::{Parties, PartyId};
use super::questions::Questions;
use super::rank::Habits;
use super::spill::{PARTITIONS, Spill};
use super::volumes::{Counted, Counts, Settled, SettledKey, settle, settled_key};
use crate::kube::Inventory;
use crate::model::{
    Activity, AddressId, EndpointId, IcmpMessage, IdentityKind, NameId, Protocol, RecordId, SourceKind, TextId,
    Timestamp, Verdict, Vocabulary, VocabularyMap, translated,
};

/// Everything that was read, ready for the join.
#[derive(Debug)]
pub struct Evidence {
    /// The numbers that everything refers to.
    pub vocabulary: Vocabulary,
    /// All pods.
    pub parties: Parties,
    /// When each source spoke: (kind, cluster, node or resolver).
    pub activity: BTreeMap<(SourceKind, Box<str>, Box<str>), Activity>,
    /// Questions that got no address.
    pub questions: Questions,
    connections: Vec<Spill<Connection>>,
    /// What connections stand for, where records count; in the partitions of the connections.
    settled: Vec<Spill<Settled>>,
    answers: Vec<(Spill<Answer>, VocabularyMap)>,
    clusters: ClusterNames,
    limits: FoldLimits,
    /// Addresses that a NAT64 translates, and to which.
    translated: HashMap<AddressId, AddressId>,
    /// By endpoint: the cluster that it names and what its identity says.
    ends: Vec<(Option<TextId>, IdentityKind)>,
}

/// An attributed connection as it is handed over.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The client's cluster.
    pub cluster: TextId,
    /// The client's pod, if known.
    pub client: Option<PartyId>,
    /// Its address.
    pub client_address: AddressId,
    /// What the CNI says the client is.
    pub client_kind: IdentityKind,
    /// What the records say of the client, its labels at the time among it.
    pub client_endpoint: EndpointId,
    /// The server's pod, if known.
    pub server: Option<PartyId>,
    /// What the records say of the server.
    pub server_endpoint: EndpointId,
    /// The server's cluster, if it is named and another one.
    pub server_cluster: TextId,
    /// Its address.
    pub server_address: AddressId,
    /// What the CNI says the server is.
    pub server_kind: IdentityKind,
    /// The server's port.
    pub port: u16,
    /// Type and code of an ICMP message, where the records have them.
    pub icmp: Option<IcmpMessage>,
    /// Transport.
    pub protocol: Protocol,
    /// What the CNI did.
    pub verdict: Verdict,
    /// First record.
    pub first: Timestamp,
    /// Last record.
    pub last: Timestamp,
    /// How far the clock of the answers is ahead of that of the flows, in nanoseconds; an age is corrected by it.
    pub ahead_nanos: i64,
    /// Id of the record that stands for the connection.
    pub id: RecordId,
    /// The client's port, for a stable id where there is none.
    pub client_port: u16,
    /// Whether only the ports told client from server.
    pub guessed: bool,
    /// Names that the CNI reported.
    pub reported: &'a [NameId],
    /// Grade, candidates, confidence.
    pub attributed: &'a Attributed,
    /// How many connections it stands for, and its bytes from client to server and back.
    pub counts: Counts,
}

/// What is known of a connection before the join.
#[derive(Clone, Copy, Debug)]
pub struct Parted {
    /// The client's pod, if known.
    pub client: Option<PartyId>,
    /// Its address.
    pub client_address: AddressId,
    /// The server's pod, if known.
    pub server: Option<PartyId>,
    /// Its address.
    pub server_address: AddressId,
    /// First record.
    pub first: Timestamp,
}

/// Takes what the join hands over, in any order. One per thread, merged by the caller.
pub trait Sink: Send {
    /// Whether a connection between these ends may be of use: the join of others is spared. All are, unless a receiver says otherwise.
    fn wants(&self, _: &Evidence, _: &Parted) -> bool {
        true
    }
    /// An attributed connection.
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>);
    /// An answer, with the pod that got it.
    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>);
}

/// Which name rows without a cluster get.
#[derive(Debug, Default)]
struct ClusterNames {
    unnamed: TextId,
}

impl ClusterNames {
    fn resolve(&self, cluster: TextId) -> TextId {
        if cluster.is_none() { self.unnamed } else { cluster }
    }
}

impl Evidence {
    /// Merges the folds of all workers. Rows that name no cluster belong to `unnamed`.
    ///
    /// Fails only when a temporary file cannot be read or written.
    pub fn gather(mut folds: Vec<Fold>, inventory: &Inventory, unnamed: &str, threads: usize) -> io::Result<Self> {
        let limits = folds.first().map(|fold| fold.limits).unwrap_or_default();
        let mut vocabulary = Vocabulary::default();
        let mut parties = Parties::default();
        let clusters = ClusterNames { unnamed: vocabulary.text(unnamed) };
        let mut activity: BTreeMap<_, Activity> = BTreeMap::new();
        let mut connections = Vec::new();
        let mut answers = Vec::new();
        let mut questions = Questions::default();
        let mut losses: BTreeMap<(Option<Box<str>>, Box<str>), Activity> = BTreeMap::new();
        for fold in &mut folds {
            fold.finish()?;
        }
        for fold in folds {
            let map = vocabulary.absorb(fold.vocabulary);
            for sighting in fold.sightings {
                let endpoint = map.endpoint(sighting.endpoint);
                let node = map.text(sighting.node);
                let cluster = clusters.resolve(map.text(sighting.cluster));
                learn_sighting(&mut parties, &mut vocabulary, cluster, endpoint, node, map.address(sighting.address));
            }
            for ((kind, cluster, name), seen) in fold.activity {
                let cluster = vocabulary.text_of(clusters.resolve(map.text(cluster))).into();
                let name = vocabulary.text_of(map.text(name)).into();
                activity.entry((kind, cluster, name)).or_default().absorb(seen);
            }
            for ((own, given, node), seen) in fold.losses {
                let named = [map.text(own), map.text(given)].into_iter().find(|cluster| !cluster.is_none());
                let cluster: Option<Box<str>> = named.map(|cluster| vocabulary.text_of(cluster).into());
                let node: Box<str> = vocabulary.text_of(map.text(node)).into();
                losses.entry((cluster, node)).or_default().absorb(seen);
            }
            questions.absorb(fold.questions, &map, |cluster| clusters.resolve(cluster));
            connections.push((fold.connections, fold.counted, map.clone()));
            answers.push((fold.answers, map));
        }
        settle_losses(losses, &mut activity, unnamed);
        parties.learn_inventory(inventory, &mut vocabulary);
        let translated = translations(&mut vocabulary);
        let ends = vocabulary.endpoints.values().iter().map(|end| {
            let cluster = if end.cluster.is_empty() { None } else { vocabulary.find_text(&end.cluster) };
            (cluster, end.identity)
        });
        let ends = ends.collect();
        let mut evidence = Self {
            vocabulary,
            parties,
            activity,
            questions,
            connections: Vec::new(),
            settled: Vec::new(),
            answers,
            clusters,
            limits,
            translated,
            ends,
        };
        evidence.connect(&connections, threads)?;
        evidence.parties.settle();
        Ok(evidence)
    }

    /// Brings the observations of all folds together: connections, what they count, and who had which address when.
    fn connect(&mut self, folds: &[FoldConnections], threads: usize) -> io::Result<()> {
        let (this, limits) = (&*self, self.limits);
        let stages = each_partition(threads, |mut partitions| {
            let mut stage = FirstStage::new(this, limits.parked_rows_max);
            partitions.try_for_each(|partition| stage.partition(folds, partition, limits.idle_nanos))?;
            stage.oriented.settle();
            stage.settled.settle();
            Ok((stage.oriented, stage.settled, stage.residences))
        })?;
        let mut timeless = Vec::new();
        for (spill, settled, residences) in stages {
            self.connections.push(spill);
            self.settled.push(settled);
            for ((cluster, address, party), (first, last)) in residences {
                if first.is_known() {
                    self.parties.reside(cluster, address, party, first, last);
                } else {
                    timeless.push((cluster, address, party));
                }
            }
        }
        for (cluster, address, party) in timeless {
            self.parties.reside_at_some_time(cluster, address, party);
        }
        Ok(())
    }

    /// Whether a time is in the asked window; an unknown one is.
    pub fn asks_for(&self, time: Timestamp) -> bool {
        self.limits.asks_for(time)
    }

    /// The cluster of an end: its own if it names one, else the connection's.
    fn cluster_of(&self, endpoint: EndpointId, connection: &Connection) -> TextId {
        self.stated_cluster(endpoint).unwrap_or(connection.key.cluster)
    }

    fn stated_cluster(&self, endpoint: EndpointId) -> Option<TextId> {
        self.ends.get(endpoint.0 as usize).and_then(|(cluster, _)| *cluster)
    }

    /// The pod of an end: named by the record, else by its address at the time.
    fn party_of(&self, endpoint: EndpointId, address: AddressId, connection: &Connection) -> Option<PartyId> {
        let cluster = self.cluster_of(endpoint, connection);
        let kind = self.kind_of(endpoint);
        let named = self.parties.of_endpoint(cluster, endpoint);
        if let Some(named) = named {
            return Some(self.parties.within_namespace(named, cluster, address, connection.first).unwrap_or(named));
        }
        match kind {
            IdentityKind::Unknown | IdentityKind::Init | IdentityKind::Unmanaged | IdentityKind::Pod => {
                self.parties.at(cluster, address, connection.first)
            }
            // The CNI knows no better identity; only a pod that certainly had the address is one.
            IdentityKind::World => self.parties.surely_at(cluster, address, connection.first),
            // Anything else that is named is what the name says, and not the pod that shares the address.
            _ => None,
        }
    }

    fn kind_of(&self, endpoint: EndpointId) -> IdentityKind {
        self.ends.get(endpoint.0 as usize).map_or(IdentityKind::Unknown, |(_, kind)| *kind)
    }

    /// A pod is one client with all its addresses; what is known only by its namespace is told apart by address.
    fn client(&self, party: PartyId, address: AddressId) -> Client {
        let is_pod = self.parties.get(party).is_some_and(|known| !known.pod.is_empty());
        if is_pod { Client::Party(party) } else { Client::Address(address) }
    }

    /// Who got an answer. The inventory decides; the source's own claim counts where the inventory has nothing to say, or when
    /// it is one of several pods that had the address.
    fn client_of(&self, answer: &Answer, clocks: &Clocks) -> Client {
        let claimed = self
            .vocabulary
            .endpoint_of(answer.client_hint)
            .filter(|hint| hint.is_pod())
            .and_then(|hint| self.parties.by_claim(answer.cluster, hint));
        if let Some(claimed) = claimed
            && self.parties.ever_at(answer.cluster, answer.client, claimed)
        {
            return Client::Party(claimed);
        }
        let time = shifted(answer.time, -clocks.of(answer.cluster).ahead_nanos);
        match self.parties.at(answer.cluster, answer.client, time) {
            Some(party) => self.client(party, answer.client),
            None => claimed.map_or(Client::Address(answer.client), Client::Party),
        }
    }

    pub(super) fn read_answers(&self, partition: usize, clocks: &Clocks) -> io::Result<AnswerIndex> {
        // The largest partitions decide how much memory is needed: nothing is there twice, and nothing has room for more.
        let mut all = Vec::with_capacity(self.answers.iter().map(|(spill, _)| spill.count(partition)).sum());
        for (spill, map) in &self.answers {
            spill.each(partition, |some| {
                all.extend(some.iter().map(|answer| {
                    let renumbered = answer.renumbered(map);
                    Answer { cluster: self.clusters.resolve(renumbered.cluster), ..renumbered }
                }));
                Ok(())
            })?;
        }
        let client_of = |answer: &Answer| self.client_of(answer, clocks);
        let reached = |answer: &Answer| self.reached(answer.address);
        Ok(AnswerIndex::build(all, client_of, reached, &self.parties, &self.vocabulary))
    }

    /// Hands over the connections of a partition; those of a busy server never all at once.
    pub(super) fn each_connection(&self, partition: usize, mut take: impl FnMut(&Connection)) -> io::Result<()> {
        self.connections.iter().try_for_each(|spill| {
            spill.each(partition, |some| {
                some.iter().for_each(&mut take);
                Ok(())
            })
        })
    }

    /// What the connections of a partition stand for, where records count.
    fn read_counts(&self, partition: usize) -> io::Result<HashMap<SettledKey, Counts>> {
        let mut all = HashMap::new();
        for spill in &self.settled {
            spill.each(partition, |some| {
                all.extend(some.iter().map(|one| (settled_key(&one.of), one.counts)));
                Ok(())
            })?;
        }
        Ok(all)
    }

    /// The address that is reached behind a NAT64, or the address itself: clients make one of the other without asking.
    pub(super) fn reached(&self, address: AddressId) -> AddressId {
        self.translated.get(&address).copied().unwrap_or(address)
    }

    /// The cluster of a connection's client.
    pub(super) fn client_cluster(&self, connection: &Connection, ends: &Oriented) -> TextId {
        self.cluster_of(ends.client, connection)
    }

    pub(super) fn question(
        &self,
        connection: &Connection,
        ends: &Oriented,
        clocks: &Clocks,
    ) -> (Question, Option<PartyId>) {
        let party = self.party_of(ends.client, ends.client_address, connection);
        let cluster = self.client_cluster(connection, ends);
        let clock = clocks.of(cluster);
        let question = Question {
            cluster,
            client: party.map_or(Client::Address(ends.client_address), |party| self.client(party, ends.client_address)),
            address: self.reached(ends.server_address),
            port: ends.server_port,
            time: shifted(connection.first, clock.ahead_nanos),
            near_nanos: clock.near_nanos.max(left_out_nanos(connection.first)),
            reported: connection.reported,
        };
        (question, party)
    }
}

/// Gives the addresses behind a NAT64 numbers of their own.
fn translations(vocabulary: &mut Vocabulary) -> HashMap<AddressId, AddressId> {
    let mut found: Vec<(u32, Ipv4Addr)> = Vec::new();
    for (number, address) in (0_u32..).zip(vocabulary.addresses.values()) {
        found.extend(translated(*address).map(|behind| (number, behind)));
    }
    found.into_iter().map(|(number, behind)| (AddressId(number), vocabulary.address(IpAddr::V4(behind)))).collect()
}

/// A time on another clock; an unknown one stays unknown.
fn shifted(time: Timestamp, nanos: i64) -> Timestamp {
    if time.is_known() { time.plus_nanos(nanos) } else { time }
}

/// What a time that is told in whole seconds may leave out.
fn left_out_nanos(time: Timestamp) -> i64 {
    if time.nanos() % 1_000_000_000 == 0 { 999_999_999 } else { 0 }
}

/// Reports of losses lack the cluster that flows of the same node name; they belong to that cluster.
fn settle_losses(
    losses: BTreeMap<(Option<Box<str>>, Box<str>), Activity>,
    activity: &mut BTreeMap<(SourceKind, Box<str>, Box<str>), Activity>,
    unnamed: &str,
) {
    for ((cluster, node), seen) in losses {
        let of_node = || {
            let sources = activity.keys().filter(|(kind, _, name)| *kind == SourceKind::Flows && *name == node);
            let mut clusters = sources.map(|(_, cluster, _)| cluster.clone());
            let only = clusters.next()?;
            clusters.next().is_none().then_some(only)
        };
        let cluster = cluster.or_else(of_node).unwrap_or_else(|| unnamed.into());
        activity.entry((SourceKind::Flows, cluster, node)).or_default().absorb(seen);
    }
}

fn learn_sighting(
    parties: &mut Parties,
    vocabulary: &mut Vocabulary,
    cluster: TextId,
    endpoint: EndpointId,
    node: TextId,
    address: AddressId,
) {
    let Some(end) = vocabulary.endpoint_of(endpoint).cloned() else { return };
    let cluster = if end.cluster.is_empty() { cluster } else { vocabulary.text(&end.cluster) };
    if !address.is_none() && !node.is_none() {
        parties.learn_node(cluster, node, address);
    }
    parties.learn(cluster, endpoint, &end, node);
}

/// The connections of one fold, what its records count, and the numbers that it used for things.
type FoldConnections = (Spill<Connection>, Spill<Counted>, VocabularyMap);

/// Stage 1 of one thread.
struct FirstStage<'a> {
    evidence: &'a Evidence,
    oriented: Spill<Connection>,
    settled: Spill<Settled>,
    residences: HashMap<(TextId, AddressId, PartyId), (Timestamp, Timestamp)>,
}

impl<'a> FirstStage<'a> {
    fn new(evidence: &'a Evidence, parked_rows_max: usize) -> Self {
        Self {
            evidence,
            oriented: Spill::new(parked_rows_max),
            settled: Spill::new(parked_rows_max),
            residences: HashMap::new(),
        }
    }

    fn partition(&mut self, folds: &[FoldConnections], partition: usize, idle_nanos: i64) -> io::Result<()> {
        let vocabulary = &self.evidence.vocabulary;
        let mut observed = Vec::with_capacity(folds.iter().map(|(spill, ..)| spill.count(partition)).sum());
        let mut counted = Vec::new();
        for (spill, volumes, map) in folds {
            spill.each(partition, |some| {
                observed.extend(some.iter().map(|connection: &Connection| {
                    let mut connection = connection.renumbered(map);
                    connection.key.cluster = self.shared_cluster(&connection);
                    connection
                }));
                Ok(())
            })?;
            volumes.each(partition, |some| {
                counted.extend(some.iter().map(|one: &Counted| {
                    let mut one = one.renumbered(map);
                    one.of.key.cluster = self.shared_cluster(&one.of);
                    one
                }));
                Ok(())
            })?;
        }
        let connections = connection::cluster(observed, idle_nanos, vocabulary);
        if !counted.is_empty() {
            for one in settle(&connections, counted, &self.evidence.limits) {
                self.settled.push(address_hash(vocabulary, one.of.oriented().server_address), one)?;
            }
        }
        for connection in connections {
            for (endpoint, (address, _)) in
                [(connection.low, connection.key.low), (connection.high, connection.key.high)]
            {
                let cluster = self.evidence.cluster_of(endpoint, &connection);
                let parties = &self.evidence.parties;
                // A namespace is no pod, and a node's address stays the node's, whatever identity a record gives it.
                let is_pod = |party: &PartyId| parties.get(*party).is_some_and(|known| !known.pod.is_empty());
                if let Some(party) = parties.of_endpoint(cluster, endpoint).filter(is_pod)
                    && !parties.is_node(cluster, address)
                {
                    let times =
                        self.residences.entry((cluster, address, party)).or_insert((connection.first, connection.last));
                    times.0 = times.0.earlier(connection.first);
                    times.1 = times.1.max(connection.last);
                }
            }
            let server = connection.oriented().server_address;
            self.oriented.push(address_hash(vocabulary, server), connection)?;
        }
        Ok(())
    }

    /// A connection between clusters is recorded in both; their records meet under the smaller name.
    fn shared_cluster(&self, connection: &Connection) -> TextId {
        let vocabulary = &self.evidence.vocabulary;
        let own = self.evidence.clusters.resolve(connection.key.cluster);
        let named = [connection.low, connection.high].map(|end| self.evidence.stated_cluster(end));
        match named {
            [Some(low), Some(high)] if low != high => {
                if vocabulary.text_of(low) <= vocabulary.text_of(high) {
                    low
                } else {
                    high
                }
            }
            _ => own,
        }
    }
}

/// The partitions that no other thread has taken.
struct Partitions<'a>(&'a AtomicUsize);

impl Iterator for Partitions<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let partition = self.0.fetch_add(1, Ordering::Relaxed);
        (partition < PARTITIONS).then_some(partition)
    }
}

/// Runs `work` on `threads` threads that share the partitions.
fn each_partition<T: Send>(
    threads: usize,
    work: impl Fn(Partitions<'_>) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(|| work(Partitions(&next)))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Names every connection and hands it over, on `threads` threads; `sink` makes the receiver of each.
///
/// Fails only when a temporary file cannot be read.
pub fn attribute<S: Sink>(
    evidence: &Evidence,
    options: &JoinOptions,
    threads: usize,
    sink: impl Fn() -> S + Sync,
) -> io::Result<Vec<S>> {
    Passes::over(evidence, options, threads)?.attribute(evidence, sink)
}

/// What all connections teach, learnt once for several passes over the same evidence.
#[derive(Debug)]
pub struct Passes {
    options: JoinOptions,
    threads: usize,
    clocks: Clocks,
    habits: Habits,
}

impl Passes {
    /// Learns from all connections.
    ///
    /// Fails only when a temporary file cannot be read.
    pub fn over(evidence: &Evidence, options: &JoinOptions, threads: usize) -> io::Result<Self> {
        let clocks = Clocks::learn(evidence)?;
        let mut habits = Habits::default();
        let learnt = each_partition(threads, |mut partitions| {
            let mut habits = Habits::default();
            partitions.try_for_each(|partition| learn(evidence, (options, &clocks), partition, &mut habits))?;
            Ok(habits)
        })?;
        for part in learnt {
            habits.absorb(part);
        }
        Ok(Self { options: *options, threads, clocks, habits })
    }

    /// By cluster, as far as the traffic tells: how many nanoseconds the clock of the answers is ahead of that of the flows; 0 where
    /// they agree.
    pub fn offsets<'a>(&self, evidence: &'a Evidence) -> BTreeMap<&'a str, i64> {
        self.clocks.offsets().map(|(cluster, ahead)| (evidence.vocabulary.text_of(cluster), ahead)).collect()
    }

    /// Names every connection and hands it over; `sink` makes the receiver of each thread.
    ///
    /// Fails only when a temporary file cannot be read.
    pub fn attribute<S: Sink>(&self, evidence: &Evidence, sink: impl Fn() -> S + Sync) -> io::Result<Vec<S>> {
        each_partition(self.threads, |mut partitions| {
            let mut sink = sink();
            partitions.try_for_each(|partition| self.hand_over(evidence, partition, &mut sink))?;
            Ok(sink)
        })
    }

    fn hand_over(&self, evidence: &Evidence, partition: usize, sink: &mut impl Sink) -> io::Result<()> {
        let Self { options, clocks, habits, .. } = self;
        let index = evidence.read_answers(partition, clocks)?;
        let counted = evidence.read_counts(partition)?;
        for (answer, client) in index.iter() {
            let party = match client {
                Client::Party(party) => Some(party),
                Client::Address(_) => None,
            };
            sink.answer(evidence, answer, party);
        }
        let joiner =
            Joiner { index: &index, parties: &evidence.parties, habits, vocabulary: &evidence.vocabulary, options };
        evidence.each_connection(partition, |connection| {
            if !evidence.limits.asks_for_any(connection.first, connection.last) {
                return;
            }
            let ends = connection.oriented();
            let (question, client) = evidence.question(connection, &ends, clocks);
            let server = evidence.party_of(ends.server, ends.server_address, connection);
            let (client_address, server_address) = (ends.client_address, ends.server_address);
            let parted = Parted { client, client_address, server, server_address, first: connection.first };
            if !sink.wants(evidence, &parted) {
                return;
            }
            let attributed = joiner.join(&question);
            let (client_port, port, icmp) = ends.ports(connection.key.protocol);
            let named = Named {
                cluster: question.cluster,
                client,
                client_address: ends.client_address,
                client_kind: evidence.kind_of(ends.client),
                client_endpoint: ends.client,
                server_endpoint: ends.server,
                server,
                server_cluster: evidence.cluster_of(ends.server, connection),
                server_address: ends.server_address,
                server_kind: evidence.kind_of(ends.server),
                port,
                icmp,
                protocol: connection.key.protocol,
                verdict: connection.verdicts.overall(),
                first: connection.first,
                last: connection.last,
                ahead_nanos: clocks.of(question.cluster).ahead_nanos,
                id: connection.id,
                client_port,
                guessed: ends.guessed,
                reported: evidence.vocabulary.chain_of(connection.reported),
                attributed: &attributed,
                counts: if counted.is_empty() { Counts::default() } else { counts_of(&counted, connection, &ends) },
            };
            sink.connection(evidence, &named);
        })
    }
}

fn learn(
    evidence: &Evidence,
    (options, clocks): (&JoinOptions, &Clocks),
    partition: usize,
    habits: &mut Habits,
) -> io::Result<()> {
    let index = evidence.read_answers(partition, clocks)?;
    habits.learn_answers(&index, &evidence.parties, &evidence.vocabulary);
    evidence.each_connection(partition, |connection| {
        let ends = connection.oriented();
        if index.is_unknown(evidence.client_cluster(connection, &ends), evidence.reached(ends.server_address)) {
            return;
        }
        let (question, _) = evidence.question(connection, &ends, clocks);
        if let [only] = own_candidates(&index, &question, options).as_slice() {
            habits.learn_connection(&question, only, &evidence.parties);
        }
    })
}

/// What a connection stands for, with the bytes as its client sees them.
fn counts_of(counted: &HashMap<SettledKey, Counts>, connection: &Connection, ends: &Oriented) -> Counts {
    let counts = counted.get(&settled_key(connection)).copied().unwrap_or_default();
    let low_is_client = connection.key.low == (ends.client_address, ends.client_port);
    Counts { bytes: counts.bytes.map(|bytes| if low_is_client { bytes } else { bytes.swapped() }), ..counts }
}
