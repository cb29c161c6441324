//! IPFIX in one piece, in single bytes, as a datagram and as a capture: nothing panics, and pieces change nothing.
#![no_main]

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::{ChunkSource, IpfixChunks, IpfixDecoder, ipfix};
use libfuzzer_sys::fuzz_target;

fn pushed(bytes: &[u8], length: usize) -> (usize, Account) {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = IpfixDecoder::new();
    for piece in bytes.chunks(length) {
        if decoder.push(piece, &mut vocabulary, &mut batch, &mut account).is_err() {
            break;
        }
    }
    assert!(account.is_balanced());
    (batch.flows.len(), account)
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(pushed(bytes, usize::MAX), pushed(bytes, 1));
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    IpfixDecoder::udp(1_800).datagram(bytes, &mut vocabulary, &mut batch, &mut account);
    let (mut source, mut chunk) = (IpfixChunks::new(bytes), Vec::new());
    while let Ok(Some(base)) = source.next_chunk(&mut chunk, &mut account) {
        IpfixDecoder::new().decode(&chunk, base, &mut vocabulary, &mut batch, &mut account);
    }
    assert!(account.is_balanced());
    let _is_ipfix = ipfix::sniff(bytes);
});
