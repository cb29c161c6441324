//! The strict scan of ordinary Hubble records against the tolerant parser: same rows, same account.
#![no_main]

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::HubbleDecoder;
use libfuzzer_sys::fuzz_target;

fn decode(mut decoder: HubbleDecoder, bytes: &[u8]) -> (Account, [usize; 3], Vec<String>) {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    decoder.decode_lines(bytes, 0, &mut vocabulary, &mut batch, &mut account);
    // Numbers of a vocabulary depend on the order of reading; what they stand for does not.
    let said = batch.flows.iter().map(|flow| {
        let ends = [flow.source, flow.destination].map(|end| vocabulary.endpoint_of(end));
        let addresses = [flow.source_address, flow.destination_address].map(|id| vocabulary.address_of(id));
        let ports = (flow.source_port, flow.destination_port, flow.protocol);
        let judged = (flow.verdict, flow.initiator, flow.certainty);
        format!("{:?} {ends:?} {addresses:?} {ports:?} {judged:?} {}", flow.time, vocabulary.text_of(flow.id))
    });
    (account, [batch.flows.len(), batch.answers.len(), batch.losses.len()], said.collect())
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(decode(HubbleDecoder::new(true), bytes), decode(HubbleDecoder::parser_only(true), bytes));
});
