//! YAML and JSON as a tree that knows its lines.
//!
//! In: the text of one document. Out: a [`Node`], or where and why it is no YAML. The parser's own limits on nesting, anchors
//! and aliases stay in force.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// From 1, within the file; 0 when not known.
    pub(super) line: usize,
    pub(super) content: Content,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Box<str>),
    List(Vec<Node>),
    Map(Vec<(Entry, Node)>),
}

/// A key and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) line: usize,
}

impl Content {
    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(entry, _)| &*entry.key == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a key, if it has one.
    pub(super) fn text(&self, key: &str) -> &str {
        match self.get(key).map(|node| &node.content) {
            Some(Content::Text(text)) => text,
            _ => "",
        }
    }
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct NotYaml {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads one document that begins on line `first_line`.
pub(super) fn read(document: &str, first_line: usize) -> Result<Node, NotYaml> {
    let size = document.len().max(1_000_000);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_events: size.saturating_mul(2),
            max_nodes: size,
            max_total_scalar_bytes: size.saturating_mul(2),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        // The API server's `yes` and `y` are words in YAML 1.2, and namespaces are called `y`; see `Item::flag`.
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    };
    let read: Result<Spanned<Content>, _> = serde_saphyr::from_str_with_options(document, options);
    match read {
        Ok(spanned) => {
            let mut node = of(spanned);
            shift(&mut node, first_line.saturating_sub(1));
            Ok(node)
        }
        Err(error) => {
            // Surrogate pairs are JSON and no YAML; such a text has no lines then.
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(document) {
                return Ok(of_json(value, first_line));
            }
            let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
            let message = error.to_string().lines().next().unwrap_or("not valid YAML").to_owned();
            Err(NotYaml { line: line.saturating_add(first_line).saturating_sub(1), message })
        }
    }
}

fn of(spanned: Spanned<Content>) -> Node {
    let line = usize::try_from(spanned.referenced.line()).unwrap_or(0);
    Node { line, content: spanned.value }
}

/// The parser of JSON bounds the nesting to 128.
fn of_json(value: serde_json::Value, line: usize) -> Node {
    use serde_json::Value;
    let content = match value {
        Value::Null => Content::Null,
        Value::Bool(value) => Content::Bool(value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Content::Float(number.as_f64().unwrap_or(f64::NAN)), Content::Integer)
        }
        Value::String(text) => Content::Text(text.into()),
        Value::Array(items) => Content::List(items.into_iter().map(|item| of_json(item, line)).collect()),
        Value::Object(entries) => {
            let entry = |(key, value): (String, _)| (Entry { key: key.into(), line }, of_json(value, line));
            Content::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { line, content }
}

/// Lines of a document → lines of the file. Nesting is bounded, so the list of what waits is, too.
fn shift(node: &mut Node, by: usize) {
    let mut waiting = vec![node];
    while let Some(next) = waiting.pop() {
        next.line += by;
        match &mut next.content {
            Content::List(items) => waiting.extend(items),
            Content::Map(entries) => {
                for (entry, value) in entries {
                    entry.line += by;
                    waiting.push(value);
                }
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(i64::try_from(value).map_or(Content::Float(f64::MAX), Content::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Content>>()? {
            items.push(of(item));
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let line = usize::try_from(key.referenced.line()).unwrap_or(0);
            let value = access.next_value::<Spanned<Content>>()?;
            entries.push((Entry { key: key.value.into(), line }, of(value)));
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_file() {
        let node = read("spec:\n  egress:\n  - to: []\n    ports:\n    - port: 53\n", 10).unwrap();
        let Content::List(rules) = &node.get("spec").unwrap().get("egress").unwrap().content else { panic!() };
        assert_eq!(rules[0].line, 12);
        let Content::Map(entries) = &rules[0].content else { panic!() };
        assert_eq!((entries[1].0.line, &*entries[1].0.key), (13, "ports"));
    }

    #[test]
    fn json_is_read_too() {
        let node = read("{\"kind\":\"X\",\n\"a\":{\"b\":\"\\ud83d\\ude00\"}}", 1).unwrap();
        assert_eq!(node.text("kind"), "X");
        let plain = read("{\n\t\"kind\": \"X\",\n\t\"n\": [1, null]\n}", 1).unwrap();
        assert_eq!(plain.get("n").unwrap().line, 3);
    }

    #[test]
    fn broken_text_says_where() {
        assert!(read("a: 1\nb: [1\n", 5).unwrap_err().line > 5);
        assert!(read("a: 1\na: 2\n", 1).is_err());
        let deep = "[".repeat(5_000);
        assert!(read(&deep, 1).is_err());
    }
}
