//! Event time as nanoseconds since the Unix epoch, with its RFC 3339 text form.
//!
//! In: text or seconds and nanoseconds from a record. Out: one comparable integer. Times that do not
//! fit (before 1970 or after 2262-04-11) are refused, never clamped.

use std::fmt;

/// Nanoseconds since 1970-01-01T00:00:00Z; [`Timestamp::UNKNOWN`] where a record carried no time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The record did not say when; sorts before every real time.
    pub const UNKNOWN: Self = Self(i64::MIN);

    /// The last instant that fits.
    pub const MAX: Self = Self(i64::MAX);

    /// Wraps nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Builds a time from whole seconds and nanoseconds; `None` when it is outside 1970..=2262 or when
    /// `nanos` is a second or more.
    pub fn from_parts(seconds: u64, nanos: u32) -> Option<Self> {
        if nanos >= 1_000_000_000 {
            return None;
        }
        i64::try_from(seconds).ok()?.checked_mul(NANOS_PER_SECOND)?.checked_add(i64::from(nanos)).map(Self)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whether the record said when.
    pub const fn is_known(self) -> bool {
        self.0 != i64::MIN
    }

    /// The number of the minute since the epoch, for coverage.
    pub fn minute(self) -> u32 {
        // A u32 of minutes reaches far past the year 2262; what lies before 1970 counts as its first minute.
        u32::try_from(self.0.div_euclid(60 * NANOS_PER_SECOND)).unwrap_or(0)
    }

    /// The number of the day since the epoch.
    pub fn day(self) -> u32 {
        self.minute() / 1_440
    }

    /// Seconds from `earlier` to `self`, negative when `self` is first.
    #[expect(clippy::cast_precision_loss, reason = "ages are shown with millisecond precision")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    /// The earlier of two; an unknown one sorts before every other and does not hide it.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if self.is_known() && other.is_known() { self.min(other) } else { self.max(other) }
    }

    /// The instant `nanos` later (earlier when negative), saturating.
    #[must_use]
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Parses RFC 3339 with any number of fraction digits (beyond nine they are cut) and any offset.
    ///
    /// `None` for anything else, and for instants that do not fit.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let date = text.get(..19)?;
        let separators = (date.get(4)?, date.get(7)?, date.get(10)?, date.get(13)?, date.get(16)?);
        if !matches!(separators, (b'-', b'-', b'T' | b't' | b' ', b':', b':')) {
            return None;
        }
        let field = |range: std::ops::Range<usize>| digits(date.get(range)?);
        let (year, month, day) = (field(0..4)?, field(5..7)?, field(8..10)?);
        let (hour, minute, second) = (field(11..13)?, field(14..16)?, field(17..19)?);
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        // 60 is a leap second; it reads as the next second, as everywhere else.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (nanos, rest) = fraction(text.get(19..)?)?;
        let offset = offset_seconds(rest)?;
        let seconds =
            days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset;
        seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos).filter(|n| *n >= 0).map(Self)
    }

    /// The earlier of two optional times; a missing one does not count.
    pub fn earliest(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
    }

    /// The date alone, `2026-11-21`.
    pub fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.0.div_euclid(SECONDS_PER_DAY * NANOS_PER_SECOND));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Date and time to the second, `2026-11-21 10:22:36`, for tables.
    pub fn to_second(self) -> String {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND).rem_euclid(SECONDS_PER_DAY);
        format!("{} {:02}:{:02}:{:02}", self.date(), seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nine fraction digits (none when the fraction is zero); empty when unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known() {
            return Ok(());
        }
        let seconds = self.0.div_euclid(NANOS_PER_SECOND).rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}", self.date())?;
        match self.0.rem_euclid(NANOS_PER_SECOND) {
            0 => f.write_str("Z"),
            nanos => write!(f, ".{nanos:09}Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() { write!(f, "{self}") } else { f.write_str("unknown") }
    }
}

/// Parses a duration as users type it: `90s`, `10m`, `48h`, `7d`, `2w`, or several in a row (`1d12h`).
///
/// Returns nanoseconds; `None` when the text is not a duration or does not fit.
pub fn parse_duration_nanos(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(split)?;
        let number: i64 = number.parse().ok()?;
        let unit_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit_length)?;
        let unit_nanos = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOS_PER_SECOND,
            "m" | "min" => 60 * NANOS_PER_SECOND,
            "h" => 3_600 * NANOS_PER_SECOND,
            "d" => SECONDS_PER_DAY * NANOS_PER_SECOND,
            "w" => 7 * SECONDS_PER_DAY * NANOS_PER_SECOND,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit_nanos)?)?;
        rest = next;
    }
    Some(total)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Reads `.123` if it is there: nanoseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else {
        return Some((0, text));
    };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (shown, rest) = rest.split_at_checked(length)?;
    let nanos =
        (0..9).fold(0_i64, |value, index| value * 10 + shown.get(index).map_or(0, |byte| i64::from(byte - b'0')));
    Some((nanos, rest))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date. March-based years put the leap day last, so
/// that the month lengths follow one linear rule.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_rfc3339_form_that_exporters_write() {
        let check = |text: &str, nanos: Option<i64>| {
            assert_eq!(Timestamp::parse(text.as_bytes()).map(Timestamp::nanos), nanos, "{text}");
        };
        check("1970-01-01T00:00:02Z", Some(2_000_000_000));
        check("2021-06-16T16:52:13.136834446Z", Some(1_623_862_333_136_834_446));
        check("2021-06-16T16:52:13.1368Z", Some(1_623_862_333_136_800_000));
        check("2021-06-16T18:52:13.1368+02:00", Some(1_623_862_333_136_800_000));
        check("2021-06-16T16:52:13.1234567899999Z", Some(1_623_862_333_123_456_789));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000));
        check("2262-04-11T23:47:16.854775807Z", Some(i64::MAX));
        check("2262-04-11T23:47:16.854775808Z", None);
        check("9999-12-31T23:59:59Z", None);
        check("1969-12-31T23:59:59Z", None);
        check("2023-02-29T00:00:00Z", None);
        check("2023-13-01T00:00:00Z", None);
        check("2023-01-01T24:00:00Z", None);
        check("2023-01-01T00:00:00", None);
        check("2023-01-01T00:00:00.Z", None);
        check("2023-01-01", None);
        check("", None);
    }

    #[test]
    fn text_and_back_is_the_same_instant() {
        for nanos in [0, 1, 1_000_000_000, 1_623_862_333_136_834_446, i64::MAX] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(Timestamp::parse(time.to_string().as_bytes()), Some(time));
        }
    }

    #[test]
    fn durations_are_read_as_typed() {
        assert_eq!(parse_duration_nanos("7d"), Some(7 * 86_400 * NANOS_PER_SECOND));
        assert_eq!(parse_duration_nanos("1d12h"), Some(36 * 3_600 * NANOS_PER_SECOND));
        assert_eq!(parse_duration_nanos("250ms"), Some(250_000_000));
        for bad in ["", "7", "d", "7 d", "7y", "99999999999999d", "-1h"] {
            assert_eq!(parse_duration_nanos(bad), None, "{bad}");
        }
    }

    #[test]
    fn nanoseconds_of_a_second_or_more_are_refused() {
        assert_eq!(Timestamp::from_parts(1, 999_999_999).map(Timestamp::nanos), Some(1_999_999_999));
        assert_eq!(Timestamp::from_parts(1, 1_000_000_000), None);
        assert_eq!(Timestamp::from_parts(u64::MAX, 0), None);
    }
}
