//! Whether inputs can carry the job: checks per cluster, coverage per source.
//!
//! In: an atlas. Out: checks with an outcome, the reason and the remedy. Nothing is judged about destinations here.

use std::ops::Range;

use serde::Serialize;

use super::super::clock_offset::clock_offset;
use super::super::collected::CollectedRow;
use super::super::escape::identifier;
use crate::model::{Grade, Timestamp};
use crate::summary::{Atlas, Cluster, InputAccount, LISTED_MAX, Peer, Share, SourceCoverage, SourceKind, minutes_of};

/// Days that a baseline should cover when no window was asked for.
const BASELINE_DAYS: u32 = 7;

/// The name of the check that decides whether silence means anything.
pub const COVERAGE_OF_FLOWS: &str = "coverage of flows";

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Good.
    Passes,
    /// Usable, but a reader must know.
    Limits,
    /// The job cannot be done with this.
    Fails,
    /// The evidence does not say.
    NotProven,
}

impl Outcome {
    /// The words for a reader.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Passes => "ok",
            Self::Limits => "limits",
            Self::Fails => "FAILS",
            Self::NotProven => "not proven",
        }
    }

    /// The word for a program, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Limits => "limits",
            Self::Fails => "fails",
            Self::NotProven => "not-proven",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What it found.
    pub outcome: Outcome,
    /// The numbers behind it, and what to do.
    pub detail: String,
}

/// Coverage of one source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceRow {
    /// `flows` or `dns`.
    pub kind: &'static str,
    /// Node or resolver.
    pub name: String,
    /// Records.
    pub records: u64,
    /// First event, RFC 3339.
    pub first: String,
    /// Last event, RFC 3339.
    pub last: String,
    /// Share of the asked window in which it was certainly there, in percent.
    pub covered_percent: u64,
    /// Gaps as `from/until`, RFC 3339.
    pub gaps: Vec<String>,
    /// Events that the source says it lost.
    pub lost: u64,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReadiness {
    /// Its name.
    pub cluster: String,
    /// The window that coverage is measured against, RFC 3339.
    pub window: (String, String),
    /// Checks in fixed order.
    pub checks: Vec<Check>,
    /// Sources in the order of kind and name.
    pub sources: Vec<SourceRow>,
}

/// All clusters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// Form of this document.
    pub schema: &'static str,
    /// In the order of their names.
    pub clusters: Vec<ClusterReadiness>,
    /// In the order of the inputs.
    pub inputs: Vec<InputRow>,
    /// What the ledger of a store says; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collected: Vec<CollectedRow>,
}

/// What became of one input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputRow {
    /// Its name.
    pub name: String,
    /// `hubble`, `dnstap`, `kube`.
    pub format: &'static str,
    /// Records read.
    pub read: u64,
    /// Records used.
    pub used: u64,
    /// Records rejected as broken.
    pub rejected: u64,
    /// Records excluded by name.
    pub excluded: u64,
    /// Whether it can carry anything.
    pub outcome: Outcome,
    /// Reasons with counts, the most frequent first.
    pub reasons: Vec<String>,
}

/// Checks every cluster of an atlas.
pub fn readiness(atlas: &Atlas) -> Readiness {
    let clusters = atlas.clusters.iter().map(|(name, cluster)| check_cluster(atlas, name, cluster)).collect();
    let inputs = atlas.inputs.iter().map(input).collect();
    Readiness { schema: "egress-atlas-preflight/1", clusters, inputs, collected: Vec::new() }
}

fn input(input: &InputAccount) -> InputRow {
    let account = &input.account;
    let mut reasons: Vec<(u64, String)> =
        account.excluded.iter().map(|(reason, count)| (*count, reason.0.to_owned())).collect();
    reasons.extend(account.rejected.iter().map(|(reason, count)| (count.records, format!("rejected: {}", reason.0))));
    reasons.sort_by(|one, two| two.0.cmp(&one.0).then_with(|| one.1.cmp(&two.1)));
    let limit = crate::read::limit(input.format, account);
    let outcome = match (account.used, &input.problem, limit) {
        (0, ..) => Outcome::Fails,
        (_, Some(_), _) => Outcome::NotProven,
        (_, _, Some(_)) => Outcome::Limits,
        _ => Outcome::Passes,
    };
    InputRow {
        name: input.name.to_string(),
        format: input.format,
        read: account.read,
        used: account.used,
        rejected: account.rejected_total(),
        excluded: account.excluded_total(),
        outcome,
        reasons: (input.problem.iter().map(|problem| format!("breaks off: {problem}")))
            .chain(limit.map(str::to_owned))
            .chain(reasons.into_iter().map(|(count, reason)| format!("{count} × {reason}")))
            .collect(),
    }
}

fn check_cluster(atlas: &Atlas, name: &str, cluster: &Cluster) -> ClusterReadiness {
    let window = window(atlas, cluster);
    let minutes = minutes_of(window.0, window.1);
    let sources: Vec<SourceRow> = cluster.coverage.iter().map(|source| row(source, &minutes)).collect();
    let mut checks = vec![
        flows(cluster),
        pods(cluster),
        answers(cluster),
        hidden_clients(cluster),
        other_resolvers(cluster),
        names(cluster),
        coverage_of_flows(cluster, &minutes),
        coverage_of_dns(cluster, &minutes),
        losses(cluster),
    ];
    checks.extend(clocks(cluster));
    checks.extend(addresses(cluster));
    ClusterReadiness { cluster: name.to_owned(), window: (window.0.to_string(), window.1.to_string()), checks, sources }
}

/// The asked window; without one, the seven days that end with the last event.
fn window(atlas: &Atlas, cluster: &Cluster) -> (Timestamp, Timestamp) {
    let last = cluster.coverage.iter().filter_map(|source| source.activity.last).max();
    let until = atlas.until.or(last).unwrap_or(Timestamp::UNKNOWN);
    let since = atlas.since.unwrap_or_else(|| until.plus_nanos(-i64::from(BASELINE_DAYS) * 86_400_000_000_000));
    (since, until)
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0).min(100)
}

fn row(source: &SourceCoverage, window: &Range<u32>) -> SourceRow {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let minutes = u64::from(window.end - window.start);
    SourceRow {
        kind: source.kind.as_str(),
        name: source.name.to_string(),
        records: source.activity.records,
        first: text(source.activity.first),
        last: text(source.activity.last),
        covered_percent: percent(source.activity.covered_minutes(window), minutes),
        gaps: source.activity.gaps().iter().map(|gap| format!("{}/{}", gap.from, gap.until)).collect(),
        lost: source.activity.lost.values().sum(),
    }
}

fn check(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Check {
    Check { name, outcome, detail: detail.into() }
}

fn flows(cluster: &Cluster) -> Check {
    let records: u64 =
        cluster.coverage.iter().filter(|s| s.kind == SourceKind::Flows).map(|s| s.activity.records).sum();
    match records {
        0 => check(
            "flow records",
            Outcome::Fails,
            "no flow record of this cluster: give --flows, or name the cluster of the DNS input (`--dns NAME=PATH`)",
        ),
        _ => check(
            "flow records",
            Outcome::Passes,
            format!("{records} records, {} egress connections", cluster.totals.egress_connections),
        ),
    }
}

fn pods(cluster: &Cluster) -> Check {
    let named: u64 = cluster
        .namespaces
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(_, namespace)| namespace.totals.egress_connections)
        .sum();
    let all = cluster.totals.egress_connections;
    let share = percent(named, all);
    let detail = format!("{share} % of egress connections start at a named pod");
    match share {
        _ if all == 0 => check("pod identity", Outcome::NotProven, "no egress connection seen"),
        0..50 => check(
            "pod identity",
            Outcome::Fails,
            format!("{detail}; add --kube with pods, or a field mask that keeps `source` and `destination`"),
        ),
        50..90 => check(
            "pod identity",
            Outcome::Limits,
            format!("{detail}; the rest is host network, nodes or unnamed addresses (--kube names more)"),
        ),
        _ => check("pod identity", Outcome::Passes, detail),
    }
}

fn answers(cluster: &Cluster) -> Check {
    match cluster.totals.answers {
        0 => check(
            "DNS answers",
            Outcome::Fails,
            "no DNS answer with an address for this cluster; a query log is not enough: capture dnstap with `full`, or Hubble layer 7 DNS",
        ),
        answers => check("DNS answers", Outcome::Passes, format!("{answers} (name, address) pairs")),
    }
}

fn hidden_clients(cluster: &Cluster) -> Check {
    let (all, nodes) = (cluster.totals.answers, cluster.totals.answers_to_nodes);
    let share = percent(nodes, all);
    let mut detail = format!("{share} % of answers went to node addresses (node-local cache, host network)");
    if let Some(forwarder) = &cluster.forwarder {
        detail = format!(
            "{detail}; {} alone got {} % of the others that lie outside and connects to none of them: a forwarder or cache that asks for pods; tap it, or what stands before it",
            identifier(&forwarder.client),
            percent(forwarder.answers, forwarder.of)
        );
    }
    let share = if cluster.forwarder.is_some() { share.max(10) } else { share };
    match share {
        _ if all == 0 => check("DNS clients", Outcome::NotProven, "no answers"),
        0..10 => check("DNS clients", Outcome::Passes, detail),
        10..50 => {
            check("DNS clients", Outcome::Limits, format!("{detail}; names of these pods rest on weaker evidence"))
        }
        _ => check(
            "DNS clients",
            Outcome::Fails,
            format!("{detail}; tap node-local-dns instead of the cluster's CoreDNS"),
        ),
    }
}

/// Whether an edge goes to a resolver outside: plain DNS, or DNS over TLS or QUIC.
fn other_resolvers(cluster: &Cluster) -> Check {
    let edges = || cluster.namespaces.values().flat_map(|namespace| &namespace.egress);
    let asks: u64 = edges()
        .filter(|edge| matches!(edge.key.port, 53 | 853) && matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_)))
        .map(|edge| edge.seen.connections())
        .sum();
    match asks {
        0 => check(
            "other resolvers",
            Outcome::Passes,
            "no connection to a resolver outside on port 53 or 853 (DNS over HTTPS cannot be told from the port)",
        ),
        _ => check(
            "other resolvers",
            Outcome::Limits,
            format!("{asks} connections to resolvers outside on port 53 or 853: their answers are not in the capture"),
        ),
    }
}

fn names(cluster: &Cluster) -> Check {
    let grades = &cluster.totals.external_grades;
    let all: u64 = grades.values().sum();
    let count = |wanted: &[Grade]| wanted.iter().filter_map(|grade| grades.get(grade)).sum();
    let own: u64 = count(&[Grade::Pod, Grade::PodAmbiguous, Grade::PodStale, Grade::PodLater]);
    let reported: u64 = count(&[Grade::Reported]);
    let none: u64 = count(&[Grade::None]);
    let detail = format!(
        "of {all} external connections {} % are named by the pod's own answers, {} % have no name",
        percent(own, all),
        percent(none, all)
    );
    match percent(none, all) {
        _ if all == 0 => check("names", Outcome::NotProven, "no connection to anything outside"),
        0..60 if percent(own + reported, all) < 50 => check(
            "names",
            if percent(own + reported, all) < 10 { Outcome::Fails } else { Outcome::Limits },
            format!(
                "{detail}; the others rest on what somebody else was told: is a cache or a forwarder between the pods and the tap?"
            ),
        ),
        0..20 => check("names", Outcome::Passes, detail),
        20..60 => check("names", Outcome::Limits, detail),
        _ => check(
            "names",
            Outcome::Fails,
            format!("{detail}; is the capture of the same cluster and time as the flows?"),
        ),
    }
}

/// Whether DNS answers are stamped by another clock than the flows; nothing to say where the traffic shows no offset.
fn clocks(cluster: &Cluster) -> Option<Check> {
    let check = |outcome| move |ahead_nanos| check("clocks", outcome, clock_offset(ahead_nanos));
    match cluster.dns_ahead_nanos? {
        0 => Some(check(Outcome::Passes)(0)),
        ahead_nanos => Some(check(Outcome::Limits)(ahead_nanos)),
    }
}

/// Whether connections to outside lack the address that a name could be joined to; nothing to say where none does.
fn addresses(cluster: &Cluster) -> Option<Check> {
    let edges = || cluster.namespaces.values().flat_map(|namespace| &namespace.egress);
    let outside = || edges().filter(|edge| matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_)));
    let all: u64 = outside().map(|edge| edge.seen.connections()).sum();
    // An edge lists so many addresses at most; with more, nothing is missing that could be counted.
    let missing: u64 = outside()
        .filter(|edge| edge.seen.addresses.len() < LISTED_MAX)
        .map(|edge| edge.seen.connections().saturating_sub(edge.seen.addresses.values().sum()))
        .sum();
    let detail = format!("{missing} of {all} external connections are recorded without the destination's address");
    match missing {
        0 => None,
        _ if missing >= all => Some(check(
            "addresses",
            Outcome::Fails,
            format!(
                "{detail}: no outside destination can be named by its address; Goldmane alone cannot do it, and flows.log needs flowLogsFileAggregationKindForAllowed 1"
            ),
        )),
        _ => Some(check(
            "addresses",
            Outcome::Limits,
            format!("{detail} (Goldmane, or flows.log at aggregation 2): no DNS answer can name these"),
        )),
    }
}

/// Sources that cover less leave the window open, in thousandths.
const COVERED_PERMILLE_MIN: u64 = 950;

/// Every node answers for itself: what one agent did not see, no other did.
fn coverage_of_flows(cluster: &Cluster, window: &Range<u32>) -> Check {
    let name = COVERAGE_OF_FLOWS;
    let shares: Vec<Share<'_>> = cluster.flow_shares(window).collect();
    let Some(least) = shares.iter().min_by_key(|share| share.permille()) else {
        return check(name, Outcome::NotProven, "no source");
    };
    let mut detail = of_window(least.covered, least.expected);
    if shares.len() > 1 {
        let short = shares.iter().filter(|share| share.permille() < COVERED_PERMILLE_MIN).count();
        let of_node = if least.name.is_empty() { "a source without a name" } else { least.name };
        detail = match short {
            0 => format!("each of {} sources covers {detail} or more", shares.len()),
            _ => format!(
                "{short} of {} sources cover too little, {} {detail}: was the node removed, or did its exporter stop? (--kube with nodes tells)",
                shares.len(),
                identifier(of_node)
            ),
        };
    }
    let silent = cluster.nodes_without_flows(window);
    if !silent.is_empty() {
        let names: Vec<String> = silent.iter().take(3).map(|node| identifier(node)).collect();
        let more = if silent.len() > 3 { ", …" } else { "" };
        let count = silent.len();
        let all = cluster.nodes.len();
        detail = format!("{detail}; no flows of {count} of {all} nodes: {}{more}", names.join(", "));
    }
    let is_covered = least.permille() >= COVERED_PERMILLE_MIN && silent.is_empty();
    check(name, if is_covered { Outcome::Passes } else { Outcome::NotProven }, detail)
}

fn coverage_of_dns(cluster: &Cluster, window: &Range<u32>) -> Check {
    let (covered, minutes) = (cluster.dns_minutes(window), u64::from(window.end - window.start));
    let is_covered = covered.saturating_mul(1_000) >= minutes.saturating_mul(COVERED_PERMILLE_MIN);
    let outcome = if is_covered { Outcome::Passes } else { Outcome::NotProven };
    check("coverage of DNS", outcome, of_window(covered, minutes))
}

fn of_window(covered: u64, minutes: u64) -> String {
    let hours = |minutes: u64| format!("{}.{} h", minutes / 60, minutes % 60 / 6);
    format!("{} % of the window ({} of {})", percent(covered, minutes), hours(covered), hours(minutes))
}

fn losses(cluster: &Cluster) -> Check {
    let lost: u64 = cluster.coverage.iter().flat_map(|source| source.activity.lost.values()).sum();
    match lost {
        0 => check(
            "losses",
            Outcome::Passes,
            "no source reports lost events (dnstap and filtered exports cannot report any)",
        ),
        _ => check(
            "losses",
            Outcome::Limits,
            format!("{lost} events lost by the sources' own account: silence proves nothing in those minutes"),
        ),
    }
}
