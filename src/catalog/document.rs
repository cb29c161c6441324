//! A TOML text that people edit: typed access to it, and errors that name file, line, key and remedy.
//!
//! In: the text and the name of its file. Out: tables and values that know where they stand. An unknown key is an
//! error with the nearest key that exists. Nothing here opens a file.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::date::Date;

/// Where something stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The file, as the user named it.
    pub file: Box<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// What is wrong with a settings or reviews file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not TOML.
    #[error("{at}: {message}")]
    Syntax {
        /// Where.
        at: Line,
        /// What the parser says.
        message: Box<str>,
    },
    /// A key that does not exist here.
    #[error("{at}: unknown key `{key}` in {table}; {hint}")]
    UnknownKey {
        /// Where.
        at: Line,
        /// The key as written.
        key: Box<str>,
        /// The table it stands in.
        table: Box<str>,
        /// The nearest key, or all of them.
        hint: Box<str>,
    },
    /// A value of another type.
    #[error("{at}: `{key}` must be {expected}, found {found}")]
    Type {
        /// Where.
        at: Line,
        /// The key.
        key: Box<str>,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A value that is not allowed.
    #[error("{at}: `{key}` cannot be `{value}`: {reason}")]
    Value {
        /// Where.
        at: Line,
        /// The key.
        key: Box<str>,
        /// The value as written, cut to 80 characters.
        value: Box<str>,
        /// Why not, and what to write.
        reason: Box<str>,
    },
    /// A key that must be there.
    #[error("{at}: {table} needs the key `{key}`")]
    Missing {
        /// Where the table begins.
        at: Line,
        /// The table.
        table: Box<str>,
        /// The key.
        key: &'static str,
    },
}

/// The text and the name of its file.
#[derive(Clone, Copy)]
pub(super) struct Document<'d> {
    file: &'d str,
    text: &'d str,
}

/// One table of a document.
pub(super) struct Table<'d> {
    document: Document<'d>,
    name: String,
    line: usize,
    content: &'d DeTable<'d>,
}

/// One value of a document.
pub(super) struct Value<'d> {
    document: Document<'d>,
    key: &'d str,
    line: usize,
    content: &'d DeValue<'d>,
}

impl<'d> Document<'d> {
    pub(super) const fn new(file: &'d str, text: &'d str) -> Self {
        Self { file, text }
    }

    pub(super) fn parse(self) -> Result<Spanned<DeTable<'d>>, DocumentError> {
        DeTable::parse(self.text).map_err(|error| {
            let line = self.line_of(error.span().map_or(0, |span| span.start));
            let message = error.message().lines().next().unwrap_or("not TOML").into();
            DocumentError::Syntax { at: self.at(line), message }
        })
    }

    pub(super) fn root(self, content: &'d Spanned<DeTable<'d>>) -> Table<'d> {
        Table { document: self, name: "the file".into(), line: 1, content: content.get_ref() }
    }

    fn at(self, line: usize) -> Line {
        Line { file: self.file.into(), line }
    }

    fn line_of(self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

impl<'d> Table<'d> {
    /// Refuses the first key, in the order of the file, that is not one of `known`.
    pub(super) fn expect_keys(&self, known: &[&str]) -> Result<(), DocumentError> {
        let strangers = self.content.keys().filter(|key| !known.contains(&&**key.get_ref()));
        let Some(key) = strangers.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        Err(DocumentError::UnknownKey {
            at: self.document.at(self.document.line_of(key.span().start)),
            key: key.get_ref().as_ref().into(),
            table: self.name.as_str().into(),
            hint: suggestion(key.get_ref(), known).into(),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'d>> {
        let (key, value) = self.content.iter().find(|(name, _)| name.get_ref() == key)?;
        let line = self.document.line_of(value.span().start);
        Some(Value { document: self.document, key: key.get_ref(), line, content: value.get_ref() })
    }

    pub(super) fn require(&self, key: &'static str) -> Result<Value<'d>, DocumentError> {
        let at = || self.document.at(self.line);
        self.get(key).ok_or_else(|| DocumentError::Missing { at: at(), table: self.name.as_str().into(), key })
    }

    /// The table `[key]`.
    pub(super) fn table(&self, key: &str) -> Result<Option<Self>, DocumentError> {
        self.get(key).map(|value| value.table(format!("`[{key}]`"))).transpose()
    }

    /// The tables `[[key]]`, in the order of the file.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Self>, DocumentError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Array(items) = value.content else {
            return Err(value.wrong_type("a list of tables, written `[[...]]`"));
        };
        let line = |item: &Spanned<_>| self.document.line_of(item.span().start);
        let item = |item: &'d Spanned<DeValue<'d>>| Value { line: line(item), content: item.get_ref(), ..value };
        items.iter().map(|content| item(content).table(format!("`[[{key}]]`"))).collect()
    }

    /// Every key with its table, for tables whose keys are names.
    pub(super) fn named_tables(&self, parent: &str) -> Result<Vec<(&'d str, Self)>, DocumentError> {
        let names = self.content.keys().map(|key| &**key.get_ref());
        names
            .filter_map(|name| self.get(name))
            .map(|value| Ok((value.key, value.table(format!("`[{parent}.{}]`", value.key))?)))
            .collect()
    }
}

impl<'d> Value<'d> {
    fn table(&self, name: String) -> Result<Table<'d>, DocumentError> {
        match self.content {
            DeValue::Table(content) => Ok(Table { document: self.document, name, line: self.line, content }),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// A text that is not blank.
    pub(super) fn text(&self) -> Result<&'d str, DocumentError> {
        let DeValue::String(text) = self.content else {
            return Err(self.wrong_type("a text in quotes"));
        };
        if text.trim().is_empty() { Err(self.refuse(text, "it is empty")) } else { Ok(text) }
    }

    /// One value, or the values of a list that is not empty.
    pub(super) fn list(self) -> Result<Vec<Self>, DocumentError> {
        let DeValue::Array(items) = self.content else {
            return Ok(vec![self]);
        };
        if items.is_empty() {
            return Err(self.refuse("[]", "the list is empty; leave the key out instead"));
        }
        let line = |item: &Spanned<_>| self.document.line_of(item.span().start);
        Ok(items.iter().map(|item| Value { line: line(item), content: item.get_ref(), ..self }).collect())
    }

    /// A text as `read` understands it.
    pub(super) fn read<T, E: fmt::Display>(&self, read: impl FnOnce(&str) -> Result<T, E>) -> Result<T, DocumentError> {
        let text = self.text()?;
        read(text).map_err(|reason| self.refuse(text, &reason.to_string()))
    }

    /// One of a set of words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, DocumentError> {
        self.read(|text| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
                .ok_or_else(|| suggestion(text, &known))
        })
    }

    /// A whole number or a text, as text.
    pub(super) fn number_or_text(&self) -> Result<String, DocumentError> {
        match self.content {
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().into()),
            _ => self.text().map(Into::into).map_err(|_| self.wrong_type("a number or a text")),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, DocumentError> {
        match self.content {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    /// A whole number from 0 to `max`.
    pub(super) fn count(&self, max: u32) -> Result<u32, DocumentError> {
        let DeValue::Integer(number) = self.content else {
            return Err(self.wrong_type("a whole number"));
        };
        let value = number.as_str().parse::<u32>().ok().filter(|value| *value <= max);
        value.ok_or_else(|| self.refuse(number.as_str(), &format!("write a whole number from 0 to {max}")))
    }

    /// A share from 0 to 1, in thousandths.
    pub(super) fn permille(&self) -> Result<u16, DocumentError> {
        let text = match self.content {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return Err(self.wrong_type("a number from 0 to 1")),
        };
        let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        let steps = share.and_then(|share| (0..=1_000_u16).find(|step| f64::from(*step) >= share * 1_000.0));
        steps.ok_or_else(|| self.refuse(text, "write a number from 0 to 1, as `0.5`"))
    }

    /// A number, with or without a fraction.
    pub(super) fn number(&self) -> Result<f64, DocumentError> {
        let text = match self.content {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return Err(self.wrong_type("a number")),
        };
        text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| self.refuse(text, "it is no number"))
    }

    /// A day, with or without quotes.
    pub(super) fn date(&self) -> Result<Date, DocumentError> {
        let text = match self.content {
            DeValue::Datetime(time) => time.to_string(),
            _ => self.text().map_err(|_| self.wrong_type("a day, `YYYY-MM-DD`"))?.to_owned(),
        };
        Date::parse(&text).ok_or_else(|| self.refuse(&text, "write a day as `YYYY-MM-DD`"))
    }

    /// The error that says why `value` cannot stand here.
    pub(super) fn refuse(&self, value: &str, reason: &str) -> DocumentError {
        let value: String = value.chars().take(80).collect();
        let at = self.document.at(self.line);
        DocumentError::Value { at, key: self.key.into(), value: value.into(), reason: reason.into() }
    }

    fn wrong_type(&self, expected: &'static str) -> DocumentError {
        let found = match self.content {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        DocumentError::Type { at: self.document.at(self.line), key: self.key.into(), expected, found }
    }
}

/// The nearest word within a third of its letters (at least two edits), or all words.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|candidate| (edits(word, candidate), *candidate)).min();
    match nearest {
        Some((edits, candidate)) if edits <= (candidate.len() / 3).max(2) => format!("did you mean `{candidate}`?"),
        _ => format!("known are {}", known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// How many letters have to be changed, added or removed to turn one word into the other (Levenshtein).
pub(crate) fn edits(left: &str, right: &str) -> usize {
    // Longer words are no typing errors of ours, and the table would grow with hostile input.
    if left.len() > 64 || right.len() > 64 {
        return usize::MAX;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        let mut next = vec![before];
        for (other, up) in right.iter().zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(letter != *other);
            before = changed.min(up + 1).min(before + 1);
            diagonal = *up;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("window", "widnow", 2), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!((edits(left, right), edits(right, left)), (expected, expected), "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(suggestion("widnow", &["skew", "window"]), "did you mean `window`?");
        assert_eq!(suggestion("colour", &["skew", "window"]), "known are `skew`, `window`");
    }
}
