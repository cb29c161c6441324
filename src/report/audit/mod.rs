//! What `audit` prints: a list for the terminal, Markdown, CSV, JSON and SARIF, all of one view.
//!
//! In: findings with what could not be checked. Out: text and columns. Names from outside are escaped; documents for machines keep them
//! as they are.

mod machine;
mod text;

pub use machine::{audit_columns, audit_json, audit_sarif};
pub use text::{audit_markdown, audit_text};

use crate::model::Severity;
use crate::policy::lint::Lint;

/// Findings with everything that explains them.
#[derive(Clone, Debug)]
pub struct AuditView<'a> {
    /// The findings.
    pub lint: &'a Lint,
    /// How many policies were read.
    pub policies: usize,
    /// What policies hold that is noted and not judged.
    pub notes: Vec<String>,
}

impl AuditView<'_> {
    fn count(&self, severity: Severity) -> usize {
        self.lint.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn totals(&self) -> String {
        let of = |severity: Severity| format!("{} {severity}", self.count(severity));
        let policies = if self.policies == 1 { "policy" } else { "policies" };
        format!("{} {policies}: {}, {}, {}", self.policies, of(Severity::High), of(Severity::Medium), of(Severity::Low))
    }
}
