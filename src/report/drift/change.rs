//! The finished value of a comparison: its fields are those of the JSON form.

use serde::Serialize;

use crate::model::{Category, Direction, Severity};

/// Version of the form.
pub const DRIFT_SCHEMA: &str = "egress-atlas-drift/1";

/// What happened to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Not in the baseline.
    New,
    /// In both, and not the same.
    Changed,
    /// In the baseline, and provably no longer in use.
    Gone,
    /// In the baseline and not seen since, but the evidence does not prove that it is gone.
    Silent,
}

impl ChangeKind {
    /// The word in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Silent => "silent",
        }
    }
}

/// One destination (or caller) of one namespace that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happened.
    pub change: ChangeKind,
    /// Cluster.
    pub cluster: String,
    /// Namespace; empty for clients that no record assigns to one.
    pub namespace: String,
    /// Egress or ingress.
    pub direction: Direction,
    /// Name, address or workload of the other end.
    pub destination: String,
    /// The server's port; 0 when there is none.
    pub port: u16,
    /// `TCP`, ...
    pub protocol: String,
    /// The namespace's workloads that use it (of the baseline where it is gone or silent).
    pub workloads: Vec<String>,
    /// Category, of the newer side that has one; null for ingress.
    pub category: Option<Category>,
    /// Rules that suspect it and that nobody exempted.
    pub findings: Vec<String>,
    /// The worst of these.
    pub severity: Option<Severity>,
    /// State of the owner's review: `pending`, `approved`, ...; null for ingress.
    pub review: Option<String>,
    /// The best grade of evidence for the name.
    pub evidence: Option<String>,
    /// Connections (of the baseline where it is gone or silent).
    pub connections: u64,
    /// First event, RFC 3339.
    pub first: Option<String>,
    /// Last event, RFC 3339.
    pub last: Option<String>,
    /// What differs, or why nothing is proven, one sentence each.
    pub details: Vec<String>,
}

/// A cluster whose evidence is worse than that of the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverageChange {
    /// Cluster.
    pub cluster: String,
    /// What differs, in a sentence.
    pub difference: String,
}

/// Everything that a comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// [`DRIFT_SCHEMA`].
    pub schema: &'static str,
    /// First and last event of the baseline's flows, RFC 3339.
    pub baseline: (Option<String>, Option<String>),
    /// First and last event of the current flows, RFC 3339.
    pub current: (Option<String>, Option<String>),
    /// In the order of change, severity (worst first), cluster, namespace, direction, destination, port.
    pub changes: Vec<Change>,
    /// In the order of clusters.
    pub coverage: Vec<CoverageChange>,
}

impl Drift {
    /// Changes of one kind.
    pub fn of_kind(&self, kind: ChangeKind) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.change == kind)
    }

    /// Whether something is new, changed or provably gone.
    pub fn has_drifted(&self) -> bool {
        self.changes.iter().any(|change| change.change != ChangeKind::Silent)
    }

    /// Whether the current evidence could have shown everything that the baseline shows.
    pub fn is_proven(&self) -> bool {
        self.coverage.is_empty() && self.of_kind(ChangeKind::Silent).next().is_none()
    }
}
