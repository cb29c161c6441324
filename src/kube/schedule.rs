//! When a `CronJob` runs: the five-field schedule of the Kubernetes API.
//!
//! In: a schedule (`*/5 * * * 1-5`, `@daily`) in UTC. Out: the first run after an instant. Month and day names, ranges, steps and
//! lists are read; `@every` has no fixed times and is refused, as is what the API server would refuse. Seconds do not exist.
//!
//! Source: Kubernetes documentation, "`CronJob`: schedule syntax"; crontab(5) for day of month *or* day of week.

use crate::model::Timestamp;

const DAY_NANOS: i64 = 86_400 * 1_000_000_000;
const MINUTE_NANOS: i64 = 60 * 1_000_000_000;
/// The rarest possible day, 29 February, comes back within eight years.
const SEARCHED_DAYS: u32 = 366 * 9;

/// A schedule: which minutes, hours, days and months run, as bit sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

impl Schedule {
    /// Reads a schedule; `None` when it is none, or has no fixed times (`@every 1h`).
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let mut fields = text.split_whitespace();
        let (minute, hour, day, month, weekday) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() {
            return None;
        }
        let mut weekdays = field(weekday, 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"])?;
        // Seven is Sunday too.
        weekdays = (weekdays | weekdays >> 7) & 0x7f;
        let is_any = |text: &str| text.starts_with('*') || text.starts_with('?');
        Some(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(
                month,
                1,
                12,
                &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
            )?,
            weekdays,
            any_day: is_any(day),
            any_weekday: is_any(weekday),
        })
    }

    /// The first run later than `time`; `None` when there is none (30 February).
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let start = time.nanos().div_euclid(MINUTE_NANOS).checked_add(1)?;
        let first_day = u32::try_from(start.div_euclid(1_440)).ok()?;
        (0..SEARCHED_DAYS).map(|later| first_day + later).filter(|day| self.runs_on(*day)).find_map(|day| {
            let midnight = i64::from(day) * 1_440;
            let from = (start - midnight).max(0);
            let minute = (from..1_440).find(|minute| {
                bit(self.hours, u32::try_from(minute / 60).unwrap_or(u32::MAX))
                    && bit(self.minutes, u32::try_from(minute % 60).unwrap_or(u32::MAX))
            })?;
            Some(Timestamp::from_nanos(i64::from(day).checked_mul(DAY_NANOS)?.checked_add(minute * MINUTE_NANOS)?))
        })
    }

    /// Whether a day, counted from 1970-01-01, has runs. Where both day fields are restricted, either of them suffices.
    fn runs_on(&self, day: u32) -> bool {
        let date = Timestamp::from_nanos(i64::from(day).saturating_mul(DAY_NANOS)).date();
        let part = |range: std::ops::Range<usize>| date.get(range).and_then(|digits| digits.parse::<u32>().ok());
        let (Some(month), Some(of_month)) = (part(5..7), part(8..10)) else { return false };
        // The epoch was a Thursday.
        let (on_day, on_weekday) = (bit(self.days, of_month), bit(self.weekdays, (day + 4) % 7));
        let fits = if self.any_day || self.any_weekday { on_day && on_weekday } else { on_day || on_weekday };
        bit(self.months, month) && fits
    }
}

fn bit(set: u64, number: u32) -> bool {
    set.checked_shr(number).is_some_and(|rest| rest & 1 == 1)
}

/// One field as a bit set.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<u64> {
    let number = |text: &str| -> Option<u32> {
        let by_name = || names.iter().position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
        let value = text.parse().ok().or_else(|| u32::try_from(by_name()?).ok())?;
        (least..=most).contains(&value).then_some(value)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` means from five on.
            None => (number(range)?, if step.is_some() { most } else { number(range)? }),
        };
        if from > to {
            return None;
        }
        for value in (from..=to).step_by(usize::try_from(step.unwrap_or(1)).ok()?) {
            set |= 1_u64.checked_shl(value)?;
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_is_found() {
        let check = |schedule: &str, after: &str, expected: Option<&str>| {
            let after = Timestamp::parse(after.as_bytes()).unwrap();
            let next = Schedule::parse(schedule).unwrap().next_after(after).map(|time| time.to_string());
            assert_eq!(next.as_deref(), expected, "{schedule} after {after}");
        };
        // 2026-03-02 is a Monday.
        check("*/5 * * * *", "2026-03-02T10:00:00Z", Some("2026-03-02T10:05:00Z"));
        check("*/5 * * * *", "2026-03-02T10:04:59Z", Some("2026-03-02T10:05:00Z"));
        check("0 2 * * *", "2026-03-02T02:00:00Z", Some("2026-03-03T02:00:00Z"));
        check("0 2 * * 1", "2026-03-02T02:00:00Z", Some("2026-03-09T02:00:00Z"));
        check("30 6 1 * *", "2026-03-02T00:00:00Z", Some("2026-04-01T06:30:00Z"));
        check("@monthly", "2026-03-31T23:59:30Z", Some("2026-04-01T00:00:00Z"));
        check("0 0 29 2 *", "2026-03-02T00:00:00Z", Some("2028-02-29T00:00:00Z"));
        check("0 0 30 2 *", "2026-03-02T00:00:00Z", None);
        check("0 12 * JAN-MAR sat,7", "2026-03-02T00:00:00Z", Some("2026-03-07T12:00:00Z"));
        check("0 12 * * 7", "2026-03-02T00:00:00Z", Some("2026-03-08T12:00:00Z"));
        check("0 12 15 * fri", "2026-03-02T00:00:00Z", Some("2026-03-06T12:00:00Z"));
        check("5/20 1 * * *", "2026-03-02T01:06:00Z", Some("2026-03-02T01:25:00Z"));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "@every 1h",
            "a * * * *",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
