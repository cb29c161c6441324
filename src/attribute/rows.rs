//! The rows of `attribute`: one per client-side connection, collected per thread, ordered at the end.

use std::hash::Hasher;

use super::answers::Answer;
use super::parties::PartyId;
use super::pipeline::{Evidence, Named, Sink};
use crate::model::{AddressId, Grade, NameId, Protocol, RecordId, TextId, Timestamp, Verdict};

/// One row, still in numbers.
#[derive(Clone, Debug)]
pub struct AttributedRow {
    /// The source's own id, if it has one.
    pub id: RecordId,
    /// A stable number for rows whose source has no ids.
    pub stable: u64,
    /// First record of the connection.
    pub time: Timestamp,
    /// The client's cluster.
    pub cluster: TextId,
    /// The client's pod.
    pub client: Option<PartyId>,
    /// The client's address.
    pub client_address: AddressId,
    /// The server's address.
    pub server_address: AddressId,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// What the CNI did.
    pub verdict: Verdict,
    /// Candidates, best first.
    pub names: Box<[NameId]>,
    /// How the name is known.
    pub grade: Grade,
    /// When the best candidate's answer came, on the clock that stamped it.
    pub answered_at: Timestamp,
    /// How far that clock is ahead of the flows', in nanoseconds.
    pub ahead_nanos: i64,
    /// How likely the best candidate is right.
    pub confidence: f64,
}

/// Collects rows.
pub struct Rows<F> {
    /// What was collected.
    pub rows: Vec<AttributedRow>,
    wanted: F,
}

impl<F: Fn(&Evidence, &Named<'_>) -> bool + Send> Rows<F> {
    /// An empty collection of the connections that `wanted` says yes to.
    pub const fn new(wanted: F) -> Self {
        Self { rows: Vec::new(), wanted }
    }
}

/// FNV-1a: not strong, but the same in every version of this program and of its dependencies.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn stable_id(evidence: &Evidence, named: &Named<'_>) -> u64 {
    let vocabulary = &evidence.vocabulary;
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(vocabulary.text_of(named.cluster).as_bytes());
    for address in [named.client_address, named.server_address] {
        hash.write(vocabulary.address_of(address).to_string().as_bytes());
        hash.write(b" ");
    }
    hash.write(&named.client_port.to_be_bytes());
    hash.write(&named.port.to_be_bytes());
    hash.write(&[named.protocol.0]);
    hash.write(&named.first.nanos().to_be_bytes());
    // Where records leave addresses out, only who the ends are tells connections apart.
    if named.client_address.is_unrecorded() || named.server_address.is_unrecorded() {
        for party in [named.client, named.server] {
            if let Some(party) = party.and_then(|party| evidence.parties.get(party)) {
                hash.write([&*party.namespace, &*party.pod, &*party.workload.to_string()].join("/").as_bytes());
            }
            hash.write(b" ");
        }
        for name in named.reported {
            hash.write(vocabulary.name_of(*name).as_bytes());
        }
    }
    hash.finish()
}

impl<F: Fn(&Evidence, &Named<'_>) -> bool + Send> Sink for Rows<F> {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        if !(self.wanted)(evidence, named) {
            return;
        }
        let attributed = named.attributed;
        self.rows.push(AttributedRow {
            id: named.id,
            stable: stable_id(evidence, named),
            time: named.first,
            cluster: named.cluster,
            client: named.client,
            client_address: named.client_address,
            server_address: named.server_address,
            port: named.port,
            protocol: named.protocol,
            verdict: named.verdict,
            names: attributed.candidates.iter().map(|candidate| candidate.name).collect(),
            grade: attributed.grade,
            answered_at: attributed.candidates.first().map_or(Timestamp::UNKNOWN, |best| best.answered_at),
            ahead_nanos: named.ahead_nanos,
            confidence: attributed.confidence,
        });
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

/// Orders rows by what they say, so that nothing depends on how they were read.
pub fn in_order(evidence: &Evidence, rows: &mut [AttributedRow]) {
    let vocabulary = &evidence.vocabulary;
    let key = |row: &AttributedRow| {
        (
            row.time,
            vocabulary.address_of(row.client_address),
            vocabulary.address_of(row.server_address),
            row.port,
            row.protocol,
            row.stable,
        )
    };
    rows.sort_by(|one, two| {
        key(one)
            .cmp(&key(two))
            .then_with(|| vocabulary.text_of(one.cluster).cmp(vocabulary.text_of(two.cluster)))
            .then_with(|| vocabulary.record_id_text(one.id).cmp(&vocabulary.record_id_text(two.id)))
    });
}
