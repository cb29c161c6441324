//! The comparison itself: destination by destination, namespace by namespace.
//!
//! In: the baseline and the current document. Out: a [`Drift`]. Whatever the confidence in a name, mere volume and addresses
//! behind a name are no drift: they move by themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::super::json::{AtlasDocument, ClusterDocument, NamespaceDocument};
use super::super::wording::{sentence_list, size};
use super::change::{Change, ChangeKind, CoverageChange, DRIFT_SCHEMA, Drift};
use super::destination::{Destination, Form, Key, destinations, workload};
use super::reach::{Reach, differences};
use crate::model::Direction;

/// Compares current traffic with an approved baseline.
pub fn drift(baseline: &AtlasDocument, current: &AtlasDocument) -> Drift {
    let mut changes = Vec::new();
    let mut coverage = Vec::new();
    let names: BTreeSet<&String> = baseline.clusters.keys().chain(current.clusters.keys()).collect();
    for name in names {
        let empty = ClusterDocument::default();
        let (before, now) =
            (baseline.clusters.get(name).unwrap_or(&empty), current.clusters.get(name).unwrap_or(&empty));
        let reaches = (Reach::of(before, &baseline.window), Reach::of(now, &current.window));
        if baseline.clusters.contains_key(name) {
            let found = differences(&reaches.0, &reaches.1).into_iter();
            coverage.extend(found.map(|difference| CoverageChange { cluster: name.clone(), difference }));
        }
        compare_cluster(name, before, now, reaches, &mut changes);
    }
    changes.sort_by(|one, two| order(one).cmp(&order(two)));
    Drift { schema: DRIFT_SCHEMA, baseline: spanned(baseline), current: spanned(current), changes, coverage }
}

type Order<'a> =
    (ChangeKind, std::cmp::Reverse<Option<crate::model::Severity>>, &'a str, &'a str, Direction, &'a str, u16, &'a str);

fn order(change: &Change) -> Order<'_> {
    (
        change.change,
        std::cmp::Reverse(change.severity),
        &change.cluster,
        &change.namespace,
        change.direction,
        &change.destination,
        change.port,
        &change.protocol,
    )
}

/// First and last event of all flows; RFC 3339 in UTC with nine digits sorts as text.
fn spanned(document: &AtlasDocument) -> (Option<String>, Option<String>) {
    let flows =
        || document.clusters.values().flat_map(|cluster| &cluster.coverage).filter(|source| source.kind == "flows");
    (flows().filter_map(|source| source.first.clone()).min(), flows().filter_map(|source| source.last.clone()).max())
}

fn compare_cluster(
    cluster: &str,
    before: &ClusterDocument,
    now: &ClusterDocument,
    reaches: (Reach, Reach),
    changes: &mut Vec<Change>,
) {
    let names: BTreeSet<&String> = before.namespaces.keys().chain(now.namespaces.keys()).collect();
    for namespace in names {
        let empty = NamespaceDocument::default();
        let (before, now) =
            (before.namespaces.get(namespace).unwrap_or(&empty), now.namespaces.get(namespace).unwrap_or(&empty));
        // A namespace lists workloads without traffic too, where Kubernetes objects tell of them.
        let edges = now.egress.iter().chain(&now.ingress);
        let alive: BTreeSet<String> = edges.map(workload).collect();
        for (direction, before, now) in
            [(Direction::Egress, &before.egress, &now.egress), (Direction::Ingress, &before.ingress, &now.ingress)]
        {
            let side = Side { cluster, namespace, direction, reaches, alive: &alive };
            side.compare(&destinations(before), &destinations(now), changes);
        }
    }
}

/// One direction of one namespace.
struct Side<'a> {
    cluster: &'a str,
    namespace: &'a str,
    direction: Direction,
    /// Of the baseline, and now.
    reaches: (Reach, Reach),
    /// Workloads that the current evidence shows at all.
    alive: &'a BTreeSet<String>,
}

type Destinations = BTreeMap<Key, Destination>;

impl Side<'_> {
    fn compare(&self, before: &Destinations, now: &Destinations, changes: &mut Vec<Change>) {
        let mut renamed: BTreeSet<&Key> = BTreeSet::new();
        for (key, seen) in now {
            if let Some(known) = before.get(key) {
                changes.extend(self.changed(key, known, seen));
            } else {
                let twin = twin(before, now, key, seen);
                renamed.extend(twin.map(|(key, _)| key));
                changes.push(self.unknown(key, seen, twin));
            }
        }
        let missing = before.iter().filter(|(key, _)| !now.contains_key(key) && !renamed.contains(key));
        changes.extend(missing.map(|(key, known)| self.missing(key, known)));
    }

    fn change(&self, kind: ChangeKind, key: &Key, seen: &Destination, details: Vec<String>) -> Change {
        Change {
            change: kind,
            cluster: self.cluster.to_owned(),
            namespace: self.namespace.to_owned(),
            direction: self.direction,
            destination: key.peer.clone(),
            port: key.port,
            protocol: key.protocol.clone(),
            workloads: seen.workloads.iter().cloned().collect(),
            category: seen.category,
            findings: seen.findings.keys().cloned().collect(),
            severity: seen.findings.values().max().copied(),
            review: seen.review.clone(),
            evidence: (seen.form != Form::Inside).then(|| seen.evidence()).flatten(),
            connections: seen.connections(),
            first: seen.first.map(|time| time.to_string()),
            last: seen.last.map(|time| time.to_string()),
            details,
        }
    }

    fn unknown(&self, key: &Key, seen: &Destination, twin: Option<(&Key, &Destination)>) -> Change {
        let mut details = Vec::new();
        if let Some((known, _)) = twin {
            details.push(match seen.form {
                Form::Name => format!("the baseline knew the address {} alone; it has a name now", known.peer),
                _ => format!("the baseline knew it as {}; the answers that name it are missing now", known.peer),
            });
            return self.change(ChangeKind::Changed, key, seen, details);
        }
        if seen.denied() == seen.connections() && seen.denied() > 0 {
            details.push("every connection was denied".to_owned());
        }
        if self.reaches.0.flows.sources == 0 {
            details.push("the baseline has no flows of this cluster".to_owned());
        }
        self.change(ChangeKind::New, key, seen, details)
    }

    fn changed(&self, key: &Key, known: &Destination, seen: &Destination) -> Option<Change> {
        let mut details = Vec::new();
        let of = |set: &BTreeSet<String>, other: &BTreeSet<String>| set.difference(other).cloned().collect::<Vec<_>>();
        let added = of(&seen.workloads, &known.workloads);
        if !added.is_empty() {
            details.push(format!("also used by {}", sentence_list(&added)));
        }
        if let (Some(was), Some(is)) = (known.category, seen.category)
            && was != is
        {
            details.push(format!("category {is}, was {was}"));
        }
        let rules = |destination: &Destination| destination.findings.keys().cloned().collect::<BTreeSet<_>>();
        let (suspected, cleared) = (of(&rules(seen), &rules(known)), of(&rules(known), &rules(seen)));
        if !suspected.is_empty() {
            details.push(format!("suspected now: {}", suspected.join(", ")));
        }
        if !cleared.is_empty() {
            details.push(format!("no longer suspected: {}", cleared.join(", ")));
        }
        if let (Some(was), Some(is)) = (&known.review, &seen.review)
            && was != is
        {
            details.push(format!("review {is}, was {was}"));
        }
        match (known.denied(), seen.denied()) {
            (0, denied) if denied > 0 => {
                details.push(format!("{denied} of {} connections denied, none before", seen.connections()));
            }
            (before, 0) if before > 0 => details.push(format!("allowed now; the baseline had {before} denied")),
            _ => {}
        }
        (!details.is_empty()).then(|| self.change(ChangeKind::Changed, key, seen, details))
    }

    fn missing(&self, key: &Key, known: &Destination) -> Change {
        let (before, now) = &self.reaches;
        let asleep: Vec<String> =
            known.workloads.iter().filter(|workload| !self.alive.contains(*workload)).cloned().collect();
        let by_name = || if known.form == Form::Name { now.cannot_name(before) } else { None };
        let doubt = now.cannot_miss(before, size(known.days.len())).or_else(by_name).or_else(|| {
            // One that sleeps may need it when it wakes.
            (!asleep.is_empty())
                .then(|| format!("{} not seen at all: removed, idle or renamed", sentence_list(&asleep)))
        });
        match doubt {
            Some(reason) => self.change(ChangeKind::Silent, key, known, vec![reason]),
            None => self.change(ChangeKind::Gone, key, known, Vec::new()),
        }
    }
}

/// The same destination under another form: an address that has a name now, or a name that lost its answers.
fn twin<'a>(
    before: &'a Destinations,
    now: &Destinations,
    key: &Key,
    seen: &Destination,
) -> Option<(&'a Key, &'a Destination)> {
    let other = match seen.form {
        Form::Name => Form::Address,
        Form::Address => Form::Name,
        Form::Inside => return None,
    };
    before.iter().find(|(known, destination)| {
        destination.form == other
            && known.port == key.port
            && known.protocol == key.protocol
            && !now.contains_key(known)
            && !destination.addresses.is_disjoint(&seen.addresses)
            && !destination.workloads.is_disjoint(&seen.workloads)
    })
}
