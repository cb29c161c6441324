//! The shapes of Hubble's JSON, as far as this program needs them, under every spelling of their keys.
//!
//! In: one JSON object. Out: borrowed texts and numbers, nothing interpreted yet. Keys come as the schema names them
//! (`is_reply`) or as proto3 JSON does by default (`isReply`). Source: `flow.proto` and `observer.proto` of Cilium 1.19.

use serde::de::{IgnoredAny, MapAccess};

use super::json::{First, LooseObject, ObjectVisitor, Scalar, Texts, loose_object};

loose_object! {
    /// `flow.IP`.
    Ip {
        source: Scalar<'de> = "source",
        destination: Scalar<'de> = "destination",
    }
}

loose_object! {
    /// `flow.TCPFlags`.
    TcpFlags {
        syn: Scalar<'de> = "SYN",
        ack: Scalar<'de> = "ACK",
    }
}

loose_object! {
    /// Any member of `flow.Layer4`.
    Transport {
        source_port: Scalar<'de> = "source_port" | "sourcePort",
        destination_port: Scalar<'de> = "destination_port" | "destinationPort",
        flags: TcpFlags<'de> = "flags",
    }
}

loose_object! {
    /// `flow.ICMPv4` and `flow.ICMPv6`.
    Icmp {
        kind: Scalar<'de> = "type",
        code: Scalar<'de> = "code",
    }
}

loose_object! {
    /// `flow.Layer4`.
    Layer4 {
        tcp: Option<Transport<'de>> = "TCP",
        udp: Option<Transport<'de>> = "UDP",
        sctp: Option<Transport<'de>> = "SCTP",
        icmp_v4: Option<Icmp<'de>> = "ICMPv4",
        icmp_v6: Option<Icmp<'de>> = "ICMPv6",
        vrrp: Option<IgnoredAny> = "VRRP",
        igmp: Option<IgnoredAny> = "IGMP",
    }
}

loose_object! {
    /// `flow.Workload`.
    Owner {
        name: Scalar<'de> = "name",
        kind: Scalar<'de> = "kind",
    }
}

loose_object! {
    /// `flow.Endpoint`.
    End {
        id: Scalar<'de> = "ID",
        identity: Scalar<'de> = "identity",
        cluster_name: Scalar<'de> = "cluster_name" | "clusterName",
        namespace: Scalar<'de> = "namespace",
        labels: Texts<'de> = "labels",
        pod_name: Scalar<'de> = "pod_name" | "podName",
        workloads: First<Owner<'de>> = "workloads",
    }
}

loose_object! {
    /// `flow.DNS`.
    Dns {
        query: Scalar<'de> = "query",
        ips: Texts<'de> = "ips",
        ttl: Scalar<'de> = "ttl",
        cnames: Texts<'de> = "cnames",
        rcode: Scalar<'de> = "rcode",
        qtypes: Texts<'de> = "qtypes",
    }
}

loose_object! {
    /// `flow.Layer7`.
    Layer7 {
        kind: Scalar<'de> = "type",
        dns: Option<Dns<'de>> = "dns",
    }
}

loose_object! {
    /// `flow.CiliumEventType`.
    EventType {
        kind: Scalar<'de> = "type",
    }
}

loose_object! {
    /// `flow.Flow`.
    Flow {
        time: Scalar<'de> = "time",
        uuid: Scalar<'de> = "uuid",
        verdict: Scalar<'de> = "verdict",
        drop_reason: Scalar<'de> = "drop_reason" | "dropReason",
        drop_reason_desc: Scalar<'de> = "drop_reason_desc" | "dropReasonDesc",
        ip: Option<Ip<'de>> = "IP",
        l4: Layer4<'de> = "l4",
        source: End<'de> = "source",
        destination: End<'de> = "destination",
        kind: Scalar<'de> = "Type",
        node_name: Scalar<'de> = "node_name" | "nodeName",
        source_names: Texts<'de> = "source_names" | "sourceNames",
        destination_names: Texts<'de> = "destination_names" | "destinationNames",
        l7: Option<Layer7<'de>> = "l7",
        reply: Scalar<'de> = "reply",
        is_reply: Scalar<'de> = "is_reply" | "isReply",
        event_type: EventType<'de> = "event_type" | "eventType",
        summary: Option<IgnoredAny> = "Summary",
        aggregate: Option<IgnoredAny> = "aggregate",
        extensions: Option<IgnoredAny> = "extensions",
    }
    unneeded {
        "emitter" | "auth_type" | "authType" | "ethernet" | "tunnel" | "node_labels" | "nodeLabels" | "source_service"
        | "sourceService" | "destination_service" | "destinationService" | "traffic_direction" | "trafficDirection"
        | "policy_match_type" | "policyMatchType" | "trace_observation_point" | "traceObservationPoint"
        | "trace_reason" | "traceReason" | "file" | "ip_trace_id" | "ipTraceId" | "debug_capture_point"
        | "debugCapturePoint" | "interface" | "proxy_port" | "proxyPort" | "trace_context" | "traceContext"
        | "sock_xlate_point" | "sockXlatePoint" | "socket_cookie" | "socketCookie" | "cgroup_id" | "cgroupId"
        | "egress_allowed_by" | "egressAllowedBy" | "ingress_allowed_by" | "ingressAllowedBy" | "egress_denied_by"
        | "egressDeniedBy" | "ingress_denied_by" | "ingressDeniedBy" | "policy_log" | "policyLog"
    }
    counts unknown
}

loose_object! {
    /// `flow.LostEvent`.
    LostEvents {
        source: Scalar<'de> = "source",
        events: Scalar<'de> = "num_events_lost" | "numEventsLost",
    }
}

/// One JSON object of a Hubble stream: a response, an export event, a bare flow, or a container log's envelope.
#[derive(Debug, Default)]
pub(super) struct Record<'de> {
    /// The wrapped flow.
    pub(super) flow: Option<Flow<'de>>,
    /// A loss report.
    pub(super) lost_events: Option<LostEvents<'de>>,
    /// A relay's report of the state of nodes.
    pub(super) node_status: Option<IgnoredAny>,
    /// An event of the Cilium agent.
    pub(super) agent_event: Option<IgnoredAny>,
    /// A debug event of the datapath.
    pub(super) debug_event: Option<IgnoredAny>,
    /// The line that a container runtime wrapped.
    pub(super) log: Scalar<'de>,
    /// The object's own keys read as a flow's: a bare flow, and the outer `time` and `node_name` of all others.
    pub(super) outer: Flow<'de>,
}

impl<'de> LooseObject<'de> for Record<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "flow" => self.flow = map.next_value()?,
            "lost_events" | "lostEvents" => self.lost_events = map.next_value()?,
            "node_status" | "nodeStatus" => self.node_status = map.next_value()?,
            "agent_event" | "agentEvent" => self.agent_event = map.next_value()?,
            "debug_event" | "debugEvent" => self.debug_event = map.next_value()?,
            "log" => self.log = map.next_value()?,
            _ => return self.outer.take(key, map),
        }
        Ok(true)
    }

    fn skipped(&mut self) {
        self.outer.skipped();
    }
}

impl<'de> serde::Deserialize<'de> for Record<'de> {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(std::marker::PhantomData))
    }
}

/// What a JSON object turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"flow":{..}}`.
    Wrapped,
    /// A flow without a wrapper.
    Bare,
    /// `{"lost_events":{..}}`.
    LostEvents,
    /// `{"node_status":{..}}`.
    NodeStatus,
    /// `{"agent_event":{..}}`.
    AgentEvent,
    /// `{"debug_event":{..}}`.
    DebugEvent,
    /// `{"log":".."}`.
    Envelope,
    /// Nothing that Hubble writes.
    Foreign,
}

impl Record<'_> {
    /// What this object is.
    pub(super) fn shape(&self) -> Shape {
        if let Some(flow) = &self.flow {
            // Calico's Goldmane wraps its flows in the same key, with none of Hubble's inside.
            let foreign = flow.unknown > 0 && flow.ip.is_none() && flow.verdict.is_absent() && flow.time.is_absent();
            return if foreign { Shape::Foreign } else { Shape::Wrapped };
        }
        if self.lost_events.is_some() {
            Shape::LostEvents
        } else if self.node_status.is_some() {
            Shape::NodeStatus
        } else if self.agent_event.is_some() {
            Shape::AgentEvent
        } else if self.debug_event.is_some() {
            Shape::DebugEvent
        } else if self.outer.ip.is_some() || !self.outer.verdict.is_absent() {
            Shape::Bare
        } else if self.log.text().is_some() {
            Shape::Envelope
        } else {
            Shape::Foreign
        }
    }
}
