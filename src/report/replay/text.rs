//! The table for the terminal and its Markdown form.

use super::ReplayView;
use crate::replay::{Break, ReplayWorkload, RuleUse, Undecided};
use crate::report::escape::{code, identifier, prose};
use crate::report::readiness::hanging;
use crate::report::table::Table;
use crate::report::wording::{count, counted, list, time};

/// Rows that the table shows of one list; JSON and CSV have all.
const SHOWN_MAX: usize = 12;

/// How names are marked up.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Markdown,
}

impl Form {
    fn name(self, text: &str) -> String {
        match self {
            Self::Plain => identifier(text),
            Self::Markdown => code(text),
        }
    }

    fn sentence(self, text: &str) -> String {
        match self {
            Self::Plain => identifier(text),
            Self::Markdown => prose(text),
        }
    }

    fn heading(self, text: &str) -> String {
        match self {
            Self::Plain => format!("\n{text}\n\n"),
            Self::Markdown => format!("\n## {text}\n\n"),
        }
    }

    fn table(self, table: &Table, width: usize) -> String {
        match self {
            Self::Plain => table.to_terminal(width, |_, _, cell| cell.to_owned()),
            Self::Markdown => table.to_markdown(),
        }
    }

    /// A line, and an explanation that hangs below it.
    fn pair(self, head: &str, rest: &str, why: &str, width: usize) -> String {
        let line = match self {
            Self::Plain => hanging("  ", &format!("{head}: {rest}"), width),
            Self::Markdown if why.is_empty() => return format!("- {head}: {rest}\n"),
            Self::Markdown => return format!("- {head}: {rest}; {why}\n"),
        };
        if why.is_empty() { line } else { line + &hanging("      ", why, width) }
    }

    fn item(self, head: &str, rest: &str, width: usize) -> String {
        match self {
            Self::Plain => hanging(head, rest, width),
            Self::Markdown => format!("- {}: {rest}\n", head.trim()),
        }
    }
}

/// For a terminal of that width.
pub fn replay_text(view: &ReplayView<'_>, width: u16) -> String {
    text(view, Form::Plain, usize::from(width))
}

/// In Markdown.
pub fn replay_markdown(view: &ReplayView<'_>) -> String {
    format!("# Replay\n\n{}", text(view, Form::Markdown, usize::MAX))
}

fn text(view: &ReplayView<'_>, form: Form, width: usize) -> String {
    let mut out = hanging("", verdict(view).trim_end(), width);
    for (cluster, profile) in &view.profiles {
        let window = view.replay.windows.get(cluster).copied().unwrap_or_default();
        let name = form.name(cluster);
        let line = format!("Cluster {name}: {} to {}, profile {profile}.\n", time(window.first), time(window.last));
        out += &line;
        if form == Form::Markdown {
            out += "\n";
        }
    }
    for caveat in &view.caveats {
        out += &form.item("note  ", &form.sentence(caveat), width);
    }
    out += &form.heading("Workloads");
    out += &form.table(&workloads(view, form), width);
    out += &breaks(view, form, width);
    out += &undecided(view, form, width);
    out += &rules(view, form, width);
    out
}

/// The answer in one line.
fn verdict(view: &ReplayView<'_>) -> String {
    let totals = &view.replay.totals;
    let judged = totals.passed() + totals.would_break + totals.undecidable;
    let mut line = format!(
        "{} of {} pass, {} would break, {} cannot be told",
        count(totals.passed()),
        counted(judged, "connection"),
        count(totals.would_break),
        count(totals.undecidable)
    );
    if totals.already_denied > 0 {
        line += &["; ", &count(totals.already_denied), " more were denied already"].concat();
        if totals.denied_would_pass > 0 {
            line += &[" (", &count(totals.denied_would_pass), " of them would pass)"].concat();
        }
    }
    line + ".\n"
}

fn owner(row: &ReplayWorkload) -> String {
    let namespace = if row.namespace.is_empty() { "(no namespace)" } else { &row.namespace };
    format!("{}/{namespace} {}", row.cluster, row.workload)
}

fn workloads(view: &ReplayView<'_>, form: Form) -> Table {
    let mut table =
        Table::new(&["Namespace", "!Workload", "#Allowed", "#Not isolated", "#Breaks", "#Unknown", "#Denied before"]);
    for row in &view.replay.workloads {
        let totals = &row.totals;
        let namespace = if row.namespace.is_empty() { "(no namespace)" } else { &row.namespace };
        table.row([
            form.name(&format!("{}/{namespace}", row.cluster)),
            form.name(&row.workload.to_string()),
            count(totals.allowed),
            count(totals.not_isolated),
            count(totals.would_break),
            count(totals.undecidable),
            count(totals.already_denied),
        ]);
    }
    table
}

fn breaks(view: &ReplayView<'_>, form: Form, width: usize) -> String {
    let mut out = String::new();
    for row in view.replay.workloads.iter().filter(|row| !row.breaks.is_empty()) {
        let flows = counted(row.totals.would_break, "connection");
        out += &form.heading(&format!("Would break: {}, {flows}", identifier(&owner(row))));
        for broken in row.breaks.iter().take(SHOWN_MAX) {
            out += &one_break(broken, form, width);
        }
        out += &more(row.breaks.len());
    }
    out
}

fn more(rows: usize) -> String {
    match rows.saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!("  and {more} more; --format json has all\n"),
    }
}

fn port(port: u16, protocol: crate::model::Protocol) -> String {
    if port == 0 { protocol.to_string() } else { format!("{port}/{protocol}") }
}

fn one_break(broken: &Break, form: Form, width: usize) -> String {
    let arrow = if broken.way == crate::policy::Direction::Egress { "to" } else { "from" };
    let head = format!("{arrow} {} {}", form.name(&broken.peer), port(broken.port, broken.protocol));
    let policies: Vec<String> = broken.policies.iter().map(|policy| form.sentence(policy)).collect();
    let policies = list(policies, 3);
    let nearest = if broken.nearest.is_empty() {
        "no rule comes near".to_owned()
    } else {
        format!("nearest: {}", form.sentence(&broken.nearest))
    };
    let flows = format!("{}, last {}", counted(broken.seen.flows, "connection"), time(broken.seen.last));
    let why = format!("stopped on {} by {policies}; {nearest}", broken.side.as_str());
    form.pair(&head, &flows, &why, width)
}

fn undecided(view: &ReplayView<'_>, form: Form, width: usize) -> String {
    let mut out = String::new();
    for row in view.replay.workloads.iter().filter(|row| !row.undecided.is_empty()) {
        let flows = counted(row.totals.undecidable, "connection");
        out += &form.heading(&format!("Cannot be told: {}, {flows}", identifier(&owner(row))));
        for doubtful in row.undecided.iter().take(SHOWN_MAX) {
            out += &one_doubt(doubtful, form, width);
        }
        out += &more(row.undecided.len());
    }
    out
}

fn one_doubt(row: &Undecided, form: Form, width: usize) -> String {
    let arrow = if row.way == crate::policy::Direction::Egress { "to" } else { "from" };
    let head = format!("{arrow} {} {}", form.name(&row.peer), port(row.port, row.protocol));
    let flows = format!("{}, last {}", counted(row.seen.flows, "connection"), time(row.seen.last));
    form.pair(&head, &flows, &format!("{}: {}", row.doubt, row.doubt.remedy()), width)
}

fn rules(view: &ReplayView<'_>, form: Form, width: usize) -> String {
    let unused: Vec<&RuleUse> = view.replay.rules.iter().filter(|used| used.flows == 0).collect();
    let all = view.replay.rules.len();
    if unused.is_empty() {
        return format!("\nEvery rule was used ({all}).\n");
    }
    let mut out = form.heading(&format!("Unused rules: {} of {all}, within the window above", unused.len()));
    for used in unused.iter().take(SHOWN_MAX * 2) {
        let Some((policy, rule)) = view.set.rule(used.rule) else { continue };
        let why = if used.selects { "no connection needed it" } else { "its policy selects no pod that was seen" };
        let place = format!("{why} ({} line {})", form.sentence(&policy.id.file), rule.line);
        out += &form.pair(&form.name(&view.set.rule_text(used.rule)), &place, "", width);
    }
    out += &more(unused.len().saturating_sub(SHOWN_MAX));
    out
}
