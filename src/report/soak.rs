//! The soak gate as text: for a terminal, as Markdown, as CSV and as JSON.
//!
//! In: a finished [`Soak`]. Out: the answer first, then for each namespace what is wrong and what would mend it.

use super::escape::{code, csv_text, identifier, prose};
use super::readiness::hanging;
use super::table::Table;
use super::wording::{count, counted, time};
use crate::policy::{ProbeAnswer, ProbeResult};
use crate::replay::{Blocked, Leak, Lingering, NamespaceSoak, Outcome, Quiet, Soak};

/// Lines of one list in the text; the other forms have all.
const SHOWN_MAX: usize = 12;

fn headline(soak: &Soak) -> String {
    format!(
        "{}: {} under policy, since {} until {}.\n",
        soak.outcome().as_str(),
        counted(super::wording::size(soak.namespaces.len()), "namespace"),
        time(Some(soak.asked.from)),
        time(Some(soak.asked.until)),
    )
}

fn row(namespace: &NamespaceSoak, name: impl Fn(&str) -> String) -> [String; 8] {
    let sum = |counts: Vec<u64>| count(counts.into_iter().sum());
    [
        name(&format!("{}/{}", namespace.cluster, namespace.namespace)),
        namespace.outcome.as_str().to_owned(),
        count(namespace.passed),
        sum(namespace.blocked.iter().map(|blocked| blocked.connections).collect()),
        sum(namespace.leaks.iter().map(|leak| leak.connections).collect()),
        count(namespace.spanning),
        count(namespace.undecidable),
        if !namespace.leaks.is_empty() || namespace.has_reached_canary() {
            "NO"
        } else if namespace.is_enforcement_proven() {
            "proven"
        } else {
            "assumed"
        }
        .to_owned(),
    ]
}

const COLUMNS: [&str; 8] =
    ["NAMESPACE", "ANSWER", "#PASSED", "#BLOCKED", "#LEAKED", "#OLDER", "#UNDECIDABLE", "ENFORCEMENT"];

/// What was blocked, in one sentence.
fn blocked_text(blocked: &Blocked) -> String {
    format!(
        "{} {} {} {}: {}{}{}, last {}. {}",
        blocked.workload,
        if blocked.side == "egress" { "to" } else { "from" },
        blocked.peer,
        blocked.port,
        counted(blocked.connections, "connection"),
        if blocked.audited { " would be denied (audit mode)" } else { " denied" },
        if blocked.used_before { ", in use before" } else { ", new" },
        time(blocked.last),
        blocked.remedy
    )
}

fn leak_text(leak: &Leak) -> String {
    format!(
        "{} {} {} {}: {} passed that {} must have stopped on {}, last {}",
        leak.workload,
        if leak.side == "egress" { "to" } else { "from" },
        leak.peer,
        leak.port,
        counted(leak.connections, "connection"),
        leak.policies.join(", "),
        leak.side,
        time(leak.last)
    )
}

fn lingering_text(lingering: &Lingering) -> String {
    format!(
        "{} {} {} {}: {} opened before the change, still in use and stopped by {} once closed: allow it, or close it now",
        lingering.workload,
        if lingering.side == "egress" { "to" } else { "from" },
        lingering.peer,
        lingering.port,
        counted(lingering.connections, "connection"),
        lingering.policies.join(", "),
    )
}

fn quiet_text(quiet: &Quiet) -> String {
    let before = match quiet.connections_before {
        0 => "in use".to_owned(),
        connections => counted(connections, "connection"),
    };
    let since = quiet
        .last
        .map_or_else(|| "none since the change".to_owned(), |last| format!("none since {}", time(Some(last))));
    format!("{} fell silent towards {} {}: {before} {}, {since}", quiet.workload, quiet.peer, quiet.port, quiet.before)
}

fn probe_text(probe: &ProbeResult) -> (&'static str, String) {
    let finished = time(Some(probe.finished));
    match probe.answer {
        ProbeAnswer::Blocked => ("proof", format!("the probe {} was blocked, {finished}", probe.pod)),
        ProbeAnswer::Reachable => (
            "NO-OP",
            format!(
                "the probe {} reached its canary, {finished}: the policies are NOT ENFORCED for its pod",
                probe.pod
            ),
        ),
        ProbeAnswer::CannotTell => {
            ("note", format!("the probe {} could not tell, {finished}: its log says why (`kubectl logs`)", probe.pod))
        }
    }
}

/// Everything that is wrong or in doubt with a namespace, or worth knowing: a heading word and a sentence each.
fn findings(namespace: &NamespaceSoak) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    if !namespace.leaks.is_empty() {
        found.push((
            "NO-OP",
            "traffic passed that the policies must have stopped: they are NOT ENFORCED as given (agent off, audit mode, other \
             version applied, selector that the cluster reads differently)"
                .to_owned(),
        ));
    }
    found.extend(namespace.leaks.iter().map(|leak| ("leak", leak_text(leak))));
    found.extend(namespace.blocked.iter().map(|blocked| ("blocked", blocked_text(blocked))));
    found.extend(namespace.lingering.iter().map(|lingering| ("older", lingering_text(lingering))));
    found.extend(namespace.quiet.iter().map(|quiet| ("silent", quiet_text(quiet))));
    found.extend(namespace.doubts.iter().map(|doubt| ("doubt", doubt.clone())));
    found.extend(namespace.probes.iter().map(probe_text));
    found.extend(namespace.not_tried.iter().map(|job| ("note", job.clone())));
    if namespace.unknown_verdict > 0 {
        let flows = counted(namespace.unknown_verdict, "connection");
        found.push(("note", format!("{flows} without a verdict in the records: no proof of anything")));
    }
    if !namespace.compared_with.is_empty() {
        found.push(("note", format!("compared with {}", namespace.compared_with)));
    }
    // What is wrong comes before what is worth knowing, and only the first are shown.
    found.sort_by_key(|(word, _)| !word.chars().all(char::is_uppercase));
    found
}

/// For a terminal of that width.
pub fn soak_text(soak: &Soak, width: u16) -> String {
    let mut text = hanging("", headline(soak).trim_end(), usize::from(width));
    text.extend(soak.caveats.iter().map(|caveat| hanging("note     ", &identifier(caveat), usize::from(width))));
    let mut table = Table::new(&COLUMNS);
    for namespace in &soak.namespaces {
        table.row(row(namespace, identifier));
    }
    if !table.is_empty() {
        text += "\n";
        text += &table.to_plain(width);
    }
    for namespace in &soak.namespaces {
        let place = format!("{}/{}", namespace.cluster, namespace.namespace);
        text.extend(["\n", &identifier(&place), ": ", namespace.outcome.as_str(), "\n"]);
        let found = findings(namespace);
        for (word, sentence) in found.iter().take(SHOWN_MAX) {
            text += &hanging(&format!("  {word:<7}  "), &identifier_sentence(sentence), usize::from(width));
        }
        if found.len() > SHOWN_MAX {
            text.extend(["  and ", &(found.len() - SHOWN_MAX).to_string(), " more; --format json has all\n"]);
        }
    }
    text
}

/// A sentence made of names from the records, without what a terminal would obey.
fn identifier_sentence(sentence: &str) -> String {
    sentence
        .split(' ')
        .map(|word| if word.is_empty() { String::new() } else { identifier(word) })
        .collect::<Vec<_>>()
        .join(" ")
}

/// In Markdown.
pub fn soak_markdown(soak: &Soak) -> String {
    let mut text = format!("# Soak\n\n**{}", headline(soak).replacen(':', ":**", 1));
    text.extend(soak.caveats.iter().flat_map(|caveat| ["\n- ".to_owned(), prose(caveat), "\n".to_owned()]));
    let mut table = Table::new(&COLUMNS);
    for namespace in &soak.namespaces {
        table.row(row(namespace, code));
    }
    if !table.is_empty() {
        text += "\n";
        text += &table.to_markdown();
    }
    for namespace in &soak.namespaces {
        let found = findings(namespace);
        if found.is_empty() {
            continue;
        }
        let place = code(&format!("{}/{}", namespace.cluster, namespace.namespace));
        text.extend(["\n## ", &place, ": ", namespace.outcome.as_str(), "\n\n"]);
        text.extend(found.iter().flat_map(|(word, sentence)| {
            ["- **".to_owned(), (*word).to_owned(), "** ".to_owned(), prose(sentence), "\n".to_owned()]
        }));
    }
    text
}

/// As JSON.
pub fn soak_json(soak: &Soak) -> Result<String, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Answered<'a> {
        outcome: Outcome,
        #[serde(flatten)]
        soak: &'a Soak,
    }
    serde_json::to_string_pretty(&Answered { outcome: soak.outcome(), soak }).map(|text| text + "\n")
}

/// As CSV: one row for each finding, and one for each namespace without any.
pub fn soak_csv(soak: &Soak) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["cluster", "namespace", "outcome", "finding", "detail"])?;
    for namespace in &soak.namespaces {
        let mut found = findings(namespace);
        if found.is_empty() {
            found.push(("", String::new()));
        }
        for (word, sentence) in found {
            let cells = [&namespace.cluster, &namespace.namespace, namespace.outcome.as_str(), word, &sentence];
            writer.write_record(cells.map(|cell| csv_text(cell).into_owned()))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
