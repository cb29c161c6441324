//! Goldmane's flows as JSON, in every dialect: proto3 JSON, Go's own encoding, bare keys, `FlowResult`, Whisker's list.
//!
//! In: chunks of lines or objects. Out: one flow row per record, without addresses, since Goldmane has none: the ends
//! are known by namespace and owner. An outside destination is `pub` or `pvt` or a set of networks, so that it can
//! never be joined with DNS; nothing here pretends otherwise. Newer records may list addresses (fields 13 and 14 of
//! an upstream change); then each listed destination is a row.
//!
//! A record is one window of one reporter; its row has the window's end, where everything in it has happened.

use std::net::IpAddr;

use prost::Message;

use crate::model::{
    Account, Batch, Certainty, ChainId, Counter, Excluded, FlowRow, Initiator, Place, RecordId, Rejected, TextId,
    Timestamp, Verdict, Vocabulary, Volume,
};

use super::super::fields::{instant, labels, protocol};
use super::super::json::{LooseObject, ObjectVisitor, Scalar, Texts, loose_object};
use super::super::json_records::{FOREIGN_OBJECT, TakeRecord, each_record};
use super::super::open::Framing;
use super::counts::{InOut, opened};
use super::ends::{End, EndType, address_of};
use super::flows::Labels;
use super::goldmane_wire::{self, wire};

loose_object! {
    /// `PolicyHit`.
    Hit {
        action: Scalar<'de> = "action",
        index: Scalar<'de> = "policy_index" | "policyIndex",
    }
}

/// A list of hits; Whisker may write texts in it, which say nothing here.
#[derive(Debug, Default)]
pub(super) struct Hits<'de>(pub(super) Vec<Hit<'de>>);

impl<'de> serde::Deserialize<'de> for Hits<'de> {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<Vec<Hit<'de>>>::deserialize(deserializer)?.unwrap_or_default()))
    }
}

loose_object! {
    /// `PolicyTrace`.
    Trace {
        pending: Hits<'de> = "pending_policies" | "pendingPolicies" | "pending",
    }
}

loose_object! {
    /// `FlowKey`.
    FlowKey {
        source_name: Scalar<'de> = "source_name" | "sourceName",
        source_namespace: Scalar<'de> = "source_namespace" | "sourceNamespace",
        source_type: Scalar<'de> = "source_type" | "sourceType",
        dest_name: Scalar<'de> = "dest_name" | "destName",
        dest_namespace: Scalar<'de> = "dest_namespace" | "destNamespace",
        dest_type: Scalar<'de> = "dest_type" | "destType",
        dest_port: Scalar<'de> = "dest_port" | "destPort",
        proto: Scalar<'de> = "proto" | "protocol",
        reporter: Scalar<'de> = "reporter",
        action: Scalar<'de> = "action",
        policies: Trace<'de> = "policies",
    }
}

/// `Flow`, or what stands for one: the key may be an object of its own or its fields among the flow's.
#[derive(Debug, Default)]
pub(super) struct Record<'de> {
    pub(super) key: Option<FlowKey<'de>>,
    pub(super) own: FlowKey<'de>,
    pub(super) start: Scalar<'de>,
    pub(super) end: Scalar<'de>,
    pub(super) source_labels: Labels<'de>,
    pub(super) dest_labels: Labels<'de>,
    pub(super) started: Scalar<'de>,
    pub(super) completed: Scalar<'de>,
    pub(super) live: Scalar<'de>,
    pub(super) bytes: [Scalar<'de>; 2],
    pub(super) packets: [Scalar<'de>; 2],
    pub(super) source_ips: Texts<'de>,
    pub(super) dest_ips: Texts<'de>,
}

impl<'de> LooseObject<'de> for Record<'de> {
    fn take<A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "Key" | "key" => self.key = map.next_value()?,
            "start_time" | "startTime" => self.start = map.next_value()?,
            "end_time" | "endTime" => self.end = map.next_value()?,
            "source_labels" | "sourceLabels" => self.source_labels = map.next_value()?,
            "dest_labels" | "destLabels" => self.dest_labels = map.next_value()?,
            "num_connections_started" | "numConnectionsStarted" => self.started = map.next_value()?,
            "num_connections_completed" | "numConnectionsCompleted" => self.completed = map.next_value()?,
            "num_connections_live" | "numConnectionsLive" => self.live = map.next_value()?,
            "bytes_in" | "bytesIn" => self.bytes[0] = map.next_value()?,
            "bytes_out" | "bytesOut" => self.bytes[1] = map.next_value()?,
            "packets_in" | "packetsIn" => self.packets[0] = map.next_value()?,
            "packets_out" | "packetsOut" => self.packets[1] = map.next_value()?,
            "source_ips" | "sourceIps" => self.source_ips = map.next_value()?,
            "dest_ips" | "destIps" => self.dest_ips = map.next_value()?,
            _ => return self.own.take(key, map),
        }
        Ok(true)
    }
}

impl<'de> serde::Deserialize<'de> for Record<'de> {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(std::marker::PhantomData))
    }
}

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");
const BROKEN_PROTOBUF: Rejected = Rejected("broken protobuf");
const TOTALS: Excluded = Excluded("page totals");
const NO_TIME: &str = "record without a time";
const NO_ADDRESS: &str =
    "Goldmane record: it has no addresses, so an outside destination is known only as public or private";
const NETWORK_SET: &str = "destination that is a set of networks, whose name is no domain name";
const BROKEN_ADDRESS: &str = "listed address that does not parse";
const SHARED_COUNTS: &str = "counts of a record with several addresses: nobody knows which of them they belong to";
/// Upstream lists at most so many addresses per flow.
const LISTED_MAX: usize = 100;

/// Decodes Goldmane's JSON.
#[derive(Debug, Default)]
pub struct GoldmaneDecoder;

impl GoldmaneDecoder {
    /// Decodes whole lines or objects; `base` is the byte offset of the chunk in its stream.
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        framing: Framing,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        each_record(chunk, base, framing, &mut Taker { vocabulary, batch }, account);
    }

    /// Decodes one flow of the gRPC stream.
    pub(in crate::read) fn message(
        flow: &[u8],
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        match wire::Flow::decode(flow) {
            Ok(flow) => Taker { vocabulary, batch }.take(&goldmane_wire::spelled(&flow), None, place, account),
            Err(_) => account.reject(BROKEN_PROTOBUF, place),
        }
    }
}

struct Taker<'a> {
    vocabulary: &'a mut Vocabulary,
    batch: &'a mut Batch,
}

impl TakeRecord for Taker<'_> {
    type Record<'de> = Record<'de>;

    fn take(&mut self, record: &Record<'_>, _: Option<&Record<'_>>, place: Place, account: &mut Account) {
        let key = record.key.as_ref().unwrap_or(&record.own);
        if key.source_name.is_absent() && key.dest_name.is_absent() {
            let is_empty = key.action.is_absent() && record.start.is_absent();
            return account.exclude(if is_empty { TOTALS } else { FOREIGN_OBJECT });
        }
        match self.add(record, key, account) {
            Ok(()) => account.accept(),
            Err(reason) => account.reject(reason, place),
        }
    }
}

impl Taker<'_> {
    fn add(&mut self, record: &Record<'_>, key: &FlowKey<'_>, account: &mut Account) -> Result<(), Rejected> {
        let time = time(record)?;
        let destination_port = match &key.dest_port {
            Scalar::Absent => 0,
            port => port.number().and_then(|port| u16::try_from(port).ok()).ok_or(BROKEN_PORT)?,
        };
        let (destination_kind, destination_name) = end_type(&key.dest_type, text(&key.dest_name));
        let (source_kind, source_name) = end_type(&key.source_type, text(&key.source_name));
        let source = end(source_kind, source_name, &key.source_namespace, &record.source_labels);
        let destination = end(destination_kind, destination_name, &key.dest_namespace, &record.dest_labels);
        let (source, destination) = (source.intern(self.vocabulary), destination.intern(self.vocabulary));
        let sources = addresses(&record.source_ips, account);
        let destinations = addresses(&record.dest_ips, account);
        if !time.is_known() {
            account.note(NO_TIME);
        }
        if destinations.is_empty() {
            account.note(NO_ADDRESS);
        }
        if destination_kind == EndType::NetworkSet {
            account.note(NETWORK_SET);
        }
        // Of several clients nobody knows which one called whom.
        let source_address = if let [only] = sources.as_slice() { Some(*only) } else { None };
        let row = FlowRow {
            time,
            cluster: TextId::NONE,
            node: TextId::NONE,
            source,
            destination,
            source_address: address_of(source_address, source, self.vocabulary),
            destination_address: address_of(None, destination, self.vocabulary),
            source_port: 0,
            destination_port,
            protocol: protocol(text(&key.proto)),
            verdict: verdict(key),
            initiator: Initiator::Source,
            certainty: Certainty::Tracked,
            reported: ChainId::NONE,
            id: RecordId::NONE,
        };
        if let Some(volume) = volume(record, key, account) {
            if destinations.len() > 1 {
                account.note(SHARED_COUNTS);
            } else {
                self.batch.count_next(volume);
            }
        }
        let Some((first, rest)) = destinations.split_first() else {
            self.batch.flows.push(row);
            return Ok(());
        };
        self.batch.flows.push(FlowRow { destination_address: self.vocabulary.address(*first), ..row });
        for address in rest {
            let row = FlowRow { destination_address: self.vocabulary.address(*address), ..row };
            self.batch.push_further(row);
        }
        Ok(())
    }
}

fn text<'a>(scalar: &'a Scalar<'_>) -> &'a str {
    scalar.text().unwrap_or_default()
}

fn end<'a>(kind: EndType, name: &'a str, namespace: &'a Scalar<'_>, set: &Labels<'_>) -> End<'a> {
    End {
        kind,
        namespace: text(namespace),
        name,
        aggregate: name,
        labels: labels(set.0.iter().map(AsRef::as_ref)),
        // Both reporters describe an end alike, so that their records meet.
        local: false,
    }
}

/// The type of an end. Whisker leaves it out and writes words for networks.
fn end_type<'a>(scalar: &Scalar<'_>, name: &'a str) -> (EndType, &'a str) {
    let kind = match scalar {
        Scalar::Number(1) => EndType::Workload,
        Scalar::Number(2) => EndType::Host,
        Scalar::Number(3) => EndType::NetworkSet,
        Scalar::Number(4) => EndType::Network,
        Scalar::Text(name) => match &**name {
            "WorkloadEndpoint" => EndType::Workload,
            "HostEndpoint" => EndType::Host,
            "NetworkSet" => EndType::NetworkSet,
            "Network" => EndType::Network,
            _ => EndType::Unknown,
        },
        _ => EndType::Unknown,
    };
    match (kind, name) {
        (EndType::Unknown, "PUBLIC NETWORK") => (EndType::Network, "pub"),
        (EndType::Unknown, "PRIVATE NETWORK") => (EndType::Network, "pvt"),
        other => other,
    }
}

/// What the record counts in its window, in the view of the reporter. Protobuf leaves out zeros.
fn volume(record: &Record<'_>, key: &FlowKey<'_>, account: &mut Account) -> Option<Volume> {
    let counter = match &key.reporter {
        Scalar::Number(1) => Counter::Source,
        Scalar::Number(2) => Counter::Destination,
        Scalar::Text(word) if word.eq_ignore_ascii_case("src") => Counter::Source,
        Scalar::Text(word) if word.eq_ignore_ascii_case("dst") => Counter::Destination,
        _ => return None,
    };
    let counts = InOut { bytes: record.bytes.each_ref(), packets: record.packets.each_ref() };
    let count = |scalar: &Scalar<'_>| scalar.number().unwrap_or(0);
    let states_connections =
        [&record.started, &record.completed, &record.live].iter().any(|scalar| !scalar.is_absent());
    // Those that ended in the window are not live any more.
    let open = count(&record.live).saturating_add(count(&record.completed));
    let began = states_connections.then(|| count(&record.started));
    let since = instant(&record.start).filter(|_| record.start.number() != Some(0));
    let volume = Volume {
        bytes: counts.bytes(counter, account),
        counter,
        since: since.unwrap_or(Timestamp::UNKNOWN),
        is_total: false,
        connections: opened(began, Some(open)),
    };
    (volume.bytes.is_some() || volume.connections.is_some()).then_some(volume)
}

fn time(record: &Record<'_>) -> Result<Timestamp, Rejected> {
    for scalar in [&record.end, &record.start] {
        if !scalar.is_absent() && scalar.number() != Some(0) {
            return instant(scalar).ok_or(BROKEN_TIME);
        }
    }
    Ok(Timestamp::UNKNOWN)
}

/// 1 allow, 2 deny, 3 pass.
fn action(scalar: &Scalar<'_>) -> u64 {
    scalar.member(
        |name| match name {
            b"Allow" | b"allow" => 1,
            b"Deny" | b"deny" => 2,
            b"Pass" | b"pass" => 3,
            _ => 0,
        },
        |number| number,
    )
}

fn verdict(key: &FlowKey<'_>) -> Verdict {
    let pending = key.policies.pending.0.iter().enumerate();
    // An index that is zero is left out; the order of the list decides between equals.
    let last = pending.max_by_key(|(place, hit)| (hit.index.number().unwrap_or(0), *place));
    match action(&key.action) {
        1 if last.is_some_and(|(_, hit)| action(&hit.action) == 2) => Verdict::Audited,
        1 => Verdict::Allowed,
        2 => Verdict::Denied,
        _ => Verdict::Unknown,
    }
}

fn addresses(listed: &Texts<'_>, account: &mut Account) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for text in listed.0.iter().take(LISTED_MAX) {
        match text.parse() {
            Ok(address) => found.push(address),
            Err(_) => account.note(BROKEN_ADDRESS),
        }
    }
    found
}
