//! `discover`: join, categorise, flag; the baseline, one document per namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::channel;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::Context;
use super::baseline::read_baseline;
use super::format::Format;
use super::preflight::{is_covered, summarise};
use super::spark::{Engine, SparkArgs};
use super::traffic::{Traffic, TrafficArgs, say_account};
use super::write::{write_csv, write_file, write_table, write_text};
use crate::attribute::Evidence;
use crate::catalog::{Catalog, Reviews, RuleRanges};
use crate::detect::Baseline;
use crate::error::ExitStatus;
use crate::model::Severity;
use crate::report::{
    ATLAS_SCHEMA, AtlasView, EventForm, atlas_document, atlas_page, documents, egress_columns, events, index_document,
    ingress_columns, sarif, summary_columns, summary_document, summary_markdown, summary_text,
};
use crate::task::{judge_against, known_destinations, worst_open};

/// Arguments of `discover`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    egress-atlas discover --flows 'hubble/*.log*' --dns coredns.fstrm --kube kube.json --out discovery\n  \
    egress-atlas discover --flows eu=eu/ --dns eu=eu.fstrm --flows us=us/ --dns us=us.fstrm --out discovery\n  \
    egress-atlas discover --flows hubble/ --dns dns.fstrm --out discovery --sarif findings.sarif --events findings.ndjson\n  \
    egress-atlas discover --engine spark --master spark://head:7077 --store /mnt/lake --out discovery")]
pub(super) struct DiscoverArgs {
    #[command(flatten)]
    pub(super) traffic: TrafficArgs,
    #[command(flatten)]
    pub(super) spark: SparkArgs,
    /// Where the documents go; existing ones are replaced.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// The owner gate [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    pub(super) reviews: Option<PathBuf>,
    /// A folder that `discover` wrote earlier (or its `atlas.json`): destinations that it does not have are findings.
    #[arg(long, value_name = "DIR")]
    pub(super) baseline: Option<PathBuf>,
    /// Write all findings as SARIF 2.1.0 too.
    #[arg(long, value_name = "FILE")]
    pub(super) sarif: Option<PathBuf>,
    /// Write all findings as JSON lines for a SIEM too; `ocsf:FILE` for OCSF instead of ECS.
    #[arg(long, value_name = "[ecs:|ocsf:]FILE")]
    pub(super) events: Option<String>,
    /// Also write one self-contained page.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// End with status 1 when a suspect of this severity or above has no approval.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(super) fail_on: Option<FailOn>,
    /// How to print the summary; the documents are the same.
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: Format,
}

/// The severity from which a suspect fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    Low,
    Medium,
    High,
}

impl FailOn {
    const fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
        }
    }
}

pub(super) fn run(args: &DiscoverArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    // Settings and reviews are read before the traffic: a typing error should not cost an hour.
    let reviews = reviews(args.reviews.as_deref())?;
    let baseline = args.baseline.as_deref().map(baseline).transpose()?;
    let (traffic, evidence) = match &args.spark.engine {
        Engine::Local if args.spark.master.is_some() => {
            bail!("--master is for --engine spark; add that, or leave it out")
        }
        Engine::Local => args.traffic.load(false, context)?,
        Engine::Spark => args.spark.discover(&args.traffic, context)?,
    };
    finish(args, (&reviews, baseline.as_ref()), (&traffic, evidence), context)
}

/// Judges what was read, and writes it.
pub(super) fn finish(
    args: &DiscoverArgs,
    (reviews, baseline): (&Reviews, Option<&Baseline>),
    (traffic, evidence): (&Traffic, Evidence),
    context: &mut Context<'_>,
) -> anyhow::Result<ExitStatus> {
    let catalog = Catalog::embedded()?;
    let atlas = summarise(traffic, evidence, &RuleRanges::of(&catalog, &traffic.settings))?;
    let view = judge_against(&atlas, &catalog, &traffic.settings, reviews, baseline);
    write_baseline(&view, &args.out, traffic.threads)?;
    write_findings(&view, args)?;
    if let Some(path) = &args.html {
        write_text(path, &atlas_page(&atlas_document(&view))?)?;
    }
    print(&view, args.format, context)?;
    say_account(traffic, context);
    context.say(&format!("open {} first", args.out.join("index.md").display()));
    if let Some(from) = args.fail_on
        && let Some(worst) = worst_open(&view).filter(|worst| *worst >= from.severity())
    {
        context.say(&format!("status 1: a suspect of severity {worst} has no approval (--fail-on)"));
        return Ok(ExitStatus::NotGood);
    }
    if is_covered(traffic, &atlas) {
        return Ok(ExitStatus::Good);
    }
    context.say("status 3: not proven: an input broke off, or there is no traffic in it, or the flows do not cover the asked window");
    Ok(ExitStatus::NotProven)
}

/// Prints the summary.
fn print(view: &AtlasView<'_>, format: Format, context: &mut Context<'_>) -> anyhow::Result<()> {
    let document = || summary_document(view);
    match format {
        Format::Table => write!(context.out, "{}", summary_text(view, context.width, context.paint))?,
        Format::Json => writeln!(context.out, "{}", serde_json::to_string_pretty(&document())?)?,
        Format::Csv => write_csv(context.out, &summary_columns(&document()))?,
        Format::Markdown => write!(context.out, "{}", summary_markdown(&document()))?,
    }
    Ok(())
}

/// Writes every file of the baseline; with several threads the atlas is made beside all others. It is there only once they are: it says
/// which documents the next run has to remove.
pub(super) fn write_baseline(view: &AtlasView<'_>, out: &Path, threads: usize) -> anyhow::Result<()> {
    let former = former_documents(out);
    let others = || {
        remove_stale(out, &former, &write_documents(view, out)?)?;
        write_table(&out.join("egress.parquet"), std::iter::once(egress_columns(view)))?;
        write_table(&out.join("ingress.parquet"), std::iter::once(ingress_columns(view)))
    };
    let atlas = |others: &dyn Fn() -> anyhow::Result<()>| {
        write_file(&out.join("atlas.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, &atlas_document(view))?;
            file.write_all(b"\n")?;
            others()
        })
    };
    if threads < 2 {
        others()?;
        return atlas(&|| Ok(()));
    }
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        let atlas = scope.spawn(move || atlas(&|| is_done.recv().context("the documents were not written")));
        let written = others();
        if written.is_ok() {
            // Fails only when the atlas could not be written, which is told below.
            done.send(()).ok();
        }
        drop(done);
        let atlas = atlas.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(atlas)
    })
}

/// Writes a document for each namespace and their index; which ones.
fn write_documents(view: &AtlasView<'_>, out: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut written = BTreeSet::new();
    for (path, text) in documents(view) {
        write_text(&out.join(&path), &text)?;
        written.insert(path);
    }
    write_text(&out.join("index.md"), &index_document(view))?;
    Ok(written)
}

/// A document of a namespace that is gone would look like part of this baseline.
fn remove_stale(out: &Path, former: &BTreeSet<String>, written: &BTreeSet<String>) -> anyhow::Result<()> {
    for path in former.difference(written) {
        let stale = out.join(path);
        if stale.is_file() {
            std::fs::remove_file(&stale).with_context(|| {
                format!("`{}`: of an earlier run, cannot be removed; check the folder's permissions", stale.display())
            })?;
        }
        // Fails on a folder that still holds something, which is then somebody else's.
        if let Some(folder) = stale.parent().filter(|folder| *folder != out) {
            std::fs::remove_dir(folder).ok();
        }
    }
    Ok(())
}

/// Of an `atlas.json`, where the documents are: all else is passed over unread.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Former {
    schema: String,
    clusters: BTreeMap<String, FormerCluster>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FormerCluster {
    namespaces: BTreeMap<String, FormerNamespace>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FormerNamespace {
    document: String,
}

/// The documents that an earlier run left in a folder, by its own account; only paths that lie inside count.
fn former_documents(out: &Path) -> BTreeSet<String> {
    let Ok(text) = std::fs::read(out.join("atlas.json")) else { return BTreeSet::new() };
    let earlier: Former = serde_json::from_slice(&text).unwrap_or_default();
    if earlier.schema != ATLAS_SCHEMA {
        return BTreeSet::new();
    }
    let documents = earlier.clusters.into_values().flat_map(|cluster| cluster.namespaces.into_values());
    let is_inside = |path: &String| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let is_document = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "md");
    documents.map(|namespace| namespace.document).filter(|path| is_document(path) && is_inside(path)).collect()
}

/// Writes the findings in the forms that were asked for.
fn write_findings(view: &AtlasView<'_>, args: &DiscoverArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.sarif {
        write_text(path, &sarif(view)?)?;
    }
    if let Some(target) = &args.events {
        let (form, path) = match (target.strip_prefix("ocsf:"), target.strip_prefix("ecs:")) {
            (Some(path), _) => (EventForm::Ocsf, path),
            (None, Some(path)) => (EventForm::Ecs, path),
            (None, None) => (EventForm::Ecs, target.as_str()),
        };
        write_text(Path::new(path), &events(view, form)?)?;
    }
    Ok(())
}

/// The destinations outside of an earlier `atlas.json`.
pub(super) fn baseline(path: &Path) -> anyhow::Result<Baseline> {
    Ok(known_destinations(&read_baseline(path)?))
}

/// The reviews of a file; none when there is no default file.
pub(super) fn reviews(path: Option<&Path>) -> anyhow::Result<Reviews> {
    let default = Path::new("reviews.toml");
    let path = match path {
        Some(path) => path,
        None if default.is_file() => default,
        None => return Ok(Reviews::default()),
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("`{name}`: reviews; check the path given to --reviews"))?;
    Ok(Reviews::parse(&text, &name)?)
}
