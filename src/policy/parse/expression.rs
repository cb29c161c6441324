//! Calico's selector language: `app == 'web' && has(team) || role in {'a', "b"}`.
//!
//! In: text. Out: a [`Selector`], or what was expected where. Grammar: Calico's documents on selectors. `&&` binds tighter
//! than `||`. Nesting is bounded.

use crate::policy::{Key, Selector};

/// Deeper nesting is no one's intention.
const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Box<str>),
    Text(Box<str>),
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
}

/// Reads an expression; `key` says what a label of it looks at. An empty text is every end.
pub(super) fn parse(text: &str, key: &dyn Fn(&str) -> Key) -> Result<Selector, String> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Selector::everything());
    }
    let mut parser = Parser { tokens: &tokens, at: 0, key };
    let selector = parser.either(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(selector),
        Some(token) => Err(format!("unexpected {} behind a complete expression", shown(token))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(text) => format!("`{text}`"),
        Token::Text(text) => format!("'{text}'"),
        Token::And => "`&&`".into(),
        Token::Or => "`||`".into(),
        Token::Not => "`!`".into(),
        Token::Equal => "`==`".into(),
        Token::NotEqual => "`!=`".into(),
        Token::Open => "`(`".into(),
        Token::Close => "`)`".into(),
        Token::OpenSet => "`{`".into(),
        Token::CloseSet => "`}`".into(),
        Token::Comma => "`,`".into(),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let simple = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("==", Token::Equal),
            ("!=", Token::NotEqual),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            ("{", Token::OpenSet),
            ("}", Token::CloseSet),
            (",", Token::Comma),
        ];
        if let Some((sign, token)) = simple.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
            found.push(token);
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else if first == '\'' || first == '"' {
            let body = rest.get(1..).unwrap_or_default();
            let end = body.find(first).ok_or("a text without its closing quote")?;
            found.push(Token::Text(body.get(..end).unwrap_or_default().into()));
            rest = body.get(end + 1..).unwrap_or_default();
        } else {
            let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            let end = rest.find(|c: char| !is_inner(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("`{}` has no meaning here", first.escape_default()));
            }
            found.push(Token::Word(rest.get(..end).unwrap_or_default().into()));
            rest = rest.get(end..).unwrap_or_default();
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    key: &'a dyn Fn(&str) -> Key,
}

impl Parser<'_> {
    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("expected {}, found {}", shown(token), self.found()))
    }

    fn found(&self) -> String {
        self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), shown)
    }

    fn either(&mut self, depth: usize) -> Result<Selector, String> {
        let mut parts = vec![self.both(depth)?];
        while self.take(&Token::Or) {
            parts.push(self.both(depth)?);
        }
        Ok(one_or(parts, Selector::Any))
    }

    fn both(&mut self, depth: usize) -> Result<Selector, String> {
        let mut parts = vec![self.one(depth)?];
        while self.take(&Token::And) {
            parts.push(self.one(depth)?);
        }
        Ok(one_or(parts, Selector::All))
    }

    fn one(&mut self, depth: usize) -> Result<Selector, String> {
        if depth > DEPTH_MAX {
            return Err("nested too deeply".to_owned());
        }
        if self.take(&Token::Not) {
            return Ok(Selector::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take(&Token::Open) {
            let inner = self.either(depth + 1)?;
            self.expect(&Token::Close)?;
            return Ok(inner);
        }
        let word = self.word("a label or a function")?;
        if self.take(&Token::Open) {
            return self.function(&word);
        }
        self.comparison((self.key)(&word))
    }

    fn word(&mut self, expected: &str) -> Result<Box<str>, String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(format!("expected {expected}, found {}", self.found())),
        }
    }

    fn function(&mut self, name: &str) -> Result<Selector, String> {
        let selector = match name {
            "all" => Selector::everything(),
            // Ends outside namespaces: no pod.
            "global" => Selector::nothing(),
            "has" => Selector::Has((self.key)(&self.word("a label")?)),
            _ => return Err(format!("`{name}()` does not exist; functions are `all()`, `has()` and `global()`")),
        };
        self.expect(&Token::Close)?;
        Ok(selector)
    }

    fn comparison(&mut self, key: Key) -> Result<Selector, String> {
        if self.take(&Token::Equal) {
            return Ok(Selector::In(key, vec![self.text()?]));
        }
        if self.take(&Token::NotEqual) {
            return Ok(Selector::Not(Box::new(Selector::In(key, vec![self.text()?]))));
        }
        let word = self.word("a comparison")?;
        match &*word {
            "in" => Ok(Selector::In(key, self.set()?)),
            "not" => {
                let next = self.word("`in`")?;
                if &*next != "in" {
                    return Err(format!("expected `in` behind `not`, found `{next}`"));
                }
                Ok(Selector::Not(Box::new(Selector::In(key, self.set()?))))
            }
            "contains" => Ok(Selector::Contains(key, self.text()?)),
            "starts" | "ends" => {
                let next = self.word("`with`")?;
                if &*next != "with" {
                    return Err(format!("expected `with` behind `{word}`, found `{next}`"));
                }
                let text = self.text()?;
                Ok(if &*word == "starts" { Selector::StartsWith(key, text) } else { Selector::EndsWith(key, text) })
            }
            _ => Err(format!(
                "`{word}` is no comparison; write `==`, `!=`, `in`, `not in`, `contains`, `starts with` or `ends with`"
            )),
        }
    }

    fn text(&mut self) -> Result<Box<str>, String> {
        match self.tokens.get(self.at) {
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(format!("expected a text in quotes, found {}", self.found())),
        }
    }

    fn set(&mut self) -> Result<Vec<Box<str>>, String> {
        self.expect(&Token::OpenSet)?;
        let mut values = Vec::new();
        while !self.take(&Token::CloseSet) {
            values.push(self.text()?);
            if !self.take(&Token::Comma) {
                self.expect(&Token::CloseSet)?;
                break;
            }
        }
        Ok(values)
    }
}

fn one_or(mut parts: Vec<Selector>, join: impl FnOnce(Vec<Selector>) -> Selector) -> Selector {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    join(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text, &|key| Key::Pod(key.into())).map(|selector| selector.to_string())
    }

    #[test]
    fn expressions_are_read_as_calico_reads_them() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        check("", "everything");
        check("all()", "everything");
        check("app == 'web' && has(team) || !has(x)", "(app=web, has team or not has x)");
        check("a in {'x', \"y\"}", "a in (x,y)");
        check("a not in { 'x' }", "not a=x");
        check("a != 'x'", "not a=x");
        check(
            "a starts with 'x' && !(b ends with 'y' || c contains 'z')",
            "a starts with x, not (b ends with y or c contains z)",
        );
        check("a in {}", "a in ()");
        check("projectcalico.org/namespace == \"kube-system\"", "projectcalico.org/namespace=kube-system");
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("app = 'web'", "`=` has no meaning");
        check("app == web", "a text in quotes");
        check("app == 'web", "closing quote");
        check("app == 'web' b", "behind a complete");
        check("(has(a)", "expected `)`");
        check("hass(a)", "functions are");
        check(&"!".repeat(100), "nested too deeply");
        check(&"(".repeat(100_000), "nested too deeply");
    }
}
