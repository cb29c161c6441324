//! Imports into a bucket: a local folder that knows what the bucket has, shipped when it is filled, and small objects of all imports merged.
//!
//! In: a bucket. Out: a folder to import into; then the same in the bucket. Files are there before their records, so that a record never stands for rows
//! that are missing. Only objects of recorded imports are merged, and by one import at a time.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::client::{Bucket, Object, all};
use super::merge::{Merger, Owner, Stored, groups, remove_replaced};
use super::mirror::{Mirror, is_import, partition_of};
use super::ship::{Waiting, put_files};
use super::tidy::stored;
use crate::lake::compact::KEPT;
use crate::lake::error::LakeError;
use crate::lake::imports::{Imports, import_of};
use crate::lake::layout::{Table, mark};
use crate::lake::retention::{NOTE, UNFOLDED, UNFOLDED_TEXT, folds};
use crate::lake::scan::list_all;
use crate::lake::write::write_atomically;
use crate::model::Timestamp;

/// There while an import merges; it says which one.
const MERGING: &str = "state/merging-imports";

/// An import into a bucket: a folder that knows what the bucket has.
pub struct Importing {
    mirror: Mirror,
    /// Objects of imports that ended before they were recorded.
    left: Vec<String>,
    /// Records that the bucket has.
    known: BTreeSet<String>,
    /// Whether the bucket says that nothing is folded.
    is_unfolded: bool,
}

impl Importing {
    /// Makes the folder. A bucket in which nothing is yet becomes a store.
    pub fn begin(bucket: &Bucket) -> Result<Self, LakeError> {
        let listed = bucket.list("")?;
        let mirror = Mirror::empty(bucket)?;
        mirror.fetch_imports(bucket, &listed)?;
        for note in [NOTE, UNFOLDED].map(|note| note.join("/")) {
            if listed.iter().any(|object| object.key == note) {
                write_atomically(&mirror.root().join(&note), &bucket.get(&note)?)?;
            }
        }
        let imports = Imports::read(mirror.root())?;
        let is_left = |object: &&Object| {
            let name = partition_of(&object.key).and_then(|_| import_of(Path::new(&object.key)));
            name.is_some_and(|name| !imports.is_recorded(name))
        };
        let keys = |objects: Vec<&Object>| objects.into_iter().map(|object| object.key.clone()).collect::<Vec<_>>();
        Ok(Self {
            left: keys(listed.iter().filter(is_left).collect()),
            known: keys(listed.iter().filter(|object| is_import(&object.key)).collect()).into_iter().collect(),
            is_unfolded: !folds(mirror.root()),
            mirror,
        })
    }

    /// The folder, to import into.
    pub fn root(&self) -> &Path {
        self.mirror.root()
    }

    /// Ships what was imported: files, then their records.
    pub fn finish(&self, bucket: &Bucket) -> Result<(), LakeError> {
        let root = self.mirror.root();
        let imports = Imports::read(root)?;
        let mut files = Vec::new();
        for table in Table::ALL {
            for (_, path) in list_all(root, table)?.into_iter().filter(|(_, path)| imports.is_settled(path)) {
                let key = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                files.push(Waiting { path, key, bytes: 0 });
            }
        }
        let (name, content) = mark();
        bucket.put(name, content.as_bytes())?;
        if !self.is_unfolded && !folds(root) {
            bucket.put(&UNFOLDED.join("/"), UNFOLDED_TEXT)?;
        }
        let shipped: BTreeSet<String> = files.iter().map(|file| file.key.clone()).collect();
        all(put_files(bucket, files))?;
        // An earlier try of the same may have left more than this one wrote.
        for key in self.left.iter().filter(|key| !shipped.contains(*key)) {
            if import_of(Path::new(key)).is_some_and(|name| imports.is_recorded(name)) {
                bucket.delete(key)?;
            }
        }
        for key in imports.records().iter().map(|record| record.key()).filter(|key| !self.known.contains(key)) {
            let path = root.join(&key);
            bucket.put(&key, fs::read(&path).map_err(LakeError::io(&path))?)?;
        }
        Ok(())
    }

    /// Merges small objects of this import and of earlier ones, where no other import is at it; how many objects were merged into how many.
    pub fn merge(&self, bucket: &Bucket, now: Timestamp) -> Result<(u64, u64), LakeError> {
        let time = UNIX_EPOCH + Duration::from_nanos(u64::try_from(now.nanos()).unwrap_or(0));
        let listed = bucket.list("")?;
        remove_replaced(bucket, &listed, time)?;
        if !self.is_worth_it(&listed, now.day())? {
            return Ok((0, 0));
        }
        let Some(turn) = Turn::take(bucket, time)? else { return Ok((0, 0)) };
        let done = self.merge_in_turn(bucket, &turn, now.day());
        turn.end(bucket)?;
        done
    }

    /// Objects of recorded imports: others may be tried again, and must find theirs.
    fn settled(&self, listed: &[Object]) -> Result<Vec<Stored>, LakeError> {
        let imports = Imports::read(self.mirror.root())?;
        let is_settled =
            |stored: &Stored| Owner::Imports.owns(stored.name()) && imports.is_settled(Path::new(&stored.object.key));
        Ok(stored(listed).into_iter().filter(is_settled).collect())
    }

    fn is_worth_it(&self, listed: &[Object], today: u32) -> Result<bool, LakeError> {
        Ok(!groups(&self.settled(listed)?, today).is_empty())
    }

    fn merge_in_turn(&self, bucket: &Bucket, turn: &Turn, today: u32) -> Result<(u64, u64), LakeError> {
        let root = self.mirror.root();
        let mut merger = Merger::new(Owner::Imports, root.to_owned());
        let mut stored = self.settled(&bucket.list("")?)?;
        let left = merger.set_leftovers_aside(bucket, &mut stored)?;
        let (into, replaced) = merger.merge_all(bucket, (&stored, today), folds(root), || turn.holds(bucket))?;
        Ok((replaced + left, into))
    }
}

/// The turn of one import to merge: two at a time could put the same rows into two objects.
struct Turn(String);

impl Turn {
    /// Takes the turn; `None` while another import has it. One that was killed loses it after an hour, to whoever comes after the next.
    fn take(bucket: &Bucket, now: SystemTime) -> Result<Option<Self>, LakeError> {
        let mut random = RandomState::new().build_hasher();
        random.write_u32(std::process::id());
        let name = format!("{:016x}\n", random.finish());
        let turn = Self(name.clone());
        // Where the answer to the first try was lost, the second finds what the first wrote.
        if bucket.put_new(MERGING, name)? || turn.holds(bucket)? {
            return Ok(Some(turn));
        }
        let (folder, _) = MERGING.split_once('/').unwrap_or_default();
        let other = bucket.list(folder)?.into_iter().find(|object| object.key == MERGING);
        if other.is_some_and(|other| now.duration_since(other.modified).is_ok_and(|age| age >= KEPT)) {
            bucket.delete(MERGING)?;
        }
        Ok(None)
    }

    /// Whether it is still this one's turn.
    fn holds(&self, bucket: &Bucket) -> Result<bool, LakeError> {
        match bucket.get(MERGING) {
            Ok(name) => Ok(*name == *self.0.as_bytes()),
            Err(error) if error.is_missing => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn end(&self, bucket: &Bucket) -> Result<(), LakeError> {
        if self.holds(bucket)? {
            bucket.delete(MERGING)?;
        }
        Ok(())
    }
}
