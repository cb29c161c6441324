//! The CSV form of a replay: one row for each group of connections, and one for each rule.

use super::ReplayView;
use crate::model::{Timestamp, columns};
use crate::replay::{ReplayWorkload, Seen};
use crate::report::{Column, Columns};

#[derive(Default)]
struct Row {
    texts: [String; 13],
    port: u16,
    flows: u64,
    first: Option<i64>,
    last: Option<i64>,
}

/// Places of the text columns; port, count and times stand between them.
const TEXT_PLACES: [usize; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15, 16];

/// The columns, in order.
pub fn replay_columns(view: &ReplayView<'_>) -> Columns {
    let rows = rows(view);
    let text = |place: usize| {
        let place = TEXT_PLACES.iter().position(|known| *known == place).unwrap_or_default();
        Column::Text(rows.iter().map(|row| row.texts.get(place).cloned().unwrap_or_default()).collect())
    };
    let values = (0..columns::REPLAY.len()).map(|place| match place {
        9 => Column::Port(rows.iter().map(|row| row.port).collect()),
        11 => Column::Count(rows.iter().map(|row| row.flows).collect()),
        12 => Column::Time(rows.iter().map(|row| row.first).collect()),
        13 => Column::Time(rows.iter().map(|row| row.last).collect()),
        place => text(place),
    });
    columns::REPLAY.into_iter().zip(values).collect()
}

fn rows(view: &ReplayView<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for workload in &view.replay.workloads {
        let totals = &workload.totals;
        let counts = [
            ("not-isolated", totals.not_isolated),
            ("allowed", totals.allowed),
            ("already-denied", totals.already_denied),
        ];
        for (outcome, flows) in counts.into_iter().filter(|(_, flows)| *flows > 0) {
            rows.push(Row { flows, ..row(workload, outcome, &Seen::default()) });
        }
        for broken in &workload.breaks {
            let mut next = row(workload, "would-break", &broken.seen);
            next.port = broken.port;
            let rule = broken.nearest_rule.map(|rule| view.set.rule_text(rule)).unwrap_or_default();
            let rest = [
                broken.way.as_str().to_owned(),
                broken.side.as_str().to_owned(),
                String::new(),
                broken.peer.to_string(),
                broken.protocol.to_string(),
                broken.policies.join(";"),
                rule,
                broken.nearest.clone(),
            ];
            fill(&mut next, rest);
            rows.push(next);
        }
        for doubtful in &workload.undecided {
            let mut next = row(workload, "undecidable", &doubtful.seen);
            next.port = doubtful.port;
            let rest = [
                doubtful.way.as_str().to_owned(),
                doubtful.side.as_str().to_owned(),
                doubtful.doubt.code().to_owned(),
                doubtful.peer.to_string(),
                doubtful.protocol.to_string(),
                String::new(),
                String::new(),
                doubtful.doubt.remedy().to_owned(),
            ];
            fill(&mut next, rest);
            rows.push(next);
        }
    }
    rows.extend(view.replay.rules.iter().filter_map(|used| rule(view, used)));
    rows
}

fn rule(view: &ReplayView<'_>, used: &crate::replay::RuleUse) -> Option<Row> {
    let (policy, rule) = view.set.rule(used.rule)?;
    let outcome = if used.flows == 0 { "rule-unused" } else { "rule-used" };
    let mut row = Row { flows: used.flows, ..Row::default() };
    let texts = [
        (0, policy.id.cluster.as_deref().unwrap_or_default().to_owned()),
        (1, policy.id.namespace.to_string()),
        (4, outcome.to_owned()),
        (6, used.rule.direction.as_str().to_owned()),
        (10, policy.id.to_string()),
        (11, view.set.rule_text(used.rule)),
        (12, format!("{} line {}", policy.id.file, rule.line)),
    ];
    for (place, text) in texts {
        if let Some(slot) = row.texts.get_mut(place) {
            *slot = text;
        }
    }
    Some(row)
}

fn row(workload: &ReplayWorkload, outcome: &str, seen: &Seen) -> Row {
    let nanos = |time: Option<Timestamp>| time.map(Timestamp::nanos);
    let mut row = Row { flows: seen.flows, first: nanos(seen.first), last: nanos(seen.last), ..Row::default() };
    let head = [
        workload.cluster.to_string(),
        workload.namespace.to_string(),
        workload.workload.kind.0.to_string(),
        workload.workload.name.to_string(),
        outcome.to_owned(),
    ];
    for (slot, text) in row.texts.iter_mut().zip(head) {
        *slot = text;
    }
    row
}

fn fill(row: &mut Row, rest: [String; 8]) {
    for (slot, text) in row.texts.iter_mut().skip(5).zip(rest) {
        *slot = text;
    }
}
