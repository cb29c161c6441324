//! A message of Antrea's gRPC stream: the same records as its other forms, in another spelling.
//!
//! In: the bytes of one `GetFlowsResponse`. Out: [`Record`], from which rows are made in one place. Addresses come as bytes, and a
//! label set that is missing is unknown. Source: Antrea's schemas as of 2.7.

use std::net::IpAddr;

use prost::Message;

use crate::model::{Protocol, Rejected, Timestamp};

use super::super::fields::labels;
use super::record::{End, Record};

/// The types that the compiler of Protocol Buffers makes of `proto/antrea.proto`.
#[expect(unreachable_pub, reason = "the compiler's own words")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/antrea.rs"));
}

const BROKEN_PROTOBUF: Rejected = Rejected("broken protobuf");
const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_ADDRESS: Rejected = Rejected("address that does not parse");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");

/// The request: records that end at `since` or later, and what follows, of all namespaces; without `since` all that are held.
pub(in crate::read) fn request(since: Option<Timestamp>) -> Vec<u8> {
    let since = since.map(|since| wire::Timestamp {
        seconds: since.nanos().div_euclid(1_000_000_000),
        nanos: i32::try_from(since.nanos().rem_euclid(1_000_000_000)).unwrap_or(0),
    });
    wire::GetFlowsRequest { since, follow: true, cluster_wide: true }.encode_to_vec()
}

/// Some records of a stream.
#[derive(Debug)]
pub(in crate::read) struct Flows {
    /// Each as it came.
    pub(in crate::read) flows: Vec<Vec<u8>>,
    /// How many were dropped because the client was slow, since the stream began.
    pub(in crate::read) dropped: u64,
}

impl Flows {
    /// Reads a message.
    pub(in crate::read) fn read(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let response = wire::GetFlowsResponse::decode(bytes)?;
        Ok(Self { flows: response.flows, dropped: response.dropped_count })
    }
}

/// When a record ends, as far as it can be read.
pub(in crate::read) fn end_of(flow: &[u8]) -> Option<Timestamp> {
    time(wire::Flow::decode(flow).ok()?.end_ts?)
}

fn time(time: wire::Timestamp) -> Option<Timestamp> {
    Timestamp::from_parts(u64::try_from(time.seconds).ok()?, u32::try_from(time.nanos).ok()?)
}

/// Reads one record.
pub(in crate::read) fn read(flow: &[u8]) -> Result<Record, Rejected> {
    let flow = wire::Flow::decode(flow).map_err(|_| BROKEN_PROTOBUF)?;
    let instant = |at: Option<wire::Timestamp>| at.map(|at| time(at).ok_or(BROKEN_TIME)).transpose();
    let (ip, transport, kubernetes) =
        (flow.ip.unwrap_or_default(), flow.transport.unwrap_or_default(), flow.k8s.unwrap_or_default());
    let port = |port: u32| u16::try_from(port).map_err(|_| BROKEN_PORT);
    let number = |number: i32| u64::try_from(number).unwrap_or(0);
    Ok(Record {
        start: instant(flow.start_ts)?,
        end: instant(flow.end_ts)?,
        source: End {
            address: address(&ip.source)?,
            port: port(transport.source_port)?,
            namespace: kubernetes.source_pod_namespace.into(),
            pod: kubernetes.source_pod_name.into(),
            node: kubernetes.source_node_name.into(),
            labels: label_set(kubernetes.source_pod_labels.as_ref()),
        },
        destination: End {
            address: address(&ip.destination)?,
            port: port(transport.destination_port)?,
            namespace: kubernetes.destination_pod_namespace.into(),
            pod: kubernetes.destination_pod_name.into(),
            node: kubernetes.destination_node_name.into(),
            labels: label_set(kubernetes.destination_pod_labels.as_ref()),
        },
        protocol: u8::try_from(transport.protocol_number).ok().map(Protocol),
        flow_type: number(kubernetes.flow_type),
        ingress_action: number(kubernetes.ingress_network_policy_rule_action),
        egress_action: number(kubernetes.egress_network_policy_rule_action),
        is_tracked: true,
        is_flow: true,
        ..Record::default()
    })
}

fn address(bytes: &[u8]) -> Result<Option<IpAddr>, Rejected> {
    let address = match bytes.len() {
        0 => None,
        4 => bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => return Err(BROKEN_ADDRESS),
    };
    Ok(address.filter(|address| !address.is_unspecified()))
}

fn label_set(set: Option<&wire::Labels>) -> Box<[Box<str>]> {
    let texts: Vec<String> =
        set.into_iter().flat_map(|set| &set.labels).map(|(key, value)| [key, "=", value].concat()).collect();
    labels(texts.iter().map(String::as_str))
}
