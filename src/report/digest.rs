//! One namespace in numbers: what the first screen, the index and the terminal summary all count the same way.

use std::collections::BTreeMap;

use super::coverage::Coverage;
use super::row::{Row, rows};
use super::view::{AtlasView, ReviewView, WorkloadFinding};
use super::wording::size;
use crate::model::{Category, Grade, Severity, Verdict};
use crate::summary::{Cluster, Namespace};

/// A namespace with everything that its document is derived from.
#[derive(Debug)]
pub(super) struct Digest<'a> {
    /// The cluster's name.
    pub(super) cluster_name: &'a str,
    /// The namespace's name; empty for clients that belong to none.
    pub(super) name: &'a str,
    /// The namespace.
    pub(super) namespace: &'a Namespace,
    /// What the cluster's sources could see.
    pub(super) coverage: &'a Coverage<'a>,
    /// Sentences on the clocks of its sources.
    pub(super) clock_notes: &'a [String],
    /// Findings about workloads as a whole, the most serious first.
    pub(super) workload_findings: Vec<&'a WorkloadFinding>,
    /// Egress in document order.
    pub(super) rows: Vec<Row<'a>>,
    /// The counts.
    pub(super) counts: Counts,
}

/// Counts over the rows of a namespace. A destination is a peer with a port and a protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Destinations.
    pub(super) destinations: u64,
    /// Of these, outside the cluster.
    pub(super) outside: u64,
    /// By category.
    pub(super) categories: BTreeMap<Category, u64>,
    /// Suspects that nobody has decided, or whose decision ran out, by severity.
    pub(super) open: BTreeMap<Severity, u64>,
    /// Suspects that an owner rejected and that are in use all the same; none of them is open.
    pub(super) rejected: u64,
    /// Destinations without a name.
    pub(super) ip_only: u64,
    /// Names chosen among several candidates.
    pub(super) ambiguous: u64,
    /// Connections that policy denied.
    pub(super) denied: u64,
    /// Connections to destinations outside, by grade.
    pub(super) grades: BTreeMap<Grade, u64>,
    /// Sum over `grades`.
    pub(super) outside_connections: u64,
}

impl Counts {
    fn of(rows: &[Row<'_>], workloads: &[&WorkloadFinding]) -> Self {
        let mut counts = Self { destinations: size(rows.len()), ..Self::default() };
        for found in workloads.iter().filter(|found| found.is_unanswered()) {
            counts.answer(&found.review, found.finding.severity);
        }
        for row in rows {
            *counts.categories.entry(row.category).or_default() += 1;
            counts.ip_only += u64::from(row.is_ip_only());
            counts.ambiguous += u64::from(row.is_ambiguous());
            counts.denied += row.seen.with_verdict(Verdict::Denied);
            if let Some(severity) = row.unanswered() {
                counts.answer(row.review(), severity);
            }
            if row.is_outside() {
                counts.outside += 1;
                for (grade, connections) in &row.seen.grades {
                    *counts.grades.entry(*grade).or_default() += connections;
                    counts.outside_connections += connections;
                }
            }
        }
        counts
    }

    fn answer(&mut self, review: &ReviewView, severity: Severity) {
        if review.is_rejected() {
            self.rejected += 1;
        } else {
            *self.open.entry(severity).or_default() += 1;
        }
    }

    /// Suspects that somebody has to decide.
    pub(super) fn open_total(&self) -> u64 {
        self.open.values().sum()
    }

    /// Destinations of one category.
    pub(super) fn category(&self, category: Category) -> u64 {
        self.categories.get(&category).copied().unwrap_or(0)
    }

    /// Connections to the outside with one of these grades.
    pub(super) fn graded(&self, grades: &[Grade]) -> u64 {
        grades.iter().filter_map(|grade| self.grades.get(grade)).sum()
    }

    /// Connections to the outside whose name rests on an answer to the pod itself.
    pub(super) fn own_pod(&self) -> u64 {
        self.graded(&[Grade::Pod, Grade::PodAmbiguous, Grade::PodStale, Grade::PodLater])
    }
}

/// Derives the digest of one namespace.
pub(super) fn digest<'a>(
    view: &'a AtlasView<'a>,
    coverage: &'a Coverage<'a>,
    (cluster_name, cluster): (&'a str, &'a Cluster),
    name: &str,
) -> Option<Digest<'a>> {
    let (name, namespace) = cluster.namespaces.get_key_value(name)?;
    let rows = rows(view.judged_egress(cluster_name, name));
    let mut workload_findings: Vec<&WorkloadFinding> = view.workload_findings(cluster_name, name).iter().collect();
    // The sort is stable: workloads stay in order among equals.
    workload_findings.sort_by_key(|found| (std::cmp::Reverse(found.finding.severity), found.review.urgency()));
    let counts = Counts::of(&rows, &workload_findings);
    let clock_notes = view.clock_notes.get(cluster_name).map_or(&[][..], Vec::as_slice);
    Some(Digest { cluster_name, name, namespace, coverage, clock_notes, workload_findings, rows, counts })
}

impl Digest<'_> {
    /// Days with traffic of days with flow records: `3/7`.
    pub(super) fn days(&self, seen: &crate::summary::EdgeSeen) -> String {
        match (seen.days.len(), self.coverage.days.len()) {
            (_, 0) => "-".to_owned(),
            (seen, covered) => format!("{seen}/{covered}"),
        }
    }
}
