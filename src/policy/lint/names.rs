//! Names in rules that mean far more than one owner's servers.

use super::finding::{ANY_NAME, WILDCARD_SHARED};
use super::ground::Ground;
use crate::catalog::Subject;
use crate::model::{Severity, registrable};
use crate::policy::{Action, NamePattern, Peer};

pub(super) fn check(ground: &mut Ground<'_>) {
    for (id, _, rule) in ground.rules(Action::Allow) {
        for peer in rule.peers.iter().flatten() {
            let Peer::Name(pattern) = peer else { continue };
            if pattern.is_exact() {
                continue;
            }
            let suffix = suffix(pattern);
            if suffix.is_empty() {
                let message = format!("`{}` is every name", pattern.text);
                ground.rule(&ANY_NAME, Severity::High, id, message, "list the names that the baseline saw");
            } else if registrable(suffix).is_none() {
                let message = format!("`{}` lies below `{suffix}`, where anybody can register a name", pattern.text);
                ground.rule(&WILDCARD_SHARED, Severity::High, id, message, "list the exact names");
            } else if let Some(label) = shared(ground, suffix) {
                let message = format!("`{}` lies below `{suffix}` ({label}), which many customers share", pattern.text);
                ground.rule(&WILDCARD_SHARED, Severity::Medium, id, message, "list the exact names");
            }
        }
    }
}

/// The part that is fixed: what follows the last star, from its first whole label on.
fn suffix(pattern: &NamePattern) -> &str {
    let text = &*pattern.text;
    let tail = text.rsplit('*').next().unwrap_or_default();
    // A star within a label leaves that label open.
    if tail.starts_with('.') || tail.is_empty() {
        tail.trim_start_matches('.')
    } else {
        tail.split_once('.').map_or("", |(_, rest)| rest)
    }
}

fn shared(ground: &Ground<'_>, suffix: &str) -> Option<String> {
    let name = format!("name.{suffix}");
    let subject = Subject { name: Some(&name), ..Subject::default() };
    let mut found = ground.catalog.reviews(&subject);
    found.extend(ground.catalog.flags(&subject));
    found.first().map(|hit| hit.label.to_owned())
}
