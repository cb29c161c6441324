//! In which order policies have their say about a pod, and the possible outcomes of that.
//!
//! Where something cannot be told, both continuations are followed; the outcome is the set of what can happen. Only when
//! everything that can happen is the same is there a verdict.

use super::verdict::{Citation, Denial};
use crate::policy::{Action, Doubt, Match, RuleId, TierEnd};

/// A policy that may select the pod: place in the set, and whether it does.
pub(super) type Selecting = (usize, Match);

/// Policies that are asked together.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Without order.
    Union(Vec<Selecting>),
    /// One after another.
    Ordered {
        policies: Vec<Selecting>,
        end: TierEnd,
        /// The stage that is next after a `Pass`, by its place.
        after_pass: usize,
    },
}

/// What can happen to a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    /// It is allowed, by these.
    pub(super) allowed: Vec<Citation>,
    /// Some allowing rule may match.
    pub(super) may_be_allowed: bool,
    /// Nothing has anything to say.
    pub(super) open: bool,
    /// It is stopped.
    pub(super) denied: Option<Denial>,
    /// The first doubt met.
    pub(super) doubt: Option<Doubt>,
}

impl Outcomes {
    fn doubt(&mut self, doubt: Doubt) {
        self.doubt.get_or_insert(doubt);
    }

    fn deny(&mut self, by: Option<RuleId>, isolated_by: impl FnOnce() -> Vec<usize>) {
        if self.denied.is_none() {
            self.denied = Some(Denial { by, isolated_by: isolated_by(), nearest: None });
        }
    }
}

/// One rule against one connection.
pub(super) struct Tried {
    pub(super) rule: RuleId,
    pub(super) action: Action,
    pub(super) found: Match,
    pub(super) peer: Option<usize>,
    pub(super) port: Option<usize>,
}

impl Tried {
    const fn citation(&self) -> Citation {
        Citation { rule: self.rule, peer: self.peer, port: self.port }
    }
}

/// Tries the rules of a policy; says whether the policy isolates.
pub(super) trait Tries {
    /// Hands over each rule that is not certainly out of the question, in order, until `take` says stop.
    fn rules(&self, policy: usize, take: &mut dyn FnMut(Tried) -> bool);
    /// Whether the policy isolates by being there.
    fn isolates(&self, policy: usize) -> bool;
    /// Whether the order of two policies of one tier is left open.
    fn are_tied(&self, one: usize, two: usize) -> bool;
}

/// Follows the stages.
pub(super) fn follow(stages: &[Stage], tries: &impl Tries) -> Outcomes {
    let mut outcomes = Outcomes::default();
    // Which stages can be reached, and whether for certain.
    let mut reach = vec![Match::No; stages.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = Match::Yes;
    }
    for (place, stage) in stages.iter().enumerate() {
        if reach.get(place).is_none_or(|reached| reached.is_no()) {
            continue;
        }
        let exits = match stage {
            Stage::Union(policies) => union(policies, tries, &mut outcomes),
            Stage::Ordered { policies, end, .. } => ordered(policies, *end, tries, &mut outcomes),
        };
        let after_pass = match stage {
            Stage::Ordered { after_pass, .. } => *after_pass,
            Stage::Union(_) => place + 1,
        };
        for (next, leads) in [(place + 1, exits.falls), (after_pass, exits.passes)] {
            if let Some(slot) = reach.get_mut(next)
                && leads
            {
                *slot = Match::Yes;
            }
        }
    }
    outcomes.open = reach.last().is_some_and(|reached| reached.is_yes());
    outcomes
}

/// How a stage can be left without a decision.
#[derive(Default)]
struct Exits {
    falls: bool,
    passes: bool,
}

fn ordered(policies: &[Selecting], end: TierEnd, tries: &impl Tries, outcomes: &mut Outcomes) -> Exits {
    let mut exits = Exits::default();
    for (place, (policy, selected)) in policies.iter().enumerate() {
        let mut decided = None;
        tries.rules(*policy, &mut |tried| {
            let found = selected.and(tried.found);
            if found.is_no() || tried.action == Action::Log {
                return false;
            }
            match tried.action {
                Action::Allow if found.is_yes() => outcomes.allowed.push(tried.citation()),
                Action::Allow => outcomes.may_be_allowed = true,
                Action::Deny => outcomes.deny(Some(tried.rule), Vec::new),
                Action::Pass => exits.passes = true,
                Action::Log => {}
            }
            if let Match::Unknown(doubt) = found {
                outcomes.doubt(doubt);
            }
            decided = found.is_yes().then_some(tried.action);
            decided.is_some()
        });
        if let Some(action) = decided {
            let later = policies.get(place + 1..).unwrap_or_default();
            tied(
                later.iter().take_while(|(other, _)| tries.are_tied(*policy, *other)),
                action,
                tries,
                outcomes,
                &mut exits,
            );
            return exits;
        }
    }
    let any = policies.iter().fold(Match::No, |so_far, (_, selected)| so_far.or(*selected));
    match (end, any) {
        (TierEnd::DenySelected, Match::Yes) => outcomes.deny(None, || places(policies)),
        (TierEnd::DenySelected, Match::Unknown(doubt)) => {
            outcomes.deny(None, || places(policies));
            outcomes.doubt(doubt);
            exits.falls = true;
        }
        _ => exits.falls = true,
    }
    exits
}

/// What could happen as well if one of these policies came before the one that took `action`.
fn tied<'p>(
    policies: impl Iterator<Item = &'p Selecting>,
    action: Action,
    tries: &impl Tries,
    outcomes: &mut Outcomes,
    exits: &mut Exits,
) {
    for (policy, selected) in policies {
        tries.rules(*policy, &mut |tried| {
            let found = selected.and(tried.found);
            if found.is_no() || tried.action == Action::Log {
                return false;
            }
            if tried.action != action {
                match tried.action {
                    Action::Allow => outcomes.may_be_allowed = true,
                    Action::Deny => outcomes.deny(Some(tried.rule), Vec::new),
                    Action::Pass | Action::Log => exits.passes = true,
                }
                outcomes.doubt(Doubt::SamePriority);
            }
            found.is_yes()
        });
    }
}

fn places(policies: &[Selecting]) -> Vec<usize> {
    policies.iter().map(|(policy, _)| *policy).collect()
}

/// What the policies of a union say together.
struct United {
    isolated: Match,
    allowed: Match,
    /// Whether every policy that may isolate would itself allow the connection for certain.
    all_allow: bool,
}

fn union(policies: &[Selecting], tries: &impl Tries, outcomes: &mut Outcomes) -> Exits {
    let mut united = United { isolated: Match::No, allowed: Match::No, all_allow: true };
    let mut denied = Match::No;
    let mut allowing = Vec::new();
    for (policy, selected) in policies {
        let isolates = tries.isolates(*policy);
        if isolates {
            united.isolated = united.isolated.or(*selected);
        }
        let mut allows = false;
        tries.rules(*policy, &mut |tried| {
            let found = selected.and(tried.found);
            match tried.action {
                Action::Deny if !found.is_no() => {
                    denied = denied.or(found);
                    outcomes.deny(Some(tried.rule), Vec::new);
                    if let Match::Unknown(doubt) = found {
                        outcomes.doubt(doubt);
                    }
                }
                Action::Allow => {
                    united.allowed = united.allowed.or(found);
                    allows |= tried.found.is_yes();
                    if found.is_yes() {
                        allowing.push(tried.citation());
                    }
                }
                _ => {}
            }
            false
        });
        united.all_allow &= allows || !isolates;
    }
    if denied.is_yes() {
        return Exits::default();
    }
    let isolating = || {
        let of_union = policies.iter().filter(|(policy, _)| tries.isolates(*policy));
        of_union.map(|(policy, _)| *policy).collect()
    };
    let falls = !united.isolated.is_yes();
    match (united.isolated, united.allowed) {
        (Match::No, _) => {}
        (_, Match::Yes) => outcomes.allowed.append(&mut allowing),
        (_, _) if united.all_allow => outcomes.may_be_allowed = true,
        (Match::Yes, Match::No) => outcomes.deny(None, isolating),
        (Match::Unknown(doubt), Match::No) | (_, Match::Unknown(doubt)) => {
            outcomes.deny(None, isolating);
            outcomes.may_be_allowed |= !united.allowed.is_no();
            outcomes.doubt(doubt);
        }
    }
    Exits { falls, passes: false }
}
