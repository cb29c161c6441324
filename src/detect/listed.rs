//! Destinations that a list knows: the catalog's suspect classes and the user's `[[suspect]]` rules.
//!
//! In: one destination. Out: one finding for each class. All list rules work the same way; port-aware rows tell a
//! metadata service from the resolver on the same address.

use std::collections::BTreeMap;

use super::finding::Finding;
use crate::catalog::{Date, FlagMatch, SuspectRule, severity_via_chain};
use crate::classify::{Destination, Rules};
use crate::model::Confidence;

/// Findings by list, by class. The user's rules replace what the catalog says about the same class.
pub fn listed(destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Vec<Finding> {
    let destination = destination.without_search_path(rules.cluster_domain);
    let mut by_class: BTreeMap<Box<str>, Finding> = BTreeMap::new();
    for rule in &rules.settings.suspects {
        if let Some(found) = by_user(rule, &destination, rules) {
            by_class.entry(rule.class.clone()).or_insert(found);
        }
    }
    for flag in rules.catalog.flags(&destination.subject()) {
        by_class.entry(flag.class.into()).or_insert_with(|| by_catalog(flag, &destination));
    }
    by_class.into_values().map(|finding| finding.with_exemptions(&destination, rules, day)).collect()
}

fn by_user(rule: &SuspectRule, destination: &Destination<'_>, rules: &Rules<'_>) -> Option<Finding> {
    let Destination { namespace, port, name, chain, addresses, .. } = *destination;
    let own: Vec<&str> = name.into_iter().collect();
    let direct = rule.reach.finds(namespace, port, &own, addresses);
    let pattern = direct.or_else(|| rule.reach.finds(namespace, port, chain, &[]))?;
    let matched_name = own.iter().chain(chain).find(|name| pattern.matches_name(name)).map(|name| (*name).into());
    let matched_address =
        || addresses.iter().find(|address| pattern.matches_address(**address)).map(ToString::to_string);
    let subject: Box<str> = matched_name.or_else(|| matched_address().map(Into::into)).unwrap_or_default();
    let via_chain = direct.is_none();
    Some(Finding {
        rule: format!("suspect/{}", rule.class).into(),
        class: rule.class.clone(),
        label: pattern.to_string().into(),
        severity: if via_chain { severity_via_chain(&rule.class, rule.severity) } else { rule.severity },
        confidence: Confidence::High,
        subject,
        matched: format!("{} suspect rule {}: {pattern}", rules.settings.file, rule.number).into(),
        via_chain,
        why: rule.why.clone(),
        attack: [].into(),
        false_positive: "".into(),
        advice: "Ask the owner of the workload, and record the answer as a review.".into(),
        exempted: None,
        expired_exemption: None,
    })
}

fn by_catalog(flag: FlagMatch<'_>, destination: &Destination<'_>) -> Finding {
    // Platform components in kube-system use the node's identity by design.
    let expected = flag.class == "cloud_metadata" && destination.namespace == "kube-system";
    Finding {
        rule: format!("suspect/{}", flag.class).into(),
        class: flag.class.into(),
        label: flag.label.into(),
        severity: if expected { flag.severity.lowered() } else { flag.severity },
        confidence: flag.confidence,
        subject: flag.subject,
        matched: flag.matched,
        via_chain: flag.via_chain,
        why: flag.why.into(),
        attack: flag.attack.into(),
        false_positive: flag.caution.into(),
        advice: flag.advice.into(),
        exempted: None,
        expired_exemption: None,
    }
}
