//! Old days away, and with them the memory of what was imported of them; and the notes of how a store is kept.
//!
//! In: a store that may be written and read meanwhile, and the oldest day to keep. Out: the store without
//! older days, and without records of imports of which nothing is left, so that they may be imported again. Rows without a
//! time stay, and so do the records of their imports.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::compact::lock;
use super::error::LakeError;
use super::imports::Imports;
use super::layout::Table;
use super::scan::files;
use super::write::write_atomically;
use crate::collect::durable::make_folder;
use crate::model::Timestamp;

/// How long the collector keeps days, in seconds.
pub(super) const NOTE: [&str; 2] = ["state", "retention"];
/// There when nothing may be folded.
pub(super) const UNFOLDED: [&str; 2] = ["state", "unfolded"];
/// What is written in it.
pub(super) const UNFOLDED_TEXT: &str = "Every record of this store is a row of its own.\n";

/// Removes the days that end before `oldest`; how many files.
pub fn retain(root: &Path, oldest: Timestamp) -> Result<u64, LakeError> {
    let Some(_lock) = lock(root)? else { return Ok(0) };
    let mut removed = 0;
    for table in Table::ALL {
        for (partition, path) in files(root, table)? {
            if partition.day.is_some_and(|day| day < oldest.day()) {
                fs::remove_file(&path).map_err(LakeError::io(&path))?;
                removed += 1;
                remove_empty(&path, root);
            }
        }
    }
    // Rows first: a record without rows is removed the next time, rows without a record would be imported twice.
    for record in Imports::read(root)?.records() {
        if !record.has_undated && record.last_day.is_some_and(|day| day < oldest.day()) {
            record.remove(root)?;
        }
    }
    Ok(removed)
}

/// Removes the folders above a file that are empty now.
fn remove_empty(path: &Path, root: &Path) {
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root) {
        // Fails where something is left in it, and that ends it.
        if fs::remove_dir(empty).is_err() {
            return;
        }
        folder = empty.parent();
    }
}

/// Notes how long days are kept, for whoever adds old ones.
pub fn note_retention(root: &Path, kept: Duration) -> Result<(), LakeError> {
    if retention(root) == Some(Duration::from_secs(kept.as_secs())) {
        return Ok(());
    }
    write_atomically(&root.join(NOTE.join("/")), format!("{}\n", kept.as_secs()).as_bytes())
}

/// How long days are kept, in whole seconds; `None` when no collector ever tidied the store.
pub fn retention(root: &Path) -> Option<Duration> {
    let text = fs::read_to_string(root.join(NOTE.join("/"))).ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Notes whether repeats are folded, for whoever writes to the store from now on. What is there stays as it is.
pub fn note_folding(root: &Path, folds: bool) -> Result<(), LakeError> {
    let path = root.join(UNFOLDED.join("/"));
    if folds != path.exists() {
        return Ok(());
    }
    if folds {
        return fs::remove_file(&path).map_err(LakeError::io(&path));
    }
    if let Some(folder) = path.parent() {
        make_folder(folder).map_err(LakeError::io(folder))?;
    }
    write_atomically(&path, UNFOLDED_TEXT.as_bytes())
}

/// Whether repeats are folded; they are unless somebody said otherwise.
pub fn folds(root: &Path) -> bool {
    !root.join(UNFOLDED.join("/")).exists()
}
