//! Many names below one parent become one pattern, where that is safe to say.
//!
//! In: the rules of one subject. Out: the same rules, with siblings folded. Never below a public suffix (both sections of the Public
//! Suffix List), never where anybody can host something, never where a suspect waits below the same parent, and only in a
//! dialect whose `*` means one label: elsewhere the pattern would say more than the evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{NamePattern, Pending, PendingKind, Ports, Rule, RulePeer};
use super::plan::DraftInput;
use crate::catalog::Subject as Asked;
use crate::model::{registrable, within};

/// Folds siblings, where the settings and the dialect allow it.
pub(super) fn fold(input: &DraftInput<'_>, rules: Vec<Rule>, pending: &[Pending]) -> Vec<Rule> {
    let least = usize::try_from(input.settings.draft.wildcard_siblings).unwrap_or(usize::MAX);
    if least == 0 || !input.dialect.has_one_label_wildcards() {
        return rules;
    }
    let mut families: BTreeMap<(String, Ports), usize> = BTreeMap::new();
    for rule in &rules {
        if let Some(family) = family(rule) {
            *families.entry(family).or_default() += 1;
        }
    }
    families.retain(|(parent, _), count| *count >= least && is_owned(input, parent) && !is_suspect(pending, parent));
    let mut folded: BTreeMap<(String, Ports), Rule> = BTreeMap::new();
    let mut kept = Vec::new();
    for rule in rules {
        match family(&rule).filter(|family| families.contains_key(family)) {
            None => kept.push(rule),
            Some(family) => match folded.get_mut(&family) {
                Some(known) => known.evidence.absorb(&rule.evidence),
                None => {
                    folded.insert(family, rule);
                }
            },
        }
    }
    for ((parent, ports), rule) in folded {
        let count = families.get(&(parent.clone(), ports)).copied().unwrap_or_default();
        kept.push(widened(rule, parent, count));
    }
    kept.sort_by(|one, two| one.id.cmp(&two.id));
    kept
}

/// The name above a rule's name, and the rule's ports.
fn family(rule: &Rule) -> Option<(String, Ports)> {
    match &rule.peer {
        RulePeer::Name(NamePattern::Exact(name)) if !rule.is_dns => {
            let (_, parent) = name.split_once('.')?;
            Some((parent.to_owned(), rule.ports.clone()))
        }
        _ => None,
    }
}

/// Whether one owner answers for everything below `parent`.
fn is_owned(input: &DraftInput<'_>, parent: &str) -> bool {
    let asked = format!("name.{parent}");
    let subject = Asked { name: Some(&asked), ..Asked::default() };
    registrable(parent).is_some_and(|owner| within(parent, owner))
        && input.catalog.reviews(&subject).is_empty()
        && input.catalog.flags(&subject).is_empty()
}

fn is_suspect(pending: &[Pending], parent: &str) -> bool {
    pending.iter().filter(|pending| pending.kind == PendingKind::Suspect).any(|pending| {
        pending
            .edge
            .as_ref()
            .is_some_and(|edge| matches!(&edge.peer, crate::summary::Peer::Name(name) if within(name, parent)))
    })
}

fn widened(rule: Rule, parent: String, count: usize) -> Rule {
    let head = rule.id.rsplit_once("egress/").map_or("", |(head, _)| head);
    let id = format!("{head}egress/*.{parent}");
    let mut remarks: BTreeSet<String> = rule.remarks.into_iter().collect();
    remarks.insert(format!(
        "wider than the evidence: {count} names one label below `{parent}` were seen, any such name is allowed; `wildcard_siblings = 0` keeps exact names"
    ));
    Rule {
        id,
        peer: RulePeer::Name(NamePattern::OneLabelBelow(parent)),
        remarks: remarks.into_iter().collect(),
        ..rule
    }
}
