//! From what was found to the document: numbers become texts, everything is put in an order that does not depend on reading.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::json::{
    AskedDocument, PeerDocument, Window, edge_document, peer_document, rfc3339, source_document, workload_name,
};
use super::super::view::AtlasView;
use super::super::wording::{count, counted, size};
use super::enforced::{EnforcedView, policies_document, reason_documents};
use super::schema::{
    AddressTold, AroundDocument, AroundRow, BucketDocument, ConnectionRow, ConnectionsDocument, INVESTIGATION_SCHEMA,
    InvestigationDocument, NameTold, PairDocument, TargetDocument, TimelineDocument, TotalsOfTarget,
};
use crate::attribute::{Party, PartyId};
use crate::inquiry::{Found, Matcher, Moment, Relatives, Role, Siblings, Target, TimesByNamespace, Told, Writer};
use crate::model::{AddressId, Severity, SourceKind, Timestamp};
use crate::summary::{Edge, LISTED_MAX};

/// Everything that an investigation found.
pub struct InvestigationView<'a> {
    /// What was asked for.
    pub target: &'a Target,
    /// The one cluster that was meant.
    pub cluster: Option<&'a str>,
    /// What it stands for.
    pub matcher: &'a Matcher,
    /// Turns numbers into texts.
    pub writer: Writer<'a>,
    /// The first pass.
    pub found: &'a Found,
    /// The second pass.
    pub relatives: &'a Relatives,
    /// How far the second pass looked, in minutes.
    pub around_minutes: u32,
    /// The pairs as an atlas, judged.
    pub view: &'a AtlasView<'a>,
    /// By cluster and namespace: what belongs to each edge.
    pub times: &'a TimesByNamespace,
    /// The policies to judge by, and what they say.
    pub enforced: Option<&'a EnforcedView<'a>>,
    /// Whether the evidence covers what was asked.
    pub covered: bool,
    /// Targets that look like this one, where it is not known.
    pub nearest: Vec<String>,
    /// Sentences about the inputs.
    pub warnings: &'a [String],
}

/// Makes the document.
pub fn investigation_document(view: &InvestigationView<'_>) -> InvestigationDocument {
    let atlas = view.view.atlas;
    let pairs = pairs(view);
    let reached = pairs.iter().filter_map(|pair| match &pair.edge.peer {
        PeerDocument::Workload { namespace, .. } | PeerDocument::Service { namespace, .. } => Some(namespace.clone()),
        _ => None,
    });
    let reached: BTreeSet<String> = reached.collect();
    let (told, siblings) = (&view.found.told, &view.relatives.siblings);
    let own_names: BTreeSet<_> = told.keys().map(|(name, _)| *name).collect();
    let is_other_name = |(name, _): &(_, _)| !own_names.contains(name);
    let only = |siblings: &Siblings, other_names: bool| -> Siblings {
        siblings.iter().filter(|(key, _)| is_other_name(key) == other_names).map(|(key, told)| (*key, *told)).collect()
    };
    let flows = || {
        let sources = atlas.clusters.values().flat_map(|cluster| &cluster.coverage);
        sources.filter(|source| source.kind == SourceKind::Flows).map(|source| &source.activity)
    };
    let since = atlas.since.or_else(|| flows().filter_map(|activity| activity.first).min());
    let until = atlas.until.or_else(|| flows().filter_map(|activity| activity.last).max());
    InvestigationDocument {
        schema: INVESTIGATION_SCHEMA,
        target: target(view),
        window: Window { since: rfc3339(since), until: rfc3339(until) },
        window_asked: atlas.since.is_some(),
        covered: view.covered,
        silence_proves: view.covered && !has_holes(view),
        coverage: atlas
            .clusters
            .iter()
            .map(|(name, cluster)| {
                let asked = cluster.window(view.view.atlas.since, view.view.atlas.until);
                let sources = cluster.coverage.iter().map(|source| source_document(cluster, source, &asked));
                (name.to_string(), sources.collect())
            })
            .collect(),
        notes: notes(view),
        totals: totals(view, &pairs),
        policies: view.enforced.map(policies_document),
        timeline: timeline(view),
        pairs,
        names: names_told(view, told),
        addresses: addresses_told(view, told),
        sibling_names: names_told(view, &only(siblings, true)),
        sibling_addresses: addresses_told(view, &only(siblings, false)),
        asked_only: asked_only(view, &reached),
        around: view.matcher.is_destination().then(|| around(view)),
        connections: ConnectionsDocument {
            total: view.found.rows,
            shown: view.found.moments.len(),
            rows: view.found.moments.iter().map(|moment| connection(view, moment)).collect(),
        },
    }
}

/// Whether a source that would tell of the target was away or lost events: flows always, answers where the target is a name.
fn has_holes(view: &InvestigationView<'_>) -> bool {
    let by_name = matches!(view.target, Target::Name(_));
    let sources = view.view.atlas.clusters.values().flat_map(|cluster| &cluster.coverage);
    let mut telling = sources.filter(|source| by_name || source.kind == SourceKind::Flows);
    telling.any(|source| !source.activity.gaps().is_empty() || source.activity.lost.values().any(|lost| *lost > 0))
}

fn target(view: &InvestigationView<'_>) -> TargetDocument {
    let meant = view.matcher.meant();
    TargetDocument {
        text: view.target.to_string(),
        kind: view.matcher.kind(),
        cluster: view.cluster.map(Into::into),
        known: view.matcher.is_known(),
        meant: meant.iter().take(LISTED_MAX).cloned().collect(),
        meant_total: meant.len(),
        nearest: view.nearest.clone(),
    }
}

fn notes(view: &InvestigationView<'_>) -> Vec<String> {
    let counted = edges(view).filter(|edge| edge.seen.behaviour.bytes.is_some()).count();
    let volumes = match counted {
        0 => "the flow records read here carry no bytes, so volumes are not known.",
        _ if counted == edges(view).count() => {
            "bytes are as the network plugin counted them, headers included, and each once whoever reported them."
        }
        _ => {
            "bytes are as the network plugin counted them; of some pairs no source counts any, so that sums are at least what is shown."
        }
    };
    let mut notes =
        vec![format!("Counts are connections, whatever the number of records that tell of each; {volumes}")];
    if view.found.pairs_refused > 0 {
        notes.push(format!(
            "{} connections belong to pairs beyond the bound: they count in the totals and the timeline, and are listed nowhere.",
            view.found.pairs_refused
        ));
    }
    notes.extend(left_out_of_lists(view));
    if view.found.is_cut || view.relatives.is_cut {
        notes.push(
            "There are more names, addresses or pods around this target than are held; those lists are not complete."
                .to_owned(),
        );
    }
    notes.extend(view.warnings.iter().cloned());
    notes
}

/// What the lists of pairs have no room for.
fn left_out_of_lists(view: &InvestigationView<'_>) -> Option<String> {
    let over = |total: usize| total.saturating_sub(LISTED_MAX);
    let beyond = view.times.values().flatten().map(|times| (over(times.distinct.0), over(times.distinct.1)));
    let beyond: Vec<(usize, usize)> = beyond.filter(|beyond| *beyond != (0, 0)).collect();
    let (addresses, pods) = beyond.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    (!beyond.is_empty()).then(|| {
        format!(
            "A pair lists the {LISTED_MAX} smallest addresses and the first {LISTED_MAX} pods by name; over {} that leaves out {} and {}. All of them are counted, and findings follow from all addresses.",
            counted(size(beyond.len()), "pair"),
            if addresses == 1 { "1 address".to_owned() } else { format!("{} addresses", count(size(addresses))) },
            counted(size(pods), "pod"),
        )
    })
}

fn edges<'a>(view: &'a InvestigationView<'_>) -> impl Iterator<Item = &'a Edge> {
    let clusters = view.view.atlas.clusters.values();
    clusters.flat_map(|cluster| cluster.namespaces.values()).flat_map(|namespace| &namespace.egress)
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
        Role::Possible => "possible",
    }
}

fn totals(view: &InvestigationView<'_>, pairs: &[PairDocument]) -> TotalsOfTarget {
    let role = |role| view.found.roles.get(&role).copied().unwrap_or(0);
    let mut totals = TotalsOfTarget {
        connections: view.found.connections(),
        to_target: role(Role::Server),
        from_target: role(Role::Client),
        possibly_to_target: role(Role::Possible),
        ..TotalsOfTarget::default()
    };
    let mut clients = BTreeSet::new();
    let mut servers = BTreeSet::new();
    for pair in pairs {
        clients.insert((&pair.cluster, &pair.namespace, &pair.edge.workload.kind, &pair.edge.workload.name));
        servers.insert(format!("{:?}", pair.edge.peer));
        for (word, count) in &pair.edge.verdicts {
            *totals.verdicts.entry(word.clone()).or_default() += count;
        }
        let is_outside = matches!(pair.edge.peer, PeerDocument::Name { .. } | PeerDocument::Address { .. });
        for (word, count) in pair.edge.grades.iter().filter(|_| is_outside) {
            *totals.grades.entry(word.clone()).or_default() += count;
        }
    }
    (totals.clients, totals.servers) = (clients.len(), servers.len());
    totals.first = rfc3339(edges(view).filter_map(|edge| edge.seen.first).min());
    totals.last = rfc3339(edges(view).filter_map(|edge| edge.seen.last).max());
    let counted = edges(view).filter_map(|edge| edge.seen.behaviour.bytes);
    let bytes = counted.reduce(|mut all, more| {
        all.add(more);
        all
    });
    totals.bytes = bytes.map(Into::into);
    totals
}

fn timeline(view: &InvestigationView<'_>) -> TimelineDocument {
    let timeline = &view.found.timeline;
    let sources = view.view.atlas.clusters.values().flat_map(|cluster| &cluster.coverage);
    let flows: Vec<_> =
        sources.filter(|source| source.kind == SourceKind::Flows).map(|source| &source.activity).collect();
    let gaps: Vec<Vec<_>> = flows.iter().map(|activity| activity.gaps()).collect();
    let is_covered = |from: Timestamp, until: Timestamp| {
        flows.iter().zip(&gaps).any(|(activity, gaps)| {
            let spans =
                activity.first.is_some_and(|first| first < until) && activity.last.is_some_and(|last| last >= from);
            spans && !gaps.iter().any(|gap| gap.from <= from && until <= gap.until)
        })
    };
    let buckets = timeline.buckets.iter().enumerate().map(|(number, bucket)| BucketDocument {
        at: timeline.start(number).to_string(),
        began: bucket.began,
        open: bucket.open,
        denied: bucket.denied,
        grades: bucket.grades.iter().map(|(grade, count)| (grade.to_string(), *count)).collect(),
        covered: is_covered(timeline.start(number), timeline.start(number + 1)),
    });
    TimelineDocument {
        from: rfc3339(Some(timeline.from)),
        step_seconds: timeline.step_nanos / 1_000_000_000,
        buckets: buckets.collect(),
    }
}

fn pairs(view: &InvestigationView<'_>) -> Vec<PairDocument> {
    let mut pairs = Vec::new();
    for ((cluster, namespace), times) in view.times {
        for ((edge, judgement), times) in view.view.judged_egress(cluster, namespace).zip(times) {
            let place = (cluster.clone(), namespace.clone(), edge.key.clone());
            let reasons = view.enforced.and_then(|enforced| enforced.reasons.get(&place));
            pairs.push(PairDocument {
                cluster: cluster.to_string(),
                namespace: namespace.to_string(),
                roles: times.roles.iter().map(|(role, count)| (role_word(*role).to_owned(), *count)).collect(),
                began: times.began.clone(),
                addresses_total: times.distinct.0,
                pods_total: times.distinct.1,
                policies: reasons.map(|reasons| reason_documents(reasons)).unwrap_or_default(),
                edge: edge_document(edge, Some(judgement)),
            });
        }
    }
    // Stable: equals keep the order of cluster, namespace and edge.
    pairs.sort_by_key(|pair| (Reverse(severity(pair)), Reverse(pair.edge.connections)));
    pairs
}

/// The worst finding that is held against a pair.
pub(super) fn severity(pair: &PairDocument) -> Option<Severity> {
    let findings = pair.edge.judgement.iter().flat_map(|judgement| &judgement.findings);
    findings.filter(|finding| finding.exempted.is_none()).map(|finding| finding.severity).max()
}

fn names_told(view: &InvestigationView<'_>, told: &Siblings) -> Vec<NameTold> {
    let vocabulary = &view.writer.evidence.vocabulary;
    let mut by_name: BTreeMap<&str, (BTreeSet<IpAddr>, Told)> = BTreeMap::new();
    for ((name, address), answers) in told {
        let (addresses, all) = by_name.entry(vocabulary.name_of(*name)).or_default();
        addresses.insert(vocabulary.address_of(*address));
        add(all, *answers);
    }
    let mut rows: Vec<NameTold> = by_name
        .into_iter()
        .map(|(name, (addresses, told))| NameTold {
            name: name.to_owned(),
            addresses_total: addresses.len(),
            addresses: addresses.iter().take(LISTED_MAX).map(ToString::to_string).collect(),
            answers: told.answers,
            first: rfc3339(told.first),
            last: rfc3339(told.last),
        })
        .collect();
    rows.sort_by_key(|row| Reverse(row.answers));
    rows
}

fn addresses_told(view: &InvestigationView<'_>, told: &Siblings) -> Vec<AddressTold> {
    let vocabulary = &view.writer.evidence.vocabulary;
    let mut by_address: BTreeMap<IpAddr, (BTreeSet<&str>, Told)> = BTreeMap::new();
    for ((name, address), answers) in told {
        let (names, all) = by_address.entry(vocabulary.address_of(*address)).or_default();
        names.insert(vocabulary.name_of(*name));
        add(all, *answers);
    }
    let mut rows: Vec<AddressTold> = by_address
        .into_iter()
        .map(|(address, (names, told))| AddressTold {
            address: address.to_string(),
            names_total: names.len(),
            names: names.iter().take(LISTED_MAX).map(ToString::to_string).collect(),
            answers: told.answers,
            first: rfc3339(told.first),
            last: rfc3339(told.last),
        })
        .collect();
    rows.sort_by_key(|row| Reverse(row.answers));
    rows
}

fn add(all: &mut Told, more: Told) {
    all.answers += more.answers;
    all.first = Timestamp::earliest(all.first, more.first);
    all.last = all.last.max(more.last);
}

/// Names that were asked for and not used. Services are reached by their pods, whose flows do not tell by which name.
fn asked_only(view: &InvestigationView<'_>, reached: &BTreeSet<String>) -> Vec<AskedDocument> {
    let name_of = |name| view.writer.evidence.vocabulary.name_of(name);
    let is_reached_service = |name: &str| {
        let namespace = name.split_once(".svc.").and_then(|(service, _)| service.rsplit('.').next());
        namespace.is_some_and(|namespace| reached.contains(namespace))
    };
    let asked = view.found.asked.iter().filter(|(name, _)| !view.found.used.contains(*name));
    let mut rows: Vec<AskedDocument> = asked
        .filter(|(name, _)| !is_reached_service(name_of(**name)))
        .map(|(name, told)| AskedDocument {
            name: name_of(*name).to_owned(),
            answers: told.answers,
            workloads: Vec::new(),
            first: rfc3339(told.first),
            last: rfc3339(told.last),
        })
        .collect();
    rows.sort_by(|one, two| two.answers.cmp(&one.answers).then_with(|| one.name.cmp(&two.name)));
    rows
}

fn around(view: &InvestigationView<'_>) -> AroundDocument {
    let writer = &view.writer;
    let mut rows: Vec<AroundRow> = view
        .relatives
        .around
        .iter()
        .map(|(key, around)| {
            let (namespace, client) = writer.client(&key.ends);
            AroundRow {
                inward: key.inward,
                cluster: writer.text(key.ends.cluster).to_owned(),
                namespace: namespace.to_string(),
                client: workload_name(&client),
                server: peer_document(&writer.server(&key.ends)),
                port: key.ends.port,
                protocol: key.ends.protocol.to_string(),
                connections: around.connections,
                denied: around.denied,
                first: rfc3339(around.first),
                last: rfc3339(around.last),
                nearest_minutes: around.nearest_minutes,
            }
        })
        .collect();
    rows.sort_by(|one, two| {
        let near = |row: &AroundRow| (row.nearest_minutes, Reverse(row.connections));
        let text = |row: &AroundRow| {
            let ends =
                (row.cluster.clone(), row.namespace.clone(), row.client.name.clone(), format!("{:?}", row.server));
            (ends, row.port, row.protocol.clone(), row.inward, row.client.kind.clone())
        };
        near(one).cmp(&near(two)).then_with(|| text(one).cmp(&text(two)))
    });
    AroundDocument { minutes: view.around_minutes, rows, left_out: view.relatives.around_refused }
}

fn connection(view: &InvestigationView<'_>, moment: &Moment) -> ConnectionRow {
    let evidence = view.writer.evidence;
    let pod = |party: Option<PartyId>| {
        let party = party.and_then(|party| evidence.parties.get(party));
        let text = |party: &Party| match &*party.pod {
            "" => format!("{}/{}", party.namespace, party.workload),
            pod => format!("{}/{pod}", party.namespace),
        };
        party.map(text).unwrap_or_default()
    };
    let address = |address: AddressId| {
        if address.is_unrecorded() { String::new() } else { evidence.vocabulary.address_of(address).to_string() }
    };
    ConnectionRow {
        first: rfc3339(Some(moment.first)),
        last: rfc3339(Some(moment.last)),
        role: role_word(moment.role),
        cluster: view.writer.text(moment.ends.cluster).to_owned(),
        client: pod(moment.client),
        client_address: address(moment.client_address),
        server: pod(moment.server),
        server_address: address(moment.server_address),
        port: moment.ends.port,
        protocol: moment.ends.protocol.to_string(),
        verdict: moment.verdict.as_str(),
        names: moment.names.iter().map(|name| evidence.vocabulary.name_of(*name).to_owned()).collect(),
        evidence: moment.grade.as_str(),
        answered_at: rfc3339(Some(moment.answered_at)),
        confidence: (moment.confidence * 1_000.0).round() / 1_000.0,
        connections: moment.counts.connections,
        bytes: moment.counts.bytes.map(Into::into),
    }
}
