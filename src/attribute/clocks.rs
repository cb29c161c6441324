//! How far the clock of the DNS answers is ahead of that of the flows, per cluster, learnt from the traffic itself.
//!
//! In: connections, and the answers that their own clients got for the same address. A program that has just been answered
//! connects at once, so that the differences of all pairs gather at one place: the offset of the clocks. Out: that offset where it
//! is beyond doubt and too large to be a delay, and how much later than a connection an answer to it may be stamped. Neither
//! truth nor Kubernetes objects are needed. What is not found here: offsets beyond ten minutes, and nodes of one cluster that
//! differ among themselves.

use std::collections::BTreeMap;
use std::io;

use hashbrown::HashMap;

use super::join::{AnswerIndex, Client, Question};
use super::pipeline::Evidence;
use super::spill::PARTITIONS;
use crate::model::{AddressId, TextId, Timestamp};

/// Width of a bin of differences.
const BIN_NANOS: i64 = 20_000_000;
/// Differences are counted up to this many bins to either side: ten minutes.
const BINS: i64 = 30_000;
/// A heap of differences is this many bins wide: half a second.
const HEAP_BINS: usize = 25;
/// Fewer pairs in a heap prove nothing.
const PAIRS_MIN: u32 = 16;
/// A client counts so often in a bin for one address: what a busy one does at intervals must not speak for all.
const SHARE_MAX: u32 = 8;
/// Offsets in between are ordinary delays, and clocks that are kept: no offset.
const KEPT_NANOS: (i64, i64) = (-2_000_000_000, 300_000_000);
/// How much later than its connection an answer may be stamped while the traffic does not say: clocks that are kept.
const NEAR_NANOS: i64 = 100_000_000;
/// The same where few are: an answer may be stamped after it was sent.
const NEAR_NANOS_MIN: i64 = 20_000_000;
/// The same where many are.
const NEAR_NANOS_MAX: i64 = 250_000_000;
/// Answers around one connection that are looked at, to either side.
const AROUND: usize = 32;
/// So many pairs, or so many connections, are enough.
const SAMPLE: (u32, u32) = (8_192, 400_000);

/// What is known of the clocks of one cluster. Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Whether the traffic tells.
    pub(crate) is_known: bool,
    /// How far answers are stamped ahead of flows; behind where it is negative.
    pub(crate) ahead_nanos: i64,
    /// How much later than its connection an answer may be stamped.
    pub(crate) near_nanos: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { is_known: false, ahead_nanos: 0, near_nanos: NEAR_NANOS }
    }
}

/// The clocks of all clusters.
#[derive(Debug, Default)]
pub(crate) struct Clocks(HashMap<TextId, Clock>);

impl Clocks {
    /// The clock of a cluster.
    pub(crate) fn of(&self, cluster: TextId) -> Clock {
        self.0.get(&cluster).copied().unwrap_or_default()
    }

    /// By how much the clock of the answers is ahead, in nanoseconds, of the clusters whose traffic tells.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = (TextId, i64)> {
        self.0.iter().filter(|(_, clock)| clock.is_known).map(|(cluster, clock)| (*cluster, clock.ahead_nanos))
    }

    /// Learns from a sample of the partitions, always the same one.
    ///
    /// Fails only when a temporary file cannot be read.
    pub(crate) fn learn(evidence: &Evidence) -> io::Result<Self> {
        let mut differences: BTreeMap<TextId, Differences> = BTreeMap::new();
        let (mut pairs, mut connections) = (0, 0);
        for partition in 0..PARTITIONS {
            if pairs >= SAMPLE.0 || connections >= SAMPLE.1 {
                break;
            }
            let index = evidence.read_answers(partition, &Self::default())?;
            if index.is_empty() {
                continue;
            }
            evidence.each_connection(partition, |connection| {
                connections += 1;
                let ends = connection.oriented();
                if !connection.first.is_known()
                    || index
                        .is_unknown(evidence.client_cluster(connection, &ends), evidence.reached(ends.server_address))
                {
                    return;
                }
                let (question, _) = evidence.question(connection, &ends, &Self::default());
                pairs += differences.entry(question.cluster).or_default().add(&index, &question);
            })?;
        }
        Ok(Self(differences.into_iter().map(|(cluster, counted)| (cluster, counted.clock())).collect()))
    }
}

/// How often answers to a connection's client are stamped so much later than the connection.
#[derive(Debug, Default)]
struct Differences {
    /// By bin, the earliest first; empty as long as there is no pair.
    bins: Vec<u32>,
    /// The same of addresses that the client was told for one name only, where no other lookup is mistaken for the own one.
    of_one_name: Vec<u32>,
    /// How often a client counted in a bin for an address.
    counted: HashMap<(Client, AddressId, usize), u32>,
}

impl Differences {
    /// Counts the answers around a connection; how many were.
    fn add(&mut self, index: &AnswerIndex, question: &Question) -> u32 {
        let (times, is_one) = index.times_around(question, AROUND);
        self.count((question.client, question.address), &times, question.time, is_one)
    }

    fn count(&mut self, of: (Client, AddressId), times: &[Timestamp], connected: Timestamp, is_one: bool) -> u32 {
        if self.bins.is_empty() {
            self.bins = vec![0; usize::try_from(2 * BINS).unwrap_or_default()];
            self.of_one_name.clone_from(&self.bins);
        }
        let mut pairs = 0;
        for bin in times.iter().filter_map(|time| bin_of(*time, connected)) {
            pairs += 1;
            let counted = self.counted.entry((of.0, of.1, bin)).or_default();
            *counted = counted.saturating_add(1);
            if *counted > SHARE_MAX {
                continue;
            }
            for (bins, counts) in [(&mut self.bins, true), (&mut self.of_one_name, is_one)] {
                if let Some(count) = bins.get_mut(bin).filter(|_| counts) {
                    *count = count.saturating_add(1);
                }
            }
        }
        pairs
    }

    fn clock(&self) -> Clock {
        let Some(heap) = self.heap() else { return Clock::default() };
        // Connections follow their answers, so that nearly all of the heap lies before the offset.
        let all: u32 = self.bins.get(heap.clone()).unwrap_or_default().iter().sum();
        let mut passed = 0;
        let edge = heap.clone().find(|bin| {
            passed += self.bins.get(*bin).copied().unwrap_or_default();
            u64::from(passed) * 10 >= u64::from(all) * 9
        });
        let ahead_nanos = end_of(edge.unwrap_or(heap.end));
        let ahead_nanos = if (KEPT_NANOS.0..=KEPT_NANOS.1).contains(&ahead_nanos) { 0 } else { ahead_nanos };
        let sum = |from: i64, until: i64| -> u32 {
            let place = |nanos: i64| usize::try_from((ahead_nanos + nanos) / BIN_NANOS + BINS).unwrap_or_default();
            self.of_one_name.get(place(from)..place(until)).unwrap_or_default().iter().sum()
        };
        let (before, after) = (sum(-NEAR_NANOS_MAX, 0), sum(NEAR_NANOS_MIN, NEAR_NANOS_MAX));
        let near_nanos = match before + after {
            0..PAIRS_MIN => NEAR_NANOS,
            _ if after * 8 < before => NEAR_NANOS_MIN,
            _ => NEAR_NANOS_MAX,
        };
        Clock { is_known: true, ahead_nanos, near_nanos }
    }

    /// Where differences gather: the bins of the largest heap; among several that are nearly as large the one nearest to no
    /// difference, since what happens at intervals gathers at their multiples as well.
    fn heap(&self) -> Option<std::ops::Range<usize>> {
        let mut sums = Vec::with_capacity(self.bins.len());
        let mut sum = 0_u32;
        for (at, count) in self.bins.iter().enumerate() {
            sum = sum.saturating_add(*count);
            if let Some(left) = at.checked_sub(HEAP_BINS).and_then(|left| self.bins.get(left)) {
                sum -= left;
            }
            sums.push(sum);
        }
        let most = sums.iter().copied().max()?;
        let all: u64 = self.bins.iter().map(|count| u64::from(*count)).sum();
        let usual = all * HEAP_BINS as u64 / self.bins.len() as u64;
        if most < PAIRS_MIN || u64::from(most) < 8 * usual {
            return None;
        }
        let middle = self.bins.len() / 2;
        let large = sums.iter().enumerate().filter(|(_, sum)| u64::from(**sum) * 10 >= u64::from(most) * 6);
        let (near, _) = large.min_by_key(|(end, _)| (end.abs_diff(middle), *end))?;
        // The heap begins where its slope reached that height.
        let slope = near.saturating_sub(HEAP_BINS)..(near + HEAP_BINS).min(sums.len());
        let (top, _) = sums
            .iter()
            .enumerate()
            .skip(slope.start)
            .take(slope.len())
            .max_by_key(|(end, sum)| (**sum, std::cmp::Reverse(end.abs_diff(middle))))?;
        Some((top + 1).saturating_sub(HEAP_BINS)..top + 1)
    }
}

/// The bin of an answer's time beside a connection's.
fn bin_of(answer: Timestamp, connection: Timestamp) -> Option<usize> {
    let bin = answer.nanos().checked_sub(connection.nanos())?.div_euclid(BIN_NANOS);
    (-BINS..BINS).contains(&bin).then(|| usize::try_from(bin + BINS).ok()).flatten()
}

/// Where a bin ends, in nanoseconds of difference.
fn end_of(bin: usize) -> i64 {
    (i64::try_from(bin).unwrap_or_default() + 1 - BINS) * BIN_NANOS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of connections, each with differences in milliseconds.
    fn clock(connections: &[&[i64]]) -> Clock {
        let (mut counted, connected) = (Differences::default(), Timestamp::from_nanos(1_000_000_000_000_000));
        for (number, of_one) in (1_u32..).zip(connections) {
            let times: Vec<Timestamp> =
                of_one.iter().map(|milliseconds| connected.plus_nanos(milliseconds * 1_000_000)).collect();
            // Each connection is to an address of its own.
            counted.count((Client::Address(AddressId::NONE), AddressId(number)), &times, connected, true);
        }
        counted.clock()
    }

    fn ahead(connections: &[&[i64]]) -> i64 {
        clock(connections).ahead_nanos / 1_000_000
    }

    #[test]
    fn differences_gather_at_the_offset() {
        let fresh = |offset: i64| -> Vec<Vec<i64>> {
            (0..100).map(|at| vec![offset - 5 - at % 7, offset + 1_000 * (at * 37 % 500 - 250)]).collect()
        };
        let of = |offset: i64| {
            let lists = fresh(offset);
            ahead(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        assert_eq!([of(0), of(200), of(-1_500)], [0, 0, 0], "delays are no offset");
        assert_eq!([of(30_000), of(-40_000), of(599_000)], [30_000, -40_000, 599_000]);
    }

    #[test]
    fn too_little_evidence_is_no_offset() {
        assert_eq!(ahead(&[]), 0);
        assert_eq!(ahead(&[&[30_000_i64] as &[i64]; 15]), 0);
        assert_eq!(ahead(&[&[30_000_i64] as &[i64]; 16]), 30_020);
        // Nothing but noise.
        let noise: Vec<[i64; 1]> = (0..5_000).map(|at| [(at * 7_919) % 1_200_000 - 600_000]).collect();
        assert_eq!(ahead(&noise.iter().map(<[i64; 1]>::as_slice).collect::<Vec<_>>()), 0);
    }

    #[test]
    fn a_busy_client_does_not_speak_for_all() {
        let connected = Timestamp::from_nanos(1_000_000_000_000_000);
        let count = |counted: &mut Differences, address: u32, milliseconds: i64| {
            let of = (Client::Address(AddressId::NONE), AddressId(address));
            counted.count(of, &[connected.plus_nanos(milliseconds * 1_000_000)], connected, true);
        };
        let mut counted = Differences::default();
        (0..5_000).for_each(|turn| count(&mut counted, 1, 9_000 + turn % 30));
        (2..30).for_each(|address| count(&mut counted, address, -15));
        assert_eq!(counted.clock().ahead_nanos, 0);
    }

    #[test]
    fn what_happens_every_minute_gathers_nearest_to_none() {
        let every: Vec<i64> = (-9..=9).map(|minute| minute * 60_000 - 10).collect();
        assert_eq!(ahead(&[every.as_slice(); 40]), 0);
        let shifted: Vec<i64> = every.iter().map(|at| at + 12_000).collect();
        assert_eq!(ahead(&[shifted.as_slice(); 40]), 12_000);
    }

    #[test]
    fn answers_stamped_late_widen_what_is_near() {
        assert_eq!(clock(&[&[-10_i64] as &[i64]; 40]).near_nanos, NEAR_NANOS_MIN);
        let jitter: Vec<[i64; 1]> = (0..200).map(|at| [at % 200 - 110]).collect();
        assert_eq!(clock(&jitter.iter().map(<[i64; 1]>::as_slice).collect::<Vec<_>>()).near_nanos, NEAR_NANOS_MAX);
    }
}
