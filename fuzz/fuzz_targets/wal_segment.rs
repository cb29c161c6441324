//! A segment of the collector's log: what is read of it is written so that it reads again, whole and undamaged.
#![no_main]

use std::path::Path;

use egress_atlas::collect::record::Record;
use egress_atlas::collect::wal::SegmentReader;
use libfuzzer_sys::fuzz_target;

/// The records, and whether the segment ended between two.
fn read(path: &Path, bytes: &[u8]) -> Option<(Vec<Record>, bool)> {
    std::fs::write(path, bytes).ok()?;
    let (mut reader, mut records) = (SegmentReader::open(path).ok()?, Vec::new());
    while let Some(record) = reader.next_record().ok()? {
        records.push(record);
    }
    assert!(reader.cut_bytes <= bytes.len() as u64);
    assert!(!reader.is_damaged || reader.cut_bytes > 0);
    Some((records, reader.cut_bytes == 0))
}

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("egress-atlas-fuzz-{}.wal", std::process::id()));
    let Some((records, _)) = read(&path, bytes) else { return };
    let written: Vec<u8> = records.iter().flat_map(Record::encode).collect();
    let Some((again, is_whole)) = read(&path, &written) else { return };
    assert!(is_whole && again.len() == records.len());
});
