//! `atlas.json`: what is read is written so that it reads the same again.
#![no_main]

use egress_atlas::report::AtlasDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<AtlasDocument>(bytes) else { return };
    let Ok(written) = serde_json::to_string(&document) else { panic!("it cannot be written") };
    let Ok(again) = serde_json::from_str::<AtlasDocument>(&written) else { panic!("it cannot be read again") };
    assert_eq!(serde_json::to_string(&again).ok(), Some(written));
});
