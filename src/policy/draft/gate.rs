//! What may enter a draft at all: passed traffic, reviewed suspects, evidence above the threshold.
//!
//! In: an edge with its judgement, the settings, and the reviews where a newer file was given. Out: nothing when the way is open, else
//! why it is closed and what would open it.

use std::net::IpAddr;

use super::baseline::{SeenEdge, SeenReview};
use super::model::PendingKind;
use super::plan::DraftInput;
use crate::catalog::{ReviewState, Reviewed};
use crate::model::{Grade, Protocol};
use crate::summary::Peer;

/// Why an edge stays out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) kind: PendingKind,
    pub(super) why: String,
    pub(super) admit: String,
}

impl Out {
    pub(super) fn new(kind: PendingKind, why: impl Into<String>, admit: impl Into<String>) -> Self {
        Self { kind, why: why.into(), admit: admit.into() }
    }
}

/// Checks that hold for every edge: a protocol that policies know, and traffic that passed.
pub(super) fn passes(edge: &SeenEdge) -> Result<(), Out> {
    if edge.connections > 0 && edge.denied >= edge.connections {
        return Err(Out::new(
            PendingKind::Denied,
            "a policy in force denied every one of these connections",
            "if it is meant to work, allow it by hand and run the baseline again",
        ));
    }
    if !matches!(edge.protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP) {
        return Err(Out::new(
            PendingKind::NotExpressible,
            format!(
                "network policies select TCP, UDP and SCTP; what they do with {} is up to the network plugin",
                edge.protocol
            ),
            "test on the cluster whether it passes, and write the rule of your plugin by hand if it does not",
        ));
    }
    if edge.port == 0 {
        return Err(Out::new(
            PendingKind::Unknown,
            "the record says no port, and a rule without one would allow every port",
            "record flows without aggregation of ports, and run the baseline again",
        ));
    }
    Ok(())
}

/// Checks for destinations outside: the owner's review, and the evidence for the name.
pub(super) fn admits(input: &DraftInput<'_>, namespace: &str, edge: &SeenEdge) -> Result<Option<String>, Out> {
    let approval = reviewed(input, namespace, edge)?;
    if !matches!(edge.peer, Peer::Name(_)) {
        return Ok(approval);
    }
    let draft = &input.settings.draft;
    let usual = usual_grade(edge);
    if usual > draft.min_grade {
        let good = edge.grades.iter().filter(|(grade, _)| **grade <= draft.min_grade).map(|(_, count)| *count);
        let good = good.fold(0_u64, u64::saturating_add);
        return Err(Out::new(
            PendingKind::WeakEvidence,
            format!(
                "the usual evidence for the name is `{usual}`, below `{}`, which {good} of the connections reach",
                draft.min_grade
            ),
            format!("record the DNS answers of these pods, or set `min_grade = \"{usual}\"` in `[draft]`"),
        ));
    }
    if edge.confidence < draft.min_confidence {
        return Err(Out::new(
            PendingKind::WeakEvidence,
            format!(
                "confidence in the name is {}, below {}",
                thousandths(edge.confidence),
                thousandths(draft.min_confidence)
            ),
            "confirm the name with its owner and lower `min_confidence` in `[draft]`",
        ));
    }
    Ok(approval)
}

/// The weakest grade that at least half of the connections reach: one good connection says nothing about a thousand others.
fn usual_grade(edge: &SeenEdge) -> Grade {
    let all = edge.grades.values().copied().fold(0, u64::saturating_add);
    let mut reached = 0_u64;
    for (grade, count) in &edge.grades {
        reached = reached.saturating_add(*count);
        if *count > 0 && reached >= all.div_ceil(2) {
            return *grade;
        }
    }
    Grade::None
}

/// Whether an edge is suspect and nobody's approval is in force.
pub(super) fn is_suspect(input: &DraftInput<'_>, namespace: &str, edge: &SeenEdge) -> bool {
    reviewed(input, namespace, edge).is_err()
}

/// The approval that is in force, if one was needed; an error where one is missing.
fn reviewed(input: &DraftInput<'_>, namespace: &str, edge: &SeenEdge) -> Result<Option<String>, Out> {
    let Some(judgement) = &edge.judgement else { return Ok(None) };
    let state = match (input.reviews, reviewed_as(&edge.peer)) {
        (Some((reviews, day)), Some(subject)) => {
            let state = reviews.state(&input.baseline.cluster, namespace, subject, day);
            match state {
                ReviewState::Approved(_) => SeenReview::Approved(state.to_string()),
                ReviewState::Pending if judgement.open.is_empty() => SeenReview::NotNeeded,
                _ => SeenReview::Closed(state.to_string()),
            }
        }
        _ => judgement.review.clone(),
    };
    let suspicions = || {
        let each: Vec<String> =
            judgement.open.iter().map(|finding| format!("{}: {}", finding.class, finding.why)).collect();
        if each.is_empty() { "the owner's decision does not admit it (any more)".to_owned() } else { each.join("; ") }
    };
    match state {
        SeenReview::Approved(by) => Ok(Some(by)),
        SeenReview::Closed(state) => Err(Out::new(
            PendingKind::Suspect,
            format!("{}; review: {state}", suspicions()),
            "an owner's `[[review]]` with `decision = \"approved\"` in `reviews.toml`",
        )),
        // A suspicion without a review is as closed as a pending one.
        SeenReview::NotNeeded if !judgement.open.is_empty() => Err(Out::new(
            PendingKind::Suspect,
            suspicions(),
            "an owner's `[[review]]` with `decision = \"approved\"` in `reviews.toml`",
        )),
        SeenReview::NotNeeded => Ok(None),
    }
}

fn reviewed_as(peer: &Peer) -> Option<Reviewed<'_>> {
    match peer {
        Peer::Name(name) => Some(Reviewed::Name(name)),
        Peer::Address(address) => Some(Reviewed::Address(*address)),
        _ => None,
    }
}

/// `0.75` for 750.
pub(super) fn thousandths(share: u16) -> String {
    format!("{:.2}", f64::from(share) / 1_000.0)
}

/// The addresses of an edge.
pub(super) fn addresses(edge: &SeenEdge) -> Vec<IpAddr> {
    edge.addresses.keys().map(IpAddr::to_canonical).collect()
}
