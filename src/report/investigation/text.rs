//! An investigation on a terminal: the answer first, then when, who, under which names, what else.

use super::super::escape::identifier;
use super::super::paint::Paint;
use super::super::table::Table;
use super::super::wording::{count, counted, list, share, size, volume};
use super::convert::severity;
use super::enforced::enforced_text;
use super::judged::judged;
use super::labels::{plain, short_time, wrapped};
use super::schema::InvestigationDocument;
use super::spark::spark;
use super::tables::{Clock, Shown, addresses_table, around_table, connections_table, names_table, pairs_table};
use crate::report::json::Window;

/// Widest timeline of one pair, in marks.
const PAIR_MARKS_MAX: usize = 24;

/// The investigation for a terminal of `width` columns, at most `rows` lines of each list.
pub fn investigation_text(document: &InvestigationDocument, width: u16, paint: Paint, rows: usize) -> String {
    let width = usize::from(width);
    let marks = match width {
        ..90 => 0,
        90..110 => PAIR_MARKS_MAX / 2,
        _ => PAIR_MARKS_MAX,
    };
    let shown = Shown { rows, clock: Clock::of(document), marks };
    let mut out = head(document, width, paint);
    if document.totals.connections > 0 {
        out += &when(document, width, paint);
        let has_denied = document.totals.verdicts.contains_key("denied");
        out += &section(paint, "Who with whom", &pairs_table(document, shown), width, |row, column, cell| {
            let pair = document.pairs.get(row);
            match (column, pair.and_then(severity)) {
                (1, Some(severity)) => paint.severity(severity, cell),
                (4, _) if has_denied && cell.trim() != "0" => paint.bad(cell),
                _ => cell.to_owned(),
            }
        });
        out += &more(document.pairs.len(), shown.rows, "pair");
        out += &judged(document, width, paint);
        out += &enforced_text(document, width, paint, shown.rows);
    }
    out += &relatives(document, width, paint, shown);
    if let Some(around) = &document.around
        && !around.rows.is_empty()
    {
        let title = format!("What the same pods did within {} min", around.minutes);
        out += &section(paint, &title, &around_table(&around.rows, shown), width, |_, _, cell| cell.to_owned());
        out += &more(around.rows.len(), shown.rows, "pair");
    }
    if !document.connections.rows.is_empty() {
        let title = "Connections, the earliest first";
        out += &section(
            paint,
            title,
            &connections_table(&document.connections.rows, shown),
            width,
            |row, column, cell| {
                let verdict = document.connections.rows.get(row).map(|row| row.verdict);
                if column == 3 && verdict == Some("denied") { paint.bad(cell) } else { cell.to_owned() }
            },
        );
        let total = usize::try_from(document.connections.total).unwrap_or(usize::MAX);
        out += &more(total, shown.rows.min(document.connections.shown), "connection");
    }
    out.push('\n');
    for note in &document.notes {
        out += &wrapped(&format!("note: {}", plain(note)), width, "      ");
    }
    out
}

fn head(document: &InvestigationDocument, width: usize, paint: Paint) -> String {
    let target = &document.target;
    let place = target.cluster.as_deref().map(|name| format!(" in cluster {}", identifier(name))).unwrap_or_default();
    let mut out = format!("{}  {}{place}\n", paint.strong(&identifier(&target.text)), target.kind);
    out += &wrapped(&answer(document), width, "");
    let coverage = coverage(document);
    let coverage = wrapped(&coverage, width, "");
    out + &if document.covered { coverage } else { paint.warn(coverage.trim_end()) + "\n" }
}

/// The answer in a sentence.
pub(super) fn answer(document: &InvestigationDocument) -> String {
    let totals = &document.totals;
    if totals.connections == 0 {
        let known = match (document.target.known, document.target.nearest.is_empty()) {
            (true, _) => " The evidence knows it: see below.".to_owned(),
            (false, true) => " The evidence does not know it at all.".to_owned(),
            (false, false) => {
                let names = document.target.nearest.iter().map(|name| identifier(name));
                format!(" The evidence does not know it at all. Did you mean: {}?", list(names, 5))
            }
        };
        let what = match (document.covered, document.silence_proves) {
            (_, true) => "Nothing in covered time: no connection from or to it.",
            (true, false) => {
                "Nothing was seen, and that is not proof: there are gaps or losses in which it may have happened."
            }
            (false, _) => "Nothing was seen, and that proves nothing: the evidence does not cover what was asked.",
        };
        return format!("{what}{known}");
    }
    let mut parts = Vec::new();
    for (number, words) in [
        (totals.to_target, "to it"),
        (totals.from_target, "from it"),
        (totals.possibly_to_target, "possibly to it (its name is one of several candidates)"),
    ] {
        if number > 0 {
            parts.push(format!("{} {words}", count(number)));
        }
    }
    let denied = totals.verdicts.get("denied").copied().unwrap_or(0);
    format!(
        "{}: {}; {} and {}; {} to {}; {} denied.",
        counted(totals.connections, "connection"),
        parts.join(", "),
        counted(size(totals.clients), "client"),
        counted(size(totals.servers), "server"),
        short_time(totals.first.as_deref()),
        short_time(totals.last.as_deref()),
        if denied == 0 {
            "none".to_owned()
        } else {
            format!("{} ({})", count(denied), share(denied, totals.connections))
        },
    ) + &totals.bytes.map(|counted| format!(" {} by the clients.", volume(counted))).unwrap_or_default()
}

/// What the sources could see, in a sentence.
pub(super) fn coverage(document: &InvestigationDocument) -> String {
    let gaps: usize = document.coverage.values().flatten().map(|source| source.gaps.len()).sum();
    let lost: u64 = document.coverage.values().flatten().flat_map(|source| source.lost.values()).sum();
    let Window { since, until } = &document.window;
    let span = format!("{} to {}", short_time(since.as_deref()), short_time(until.as_deref()));
    let state = match (document.window_asked, document.covered) {
        (true, true) => format!("The asked window, {span}, is covered"),
        (true, false) => format!("The asked window, {span}, is NOT covered"),
        (false, true) => format!("No window was asked; the evidence reaches from {span}"),
        (false, false) => format!("An input broke off, or there are no flows; the evidence reaches from {span}"),
    };
    format!("{state}; {}, {} reported lost.", counted(size(gaps), "gap"), counted(lost, "event"))
}

fn when(document: &InvestigationDocument, width: usize, paint: Paint) -> String {
    let buckets = &document.timeline.buckets;
    let began: Vec<u64> = buckets.iter().map(|bucket| bucket.began).collect();
    let covered: Vec<bool> = buckets.iter().map(|bucket| bucket.covered).collect();
    let marks = spark(&began, &covered, width.saturating_sub(4).max(20));
    let highest = began.iter().max().copied().unwrap_or(0);
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return String::new() };
    let drawn = marks.chars().count();
    let (from, until) = (short_time(Some(&first.at)), short_time(Some(&last.at)));
    let axis = match drawn.checked_sub(from.len() + until.len()) {
        Some(space) if space > 1 => format!("{from}{}{until}", " ".repeat(space)),
        _ => format!("{from} to {until}"),
    };
    let legend = format!(
        "each mark {}, at most {} began in one; · nothing seen{}",
        step(document.timeline.step_seconds, buckets.len(), drawn),
        counted(highest, "connection"),
        if marks.contains('×') { ", × nothing could be seen" } else { "" }
    );
    format!("\n{}\n{marks}\n{}\n{}\n", paint.strong("When"), paint.faint(&axis), paint.faint(&legend))
}

/// The length of a mark in words.
fn step(seconds: i64, buckets: usize, drawn: usize) -> String {
    let together = buckets.div_ceil(drawn.max(1)).max(1);
    let minutes = u64::try_from(seconds / 60).unwrap_or(0).saturating_mul(size(together));
    super::super::wording::span(minutes)
}

fn section(
    paint: Paint,
    title: &str,
    table: &Table,
    width: usize,
    cell: impl Fn(usize, usize, &str) -> String,
) -> String {
    let body = table.to_terminal(width, |row, column, text| match row {
        None => paint.faint(text),
        Some(row) => cell(row, column, text),
    });
    format!("\n{}\n{body}", paint.strong(title))
}

/// How many lines a list leaves out.
pub(super) fn more(total: usize, shown: usize, noun: &str) -> String {
    if total <= shown {
        return String::new();
    }
    format!("showing {} of {} (more: --limit N; all: --format json)\n", count(size(shown)), counted(size(total), noun))
}

fn relatives(document: &InvestigationDocument, width: usize, paint: Paint, shown: Shown) -> String {
    let mut out = String::new();
    let names =
        [("Names, by the answers", &document.names), ("Other names on the same addresses", &document.sibling_names)];
    for (title, rows) in names {
        if !rows.is_empty() {
            out += &section(paint, title, &names_table(rows, shown), width, |_, _, cell| cell.to_owned());
            out += &more(rows.len(), shown.rows, "name");
        }
    }
    let addresses = [
        ("Addresses, by the answers", &document.addresses),
        ("Other addresses of the same names", &document.sibling_addresses),
    ];
    for (title, rows) in addresses {
        if !rows.is_empty() {
            out += &section(paint, title, &addresses_table(rows, shown), width, |_, _, cell| cell.to_owned());
            out += &more(rows.len(), shown.rows, "address");
        }
    }
    if !document.asked_only.is_empty() {
        let mut table = Table::new(&["NAME", "#ANSWERS", "#FIRST", "#LAST"]);
        for asked in document.asked_only.iter().take(shown.rows) {
            table.row([
                identifier(&asked.name),
                count(asked.answers),
                shown.clock.minute(asked.first.as_deref()),
                shown.clock.minute(asked.last.as_deref()),
            ]);
        }
        out += &section(paint, "Asked for, and never connected to by that name", &table, width, |_, _, cell| {
            cell.to_owned()
        });
        out += &more(document.asked_only.len(), shown.rows, "name");
    }
    out
}
