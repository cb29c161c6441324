//! Small objects into large ones, and old days away, in a bucket that others write and read meanwhile.
//!
//! In: what the bucket holds. Out: fewer objects with the same rows. Each writer merges its own objects and nobody else's, so that no two
//! ever merge the same. The merged one is confirmed before those that it stands for are set aside; it names them in its footer, so that
//! no reader counts a row twice, and they can be read for an hour under their other name, so that none loses one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::client::{Object, all};
use super::mirror::{aside, begin_at, is_import, make_parent, partition_of};
use super::ship::{BucketShipper, is_own};
use crate::lake::compact::{KEPT, ROWS_MAX, SMALL_FILES_MIN, merged_file};
use crate::lake::error::LakeError;
use crate::lake::imports::{ImportRecord, Imports, import_of};
use crate::lake::layout::{Partition, Table};
use crate::lake::retention::folds;
use crate::lake::scan::{COMPACTED, REPLACED, metadata, replaces};

/// Objects with at least so many bytes are large enough.
const ENOUGH_BYTES: u64 = 8 << 20;
/// No merged object is made of more.
const MERGED_BYTES_MAX: u64 = 24 << 20;
/// Of a day that is over so many are worth merging whatever their sizes.
const CLOSED_MIN: usize = 4;

/// An object of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    partition: Partition,
    object: Object,
}

impl Stored {
    fn name(&self) -> &str {
        name_of(&self.object.key)
    }
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

impl BucketShipper {
    /// Tidies the bucket; what was done, in words, if anything.
    pub(super) fn tidy_bucket(&mut self, now: SystemTime) -> Result<Option<String>, LakeError> {
        let today = (self.options.clock)();
        self.remove_old_folders(today.day());
        let listed = self.bucket.list("")?;
        let mut stored: Vec<Stored> = (listed.iter())
            .filter_map(|object| Some(Stored { partition: partition_of(&object.key)?, object: object.clone() }))
            .collect();
        let left = self.set_leftovers_aside(&mut stored)?;
        let mut removed = self.remove_replaced(&listed, now)?;
        let kept = i64::try_from(self.options.retention.as_nanos()).unwrap_or(i64::MAX);
        let oldest = today.plus_nanos(kept.saturating_neg()).day();
        removed += self.remove_old(&mut stored, &listed, oldest)?;
        let imports = Imports::read(&self.root)?;
        let here: BTreeSet<String> = self.waiting(&imports)?.into_iter().map(|file| file.key).collect();
        // What waits here may have arrived without our knowing, and will be shipped again.
        stored.retain(|stored| is_own(stored.name(), &self.writer) && !here.contains(&stored.object.key));
        let (mut merged, mut replaced) = (0, left);
        for group in groups(&stored, today.day()) {
            let count = self.merge(&group)?;
            merged += u64::from(count > 0);
            replaced += count;
        }
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

    /// Sets aside what a crash left beside the merged object that stands for it; how many.
    fn set_leftovers_aside(&mut self, stored: &mut Vec<Stored>) -> Result<u64, LakeError> {
        let merged: Vec<(String, u64)> = (stored.iter())
            .filter(|stored| stored.name().starts_with(COMPACTED) && is_own(stored.name(), &self.writer))
            .map(|stored| (stored.object.key.clone(), stored.object.bytes))
            .collect();
        self.footers.retain(|key, _| merged.iter().any(|(known, _)| known == key));
        let unknown = merged.into_iter().filter(|(key, _)| !self.footers.contains_key(key)).collect();
        for (key, names) in self.read_footers(unknown)? {
            self.footers.insert(key, names);
        }
        let mut replaced = BTreeSet::new();
        for (key, names) in &self.footers {
            let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
            replaced.extend(names.iter().map(|name| format!("{folder}/{name}")));
        }
        let mut count = 0;
        for left in stored.iter().filter(|stored| replaced.contains(&stored.object.key)) {
            self.bucket.rename(&left.object.key, &aside(&left.object.key))?;
            count += 1;
        }
        stored.retain(|stored| !replaced.contains(&stored.object.key));
        Ok(count)
    }

    /// What these merged objects stand for.
    fn read_footers(&self, merged: Vec<(String, u64)>) -> Result<Vec<(String, Vec<String>)>, LakeError> {
        if merged.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.own_folder()?;
        let at = folder.path().to_owned();
        let fetched = self.bucket.each(merged, |reach, (key, bytes)| {
            let path = at.join(&key);
            async move {
                begin_at(&reach, (Table::Flows, key.clone(), bytes), &path).await?;
                // One that cannot be read is for the user to look at; it stands for nothing.
                let names = metadata(&path).map(|metadata| replaces(&metadata)).unwrap_or_default();
                drop(fs::remove_file(&path));
                Ok((key, names))
            }
        });
        all(fetched)
    }

    /// A folder of the store's own, since the collector may write nowhere else.
    fn own_folder(&self) -> Result<tempfile::TempDir, LakeError> {
        tempfile::Builder::new().prefix("tidy-").tempdir_in(&self.root).map_err(LakeError::io(&self.root))
    }

    /// Removes what was set aside an hour ago, whoever did it.
    fn remove_replaced(&self, listed: &[Object], now: SystemTime) -> Result<u64, LakeError> {
        let is_replaced = |object: &&Object| {
            let path = Path::new(&object.key);
            path.extension().is_some_and(|extension| extension == REPLACED)
                && path.parent().and_then(Partition::of_folder).is_some()
        };
        let is_old = |object: &&Object| now.duration_since(object.modified).is_ok_and(|age| age >= KEPT);
        let old: Vec<String> =
            listed.iter().filter(is_replaced).filter(is_old).map(|object| object.key.clone()).collect();
        self.delete(old)
    }

    fn delete(&self, keys: Vec<String>) -> Result<u64, LakeError> {
        let done = all(self.bucket.each(keys, |reach, key| async move { reach.delete(&key).await }))?;
        Ok(done.len() as u64)
    }

    /// Removes days past retention of the clusters that this collector writes, and records of imports of which nothing is left.
    fn remove_old(&self, stored: &mut Vec<Stored>, listed: &[Object], oldest: u32) -> Result<u64, LakeError> {
        let own: BTreeSet<String> = (stored.iter())
            .filter(|stored| is_own(stored.name(), &self.writer))
            .map(|stored| stored.partition.cluster.clone())
            .collect();
        let is_old = |stored: &Stored| {
            stored.partition.day.is_some_and(|day| day < oldest) && own.contains(&stored.partition.cluster)
        };
        let (old, kept): (Vec<Stored>, Vec<Stored>) = std::mem::take(stored).into_iter().partition(is_old);
        *stored = kept;
        let has_imports = old.iter().any(|old| import_of(Path::new(&old.object.key)).is_some());
        let mut removed = self.delete(old.into_iter().map(|old| old.object.key).collect())?;
        if !has_imports {
            return Ok(removed);
        }
        // Rows first: a record without rows does no harm, rows without a record would be imported twice.
        let left: BTreeSet<&str> =
            stored.iter().filter_map(|stored| import_of(Path::new(&stored.object.key))).collect();
        let mut gone = Vec::new();
        for object in listed.iter().filter(|object| is_import(&object.key)) {
            let content = self.bucket.get(&object.key)?;
            let Ok(record) = serde_json::from_slice::<ImportRecord>(&content) else { continue };
            let is_past = !record.has_undated && record.last_day.is_some_and(|day| day < oldest);
            if is_past && !left.contains(record.name.as_str()) {
                gone.push(object.key.clone());
            }
        }
        removed += self.delete(gone)?;
        Ok(removed)
    }

    /// Merges objects of one partition; how many there were.
    fn merge(&mut self, group: &[Stored]) -> Result<u64, LakeError> {
        let folder = self.own_folder()?;
        let keys: Vec<String> = group.iter().map(|stored| stored.object.key.clone()).collect();
        let fetched = self.bucket.each(keys.clone(), |reach, key| async move { reach.get(&key).await });
        let (mut paths, mut rows) = (Vec::new(), 0);
        for (key, content) in keys.iter().zip(all(fetched)?) {
            let path = folder.path().join(key);
            make_parent(&path).and_then(|()| fs::write(&path, content)).map_err(LakeError::io(&path))?;
            // What cannot be read is for the user to look at, and no reason to leave the rest untidy.
            let Ok(metadata) = metadata(&path) else { continue };
            if rows + metadata.num_rows <= ROWS_MAX {
                rows += metadata.num_rows;
                paths.push((key, path));
            }
        }
        if paths.len() < 2 {
            return Ok(0);
        }
        let local: Vec<PathBuf> = paths.iter().map(|(_, path)| path.clone()).collect();
        let Some(partition) = group.first().map(|stored| &stored.partition) else { return Ok(0) };
        let prefix = format!("{COMPACTED}{}-", self.writer);
        let Some((merged, whole)) = merged_file(partition.table, &local, folds(&self.root), &prefix)? else {
            return Ok(0);
        };
        paths.retain(|(_, path)| whole.contains(path));
        let key = merged.strip_prefix(folder.path()).unwrap_or(&merged).to_string_lossy().into_owned();
        self.bucket.put(&key, fs::read(&merged).map_err(LakeError::io(&merged))?)?;
        self.footers.insert(key, paths.iter().map(|(key, _)| name_of(key).to_owned()).collect());
        for (key, _) in &paths {
            self.bucket.rename(key, &aside(key))?;
        }
        Ok(paths.len() as u64)
    }
}

/// What is worth merging: of a day that is over all small objects of a partition, and of others as many as are of about one size,
/// so that no row is written again and again.
fn groups(stored: &[Stored], today: u32) -> Vec<Vec<Stored>> {
    let mut by_place: BTreeMap<(&Partition, u32), Vec<&Stored>> = BTreeMap::new();
    for stored in stored.iter().filter(|stored| stored.object.bytes < ENOUGH_BYTES) {
        let is_closed = stored.partition.day.is_some_and(|day| day + 1 < today);
        let size = if is_closed { u32::MAX } else { stored.object.bytes.checked_ilog(8).unwrap_or(0) };
        by_place.entry((&stored.partition, size)).or_default().push(stored);
    }
    let mut groups = Vec::new();
    for ((_, size), small) in by_place {
        if small.len() < (if size == u32::MAX { CLOSED_MIN } else { SMALL_FILES_MIN }) {
            continue;
        }
        let (mut group, mut bytes): (Vec<Stored>, u64) = (Vec::new(), 0);
        for stored in small {
            if bytes + stored.object.bytes > MERGED_BYTES_MAX && group.len() > 1 {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            bytes += stored.object.bytes;
            group.push(stored.clone());
        }
        if group.len() > 1 {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn objects_of_one_place_and_size_are_merged_together() {
        let partition =
            |day: u32| Partition { table: Table::Flows, cluster: "c".to_owned(), day: Some(day), bucket: 1 };
        let objects = |day: u32, count: usize, bytes: u64| -> Vec<Stored> {
            let key = |number: usize| format!("{day}/{bytes}-{number}");
            let object = |number| Object { key: key(number), bytes, modified: UNIX_EPOCH };
            (0..count).map(|number| Stored { partition: partition(day), object: object(number) }).collect()
        };
        let check = |stored: &[Vec<Stored>], expected: &[usize]| {
            let found: Vec<usize> = groups(&stored.concat(), 100).iter().map(Vec::len).collect();
            assert_eq!(found, expected);
        };
        check(&[objects(100, 7, 5_000)], &[]);
        check(&[objects(100, 8, 5_000), objects(99, 8, 5_000)], &[8, 8]);
        check(&[objects(100, 7, 5_000), objects(100, 7, 1 << 20)], &[]);
        check(&[objects(98, 2, 5_000), objects(98, 2, 1 << 20)], &[4]);
        check(&[objects(98, 3, 5_000)], &[]);
        check(&[objects(98, 9, ENOUGH_BYTES)], &[]);
        check(&[objects(98, 9, 5 << 20)], &[4, 4]);
    }
}
