//! The JSON form of a replay.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ReplayView;
use crate::model::{Protocol, Timestamp};
use crate::policy::{RuleId, fingerprints};
use crate::replay::{Break, Citation, Passed, ReplayWorkload, Seen, Totals, Undecided, Verdict};

/// Version of the form.
const SCHEMA: &str = "egress-atlas-replay/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    policies: BTreeMap<String, String>,
    profiles: Vec<ClusterProfile<'a>>,
    caveats: &'a [String],
    distinct_connections: u64,
    without_subject: u64,
    totals: Counts,
    workloads: Vec<Row<'a>>,
    rules: Vec<Rule>,
    notes: Vec<NoteRow>,
}

#[derive(Serialize)]
struct ClusterProfile<'a> {
    cluster: &'a str,
    profile: &'a str,
    first: Option<String>,
    last: Option<String>,
}

#[derive(Serialize)]
struct Counts {
    not_isolated: u64,
    allowed: u64,
    would_break: u64,
    undecidable: u64,
    already_denied: u64,
    denied_would_pass: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    cluster: &'a str,
    namespace: &'a str,
    kind: &'a str,
    workload: &'a str,
    totals: Counts,
    would_break: Vec<Broken<'a>>,
    undecidable: Vec<Doubtful<'a>>,
    passed: Vec<Through<'a>>,
}

/// Connections of one destination, as every row tells them.
#[derive(Serialize)]
struct Group<'a> {
    peer: &'a str,
    port: u16,
    protocol: String,
    connections: u64,
    first: Option<String>,
    last: Option<String>,
}

impl<'a> Group<'a> {
    fn of(peer: &'a str, port: u16, protocol: Protocol, seen: &Seen) -> Self {
        let (first, last) = (text(seen.first), text(seen.last));
        Self { peer, port, protocol: protocol.to_string(), connections: seen.flows, first, last }
    }
}

#[derive(Serialize)]
struct Broken<'a> {
    way: &'static str,
    stopped_by: &'static str,
    #[serde(flatten)]
    group: Group<'a>,
    policies: &'a [String],
    nearest_miss: Option<&'a str>,
    nearest_rule: Option<String>,
}

#[derive(Serialize)]
struct Doubtful<'a> {
    reason: &'static str,
    remedy: &'static str,
    way: &'static str,
    side: &'static str,
    #[serde(flatten)]
    group: Group<'a>,
}

#[derive(Serialize)]
struct Through<'a> {
    verdict: &'static str,
    way: &'static str,
    #[serde(flatten)]
    group: Group<'a>,
    allowed_by: Vec<By>,
}

/// A rule, and which of its elements fit, from 1.
#[derive(Serialize)]
struct By {
    rule: String,
    peer: Option<usize>,
    port: Option<usize>,
}

#[derive(Serialize)]
struct Rule {
    #[serde(rename = "rule")]
    shown: String,
    kind: String,
    namespace: String,
    name: String,
    direction: &'static str,
    file: String,
    line: usize,
    connections: u64,
    selects_a_pod_seen: bool,
}

#[derive(Serialize)]
struct NoteRow {
    object: String,
    file: String,
    line: usize,
    note: &'static str,
}

fn counts(totals: &Totals) -> Counts {
    Counts {
        not_isolated: totals.not_isolated,
        allowed: totals.allowed,
        would_break: totals.would_break,
        undecidable: totals.undecidable,
        already_denied: totals.already_denied,
        denied_would_pass: totals.denied_would_pass,
    }
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

/// The JSON document.
pub fn replay_json(view: &ReplayView<'_>) -> serde_json::Result<String> {
    let window = |cluster: &str| view.replay.windows.get(cluster).copied().unwrap_or_default();
    let document = Document {
        schema: SCHEMA,
        policies: fingerprints(view.set),
        profiles: (view.profiles.iter())
            .map(|(cluster, profile)| ClusterProfile {
                cluster,
                profile,
                first: text(window(cluster).first),
                last: text(window(cluster).last),
            })
            .collect(),
        caveats: &view.caveats,
        distinct_connections: view.replay.distinct,
        without_subject: view.replay.without_subject,
        totals: counts(&view.replay.totals),
        workloads: view.replay.workloads.iter().map(|workload| row(view, workload)).collect(),
        rules: view.replay.rules.iter().filter_map(|used| rule(view, used.rule, used.flows, used.selects)).collect(),
        notes: (view.set.notes.iter())
            .map(|note| NoteRow {
                object: note.object.to_string(),
                file: note.object.file.to_string(),
                line: note.object.line,
                note: note.text,
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn row<'a>(view: &ReplayView<'_>, workload: &'a ReplayWorkload) -> Row<'a> {
    Row {
        cluster: &workload.cluster,
        namespace: &workload.namespace,
        kind: &workload.workload.kind.0,
        workload: &workload.workload.name,
        totals: counts(&workload.totals),
        would_break: workload.breaks.iter().map(|broken| self::broken(view, broken)).collect(),
        undecidable: workload.undecided.iter().map(doubtful).collect(),
        passed: workload.passed.iter().map(|passed| through(view, passed)).collect(),
    }
}

fn broken<'a>(view: &ReplayView<'_>, broken: &'a Break) -> Broken<'a> {
    Broken {
        way: broken.way.as_str(),
        stopped_by: broken.side.as_str(),
        group: Group::of(&broken.peer, broken.port, broken.protocol, &broken.seen),
        policies: &broken.policies,
        nearest_miss: Some(broken.nearest.as_str()).filter(|text| !text.is_empty()),
        nearest_rule: broken.nearest_rule.map(|rule| view.set.rule_text(rule)),
    }
}

fn through<'a>(view: &ReplayView<'_>, row: &'a Passed) -> Through<'a> {
    let by = |cited: &Citation| By {
        rule: view.set.rule_text(cited.rule),
        peer: cited.peer.map(|place| place + 1),
        port: cited.port.map(|place| place + 1),
    };
    Through {
        verdict: if row.by.is_empty() { Verdict::NotIsolated } else { Verdict::Allowed }.as_str(),
        way: row.way.as_str(),
        group: Group::of(&row.peer, row.port, row.protocol, &row.seen),
        allowed_by: row.by.iter().map(by).collect(),
    }
}

fn doubtful(row: &Undecided) -> Doubtful<'_> {
    Doubtful {
        reason: row.doubt.code(),
        remedy: row.doubt.remedy(),
        way: row.way.as_str(),
        side: row.side.as_str(),
        group: Group::of(&row.peer, row.port, row.protocol, &row.seen),
    }
}

fn rule(view: &ReplayView<'_>, id: RuleId, connections: u64, selects: bool) -> Option<Rule> {
    let (policy, rule) = view.set.rule(id)?;
    Some(Rule {
        shown: view.set.rule_text(id),
        kind: policy.id.kind.to_string(),
        namespace: policy.id.namespace.to_string(),
        name: policy.id.name.to_string(),
        direction: id.direction.as_str(),
        file: policy.id.file.to_string(),
        line: rule.line,
        connections,
        selects_a_pod_seen: selects,
    })
}
