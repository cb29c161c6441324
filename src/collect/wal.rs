//! The write-ahead log: records of what arrived, each with its length and checksum, in segments.
//!
//! In: records. Out: the same records, up to the first that is not whole: a crash cuts the tail, never the middle. Numbers are
//! big-endian. The form is private: segments live for minutes, and the program that reads them is the one that wrote them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

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
const KINDS: std::ops::RangeInclusive<u8> = 1..=15;
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

    fn numbered(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// No record is longer.
const RECORD_BYTES_MAX: usize = 16 << 20;

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

    fn decode(body: &[u8]) -> Option<Self> {
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

fn checksum(body: &[u8]) -> u32 {
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

/// Reads the records of a segment.
pub struct SegmentReader {
    file: BufReader<File>,
    /// Bytes behind the last whole record, once the end is reached.
    pub cut_bytes: u64,
    /// Whether the log is broken in its middle, and more follows than a crash leaves of the last record.
    pub is_damaged: bool,
    left: u64,
}

impl SegmentReader {
    /// Opens a segment.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Self { file: BufReader::with_capacity(1 << 18, file), cut_bytes: 0, is_damaged: false, left })
    }

    /// The next whole record; `None` at the end, or where the log was cut.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        let mut head = [0; 8];
        if self.left < 8 {
            self.cut_bytes = self.left;
            return Ok(None);
        }
        self.file.read_exact(&mut head)?;
        let (length, sum) = head.split_at(4);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_be_bytes);
        let length = number(length) as usize;
        if length > RECORD_BYTES_MAX || length as u64 > self.left - 8 {
            return self.end(head.to_vec());
        }
        let mut body = vec![0; length];
        self.file.read_exact(&mut body)?;
        if checksum(&body) == number(sum)
            && let Some(record) = Record::decode(&body)
        {
            self.left -= 8 + length as u64;
            return Ok(Some(record));
        }
        self.end([head.as_slice(), &body].concat())
    }

    /// Nothing from here on, where `bytes` stand, can be read: what a crash leaves of the last record, or damage.
    fn end(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Record>> {
        self.cut_bytes = self.left;
        (&mut self.file).take(LOOKED_AT_MAX).read_to_end(&mut bytes)?;
        self.is_damaged = holds_record(bytes.get(1..).unwrap_or_default());
        Ok(None)
    }
}

/// How far behind a broken record another one is looked for: a segment's length and a record's.
const LOOKED_AT_MAX: u64 = 96 << 20;
/// How many bytes of candidates are summed before they are taken for records unseen.
const SUMMED_MAX: u64 = 1 << 30;

/// Whether a whole record begins anywhere in `bytes`.
fn holds_record(bytes: &[u8]) -> bool {
    let mut summed = 0;
    for at in 0..bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(([l3, l2, l1, l0, s3, s2, s1, s0], rest)) = rest.split_first_chunk::<8>() else { return false };
        let length = u32::from_be_bytes([*l3, *l2, *l1, *l0]) as usize;
        // The kind of a record is its first byte.
        let Some(body) = rest.get(..length).filter(|body| body.first().is_some_and(|kind| KINDS.contains(kind))) else {
            continue;
        };
        summed += length as u64;
        let is_whole = checksum(body) == u32::from_be_bytes([*s3, *s2, *s1, *s0]) && Record::decode(body).is_some();
        if is_whole || summed > SUMMED_MAX {
            return true;
        }
    }
    false
}

/// The folder of segments below a store.
pub fn wal_folder(store: &Path) -> PathBuf {
    store.join("wal")
}

/// All segments, oldest first.
pub fn segments(store: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = wal_folder(store);
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    found.sort();
    Ok(found)
}

/// The number of a segment, by its name.
pub fn segment_number(path: &Path) -> Option<u64> {
    u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        let time = || any::<i64>().prop_map(Timestamp::from_nanos);
        prop_oneof![
            (any::<u64>(), "[a-z:/]{0,20}", "[a-z]{0,8}", time(), bytes()).prop_map(
                |(session, origin, cluster, arrived, frames)| Record::Frames {
                    session,
                    origin,
                    cluster,
                    arrived,
                    frames
                }
            ),
            (any::<u64>(), "[a-z/]{0,20}", "[a-z]{0,8}", time(), any::<u64>(), bytes()).prop_map(
                |(key, origin, cluster, arrived, from, lines)| Record::Lines {
                    key,
                    origin,
                    cluster,
                    arrived,
                    from,
                    lines
                }
            ),
            (any::<u64>(), "[a-z]{0,9}", time()).prop_map(|(session, origin, at)| Record::Opened {
                session,
                origin,
                at
            }),
            (any::<u64>(), time(), any::<u64>()).prop_map(|(session, at, lost)| Record::Closed { session, at, lost }),
            time().prop_map(|at| Record::Started { at }),
            ((0_u64..4, any::<u64>(), any::<u64>(), any::<u64>()), "[a-z:/]{0,20}", "[a-z]{0,8}", time(), bytes())
                .prop_map(|((kind, session, key, until), origin, source, arrived, messages)| Record::Messages {
                    kind: MessageKind::numbered(kind).unwrap(),
                    session,
                    key,
                    cluster: source.clone(),
                    origin,
                    source,
                    arrived,
                    until,
                    messages
                }),
            (any::<u64>(), time(), any::<bool>()).prop_map(|(key, at, is_up)| Record::Link { key, at, is_up }),
            ("[a-z]{0,9}", time(), any::<u64>(), any::<u64>()).prop_map(|(origin, at, rejected, lost)| {
                Record::Missed { cluster: origin.clone(), source: origin.clone(), origin, at, rejected, lost }
            }),
            any::<u64>().prop_map(|key| Record::Gone { key }),
        ]
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.wal");
        std::fs::write(&path, bytes).unwrap();
        let mut reader = SegmentReader::open(&path).unwrap();
        let mut found = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            found.push(record);
        }
        (found, reader.cut_bytes)
    }

    #[test]
    fn damage_in_the_middle_is_no_torn_tail() {
        let records: Vec<Record> = (0..9).map(|number| Record::Started { at: Timestamp::from_nanos(number) }).collect();
        let parts: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
        let (whole, each) = (parts.concat(), parts[0].len());
        let check = |bytes: &[u8], expected: (usize, bool)| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("0.wal");
            std::fs::write(&path, bytes).unwrap();
            let mut reader = SegmentReader::open(&path).unwrap();
            let mut found = 0;
            while reader.next_record().unwrap().is_some() {
                found += 1;
            }
            assert_eq!((found, reader.is_damaged), expected);
        };
        check(&whole, (9, false));
        for at in 0..each {
            // In the fifth record: its length, its checksum, its body; then in the last one.
            let (mut middle, mut last) = (whole.clone(), whole.clone());
            middle[4 * each + at] ^= 0x40;
            check(&middle, (4, true));
            last[8 * each + at] ^= 0x40;
            check(&last, (8, false));
            check(&whole[..8 * each + at], (8, false));
        }
        check(&[whole.as_slice(), &[0; 4096]].concat(), (9, false));
    }

    proptest! {
        #[test]
        fn a_cut_or_broken_tail_costs_only_the_tail(records in prop::collection::vec(record(), 1..12), cut in 0_usize..4000, flip: bool) {
            let parts: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
            let whole = parts.concat();
            prop_assert_eq!(read(&whole), (records.clone(), 0));
            let at = cut % whole.len();
            let mut damaged = whole;
            if flip { damaged[at] ^= 0x40 } else { damaged.truncate(at) }
            let mut end = 0;
            let intact = parts.iter().take_while(|part| { end += part.len(); end <= at }).count();
            let (found, cut_bytes) = read(&damaged);
            prop_assert_eq!(&found[..], &records[..intact]);
            let kept: usize = parts[..intact].iter().map(Vec::len).sum();
            prop_assert_eq!(cut_bytes, (damaged.len() - kept) as u64);
        }
    }
}
