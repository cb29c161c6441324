//! DNS messages in wire format: an answer that is taken has a name and addresses, and its chain is bounded.
#![no_main]

use egress_atlas::read::dns::{Answer, CHAIN_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut answer = Answer::default();
    // Once more with the memory of the first reading: nothing may remain of it.
    let (first, name) = (answer.read(bytes), answer.question_name().to_owned());
    assert_eq!(first, answer.read(bytes));
    assert_eq!(name, answer.question_name());
    assert!(answer.chain().count() <= CHAIN_MAX);
    if first.is_ok() {
        assert!(!name.is_empty() && !answer.addresses.is_empty());
        assert!(answer.addresses.iter().all(|found| answer.ttl_seconds(found) <= found.ttl_seconds));
    }
});
