//! `dns.log` of Calico Enterprise and Cloud: who was answered what, per interval.
//!
//! In: chunks of lines or objects. Out: one answer row per address. A record merges equal lookups of an interval; its
//! rows have the interval's start, the earliest time at which the answer can have been known. There is no time to live,
//! and by default (aggregation 1) neither client address nor pod: then the owner of the pods is all that is claimed.

use crate::model::{
    Account, AddressId, AnswerKind, AnswerRow, Batch, Excluded, Loss, NameId, Place, Rejected, TextId, Timestamp,
    Vocabulary, is_search_expansion,
};

use super::super::fields::{instant, labels};
use super::super::json::{Scalar, Texts, loose_object};
use super::super::json_records::{FOREIGN_OBJECT, TakeRecord, each_record};
use super::super::open::Framing;
use super::ends::{End, EndType, address, available};
use super::flows::Labels;

loose_object! {
    /// A server that answered.
    Server {
        ip: Scalar<'de> = "ip",
        name: Scalar<'de> = "name",
        name_aggr: Scalar<'de> = "name_aggr",
    }
}

loose_object! {
    /// Records of one name and type.
    RecordSet {
        class: Scalar<'de> = "class",
        kind: Scalar<'de> = "type",
        data: Texts<'de> = "rdata",
    }
}

/// Several objects; anything else is none.
#[derive(Debug)]
pub(super) struct Many<T>(Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Many<T> {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default()))
    }
}

loose_object! {
    /// One record of `dns.log`.
    DnsLog {
        start: Scalar<'de> = "start_time",
        end: Scalar<'de> = "end_time",
        kind: Scalar<'de> = "type",
        count: Scalar<'de> = "count",
        client_ip: Scalar<'de> = "client_ip",
        client_name: Scalar<'de> = "client_name",
        client_name_aggr: Scalar<'de> = "client_name_aggr",
        client_namespace: Scalar<'de> = "client_namespace",
        client_labels: Labels<'de> = "client_labels",
        servers: Many<Server<'de>> = "servers",
        qname: Scalar<'de> = "qname",
        qclass: Scalar<'de> = "qclass",
        rcode: Scalar<'de> = "rcode",
        rrsets: Many<RecordSet<'de>> = "rrsets",
        host: Scalar<'de> = "host",
    }
}

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_CLIENT: Rejected = Rejected("client address that does not parse");
const BROKEN_NAME: Rejected = Rejected("queried name that is no domain name");
const SUPPRESSED: Excluded = Excluded("count of lookups left out by the per-node limit");
const OTHER_CLASS: Excluded = Excluded("DNS answer of a class other than IN");
const ERROR: Excluded = Excluded("DNS answer with an error code");
const NO_ADDRESS: Excluded = Excluded("DNS answer without an address");

pub(in crate::read) const NO_CLIENT: &str = "DNS answer without the client's address (dnsLogsFileAggregationKind is not 0): it names only by workload or cluster";
const BROKEN_ANSWER: &str = "DNS answer with an address that does not parse";
const BROKEN_TARGET: &str = "alias target that is no domain name";
const NO_TTL: &str = "DNS answer with the time of an interval and without a time to live";
/// How many alias targets of one record are kept.
const CHAIN_MAX: usize = 16;

/// Decodes `dns.log`.
#[derive(Debug, Default)]
pub struct CalicoDnsDecoder;

impl CalicoDnsDecoder {
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

enum Outcome {
    Used,
    Rejected(Rejected),
    Excluded(Excluded),
}

impl TakeRecord for Taker<'_> {
    type Record<'de> = DnsLog<'de>;

    fn take(&mut self, record: &DnsLog<'_>, wrapper: Option<&DnsLog<'_>>, place: Place, account: &mut Account) {
        let host = [Some(record), wrapper].into_iter().flatten().find_map(|record| record.host.text());
        match self.read(record, host.unwrap_or_default(), account) {
            Outcome::Used => account.accept(),
            Outcome::Rejected(reason) => account.reject(reason, place),
            Outcome::Excluded(reason) => account.exclude(reason),
        }
    }
}

impl Taker<'_> {
    fn read(&mut self, record: &DnsLog<'_>, host: &str, account: &mut Account) -> Outcome {
        let kind = text(&record.kind).to_ascii_lowercase();
        if kind.is_empty() && record.qname.is_absent() {
            return Outcome::Excluded(FOREIGN_OBJECT);
        }
        let Some(time) = time(record) else { return Outcome::Rejected(BROKEN_TIME) };
        if kind == "unlogged" {
            self.batch.losses.push(Loss {
                time,
                cluster: TextId::NONE,
                node: self.vocabulary.text(host),
                place: self.vocabulary.text("DNS_LOG_PER_NODE_LIMIT"),
                events: record.count.number().unwrap_or_default(),
            });
            return Outcome::Excluded(SUPPRESSED);
        }
        let Ok(client_ip) = address(&record.client_ip) else { return Outcome::Rejected(BROKEN_CLIENT) };
        if !matches!(text(&record.qclass), "" | "IN") && record.qclass.number() != Some(1) {
            return Outcome::Excluded(OTHER_CLASS);
        }
        if !matches!(text(&record.rcode), "" | "NoError" | "NOERROR") && record.rcode.number() != Some(0) {
            return Outcome::Excluded(ERROR);
        }
        let Some(asked) = self.vocabulary.spelled_name(text(&record.qname)).filter(|name| !name.is_none()) else {
            return Outcome::Rejected(BROKEN_NAME);
        };
        let addresses = self.addresses(record, account);
        if addresses.is_empty() {
            return Outcome::Excluded(NO_ADDRESS);
        }
        account.note(NO_TTL);
        let hint = End {
            kind: EndType::Workload,
            namespace: text(&record.client_namespace),
            name: text(&record.client_name),
            aggregate: text(&record.client_name_aggr),
            labels: labels(record.client_labels.0.iter().map(AsRef::as_ref)),
            local: false,
        }
        .intern(self.vocabulary);
        let client = client_ip.map_or(AddressId::unrecorded(hint), |address| self.vocabulary.address(address));
        if client_ip.is_none() {
            account.note(NO_CLIENT);
        }
        let (name, chain) = self.names(asked, record, account);
        let chain = if chain.is_empty() { crate::model::ChainId::NONE } else { self.vocabulary.chain(&chain) };
        let resolver = self.vocabulary.text(resolver(record, host));
        let count = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
        self.batch.answers.extend((0..).zip(addresses).map(|(position, address)| AnswerRow {
            time,
            cluster: TextId::NONE,
            client,
            client_hint: hint,
            name,
            address,
            chain,
            ttl_seconds: 0,
            position,
            addresses: count,
            kind: AnswerKind::Address,
            resolver,
        }));
        Outcome::Used
    }

    fn addresses(&mut self, record: &DnsLog<'_>, account: &mut Account) -> Vec<AddressId> {
        let mut found = Vec::new();
        for set in record.rrsets.0.iter().filter(|set| is_in(set) && matches!(text(&set.kind), "A" | "AAAA")) {
            for data in &set.data.0 {
                match data.parse() {
                    Ok(address) => found.push(self.vocabulary.address(address)),
                    Err(_) => account.note(BROKEN_ANSWER),
                }
            }
        }
        found.truncate(usize::from(u16::MAX));
        found
    }

    /// The name that was meant, and the alias targets. `CoreDNS` `autopath` answers a name with a search suffix by an
    /// alias to the name without it.
    fn names(&mut self, asked: NameId, record: &DnsLog<'_>, account: &mut Account) -> (NameId, Vec<NameId>) {
        let mut chain = Vec::new();
        for set in record.rrsets.0.iter().filter(|set| is_in(set) && text(&set.kind) == "CNAME") {
            for target in set.data.0.iter().take(CHAIN_MAX) {
                match self.vocabulary.spelled_name(target).filter(|id| !id.is_none()) {
                    Some(id) => chain.push(id),
                    None => account.note(BROKEN_TARGET),
                }
            }
        }
        chain.truncate(CHAIN_MAX);
        let is_meant =
            |target: &NameId| is_search_expansion(self.vocabulary.name_of(asked), self.vocabulary.name_of(*target));
        let meant = chain.iter().copied().find(is_meant);
        chain.retain(|target| Some(*target) != meant);
        (meant.unwrap_or(asked), chain)
    }
}

fn text<'a>(scalar: &'a Scalar<'_>) -> &'a str {
    scalar.text().unwrap_or_default()
}

fn is_in(set: &RecordSet<'_>) -> bool {
    matches!(text(&set.class), "" | "IN") || set.class.number() == Some(1)
}

/// The interval's start, else its end; unknown without both, `None` when broken.
fn time(record: &DnsLog<'_>) -> Option<Timestamp> {
    for scalar in [&record.start, &record.end] {
        if !scalar.is_absent() {
            return instant(scalar);
        }
    }
    Some(Timestamp::UNKNOWN)
}

fn resolver<'a>(record: &'a DnsLog<'_>, host: &'a str) -> &'a str {
    let of = |server: &'a Server<'_>| {
        [&server.name, &server.name_aggr, &server.ip].into_iter().find_map(|field| available(field.text()?))
    };
    record.servers.0.iter().find_map(of).unwrap_or(host)
}
