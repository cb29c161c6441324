//! A DNS name in the one form that everything compares: lower case, A-labels, no trailing dot.
//!
//! In: text from a record or a setting, or wire labels. Out: a normalised name. Bytes that would make
//! the text ambiguous (dots inside a label, blanks, control bytes, quotes, non-ASCII) are written as
//! `\DDD`, the presentation form of RFC 1035 section 5.1.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A normalised name: lower case, without the trailing dot, internationalised labels as `xn--`.
///
/// The root is the empty name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainName(Box<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than 253 characters of text.
    #[error("the name is longer than 253 characters")]
    TooLong,
    /// A label is empty (two dots in a row, a leading dot).
    #[error("a label is empty")]
    EmptyLabel,
    /// A label has more than 63 octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// The Unicode form cannot be written in A-labels (RFC 5890).
    #[error("the internationalised form is not valid")]
    Idna,
}

impl DomainName {
    /// Normalises text as found in records and settings.
    ///
    /// Case, one trailing dot and Unicode labels are folded; an escape (`\DDD`) is kept as written, and octets that would be
    /// ambiguous in text become one, so that a name has one spelling whichever source it comes from.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self("".into()));
        }
        if text.is_ascii() {
            return Self::check(text.to_ascii_lowercase());
        }
        match idna::domain_to_ascii(text) {
            Ok(ascii) => Self::check(ascii.strip_suffix('.').unwrap_or(&ascii).to_ascii_lowercase()),
            Err(_) => Err(NameError::Idna),
        }
    }

    /// Wraps a text that is already normalised, as the readers produce it.
    pub fn from_normalised(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    fn check(text: String) -> Result<Self, NameError> {
        let text = if text.bytes().all(|byte| is_plain(byte) || byte == b'.') { text } else { escaped(&text) };
        // An escaped octet takes four characters, so escaped names may be longer as text.
        if text.len() > 253 && !text.contains('\\') {
            return Err(NameError::TooLong);
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > 63 && !label.contains('\\') {
                return Err(NameError::LabelTooLong);
            }
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` is `parent` or below it.
    pub fn is_within(&self, parent: &str) -> bool {
        within(&self.0, parent)
    }

    /// The registrable domain by the Public Suffix List; `None` for the root, a public suffix or an address.
    pub fn registrable(&self) -> Option<&str> {
        registrable(&self.0)
    }
}

/// Whether an octet stands for itself in the text of a label; any other is written `\DDD` (RFC 1035 section 5.1).
pub const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'.' | b'"' | b'\'' | b'\\' | b'`' | b'|' | b'<' | b'>' | b';' | b',')
}

/// Writes octets that are not plain as `\DDD`; dots separate labels, and escapes stay.
fn escaped(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let is_escape = *byte == b'\\' && behind.get(..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
        if is_plain(*byte) || *byte == b'.' || is_escape {
            made.push(char::from(*byte));
        } else {
            made.extend([
                '\\',
                char::from(b'0' + byte / 100),
                char::from(b'0' + byte / 10 % 10),
                char::from(b'0' + byte % 10),
            ]);
        }
        rest = behind;
    }
    made
}

/// The name that was meant, when `asked` is `target` with a search suffix behind it, as CoreDNS's `autopath` answers it.
///
/// A suffix in the public DNS is none: whoever serves `api.example.com.attacker.example` could lend its answers the name `api.example.com`.
pub fn is_search_expansion(asked: &str, target: &str) -> bool {
    let suffix = asked.strip_prefix(target).and_then(|rest| rest.strip_prefix('.')).filter(|_| !target.is_empty());
    suffix.is_some_and(|suffix| {
        !suffix.is_empty() && !psl::suffix(suffix.as_bytes()).is_some_and(|public| public.is_known())
    })
}

/// Whether normalised `name` is `parent` or below it, on label borders.
pub fn within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|left| left.is_empty() || left.ends_with('.'))
}

/// The registrable domain of a normalised name by the Public Suffix List.
pub fn registrable(name: &str) -> Option<&str> {
    // The list calls an IPv4 literal a domain.
    if name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    psl::domain_str(name)
}

/// Whether a name lies below a suffix of the list's private section: a platform that gives out the labels itself.
pub fn is_below_platform(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.typ() == Some(psl::Type::Private))
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_one_name() {
        let check = |text: &str, expected: &str| {
            assert_eq!(DomainName::parse(text).as_ref().map(DomainName::as_str), Ok(expected));
        };
        check("API.GitHub.com.", "api.github.com");
        check("bücher.example", "xn--bcher-kva.example");
        check("BÜCHER.example.", "xn--bcher-kva.example");
        check("_acme.Example.", "_acme.example");
        check(".", "");
        check("a\\032b.example", "a\\032b.example");
        check("a b\n.example", "a\\032b\\010.example");
        check("<b>|`\".example", "\\060b\\062\\124\\096\\034.example");
        check("a\\0x.example", "a\\0920x.example");
    }

    #[test]
    fn only_a_suffix_outside_of_the_public_dns_is_a_search_suffix() {
        assert!(is_search_expansion("example.com.shop.svc.cluster.local", "example.com"));
        assert!(is_search_expansion("example.com.ec2.internal", "example.com"));
        for (asked, target) in [
            ("example.com", "example.com"),
            ("example.com.attacker.net", "example.com"),
            ("example.com.x.svc.attacker.co.uk", "example.com"),
            ("notexample.com.local", "example.com"),
            ("example.com.", "example.com"),
            (".local", ""),
        ] {
            assert!(!is_search_expansion(asked, target), "{asked}");
        }
    }

    #[test]
    fn broken_names_say_why() {
        assert_eq!(DomainName::parse("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(DomainName::parse(&"a".repeat(64)), Err(NameError::LabelTooLong));
        assert_eq!(DomainName::parse(&["a"; 130].join(".")), Err(NameError::TooLong));
    }

    #[test]
    fn suffixes_match_on_label_borders() {
        let name = DomainName::from_normalised("notddns.net");
        assert!(!name.is_within("ddns.net"));
        assert!(DomainName::from_normalised("a.ddns.net").is_within("ddns.net"));
        assert!(DomainName::from_normalised("ddns.net").is_within("ddns.net"));
    }

    #[test]
    fn registrable_domains_know_the_list_and_refuse_addresses() {
        assert_eq!(registrable("a.b.example.co.uk"), Some("example.co.uk"));
        assert_eq!(registrable("169.254.169.254"), None);
        assert_eq!(registrable("co.uk"), None);
    }
}
