//! What the fields of a record mean: information elements of IANA and of Antrea, by number.
//!
//! In: one field and its bytes. Out: the value in the record. Numbers may be shorter than their type (RFC 7011 section
//! 6.2); addresses of zeros and texts of no length mean "none". Sources: the IANA registry, `registry_antrea.csv` of
//! go-ipfix.

use std::net::IpAddr;

use super::super::antrea::record::Record;
use super::template::{Field, Template};
use crate::model::{Protocol, Timestamp};

/// Antrea's enterprise number.
const ANTREA: u32 = 56_506;
/// Reverse elements of bidirectional flows (RFC 5103).
const REVERSE: u32 = 29_305;
const BIFLOW_DIRECTION: u16 = 239;

/// Whether source and destination of such records are client and server: Antrea's are, by connection tracking, and
/// bidirectional flows have an initiator.
pub(super) fn is_tracked(template: &Template) -> bool {
    template.fields.iter().any(|field| {
        matches!(field.enterprise, ANTREA | REVERSE) || (field.enterprise == 0 && field.id == BIFLOW_DIRECTION)
    })
}

/// Takes one field.
pub(super) fn take(record: &mut Record, field: Field, value: &[u8]) {
    match (field.enterprise, field.id) {
        (0, 8 | 27) => record.source.address = address(value).or(record.source.address),
        (0, 12 | 28) => record.destination.address = address(value).or(record.destination.address),
        (0, 7) => record.source.port = port(value),
        (0, 11) => record.destination.port = port(value),
        (0, 4) => record.protocol = value.last().copied().map(Protocol),
        (0, 150) => record.start = time(value, 1).or(record.start),
        (0, 151) => record.end = time(value, 1).or(record.end),
        (0, 152) => record.start = time(value, 1_000).or(record.start),
        (0, 153) => record.end = time(value, 1_000).or(record.end),
        (0, 85) => record.total.get_or_insert_default().sent = number(value),
        (0, 86) => record.total.get_or_insert_default().packets_sent = number(value),
        (0, 1) => record.delta.get_or_insert_default().sent = number(value),
        (0, 2) => record.delta.get_or_insert_default().packets_sent = number(value),
        (REVERSE, 85) => record.total.get_or_insert_default().received = number(value),
        (REVERSE, 86) => record.total.get_or_insert_default().packets_received = number(value),
        (REVERSE, 1) => record.delta.get_or_insert_default().received = number(value),
        (REVERSE, 2) => record.delta.get_or_insert_default().packets_received = number(value),
        (ANTREA, id) => take_antrea(record, id, value),
        _ => {}
    }
}

fn take_antrea(record: &mut Record, id: u16, value: &[u8]) {
    let label = |name: &'static str, record: &mut Record| record.set(name, &String::from_utf8_lossy(value));
    match id {
        100 => record.source.namespace = text(value),
        101 => record.source.pod = text(value),
        102 => record.destination.namespace = text(value),
        103 => record.destination.pod = text(value),
        104 => record.source.node = text(value),
        105 => record.destination.node = text(value),
        137 => record.flow_type = number(value),
        139 => record.ingress_action = number(value),
        140 => record.egress_action = number(value),
        143 => label("sourcePodLabels", record),
        144 => label("destinationPodLabels", record),
        158 => record.cluster = text(value),
        _ => {}
    }
}

fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).into()
}

/// An unsigned number of up to eight bytes; longer ones are no number.
fn number(value: &[u8]) -> u64 {
    if value.len() > 8 {
        return 0;
    }
    value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn port(value: &[u8]) -> u16 {
    u16::try_from(number(value)).unwrap_or(0)
}

fn time(value: &[u8], per_second: u64) -> Option<Timestamp> {
    let count = number(value);
    let nanos = u32::try_from(count % per_second * (1_000_000_000 / per_second)).ok()?;
    Timestamp::from_parts(count / per_second, nanos).filter(|_| count > 0)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = match value.len() {
        4 => <[u8; 4]>::try_from(value).ok()?.into(),
        16 => <[u8; 16]>::try_from(value).ok()?.into(),
        _ => return None,
    };
    Some(address).filter(|address| !address.is_unspecified())
}
