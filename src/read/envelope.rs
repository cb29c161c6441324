//! The dnstap envelope: the bytes of one data frame in, the few fields that answers need out, borrowed from the frame.
//!
//! A reader by hand of the Protocol Buffers wire format, because it is twice as fast as the generated one; a property
//! test holds both against each other. Unknown fields are skipped by their wire type, fields may come in any order,
//! the last value of a field wins, and an enumeration keeps values it does not know. Groups are refused: dnstap never
//! had any, and skipping them costs a stack. Nothing is judged here beyond the wire format.

/// What one dnstap frame says, as far as answers need it. Field names are those of `proto/dnstap.proto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'frame> {
    /// The server that saw the message.
    pub identity: Option<&'frame [u8]>,
    /// Free text of the operator.
    pub extra: Option<&'frame [u8]>,
    /// The kind of event; 1 is a message.
    pub kind: Option<i32>,
    /// The message.
    pub message: Option<Message<'frame>>,
}

/// What the message within the frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'frame> {
    /// `Message.type`.
    pub kind: Option<i32>,
    /// Address of the client.
    pub query_address: Option<&'frame [u8]>,
    /// Seconds since the Unix epoch.
    pub query_time_sec: Option<u64>,
    /// Nanoseconds to it, unchecked.
    pub query_time_nsec: Option<u32>,
    /// Seconds since the Unix epoch.
    pub response_time_sec: Option<u64>,
    /// Nanoseconds to it, unchecked.
    pub response_time_nsec: Option<u32>,
    /// The DNS response in wire format.
    pub response_message: Option<&'frame [u8]>,
}

/// The bytes are not Protocol Buffers, or hold a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken protobuf")]
pub struct BrokenEnvelope;

impl<'frame> Envelope<'frame> {
    /// Reads the payload of one data frame.
    pub fn read(payload: &'frame [u8]) -> Result<Self, BrokenEnvelope> {
        let mut envelope = Self::default();
        let mut fields = Fields(payload);
        while let Some((number, value)) = fields.next_field()? {
            match number {
                1 => envelope.identity = Some(value.bytes()?),
                3 => envelope.extra = Some(value.bytes()?),
                14 => envelope.message.get_or_insert_default().merge(value.bytes()?)?,
                15 => envelope.kind = Some(value.enumeration()?),
                _ => {}
            }
        }
        Ok(envelope)
    }
}

impl<'frame> Message<'frame> {
    fn merge(&mut self, payload: &'frame [u8]) -> Result<(), BrokenEnvelope> {
        let mut fields = Fields(payload);
        while let Some((number, value)) = fields.next_field()? {
            match number {
                1 => self.kind = Some(value.enumeration()?),
                4 => self.query_address = Some(value.bytes()?),
                8 => self.query_time_sec = Some(value.varint()?),
                9 => self.query_time_nsec = Some(value.fixed32()?),
                12 => self.response_time_sec = Some(value.varint()?),
                13 => self.response_time_nsec = Some(value.fixed32()?),
                14 => self.response_message = Some(value.bytes()?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A value by its wire type.
enum Value<'frame> {
    Varint(u64),
    Fixed64,
    Bytes(&'frame [u8]),
    Fixed32(u32),
}

impl<'frame> Value<'frame> {
    const fn bytes(&self) -> Result<&'frame [u8], BrokenEnvelope> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(BrokenEnvelope),
        }
    }

    const fn varint(&self) -> Result<u64, BrokenEnvelope> {
        match self {
            Self::Varint(value) => Ok(*value),
            _ => Err(BrokenEnvelope),
        }
    }

    const fn fixed32(&self) -> Result<u32, BrokenEnvelope> {
        match self {
            Self::Fixed32(value) => Ok(*value),
            _ => Err(BrokenEnvelope),
        }
    }

    /// Enumerations are cut to 32 bits, as every implementation does.
    #[expect(clippy::cast_possible_truncation, reason = "the wire format defines it so")]
    const fn enumeration(&self) -> Result<i32, BrokenEnvelope> {
        match self {
            Self::Varint(value) => Ok(*value as i32),
            _ => Err(BrokenEnvelope),
        }
    }
}

/// The fields that are left.
struct Fields<'frame>(&'frame [u8]);

impl<'frame> Fields<'frame> {
    fn next_field(&mut self) -> Result<Option<(u32, Value<'frame>)>, BrokenEnvelope> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| BrokenEnvelope)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| BrokenEnvelope)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk().ok_or(BrokenEnvelope)?)),
            _ => return Err(BrokenEnvelope),
        };
        match key >> 3 {
            0 => Err(BrokenEnvelope),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'frame [u8], BrokenEnvelope> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BrokenEnvelope)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, BrokenEnvelope> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(BrokenEnvelope)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                return if shift == 63 && byte > 1 { Err(BrokenEnvelope) } else { Ok(value) };
            }
        }
        Err(BrokenEnvelope)
    }
}
