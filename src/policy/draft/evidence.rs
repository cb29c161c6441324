//! Evidence adds up, and is told in comments.
//!
//! In: edges. Out: sums, and lines for a reader who asks where a rule comes from. Every text from outside leaves as printable ASCII.

use super::baseline::SeenEdge;
use super::gate::thousandths;
use super::growing::peer_text;
use super::infrastructure::day;
use super::model::{Citation, Evidence, Rule};
use crate::model::Grade;
use crate::summary::Peer;

/// How many pods, names or addresses a comment lists.
const LISTED: usize = 4;

impl Evidence {
    /// Adds an edge.
    pub(super) fn add(&mut self, edge: &SeenEdge, citation: Citation) {
        if !self.cites.insert(citation) {
            return;
        }
        self.connections = self.connections.saturating_add(edge.connections.saturating_sub(edge.denied));
        self.denied = self.denied.saturating_add(edge.denied);
        self.audited = self.audited.saturating_add(edge.audited);
        self.pods.extend(edge.pods.iter().cloned());
        self.days.extend(edge.days.iter().cloned());
        self.span(edge.first.as_deref(), edge.last.as_deref());
        if matches!(edge.peer, Peer::Name(_) | Peer::Address(_)) {
            for (grade, count) in &edge.grades {
                *self.grades.entry(*grade).or_default() += count;
            }
        }
        if matches!(edge.peer, Peer::Name(_)) {
            self.confidence = Some(self.confidence.map_or(edge.confidence, |known| known.min(edge.confidence)));
        }
        self.seen_as.insert(peer_text(&edge.peer));
    }

    /// Adds the evidence of another rule.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.cites.extend(other.cites.iter().cloned());
        self.connections = self.connections.saturating_add(other.connections);
        self.denied = self.denied.saturating_add(other.denied);
        self.audited = self.audited.saturating_add(other.audited);
        self.pods.extend(other.pods.iter().cloned());
        self.days.extend(other.days.iter().cloned());
        self.span(other.first.as_deref(), other.last.as_deref());
        for (grade, count) in &other.grades {
            *self.grades.entry(*grade).or_default() += count;
        }
        self.confidence = self.confidence.into_iter().chain(other.confidence).min();
        self.seen_as.extend(other.seen_as.iter().cloned());
    }

    fn span(&mut self, first: Option<&str>, last: Option<&str>) {
        // RFC 3339 in UTC sorts as text.
        if let Some(first) = first
            && self.first.as_deref().is_none_or(|known| first < known)
        {
            self.first = Some(first.to_owned());
        }
        if let Some(last) = last
            && self.last.as_deref().is_none_or(|known| last > known)
        {
            self.last = Some(last.to_owned());
        }
    }
}

impl Rule {
    /// The comment in front of the rule, line by line, without `#`.
    pub(super) fn comments(&self) -> Vec<String> {
        let mut lines = vec![printable(&self.id)];
        lines.push(format!("  {}", self.counted()));
        if let Some(names) = self.grade_line() {
            lines.push(format!("  {names}"));
        }
        let own = self.evidence.seen_as.len() != 1 || !self.evidence.seen_as.iter().any(|seen| self.id.ends_with(seen));
        if own && !self.evidence.seen_as.is_empty() {
            lines.push(format!("  seen as {}", listed(self.evidence.seen_as.iter())));
        }
        lines.extend(self.remarks.iter().map(|remark| format!("  {}", printable(remark))));
        lines
    }

    fn counted(&self) -> String {
        let evidence = &self.evidence;
        if evidence.cites.is_empty() {
            return "no connection in the baseline".to_owned();
        }
        let (first, last) = (day(evidence.first.as_deref()), day(evidence.last.as_deref()));
        let span = if first == last {
            first.to_owned()
        } else {
            format!("{first} to {last}, {}", plural(evidence.days.len() as u64, "day"))
        };
        let mut parts = vec![plural(evidence.connections, "connection")];
        if !evidence.pods.is_empty() {
            parts.push(format!("{} ({})", plural(evidence.pods.len() as u64, "pod"), listed(evidence.pods.iter())));
        }
        parts.push(span);
        if evidence.denied > 0 {
            parts.push(format!("{} more were denied", evidence.denied));
        }
        if evidence.audited > 0 {
            parts.push(format!("{} would be denied by a policy in audit mode", evidence.audited));
        }
        parts.join(", ")
    }

    fn grade_line(&self) -> Option<String> {
        let known: Vec<String> = Grade::ALL
            .iter()
            .filter_map(|grade| self.evidence.grades.get(grade).map(|count| format!("{grade} x {count}")))
            .collect();
        if known.is_empty() {
            return None;
        }
        let confidence = self.evidence.confidence.map(|share| format!(", confidence {}", thousandths(share)));
        Some(format!("evidence {}{}", known.join(", "), confidence.unwrap_or_default()))
    }
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The first few, and how many more.
fn listed<'t>(texts: impl ExactSizeIterator<Item = &'t String>) -> String {
    let more = texts.len().saturating_sub(LISTED);
    let shown: Vec<String> = texts.take(LISTED).map(|text| printable(text)).collect();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// A text as printable ASCII on one line, cut to 300 characters.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(300) {
        if c == ' ' || c.is_ascii_graphic() {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}
