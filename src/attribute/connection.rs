//! Records of one connection → one connection, whatever their order.
//!
//! Key: cluster, protocol, both addresses and ports, in an order that does not depend on direction. Observations of one
//! key whose times are not further apart than the idle time are one connection. Merging is commutative and associative.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::model::{
    AddressId, Certainty, ChainId, Endpoint, EndpointId, FlowRow, Initiator, Protocol, RecordId, TextId, Timestamp,
    Verdict, Vocabulary, VocabularyMap,
};

/// What identifies a connection, independent of the direction of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionKey {
    pub(crate) cluster: TextId,
    /// The end with the smaller (address, port); "low" from here on.
    pub(crate) low: (AddressId, u16),
    /// The other end; "high" from here on.
    pub(crate) high: (AddressId, u16),
    pub(crate) protocol: Protocol,
}

impl Hash for ConnectionKey {
    /// In three words: field by field it would be six, for each record.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let end = |end: (AddressId, u16)| pair(end.0.0, u32::from(end.1));
        state.write_u64(end(self.low));
        state.write_u64(end(self.high));
        state.write_u64(pair(self.cluster.0, u32::from(self.protocol.0)));
    }
}

/// Bits of the verdicts that a connection's records had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts(pub(crate) u8);

impl Verdicts {
    fn of(verdict: Verdict) -> Self {
        Self(match verdict {
            Verdict::Unknown => 1,
            Verdict::Allowed => 2,
            Verdict::Audited => 4,
            Verdict::Denied => 8,
            Verdict::Failed => 16,
        })
    }

    /// One verdict for the connection. A denied packet beats everything, since traces before the policy say "forwarded";
    /// an audited one was let through but would not be.
    pub(crate) fn overall(self) -> Verdict {
        [Verdict::Denied, Verdict::Audited, Verdict::Allowed, Verdict::Failed]
            .into_iter()
            .find(|verdict| self.0 & Self::of(*verdict).0 != 0)
            .unwrap_or(Verdict::Unknown)
    }
}

/// A connection: what its records said together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub(crate) key: ConnectionKey,
    /// Time of the first record.
    pub first: Timestamp,
    /// Time of the last record.
    pub last: Timestamp,
    /// Best evidence that the low end is the client.
    pub(crate) low_is_client: Certainty,
    /// Best evidence that the high end is the client.
    pub(crate) high_is_client: Certainty,
    /// Whether the earliest record went from low to high; decides only when nothing else does.
    pub(crate) low_spoke_first: bool,
    pub(crate) verdicts: Verdicts,
    pub(crate) low: EndpointId,
    pub(crate) high: EndpointId,
    /// Names that the CNI reported for the server.
    pub(crate) reported: ChainId,
    /// The id of the earliest record, the client's own direction preferred.
    pub(crate) id: RecordId,
    pub(crate) id_time: Timestamp,
    pub(crate) id_is_forward: bool,
}

impl Connection {
    /// A connection of one record.
    pub(crate) fn of(row: &FlowRow, vocabulary: &Vocabulary) -> Self {
        let source = (row.source_address, row.source_port);
        let destination = (row.destination_address, row.destination_port);
        // By address and not by number: numbers depend on the order of reading.
        let address = |end: (AddressId, u16)| (vocabulary.address_of(end.0), end.1);
        let forward = address(source) <= address(destination);
        let (client_source, client_destination) = match row.initiator {
            Initiator::Unknown => (Certainty::None, Certainty::None),
            Initiator::Source => (row.certainty, Certainty::None),
            Initiator::Destination => (Certainty::None, row.certainty),
        };
        let (low, high) = low_and_high(forward, source, destination);
        let (low_is_client, high_is_client) = low_and_high(forward, client_source, client_destination);
        let (low_end, high_end) = low_and_high(forward, row.source, row.destination);
        Self {
            key: ConnectionKey { cluster: row.cluster, low, high, protocol: row.protocol },
            first: row.time,
            last: row.time,
            low_is_client,
            high_is_client,
            low_spoke_first: forward,
            verdicts: Verdicts::of(row.verdict),
            low: low_end,
            high: high_end,
            reported: row.reported,
            id: row.id,
            id_time: row.time,
            id_is_forward: row.initiator != Initiator::Destination,
        }
    }

    /// The same connection without the id of a record, and without what decides between ids.
    pub(crate) fn without_id(self) -> Self {
        Self { id: RecordId::NONE, id_time: Timestamp::UNKNOWN, id_is_forward: false, ..self }
    }

    /// The same connection in the numbers of another vocabulary.
    pub(crate) fn renumbered(self, map: &VocabularyMap) -> Self {
        Self {
            key: ConnectionKey {
                cluster: map.text(self.key.cluster),
                low: (map.address(self.key.low.0), self.key.low.1),
                high: (map.address(self.key.high.0), self.key.high.1),
                protocol: self.key.protocol,
            },
            low: map.endpoint(self.low),
            high: map.endpoint(self.high),
            reported: map.chain(self.reported),
            id: self.id.renumbered(map),
            ..self
        }
    }

    /// Whether two observations of one key can belong to one connection: close in time, and of the same pods as far as they say.
    fn touches(&self, other: &Self, idle_nanos: i64, vocabulary: &Vocabulary) -> bool {
        same_pod(self.low, other.low, vocabulary)
            && same_pod(self.high, other.high, vocabulary)
            && self.is_near(other, idle_nanos)
    }

    /// Whether two observations of one key belong to one connection whatever else was observed: close in time, and their ends
    /// named alike. An end without a pod may be any pod; whose it is can be told only when everything is there.
    pub(crate) fn continues(&self, other: &Self, idle_nanos: i64, vocabulary: &Vocabulary) -> bool {
        (self.low == other.low || pod_of(self.low, vocabulary) == pod_of(other.low, vocabulary))
            && (self.high == other.high || pod_of(self.high, vocabulary) == pod_of(other.high, vocabulary))
            && self.is_near(other, idle_nanos)
    }

    fn is_near(&self, other: &Self, idle_nanos: i64) -> bool {
        // Without the client's port, every connection between the ends has this key.
        let idle_nanos = if self.key.low.1 == 0 || self.key.high.1 == 0 { idle_nanos / 10 } else { idle_nanos };
        match (self.first.is_known(), other.first.is_known()) {
            (true, true) => {
                other.first <= self.last.plus_nanos(idle_nanos) && self.first <= other.last.plus_nanos(idle_nanos)
            }
            (unknown, other_unknown) => unknown == other_unknown,
        }
    }

    /// Adds an observation of the same connection.
    pub(crate) fn absorb(&mut self, other: &Self, vocabulary: &Vocabulary) {
        let spoke = (self.first, !self.low_spoke_first).min((other.first, !other.low_spoke_first));
        self.first = spoke.0;
        self.low_spoke_first = !spoke.1;
        self.last = self.last.max(other.last);
        self.low_is_client = self.low_is_client.max(other.low_is_client);
        self.high_is_client = self.high_is_client.max(other.high_is_client);
        self.verdicts.0 |= other.verdicts.0;
        self.low = better_described(self.low, other.low, vocabulary);
        self.high = better_described(self.high, other.high, vocabulary);
        if self.reported != other.reported {
            self.reported = fuller(self.reported, other.reported, vocabulary);
        }
        if self.id != other.id {
            let mine = (self.id.is_none(), !self.id_is_forward, self.id_time);
            let theirs = (other.id.is_none(), !other.id_is_forward, other.id_time);
            let by_text = || vocabulary.record_id_text(other.id).cmp(&vocabulary.record_id_text(self.id));
            if theirs.cmp(&mine).then_with(by_text).is_lt() {
                self.id = other.id;
                self.id_time = other.id_time;
                self.id_is_forward = other.id_is_forward;
            }
        }
    }
}

/// What belongs to the low and to the high end; `forward` if the source is the low one.
fn low_and_high<T>(forward: bool, source: T, destination: T) -> (T, T) {
    if forward { (source, destination) } else { (destination, source) }
}

/// Namespace and pod of an end.
fn pod_of(end: EndpointId, vocabulary: &Vocabulary) -> (&str, &str) {
    vocabulary.endpoint_of(end).map_or(("", ""), |end| (&*end.namespace, &*end.pod))
}

/// Whether two descriptions of one end can be of one pod.
fn same_pod(one: EndpointId, two: EndpointId, vocabulary: &Vocabulary) -> bool {
    if one == two {
        return true;
    }
    match (vocabulary.endpoint_of(one), vocabulary.endpoint_of(two)) {
        (Some(one), Some(two)) if !one.pod.is_empty() && !two.pod.is_empty() => {
            one.pod == two.pod && one.namespace == two.namespace
        }
        _ => true,
    }
}

/// The endpoint with more to say; the content decides between equals, so that order does not matter.
fn better_described(one: EndpointId, two: EndpointId, vocabulary: &Vocabulary) -> EndpointId {
    if one == two {
        return one;
    }
    let weight = |id: EndpointId| {
        vocabulary.endpoint_of(id).map(|end| {
            let said = u8::from(!end.pod.is_empty()) * 8
                + u8::from(!end.namespace.is_empty()) * 4
                + u8::from(end.workload.is_some()) * 2
                + u8::from(end.local);
            (said, end)
        })
    };
    if weight(two) > weight(one) { two } else { one }
}

/// What the record says of its ends, so that equal times are ordered by content.
fn described<'a>(connection: &Connection, vocabulary: &'a Vocabulary) -> (Option<&'a Endpoint>, Option<&'a Endpoint>) {
    (vocabulary.endpoint_of(connection.low), vocabulary.endpoint_of(connection.high))
}

/// The fuller list of names; the content decides between equals.
fn fuller(one: ChainId, two: ChainId, vocabulary: &Vocabulary) -> ChainId {
    let weight = |id: ChainId| {
        let names: Vec<&str> = vocabulary.chain_of(id).iter().map(|name| vocabulary.name_of(*name)).collect();
        (names.len(), names)
    };
    if weight(two) > weight(one) { two } else { one }
}

/// How many connections of one key may be open at a time.
const OPEN_MAX: usize = 4;

/// Turns observations (any order, one key after another or mixed) into connections. Whatever was joined already by
/// [`Connection::continues`] changes nothing.
pub(crate) fn cluster(observed: Vec<Connection>, idle_nanos: i64, vocabulary: &Vocabulary) -> Vec<Connection> {
    let mut continued = continued(observed, idle_nanos, vocabulary);
    let mut clustered: Vec<Connection> = Vec::new();
    for of_key in continued.chunk_by_mut(|one, two| one.key == two.key) {
        of_key.sort_by(|one, two| {
            let order = |connection: &Connection| (connection.first, connection.last);
            order(one).cmp(&order(two)).then_with(|| described(one, vocabulary).cmp(&described(two, vocabulary)))
        });
        for connection in of_key {
            // Connections of successive pods with one address may interleave, so the last one is not the only one open.
            let open = clustered
                .iter_mut()
                .rev()
                .take_while(|open| open.key == connection.key)
                .take(OPEN_MAX)
                .find(|open| open.touches(connection, idle_nanos, vocabulary));
            match open {
                Some(open) => open.absorb(connection, vocabulary),
                None => clustered.push(*connection),
            }
        }
    }
    clustered
}

/// Joins observations whose ends are named alike, one key after another. What comes out does not depend on what was joined before.
pub(crate) fn continued(mut observed: Vec<Connection>, idle_nanos: i64, vocabulary: &Vocabulary) -> Vec<Connection> {
    observed.sort_unstable_by(|one, two| {
        let pod = |one: EndpointId, two: EndpointId| {
            if one == two { Ordering::Equal } else { pod_of(one, vocabulary).cmp(&pod_of(two, vocabulary)) }
        };
        one.key
            .cmp(&two.key)
            .then_with(|| pod(one.low, two.low))
            .then_with(|| pod(one.high, two.high))
            .then_with(|| (one.first, one.last).cmp(&(two.first, two.last)))
    });
    observed.dedup_by(|next, last| {
        let is_same = last.key == next.key && last.continues(next, idle_nanos, vocabulary);
        if is_same {
            last.absorb(next, vocabulary);
        }
        is_same
    });
    observed
}
