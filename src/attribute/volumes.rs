//! Counters of records → counters of connections.
//!
//! In: what some records count, beside the rows that became connections. Out: for each connection its bytes and how many connections it
//! stands for. Both ends may have counted the same traffic, an interval may have been delivered twice, and one source gives totals
//! where another gives differences: nothing is added twice. Sources without counters cost nothing here.

use hashbrown::HashMap;

use super::connection::{Connection, ConnectionKey};
use super::fold::FoldLimits;
use super::spill::{Cursor, Parked};
use crate::model::{
    Batch, Bytes, Counter, EndpointId, Opened, TextId, Timestamp, Verdict, Vocabulary, VocabularyMap, Volume,
};

/// What a connection stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// How many connections: one, unless records of intervals say otherwise. None at all for an interval in which connections
    /// only went on that were counted before.
    pub connections: u64,
    /// Bytes from client to server and back; `None` when nobody counted.
    pub bytes: Option<Bytes>,
    /// Length of the intervals that its records stand for, in seconds; 0 for records of single connections.
    pub interval_seconds: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self { connections: 1, bytes: None, interval_seconds: 0 }
    }
}

/// The counters of one record, its source and destination exchanged where that is how its connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) of: Connection,
    pub(crate) volume: Volume,
}

impl Counted {
    /// The counters of the records of a batch; rows that name no cluster get `cluster`.
    pub(super) fn all<'a>(
        batch: &'a Batch,
        cluster: TextId,
        vocabulary: &'a Vocabulary,
        limits: &'a FoldLimits,
    ) -> impl Iterator<Item = Self> + 'a {
        batch.volumes.iter().filter_map(move |(place, volume)| {
            let mut row = *batch.flows.get(*place).filter(|row| limits.asks_for(row.time))?;
            if row.cluster.is_none() {
                row.cluster = cluster;
            }
            let of = Connection::of(&row, vocabulary);
            Some(Self { of, volume: if of.low_spoke_first { *volume } else { volume.swapped() } })
        })
    }

    /// The same in the numbers of another vocabulary.
    pub(super) fn renumbered(self, map: &VocabularyMap) -> Self {
        Self { of: self.of.renumbered(map), ..self }
    }

    /// What makes two deliveries of one record equal.
    fn content(&self) -> (Timestamp, Verdict, Volume) {
        (self.of.first, self.of.verdicts.overall(), self.volume)
    }
}

/// What a connection's records counted together. "Sent" is from the low end to the high one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) of: Connection,
    pub(crate) counts: Counts,
}

/// What tells connections of one partition apart.
pub(crate) type SettledKey = (ConnectionKey, Timestamp, Timestamp, EndpointId, EndpointId);

pub(crate) const fn settled_key(of: &Connection) -> SettledKey {
    (of.key, of.first, of.last, of.low, of.high)
}

/// Gives the counters of records to the connections that they belong to. Connections are in the order of their keys and times.
pub(super) fn settle(connections: &[Connection], counted: Vec<Counted>, limits: &FoldLimits) -> Vec<Settled> {
    let mut by_key: HashMap<ConnectionKey, Vec<Counted>> = HashMap::new();
    for one in counted {
        by_key.entry(one.of.key).or_default().push(one);
    }
    let mut settled = Vec::new();
    for group in connections.chunk_by(|one, two| one.key == two.key) {
        let Some(mut counted) = group.first().and_then(|first| by_key.remove(&first.key)) else { continue };
        counted.sort_unstable_by_key(Counted::content);
        counted.dedup_by_key(|one| one.content());
        let mut own: Vec<Vec<Counted>> = vec![Vec::new(); group.len()];
        for one in counted {
            if let Some(own) = place_of(group, one.of.first).and_then(|place| own.get_mut(place)) {
                own.push(one);
            }
        }
        let mut before: Option<Timestamp> = None;
        for (of, own) in group.iter().zip(own).filter(|(of, _)| limits.asks_for_any(of.first, of.last)) {
            if own.is_empty() {
                continue;
            }
            let interval_seconds = interval_seconds(&own);
            // Two intervals of silence end what was open.
            let went_on = before.is_some_and(|last| of.first <= last.plus_nanos(interval_nanos(interval_seconds) * 2));
            before = Some(of.last);
            let counts = Counts { connections: connections_of(&own, went_on), bytes: bytes_of(&own), interval_seconds };
            settled.push(Settled { of: *of, counts });
        }
    }
    settled
}

/// The connection of a key that was open at a time.
fn place_of(group: &[Connection], time: Timestamp) -> Option<usize> {
    let after = group.partition_point(|connection| connection.first <= time);
    // Connections of successive pods with one address may interleave.
    let candidates = group.get(..after)?.iter().enumerate().rev();
    candidates.take(8).find(|(_, connection)| connection.last >= time).map(|(place, _)| place)
}

fn interval_nanos(seconds: u32) -> i64 {
    i64::from(seconds).saturating_mul(1_000_000_000)
}

fn interval_seconds(own: &[Counted]) -> u32 {
    let of_interval = own.iter().filter(|one| one.volume.connections.is_some() && one.volume.since.is_known());
    let nanos = of_interval.map(|one| one.of.first.nanos().saturating_sub(one.volume.since.nanos())).max();
    u32::try_from(nanos.unwrap_or(0) / 1_000_000_000).unwrap_or(0)
}

const COUNTERS: [Counter; 3] = [Counter::Unknown, Counter::Source, Counter::Destination];

/// The larger count of those who counted; at least one, unless all of it was counted before.
fn connections_of(own: &[Counted], went_on: bool) -> u64 {
    let of_counter = |counter: Counter| {
        let opened = || {
            let own = own.iter().filter(move |one| one.volume.counter == counter);
            own.filter_map(|one| Some((one.of.first, one.volume.connections?)))
        };
        let began: u64 = opened().map(|(_, opened)| u64::from(opened.began)).sum();
        let earliest = opened().map(|(time, _)| time).min()?;
        let older = |opened: Opened| u64::from(opened.open.saturating_sub(opened.began));
        let before: u64 = opened().filter(|(time, _)| *time == earliest).map(|(_, opened)| older(opened)).sum();
        Some(if went_on { began } else { began.saturating_add(before).max(1) })
    };
    COUNTERS.into_iter().filter_map(of_counter).max().unwrap_or(1)
}

/// The bytes of a connection: of each counter the sum of its differences and, for each beginning, the largest total.
fn bytes_of(own: &[Counted]) -> Option<Bytes> {
    let of_counter = |counter: Counter| {
        let mut totals: HashMap<Timestamp, Bytes> = HashMap::new();
        let mut sum: Option<Bytes> = None;
        for one in own.iter().filter(|one| one.volume.counter == counter) {
            let Some(bytes) = one.volume.bytes else { continue };
            let all = sum.get_or_insert_default();
            if one.volume.is_total {
                totals.entry(one.volume.since).or_default().cover(bytes);
            } else {
                all.add(bytes);
            }
        }
        totals.into_values().for_each(|bytes| sum.get_or_insert_default().add(bytes));
        sum
    };
    COUNTERS.into_iter().filter_map(of_counter).reduce(|mut one, two| {
        one.cover(two);
        one
    })
}

fn write_bytes(bytes: Option<Bytes>, out: &mut Vec<u8>) {
    let known = bytes.unwrap_or_default();
    out.push(u8::from(bytes.is_some()));
    for count in [known.sent, known.received, known.packets_sent, known.packets_received] {
        out.extend_from_slice(&count.to_le_bytes());
    }
}

fn read_bytes(input: &mut Cursor<'_>) -> Option<Bytes> {
    let is_known = input.u8() != 0;
    let mut next = || u64::from_le_bytes(input.bytes());
    let bytes = Bytes { sent: next(), received: next(), packets_sent: next(), packets_received: next() };
    is_known.then_some(bytes)
}

impl Parked for Counted {
    const BYTES: usize = Connection::BYTES + 33 + 10 + 9;

    fn write(&self, out: &mut Vec<u8>) {
        self.of.write(out);
        write_bytes(self.volume.bytes, out);
        let counter = COUNTERS.iter().position(|counter| *counter == self.volume.counter);
        out.push(u8::try_from(counter.unwrap_or(0)).unwrap_or(0));
        out.extend_from_slice(&self.volume.since.nanos().to_le_bytes());
        out.push(u8::from(self.volume.is_total));
        let opened = self.volume.connections.unwrap_or_default();
        out.push(u8::from(self.volume.connections.is_some()));
        out.extend_from_slice(&opened.began.to_le_bytes());
        out.extend_from_slice(&opened.open.to_le_bytes());
    }

    fn read(input: &mut Cursor<'_>) -> Self {
        let of = Connection::read(input);
        let bytes = read_bytes(input);
        let counter = COUNTERS.get(usize::from(input.u8())).copied().unwrap_or_default();
        let since = Timestamp::from_nanos(input.i64());
        let is_total = input.u8() != 0;
        let has_connections = input.u8() != 0;
        let opened = Opened { began: input.u32(), open: input.u32() };
        let volume = Volume { bytes, counter, since, is_total, connections: has_connections.then_some(opened) };
        Self { of, volume }
    }
}

impl Parked for Settled {
    const BYTES: usize = Connection::BYTES + 33 + 12;

    fn write(&self, out: &mut Vec<u8>) {
        self.of.write(out);
        write_bytes(self.counts.bytes, out);
        out.extend_from_slice(&self.counts.connections.to_le_bytes());
        out.extend_from_slice(&self.counts.interval_seconds.to_le_bytes());
    }

    fn read(input: &mut Cursor<'_>) -> Self {
        let of = Connection::read(input);
        let bytes = read_bytes(input);
        let counts = Counts { bytes, connections: u64::from_le_bytes(input.bytes()), interval_seconds: input.u32() };
        Self { of, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AddressId, Certainty, ChainId, FlowRow, Initiator, Protocol, RecordId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos((1_000_000 + second) * 1_000_000_000)
    }

    fn connection(first: i64, last: i64, port: u16) -> Connection {
        let row = FlowRow {
            time: at(first),
            cluster: TextId::NONE,
            node: TextId::NONE,
            source: EndpointId::NONE,
            destination: EndpointId::NONE,
            source_address: AddressId::NONE,
            destination_address: AddressId::NONE,
            source_port: port,
            destination_port: 443,
            protocol: Protocol::TCP,
            verdict: Verdict::Allowed,
            initiator: Initiator::Source,
            certainty: Certainty::Tracked,
            reported: ChainId::NONE,
            id: RecordId::NONE,
        };
        Connection { last: at(last), ..Connection::of(&row, &Vocabulary::default()) }
    }

    /// A record with time, start of counting, counter, bytes each way, and connections.
    fn counted(times: (i64, i64), counter: Counter, bytes: (u64, u64), opened: Option<(u32, u32)>) -> Counted {
        let bytes = Bytes { sent: bytes.0, received: bytes.1, ..Bytes::default() };
        let volume = Volume {
            bytes: Some(bytes),
            counter,
            since: at(times.1),
            is_total: false,
            connections: opened.map(|(began, open)| Opened { began, open }),
        };
        Counted { of: connection(times.0, times.0, 0), volume }
    }

    /// Connections and bytes sent of each connection of one key.
    fn check(connections: &[(i64, i64)], records: &[Counted], expected: &[(u64, u64)]) {
        let connections: Vec<_> = connections.iter().map(|(first, last)| connection(*first, *last, 0)).collect();
        let settle = |records| settle(&connections, records, &FoldLimits::default());
        let seen = |settled: &[Settled]| -> Vec<(u64, u64)> {
            settled.iter().map(|one| (one.counts.connections, one.counts.bytes.map_or(0, |bytes| bytes.sent))).collect()
        };
        assert_eq!(seen(&settle(records.to_vec())), expected);
        let backwards: Vec<Counted> = records.iter().rev().copied().collect();
        assert_eq!(seen(&settle(backwards)), expected, "the order of reading counts");
        let twice: Vec<Counted> = records.iter().chain(records).copied().collect();
        assert_eq!(seen(&settle(twice)), expected, "a record that came twice counts twice");
    }

    #[test]
    fn both_reporters_count_the_same_bytes() {
        let (source, destination) = (Counter::Source, Counter::Destination);
        let both = [
            counted((300, 0), source, (1_000, 50), Some((2, 2))),
            counted((302, 2), destination, (990, 50), Some((2, 2))),
        ];
        check(&[(300, 302)], &both, &[(2, 1_000)]);
        let split_by_policy =
            [counted((300, 0), source, (1_000, 50), Some((1, 1))), counted((300, 0), source, (500, 50), Some((1, 1)))];
        check(&[(300, 300)], &split_by_policy, &[(2, 1_500)]);
    }

    #[test]
    fn a_connection_that_goes_on_is_counted_once() {
        let interval = |number: i64, opened: (u32, u32)| {
            counted((300 * number, 300 * number - 300), Counter::Source, (10, 10), Some(opened))
        };
        let intervals = [(300, 300), (600, 600), (900, 900)];
        check(
            &intervals,
            &[interval(1, (1, 1)), interval(2, (0, 1)), interval(3, (0, 1))],
            &[(1, 10), (0, 10), (0, 10)],
        );
        // Two were open before the first record, and five begin later.
        check(
            &intervals,
            &[interval(1, (0, 2)), interval(2, (5, 7)), interval(3, (0, 7))],
            &[(2, 10), (5, 10), (0, 10)],
        );
        // After a silence nobody knows which ones they are: at least one.
        check(&[(300, 300), (9_000, 9_000)], &[interval(1, (1, 1)), interval(30, (0, 1))], &[(1, 10), (1, 10)]);
    }

    #[test]
    fn totals_are_not_added_up() {
        let total = |times: (i64, i64), sent: u64| {
            let mut record = counted(times, Counter::Unknown, (sent, 1), None);
            record.volume.is_total = true;
            record
        };
        check(&[(0, 180)], &[total((60, 0), 100), total((120, 0), 300), total((180, 0), 900)], &[(1, 900)]);
        // The same ports again soon after: another connection for the agent, one for the fold.
        check(&[(0, 180)], &[total((60, 0), 100), total((180, 90), 40)], &[(1, 140)]);
    }

    #[test]
    fn every_field_survives() {
        let record = counted((300, 0), Counter::Destination, (7, 8), Some((3, 9)));
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        assert_eq!(bytes.len(), Counted::BYTES);
        assert_eq!(Counted::read(&mut Cursor(&bytes)), record);
        let counts = Counts { connections: 5, bytes: record.volume.bytes, interval_seconds: 300 };
        let settled = Settled { of: record.of, counts };
        bytes.clear();
        settled.write(&mut bytes);
        assert_eq!((bytes.len(), Settled::read(&mut Cursor(&bytes))), (Settled::BYTES, settled));
    }
}
