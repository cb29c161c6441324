//! Answers that Cilium's DNS proxy saw: one row per address of a response.
//!
//! In: the `l7` object of a record. Out: answer rows; a good response without an address is a question that got none. Requests give nothing. In a response
//! the record's source is the server and its destination the client. `ttl` is the lowest of the answer, 4294967295 means
//! that there was none (`pkg/fqdn/dnsproxy` of Cilium).

use crate::model::{
    Account, AddressId, AnswerKind, AnswerRow, Batch, ChainId, DomainName, EndpointId, NameId, OTHER_TYPES,
    QuestionRow, TextId, Timestamp, Vocabulary, is_search_expansion,
};

use super::super::unanswered::add_question;
use super::record::{Dns, Layer7};

/// `flow.L7FlowType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MessageKind {
    Request,
    Response,
    #[default]
    Other,
}

/// Whether the record is a request or a response.
pub(super) fn message_kind(layer7: Option<&Layer7<'_>>) -> MessageKind {
    let named = |name: &[u8]| match name {
        b"REQUEST" => MessageKind::Request,
        b"RESPONSE" => MessageKind::Response,
        _ => MessageKind::Other,
    };
    let numbered = |number| match number {
        1 => MessageKind::Request,
        2 => MessageKind::Response,
        _ => MessageKind::Other,
    };
    layer7.map_or(MessageKind::Other, |layer7| layer7.kind.member(named, numbered))
}

/// Who answered whom, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) time: Timestamp,
    pub(super) cluster: TextId,
    pub(super) client: AddressId,
    pub(super) client_hint: EndpointId,
    pub(super) server: AddressId,
}

const BROKEN_NAME: &str = "DNS answer whose name is no domain name";
const BROKEN_ADDRESS: &str = "DNS answer with an address that does not parse";

/// Adds the answers of one response.
pub(super) fn add_answers(
    layer7: &Layer7<'_>,
    answered: &Answered,
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) {
    let Some(dns) = &layer7.dns else { return };
    if message_kind(Some(layer7)) != MessageKind::Response {
        return;
    }
    let query = dns.query.text().unwrap_or_default();
    if dns.ips.0.is_empty() {
        return add_unanswered(query, dns, answered, vocabulary, batch);
    }
    let Some(query) = vocabulary.spelled_name(query).filter(|name| !name.is_none()) else {
        return account.note(BROKEN_NAME);
    };
    let mut addresses = Vec::with_capacity(dns.ips.0.len());
    for text in &dns.ips.0 {
        match text.parse() {
            Ok(address) => addresses.push(vocabulary.address(address)),
            Err(_) => account.note(BROKEN_ADDRESS),
        }
    }
    let (name, chain) = fold_search_suffix(query, dns, vocabulary);
    let resolver = vocabulary.address_of(answered.server).to_string();
    let resolver = vocabulary.text(&resolver);
    let count = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
    for (position, address) in addresses.into_iter().enumerate() {
        batch.answers.push(AnswerRow {
            time: answered.time,
            cluster: answered.cluster,
            client: answered.client,
            client_hint: answered.client_hint,
            name,
            address,
            chain,
            ttl_seconds: ttl(dns),
            position: u16::try_from(position).unwrap_or(u16::MAX),
            addresses: count,
            kind: AnswerKind::Address,
            resolver,
        });
    }
}

/// Keeps the question of a response that says that the name does not exist, or that it has no such record. Other codes say nothing
/// about the name.
fn add_unanswered(query: &str, dns: &Dns<'_>, answered: &Answered, vocabulary: &mut Vocabulary, batch: &mut Batch) {
    let is_missing = match dns.rcode.number() {
        Some(NXDOMAIN) => true,
        // Protobuf leaves out zeros.
        Some(0) => false,
        None if dns.rcode.is_absent() => false,
        _ => return,
    };
    // Names of a tunnel are as many as its questions: they are counted, and not remembered.
    let Ok(name) = DomainName::parse(query) else { return };
    let row = QuestionRow {
        time: answered.time,
        cluster: answered.cluster,
        client: answered.client,
        client_hint: answered.client_hint,
        domain: NameId::NONE,
        kind: dns.qtypes.0.first().map_or(OTHER_TYPES, |name| type_number(name)),
        is_missing,
        start: 0,
        end: 0,
    };
    add_question(name.as_str(), row, vocabulary, batch);
}

/// The name does not exist (RFC 1035 section 4.1.1).
const NXDOMAIN: u64 = 3;

/// The number of a record type (IANA DNS parameters) as Cilium spells it; [`OTHER_TYPES`] for names that are not known.
fn type_number(name: &str) -> u16 {
    const TYPES: [(&str, u16); 17] = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("NULL", 10),
        ("PTR", 12),
        ("HINFO", 13),
        ("MX", 15),
        ("TXT", 16),
        ("AAAA", 28),
        ("SRV", 33),
        ("NAPTR", 35),
        ("SVCB", 64),
        ("HTTPS", 65),
        ("SPF", 99),
        ("ANY", 255),
        ("CAA", 257),
    ];
    let known = TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let written = || name.strip_prefix("TYPE").unwrap_or(name).parse().ok();
    known.or_else(written).unwrap_or(OTHER_TYPES)
}

fn ttl(dns: &Dns<'_>) -> u32 {
    dns.ttl.number().and_then(|ttl| u32::try_from(ttl).ok()).filter(|ttl| *ttl != u32::MAX).unwrap_or(0)
}

/// `CoreDNS` `autopath` answers `example.com.ns.svc.cluster.local` with a CNAME to `example.com`: the name that the
/// workload meant is the target, and the expansion is no name at all.
fn fold_search_suffix(query: NameId, dns: &Dns<'_>, vocabulary: &mut Vocabulary) -> (NameId, ChainId) {
    let mut chain: Vec<NameId> = Vec::with_capacity(dns.cnames.0.len());
    for target in &dns.cnames.0 {
        if let Some(id) = vocabulary.spelled_name(target).filter(|id| !id.is_none()) {
            chain.push(id);
        }
    }
    let is_meant = |target: NameId| is_search_expansion(vocabulary.name_of(query), vocabulary.name_of(target));
    let meant = chain.iter().copied().find(|target| is_meant(*target));
    if let Some(meant) = meant {
        chain.retain(|target| *target != meant);
    }
    (meant.unwrap_or(query), vocabulary.chain(&chain))
}
