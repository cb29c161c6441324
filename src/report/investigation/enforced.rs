//! Whether the policies allow what was found: from reasons to the document, and its text for a terminal and for a ticket.

use std::collections::BTreeMap;

use super::super::document::Document;
use super::super::escape::prose;
use super::super::paint::Paint;
use super::super::table::Table;
use super::super::wording::{count, counted, list, size};
use super::labels::{client_label, pair_client, plain, port_label, server_label, short_client, short_server, wrapped};
use super::schema::{InvestigationDocument, PairDocument, PoliciesDocument, ReasonDocument};
use super::text::more;
use crate::inquiry::Place;
use crate::policy::PolicySet;
use crate::replay::{Because, Reasoned};
use crate::report::json::rfc3339;

/// Reasons by cluster, namespace and edge.
pub type ReasonsByEdge = BTreeMap<Place, Vec<Reasoned>>;

/// The policies that an investigation was asked to judge by, and what they say.
#[derive(Debug)]
pub struct EnforcedView<'a> {
    /// The policies.
    pub set: &'a PolicySet,
    /// By cluster: the profile that was used.
    pub profiles: BTreeMap<Box<str>, &'static str>,
    /// What of the policies has no part in the answers.
    pub caveats: Vec<String>,
    /// The answers.
    pub reasons: &'a ReasonsByEdge,
}

/// The words for each answer, the worst first, as a reader is told them.
const ANSWERS: [(&str, &str); 5] = [
    ("would-break", "not allowed"),
    ("undecidable", "cannot be told"),
    ("allowed", "allowed by a rule"),
    ("not-isolated", "no policy isolates it"),
    ("not-subject", "between ends that no policy is about"),
];

pub(super) fn policies_document(view: &EnforcedView<'_>) -> PoliciesDocument {
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut denied: BTreeMap<String, u64> = BTreeMap::new();
    for reason in view.reasons.values().flatten() {
        let word = reason.because.as_str();
        *answers.entry(word.to_owned()).or_default() += reason.seen.flows;
        if reason.recorded_denied > 0 {
            *denied.entry(word.to_owned()).or_default() += reason.recorded_denied;
        }
    }
    let notes = view.set.notes.iter().map(|note| format!("{}: {}", note.object, note.text));
    PoliciesDocument {
        count: view.set.policies.len(),
        profiles: view.profiles.iter().map(|(cluster, profile)| (cluster.to_string(), *profile)).collect(),
        answers,
        denied_when_recorded: denied,
        caveats: view.caveats.iter().cloned().chain(notes).collect(),
    }
}

pub(super) fn reason_documents(reasons: &[Reasoned]) -> Vec<ReasonDocument> {
    reasons.iter().map(reason_document).collect()
}

fn reason_document(reasoned: &Reasoned) -> ReasonDocument {
    let mut document = ReasonDocument {
        answer: reasoned.because.as_str(),
        connections: reasoned.seen.flows,
        denied_when_recorded: reasoned.recorded_denied,
        first: rfc3339(reasoned.seen.first),
        last: rfc3339(reasoned.seen.last),
        ..ReasonDocument::default()
    };
    match &reasoned.because {
        Because::Stopped { side, policies, nearest } => {
            document.side = Some(side.as_str());
            document.policies.clone_from(policies);
            document.nearest = Some(nearest.clone()).filter(|text| !text.is_empty());
        }
        Because::Doubtful { side, doubt } => {
            document.side = Some(side.as_str());
            document.reason = Some(doubt.code());
            document.remedy = Some(doubt.remedy());
        }
        Because::Allowed(rules) => document.rules.clone_from(rules),
        Because::NotIsolated | Because::NotSubject => {}
    }
    document
}

/// All answers in a sentence.
fn totals(policies: &PoliciesDocument) -> String {
    let parts = ANSWERS.iter().filter_map(|(answer, words)| {
        let connections = policies.answers.get(*answer)?;
        let denied = policies.denied_when_recorded.get(*answer).copied().unwrap_or(0);
        let denied = if denied > 0 { format!(" ({} denied when recorded)", count(denied)) } else { String::new() };
        Some(format!("{} {words}{denied}", count(*connections)))
    });
    let parts: Vec<String> = parts.collect();
    let profiles: std::collections::BTreeSet<&str> = policies.profiles.values().copied().collect();
    let profiles: Vec<&str> = profiles.into_iter().collect();
    format!(
        "{}, profile {}: {}.",
        if policies.count == 1 { "1 policy".to_owned() } else { format!("{} policies", count(size(policies.count))) },
        profiles.join(", "),
        if parts.is_empty() { "no connection to judge".to_owned() } else { parts.join("; ") }
    )
}

/// One reason in words, without the verdict's name.
fn why(reason: &ReasonDocument) -> String {
    let denied = match (reason.denied_when_recorded, reason.answer) {
        (0, _) => String::new(),
        (denied, "allowed" | "not-isolated") => format!(
            "; {} denied when recorded all the same: by other policies than these, or before these were in force",
            count(denied)
        ),
        (denied, _) => format!("; {} denied when recorded", count(denied)),
    };
    let by = |names: &[String]| list(names.iter().cloned(), 3);
    let said = match reason.answer {
        "would-break" => {
            let nearest = reason.nearest.clone().unwrap_or_else(|| "no rule comes near".to_owned());
            let side = reason.side.unwrap_or_default();
            format!("{side}: {nearest}; isolated by {}", by(&reason.policies))
        }
        "undecidable" => format!(
            "{}: {}; {}",
            reason.side.unwrap_or_default(),
            reason.reason.unwrap_or_default(),
            reason.remedy.unwrap_or_default()
        ),
        "allowed" => by(&reason.rules),
        "not-isolated" => "no policy selects these pods in that direction".to_owned(),
        _ => "neither end is a pod".to_owned(),
    };
    format!("{said}{denied}")
}

/// Every reason with its pair, the worst first.
fn rows(document: &InvestigationDocument) -> Vec<(&PairDocument, &ReasonDocument)> {
    let reasons = document.pairs.iter().flat_map(|pair| pair.policies.iter().map(move |reason| (pair, reason)));
    let mut rows: Vec<_> = reasons.collect();
    rows.sort_by_key(|(_, reason)| ANSWERS.iter().position(|(answer, _)| *answer == reason.answer));
    rows
}

/// The section for a terminal; nothing when no policies were given.
pub(super) fn enforced_text(document: &InvestigationDocument, width: usize, paint: Paint, shown: usize) -> String {
    let Some(policies) = &document.policies else { return String::new() };
    let mut out = format!("\n{}\n", paint.strong("Do the policies allow it"));
    out += &wrapped(&totals(policies), width, "");
    let rows = rows(document);
    for (pair, reason) in rows.iter().take(shown) {
        let head = format!(
            "{} {} to {} {}: {}",
            reason.answer,
            pair_client(document, pair, short_client),
            short_server(&pair.edge.peer),
            port_label(pair.edge.port, &pair.edge.protocol),
            counted(reason.connections, "connection")
        );
        let head = wrapped(&head, width, "    ");
        out += &match reason.answer {
            "would-break" => paint.bad(head.trim_end()) + "\n",
            "undecidable" => paint.warn(head.trim_end()) + "\n",
            _ => head,
        };
        out += &wrapped(&format!("  {}", plain(&why(reason))), width, "    ");
    }
    out += &more(rows.len(), shown, "answer");
    for caveat in &policies.caveats {
        out += &wrapped(&format!("not judged: {}", plain(caveat)), width, "      ");
    }
    out
}

/// The section for a ticket, at most `rows_max` rows.
pub(super) fn enforced_markdown(out: &mut Document, document: &InvestigationDocument, rows_max: usize) {
    let Some(policies) = &document.policies else { return };
    out.heading(2, "Do the policies allow it");
    out.paragraph(&prose(&totals(policies)));
    let mut table = Table::new(&["Answer", "Client", "Server", "Port", "#Connections", "Why"]);
    let rows = rows(document);
    for (pair, reason) in rows.iter().take(rows_max) {
        table.row([
            reason.answer.to_owned(),
            format!("`{}`", pair_client(document, pair, client_label)),
            format!("`{}`", server_label(&pair.edge.peer)),
            port_label(pair.edge.port, &pair.edge.protocol),
            count(reason.connections),
            prose(&why(reason)),
        ]);
    }
    if !table.is_empty() {
        out.table(&table);
    }
    if rows.len() > rows_max {
        out.paragraph(&format!("Showing {rows_max} of {}.", rows.len()));
    }
    for caveat in &policies.caveats {
        out.bullet(&prose(&format!("Not judged: {caveat}")));
    }
}
