//! What is suspicious about a destination, and who answers for it.
//!
//! In: one destination, the catalog, the user's settings, the day. Out: findings, each with its reason, severity,
//! confidence and remedy. A function of its arguments: no file, no clock. A category never clears a finding.

mod finding;
mod ip_only;
mod listed;
mod reserved;

pub use finding::{Exempted, Finding};
pub use ip_only::ip_only;
pub use listed::listed;
pub use reserved::reserved;

use crate::catalog::Date;
use crate::classify::{Destination, Rules};

/// Every finding about one destination, the most serious first, then by rule.
pub fn findings(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Vec<Finding> {
    let mut found = listed(destination, rules, day);
    found.extend(reserved(destination, rules, day));
    found.extend(ip_only(destination, rules, day));
    found.sort_by(|one, other| other.severity.cmp(&one.severity).then_with(|| one.rule.cmp(&other.rule)));
    found
}
