//! The facts of one flow record, resolved to numbers and enumerations: what scan and parser both produce.
//!
//! In: pieces of text that either of them found. Out: [`Facts`], from which rows are made in one place. Nothing here
//! decides what a record means; names and numbers of enumerations are those of Cilium's `flow.proto`.

use std::net::IpAddr;

use crate::model::{AddressId, ChainId, IcmpMessage, NameId, Protocol, RecordId, TextId, Timestamp, Vocabulary};

use super::endpoint::EndFacts;
use super::memo::Memo;
use super::recall::{Recall, Tail};
use super::record::Layer7;

/// `flow.Verdict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlowVerdict {
    #[default]
    Unknown,
    Forwarded,
    Dropped,
    Error,
    Audit,
    Redirected,
    Traced,
    Translated,
}

impl FlowVerdict {
    /// By the name in JSON.
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"FORWARDED" => Self::Forwarded,
            b"DROPPED" => Self::Dropped,
            b"ERROR" => Self::Error,
            b"AUDIT" => Self::Audit,
            b"REDIRECTED" => Self::Redirected,
            b"TRACED" => Self::Traced,
            b"TRANSLATED" => Self::Translated,
            _ => Self::Unknown,
        }
    }

    /// By the number in the schema.
    pub(super) fn numbered(number: u64) -> Self {
        match number {
            1 => Self::Forwarded,
            2 => Self::Dropped,
            3 => Self::Error,
            4 => Self::Audit,
            5 => Self::Redirected,
            6 => Self::Traced,
            7 => Self::Translated,
            _ => Self::Unknown,
        }
    }
}

/// `flow.DropReason`, as far as it matters: policy or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DropReason {
    /// None given.
    #[default]
    None,
    /// 133 `POLICY_DENIED` (no rule allows it) or 181 `POLICY_DENY` (a rule denies it).
    Policy,
    /// Anything else.
    Other,
}

impl DropReason {
    /// By the name in JSON.
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"" | b"DROP_REASON_UNKNOWN" => Self::None,
            b"POLICY_DENIED" | b"POLICY_DENY" => Self::Policy,
            _ => Self::Other,
        }
    }

    /// By the number in the schema.
    pub(super) fn numbered(number: u64) -> Self {
        match number {
            0 => Self::None,
            133 | 181 => Self::Policy,
            _ => Self::Other,
        }
    }

    /// This reason, or `other` where this one says nothing.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }
}

/// `flow.FlowType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlowKind {
    #[default]
    Unknown,
    Packet,
    Layer7,
    Socket,
}

impl FlowKind {
    /// By the name in JSON.
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"L3_L4" => Self::Packet,
            b"L7" => Self::Layer7,
            b"SOCK" => Self::Socket,
            _ => Self::Unknown,
        }
    }

    /// By the number in the schema.
    pub(super) fn numbered(number: u64) -> Self {
        match number {
            1 => Self::Packet,
            2 => Self::Layer7,
            3 => Self::Socket,
            _ => Self::Unknown,
        }
    }
}

/// `event_type.type`: the monitor message that the flow was made from.
pub(super) mod event {
    /// A dropped packet.
    pub(in crate::read::hubble) const DROP: u64 = 1;
    /// A policy verdict.
    pub(in crate::read::hubble) const POLICY_VERDICT: u64 = 5;
    /// A socket translation.
    pub(in crate::read::hubble) const SOCKET: u64 = 7;
    /// A proxy's access log.
    pub(in crate::read::hubble) const ACCESS_LOG: u64 = 129;
}

/// An address of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Address {
    /// The record has none.
    #[default]
    Missing,
    /// The text is no address.
    Broken,
    /// The address.
    Known(AddressId),
}

/// The time of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clock {
    /// The record has none.
    #[default]
    Missing,
    /// The text is no time, or one that does not fit.
    Broken,
    /// The time.
    Known(Timestamp),
}

impl Clock {
    /// Reads the flow's own time, else the wrapper's.
    pub(super) fn read(flow: &[u8], outer: &[u8]) -> Self {
        let text = if flow.is_empty() { outer } else { flow };
        if text.is_empty() {
            return Self::Missing;
        }
        Timestamp::parse(text).map_or(Self::Broken, Self::Known)
    }
}

/// The emitting node and its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) cluster: TextId,
    pub(super) name: TextId,
}

/// Everything about one flow record that rows are made from.
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the record")]
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) time: Clock,
    pub(super) uuid: RecordId,
    pub(super) node: Node,
    pub(super) verdict: FlowVerdict,
    pub(super) drop_reason: DropReason,
    pub(super) source_address: Address,
    pub(super) destination_address: Address,
    pub(super) protocol: Protocol,
    /// Source and destination port; `None` when a port is no 16-bit number.
    pub(super) ports: Option<(u16, u16)>,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) source: EndFacts,
    pub(super) destination: EndFacts,
    pub(super) kind: FlowKind,
    pub(super) event: u64,
    pub(super) is_reply: Option<bool>,
    pub(super) old_reply: bool,
    /// Few records have it, and it is larger than all the rest.
    pub(super) l7: Option<Box<Layer7<'a>>>,
    pub(super) source_names: ChainId,
    pub(super) destination_names: ChainId,
    pub(super) has_summary: bool,
    pub(super) has_aggregate: bool,
    pub(super) has_extensions: bool,
    pub(super) has_unknown_fields: bool,
}

/// Type and code of ICMP in place of ports; what is no byte says nothing.
pub(super) fn icmp_ports(protocol: Protocol, kind: u64, code: u64) -> (u16, u16) {
    match (u8::try_from(kind), u8::try_from(code)) {
        (Ok(kind), Ok(code)) => IcmpMessage { kind, code }.ports(protocol),
        _ => (0, 0),
    }
}

const MIB: usize = 1024 * 1024;

/// What the decoder remembers from record to record.
#[derive(Debug)]
pub(super) struct Memory {
    /// Whether record identifiers are kept.
    pub(super) keep_ids: bool,
    /// Endpoint objects.
    pub(super) ends: Memo<EndFacts>,
    /// `destination_names` and `source_names`, as JSON.
    pub(super) name_lists: Memo<ChainId>,
    /// Pieces of JSON that were found to be well-formed and are not needed.
    pub(super) well_formed: Memo<()>,
    /// The last keys of flows, from the reply flag on, as JSON.
    pub(super) tails: Memo<Tail>,
    /// What the next record most likely repeats.
    pub(super) recall: Recall,
    addresses: Memo<Address>,
    nodes: Memo<Node>,
    /// Sizes of the vocabulary after the last use: smaller ones now mean another vocabulary.
    seen: [usize; 5],
}

impl Memory {
    /// An empty memory.
    pub(super) fn new(keep_ids: bool) -> Self {
        Self {
            keep_ids,
            ends: Memo::new(16 * MIB),
            name_lists: Memo::new(2 * MIB),
            well_formed: Memo::new(2 * MIB),
            tails: Memo::new(4 * MIB),
            recall: Recall::new(),
            addresses: Memo::new(8 * MIB),
            nodes: Memo::new(MIB),
            seen: [0; 5],
        }
    }

    /// Forgets all numbers if `vocabulary` cannot be the one they belong to.
    pub(super) fn enter(&mut self, vocabulary: &Vocabulary) {
        if sizes(vocabulary).iter().zip(&self.seen).any(|(now, before)| now < before) {
            self.ends.clear();
            self.name_lists.clear();
            self.addresses.clear();
            self.nodes.clear();
            self.recall.clear();
        }
    }

    /// Remembers how large `vocabulary` has become.
    pub(super) fn leave(&mut self, vocabulary: &Vocabulary) {
        self.seen = sizes(vocabulary);
    }

    /// Reads an address.
    pub(super) fn address(&mut self, text: &[u8], vocabulary: &mut Vocabulary) -> Address {
        if text.is_empty() {
            return Address::Missing;
        }
        let read = || {
            let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
            Some(address.map_or(Address::Broken, |address| Address::Known(vocabulary.address(address))))
        };
        self.addresses.get_or_read(text, read).unwrap_or_default()
    }

    /// Splits `cluster/node` (Cilium writes the node alone when the cluster is called `default`).
    pub(super) fn node(&mut self, text: &[u8], vocabulary: &mut Vocabulary) -> Node {
        if let Some(known) = self.recall.node(text) {
            return known;
        }
        let read = || {
            let text = std::str::from_utf8(text).ok()?;
            let (cluster, name) = text.split_once('/').unwrap_or(("", text));
            Some(Node { cluster: cluster_text(cluster, vocabulary), name: vocabulary.text(name) })
        };
        let node = self.nodes.get_or_read(text, read).unwrap_or_default();
        self.recall.remember_node(text, node);
        node
    }
}

fn sizes(vocabulary: &Vocabulary) -> [usize; 5] {
    [
        vocabulary.texts.len(),
        vocabulary.names.len(),
        vocabulary.addresses.len(),
        vocabulary.endpoints.len(),
        vocabulary.chains.len(),
    ]
}

/// The number of a cluster's name; Cilium's placeholder `default` names none.
pub(super) fn cluster_text(name: &str, vocabulary: &mut Vocabulary) -> TextId {
    if name == "default" { TextId::NONE } else { vocabulary.text(name) }
}

/// The number of a list of names as records spell them; what is no domain name is left out.
pub(super) fn chain<T: AsRef<str>>(names: &[T], vocabulary: &mut Vocabulary) -> ChainId {
    if names.is_empty() {
        return ChainId::NONE;
    }
    let mut ids: Vec<NameId> = Vec::with_capacity(names.len());
    for name in names {
        match vocabulary.spelled_name(name.as_ref()) {
            Some(id) if !id.is_none() && !ids.contains(&id) => ids.push(id),
            _ => {}
        }
    }
    vocabulary.chain(&ids)
}
