//! What was usual at the hours and on the weekdays of a soak, so that a nightly job and a quiet Sunday are not taken for damage.
//!
//! In: the connections of earlier days, each day beginning at the clock time of the change; or the days of a baseline document,
//! which keeps no hours. Out: the uses that should have come again, and the workloads that should have shown themselves. A day that
//! the feed does not cover takes no part, and chance is not taken for a habit.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fold::{Recorded, Seen};
use super::super::resolve::workload_of;
use super::super::tally::{peer_text, wanted};
use super::outcome::Span;
use crate::model::{Timestamp, Verdict};

/// A day in nanoseconds.
pub(super) const DAY_NANOS: i64 = 86_400_000_000_000;
/// Days before the change that are compared.
pub const EARLIER_DAYS_MAX: u16 = 28;
/// A destination with fewer connections before may be silent by chance, unless it came on every comparable day.
const CONNECTIONS_MIN: u64 = 10;
/// That many comparable days in a row make a habit of a single connection a day.
const DAYS_MIN: usize = 3;

/// One day before the change, from the clock time of the change on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlierDay {
    /// Days from its beginning to the change: 1 ends where the change begins.
    pub before: u16,
    /// Its connections at the hours of the soak's last, incomplete day.
    pub within: Recorded,
    /// Its other connections.
    pub beyond: Recorded,
    /// Clusters whose flows cover it.
    pub covered: BTreeSet<Box<str>>,
}

/// One calendar day (UTC) of a baseline document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineDay {
    /// Days since the epoch.
    pub day: u32,
    /// What was in use; counts are those of the whole baseline and mean nothing here.
    pub recorded: Recorded,
}

/// Workload, peer, port.
pub(super) type Use = (String, String, String);
/// Cluster and namespace.
pub(super) type Place = (Box<str>, Box<str>);

/// What the workloads of a namespace connected to, other than in vain.
pub(super) fn uses(recorded: &Recorded, place: &Place) -> BTreeMap<Use, Seen> {
    let mut uses: BTreeMap<Use, Seen> = BTreeMap::new();
    for edge in recorded.edges.iter().filter(|edge| edge.recorded != Verdict::Denied) {
        let (Some(client), Some(server)) = (recorded.ends.get(edge.client), recorded.ends.get(edge.server)) else {
            continue;
        };
        if !client.is_pod() || (&client.cluster, &client.namespace) != (&place.0, &place.1) {
            continue;
        }
        let name = edge.names.list.first().map(|name| &**name);
        let key = (workload_of(client).to_string(), peer_text(server, name).into(), wanted(edge.port, edge.protocol));
        uses.entry(key).or_default().absorb(edge.seen);
    }
    uses
}

/// Why a use should have come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    /// Connections at the hours of the soak, of the poorest comparable days.
    pub(super) connections: u64,
    /// When it came, in words.
    pub(super) when: String,
    /// Beginnings of the days of the soak on which it should have come.
    pub(super) due: BTreeSet<Timestamp>,
}

/// What should have come again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usual {
    pub(super) habits: BTreeMap<Use, Habit>,
    /// Workloads that should have shown themselves.
    pub(super) workloads: BTreeSet<String>,
    /// What the comparison rests on, in words; empty without anything to compare with.
    pub(super) basis: String,
}

/// One day of the soak.
#[derive(Clone, Copy)]
struct Slice {
    /// Days from the change to its beginning.
    after: u16,
    from: Timestamp,
    is_whole: bool,
}

fn slices(asked: Span) -> Vec<Slice> {
    (0..EARLIER_DAYS_MAX)
        .map(|after| (after, asked.from.plus_nanos(i64::from(after).saturating_mul(DAY_NANOS))))
        .take_while(|(_, from)| *from < asked.until)
        .map(|(after, from)| Slice { after, from, is_whole: from.plus_nanos(DAY_NANOS) <= asked.until })
        .collect()
}

/// Monday is 0. The epoch was a Thursday.
const fn weekday(day: u32) -> u32 {
    (day + 3) % 7
}

const fn is_weekend(day: u32) -> bool {
    weekday(day) >= 5
}

/// Finds what was usual for a namespace: by the same hours where flows of earlier days are at hand, else by the days of the
/// baseline, else by the span just before.
pub(super) fn usual(
    place: &Place,
    asked: Span,
    (earlier, just_before): (&[EarlierDay], &Recorded),
    baseline: &[BaselineDay],
) -> Usual {
    let days: Vec<&EarlierDay> = earlier.iter().filter(|day| day.covered.contains(&place.0)).collect();
    let mut usual = if days.is_empty() { Usual::default() } else { by_hours(place, asked, &days) };
    if usual.basis.is_empty() && baseline.is_empty() {
        let before = uses(just_before, place);
        if !before.is_empty() {
            usual = by_span(before, asked);
        }
    }
    if !baseline.is_empty() {
        by_dates(place, asked, baseline, &mut usual);
    }
    usual.workloads.retain(|workload| !workload.contains(crate::policy::probe::PROBE_NAME));
    usual
}

/// Without an earlier day there is the span before, whatever hours it had.
fn by_span(before: BTreeMap<Use, Seen>, asked: Span) -> Usual {
    let workloads = before.keys().map(|(workload, _, _)| workload.clone()).collect();
    let often = before.into_iter().filter(|(_, seen)| seen.flows >= CONNECTIONS_MIN);
    let habits = often.map(|(key, seen)| {
        let when = "in the same span before".to_owned();
        (key, Habit { connections: seen.flows, when, due: BTreeSet::from([asked.from]) })
    });
    let basis = "the span just before the change, at other hours: no earlier day is covered".to_owned();
    Usual { habits: habits.collect(), workloads, basis }
}

/// Connections of one earlier day: at the hours of the last slice, and at all.
struct Counted {
    before: u16,
    weekend: bool,
    within: BTreeMap<Use, Seen>,
    beyond: BTreeMap<Use, Seen>,
}

impl Counted {
    fn flows(&self, key: &Use, slice: Slice) -> u64 {
        let of = |uses: &BTreeMap<Use, Seen>| uses.get(key).map_or(0, |seen| seen.flows);
        of(&self.within) + if slice.is_whole { of(&self.beyond) } else { 0 }
    }

    fn shows(&self, workload: &str, slice: Slice) -> bool {
        let in_use = |uses: &BTreeMap<Use, Seen>| uses.keys().any(|(own, _, _)| own == workload);
        in_use(&self.within) || (slice.is_whole && in_use(&self.beyond))
    }
}

fn by_hours(place: &Place, asked: Span, days: &[&EarlierDay]) -> Usual {
    let count = |of: &&EarlierDay| -> Counted {
        let start = asked.from.plus_nanos(-i64::from(of.before).saturating_mul(DAY_NANOS));
        let (within, beyond) = (uses(&of.within, place), uses(&of.beyond, place));
        Counted { before: of.before, weekend: is_weekend(start.day()), within, beyond }
    };
    let counted: Vec<Counted> = days.iter().map(count).collect();
    let all: BTreeSet<&Use> = counted.iter().flat_map(|day| day.within.keys().chain(day.beyond.keys())).collect();
    let mut usual = Usual::default();
    let mut weekdays = 0;
    for slice in slices(asked) {
        let same: Vec<&Counted> = counted.iter().filter(|day| (day.before + slice.after).is_multiple_of(7)).collect();
        let alike: Vec<&Counted> = counted.iter().filter(|day| day.weekend == is_weekend(slice.from.day())).collect();
        weekdays += usize::from(!same.is_empty());
        for key in &all {
            let every = |days: &[&Counted]| days.iter().map(|day| day.flows(key, slice)).min().unwrap_or(0);
            let (on_weekday, on_alike) = (every(&same), every(&alike));
            let is_habit = (same.len() >= DAYS_MIN && on_weekday > 0) || (alike.len() >= DAYS_MIN && on_alike > 0);
            if on_weekday > 0 || is_habit {
                let habit = usual.habits.entry((*key).clone()).or_insert_with(|| Habit {
                    connections: 0,
                    when: String::new(),
                    due: BTreeSet::new(),
                });
                habit.connections += on_weekday.max(on_alike);
                if is_habit {
                    habit.when = format!("on each of {} such days before", alike.len().max(same.len()));
                    habit.due.insert(slice.from);
                }
            }
            let workload = &key.0;
            let shown = |days: &[&Counted]| !days.is_empty() && days.iter().all(|day| day.shows(workload, slice));
            if shown(&same) || (alike.len() >= DAYS_MIN && shown(&alike)) {
                usual.workloads.insert(workload.clone());
            }
        }
    }
    usual.habits.retain(|_, habit| !habit.due.is_empty() || habit.connections >= CONNECTIONS_MIN);
    for habit in usual.habits.values_mut().filter(|habit| habit.when.is_empty()) {
        "at the same hours of the same weekdays before".clone_into(&mut habit.when);
        habit.due.insert(asked.from);
    }
    usual.basis = format!(
        "the same hours of {} earlier days{}",
        counted.len(),
        if weekdays == 0 { ", none of the same weekday" } else { "" }
    );
    usual
}

/// A baseline has days and no hours: what was in use on every day of the kind should be in use on such a day again.
fn by_dates(place: &Place, asked: Span, baseline: &[BaselineDay], usual: &mut Usual) {
    // Half a day of the soak is enough to expect what happens on such a date.
    let overlap = |day: u32| {
        let from = i64::from(day).saturating_mul(DAY_NANOS);
        asked.until.nanos().min(from.saturating_add(DAY_NANOS)).saturating_sub(asked.from.nanos().max(from))
    };
    let dates = asked.from.day()..=asked.until.day();
    let touched: Vec<u32> = dates.clone().filter(|day| overlap(*day) > 0).take(usize::from(EARLIER_DAYS_MAX)).collect();
    let counted: Vec<(u32, BTreeMap<Use, Seen>)> =
        baseline.iter().map(|day| (day.day, uses(&day.recorded, place))).collect();
    let all: BTreeSet<&Use> = counted.iter().flat_map(|(_, uses)| uses.keys()).collect();
    let alike = |one: u32, two: u32| is_weekend(one) == is_weekend(two);
    let on_all = |is_it: &dyn Fn(u32) -> bool, shows: &dyn Fn(&BTreeMap<Use, Seen>) -> bool| {
        let of: Vec<_> = counted.iter().filter(|(day, _)| is_it(*day)).collect();
        (of.len(), !of.is_empty() && of.iter().all(|(_, uses)| shows(uses)))
    };
    for key in all {
        let has = |uses: &BTreeMap<Use, Seen>| uses.contains_key(key);
        let shows = |uses: &BTreeMap<Use, Seen>| uses.keys().any(|(workload, _, _)| *workload == key.0);
        for date in &touched {
            let (days, in_use) = on_all(&|day| alike(day, *date), &has);
            if usual.basis.is_empty() && in_use && days >= DAYS_MIN && overlap(*date) == DAY_NANOS {
                let when = format!("on each of {days} such days of the baseline");
                let habit = Habit { connections: 0, when, due: BTreeSet::from([asked.from]) };
                usual.habits.insert(key.clone(), habit);
            }
            let same = on_all(&|day| weekday(day) == weekday(*date) && overlap(*date) * 2 >= DAY_NANOS, &shows).1;
            if same || on_all(&|day| alike(day, *date), &shows).1 {
                usual.workloads.insert(key.0.clone());
            }
        }
    }
    if usual.basis.is_empty() {
        usual.basis = format!("{} days of the baseline document, which keeps no hours", counted.len());
    }
}
