//! A message of Goldmane's gRPC stream: the same record as its JSON, in another spelling.
//!
//! In: the bytes of one `FlowResult`. Out: the shapes that the JSON dialects are read into, borrowed from the message, so that
//! what a record means is decided in one place. Source: Goldmane's schema as of Calico 3.32.

use std::borrow::Cow;

use prost::Message;

use crate::model::Timestamp;

use super::super::json::{Scalar, Texts};
use super::flows::Labels;
use super::goldmane::{FlowKey, Hit, Hits, Record, Trace};

/// The types that the compiler of Protocol Buffers makes of `proto/goldmane.proto`.
#[expect(unreachable_pub, reason = "the compiler's own words")]
pub(super) mod wire {
    include!(concat!(env!("OUT_DIR"), "/goldmane.rs"));
}

/// The shortest window that Goldmane has, in seconds.
const WINDOW_SECONDS: i64 = 15;

/// The request: windows from `since` on, for ever; without `since` from now on.
pub(in crate::read) fn request(since: Option<Timestamp>) -> Vec<u8> {
    let start_time_gte = since.map_or(0, |since| since.nanos().div_euclid(1_000_000_000).max(0));
    wire::FlowStreamRequest { start_time_gte, aggregation_interval: WINDOW_SECONDS }.encode_to_vec()
}

/// One flow of a stream.
#[derive(Debug)]
pub(in crate::read) struct Piece {
    /// The flow as it came: its number in the stream is not part of it and changes when it is sent again.
    pub(in crate::read) flow: Vec<u8>,
    /// The beginning of its window.
    pub(in crate::read) begin: Option<Timestamp>,
}

impl Piece {
    /// Reads a message.
    pub(in crate::read) fn read(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let flow = wire::FlowResult::decode(bytes)?.flow;
        let begin = wire::Flow::decode(flow.as_slice())?.start_time;
        let begin = u64::try_from(begin).ok().filter(|begin| *begin > 0);
        Ok(Self { flow, begin: begin.and_then(|begin| Timestamp::from_parts(begin, 0)) })
    }
}

fn text(text: &str) -> Scalar<'_> {
    if text.is_empty() { Scalar::Absent } else { Scalar::Text(Cow::Borrowed(text)) }
}

fn number<N: TryInto<u64>>(number: N) -> Scalar<'static> {
    match number.try_into() {
        Ok(0) => Scalar::Absent,
        Ok(number) => Scalar::Number(number),
        Err(_) => Scalar::Strange,
    }
}

fn list(texts: &[String]) -> Vec<Cow<'_, str>> {
    texts.iter().map(|text| Cow::Borrowed(text.as_str())).collect()
}

/// The record as JSON would have given it.
pub(super) fn spelled(flow: &wire::Flow) -> Record<'_> {
    Record {
        key: flow.key.as_ref().map(key),
        start: number(flow.start_time),
        end: number(flow.end_time),
        source_labels: Labels(list(&flow.source_labels)),
        dest_labels: Labels(list(&flow.dest_labels)),
        started: number(flow.num_connections_started),
        completed: number(flow.num_connections_completed),
        live: number(flow.num_connections_live),
        bytes: [number(flow.bytes_in), number(flow.bytes_out)],
        packets: [number(flow.packets_in), number(flow.packets_out)],
        source_ips: Texts(list(&flow.source_ips)),
        dest_ips: Texts(list(&flow.dest_ips)),
        ..Record::default()
    }
}

fn key(key: &wire::FlowKey) -> FlowKey<'_> {
    let pending = key.policies.iter().flat_map(|policies| &policies.pending_policies);
    let hit = |hit: &wire::PolicyHit| Hit { action: number(hit.action), index: number(hit.policy_index) };
    FlowKey {
        source_name: text(&key.source_name),
        source_namespace: text(&key.source_namespace),
        source_type: number(key.source_type),
        dest_name: text(&key.dest_name),
        dest_namespace: text(&key.dest_namespace),
        dest_type: number(key.dest_type),
        dest_port: number(key.dest_port),
        proto: text(&key.proto),
        reporter: number(key.reporter),
        action: number(key.action),
        policies: Trace { pending: Hits(pending.map(hit).collect()) },
    }
}
