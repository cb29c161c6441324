//! The rows of a document: edges with the same category, peer, port and protocol, taken together.
//!
//! In: edges with their judgements. Out: rows in document order (category, peer, port, protocol), each with its workloads,
//! rules, findings and the most urgent state of review.

use std::collections::{BTreeMap, BTreeSet};

use super::escape::code;
use super::peer;
use super::view::{FindingView, Judgement, ReviewView};
use super::wording;
use crate::model::{Category, Grade, Protocol, Severity, Workload};
use crate::summary::{Edge, EdgeSeen, LISTED_MAX, Peer};

/// One row of egress.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    /// What the destination is for.
    pub(super) category: Category,
    /// The other end.
    pub(super) peer: &'a Peer,
    /// The server's port.
    pub(super) port: u16,
    /// Transport.
    pub(super) protocol: Protocol,
    /// The edges that the row stands for.
    pub(super) edges: Vec<(&'a Edge, &'a Judgement)>,
    /// What was seen on all of them.
    pub(super) seen: EdgeSeen,
}

/// Groups judged edges into rows, in document order.
pub(super) fn rows<'a>(judged: impl Iterator<Item = (&'a Edge, &'a Judgement)>) -> Vec<Row<'a>> {
    type Key<'a> = (Category, &'a Peer, u16, Protocol);
    let mut groups: BTreeMap<Key<'a>, Vec<(&Edge, &Judgement)>> = BTreeMap::new();
    for (edge, judgement) in judged {
        let key = (judgement.category, &edge.key.peer, edge.key.port, edge.key.protocol);
        groups.entry(key).or_default().push((edge, judgement));
    }
    groups
        .into_iter()
        .map(|((category, peer, port, protocol), edges)| {
            let seen = together(edges.iter().map(|(edge, _)| *edge));
            Row { category, peer, port, protocol, edges, seen }
        })
        .collect()
}

/// What was seen on several edges.
pub(super) fn together<'a>(edges: impl Iterator<Item = &'a Edge>) -> EdgeSeen {
    edges.fold(EdgeSeen::default(), |mut all, edge| {
        all.absorb(edge.seen.without_behaviour());
        all
    })
}

impl<'a> Row<'a> {
    /// Whether the destination lies outside the cluster.
    pub(super) const fn is_outside(&self) -> bool {
        peer::is_outside(self.peer)
    }

    /// Whether nothing names the destination.
    pub(super) const fn is_ip_only(&self) -> bool {
        matches!(self.peer, Peer::Address(_))
    }

    /// Whether some connection's name was chosen among several.
    pub(super) fn is_ambiguous(&self) -> bool {
        matches!(self.peer, Peer::Name(_))
            && (self.seen.grades.contains_key(&Grade::PodAmbiguous) || !self.seen.candidates.is_empty())
    }

    /// The workloads, in order of kind and name.
    pub(super) fn workloads(&self) -> BTreeSet<&'a Workload> {
        self.edges.iter().map(|(edge, _)| &edge.key.workload).collect()
    }

    /// The rules that decided the category.
    pub(super) fn rules(&self) -> BTreeSet<&'a str> {
        self.edges.iter().map(|(_, judgement)| judgement.rule.as_str()).filter(|rule| !rule.is_empty()).collect()
    }

    /// What the rules call the destination.
    pub(super) fn labels(&self) -> BTreeSet<&'a str> {
        self.edges.iter().filter_map(|(_, judgement)| judgement.label.as_deref()).collect()
    }

    /// Distinct findings that are held against the row, the most severe first.
    pub(super) fn findings(&self) -> Vec<&'a FindingView> {
        self.distinct_findings(|finding| finding.exempted.is_none())
    }

    /// Distinct findings that are not held against it.
    pub(super) fn exempted(&self) -> Vec<&'a FindingView> {
        self.distinct_findings(|finding| finding.exempted.is_some())
    }

    fn distinct_findings(&self, keep: impl Fn(&FindingView) -> bool) -> Vec<&'a FindingView> {
        let mut findings: Vec<&FindingView> =
            self.edges.iter().flat_map(|(_, judgement)| &judgement.findings).filter(|finding| keep(finding)).collect();
        findings.sort_by(|one, two| {
            let key = |finding: &'a FindingView| (&finding.class, &finding.rule, &finding.matched, &finding.why);
            two.severity.cmp(&one.severity).then_with(|| key(one).cmp(&key(two)))
        });
        findings.dedup_by(|one, two| (&one.rule, &one.matched, &one.class) == (&two.rule, &two.matched, &two.class));
        findings
    }

    /// The worst severity, if anything is held against it.
    pub(super) fn severity(&self) -> Option<Severity> {
        self.findings().first().map(|finding| finding.severity)
    }

    /// How serious it is that somebody still has to act, by the edges for which that is so.
    pub(super) fn unanswered(&self) -> Option<Severity> {
        self.edges.iter().filter_map(|(_, judgement)| judgement.unanswered()).max()
    }

    /// The most urgent state of review among the edges.
    pub(super) fn review(&self) -> &'a ReviewView {
        self.edges
            .iter()
            .map(|(_, judgement)| &judgement.review)
            .min_by_key(|review| review.urgency())
            .unwrap_or(&ReviewView::NotNeeded)
    }

    /// The edges whose review is in the same state as the row's.
    pub(super) fn edges_to_decide(&self) -> impl Iterator<Item = &'a Edge> {
        let urgency = self.review().urgency();
        self.edges.iter().filter(move |(_, judgement)| judgement.review.urgency() == urgency).map(|(edge, _)| *edge)
    }

    /// Port and protocol.
    pub(super) fn port(&self) -> String {
        wording::port(self.port, self.protocol)
    }

    /// The first workloads with connections of `grade`, as a cell.
    pub(super) fn workloads_with(&self, grade: Grade) -> String {
        let edges = self.edges.iter().map(|(edge, _)| edge).filter(|edge| edge.seen.grades.contains_key(&grade));
        let workloads: BTreeSet<&Workload> = edges.map(|edge| &edge.key.workload).collect();
        wording::list(workloads.into_iter().map(peer::workload), 4)
    }

    /// The first workloads as a cell.
    pub(super) fn workloads_cell(&self) -> String {
        wording::list(self.workloads().into_iter().map(peer::workload), 4)
    }

    /// How the name is known, with the mean confidence in it; in words where there is no name to know.
    pub(super) fn evidence(&self) -> String {
        match self.peer {
            Peer::Name(_) => {
                let grades = grades_by_count(&self.seen);
                let all = self.seen.grades.values().sum();
                let words = grades.iter().map(|(grade, connections)| match grades.len() {
                    1 => grade.to_string(),
                    _ => format!("{grade} {}", wording::share(*connections, all)),
                });
                format!("{} ({:.2})", wording::list(words, 2), self.seen.confidence())
            }
            Peer::Address(_) => Grade::None.to_string(),
            _ => "identity".to_owned(),
        }
    }

    /// Suspicion and review in a few words; `-` when there is nothing to review.
    pub(super) fn review_cell(&self) -> String {
        let classes: BTreeSet<&str> = self.findings().iter().map(|finding| finding.class.as_str()).collect();
        let classes = wording::list(classes.into_iter().map(code), 3);
        match (self.severity(), self.review()) {
            (None, ReviewView::NotNeeded) => "-".to_owned(),
            (None, review) => review.as_str().to_owned(),
            (Some(severity), review) => format!("{classes} ({severity}), **{}**", review.as_str()),
        }
    }

    /// Exact addresses as `/32` and `/128`, the most used first.
    pub(super) fn addresses_cell(&self, shown_max: usize) -> String {
        let mut addresses: Vec<_> = self.seen.addresses.iter().collect();
        addresses.sort_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
        let full = addresses.len() >= LISTED_MAX;
        let text = wording::list(
            addresses.iter().map(|(address, _)| format!("`{address}/{}`", if address.is_ipv4() { 32 } else { 128 })),
            shown_max,
        );
        if full { format!("{text}; of the {LISTED_MAX} listed, and there may be more") } else { text }
    }

    /// The names by which an in-cluster peer was looked up, or that the CNI reported.
    pub(super) fn names_cell(&self, shown_max: usize) -> String {
        wording::list(self.seen.names.keys().map(|name| code(name)), shown_max)
    }
}

/// The grades of an edge, the most frequent first; the better one of equals.
fn grades_by_count(seen: &EdgeSeen) -> Vec<(Grade, u64)> {
    let mut grades: Vec<(Grade, u64)> = seen.grades.iter().map(|(grade, count)| (*grade, *count)).collect();
    grades.sort_by(|one, two| two.1.cmp(&one.1).then(one.0.cmp(&two.0)));
    grades
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, WorkloadKind};
    use crate::summary::EdgeKey;

    fn edge(workload: &str) -> Edge {
        let workload = Workload { kind: WorkloadKind("Deployment".into()), name: workload.into() };
        let key = EdgeKey { workload, peer: Peer::Name("a.example".into()), port: 443, protocol: Protocol::TCP };
        Edge { key, seen: EdgeSeen::default() }
    }

    fn finding(class: &str, severity: Severity) -> FindingView {
        FindingView {
            rule: class.to_owned(),
            class: class.to_owned(),
            severity,
            confidence: Confidence::High,
            matched: String::new(),
            why: String::new(),
            false_positive: None,
            attack: Vec::new(),
            advice: String::new(),
            exempted: (severity == Severity::High && class == "exempt").then(String::new),
        }
    }

    #[test]
    fn a_row_takes_the_worst_of_its_edges() {
        let approved = ReviewView::Approved { owner: "a".to_owned(), reason: "b".to_owned(), expires: None };
        let one = Judgement {
            findings: vec![finding("a", Severity::Low), finding("exempt", Severity::High)],
            review: approved,
            ..Judgement::default()
        };
        let two = Judgement {
            findings: vec![finding("b", Severity::Medium), finding("a", Severity::Low)],
            review: ReviewView::Pending,
            ..Judgement::default()
        };
        let three = Judgement { category: Category::Vendor, ..Judgement::default() };
        let edges = [edge("web"), edge("mailer"), edge("other")];
        let rows = rows(edges.iter().zip([&one, &two, &three]));
        let [vendor, unclassified] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((vendor.severity(), vendor.review()), (None, &ReviewView::NotNeeded));
        assert_eq!(unclassified.review(), &ReviewView::Pending);
        assert_eq!(unclassified.severity(), Some(Severity::Medium));
        let classes: Vec<&str> = unclassified.findings().iter().map(|finding| finding.class.as_str()).collect();
        assert_eq!(classes, ["b", "a"]);
        assert_eq!(unclassified.exempted().len(), 1);
        let to_decide: Vec<String> = unclassified.edges_to_decide().map(|edge| edge.key.workload.to_string()).collect();
        assert_eq!(to_decide, ["Deployment/mailer"]);
    }
}
