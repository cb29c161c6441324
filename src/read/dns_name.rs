//! Names in DNS messages: wire labels in, normalised text out (the form of [`DomainName`](crate::model::DomainName)).
//!
//! A compression pointer must lead strictly backwards, to before the part of the name that it ends; with that, and with
//! the limits of 255 octets and 128 pointers, every name is read in bounded time. Lower case, no trailing dot; bytes
//! that would be ambiguous in text are written `\DDD` (RFC 1035 section 5.1). Nothing recurses, nothing allocates but
//! the text that the caller gave.

use crate::model::is_plain;

/// The longest name in octets, length octets and the root included (RFC 1035 section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;
/// A name has at most 127 labels, so that an honest one needs no more pointers.
const POINTERS_MAX: usize = 128;

/// What stands at one place of a name.
enum Step<'message> {
    Root,
    Label(&'message [u8]),
    Pointer(usize),
}

fn step(message: &[u8], at: usize) -> Option<Step<'_>> {
    let &length = message.get(at)?;
    match length {
        0 => Some(Step::Root),
        1..=0x3f => message.get(at + 1..at + 1 + usize::from(length)).map(Step::Label),
        0xc0.. => {
            let &low = message.get(at + 1)?;
            Some(Step::Pointer(usize::from(u16::from_be_bytes([length & 0x3f, low]))))
        }
        _ => None,
    }
}

/// Appends the name at `start` to `text`, normalised; returns the place behind the name, `None` when it is broken.
///
/// A broken name may leave a part of itself in `text`.
pub fn expand(message: &[u8], start: usize, text: &mut Vec<u8>) -> Option<usize> {
    let mut at = start;
    let mut behind = None;
    let mut barrier = start;
    let mut octets = 1;
    let mut pointers = 0;
    let mut first = true;
    loop {
        match step(message, at)? {
            Step::Root => return Some(behind.unwrap_or(at + 1)),
            Step::Label(label) => {
                octets += label.len() + 1;
                if octets > NAME_OCTETS_MAX {
                    return None;
                }
                if !first {
                    text.push(b'.');
                }
                first = false;
                push_label(label, text);
                at += label.len() + 1;
            }
            Step::Pointer(target) => {
                pointers += 1;
                if target >= barrier || pointers > POINTERS_MAX {
                    return None;
                }
                behind.get_or_insert(at + 2);
                barrier = target;
                at = target;
            }
        }
    }
}

/// The place behind the name at `start`, without following its pointer; `None` when it is broken up to there.
pub fn skip(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match step(message, at)? {
            Step::Root => return Some(at + 1),
            Step::Pointer(target) => return (target < start).then_some(at + 2),
            Step::Label(label) => at += label.len() + 1,
        }
        if at - start >= NAME_OCTETS_MAX {
            return None;
        }
    }
}

/// Appends one label as text.
fn push_label(label: &[u8], text: &mut Vec<u8>) {
    if label.iter().all(|byte| is_plain(*byte)) {
        text.extend(label.iter().map(u8::to_ascii_lowercase));
        return;
    }
    for &byte in label {
        if is_plain(byte) {
            text.push(byte.to_ascii_lowercase());
        } else {
            text.extend([b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(message: &[u8], start: usize) -> Option<(String, usize)> {
        let mut text = Vec::new();
        let behind = expand(message, start, &mut text)?;
        Some((String::from_utf8(text).unwrap(), behind))
    }

    #[test]
    fn names_are_folded_and_escaped() {
        let check =
            |wire: &[u8], expected: &str| assert_eq!(expanded(wire, 0), Some((expected.to_owned(), wire.len())));
        check(b"\0", "");
        check(b"\x03WwW\x07exAmple\0", "www.example");
        check(b"\x04_tcp\x01*\0", "_tcp.*");
        check(b"\x03a.b\x05c\\d e\0", "a\\046b.c\\092d\\032e");
        check(b"\x09\"'`|<>;,\x7f\0", "\\034\\039\\096\\124\\060\\062\\059\\044\\127");
        check(b"\x04\x00\xff\x80\n\0", "\\000\\255\\128\\010");
    }

    #[test]
    fn pointers_lead_strictly_backwards() {
        //             0      2        4         7
        let message = b"\x01a\x00\x01b\xc0\x00\x01c\xc0\x03";
        assert_eq!(expanded(message, 3), Some(("b.a".to_owned(), 7)));
        assert_eq!(expanded(message, 7), Some(("c.b.a".to_owned(), 11)));
        assert_eq!(skip(message, 7), Some(11));
        for broken in [
            b"\xc0\x00".as_slice(),
            b"\x01a\xc0\x00",
            b"\xc0\x02\x00",
            b"\x40a\0",
            b"\x80a\0",
            b"\x3fabc\0",
            b"\x01a",
            b"\xc0",
            b"",
        ] {
            assert_eq!(expanded(broken, 0), None, "{broken:?}");
            assert_eq!(skip(broken, 0), None, "{broken:?}");
        }
    }

    #[test]
    fn names_end_at_255_octets() {
        let mut longest = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(3);
        longest.extend([b"\x3d".as_slice(), &[b'b'; 61]].concat());
        longest.push(0);
        assert_eq!(longest.len(), 255);
        assert_eq!(expanded(&longest, 0).map(|(text, behind)| (text.len(), behind)), Some((253, 255)));
        assert_eq!(skip(&longest, 0), Some(255));
        let mut longer = b"\x01x".to_vec();
        longer.extend(&longest);
        assert_eq!((expanded(&longer, 0), skip(&longer, 0)), (None, None));
        let mut by_pointer = longest.clone();
        by_pointer.extend(b"\x01x\xc0\x00");
        assert_eq!(expanded(&by_pointer, 255), None);
    }
}
