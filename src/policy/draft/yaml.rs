//! A small tree, written as YAML with comments, always the same way.
//!
//! In: maps in the order they were built, lists, texts, numbers. Out: block-style YAML (1.2, and safe for readers of 1.1), or the same
//! content as JSON for checks. A text that is not plainly a word is quoted; comments never break out of their line.

use serde_json::{Map, Value};

use super::evidence::printable;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

/// An element of a list, with the comment in front of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) comments: Vec<String>,
    pub(super) node: Node,
}

/// A key of a map with its value, and the comment in front of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) comments: Vec<String>,
    pub(super) key: String,
    pub(super) node: Node,
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Node {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Node {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A map of these entries.
pub(super) fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
    Node::Map(entries.into_iter().map(|(key, node)| entry(key, node)).collect())
}

/// An entry without a comment.
pub(super) fn entry(key: &str, node: Node) -> Entry {
    Entry { comments: Vec::new(), key: key.to_owned(), node }
}

/// A list without comments.
pub(super) fn list(nodes: impl IntoIterator<Item = Node>) -> Node {
    Node::List(nodes.into_iter().map(|node| Item { comments: Vec::new(), node }).collect())
}

/// An element behind a comment.
pub(super) fn item(comments: Vec<String>, node: Node) -> Item {
    Item { comments, node }
}

impl Node {
    /// The same content as JSON.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
            Self::List(items) => Value::Array(items.iter().map(|item| item.node.json()).collect()),
            Self::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The document, each line ended, behind its opening comment.
    pub(super) fn document(&self, comments: &[String]) -> String {
        let mut out = String::new();
        comment(&mut out, comments, 0);
        match self {
            Self::Map(entries) => write_map(&mut out, entries, 0, false),
            other => {
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
        out
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn comment(out: &mut String, lines: &[String], depth: usize) {
    for line in lines {
        indent(out, depth);
        out.push('#');
        let text = printable(line);
        if !text.is_empty() {
            out.push(' ');
            out.push_str(text.trim_end());
        }
        out.push('\n');
    }
}

/// Entries of a map; the first one stands on the current line when `inline`.
fn write_map(out: &mut String, entries: &[Entry], depth: usize, inline: bool) {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 || !inline {
            comment(out, &entry.comments, depth);
            indent(out, depth);
        }
        out.push_str(&text(&entry.key));
        out.push(':');
        write_value(out, &entry.node, depth);
    }
}

fn write_value(out: &mut String, node: &Node, depth: usize) {
    match node {
        Node::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Node::List(items) if items.is_empty() => out.push_str(" []\n"),
        Node::Map(entries) => {
            out.push('\n');
            write_map(out, entries, depth.saturating_add(1), false);
        }
        Node::List(items) => {
            out.push('\n');
            write_list(out, items, depth.saturating_add(1));
        }
        other => {
            out.push(' ');
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
}

fn write_list(out: &mut String, items: &[Item], depth: usize) {
    for item in items {
        comment(out, &item.comments, depth);
        indent(out, depth);
        out.push('-');
        match &item.node {
            Node::Map(entries) if !entries.is_empty() => {
                out.push(' ');
                write_map(out, entries, depth.saturating_add(1), true);
            }
            Node::List(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, depth.saturating_add(1));
            }
            other => write_value(out, other, depth),
        }
    }
}

fn scalar(node: &Node) -> String {
    match node {
        Node::Number(number) => number.to_string(),
        Node::Flag(flag) => flag.to_string(),
        Node::Text(content) => text(content),
        Node::List(_) => "[]".to_owned(),
        Node::Map(_) => "{}".to_owned(),
    }
}

/// A text: plain where nobody can read it as something else, else in double quotes with escapes.
pub(super) fn text(content: &str) -> String {
    if is_plain(content) { content.to_owned() } else { quoted(content) }
}

fn is_plain(content: &str) -> bool {
    // What YAML 1.1 takes for truth or nothing.
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan"];
    content.starts_with(|c: char| c.is_ascii_alphabetic())
        && content.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && !WORDS.contains(&content.to_ascii_lowercase().as_str())
}

fn quoted(content: &str) -> String {
    let mut out = String::from("\"");
    for c in content.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => {
                let code = u32::from(c);
                let escape = if code > 0xffff { format!("\\U{code:08x}") } else { format!("\\u{code:04x}") };
                out.push_str(&escape);
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_document_reads_as_it_was_built() {
        let tree = map([
            ("kind", "NetworkPolicy".into()),
            (
                "spec",
                map([
                    ("podSelector", map([])),
                    (
                        "egress",
                        Node::List(vec![
                            item(
                                vec!["first".into(), "second\n- evil: true".into()],
                                map([
                                    ("ports", list([map([("port", 53_u16.into()), ("protocol", "UDP".into())])])),
                                    ("to", list([map([("ipBlock", map([("cidr", "0.0.0.0/0".into())]))])])),
                                ]),
                            ),
                            item(vec![], list(["a".into(), list(["b".into()])])),
                        ]),
                    ),
                ]),
            ),
        ]);
        let text = tree.document(&["top".into(), String::new()]);
        assert_eq!(read(&text), tree.json());
        insta::assert_snapshot!(text, @r#"
# top
#
kind: NetworkPolicy
spec:
  podSelector: {}
  egress:
    # first
    # second\u{a}- evil: true
    - ports:
        - port: 53
          protocol: UDP
      to:
        - ipBlock:
            cidr: "0.0.0.0/0"
    -
      - a
      -
        - b
"#);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(key in ".*", value in ".*", comment in ".*") {
            let tree = Node::Map(vec![Entry {
                comments: vec![comment.clone()],
                key: format!("k{key}"),
                node: Node::List(vec![item(vec![comment], Node::Text(value))]),
            }]);
            prop_assert_eq!(read(&tree.document(&[])), tree.json());
        }
    }

    #[test]
    fn words_that_yaml_takes_for_something_else_are_quoted() {
        for word in
            ["no", "Yes", "1", "1e3", "0x1f", "null", "~", "", "-", "a: b", "#a", "0.0.0.0/0", "*.x", "2026-03-01", "y"]
        {
            assert!(text(word).starts_with('"'), "{word}");
        }
        for word in ["cart", "app.kubernetes.io/name", "kube-system", "TCP"] {
            assert_eq!(text(word), word);
        }
    }
}
