//! What one worker has read so far: rows folded into connections and answers as they come.
//!
//! In: batches. Out: a [`Fold`], to be joined with those of the other workers. Memory follows what is open and what is
//! distinct: connections and answers beyond the limits are parked in a temporary file.

use std::hash::BuildHasher;
use std::io;
use std::net::IpAddr;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashSet, HashTable};

use super::answers::Answer;
use super::connection::{Connection, ConnectionKey};
use super::questions::Questions;
use super::spill::Spill;
use super::volumes::Counted;
use crate::model::{
    Activity, AddressId, Batch, Endpoint, EndpointId, FlowRow, IdentityKind, SourceKind, TextId, Timestamp, Vocabulary,
    translated,
};

/// How much a worker keeps in memory, and how connections are told apart.
#[derive(Clone, Copy, Debug)]
pub struct FoldLimits {
    /// Open connections; beyond them all are parked.
    pub open_connections_max: usize,
    /// Parked rows in memory, for connections and for answers each; beyond them they go to a temporary file.
    pub parked_rows_max: usize,
    /// A connection that is silent for longer than this ends; the next record of the same ends begins another.
    pub idle_nanos: i64,
    /// Start of the asked window. What lies outside it still teaches who had which address.
    pub since: Option<Timestamp>,
    /// End of the asked window.
    pub until: Option<Timestamp>,
}

impl FoldLimits {
    /// Whether any time from `first` to `last` is in the asked window; unknown ones are.
    pub fn asks_for_any(&self, first: Timestamp, last: Timestamp) -> bool {
        !first.is_known()
            || (self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until))
    }

    /// Whether a time is in the asked window; an unknown one is.
    pub fn asks_for(&self, time: Timestamp) -> bool {
        !time.is_known()
            || (self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until))
    }
}

impl Default for FoldLimits {
    fn default() -> Self {
        Self {
            open_connections_max: 1 << 14,
            parked_rows_max: 1 << 16,
            idle_nanos: 600_000_000_000,
            since: None,
            until: None,
        }
    }
}

/// An end of a flow as seen in a cluster from a node (none when the end is not local to it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sighting {
    pub(crate) cluster: TextId,
    pub(crate) endpoint: EndpointId,
    pub(crate) node: TextId,
    /// The address, for ends that are nodes; none for others.
    pub(crate) address: AddressId,
}

/// The last sighting of an endpoint, in the parts that matter for it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    is_set: bool,
    cluster: TextId,
    /// For ends that live on the node.
    node: Option<TextId>,
    /// For ends that are nodes.
    address: Option<AddressId>,
}

impl Seen {
    fn covers(&self, cluster: TextId, node: TextId, address: AddressId) -> bool {
        self.is_set
            && self.cluster == cluster
            && self.node.is_none_or(|seen| seen == node)
            && self.address.is_none_or(|seen| seen == address)
    }
}

/// What one worker has read so far.
#[derive(Debug)]
pub struct Fold {
    /// The numbers that all rows refer to.
    pub vocabulary: Vocabulary,
    pub(crate) limits: FoldLimits,
    /// Nearly every record looks up one of these: each has its key in it once.
    open: HashTable<Connection>,
    open_hasher: foldhash::fast::RandomState,
    pub(crate) connections: Spill<Connection>,
    pub(crate) answers: Spill<Answer>,
    /// What records count, by the partition of their connection.
    pub(crate) counted: Spill<Counted>,
    pub(crate) sightings: HashSet<Sighting>,
    /// The last sighting of each endpoint, by its number.
    last_sightings: Vec<Seen>,
    pub(crate) activity: HashMap<(SourceKind, TextId, TextId), Activity>,
    current_run: Option<Run>,
    /// Reported losses by (cluster in the record, cluster of the input, node).
    pub(crate) losses: HashMap<(TextId, TextId, TextId), Activity>,
    /// Questions that got no address.
    pub(crate) questions: Questions,
}

/// Successive records of one source in one minute, counted together.
#[derive(Debug)]
struct Run {
    source: (SourceKind, TextId, TextId),
    first: Timestamp,
    last: Timestamp,
    records: u64,
}

/// The same in every worker, so that one connection lands in one partition.
const PARTITION_SEED: u64 = 0x5eed_a71a_5000_0001;

fn stable_hash(value: &impl std::hash::Hash) -> u64 {
    foldhash::fast::FixedState::with_seed(PARTITION_SEED).hash_one(value)
}

/// The partition hash of an address, the same in every vocabulary, and the same on both sides of a NAT64.
pub(crate) fn address_hash(vocabulary: &Vocabulary, address: AddressId) -> u64 {
    let of_itself = || {
        let address = vocabulary.address_of(address);
        stable_hash(&translated(address).map_or(address, IpAddr::V4))
    };
    vocabulary.stand_in(address).map_or_else(of_itself, |stand_in| stable_hash(&stand_in))
}

pub(super) fn connection_hash(vocabulary: &Vocabulary, key: &ConnectionKey) -> u64 {
    let end = |end: (AddressId, u16)| match vocabulary.stand_in(end.0) {
        Some(stand_in) => stable_hash(&(stand_in, end.1)),
        None => stable_hash(&(vocabulary.address_of(end.0), end.1)),
    };
    // Addition does not care which end is called low.
    end(key.low).wrapping_add(end(key.high))
}

impl Fold {
    /// An empty fold.
    pub fn new(limits: FoldLimits) -> Self {
        Self {
            vocabulary: Vocabulary::default(),
            limits,
            open: HashTable::new(),
            open_hasher: foldhash::fast::RandomState::default(),
            connections: Spill::new(limits.parked_rows_max),
            answers: Spill::new(limits.parked_rows_max),
            counted: Spill::new(limits.parked_rows_max),
            sightings: HashSet::new(),
            last_sightings: Vec::new(),
            activity: HashMap::new(),
            current_run: None,
            losses: HashMap::new(),
            questions: Questions::default(),
        }
    }

    /// Folds a batch whose rows carry numbers of [`Self::vocabulary`]. Rows that name no cluster get `cluster`.
    ///
    /// Fails only when a temporary file cannot be written.
    pub fn add(&mut self, batch: &Batch, cluster: TextId) -> io::Result<()> {
        for record in batch.records() {
            self.add_record(record, cluster)?;
        }
        for one in Counted::all(batch, cluster, &self.vocabulary, &self.limits) {
            self.counted.push(connection_hash(&self.vocabulary, &one.of.key), one)?;
        }
        for row in &batch.answers {
            let mut answer = Answer::of(row);
            if answer.cluster.is_none() {
                answer.cluster = cluster;
            }
            self.sight_claim(answer.cluster, row.client_hint);
            if self.limits.asks_for(row.time) {
                self.spoke(SourceKind::Dns, answer.cluster, row.resolver, row.time);
            }
            self.answers.push(address_hash(&self.vocabulary, answer.address), answer)?;
        }
        self.questions.add(batch, cluster, &self.vocabulary, &self.limits);
        for loss in batch.losses.iter().filter(|loss| self.limits.asks_for(loss.time)) {
            let activity = self.losses.entry((loss.cluster, cluster, loss.node)).or_default();
            if loss.time.is_known() {
                activity.lost_at.insert(loss.time.minute());
            }
            *activity.lost.entry(self.vocabulary.text_of(loss.place).into()).or_default() += loss.events;
        }
        Ok(())
    }

    /// Adds the rows of one record; those of one connection are one observation that lasts from the first to the last.
    fn add_record(&mut self, rows: &[FlowRow], cluster: TextId) -> io::Result<()> {
        let mut observed: Option<Connection> = None;
        for (place, row) in rows.iter().enumerate() {
            let mut row = *row;
            if row.cluster.is_none() {
                row.cluster = cluster;
            }
            if place == 0 && self.limits.asks_for(row.time) {
                self.spoke(SourceKind::Flows, row.cluster, row.node, row.time);
            }
            self.sight(&row);
            let next = Connection::of(&row, &self.vocabulary);
            match &mut observed {
                Some(seen) if seen.key == next.key && seen.first.is_known() && next.first.is_known() => {
                    seen.absorb(&next, &self.vocabulary);
                }
                _ => {
                    if let Some(seen) = observed.replace(next) {
                        self.add_connection(seen)?;
                    }
                }
            }
        }
        observed.map_or(Ok(()), |seen| self.add_connection(seen))
    }

    fn add_connection(&mut self, observed: Connection) -> io::Result<()> {
        let hasher = &self.open_hasher;
        let hash = |open: &Connection| hasher.hash_one(open.key);
        match self.open.entry(hash(&observed), |open| open.key == observed.key, hash) {
            Entry::Occupied(mut entry) => {
                let open = entry.get_mut();
                if open.continues(&observed, self.limits.idle_nanos, &self.vocabulary) {
                    open.absorb(&observed, &self.vocabulary);
                } else {
                    let finished = std::mem::replace(open, observed);
                    self.connections.push(connection_hash(&self.vocabulary, &finished.key), finished)?;
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(observed);
            }
        }
        if self.open.len() > self.limits.open_connections_max { self.park_open() } else { Ok(()) }
    }

    fn park_open(&mut self) -> io::Result<()> {
        for connection in self.open.drain() {
            self.connections.push(connection_hash(&self.vocabulary, &connection.key), connection)?;
        }
        Ok(())
    }

    fn spoke(&mut self, kind: SourceKind, cluster: TextId, name: TextId, time: Timestamp) {
        let source = (kind, cluster, name);
        if let Some(run) = &mut self.current_run
            && run.source == source
            && run.first.is_known() == time.is_known()
            && run.first.minute() == time.minute()
        {
            run.first = run.first.min(time);
            run.last = run.last.max(time);
            run.records += 1;
        } else {
            self.settle_run();
            self.current_run = Some(Run { source, first: time, last: time, records: 1 });
        }
    }

    fn settle_run(&mut self) {
        if let Some(run) = self.current_run.take() {
            self.activity.entry(run.source).or_default().run(run.first, run.last, run.records);
        }
    }

    /// Remembers a client that a source of answers names by its workload alone.
    fn sight_claim(&mut self, cluster: TextId, hint: EndpointId) {
        let is_workload = |end: &Endpoint| end.pod.is_empty() && end.workload.is_some();
        if !hint.is_none() && self.vocabulary.endpoint_of(hint).is_some_and(is_workload) {
            let (node, address) = (TextId::NONE, AddressId::NONE);
            self.sightings.insert(Sighting { cluster, endpoint: hint, node, address });
        }
    }

    /// Remembers which ends exist where, once each.
    fn sight(&mut self, row: &FlowRow) {
        for (endpoint, address) in [(row.source, row.source_address), (row.destination, row.destination_address)] {
            let seen = self.last_sightings.get(endpoint.0 as usize);
            if !seen.is_some_and(|seen| seen.covers(row.cluster, row.node, address)) {
                self.sight_end(row, endpoint, address);
            }
        }
    }

    fn sight_end(&mut self, row: &FlowRow, endpoint: EndpointId, address: AddressId) {
        let Some(end) = self.vocabulary.endpoint_of(endpoint) else { return };
        let (is_node, is_local) = (end.identity == IdentityKind::Host, end.local);
        let sighting = Sighting {
            cluster: row.cluster,
            endpoint,
            node: if is_node || is_local { row.node } else { TextId::NONE },
            address: if is_node && !address.is_unrecorded() { address } else { AddressId::NONE },
        };
        self.sightings.insert(sighting);
        let place = endpoint.0 as usize;
        if self.last_sightings.len() <= place {
            self.last_sightings.resize(place + 1, Seen::default());
        }
        if let Some(seen) = self.last_sightings.get_mut(place) {
            *seen = Seen {
                is_set: true,
                cluster: sighting.cluster,
                node: (is_node || is_local).then_some(sighting.node),
                address: is_node.then_some(sighting.address),
            };
        }
    }

    /// The clusters that rows of a kind name so far; empty for rows that name none.
    pub fn clusters(&self, kind: SourceKind) -> impl Iterator<Item = &str> {
        let settled = self.activity.keys().copied();
        let current = self.current_run.as_ref().map(|run| run.source);
        settled
            .chain(current)
            .filter(move |(of, ..)| *of == kind)
            .map(|(_, cluster, _)| self.vocabulary.text_of(cluster))
    }

    /// Parks what is still open; nothing is added after this.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.settle_run();
        self.park_open()?;
        self.open = HashTable::new();
        self.last_sightings = Vec::new();
        self.connections.settle();
        self.answers.settle();
        self.counted.settle();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Certainty, ChainId, Endpoint, Initiator, Protocol, RecordId, Verdict};

    fn row(source: EndpointId, source_address: AddressId, node: TextId, cluster: TextId) -> FlowRow {
        FlowRow {
            time: Timestamp::UNKNOWN,
            cluster,
            node,
            source,
            destination: EndpointId::NONE,
            source_address,
            destination_address: AddressId::NONE,
            source_port: 1,
            destination_port: 2,
            protocol: Protocol::TCP,
            verdict: Verdict::Allowed,
            initiator: Initiator::Source,
            certainty: Certainty::Tracked,
            reported: ChainId::NONE,
            id: RecordId::NONE,
        }
    }

    /// As many sightings as rows differ in what matters for the kind of end.
    #[test]
    fn ends_are_sighted_anew_only_where_it_matters() {
        let check = |identity: IdentityKind, local: bool, expected: usize| {
            let mut fold = Fold::new(FoldLimits::default());
            let end = Endpoint { identity, local, pod: "p".into(), ..Endpoint::default() };
            let end = fold.vocabulary.endpoint(end);
            let (one, two) = (fold.vocabulary.text("one"), fold.vocabulary.text("two"));
            let addresses = ["10.0.0.1", "10.0.0.2"].map(|text| fold.vocabulary.address(text.parse().unwrap()));
            let mut batch = Batch::default();
            for _ in 0..2 {
                for (node, address) in [(one, addresses[0]), (two, addresses[0]), (two, addresses[1])] {
                    batch.flows.push(row(end, address, node, one));
                }
            }
            fold.add(&batch, TextId::NONE).unwrap();
            let sighted = fold.sightings.iter().filter(|sighting| sighting.endpoint == end).count();
            assert_eq!(sighted, expected, "{identity:?} {local}");
        };
        check(IdentityKind::Pod, false, 1);
        check(IdentityKind::Pod, true, 2);
        check(IdentityKind::Host, false, 3);
        check(IdentityKind::World, false, 1);
    }
}
