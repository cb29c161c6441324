//! Counters of Calico's records: `in` and `out` of whoever reports, turned into directions of the connection.
//!
//! In: the counters of one record as read. Out: bytes from source to destination and back. A reporter at the source has sent what went out;
//! one at the destination has received it.

use super::super::fields::BEYOND_BELIEF;
use super::super::json::Scalar;
use crate::model::{Account, Bytes, Counter, Opened};

/// Counters in and out.
pub(super) struct InOut<'a, 'de> {
    pub(super) bytes: [&'a Scalar<'de>; 2],
    pub(super) packets: [&'a Scalar<'de>; 2],
}

impl InOut<'_, '_> {
    /// From source to destination and back; `None` when no bytes are stated.
    pub(super) fn bytes(&self, counter: Counter, account: &mut Account) -> Option<Bytes> {
        let [bytes_in, bytes_out] = self.bytes.map(Scalar::number);
        let [packets_in, packets_out] = self.packets.map(|scalar| scalar.number().unwrap_or(0));
        if bytes_in.is_none() && bytes_out.is_none() {
            return None;
        }
        let outward = Bytes {
            sent: bytes_out.unwrap_or(0),
            received: bytes_in.unwrap_or(0),
            packets_sent: packets_out,
            packets_received: packets_in,
        };
        if outward.is_broken() {
            account.note(BEYOND_BELIEF);
            return None;
        }
        Some(if counter == Counter::Destination { outward.swapped() } else { outward })
    }
}

/// Connections of an interval; `None` when the record does not say.
pub(super) fn opened(began: Option<u64>, open: Option<u64>) -> Option<Opened> {
    let number = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let began = number(began?);
    Some(Opened { began, open: open.map_or(began, number).max(began) })
}
