//! Frame Streams: cut anywhere, in any portions, several in one file, and every way to break it.

use std::io::{Error, ErrorKind, Read};

use egress_atlas::read::framestream::{FRAME_BYTES_MAX, FrameSplitter, FrameStreamError, sniff};
use proptest::prelude::*;

use super::{capture, control, fixture, frame, read, start, stop};

type Split = (Vec<(usize, Vec<u8>)>, Vec<String>, bool);

/// Offset and payload of every frame, the error in words, and whether the capture was cut.
fn split(reader: impl Read, limit: usize) -> Split {
    let mut splitter = FrameSplitter::new(reader, limit);
    let (mut frames, mut errors, mut chunk) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match splitter.next_chunk(&mut chunk) {
            Ok(Some(base)) => {
                let mut at = 0;
                while at < chunk.len() {
                    let length = u32::from_be_bytes(chunk[at..at + 4].try_into().unwrap()) as usize;
                    frames.push((usize::try_from(base).unwrap() + at, chunk[at + 4..at + 4 + length].to_vec()));
                    at += 4 + length;
                }
                assert_eq!(at, chunk.len());
                assert!(at <= 1 << 20 || frames.last().is_some_and(|(_, payload)| payload.len() + 4 == at));
            }
            Ok(None) => return (frames, errors, splitter.was_truncated()),
            Err(error) => errors.push(error.to_string()),
        }
    }
}

/// Gives one byte at a time, and interruptions between them.
struct Trickle<'bytes>(&'bytes [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(Error::from(ErrorKind::Interrupted));
        }
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn a_capture_cut_at_any_byte_keeps_the_frames_before() {
    for name in [
        "coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm",
        "coredns-1.11.3-wire-client-to-collector.bin",
        "upstream/dns-collector-dnstap.fstrm",
        "upstream/dsc-dotdoh.dnstap",
    ] {
        let whole = fixture(name);
        let (frames, errors, truncated) = split(&*whole, FRAME_BYTES_MAX);
        assert_eq!((errors, truncated), (vec![], false), "{name}");
        for cut in 0..whole.len() {
            let kept = frames.iter().filter(|(offset, payload)| *offset + 4 + payload.len() <= cut).count();
            let reading = read(&whole[..cut]);
            assert_eq!(reading.account.read, kept as u64, "{name} cut at {cut}");
            assert!(reading.truncated && reading.error.is_none(), "{name} cut at {cut}: {}", reading.summary());
        }
    }
}

#[test]
fn portions_do_not_matter() {
    let whole = fixture("coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm");
    assert_eq!(split(Trickle(&whole, false), FRAME_BYTES_MAX), split(&*whole, FRAME_BYTES_MAX));
}

#[test]
fn offsets_and_frames_survive_chunk_borders() {
    let payloads: Vec<Vec<u8>> = (1..9_u8).map(|byte| vec![byte; 300_000]).collect();
    let bytes = capture(&payloads);
    let (frames, errors, truncated) = split(&*bytes, FRAME_BYTES_MAX);
    assert_eq!((errors, truncated), (vec![], false));
    assert!(frames.iter().map(|(_, payload)| payload).eq(&payloads));
    for (offset, payload) in &frames {
        assert_eq!(bytes[*offset..][..4 + payload.len()], frame(payload));
    }
}

fn check(name: &str, parts: &[Vec<u8>], limit: usize, expected_frames: usize, expected: &[&str], truncated: bool) {
    let bytes = parts.concat();
    let (frames, errors, cut) = split(&*bytes, limit);
    assert_eq!(
        (frames.len(), errors, cut),
        (expected_frames, expected.iter().map(ToString::to_string).collect(), truncated),
        "{name}"
    );
}

#[test]
fn captures_may_follow_each_other() {
    let one = || frame(b"one");
    let ready = || control(4, Some("protobuf:dnstap.Dnstap"));
    check("closed and reopened", &[start(), one(), stop(), start(), one(), one(), stop()], 9, 3, &[], false);
    check("not closed", &[start(), one(), start(), one(), stop()], 9, 2, &[], true);
    check("two sessions", &[ready(), start(), one(), stop(), ready(), start(), one(), stop()], 9, 2, &[], false);
    check("both sides", &[ready(), control(1, None), start(), one(), stop(), control(5, None)], 9, 1, &[], false);
    check("no content type", &[control(2, None), one(), stop()], 9, 1, &[], false);
    check(
        "a later control frame",
        &[start(), one(), control(77, Some("x")), one(), stop(), control(99, None)],
        9,
        2,
        &[],
        false,
    );
    check("nothing in it", &[start(), stop()], 9, 0, &[], false);
    check("no bytes at all", &[], 9, 0, &[], true);
}

#[test]
fn faults_name_their_place_after_all_frames_before_them() {
    let one = || frame(b"one");
    let raw = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    check(
        "too long, then on",
        &[start(), one(), frame(&[7; 20]), one(), stop()],
        9,
        2,
        &["the frame at byte 49 has 20 bytes, more than the limit of 9"],
        false,
    );
    check(
        "too long, cut",
        &[start(), one(), raw(&[20, 0])],
        9,
        1,
        &["the frame at byte 49 has 20 bytes, more than the limit of 9"],
        true,
    );
    check(
        "garbage length",
        &[start(), one(), raw(&[u32::MAX, 1]), one(), stop()],
        9,
        1,
        &["broken frame length 4294967295 at byte 49: the rest of the capture cannot be read"],
        false,
    );
    check(
        "no start",
        &[one(), stop()],
        9,
        0,
        &["a data frame at byte 0 comes before any START frame: is this one side of a session, or no capture?"],
        false,
    );
    check(
        "data after stop",
        &[start(), one(), stop(), one()],
        9,
        1,
        &["a data frame at byte 61 comes before any START frame: is this one side of a session, or no capture?"],
        false,
    );
}

#[test]
fn broken_control_frames_name_their_place() {
    let one = || frame(b"one");
    let raw = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    check(
        "long control",
        &[start(), one(), raw(&[0, 513, 2])],
        9,
        1,
        &["broken control frame at byte 49: it is longer than 512 bytes"],
        false,
    );
    check(
        "short control",
        &[start(), one(), raw(&[0, 3, 2])],
        9,
        1,
        &["broken control frame at byte 49: it is too short to have a type"],
        false,
    );
    check(
        "unknown control first",
        &[raw(&[0, 4, 9])],
        9,
        0,
        &["broken control frame at byte 0: its type is unknown"],
        false,
    );
    check(
        "field too long",
        &[raw(&[0, 12, 2, 1, u32::MAX])],
        9,
        0,
        &["broken control frame at byte 0: a field is longer than the frame"],
        false,
    );
    check("field cut", &[raw(&[0, 8, 2, 1])], 9, 0, &["broken control frame at byte 0: a field is cut short"], false);
    check(
        "unknown field",
        &[raw(&[0, 12, 2, 8, 0])],
        9,
        0,
        &["broken control frame at byte 0: a field is of an unknown type"],
        false,
    );
    check(
        "two content types",
        &[raw(&[0, 20, 2, 1, 0, 1, 0])],
        9,
        0,
        &["broken control frame at byte 0: it names more than one content type"],
        false,
    );
    check(
        "another content",
        &[control(2, Some("text\n\u{1b}[2J"))],
        9,
        0,
        &["the capture holds `text\\n\\u{1b}[2J` at byte 0, not `protobuf:dnstap.Dnstap`"],
        false,
    );
}

#[test]
fn a_failing_source_loses_no_frame_before() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(Error::other("disk"))
        }
    }
    let bytes = [start(), frame(b"one"), vec![0, 0]].concat();
    let mut splitter = FrameSplitter::new(bytes.chain(Failing), FRAME_BYTES_MAX);
    let mut chunk = Vec::new();
    assert_eq!(splitter.next_chunk(&mut chunk).unwrap(), Some(42));
    assert!(matches!(splitter.next_chunk(&mut chunk), Err(FrameStreamError::Io { offset: 51, .. })));
    assert!(matches!(splitter.next_chunk(&mut chunk), Ok(None)));
}

#[test]
fn captures_are_recognised_by_their_head() {
    let check = |head: &[u8], expected| assert_eq!(sniff(head), expected, "{head:?}");
    check(&start(), true);
    check(&start()[..12], true);
    check(&start()[..11], false);
    check(&fixture("coredns-1.11.3-wire-client-to-collector.bin"), true);
    check(&fixture("upstream/fstrm-test.fstrm"), true);
    check(b"{\"flow\":{}}\n{}", false);
    check(&[0; 12], false);
    check(&[], false);
}

proptest! {
    #[test]
    fn no_bytes_stop_the_splitter(tail in prop::collection::vec(prop_oneof![3 => 0..6_u8, 1 => any::<u8>()], 0..400), limit in 0..300_usize) {
        let bytes = [start(), tail].concat();
        let (frames, _, _) = split(&*bytes, limit);
        for (offset, payload) in frames {
            prop_assert_eq!(&bytes[offset + 4..][..payload.len()], &*payload);
        }
        split(&bytes[start().len()..], limit);
    }

    #[test]
    fn a_changed_byte_stops_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = fixture("coredns-1.11.3-wire-client-to-collector.bin");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read(&bytes);
    }
}
