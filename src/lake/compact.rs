//! Small files into large ones, without stopping anybody.
//!
//! In: a store that may be written and read meanwhile; of several tidiers one is at work, and the others leave it to that one. Out: fewer files with the same rows. A
//! merged file names those that it stands for in its footer, so that no reader counts a row twice at any instant; they are
//! set aside before they are removed, so that no reader loses one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use polars::prelude::{DataFrame, SortMultipleOptions};

use super::count_columns::{has_counts, with_count_columns};
use super::error::LakeError;
use super::imports::{Digest, Imports};
use super::layout::{Partition, Table, is_shipped};
use super::scan::{COMPACTED, REPLACED, REPLACES, files, is_compacted, metadata, read_whole, replaces};
use super::write::{is_unfinished, sync_folder, write_frame};
use crate::collect::durable::UNFINISHED;
use crate::model::columns::STORED_FLOWS;

/// Files with at least this many rows are large enough.
const ROWS_ENOUGH: usize = 1 << 19;
/// No merged file gets more rows, so that one fits memory.
pub(super) const ROWS_MAX: usize = 1 << 20;
/// A folder is tidied when it holds at least this many small files.
pub(super) const SMALL_FILES_MIN: usize = 8;
/// How long files that were replaced, or begun and left, stay.
pub(super) const KEPT: Duration = Duration::from_hours(1);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Merged files that were written.
    pub merged: u64,
    /// Small files that they stand for.
    pub replaced: u64,
    /// Files that were removed.
    pub removed: u64,
}

/// Merges the small files of each folder, and removes what earlier calls replaced, where that is older than an hour at `now`.
pub fn compact(root: &Path, now: SystemTime) -> Result<Tidied, LakeError> {
    let Some(_lock) = lock(root)? else { return Ok(Tidied::default()) };
    let mut tidied = Tidied { removed: remove_leftovers(root, now)?, ..Tidied::default() };
    // What is shipped gets another name on its way, by which a merged file here would not know it: it is merged where it arrives.
    if is_shipped(root) {
        return Ok(tidied);
    }
    let imports = Imports::read(root)?;
    for table in Table::ALL {
        let mut folders: BTreeMap<Partition, Vec<(PathBuf, usize)>> = BTreeMap::new();
        for (partition, path) in files(root, table)? {
            // An import that is not recorded may be tried again, and must find its files.
            if !imports.is_settled(&path) {
                continue;
            }
            // What cannot be read is for the user to look at, and no reason to leave the rest untidy.
            let Ok(rows) = metadata(&path).map(|metadata| metadata.num_rows) else { continue };
            if rows < ROWS_ENOUGH {
                folders.entry(partition).or_default().push((path, rows));
            }
        }
        for small in folders.into_values().filter(|small| small.len() >= SMALL_FILES_MIN) {
            merge(small, now, &mut tidied)?;
        }
    }
    Ok(tidied)
}

/// One tidier at a time; `None` while another is at work.
pub(super) fn lock(root: &Path) -> Result<Option<fs::File>, LakeError> {
    let path = root.join("tidy.lock");
    let file = fs::File::create(&path).map_err(LakeError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(LakeError::io(&path)(error)),
    }
}

fn merge(small: Vec<(PathBuf, usize)>, now: SystemTime, tidied: &mut Tidied) -> Result<(), LakeError> {
    let mut together: Vec<PathBuf> = Vec::new();
    let mut rows = 0;
    for (path, own) in small {
        if rows + own > ROWS_MAX && together.len() > 1 {
            merge_files(&std::mem::take(&mut together), now, tidied)?;
            rows = 0;
        }
        rows += own;
        together.push(path);
    }
    if together.len() > 1 { merge_files(&together, now, tidied) } else { Ok(()) }
}

fn merge_files(paths: &[PathBuf], now: SystemTime, tidied: &mut Tidied) -> Result<(), LakeError> {
    if merged_file(paths, COMPACTED)?.is_none() {
        return Ok(());
    }
    for path in paths {
        set_aside(path, now)?;
    }
    tidied.merged += 1;
    tidied.replaced += paths.len() as u64;
    Ok(())
}

/// Writes one file with the rows of several of a folder, which it stands for from then on. Its name begins with `prefix`.
pub(super) fn merged_file(paths: &[PathBuf], prefix: &str) -> Result<Option<PathBuf>, LakeError> {
    let Some(folder) = paths.first().and_then(|path| path.parent()) else { return Ok(None) };
    let mut whole: Option<DataFrame> = None;
    for path in paths {
        let mut frame = read_whole(path)?;
        match &mut whole {
            Some(whole) => {
                // Only files with counted records have columns for counts.
                let level = match (has_counts(whole), has_counts(&frame)) {
                    (true, false) => with_count_columns(&mut frame, whole),
                    (false, true) => with_count_columns(whole, &frame),
                    _ => Ok(()),
                };
                level.map_err(|error| LakeError::broken(path, &error))?;
                whole.vstack_mut(&frame).map_err(|error| LakeError::broken(path, &error))?;
            }
            None => whole = Some(frame),
        }
    }
    let Some(whole) = whole else { return Ok(None) };
    let names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    let mut digest = Digest::default();
    for name in &names {
        digest.add(name.as_bytes());
    }
    let path = folder.join(format!("{prefix}{}.parquet", digest.text()));
    let [time, ..] = STORED_FLOWS;
    let order = SortMultipleOptions::default().with_maintain_order(true);
    let mut sorted = whole.sort([time], order).map_err(|error| LakeError::broken(&path, &error))?;
    drop(whole);
    let unfinished = path.with_extension(UNFINISHED);
    let note = super::codec::join_list(names.iter().map(String::as_str));
    let written = write_frame(&unfinished, &mut sorted, vec![(REPLACES.to_owned(), note)])
        .and_then(|()| fs::rename(&unfinished, &path).map_err(LakeError::io(&path)))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written?;
    Ok(Some(path))
}

/// Its time becomes that of the renaming, from which the hour counts.
fn set_aside(path: &Path, now: SystemTime) -> Result<(), LakeError> {
    let aside = path.with_extension(REPLACED);
    fs::rename(path, &aside)
        .and_then(|()| fs::File::options().append(true).open(&aside))
        .and_then(|file| file.set_modified(now))
        .map_err(LakeError::io(path))
}

/// Removes files that were begun and left, or replaced, an hour ago; and sets aside what a crash left beside its merged file.
fn remove_leftovers(root: &Path, now: SystemTime) -> Result<u64, LakeError> {
    let mut removed = 0;
    let mut waiting: Vec<PathBuf> = Table::ALL.iter().map(|table| root.join(table.as_str())).collect();
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_replaced = path.extension().is_some_and(|extension| extension == REPLACED);
            if path.is_dir() {
                waiting.push(path);
            } else if is_replaced || is_unfinished(&path) {
                let changed = fs::metadata(&path).and_then(|metadata| metadata.modified());
                let age = changed.ok().and_then(|changed| now.duration_since(changed).ok());
                if age.is_some_and(|age| age >= KEPT) {
                    fs::remove_file(&path).map_err(LakeError::io(&path))?;
                    removed += 1;
                }
            } else if is_compacted(&path)
                && let Ok(metadata) = metadata(&path)
            {
                for name in replaces(&metadata) {
                    let left = folder.join(name);
                    if left.is_file() {
                        set_aside(&left, now)?;
                    }
                }
            }
        }
    }
    Ok(removed)
}
