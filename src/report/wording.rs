//! Numbers, shares, spans of time and lists in words, the same way in every document.

use super::json::BytesDocument;
use crate::model::{Protocol, Timestamp, Verdict};
use crate::summary::EdgeSeen;

/// A count with commas between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 gap`, `2 gaps`. The plural adds an `s`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// How many items there are, as a number that all counts share.
pub(super) fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A share in per cent. Only nothing is `0 %` and only everything is `100 %`; a share of nothing is `-`.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let permille = (u128::from(part) * 1_000 + u128::from(whole) / 2) / u128::from(whole);
    match permille {
        _ if part == 0 => "0 %".to_owned(),
        _ if part >= whole => "100 %".to_owned(),
        permille => {
            let permille = permille.clamp(1, 999);
            format!("{}.{} %", permille / 10, permille % 10)
        }
    }
}

/// A span of minutes: `7 d`, `6 d 23 h 5 min`.
pub(super) fn span(minutes: u64) -> String {
    let parts = [(minutes / 1_440, "d"), (minutes / 60 % 24, "h"), (minutes % 60, "min")];
    let words: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number} {unit}")).collect();
    if words.is_empty() { "0 min".to_owned() } else { words.join(" ") }
}

/// A time to the second, or `unknown`.
pub(super) fn time(time: Option<Timestamp>) -> String {
    time.filter(|time| time.is_known()).map_or_else(|| "unknown".to_owned(), Timestamp::to_second)
}

/// The first `shown_max` items, then how many more there are.
pub(super) fn list(items: impl IntoIterator<Item = String>, shown_max: usize) -> String {
    let mut items = items.into_iter();
    let shown: Vec<String> = items.by_ref().take(shown_max).collect();
    let more = items.count();
    match (shown.is_empty(), more) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{}, +{} more", shown.join(", "), count(size(more))),
    }
}

/// Words joined as in a sentence: `a`, `a and b`, `a, b and c`.
pub(super) fn sentence_list(items: &[String]) -> String {
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// A port with its protocol: `443/TCP`; the protocol alone where it has no ports.
pub(super) fn port(port: u16, protocol: Protocol) -> String {
    match (port, protocol) {
        (0, Protocol::TCP | Protocol::UDP | Protocol::SCTP) => format!("unknown/{protocol}"),
        (0, Protocol::UNKNOWN) => "unknown".to_owned(),
        (0, _) => protocol.to_string(),
        _ => format!("{port}/{protocol}"),
    }
}

/// Bytes in the unit that fits: `0 B`, `812 B`, `1.2 kB`, `12.3 MB`; thousands, as network people count.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1e3;
    let mut unit = 0;
    // What would be shown as a thousand of one unit is one of the next.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Both directions in words, as the client sees them: `1.2 MB sent, 3.4 kB received`.
pub(super) fn volume(counted: impl Into<BytesDocument>) -> String {
    let counted = counted.into();
    format!("{} sent, {} received", bytes(counted.sent), bytes(counted.received))
}

/// Connections, with the verdicts spelled out unless all were allowed.
pub(super) fn connections(seen: &EdgeSeen) -> String {
    let all = seen.connections();
    if seen.with_verdict(Verdict::Allowed) == all {
        return count(all);
    }
    let unknown = seen.with_verdict(Verdict::Unknown).saturating_add(seen.with_verdict(Verdict::Failed));
    let words: Vec<String> = [
        (seen.with_verdict(Verdict::Allowed), Verdict::Allowed),
        (seen.with_verdict(Verdict::Audited), Verdict::Audited),
        (seen.with_verdict(Verdict::Denied), Verdict::Denied),
        (unknown, Verdict::Unknown),
    ]
    .iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, verdict)| format!("{} {}", count(*number), verdict.as_str()))
    .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "gap"), counted(2, "gap")], ["1 gap", "2 gaps"]);
        assert_eq!([span(0), span(59), span(10_080), span(10_085)], ["0 min", "59 min", "7 d", "7 d 5 min"]);
    }

    #[test]
    fn only_everything_is_a_hundred_per_cent() {
        let check = |part, whole, expected: &str| assert_eq!(share(part, whole), expected);
        check(0, 0, "-");
        check(0, 9, "0 %");
        check(9, 9, "100 %");
        check(99_999, 100_000, "99.9 %");
        check(1, 100_000, "0.1 %");
        check(1, 3, "33.3 %");
        check(u64::MAX, u64::MAX, "100 %");
    }

    #[test]
    fn lists_end_with_what_they_leave_out() {
        let items = || ["a", "b", "c"].map(str::to_owned);
        assert_eq!([list(items(), 3), list(items(), 2), list([], 2)], ["a, b, c", "a, b, +1 more", "-"]);
        assert_eq!(sentence_list(&items()), "a, b and c");
    }

    #[test]
    fn a_protocol_without_ports_stands_alone() {
        let check = |number, protocol, expected: &str| assert_eq!(port(number, protocol), expected);
        check(443, Protocol::TCP, "443/TCP");
        check(0, Protocol::TCP, "unknown/TCP");
        check(0, Protocol::ICMPV4, "ICMPv4");
        check(0, Protocol::UNKNOWN, "unknown");
    }
}
