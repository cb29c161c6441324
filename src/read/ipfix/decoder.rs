//! The decoder: bytes of a connection in pieces of any size, datagrams, or chunks of a capture; rows out.
//!
//! In: bytes. Out: rows and account entries, the same however the bytes were cut. It holds at most one message that is
//! not whole yet, and the templates of its session.

use crate::model::{Account, Batch, Excluded, Loss, Place, Rejected, TextId, Timestamp, Vocabulary};

use super::super::antrea::record::Record;
use super::elements;
use super::session::{HEADER_BYTES, Header, Lost, Piece, Session};

const OPTIONS: Excluded = Excluded("IPFIX options record");
const RESERVED: Excluded = Excluded("IPFIX set with a reserved number");
const BROKEN_DATAGRAM: Rejected = Rejected("datagram that is no IPFIX message");

/// Decodes IPFIX. One decoder is one transport session: templates of one never serve another.
#[derive(Debug, Default)]
pub struct IpfixDecoder {
    session: Session,
    /// The beginning of a message whose end has not come yet.
    rest: Vec<u8>,
    /// Stream offset of `rest`.
    offset: u64,
    without_cluster: bool,
}

impl IpfixDecoder {
    /// A session over a connection (TCP, TLS): templates live as long as it does.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session over UDP, one per sender's address and port. A template that was not sent again for
    /// `template_seconds` is forgotten; RFC 7011 section 8.4 asks for three times the sender's refresh interval.
    pub fn udp(template_seconds: u32) -> Self {
        Self { session: Session::udp(template_seconds), ..Self::default() }
    }

    /// Keeps or leaves out the clusters that records name (`clusterId`); they are kept by default.
    #[must_use]
    pub fn with_cluster_ids(mut self, keep: bool) -> Self {
        self.without_cluster = !keep;
        self
    }

    /// Takes the next bytes of a connection, cut anywhere. Rows come as soon as their message is whole.
    ///
    /// An error is final: nobody knows where the next message begins.
    pub fn push(
        &mut self,
        bytes: &[u8],
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) -> Result<(), Lost> {
        let mut waiting = std::mem::take(&mut self.rest);
        waiting.extend_from_slice(bytes);
        let mut rest = waiting.as_slice();
        let outcome = loop {
            if rest.len() < HEADER_BYTES {
                break Ok(());
            }
            let Some(header) = Header::read(rest) else { break Err(Lost { offset: self.offset }) };
            let Some((message, next)) = rest.split_at_checked(header.length) else { break Ok(()) };
            self.message(header, message, vocabulary, batch, account);
            self.offset = self.offset.wrapping_add(message.len() as u64);
            rest = next;
        };
        let done = waiting.len() - rest.len();
        waiting.drain(..done);
        self.rest = waiting;
        outcome
    }

    /// Whether the bytes so far end between messages.
    pub fn is_between_messages(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes one datagram, which holds exactly one message.
    pub fn datagram(&mut self, bytes: &[u8], vocabulary: &mut Vocabulary, batch: &mut Batch, account: &mut Account) {
        match Header::read(bytes).filter(|header| header.length == bytes.len()) {
            Some(header) => self.message(header, bytes, vocabulary, batch, account),
            None => account.reject(BROKEN_DATAGRAM, Place::Byte(self.offset)),
        }
        self.offset = self.offset.saturating_add(bytes.len() as u64);
    }

    /// Decodes a chunk of [`super::IpfixChunks`], which brings the templates that it needs; earlier ones are forgotten.
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.session = Session::default();
        self.rest.clear();
        self.offset = base;
        if let Err(lost) = self.push(chunk, vocabulary, batch, account) {
            account.reject(Rejected("bytes that are no IPFIX message"), Place::Byte(lost.offset));
        }
    }

    fn message(
        &mut self,
        header: Header,
        message: &[u8],
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let (offset, with_cluster) = (self.offset, !self.without_cluster);
        self.session.message(header, message, &mut |piece| match piece {
            Piece::Record { template, .. } if template.is_options => account.exclude(OPTIONS),
            Piece::Record { template, bytes } => {
                let mut record = Record { is_tracked: elements::is_tracked(template), ..Record::default() };
                template.each_value(bytes, |field, value| elements::take(&mut record, *field, value));
                match record.add(with_cluster, vocabulary, batch, account) {
                    Ok(()) => account.accept(),
                    Err(reason) => account.reject(reason, Place::Byte(offset)),
                }
            }
            Piece::Fault { reason, at } => account.reject(reason, Place::Byte(offset.wrapping_add(at as u64))),
            Piece::Gap { records } => batch.losses.push(Loss {
                time: Timestamp::from_parts(u64::from(header.time), 0).unwrap_or(Timestamp::UNKNOWN),
                cluster: TextId::NONE,
                node: TextId::NONE,
                place: vocabulary.text("IPFIX_SEQUENCE_GAP"),
                events: u64::from(records),
            }),
            Piece::Reserved => account.exclude(RESERVED),
        });
    }
}
