//! A strict cursor over compact JSON: it takes exactly the bytes that it expects, or nothing.
//!
//! In: one line. Out: pieces of it, each printable ASCII. It knows only what Go's encoder writes: no blanks between
//! tokens, no leading zeros, the escapes of RFC 8259. Whatever else may be valid JSON is left to the real parser.

use memchr::{memchr, memchr2};

/// The rest of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `line`.
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `literal` if it comes next. Its length is known when compiling, so that this is a few wide comparisons.
    #[inline]
    pub(super) fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) if head == literal => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes `piece` if it comes next.
    #[inline]
    pub(super) fn eat_piece(&mut self, piece: &[u8]) -> bool {
        match self.rest.strip_prefix(piece) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes `literal`, which must come next.
    #[inline]
    pub(super) fn need<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.eat(literal).then_some(())
    }

    /// Takes the next `length` bytes.
    pub(super) fn advance(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes the rest of a text without escapes, and its closing quote.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr2(b'"', b'\\', self.rest)?;
        let text = self.advance(end)?;
        self.need(b"\"")?;
        is_printable(text).then_some(text)
    }

    /// Takes the rest of a text and its closing quote if the text is `N` bytes without escapes.
    #[inline]
    pub(super) fn skip_plain<const N: usize>(&mut self) -> bool {
        let Some((text, [b'"', rest @ ..])) = self.rest.split_first_chunk::<N>() else { return false };
        // Without an early exit the loop becomes vector instructions.
        let odd = text.iter().fold(0_u8, |odd, byte| {
            let is_printable = byte.wrapping_sub(0x20) <= 0x5e;
            odd | u8::from(!is_printable) | u8::from(*byte == b'"') | u8::from(*byte == b'\\')
        });
        if odd == 0 {
            self.rest = rest;
        }
        odd == 0
    }

    /// The rest of a text of at most 15 bytes as one number, and what follows its closing quote. Distinct texts give distinct
    /// numbers. Nothing is said about what the bytes are.
    #[inline]
    pub(super) fn short_text(&self) -> Option<(u128, &'a [u8])> {
        const ONES: u128 = u128::from_le_bytes([0x01; 16]);
        let word = u128::from_le_bytes(*self.rest.first_chunk()?);
        let quotes = word ^ (ONES * u128::from(b'"'));
        let zeros = quotes.wrapping_sub(ONES) & !quotes & (ONES << 7);
        // The lowest zero byte is found exactly; above it borrows may lie.
        let length = (zeros.trailing_zeros() / 8) as usize;
        if length > 15 {
            return None;
        }
        // The length, in the byte that no such text reaches, tells a shorter text from one that ends in zeros.
        let text = (word & ((1_u128 << (8 * length)) - 1)) | ((length as u128) << 120);
        Some((text, self.rest.get(length + 1..)?))
    }

    /// Goes on at `rest`, which is a part of what is left.
    #[inline]
    pub(super) fn go_on_at(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// Takes the rest of a text that is not needed, and its closing quote.
    pub(super) fn skip_text(&mut self) -> Option<()> {
        loop {
            let end = memchr2(b'"', b'\\', self.rest)?;
            if !is_printable(self.advance(end)?) {
                return None;
            }
            if self.eat(b"\"") {
                return Some(());
            }
            match self.advance(2)? {
                [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'] => {}
                // Go escapes `&`, `<`, `>` so; above 00FF there could be half a surrogate pair.
                [_, b'u'] => match self.advance(4)? {
                    [b'0', b'0', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// Takes a whole number.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = self.advance(length)?;
        if length == 0 || length > 18 || (length > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        // A fraction or an exponent would follow here.
        if matches!(self.rest.first(), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        Some(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
    }

    /// Takes `true` or `false`.
    pub(super) fn truth(&mut self) -> Option<bool> {
        if self.eat(b"true") {
            return Some(true);
        }
        self.need(b"false").map(|()| false)
    }

    /// How many bytes up to and including the first `}` that `,"` follows: where an object that holds no other object
    /// but the members of a list ends, provided that the bytes turn out to be an object.
    pub(super) fn object_length(&self) -> Option<usize> {
        let mut from = 0;
        loop {
            let brace = from + memchr(b'}', self.rest.get(from..)?)?;
            from = brace + 1;
            if self.rest.get(from..from + 2) == Some(b",\"") {
                return Some(from);
            }
        }
    }

    /// How many bytes up to and including the first `]` after a byte `last`: where a list ends, provided that the bytes
    /// turn out to be a list.
    pub(super) fn list_length(&self, last: u8) -> Option<usize> {
        let mut from = 1;
        loop {
            let bracket = from + memchr(b']', self.rest.get(from..)?)?;
            if self.rest.get(bracket.checked_sub(1)?) == Some(&last) {
                return Some(bracket + 1);
            }
            from = bracket + 1;
        }
    }
}

/// Whether all bytes are printable ASCII: then no byte can be a control character or part of broken UTF-8.
pub(super) fn is_printable(line: &[u8]) -> bool {
    // Without an early exit the loop becomes vector instructions.
    line.iter().fold(0_u8, |seen, byte| seen | byte | byte.wrapping_sub(0x20)) < 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_only_what_go_writes() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(Cursor::new(text.as_bytes()).number(), expected, "{text}");
        };
        check("0,", Some(0));
        check("443}", Some(443));
        check("007", None);
        check("1.5", None);
        check("1e3", None);
        check("-1", None);
        check("", None);
        check("9999999999999999999999", None);
    }

    #[test]
    fn texts_end_at_their_own_quote() {
        let check = |text: &str, rest: Option<&str>| {
            let mut cursor = Cursor::new(text.as_bytes());
            assert_eq!(cursor.skip_text().map(|()| cursor.rest()), rest.map(str::as_bytes), "{text}");
        };
        check(r#"abc",x"#, Some(",x"));
        check(r#"a\"b\\",x"#, Some(",x"));
        check(r#"a\u0026b",x"#, Some(",x"));
        check(r#"a\ud83d",x"#, None);
        check(r#"a\x",x"#, None);
        check("abc", None);
        assert_eq!(Cursor::new(br#"a\"b""#).text(), None);
        assert_eq!(Cursor::new(br#"ab","#).text(), Some(b"ab".as_slice()));
    }

    #[test]
    fn plain_texts_of_a_known_length_end_where_texts_end() {
        let check = |text: &[u8], expected: bool| {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.skip_plain::<4>(), expected, "{text:?}");
            assert_eq!(cursor.rest().len(), if expected { text.len() - 5 } else { text.len() });
        };
        check(b"abcd\",", true);
        check(b" ~!/\"", true);
        for bad in [b"abcd".as_slice(), b"abc\"\"", b"ab\\n\"", b"ab\td\"", b"ab\x7fd\"", b"ab\xffd\"", b"abcde\""] {
            check(bad, false);
        }
    }

    #[test]
    fn short_texts_are_numbers_of_their_own() {
        let number = |text: &[u8]| Cursor::new(text).short_text().map(|(number, _)| number);
        let rest = |text: &'static [u8]| Cursor::new(text).short_text().map(|(_, rest)| rest);
        assert_eq!(rest(b"10.2.0.53\",\"destination\""), Some(b",\"destination\"".as_slice()));
        assert_eq!(number(b"10.2.0.53\",\"destination\""), number(b"10.2.0.53\"}xyzxyzxyz"));
        assert_ne!(number(b"10.2.0.53\",\"destination\""), number(b"10.2.0.5\"}xyzxyzxyzz"));
        assert_ne!(number(b"ab\"aaaaaaaaaaaaaaaa"), number(b"ab\0\"aaaaaaaaaaaaaaaa"));
        assert_ne!(number(b"\"aaaaaaaaaaaaaaaaaa"), number(b"\0\"aaaaaaaaaaaaaaaaaa"));
        assert_eq!(number(b"0123456789abcdef\"aaa"), None);
        assert_eq!(rest(b"0123456789abcde\"aaa"), Some(b"aaa".as_slice()));
        assert_eq!(number(b"short\""), None);
    }

    #[test]
    fn only_printable_ascii_is_printable() {
        assert!(is_printable(b"{\"a\":\"~ \"}"));
        for bad in [b"a\tb".as_slice(), b"a\x7f\x80", "é".as_bytes(), b"\0", b"\x1f", b"\x9f", b"\xff"] {
            assert!(!is_printable(bad), "{bad:?}");
        }
    }
}
