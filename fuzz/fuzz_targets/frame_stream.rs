//! Frame Streams captures, whole, cut and broken: chunks hold whole frames, come in order, and end.
#![no_main]

use egress_atlas::read::framestream::{FrameSplitter, sniff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _known = sniff(bytes);
    // A low cap, so that frames beyond it are common.
    let mut splitter = FrameSplitter::new(bytes, 256);
    let (mut chunk, mut end) = (Vec::new(), 0);
    loop {
        match splitter.next_chunk(&mut chunk) {
            Ok(Some(offset)) => {
                assert!(offset >= end && !chunk.is_empty());
                end = offset + chunk.len() as u64;
                assert!(end <= bytes.len() as u64);
            }
            Err(error) if error.can_continue() => {}
            Ok(None) | Err(_) => break,
        }
    }
});
