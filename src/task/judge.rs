//! Every edge of egress, judged: category, findings, and where the owner's review stands.
//!
//! In: an atlas, the catalog, the user's settings and reviews. Out: one [`Judgement`] per edge, in the order of the edges. The day
//! that decides what has expired is that of the last event, so that the same input gives the same documents on any day.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::catalog::{BEHAVIOUR_CLASSES, Catalog, Date, ReviewState, Reviewed, Reviews, Settings};
use crate::classify::{Destination, Rules, classify};
use crate::detect::{
    Baseline, Finding, Observed, Surroundings, behaviour, findings, in_order, listed, with_evidence, workload_findings,
};
use crate::model::{Category, Confidence, Severity, Timestamp, Workload};
use crate::report::{AtlasView, FindingView, Judgement, ReviewView, WorkloadFinding};
use crate::summary::{Atlas, Edge, Peer};

/// The DNS domain that Kubernetes gives a cluster unless it is told otherwise.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Judges all egress of an atlas.
pub fn judge<'a>(atlas: &'a Atlas, catalog: &Catalog, settings: &Settings, reviews: &Reviews) -> AtlasView<'a> {
    judge_against(atlas, catalog, settings, reviews, None)
}

/// Judges all egress of an atlas, with an earlier one to tell what is new.
pub fn judge_against<'a>(
    atlas: &'a Atlas,
    catalog: &Catalog,
    settings: &Settings,
    reviews: &Reviews,
    baseline: Option<&'a Baseline>,
) -> AtlasView<'a> {
    let rules = Rules { catalog, settings, cluster_domain: CLUSTER_DOMAIN };
    let day = last_day(atlas);
    let mut view = AtlasView::new(atlas);
    let mut judgements = BTreeMap::new();
    let mut of_workloads = BTreeMap::new();
    for (cluster, content) in &atlas.clusters {
        let around = Surroundings::of(cluster, content, baseline);
        for (name, namespace) in &content.namespaces {
            let judged = namespace.egress.iter().map(|edge| judge_edge(edge, name, &around, &rules, reviews, day));
            judgements.insert((&**cluster, &**name), judged.collect());
            let found = workload_findings((cluster, name), namespace, &rules, day);
            let found: Vec<WorkloadFinding> = found
                .into_iter()
                .map(|(workload, finding)| workload_finding(workload, finding, (cluster, name), reviews, day))
                .collect();
            if !found.is_empty() {
                of_workloads.insert((&**cluster, &**name), found);
            }
        }
    }
    view.judgements = judgements;
    view.workload_findings = of_workloads;
    view
}

/// The most serious suspect that has no approval in force, if there is any: nobody decided, the decision ran out, or it was rejected and is in use.
pub fn worst_open(view: &AtlasView<'_>) -> Option<Severity> {
    let of_workloads = view.workload_findings.values().flatten().filter(|found| found.is_unanswered());
    let of_workloads = of_workloads.map(|found| found.finding.severity);
    view.judgements.values().flatten().filter_map(Judgement::unanswered).chain(of_workloads).max()
}

fn last_day(atlas: &Atlas) -> Date {
    let last =
        atlas.clusters.values().flat_map(|cluster| &cluster.coverage).filter_map(|source| source.activity.last).max();
    Date::of(last.unwrap_or(Timestamp::from_nanos(0)))
}

/// A finding about a workload; where it is about a name too, a review of that name answers for it.
fn workload_finding(
    workload: Workload,
    finding: Finding,
    (cluster, namespace): (&str, &str),
    reviews: &Reviews,
    day: Date,
) -> WorkloadFinding {
    let review = match &*finding.subject {
        _ if !finding.is_open() => ReviewView::NotNeeded,
        "" => ReviewView::Pending,
        name => review(&Peer::Name(name.into()), (cluster, namespace), reviews, day, true),
    };
    let subject = finding.subject.to_string();
    WorkloadFinding { workload, subject, finding: finding_view(finding), review }
}

/// Findings of lists about names that an ambiguous connection may have been for as well.
fn perhaps_meant(
    edge: &Edge,
    destination: &Destination<'_>,
    known: &[&str],
    rules: &Rules<'_>,
    day: Date,
) -> Vec<Finding> {
    let mut found: BTreeMap<Box<str>, Finding> = BTreeMap::new();
    for candidate in edge.seen.candidates.keys() {
        let other = Destination { name: Some(candidate), chain: &[], addresses: &[], ..*destination };
        for finding in listed(&other, rules, day) {
            if !known.contains(&&*finding.class) {
                found.entry(finding.class.clone()).or_insert_with(|| Finding {
                    confidence: Confidence::Low,
                    why: format!("some of these connections may have been for {candidate}: {}", finding.why).into(),
                    ..finding
                });
            }
        }
    }
    found.into_values().collect()
}

fn judge_edge(
    edge: &Edge,
    namespace: &str,
    around: &Surroundings<'_>,
    rules: &Rules<'_>,
    reviews: &Reviews,
    day: Date,
) -> Judgement {
    let chains: Vec<&str> = edge.seen.chains.iter().flat_map(|chain| chain.split(" → ")).collect();
    let dialled: Vec<IpAddr> = edge.seen.telling_addresses();
    let name = match &edge.key.peer {
        Peer::Name(name) => Some(&**name),
        _ => None,
    };
    let cluster = around.cluster;
    let destination = Destination {
        cluster,
        namespace,
        workload: &edge.key.workload.name,
        name,
        chain: if name.is_some() { &chains } else { &[] },
        addresses: &dialled,
        port: (edge.key.port != 0).then_some(edge.key.port),
        protocol: edge.key.protocol,
        in_cluster: !matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_)),
    };
    let category = classify(&destination, rules);
    let mut found = if destination.in_cluster { Vec::new() } else { findings(&destination, rules, day) };
    // Ranges that are inside have a category; nobody outside is behind them.
    if !destination.in_cluster && category.category != Category::Internal {
        let listed: Vec<&str> = found.iter().map(|finding| &*finding.class).collect();
        let is_suspect = listed.iter().any(|class| !BEHAVIOUR_CLASSES.contains(class));
        let is_unknown = category.category == Category::Unclassified;
        let observed = Observed { around, namespace, edge, is_unknown, is_suspect };
        let more = behaviour(&observed, &destination, &listed, rules, day);
        let maybe = perhaps_meant(edge, &destination, &listed, rules, day);
        found = found.into_iter().map(|finding| with_evidence(finding, &observed)).collect();
        found.extend(more);
        found.extend(maybe);
        in_order(&mut found);
    }
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
