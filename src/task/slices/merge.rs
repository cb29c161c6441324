//! Partial results of all slices → what reading the store at once gives.
//!
//! In: the manifest and the folder of partial results, in any order. Out: folds for the join, accounts, what the ledger says.
//! Every slice must be there once, of this manifest and of this version; anything else is refused before a row is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::manifest::{FORM, Manifest, VERSION};
use super::partial::{self, ENDING, SliceError};
use super::taught::Taught;
use crate::attribute::Fold;
use crate::lake::Table;
use crate::model::Account;
use crate::summary::InputAccount;
use crate::task::ingest::Progress;
use crate::task::store::inputs_of;

/// Everything that the slices hold.
pub struct Merged {
    /// One per thread.
    pub folds: Vec<Fold>,
    /// One for each table.
    pub inputs: Vec<InputAccount>,
    /// What the ledger says.
    pub taught: Taught,
    /// Files that cannot be read.
    pub broken: Vec<String>,
    /// Row groups that were read.
    pub pieces: u64,
}

/// What one thread has read: its fold, the ledger, accounts, files that cannot be read.
type Part = (Fold, Taught, BTreeMap<Table, Account>, Vec<String>);

/// Reads all partial results in `folder`.
pub fn merge(
    manifest: &Manifest,
    folder: &Path,
    name: &str,
    threads: usize,
    progress: &Progress,
) -> Result<Merged, SliceError> {
    let files = checked(manifest, folder)?;
    let next = AtomicUsize::new(0);
    let parts: Vec<Result<Part, SliceError>> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads.max(1)).map(|_| scope.spawn(|| read(manifest, &files, &next, progress))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut accounts: BTreeMap<Table, Account> = BTreeMap::new();
    let (mut folds, mut taught) = (Vec::new(), Taught::default());
    let mut broken = manifest.plan.broken.clone();
    for part in parts {
        let (fold, own, of_tables, unreadable) = part?;
        folds.push(fold);
        taught.absorb(own);
        broken.extend(unreadable);
        for (table, account) in of_tables {
            accounts.entry(table).or_default().absorb(&account);
        }
    }
    let broken = as_given(manifest, broken);
    let inputs = inputs_of(accounts, &broken, name);
    let groups = manifest.slices.iter().flat_map(|slice| &slice.inputs).filter(|input| !is_ledger(&input.file));
    let pieces = groups.map(|input| input.groups.len() as u64).sum();
    Ok(Merged { folds, inputs, taught, broken, pieces })
}

fn is_ledger(file: &str) -> bool {
    file.split('/').next() == Some(Table::Ledger.as_str())
}

/// Reasons with the store as the user calls it, as one machine would tell them.
fn as_given(manifest: &Manifest, broken: Vec<String>) -> Vec<String> {
    let (own, given) = (manifest.plan.store.display().to_string(), manifest.plan.store_as_given.display().to_string());
    let mut broken: Vec<String> = broken
        .into_iter()
        .map(|reason| match reason.strip_prefix('`').and_then(|rest| rest.strip_prefix(&own)) {
            Some(rest) => format!("`{given}{rest}"),
            None => reason,
        })
        .collect();
    broken.sort();
    broken
}

fn read(manifest: &Manifest, files: &[PathBuf], next: &AtomicUsize, progress: &Progress) -> Result<Part, SliceError> {
    let (mut fold, mut taught) = (Fold::new(manifest.plan.asked.limits()), Taught::default());
    let (mut accounts, mut unreadable) = (BTreeMap::<Table, Account>::new(), Vec::new());
    while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let opened = partial::open(path)?;
        for (table, account) in opened.header.accounts() {
            progress.records.fetch_add(account.read, Ordering::Relaxed);
            accounts.entry(table).or_default().absorb(&account);
        }
        unreadable.extend(opened.header.unreadable.iter().cloned());
        opened.add_to(&mut fold, &mut taught)?;
    }
    Ok((fold, taught, accounts, unreadable))
}

/// The files of all slices in their order, each there once and of this manifest.
fn checked(manifest: &Manifest, folder: &Path) -> Result<Vec<PathBuf>, SliceError> {
    let failed = |source| SliceError::Io { path: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // What is unfinished has a leading dot and another ending.
        if path.extension().is_some_and(|ending| ending == ENDING) {
            names.push(path);
        }
    }
    names.sort();
    let mut found: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for path in names {
        let header = partial::open(&path)?.header;
        let name = path.display();
        if header.version != VERSION || header.form != FORM {
            return Err(SliceError::Unfit(format!(
                "`{name}` is of version {} (form {}), and this is {VERSION} (form {FORM}): plan, run and merge with one version",
                header.version, header.form
            )));
        }
        let line = usize::try_from(header.slice).ok().and_then(|slice| manifest.digests.get(slice));
        if header.manifest != manifest.plan.manifest || line != Some(&header.line) {
            return Err(SliceError::Unfit(format!(
                "`{name}` is of another manifest ({}, slice {}) than this one ({}): give each manifest a folder of its own",
                header.manifest, header.slice, manifest.plan.manifest
            )));
        }
        if let Some(other) = found.insert(header.slice, path.clone()) {
            return Err(SliceError::Unfit(format!(
                "slice {} is there twice, as `{}` and as `{name}`: remove one of them",
                header.slice,
                other.display()
            )));
        }
    }
    let missing: BTreeSet<u32> = (0..manifest.plan.slices).filter(|slice| !found.contains_key(slice)).collect();
    if !missing.is_empty() {
        let first: Vec<String> = missing.iter().take(10).map(ToString::to_string).collect();
        let more = if missing.len() > 10 { ", ..." } else { "" };
        return Err(SliceError::Unfit(format!(
            "{} of {} slices are missing in `{}`: {}{more}; run each with `task run --slice N`",
            missing.len(),
            manifest.plan.slices,
            folder.display(),
            first.join(", ")
        )));
    }
    Ok(found.into_values().collect())
}
