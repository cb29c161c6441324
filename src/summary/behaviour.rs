//! How a workload uses one destination over time: connection starts of each pod, durations, denials.
//!
//! In: attributed connections, one at a time and in any order. Out: a [`Behaviour`] beside the other things seen of an edge.
//! Adding takes no memory per connection, and is commutative and associative. No opinion: detectors judge.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::edge::LISTED_MAX;
use super::sizes::Sizes;
use super::starts::{Histogram, Starts};
use crate::attribute::{Named, PartyId};
use crate::model::{Bytes, Protocol, Verdict};

/// Bins of denials: a week in steps of 17 minutes, a day in steps of two.
const DENIED_BINS_MAX: u32 = 1_024;
/// The narrowest bin of denials: 64 seconds.
const DENIED_NARROWEST_LOG2: u8 = 6;
/// Seconds of a long connection, for [`Behaviour::long`].
pub const LONG_SECONDS: u64 = 3_600;

/// How a workload uses one destination over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Connection starts by pod, for destinations outside; the pods with the [`LISTED_MAX`] smallest names.
    pub starts: BTreeMap<Box<str>, Starts>,
    /// Seconds that the longest TCP connection was open.
    pub longest_seconds: u64,
    /// TCP connections open for [`LONG_SECONDS`] or longer.
    pub long: u64,
    /// Denied connections over time; `None` when there were none.
    pub denied: Option<Box<Histogram>>,
    /// Bytes, where the source counts them.
    pub bytes: Option<Bytes>,
    /// By pod, for destinations outside: when each of the earliest connections began, and the bytes that it sent. Only connections
    /// that were counted one by one; the pods with the [`LISTED_MAX`] smallest names.
    pub sizes: BTreeMap<Box<str>, Sizes>,
    /// Length of the longest interval that a record stands for, in seconds: starts are no finer. 0 for records of single connections.
    pub interval_seconds: u32,
}

impl Behaviour {
    /// Adds what was seen elsewhere of the same edge.
    pub fn absorb(&mut self, other: Self) {
        for (pod, starts) in other.starts {
            self.starts.entry(pod).or_default().absorb(&starts);
        }
        while self.starts.len() > LISTED_MAX {
            self.starts.pop_last();
        }
        self.longest_seconds = self.longest_seconds.max(other.longest_seconds);
        self.long += other.long;
        match (&mut self.denied, other.denied) {
            (Some(own), Some(other)) => own.absorb(&other),
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
        if let Some(more) = other.bytes {
            self.bytes.get_or_insert_default().add(more);
        }
        for (pod, sizes) in other.sizes {
            self.sizes.entry(pod).or_default().absorb(&sizes);
        }
        while self.sizes.len() > LISTED_MAX {
            self.sizes.pop_last();
        }
        self.interval_seconds = self.interval_seconds.max(other.interval_seconds);
    }
}

/// A behaviour under construction, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    starts: HashMap<PartyId, Starts>,
    sizes: HashMap<PartyId, Sizes>,
    rest: Behaviour,
}

impl Watched {
    /// Adds a connection of a pod. Starts are kept for destinations outside only.
    pub(crate) fn add(&mut self, named: &Named<'_>, is_outside: bool) {
        self.rest.interval_seconds = self.rest.interval_seconds.max(named.counts.interval_seconds);
        if let Some(bytes) = named.counts.bytes {
            self.add_bytes(bytes);
        }
        let Ok(start) = u32::try_from(named.first.nanos() / 1_000_000_000) else { return };
        if !named.first.is_known() {
            return;
        }
        // An interval in which nothing began is no start.
        if is_outside
            && let Some(party) = named.client
            && named.counts.connections > 0
        {
            self.starts.entry(party).or_default().add(start);
            if let (Some(bytes), 1) = (named.counts.bytes, named.counts.connections) {
                self.sizes.entry(party).or_default().add(start, bytes.sent);
            }
        }
        if named.verdict == Verdict::Denied {
            let new = || Box::new(Histogram::new(DENIED_BINS_MAX, DENIED_NARROWEST_LOG2));
            let times = u32::try_from(named.counts.connections).unwrap_or(u32::MAX);
            self.rest.denied.get_or_insert_with(new).add(start, times);
        }
        let open = u64::try_from((named.last.nanos() - named.first.nanos()) / 1_000_000_000).unwrap_or(0);
        // Without the client's port, all connections between the ends are one.
        if named.protocol == Protocol::TCP && named.client_port != 0 {
            self.rest.longest_seconds = self.rest.longest_seconds.max(open);
            self.rest.long += u64::from(open >= LONG_SECONDS);
        }
    }

    /// Adds bytes, as the workload sees them.
    pub(crate) const fn add_bytes(&mut self, bytes: Bytes) {
        match &mut self.rest.bytes {
            Some(own) => own.add(bytes),
            own @ None => *own = Some(bytes),
        }
    }

    /// Adds what another thread watched.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (party, starts) in other.starts {
            self.starts.entry(party).or_default().absorb(&starts);
        }
        for (party, sizes) in other.sizes {
            self.sizes.entry(party).or_default().absorb(&sizes);
        }
        self.rest.absorb(other.rest);
    }

    /// With pods by name.
    pub(crate) fn named<'p>(self, pod: impl Fn(PartyId) -> Option<&'p str>) -> Behaviour {
        let mut made = self.rest;
        for (party, starts) in self.starts {
            if let Some(pod) = pod(party) {
                made.starts.entry(pod.into()).or_default().absorb(&starts);
            }
        }
        for (party, sizes) in self.sizes {
            if let Some(pod) = pod(party) {
                made.sizes.entry(pod.into()).or_default().absorb(&sizes);
            }
        }
        made.absorb(Behaviour::default());
        made
    }
}
