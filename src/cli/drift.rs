//! `drift`: what is new, gone or changed since an approved baseline.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::Context;
use super::baseline::{baseline_of_traffic, read_baseline};
use super::traffic::TrafficArgs;
use crate::error::ExitStatus;
use crate::report::{AtlasDocument, ChangeKind, Drift, drift, drift_csv, drift_json, drift_markdown, drift_text};
use crate::task::unproven;

/// Arguments of `drift`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 no drift, 1 drift (see --fail-on), 3 no drift was found but the evidence could not have shown all of it.\n\n\
    Examples:\n  egress-atlas drift --baseline discovery --flows 'hubble/*.log*' --dns coredns.fstrm --kube kube.json\n  \
    egress-atlas drift --baseline discovery --current discovery-march --format markdown > drift.md"
)]
pub(super) struct DriftArgs {
    /// The approved baseline: a folder that `discover` wrote.
    #[arg(long, value_name = "DIR")]
    baseline: PathBuf,
    /// A later folder that `discover` wrote, instead of reading traffic.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["flows", "dns", "store", "kube", "since", "until"])]
    current: Option<PathBuf>,
    #[command(flatten)]
    traffic: TrafficArgs,
    /// The owner gate [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// Compare these namespaces alone (repeatable).
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// What ends with status 1.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "any")]
    fail_on: FailOn,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Anything new, changed or provably gone.
    Any,
    /// New destinations alone.
    New,
    /// New or changed destinations that something suspects.
    Suspect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
    Markdown,
}

pub(super) fn run(args: &DriftArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let mut baseline = read_baseline(&args.baseline)?;
    let (mut current, mut covered) = match &args.current {
        Some(folder) => {
            let document = read_baseline(folder)?;
            let doubts = unproven(&document);
            for doubt in &doubts {
                context.say(&format!("current: {doubt}"));
            }
            let covered = doubts.is_empty();
            (document, covered)
        }
        None => baseline_of_traffic(&args.traffic, args.reviews.as_deref(), context)?,
    };
    if !args.namespace.is_empty() {
        for wanted in &args.namespace {
            let knows = |document: &AtlasDocument| {
                document.clusters.values().any(|cluster| cluster.namespaces.contains_key(wanted))
            };
            if !knows(&baseline) && !knows(&current) {
                bail!("--namespace `{wanted}`: neither the baseline nor the current traffic has it");
            }
        }
        for document in [&mut baseline, &mut current] {
            for cluster in document.clusters.values_mut() {
                cluster.namespaces.retain(|name, _| args.namespace.contains(name));
            }
        }
    }
    let found = drift(&baseline, &current);
    let text = match args.format {
        Form::Table => drift_text(&found, context.width),
        Form::Json => drift_json(&found)?,
        Form::Csv => drift_csv(&found)?,
        Form::Markdown => drift_markdown(&found),
    };
    write!(context.out, "{text}")?;
    covered &= found.is_proven();
    Ok(status(&found, args.fail_on, covered, context))
}

fn status(found: &Drift, fail_on: FailOn, covered: bool, context: &mut Context<'_>) -> ExitStatus {
    let fails = match fail_on {
        FailOn::Any => found.has_drifted(),
        FailOn::New => found.of_kind(ChangeKind::New).next().is_some(),
        FailOn::Suspect => found.changes.iter().any(|change| {
            matches!(change.change, ChangeKind::New | ChangeKind::Changed)
                && !change.findings.is_empty()
                && change.review.as_deref() != Some("approved")
        }),
    };
    if fails {
        context.say("status 1: there is drift (--fail-on)");
        return ExitStatus::NotGood;
    }
    if covered {
        return ExitStatus::Good;
    }
    context.say(
        "status 3: not proven: no drift was found, but the current evidence could not have shown all of the baseline",
    );
    ExitStatus::NotProven
}
