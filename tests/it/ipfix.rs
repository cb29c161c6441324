//! IPFIX: published and constructed messages, cut in every way, and what breaks them.

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::{ChunkSource, IpfixChunks, IpfixDecoder, IpfixRelay, ipfix};
use proptest::prelude::*;

use crate::decoding::{Outcome, accounts, shown};
use crate::support::fixture;

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(fixture(&format!("antrea/{name}.ipfix"))).unwrap()
}

fn antrea() -> Vec<u8> {
    [sample("constructed-v2.7-aggregate-ipv4.template"), sample("constructed-v2.7-aggregate-ipv4.data")].concat()
}

/// Everything at once through a session, in pieces of these lengths, repeated.
fn pushed(bytes: &[u8], lengths: &[usize]) -> Outcome {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = IpfixDecoder::new();
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, next) = rest.split_at((*lengths.next().unwrap()).clamp(1, rest.len()));
        if decoder.push(piece, &mut vocabulary, &mut batch, &mut account).is_err() {
            break;
        }
        rest = next;
    }
    shown(&vocabulary, &batch, account)
}

/// A capture through the chunk source.
fn captured(bytes: &[u8]) -> (Outcome, Option<String>) {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let (mut source, mut chunk, mut all) = (IpfixChunks::new(bytes), Vec::new(), Batch::default());
    let problem = loop {
        match source.next_chunk(&mut chunk, &mut account) {
            Ok(Some(base)) => {
                // Another worker for every chunk.
                batch.clear();
                IpfixDecoder::new().decode(&chunk, base, &mut vocabulary, &mut batch, &mut account);
                let start = all.flows.len();
                all.flows.append(&mut batch.flows);
                all.further.extend(batch.further.iter().map(|at| at + start));
                all.losses.append(&mut batch.losses);
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    (shown(&vocabulary, &all, account), problem)
}

/// Through a live session, whose chunks each worker decodes on its own; a chunk is taken after every so many pieces.
fn relayed(bytes: &[u8], lengths: &[usize], every: usize) -> Outcome {
    let (mut vocabulary, mut account, mut all) = (Vocabulary::default(), Account::default(), Batch::default());
    let mut relay = IpfixRelay::new();
    let (mut rest, mut lengths, mut pieces) = (bytes, lengths.iter().cycle(), 0);
    let mut take = |relay: &mut IpfixRelay| {
        let mut batch = Batch::default();
        IpfixDecoder::new().decode(&relay.take().0, 0, &mut vocabulary, &mut batch, &mut account);
        let start = all.flows.len();
        all.flows.append(&mut batch.flows);
        all.further.extend(batch.further.iter().map(|at| at + start));
        all.losses.append(&mut batch.losses);
    };
    while !rest.is_empty() {
        let (piece, next) = rest.split_at((*lengths.next().unwrap()).clamp(1, rest.len()));
        relay.push(piece).unwrap();
        (rest, pieces) = (next, pieces + 1);
        if pieces % every == 0 {
            take(&mut relay);
        }
    }
    take(&mut relay);
    assert!(relay.is_between_messages());
    shown(&vocabulary, &all, account)
}

proptest! {
    #[test]
    fn a_live_session_may_be_cut_and_logged_anywhere(lengths in prop::collection::vec(1_usize..90, 1..20), every in 1_usize..9) {
        let record = |sequence, id| message(sequence, 7, &[(id, &RECORD)]);
        // Another template of the same number later on, a gap, and a set that nobody knows.
        let more = [message(0, 7, &[(2, &template(256))]), record(0, 256), record(1, 256), record(5, 256), record(6, 999),
            message(7, 7, &[(2, &[1, 0, 0, 2, 0, 8, 0, 4, 0, 12, 0, 4]), (256, &RECORD[..8])]), record(8, 256)];
        let bytes = [antrea(), more.concat()].concat();
        let mut one = pushed(&bytes, &[usize::MAX]);
        let mut two = relayed(&bytes, &lengths, every);
        // Places count from the chunk.
        for account in [&mut one.account, &mut two.account] {
            for count in account.rejected.values_mut() {
                count.first = egress_atlas::model::Place::Byte(0);
            }
        }
        prop_assert_eq!(two, one);
    }
}

fn message(sequence: u32, domain: u32, sets: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, set) in sets {
        body.extend(id.to_be_bytes());
        body.extend(u16::try_from(set.len() + 4).unwrap().to_be_bytes());
        body.extend_from_slice(set);
    }
    let mut bytes = vec![0, 10];
    bytes.extend(u16::try_from(body.len() + 16).unwrap().to_be_bytes());
    for number in [1_755_900_060_u32, sequence, domain] {
        bytes.extend(number.to_be_bytes());
    }
    [bytes, body].concat()
}

/// A template of both IPv4 addresses and the destination's port.
fn template(id: u16) -> Vec<u8> {
    [id, 3, 8, 4, 12, 4, 11, 2].iter().flat_map(|number| number.to_be_bytes()).collect()
}

const RECORD: [u8; 10] = [10, 0, 0, 1, 192, 0, 2, 1, 1, 187];
const SHOWN: &str = "unknown 10.0.0.1:0 > 192.0.2.1:443 unknown Unknown Unknown:None (Unknown) > (Unknown)";

#[test]
fn antrea_records_are_read_by_number_with_empty_and_long_texts() {
    let outcome = pushed(&antrea(), &[usize::MAX]);
    accounts(&outcome, 2, &[]);
    assert!(outcome.flows[0].starts_with("2025-08-22T22:01:00Z 10.10.1.23:43210 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /checkout-7d9f7c6b5d-x2x9k [app=checkout,long=xxxx"), "{:?}", outcome.flows);
    assert!(
        outcome.flows[0].ends_with(
            "> (World) node=worker-1 cluster=6ba7b810-9dad-11d1-80b4-00c04fd430c8 since 2025-08-22T22:00:00Z"
        ),
        "{:?}",
        outcome.flows
    );
    assert!(outcome.flows[1].contains("10.10.1.23:43210 > 198.51.100.7:25 TCP Denied"), "{:?}", outcome.flows);
}

#[test]
fn the_same_flows_say_the_same_in_every_form_of_antrea() {
    use crate::decoding::decode;
    use egress_atlas::read::Format;
    let text = |name: &str| std::fs::read_to_string(fixture(&format!("antrea/{name}"))).unwrap();
    let ipfix = pushed(&antrea(), &[usize::MAX]).flows;
    assert_eq!(decode(Format::AntreaLog, &text("constructed-v2.7-ipfix-json-mode.ndjson")).flows, ipfix);
    assert_eq!(decode(Format::AntreaCsv, &text("constructed-s3-v2.7-to-external.csv")).flows, ipfix);
}

#[test]
fn published_messages_of_go_ipfix_are_read() {
    let four = [sample("go-ipfix-template-v4"), sample("go-ipfix-data-v4")].concat();
    let six = [sample("go-ipfix-template-v6"), sample("go-ipfix-data-v6")].concat();
    let outcome = pushed(&four, &[7]);
    assert_eq!(outcome.flows, ["unknown 1.2.3.4:0 > 5.6.7.8:0 unknown Allowed Source:Tracked (Pod /pod1) > (Unknown)"]);
    let outcome = pushed(&six, &[7]);
    assert_eq!(
        outcome.flows,
        [
            "unknown 2001:0:3238:dfe1:63::fefb:0 > 2001:0:3238:dfe1:63::fefb:0 unknown Unknown Unknown:None (Unknown) > (Unknown)"
        ]
    );
    assert_eq!(outcome.losses, ["2021-02-04T01:21:00Z IPFIX_SEQUENCE_GAP 1"]);
}

#[test]
fn pieces_of_any_length_give_the_same_rows() {
    let bytes = antrea();
    let whole = pushed(&bytes, &[usize::MAX]);
    assert_eq!(pushed(&bytes, &[1]), whole);
    for cut in 1..bytes.len() {
        assert_eq!(pushed(&bytes, &[cut]), whole, "cut at {cut}");
    }
    assert_eq!(captured(&bytes), (whole, None));
}

#[test]
fn datagrams_hold_one_message_each_and_templates_expire() {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let mut decoder = IpfixDecoder::udp(1_800);
    let mut later = message(0, 1, &[(256, &RECORD)]);
    later[4..8].copy_from_slice(&1_755_901_861_u32.to_be_bytes());
    for datagram in [
        message(0, 1, &[(2, &template(256))]),
        message(0, 1, &[(256, &RECORD)]),
        // No withdrawal over UDP.
        message(1, 1, &[(2, &[1, 0, 0, 0])]),
        message(1, 1, &[(256, &RECORD)]),
        message(2, 1, &[(256, &RECORD)])[..20].to_vec(),
        later,
    ] {
        decoder.datagram(&datagram, &mut vocabulary, &mut batch, &mut account);
    }
    let outcome = shown(&vocabulary, &batch, account);
    assert_eq!(outcome.flows, [SHOWN, SHOWN]);
    accounts(
        &outcome,
        2,
        &[
            (
                "IPFIX data set whose template was not seen (templates are sent once at the beginning of a connection)",
                1,
            ),
            ("datagram that is no IPFIX message", 1),
        ],
    );
}

#[test]
fn templates_belong_to_a_domain_and_can_be_withdrawn_and_replaced() {
    let check = |messages: &[Vec<u8>], used: u64, others: &[(&str, u64)]| {
        let outcome = pushed(&messages.concat(), &[usize::MAX]);
        accounts(&outcome, used, others);
        outcome
    };
    let unknown =
        "IPFIX data set whose template was not seen (templates are sent once at the beginning of a connection)";
    let known = message(0, 1, &[(2, &template(256))]);
    let data = |domain| message(0, domain, &[(256, &RECORD)]);
    check(&[known.clone(), data(1), data(2)], 1, &[(unknown, 1)]);
    check(&[known.clone(), message(0, 1, &[(2, &[1, 0, 0, 0])]), data(1)], 0, &[(unknown, 1)]);
    check(&[known.clone(), message(0, 1, &[(2, &[0, 2, 0, 0])]), data(1)], 0, &[(unknown, 1)]);
    check(&[known.clone(), message(0, 1, &[(2, &[0, 3, 0, 0])]), data(1)], 0, &[(unknown, 1)]);
    // Two records and padding shorter than a record.
    let padded = [RECORD.as_slice(), &RECORD, &[0, 0]].concat();
    check(&[known.clone(), message(0, 1, &[(256, &padded)])], 2, &[]);
    // The same number, other fields: source and destination change places.
    let swapped: Vec<u8> = [256_u16, 3, 12, 4, 8, 4, 11, 2].iter().flat_map(|number| number.to_be_bytes()).collect();
    let outcome = check(&[known.clone(), message(0, 1, &[(2, &swapped)]), data(1)], 1, &[]);
    assert!(outcome.flows[0].contains("192.0.2.1:0 > 10.0.0.1:443"), "{:?}", outcome.flows);
    // An options template with one scope field.
    let options: Vec<u8> = [257_u16, 2, 1, 149, 4, 41, 8].iter().flat_map(|number| number.to_be_bytes()).collect();
    check(&[message(0, 1, &[(3, &options), (257, &[0; 12])])], 0, &[("IPFIX options record", 1)]);
    check(&[message(0, 1, &[(4, &[0; 4])])], 0, &[("IPFIX set with a reserved number", 1)]);
    check(&[message(0, 1, &[(2, &[1, 0, 0, 9, 0, 8, 0, 4])])], 0, &[("broken IPFIX template", 1)]);
    check(&[message(0, 1, &[(2, &[1, 0, 0, 1, 0, 8, 0, 0])])], 0, &[("broken IPFIX template", 1)]);
    let mut overlong = known.clone();
    overlong[19] = 200;
    check(&[overlong], 0, &[("broken IPFIX set", 1)]);
    let variable: Vec<u8> = [256_u16, 2, 8, 4, 82, 0xffff].iter().flat_map(|number| number.to_be_bytes()).collect();
    check(
        &[message(0, 1, &[(2, &variable), (256, &[10, 0, 0, 1, 255, 0, 9, 0])])],
        0,
        &[("IPFIX record cut off in its set", 1)],
    );
}

#[test]
fn fields_of_no_length_cost_nothing_in_any_record() {
    let wide: Vec<u8> = [256_u16, 16_001]
        .into_iter()
        .chain((0..16_000).flat_map(|_| [8, 0]))
        .chain([4, 1])
        .flat_map(u16::to_be_bytes)
        .collect();
    let mut bytes = message(0, 1, &[(2, &wide)]);
    for number in 0..4 {
        bytes.extend(message(number * 60_000, 1, &[(256, &vec![6; 60_000])]));
    }
    let begun = std::time::Instant::now();
    let (outcome, problem) = captured(&bytes);
    assert_eq!(problem, None);
    accounts(&outcome, 0, &[("flow record without both addresses", 240_000)]);
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_mins(1), "{took:?} for {} bytes", bytes.len());
    // What is remembered of such templates is bounded as before.
    let many: Vec<u8> = (0..6).flat_map(|id| message(0, id, &[(2, &wide)])).collect();
    accounts(&pushed(&many, &[usize::MAX]), 0, &[("IPFIX templates beyond any reasonable number", 2)]);
}

#[test]
fn gaps_of_the_sequence_are_losses_also_between_chunks() {
    let mut bytes = message(0, 1, &[(2, &template(256))]);
    // More than one chunk of a mebibyte.
    let records = RECORD.repeat(6_000);
    for number in 0..40 {
        let sequence = if number < 20 { number * 6_000 } else { number * 6_000 + 7 };
        bytes.extend(message(sequence, 1, &[(256, &records)]));
    }
    // A new session begins again.
    bytes.extend(message(0, 1, &[(256, &RECORD)]));
    let (outcome, problem) = captured(&bytes);
    assert_eq!(problem, None);
    accounts(&outcome, 240_001, &[]);
    assert_eq!(outcome.losses, ["2025-08-22T22:01:00Z IPFIX_SEQUENCE_GAP 7"]);
}

#[test]
fn a_stream_that_is_none_says_where() {
    let bytes = [antrea(), b"not a message at all".to_vec()].concat();
    let (outcome, problem) = captured(&bytes);
    accounts(&outcome, 2, &[]);
    let problem = problem.unwrap();
    assert!(problem.contains(&format!("byte {}", antrea().len())), "{problem}");
    let cut = &antrea()[..antrea().len() - 5];
    accounts(&captured(cut).0, 0, &[("IPFIX message cut off where the input ends", 1)]);
}

#[test]
fn only_messages_are_recognised() {
    assert!(ipfix::sniff(&antrea()) && ipfix::sniff(&sample("go-ipfix-data-v4")));
    for other in [b"".as_slice(), b"{}", b"\0\x0a\0\x04", b"\0\x09\0\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert!(!ipfix::sniff(other), "{other:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn broken_bytes_change_no_balance(at in 0_usize..1_700, byte: u8, lengths in prop::collection::vec(1_usize..400, 1..5)) {
        let mut bytes = antrea();
        let at = at % bytes.len();
        bytes[at] = byte;
        let outcome = pushed(&bytes, &lengths);
        prop_assert_eq!(outcome, pushed(&bytes, &[usize::MAX]));
        captured(&bytes);
    }
}
