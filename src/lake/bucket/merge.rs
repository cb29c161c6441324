//! Small objects of one owner into large ones, in a bucket that others write and read meanwhile.
//!
//! In: objects of one owner, by partition. Out: fewer objects with the same rows. The merged one is confirmed before those that it stands for are set
//! aside; it names them in its footer, so that no reader counts a row twice, and they can be read for an hour under their other name, so that none loses
//! one. Never are the same objects merged by two at a time: that is what owners are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::client::{Bucket, Object, all};
use super::mirror::{aside, begin_at, make_parent};
use super::ship::SEGMENT;
use crate::lake::compact::{KEPT, ROWS_MAX, SMALL_FILES_MIN, merged_file};
use crate::lake::error::LakeError;
use crate::lake::imports::PREFIX;
use crate::lake::layout::{Partition, Table};
use crate::lake::scan::{COMPACTED, REPLACED, metadata, replaces};

/// Objects with at least so many bytes are large enough.
const ENOUGH_BYTES: u64 = 8 << 20;
/// No merged object is made of more.
const MERGED_BYTES_MAX: u64 = 24 << 20;
/// Of a day that is over so many are worth merging whatever their sizes.
const CLOSED_MIN: usize = 4;
/// What merged objects of imports are called, after [`COMPACTED`].
const OF_IMPORTS: &str = "import";

/// Whose objects are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Those that a collector of this name shipped.
    Writer(String),
    /// Those of imports, whoever imported: one at a time merges them.
    Imports,
}

impl Owner {
    /// Whether an object of this name is one that the owner put, or merged of such.
    pub(super) fn owns(&self, name: &str) -> bool {
        let (kinds, own) = match self {
            Self::Writer(writer) => ([SEGMENT, COMPACTED], writer.as_str()),
            Self::Imports if name.starts_with(PREFIX) => return true,
            Self::Imports => ([COMPACTED, COMPACTED], OF_IMPORTS),
        };
        kinds.iter().any(|kind| {
            name.strip_prefix(kind).and_then(|rest| rest.strip_prefix(own)).is_some_and(|rest| rest.starts_with('-'))
        })
    }

    /// What the names of its merged objects begin with.
    fn prefix(&self) -> String {
        match self {
            Self::Writer(writer) => format!("{COMPACTED}{writer}-"),
            Self::Imports => format!("{COMPACTED}{OF_IMPORTS}-"),
        }
    }
}

/// An object of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) partition: Partition,
    pub(super) object: Object,
}

impl Stored {
    pub(super) fn name(&self) -> &str {
        name_of(&self.object.key)
    }
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Merges objects of one owner.
pub(super) struct Merger {
    pub(super) owner: Owner,
    /// Where temporary files go: a collector may write nowhere but to its store.
    root: PathBuf,
    /// The names that each merged object stands for, as far as they are known.
    footers: BTreeMap<String, Vec<String>>,
}

impl Merger {
    pub(super) const fn new(owner: Owner, root: PathBuf) -> Self {
        Self { owner, root, footers: BTreeMap::new() }
    }

    /// Sets aside what a crash left beside the merged object that stands for it; how many.
    pub(super) fn set_leftovers_aside(&mut self, bucket: &Bucket, stored: &mut Vec<Stored>) -> Result<u64, LakeError> {
        let merged: Vec<(String, u64)> = (stored.iter())
            .filter(|stored| stored.name().starts_with(COMPACTED) && self.owner.owns(stored.name()))
            .map(|stored| (stored.object.key.clone(), stored.object.bytes))
            .collect();
        self.footers.retain(|key, _| merged.iter().any(|(known, _)| known == key));
        let unknown = merged.into_iter().filter(|(key, _)| !self.footers.contains_key(key)).collect();
        for (key, names) in self.read_footers(bucket, unknown)? {
            self.footers.insert(key, names);
        }
        let mut replaced = BTreeSet::new();
        for (key, names) in &self.footers {
            let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
            replaced.extend(names.iter().map(|name| format!("{folder}/{name}")));
        }
        let mut count = 0;
        for left in stored.iter().filter(|stored| replaced.contains(&stored.object.key)) {
            bucket.rename(&left.object.key, &aside(&left.object.key))?;
            count += 1;
        }
        stored.retain(|stored| !replaced.contains(&stored.object.key));
        Ok(count)
    }

    /// What these merged objects stand for.
    fn read_footers(
        &self,
        bucket: &Bucket,
        merged: Vec<(String, u64)>,
    ) -> Result<Vec<(String, Vec<String>)>, LakeError> {
        if merged.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.own_folder()?;
        let at = folder.path().to_owned();
        let fetched = bucket.each(merged, |reach, (key, bytes)| {
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

    fn own_folder(&self) -> Result<tempfile::TempDir, LakeError> {
        tempfile::Builder::new().prefix("tidy-").tempdir_in(&self.root).map_err(LakeError::io(&self.root))
    }

    /// Merges what is worth it of these: merged objects that were written, and objects that they stand for. `goes_on` is asked before each
    /// is written.
    pub(super) fn merge_all(
        &mut self,
        bucket: &Bucket,
        (stored, today): (&[Stored], u32),
        folds: bool,
        mut goes_on: impl FnMut() -> Result<bool, LakeError>,
    ) -> Result<(u64, u64), LakeError> {
        let (mut merged, mut replaced) = (0, 0);
        for group in groups(stored, today) {
            let Some(count) = self.merge(bucket, &group, folds, &mut goes_on)? else { break };
            merged += u64::from(count > 0);
            replaced += count;
        }
        Ok((merged, replaced))
    }

    /// Merges objects of one partition; how many there were. `None` when it is not to go on.
    fn merge(
        &mut self,
        bucket: &Bucket,
        group: &[Stored],
        folds: bool,
        goes_on: &mut dyn FnMut() -> Result<bool, LakeError>,
    ) -> Result<Option<u64>, LakeError> {
        let folder = self.own_folder()?;
        let keys: Vec<String> = group.iter().map(|stored| stored.object.key.clone()).collect();
        let fetched = bucket.each(keys.clone(), |reach, key| async move { reach.get(&key).await });
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
            return Ok(Some(0));
        }
        let local: Vec<PathBuf> = paths.iter().map(|(_, path)| path.clone()).collect();
        let Some(partition) = group.first().map(|stored| &stored.partition) else { return Ok(Some(0)) };
        let Some((merged, whole)) = merged_file(partition.table, &local, folds, &self.owner.prefix())? else {
            return Ok(Some(0));
        };
        if !goes_on()? {
            return Ok(None);
        }
        // Those with a row that does not parse stay as they are.
        paths.retain(|(_, path)| whole.contains(path));
        let key = merged.strip_prefix(folder.path()).unwrap_or(&merged).to_string_lossy().into_owned();
        bucket.put(&key, fs::read(&merged).map_err(LakeError::io(&merged))?)?;
        self.footers.insert(key, paths.iter().map(|(key, _)| name_of(key).to_owned()).collect());
        for (key, _) in &paths {
            bucket.rename(key, &aside(key))?;
        }
        Ok(Some(paths.len() as u64))
    }
}

/// Removes what was set aside an hour ago, whoever did it; how many.
pub(super) fn remove_replaced(bucket: &Bucket, listed: &[Object], now: SystemTime) -> Result<u64, LakeError> {
    let is_replaced = |object: &&Object| {
        let path = Path::new(&object.key);
        path.extension().is_some_and(|extension| extension == REPLACED)
            && path.parent().and_then(Partition::of_folder).is_some()
    };
    let is_old = |object: &&Object| now.duration_since(object.modified).is_ok_and(|age| age >= KEPT);
    let old = listed.iter().filter(is_replaced).filter(is_old).map(|object| object.key.clone()).collect();
    delete(bucket, old)
}

/// Removes objects; how many.
pub(super) fn delete(bucket: &Bucket, keys: Vec<String>) -> Result<u64, LakeError> {
    let done = all(bucket.each(keys, |reach, key| async move { reach.delete(&key).await }))?;
    Ok(done.len() as u64)
}

/// What is worth merging: of a day that is over all small objects of a partition, and of others as many as are of about one size,
/// so that no row is written again and again.
pub(super) fn groups(stored: &[Stored], today: u32) -> Vec<Vec<Stored>> {
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
