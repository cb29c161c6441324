//! A comparison as text: for a terminal, as Markdown for a pull request, as CSV and as JSON.

use std::collections::BTreeMap;

use super::super::escape::{code, csv_text, identifier, prose};
use super::super::readiness::hanging;
use super::super::table::Table;
use super::super::wording::{count, counted, list, size};
use super::change::{Change, ChangeKind, Drift};
use crate::model::Direction;

/// Silent destinations of one namespace and one reason that a terminal lists one by one.
const LISTED_SILENT_MAX: u64 = 5;
/// Workloads named in one cell.
const SHOWN_WORKLOADS: usize = 2;

fn counts(drift: &Drift) -> String {
    let number = |kind| size(drift.of_kind(kind).count());
    format!(
        "{} new, {} changed, {} gone, {} silent (not proven gone)",
        count(number(ChangeKind::New)),
        count(number(ChangeKind::Changed)),
        count(number(ChangeKind::Gone)),
        count(number(ChangeKind::Silent))
    )
}

fn window(window: &(Option<String>, Option<String>)) -> String {
    let short = |time: &Option<String>| {
        time.as_deref()
            .and_then(|time| time.get(..16))
            .map_or_else(|| "unknown".to_owned(), |time| time.replace('T', " "))
    };
    format!("{} to {}", short(&window.0), short(&window.1))
}

fn port(change: &Change) -> String {
    if change.port == 0 { change.protocol.clone() } else { format!("{}/{}", change.port, change.protocol) }
}

fn place(change: &Change) -> String {
    let namespace = if change.namespace.is_empty() { "(no namespace)" } else { &change.namespace };
    format!("{}/{}", identifier(&change.cluster), identifier(namespace))
}

/// An arrow shows which way: callers of a namespace stand before it.
fn other_end(change: &Change) -> String {
    match change.direction {
        Direction::Egress => identifier(&change.destination),
        Direction::Ingress => format!("from {}", identifier(&change.destination)),
    }
}

/// What a reader must know about a change, in one line.
fn remark(change: &Change) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !change.findings.is_empty() {
        let severity = change.severity.map(|severity| format!(" ({severity})")).unwrap_or_default();
        parts.push(format!("{}{severity}", change.findings.join(", ")));
    }
    if let Some(review) = change.review.as_deref().filter(|review| *review != "not needed") {
        parts.push(format!("review {review}"));
    }
    parts.extend(change.details.iter().cloned());
    if parts.is_empty() {
        let evidence = change.evidence.as_deref().map(|grade| format!(", evidence {grade}")).unwrap_or_default();
        parts.push(format!("{}{evidence}", counted(change.connections, "connection")));
    }
    parts.join("; ")
}

/// For a terminal of that width: a line for each change, and what a reader must know about it below.
pub fn drift_text(drift: &Drift, width: u16) -> String {
    let windows = format!("Baseline {}, current {}.", window(&drift.baseline), window(&drift.current));
    let mut text = hanging("", &windows, usize::from(width)) + &counts(drift) + ".\n";
    if !drift.changes.is_empty() {
        let mut remarks = Vec::new();
        let mut table = Table::new(&["CHANGE", "NAMESPACE", "DESTINATION", "PORT", "WORKLOADS"]);
        let lost = lost_as_a_whole(drift);
        let whole = |change: &Change| {
            change.change == ChangeKind::Silent && lost.contains_key(&(place(change), change.details.join("; ")))
        };
        for change in drift.changes.iter().filter(|change| !whole(change)) {
            table.row([
                change.change.as_str().to_owned(),
                place(change),
                other_end(change),
                port(change),
                list(change.workloads.iter().map(|workload| identifier(workload)), SHOWN_WORKLOADS),
            ]);
            remarks.push(identifier(&remark(change)));
        }
        for ((place, reason), destinations) in &lost {
            let destinations = format!("{} destinations", count(*destinations));
            let cells = [ChangeKind::Silent.as_str(), place, &destinations, "", ""];
            table.row(cells.map(str::to_owned));
            remarks.push(identifier(reason));
        }
        text += "\n";
        let mut rows = table.to_rows(usize::from(width), |_, _, cell| cell.to_owned()).into_iter();
        text.extend(rows.next());
        for (row, remark) in rows.zip(&remarks) {
            text += &row;
            text += &hanging("         ", remark, usize::from(width));
        }
    }
    if !drift.coverage.is_empty() {
        text += "\nThe current evidence is worse than the baseline's:\n";
        text.extend(drift.coverage.iter().map(|worse| {
            hanging("  ", &format!("{}: {}", identifier(&worse.cluster), worse.difference), usize::from(width))
        }));
    }
    text
}

/// Namespaces whose silent destinations share one reason, more than a reader wants one by one: (namespace, reason) → destinations.
fn lost_as_a_whole(drift: &Drift) -> BTreeMap<(String, String), u64> {
    let mut reasons: BTreeMap<(String, String), u64> = BTreeMap::new();
    for change in drift.of_kind(ChangeKind::Silent) {
        *reasons.entry((place(change), change.details.join("; "))).or_default() += 1;
    }
    reasons.retain(|_, destinations| *destinations > LISTED_SILENT_MAX);
    reasons
}

/// For a pull request.
pub fn drift_markdown(drift: &Drift) -> String {
    let mut text = format!(
        "# Drift since the baseline\n\nBaseline {}, current {}: **{}**.\n",
        window(&drift.baseline),
        window(&drift.current),
        counts(drift)
    );
    if !drift.coverage.is_empty() {
        text += "\n> The current evidence is worse than the baseline's, so silence proves less:\n>\n";
        for worse in &drift.coverage {
            text.extend(["> - ", &code(&worse.cluster), ": ", &prose(&worse.difference), "\n"]);
        }
    }
    for (kind, title, advice) in [
        (
            ChangeKind::New,
            "New",
            "Review each; what stays needs an entry in the allowlist, what is suspect needs an owner.",
        ),
        (ChangeKind::Changed, "Changed", "The rule may be there; check that it still says what you mean."),
        (ChangeKind::Gone, "Gone", "Candidates for removal from the allowlist."),
        (
            ChangeKind::Silent,
            "Silent, not proven gone",
            "Keep their rules: the evidence does not show that nobody needs them.",
        ),
    ] {
        let mut table = Table::new(&[
            "Namespace",
            "Destination",
            "Port",
            "Workloads",
            "Category",
            "Evidence",
            "Review",
            "#Connections",
            "Last seen",
            "What",
        ]);
        for change in drift.of_kind(kind) {
            table.row([
                code(&place(change)),
                format!(
                    "{}{}",
                    if change.direction == Direction::Ingress { "from " } else { "" },
                    code(&change.destination)
                ),
                port(change),
                list(change.workloads.iter().map(|workload| code(workload)), SHOWN_WORKLOADS),
                change.category.map_or_else(|| "-".to_owned(), |category| category.to_string()),
                change.evidence.clone().unwrap_or_else(|| "-".to_owned()),
                change.review.clone().unwrap_or_else(|| "-".to_owned()),
                count(change.connections),
                change.last.as_deref().and_then(|time| time.get(..10)).unwrap_or("unknown").to_owned(),
                prose(&remark(change)).replace('|', "\\|"),
            ]);
        }
        if !table.is_empty() {
            text.extend(["\n## ", title, "\n\n", advice, "\n\n", &table.to_markdown()]);
        }
    }
    text
}

/// As JSON.
pub fn drift_json(drift: &Drift) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(drift).map(|text| text + "\n")
}

/// As CSV, one row per change.
pub fn drift_csv(drift: &Drift) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "change",
        "cluster",
        "namespace",
        "direction",
        "destination",
        "port",
        "protocol",
        "workloads",
        "category",
        "findings",
        "severity",
        "review",
        "evidence",
        "connections",
        "first",
        "last",
        "details",
    ])?;
    for change in &drift.changes {
        let cells = [
            change.change.as_str(),
            &change.cluster,
            &change.namespace,
            change.direction.as_str(),
            &change.destination,
            &change.port.to_string(),
            &change.protocol,
            &change.workloads.join(";"),
            change.category.map_or("", |category| category.as_str()),
            &change.findings.join(";"),
            change.severity.map_or("", |severity| severity.as_str()),
            change.review.as_deref().unwrap_or_default(),
            change.evidence.as_deref().unwrap_or_default(),
            &change.connections.to_string(),
            change.first.as_deref().unwrap_or_default(),
            change.last.as_deref().unwrap_or_default(),
            &change.details.join("; "),
        ];
        writer.write_record(cells.map(|cell: &str| csv_text(cell).into_owned()))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
