//! From a bucket to a folder with as much of the store as a question needs.
//!
//! In: what is asked for. Out: a temporary folder in the form of a store, for the very same reader, removed with the value. Objects
//! outside the asked clusters, days and buckets are never fetched. Of a large one the footer comes first, and then the row groups that
//! its statistics leave room for: the local file has the size of the object and holes where nobody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::client::{Bucket, BucketError, Object, Reach, all};
use crate::lake::error::LakeError;
use crate::lake::layout::{Partition, Table, mark};
use crate::lake::scan::{REPLACED, ScanOptions, group_is_asked_for, is_compacted, metadata, replaces};

/// Objects up to this size are fetched at once.
const WHOLE_BYTES: u64 = 1 << 18;
/// The end of a larger one, which holds its footer but for files with very many row groups.
const TAIL_BYTES: u64 = 1 << 16;
/// No footer is larger.
const FOOTER_BYTES_MAX: u64 = 1 << 26;
/// No request asks for more, so that few of them fit memory.
const RANGE_BYTES: u64 = 1 << 23;
/// How often a store is listed in search of two lists that are equal.
const LISTS_MAX: usize = 8;
/// The names of temporary folders begin with it.
const FOLDER: &str = "egress-atlas-bucket-";
/// Locked by whoever a temporary folder belongs to.
const LOCK: &str = "in-use";

/// What a question needs.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of the rows.
    pub scan: &'a ScanOptions,
    /// Of the ledger.
    pub ledger: &'a ScanOptions,
}

/// A part of a store, as a folder.
#[derive(Debug)]
pub struct Mirror {
    root: PathBuf,
    url: String,
    /// Objects outside of what was asked for: never fetched.
    pub passed_over: u64,
    _lock: File,
    _folder: TempDir,
}

/// An object that is fetched, or its footer.
pub(super) struct Begun {
    table: Table,
    key: String,
    path: PathBuf,
    bytes: u64,
    is_whole: bool,
}

impl Mirror {
    /// Fetches what is asked for.
    pub fn of(bucket: &Bucket, wanted: Wanted<'_>) -> Result<Self, LakeError> {
        let (mirror, begun) = Self::footers_of(bucket, wanted)?;
        Self::fetch_groups(bucket, begun, |table, _, _, group, footer| {
            table == Table::Ledger || group_is_asked_for(group, footer, table, wanted.scan)
        })?;
        Ok(mirror)
    }

    /// Fetches no more of it than tells what would be read.
    pub fn footers(bucket: &Bucket, wanted: Wanted<'_>) -> Result<Self, LakeError> {
        Self::footers_of(bucket, wanted).map(|(mirror, _)| mirror)
    }

    fn footers_of(bucket: &Bucket, wanted: Wanted<'_>) -> Result<(Self, Vec<Begun>), LakeError> {
        let listed = settled_list(bucket)?;
        let mut mirror = Self::empty(bucket)?;
        let mut asked = Vec::new();
        for object in &listed {
            if let Some(partition) = partition_of(&object.key) {
                let options = if partition.table == Table::Ledger { wanted.ledger } else { wanted.scan };
                if options.asks_for_partition(&partition) {
                    asked.push((partition.table, object.key.clone(), object.bytes));
                } else if partition.table != Table::Ledger {
                    mirror.passed_over += 1;
                }
            }
        }
        mirror.fetch_imports(bucket, &listed)?;
        let begun = mirror.begin(bucket, asked)?;
        Ok((mirror, without_replaced(begun)?))
    }

    /// Fetches rows of these files: table, path below the store, first row and number of rows.
    pub fn of_rows(bucket: &Bucket, files: &[(Table, String, Range<usize>)]) -> Result<Self, LakeError> {
        let mirror = Self::empty(bucket)?;
        let mut rows: BTreeMap<(Table, String), Vec<Range<usize>>> = BTreeMap::new();
        for (table, key, range) in files {
            rows.entry((*table, key.clone())).or_default().push(range.clone());
        }
        let keys: Vec<(Table, String)> = rows.keys().cloned().collect();
        let sizes = bucket.each(keys, |reach, (table, key)| async move {
            match reach.size(&key).await {
                Ok(bytes) => Ok(Some((table, key, bytes))),
                Err(error) if error.is_missing => match reach.size(&aside(&key)).await {
                    Ok(bytes) => Ok(Some((table, key, bytes))),
                    Err(error) if error.is_missing => Ok(None),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            }
        });
        let found = all(sizes)?.into_iter().flatten().collect();
        let begun = mirror.begin(bucket, found)?;
        let root = mirror.root.clone();
        Self::fetch_groups(bucket, begun, |table, path, first, group, _| {
            let key = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
            let own = first..first + group.num_rows();
            let meets = |wanted: &Range<usize>| wanted.start < own.end && own.start < wanted.end;
            table == Table::Ledger || rows.get(&(table, key)).is_some_and(|rows| rows.iter().any(meets))
        })?;
        Ok(mirror)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A message with the store's own address in place of the folder's.
    pub fn retold(&self, text: &str) -> String {
        text.replace(&*self.root.to_string_lossy(), &self.url)
    }

    pub(super) fn empty(bucket: &Bucket) -> Result<Self, LakeError> {
        let above = tempfile::env::temp_dir();
        sweep(&above);
        let made = || -> std::io::Result<(TempDir, File)> {
            let folder = tempfile::Builder::new().prefix(FOLDER).tempdir()?;
            let unlocked = folder.path().join("unlocked");
            let lock = File::create(&unlocked)?;
            lock.try_lock()?;
            fs::rename(&unlocked, folder.path().join(LOCK))?;
            Ok((folder, lock))
        };
        let (folder, lock) = made().map_err(LakeError::io(&above))?;
        let root = folder.path().join("store");
        fs::create_dir(&root).map_err(LakeError::io(&root))?;
        let (name, content) = mark();
        fs::write(root.join(name), content).map_err(LakeError::io(&root))?;
        Ok(Self { root, url: bucket.url().to_string(), passed_over: 0, _lock: lock, _folder: folder })
    }

    pub(super) fn fetch_imports(&self, bucket: &Bucket, listed: &[Object]) -> Result<(), LakeError> {
        let keys: Vec<String> =
            listed.iter().filter(|object| is_import(&object.key)).map(|object| object.key.clone()).collect();
        let fetched = bucket.each(keys, |reach, key| async move {
            match reach.get(&key).await {
                Ok(content) => Ok(Some((key, content))),
                Err(error) if error.is_missing => Ok(None),
                Err(error) => Err(error),
            }
        });
        for (key, content) in all(fetched)?.into_iter().flatten() {
            let path = self.root.join(key);
            make_parent(&path).and_then(|()| fs::write(&path, content)).map_err(LakeError::io(&path))?;
        }
        Ok(())
    }

    /// Fetches small objects whole, and the footers of the others.
    fn begin(&self, bucket: &Bucket, asked: Vec<(Table, String, u64)>) -> Result<Vec<Begun>, LakeError> {
        let root = self.root.clone();
        let done = bucket.each(asked, |reach, (table, key, bytes)| {
            let path = root.join(&key);
            async move { begin(&reach, (table, key, bytes), path).await }
        });
        Ok(all(done)?.into_iter().flatten().collect())
    }

    /// Fetches the row groups that `is_wanted` asks for: by table, path, first row, and what the footer says.
    fn fetch_groups(
        bucket: &Bucket,
        begun: Vec<Begun>,
        is_wanted: impl Fn(Table, &Path, usize, &Group, &[u8]) -> bool,
    ) -> Result<(), LakeError> {
        let mut ranges = Vec::new();
        for Begun { table, key, path, bytes, .. } in begun.into_iter().filter(|begun| !begun.is_whole) {
            let mut wanted: Vec<Range<u64>> = Vec::new();
            // Of a file with a broken footer all is fetched: the reader says what is wrong with it.
            match metadata(&path) {
                Err(_) => wanted.push(0..bytes),
                Ok(metadata) => {
                    let mut first = 0;
                    for group in &metadata.row_groups {
                        if is_wanted(table, &path, first, group, &metadata.footer_buf) {
                            wanted.extend(Some(group.full_byte_range()).filter(|range| range.end <= bytes));
                        }
                        first += group.num_rows();
                    }
                }
            }
            let pieces = joined(wanted).into_iter().flat_map(|range| {
                let ends = move |start: u64| start..(start + RANGE_BYTES).min(range.end);
                (range.start..range.end).step_by(usize::try_from(RANGE_BYTES).unwrap_or(usize::MAX)).map(ends)
            });
            ranges.extend(pieces.map(|range| (key.clone(), path.clone(), range)));
        }
        let done = bucket.each(ranges, |reach, (key, path, range)| async move {
            let content = match reach.get_range(&key, range.clone()).await {
                // A merged file took its place since its footer was read.
                Err(error) if error.is_missing => reach.get_range(&aside(&key), range.clone()).await?,
                content => content?,
            };
            let written =
                File::options().write(true).open(&path).and_then(|file| file.write_all_at(&content, range.start));
            written.map_err(LakeError::io(&path))
        });
        all(done).map(|_: Vec<()>| ())
    }
}

type Group = polars_parquet::parquet::metadata::RowGroupMetadata;

/// The partition that an object is of, if it is a finished file of a table.
pub(super) fn partition_of(key: &str) -> Option<Partition> {
    let path = Path::new(key);
    path.extension().is_some_and(|extension| extension == "parquet").then(|| Partition::of_folder(path.parent()?))?
}

/// Whether an object is the record of an import.
pub(super) fn is_import(key: &str) -> bool {
    let is_json = Path::new(key).extension().is_some_and(|extension| extension == "json");
    is_json && key.strip_prefix("imports/").is_some_and(|name| !name.contains('/'))
}

/// What a file is called when a merged one has taken its place.
pub(super) fn aside(key: &str) -> String {
    Path::new(key).with_extension(REPLACED).to_string_lossy().into_owned()
}

/// The store's objects at some instant: files are replaced while pages are listed, and two equal lists are one that held.
fn settled_list(bucket: &Bucket) -> Result<Vec<Object>, LakeError> {
    let listed = || -> Result<Vec<Object>, BucketError> {
        let mut listed = bucket.list("")?;
        listed.retain(|object| partition_of(&object.key).is_some() || is_import(&object.key) || object.key == mark().0);
        Ok(listed)
    };
    let mut first = listed()?;
    if first.is_empty() {
        return Err(LakeError::NotAStore { path: bucket.url().to_string() });
    }
    for _ in 1..LISTS_MAX {
        let again = listed()?;
        if again == first {
            break;
        }
        first = again;
    }
    Ok(first)
}

async fn begin(
    reach: &Reach,
    (table, key, bytes): (Table, String, u64),
    path: PathBuf,
) -> Result<Option<Begun>, LakeError> {
    match begin_at(reach, (table, key.clone(), bytes), &path).await {
        Err(LakeError::Bucket(error)) if error.is_missing => {}
        begun => return begun.map(Some),
    }
    match begin_at(reach, (table, aside(&key), bytes), &path).await {
        // Retention took it away since the store was listed.
        Err(LakeError::Bucket(error)) if error.is_missing => Ok(None),
        begun => begun.map(Some),
    }
}

pub(super) async fn begin_at(
    reach: &Reach,
    (table, key, bytes): (Table, String, u64),
    path: &Path,
) -> Result<Begun, LakeError> {
    let written = |at: u64, content: &[u8]| {
        make_parent(path)
            .and_then(|()| File::options().write(true).create(true).truncate(false).open(path))
            .and_then(|file| {
                file.set_len(bytes)?;
                file.write_all_at(content, at)
            })
            .map_err(LakeError::io(path))
    };
    if bytes <= WHOLE_BYTES {
        written(0, &reach.get(&key).await?)?;
        return Ok(Begun { table, key, path: path.to_owned(), bytes, is_whole: true });
    }
    let mut tail = reach.get_range(&key, bytes - TAIL_BYTES..bytes).await?;
    // A Parquet file ends with the length of its footer, four bytes, the least first, and `PAR1`.
    let length = tail.iter().rev().skip(4).take(4).fold(0_u64, |length, byte| length << 8 | u64::from(*byte)) + 8;
    if length > TAIL_BYTES && length <= FOOTER_BYTES_MAX.min(bytes) {
        tail = reach.get_range(&key, bytes - length..bytes).await?;
    }
    written(bytes.saturating_sub(tail.len() as u64), &tail)?;
    Ok(Begun { table, key, path: path.to_owned(), bytes, is_whole: false })
}

/// Removes files that a merged one stands for: none of their rows is fetched.
fn without_replaced(mut begun: Vec<Begun>) -> Result<Vec<Begun>, LakeError> {
    let mut replaced = BTreeSet::new();
    for Begun { path, .. } in begun.iter().filter(|begun| is_compacted(&begun.path)) {
        if let (Ok(metadata), Some(folder)) = (metadata(path), path.parent()) {
            replaced.extend(replaces(&metadata).iter().map(|name| folder.join(name)));
        }
    }
    for Begun { path, .. } in begun.iter().filter(|begun| replaced.contains(&begun.path)) {
        fs::remove_file(path).map_err(LakeError::io(path))?;
    }
    begun.retain(|begun| !replaced.contains(&begun.path));
    Ok(begun)
}

/// Ranges that touch as one.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

pub(super) fn make_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Removes folders of runs that were killed.
fn sweep(above: &Path) {
    let Ok(entries) = fs::read_dir(above) else { return };
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_ours = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
        // Opened for writing: whose folder it is not must not lock it either.
        if is_ours
            && let Ok(lock) = File::options().write(true).open(folder.join(LOCK))
            && lock.try_lock().is_ok()
        {
            drop(fs::remove_dir_all(&folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one_request() {
        assert_eq!(joined(vec![10..20, 0..4, 20..30, 4..5, 40..50, 42..44]), [0..5, 10..30, 40..50]);
        assert!(joined(Vec::new()).is_empty());
    }

    #[test]
    fn only_finished_files_of_tables_are_of_the_store() {
        let check = |key: &str, expected: bool| assert_eq!(partition_of(key).is_some(), expected, "{key}");
        check("flows/cluster=a/date=2026-03-02/bucket=07/x.parquet", true);
        check("flows/cluster=a/date=2026-03-02/bucket=07/x.replaced", false);
        check("flows/cluster=a/date=2026-03-02/x.parquet", false);
        check("../flows/cluster=a/date=2026-03-02/bucket=07/x.parquet", false);
        assert!(is_import("imports/a.json") && !is_import("imports/a/b.json") && !is_import("imports/a.txt"));
    }

    #[test]
    fn folders_of_killed_runs_are_removed_and_others_are_not() {
        let above = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = above.path().join(name);
            fs::create_dir(&folder).unwrap();
            (folder.clone(), File::create(folder.join(LOCK)).unwrap())
        };
        let (dead, _) = folder("egress-atlas-bucket-dead");
        let (alive, lock) = folder("egress-atlas-bucket-alive");
        let (other, _) = folder("other");
        lock.try_lock().unwrap();
        sweep(above.path());
        assert_eq!((dead.exists(), alive.exists(), other.exists()), (false, true, true));
    }
}
