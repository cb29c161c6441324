//! The decoders by hand against others: the envelope against the generated types, DNS against the `domain` crate.

use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};
use domain::base::name::ToLabelIter;
use domain::base::{Message, ParsedRecord};
use domain::rdata::{A, Aaaa, Cname};
use egress_atlas::read::dns::{Answer, CHAIN_MAX};
use egress_atlas::read::dnstap::wire;
use egress_atlas::read::envelope::Envelope;
use egress_atlas::read::framestream::{FRAME_BYTES_MAX, FrameSplitter};
use proptest::prelude::*;
use prost::Message as _;

use super::{fixture, violations};

const CAPTURES: [&str; 5] = [
    "coredns-1.11.3-k8s.fstrm",
    "coredns-1.13.2-dnstap-plugin-1.14.7.fstrm",
    "coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm",
    "bind-9.18-local.dnstap",
    "unbound-1.17-cut.fstrm",
];

/// The payloads of all frames of all captures.
fn payloads() -> Vec<Vec<u8>> {
    let captures = CAPTURES.iter().map(|name| fixture(name)).chain(violations().into_iter().map(|(_, bytes)| bytes));
    let mut payloads = Vec::new();
    for capture in captures {
        let mut splitter = FrameSplitter::new(&*capture, FRAME_BYTES_MAX);
        let mut chunk = Vec::new();
        while splitter.next_chunk(&mut chunk).unwrap().is_some() {
            let mut rest = &*chunk;
            while let Some((length, tail)) = rest.split_first_chunk() {
                let (payload, next) = tail.split_at(u32::from_be_bytes(*length) as usize);
                payloads.push(payload.to_vec());
                rest = next;
            }
        }
    }
    payloads
}

/// Where the generated decoder is content, ours says the same; `true` if it was.
fn agree(payload: &[u8]) -> bool {
    let Ok(theirs) = wire::Dnstap::decode(payload) else { return false };
    let ours = Envelope::read(payload);
    let Ok(ours) = ours else {
        // Groups are refused by ours alone; nothing else may be.
        assert!(has_group(payload), "{payload:02x?}");
        return false;
    };
    assert_eq!(ours.identity, theirs.identity.as_deref());
    assert_eq!(ours.extra, theirs.extra.as_deref());
    let missing = wire::Dnstap::default();
    assert_eq!(ours.kind.unwrap_or(missing.r#type), theirs.r#type);
    assert_eq!(ours.message.is_some(), theirs.message.is_some());
    if let (Some(ours), Some(theirs)) = (ours.message, theirs.message) {
        assert_eq!(ours.kind.unwrap_or(wire::Message::default().r#type), theirs.r#type);
        assert_eq!(ours.query_address, theirs.query_address.as_deref());
        assert_eq!((ours.query_time_sec, ours.query_time_nsec), (theirs.query_time_sec, theirs.query_time_nsec));
        assert_eq!(
            (ours.response_time_sec, ours.response_time_nsec),
            (theirs.response_time_sec, theirs.response_time_nsec)
        );
        assert_eq!(ours.response_message, theirs.response_message.as_deref());
    }
    true
}

/// Whether some byte could be the key of a group: good enough to excuse a refusal.
fn has_group(payload: &[u8]) -> bool {
    payload.iter().any(|byte| matches!(byte & 7, 3 | 4))
}

#[test]
fn real_envelopes_read_alike() {
    let payloads = payloads();
    assert!(payloads.len() > 800, "{}", payloads.len());
    assert!(payloads.iter().all(|payload| agree(payload)));
}

#[test]
fn fields_come_in_any_order_repeat_and_merge() {
    let message = |bytes: &[u8]| [&[0x72, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    for payload in [
        [message(&[0x08, 6]), message(&[0x40, 5, 0x08, 5]), vec![0x78, 1]].concat(),
        [
            vec![0x78, 1, 0x78, 0x82, 0x80, 0x80, 0x80, 0x10],
            message(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ]
        .concat(),
        // Unknown fields of every wire type but groups.
        [
            vec![0xa0, 6, 1, 0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 6, 2, 9, 9, 0xa5, 6, 1, 2, 3, 4],
            message(&[0x4d, 1, 2, 3, 4]),
        ]
        .concat(),
        vec![],
    ] {
        assert!(agree(&payload), "{payload:02x?}");
    }
    for broken in [
        vec![0x0a],
        vec![0x0a, 2, 1],
        vec![0x78, 0x80],
        vec![0x02, 0],
        vec![0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        vec![0x7d, 1, 2, 3],
        vec![0x72, 1, 0x08],
        vec![0x0b, 0x0c],
    ] {
        assert!(Envelope::read(&broken).is_err(), "{broken:02x?}");
    }
}

fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

prop_compose! {
    fn any_event()(
        (identity, extra, version) in (any_bytes(), any_bytes(), any_bytes()),
        (kind, family, message_kind) in (any::<i32>(), prop::option::of(any::<i32>()), any::<i32>()),
        (query_address, query_message, response_message) in (any_bytes(), any_bytes(), any_bytes()),
        (query_time_sec, response_time_sec) in (any::<Option<u64>>(), any::<Option<u64>>()),
        (query_time_nsec, response_time_nsec, query_port) in (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>()),
        has_message in prop::bool::weighted(0.9),
    ) -> wire::Dnstap {
        let policy = Some(wire::Policy { r#type: Some("rpz".to_owned()), rule: query_address.clone(), ..Default::default() });
        let message = wire::Message {
            r#type: message_kind, socket_family: family, query_address, query_message, response_message, query_port,
            query_time_sec, query_time_nsec, response_time_sec, response_time_nsec, policy, ..Default::default()
        };
        wire::Dnstap { identity, version, extra, message: has_message.then_some(message), r#type: kind }
    }
}

proptest! {
    #[test]
    fn envelopes_read_alike(event in any_event(), again in any_event()) {
        let mut payload = event.encode_to_vec();
        prop_assert!(agree(&payload));
        payload.extend(again.encode_to_vec());
        prop_assert!(agree(&payload));
    }

    #[test]
    fn mutated_envelopes_read_alike(
        event in any_event(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut payload = event.encode_to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        agree(&payload);
        agree(&payload[..cut.index(payload.len())]);
    }

    #[test]
    fn random_envelopes_stop_nothing(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        agree(&payload);
    }
}

/// A name of `domain` in our form, by the rule of RFC 1035 section 5.1 for what is ambiguous.
fn text(name: &impl ToLabelIter) -> String {
    let labels = name.iter_labels().filter(|label| !label.is_root()).map(|label| {
        let plain = |byte: &u8| !b".\"'\\`|<>;,".contains(byte) && (0x21..0x7f).contains(byte);
        let write = |byte: &u8| if plain(byte) { char::from(*byte).to_string() } else { format!("\\{byte:03}") };
        label.as_slice().iter().map(write).collect::<String>().to_ascii_lowercase()
    });
    labels.collect::<Vec<_>>().join(".")
}

type Found = (String, u16, Vec<(IpAddr, u32)>, Vec<String>);

fn address(record: &ParsedRecord<'_, [u8]>) -> Option<IpAddr> {
    match record.rtype() {
        Rtype::A => Some(record.to_record::<A>().ok()??.data().addr().into()),
        Rtype::AAAA => Some(record.to_record::<Aaaa>().ok()??.data().addr().into()),
        _ => None,
    }
}

/// Queried name and type, addresses with the lowest time to live, targets: as `domain` reads them.
fn by_domain(message: &[u8]) -> Option<Found> {
    let message = Message::from_slice(message).ok()?;
    let question = message.sole_question().ok()?;
    let (mut addresses, mut chain, mut lowest) = (Vec::new(), Vec::new(), u32::MAX);
    for record in message.answer().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN {
            continue;
        }
        if let Ok(Some(alias)) = record.to_record::<Cname<_>>() {
            lowest = lowest.min(alias.ttl().as_secs());
            chain.push(text(alias.data().cname()));
        }
        let wanted = question.qtype() == record.rtype() || question.qtype() == Rtype::ANY;
        addresses.extend(address(&record).filter(|_| wanted).map(|address| (address, record.ttl().as_secs())));
    }
    let addresses = addresses.into_iter().map(|(address, ttl)| (address, ttl.min(lowest))).collect();
    chain.truncate(CHAIN_MAX);
    Some((text(question.qname()), question.qtype().to_int(), addresses, chain))
}

/// How often both found addresses, and how often both found none, in questions for addresses.
#[derive(Debug, Default, PartialEq)]
struct Agreement {
    addresses: usize,
    none: usize,
}

fn compare(message: &[u8], agreement: &mut Agreement) {
    let mut answer = Answer::default();
    let ours = answer.read(message);
    let Some((name, kind, addresses, chain)) = by_domain(message) else { return };
    if !matches!(kind, 1 | 28 | 255) {
        return;
    }
    if ours.is_err() {
        // `domain` does not mind codes, classes and the root.
        let usable = message[2] & 0xf8 == 0x80 && message[3].is_multiple_of(16) && !name.is_empty();
        let class_in = answer.question_type() != 0 && !format!("{ours:?}").contains("class");
        assert!(addresses.is_empty() || !usable || !class_in, "{ours:?} {name} {addresses:?}");
        agreement.none += 1;
        return;
    }
    assert_eq!(answer.question_name(), name);
    assert_eq!(answer.question_type(), kind);
    let ours: Vec<_> = answer.addresses.iter().map(|found| (found.address, answer.ttl_seconds(found))).collect();
    assert_eq!(ours, addresses, "{name}");
    assert_eq!(answer.chain().collect::<Vec<_>>(), chain, "{name}");
    agreement.addresses += 1;
}

fn responses() -> Vec<Vec<u8>> {
    let messages = payloads().into_iter().filter_map(|payload| wire::Dnstap::decode(&*payload).unwrap().message);
    messages.filter_map(|message| message.response_message).collect()
}

#[test]
fn real_answers_read_alike() {
    let mut agreement = Agreement::default();
    for message in responses() {
        compare(&message, &mut agreement);
    }
    assert!(agreement.addresses > 150 && agreement.none > 20, "{agreement:?}");
}

proptest! {
    #[test]
    fn mutated_answers_stop_nothing(
        message in prop::sample::select(responses()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = message;
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let mut answer = Answer::default();
        for bytes in [&*message, &message[..cut.index(message.len())]] {
            let result = answer.read(bytes);
            prop_assert!(result.is_err() || !answer.addresses.is_empty());
            prop_assert!(answer.chain().count() <= CHAIN_MAX);
            let names = std::iter::once(answer.question_name()).chain(answer.chain());
            for name in names {
                prop_assert!(name.len() <= 4 * 255 && name.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", name);
            }
        }
    }

    #[test]
    fn random_answers_stop_nothing(tail in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..200)) {
        let mut answer = Answer::default();
        let head = b"\0\0\x80\0\0\x01\0\x03\0\x02\0\x01";
        for bytes in [&[head.as_slice(), &tail].concat(), &tail] {
            prop_assert!(answer.read(bytes).is_err() || !answer.addresses.is_empty());
        }
    }
}
