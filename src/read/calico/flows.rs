//! `flows.log` of Calico Enterprise and Cloud: one JSON object a line, possibly inside a store's or shipper's wrapper.
//!
//! In: chunks of lines or objects. Out: one flow row per record. A record stands for the *interval* in which the agent
//! counted and not for a connection, so its row has the interval's end: what was answered before the connection began
//! is then before the row. Addresses that aggregation removed are left out and never made up. `in` and `out` are the
//! reporter's view; source and destination are client and server whoever reports.

use crate::model::{
    Account, AddressId, Batch, Certainty, ChainId, Counter, FlowRow, Initiator, Place, RecordId, Rejected, TextId,
    Timestamp, Verdict, Vocabulary, Volume,
};

use super::super::fields::{instant, labels, protocol};
use super::super::json::{Scalar, Texts, loose_object};
use super::super::json_records::{FOREIGN_OBJECT, TakeRecord, each_record};
use super::super::open::Framing;
use super::counts::{InOut, opened};
use super::ends::{End, EndType, address, address_of};
use crate::read::json::LooseObject;

/// Labels in either of the two forms that exist: an object with a list, or the list alone.
#[derive(Debug, Default)]
pub(super) struct Labels<'de>(pub(super) Vec<std::borrow::Cow<'de, str>>);

impl<'de> serde::Deserialize<'de> for Labels<'de> {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> serde::de::Visitor<'de> for LabelsVisitor {
    type Value = Labels<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("labels")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Labels::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Labels(text.split(" | ").map(|label| label.to_owned().into()).collect()))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = list.next_element::<Scalar<'de>>()? {
            if let Scalar::Text(text) = member {
                all.push(text);
            }
        }
        Ok(Labels(all))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let pairs: PairsOrList<'de> = crate::read::json::ObjectVisitor(std::marker::PhantomData).visit_map(map)?;
        Ok(Labels(pairs.0))
    }
}

/// An object that holds `labels`, or whose members are the labels.
#[derive(Default)]
struct PairsOrList<'de>(Vec<std::borrow::Cow<'de, str>>);

impl<'de> LooseObject<'de> for PairsOrList<'de> {
    fn take<A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        if key == "labels" {
            self.0.extend(map.next_value::<Labels<'de>>()?.0);
        } else if let Scalar::Text(value) = map.next_value::<Scalar<'de>>()? {
            self.0.push(format!("{key}={value}").into());
        }
        Ok(true)
    }
}

loose_object! {
    /// The policies that a flow met.
    Policies {
        pending: Texts<'de> = "pending_policies",
    }
}

loose_object! {
    /// One record of `flows.log`.
    FlowLog {
        start: Scalar<'de> = "start_time" | "startTime",
        end: Scalar<'de> = "end_time" | "endTime",
        stored: Scalar<'de> = "@timestamp",
        source_ip: Scalar<'de> = "source_ip",
        source_name: Scalar<'de> = "source_name",
        source_name_aggr: Scalar<'de> = "source_name_aggr",
        source_namespace: Scalar<'de> = "source_namespace",
        source_port: Scalar<'de> = "source_port",
        source_type: Scalar<'de> = "source_type",
        source_labels: Labels<'de> = "source_labels",
        dest_ip: Scalar<'de> = "dest_ip",
        dest_name: Scalar<'de> = "dest_name",
        dest_name_aggr: Scalar<'de> = "dest_name_aggr",
        dest_namespace: Scalar<'de> = "dest_namespace",
        dest_port: Scalar<'de> = "dest_port",
        dest_type: Scalar<'de> = "dest_type",
        dest_labels: Labels<'de> = "dest_labels",
        dest_domains: Texts<'de> = "dest_domains",
        proto: Scalar<'de> = "proto",
        action: Scalar<'de> = "action",
        reporter: Scalar<'de> = "reporter",
        policies: Policies<'de> = "policies",
        num_flows: Scalar<'de> = "num_flows",
        num_flows_started: Scalar<'de> = "num_flows_started",
        bytes_in: Scalar<'de> = "bytes_in",
        bytes_out: Scalar<'de> = "bytes_out",
        packets_in: Scalar<'de> = "packets_in",
        packets_out: Scalar<'de> = "packets_out",
        host: Scalar<'de> = "host",
    }
}

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_ADDRESS: Rejected = Rejected("address that does not parse");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");

const NO_TIME: &str = "record without a time";
const NO_SOURCE_ADDRESS: &str = "aggregated record without the client's address";
pub(in crate::read) const NO_DESTINATION_ADDRESS: &str =
    "aggregated record without the destination's address: only the names that Calico reports can name it";
const NO_SOURCE_PORT: &str = "aggregated record without the client's port";
const NAMES_AT_LIMIT: &str = "dest_domains with five names or more: the list may be cut";
const DOMAINS_LIMIT: usize = 5;

/// Decodes `flows.log`.
#[derive(Debug, Default)]
pub struct CalicoDecoder;

impl CalicoDecoder {
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
}

struct Taker<'a> {
    vocabulary: &'a mut Vocabulary,
    batch: &'a mut Batch,
}

impl TakeRecord for Taker<'_> {
    type Record<'de> = FlowLog<'de>;

    fn take(&mut self, record: &FlowLog<'_>, wrapper: Option<&FlowLog<'_>>, place: Place, account: &mut Account) {
        let host = [Some(record), wrapper].into_iter().flatten().find_map(|record| record.host.text());
        if record.source_name_aggr.is_absent() && record.dest_name_aggr.is_absent() && record.source_ip.is_absent() {
            return account.exclude(FOREIGN_OBJECT);
        }
        match self.row(record, host, account) {
            Ok(row) => {
                if let Some(volume) = volume(record, account) {
                    self.batch.count_next(volume);
                }
                self.batch.flows.push(row);
                account.accept();
            }
            Err(reason) => account.reject(reason, place),
        }
    }
}

impl Taker<'_> {
    fn row(&mut self, record: &FlowLog<'_>, host: Option<&str>, account: &mut Account) -> Result<FlowRow, Rejected> {
        let time = time(record)?;
        let source_address = address(&record.source_ip).map_err(|()| BROKEN_ADDRESS)?;
        let destination_address = address(&record.dest_ip).map_err(|()| BROKEN_ADDRESS)?;
        let (source_port, destination_port) = (port(&record.source_port)?, port(&record.dest_port)?);
        let seen_at = text(&record.reporter);
        let source = End {
            kind: end_type(&record.source_type),
            namespace: text(&record.source_namespace),
            name: text(&record.source_name),
            aggregate: text(&record.source_name_aggr),
            labels: labels(record.source_labels.0.iter().map(AsRef::as_ref)),
            local: seen_at.contains("src"),
        }
        .intern(self.vocabulary);
        let destination = End {
            kind: end_type(&record.dest_type),
            namespace: text(&record.dest_namespace),
            name: text(&record.dest_name),
            aggregate: text(&record.dest_name_aggr),
            labels: labels(record.dest_labels.0.iter().map(AsRef::as_ref)),
            local: seen_at.contains("dst"),
        }
        .intern(self.vocabulary);
        let reported = self.names(record);
        // Other names are other destinations, even when both lack their address.
        let destination_address = match destination_address {
            None if !reported.is_none() => AddressId::unrecorded_but_named(reported),
            address => address_of(address, destination, self.vocabulary),
        };
        note(record, time, [source_address.is_some(), !destination_address.is_unrecorded()], account);
        Ok(FlowRow {
            time,
            cluster: TextId::NONE,
            node: host.map_or(TextId::NONE, |host| self.vocabulary.text(host)),
            source,
            destination,
            source_address: address_of(source_address, source, self.vocabulary),
            destination_address,
            source_port,
            destination_port,
            protocol: match &record.proto {
                Scalar::Number(number) => protocol(&number.to_string()),
                other => protocol(text(other)),
            },
            verdict: verdict(record),
            initiator: Initiator::Source,
            certainty: Certainty::Tracked,
            reported,
            id: RecordId::NONE,
        })
    }

    fn names(&mut self, record: &FlowLog<'_>) -> ChainId {
        let mut ids = Vec::with_capacity(record.dest_domains.0.len());
        for name in &record.dest_domains.0 {
            if let Some(id) = self.vocabulary.spelled_name(name).filter(|id| !id.is_none())
                && !matches!(&**name, "-" | "*")
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
        if ids.is_empty() { ChainId::NONE } else { self.vocabulary.chain(&ids) }
    }
}

fn text<'a>(scalar: &'a Scalar<'_>) -> &'a str {
    scalar.text().unwrap_or_default()
}

fn end_type(scalar: &Scalar<'_>) -> EndType {
    match text(scalar) {
        "wep" => EndType::Workload,
        "hep" => EndType::Host,
        "ns" => EndType::NetworkSet,
        "net" => EndType::Network,
        _ => EndType::Unknown,
    }
}

/// The end of the interval, else its start, else when the record was stored.
fn time(record: &FlowLog<'_>) -> Result<Timestamp, Rejected> {
    for scalar in [&record.end, &record.start, &record.stored] {
        if !scalar.is_absent() {
            return instant(scalar).ok_or(BROKEN_TIME);
        }
    }
    Ok(Timestamp::UNKNOWN)
}

/// What the record counts: differences over its interval, in the view of the reporter.
fn volume(record: &FlowLog<'_>, account: &mut Account) -> Option<Volume> {
    let counter = match text(&record.reporter) {
        "src" => Counter::Source,
        "dst" => Counter::Destination,
        // A host that forwards counts between two interfaces of its own.
        _ => return None,
    };
    let counts =
        InOut { bytes: [&record.bytes_in, &record.bytes_out], packets: [&record.packets_in, &record.packets_out] };
    let open = record.num_flows.number();
    // Without the number of those that began, all count as begun: no fewer than there were.
    let began = record.num_flows_started.number().or(open);
    let since = if record.start.is_absent() { None } else { instant(&record.start) };
    let volume = Volume {
        bytes: counts.bytes(counter, account),
        counter,
        since: since.unwrap_or(Timestamp::UNKNOWN),
        is_total: false,
        connections: opened(began, open),
    };
    (volume.bytes.is_some() || volume.connections.is_some()).then_some(volume)
}

/// A port; null, `-` and 0 are none.
fn port(scalar: &Scalar<'_>) -> Result<u16, Rejected> {
    match scalar {
        Scalar::Absent => Ok(0),
        Scalar::Text(text) if matches!(&**text, "" | "-" | "*") => Ok(0),
        other => other.number().and_then(|number| u16::try_from(number).ok()).ok_or(BROKEN_PORT),
    }
}

fn verdict(record: &FlowLog<'_>) -> Verdict {
    match text(&record.action) {
        "deny" => Verdict::Denied,
        "allow" if pending_denies(&record.policies.pending.0) => Verdict::Audited,
        "allow" => Verdict::Allowed,
        _ => Verdict::Unknown,
    }
}

/// Whether the staged policies would deny. Entries are `index|tier|name|action|rule` in random order; the last by index
/// decides.
fn pending_denies<T: AsRef<str>>(entries: &[T]) -> bool {
    let last = entries
        .iter()
        .filter_map(|entry| {
            let mut parts = entry.as_ref().split('|');
            let index: u32 = parts.next()?.trim().parse().ok()?;
            Some((index, parts.nth(2)?))
        })
        .max();
    last.is_some_and(|(_, action)| action == "deny")
}

fn note(record: &FlowLog<'_>, time: Timestamp, [has_source, has_destination]: [bool; 2], account: &mut Account) {
    if !time.is_known() {
        account.note(NO_TIME);
    }
    if !has_source {
        account.note(NO_SOURCE_ADDRESS);
    }
    if !has_destination {
        account.note(NO_DESTINATION_ADDRESS);
    }
    if has_source && record.source_port.is_absent() && !text(&record.proto).starts_with("icmp") {
        account.note(NO_SOURCE_PORT);
    }
    if record.dest_domains.0.len() >= DOMAINS_LIMIT {
        account.note(NAMES_AT_LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_staged_policy_by_index_decides() {
        assert!(pending_denies(&["1|t|staged:x|deny|1", "0|t|y|pass|3"]));
        assert!(!pending_denies(&["1|t|staged:x|allow|1", "0|t|y|deny|3"]));
        assert!(pending_denies(&["0|default|snp:shop/draft|deny|-1"]));
        assert!(!pending_denies(&["broken", ""]));
        assert!(!pending_denies::<&str>(&[]));
    }
}
