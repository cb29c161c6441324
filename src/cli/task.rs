//! `task plan | run | merge`: discovery in slices.
//!
//! `plan` writes a manifest, `run` makes one partial result of one slice, `merge` makes of all partial results what `discover --store`
//! writes. Whoever schedules the runs is somebody else: Spark, Kubernetes, a loop in a shell.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::Context;
use super::baseline::read_baseline;
use super::bucket::bucket_of;
use super::discover::{DiscoverArgs, FailOn, finish, reviews};
use super::format::Format;
use super::spark::SparkArgs;
use super::stored::{Stored, name_of};
use super::traffic::{Traffic, TrafficArgs, with_progress};
use super::write::{write_file, write_text};
use crate::attribute::Evidence;
use crate::catalog::Settings;
use crate::error::ExitStatus;
use crate::model::Timestamp;
use crate::task::slices::{self, Asked, Manifest, Outcome, PlanLine, SLICE_ROWS, SliceLine};
use crate::task::{Ingested, Progress, known_destinations};

/// Arguments of `task`.
#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// Cut a store into slices and write the manifest.
    Plan(PlanArgs),
    /// Run one slice: one partial result, the same bytes whenever it is run.
    Run(RunArgs),
    /// Make of all partial results what `discover --store` writes.
    Merge(Box<MergeArgs>),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    egress-atlas task plan --store /mnt/lake --out /mnt/tasks/manifest.ndjson\n  \
    egress-atlas task plan --store /mnt/lake --since 7d --config egress-atlas.toml --out manifest.ndjson")]
pub(super) struct PlanArgs {
    /// What `import` or `collect` wrote, a folder or `s3://BUCKET/PREFIX`; runs read it at the same place.
    #[arg(long, value_name = "DIR|URL")]
    pub(super) store: PathBuf,
    /// Where the manifest goes.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Start of the asked window: RFC 3339, or a duration before now (`7d`).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// End of the asked window: RFC 3339, or a duration before now.
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Settings [default: `egress-atlas.toml` in the working folder, if there is one]; merge with the same.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Rows of a slice, at most about so many.
    #[arg(long, value_name = "N", default_value_t = SLICE_ROWS)]
    pub(super) slice_rows: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Prints one line of JSON for each slice. A slice that is run again replaces its file by the same bytes.\n\n\
    Examples:\n  egress-atlas task run --manifest manifest.ndjson --slice 0 --out partials\n  \
    seq 0 41 | egress-atlas task run --manifest manifest.ndjson --slice-from-stdin --out partials"
)]
struct RunArgs {
    /// What `task plan` wrote.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Which slice.
    #[arg(long, value_name = "N", required_unless_present = "slice_from_stdin", conflicts_with = "slice_from_stdin")]
    slice: Option<u32>,
    /// Read the numbers of slices from standard input, a line each.
    #[arg(long)]
    slice_from_stdin: bool,
    /// Where partial results go, a folder or `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "DIR|URL")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status and documents are those of `discover --store` with the same flags.\n\n\
    Examples:\n  egress-atlas task merge --manifest manifest.ndjson --partials partials --kube kube.json --out discovery")]
struct MergeArgs {
    /// What `task plan` wrote.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Where all slices were run into, a folder or `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "DIR|URL")]
    partials: PathBuf,
    /// Where the documents go; existing ones are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Kubernetes objects as `kubectl get ... -o json` or YAML prints them.
    #[arg(long, value_name = "[NAME=]FILE")]
    kube: Vec<String>,
    /// The cluster of inputs that name none [default: the one cluster that the flows name, else `default`].
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Settings [default: `egress-atlas.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads [default: all processors].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The owner gate [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// A folder that `discover` wrote earlier (or its `atlas.json`): destinations that it does not have are findings.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// Write all findings as SARIF 2.1.0 too.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write all findings as JSON lines for a SIEM too; `ocsf:FILE` for OCSF instead of ECS.
    #[arg(long, value_name = "[ecs:|ocsf:]FILE")]
    events: Option<String>,
    /// Also write one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with status 1 when a suspect of this severity or above has no approval.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
}

pub(super) fn run(args: &TaskArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    match &args.command {
        TaskCommand::Plan(args) => plan_command(args, context),
        TaskCommand::Run(args) => run_command(args, context),
        TaskCommand::Merge(args) => merge_command(args, context),
    }
}

fn plan_command(args: &PlanArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let traffic = TrafficArgs {
        since: args.since.clone(),
        until: args.until.clone(),
        config: args.config.clone(),
        ..TrafficArgs::default()
    };
    let manifest = plan_traffic(&args.store, &traffic, args.slice_rows, context)?;
    write_text(&args.out, &manifest.text())?;
    let plan = &manifest.plan;
    writeln!(context.out, "{} slices of {} rows → {}", plan.slices, plan.rows, args.out.display())?;
    context.say(&format!(
        "next: egress-atlas task run --manifest {} --slice N --out PARTIALS, for N from 0 to {}",
        args.out.display(),
        plan.slices.saturating_sub(1)
    ));
    Ok(ExitStatus::Good)
}

/// Plans what these flags ask of a store.
pub(super) fn plan_traffic(
    store: &Path,
    traffic: &TrafficArgs,
    slice_rows: u64,
    context: &Context<'_>,
) -> anyhow::Result<Manifest> {
    let settings = traffic.settings()?;
    let (since, until) = traffic.window(context)?;
    let asked = Asked::of(since, until, settings.join.idle, settings.join.window);
    let manifest = match bucket_of(store)? {
        Some(bucket) => slices::plan_bucket(&bucket, store, &asked, slice_rows.max(1))?,
        None => slices::plan(store, &asked, slice_rows.max(1))?,
    };
    if manifest.slices.is_empty() {
        bail!("`{}`: no rows in the asked window; `preflight --store` tells what the store covers", store.display());
    }
    Ok(manifest)
}

fn run_command(args: &RunArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    if let Some(slice) = args.slice {
        let outcome = run_slice(args, slice)?;
        say_outcome(&outcome, context)?;
        return Ok(ExitStatus::Good);
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input: numbers of slices")?;
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let slice = text
            .parse()
            .with_context(|| format!("standard input: `{}` is no number of a slice", text.escape_debug()))?;
        say_outcome(&run_slice(args, slice)?, context)?;
    }
    Ok(ExitStatus::Good)
}

fn say_outcome(outcome: &Outcome, context: &mut Context<'_>) -> anyhow::Result<()> {
    writeln!(context.out, "{}", serde_json::to_string(outcome)?)?;
    Ok(context.out.flush()?)
}

/// Runs a slice. What went wrong is left beside the partial results too: a scheduler may keep it to itself.
fn run_slice(args: &RunArgs, slice: u32) -> anyhow::Result<Outcome> {
    let Some(bucket) = bucket_of(&args.out)? else { return run_slice_into(args, &args.out, slice) };
    let folder = tempfile::tempdir().context("temporary folder; set TMPDIR to a folder with room")?;
    let result = run_slice_into(args, folder.path(), slice);
    let note = note_name(slice);
    match &result {
        Ok(outcome) => {
            bucket.put(&outcome.partial, std::fs::read(folder.path().join(&outcome.partial))?)?;
            bucket.delete(&note)?;
        }
        Err(error) => drop(bucket.put(&note, format!("{error:#}\n"))),
    }
    result
}

fn run_slice_into(args: &RunArgs, out: &Path, slice: u32) -> anyhow::Result<Outcome> {
    let note = out.join(note_name(slice));
    let run = |(plan, line): (PlanLine, SliceLine)| -> anyhow::Result<Outcome> {
        Ok(match bucket_of(&plan.store)? {
            Some(bucket) => slices::run_bucket(&bucket, &plan, &line, out)?,
            None => slices::run(&plan, &line, out)?,
        })
    };
    let result =
        read_slice(&args.manifest, slice).and_then(|found| run(found).with_context(|| format!("slice {slice}")));
    match &result {
        Ok(_) => drop(std::fs::remove_file(&note)),
        Err(error) => drop(write_file(&note, |file| Ok(writeln!(file, "{error:#}")?))),
    }
    result
}

/// The name of the file that tells why a slice failed last.
pub(super) fn note_name(slice: u32) -> String {
    format!("slice-{slice:06}.failed")
}

fn read_slice(path: &Path, slice: u32) -> anyhow::Result<(PlanLine, SliceLine)> {
    let named = || format!("`{}`: manifest", path.display());
    let file = File::open(path).with_context(named)?;
    let (plan, mut slices) =
        Manifest::read_slices(BufReader::new(file), &BTreeSet::from([slice])).with_context(named)?;
    slices.remove(&slice).map(|line| (plan, line)).with_context(named)
}

fn merge_command(args: &MergeArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let reviews = reviews(args.reviews.as_deref())?;
    let baseline = args.baseline.as_deref().map(|path| anyhow::Ok(known_destinations(&read_baseline(path)?)));
    let baseline = baseline.transpose()?;
    let file = File::open(&args.manifest).with_context(|| format!("`{}`: manifest", args.manifest.display()))?;
    let manifest =
        Manifest::read(BufReader::new(file)).with_context(|| format!("`{}`: manifest", args.manifest.display()))?;
    let traffic = TrafficArgs {
        kube: args.kube.clone(),
        cluster: args.cluster.clone(),
        config: args.config.clone(),
        threads: args.threads,
        ..TrafficArgs::default()
    };
    let partials = fetched(&args.partials)?;
    let folder = partials.as_ref().map_or(args.partials.as_path(), tempfile::TempDir::path);
    let (read, evidence) = merge_slices(&manifest, folder, &traffic, context)?;
    let discover = DiscoverArgs {
        traffic,
        spark: SparkArgs::default(),
        out: args.out.clone(),
        reviews: args.reviews.clone(),
        baseline: args.baseline.clone(),
        sarif: args.sarif.clone(),
        events: args.events.clone(),
        html: args.html.clone(),
        fail_on: args.fail_on,
        format: Format::Table,
    };
    finish(&discover, (&reviews, baseline.as_ref()), (&read, evidence), context)
}

/// Partial results of a bucket in a folder; none where they are in one already.
fn fetched(partials: &Path) -> anyhow::Result<Option<tempfile::TempDir>> {
    let Some(bucket) = bucket_of(partials)? else { return Ok(None) };
    let folder = tempfile::tempdir().context("temporary folder; set TMPDIR to a folder with room")?;
    bucket.fetch_into(folder.path(), |name| name.ends_with(".partial"))?;
    Ok(Some(folder))
}

/// All partial results, as reading the store gives them.
pub(super) fn merge_slices(
    manifest: &Manifest,
    partials: &Path,
    traffic: &TrafficArgs,
    context: &mut Context<'_>,
) -> anyhow::Result<(Traffic, Evidence)> {
    let settings = traffic.settings()?;
    let asked = &manifest.plan.asked;
    let window: (Option<Timestamp>, Option<Timestamp>) = asked.window();
    same_settings(asked, &settings)?;
    let progress = Progress::default();
    let name = name_of(&manifest.plan.store_as_given);
    let threads = traffic.threads();
    let merged = with_progress(context, &progress, || slices::merge(manifest, partials, &name, threads, &progress))?;
    let stored = Stored::of_slices(manifest, merged);
    traffic.assemble(Ingested::default(), &[], Some(stored), settings, window)
}

/// Slices were folded by the settings of the plan; others would give neither the one result nor the other.
fn same_settings(asked: &Asked, settings: &Settings) -> anyhow::Result<()> {
    let now = (settings.join.idle, settings.join.window);
    if (asked.idle_nanos, asked.margin_nanos) == now {
        return Ok(());
    }
    let seconds = |nanos: i64| nanos / 1_000_000_000;
    bail!(
        "the settings differ from those of the plan: join.idle is {} s and was {} s, join.window is {} s and was {} s; give `task merge` the --config that `task plan` had",
        seconds(now.0),
        seconds(asked.idle_nanos),
        seconds(now.1),
        seconds(asked.margin_nanos)
    )
}
