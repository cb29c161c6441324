//! The encoded forms of the rows that a [`Spill`](super::spill::Spill) parks.

use super::answers::Answer;
use super::connection::{Connection, ConnectionKey, Verdicts};
use super::spill::{Cursor, Parked};
use crate::model::{
    AddressId, AnswerKind, Certainty, ChainId, EndpointId, NameId, Protocol, RecordId, TextId, Timestamp,
};

const CERTAINTIES: [Certainty; 5] =
    [Certainty::None, Certainty::Guess, Certainty::Flags, Certainty::Tracked, Certainty::Policy];

fn certainty(code: u8) -> Certainty {
    CERTAINTIES.get(usize::from(code)).copied().unwrap_or_default()
}

impl Parked for Connection {
    const BYTES: usize = 61;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.cluster.0.to_le_bytes());
        out.extend_from_slice(&self.key.low.0.0.to_le_bytes());
        out.extend_from_slice(&self.key.low.1.to_le_bytes());
        out.extend_from_slice(&self.key.high.0.0.to_le_bytes());
        out.extend_from_slice(&self.key.high.1.to_le_bytes());
        out.push(self.key.protocol.0);
        out.extend_from_slice(&self.first.nanos().to_le_bytes());
        out.extend_from_slice(&self.last.nanos().to_le_bytes());
        out.push(self.low_is_client as u8);
        out.push(self.high_is_client as u8);
        out.push(u8::from(self.low_spoke_first) | u8::from(self.id_is_forward) << 1);
        out.push(self.verdicts.0);
        out.extend_from_slice(&self.low.0.to_le_bytes());
        out.extend_from_slice(&self.high.0.to_le_bytes());
        out.extend_from_slice(&self.reported.0.to_le_bytes());
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.id_time.nanos().to_le_bytes());
    }

    fn read(input: &mut Cursor<'_>) -> Self {
        let key = ConnectionKey {
            cluster: TextId(input.u32()),
            low: (AddressId(input.u32()), input.u16()),
            high: (AddressId(input.u32()), input.u16()),
            protocol: Protocol(input.u8()),
        };
        let (first, last) = (Timestamp::from_nanos(input.i64()), Timestamp::from_nanos(input.i64()));
        let (low_is_client, high_is_client) = (certainty(input.u8()), certainty(input.u8()));
        let flags = input.u8();
        Self {
            key,
            first,
            last,
            low_is_client,
            high_is_client,
            low_spoke_first: flags & 1 != 0,
            id_is_forward: flags & 2 != 0,
            verdicts: Verdicts(input.u8()),
            low: EndpointId(input.u32()),
            high: EndpointId(input.u32()),
            reported: ChainId(input.u32()),
            id: RecordId(input.u32()),
            id_time: Timestamp::from_nanos(input.i64()),
        }
    }
}

impl Parked for Answer {
    const BYTES: usize = 41;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.nanos().to_le_bytes());
        out.extend_from_slice(&self.cluster.0.to_le_bytes());
        out.extend_from_slice(&self.client.0.to_le_bytes());
        out.extend_from_slice(&self.client_hint.0.to_le_bytes());
        out.extend_from_slice(&self.name.0.to_le_bytes());
        out.extend_from_slice(&self.address.0.to_le_bytes());
        out.extend_from_slice(&self.chain.0.to_le_bytes());
        out.extend_from_slice(&self.ttl_seconds.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.addresses.to_le_bytes());
        out.push(match self.kind {
            AnswerKind::Address => 0,
            AnswerKind::Hint => 1,
            AnswerKind::Additional => 2,
        });
    }

    fn read(input: &mut Cursor<'_>) -> Self {
        Self {
            time: Timestamp::from_nanos(input.i64()),
            cluster: TextId(input.u32()),
            client: AddressId(input.u32()),
            client_hint: EndpointId(input.u32()),
            name: NameId(input.u32()),
            address: AddressId(input.u32()),
            chain: ChainId(input.u32()),
            ttl_seconds: input.u32(),
            position: input.u16(),
            addresses: input.u16(),
            kind: match input.u8() {
                1 => AnswerKind::Hint,
                2 => AnswerKind::Additional,
                _ => AnswerKind::Address,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Parked + PartialEq + std::fmt::Debug>(row: T) {
        let mut bytes = Vec::new();
        row.write(&mut bytes);
        assert_eq!(bytes.len(), T::BYTES);
        assert_eq!(T::read(&mut Cursor(&bytes)), row);
    }

    #[test]
    fn every_field_survives() {
        round_trip(Connection {
            key: ConnectionKey {
                cluster: TextId(1),
                low: (AddressId(2), 3),
                high: (AddressId(4), 5),
                protocol: Protocol::TCP,
            },
            first: Timestamp::from_nanos(6),
            last: Timestamp::from_nanos(7),
            low_is_client: Certainty::Policy,
            high_is_client: Certainty::Flags,
            low_spoke_first: true,
            verdicts: Verdicts(9),
            low: EndpointId(10),
            high: EndpointId(11),
            reported: ChainId(12),
            id: RecordId(13),
            id_time: Timestamp::UNKNOWN,
            id_is_forward: true,
        });
        round_trip(Answer {
            time: Timestamp::from_nanos(1),
            cluster: TextId(2),
            client: AddressId(3),
            client_hint: EndpointId(4),
            name: NameId(5),
            address: AddressId(6),
            chain: ChainId(7),
            ttl_seconds: 8,
            position: 9,
            addresses: 10,
            kind: AnswerKind::Additional,
        });
    }
}
