//! Public destinations without a name: nobody resolved them here, so only an address can be allowed.
//!
//! In: one destination. Out: a finding of low severity for the review list. Addresses of configured networks, of
//! special ranges, of the platform, and those that the user's own category rules name, are not meant.

use std::net::IpAddr;

use super::finding::Finding;
use super::surroundings::Observed;
use crate::catalog::Date;
use crate::classify::{Destination, Rules};
use crate::model::{Category, Confidence, Severity};

/// The finding for a destination that is outside and has no name.
pub fn ip_only(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Option<Finding> {
    if destination.name.is_some() || destination.in_cluster {
        return None;
    }
    let address = destination.addresses.iter().find(|address| is_unknown_outside(**address, destination, rules))?;
    let finding = Finding {
        rule: "suspect/ip-only".into(),
        class: "ip_only".into(),
        label: "no name".into(),
        severity: Severity::Low,
        confidence: Confidence::Medium,
        subject: address.to_string().into(),
        matched: "public address without a DNS answer".into(),
        via_chain: false,
        why: "the workload dialled an address that no DNS answer here explains".into(),
        attack: ["T1571".into(), "T1095".into()].into(),
        false_positive:
            "addresses from configuration, long-lived caches, peers that hand out addresses, gaps in the DNS capture"
                .into(),
        advice: "Find where the address comes from; give it a name, or allow it by a rule with an owner.".into(),
        exempted: None,
        expired_exemption: None,
    };
    Some(finding.with_exemptions(destination, rules, day))
}

/// The same finding with what the evidence allows to say: without records of the workload's questions, no name can be expected.
#[must_use]
pub fn with_evidence(finding: Finding, observed: &Observed<'_>) -> Finding {
    if *finding.class != *"ip_only" {
        return finding;
    }
    let (confidence, evidence) =
        match (observed.around.dns, observed.around.is_heard(observed.namespace, &observed.edge.key.workload)) {
            (None, _) => (Confidence::Low, "no DNS source was read, so no address has a name"),
            (Some(_), false) => {
                (Confidence::Low, "no question of this workload was recorded, so none of its addresses has a name")
            }
            (Some(_), true) => (finding.confidence, "other questions of this workload were recorded"),
        };
    let matched = format!("{}: {} connections; {evidence}", finding.matched, observed.seen().connections());
    Finding { confidence, matched: matched.into(), ..finding }
}

fn is_unknown_outside(address: IpAddr, destination: &Destination<'_>, rules: &Rules<'_>) -> bool {
    let Destination { cluster, namespace, port, .. } = *destination;
    let only = [address];
    let subject = crate::catalog::Subject { name: None, chain: &[], addresses: &only, ..destination.subject() };
    let is_platform = |category| matches!(category, Category::Internal | Category::Infra);
    rules.settings.network(cluster, address).is_none()
        && rules.catalog.scope(address).is_none()
        && !rules.catalog.category(&subject).is_some_and(|found| is_platform(found.category))
        && !rules.settings.categories.iter().any(|rule| rule.reach.finds(namespace, port, &[], &only).is_some())
}
