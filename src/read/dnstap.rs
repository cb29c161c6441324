//! dnstap: chunks of data frames in, answer rows out.
//!
//! Only `CLIENT_RESPONSE` carries what a client was told; every other message is excluded by its type before its DNS
//! bytes are touched. Addresses are read by their length (CoreDNS up to 1.14.4 calls IPv4-mapped ones INET), the time
//! is that of the response, else of the query. Files have no time of arrival, and none is made up.
//!
//! What is not seen here: CoreDNS taps its own inner lookups (DNS64, `ExternalName`) as if the client had asked, with
//! the client's address, port and DNS id, before the outer answer. Nothing in one message tells them apart, so that
//! the inner answer stands beside the outer one.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::dns::{Answer, Refusal};
use super::envelope::{Envelope, Message};
use super::unanswered::add_question;
use crate::model::{
    Account, AddressId, AnswerRow, Batch, ChainId, Endpoint, EndpointId, Excluded, IdentityKind, NameId, Place,
    QuestionRow, Rejected, TextId, Timestamp, Vocabulary, is_search_expansion,
};

/// The types that the compiler of Protocol Buffers makes of `proto/dnstap.proto`, for writers and tests.
#[expect(clippy::doc_markdown, reason = "the compiler's own words")]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/dnstap.rs"));
}

/// Longer identities are cut, in bytes.
const IDENTITY_BYTES_MAX: usize = 256;
/// Longer `extra` texts are not looked at, in bytes.
const EXTRA_BYTES_MAX: usize = 1024;
/// How many different `extra` texts of one chunk are remembered.
const HINTS_MAX: usize = 4096;

const MESSAGE: i32 = wire::dnstap::Type::Message as i32;
const CLIENT_RESPONSE: i32 = wire::message::Type::ClientResponse as i32;

/// Decodes dnstap frames into answers. Reuse it from chunk to chunk: it keeps its memory.
#[derive(Default)]
pub struct DnstapDecoder {
    answer: Answer,
    chain: Vec<NameId>,
    // `extra` → what it says. Numbers belong to one vocabulary, so that it is emptied for every chunk.
    hints: HashMap<Box<[u8]>, EndpointId>,
}

impl DnstapDecoder {
    /// A decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the frames of one chunk (each: u32 big-endian length and payload); each is one record in `account`.
    ///
    /// `base` is the stream offset of the chunk, by which rejected frames are placed. A message is used when it gave
    /// at least one row; what is wrong in a message that is used is noted.
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.hints.clear();
        let mut rest = chunk;
        while !rest.is_empty() {
            let place = Place::Byte(base + (chunk.len() - rest.len()) as u64);
            let Some((payload, next)) = split_frame(rest) else {
                account.reject(Rejected("frame cut short"), place);
                return;
            };
            rest = next;
            match self.decode_frame(payload, vocabulary, batch, account) {
                Ok(()) => account.accept(),
                Err(Refusal::Rejected(reason)) => account.reject(reason, place),
                Err(Refusal::Excluded(reason)) => account.exclude(reason),
            }
        }
    }

    fn decode_frame(
        &mut self,
        payload: &[u8],
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) -> Result<(), Refusal> {
        let envelope = Envelope::read(payload).map_err(|_| rejected("broken protobuf"))?;
        let message = client_response(&envelope)?;
        let Some(response) = message.response_message.filter(|response| !response.is_empty()) else {
            return Err(excluded("dnstap response without payload (is \"full\" set in the Corefile?)"));
        };
        let client = client_address(&message)?;
        let time = event_time(&message)?;
        let outcome = self.answer.read(response);
        note_oddities(&self.answer, outcome.is_ok(), account);
        if outcome.is_err() && self.answer.unanswered().is_none() {
            return outcome;
        }
        let client_hint = envelope.extra.map_or(EndpointId::NONE, |extra| self.client_hint(extra, vocabulary));
        if let Some((name, is_missing)) = self.answer.unanswered() {
            let row = QuestionRow {
                time,
                cluster: TextId::NONE,
                client: vocabulary.address(client),
                client_hint,
                domain: NameId::NONE,
                kind: self.answer.question_type(),
                is_missing,
                start: 0,
                end: 0,
            };
            add_question(name, row, vocabulary, batch);
        }
        outcome?;
        let (name, chain) = self.names(vocabulary);
        let row = AnswerRow {
            time,
            cluster: TextId::NONE,
            client: vocabulary.address(client),
            client_hint,
            name,
            address: AddressId::NONE,
            chain,
            ttl_seconds: 0,
            position: 0,
            addresses: u16::try_from(self.answer.addresses.len()).unwrap_or(u16::MAX),
            kind: crate::model::AnswerKind::Address,
            resolver: envelope.identity.map_or(TextId::NONE, |identity| resolver(identity, vocabulary)),
        };
        batch.answers.extend((0..).zip(&self.answer.addresses).map(|(position, found)| AnswerRow {
            address: vocabulary.address(found.address),
            ttl_seconds: self.answer.ttl_seconds(found),
            position,
            kind: found.kind,
            ..row
        }));
        Ok(())
    }

    /// The name that was answered and the names behind it.
    ///
    /// CoreDNS `autopath` answers a name with a search suffix by a CNAME to the name without it: then the latter is
    /// what the client meant.
    fn names(&mut self, vocabulary: &mut Vocabulary) -> (NameId, ChainId) {
        let asked = self.answer.question_name();
        let meant = self.answer.chain().find(|target| is_search_expansion(asked, target));
        self.chain.clear();
        for target in self.answer.chain().filter(|target| Some(*target) != meant) {
            self.chain.push(vocabulary.name(target));
        }
        let chain = if self.chain.is_empty() { ChainId::NONE } else { vocabulary.chain(&self.chain) };
        (vocabulary.name(meant.unwrap_or(asked)), chain)
    }

    fn client_hint(&mut self, extra: &[u8], vocabulary: &mut Vocabulary) -> EndpointId {
        if extra.len() > EXTRA_BYTES_MAX {
            return EndpointId::NONE;
        }
        if let Some(&known) = self.hints.get(extra) {
            return known;
        }
        let hint = claimed_pod(extra).map_or(EndpointId::NONE, |pod| vocabulary.endpoint(pod));
        if self.hints.len() >= HINTS_MAX {
            self.hints.clear();
        }
        self.hints.insert(extra.into(), hint);
        hint
    }
}

const fn rejected(reason: &'static str) -> Refusal {
    Refusal::Rejected(Rejected(reason))
}

const fn excluded(reason: &'static str) -> Refusal {
    Refusal::Excluded(Excluded(reason))
}

fn split_frame(chunk: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = chunk.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The message, if it is what a client was told. Writers that leave out the kind of event mean a message.
fn client_response<'frame>(envelope: &Envelope<'frame>) -> Result<Message<'frame>, Refusal> {
    if envelope.kind.is_some_and(|kind| kind != MESSAGE) {
        return Err(excluded("dnstap event of an unknown type"));
    }
    let message = envelope.message.ok_or(rejected("dnstap event without a message"))?;
    match message.kind {
        Some(CLIENT_RESPONSE) => Ok(message),
        Some(kind) => Err(excluded(type_name(kind))),
        None => Err(rejected("dnstap message without a type")),
    }
}

/// The name under which messages of a type are excluded; numbers are those of `proto/dnstap.proto`.
const fn type_name(kind: i32) -> &'static str {
    match kind {
        1 => "dnstap AUTH_QUERY",
        2 => "dnstap AUTH_RESPONSE",
        3 => "dnstap RESOLVER_QUERY",
        4 => "dnstap RESOLVER_RESPONSE",
        5 => "dnstap CLIENT_QUERY",
        6 => "dnstap CLIENT_RESPONSE",
        7 => "dnstap FORWARDER_QUERY",
        8 => "dnstap FORWARDER_RESPONSE",
        9 => "dnstap STUB_QUERY",
        10 => "dnstap STUB_RESPONSE",
        11 => "dnstap TOOL_QUERY",
        12 => "dnstap TOOL_RESPONSE",
        13 => "dnstap UPDATE_QUERY",
        14 => "dnstap UPDATE_RESPONSE",
        _ => "dnstap message of an unknown type",
    }
}

fn client_address(message: &Message<'_>) -> Result<IpAddr, Refusal> {
    let octets = message.query_address.unwrap_or_default();
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(octets.into());
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => Ok(octets.into()),
        Err(_) => Err(rejected("client address is not of 4 or 16 bytes")),
    }
}

/// Response time, else query time. Second zero is how some writers say that they do not know.
fn event_time(message: &Message<'_>) -> Result<Timestamp, Refusal> {
    let response = (message.response_time_sec, message.response_time_nsec);
    let query = (message.query_time_sec, message.query_time_nsec);
    let Some((seconds, nanos)) =
        [response, query].into_iter().find_map(|(seconds, nanos)| Some((seconds.filter(|s| *s != 0)?, nanos)))
    else {
        return Err(rejected("dnstap message without a time"));
    };
    let nanos = nanos.unwrap_or(0);
    if nanos >= 1_000_000_000 {
        return Err(rejected("nanoseconds of a second or more"));
    }
    Timestamp::from_parts(seconds, nanos).ok_or(rejected("time beyond the year 2262"))
}

fn note_oddities(answer: &Answer, used: bool, account: &mut Account) {
    if answer.unasked_addresses > 0 {
        account.note("address of the other family than asked for");
    }
    if !used {
        return;
    }
    if answer.broken_off {
        account.note("broken record after good ones");
    }
    if answer.skipped_records > 0 {
        account.note("record with broken data beside good ones");
    }
    if answer.truncated {
        account.note("truncated DNS answer: part of its addresses");
    }
}

fn resolver(identity: &[u8], vocabulary: &mut Vocabulary) -> TextId {
    let bounded = identity.get(..IDENTITY_BYTES_MAX).unwrap_or(identity);
    vocabulary.text(&String::from_utf8_lossy(bounded))
}

/// The pod that `extra` names, in the form `ns=… pod=…` among other blank-separated `key=value`.
///
/// CoreDNS writes what the operator configured and escapes nothing, so that a queried name in it could bring keys of
/// its own: a key that occurs twice, a word without a key, or a name that Kubernetes would refuse voids the whole.
fn claimed_pod(extra: &[u8]) -> Option<Endpoint> {
    let text = std::str::from_utf8(extra).ok()?;
    let (mut namespace, mut pod) = (None, None);
    for word in text.split(' ') {
        let (key, value) = word.split_once('=')?;
        let claimed = match key {
            "ns" => &mut namespace,
            "pod" => &mut pod,
            _ => continue,
        };
        if claimed.replace(value).is_some() {
            return None;
        }
    }
    let (namespace, pod) = (namespace?, pod?);
    (is_object_name(namespace, 63) && is_object_name(pod, 253)).then(|| Endpoint {
        namespace: namespace.into(),
        pod: pod.into(),
        identity: IdentityKind::Pod,
        ..Endpoint::default()
    })
}

/// Whether Kubernetes could have given that name; `-`, CoreDNS's word for nothing, is none.
fn is_object_name(name: &str, length_max: usize) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= length_max
        && name.bytes().next().is_some_and(is_inner)
        && name.bytes().all(|byte| is_inner(byte) || matches!(byte, b'-' | b'.'))
}
