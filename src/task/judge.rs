//! Every edge of egress, judged: category, findings, and where the owner's review stands.
//!
//! In: an atlas, the catalog, the user's settings and reviews. Out: one [`Judgement`] per edge, in the order of the edges. The day
//! that decides what has expired is that of the last event, so that the same input gives the same documents on any day.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::catalog::{Catalog, Date, ReviewState, Reviewed, Reviews, Settings};
use crate::classify::{Destination, Rules, classify};
use crate::detect::{Finding, findings};
use crate::model::{Severity, Timestamp};
use crate::report::{AtlasView, FindingView, Judgement, ReviewView};
use crate::summary::{Atlas, Edge, Peer};

/// The DNS domain that Kubernetes gives a cluster unless it is told otherwise.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Judges all egress of an atlas.
pub fn judge<'a>(atlas: &'a Atlas, catalog: &Catalog, settings: &Settings, reviews: &Reviews) -> AtlasView<'a> {
    let rules = Rules { catalog, settings, cluster_domain: CLUSTER_DOMAIN };
    let day = last_day(atlas);
    let mut view = AtlasView::new(atlas);
    let mut judgements = BTreeMap::new();
    for (cluster, content) in &atlas.clusters {
        for (name, namespace) in &content.namespaces {
            let judged = namespace.egress.iter().map(|edge| judge_edge(edge, (cluster, name), &rules, reviews, day));
            judgements.insert((&**cluster, &**name), judged.collect());
        }
    }
    view.judgements = judgements;
    view
}

/// The most serious finding that nobody has answered for, if there is any.
pub fn worst_open(view: &AtlasView<'_>) -> Option<Severity> {
    view.judgements
        .values()
        .flatten()
        .filter(|judgement| !matches!(judgement.review, ReviewView::Approved { .. } | ReviewView::NotNeeded))
        .flat_map(|judgement| &judgement.findings)
        .filter(|finding| finding.exempted.is_none())
        .map(|finding| finding.severity)
        .max()
}

fn last_day(atlas: &Atlas) -> Date {
    let last =
        atlas.clusters.values().flat_map(|cluster| &cluster.coverage).filter_map(|source| source.activity.last).max();
    Date::of(last.unwrap_or(Timestamp::from_nanos(0)))
}

fn judge_edge(
    edge: &Edge,
    (cluster, namespace): (&str, &str),
    rules: &Rules<'_>,
    reviews: &Reviews,
    day: Date,
) -> Judgement {
    let chains: Vec<&str> = edge.seen.chains.iter().flat_map(|chain| chain.split(" → ")).collect();
    let dialled: Vec<IpAddr> = edge.seen.addresses.keys().copied().collect();
    let name = match &edge.key.peer {
        Peer::Name(name) => Some(&**name),
        _ => None,
    };
    let destination = Destination {
        cluster,
        namespace,
        name,
        chain: if name.is_some() { &chains } else { &[] },
        addresses: &dialled,
        port: (edge.key.port != 0).then_some(edge.key.port),
        protocol: edge.key.protocol,
        in_cluster: !matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_)),
    };
    let category = classify(&destination, rules);
    let found = if destination.in_cluster { Vec::new() } else { findings(&destination, rules, day) };
    let review = review(&edge.key.peer, (cluster, namespace), reviews, day, found.iter().any(Finding::is_open));
    Judgement {
        category: category.category,
        rule: category.rule.into(),
        label: category.label.map(Into::into),
        findings: found.into_iter().map(finding_view).collect(),
        review,
    }
}

fn finding_view(finding: Finding) -> FindingView {
    let mut why = finding.why.to_string();
    if let Some(expired) = &finding.expired_exemption {
        why = format!("{why} (an exemption by {} ran out on {})", expired.owner, expired.expires);
    }
    FindingView {
        rule: finding.rule.into(),
        class: finding.class.into(),
        severity: finding.severity,
        confidence: finding.confidence,
        matched: finding.matched.into(),
        why,
        false_positive: Some(finding.false_positive.into()).filter(|text: &String| !text.is_empty()),
        attack: finding.attack.iter().map(ToString::to_string).collect(),
        advice: finding.advice.into(),
        exempted: finding
            .exempted
            .map(|by| format!("{}, owner {}: {}; until {}", by.rule, by.owner, by.reason, by.expires)),
    }
}

/// The owner's decision, where one is needed or was given.
fn review(
    peer: &Peer,
    (cluster, namespace): (&str, &str),
    reviews: &Reviews,
    day: Date,
    is_suspect: bool,
) -> ReviewView {
    let reviewed = match peer {
        Peer::Name(name) => Reviewed::Name(name),
        Peer::Address(address) => Reviewed::Address(*address),
        _ => return ReviewView::NotNeeded,
    };
    match reviews.state(cluster, namespace, reviewed, day) {
        ReviewState::Pending if is_suspect => ReviewView::Pending,
        ReviewState::Pending => ReviewView::NotNeeded,
        ReviewState::Approved(by) => ReviewView::Approved {
            owner: by.owner.to_string(),
            reason: by.reason.to_string(),
            expires: by.expires.map(|day| day.to_string()),
        },
        ReviewState::Rejected(by) => ReviewView::Rejected {
            owner: by.owner.to_string(),
            reason: by.reason.to_string(),
            expires: by.expires.map(|day| day.to_string()),
        },
        ReviewState::Expired(by) => ReviewView::Expired {
            owner: by.owner.to_string(),
            reason: by.reason.to_string(),
            expires: by.expires.map(|day| day.to_string()),
        },
    }
}
