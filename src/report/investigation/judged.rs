//! What the destinations of an investigation are: categories, findings and reviews, each destination once.
//!
//! In: the document. Out: a section for a terminal, suspects first. JSON and Markdown tell all; here the worst are told.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::escape::identifier;
use super::super::paint::Paint;
use super::super::wording::{count, size};
use super::convert::severity;
use super::labels::{plain, server_label, wrapped};
use super::schema::{InvestigationDocument, PairDocument};
use crate::model::Severity;
use crate::report::json::{JudgementDocument, PeerDocument};

/// What is known of one destination, most telling first: lines with the severity that colours them.
type Facts = Vec<(Option<Severity>, String)>;

/// Destinations whose category and findings are told; JSON and Markdown tell all.
const JUDGED_MAX: usize = 8;

/// Categories, findings and reviews of the destinations, each once; suspects first.
pub(super) fn judged(document: &InvestigationDocument, width: usize, paint: Paint) -> String {
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
