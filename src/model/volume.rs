//! What sources count beside the record itself: bytes and packets both ways, and the connections that one record stands for.
//!
//! Only some sources count (Calico, Goldmane, Antrea, IPFIX; not Hubble), so that counts lie beside the rows and not in them.

use super::Timestamp;

/// A byte or packet counter beyond this in one record is a broken one: agents have written negative differences as huge
/// numbers (Antrea before v2.6).
pub const COUNTER_MAX: u64 = 1 << 50;

/// Bytes and packets in both directions, as the network plugin counted them (headers included).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes {
    /// Bytes from the workload to the other end.
    pub sent: u64,
    /// Bytes back.
    pub received: u64,
    /// Packets from the workload to the other end.
    pub packets_sent: u64,
    /// Packets back.
    pub packets_received: u64,
}

impl Bytes {
    /// The same seen from the other end.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self {
            sent: self.received,
            received: self.sent,
            packets_sent: self.packets_received,
            packets_received: self.packets_sent,
        }
    }

    /// Adds what else was counted.
    pub const fn add(&mut self, more: Self) {
        self.sent = self.sent.saturating_add(more.sent);
        self.received = self.received.saturating_add(more.received);
        self.packets_sent = self.packets_sent.saturating_add(more.packets_sent);
        self.packets_received = self.packets_received.saturating_add(more.packets_received);
    }

    /// Takes the larger of each count: of two who counted the same, one may have missed a part.
    pub fn cover(&mut self, other: Self) {
        self.sent = self.sent.max(other.sent);
        self.received = self.received.max(other.received);
        self.packets_sent = self.packets_sent.max(other.packets_sent);
        self.packets_received = self.packets_received.max(other.packets_received);
    }

    /// Whether any count is beyond what one record can have counted.
    pub const fn is_broken(&self) -> bool {
        self.sent > COUNTER_MAX
            || self.received > COUNTER_MAX
            || self.packets_sent > COUNTER_MAX
            || self.packets_received > COUNTER_MAX
    }
}

/// At which end of the connection was counted. Both ends count the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The record does not say.
    #[default]
    Unknown,
    /// At the record's source.
    Source,
    /// At the record's destination.
    Destination,
}

/// What one record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume {
    /// Bytes, "sent" from the record's source to its destination; `None` when the record counts connections only.
    pub bytes: Option<Bytes>,
    /// Who counted.
    pub counter: Counter,
    /// When counting began: the start of the interval, or of the connection. Unknown if the record does not say.
    pub since: Timestamp,
    /// Whether the counts go on from record to record of one connection (Antrea's totals); else each record begins at zero.
    pub is_total: bool,
    /// Connections that began in the record's interval, and all that were open in it; `None` when the record is about one.
    pub connections: Option<Opened>,
}

/// Connections that one record of an interval stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// Began in it.
    pub began: u32,
    /// Were open in it, begun earlier or not.
    pub open: u32,
}

impl Volume {
    /// The same with source and destination exchanged; who counted goes with them.
    #[must_use]
    pub fn swapped(self) -> Self {
        let counter = match self.counter {
            Counter::Unknown => Counter::Unknown,
            Counter::Source => Counter::Destination,
            Counter::Destination => Counter::Source,
        };
        Self { bytes: self.bytes.map(Bytes::swapped), counter, ..self }
    }
}
