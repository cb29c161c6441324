//! `report`: a baseline as one self-contained page.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::baseline::read_baseline;
use super::write::write_text;
use crate::error::ExitStatus;
use crate::report::atlas_page;

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "The page needs no network and no server; open it from the file system, mail it, or keep it with the incident.\n\n\
    Example:\n  egress-atlas report --baseline discovery --html egress.html"
)]
pub(super) struct ReportArgs {
    /// The folder that `discover` wrote.
    #[arg(long, value_name = "DIR")]
    baseline: PathBuf,
    /// Where the page goes.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

pub(super) fn run(args: &ReportArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let atlas = read_baseline(&args.baseline)?;
    write_text(&args.html, &atlas_page(&atlas)?)?;
    context.say(&format!("page: {}", args.html.display()));
    Ok(ExitStatus::Good)
}
