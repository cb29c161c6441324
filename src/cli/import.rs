//! `import`: files into a store, each content once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Context;
use super::bucket::bucket_of;
use super::traffic::{instant, once_each, with_progress};
use crate::error::ExitStatus;
use crate::lake::{Importing, Written, compact, note_folding, retention};
use crate::model::Account;
use crate::read::{InputFile, InputSpec};
use crate::task::{ImportOptions, Imported, Outcome, Progress, import};

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(
    after_help = "A file is known by its content: importing it again, renamed or compressed, adds nothing; of a file \
    that has grown, only what is new is read.\n\nExamples:\n  \
    egress-atlas import --store lake --flows 'hubble/*.log*' --dns coredns.fstrm\n  \
    egress-atlas import --store s3://flow-logs/atlas --flows 'hubble/*.log*' --dns coredns.fstrm\n  \
    egress-atlas discover --store lake --since 7d --out discovery"
)]
pub(super) struct ImportArgs {
    /// The store, a folder or `s3://BUCKET/PREFIX`; made if it is not there.
    #[arg(long, value_name = "DIR|URL")]
    store: PathBuf,
    /// Flow records: file, folder, glob or `-`; NAME= gives the cluster of records that name none. FORMAT is recognised
    /// from the content, or one of hubble, calico, calico-log, goldmane, antrea-log, antrea-csv, ipfix.
    #[arg(long, value_name = "[NAME=][FORMAT:]PATH")]
    flows: Vec<String>,
    /// DNS answers: dnstap captures (Frame Streams), Calico's dns.log (calico-dns), or Hubble layer 7 records.
    #[arg(long, value_name = "[NAME=][FORMAT:]PATH")]
    dns: Vec<String>,
    /// The cluster of inputs that name none.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// When the inputs end: times without a year are the last such date before it. RFC 3339, or a duration before now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Keep every record as a row of its own from now on: equal records of a minute become one row otherwise. No result differs.
    #[arg(long)]
    no_fold: bool,
    /// Worker threads [default: all processors].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(super) fn run(args: &ImportArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let mut files = Vec::new();
    for text in args.flows.iter().chain(&args.dns) {
        files.extend(InputSpec::parse(text)?.files()?);
    }
    let latest = instant(args.until.as_deref(), "--until", context.now)?;
    let mut files = once_each(files)?;
    if files.is_empty() {
        bail!("nothing to import: give --flows PATH (flow records) or --dns PATH (DNS answers)");
    }
    for file in &mut files {
        file.cluster = file.cluster.take().or_else(|| args.cluster.clone());
    }
    // Standard input can be read only once; the content is looked at before it is read.
    let _kept = spool(&mut files)?;
    let bucket = bucket_of(&args.store)?;
    let importing = bucket.as_ref().map(Importing::begin).transpose()?;
    let store = importing.as_ref().map_or(args.store.as_path(), Importing::root).to_owned();
    let _lock = lock(&store)?;
    if args.no_fold {
        note_folding(&store, false)?;
    }
    let threads = args
        .threads
        .filter(|threads| *threads > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let progress = Progress::default();
    let imported =
        with_progress(context, &progress, || import(&store, &files, ImportOptions { threads, latest }, &progress));
    // What came before a failure stays, in a bucket as in a folder.
    let old = retention(&store);
    match (&bucket, importing) {
        (Some(bucket), Some(importing)) => {
            importing.finish(bucket)?;
            // Everything is there; that it is in many pieces costs time and no row.
            match importing.merge(bucket, context.now) {
                Ok((replaced, merged)) if context.verbose && replaced > 0 => {
                    context.say(&format!("{replaced} objects merged into {merged}"));
                }
                Ok(_) => {}
                Err(error) => context.say(&format!("warning: small objects of imports are not merged: {error}")),
            }
        }
        _ if imported.is_ok() => tidy(&store, context)?,
        _ => {}
    }
    let imported = imported?;
    for one in &imported {
        say(one, context);
    }
    say_retention(old, &imported, context);
    let mut all = Account::default();
    for one in &imported {
        all.absorb(&one.account);
    }
    context.say(&format!(
        "records: {} read = {} used + {} rejected + {} excluded",
        all.read,
        all.used,
        all.rejected_total(),
        all.excluded_total()
    ));
    say_folding(&imported, context);
    let count = |wanted: fn(Outcome) -> bool| imported.iter().filter(|one| wanted(one.outcome)).count();
    writeln!(
        context.out,
        "{} files imported, {} continued, {} known already → {}",
        count(|outcome| outcome == Outcome::Imported),
        count(|outcome| matches!(outcome, Outcome::Continued(_))),
        count(|outcome| outcome == Outcome::Known),
        args.store.display()
    )?;
    let broken = imported.iter().any(|one| one.problem.is_some() && one.outcome != Outcome::PassedOver);
    Ok(if broken { ExitStatus::NotProven } else { ExitStatus::Good })
}

fn say(one: &Imported, context: &mut Context<'_>) {
    let account = &one.account;
    match one.outcome {
        Outcome::PassedOver => {
            let why = one.problem.as_deref().unwrap_or_default();
            return context.say(&format!("warning: `{}` is passed over: {why}", one.input));
        }
        Outcome::Known if context.verbose => context.say(&format!("`{}`: the store has it already", one.input)),
        Outcome::Known => {}
        Outcome::Imported | Outcome::Continued(_) => {
            if context.verbose {
                let from = match one.outcome {
                    Outcome::Continued(byte) => format!(" from byte {byte} on"),
                    _ => String::new(),
                };
                context.say(&format!(
                    "{}{from}: {} read = {} used + {} rejected + {} excluded",
                    one.input,
                    account.read,
                    account.used,
                    account.rejected_total(),
                    account.excluded_total()
                ));
            }
            for (reason, count) in &account.rejected {
                context.say(&format!(
                    "rejected: `{}`: {} × {} (first at {})",
                    one.input, count.records, reason.0, count.first
                ));
            }
        }
    }
    if let Some(problem) = &one.problem {
        context.say(&format!(
            "warning: `{}` breaks off: {problem}; what came before is in the store, what follows is missing",
            one.input
        ));
    }
}

/// Says how many rows the records became.
fn say_folding(imported: &[Imported], context: &mut Context<'_>) {
    let of = |count: fn(&Written) -> u64| -> u64 { imported.iter().map(|one| count(&one.written)).sum() };
    let stored = [of(|written| written.flows), of(|written| written.answers), of(|written| written.questions)];
    let (all, rows) = (stored.iter().sum::<u64>(), of(|written| written.rows));
    if let Some(tenths) = all.saturating_mul(10).checked_div(rows) {
        let [flows, answers, questions] = stored;
        context.say(&format!(
            "stored: {flows} flow records, {answers} answers, {questions} questions in {rows} rows ({}.{} to a row)",
            tenths / 10,
            tenths % 10
        ));
    }
}

/// Warns of days that the store's collector is about to remove, or has removed.
fn say_retention(kept: Option<Duration>, imported: &[Imported], context: &mut Context<'_>) {
    let Some(kept) = kept else { return };
    let oldest = context.now.plus_nanos(i64::try_from(kept.as_nanos()).unwrap_or(i64::MAX).saturating_neg());
    let is_old = |one: &&Imported| one.first_day.is_some_and(|day| day < oldest.day());
    let old: Vec<&Imported> = imported.iter().filter(is_old).collect();
    if let Some(first) = old.first() {
        context.say(&format!(
            "warning: {} of these files have rows from before {}, the first: `{}`; the collector of this store keeps days for {} h and removes such rows: import them into a store of their own",
            old.len(),
            oldest.date(),
            first.input,
            kept.as_secs() / 3_600
        ));
    }
}

/// Merges the small files that many inputs leave.
fn tidy(store: &Path, context: &Context<'_>) -> anyhow::Result<()> {
    let now = u64::try_from(context.now.nanos()).unwrap_or(0);
    compact(store, std::time::UNIX_EPOCH + Duration::from_nanos(now))?;
    Ok(())
}

/// Copies standard input to a temporary file, which is kept as long as the result.
fn spool(files: &mut [InputFile]) -> anyhow::Result<Option<tempfile::NamedTempFile>> {
    let Some(file) = files.iter_mut().find(|file| file.is_stdin()) else { return Ok(None) };
    let mut kept = tempfile::NamedTempFile::new().context("temporary file; set TMPDIR to a folder with room")?;
    std::io::copy(&mut std::io::stdin().lock(), &mut kept).context("standard input")?;
    kept.path().clone_into(&mut file.path);
    Ok(Some(kept))
}

/// One import at a time: two could take the same file for new.
fn lock(store: &Path) -> anyhow::Result<std::fs::File> {
    let path = store.join("import.lock");
    let name = || format!("`{}`: cannot be written; check the folder's permissions and free space", path.display());
    std::fs::create_dir_all(store).with_context(name)?;
    let file = std::fs::File::create(&path).with_context(name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("`{}`: another import is running; wait for its end", store.display())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(name),
    }
}
