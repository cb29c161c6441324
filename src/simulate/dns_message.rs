//! DNS messages by hand: one question, an optional alias chain, addresses, or a denial (RFC 1035, RFC 3596).
//!
//! In: names and addresses that we chose ourselves. Out: wire bytes as CoreDNS sends them. Not a general encoder:
//! labels beyond 63 octets are cut, escapes are not understood.

use std::net::IpAddr;

/// The types of question that a stub resolver asks for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl QueryType {
    const fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }

    /// Mnemonic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    /// Whether an address can answer this type.
    pub const fn fits(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::A, IpAddr::V4(_)) | (Self::Aaaa, IpAddr::V6(_)))
    }
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Message id.
    pub id: u16,
    /// Name without the trailing dot.
    pub name: &'a str,
    /// Type.
    pub query_type: QueryType,
}

/// What answers it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// 0 or 3 (the name does not exist).
    pub rcode: u8,
    /// Alias targets in order; the addresses belong to the last.
    pub aliases: &'a [&'a str],
    /// Addresses; those of the other family are skipped.
    pub addresses: &'a [IpAddr],
    /// Time to live in seconds.
    pub ttl: u32,
    /// Whether CoreDNS itself is the authority (cluster names).
    pub authoritative: bool,
    /// Whether owner names are written as pointers (RFC 1035 section 4.1.4).
    pub compressed: bool,
}

/// Appends a query.
pub fn query(out: &mut Vec<u8>, question: Question<'_>) {
    header(out, question.id, 0x0100, [1, 0, 0]);
    ask(out, question);
}

/// Appends a response.
pub fn response(out: &mut Vec<u8>, question: Question<'_>, answer: &Answer<'_>) {
    let start = out.len();
    let addresses = answer.addresses.iter().filter(|address| question.query_type.fits(**address));
    let answers = count(answer.aliases.len()) + count(addresses.clone().count());
    let empty = answers == 0;
    let flags = if answer.authoritative { 0x8580 } else { 0x8180 };
    header(out, question.id, flags | u16::from(answer.rcode), [1, answers, u16::from(empty)]);
    ask(out, question);
    let mut owner = Owner { name: question.name, offset: 12 };
    for alias in answer.aliases {
        owner.write(out, answer.compressed);
        fixed(out, 5, answer.ttl);
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        owner = Owner { name: alias, offset: count(out.len() - start) };
        name(out, alias);
        let length = count(out.len() - length_at - 2).to_be_bytes();
        for (slot, octet) in out.iter_mut().skip(length_at).zip(length) {
            *slot = octet;
        }
    }
    for address in addresses {
        owner.write(out, answer.compressed);
        fixed(out, question.query_type.code(), answer.ttl);
        match address {
            IpAddr::V4(v4) => {
                out.extend_from_slice(&[0, 4]);
                out.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                out.extend_from_slice(&[0, 16]);
                out.extend_from_slice(&v6.octets());
            }
        }
    }
    if empty {
        authority(out, answer.authoritative);
    }
}

struct Owner<'a> {
    name: &'a str,
    offset: u16,
}

impl Owner<'_> {
    fn write(&self, out: &mut Vec<u8>, compressed: bool) {
        if compressed && self.offset < 0x4000 {
            out.extend_from_slice(&(0xc000 | self.offset).to_be_bytes());
        } else {
            name(out, self.name);
        }
    }
}

fn header(out: &mut Vec<u8>, id: u16, flags: u16, [questions, answers, authorities]: [u16; 3]) {
    for word in [id, flags, questions, answers, authorities, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn ask(out: &mut Vec<u8>, question: Question<'_>) {
    name(out, question.name);
    out.extend_from_slice(&question.query_type.code().to_be_bytes());
    out.extend_from_slice(&[0, 1]);
}

/// Type, class IN and TTL of a record.
fn fixed(out: &mut Vec<u8>, record_type: u16, ttl: u32) {
    out.extend_from_slice(&record_type.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl.to_be_bytes());
}

/// The SOA that comes with a negative answer (RFC 2308 section 2).
fn authority(out: &mut Vec<u8>, authoritative: bool) {
    let (zone, server, mailbox) = if authoritative {
        ("cluster.local", "ns.dns.cluster.local", "hostmaster.cluster.local")
    } else {
        ("", "a.root-servers.net", "nstld.verisign-grs.com")
    };
    name(out, zone);
    fixed(out, 6, 30);
    let mut data = Vec::with_capacity(64);
    name(&mut data, server);
    name(&mut data, mailbox);
    for number in [1_772_409_600_u32, 7_200, 1_800, 86_400, 30] {
        data.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&count(data.len()).to_be_bytes());
    out.extend_from_slice(&data);
}

fn name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes();
        let length = label.len().min(63);
        out.push(u8::try_from(length).unwrap_or(63));
        out.extend(label.iter().take(length));
    }
    out.push(0);
}

fn count(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
