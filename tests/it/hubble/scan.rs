//! The scan of ordinary records against the tolerant parser, on real records that were changed in every odd way.

use std::sync::LazyLock;

use egress_atlas::read::hubble::HubbleDecoder;
use egress_atlas::simulate::{Scenario, Sink, generate};
use proptest::prelude::*;

use super::{As, DNS, HTTP, ICMP, MASKED, REDIRECTED, SHAPES, TCP, TEN, UDP, UNITS, decode_with};

/// The members of a JSON object, or nothing when `text` is none: keys with quotes, values as written.
fn members(text: &str) -> Option<Vec<(String, String)>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for letter in inner.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_text = !in_text,
            '{' | '[' if !in_text => depth += 1,
            '}' | ']' if !in_text => depth -= 1,
            ',' if !in_text && depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts.into_iter().map(|part| part.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

/// What can be wrong, or merely different, in one object of a record.
#[derive(Clone, Debug)]
enum Change {
    Swap(usize, usize),
    Remove(usize),
    Repeat(usize),
    Insert(usize, &'static str),
    Value(usize, &'static str),
    Quote(usize),
    Unquote(usize),
    CamelCase(usize),
    Space(usize),
}

const ODD_MEMBERS: [&str; 9] = [
    r#""new":1"#,
    r#""new":{"Type":"SOCK","destination":{},"verdict":"DROPPED"}"#,
    r#""new":["\"},\"destination\":{",{"a":[]},"event_type"]"#,
    r#""tunnel":{"IP":{"source":"1.1.1.1"}}"#,
    r#""aggregate":{"egress_flow_count":2}"#,
    r#""node_labels":["a=b","],","c\"]"]"#,
    r#""destination_names":["A.example.com","b..example","*.c.example."]"#,
    r#""source_names":["A.example.com"]"#,
    r#""egress_denied_by":[{"name":"n","labels":["}],"],"revision":"6"}]"#,
];

const ODD_VALUES: [&str; 15] = [
    "null",
    "[]",
    "{}",
    "0",
    "-1",
    "1.0",
    "01",
    "true",
    r#""""#,
    r#""x""#,
    r#""\u0041\"},\"destination\":{""#,
    r#""DROPPED""#,
    r#""2026-01-01T00:00:00Z""#,
    r#"["k8s:a=\"},\"destination\":{\"ID\":1","k8s:b=}],","reserved:host","fqdn:x.example."]"#,
    r#"{"ID":5,"x":{},"destination":{"ID":6},"Type":"L7"}"#,
];

impl Change {
    fn apply(&self, members: &mut Vec<(String, String)>) {
        let at = |index: &usize| index % members.len().max(1);
        match self {
            Self::Insert(index, member) => {
                let (key, value) = member.split_once(':').unwrap();
                members.insert(at(index), (key.to_owned(), value.to_owned()));
            }
            _ if members.is_empty() => {}
            Self::Swap(one, other) => {
                let (one, other) = (at(one), at(other));
                members.swap(one, other);
            }
            Self::Remove(index) => drop(members.remove(index % members.len())),
            Self::Repeat(index) => members.push(members[at(index)].clone()),
            Self::Value(index, value) => {
                let index = at(index);
                (*value).clone_into(&mut members[index].1);
            }
            Self::Quote(index) => {
                let index = at(index);
                members[index].1 = format!("\"{}\"", members[index].1);
            }
            Self::Unquote(index) => {
                let index = at(index);
                members[index].1 = members[index].1.replace('"', "");
            }
            Self::CamelCase(index) => {
                let index = at(index);
                let key = members[index].0.clone();
                if let Some((head, tail)) = key.split_once('_') {
                    let (first, rest) = tail.split_at(1);
                    members[index].0 = format!("{head}{}{rest}", first.to_uppercase());
                }
            }
            Self::Space(index) => {
                let index = at(index);
                members[index].1.insert(0, ' ');
            }
        }
    }
}

/// Applies `change` to the object that `path` leads to; a path that leads nowhere ends early.
fn change_at(text: &str, path: &[&str], change: &Change) -> String {
    let Some(mut object) = members(text) else { return text.to_owned() };
    let below = path.split_first().and_then(|(key, rest)| {
        let index = object.iter().position(|(name, _)| name.trim_matches('"') == *key)?;
        Some((index, rest))
    });
    match below {
        Some((index, rest)) => object[index].1 = change_at(&object[index].1, rest, change),
        None => change.apply(&mut object),
    }
    let joined: Vec<String> = object.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", joined.join(","))
}

const PATHS: [&[&str]; 14] = [
    &[],
    &["flow"],
    &["flow"],
    &["flow"],
    &["flow", "IP"],
    &["flow", "l4"],
    &["flow", "l4", "TCP"],
    &["flow", "l4", "TCP", "flags"],
    &["flow", "source"],
    &["flow", "destination"],
    &["flow", "event_type"],
    &["flow", "l7"],
    &["flow", "l7", "dns"],
    &["flow", "interface"],
];

fn change() -> impl Strategy<Value = (usize, Change)> {
    let any = || 0_usize..40;
    let change = prop_oneof![
        (any(), any()).prop_map(|(one, other)| Change::Swap(one, other)),
        any().prop_map(Change::Remove),
        any().prop_map(Change::Repeat),
        (any(), prop::sample::select(&ODD_MEMBERS[..])).prop_map(|(index, member)| Change::Insert(index, member)),
        (any(), prop::sample::select(&ODD_VALUES[..])).prop_map(|(index, value)| Change::Value(index, value)),
        any().prop_map(Change::Quote),
        any().prop_map(Change::Unquote),
        any().prop_map(Change::CamelCase),
        any().prop_map(Change::Space),
    ];
    (0..PATHS.len(), change)
}

/// What can happen to the bytes of a record.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Cut(usize),
    Replace(usize, u8),
    Append(&'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop::sample::select(&b"\"\\{}[],:0a\t\x01\x7f\xc3\xff "[..]);
    prop_oneof![
        6 => Just(Damage::None),
        1 => (0_usize..2_000).prop_map(Damage::Cut),
        1 => (0_usize..2_000, byte).prop_map(|(index, byte)| Damage::Replace(index, byte)),
        1 => prop::sample::select(&["}", ",", "x", " ", "{}", "\r", "\0"][..]).prop_map(Damage::Append),
    ]
}

fn real_line() -> impl Strategy<Value = &'static str> {
    let lines: Vec<&str> = [TEN, MASKED, UNITS, ICMP, DNS, HTTP, REDIRECTED, TCP, UDP, SHAPES]
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.starts_with('{'))
        .collect();
    prop::sample::select(lines)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scan_reads_what_the_parser_reads(
        line in real_line(),
        changes in prop::collection::vec(change(), 0..4),
        damage in damage(),
    ) {
        let changed = changes.iter().fold(line.to_owned(), |text, (path, change)| change_at(&text, PATHS[*path], change));
        let mut changed = changed.into_bytes();
        let length = changed.len();
        match damage {
            Damage::None => {}
            Damage::Cut(index) => changed.truncate(index % length),
            Damage::Replace(index, byte) => changed[index % length] = byte,
            Damage::Append(text) => changed.extend(text.as_bytes()),
        }
        // The real line comes first and last, so that the changed one meets a warm memory and leaves none behind.
        let content = [line.as_bytes(), &changed, line.as_bytes()].join(&b'\n');
        for keep_ids in [true, false] {
            let scanned = decode_with(&mut HubbleDecoder::new(keep_ids), As::Lines, &content);
            let parsed = decode_with(&mut HubbleDecoder::parser_only(keep_ids), As::Lines, &content);
            prop_assert_eq!(scanned, parsed, "{}", String::from_utf8_lossy(&changed));
        }
    }

    /// What the decoder remembers of two records must not leak into one that has parts of both, and that is damaged besides.
    #[test]
    fn parts_of_records_that_were_read_before_are_not_mistaken(
        (one, other) in (exported_line(), exported_line()),
        taken in prop::collection::vec((0..MIXED.len(), any::<bool>()), 0..8),
        changes in prop::collection::vec(change(), 0..2),
        damage in damage(),
    ) {
        let mut mixed = one.clone();
        for (path, drops) in taken {
            let value = value_at(&other, MIXED[path]).filter(|_| !drops);
            mixed = with_value_at(&mixed, MIXED[path], value.as_deref());
        }
        mixed = changes.iter().fold(mixed, |text, (path, change)| change_at(&text, PATHS[*path], change));
        let mut mixed = mixed.into_bytes();
        let length = mixed.len();
        match damage {
            Damage::None => {}
            Damage::Cut(index) => mixed.truncate(index % length),
            Damage::Replace(index, byte) => mixed[index % length] = byte,
            Damage::Append(text) => mixed.extend(text.as_bytes()),
        }
        let (one, other) = (one.as_bytes(), other.as_bytes());
        let content = [one, other, &mixed, &mixed, other, one, &mixed].join(&b'\n');
        let scanned = decode_with(&mut HubbleDecoder::new(false), As::Lines, &content);
        let parsed = decode_with(&mut HubbleDecoder::parser_only(false), As::Lines, &content);
        prop_assert_eq!(scanned, parsed, "{}", String::from_utf8_lossy(&mixed));
    }
}

/// Members that records of one exporter share or not.
const MIXED: [&[&str]; 22] = [
    &["flow", "time"],
    &["flow", "emitter"],
    &["flow", "verdict"],
    &["flow", "uuid"],
    &["flow", "ethernet"],
    &["flow", "IP"],
    &["flow", "IP", "source"],
    &["flow", "IP", "destination"],
    &["flow", "l4"],
    &["flow", "source"],
    &["flow", "destination"],
    &["flow", "Type"],
    &["flow", "node_name"],
    &["flow", "node_labels"],
    &["flow", "destination_names"],
    &["flow", "reply"],
    &["flow", "event_type"],
    &["flow", "is_reply"],
    &["flow", "interface"],
    &["flow", "Summary"],
    &["node_name"],
    &["time"],
];

/// Lines of a made-up exporter: all of the shape that the scan takes.
fn exported_line() -> impl Strategy<Value = String> {
    struct Lines(Vec<String>);
    impl Sink for Lines {
        fn flow_line(&mut self, _: usize, line: &[u8]) {
            self.0.push(String::from_utf8(line.trim_ascii_end().to_vec()).unwrap());
        }
        fn dns_frame(&mut self, _: &[u8]) {}
        fn truth(&mut self, _: &str, _: Option<&str>) {}
        fn kube(&mut self, _: &[u8]) {}
    }
    static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut lines = Lines(Vec::new());
        generate(&Scenario { flows: 400, ..Scenario::bench(7) }, &mut lines);
        lines.0
    });
    prop::sample::select(LINES.as_slice())
}

fn value_at(text: &str, path: &[&str]) -> Option<String> {
    let (key, rest) = path.split_first()?;
    let (_, value) = members(text)?.into_iter().find(|(name, _)| name.trim_matches('"') == *key)?;
    if rest.is_empty() { Some(value) } else { value_at(&value, rest) }
}

/// The text with another value at `path`, or without the member; unchanged where there is none.
fn with_value_at(text: &str, path: &[&str], value: Option<&str>) -> String {
    let (Some((key, rest)), Some(mut object)) = (path.split_first(), members(text)) else { return text.to_owned() };
    let Some(index) = object.iter().position(|(name, _)| name.trim_matches('"') == *key) else {
        return text.to_owned();
    };
    match value {
        _ if !rest.is_empty() => object[index].1 = with_value_at(&object[index].1, rest, value),
        Some(value) => value.clone_into(&mut object[index].1),
        None => drop(object.remove(index)),
    }
    let joined: Vec<String> = object.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", joined.join(","))
}

/// What is looked for in a broken line must not be looked for in all that follow.
#[test]
fn a_broken_line_costs_no_more_than_itself() {
    for line in [r#"{"flow":{"l7":{"a":"#, r#"{"flow":{"source":}}}}}}"#, r#"{"flow":{"node_labels":]]]]]]"#] {
        let lines = format!("{line}\n").repeat(4_000);
        let cost = |mut decoder: HubbleDecoder| {
            let begun = std::time::Instant::now();
            let told = decode_with(&mut decoder, As::Lines, lines.as_bytes());
            (begun.elapsed(), told)
        };
        let (by_scan, scanned) = cost(HubbleDecoder::new(true));
        let (by_parser, parsed) = cost(HubbleDecoder::parser_only(true));
        assert_eq!(scanned, parsed);
        assert!(by_scan < by_parser * 20, "{line}: {by_scan:?}, without the scan {by_parser:?}");
    }
}
