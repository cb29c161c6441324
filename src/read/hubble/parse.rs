//! The tolerant way: any JSON object that Hubble, its tools or its imitators write.
//!
//! In: the text of one object. Out: the same facts as the scan's, or the account entry of a record that is no flow.
//! Only text that is no JSON is an error.

use crate::model::{Account, Batch, Excluded, Loss, Place, Protocol, RecordId, Rejected, Timestamp, Vocabulary};

use super::endpoint::EndFacts;
use super::facts::{Address, Clock, DropReason, Facts, FlowKind, FlowVerdict, Memory, chain, icmp_ports};
use super::json::Scalar;
use super::record::{Flow, Layer4, LostEvents, Record, Shape, Transport};
use super::rows;

/// Text that begins as an object and is no JSON.
pub(super) const BROKEN_JSON: Rejected = Rejected("broken JSON");
/// A line of something else in between, such as the agent's own log.
pub(super) const FOREIGN_LINE: Excluded = Excluded("not a Hubble record");
/// A JSON object of something else.
pub(super) const FOREIGN_OBJECT: Excluded = Excluded("JSON object of no known Hubble shape");
/// A report of lost events, which is no flow.
pub(super) const LOST_EVENTS: Excluded = Excluded("lost events report");
/// An event of the Cilium agent.
pub(super) const AGENT_EVENT: Excluded = Excluded("agent event");
/// A debug event of the datapath.
pub(super) const DEBUG_EVENT: Excluded = Excluded("debug event");
/// A relay's report of the state of nodes.
pub(super) const NODE_STATUS: Excluded = Excluded("node status");

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");

/// Accounts for one object. Gives the text back that a container log's envelope holds, if it is one.
pub(super) fn object(
    text: &str,
    place: Place,
    memory: &mut Memory,
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) -> Option<String> {
    let Ok(record) = serde_json::from_str::<Record<'_>>(text) else {
        account.reject(BROKEN_JSON, place);
        return None;
    };
    match record.shape() {
        Shape::Wrapped => {
            let Record { flow, outer, .. } = record;
            let facts = facts(flow.unwrap_or_default(), &outer, memory, vocabulary);
            rows::add(&facts, place, vocabulary, batch, account);
        }
        Shape::Bare => {
            let facts = facts(record.outer, &Flow::default(), memory, vocabulary);
            rows::add(&facts, place, vocabulary, batch, account);
        }
        Shape::LostEvents => {
            let lost = record.lost_events.unwrap_or_default();
            add_loss(&lost, &record.outer, place, memory, vocabulary, batch, account);
        }
        Shape::NodeStatus => account.exclude(NODE_STATUS),
        Shape::AgentEvent => account.exclude(AGENT_EVENT),
        Shape::DebugEvent => account.exclude(DEBUG_EVENT),
        Shape::Foreign => account.exclude(FOREIGN_OBJECT),
        Shape::Envelope => match record.log {
            Scalar::Text(line) => return Some(line.into_owned()),
            _ => account.exclude(FOREIGN_OBJECT),
        },
    }
    None
}

/// What kind of record `text` is; `None` when it is no JSON object.
pub(super) fn shape(text: &str) -> Option<Shape> {
    serde_json::from_str::<Record<'_>>(text).ok().map(|record| record.shape())
}

/// The line inside a container log's envelope.
pub(super) fn enveloped(text: &str) -> Option<String> {
    match serde_json::from_str::<Record<'_>>(text).ok()?.log {
        Scalar::Text(line) => Some(line.into_owned()),
        _ => None,
    }
}

fn bytes<'a>(scalar: &'a Scalar<'_>) -> &'a [u8] {
    scalar.text().unwrap_or_default().as_bytes()
}

fn clock(flow: &Scalar<'_>, outer: &Scalar<'_>) -> Clock {
    match (flow, outer) {
        (Scalar::Absent | Scalar::Text(_), Scalar::Text(_) | Scalar::Absent) => Clock::read(bytes(flow), bytes(outer)),
        (Scalar::Text(text), _) if !text.is_empty() => Clock::read(text.as_bytes(), b""),
        _ => Clock::Broken,
    }
}

/// The facts of a flow, with what its wrapper says besides.
pub(super) fn facts<'a>(
    flow: Flow<'a>,
    outer: &Flow<'_>,
    memory: &mut Memory,
    vocabulary: &mut Vocabulary,
) -> Facts<'a> {
    let node_name = if flow.node_name.is_absent() { &outer.node_name } else { &flow.node_name };
    let described = flow.drop_reason_desc.member(DropReason::named, DropReason::numbered);
    let ip = flow.ip.unwrap_or_default();
    let (protocol, transport) = transport(flow.l4);
    Facts {
        time: clock(&flow.time, &outer.time),
        uuid: match flow.uuid.text() {
            Some(uuid) if memory.keep_ids => vocabulary.record_id(uuid),
            _ => RecordId::NONE,
        },
        node: memory.node(bytes(node_name), vocabulary),
        verdict: flow.verdict.member(FlowVerdict::named, FlowVerdict::numbered),
        drop_reason: described.or(flow.drop_reason.member(DropReason::named, DropReason::numbered)),
        source_address: address(&ip.source, memory, vocabulary),
        destination_address: address(&ip.destination, memory, vocabulary),
        protocol,
        ports: port(&transport.source_port).zip(port(&transport.destination_port)),
        syn: transport.flags.syn.truth().unwrap_or_default(),
        ack: transport.flags.ack.truth().unwrap_or_default(),
        source: EndFacts::read(&flow.source, vocabulary),
        destination: EndFacts::read(&flow.destination, vocabulary),
        kind: flow.kind.member(FlowKind::named, FlowKind::numbered),
        event: flow.event_type.kind.number().unwrap_or_default(),
        is_reply: flow.is_reply.truth(),
        old_reply: flow.reply.truth().unwrap_or_default(),
        l7: flow.l7.map(Box::new),
        source_names: chain(&flow.source_names.0, vocabulary),
        destination_names: chain(&flow.destination_names.0, vocabulary),
        has_summary: flow.summary.is_some(),
        has_aggregate: flow.aggregate.is_some(),
        has_extensions: flow.extensions.is_some(),
        has_unknown_fields: flow.unknown.saturating_add(outer.unknown) > 0,
    }
}

fn address(scalar: &Scalar<'_>, memory: &mut Memory, vocabulary: &mut Vocabulary) -> Address {
    match scalar {
        Scalar::Absent => Address::Missing,
        Scalar::Text(text) => memory.address(text.as_bytes(), vocabulary),
        _ => Address::Broken,
    }
}

fn port(scalar: &Scalar<'_>) -> Option<u16> {
    if scalar.is_absent() { Some(0) } else { u16::try_from(scalar.number()?).ok() }
}

fn transport(l4: Layer4<'_>) -> (Protocol, Transport<'_>) {
    let Layer4 { tcp, udp, sctp, icmp_v4, icmp_v6, vrrp, igmp } = l4;
    let with_ports = [(Protocol::TCP, tcp), (Protocol::UDP, udp), (Protocol::SCTP, sctp)];
    if let Some((protocol, Some(transport))) = with_ports.into_iter().find(|(_, transport)| transport.is_some()) {
        return (protocol, transport);
    }
    let icmp = [(Protocol::ICMPV4, icmp_v4), (Protocol::ICMPV6, icmp_v6)];
    if let Some((protocol, Some(message))) = icmp.into_iter().find(|(_, message)| message.is_some()) {
        let part = |scalar: &Scalar<'_>| if scalar.is_absent() { Some(0) } else { scalar.number() };
        let (source, destination) = part(&message.kind)
            .zip(part(&message.code))
            .map_or((0, 0), |(kind, code)| icmp_ports(protocol, kind, code));
        let of = |port: u16| Scalar::Number(port.into());
        let (source_port, destination_port) = (of(source), of(destination));
        return (protocol, Transport { source_port, destination_port, ..Transport::default() });
    }
    let without = [(Protocol::VRRP, vrrp.is_some()), (Protocol::IGMP, igmp.is_some())];
    let protocol =
        without.into_iter().find(|(_, present)| *present).map_or(Protocol::UNKNOWN, |(protocol, _)| protocol);
    (protocol, Transport::default())
}

fn add_loss(
    lost: &LostEvents<'_>,
    outer: &Flow<'_>,
    place: Place,
    memory: &mut Memory,
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) {
    add_loss_at(clock(&outer.time, &Scalar::Absent), lost, &outer.node_name, place, memory, vocabulary, batch, account);
}

/// Accounts for a report of lost events at a time that was read before.
#[expect(clippy::too_many_arguments, reason = "what every decoder takes, and the three parts of a report")]
pub(super) fn add_loss_at(
    time: Clock,
    lost: &LostEvents<'_>,
    node_name: &Scalar<'_>,
    place: Place,
    memory: &mut Memory,
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) {
    let time = match time {
        Clock::Broken => return account.reject(BROKEN_TIME, place),
        Clock::Missing => Timestamp::UNKNOWN,
        Clock::Known(time) => time,
    };
    let node = memory.node(bytes(node_name), vocabulary);
    let source = match &lost.source {
        Scalar::Text(name) => name,
        Scalar::Number(1) => "PERF_EVENT_RING_BUFFER",
        Scalar::Number(2) => "OBSERVER_EVENTS_QUEUE",
        Scalar::Number(3) => "HUBBLE_RING_BUFFER",
        _ => "UNKNOWN_LOST_EVENT_SOURCE",
    };
    batch.losses.push(Loss {
        time,
        cluster: node.cluster,
        node: node.name,
        place: vocabulary.text(source),
        events: lost.events.number().unwrap_or_default(),
    });
    account.exclude(LOST_EVENTS);
}
