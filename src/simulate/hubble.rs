//! Writes one line of a Hubble exporter file exactly as Cilium 1.19 does, key order and wrong direction included.
//!
//! In: a record of what one node observed. Out: bytes of one JSON line. Shares no code with the reader, so that
//! each checks the other. Field names, order and omissions follow real 1.19 and 1.20 exporter records.

use std::net::IpAddr;

use super::literal::{self, Clock};
use super::random::mixed;
use crate::model::{Direction, Timestamp};

/// What one end of a record is: address, port, and its JSON object (see [`super::identity`]).
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Address in the record.
    pub address: IpAddr,
    /// Port; 0 is left out, as protobuf defaults are.
    pub port: u16,
    /// The `source` or `destination` object.
    pub object: &'a [u8],
}

/// TCP flags of the packet that made the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flags {
    /// First packet of a client.
    Syn,
    /// First packet of a server.
    SynAck,
    /// Data.
    PshAck,
    /// Nothing but an acknowledgement.
    Ack,
    /// Orderly end.
    FinAck,
    /// Refusal or abort.
    RstAck,
}

impl Flags {
    const fn json(self) -> &'static str {
        match self {
            Self::Syn => r#","flags":{"SYN":true}"#,
            Self::SynAck => r#","flags":{"SYN":true,"ACK":true}"#,
            Self::PshAck => r#","flags":{"PSH":true,"ACK":true}"#,
            Self::Ack => r#","flags":{"ACK":true}"#,
            Self::FinAck => r#","flags":{"FIN":true,"ACK":true}"#,
            Self::RstAck => r#","flags":{"RST":true,"ACK":true}"#,
        }
    }

    const fn summary(self) -> &'static str {
        match self {
            Self::Syn => "TCP Flags: SYN",
            Self::SynAck => "TCP Flags: SYN, ACK",
            Self::PshAck => "TCP Flags: ACK, PSH",
            Self::Ack => "TCP Flags: ACK",
            Self::FinAck => "TCP Flags: ACK, FIN",
            Self::RstAck => "TCP Flags: ACK, RST",
        }
    }
}

/// The `l4` object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP; `None` in L7 records, which know no flags.
    Tcp(Option<Flags>),
    /// UDP.
    Udp,
}

/// The word of Hubble.
const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "INGRESS",
        Direction::Egress => "EGRESS",
    }
}

/// Where a trace was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Handed to the kernel's routing.
    ToStack,
    /// Leaving the node's device.
    ToNetwork,
    /// Delivered to a local pod.
    ToEndpoint,
}

/// What connection tracking said of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// First packet of a connection.
    New,
    /// Later packet of the client.
    Established,
    /// Packet of the server.
    Reply,
}

/// What a policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let through.
    Allowed,
    /// Let through, but would be denied outside audit mode.
    Audited,
    /// Denied, because no rule allows it.
    Denied,
}

/// One DNS message at Cilium's DNS proxy.
#[derive(Clone, Copy, Debug)]
pub struct DnsMessage<'a> {
    /// Queried name without the trailing dot.
    pub query: &'a str,
    /// `A` or `AAAA`.
    pub query_type: &'a str,
    /// `None` for the request.
    pub response: Option<DnsResponse<'a>>,
}

/// The answer half of [`DnsMessage`].
#[derive(Clone, Copy, Debug)]
pub struct DnsResponse<'a> {
    /// Addresses of the answer section.
    pub addresses: &'a [IpAddr],
    /// Alias targets without trailing dots.
    pub aliases: &'a [&'a str],
    /// Lowest TTL in seconds; written as the sentinel 4294967295 when nothing was answered.
    pub ttl: u32,
    /// Response code; 0 is left out.
    pub rcode: u8,
}

/// What kind of event the record reports.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A packet passed a point of the datapath.
    Trace {
        /// Where.
        point: Point,
        /// State of its connection.
        reason: Reason,
        /// Index and name of the device, at points that know it.
        interface: Option<(u32, &'a str)>,
    },
    /// A policy decided on a new connection.
    Verdict {
        /// Its decision.
        outcome: Outcome,
        /// Whose policy.
        direction: Direction,
        /// The JSON array of policies that allowed it; empty when unknown.
        policies: &'a [u8],
    },
    /// A packet was dropped by default deny.
    Drop {
        /// Whose policy.
        direction: Direction,
    },
    /// A DNS message at the proxy.
    Dns(DnsMessage<'a>),
}

/// One observation.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The agent's time.
    pub time: Timestamp,
    /// 128 random bits; version and variant are set on writing.
    pub uuid: u128,
    /// Sender of the packet.
    pub source: Side<'a>,
    /// Receiver of the packet.
    pub destination: Side<'a>,
    /// Layer 4.
    pub transport: Transport,
    /// Name of the node as `cluster/node`.
    pub node_name: &'a str,
    /// The JSON array of the node's labels.
    pub node_labels: &'a [u8],
    /// Names known for the destination (only with a DNS policy on the pod).
    pub destination_names: &'a [&'a str],
    /// The event.
    pub event: Event<'a>,
}

/// Sentinel that Cilium writes as the TTL of an answer without records.
const NO_TTL: u64 = 4_294_967_295;

/// Writes records; keeps the date between lines.
#[derive(Clone, Debug, Default)]
pub struct HubbleWriter {
    clock: Clock,
    time: Vec<u8>,
}

impl HubbleWriter {
    /// Appends `record` and a newline.
    pub fn write(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.time.clear();
        self.clock.write(&mut self.time, record.time);
        put(out, r#"{"flow":{"time":""#);
        out.extend_from_slice(&self.time);
        put(out, r#"","uuid":""#);
        literal::uuid(out, record.uuid);
        put(out, r#"","emitter":{"name":"Hubble","version":"1.19.1+gd0d0c879"},"verdict":""#);
        put(out, verdict(&record.event));
        packet(out, record);
        put(out, r#","source":"#);
        out.extend_from_slice(record.source.object);
        put(out, r#","destination":"#);
        out.extend_from_slice(record.destination.object);
        put(out, if matches!(record.event, Event::Dns(_)) { r#","Type":"L7""# } else { r#","Type":"L3_L4""# });
        put(out, r#","node_name":"#);
        literal::quoted(out, record.node_name);
        put(out, r#","node_labels":"#);
        out.extend_from_slice(record.node_labels);
        if !record.destination_names.is_empty() {
            put(out, r#","destination_names":"#);
            literal::quoted_list(out, record.destination_names.iter().copied());
        }
        event(out, record);
        put(out, r#"},"node_name":"#);
        literal::quoted(out, record.node_name);
        self.end(out);
    }

    /// Appends a record of lost events; their node name lacks the cluster, as upstream writes it.
    pub fn write_lost(&mut self, out: &mut Vec<u8>, node: &str, from: Timestamp, until: Timestamp, lost: u64) {
        put(out, r#"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":""#);
        literal::decimal(out, lost);
        put(out, r#"","cpu":1,"first":""#);
        self.clock.write(out, from);
        put(out, r#"","last":""#);
        self.clock.write(out, until);
        put(out, r#""},"node_name":"#);
        literal::quoted(out, node);
        self.time.clear();
        self.clock.write(&mut self.time, until);
        self.end(out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        put(out, r#","time":""#);
        out.extend_from_slice(&self.time);
        put(out, "\"}\n");
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

const fn verdict(event: &Event<'_>) -> &'static str {
    match event {
        Event::Trace { .. } | Event::Dns(_) | Event::Verdict { outcome: Outcome::Allowed, .. } => "FORWARDED",
        Event::Verdict { outcome: Outcome::Audited, .. } => "AUDIT",
        Event::Verdict { outcome: Outcome::Denied, .. } | Event::Drop { .. } => "DROPPED",
    }
}

const fn is_denied(event: &Event<'_>) -> bool {
    matches!(event, Event::Verdict { outcome: Outcome::Denied, .. } | Event::Drop { .. })
}

/// From the end of the verdict to the end of `l4`.
fn packet(out: &mut Vec<u8>, record: &Record<'_>) {
    put(out, if is_denied(&record.event) { r#"","drop_reason":133"# } else { "\"" });
    let (source, destination) = (record.source, record.destination);
    if !matches!(record.event, Event::Dns(_)) {
        put(out, r#","ethernet":{"source":""#);
        mac(out, source.address);
        put(out, r#"","destination":""#);
        mac(out, destination.address);
        put(out, "\"}");
    }
    put(out, r#","IP":{"source":""#);
    literal::address(out, source.address);
    put(out, r#"","destination":""#);
    literal::address(out, destination.address);
    put(
        out,
        if source.address.is_ipv6() { r#"","ipVersion":"IPv6"},"l4":{"# } else { r#"","ipVersion":"IPv4"},"l4":{"# },
    );
    put(out, if record.transport == Transport::Udp { r#""UDP":{"# } else { r#""TCP":{"# });
    if source.port > 0 {
        put(out, r#""source_port":"#);
        literal::decimal(out, u64::from(source.port));
        out.push(b',');
    }
    put(out, r#""destination_port":"#);
    literal::decimal(out, u64::from(destination.port));
    if let Transport::Tcp(Some(flags)) = record.transport {
        put(out, flags.json());
    }
    put(out, "}}");
}

/// A locally administered unicast address that is always the same for one network address.
fn mac(out: &mut Vec<u8>, address: IpAddr) {
    let number = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() & u128::from(u64::MAX)).unwrap_or(0),
    };
    let [first, rest @ .., _, _] = mixed(number).to_be_bytes();
    literal::hexadecimal(out, &[(first & 0xfc) | 2]);
    for octet in rest {
        out.push(b':');
        literal::hexadecimal(out, &[octet]);
    }
}

/// From `reply` to the end of the flow object.
fn event(out: &mut Vec<u8>, record: &Record<'_>) {
    match &record.event {
        Event::Trace { point, reason, interface } => trace(out, *point, *reason, *interface),
        Event::Verdict { outcome, direction, .. } => {
            put(out, r#","event_type":{"type":5},"traffic_direction":""#);
            put(out, word(*direction));
            put(
                out,
                match outcome {
                    Outcome::Allowed => r#"","policy_match_type":2,"is_reply":false"#,
                    Outcome::Audited => r#"","is_reply":false"#,
                    Outcome::Denied => r#"","drop_reason_desc":"POLICY_DENIED""#,
                },
            );
        }
        Event::Drop { direction } => {
            put(out, r#","event_type":{"type":1,"sub_type":133},"traffic_direction":""#);
            put(out, word(*direction));
            put(out, r#"","file":{"name":"bpf_lxc.c","line":1398},"drop_reason_desc":"POLICY_DENIED""#);
        }
        Event::Dns(message) => {
            dns(out, message);
            return;
        }
    }
    put(out, r#","Summary":""#);
    put(
        out,
        match record.transport {
            Transport::Tcp(Some(flags)) => flags.summary(),
            Transport::Tcp(None) => "TCP",
            Transport::Udp => "UDP",
        },
    );
    out.push(b'"');
    if let Event::Verdict { direction, policies, .. } = record.event
        && !policies.is_empty()
    {
        put(out, if direction == Direction::Egress { r#","egress_allowed_by":"# } else { r#","ingress_allowed_by":"# });
        out.extend_from_slice(policies);
    }
}

fn trace(out: &mut Vec<u8>, point: Point, reason: Reason, interface: Option<(u32, &str)>) {
    let is_reply = reason == Reason::Reply;
    if is_reply {
        put(out, r#","reply":true"#);
    }
    // Since 1.16 a delivery into a pod is labelled EGRESS whatever it is; see the direction change in cilium 5a54717ca9.
    put(
        out,
        match (point, is_reply) {
            (Point::ToEndpoint, _) => {
                r#","event_type":{"type":4},"traffic_direction":"EGRESS","trace_observation_point":"TO_ENDPOINT""#
            }
            (Point::ToStack, false) => {
                r#","event_type":{"type":4,"sub_type":3},"traffic_direction":"EGRESS","trace_observation_point":"TO_STACK""#
            }
            (Point::ToStack, true) => {
                r#","event_type":{"type":4,"sub_type":3},"traffic_direction":"INGRESS","trace_observation_point":"TO_STACK""#
            }
            (Point::ToNetwork, _) => {
                r#","event_type":{"type":4,"sub_type":11},"traffic_direction":"EGRESS","trace_observation_point":"TO_NETWORK""#
            }
        },
    );
    put(
        out,
        match reason {
            Reason::New => r#","trace_reason":"NEW","is_reply":false"#,
            Reason::Established => r#","trace_reason":"ESTABLISHED","is_reply":false"#,
            Reason::Reply => r#","trace_reason":"REPLY","is_reply":true"#,
        },
    );
    if let Some((index, name)) = interface {
        put(out, r#","interface":{"index":"#);
        literal::decimal(out, u64::from(index));
        put(out, r#","name":"#);
        literal::quoted(out, name);
        out.push(b'}');
    }
}

fn dns(out: &mut Vec<u8>, message: &DnsMessage<'_>) {
    let name = format!("{}.", message.query);
    put(
        out,
        if message.response.is_some() {
            r#","l7":{"type":"RESPONSE","dns":{"query":"#
        } else {
            r#","l7":{"type":"REQUEST","dns":{"query":"#
        },
    );
    literal::quoted(out, &name);
    let Some(response) = message.response else {
        put(out, r#","observation_source":"proxy","qtypes":["#);
        literal::quoted(out, message.query_type);
        put(out, r#"]}},"event_type":{"type":129},"traffic_direction":"EGRESS","is_reply":false,"Summary":"#);
        literal::quoted(out, &format!("DNS Query {name} {}", message.query_type));
        return;
    };
    let addresses: Vec<String> = response.addresses.iter().map(ToString::to_string).collect();
    let aliases: Vec<String> = response.aliases.iter().map(|alias| format!("{alias}.")).collect();
    if !addresses.is_empty() {
        put(out, r#","ips":"#);
        literal::quoted_list(out, addresses.iter().map(String::as_str));
    }
    put(out, r#","ttl":"#);
    let ttl = if addresses.is_empty() && aliases.is_empty() { NO_TTL } else { u64::from(response.ttl) };
    literal::decimal(out, ttl);
    if !aliases.is_empty() {
        put(out, r#","cnames":"#);
        literal::quoted_list(out, aliases.iter().map(String::as_str));
    }
    put(out, r#","observation_source":"proxy""#);
    if response.rcode > 0 {
        put(out, r#","rcode":"#);
        literal::decimal(out, u64::from(response.rcode));
    }
    put(out, r#","qtypes":["#);
    literal::quoted(out, message.query_type);
    out.push(b']');
    if ttl != NO_TTL {
        put(out, r#","rrtypes":"#);
        let types = aliases.iter().map(|_| "CNAME").chain(addresses.iter().map(|_| message.query_type));
        literal::quoted_list(out, types);
    }
    put(out, r#"}},"reply":true,"event_type":{"type":129},"traffic_direction":"EGRESS","is_reply":true,"Summary":"#);
    let outcome = if response.rcode == 3 {
        "RCode: Non-Existent Domain".to_owned()
    } else if addresses.is_empty() {
        String::new()
    } else {
        format!("\"{}\"", addresses.join(","))
    };
    literal::quoted(out, &format!("DNS Answer {outcome} TTL: {ttl} (Proxy {name} {})", message.query_type));
}
