//! The rule that comes closest to a connection that nothing allows, and what it lacks.

use super::evaluator::Attempt;
use super::matching;
use super::plan::Stage;
use super::verdict::{Miss, NearestMiss};
use crate::model::Protocol;
use crate::policy::{Action, Direction, Match, Peer, PortMatch, Rule, RuleId, Selector};

/// The closest rule of the policies that select the pod; the one that denies, if one does.
pub(super) fn nearest(attempt: &Attempt<'_, '_>, by: Option<RuleId>, stages: &[Stage]) -> Option<NearestMiss> {
    if let Some(rule) = by {
        return Some(NearestMiss { rule, miss: Miss::Denied });
    }
    let mut best: Option<(u8, NearestMiss)> = None;
    for (number, selected) in stages.iter().flat_map(Stage::policies) {
        let Some(policy) = attempt.set().policies.get(*number).filter(|_| selected.is_yes()) else { continue };
        let rules = policy.section(attempt.flow.direction).map(|section| section.rules.as_slice()).unwrap_or_default();
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.action == Action::Allow) {
            let id = RuleId { policy: *number, direction: attempt.flow.direction, rule: place };
            let Some((distance, miss)) = self::miss(attempt, id, rule) else { continue };
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                best = Some((distance, NearestMiss { rule: id, miss }));
            }
        }
    }
    best.map(|(_, nearest)| nearest)
}

/// What one rule lacks, and how far that is; `None` when more than one thing is missing.
fn miss(attempt: &Attempt<'_, '_>, id: RuleId, rule: &Rule) -> Option<(u8, Miss)> {
    let (peers, _) = attempt.peers(id.policy, id.rule);
    let (ports, _) = matching::ports(&rule.ports, &attempt.flow);
    if peers.is_yes() && ports.is_no() {
        let by_number = |element: &PortMatch| matching::number(&element.port, &attempt.flow).is_yes();
        let same_number = rule.ports.any_of.iter().flatten().any(by_number);
        // A rule for anybody at other ports (time servers, say) is no hint at this peer, and to add a port would open the world.
        if rule.is_for_the_world() {
            return None;
        }
        if matches!(attempt.flow.protocol, Protocol::ICMPV4 | Protocol::ICMPV6) {
            // To add the protocol alone would open every type.
            return attempt.flow.icmp.map(|message| (1, Miss::Message(message)));
        }
        return Some(if same_number { (0, Miss::Protocol) } else { (1, Miss::Port) });
    }
    if !ports.is_yes() {
        return None;
    }
    rule.peers.iter().flatten().filter_map(|peer| peer_miss(attempt, peer)).min()
}

fn peer_miss(attempt: &Attempt<'_, '_>, peer: &Peer) -> Option<(u8, Miss)> {
    let other = attempt.other();
    match peer {
        Peer::Pods { namespaces, pods } if other.is_pod() => {
            let (namespace, labels) = (namespaces.matches(other), pods.matches(other));
            match (namespace, labels) {
                // A selector for every pod says nothing about this one.
                (Match::No, Match::Yes) if !pods.is_everything() => {
                    Some((2, Miss::Namespace(unmet(namespaces, other))))
                }
                (Match::No, Match::Yes) => Some((6, Miss::Namespace(unmet(namespaces, other)))),
                (Match::Yes, Match::No) => Some((3, Miss::Labels(unmet(pods, other)))),
                _ => None,
            }
        }
        Peer::Block(block) | Peer::Range(block) => {
            let address = other.address?;
            if block.contains(address) {
                return Some((3, Miss::BlockOnCluster));
            }
            let hole =
                block.except.iter().find(|hole| hole.contains(&address)).filter(|_| block.net.contains(&address));
            hole.map(|hole| (2, Miss::Hole(hole.to_string())))
        }
        Peer::Name(pattern) if attempt.flow.direction == Direction::Egress => {
            let name = attempt.flow.names.list.first()?;
            if pattern.matches(name) {
                return (!attempt.serves(name)).then(|| (1, Miss::NoDnsRule(name.to_string())));
            }
            // Only a name of the same owner is a hint.
            let written = pattern.text.trim_start_matches(['*', '.']);
            let owner = |name: &str| crate::model::registrable(name).map(ToOwned::to_owned);
            let related = owner(name).is_some() && owner(name) == owner(written);
            related.then(|| (2, Miss::Name(pattern.text.to_string())))
        }
        _ => None,
    }
}

fn unmet(selector: &Selector, end: &super::End) -> String {
    let text = selector.first_unmet(end).unwrap_or(selector).to_string();
    text.chars().take(200).collect()
}
