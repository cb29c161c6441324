//! Finished files of a local store to a bucket; and imports, which are made in a folder and shipped as a whole.
//!
//! In: a store that a collector writes. Out: the same files in the bucket, under names that no other writer has, and none of them here,
//! or copies in `shipped/` for a while. A file goes only when the bucket has confirmed it, and one that is shipped twice replaces
//! itself. Files come before the records of their imports.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::client::Bucket;
use super::merge::{Merger, Owner};
use crate::collect::{Clock, Shipped, Shipper};
use crate::lake::error::LakeError;
use crate::lake::imports::Imports;
use crate::lake::layout::{Table, WRITER, mark};
use crate::lake::retention::{NOTE, UNFOLDED, UNFOLDED_TEXT, folds, note_folding};
use crate::lake::scan::{COMPACTED, list_all};
use crate::lake::write::{make_store, sync_folder, write_atomically};

/// Files that are on their way before those that have arrived are removed here.
const TOGETHER: usize = 256;
/// What the names of the collector's own files begin with.
pub(super) const SEGMENT: &str = "wal-";
/// The file in which the store notes how far its segments are in.
const SEALED: [&str; 2] = ["state", "sealed"];
/// Where copies of shipped files are kept.
const COPIES: &str = "shipped";

/// How a store is shipped.
#[derive(Clone, Copy, Debug)]
pub struct ShipOptions {
    /// How long copies stay.
    pub keep: Duration,
    /// How often the bucket is tidied.
    pub tidy: Duration,
    /// How long days are kept in the bucket.
    pub retention: Duration,
    /// Whether repeats are folded, where somebody has a say in it.
    pub folds: Option<bool>,
    /// The clock.
    pub clock: Clock,
}

/// Ships a collector's store.
pub struct BucketShipper {
    pub(super) root: PathBuf,
    pub(super) bucket: Bucket,
    /// What this store is called in the names of its objects.
    writer: String,
    pub(super) options: ShipOptions,
    /// When the bucket was tidied last.
    pub(super) tidied: Option<SystemTime>,
    pub(super) merger: Merger,
    is_marked: bool,
    recorded: BTreeSet<String>,
}

impl BucketShipper {
    /// Ships the store at `root` from now on. A store that was never shipped gets a name, by chance, for the names of its files.
    pub fn new(root: &Path, bucket: Bucket, options: ShipOptions) -> Result<Self, LakeError> {
        make_store(root)?;
        let path = root.join(WRITER.join("/"));
        let known = fs::read_to_string(&path).ok().map(|text| text.trim().to_owned());
        let is_name = |name: &String| {
            name.len() == 16 && name.starts_with('w') && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let writer = if let Some(name) = known.filter(is_name) {
            name
        } else {
            let mut random = RandomState::new().build_hasher();
            random.write_u32(std::process::id());
            let name = format!("w{:015x}", random.finish() >> 4);
            write_atomically(&path, format!("{name}\n").as_bytes())?;
            name
        };
        Ok(Self {
            merger: Merger::new(Owner::Writer(writer.clone()), root.to_owned()),
            root: root.to_owned(),
            bucket,
            writer,
            options,
            tidied: None,
            is_marked: false,
            recorded: BTreeSet::new(),
        })
    }

    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(u64::try_from((self.options.clock)().nanos()).unwrap_or(0))
    }

    /// What waits: files, and their keys and sizes.
    pub(super) fn waiting(&self, imports: &Imports) -> Result<Vec<Waiting>, LakeError> {
        let mut waiting = Vec::new();
        let through = self.through();
        for table in Table::ALL {
            for (partition, path) in list_all(&self.root, table)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // An import that is not recorded may be tried again, and must find its files; a segment that is not noted will be
                // written again, maybe after its first files were merged in the bucket.
                if !imports.is_settled(&path) || segment_of(&name).is_some_and(|number| Some(number) > through) {
                    continue;
                }
                let key = format!("{}/{}", partition.folder().display(), object_name(&name, &self.writer));
                // Retention may take it away meanwhile.
                if let Ok(metadata) = fs::metadata(&path) {
                    waiting.push(Waiting { path, key, bytes: metadata.len() });
                }
            }
        }
        Ok(waiting)
    }

    /// The last segment whose files are all there, as the store notes it.
    fn through(&self) -> Option<u64> {
        let noted = fs::read_to_string(self.root.join(SEALED.join("/"))).ok()?;
        u64::from_str_radix(noted.trim(), 16).ok()
    }

    fn ship_files(&mut self, shipped: &mut Shipped) -> Result<(), LakeError> {
        // Records first: what they name is complete.
        let imports = Imports::read(&self.root)?;
        let waiting = self.waiting(&imports)?;
        shipped.waiting_bytes = waiting.iter().map(|file| file.bytes).sum();
        let new: Vec<String> =
            (imports.records().iter().map(|record| record.key())).filter(|key| !self.recorded.contains(key)).collect();
        // The first try is made at once: what is wrong with the settings should not wait for data.
        if waiting.is_empty() && new.is_empty() && self.is_marked {
            return Ok(());
        }
        if !self.is_marked {
            let (name, content) = mark();
            let is_new = !self.bucket.has(name)?;
            self.bucket.put(name, content.as_bytes())?;
            self.bucket.put(&NOTE.join("/"), format!("{}\n", self.options.retention.as_secs()))?;
            self.agree_on_folding(is_new)?;
            self.is_marked = true;
        }
        for some in waiting.chunks(TOGETHER) {
            let done = put_files(&self.bucket, some.to_vec());
            let mut failed = None;
            for (number, outcome) in done {
                match (outcome, some.get(number)) {
                    (Ok(true), Some(file)) => {
                        self.remove(&file.path)?;
                        shipped.files += 1;
                        shipped.bytes += file.bytes;
                        shipped.waiting_bytes -= file.bytes;
                    }
                    (Ok(_), _) => {}
                    (Err(error), _) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        for key in new {
            let path = self.root.join(&key);
            let content = fs::read(&path).map_err(LakeError::io(&path))?;
            self.bucket.put(&key, content)?;
            self.recorded.insert(key);
        }
        Ok(())
    }

    /// Whether repeats are folded is a note of the store, and the bucket is the store: whoever has a say in it says so there, and others
    /// keep to what is noted.
    fn agree_on_folding(&self, is_new: bool) -> Result<(), LakeError> {
        let key = UNFOLDED.join("/");
        match self.options.folds {
            Some(true) => self.bucket.delete(&key)?,
            Some(false) => self.bucket.put(&key, UNFOLDED_TEXT)?,
            // A store from before it was shipped brings its own note along; from then on the bucket's counts.
            None if is_new && !folds(&self.root) => self.bucket.put(&key, UNFOLDED_TEXT)?,
            None => note_folding(&self.root, !self.bucket.has(&key)?)?,
        }
        Ok(())
    }

    /// A file that the bucket has: away, or among the copies.
    fn remove(&self, path: &Path) -> Result<(), LakeError> {
        let removed = if self.options.keep.is_zero() {
            fs::remove_file(path)
        } else {
            let copy = self.root.join(COPIES).join(path.strip_prefix(&self.root).unwrap_or(path));
            copy.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::rename(path, &copy))
                .and_then(|()| File::options().append(true).open(&copy)?.set_modified(self.now()))
        };
        match removed {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(LakeError::io(path))?,
        }
        // A file that comes back after a power cut would be shipped again, maybe after its object was merged into another.
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes copies that were kept long enough.
    pub(super) fn remove_copies(&self) -> Result<(), LakeError> {
        let now = self.now();
        for table in Table::ALL {
            for (_, path) in list_all(&self.root.join(COPIES), table)? {
                let shipped = fs::metadata(&path).and_then(|metadata| metadata.modified());
                let age = shipped.ok().and_then(|shipped| now.duration_since(shipped).ok());
                if age.is_some_and(|age| age >= self.options.keep) {
                    fs::remove_file(&path).map_err(LakeError::io(&path))?;
                }
            }
        }
        Ok(())
    }
}

impl Shipper for BucketShipper {
    fn ship(&mut self) -> Shipped {
        let mut shipped = Shipped::default();
        let failed = self.ship_files(&mut shipped).and_then(|()| self.remove_copies());
        shipped.failed = failed.err().map(|error| error.to_string());
        shipped
    }

    fn tidy(&mut self) -> Result<Option<String>, String> {
        let now = self.now();
        let is_due = self.tidied.is_none_or(|at| now.duration_since(at).is_ok_and(|age| age >= self.options.tidy));
        if !is_due {
            return Ok(None);
        }
        self.tidied = Some(now);
        self.tidy_bucket(now).map_err(|error| error.to_string())
    }
}

/// A file that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    pub(super) key: String,
    pub(super) bytes: u64,
}

/// Puts files into a bucket. `false` for those that are gone here.
pub(super) fn put_files(bucket: &Bucket, files: Vec<Waiting>) -> Vec<(usize, Result<bool, LakeError>)> {
    bucket.each(files, |reach, file| async move {
        match fs::read(&file.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LakeError::io(&file.path)(error)),
            Ok(content) => Ok(reach.put(&file.key, Bytes::from(content)).await.map(|()| true)?),
        }
    })
}

/// What a file is called in the bucket, where several collectors number their segments from 0. Imports are named after their content.
fn object_name(name: &str, writer: &str) -> String {
    for kind in [SEGMENT, COMPACTED] {
        if let Some(rest) = name.strip_prefix(kind) {
            let is_named = rest.strip_prefix(writer).is_some_and(|rest| rest.starts_with('-'));
            return if is_named { name.to_owned() } else { format!("{kind}{writer}-{rest}") };
        }
    }
    name.to_owned()
}

/// The segment that a file is of, by its name here.
fn segment_of(name: &str) -> Option<u64> {
    let (number, _) = name.strip_prefix(SEGMENT)?.split_once('-')?;
    u64::from_str_radix(number, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_bucket_are_those_of_one_writer() {
        let check = |name: &str, expected: &str| {
            let named = object_name(name, "w1");
            assert_eq!(named, expected);
            assert_eq!(object_name(&named, "w1"), expected, "again");
            let owns = |writer: &str| Owner::Writer(writer.to_owned()).owns(&named);
            assert_eq!(owns("w1"), !name.contains("import"));
            assert!(!owns("w2") && !owns("w"));
            assert_eq!(Owner::Imports.owns(&named), name.contains("import"), "{named}");
        };
        check("wal-0000000000000007-0000.parquet", "wal-w1-0000000000000007-0000.parquet");
        check("merged-ab.parquet", "merged-w1-ab.parquet");
        check("import-ab-0-0000.parquet", "import-ab-0-0000.parquet");
    }
}
