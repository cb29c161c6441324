//! Finds the objects in JSON text: single objects, one after another, arrays, and the items of lists.
//!
//! In: bytes. Out: the byte range of each object, and the place where the text stops being JSON. Objects are only
//! delimited here, so that a broken one does not cost its neighbours. Never recurses: nesting is a counter.

use std::ops::Range;

/// A broken object may be scanned to the end of the text, so that the work stays within this many times the text's length.
const MAX_RESTARTS: u8 = 64;

/// One value at the top level of the text, or inside a list of lists.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The text of the value; ends early when the value is cut off.
    pub(super) range: Range<usize>,
    /// `kind`, where the object states it.
    pub(super) kind: String,
    /// `apiVersion`, where the object states it.
    pub(super) api_version: String,
    /// The elements of `items`, or of the array; `None` when there is no such array.
    pub(super) items: Option<Vec<Range<usize>>>,
    /// Where the text stopped being JSON.
    pub(super) error: Option<usize>,
}

/// The documents of `bytes` between `start` and `end`, in order.
pub(super) fn documents(bytes: &[u8], range: Range<usize>) -> Documents<'_> {
    Documents { bytes: bytes.get(..range.end).unwrap_or(bytes), at: range.start, restarts: 0 }
}

/// Iterator of [`documents`].
#[derive(Debug)]
pub(super) struct Documents<'a> {
    bytes: &'a [u8],
    at: usize,
    restarts: u8,
}

impl Iterator for Documents<'_> {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        self.skip_space();
        let start = self.at;
        let mut document = Document::default();
        let read = match self.peek()? {
            b'{' => self.members(&mut document),
            b'[' => self.elements(&mut document),
            _ => Err(start),
        };
        if let Err(at) = read {
            document.error = Some(at);
            self.at = self.next_start(if document.items.is_some() { at } else { start });
        }
        document.range = start..self.at;
        Some(document)
    }
}

impl Documents<'_> {
    /// Where the next object may begin, after a broken one: kubectl prints no inner brace in the first column.
    fn next_start(&mut self, broken: usize) -> usize {
        if self.restarts == MAX_RESTARTS {
            return self.bytes.len();
        }
        self.restarts += 1;
        let rest = self.bytes.get(broken..).unwrap_or_default();
        memchr::memmem::find(rest, b"\n{").map_or(self.bytes.len(), |found| broken + found + 1)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), usize> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.at)
    }

    /// Reads `,` (more follows) or `close` (done).
    fn more(&mut self, close: u8) -> Result<bool, usize> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.at),
        }
    }

    /// Skips a string, quotes included.
    fn string(&mut self) -> Result<Range<usize>, usize> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let found = memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
            match rest.get(found) {
                Some(b'"') => {
                    self.at += found + 1;
                    return Ok(start..self.at);
                }
                Some(b'\\') => self.at += found + 2,
                // A string has no line breaks (RFC 8259, section 7): this one was never closed.
                _ => return Err(start),
            }
        }
    }

    /// Skips any value.
    fn value(&mut self) -> Result<Range<usize>, usize> {
        self.skip_space();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(start)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                break;
            }
        }
        if self.at == start { Err(start) } else { Ok(start..self.at) }
    }

    fn elements(&mut self, document: &mut Document) -> Result<(), usize> {
        let items = document.items.insert(Vec::new());
        self.expect(b'[')?;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            items.push(self.value()?);
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    fn members(&mut self, document: &mut Document) -> Result<(), usize> {
        self.expect(b'{')?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.expect(b':')?;
            self.skip_space();
            match (self.bytes.get(key), self.peek()) {
                (Some(b"\"items\""), Some(b'[')) => self.elements(document)?,
                (Some(b"\"kind\""), Some(b'"')) => document.kind = self.text()?,
                (Some(b"\"apiVersion\""), Some(b'"')) => document.api_version = self.text()?,
                _ => {
                    self.value()?;
                }
            }
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn text(&mut self) -> Result<String, usize> {
        let range = self.string()?;
        let start = range.start;
        self.bytes.get(range).and_then(|text| serde_json::from_slice(text).ok()).ok_or(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Vec<String> {
        documents(text.as_bytes(), 0..text.len())
            .map(|document| {
                let items = document.items.map_or("single".into(), |items| {
                    items.iter().map(|range| text.get(range.clone()).unwrap_or_default()).collect::<Vec<_>>().join("|")
                });
                let error = document.error.map(|at| format!(" error at {at}")).unwrap_or_default();
                format!("{}:{items}{error}", document.kind)
            })
            .collect()
    }

    #[test]
    fn objects_are_found_in_every_arrangement() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shapes(text), expected, "{text}");
        check("", &[]);
        check("{}", &[":single"]);
        check(r#"{"kind":"Pod"} {"kind":"Node"}"#, &["Pod:single", "Node:single"]);
        check(r#"{"items":[{"a":"]}\""}, {"b":[1]}],"kind":"List"}"#, &[r#"List:{"a":"]}\""}|{"b":[1]}"#]);
        check(r#"{"kind":"PodList","items":null}"#, &["PodList:single"]);
        check(r#"{"kind":"PodList","items":[ ]}"#, &["PodList:"]);
        check(r#"[{"kind":"Pod"},{}]"#, &[r#":{"kind":"Pod"}|{}"#]);
        check(r#"{"items":[{"a":1},{"b""#, &[r#":{"a":1} error at 18"#]);
        check(r#"{"items":[{"a":1} {"b":2}]}"#, &[r#":{"a":1} error at 18"#]);
        check("{\"kind\":\"Pod\n{\"kind\":\"Node\"}", &[":single error at 8", "Node:single"]);
        check("{\"a\"}\nnoise\n{\"kind\":\"Node\"}", &[":single error at 4", "Node:single"]);
        check("No resources found", &[":single error at 0"]);
    }
}
