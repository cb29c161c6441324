//! Writes a dnstap capture: Frame Streams around dnstap protobuf, as the `dnstap` plugin of CoreDNS emits it.
//!
//! In: DNS messages with their client and times. Out: frames. Field numbers from dnstap.proto (v20250201), framing
//! from fstrm 0.6.1. Shares no code with the reader, so that each checks the other.

use std::net::IpAddr;

use crate::model::Timestamp;

const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";

/// Appends the START frame of a file.
pub fn start(out: &mut Vec<u8>) {
    let type_length = length(CONTENT_TYPE.len());
    for word in [0, 12 + type_length, 2, 1, type_length] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(CONTENT_TYPE);
}

/// Appends the STOP frame of a file.
pub fn stop(out: &mut Vec<u8>) {
    for word in [0_u32, 4, 3] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends one data frame.
pub fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&length(payload.len()).to_be_bytes());
    out.extend_from_slice(payload);
}

/// Who writes the tap, and how.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// `identity`, by default the resolver's host name.
    pub identity: String,
    /// `version`, such as `CoreDNS-1.14.7`.
    pub version: String,
    /// Whether IPv4 clients are written as 16 octets under family INET, as CoreDNS did up to 1.14.4.
    pub mapped_addresses: bool,
}

/// One tapped message of a client.
#[derive(Clone, Copy, Debug)]
pub struct Tap<'a> {
    /// The client.
    pub client: IpAddr,
    /// Its port.
    pub port: u16,
    /// When the query was seen.
    pub query_time: Timestamp,
    /// When the response was written; `None` makes this a `CLIENT_QUERY`.
    pub response_time: Option<Timestamp>,
    /// The query of a `CLIENT_QUERY`, the response of a `CLIENT_RESPONSE`.
    pub message: &'a [u8],
    /// The `extra` text; empty leaves it out.
    pub extra: &'a str,
}

impl Resolver {
    /// Appends the protobuf form of `tap`, without framing.
    pub fn write(&self, out: &mut Vec<u8>, tap: &Tap<'_>) {
        bytes(out, 1, self.identity.as_bytes());
        bytes(out, 2, self.version.as_bytes());
        if !tap.extra.is_empty() {
            bytes(out, 3, tap.extra.as_bytes());
        }
        let mut message = Vec::with_capacity(tap.message.len() + 64);
        self.message(&mut message, tap);
        bytes(out, 14, &message);
        number(out, 15, 1);
    }

    fn message(&self, out: &mut Vec<u8>, tap: &Tap<'_>) {
        number(out, 1, if tap.response_time.is_some() { 6 } else { 5 });
        number(out, 2, if tap.client.is_ipv6() { 2 } else { 1 });
        number(out, 3, 1);
        match tap.client {
            IpAddr::V4(v4) if self.mapped_addresses => bytes(out, 4, &v4.to_ipv6_mapped().octets()),
            IpAddr::V4(v4) => bytes(out, 4, &v4.octets()),
            IpAddr::V6(v6) => bytes(out, 4, &v6.octets()),
        }
        number(out, 6, u64::from(tap.port));
        time(out, 8, tap.query_time);
        if let Some(response_time) = tap.response_time {
            time(out, 12, response_time);
            bytes(out, 14, tap.message);
        } else {
            bytes(out, 10, tap.message);
        }
    }
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, u64::from(length(value.len())));
    out.extend_from_slice(value);
}

/// Seconds as a varint in `field`, nanoseconds as fixed32 in the next.
fn time(out: &mut Vec<u8>, field: u64, time: Timestamp) {
    let nanos = u64::try_from(time.nanos()).unwrap_or(0);
    number(out, field, nanos / 1_000_000_000);
    varint(out, (field + 1) << 3 | 5);
    out.extend_from_slice(&u32::try_from(nanos % 1_000_000_000).unwrap_or(0).to_le_bytes());
}

fn length(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
