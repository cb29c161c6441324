//! The command line: one file per command, arguments in, exit status out.
//!
//! Names, flags, exit statuses and columns are a contract. Nothing imports this module but the binary.

mod attribute;
mod audit;
mod baseline;
mod bucket;
mod collect;
mod context;
mod demo;
mod discover;
mod draft;
mod drafts_index;
mod drift;
mod format;
mod import;
mod investigate;
mod plan;
mod preflight;
mod probe;
mod replay;
mod report;
mod review;
mod soak;
mod spark;
mod stored;
mod task;
mod traffic;
mod write;

use clap::{Args, Parser, Subcommand};

pub use context::{Context, system_now};

use crate::error::ExitStatus;

/// From flow logs and DNS captures to a map of every destination that workloads talk to.
#[derive(Debug, Parser)]
#[command(name = "egress-atlas", version, about, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 good, 1 not good, 2 could not be carried out, 3 not proven by the evidence.\n\n\
    Try it without any data of your own:\n  egress-atlas demo --out atlas-demo"
)]
pub struct Cli {
    #[command(flatten)]
    manners: Manners,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Manners {
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more: every input with its account.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do the main job on the small data set inside the binary.
    Demo(demo::DemoArgs),
    /// Write the baseline: one document per namespace.
    Discover(discover::DiscoverArgs),
    /// Write policy drafts from a baseline, and list what they leave out.
    Draft(draft::DraftArgs),
    /// Write one row per client-side flow, with its name and the evidence.
    Attribute(attribute::AttributeArgs),
    /// Collect from live sources into a store, until it is stopped.
    Collect(collect::CollectArgs),
    /// Put files into a store, each content once.
    Import(import::ImportArgs),
    /// Tell whether the inputs can carry the job, and what they cover.
    Preflight(preflight::PreflightArgs),
    /// Tell what is new, gone or changed since an approved baseline.
    Drift(drift::DriftArgs),
    /// Judge recorded traffic by policies that are not in force yet: what would break?
    Replay(replay::ReplayArgs),
    /// Lint policies in force: too wide, without effect, missing.
    Audit(audit::AuditArgs),
    /// The gate after a change: clean, not clean, or not proven.
    Soak(soak::SoakArgs),
    /// Print the rollout plan: namespaces by blast radius, steps, gates, rollback commands.
    Plan(plan::PlanArgs),
    /// Print the manifest of a probe that proves whether policies are enforced.
    Probe(probe::ProbeArgs),
    /// Tell who had to do with a target, when, under which names, and what else they did.
    Investigate(investigate::InvestigateArgs),
    /// Write a baseline as one self-contained page.
    Report(report::ReportArgs),
    /// List and decide what owners answer for.
    Review(review::ReviewArgs),
    /// Discover in slices, on as many machines as you like: plan, run each slice, merge.
    Task(task::TaskArgs),
}

impl Cli {
    /// Whether nothing but errors is to be said.
    pub fn quiet(&self) -> bool {
        self.manners.quiet
    }

    /// Whether more is to be said.
    pub fn verbose(&self) -> bool {
        self.manners.verbose
    }

    /// When to use colours.
    pub fn color(&self) -> clap::ColorChoice {
        self.manners.color
    }

    /// Carries the command out.
    pub fn run(&self, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
        match &self.command {
            Command::Demo(args) => demo::run(args, context),
            Command::Discover(args) => discover::run(args, context),
            Command::Draft(args) => draft::run(args, context),
            Command::Attribute(args) => attribute::run(args, context),
            Command::Collect(args) => collect::run(args, context),
            Command::Import(args) => import::run(args, context),
            Command::Preflight(args) => preflight::run(args, context),
            Command::Drift(args) => drift::run(args, context),
            Command::Replay(args) => replay::run(args, context),
            Command::Audit(args) => audit::run(args, context),
            Command::Soak(args) => soak::run(args, context),
            Command::Plan(args) => plan::run(args, context),
            Command::Probe(args) => probe::run(args, context),
            Command::Investigate(args) => investigate::run(args, context),
            Command::Report(args) => report::run(args, context),
            Command::Review(args) => review::run(args, context),
            Command::Task(args) => task::run(args, context),
        }
    }
}
