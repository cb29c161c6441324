//! A DNS response: wire bytes in; the queried name, its addresses and the names on the way out.
//!
//! A walker that reads what the map needs and skips the rest by length: owners are never expanded, so that compression
//! bombs cost nothing; work is bounded by the message and sixteen CNAME targets. What was good before a broken record
//! is kept and said to be so. Every address of the answer section belongs to the queried name, whatever its owner:
//! rewrites, DNAME and careless servers break the owner chain, and clients do not look. Answers to clients only: the
//! caller has sorted out everything else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dns_name;
use crate::model::{AnswerKind, Excluded, Rejected};

/// How many CNAME and alias targets of one message are kept.
pub const CHAIN_MAX: usize = 16;
/// The largest DNS message in octets (RFC 1035 section 4.2.2).
const MESSAGE_BYTES_MAX: usize = u16::MAX as usize;
const HEADER_BYTES: usize = 12;

const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const TYPE_SVCB: u16 = 64;
const TYPE_HTTPS: u16 = 65;
const TYPE_ANY: u16 = 255;

const SVCB_IPV4HINT: u16 = 4;
const SVCB_IPV6HINT: u16 = 6;

/// Why a message yields no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is broken.
    Rejected(Rejected),
    /// It is good, and none of the answers that the map is made of.
    Excluded(Excluded),
}

const fn rejected<T>(reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Rejected(Rejected(reason)))
}

const fn excluded<T>(reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Excluded(Excluded(reason)))
}

/// An address of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub address: IpAddr,
    /// Time to live of its own record, in seconds.
    pub ttl_seconds: u32,
    /// Which record held it.
    pub kind: AnswerKind,
}

/// What one response says about addresses. Reused from message to message.
#[derive(Debug, Default)]
pub struct Answer {
    // Queried name and chain targets, one behind the other.
    text: Vec<u8>,
    name_end: usize,
    chain_ends: Vec<usize>,
    way_ttl_seconds: u32,
    question: u16,
    /// The addresses, in the order of the message.
    pub addresses: Vec<Found>,
    /// The server cut the answer to fit the transport (TC): more addresses may exist.
    pub truncated: bool,
    /// The message breaks off behind what was found.
    pub broken_off: bool,
    /// Records that were passed over because their data is broken.
    pub skipped_records: u32,
    /// Addresses of the other family than the one asked for.
    pub unasked_addresses: u32,
    // SRV records in the answer to an SRV question, bindings in the answer to one for them: only with them does the
    // additional section count (RFC 2782, RFC 9460 section 4.2).
    services: u32,
    // A good answer without an address; true when the name does not exist.
    unanswered: Option<bool>,
}

/// The outline of one resource record.
struct Record {
    kind: u16,
    class: u16,
    ttl_seconds: u32,
    data_start: usize,
    data_end: usize,
}

impl Answer {
    /// Reads a response to a client.
    pub fn read(&mut self, message: &[u8]) -> Result<(), Refusal> {
        self.clear();
        if message.len() > MESSAGE_BYTES_MAX {
            return rejected("DNS message longer than 65,535 bytes");
        }
        let Some(header) = message.first_chunk::<HEADER_BYTES>() else {
            return rejected("broken DNS header");
        };
        let &[_, _, flags, codes, q1, q0, an1, an0, ns1, ns0, ar1, ar0] = header;
        self.truncated = flags & 0x02 != 0;
        if let Err(refusal) = check_flags(flags, codes) {
            let is_missing = flags & 0xf8 == 0x80 && codes & 0x0f == 3 && [q1, q0] == [0, 1];
            self.unanswered = (is_missing && self.read_question(message).is_ok()).then_some(true);
            return Err(refusal);
        }
        match u16::from_be_bytes([q1, q0]) {
            0 => return excluded("DNS answer without a question"),
            1 => {}
            _ => return rejected("DNS message with several questions"),
        }
        let at = self.read_question(message)?;
        let mut section = self.read_section(message, at, [an1, an0], Self::read_answer);
        if self.services > 0 {
            section = section.and_then(|at| self.read_section(message, at, [ns1, ns0], |_, _, _| {}));
            section = section.and_then(|at| self.read_section(message, at, [ar1, ar0], Self::read_additional));
        }
        self.broken_off = section.is_none();
        if !self.addresses.is_empty() {
            Ok(())
        } else if self.broken_off || self.skipped_records > 0 {
            rejected("broken DNS record")
        } else {
            self.unanswered = Some(false);
            excluded("DNS answer without an address")
        }
    }

    /// The queried name of a good response that holds no address, and whether it said that the name does not exist.
    pub fn unanswered(&self) -> Option<(&str, bool)> {
        self.unanswered.map(|is_missing| (self.question_name(), is_missing))
    }

    fn clear(&mut self) {
        self.text.clear();
        self.name_end = 0;
        self.chain_ends.clear();
        self.way_ttl_seconds = u32::MAX;
        self.question = 0;
        self.addresses.clear();
        self.truncated = false;
        self.broken_off = false;
        self.skipped_records = 0;
        self.unasked_addresses = 0;
        self.services = 0;
        self.unanswered = None;
    }

    /// The queried name, normalised, as it was asked.
    pub fn question_name(&self) -> &str {
        self.part(0, self.name_end)
    }

    /// The queried type.
    pub const fn question_type(&self) -> u16 {
        self.question
    }

    /// CNAME and alias targets in the order of the answer, normalised; the first sixteen.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(self.name_end).chain(self.chain_ends.iter().copied());
        starts.zip(self.chain_ends.iter().copied()).map(|(start, end)| self.part(start, end))
    }

    /// The lowest time to live on the way to `found`: of its record and of all names in between.
    pub fn ttl_seconds(&self, found: &Found) -> u32 {
        found.ttl_seconds.min(self.way_ttl_seconds)
    }

    fn part(&self, start: usize, end: usize) -> &str {
        let bytes = self.text.get(start..end).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Reads the one question; the place behind it.
    fn read_question(&mut self, message: &[u8]) -> Result<usize, Refusal> {
        let Some(behind_name) = dns_name::expand(message, HEADER_BYTES, &mut self.text) else {
            return rejected("broken DNS question");
        };
        self.name_end = self.text.len();
        let (Some(question), Some(class)) = (u16_at(message, behind_name), u16_at(message, behind_name + 2)) else {
            return rejected("broken DNS question");
        };
        self.question = question;
        if class != CLASS_IN {
            return excluded("DNS answer of a class other than IN");
        }
        if self.text.is_empty() {
            return excluded("DNS answer about the root");
        }
        Ok(behind_name + 4)
    }

    /// Gives each record of a section to `take`; the place behind the section, `None` when it breaks off.
    fn read_section(
        &mut self,
        message: &[u8],
        start: usize,
        count: [u8; 2],
        take: impl Fn(&mut Self, &[u8], &Record),
    ) -> Option<usize> {
        let mut at = start;
        for _ in 0..u16::from_be_bytes(count) {
            let record = Record::read(message, at)?;
            at = record.data_end;
            if record.class == CLASS_IN {
                take(self, message, &record);
            }
        }
        Some(at)
    }

    fn read_answer(&mut self, message: &[u8], record: &Record) {
        match (record.kind, self.question) {
            (TYPE_CNAME, _) => {
                self.way_ttl_seconds = self.way_ttl_seconds.min(record.ttl_seconds);
                self.keep_target(message, record.data_start, record.data_end);
            }
            (TYPE_A, TYPE_AAAA) | (TYPE_AAAA, TYPE_A) => self.unasked_addresses += 1,
            (TYPE_A | TYPE_AAAA, TYPE_A | TYPE_AAAA | TYPE_HTTPS | TYPE_SVCB | TYPE_ANY) => {
                self.keep_address(message, record, AnswerKind::Address);
            }
            (TYPE_HTTPS | TYPE_SVCB, TYPE_HTTPS | TYPE_SVCB | TYPE_ANY) => self.keep_binding(message, record),
            (TYPE_SRV, TYPE_SRV) => {
                self.services += 1;
                self.way_ttl_seconds = self.way_ttl_seconds.min(record.ttl_seconds);
            }
            _ => {}
        }
    }

    fn read_additional(&mut self, message: &[u8], record: &Record) {
        if matches!(record.kind, TYPE_A | TYPE_AAAA) {
            self.keep_address(message, record, AnswerKind::Additional);
        }
    }

    fn keep_address(&mut self, message: &[u8], record: &Record, kind: AnswerKind) {
        let data = message.get(record.data_start..record.data_end).unwrap_or_default();
        let address = match record.kind {
            TYPE_A => <[u8; 4]>::try_from(data).ok().map(ipv4),
            _ => <[u8; 16]>::try_from(data).ok().map(ipv6),
        };
        match address {
            Some(address) => self.addresses.push(Found { address, ttl_seconds: record.ttl_seconds, kind }),
            None => self.skipped_records += 1,
        }
    }

    /// Appends the name that fills `start..end` to the chain.
    fn keep_target(&mut self, message: &[u8], start: usize, end: usize) {
        let before = self.text.len();
        let keep = self.chain_ends.len() < CHAIN_MAX;
        let behind =
            if keep { dns_name::expand(message, start, &mut self.text) } else { dns_name::skip(message, start) };
        if behind != Some(end) {
            self.skipped_records += 1;
            self.text.truncate(before);
        } else if self.text.len() > before {
            self.chain_ends.push(self.text.len());
        }
    }

    /// Takes the address hints of a service binding, or the target of an alias (RFC 9460 section 2.4).
    fn keep_binding(&mut self, message: &[u8], record: &Record) {
        match u16_at(message, record.data_start) {
            Some(0) => {
                self.way_ttl_seconds = self.way_ttl_seconds.min(record.ttl_seconds);
                self.keep_target(message, record.data_start + 2, record.data_end);
            }
            Some(_) if self.keep_hints(message, record).is_some() => {
                self.services += u32::from(matches!(self.question, TYPE_HTTPS | TYPE_SVCB));
            }
            _ => self.skipped_records += 1,
        }
    }

    /// Takes the address hints; `None` when the parameters are broken, with the hints before the fault kept.
    fn keep_hints(&mut self, message: &[u8], record: &Record) -> Option<()> {
        let message = message.get(..record.data_end)?;
        let mut at = dns_name::skip(message, record.data_start + 2)?;
        while at < message.len() {
            let key = u16_at(message, at)?;
            let length = usize::from(u16_at(message, at + 2)?);
            let value = message.get(at + 4..at + 4 + length)?;
            at += 4 + length;
            let mut keep = |address| {
                self.addresses.push(Found { address, ttl_seconds: record.ttl_seconds, kind: AnswerKind::Hint });
            };
            match key {
                SVCB_IPV4HINT => {
                    let (hints, []) = value.as_chunks() else { return None };
                    hints.iter().copied().map(ipv4).for_each(&mut keep);
                }
                SVCB_IPV6HINT => {
                    let (hints, []) = value.as_chunks() else { return None };
                    hints.iter().copied().map(ipv6).for_each(&mut keep);
                }
                _ => {}
            }
        }
        Some(())
    }
}

impl Record {
    fn read(message: &[u8], at: usize) -> Option<Self> {
        let behind_owner = dns_name::skip(message, at)?;
        let &[k1, k0, c1, c0, t3, t2, t1, t0, l1, l0] = message.get(behind_owner..)?.first_chunk::<10>()?;
        let data_start = behind_owner + 10;
        let data_end = data_start + usize::from(u16::from_be_bytes([l1, l0]));
        let ttl_seconds = u32::from_be_bytes([t3, t2, t1, t0]);
        (data_end <= message.len()).then_some(Self {
            kind: u16::from_be_bytes([k1, k0]),
            class: u16::from_be_bytes([c1, c0]),
            // The top bit makes it zero (RFC 2181 section 8).
            ttl_seconds: if ttl_seconds >> 31 == 0 { ttl_seconds } else { 0 },
            data_start,
            data_end,
        })
    }
}

/// Sorts messages out by the second half of the header: QR, opcode and response code.
const fn check_flags(flags: u8, codes: u8) -> Result<(), Refusal> {
    if flags & 0x80 == 0 {
        return rejected("DNS query where a response should be");
    }
    if flags & 0x78 != 0 {
        return excluded("DNS operation other than QUERY");
    }
    match codes & 0x0f {
        0 => Ok(()),
        2 => excluded("DNS answer SERVFAIL"),
        3 => excluded("DNS answer NXDOMAIN"),
        _ => excluded("DNS answer with another error code"),
    }
}

const fn ipv4(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_octets(octets))
}

const fn ipv6(octets: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_octets(octets))
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}
