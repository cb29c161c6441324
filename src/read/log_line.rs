//! What surrounds a record on its line: blanks, a byte order mark, the prefix of a container runtime.
//!
//! In: the bytes of one line. Out: the bytes of the record. The prefix is that of Kubernetes' container log format
//! (CRI, `kubelet` logs): time, stream, `F` for a whole line or `P` for a part of one.

use crate::model::Timestamp;

/// A line without what surrounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Nothing.
    Blank,
    /// A record, or something else.
    Whole(&'a [u8]),
    /// A piece of a line that the container runtime split.
    Part,
}

/// Takes off what surrounds the record.
pub(super) fn content(line: &[u8]) -> Content<'_> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    match line.first() {
        None => Content::Blank,
        Some(b'0'..=b'9') => prefixed(line).unwrap_or(Content::Whole(line)),
        Some(_) => Content::Whole(line),
    }
}

fn prefixed(line: &[u8]) -> Option<Content<'_>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    if !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    Timestamp::parse(time)?;
    // An empty line has lost the blank after its tag.
    let (tags, rest) = word(rest).unwrap_or((rest, b""));
    match tags.split(|byte| *byte == b':').next() {
        Some(b"P") => Some(Content::Part),
        Some(b"F") => Some(match rest.trim_ascii() {
            b"" => Content::Blank,
            rest => Content::Whole(rest),
        }),
        _ => None,
    }
}

fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', line)?;
    let (word, rest) = line.split_at_checked(end)?;
    Some((word, rest.strip_prefix(b" ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_behind_prefixes() {
        let check = |line: &[u8], expected: Content<'_>| assert_eq!(content(line), expected);
        check(b"", Content::Blank);
        check(b" \r", Content::Blank);
        check(b"{\"flow\":{}}\r", Content::Whole(b"{\"flow\":{}}"));
        check(b"\xef\xbb\xbf{}", Content::Whole(b"{}"));
        check(b"2026-02-24T08:47:58.042012383Z stdout F {\"flow\":{}}", Content::Whole(b"{\"flow\":{}}"));
        check(b"2026-02-24T08:47:58.042012383+08:00 stderr F:x {}", Content::Whole(b"{}"));
        check(b"2026-02-24T08:47:58.042012383Z stdout F ", Content::Blank);
        check(b"2026-02-24T08:47:58.042012383Z stdout P {\"flow\"", Content::Part);
        check(b"2026 stdout F {}", Content::Whole(b"2026 stdout F {}"));
        check(b"2026-02-24T08:47:58Z level=info {}", Content::Whole(b"2026-02-24T08:47:58Z level=info {}"));
    }
}
