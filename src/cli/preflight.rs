//! `preflight`: can these inputs carry the job, and what do they cover?

use clap::Args;

use super::Context;
use super::format::Format;
use super::traffic::{Traffic, TrafficArgs, say_account};
use super::write::write_csv;
use crate::attribute::{Evidence, Passes};
use crate::catalog::RuleRanges;
use crate::error::ExitStatus;
use crate::model::SourceKind;
use crate::report::{
    COVERAGE_OF_FLOWS, Check, Outcome, Readiness, collected, readiness, readiness_columns, readiness_json,
    readiness_markdown, readiness_text,
};
use crate::summary::{Atlas, Builder, build};

/// Arguments of `preflight`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 ready, 1 an input cannot carry the job, 3 the asked window is not covered.\n\n\
    Examples:\n  egress-atlas preflight --flows 'hubble/*.log*' --dns coredns.fstrm\n  \
    egress-atlas preflight --flows events.log --dns dns.fstrm --since 2026-03-02T00:00:00Z --format json")]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub(super) fn run(args: &PreflightArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let (traffic, evidence) = args.traffic.load(false, context)?;
    let atlas = summarise(&traffic, evidence, &RuleRanges::default())?;
    let mut found = readiness(&atlas);
    if let Some(stored) = &traffic.stored {
        found.collected = collected(&stored.ledger);
    }
    match args.format {
        Format::Table => write!(context.out, "{}", readiness_text(&found, context.width, context.paint))?,
        Format::Json => write!(context.out, "{}", readiness_json(&found)?)?,
        Format::Csv => write_csv(context.out, &readiness_columns(&found))?,
        Format::Markdown => write!(context.out, "{}", readiness_markdown(&found))?,
    }
    say_account(&traffic, context);
    Ok(status(&found))
}

/// The atlas of what was read, not judged; `ranges` are those of the rules that will judge it. The evidence goes meanwhile: documents need memory of their own.
pub(super) fn summarise(traffic: &Traffic, evidence: Evidence, ranges: &RuleRanges) -> anyhow::Result<Atlas> {
    let passes = Passes::over(&evidence, &traffic.join, traffic.threads)?;
    let parts = passes.attribute(&evidence, || Builder::new(&traffic.inventory, &traffic.networks))?;
    let mut atlas = build(&evidence, &traffic.inventory, ranges, parts);
    for (cluster, ahead_nanos) in passes.offsets(&evidence) {
        atlas.clusters.entry(cluster.into()).or_default().dns_ahead_nanos = Some(ahead_nanos);
    }
    // Giving large temporary files back to the system takes a while, and nothing waits for it.
    std::thread::spawn(move || drop(evidence));
    atlas.since = traffic.since;
    atlas.until = traffic.until;
    atlas.inputs.clone_from(&traffic.inputs);
    atlas.inputs.sort_by(|one, two| (one.format, &one.name).cmp(&(two.format, &two.name)));
    atlas.warnings.extend(traffic.warnings.iter().map(|warning| warning.as_str().into()));
    atlas.warnings.extend(lonely_clusters(&atlas));
    Ok(atlas)
}

/// Clusters with DNS and without flows, beside clusters with flows: most likely a name that is missing or mistyped.
fn lonely_clusters(atlas: &Atlas) -> Vec<Box<str>> {
    let has = |cluster: &crate::summary::Cluster, kind| {
        cluster.coverage.iter().any(|source| source.kind == kind && source.activity.records > 0)
    };
    let with_flows: Vec<&str> = (atlas.clusters.iter())
        .filter(|(_, cluster)| has(cluster, SourceKind::Flows))
        .map(|(name, _)| &**name)
        .collect();
    let lonely =
        atlas.clusters.iter().filter(|(_, cluster)| has(cluster, SourceKind::Dns) && !has(cluster, SourceKind::Flows));
    lonely
        .map(|(name, _)| {
            format!(
                "cluster `{name}` has DNS answers and no flows, so they name nothing; clusters with flows: {}; give the DNS input its cluster as in `--dns NAME=PATH`",
                if with_flows.is_empty() { "none".to_owned() } else { with_flows.join(", ") }
            )
            .into()
        })
        .collect()
}

/// Whether the evidence reaches as far as what was asked: traffic at all, no broken input, and flows of every cluster over the
/// asked window.
pub(super) fn is_covered(traffic: &Traffic, atlas: &Atlas) -> bool {
    let connections: u64 = atlas.clusters.values().map(|cluster| cluster.totals.egress_connections).sum();
    connections > 0 && !traffic.is_broken() && window_is_covered(traffic, atlas)
}

/// Whether flows of every cluster cover the window, if one was asked for.
pub(super) fn window_is_covered(traffic: &Traffic, atlas: &Atlas) -> bool {
    traffic.since.is_none()
        || readiness(atlas).clusters.iter().all(|cluster| {
            cluster.checks.iter().all(|check| check.name != COVERAGE_OF_FLOWS || check.outcome == Outcome::Passes)
        })
}

fn status(found: &Readiness) -> ExitStatus {
    if found.clusters.is_empty() || found.inputs.iter().any(|input| input.outcome == Outcome::Fails) {
        return ExitStatus::NotGood;
    }
    let outcomes = || found.clusters.iter().flat_map(|cluster| &cluster.checks).map(|check: &Check| check.outcome);
    if outcomes().any(|outcome| outcome == Outcome::Fails) {
        ExitStatus::NotGood
    } else if outcomes().any(|outcome| outcome == Outcome::NotProven) {
        ExitStatus::NotProven
    } else {
        ExitStatus::Good
    }
}
