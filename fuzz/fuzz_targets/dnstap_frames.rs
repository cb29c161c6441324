//! dnstap frames, from the length before the frame to the answer rows: nothing panics, and every frame is accounted for.
#![no_main]

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::DnstapDecoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = DnstapDecoder::new();
    decoder.decode(bytes, 0, &mut vocabulary, &mut batch, &mut account);
    // The same bytes as the payload of one frame, so that the envelope is reached without a lucky length.
    let mut frame = u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    decoder.decode(&frame, 0, &mut vocabulary, &mut batch, &mut account);
    assert!(account.is_balanced());
    assert!(batch.flows.is_empty());
    assert!(account.used <= batch.answers.len() as u64);
});
