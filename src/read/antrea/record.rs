//! What an Antrea flow record means, whatever form it came in.
//!
//! In: named fields. Out: flow rows, or the reason of a refusal. Source and destination are client and server, by
//! connection tracking; the destination is the real endpoint after service translation. A connection gives many
//! records with one start, so that a record stands for the time from its start to its end. Pods are named by the agent
//! for that start and are safe against reused addresses. An empty policy is "none or unknown", never "no rule".

use std::net::IpAddr;

use crate::model::{
    Account, Batch, Bytes, Certainty, ChainId, Counter, Endpoint, EndpointId, FlowRow, IdentityKind, Initiator,
    Protocol, RecordId, Rejected, TextId, Timestamp, Verdict, Vocabulary, Volume,
};

use super::super::fields::{BEYOND_BELIEF, epoch, labels, protocol, zoneless};

/// One end, as texts.
#[derive(Debug, Default)]
pub(in crate::read) struct End {
    pub(in crate::read) address: Option<IpAddr>,
    pub(in crate::read) port: u16,
    pub(in crate::read) namespace: Box<str>,
    pub(in crate::read) pod: Box<str>,
    pub(in crate::read) node: Box<str>,
    pub(in crate::read) labels: Box<[Box<str>]>,
}

/// One record.
#[derive(Debug, Default)]
pub(in crate::read) struct Record {
    pub(in crate::read) start: Option<Timestamp>,
    pub(in crate::read) end: Option<Timestamp>,
    pub(in crate::read) source: End,
    pub(in crate::read) destination: End,
    pub(in crate::read) protocol: Option<Protocol>,
    /// 0 unset, 1 on one node, 2 between nodes, 3 to outside, 4 from outside.
    pub(in crate::read) flow_type: u64,
    /// 0 none, 1 allow, 2 drop, 3 reject.
    pub(in crate::read) ingress_action: u64,
    /// As `ingress_action`.
    pub(in crate::read) egress_action: u64,
    pub(in crate::read) cluster: Box<str>,
    /// Whether source and destination are known to be client and server.
    pub(in crate::read) is_tracked: bool,
    /// What is wrong with the record, the first fault of all.
    pub(in crate::read) fault: Option<Rejected>,
    /// Whether any field was one of a flow record's.
    pub(in crate::read) is_flow: bool,
    /// Whether a time had no zone.
    pub(in crate::read) zoneless: bool,
    /// Counts since the connection began.
    pub(in crate::read) total: Option<Bytes>,
    /// Counts since the record before.
    pub(in crate::read) delta: Option<Bytes>,
}

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_ADDRESS: Rejected = Rejected("address that does not parse");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");
const NO_ADDRESS: Rejected = Rejected("flow record without both addresses");

const NO_TIME: &str = "record without a time";
const BACKWARDS: &str = "record that ends before it starts";
const ZONELESS: &str = "time without a zone, read as UTC";
const NO_SOURCE_POD: &str = "record without a source pod (another node's half, or no pod)";

/// A longer list of labels is not looked at, in bytes.
const LABELS_BYTES_MAX: usize = 64 << 10;

impl Record {
    /// Takes one field by the name that information elements, JSON records or table columns give it.
    pub(in crate::read) fn set(&mut self, name: &str, value: &str) {
        self.is_flow |= self.set_known(name, value);
    }

    fn set_known(&mut self, name: &str, value: &str) -> bool {
        match name {
            "flowStartSeconds" | "flowStartMilliseconds" => self.start = self.time(value).or(self.start),
            "flowEndSeconds" | "flowEndMilliseconds" => self.end = self.time(value).or(self.end),
            "sourceIPv4Address" | "sourceIPv6Address" | "sourceIP" => {
                self.source.address = self.address(value).or(self.source.address);
            }
            "destinationIPv4Address" | "destinationIPv6Address" | "destinationIP" => {
                self.destination.address = self.address(value).or(self.destination.address);
            }
            "sourceTransportPort" => self.source.port = self.port(value),
            "destinationTransportPort" => self.destination.port = self.port(value),
            "protocolIdentifier" => self.protocol = Some(protocol(value)),
            "sourcePodName" => self.source.pod = value.into(),
            "sourcePodNamespace" => self.source.namespace = value.into(),
            "sourceNodeName" => self.source.node = value.into(),
            "destinationPodName" => self.destination.pod = value.into(),
            "destinationPodNamespace" => self.destination.namespace = value.into(),
            "destinationNodeName" => self.destination.node = value.into(),
            "sourcePodLabels" => self.source.labels = pod_labels(value),
            "destinationPodLabels" => self.destination.labels = pod_labels(value),
            "flowType" => self.flow_type = value.parse().unwrap_or(0),
            "ingressNetworkPolicyRuleAction" => self.ingress_action = action(value),
            "egressNetworkPolicyRuleAction" => self.egress_action = action(value),
            "octetTotalCount" => self.total.get_or_insert_default().sent = count(value),
            "reverseOctetTotalCount" => self.total.get_or_insert_default().received = count(value),
            "packetTotalCount" => self.total.get_or_insert_default().packets_sent = count(value),
            "reversePacketTotalCount" => self.total.get_or_insert_default().packets_received = count(value),
            "octetDeltaCount" => self.delta.get_or_insert_default().sent = count(value),
            "reverseOctetDeltaCount" => self.delta.get_or_insert_default().received = count(value),
            "packetDeltaCount" => self.delta.get_or_insert_default().packets_sent = count(value),
            "reversePacketDeltaCount" => self.delta.get_or_insert_default().packets_received = count(value),
            "clusterId" | "clusterUUID" => self.cluster = value.into(),
            _ => return false,
        }
        true
    }

    fn time(&mut self, value: &str) -> Option<Timestamp> {
        if matches!(value, "" | "0") {
            return None;
        }
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let time = if is_number {
            value.parse().ok().and_then(epoch)
        } else {
            Timestamp::parse(value.as_bytes()).or_else(|| {
                self.zoneless = true;
                zoneless(value)
            })
        };
        if time.is_none() {
            self.fault.get_or_insert(BROKEN_TIME);
        }
        // A table's way of saying that there is none.
        time.filter(|time| time.nanos() != 0)
    }

    fn address(&mut self, value: &str) -> Option<IpAddr> {
        if value.is_empty() {
            return None;
        }
        let address = value.parse::<IpAddr>().ok();
        if address.is_none() {
            self.fault.get_or_insert(BROKEN_ADDRESS);
        }
        address.filter(|address| !address.is_unspecified())
    }

    fn port(&mut self, value: &str) -> u16 {
        if value.is_empty() {
            return 0;
        }
        value.parse().unwrap_or_else(|_| {
            self.fault.get_or_insert(BROKEN_PORT);
            0
        })
    }

    /// Adds the rows of the record. `with_cluster` keeps the cluster that the record names.
    pub(in crate::read) fn add(
        &self,
        with_cluster: bool,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) -> Result<(), Rejected> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let (Some(source_address), Some(destination_address)) = (self.source.address, self.destination.address) else {
            return Err(NO_ADDRESS);
        };
        let (start, end) = (self.start.or(self.end), self.end.or(self.start));
        if self.zoneless {
            account.note(ZONELESS);
        }
        if end.is_none() {
            account.note(NO_TIME);
        }
        if self.source.pod.is_empty() {
            account.note(NO_SOURCE_POD);
        }
        let source = Self::endpoint(&self.source, self.flow_type == 4, vocabulary);
        let destination = Self::endpoint(&self.destination, self.flow_type == 3, vocabulary);
        let node = if self.source.node.is_empty() { &self.destination.node } else { &self.source.node };
        let row = FlowRow {
            time: end.unwrap_or(Timestamp::UNKNOWN),
            cluster: if with_cluster { vocabulary.text(&self.cluster) } else { TextId::NONE },
            node: vocabulary.text(node),
            source,
            destination,
            source_address: vocabulary.address(source_address),
            destination_address: vocabulary.address(destination_address),
            source_port: self.source.port,
            destination_port: self.destination.port,
            protocol: self.protocol.unwrap_or(Protocol::UNKNOWN),
            verdict: self.verdict(),
            initiator: if self.is_tracked { Initiator::Source } else { Initiator::Unknown },
            certainty: if self.is_tracked { Certainty::Tracked } else { Certainty::None },
            reported: ChainId::NONE,
            id: RecordId::NONE,
        };
        if let Some(volume) = self.volume(start, account) {
            batch.count_next(volume);
        }
        batch.flows.push(row);
        match start {
            Some(start) if start < row.time => batch.push_further(FlowRow { time: start, ..row }),
            Some(start) if start > row.time => account.note(BACKWARDS),
            _ => {}
        }
        Ok(())
    }

    /// What the record counts. Totals need no other record, and two nodes that report one connection agree on them.
    fn volume(&self, start: Option<Timestamp>, account: &mut Account) -> Option<Volume> {
        let is_believed = |bytes: &Bytes| *bytes != Bytes::default() && !bytes.is_broken();
        let any_broken = [self.total, self.delta].into_iter().flatten().any(|bytes| bytes.is_broken());
        if any_broken {
            account.note(BEYOND_BELIEF);
        }
        let total = self.total.filter(is_believed);
        let bytes = total.or(self.delta.filter(is_believed))?;
        Some(Volume {
            bytes: Some(bytes),
            counter: Counter::Unknown,
            since: start.unwrap_or(Timestamp::UNKNOWN),
            is_total: total.is_some(),
            connections: None,
        })
    }

    fn endpoint(end: &End, is_outside: bool, vocabulary: &mut Vocabulary) -> EndpointId {
        let identity = match (end.pod.is_empty(), is_outside) {
            (false, _) => IdentityKind::Pod,
            (true, true) => IdentityKind::World,
            // Outside, a node, or a pod that only the other node's half names.
            (true, false) => IdentityKind::Unknown,
        };
        vocabulary.endpoint(Endpoint {
            namespace: if end.pod.is_empty() { Box::default() } else { end.namespace.clone() },
            pod: end.pod.clone(),
            workload: None,
            labels: end.labels.clone(),
            identity,
            local: !end.pod.is_empty() && !end.node.is_empty(),
            ..Endpoint::default()
        })
    }

    /// A connection that connection tracking knows was let through, whether a policy selected it or not.
    fn verdict(&self) -> Verdict {
        match (self.egress_action, self.ingress_action) {
            (2 | 3, _) | (_, 2 | 3) => Verdict::Denied,
            _ if self.is_tracked => Verdict::Allowed,
            (1, _) | (_, 1) => Verdict::Allowed,
            _ => Verdict::Unknown,
        }
    }
}

/// A counter; a negative number or none reads as nothing counted.
fn count(value: &str) -> u64 {
    value.parse().unwrap_or(0)
}

/// An action by number or by the word that logs print.
pub(in crate::read) fn action(value: &str) -> u64 {
    match value {
        "Allow" => 1,
        "Drop" => 2,
        "Reject" => 3,
        other => other.parse().unwrap_or(0),
    }
}

/// Labels as a JSON object of texts; empty means unknown, and broken ones are left out.
fn pod_labels(value: &str) -> Box<[Box<str>]> {
    if value.len() < 3 || value.len() > LABELS_BYTES_MAX {
        return Box::default();
    }
    let pairs: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(value).unwrap_or_default();
    let texts: Vec<String> =
        pairs.iter().filter_map(|(key, value)| Some([key, "=", value.as_str()?].concat())).collect();
    labels(texts.iter().map(String::as_str))
}
