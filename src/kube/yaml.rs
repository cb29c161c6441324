//! Finds the objects in YAML text, document by document, so that one bad document does not cost the rest.
//!
//! In: text. Out: one value per object, handed on as soon as it is read; at most one object is held in memory besides
//! those that do not say their kind. The parser's own limits on nesting, anchors and aliases stay in force.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::options::NonFiniteFloatPolicy;

/// What stands at the top of a document.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// `kind` of the list, or of the array: empty.
    pub(super) kind: String,
    /// `apiVersion` of the list.
    pub(super) api_version: String,
    /// The items that do not say their kind.
    pub(super) kindless: Vec<Value>,
    /// The object, when the document is no list.
    pub(super) single: Option<Value>,
}

/// Splits text into documents: the byte offset and the text of each one that holds anything.
///
/// A line that begins with `---` or `...` separates documents wherever it stands, in quoted text too (YAML 1.2.2, 9.1.2).
pub(crate) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if is_marker(line, "---") || is_marker(line, "...") {
            found.push((start, at));
            start = at;
        }
        at += line.len();
    }
    found.push((start, at));
    found
        .into_iter()
        .filter_map(|(start, end)| text.get(start..end).map(|document| (start, document)))
        .map(|(start, document)| match document.strip_prefix("...") {
            // The end marker belongs to the document before it.
            Some(rest) if is_marker(document, "...") => (start + 3, rest),
            _ => (start, document),
        })
        .filter(|(_, document)| document.lines().any(|line| !is_empty(line)))
        .collect()
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_empty(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    line.is_empty() || line.starts_with(['#', '%'])
}

/// Reads one document; every item that says its kind goes to `sink` at once.
///
/// Says whether the document was good to its end. Items before an error have been handed on already; `top` holds what else
/// was read.
pub(super) fn read(document: &str, top: &mut Top, sink: &mut dyn FnMut(Value)) -> bool {
    // Without aliases a document cannot have more nodes than bytes; what aliases add has limits of its own.
    let size = document.len().max(1_000_000);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: size.saturating_mul(2),
            max_nodes: size,
            max_total_scalar_bytes: size.saturating_mul(2),
        },
        // kubectl prints no alias at all, and people few.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        // Labels such as `zone: y` are texts; the API server prints flags as `true` and `false`.
        strict_booleans: true,
        emit_comments: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    serde_saphyr::with_deserializer_from_str_with_options(document, options, |deserializer| {
        deserializer.deserialize_any(TopVisitor { top, sink })
    })
    .is_ok()
}

struct TopVisitor<'a> {
    top: &'a mut Top,
    sink: &'a mut dyn FnMut(Value),
}

impl<'de> Visitor<'de> for TopVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object or a list of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        // What kubectl says instead of objects ("No resources found") is YAML too; the reader refuses it by name.
        self.top.single = Some(Value::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        Items { kindless: &mut self.top.kindless, sink: self.sink }.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let (mut fields, mut is_list) = (Map::new(), false);
        while let Some(key) = access.next_key::<String>()? {
            if key == "items" {
                access.next_value_seed(Items { kindless: &mut self.top.kindless, sink: self.sink })?;
                is_list = true;
                continue;
            }
            let value = access.next_value::<Value>()?;
            match (key.as_str(), &value) {
                ("kind", Value::String(kind)) => self.top.kind.clone_from(kind),
                ("apiVersion", Value::String(version)) => self.top.api_version.clone_from(version),
                _ => {}
            }
            fields.insert(key, value);
        }
        if !is_list {
            self.top.single = Some(Value::Object(fields));
        }
        Ok(())
    }
}

struct Items<'a> {
    kindless: &'a mut Vec<Value>,
    sink: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(item) = access.next_element::<Value>()? {
            if item.get("kind").is_some_and(Value::is_string) {
                (self.sink)(item);
            } else {
                self.kindless.push(item);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_at_markers_only() {
        let check = |text: &str, expected: &[(usize, &str)]| assert_eq!(documents(text), expected, "{text}");
        check("", &[]);
        check("# only a comment\n---\n\n---\n", &[]);
        check("a: 1\n", &[(0, "a: 1\n")]);
        check("---\na: 1\n---\nb: 2\n", &[(0, "---\na: 1\n"), (9, "---\nb: 2\n")]);
        check("--- {a: 1}\n...\nb: 2", &[(0, "--- {a: 1}\n"), (14, "\nb: 2")]);
        check("a: ---b\n---c: 1\n", &[(0, "a: ---b\n---c: 1\n")]);
        check("%YAML 1.2\n---\r\na: 1\r\n---\r\n", &[(10, "---\r\na: 1\r\n")]);
    }

    #[test]
    fn items_are_handed_on_before_a_later_error() {
        let text = "apiVersion: v1\nitems:\n- kind: Pod\n- name: x\n- [\n";
        let (mut top, mut items) = (Top::default(), Vec::new());
        let good = read(text, &mut top, &mut |item| items.push(item));
        assert!(!good);
        assert_eq!(items.len(), 1);
        assert_eq!(top.kindless.len(), 1);
        assert_eq!(top.api_version, "v1");
    }
}
