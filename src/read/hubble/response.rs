//! A message of Hubble's gRPC stream: the same record as its JSON, in another spelling.
//!
//! In: the bytes of one `GetFlowsResponse`. Out: the shapes of `record`, borrowed from the message, so that everything that a
//! record means is decided where it is decided for JSON. What proto3 leaves out because it is a default is absent here as it is
//! there. Source: `flow.proto` and `observer.proto` of Cilium 1.19.

use std::borrow::Cow;

use prost::Message;
use serde::de::IgnoredAny;

use crate::model::{Account, Batch, Place, Timestamp, Vocabulary};

use super::super::json::{First, Scalar, Texts};
use super::facts::{Clock, Memory};
use super::record::{Dns, End, EventType, Flow, Icmp, Ip, Layer4, Layer7, LostEvents, Owner, TcpFlags, Transport};
use super::{parse, rows};

/// The types that the compiler of Protocol Buffers makes of `proto/hubble.proto`.
#[expect(
    unreachable_pub,
    clippy::large_enum_variant,
    reason = "the compiler's own words; nearly every message is a flow"
)]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/hubble.rs"));
}

use wire::get_flows_response::ResponseTypes;
use wire::layer4::Protocol;

/// One message of a stream.
#[derive(Debug)]
pub(in crate::read) struct Response(wire::GetFlowsResponse);

/// What a relay says of its connection to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Connected.
    Connected,
    /// Not connected, gone, or failed: what happens there is not seen.
    Away,
    /// A state that is not known yet.
    Unknown,
}

/// The request: everything from `since` on, for ever. Without `since` from now on.
pub(in crate::read) fn request(since: Option<Timestamp>) -> Vec<u8> {
    wire::GetFlowsRequest { follow: true, since: since.map(wire_time) }.encode_to_vec()
}

fn wire_time(time: Timestamp) -> wire::Timestamp {
    let (seconds, nanos) = (time.nanos().div_euclid(1_000_000_000), time.nanos().rem_euclid(1_000_000_000));
    wire::Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or(0) }
}

impl Response {
    /// Reads a message; an error is text about the wire format.
    pub(in crate::read) fn read(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        wire::GetFlowsResponse::decode(bytes).map(Self)
    }

    fn flow(&self) -> Option<&wire::Flow> {
        match &self.0.response_types {
            Some(ResponseTypes::Flow(flow)) => Some(flow),
            _ => None,
        }
    }

    /// The node that says it, as it names itself.
    pub(in crate::read) fn node(&self) -> &str {
        let own = self.flow().map_or("", |flow| flow.node_name.as_str());
        if own.is_empty() { &self.0.node_name } else { own }
    }

    /// When it happened.
    pub(in crate::read) fn time(&self) -> Option<Timestamp> {
        match self.clock() {
            Clock::Known(time) => Some(time),
            Clock::Missing | Clock::Broken => None,
        }
    }

    /// What tells the event from all others; empty before Cilium 1.14.
    pub(in crate::read) fn uuid(&self) -> &str {
        self.flow().map_or("", |flow| flow.uuid.as_str())
    }

    /// The state of nodes, if that is what the message is about.
    pub(in crate::read) fn status(&self) -> Option<(NodeState, &[String])> {
        let Some(ResponseTypes::NodeStatus(status)) = &self.0.response_types else { return None };
        let state = match status.state_change {
            1 => NodeState::Connected,
            2..=4 => NodeState::Away,
            _ => NodeState::Unknown,
        };
        Some((state, &status.node_names))
    }

    fn clock(&self) -> Clock {
        let own = self.flow().and_then(|flow| flow.time.as_ref());
        let Some(time) = own.or(self.0.time.as_ref()) else { return Clock::Missing };
        let parts = u64::try_from(time.seconds).ok().zip(u32::try_from(time.nanos).ok());
        parts.and_then(|(seconds, nanos)| Timestamp::from_parts(seconds, nanos)).map_or(Clock::Broken, Clock::Known)
    }

    /// Accounts for the message and adds its rows.
    pub(super) fn add(
        &self,
        place: Place,
        memory: &mut Memory,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        match &self.0.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                let outer = Flow { node_name: text(&self.0.node_name), ..Flow::default() };
                let mut facts = parse::facts(spelled(flow), &outer, memory, vocabulary);
                facts.time = self.clock();
                rows::add(&facts, place, vocabulary, batch, account);
            }
            Some(ResponseTypes::LostEvents(lost)) => {
                let report = LostEvents { source: number(lost.source), events: Scalar::Number(lost.num_events_lost) };
                let node = text(&self.0.node_name);
                parse::add_loss_at(self.clock(), &report, &node, place, memory, vocabulary, batch, account);
            }
            Some(ResponseTypes::NodeStatus(_)) => account.exclude(parse::NODE_STATUS),
            None => account.exclude(parse::FOREIGN_OBJECT),
        }
    }
}

/// A text as JSON has it: left out when it is empty.
fn text(text: &str) -> Scalar<'_> {
    if text.is_empty() { Scalar::Absent } else { Scalar::Text(Cow::Borrowed(text)) }
}

/// A number as JSON has it: left out when it is zero.
fn number<N: TryInto<u64>>(number: N) -> Scalar<'static> {
    match number.try_into() {
        Ok(0) => Scalar::Absent,
        Ok(number) => Scalar::Number(number),
        Err(_) => Scalar::Strange,
    }
}

fn texts(texts: &[String]) -> Texts<'_> {
    Texts(texts.iter().map(|text| Cow::Borrowed(text.as_str())).collect())
}

fn spelled(flow: &wire::Flow) -> Flow<'_> {
    let ends = [&flow.source, &flow.destination].map(|end| end.as_ref().map(end_of).unwrap_or_default());
    let [source, destination] = ends;
    Flow {
        uuid: text(&flow.uuid),
        verdict: number(flow.verdict),
        drop_reason: number(flow.drop_reason),
        drop_reason_desc: number(flow.drop_reason_desc),
        ip: flow.ip.as_ref().map(|ip| Ip { source: text(&ip.source), destination: text(&ip.destination) }),
        l4: flow.l4.as_ref().map(transport).unwrap_or_default(),
        source,
        destination,
        kind: number(flow.r#type),
        node_name: text(&flow.node_name),
        source_names: texts(&flow.source_names),
        destination_names: texts(&flow.destination_names),
        l7: flow.l7.as_ref().map(layer7),
        reply: if flow.reply { Scalar::Bool(true) } else { Scalar::Absent },
        is_reply: flow.is_reply.map_or(Scalar::Absent, |reply| Scalar::Bool(reply.value)),
        event_type: EventType { kind: number(flow.event_type.unwrap_or_default().r#type) },
        summary: (!flow.summary.is_empty()).then_some(IgnoredAny),
        aggregate: flow.aggregate.map(|_| IgnoredAny),
        extensions: flow.extensions.map(|_| IgnoredAny),
        ..Flow::default()
    }
}

fn end_of(end: &wire::Endpoint) -> End<'_> {
    let owner = end.workloads.first();
    End {
        id: number(end.id),
        identity: number(end.identity),
        cluster_name: text(&end.cluster_name),
        namespace: text(&end.namespace),
        labels: texts(&end.labels),
        pod_name: text(&end.pod_name),
        workloads: First(owner.map(|owner| Owner { name: text(&owner.name), kind: text(&owner.kind) })),
    }
}

fn transport(l4: &wire::Layer4) -> Layer4<'_> {
    let ports = |ports: &wire::Ports| {
        let (source_port, destination_port) = (number(ports.source_port), number(ports.destination_port));
        Some(Transport { source_port, destination_port, ..Transport::default() })
    };
    let icmp = |message: &wire::Icmp| Some(Icmp { kind: number(message.r#type), code: number(message.code) });
    let mut spelled = Layer4::default();
    match &l4.protocol {
        Some(Protocol::Tcp(tcp)) => {
            let flags = tcp.flags.unwrap_or_default();
            spelled.tcp = Some(Transport {
                source_port: number(tcp.source_port),
                destination_port: number(tcp.destination_port),
                flags: TcpFlags { syn: Scalar::Bool(flags.syn), ack: Scalar::Bool(flags.ack) },
            });
        }
        Some(Protocol::Udp(udp)) => spelled.udp = ports(udp),
        Some(Protocol::Sctp(sctp)) => spelled.sctp = ports(sctp),
        Some(Protocol::IcmpV4(message)) => spelled.icmp_v4 = icmp(message),
        Some(Protocol::IcmpV6(message)) => spelled.icmp_v6 = icmp(message),
        Some(Protocol::Vrrp(_)) => spelled.vrrp = Some(IgnoredAny),
        Some(Protocol::Igmp(_)) => spelled.igmp = Some(IgnoredAny),
        None => {}
    }
    spelled
}

fn layer7(layer7: &wire::Layer7) -> Layer7<'_> {
    let dns = layer7.dns.as_ref().map(|dns| Dns {
        query: text(&dns.query),
        ips: texts(&dns.ips),
        ttl: number(dns.ttl),
        cnames: texts(&dns.cnames),
        rcode: number(dns.rcode),
        qtypes: texts(&dns.qtypes),
    });
    Layer7 { kind: number(layer7.r#type), dns }
}
