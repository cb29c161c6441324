//! Messages that nobody should send: what each costs, and what is kept.

use std::time::Instant;

use egress_atlas::read::dnstap::wire;
use prost::Message as _;

use super::{Reading, capture, event, read, read_events};

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const HTTPS: u16 = 65;
const ANY: u16 = 255;

/// A name in wire format, without compression.
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

/// A response about `www.example.com` with these sections; a question name is at byte 12.
fn response(kind: u16, answers: &[Vec<u8>], additional: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1];
    message.extend(u16::try_from(answers.len()).unwrap().to_be_bytes());
    message.extend([0, 0]);
    message.extend(u16::try_from(additional.len()).unwrap().to_be_bytes());
    message.extend(name("WWW.Example.com"));
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message.extend(answers.concat());
    message.extend(additional.concat());
    message
}

const ASKED: &[u8] = &[0xc0, 12];
/// Where the first record of [`response`] begins.
const FIRST_RECORD: usize = 12 + 17 + 4;

fn address(last: u8) -> Vec<u8> {
    record(ASKED, A, 60, &[192, 0, 2, last])
}

fn outcome(message: &[u8]) -> (Reading, String) {
    let reading = read_events(&[event(message)]);
    let rows: Vec<_> = reading.rows().iter().map(|row| row.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect();
    let head = reading.summary().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let text = [rows, head].concat().join("; ");
    (reading, text)
}

fn check(message: &[u8], expected: &str) {
    assert_eq!(outcome(message).1, expected);
}

#[test]
fn good_answers() {
    check(
        &response(A, &[address(1), address(2)], &[]),
        "www.example.com 192.0.2.1 Address ttl 60 0/2 [] resolver; www.example.com 192.0.2.2 Address ttl 60 1/2 [] resolver",
    );
    let alias = |target: &str, ttl| record(ASKED, CNAME, ttl, &name(target));
    check(
        &response(A, &[alias("Edge.CDN.example", 5), alias("a b.example", 50), address(1)], &[]),
        "www.example.com 192.0.2.1 Address ttl 5 0/1 [edge.cdn.example a\\032b.example] resolver",
    );
    // The owner does not matter, as after a rewrite.
    check(
        &response(A, &[record(&name("other.example"), A, 60, &[192, 0, 2, 1])], &[]),
        "www.example.com 192.0.2.1 Address ttl 60 0/1 [] resolver",
    );
    check(
        &response(A, &[record(ASKED, A, 0x8000_0001, &[192, 0, 2, 1])], &[]),
        "www.example.com 192.0.2.1 Address ttl 0 0/1 [] resolver",
    );
    check(
        &response(AAAA, &[record(ASKED, AAAA, 9, &[[0; 10].as_slice(), &[255, 255, 10, 0, 0, 9]].concat())], &[]),
        "www.example.com 10.0.0.9 Address ttl 9 0/1 [] resolver",
    );
}

#[test]
fn a_public_domain_is_no_search_suffix() {
    let alias = |target: &str| record(ASKED, CNAME, 30, &name(target));
    // What stands behind the alias is a public domain, whose owner may answer what he likes; see `model::is_search_expansion`.
    check(
        &response(A, &[alias("www"), address(1)], &[]),
        "www.example.com 192.0.2.1 Address ttl 30 0/1 [www] resolver",
    );
    check(
        &response(A, &[alias("WWW.example"), alias("edge.example"), address(1)], &[]),
        "www.example.com 192.0.2.1 Address ttl 30 0/1 [www.example edge.example] resolver",
    );
    check(&response(A, &[alias("ww"), address(1)], &[]), "www.example.com 192.0.2.1 Address ttl 30 0/1 [ww] resolver");
    check(
        &response(A, &[alias("www.example.com"), address(1)], &[]),
        "www.example.com 192.0.2.1 Address ttl 30 0/1 [www.example.com] resolver",
    );
}

#[test]
fn service_bindings_and_services() {
    let hints = b"\0\x01\0\0\x01\0\x03\x02h2\0\x04\0\x08\xc0\0\x02\x01\xc0\0\x02\x02\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01";
    let binding = |data: &[u8]| record(ASKED, HTTPS, 30, data);
    check(
        &response(HTTPS, &[binding(hints)], &[]),
        "www.example.com 192.0.2.1 Hint ttl 30 0/3 [] resolver; www.example.com 192.0.2.2 Hint ttl 30 1/3 [] resolver; \
         www.example.com 2001:db8::1 Hint ttl 30 2/3 [] resolver",
    );
    check(
        &response(HTTPS, &[binding(&[&[0, 0], &*name("Pool.example")].concat()), address(1)], &[]),
        "www.example.com 192.0.2.1 Address ttl 30 0/1 [pool.example] resolver",
    );
    check(
        &response(HTTPS, &[binding(&hints[..hints.len() - 1])], &[]),
        "www.example.com 192.0.2.1 Hint ttl 30 0/2 [] resolver; www.example.com 192.0.2.2 Hint ttl 30 1/2 [] resolver; \
         noted 1 record with broken data beside good ones",
    );
    check(
        &response(HTTPS, &[binding(b"\0\x01\0\0\x04\0\x05\xc0\0\x02\x01\x01")], &[]),
        "rejected 1 broken DNS record, first at byte 42",
    );
    check(&response(A, &[binding(hints)], &[]), "excluded 1 DNS answer without an address");
    check(
        &response(HTTPS, &[binding(b"\0\x01\0\0\x01\0\x03\x02h2")], &[address(1)]),
        "www.example.com 192.0.2.1 Additional ttl 60 0/1 [] resolver",
    );
    check(&response(HTTPS, &[], &[address(1)]), "excluded 1 DNS answer without an address");
    let service = record(ASKED, SRV, 20, &[&[0, 0, 0, 1, 0, 80], &*name("a.example")].concat());
    check(
        &response(SRV, std::slice::from_ref(&service), &[address(1)]),
        "www.example.com 192.0.2.1 Additional ttl 20 0/1 [] resolver",
    );
    check(&response(SRV, &[], &[address(1)]), "excluded 1 DNS answer without an address");
    check(&response(A, &[service], &[address(1)]), "excluded 1 DNS answer without an address");
    check(
        &response(ANY, &[address(1), binding(hints)], &[]).clone(),
        "www.example.com 192.0.2.1 Address ttl 60 0/4 [] resolver; www.example.com 192.0.2.1 Hint ttl 30 1/4 [] resolver; \
         www.example.com 192.0.2.2 Hint ttl 30 2/4 [] resolver; www.example.com 2001:db8::1 Hint ttl 30 3/4 [] resolver",
    );
}

#[test]
fn what_was_good_before_a_fault_is_kept() {
    let kept = "www.example.com 192.0.2.1 Address ttl 60 0/1 [] resolver; noted 1 broken record after good ones";
    let good_then = |broken: &[u8]| check(&response(A, &[address(1), broken.to_vec()], &[]), kept);
    good_then(&[]);
    good_then(&[0xc0]);
    good_then(&[0xc0, 0xff, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]);
    good_then(&[0x40, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]);
    good_then(&[0x80, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]);
    good_then(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 5, 1, 2, 3, 4]);
    good_then(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0]);
    let beside =
        "www.example.com 192.0.2.1 Address ttl 60 0/1 [] resolver; noted 1 record with broken data beside good ones";
    let with = |kind, data: &[u8]| check(&response(A, &[record(ASKED, kind, 99, data), address(1)], &[]), beside);
    with(A, &[192, 0, 2, 1, 5]);
    with(A, &[192, 0, 2]);
    // Targets: to itself, forwards, a reserved label type, longer than its data, trailing bytes, above 255 octets.
    with(CNAME, &[0xc0, 45]);
    with(CNAME, &[0xc0, 200]);
    with(CNAME, &[1, b'a', 0xc0, 45]);
    with(CNAME, &[0x41, b'a', 0]);
    with(CNAME, &[3, b'a', b'b']);
    with(CNAME, &[1, b'a', 0, 0]);
    with(CNAME, &[[63; 64].repeat(4), vec![0]].concat());
    assert_eq!(FIRST_RECORD + 12, 45);
    // A broken OPT costs nothing: it is behind the answer.
    let opt = b"\0\0\x29\x10\0\0\0\0\0\xff\xff\0".to_vec();
    check(&response(A, &[address(1)], &[opt]), "www.example.com 192.0.2.1 Address ttl 60 0/1 [] resolver");
}

#[test]
fn messages_that_yield_nothing_say_why() {
    let good = response(A, &[address(1)], &[]);
    let with = |at: usize, bytes: &[u8]| {
        let mut message = good.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    check(&good[..11], "rejected 1 broken DNS header, first at byte 42");
    check(&good[..20], "rejected 1 broken DNS question, first at byte 42");
    check(&good[..31], "rejected 1 broken DNS question, first at byte 42");
    check(&good[..40], "rejected 1 broken DNS record, first at byte 42");
    check(&with(12, &[0xc0, 12]), "rejected 1 broken DNS question, first at byte 42");
    check(&with(12, &[0xc0, 40]), "rejected 1 broken DNS question, first at byte 42");
    check(&with(2, &[0x01]), "rejected 1 DNS query where a response should be, first at byte 42");
    check(&with(2, &[0xa8]), "excluded 1 DNS operation other than QUERY");
    check(&with(3, &[2]), "excluded 1 DNS answer SERVFAIL");
    check(&with(3, &[3]), "excluded 1 DNS answer NXDOMAIN");
    check(&with(3, &[5]), "excluded 1 DNS answer with another error code");
    check(&with(5, &[0]), "excluded 1 DNS answer without a question");
    check(&with(5, &[2]), "rejected 1 DNS message with several questions, first at byte 42");
    check(&with(31, &[0, 3]), "excluded 1 DNS answer of a class other than IN");
    check(&with(29, &[0, 16]), "excluded 1 DNS answer without an address");
    check(
        &with(29, &[0, 28]),
        "excluded 1 DNS answer without an address; noted 1 address of the other family than asked for",
    );
    check(&response(A, &[], &[]), "excluded 1 DNS answer without an address");
    check(
        &[good.clone(), vec![0; 65_536]].concat(),
        "rejected 1 DNS message longer than 65,535 bytes, first at byte 42",
    );
    check(
        &with(2, &[0x83]),
        "www.example.com 192.0.2.1 Address ttl 60 0/1 [] resolver; noted 1 truncated DNS answer: part of its addresses",
    );
}

#[test]
fn compression_bombs_cost_next_to_nothing() {
    let steps = u16::try_from(FIRST_RECORD + 12).unwrap();
    let pointer = |at: u16| (0xc000 | at).to_be_bytes();
    let mut ladder = b"\x01x\0".to_vec();
    for step in 0..126 {
        let below = if step == 0 { steps } else { steps + 3 + 4 * (step - 1) };
        ladder.extend([&[1, b'x'], pointer(below).as_slice()].concat());
    }
    let top = pointer(steps + 3 + 4 * 125);
    let ladder = record(ASKED, 16, 1, &ladder);
    let addresses = [
        vec![ladder.clone()],
        (0..4_040_u16).map(|n| record(&top, A, 60, &[10, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect(),
    ]
    .concat();
    let aliases =
        [vec![ladder], (0..4_039).map(|_| record(&top, CNAME, 60, &top)).collect(), vec![address(1)]].concat();
    // Measured beside a harmless message of as many records: a wall-clock bound would fail on a busy machine.
    let plain: Vec<_> =
        (0..4_040_u16).map(|n| record(ASKED, A, 60, &[10, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
    let plain = self::capture(&[event(&response(A, &plain, &[])).encode_to_vec()]);
    let usual = || {
        let once = || {
            let begin = Instant::now();
            read(&plain);
            begin.elapsed()
        };
        (0..9).map(|_| once()).min().unwrap()
    };
    for (answers, rows, chain) in [(addresses, 4_040, 0), (aliases, 1, 16)] {
        let message = response(A, &answers, &[]);
        assert!(message.len() <= 65_535);
        let capture = capture(&[event(&message).encode_to_vec()]);
        let timed = || {
            let begin = Instant::now();
            (read(&capture), begin.elapsed())
        };
        let (reading, _) = timed();
        let row = reading.batch.answers[0];
        assert_eq!((reading.batch.answers.len(), reading.vocabulary.chain_of(row.chain).len()), (rows, chain));
        let best = (0..9).map(|_| timed().1).min().unwrap();
        assert!(best < usual() * 10, "{best:?}, and a message without tricks takes {:?}", usual());
    }
}

#[test]
fn envelopes_that_yield_nothing_say_why() {
    let good = || event(&response(A, &[address(1)], &[]));
    let check = |change: fn(&mut wire::Message), expected: &str| {
        let mut event = good();
        change(event.message.as_mut().unwrap());
        assert_eq!(read_events(&[event]).summary(), expected);
    };
    check(|_| {}, "read 1, used 1, rows 1");
    check(|message| message.r#type = 5, "read 1, used 0, rows 0\nexcluded 1 dnstap CLIENT_QUERY");
    check(|message| message.r#type = 14, "read 1, used 0, rows 0\nexcluded 1 dnstap UPDATE_RESPONSE");
    check(|message| message.r#type = 99, "read 1, used 0, rows 0\nexcluded 1 dnstap message of an unknown type");
    check(
        |message| message.response_message = None,
        "read 1, used 0, rows 0\nexcluded 1 dnstap response without payload (is \"full\" set in the Corefile?)",
    );
    check(
        |message| message.query_address = None,
        "read 1, used 0, rows 0\nrejected 1 client address is not of 4 or 16 bytes, first at byte 42",
    );
    check(
        |message| message.query_address = Some(vec![1; 5]),
        "read 1, used 0, rows 0\nrejected 1 client address is not of 4 or 16 bytes, first at byte 42",
    );
    check(
        |message| message.response_time_nsec = Some(1_000_000_000),
        "read 1, used 0, rows 0\nrejected 1 nanoseconds of a second or more, first at byte 42",
    );
    check(
        |message| message.response_time_sec = Some(u64::MAX),
        "read 1, used 0, rows 0\nrejected 1 time beyond the year 2262, first at byte 42",
    );
    check(
        |message| (message.response_time_sec, message.query_time_sec) = (None, Some(0)),
        "read 1, used 0, rows 0\nrejected 1 dnstap message without a time, first at byte 42",
    );
    check(|message| message.socket_family = Some(77), "read 1, used 1, rows 1");
    let unknown = wire::Dnstap { r#type: 2, ..good() };
    let empty = wire::Dnstap { message: None, ..good() };
    let summary = read_events(&[unknown, empty, good()]).summary();
    assert!(summary.starts_with("read 3, used 1, rows 1\nrejected 1 dnstap event without a message"), "{summary}");
    assert!(summary.ends_with("excluded 1 dnstap event of an unknown type"), "{summary}");
    let broken = read(&capture(&[vec![0xff; 9], good().encode_to_vec()]));
    assert_eq!(broken.summary(), "read 2, used 1, rows 1\nrejected 1 broken protobuf, first at byte 42");
}

#[test]
fn times_clients_and_resolvers() {
    let first = |change: fn(&mut wire::Dnstap)| {
        let mut event = event(&response(A, &[address(1)], &[]));
        change(&mut event);
        read_events(&[event]).rows().remove(0)
    };
    let check = |change: fn(&mut wire::Dnstap), expected: &str| {
        let row = first(change);
        assert!(row.contains(expected), "{row} has no {expected}");
    };
    check(|_| {}, "1970-01-01T00:33:20.000000009Z 10.0.0.1 /");
    check(|event| event.message.as_mut().unwrap().response_time_sec = None, "1970-01-01T00:16:40.000000007Z ");
    let mapped = |event: &mut wire::Dnstap| {
        let message = event.message.as_mut().unwrap();
        message.socket_family = Some(1);
        message.query_address = Some([[0; 10].as_slice(), &[255, 255, 10, 0, 0, 9]].concat());
    };
    check(mapped, " 10.0.0.9 ");
    check(
        |event| event.message.as_mut().unwrap().query_address = Some(vec![0xfd; 16]),
        " fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd ",
    );
    check(|event| event.identity = None, "[] ");
    check(|event| event.identity = Some(vec![b'x'; 999]), &format!("[] {}", "x".repeat(256)));
    assert!(!first(|event| event.identity = Some(vec![b'x'; 999])).contains(&"x".repeat(257)));
}

#[test]
fn extra_names_a_pod_only_in_its_strict_form() {
    let check = |extra: &str, expected: &str| {
        let mut event = event(&response(A, &[address(1)], &[]));
        event.extra = Some(extra.into());
        let row = read_events(&[event]).rows().remove(0);
        assert_eq!(row.split(' ').nth(2), Some(expected), "{extra}");
    };
    check("ns=shop pod=web-7d4b9c-abcde app=web up=-", "shop/web-7d4b9c-abcde");
    check("app= pod=a.b ns=x", "x/a.b");
    check("ns=- pod=-", "/");
    check("ns=shop", "/");
    check("ns=shop pod=", "/");
    check("ns=shop pod=web ns=kube-system", "/");
    check("ns=shop pod=web free text", "/");
    check("ns=shop  pod=web", "/");
    check("ns=Shop pod=web", "/");
    check("ns=shop pod=a/b", "/");
    check("shop/web", "/");
    check(&format!("ns=shop pod={}", "a".repeat(254)), "/");
    check(&format!("ns=shop pod=web x={}", "a".repeat(2_000)), "/");
}
