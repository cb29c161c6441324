//! One transport session: messages cut into sets and records, with the state that outlives a message.
//!
//! In: whole messages. Out: records with their templates, faults, and gaps of the sequence numbers. A data set without a
//! template is one fault, since nobody knows how many records it holds.

use std::collections::BTreeMap;

use super::template::{DATA_SETS, OPTIONS_SET, TEMPLATE_SET, Template, Templates};
use crate::model::Rejected;

/// The length of a message's header.
pub(super) const HEADER_BYTES: usize = 16;
const VERSION: u16 = 10;

const BROKEN_SET: Rejected = Rejected("broken IPFIX set");
const CUT_OFF: Rejected = Rejected("IPFIX record cut off in its set");
const NO_TEMPLATE: Rejected =
    Rejected("IPFIX data set whose template was not seen (templates are sent once at the beginning of a connection)");

/// A stream that is no stream of IPFIX messages, or has stopped being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no IPFIX message at byte {offset} (version 10 and a length are expected); the framing is lost from here on")]
pub struct Lost {
    /// Where the message should begin.
    pub offset: u64,
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the whole message, in bytes.
    pub(super) length: usize,
    /// Seconds since the epoch.
    pub(super) time: u32,
    pub(super) sequence: u32,
    pub(super) domain: u32,
}

impl Header {
    /// Reads a header; `None` when the bytes are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let &[v1, v0, l1, l0, t3, t2, t1, t0, s3, s2, s1, s0, d3, d2, d1, d0] = bytes.first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        (u16::from_be_bytes([v1, v0]) == VERSION && length >= HEADER_BYTES).then_some(Self {
            length,
            time: u32::from_be_bytes([t3, t2, t1, t0]),
            sequence: u32::from_be_bytes([s3, s2, s1, s0]),
            domain: u32::from_be_bytes([d3, d2, d1, d0]),
        })
    }

    /// Writes a header.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend(VERSION.to_be_bytes());
        out.extend(u16::try_from(self.length).unwrap_or(u16::MAX).to_be_bytes());
        for number in [self.time, self.sequence, self.domain] {
            out.extend(number.to_be_bytes());
        }
    }
}

/// What a message holds, in its order.
pub(super) enum Piece<'a> {
    Record {
        template: &'a Template,
        bytes: &'a [u8],
    },
    Fault {
        reason: Rejected,
        at: usize,
    },
    /// Records that the sequence numbers say are missing before this message.
    Gap {
        records: u32,
    },
    Reserved,
}

/// The state of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) templates: Templates,
    /// The sequence number that the next message of a domain should have.
    expected: BTreeMap<u32, u32>,
}

/// Domains whose sequence is followed.
const DOMAINS_MAX: usize = 4096;

impl Session {
    /// A session over UDP, one per sender's address and port. A template that was not sent again for `template_seconds` is forgotten; RFC 7011
    /// section 8.4 asks for three times the sender's refresh interval.
    pub(super) fn udp(template_seconds: u32) -> Self {
        let mut session = Self::default();
        session.templates.lifetime_seconds = Some(template_seconds);
        session.templates.keeps_withdrawn = true;
        session
    }

    /// Writes all templates that are good at `time` as messages, which hold no records and count as nothing.
    pub(super) fn write_templates(&self, time: u32, chunk: &mut Vec<u8>) {
        let mut domains: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (domain, template) in self.templates.iter().filter(|(_, template)| self.templates.is_good(template, time)) {
            let mut set = Vec::new();
            set.extend(if template.is_options { OPTIONS_SET } else { TEMPLATE_SET }.to_be_bytes());
            set.extend(u16::try_from(template.raw.len() + 4).unwrap_or(u16::MAX).to_be_bytes());
            set.extend_from_slice(&template.raw);
            domains.entry(domain).or_default().push(set);
        }
        for (domain, sets) in domains {
            let expected = self.expected.get(&domain).copied();
            for set in sets {
                let header = Header {
                    length: HEADER_BYTES + set.len(),
                    // A time of zero says that the sequence is not known.
                    time: u32::from(expected.is_some()),
                    sequence: expected.unwrap_or(0),
                    domain,
                };
                header.write(chunk);
                chunk.extend_from_slice(&set);
            }
        }
    }

    /// Walks one whole message, header included.
    pub(super) fn message(&mut self, header: Header, message: &[u8], take: &mut impl FnMut(Piece<'_>)) {
        if let Some(expected) = self.expected.get(&header.domain) {
            let ahead = header.sequence.wrapping_sub(*expected);
            // Backwards is a new session or a message overtaken on its way, and no loss.
            if ahead > 0 && ahead < 1 << 31 {
                take(Piece::Gap { records: ahead });
            }
        }
        let mut at = HEADER_BYTES;
        let mut records = Some(0_u32);
        while message.len().saturating_sub(at) >= 4 {
            let (Some(id), Some(length)) = (number(message, at), number(message, at + 2)) else { break };
            let end = at.saturating_add(usize::from(length));
            let Some(body) = message.get(at + 4..end) else {
                take(Piece::Fault { reason: BROKEN_SET, at });
                records = None;
                break;
            };
            match id {
                TEMPLATE_SET | OPTIONS_SET => {
                    if let Err(reason) = self.templates.learn(id, body, header.domain, header.time) {
                        take(Piece::Fault { reason, at });
                    }
                }
                DATA_SETS.. => {
                    let counted = self.data(header, id, body, at + 4, take);
                    records = records.zip(counted).map(|(all, some)| all.wrapping_add(some));
                }
                _ => take(Piece::Reserved),
            }
            at = end;
        }
        // Without its time a message only hands templates on.
        match records {
            Some(records)
                if header.time != 0
                    && (self.expected.len() < DOMAINS_MAX || self.expected.contains_key(&header.domain)) =>
            {
                self.expected.insert(header.domain, header.sequence.wrapping_add(records));
            }
            _ => {
                self.expected.remove(&header.domain);
            }
        }
    }

    /// Cuts a data set; `None` when the number of its records is not known.
    fn data(
        &self,
        header: Header,
        id: u16,
        body: &[u8],
        start: usize,
        take: &mut impl FnMut(Piece<'_>),
    ) -> Option<u32> {
        let Some(template) = self.templates.get(header.domain, id, header.time) else {
            take(Piece::Fault { reason: NO_TEMPLATE, at: start });
            return None;
        };
        let (mut rest, mut records) = (body, 0_u32);
        while rest.len() >= template.minimum() {
            let length = template.length(rest);
            let Some((bytes, next)) = length.and_then(|length| rest.split_at_checked(length)) else {
                take(Piece::Fault { reason: CUT_OFF, at: start + body.len() - rest.len() });
                return None;
            };
            take(Piece::Record { template, bytes });
            records = records.wrapping_add(1);
            rest = next;
        }
        Some(records)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Whether content begins with IPFIX messages.
pub fn sniff(head: &[u8]) -> bool {
    let Some(first) = Header::read(head) else { return false };
    let set_fits = first.length == HEADER_BYTES
        || (number(head, HEADER_BYTES).is_some_and(|id| matches!(id, TEMPLATE_SET | OPTIONS_SET | DATA_SETS..))
            && number(head, HEADER_BYTES + 2)
                .is_some_and(|length| (4..=first.length - HEADER_BYTES).contains(&usize::from(length))));
    let next = head.get(first.length..).unwrap_or_default();
    set_fits && (next.len() < HEADER_BYTES || Header::read(next).is_some())
}
