//! A segment of the collector's log: every record that is read is written back as it was, and nothing is read behind the first that is broken.
#![no_main]

use std::io::Write;

use egress_atlas::collect::wal::SegmentReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("egress-atlas-fuzz-{}.wal", std::process::id()));
    let Ok(mut file) = std::fs::File::create(&path) else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let Ok(mut reader) = SegmentReader::open(&path) else { return };
    let mut at = 0;
    while let Ok(Some(record)) = reader.next_record() {
        let written = record.encode();
        assert!(at + written.len() <= bytes.len() + 64, "a record is no longer than what it was read from");
        at += written.len();
    }
    assert!(reader.cut_bytes as usize <= bytes.len());
});
