//! `collect`: live sources into a store, until SIGTERM or SIGINT.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Context;
use super::bucket::variables;
use super::context::system_now;
use crate::catalog::{BucketSettings, CollectSettings};
use crate::collect::{Journal, Quota, Shipper};
use crate::error::ExitStatus;
use crate::lake::{Bucket, BucketShipper, Patience, ShipOptions};
use crate::task::StoreSealer;

/// Arguments of `collect`.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct CollectArgs {
    /// Where to listen, what to follow, where to write; an example is below.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the settings, and do nothing else.
    #[arg(long)]
    check: bool,
}

fn help() -> String {
    format!(
        "Everything that arrives is in a write-ahead log before it is understood, so that a crash costs at most `sync`. \
         Log lines go to standard error as JSON. SIGTERM and SIGINT end it in order.\n\n\
         Examples:\n  egress-atlas collect --config collect.toml --check\n  egress-atlas collect --config collect.toml\n  \
         egress-atlas preflight --store /var/lib/egress-atlas --since 7d\n\n\
         A complete collect.toml:\n\n{}",
        CollectSettings::example()
    )
}

pub(super) fn run(args: &CollectArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let name = args.config.display().to_string();
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("`{name}`: settings; check the path given to --config"))?;
    let settings = CollectSettings::parse(&text, &name)?;
    if args.check {
        writeln!(
            context.out,
            "{name}: good; {} listeners, {} file patterns, {} streams",
            settings.dnstap.len() + settings.ipfix.len(),
            settings.hubble.len(),
            settings.feeds.len()
        )?;
        for files in &settings.hubble {
            let is_there = |found: Result<PathBuf, glob::GlobError>| found.is_ok_and(|path| path.is_file());
            if !glob::glob(&files.path).is_ok_and(|mut found| found.any(is_there)) {
                context.say(&format!("warning: no file matches `{}` now", files.path));
            }
        }
        if let Some(bucket) = &settings.bucket {
            // What the pod's environment will say is not known here.
            if let Err(error) = bucket.access(&variables()) {
                context.say(&format!("warning: {error}"));
            }
        }
        return Ok(ExitStatus::Good);
    }
    let shipper = settings.bucket.as_ref().map(|bucket| shipper(&settings, bucket)).transpose()?;
    let journal = Journal::new(std::io::stderr(), system_now);
    let sealer = Box::new(StoreSealer::new(&settings.store, settings.retention, system_now).folding(settings.fold));
    crate::collect::run(&settings, sealer, shipper, &journal, system_now, Quota::default())?;
    Ok(ExitStatus::Good)
}

/// What ships the store to its bucket.
fn shipper(settings: &CollectSettings, bucket: &BucketSettings) -> anyhow::Result<Box<dyn Shipper>> {
    let access = bucket.access(&variables())?;
    let options = ShipOptions {
        keep: bucket.keep,
        tidy: bucket.tidy,
        retention: settings.retention,
        folds: settings.fold,
        clock: system_now,
    };
    let bucket = Bucket::open(&access, Patience::None)?;
    Ok(Box::new(BucketShipper::new(&settings.store, bucket, options)?))
}
