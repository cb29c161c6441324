//! An investigation on a terminal: the answer first, then when, who, under which names, what else.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::escape::{identifier, prose};
use super::super::paint::Paint;
use super::super::peer;
use super::super::table::{Table, cut_middle};
use super::super::tables::{Column, Columns};
use super::super::wording::{bytes, count, counted, list, share, size, volume};
use super::convert::severity;
use super::enforced::enforced_text;
use super::schema::{AddressTold, AroundRow, ConnectionRow, InvestigationDocument, NameTold, PairDocument};
use super::spark::spark;
use crate::model::columns::INVESTIGATED;
use crate::model::{Severity, Timestamp};
use crate::report::json::{EdgeDocument, JudgementDocument, PeerDocument, Window};

/// Widest timeline of one pair, in marks.
const PAIR_MARKS_MAX: usize = 24;

/// How much of each list is printed.
#[derive(Clone, Copy)]
struct Shown {
    rows: usize,
    clock: Clock,
    marks: usize,
}

/// The investigation for a terminal of `width` columns, at most `rows` lines of each list.
pub fn investigation_text(document: &InvestigationDocument, width: u16, paint: Paint, rows: usize) -> String {
    let width = usize::from(width);
    let marks = if width < 110 { PAIR_MARKS_MAX / 2 } else { PAIR_MARKS_MAX };
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
        let what = if document.covered {
            "Nothing in covered time: no connection from or to it."
        } else {
            "Nothing was seen, and that proves nothing: the evidence does not cover what was asked."
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
    format!(
        "showing {} of {}; --limit N shows more, --format json all that are held\n",
        count(size(shown)),
        counted(size(total), noun)
    )
}

/// A workload as a terminal has room for: without its kind.
pub(super) fn short_client(namespace: &str, kind: &str, name: &str) -> String {
    client_label(namespace, if namespace.is_empty() { kind } else { "" }, name)
}

pub(super) fn short_server(server: &PeerDocument) -> String {
    match server {
        PeerDocument::Workload { cluster, namespace, name, .. } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{}:", identifier(cluster)) };
            format!("{place}{}", client_label(namespace, "", name))
        }
        _ => server_label(server),
    }
}

pub(super) fn client_label(namespace: &str, kind: &str, name: &str) -> String {
    let workload = if kind.is_empty() { identifier(name) } else { identifier(&format!("{kind}/{name}")) };
    if namespace.is_empty() { workload } else { format!("{}/{workload}", identifier(namespace)) }
}

pub(super) fn server_label(server: &PeerDocument) -> String {
    match server {
        PeerDocument::Workload { cluster, namespace, kind, name } => {
            let place = if cluster.is_empty() { String::new() } else { format!("{}:", identifier(cluster)) };
            format!("{place}{}", client_label(namespace, kind, name))
        }
        PeerDocument::Service { namespace, name } => client_label(namespace, "Service", name),
        PeerDocument::Name { name } => identifier(name),
        PeerDocument::Address { address } => identifier(address),
        PeerDocument::KubeApiserver => peer::plain(&crate::summary::Peer::KubeApiserver),
        PeerDocument::Node => peer::plain(&crate::summary::Peer::Node),
        PeerDocument::Ingress => peer::plain(&crate::summary::Peer::Ingress),
        PeerDocument::Outside => peer::plain(&crate::summary::Peer::Outside),
    }
}

pub(super) fn port_label(port: u16, protocol: &str) -> String {
    if port == 0 { identifier(protocol) } else { format!("{port}/{}", identifier(protocol)) }
}

/// Grades, the most frequent first.
fn grades_label(grades: &BTreeMap<String, u64>) -> String {
    let mut grades: Vec<_> = grades.iter().collect();
    grades.sort_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
    match grades.as_slice() {
        [(only, _)] => identifier(only),
        several => list(
            several
                .iter()
                .map(|(grade, count)| format!("{} {}", identifier(grade), super::super::wording::count(**count))),
            2,
        ),
    }
}

/// How the server is known: by the grade of its name, or by its identity in the cluster.
pub(super) fn evidence_label(pair: &PairDocument) -> String {
    match pair.edge.peer {
        PeerDocument::Name { .. } => grades_label(&pair.edge.grades),
        PeerDocument::Address { .. } => "none".to_owned(),
        _ => "identity".to_owned(),
    }
}

pub(super) fn pair_client(
    document: &InvestigationDocument,
    pair: &PairDocument,
    label: impl Fn(&str, &str, &str) -> String,
) -> String {
    let label = label(&pair.namespace, &pair.edge.workload.kind, &pair.edge.workload.name);
    let several = document.pairs.iter().any(|other| other.cluster != pair.cluster);
    if several { format!("{}:{label}", identifier(&pair.cluster)) } else { label }
}

fn pairs_table(document: &InvestigationDocument, shown: Shown) -> Table {
    let covered: Vec<bool> = document.timeline.buckets.iter().map(|bucket| bucket.covered).collect();
    let mut names = vec!["CLIENT", "SERVER", "#PORT", "#CONN", "#DENIED", "EVIDENCE", "#FIRST", "#LAST", "#TIMELINE"];
    let counted = document.totals.bytes.is_some();
    // Names need the room more than a column of zeros.
    let none_denied = !document.totals.verdicts.contains_key("denied");
    if counted {
        names.splice(5..5, ["#SENT", "#RECEIVED"]);
        if none_denied {
            names.remove(4);
        }
    }
    let mut table = Table::new(&names);
    for pair in document.pairs.iter().take(shown.rows) {
        let edge = &pair.edge;
        let began: Vec<u64> = pair.began.iter().copied().map(u64::from).collect();
        let possible = if pair.roles.contains_key("possible") { "?" } else { "" };
        let mut cells = vec![
            pair_client(document, pair, short_client),
            format!("{}{possible}", short_server(&edge.peer)),
            port_label(edge.port, &edge.protocol),
            count(edge.connections),
            count(edge.verdicts.get("denied").copied().unwrap_or(0)),
            evidence_label(pair),
            shown.clock.minute(edge.first.as_deref()),
            shown.clock.minute(edge.last.as_deref()),
            spark(&began, &covered, if counted { shown.marks / 2 } else { shown.marks }),
        ];
        if counted {
            cells.splice(5..5, sizes(edge));
            if none_denied {
                cells.remove(4);
            }
        }
        table.row(cells);
    }
    table
}

/// Bytes sent and received; `-` where nobody counted.
pub(super) fn sizes(edge: &EdgeDocument) -> [String; 2] {
    let counted = edge.bytes.map(|counted| [bytes(counted.sent), bytes(counted.received)]);
    counted.unwrap_or_else(|| ["-", "-"].map(ToOwned::to_owned))
}

/// What is known of one destination, most telling first: lines with the severity that colours them.
type Facts = Vec<(Option<Severity>, String)>;

/// Destinations whose category and findings are told; JSON and Markdown tell all.
const JUDGED_MAX: usize = 8;

/// Categories, findings and reviews of the destinations, each once; suspects first.
fn judged(document: &InvestigationDocument, width: usize, paint: Paint) -> String {
    let mut destinations: BTreeMap<(Reverse<Option<Severity>>, String), Facts> = BTreeMap::new();
    for pair in &document.pairs {
        let is_outside = matches!(pair.edge.peer, PeerDocument::Name { .. } | PeerDocument::Address { .. });
        let Some(judgement) = pair.edge.judgement.as_ref().filter(|_| is_outside) else { continue };
        let facts = destinations.entry((Reverse(severity(pair)), server_label(&pair.edge.peer))).or_default();
        for fact in facts_of(pair, judgement) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    if destinations.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", paint.strong("What it is"));
    for ((_, name), facts) in destinations.iter().take(JUDGED_MAX) {
        out += &[name.as_str(), "\n"].concat();
        for (severity, fact) in facts {
            let text = wrapped(&format!("  {fact}"), width, "    ");
            out += &severity.map_or_else(|| text.clone(), |severity| paint.severity(severity, text.trim_end()) + "\n");
        }
    }
    if destinations.len() > JUDGED_MAX {
        out += &["and ", &count(size(destinations.len() - JUDGED_MAX)), " more\n"].concat();
    }
    out
}

fn facts_of(pair: &PairDocument, judgement: &JudgementDocument) -> Facts {
    let rule = if judgement.rule.is_empty() { "no rule knows it".to_owned() } else { identifier(&judgement.rule) };
    let mut facts = vec![(None, format!("{} ({rule})", judgement.category))];
    for finding in &judgement.findings {
        let exempted = finding.exempted.as_deref();
        let exemption = exempted.map(|by| format!(" (not held against it: {})", identifier(by))).unwrap_or_default();
        let attack: Vec<String> = finding.attack.iter().map(|id| identifier(id)).collect();
        let why = plain(&finding.why);
        let fact =
            format!("{} {}: {why} [{}]{exemption}", finding.severity, identifier(&finding.class), attack.join(" "));
        facts.push((Some(finding.severity).filter(|_| exempted.is_none()), fact));
    }
    if judgement.review.state != "not needed" {
        let owner =
            judgement.review.owner.as_deref().map(|owner| format!(" by {}", identifier(owner))).unwrap_or_default();
        facts.push((None, format!("review in {}: {}{owner}", identifier(&pair.namespace), judgement.review.state)));
    }
    facts
}

/// A sentence for a terminal: harmless, and without the marks that Markdown needs.
pub(super) fn plain(sentence: &str) -> String {
    prose(sentence).replace('\\', "")
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

fn names_table(rows: &[NameTold], shown: Shown) -> Table {
    let mut table = Table::new(&["!NAME", "ADDRESSES", "#ANSWERS", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            identifier(&row.name),
            together(&row.addresses, row.addresses_total),
            count(row.answers),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

fn addresses_table(rows: &[AddressTold], shown: Shown) -> Table {
    let mut table = Table::new(&["!ADDRESS", "NAMES", "#ANSWERS", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            identifier(&row.address),
            together(&row.names, row.names_total),
            count(row.answers),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

/// The first two, and how many there are in all.
fn together(items: &[String], total: usize) -> String {
    let shown: Vec<String> = items.iter().take(2).map(|item| identifier(item)).collect();
    let rest = total.saturating_sub(shown.len());
    if rest > 0 { format!("{}, +{rest} more", shown.join(", ")) } else { shown.join(", ") }
}

fn around_table(rows: &[AroundRow], shown: Shown) -> Table {
    let mut table = Table::new(&["CLIENT", "SERVER", "#PORT", "#CONN", "#DENIED", "#NEAREST", "#FIRST", "#LAST"]);
    for row in rows.iter().take(shown.rows) {
        table.row([
            short_client(&row.namespace, &row.client.kind, &row.client.name),
            short_server(&row.server),
            port_label(row.port, &row.protocol),
            count(row.connections),
            count(row.denied),
            row.nearest_minutes.map_or_else(|| "-".to_owned(), |minutes| format!("{minutes} min")),
            shown.clock.minute(row.first.as_deref()),
            shown.clock.minute(row.last.as_deref()),
        ]);
    }
    table
}

fn connections_table(rows: &[ConnectionRow], shown: Shown) -> Table {
    let mut table = Table::new(&["#TIME", "CLIENT", "SERVER", "#VERDICT", "EVIDENCE", "#ANSWER AGE"]);
    for row in rows.iter().take(shown.rows) {
        let client = if row.client.is_empty() { &row.client_address } else { &row.client };
        let name = row.names.first().filter(|_| row.server.is_empty());
        let server = name.or(Some(&row.server).filter(|server| !server.is_empty())).unwrap_or(&row.server_address);
        table.row([
            shown.clock.second(row.first.as_deref()),
            identifier(client),
            format!("{}:{}", identifier(server), row.port),
            row.verdict.to_owned(),
            if row.server.is_empty() { row.evidence.to_owned() } else { "identity".to_owned() },
            age(row),
        ]);
    }
    table
}

/// How old the answer was when the connection began.
fn age(row: &ConnectionRow) -> String {
    let time = |text: &Option<String>| text.as_deref().and_then(|text| Timestamp::parse(text.as_bytes()));
    match (time(&row.first), time(&row.answered_at)) {
        (Some(first), Some(answered)) => format!("{:.1} s", first.seconds_since(answered)),
        _ => "-".to_owned(),
    }
}

/// A time to the second; `-` when unknown.
pub(super) fn short_time(text: Option<&str>) -> String {
    let time = text.and_then(|text| Timestamp::parse(text.as_bytes()));
    time.map_or_else(|| "-".to_owned(), Timestamp::to_second)
}

/// Writes times as short as the window allows.
#[derive(Clone, Copy)]
struct Clock {
    one_day: bool,
}

impl Clock {
    fn of(document: &InvestigationDocument) -> Self {
        let day = |text: &Option<String>| text.as_deref().and_then(|text| text.get(..10)).map(ToString::to_string);
        let (since, until) = (day(&document.window.since), day(&document.window.until));
        Self { one_day: since.is_some() && since == until }
    }

    /// A time to the minute; without the date where all is of one day, without the year otherwise.
    fn minute(self, text: Option<&str>) -> String {
        short_time(text).get(if self.one_day { 11 } else { 5 }..16).unwrap_or("-").to_owned()
    }

    /// A time to the second.
    fn second(self, text: Option<&str>) -> String {
        short_time(text).get(if self.one_day { 11 } else { 0 }..).unwrap_or("-").to_owned()
    }
}

/// A paragraph in lines of at most `width` characters; lines after the first begin with `indent`.
pub(super) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let lead: String = text.chars().take_while(|character| *character == ' ').collect();
    let mut lines = vec![lead];
    for word in text.split_whitespace() {
        let word = cut_middle(word, width.max(20));
        match lines.last_mut() {
            Some(line) if line.trim().is_empty() => line.push_str(&word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The connections one by one, as columns.
pub fn connection_columns(document: &InvestigationDocument) -> Columns {
    let rows = &document.connections.rows;
    let text = |value: &dyn Fn(&ConnectionRow) -> String| Column::Text(rows.iter().map(value).collect());
    let time = |value: &dyn Fn(&ConnectionRow) -> Option<&str>| {
        let nanos = |row| value(row).and_then(|text| Timestamp::parse(text.as_bytes())).map(Timestamp::nanos);
        Column::Time(rows.iter().map(nanos).collect())
    };
    let values = [
        time(&|row| row.first.as_deref()),
        time(&|row| row.last.as_deref()),
        text(&|row| row.role.to_owned()),
        text(&|row| row.cluster.clone()),
        text(&|row| row.client.clone()),
        text(&|row| row.client_address.clone()),
        text(&|row| row.server.clone()),
        text(&|row| row.server_address.clone()),
        Column::Port(rows.iter().map(|row| row.port).collect()),
        text(&|row| row.protocol.clone()),
        text(&|row| row.verdict.to_owned()),
        text(&|row| row.names.first().cloned().unwrap_or_default()),
        Column::Texts(rows.iter().map(|row| row.names.clone()).collect()),
        text(&|row| row.evidence.to_owned()),
        time(&|row| row.answered_at.as_deref()),
        Column::Ratio(rows.iter().map(|row| row.confidence).collect()),
        Column::Count(rows.iter().map(|row| row.connections).collect()),
        Column::Counts(rows.iter().map(|row| row.bytes.map(|bytes| bytes.sent)).collect()),
        Column::Counts(rows.iter().map(|row| row.bytes.map(|bytes| bytes.received)).collect()),
    ];
    INVESTIGATED.into_iter().zip(values).collect()
}
