//! `discover`: join, categorise, flag; the baseline, one document per namespace.

use super::Context;
use super::preflight::summarise;
use super::traffic::{TrafficArgs, say_account};
use super::write::{write_table, write_text};
use crate::error::ExitStatus;
use crate::report::{AtlasView, atlas_json, documents, egress_columns, index_document, ingress_columns, summary_text};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `discover`.
#[derive(Debug, Args)]
pub(super) struct DiscoverArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &DiscoverArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let traffic = args.traffic.load(false, context)?;
    let atlas = summarise(&traffic)?;
    let view = AtlasView::new(&atlas);
    for (path, text) in documents(&view) {
        write_text(&args.out.join(path), &text)?;
    }
    write_text(&args.out.join("index.md"), &index_document(&view))?;
    write_text(&args.out.join("atlas.json"), &atlas_json(&view)?)?;
    write_table(&args.out.join("egress.parquet"), egress_columns(&view))?;
    write_table(&args.out.join("ingress.parquet"), ingress_columns(&view))?;
    write!(context.out, "{}", summary_text(&view))?;
    say_account(&traffic, context);
    Ok(if traffic.is_broken() { ExitStatus::NotProven } else { ExitStatus::Good })
}
