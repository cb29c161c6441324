//! The frame of every page: policy, style, data, script.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");

/// A page with a script of ours and data of strangers.
pub(super) fn page(title: &str, script: &str, data: &impl Serialize) -> Result<String, serde_json::Error> {
    let data = inert(&serde_json::to_string(data)?);
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(STYLE)
    );
    let mut out = String::with_capacity(data.len() + script.len() + STYLE.len() + 2_000);
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    // Writing to a string cannot fail.
    let written = write!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>{title} · egress-atlas</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <div id=\"page\"></div>\n<noscript><p class=\"noscript\">This page draws itself with a script that is part of the file. \
         Everything it shows is in the Markdown and JSON documents too.</p></noscript>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    );
    debug_assert!(written.is_ok());
    Ok(out)
}

/// JSON that no HTML parser takes for markup and no script parser for a line end: the characters that could are escapes.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            _ => out.push(character),
        }
    }
    out
}

/// SHA-256 in Base64, as a content security policy names a script.
fn hash(text: &str) -> String {
    base64(&Sha256::digest(text.as_bytes()))
}

/// RFC 4648 section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(index as usize).copied().filter(|_| place <= group.len());
            out.push(letter.map_or('=', char::from));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        // FIPS 180-4, the example of the empty message.
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    proptest! {
        #[test]
        fn no_text_ends_the_block(text in "(?s).*|(</script|<!--|\u{2028}|]]>|&lt;){0,5}") {
            let page = page("t", "void 0", &text).unwrap();
            let (_, rest) = page.split_once("id=\"data\">").unwrap();
            let (block, _) = rest.split_once("</script>").unwrap();
            let is_inert = !block.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
            prop_assert!(is_inert, "{}", block);
            prop_assert_eq!(serde_json::from_str::<String>(block).unwrap(), text);
        }
    }
}
