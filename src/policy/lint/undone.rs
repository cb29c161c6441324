//! Allows that make a deny pointless: a rule that opens everything beside a default-deny, a range that fills another's exception.

use super::cover::{self, blocks, closes, is_catch_all, subject};
use super::finding::{DENY_UNDONE, HOLE_UNDONE};
use super::ground::Ground;
use super::metadata::METADATA;
use crate::model::Severity;
use crate::policy::{Action, Block, Direction, Policy, Rule, RuleId, Tier};

pub(super) fn check(ground: &mut Ground<'_>) {
    let allows = ground.rules(Action::Allow);
    for (id, policy, rule) in &allows {
        if policy.tier == Tier::Union && is_catch_all(&policy.subject, rule) {
            everything(ground, *id, policy);
        }
    }
    let ranges: Vec<(RuleId, &Policy, &Rule, Vec<Block>)> = allows
        .iter()
        .filter(|(id, _, _)| id.direction == Direction::Egress)
        .map(|(id, policy, rule)| (*id, *policy, *rule, rule.peers.iter().flatten().flat_map(blocks).collect()))
        .filter(|(_, _, _, blocks): &(_, _, _, Vec<Block>)| !blocks.is_empty())
        .collect();
    for holey in ranges.iter().filter(|(_, _, _, blocks)| blocks.iter().any(|block| !block.except.is_empty())) {
        for filling in &ranges {
            hole(ground, holey, filling);
        }
    }
}

fn everything(ground: &mut Ground<'_>, id: RuleId, policy: &Policy) {
    let is_pure = |other: &Policy| {
        other.section(id.direction).is_some_and(|section| section.rules.iter().all(|rule| rule.action != Action::Allow))
    };
    let no_deny = |other: &Policy| {
        other.section(id.direction).is_some_and(|section| section.rules.iter().all(|rule| rule.action != Action::Deny))
    };
    let Some(cluster) = ground.clusters_of(policy).next() else { return };
    let undone = ground.in_force(cluster).find(|other| {
        other.id != policy.id
            && other.tier == Tier::Union
            && is_pure(other)
            && no_deny(other)
            && closes(other, id.direction)
            && (subject(&other.subject, &policy.subject) || subject(&policy.subject, &other.subject))
    });
    if let Some(other) = undone {
        let message = format!(
            "allows all {}, so that {} closes nothing for pods of `{}`",
            id.direction.as_str(),
            other.id,
            policy.subject.pods
        );
        ground.rule(&DENY_UNDONE, Severity::High, id, message, "list what these pods need, and remove this rule");
    }
}

type Ranges<'a> = (RuleId, &'a Policy, &'a Rule, Vec<Block>);

fn hole(ground: &mut Ground<'_>, (id, policy, rule, blocks): &Ranges<'_>, filling: &Ranges<'_>) {
    let (filling_id, filling_policy, filling_rule, fillers) = filling;
    let overlap =
        subject(&policy.subject, &filling_policy.subject) || subject(&filling_policy.subject, &policy.subject);
    let same_cluster = policy.id.cluster.is_none()
        || filling_policy.id.cluster.is_none()
        || policy.id.cluster == filling_policy.id.cluster;
    if id == filling_id || !overlap || !same_cluster || !cover::ports(&filling_rule.ports, &rule.ports) {
        return;
    }
    for hole in blocks.iter().flat_map(|block| &block.except) {
        let as_block = Block { net: *hole, except: Vec::new() };
        let Some(filler) = fillers.iter().find(|filler| cover::block(filler, &as_block)) else { continue };
        let holds_metadata = METADATA.iter().any(|(text, _, severity)| {
            *severity == Severity::High && text.parse().is_ok_and(|address: std::net::IpAddr| hole.contains(&address))
        });
        let severity = if holds_metadata { Severity::Medium } else { Severity::Low };
        let message = format!(
            "`{}` lets the same pods reach `{hole}`, which {} {} takes out",
            filler.net,
            policy.id,
            super::ground::place(rule)
        );
        ground.rule(&HOLE_UNDONE, severity, *filling_id, message, "give this range the same exceptions, or narrow it");
    }
}
