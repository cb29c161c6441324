//! Makes text of unknown origin harmless in Markdown and on a terminal.
//!
//! In: names, labels, reasons, anything a stranger may have chosen. Out: text without control characters, without
//! characters that change their neighbours' direction, and without a way to open or close Markdown structure. Nothing is
//! lost silently: what cannot be shown appears as `\u{…}`, what is too long says by how much.

use std::borrow::Cow;

/// Longest identifier that is shown in full, in characters; a domain name has at most 253 (RFC 1035 section 3.1).
const IDENTIFIER_CHARACTERS_MAX: usize = 256;
/// Longest sentence that is shown in full, in characters.
const PROSE_CHARACTERS_MAX: usize = 600;

/// An identifier (a name, pod, label, rule) that is safe in a code span, also within a table, and on a terminal.
pub(super) fn identifier(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let mut shown = capped(text, IDENTIFIER_CHARACTERS_MAX, |character, so_far, out| {
        let inner_space = character == ' ' && !so_far.is_empty() && !so_far.ends_with(' ');
        if inner_space || character.is_ascii_alphanumeric() || "._-/:@=,;+%*()".contains(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    });
    if shown.ends_with(' ') {
        shown.pop();
        shown.push_str("\\u{20}");
    }
    shown
}

/// A text as a cell of CSV. Spreadsheets run what begins like a formula, so that gets a mark in front, as they know it for text.
pub fn csv_text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// An identifier in a code span: the only safe way to put one into Markdown.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", identifier(text))
}

/// A sentence that stays a sentence: one line, no markup, no link.
pub(super) fn prose(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    capped(&text, PROSE_CHARACTERS_MAX, |character, so_far, out| {
        let structural = match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' => true,
            // What would begin a list, a rule or an underlined heading.
            '-' | '+' | '=' => so_far.is_empty(),
            '.' | ')' if !so_far.is_empty() && so_far.bytes().all(|byte| byte.is_ascii_digit()) => true,
            // Bare addresses of web pages become links in common renderers.
            '/' => so_far.ends_with(':'),
            '.' => so_far.to_ascii_lowercase().ends_with("www"),
            _ => false,
        };
        if structural {
            out.push('\\');
        }
        if matches!(character, ' '..='~' | '–' | '—' | '‘' | '’' | '“' | '”' | '…' | '→' | '§' | '°' | '×')
            || character.is_alphanumeric()
        {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    })
}

/// A quoted string of TOML, in ASCII.
pub(super) fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' => out.push(character),
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

fn capped(text: &str, characters_max: usize, mut write: impl FnMut(char, &str, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for (offset, character) in text.char_indices().take(characters_max) {
        write(character, text.get(..offset).unwrap_or_default(), &mut out);
    }
    let hidden = text.chars().skip(characters_max).count();
    if hidden > 0 { format!("{out}...(+{hidden} characters)") } else { out }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["api.stripe.com", "*.example.com", "Deployment/web", "app.kubernetes.io/name=web", "fd00:ec2::254"]
        {
            assert_eq!(identifier(text), text);
        }
        assert_eq!(
            prose("Reaches onion services without tor; 95 % (mostly)."),
            "Reaches onion services without tor; 95 % (mostly)."
        );
    }

    #[test]
    fn markup_is_shown_and_not_obeyed() {
        let check = |text: &str, as_identifier: &str, as_prose: &str| {
            assert_eq!((identifier(text).as_str(), prose(text).as_str()), (as_identifier, as_prose));
        };
        check("a|b", "a\\u{7c}b", "a\\|b");
        check("a`b", "a\\u{60}b", "a\\`b");
        check("<b>", "\\u{3c}b\\u{3e}", "\\<b\\>");
        check("a\nb", "a\\u{a}b", "a b");
        check(" a  b ", "\\u{20}a \\u{20}b\\u{20}", "a b");
        check("\u{1b}[2J", "\\u{1b}\\u{5b}2J", "\\u{1b}\\[2J");
        check("\u{202e}x", "\\u{202e}x", "\\u{202e}x");
        check("http://www.x", "http://www.x", "http:\\//www\\.x");
        check("- a", "- a", "\\- a");
        check("1. a", "1. a", "1\\. a");
        check("", "(empty)", "");
    }

    #[test]
    fn long_text_says_how_much_is_missing() {
        assert!(identifier(&"a".repeat(300)).ends_with("a...(+44 characters)"));
    }

    proptest! {
        #[test]
        fn no_text_can_break_out(text in "\\PC*|(?s).*") {
            let shown = identifier(&text);
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert!(!shown.contains(['|', '`', '<', '>', '[', ']', '#', '&', '"', '~', '!']));
            let sentence = prose(&text);
            prop_assert!(!sentence.chars().any(char::is_control));
            let mut characters = sentence.chars();
            while let Some(character) = characters.next() {
                if character == '\\' {
                    characters.next();
                } else {
                    prop_assert!(!"|`<>[]*_#&~".contains(character), "{}", sentence);
                }
            }
            let document = format!("value = {}", toml_string(&text));
            prop_assert!(document.is_ascii() && !document.contains('\n'));
            let parsed: toml::Table = toml::from_str(&document).unwrap();
            prop_assert_eq!(parsed["value"].as_str(), Some(text.as_str()));
        }
    }
}
