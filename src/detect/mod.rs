//! What is suspicious about a destination or a workload, and who answers for it.
//!
//! In: one destination or workload with what was seen of it, the catalog, the user's settings, the day. Out: findings, each with its reason, numbers,
//! severity, confidence and remedy. A function of its arguments: no file, no clock. A category never clears a finding of a list; formulas,
//! thresholds and what was measured with them are in `docs/detectors.md`.

mod asked_never_connected;
mod beaconing;
mod behaviour;
mod connected_before_asked;
mod denied_burst;
mod dns_tunnel;
mod finding;
mod first_seen;
mod generated_name;
mod ip_only;
mod letters;
mod listed;
mod long_connection;
mod metadata_access;
mod metadata_answer;
mod odd_port;
mod own_resolver;
mod raised;
mod rare_destination;
mod reserved;
mod scanning;
mod surroundings;
mod upload;

pub use beaconing::{Rhythm, rhythm};
pub use behaviour::{behaviour, workload_findings};
pub use dns_tunnel::{Tunnelling, tunnelling};
pub use finding::{Exempted, Finding};
pub use ip_only::{ip_only, with_evidence};
pub use letters::generated;
pub use listed::listed;
pub use reserved::reserved;
pub use surroundings::{Baseline, Known, Observed, Surroundings, outside_name};

use std::net::IpAddr;

use crate::catalog::Date;
use crate::classify::{Destination, Rules};

/// Every finding about one destination that follows from lists and addresses, the most serious first, then by rule.
pub fn findings(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Vec<Finding> {
    let mut found = by_address(destination, rules, day);
    for finding in found.iter_mut().filter(|finding| !finding.is_open()) {
        // An exemption that names an address answers for that one, and others of the destination may stand in the same list.
        if finding.subject.parse::<IpAddr>().is_ok()
            && let Some(open) = other_address(&finding.class, destination, rules, day)
        {
            *finding = open;
        }
    }
    in_order(&mut found);
    found
}

fn by_address(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Vec<Finding> {
    let mut found = listed(destination, rules, day);
    found.extend(reserved(destination, rules, day));
    found.extend(ip_only(destination, rules, day));
    found
}

/// A finding of that class about an address of the destination that nobody answers for.
fn other_address(class: &str, destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Option<Finding> {
    destination.addresses.iter().find_map(|address| {
        let only = [*address];
        let found = by_address(&Destination { addresses: &only, ..*destination }, rules, day);
        let is_of_it = |finding: &Finding| *finding.class == *class && finding.subject.parse::<IpAddr>().is_ok();
        found.into_iter().find(|finding| finding.is_open() && is_of_it(finding))
    })
}

/// Sorts findings: the most serious first, then by rule.
pub fn in_order(found: &mut [Finding]) {
    found.sort_by(|one, other| other.severity.cmp(&one.severity).then_with(|| one.rule.cmp(&other.rule)));
}
