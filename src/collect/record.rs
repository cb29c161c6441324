//! One record of the write-ahead log, as bytes: its length, its checksum, its kind, its content.
//!
//! In: what happened. Out: bytes, and the same record back; `None` for bytes that are none. Numbers are big-endian. The form is private: segments live for
//! minutes, and the program that reads them is the one that wrote them.

use crate::catalog::FeedKind;
use crate::model::Timestamp;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Whole data frames of one connection.
    Frames {
        /// The connection.
        session: u64,
        /// The socket it came in by.
        origin: String,
        /// The cluster of that socket.
        cluster: String,
        /// When they were read.
        arrived: Timestamp,
        /// Each: length and payload.
        frames: Vec<u8>,
    },
    /// Whole lines of one file.
    Lines {
        /// What the file is known by (see `tail`).
        key: u64,
        /// Its path at the time.
        origin: String,
        /// The cluster of records that name none.
        cluster: String,
        /// When they were read.
        arrived: Timestamp,
        /// Where they begin in the decompressed content.
        from: u64,
        /// The lines.
        lines: Vec<u8>,
    },
    /// A connection began.
    Opened {
        /// The connection.
        session: u64,
        /// The socket it came in by.
        origin: String,
        /// When.
        at: Timestamp,
    },
    /// A connection ended.
    Closed {
        /// The connection.
        session: u64,
        /// When.
        at: Timestamp,
        /// Frames that were too long to keep, and a frame that was cut.
        lost: u64,
    },
    /// A followed file is gone for good: its position need not be kept.
    Gone {
        /// What the file was known by.
        key: u64,
    },
    /// Messages of a gRPC server or an IPFIX exporter.
    Messages {
        /// What they are.
        kind: MessageKind,
        /// The connection, or the exporter over UDP.
        session: u64,
        /// What the source is known by from run to run.
        key: u64,
        /// The address that was asked, or the socket they came in by.
        origin: String,
        /// The cluster of records that name none.
        cluster: String,
        /// Who sent them; empty where the records tell.
        source: String,
        /// When they were read.
        arrived: Timestamp,
        /// The latest time of an event in them, in nanoseconds since the Unix epoch; 0 when it is not known.
        until: u64,
        /// Each with its length for gRPC; one chunk for IPFIX.
        messages: Vec<u8>,
    },
    /// A stream of a gRPC server began or ended.
    Link {
        /// What the source is known by from run to run.
        key: u64,
        /// When.
        at: Timestamp,
        /// Whether it began.
        is_up: bool,
    },
    /// Something arrived that could not be kept, or is known not to have arrived.
    Missed {
        /// The socket or address.
        origin: String,
        /// The cluster of it.
        cluster: String,
        /// Who sent it.
        source: String,
        /// When.
        at: Timestamp,
        /// Messages that are none.
        rejected: u64,
        /// Messages that were lost.
        lost: u64,
    },
    /// The collector began: whatever was open before is closed.
    Started {
        /// When.
        at: Timestamp,
    },
}

/// Kinds of records, as their first byte tells them.
pub(super) const KINDS: std::ops::RangeInclusive<u8> = 1..=15;
/// What the messages of a record are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Of a gRPC server.
    Feed(FeedKind),
    /// A chunk of IPFIX, which needs nothing from before it.
    Ipfix,
}

impl MessageKind {
    const ALL: [Self; 4] =
        [Self::Feed(FeedKind::Relay), Self::Feed(FeedKind::Goldmane), Self::Feed(FeedKind::Antrea), Self::Ipfix];

    fn number(self) -> u64 {
        Self::ALL.iter().zip(0..).find(|(kind, _)| **kind == self).map_or(0, |(_, number)| number)
    }

    pub(super) fn numbered(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// No record is longer.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;

impl Record {
    /// The record with its length and checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 8];
        self.put(&mut out);
        let body = out.get(8..).unwrap_or_default();
        let head = [u32::try_from(body.len()).unwrap_or(u32::MAX), checksum(body)].map(u32::to_be_bytes).concat();
        if let Some(place) = out.get_mut(..8) {
            place.copy_from_slice(&head);
        }
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Frames { session, origin, cluster, arrived, frames } => {
                out.push(1);
                put_numbers(out, &[*session, arrived.nanos().cast_unsigned()]);
                put_texts(out, &[origin, cluster]);
                out.extend_from_slice(frames);
            }
            Self::Lines { key, origin, cluster, arrived, from, lines } => {
                out.push(2);
                put_numbers(out, &[*key, arrived.nanos().cast_unsigned(), *from]);
                put_texts(out, &[origin, cluster]);
                out.extend_from_slice(lines);
            }
            Self::Opened { session, origin, at } => {
                out.push(3);
                put_numbers(out, &[*session, at.nanos().cast_unsigned()]);
                put_texts(out, &[origin]);
            }
            Self::Closed { session, at, lost } => {
                out.push(4);
                put_numbers(out, &[*session, at.nanos().cast_unsigned(), *lost]);
            }
            Self::Started { at } => {
                out.push(5);
                put_numbers(out, &[at.nanos().cast_unsigned()]);
            }
            Self::Messages { kind, session, key, origin, cluster, source, arrived, until, messages } => {
                out.push(6);
                let arrived = arrived.nanos().cast_unsigned();
                put_numbers(out, &[kind.number(), *session, *key, arrived, *until]);
                put_texts(out, &[origin, cluster, source]);
                out.extend_from_slice(messages);
            }
            Self::Link { key, at, is_up } => {
                out.push(7);
                put_numbers(out, &[*key, at.nanos().cast_unsigned(), u64::from(*is_up)]);
            }
            Self::Missed { origin, cluster, source, at, rejected, lost } => {
                out.push(8);
                put_numbers(out, &[at.nanos().cast_unsigned(), *rejected, *lost]);
                put_texts(out, &[origin, cluster, source]);
            }
            Self::Gone { key } => {
                out.push(9);
                put_numbers(out, &[*key]);
            }
        }
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut input = Input(body);
        let kind = input.take(1)?.first().copied()?;
        Some(match kind {
            1 => Self::Frames {
                session: input.number()?,
                arrived: input.time()?,
                origin: input.text()?,
                cluster: input.text()?,
                frames: input.0.to_vec(),
            },
            2 => Self::Lines {
                key: input.number()?,
                arrived: input.time()?,
                from: input.number()?,
                origin: input.text()?,
                cluster: input.text()?,
                lines: input.0.to_vec(),
            },
            3 => Self::Opened { session: input.number()?, at: input.time()?, origin: input.text()? },
            4 => Self::Closed { session: input.number()?, at: input.time()?, lost: input.number()? },
            5 => Self::Started { at: input.time()? },
            6 => Self::Messages {
                kind: MessageKind::numbered(input.number()?)?,
                session: input.number()?,
                key: input.number()?,
                arrived: input.time()?,
                until: input.number()?,
                origin: input.text()?,
                cluster: input.text()?,
                source: input.text()?,
                messages: input.0.to_vec(),
            },
            7 => Self::Link { key: input.number()?, at: input.time()?, is_up: input.number()? == 1 },
            8 => Self::Missed {
                at: input.time()?,
                rejected: input.number()?,
                lost: input.number()?,
                origin: input.text()?,
                cluster: input.text()?,
                source: input.text()?,
            },
            9 => Self::Gone { key: input.number()? },
            _ => return None,
        })
    }
}

pub(super) fn checksum(body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    crc.sum()
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn put_texts(out: &mut Vec<u8>, texts: &[&String]) {
    for text in texts {
        let bytes = text.as_bytes().get(..usize::from(u16::MAX)).unwrap_or(text.as_bytes());
        out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(bytes);
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.number().map(|nanos| Timestamp::from_nanos(nanos.cast_signed()))
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        Some(String::from_utf8_lossy(self.take(usize::from(length))?).into_owned())
    }
}
