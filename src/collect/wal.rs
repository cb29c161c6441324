//! Segments of the write-ahead log: records of what arrived, one behind the other.
//!
//! In: a store's folder. Out: its segments, and their records up to the first that is not whole: a crash cuts the tail, never the middle.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::record::{KINDS, RECORD_BYTES_MAX, Record, checksum};

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

    use super::super::record::MessageKind;
    use super::*;
    use crate::model::Timestamp;

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
