//! A calendar day, for things that expire.
//!
//! In: `YYYY-MM-DD`, or an instant. Out: an ordered day in UTC. Never the clock.

use std::fmt;

use crate::model::Timestamp;

const NANOS_PER_DAY: i64 = 86_400 * 1_000_000_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

impl Date {
    /// Reads `YYYY-MM-DD`; `None` for anything else and for days before 1970 or after 2262-04-10.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 10 {
            return None;
        }
        Timestamp::parse(format!("{text}T00:00:00Z").as_bytes()).map(Self::of)
    }

    /// The day of an instant.
    pub fn of(time: Timestamp) -> Self {
        Self(time.day())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Timestamp::from_nanos(i64::from(self.0).saturating_mul(NANOS_PER_DAY)).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for text in ["1970-01-01", "2024-02-29", "2026-12-31"] {
            assert_eq!(Date::parse(text).map(|date| date.to_string()).as_deref(), Some(text));
        }
        for text in ["2026-02-29", "2026-1-1", "31.12.2026", "2026-12-31T00:00:00Z", "", "tomorrow", "\u{663}026-1-01"]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse("2026-12-31") < Date::parse("2027-01-01"));
    }
}
