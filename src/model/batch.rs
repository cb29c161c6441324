//! The two kinds of row that every reader produces, in fixed size, and the batch that carries them.

use super::{
    AddressId, Certainty, ChainId, EndpointId, Initiator, NameId, Protocol, QuestionRow, RecordId, TextId, Timestamp,
    Verdict, Volume,
};

/// One flow record, as read: ends in packet order, not yet oriented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowRow {
    /// When the record's event happened; [`Timestamp::UNKNOWN`] if the record does not say.
    pub time: Timestamp,
    /// The cluster the record names; none when it names none.
    pub cluster: TextId,
    /// The node that emitted the record.
    pub node: TextId,
    /// The record's source.
    pub source: EndpointId,
    /// The record's destination.
    pub destination: EndpointId,
    /// Source address.
    pub source_address: AddressId,
    /// Destination address.
    pub destination_address: AddressId,
    /// Source port; 0 when there is none. Of ICMP, see [`IcmpMessage::ports`](super::IcmpMessage::ports).
    pub source_port: u16,
    /// Destination port; 0 when there is none.
    pub destination_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// What the CNI did.
    pub verdict: Verdict,
    /// Which end opened the connection.
    pub initiator: Initiator,
    /// How that is known.
    pub certainty: Certainty,
    /// Names that the CNI reported for the *server* end (`destination_names`, or `source_names` of a reply).
    pub reported: ChainId,
    /// The source's own id of the record; none unless ids were asked for.
    pub id: RecordId,
}

/// How a name and an address came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// An A or AAAA record in the answer section.
    Address,
    /// An address hint of an HTTPS or SVCB record (RFC 9460 section 7.3).
    Hint,
    /// An address record in the additional section of an SRV answer.
    Additional,
}

/// One (queried name, address) pair of one answer to one client.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRow {
    /// When the answer was sent.
    pub time: Timestamp,
    /// The cluster that the input named; none when it named none.
    pub cluster: TextId,
    /// Who asked.
    pub client: AddressId,
    /// Pod and namespace that the source claims for the client (a hint, compared with the inventory); none without.
    pub client_hint: EndpointId,
    /// The queried name, search-suffix expansions folded onto the name that was answered.
    pub name: NameId,
    /// The address in the answer.
    pub address: AddressId,
    /// CNAME targets in answer order.
    pub chain: ChainId,
    /// Lowest time to live along the way, in seconds.
    pub ttl_seconds: u32,
    /// Zero-based place of this address among the addresses of the answer.
    pub position: u16,
    /// How many addresses the answer had.
    pub addresses: u16,
    /// How name and address came together.
    pub kind: AnswerKind,
    /// The server that answered (dnstap identity, or the Hubble node).
    pub resolver: TextId,
}

/// Records that a source says it lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When the loss was reported; [`Timestamp::UNKNOWN`] if the record does not say.
    pub time: Timestamp,
    /// The cluster the record names.
    pub cluster: TextId,
    /// The node that lost them.
    pub node: TextId,
    /// Where they were lost, in the source's words (`HUBBLE_RING_BUFFER`, ...).
    pub place: TextId,
    /// How many events.
    pub events: u64,
}

/// What one chunk of input holds. Reused from chunk to chunk.
#[derive(Debug, Default)]
pub struct Batch {
    /// Flow records.
    pub flows: Vec<FlowRow>,
    /// Answers.
    pub answers: Vec<AnswerRow>,
    /// Loss reports.
    pub losses: Vec<Loss>,
    /// Positions in `flows`, ascending, of rows that come from the same record as the row before them: a connection's
    /// start besides its end, a further address. They are observations and no records.
    pub further: Vec<usize>,
    /// What records count, with the position in `flows` of their first row, ascending. Most sources count nothing.
    pub volumes: Vec<(usize, Volume)>,
    /// Questions that got no address.
    pub questions: Vec<QuestionRow>,
    /// Their names, one behind the other.
    pub question_text: String,
}

impl Batch {
    /// Adds a row that the record of the last row also stands for.
    pub fn push_further(&mut self, row: FlowRow) {
        self.further.push(self.flows.len());
        self.flows.push(row);
    }

    /// Notes what the record counts whose first row comes next.
    pub fn count_next(&mut self, volume: Volume) {
        self.volumes.push((self.flows.len(), volume));
    }

    /// What the record counts whose first row is at `place`.
    pub fn volume_at(&self, place: usize) -> Option<Volume> {
        let found = self.volumes.binary_search_by_key(&place, |(own, _)| *own).ok()?;
        self.volumes.get(found).map(|(_, volume)| *volume)
    }

    /// The flow rows of each record.
    pub fn records(&self) -> impl Iterator<Item = &[FlowRow]> {
        let mut further = self.further.iter().copied().peekable();
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at;
            at += 1;
            while further.next_if(|next| *next <= at).is_some() {
                at += 1;
            }
            self.flows.get(start..at)
        })
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.answers.clear();
        self.losses.clear();
        self.further.clear();
        self.volumes.clear();
        self.questions.clear();
        self.question_text.clear();
    }
}
