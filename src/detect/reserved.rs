//! Traffic to address ranges that nobody can be reached at: documentation, discard, reserved.
//!
//! In: one destination. Out: a finding: a typing error, a forged source, or a cluster that numbers its pods from such a
//! range and has to say so in `[networks]`.

use super::finding::Finding;
use crate::catalog::{Date, Scope};
use crate::classify::{Destination, Rules};
use crate::model::{Confidence, Severity};

/// The finding for the first address in a range that is never used.
pub fn reserved(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Option<Finding> {
    if destination.in_cluster {
        return None;
    }
    let unconfigured = |address: &&std::net::IpAddr| rules.settings.network(destination.cluster, **address).is_none();
    let found = destination
        .addresses
        .iter()
        .filter(unconfigured)
        .find_map(|address| rules.catalog.scope(*address).filter(|found| found.scope == Some(Scope::Never)))?;
    let finding = Finding {
        rule: "suspect/reserved-range".into(),
        class: "reserved_range".into(),
        label: found.label.into(),
        severity: Severity::Medium,
        confidence: Confidence::High,
        subject: found.subject,
        matched: found.matched.into(),
        via_chain: false,
        why: format!("no peer can have an address in this range: {}", found.why).into(),
        attack: [].into(),
        false_positive: "a cluster that numbers its pods from this range; resolvers that answer blocked names with it"
            .into(),
        advice: "Correct the address in the workload's configuration, or name the range under `[networks]`.".into(),
        exempted: None,
        expired_exemption: None,
    };
    Some(finding.with_exemptions(destination, rules, day))
}
