//! Writes one decision into the text of `reviews.toml`, and leaves everything else as people wrote it.
//!
//! In: the text and a decision. Out: the new text, which the strict parser reads back with exactly that decision more or changed.
//! A decision about the same destination, cluster and namespace is changed in its place; any other is added at the end. Comments,
//! order and spacing of all else stay, byte for byte. Nothing here opens a file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::DocumentError;
use super::pattern::Pattern;
use super::reviews::{Decision, Review, Reviews};

/// What became of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The whole new text.
    pub text: String,
    /// The decision that it replaces, if there was one about the same destination, cluster and namespace.
    pub replaced: Option<Review>,
}

/// Why a decision cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The file is not in order as it is.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The file is written in a way that cannot be added to line by line.
    #[error(
        "{file}: the reviews are not written as `[[review]]` tables, one key a line; rewrite them so, or add the decision by hand"
    )]
    Form {
        /// The file.
        file: Box<str>,
    },
}

/// Writes `decision` into `text`, the content of `file`.
pub fn record_review(text: &str, file: &str, decision: &Review) -> Result<Recorded, RecordError> {
    let before = Reviews::parse(text, file)?;
    let found = before.all().iter().position(|review| is_same_question(review, decision));
    let form = || RecordError::Form { file: file.into() };
    let written = match found {
        Some(number) => changed(text, number, decision).ok_or_else(form)?,
        None => added(text, decision),
    };
    let after = Reviews::parse(&written, file).map_err(|_| form())?;
    let mut expected = before.all().to_vec();
    let replaced =
        found.and_then(|number| expected.get_mut(number)).map(|old| std::mem::replace(old, decision.clone()));
    if replaced.is_none() {
        expected.push(decision.clone());
    }
    if after.all() == expected { Ok(Recorded { text: written, replaced }) } else { Err(form()) }
}

fn is_same_question(one: &Review, two: &Review) -> bool {
    (&one.destination, &one.cluster, &one.namespace) == (&two.destination, &two.cluster, &two.namespace)
}

const fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Approved => "approved",
        Decision::Rejected => "rejected",
    }
}

fn added(text: &str, review: &Review) -> String {
    let newline = newline_of(text);
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(newline);
    }
    let is_blank = out.trim().is_empty();
    if !is_blank && !out.ends_with(&newline.repeat(2)) {
        out.push_str(newline);
    }
    let mut line = |text: &str| {
        out.push_str(text);
        out.push_str(newline);
    };
    line("[[review]]");
    line(&format!("destination = {}", quoted(&review.destination.to_string())));
    if let Some(cluster) = &review.cluster {
        line(&format!("cluster = {}", quoted(cluster)));
    }
    line(&format!("namespace = {}", quoted(review.namespace.as_deref().unwrap_or("*"))));
    line(&format!("decision = {}", quoted(decision_word(review.decision))));
    line(&format!("owner = {}", quoted(&review.owner)));
    line(&format!("reason = {}", quoted(&review.reason)));
    if let Some(expires) = review.expires {
        line(&format!("expires = {}", quoted(&expires.to_string())));
    }
    out
}

/// The lines of a file end as its first one does.
fn newline_of(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((first, _)) if first.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Changes the values of table `number`; `None` when the tables are written in another form.
fn changed(text: &str, number: usize, review: &Review) -> Option<String> {
    let content = DeTable::parse(text).ok()?;
    let (_, list) = content.get_ref().iter().find(|(key, _)| key.get_ref() == "review")?;
    let DeValue::Array(items) = list.get_ref() else { return None };
    let DeValue::Table(table) = items.get(number)?.get_ref() else { return None };
    let entry = |key: &str| table.iter().find(|(name, _)| name.get_ref() == key);
    let value_span = |key: &str| entry(key).map(|(_, value): (_, &Spanned<DeValue<'_>>)| value.span());
    let mut edits: Vec<(Range<usize>, String)> = vec![
        (value_span("decision")?, quoted(decision_word(review.decision))),
        (value_span("owner")?, quoted(&review.owner)),
        (value_span("reason")?, quoted(&review.reason)),
    ];
    match (entry("expires"), review.expires) {
        (Some((_, value)), Some(day)) => edits.push((value.span(), quoted(&day.to_string()))),
        (Some((key, value)), None) => {
            edits.push((without_line(text, key.span().start..value.span().end), String::new()));
        }
        (None, Some(day)) => {
            let written_until = table.values().map(|value| value.span().end).max()?;
            let end = text.get(written_until..)?.find('\n').map_or(text.len(), |offset| written_until + offset);
            let newline = newline_of(text);
            let end = if newline == "\r\n" && text.get(..end)?.ends_with('\r') { end - 1 } else { end };
            edits.push((end..end, format!("{newline}expires = {}", quoted(&day.to_string()))));
        }
        (None, None) => {}
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut out = text.to_owned();
    for (range, replacement) in edits {
        out.get(range.clone())?;
        out.replace_range(range, &replacement);
    }
    Some(out)
}

/// The whole line when nothing else stands on it; a comment behind the value stays.
fn without_line(text: &str, entry: Range<usize>) -> Range<usize> {
    let start = text.get(..entry.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end =
        text.get(entry.end..).and_then(|after| after.find('\n')).map_or(text.len(), |offset| entry.end + offset + 1);
    let is_blank = |range: Range<usize>| text.get(range).is_some_and(|part| part.trim().is_empty());
    if is_blank(start..entry.start) && is_blank(entry.end..end) { start..end } else { entry }
}

/// A basic string of TOML that shows readable text as it is and everything else as an escape.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ if character.is_alphanumeric() => out.push(character),
            _ => {
                let code = u32::from(character);
                let escaped = if code > 0xFFFF { format!("\\U{code:08X}") } else { format!("\\u{code:04X}") };
                out.push_str(&escaped);
            }
        }
    }
    out.push('"');
    out
}

impl Review {
    /// Reads a destination for a decision. Patterns that anybody can put a name below are refused: a review of `*.github.io` would
    /// vouch for strangers.
    pub fn destination_of(text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::parse(text).map_err(|error| error.to_string())?;
        if let Pattern::Below(name) | Pattern::Within(name) = &pattern {
            let name = name.as_str();
            if psl::suffix_str(name) == Some(name) {
                return Err(format!(
                    "anybody can have a name below `{name}` (Public Suffix List), so nobody can answer for all of them; name the host"
                ));
            }
        }
        if let Pattern::Network(net) = &pattern
            && net.prefix_len() == 0
        {
            return Err("it is every address there is; name the host or its network".to_owned());
        }
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::date::Date;
    use super::*;

    fn review(destination: &str, decision: Decision, expires: Option<&str>) -> Review {
        Review {
            destination: Pattern::parse(destination).unwrap(),
            cluster: None,
            namespace: Some("shop".into()),
            owner: "team-shop".into(),
            decision,
            reason: "orders".into(),
            expires: expires.map(|day| Date::parse(day).unwrap()),
        }
    }

    const TEXT: &str = "# who decided what\n\n[[review]]  # first\ndestination = \"a.example\" # the host\nnamespace = 'shop'\n\
                        decision = \"rejected\"  # for now\nowner = \"x\"\nreason = \"\"\"old\n\"\"\"\nexpires = 2026-01-01 # soon\n\n# the end\n";

    #[test]
    fn a_new_decision_is_added_at_the_end() {
        let recorded =
            record_review(TEXT, "r.toml", &review("b.example", Decision::Approved, Some("2026-09-01"))).unwrap();
        assert_eq!(recorded.replaced, None);
        let added = recorded.text.strip_prefix(TEXT).unwrap();
        insta::assert_snapshot!(added, @r#"

        [[review]]
        destination = "b.example"
        namespace = "shop"
        decision = "approved"
        owner = "team-shop"
        reason = "orders"
        expires = "2026-09-01"
        "#);
        assert!(
            record_review("", "r.toml", &review("b.example", Decision::Approved, None)).unwrap().text.starts_with("[[")
        );
    }

    #[test]
    fn the_same_question_is_changed_in_its_place() {
        let check = |expires: Option<&str>, text: &str, line: &str| {
            let recorded = record_review(text, "r.toml", &review("a.example", Decision::Approved, expires)).unwrap();
            assert!(recorded.replaced.is_some());
            assert!(recorded.text.contains("# first\ndestination = \"a.example\" # the host\n"), "{}", recorded.text);
            assert!(recorded.text.contains("decision = \"approved\"  # for now\n"), "{}", recorded.text);
            assert!(recorded.text.contains(line), "{}", recorded.text);
            assert!(recorded.text.ends_with("# the end\n"));
            recorded.text
        };
        check(Some("2027-01-01"), TEXT, "\nexpires = \"2027-01-01\" # soon\n");
        let without = check(None, TEXT, "reason = \"orders\"\n # soon\n");
        check(Some("2027-01-01"), &without, "reason = \"orders\"\nexpires = \"2027-01-01\"\n # soon\n");
        let bare = TEXT.replace(" # soon", "");
        check(None, &bare, "reason = \"orders\"\n\n# the end");
    }

    #[test]
    fn other_forms_and_broken_files_are_refused() {
        let new = review("b.example", Decision::Approved, None);
        let inline = "review = [{destination = \"a.example\", namespace = \"shop\", decision = \"rejected\", owner = \"x\", reason = \"y\"}]\n";
        assert!(matches!(record_review(inline, "r.toml", &new), Err(RecordError::Form { .. })));
        assert!(matches!(record_review("[[review]]\n", "r.toml", &new), Err(RecordError::Document(_))));
        assert_eq!(
            Review::destination_of("*.github.io").unwrap_err(),
            "anybody can have a name below `github.io` (Public Suffix List), so nobody can answer for all of them; name the host"
        );
        assert!(Review::destination_of("0.0.0.0/0").is_err());
        assert!(Review::destination_of("*.vendor.example.com").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_the_owner_writes_is_read_back(owner in "\\PC*|(?s).*", reason in "(?s).{0,40}", windows in any::<bool>()) {
            prop_assume!(!owner.trim().is_empty() && !reason.trim().is_empty());
            let text = if windows { TEXT.replace('\n', "\r\n") } else { TEXT.to_owned() };
            for destination in ["a.example", "b.example"] {
                let new = Review { owner: owner.as_str().into(), reason: reason.as_str().into(), ..review(destination, Decision::Rejected, None) };
                let recorded = record_review(&text, "r.toml", &new).unwrap();
                prop_assert!(Reviews::parse(&recorded.text, "r.toml").unwrap().all().contains(&new));
                prop_assert!(recorded.text.contains("# the end"));
            }
        }
    }
}
