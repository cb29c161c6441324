//! A bucket kept tidy by the collectors that ship to it.
//!
//! In: what the bucket holds. Out: each collector's own small objects merged, days past retention removed with the records of their imports, and what was
//! replaced an hour ago gone, whoever replaced it. Objects of imports are merged by imports (`imported.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::client::Object;
use super::merge::{Owner, Stored, delete, remove_replaced};
use super::mirror::{is_import, partition_of};
use super::ship::BucketShipper;
use crate::lake::error::LakeError;
use crate::lake::imports::{ImportRecord, Imports, import_of};
use crate::lake::layout::{Partition, Table};
use crate::lake::retention::{UNFOLDED, folds};
use crate::lake::scan::COMPACTED;

/// The objects of tables.
pub(super) fn stored(listed: &[Object]) -> Vec<Stored> {
    let stored = |object: &Object| Some(Stored { partition: partition_of(&object.key)?, object: object.clone() });
    listed.iter().filter_map(stored).collect()
}

impl BucketShipper {
    /// Tidies the bucket; what was done, in words, if anything.
    pub(super) fn tidy_bucket(&mut self, now: SystemTime) -> Result<Option<String>, LakeError> {
        let today = (self.options.clock)();
        self.remove_old_folders(today.day());
        let listed = self.bucket.list("")?;
        let mut stored = stored(&listed);
        let left = self.merger.set_leftovers_aside(&self.bucket, &mut stored)?;
        let mut removed = remove_replaced(&self.bucket, &listed, now)?;
        let kept = i64::try_from(self.options.retention.as_nanos()).unwrap_or(i64::MAX);
        let oldest = today.plus_nanos(kept.saturating_neg()).day();
        removed += self.remove_old(&mut stored, &listed, oldest)?;
        let imports = Imports::read(&self.root)?;
        let here: BTreeSet<String> = self.waiting(&imports)?.into_iter().map(|file| file.key).collect();
        // What waits here may have arrived without our knowing, and will be shipped again.
        stored.retain(|stored| self.merger.owner.owns(stored.name()) && !here.contains(&stored.object.key));
        let unfolded = UNFOLDED.join("/");
        let folds = folds(&self.root) && !listed.iter().any(|object| object.key == unfolded);
        let (merged, replaced) = self.merger.merge_all(&self.bucket, (&stored, today.day()), folds, || Ok(true))?;
        let replaced = replaced + left;
        let done = format!("{replaced} objects merged into {merged}, {removed} objects removed");
        Ok((merged + replaced + removed > 0).then_some(done))
    }

    /// Local folders of days that are over, as far as nothing is in them.
    fn remove_old_folders(&self, today: u32) {
        let folders = |folder: &Path| -> Vec<PathBuf> {
            fs::read_dir(folder)
                .map(|found| found.filter_map(|entry| Some(entry.ok()?.path())).collect())
                .unwrap_or_default()
        };
        for cluster in Table::ALL.iter().flat_map(|table| folders(&self.root.join(table.as_str()))) {
            for bucket in folders(&cluster).iter().flat_map(|date| folders(date)) {
                let own = bucket.strip_prefix(&self.root).ok().and_then(Partition::of_folder);
                if own.and_then(|partition| partition.day).is_some_and(|day| day + 1 < today) {
                    // Fails where something is left in it, which is right.
                    drop(fs::remove_dir(&bucket));
                    bucket.parent().map(fs::remove_dir).into_iter().for_each(drop);
                }
            }
        }
    }

    /// Removes days past retention of the clusters that this collector writes, and records of imports of which nothing is left.
    fn remove_old(&self, stored: &mut Vec<Stored>, listed: &[Object], oldest: u32) -> Result<u64, LakeError> {
        let own: BTreeSet<String> = (stored.iter())
            .filter(|stored| self.merger.owner.owns(stored.name()))
            .map(|stored| stored.partition.cluster.clone())
            .collect();
        let is_old = |stored: &Stored| {
            stored.partition.day.is_some_and(|day| day < oldest) && own.contains(&stored.partition.cluster)
        };
        let (old, kept): (Vec<Stored>, Vec<Stored>) = std::mem::take(stored).into_iter().partition(is_old);
        *stored = kept;
        let has_imports = old.iter().any(|old| Owner::Imports.owns(old.name()));
        let mut removed = delete(&self.bucket, old.into_iter().map(|old| old.object.key).collect())?;
        if !has_imports {
            return Ok(removed);
        }
        // Rows first: a record without rows does no harm, rows without a record would be imported twice.
        let left: BTreeSet<&str> =
            stored.iter().filter_map(|stored| import_of(Path::new(&stored.object.key))).collect();
        // A merged object does not say in its name of which imports it is.
        let is_merged = |stored: &&Stored| Owner::Imports.owns(stored.name()) && stored.name().starts_with(COMPACTED);
        if stored.iter().filter(is_merged).any(|stored| stored.partition.day.is_some_and(|day| day < oldest)) {
            return Ok(removed);
        }
        let mut gone = Vec::new();
        for object in listed.iter().filter(|object| is_import(&object.key)) {
            let content = self.bucket.get(&object.key)?;
            let Ok(record) = serde_json::from_slice::<ImportRecord>(&content) else { continue };
            let is_past = !record.has_undated && record.last_day.is_some_and(|day| day < oldest);
            if is_past && !left.contains(record.name.as_str()) {
                gone.push(object.key.clone());
            }
        }
        removed += delete(&self.bucket, gone)?;
        Ok(removed)
    }
}
