//! What a line of the user's own rules matches: names, addresses, ports.
//!
//! In: one text as typed. Out: a pattern, or why it is none. `name` is this name only, `*.name` is everything below
//! it, `.name` is both; an address or a range in CIDR notation matches addresses.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{DomainName, NameError, unwrap_embedded, within};

/// A name, a part of the name space, or an address range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// `name`: this name only.
    Exact(DomainName),
    /// `*.name`: everything below it.
    Below(DomainName),
    /// `.name`: the name and everything below it.
    Within(DomainName),
    /// `192.0.2.7` or `10.2.0.0/16`.
    Network(IpNet),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is written, or nothing behind `*.`.
    #[error("it names nothing")]
    Empty,
    /// A star in the middle.
    #[error("`*` may only stand first, as in `*.example.com`")]
    Star,
    /// A range whose host bits are set.
    #[error("host bits are set; the range is `{0}`")]
    HostBits(IpNet),
    /// A slash, and no range.
    #[error("it is no address range in CIDR notation")]
    Network,
    /// Ends in a number, which no name of the DNS does (RFC 3696, section 2), and is no address.
    #[error("it looks like an address and is none")]
    Address,
    /// Characters that a name in a rule cannot have.
    #[error("it is neither a name nor an address (no port, no `https://`, no path)")]
    Characters,
    /// Not a name.
    #[error("{0}")]
    Name(#[from] NameError),
}

impl Pattern {
    /// Reads a pattern as typed.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(IpNet::from(address.to_canonical())));
        }
        if let Some((address, _)) = text.split_once('/')
            && address.parse::<IpAddr>().is_ok()
        {
            let net: IpNet = text.parse().map_err(|_| PatternError::Network)?;
            return if net.trunc() == net { Ok(Self::Network(net)) } else { Err(PatternError::HostBits(net.trunc())) };
        }
        let (build, name): (fn(DomainName) -> Self, &str) = if let Some(name) = text.strip_prefix("*.") {
            (Self::Below, name)
        } else if let Some(name) = text.strip_prefix('.') {
            (Self::Within, name)
        } else {
            (Self::Exact, text)
        };
        if name.contains('*') {
            return Err(PatternError::Star);
        }
        if name.chars().any(|c| c.is_whitespace() || "/:@\\\"'[](){}?,;".contains(c)) {
            return Err(PatternError::Characters);
        }
        let name = DomainName::parse(name)?;
        let last = name.as_str().rsplit_once('.').map_or("", |(_, last)| last);
        if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PatternError::Address);
        }
        if name.as_str().is_empty() { Err(PatternError::Empty) } else { Ok(build(name)) }
    }

    /// Whether a normalised name is meant.
    pub fn matches_name(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.as_str() == name,
            Self::Below(parent) => name != parent.as_str() && within(name, parent.as_str()),
            Self::Within(parent) => within(name, parent.as_str()),
            Self::Network(_) => false,
        }
    }

    /// Whether an address is meant; an embedded IPv4 address counts as itself.
    pub fn matches_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Network(net) => net.contains(&address) || net.contains(&unwrap_embedded(address)),
            Self::Exact(_) | Self::Below(_) | Self::Within(_) => false,
        }
    }

    /// How narrow the pattern is: for names the labels, an exact one above all; for ranges the prefix length.
    pub fn specificity(&self) -> (bool, usize, u8) {
        let labels = |name: &DomainName| name.as_str().split('.').count();
        match self {
            Self::Exact(name) => (true, labels(name), 0),
            // Without the name itself it is the narrower of the two.
            Self::Below(name) => (false, labels(name), 1),
            Self::Within(name) => (false, labels(name), 0),
            Self::Network(net) => (false, usize::from(net.prefix_len()), 0),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Within(name) => write!(f, ".{name}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Network(net) => write!(f, "{net}"),
        }
    }
}

/// One port, or the ports from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Reads `443` or `8000-8100`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: number(first)?, last: number(last)? };
        (range.first <= range.last).then_some(range)
    }

    /// Whether `port` is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_look_like() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(Pattern::parse(pattern).unwrap().matches_name(name), expected, "{pattern} {name}");
        };
        check("Example.com.", "example.com", true);
        assert!(Pattern::parse("::ffff:93.184.216.1").unwrap().matches_address("93.184.216.1".parse().unwrap()));
        check("example.com", "a.example.com", false);
        check("*.example.com", "example.com", false);
        check("*.example.com", "a.b.example.com", true);
        check("*.example.com", "notexample.com", false);
        check(".example.com", "example.com", true);
        check(".example.com", "a.example.com", true);
        check("*.bücher.example", "a.xn--bcher-kva.example", true);
        check("10.0.0.0/8", "10.0.0.1", false);
    }

    #[test]
    fn ranges_match_embedded_addresses() {
        let check = |pattern: &str, address: &str, expected: bool| {
            let address = address.parse().unwrap();
            assert_eq!(Pattern::parse(pattern).unwrap().matches_address(address), expected, "{pattern} {address}");
        };
        check("10.2.0.0/16", "10.2.3.4", true);
        check("10.2.0.0/16", "10.3.3.4", false);
        check("10.2.0.0/16", "::ffff:10.2.3.4", true);
        check("10.2.0.0/16", "64:ff9b::a02:304", true);
        check("203.0.113.7", "203.0.113.7", true);
        check("fd00::/8", "fd12::1", true);
    }

    #[test]
    fn texts_that_are_no_pattern_say_why() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Pattern::parse(text).unwrap_err().to_string(), expected, "{text}");
        };
        check("10.2.1.0/16", "host bits are set; the range is `10.2.0.0/16`");
        check("10.2.0.0/33", "it is no address range in CIDR notation");
        check("api-*.example.com", "`*` may only stand first, as in `*.example.com`");
        check("*", "`*` may only stand first, as in `*.example.com`");
        check("https://example.com/a", "it is neither a name nor an address (no port, no `https://`, no path)");
        check("example.com:443", "it is neither a name nor an address (no port, no `https://`, no path)");
        check("300.1.1.1", "it looks like an address and is none");
        check("10.0.0", "it looks like an address and is none");
        check("*.1.2.3", "it looks like an address and is none");
        check("*.", "it names nothing");
        check("", "it names nothing");
        check("a..b", "a label is empty");
    }

    #[test]
    fn ports_are_single_or_ranges() {
        assert_eq!(PortRange::parse("443"), Some(PortRange { first: 443, last: 443 }));
        assert_eq!(PortRange::parse("8000-8100"), Some(PortRange { first: 8000, last: 8100 }));
        for bad in ["", "-", "9-1", "65536", "+1", "a", "1-2-3"] {
            assert_eq!(PortRange::parse(bad), None, "{bad}");
        }
    }
}
