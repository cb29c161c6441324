//! The command line: one file per command, arguments in, exit status out.
//!
//! Names, flags, exit statuses and columns are a contract. Nothing imports this module but the binary.

mod attribute;
mod collect;
mod context;
mod demo;
mod discover;
mod import;
mod preflight;
mod stored;
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
    /// Write one row per client-side flow, with its name and the evidence.
    Attribute(attribute::AttributeArgs),
    /// Collect from live sources into a store, until it is stopped.
    Collect(collect::CollectArgs),
    /// Put files into a store, each content once.
    Import(import::ImportArgs),
    /// Tell whether the inputs can carry the job, and what they cover.
    Preflight(preflight::PreflightArgs),
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
            Command::Attribute(args) => attribute::run(args, context),
            Command::Collect(args) => collect::run(args, context),
            Command::Import(args) => import::run(args, context),
            Command::Preflight(args) => preflight::run(args, context),
        }
    }
}
