//! What `discover` prints at the end: one line per namespace, and where to look first.
//!
//! Lines are as wide as the terminal; names longer than their column are cut in the middle.

use std::cmp::Reverse;

use super::coverage::{coverage, kind_word};
use super::digest::{Digest, digest};
use super::escape::identifier;
use super::paint::Paint;
use super::peer;
use super::readiness::hanging;
use super::table::Table;
use super::view::AtlasView;
use super::wording::{count, counted, list, share, size, span};
use crate::model::{Category, Severity};

/// Terminals that are narrower get short headings, so that names stay readable.
const WIDE_MIN: u16 = 96;
const WIDE: [&str; 7] =
    ["NAMESPACE", "#DESTINATIONS", "#OUTSIDE", "#UNCLASSIFIED", "#SUSPECTS", "#IP-ONLY", "#OWN-POD NAMES"];
const NARROW: [&str; 7] = ["NAMESPACE", "#DEST.", "#OUTSIDE", "#UNCLASS.", "#SUSPECTS", "#IP-ONLY", "#OWN-POD"];
/// Widest name in the table, in characters.
const NAME_MAX: usize = 30;
/// Most suspects that are pointed out.
const POINTED_OUT: usize = 5;
/// Most namespaces that are pointed out for their unclassified destinations.
const UNCLASSIFIED_SHOWN: usize = 2;

/// Renders the summary, each line ended.
pub fn summary_text(view: &AtlasView<'_>, width: u16, paint: Paint) -> String {
    let several = view.atlas.clusters.len() > 1;
    let mut table = Table::new(if width < WIDE_MIN { &NARROW } else { &WIDE });
    let (mut first, mut unclassified, mut coverage_lines) = (Vec::new(), Vec::new(), Vec::new());
    for (name, cluster) in &view.atlas.clusters {
        let coverage = coverage(view.atlas, cluster);
        let shown = if several { format!("{}/", identifier(name)) } else { String::new() };
        for namespace in cluster.namespaces.keys() {
            let Some(digest) = digest(view, &coverage, (name, cluster), namespace) else { continue };
            if namespace.is_empty() && digest.rows.is_empty() {
                continue;
            }
            let namespace = if namespace.is_empty() { "(no namespace)".to_owned() } else { identifier(namespace) };
            let label = cut(&format!("{shown}{namespace}"));
            table.row(cells(&label, &digest));
            first.extend(suspects(&label, &digest));
            unclassified.push((digest.counts.category(Category::Unclassified), label));
        }
        let kinds = coverage.kinds.each_ref().map(|kind| format!("{} {}", kind_word(kind.kind), kind.share()));
        coverage_lines.push(format!(
            "Coverage of {}: {} of {}; {}, {} reported lost.",
            cut(&identifier(name)),
            kinds.join(", "),
            span(coverage.window_minutes),
            counted(size(coverage.gaps.len()), "gap"),
            counted(coverage.lost(), "event"),
        ));
    }
    if table.is_empty() {
        return "No traffic was found in the inputs.\n".to_owned();
    }
    let suspects: Vec<bool> = table.column(4).map(|cell| cell != "0").collect();
    let body = table.to_terminal(usize::from(width), |row, column, cell| match row {
        None => paint.faint(cell),
        Some(row) if column == 4 && suspects.get(row) == Some(&true) => paint.bad(cell),
        Some(_) => cell.to_owned(),
    });
    let mut out = format!("{body}\n");
    for line in coverage_lines {
        out.push_str(&hanging("", &line, usize::from(width)));
    }
    out.push_str(&where_to_look(first, width, paint));
    if let Some(line) = what_to_classify(unclassified) {
        out.push_str(&hanging("", &line, usize::from(width)));
    }
    out
}

fn cells(label: &str, digest: &Digest<'_>) -> [String; 7] {
    let counts = &digest.counts;
    [
        label.to_owned(),
        count(counts.destinations),
        count(counts.outside),
        count(counts.category(Category::Unclassified)),
        count(counts.open_total() + counts.rejected),
        count(counts.ip_only),
        share(counts.own_pod(), counts.outside_connections),
    ]
}

/// A suspect without an approval: severity, connections, line.
type Pointer = (Severity, u64, String);

fn suspects(label: &str, digest: &Digest<'_>) -> Vec<Pointer> {
    let whole = digest.workload_findings.iter().filter(|found| found.is_unanswered()).map(|found| {
        let finding = &found.finding;
        let subject =
            if found.subject.is_empty() { String::new() } else { format!(" {}", cut(&identifier(&found.subject))) };
        let who = cut(&identifier(&found.workload.to_string()));
        let line = format!("{:<6}  {label}  {who}{subject}  {}", finding.severity.as_str(), identifier(&finding.class));
        (finding.severity, 0, line)
    });
    let of_rows = digest.rows.iter().filter_map(|row| Some((row, row.unanswered()?))).map(|(row, severity)| {
        let class =
            row.findings().first().map_or_else(String::new, |finding| format!("  {}", identifier(&finding.class)));
        let word = if row.review().is_rejected() { "  REJECTED, still in use" } else { "" };
        let line =
            format!("{:<6}  {label}  {} {}{class}{word}", severity.as_str(), cut(&peer::plain(row.peer)), row.port());
        (severity, row.seen.connections(), line)
    });
    whole.chain(of_rows).collect()
}

fn where_to_look(mut suspects: Vec<Pointer>, width: u16, paint: Paint) -> String {
    if suspects.is_empty() {
        return "No suspect is without an approval.\n".to_owned();
    }
    suspects
        .sort_by(|one, two| (Reverse(one.0), Reverse(one.1), &one.2).cmp(&(Reverse(two.0), Reverse(two.1), &two.2)));
    let mut lines = vec![format!("\n{}", paint.strong("Look here first:"))];
    lines.extend(suspects.iter().take(POINTED_OUT).map(|(severity, _, line)| {
        let (word, rest) = line.split_at_checked(severity.as_str().len()).unwrap_or((line, ""));
        let (head, room) = (paint.severity(*severity, word), usize::from(width));
        if 2 + line.chars().count() <= room {
            return format!("  {head}{rest}");
        }
        hanging(&format!("  {word:<6}  "), rest.trim_start(), room).replacen(word, &head, 1).trim_end().to_owned()
    }));
    let more = suspects.len().saturating_sub(POINTED_OUT);
    if more > 0 {
        lines.push(format!("  and {} in the documents", counted(size(more), "more suspect")));
    }
    lines.join("\n") + "\n"
}

/// The namespaces with the most destinations that no rule knows.
fn what_to_classify(mut unclassified: Vec<(u64, String)>) -> Option<String> {
    unclassified.retain(|(number, _)| *number > 0);
    unclassified.sort_by(|one, two| two.0.cmp(&one.0).then_with(|| one.1.cmp(&two.1)));
    if unclassified.is_empty() {
        return None;
    }
    let words = unclassified.iter().map(|(number, label)| format!("{label} ({})", count(*number)));
    Some(format!("Most unclassified destinations: {}", list(words, UNCLASSIFIED_SHOWN)))
}

/// A name that fits its column; the middle gives way, so that start and end stay readable.
fn cut(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME_MAX {
        return name.to_owned();
    }
    let head: String = name.chars().take(NAME_MAX / 2 - 1).collect();
    let tail: String = name.chars().skip(length - (NAME_MAX / 2 - 1)).collect();
    format!("{head}..{tail}")
}
