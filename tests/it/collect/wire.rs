//! Hubble's and Goldmane's JSON as Protocol Buffers, encoded by hand from tables of field numbers, so that the numbers in `proto/` are
//! held against a second copy of them. Fields that the collector does not read are sent, too.

use serde_json::Value;

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Texts,
    Number,
    Truth,
    /// `google.protobuf.BoolValue`: present even when false.
    MaybeTruth,
    Time,
    Member(&'static [(&'static str, u64)]),
    One(Fields),
    Many(Fields),
}
use Kind::{Many, MaybeTruth, Member, Number, One, Text, Texts, Time, Truth};

pub(crate) type Fields = &'static [(&'static str, u64, Kind)];

const VERDICTS: &[(&str, u64)] = &[
    ("FORWARDED", 1),
    ("DROPPED", 2),
    ("ERROR", 3),
    ("AUDIT", 4),
    ("REDIRECTED", 5),
    ("TRACED", 6),
    ("TRANSLATED", 7),
];
const KINDS: &[(&str, u64)] = &[("L3_L4", 1), ("L7", 2), ("SOCK", 3)];
const DIRECTIONS: &[(&str, u64)] = &[("INGRESS", 1), ("EGRESS", 2)];
const REASONS: &[(&str, u64)] = &[("INVALID_SOURCE_IP", 132), ("POLICY_DENIED", 133), ("POLICY_DENY", 181)];
const LOST_AT: &[(&str, u64)] =
    &[("PERF_EVENT_RING_BUFFER", 1), ("OBSERVER_EVENTS_QUEUE", 2), ("HUBBLE_RING_BUFFER", 3)];

const PORTS: Fields = &[("source_port", 1, Number), ("destination_port", 2, Number)];
const FLAGS: Fields =
    &[("FIN", 1, Truth), ("SYN", 2, Truth), ("RST", 3, Truth), ("PSH", 4, Truth), ("ACK", 5, Truth), ("URG", 6, Truth)];
const TCP: Fields = &[("source_port", 1, Number), ("destination_port", 2, Number), ("flags", 3, One(FLAGS))];
const TYPE_AND_CODE: Fields = &[("type", 1, Number), ("code", 2, Number)];
const LAYER4: Fields = &[
    ("TCP", 1, One(TCP)),
    ("UDP", 2, One(PORTS)),
    ("ICMPv4", 3, One(TYPE_AND_CODE)),
    ("ICMPv6", 4, One(TYPE_AND_CODE)),
    ("SCTP", 5, One(PORTS)),
];
const END: Fields = &[
    ("ID", 1, Number),
    ("identity", 2, Number),
    ("namespace", 3, Text),
    ("labels", 4, Texts),
    ("pod_name", 5, Text),
    ("workloads", 6, Many(&[("name", 1, Text), ("kind", 2, Text)])),
    ("cluster_name", 7, Text),
];
const DNS: Fields = &[
    ("query", 1, Text),
    ("ips", 2, Texts),
    ("ttl", 3, Number),
    ("cnames", 4, Texts),
    ("observation_source", 5, Text),
    ("rcode", 6, Number),
    ("qtypes", 7, Texts),
    ("rrtypes", 8, Texts),
];
const HTTP: Fields = &[("code", 1, Number), ("method", 2, Text), ("url", 3, Text), ("protocol", 4, Text)];
const LAYER7: Fields = &[
    ("type", 1, Member(&[("REQUEST", 1), ("RESPONSE", 2), ("SAMPLE", 3)])),
    ("latency_ns", 2, Number),
    ("dns", 100, One(DNS)),
    ("http", 101, One(HTTP)),
];
const FLOW: Fields = &[
    ("time", 1, Time),
    ("verdict", 2, Member(VERDICTS)),
    ("drop_reason", 3, Number),
    ("ethernet", 4, One(&[("source", 1, Text), ("destination", 2, Text)])),
    ("IP", 5, One(&[("source", 1, Text), ("destination", 2, Text)])),
    ("l4", 6, One(LAYER4)),
    ("source", 8, One(END)),
    ("destination", 9, One(END)),
    ("Type", 10, Member(KINDS)),
    ("node_name", 11, Text),
    ("source_names", 13, Texts),
    ("destination_names", 14, Texts),
    ("l7", 15, One(LAYER7)),
    ("reply", 16, Truth),
    ("event_type", 19, One(&[("type", 1, Number), ("sub_type", 2, Number)])),
    ("source_service", 20, One(&[("name", 1, Text), ("namespace", 2, Text)])),
    ("destination_service", 21, One(&[("name", 1, Text), ("namespace", 2, Text)])),
    ("traffic_direction", 22, Member(DIRECTIONS)),
    ("policy_match_type", 23, Number),
    ("drop_reason_desc", 25, Member(REASONS)),
    ("is_reply", 26, MaybeTruth),
    ("interface", 28, One(&[("index", 1, Number), ("name", 2, Text)])),
    ("uuid", 34, Text),
    ("node_labels", 37, Texts),
    ("aggregate", 21007, One(&[("ingress_flow_count", 1, Number), ("egress_flow_count", 2, Number)])),
    ("Summary", 100_000, Text),
    ("extensions", 150_000, One(&[("@type", 1, Text)])),
];
/// `observer.GetFlowsResponse`.
pub(crate) const RESPONSE: Fields = &[
    ("flow", 1, One(FLOW)),
    ("node_status", 2, One(&[("state_change", 1, Number), ("node_names", 2, Texts), ("message", 3, Text)])),
    ("lost_events", 3, One(&[("source", 1, Member(LOST_AT)), ("num_events_lost", 2, Number)])),
    ("node_name", 1000, Text),
    ("time", 1001, Time),
];

const ENDS: &[(&str, u64)] = &[("WorkloadEndpoint", 1), ("HostEndpoint", 2), ("NetworkSet", 3), ("Network", 4)];
const ACTIONS: &[(&str, u64)] = &[("Allow", 1), ("Deny", 2), ("Pass", 3)];
const HIT: Fields = &[
    ("kind", 1, Number),
    ("namespace", 2, Text),
    ("name", 3, Text),
    ("tier", 4, Text),
    ("action", 5, Member(ACTIONS)),
    ("policy_index", 6, Number),
    ("rule_index", 7, Number),
];
const KEY: Fields = &[
    ("source_name", 1, Text),
    ("source_namespace", 2, Text),
    ("source_type", 3, Member(ENDS)),
    ("dest_name", 4, Text),
    ("dest_namespace", 5, Text),
    ("dest_type", 6, Member(ENDS)),
    ("dest_port", 7, Number),
    ("dest_service_name", 8, Text),
    ("dest_service_namespace", 9, Text),
    ("dest_service_port_name", 10, Text),
    ("dest_service_port", 11, Number),
    ("proto", 12, Text),
    ("reporter", 13, Member(&[("Src", 1), ("Dst", 2)])),
    ("action", 14, Member(ACTIONS)),
    ("policies", 15, One(&[("enforced_policies", 1, Many(HIT)), ("pending_policies", 2, Many(HIT))])),
];
/// `goldmane.FlowResult`.
pub(crate) const RESULT: Fields = &[
    ("id", 1, Number),
    (
        "flow",
        2,
        One(&[
            ("Key", 1, One(KEY)),
            ("start_time", 2, Number),
            ("end_time", 3, Number),
            ("source_labels", 4, Texts),
            ("dest_labels", 5, Texts),
            ("packets_in", 6, Number),
            ("packets_out", 7, Number),
            ("bytes_in", 8, Number),
            ("bytes_out", 9, Number),
            ("num_connections_started", 10, Number),
            ("source_ips", 13, Texts),
            ("dest_ips", 14, Texts),
        ]),
    ),
];

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(low(value) | 0x80);
        value >>= 7;
    }
    out.push(low(value));
}

fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap()
}

pub(crate) fn bytes_field(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}

pub(crate) fn number_field(number: u64, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        varint(number << 3, out);
        varint(value, out);
    }
}

/// `google.protobuf.Timestamp`.
pub(crate) fn time(nanos: i64) -> Vec<u8> {
    let mut out = Vec::new();
    number_field(1, nanos.div_euclid(1_000_000_000).cast_unsigned(), &mut out);
    number_field(2, nanos.rem_euclid(1_000_000_000).cast_unsigned(), &mut out);
    out
}

fn whole(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}")))
}

/// Encodes an object; a key that is in no table is left out.
pub(crate) fn encode(fields: Fields, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // Backwards: nothing may rely on the order of fields.
    for (key, number, kind) in fields.iter().rev() {
        let Some(value) = value.get(key).filter(|value| !value.is_null()) else { continue };
        match kind {
            Text => match value.as_str().unwrap() {
                "" => {}
                text => bytes_field(*number, text.as_bytes(), &mut out),
            },
            Texts => {
                for text in value.as_array().unwrap() {
                    bytes_field(*number, text.as_str().unwrap().as_bytes(), &mut out);
                }
            }
            Number => number_field(*number, whole(value), &mut out),
            Truth => number_field(*number, value.as_bool().unwrap().into(), &mut out),
            MaybeTruth => {
                let mut inner = Vec::new();
                number_field(1, value.as_bool().unwrap().into(), &mut inner);
                bytes_field(*number, &inner, &mut out);
            }
            Time => {
                let at = egress_atlas::model::Timestamp::parse(value.as_str().unwrap().as_bytes()).unwrap();
                bytes_field(*number, &time(at.nanos()), &mut out);
            }
            Member(members) => {
                let known = |name: &str| members.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
                let member =
                    value.as_str().map_or_else(|| whole(value), |name| known(name).unwrap_or_else(|| panic!("{name}")));
                number_field(*number, member, &mut out);
            }
            One(fields) => bytes_field(*number, &encode(fields, value), &mut out),
            Many(fields) => {
                for member in value.as_array().unwrap() {
                    bytes_field(*number, &encode(fields, member), &mut out);
                }
            }
        }
    }
    out
}
