//! Where JSON objects begin and end when they do not sit on lines: pretty-printed output, lists of records.
//!
//! In: bytes. Out: one piece per object, broken object or foreign line, in order. Counts braces outside of texts, never
//! recurses, and starts afresh at a line that begins with `{`: inside an object no printer writes one there.

use memchr::{memchr, memchr3};

/// One piece of a stream of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::read) enum Piece<'a> {
    /// Bytes from a `{` to its `}`.
    Object(&'a [u8]),
    /// An object that does not end.
    Broken,
    /// A line of something else.
    Foreign,
}

/// The pieces of `chunk`, each with its offset.
pub(in crate::read) fn pieces(chunk: &[u8]) -> impl Iterator<Item = (usize, Piece<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = chunk.get(at..)?;
            match rest.first()? {
                b'{' => {
                    let start = at;
                    let (length, whole) = object_length(rest);
                    at += length;
                    let object = rest.get(..length).filter(|_| whole);
                    return Some((start, object.map_or(Piece::Broken, Piece::Object)));
                }
                // What stands between the members of a list, and a byte order mark.
                b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' | 0x1e | 0xef | 0xbb | 0xbf => at += 1,
                _ => {
                    let start = at;
                    at += memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                    return Some((start, Piece::Foreign));
                }
            }
        }
    })
}

/// The length of the object that `text` begins with, and whether it is whole.
fn object_length(text: &[u8]) -> (usize, bool) {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let found = if in_text { memchr3(b'"', b'\\', b'\n', rest) } else { structural(rest) };
        let Some(found) = found else { break };
        at += found;
        match text.get(at) {
            Some(b'"') => in_text = !in_text,
            Some(b'\\') if in_text => at += 1,
            Some(b'{') => depth += 1,
            Some(b'}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return (at + 1, true);
                }
            }
            Some(b'\n') if text.get(at + 1) == Some(&b'{') => return (at + 1, false),
            _ => {}
        }
        at += 1;
    }
    (text.len(), false)
}

fn structural(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'\n'))
}

/// How many bytes at the start of `chunk` are whole objects and what stands between them: where to cut a stream.
///
/// What follows is the beginning of an object whose end has not been read yet.
pub fn whole_objects(chunk: &[u8]) -> usize {
    pieces(chunk)
        .find(|(start, piece)| {
            *piece == Piece::Broken && chunk.get(*start..).is_some_and(|rest| object_length(rest).0 == rest.len())
        })
        .map_or(chunk.len(), |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, Piece<'_>)]) {
        assert_eq!(pieces(text.as_bytes()).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn objects_end_at_their_own_brace() {
        check("{}{}", &[(0, Piece::Object(b"{}")), (2, Piece::Object(b"{}"))]);
        check("[{\"a\":{}},\n {}]", &[(1, Piece::Object(b"{\"a\":{}}")), (12, Piece::Object(b"{}"))]);
        check("{\"}\":\"\\\"}\"}", &[(0, Piece::Object(b"{\"}\":\"\\\"}\"}"))]);
        check("{\n \"a\": {\n }\n}\n", &[(0, Piece::Object(b"{\n \"a\": {\n }\n}"))]);
    }

    #[test]
    fn broken_objects_stop_nothing() {
        check("{\n \"a\": {\n{}\n", &[(0, Piece::Broken), (10, Piece::Object(b"{}"))]);
        check("{\n \"a\": \"\n{}", &[(0, Piece::Broken), (10, Piece::Object(b"{}"))]);
        check("level=info\n{}", &[(0, Piece::Foreign), (11, Piece::Object(b"{}"))]);
        check("{", &[(0, Piece::Broken)]);
        check("{\"\\", &[(0, Piece::Broken)]);
    }

    #[test]
    fn streams_are_cut_between_objects() {
        assert_eq!(whole_objects(b"{}\n{\"a\":"), 3);
        assert_eq!(whole_objects(b"{}\n{\n{}\n"), 8);
        assert_eq!(whole_objects(b"{}\n"), 3);
        assert_eq!(whole_objects(b"{"), 0);
    }
}
