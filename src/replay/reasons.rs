//! Why connections pass, break or cannot be told, summed up by reason: the answer for one destination or one pair of ends.
//!
//! In: distinct connections and the policies of their clusters. Out: one [`Reasoned`] for each different reason, the worst first. In
//! contrast to [`replay`](super::replay()), connections that were denied when they were recorded are judged like any others, and counted
//! apart: whether the policies explain what the CNI did is half of the question.

use std::collections::BTreeMap;

use super::end::EndKind;
use super::evaluator::{Evaluator, Prepared};
use super::fold::{Recorded, Seen};
use super::tally::wanted;
use super::verdict::{Judgement, Verdict};
use crate::model;
use crate::policy::{Direction, Doubt};

/// Why, in the order of urgency: what is stopped, what cannot be told, what passes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// Nothing allows it, or a rule denies it.
    Stopped {
        /// On whose side.
        side: Direction,
        /// The policies that stop it, by name.
        policies: Vec<String>,
        /// The rule that comes closest and what it lacks; empty when none does.
        nearest: String,
    },
    /// It cannot be told.
    Doubtful {
        /// On whose side.
        side: Direction,
        /// What is missing.
        doubt: Doubt,
    },
    /// These rules allow it, by name; both ends.
    Allowed(Vec<String>),
    /// No policy isolates either end in that direction.
    NotIsolated,
    /// No policy can be about these ends: neither is a pod.
    NotSubject,
}

impl Because {
    /// The answer in one word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped { .. } => Verdict::WouldBreak.as_str(),
            Self::Doubtful { .. } => Verdict::Undecidable.as_str(),
            Self::Allowed(_) => Verdict::Allowed.as_str(),
            Self::NotIsolated => Verdict::NotIsolated.as_str(),
            Self::NotSubject => "not-subject",
        }
    }

    fn of(judgement: &Judgement, evaluator: &Evaluator<'_>, wanted: &str) -> Self {
        let set = evaluator.set();
        if let Some((side, denial)) = judgement.denial() {
            let policies = match denial.by {
                Some(rule) => vec![rule.policy],
                None => denial.isolated_by.clone(),
            };
            let policies = policies.into_iter().filter_map(|number| set.policies.get(number));
            return Self::Stopped {
                side,
                policies: policies.map(|policy| policy.id.to_string()).collect(),
                nearest: denial.nearest.as_ref().map(|nearest| nearest.describe(set, wanted)).unwrap_or_default(),
            };
        }
        if let Some((side, doubt)) = judgement.doubt() {
            return Self::Doubtful { side, doubt };
        }
        let mut rules: Vec<String> = judgement.citations().map(|citation| set.rule_text(citation.rule)).collect();
        rules.sort();
        rules.dedup();
        if rules.is_empty() { Self::NotIsolated } else { Self::Allowed(rules) }
    }
}

/// Connections with one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasoned {
    /// Why.
    pub because: Because,
    /// How often and when.
    pub seen: Seen,
    /// Of these, denied when they were recorded.
    pub recorded_denied: u64,
}

/// Judges every distinct connection and sums up by reason, the worst first. `of_cluster` gives the evaluator of a cluster.
pub fn reasons<'e, 's: 'e>(
    recorded: &Recorded,
    of_cluster: impl Fn(&str) -> Option<&'e Evaluator<'s>>,
) -> Vec<Reasoned> {
    let prepared: Vec<Option<Prepared>> = recorded
        .ends
        .iter()
        .map(|end| of_cluster(&end.cluster).map(|evaluator| evaluator.prepare(end.clone())))
        .collect();
    let mut sums: BTreeMap<Because, (Seen, u64)> = BTreeMap::new();
    for edge in &recorded.edges {
        let ends = [edge.client, edge.server].map(|place| prepared.get(place).and_then(Option::as_ref));
        let [Some(client), Some(server)] = ends else { continue };
        let Some(evaluator) = of_cluster(&client.end.cluster) else { continue };
        let is_subject = client.end.is_pod() || server.end.is_pod() || client.end.kind == EndKind::Unknown;
        let because = if is_subject {
            let judgement = evaluator.judge(&edge.connection(client, server));
            Because::of(&judgement, evaluator, &wanted(edge.port, edge.protocol))
        } else {
            Because::NotSubject
        };
        let (seen, denied) = sums.entry(because).or_default();
        seen.absorb(edge.seen);
        if edge.recorded == model::Verdict::Denied {
            *denied = denied.saturating_add(edge.seen.flows);
        }
    }
    sums.into_iter().map(|(because, (seen, recorded_denied))| Reasoned { because, seen, recorded_denied }).collect()
}
