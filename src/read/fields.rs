//! Small values that several sources write in the same few ways: times, protocols, labels, ports.
//!
//! In: texts and numbers of one field. Out: a value, or `None`. Never guesses beyond what the spelling says.

use crate::model::{Protocol, Timestamp};

use super::json::Scalar;

/// The note about a counter that no record can have reached.
pub(super) const BEYOND_BELIEF: &str = "byte or packet counter beyond belief: the record's counts are left out";

/// A time: RFC 3339, `YYYY-MM-DD hh:mm:ss` without a zone (read as UTC), or a number since the epoch in seconds,
/// milliseconds, microseconds or nanoseconds, told apart by size.
pub(super) fn instant(value: &Scalar<'_>) -> Option<Timestamp> {
    match value {
        Scalar::Number(number) => epoch(*number),
        Scalar::Text(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            epoch(text.parse().ok()?)
        }
        Scalar::Text(text) => Timestamp::parse(text.as_bytes()).or_else(|| zoneless(text)),
        _ => None,
    }
}

/// A time without a zone, read as UTC.
pub(super) fn zoneless(text: &str) -> Option<Timestamp> {
    Timestamp::parse(format!("{text}Z").as_bytes())
}

/// A number since the epoch: ten digits are seconds until the year 2286, thirteen milliseconds, and so on.
pub(super) fn epoch(number: u64) -> Option<Timestamp> {
    let per_second = match number {
        0 => return None,
        1..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let nanos = u32::try_from(number % per_second * (1_000_000_000 / per_second)).ok()?;
    Timestamp::from_parts(number / per_second, nanos)
}

/// A protocol by the names that kernels and CNIs use, or by its number.
pub(super) fn protocol(text: &str) -> Protocol {
    if let Ok(number) = text.parse() {
        return Protocol(number);
    }
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        "sctp" => Protocol::SCTP,
        "icmp" | "icmpv4" => Protocol::ICMPV4,
        "icmp6" | "icmpv6" | "ipv6-icmp" => Protocol::ICMPV6,
        "igmp" => Protocol::IGMP,
        "vrrp" => Protocol::VRRP,
        "ipip" => Protocol(4),
        "udplite" => Protocol(136),
        "gre" => Protocol(47),
        "esp" => Protocol(50),
        "ah" => Protocol(51),
        _ => Protocol::UNKNOWN,
    }
}

/// Labels sorted, each once, without those that the CNI adds for itself.
pub(super) fn labels<'a>(all: impl Iterator<Item = &'a str>) -> Box<[Box<str>]> {
    let mut kept: Vec<Box<str>> =
        all.filter(|label| !label.is_empty() && !label.starts_with("projectcalico.org/")).map(Into::into).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_unit_are_one_time() {
        let expected = Timestamp::parse(b"2025-12-05T21:40:45Z");
        for number in [1_764_970_845, 1_764_970_845_000, 1_764_970_845_000_000, 1_764_970_845_000_000_000] {
            assert_eq!(epoch(number), expected, "{number}");
        }
        assert_eq!(epoch(0), None);
        assert_eq!(instant(&Scalar::Text("2025-12-05 21:40:45".into())), expected);
        assert_eq!(instant(&Scalar::Text("2025-12-05T22:40:45+01:00".into())), expected);
        assert_eq!(instant(&Scalar::Text("-".into())), None);
    }

    #[test]
    fn protocols_are_named_or_numbered() {
        for (text, number) in [("tcp", 6), ("TCP", 6), ("17", 17), ("IPv6-ICMP", 58), ("icmp6", 58), ("esp", 50)] {
            assert_eq!(protocol(text), Protocol(number), "{text}");
        }
        assert_eq!(protocol("Unknown Protocol"), Protocol::UNKNOWN);
    }
}
