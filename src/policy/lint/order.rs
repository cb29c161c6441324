//! Rules that another rule covers, so that they change nothing or are never reached.

use std::collections::BTreeMap;

use super::cover;
use super::finding::{DENY_UNDONE, SHADOWED};
use super::ground::{Ground, place};
use crate::model::Severity;
use crate::policy::{Action, Dialect, Policy, Rule, RuleId, Tier};

/// More pairs than this within one namespace are not compared.
const PAIRS_MAX: usize = 4_000_000;

type Entry<'a> = (RuleId, &'a Policy, &'a Rule);

pub(super) fn check(ground: &mut Ground<'_>) {
    let set = ground.set;
    let mut by_namespace: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    for (id, policy, rule) in set.rules() {
        let decides = policy.is_enforced && matches!(rule.action, Action::Allow | Action::Deny);
        if decides && ground.clusters_of(policy).next().is_some() {
            by_namespace.entry(&policy.id.namespace).or_default().push((id, policy, rule));
        }
    }
    let wide = by_namespace.get("").cloned().unwrap_or_default();
    for (namespace, own) in &by_namespace {
        let others = if namespace.is_empty() { own.clone() } else { own.iter().chain(&wide).copied().collect() };
        if own.len().saturating_mul(others.len()) > PAIRS_MAX {
            ground.not_checked(&format!("rules that cover each other in `{namespace}`: more than two thousand rules"));
            continue;
        }
        for small in own {
            let covering = others.iter().filter_map(|large| Some((large, effect(large, small)?)));
            if let Some((large, effect)) = covering.min_by_key(|(large, effect)| (std::cmp::Reverse(effect.0), large.0))
            {
                say(ground, large, small, effect);
            }
        }
    }
}

/// Severity, and whether the small rule is a deny that never works.
type Effect = (Severity, bool);

fn effect(large: &Entry<'_>, small: &Entry<'_>) -> Option<Effect> {
    let ((large_id, large_policy, large_rule), (small_id, small_policy, small_rule)) = (large, small);
    let same_cluster = large_policy.id.cluster.is_none() || large_policy.id.cluster == small_policy.id.cluster;
    if large_id == small_id || large_id.direction != small_id.direction || !same_cluster {
        return None;
    }
    let covers = || {
        cover::rule(&large_policy.subject, large_rule, small_rule)
            && cover::subject(&large_policy.subject, &small_policy.subject)
    };
    let actions = (large_rule.action, small_rule.action);
    match (&large_policy.tier, &small_policy.tier) {
        (Tier::Union, Tier::Union) => match actions {
            (Action::Allow, Action::Deny) => None,
            (Action::Deny, Action::Allow) => covers().then_some((Severity::Medium, false)),
            // Of two that say the same, the later one is the copy.
            _ => (covers() && (large_id < small_id || !mutual(large, small))).then_some((Severity::Low, false)),
        },
        (Tier::Ordered { .. }, Tier::Ordered { .. }) => {
            if !is_before(large, small) || !covers() {
                return None;
            }
            Some(match actions {
                (Action::Allow, Action::Deny) => (Severity::High, true),
                (Action::Deny, Action::Allow) => (Severity::Medium, false),
                _ => (Severity::Low, false),
            })
        }
        _ => None,
    }
}

fn mutual(large: &Entry<'_>, small: &Entry<'_>) -> bool {
    cover::rule(&small.1.subject, small.2, large.2) && cover::subject(&small.1.subject, &large.1.subject)
}

/// Whether a rule has its turn first for certain.
fn is_before(one: &Entry<'_>, two: &Entry<'_>) -> bool {
    let ((one_id, one, _), (two_id, two, _)) = (one, two);
    if one_id.policy == two_id.policy {
        return one_id.rule < two_id.rule;
    }
    let (Tier::Ordered { rank, order, .. }, Tier::Ordered { rank: rank_two, order: order_two, .. }) =
        (&one.tier, &two.tier)
    else {
        return false;
    };
    // Policies of the same place have no order that users could rely on, except in Calico, which goes by name.
    let turn = rank.total_cmp(rank_two).then(order.total_cmp(order_two));
    let by_name = one.dialect == Dialect::Calico && turn.is_eq() && one.id.name < two.id.name;
    one.dialect == two.dialect && (turn.is_lt() || by_name)
}

fn say(ground: &mut Ground<'_>, large: &Entry<'_>, small: &Entry<'_>, (severity, undone): Effect) {
    let by =
        if large.0.policy == small.0.policy { place(large.2) } else { format!("{} {}", large.1.id, place(large.2)) };
    let small_id = small.0;
    if undone {
        let message = format!("this deny is never reached: {by} allows all of it before");
        ground.rule(&DENY_UNDONE, severity, small_id, message, "put the deny first, or narrow the allow");
    } else if severity == Severity::Medium {
        let message = format!("allows nothing: {by} denies all of it");
        ground.rule(&SHADOWED, severity, small_id, message, "remove one of the two, or change their order");
    } else {
        let message = format!("changes nothing while {by} stands, which covers it");
        ground.rule(&SHADOWED, severity, small_id, message, "remove it, or narrow the wider rule");
    }
}
