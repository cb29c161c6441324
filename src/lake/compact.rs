//! Small files into large ones, without stopping anybody.
//!
//! In: a store that may be written and read meanwhile; of several tidiers one is at work, and the others leave it to that one. Out: fewer files with the same records. A
//! merged file names those that it stands for in its footer, so that no reader counts a row twice at any instant; they are
//! set aside before they are removed, so that no reader loses one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::answer_rows::{answer_frame, question_frame};
use super::error::LakeError;
use super::flow_rows::flow_frame;
use super::frame::{Frame, FrameError};
use super::imports::{Digest, Imports};
use super::layout::{Partition, Table, is_shipped};
use super::ledger::{ledger_frame, read_rows};
use super::repeats::Repeating;
use super::retention::folds;
use super::rows::{RowReader, loss_frame, losses};
use super::scan::{COMPACTED, REPLACED, REPLACES, ScanOptions, files, frames, is_compacted, metadata, replaces};
use super::write::{GROUP_ROWS, group_rows, is_unfinished, sorted, sync_folder, write_frame};
use crate::collect::durable::UNFINISHED;
use crate::model::{Batch, Vocabulary};

/// Files with at least this many rows are large enough.
const ROWS_ENOUGH: usize = 1 << 19;
/// No merged file gets more rows, so that one fits memory.
pub(super) const ROWS_MAX: usize = 1 << 20;
/// Nor more records, since a row stands for many.
const RECORDS_MAX: usize = 1 << 22;
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
    let (imports, folds) = (Imports::read(root)?, folds(root));
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
            for stretch in stretches(small) {
                let replaced = merge_files(table, &stretch, folds, now)?;
                tidied.merged += u64::from(replaced > 0);
                tidied.replaced += replaced;
            }
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

/// Small files in stretches that fit memory.
fn stretches(small: Vec<(PathBuf, usize)>) -> Vec<Vec<PathBuf>> {
    let mut stretches: Vec<Vec<PathBuf>> = Vec::new();
    let mut rows = 0;
    for (path, own) in small {
        match stretches.last_mut() {
            Some(stretch) if rows + own <= ROWS_MAX || stretch.len() < 2 => stretch.push(path),
            _ => {
                rows = 0;
                stretches.push(vec![path]);
            }
        }
        rows += own;
    }
    stretches.retain(|stretch| stretch.len() > 1);
    stretches
}

fn merge_files(table: Table, paths: &[PathBuf], folds: bool, now: SystemTime) -> Result<u64, LakeError> {
    let Some((_, merged)) = merged_file(table, paths, folds, COMPACTED)? else { return Ok(0) };
    for path in &merged {
        set_aside(path, now)?;
    }
    Ok(merged.len() as u64)
}

/// Writes one file with the rows of several of a folder, and says for which it stands from then on: not for those with a row that
/// does not parse. Its name begins with `prefix`.
pub(super) fn merged_file(
    table: Table,
    paths: &[PathBuf],
    folds: bool,
    prefix: &str,
) -> Result<Option<(PathBuf, Vec<PathBuf>)>, LakeError> {
    let (paths, whole, group_rows) = match table {
        Table::Flows => together(paths, folds, RowReader::each_flow, flow_frame)?,
        Table::Answers => together(paths, folds, RowReader::each_answer, answer_frame)?,
        Table::Questions => together(paths, folds, RowReader::each_question, question_frame)?,
        Table::Losses => (paths.to_vec(), losses_together(paths)?, GROUP_ROWS),
        Table::Ledger => (paths.to_vec(), ledger_together(paths)?, GROUP_ROWS),
    };
    let Some(folder) = paths.first().and_then(|path| path.parent()).filter(|_| paths.len() > 1) else {
        return Ok(None);
    };
    let names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    let mut digest = Digest::default();
    for name in &names {
        digest.add(name.as_bytes());
    }
    let path = folder.join(format!("{prefix}{}.parquet", digest.text()));
    let unfinished = path.with_extension(UNFINISHED);
    let note = super::codec::join_list(names.iter().map(String::as_str));
    let written = write_frame(&unfinished, &whole, vec![(REPLACES.to_owned(), note)], group_rows)
        .and_then(|()| fs::rename(&unfinished, &path).map_err(LakeError::io(&path)))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written?;
    Ok(Some((path, paths)))
}

/// Files that can be merged, their rows as one frame, and the rows of its row groups.
type Together = (Vec<PathBuf>, Frame, usize);

/// Reads the rows of files, and folds over all of them: a minute may lie in several. A file that is damaged or has a row that does not parse
/// is left as it is.
fn together<R: Repeating>(
    paths: &[PathBuf],
    folds: bool,
    each: impl Fn(
        &mut RowReader,
        &Frame,
        &ScanOptions,
        &mut Vocabulary,
        &mut dyn FnMut(Option<R>),
    ) -> Result<(), FrameError>,
    frame: impl Fn(&[R], &Vocabulary) -> Frame,
) -> Result<Together, LakeError> {
    let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
    let (mut reader, mut vocabulary) = (RowReader::default(), Vocabulary::default());
    let (mut merged, mut rows): (Vec<PathBuf>, Vec<R>) = (Vec::new(), Vec::new());
    let mut records = 0;
    for path in paths {
        if records > RECORDS_MAX {
            break;
        }
        let (before, mut is_whole) = (rows.len(), true);
        let mut read = || {
            for stored in frames(path)? {
                each(&mut reader, &stored?, &options, &mut vocabulary, &mut |row| match row {
                    Some(row) => rows.push(row),
                    None => is_whole = false,
                })
                .map_err(|error| LakeError::broken(path, &error))?;
            }
            Ok(())
        };
        match read() {
            // Whoever reads it is told; the others are merged all the same.
            Err(LakeError::Broken { .. }) => is_whole = false,
            read => read?,
        }
        if is_whole {
            records += rows.iter().skip(before).map(Repeating::records).sum::<usize>();
            merged.push(path.clone());
        } else {
            rows.truncate(before);
        }
    }
    let rows = sorted(rows, folds, &vocabulary);
    Ok((merged, frame(&rows, &vocabulary), group_rows(&rows)))
}

/// The losses of several files, in the order of their times.
fn losses_together(paths: &[PathBuf]) -> Result<Frame, LakeError> {
    let (mut vocabulary, mut batch) = (Vocabulary::default(), Batch::default());
    for path in paths {
        for stored in frames(path)? {
            losses(&stored?, &mut vocabulary, &mut batch).map_err(|error| LakeError::broken(path, &error))?;
        }
    }
    batch.losses.sort_by_key(|loss| loss.time);
    Ok(loss_frame(&batch.losses, &vocabulary))
}

/// The ledger of several files, in the order of its minutes.
fn ledger_together(paths: &[PathBuf]) -> Result<Frame, LakeError> {
    let mut rows = Vec::new();
    for path in paths {
        rows.append(&mut read_rows(path)?);
    }
    rows.sort_by_key(|row| row.minute);
    Ok(ledger_frame(&rows.iter().collect::<Vec<_>>()))
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
