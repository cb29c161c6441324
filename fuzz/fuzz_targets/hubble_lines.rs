//! Hubble JSON, as lines and as objects in any layout: nothing panics, and every record is accounted for.
#![no_main]

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::{HubbleDecoder, hubble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = HubbleDecoder::new(true);
    decoder.decode_lines(bytes, 0, &mut vocabulary, &mut batch, &mut account);
    assert!(account.is_balanced());
    decoder.decode_objects(bytes, u64::MAX, &mut vocabulary, &mut batch, &mut account);
    assert!(account.is_balanced());
    assert!(hubble::whole_objects(bytes) <= bytes.len());
    let _framing = hubble::sniff(bytes);
});
