//! The category of one destination, and the rule that decided.
//!
//! Order: the user's rules, known peers of the cluster, configured networks, names of the cluster's own DNS, the
//! catalog (queried name, CNAME chain, addresses). Nobody knows: unclassified.

use super::destination::{Destination, Rules};
use crate::catalog::{CategoryMatch, Scope};
use crate::model::{Category, within};

/// A category and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    /// What the destination is for.
    pub category: Category,
    /// The rule that decided, for the reader: `catalog: datadoghq.com (Datadog, observability)`.
    pub rule: Box<str>,
    /// Who or what it is, where a rule says so.
    pub label: Option<Box<str>>,
}

/// Says what a destination is for.
pub fn classify(destination: &Destination<'_>, rules: &Rules<'_>) -> Classification {
    let destination = destination.without_search_path(rules.cluster_domain);
    let host = destination.without_external_alias(rules.cluster_domain);
    by_user(&destination, rules)
        .or_else(|| destination.in_cluster.then(|| internal("cluster workload")))
        .or_else(|| by_network(&destination, rules))
        .or_else(|| by_cluster_name(&host, rules))
        .or_else(|| rules.catalog.category(&host.subject()).map(|found| by_catalog(&found)))
        .unwrap_or_else(|| Classification {
            category: Category::Unclassified,
            rule: "no rule knows it".into(),
            label: None,
        })
}

fn internal(rule: &str) -> Classification {
    Classification { category: Category::Internal, rule: rule.into(), label: None }
}

fn by_user(destination: &Destination<'_>, rules: &Rules<'_>) -> Option<Classification> {
    let Destination { namespace, port, name, addresses, .. } = *destination;
    rules.settings.categories.iter().find_map(|rule| {
        let pattern = rule.reach.finds_all(namespace, port, name, addresses)?;
        let why = rule.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        Some(Classification {
            category: rule.category,
            rule: format!("{} rule {}: {pattern}{why}", rules.settings.file, rule.number).into(),
            label: rule.label.clone(),
        })
    })
}

/// Every address lies in a configured range.
fn by_network(destination: &Destination<'_>, rules: &Rules<'_>) -> Option<Classification> {
    let Destination { cluster, addresses, .. } = *destination;
    let mut ranges = addresses.iter().map(|address| rules.settings.network(cluster, *address));
    let (key, net) = ranges.next()??;
    let all_inside = ranges.all(|range| range.is_some());
    all_inside.then(|| internal(&format!("{} networks.{key}: {net}", rules.settings.file)))
}

fn by_cluster_name(destination: &Destination<'_>, rules: &Rules<'_>) -> Option<Classification> {
    let is_ours = |name: &str| !rules.cluster_domain.is_empty() && within(name, rules.cluster_domain);
    destination.name.is_some_and(is_ours).then(|| internal(&format!("cluster name: {}", rules.cluster_domain)))
}

fn by_catalog(found: &CategoryMatch<'_>) -> Classification {
    let CategoryMatch { matched, label, why, .. } = *found;
    let class = found.class.strip_prefix("vendor_").unwrap_or(found.class).replace('_', " ");
    let (rule, label) = match found.scope {
        Some(Scope::Internal) => (format!("private address: {matched} ({why})"), None),
        Some(Scope::Local) => (format!("local address: {matched} ({why})"), None),
        Some(Scope::Never) => (format!("reserved address: {matched} ({why})"), None),
        None if found.withheld && found.class == "odd_tld" => {
            (format!("no rule knows it (top-level domain .{label} is often abused)"), None)
        }
        None if found.withheld => {
            (format!("catalog: {matched} ({label}, {class}: anybody can be behind it)"), Some(label))
        }
        None if found.via_chain => {
            (format!("catalog: {matched} ({label}, {class}), by CNAME {}", found.subject), Some(label))
        }
        None => (format!("catalog: {matched} ({label}, {class})"), Some(label)),
    };
    Classification { category: found.category, rule: rule.into(), label: label.map(Into::into) }
}
