//! One answer as the join keeps it: who was told which address for which name, and when.

use crate::model::{AddressId, AnswerKind, AnswerRow, ChainId, EndpointId, NameId, TextId, Timestamp, VocabularyMap};

/// One (name, address) pair of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub time: Timestamp,
    /// Cluster of the client.
    pub cluster: TextId,
    /// Who asked.
    pub client: AddressId,
    /// What the source claims about the client.
    pub client_hint: EndpointId,
    /// The queried name.
    pub name: NameId,
    /// The address.
    pub address: AddressId,
    /// CNAME targets.
    pub chain: ChainId,
    /// Time to live in seconds.
    pub ttl_seconds: u32,
    /// Place among the addresses of the answer.
    pub position: u16,
    /// Addresses of the answer.
    pub addresses: u16,
    /// How name and address came together.
    pub kind: AnswerKind,
}

impl Answer {
    pub(crate) fn of(row: &AnswerRow) -> Self {
        Self {
            time: row.time,
            cluster: row.cluster,
            client: row.client,
            client_hint: row.client_hint,
            name: row.name,
            address: row.address,
            chain: row.chain,
            ttl_seconds: row.ttl_seconds,
            position: row.position,
            addresses: row.addresses,
            kind: row.kind,
        }
    }

    pub(crate) fn renumbered(self, map: &VocabularyMap) -> Self {
        Self {
            cluster: map.text(self.cluster),
            client: map.address(self.client),
            client_hint: map.endpoint(self.client_hint),
            name: map.name(self.name),
            address: map.address(self.address),
            chain: map.chain(self.chain),
            ..self
        }
    }
}
