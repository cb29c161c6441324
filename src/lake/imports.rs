//! What was imported already, so that nothing is imported twice.
//!
//! In: the digest of an input's decompressed content, whole and up to lengths that are known. Out: whether the store has it,
//! has a beginning of it, or has nothing. An input is known by its content, never by its name: a log that was rotated,
//! renamed or compressed is the same log, and a log that grew is its old part and its new part.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::layout::Table;
use super::scan::list_all;
use super::write::{Written, write_atomically};

/// The folder of records, one JSON file each.
const FOLDER: &str = "imports";

/// What the names of imported files begin with.
pub(super) const PREFIX: &str = "import-";

/// FNV-1a of 128 bits over the bytes of an input: enough to tell files apart, no defence against somebody who forges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u128);

impl Default for Digest {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Digest {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    }

    /// The name of files of an input with this digest, read from byte `from` on.
    pub fn import_name(&self, from: u64) -> String {
        format!("{PREFIX}{}-{from}", self.text())
    }

    /// As 32 hexadecimal digits.
    pub fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// One input, or one part of an input, that the store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// Form of this record.
    pub schema: String,
    /// The path as it was given.
    pub input: String,
    /// `hubble`, `dnstap`, ...
    pub format: String,
    /// The cluster that the user gave; empty when the user gave none.
    pub cluster: String,
    /// Bytes of decompressed content up to the end of the last record that was read.
    pub bytes: u64,
    /// Digest of these bytes.
    pub digest: String,
    /// The name that its files in the store begin with.
    pub name: String,
    /// Where this part began: behind what was imported before; 0 for a whole input.
    pub from: u64,
    /// Records read from this part.
    pub read: u64,
    /// Of these, in the store.
    pub used: u64,
    /// Broken records by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records left out by name.
    pub excluded: BTreeMap<String, u64>,
    /// Why the input ended early, if it did.
    pub problem: Option<String>,
    /// The digest of the part that this one continues; none for a whole input.
    #[serde(default)]
    pub continues: Option<String>,
    /// The first day of its rows, in days since the epoch; none when no row has a time.
    #[serde(default)]
    pub first_day: Option<u32>,
    /// The last day of its rows.
    #[serde(default)]
    pub last_day: Option<u32>,
    /// Whether some of its rows have no time.
    #[serde(default)]
    pub has_undated: bool,
}

impl ImportRecord {
    /// Whether every record is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.read == self.used + self.rejected.values().sum::<u64>() + self.excluded.values().sum::<u64>()
    }

    /// Takes note of the days that its rows are of.
    #[must_use]
    pub fn of_days(self, written: &Written) -> Self {
        Self {
            first_day: written.days.map(|(first, _)| first),
            last_day: written.days.map(|(_, last)| last),
            has_undated: written.has_undated,
            ..self
        }
    }

    /// Removes the record: the input may come again.
    pub(super) fn remove(&self, root: &Path) -> Result<(), LakeError> {
        let path = self.path(root);
        fs::remove_file(&path).map_err(LakeError::io(&path))
    }

    fn path(&self, root: &Path) -> PathBuf {
        root.join(self.key())
    }

    /// Its file, below the root.
    pub(super) fn key(&self) -> String {
        format!("{FOLDER}/{}-{}.json", self.digest, self.bytes)
    }

    /// Writes the record: from now on, the store has the input.
    pub fn write(&self, root: &Path) -> Result<(), LakeError> {
        let path = self.path(root);
        let text = serde_json::to_string_pretty(self).map_err(|error| LakeError::broken(&path, &error))?;
        write_atomically(&path, format!("{text}\n").as_bytes())
    }
}

/// All records of a store.
#[derive(Clone, Debug, Default)]
pub struct Imports {
    /// By length and digest.
    records: BTreeMap<(u64, String), ImportRecord>,
    /// What the names of their files begin with.
    names: BTreeSet<String>,
}

/// Files of imports that ended before they were recorded, by the name that they begin with.
#[derive(Debug, Default)]
pub struct Leftovers(HashMap<String, Vec<PathBuf>>);

impl Leftovers {
    /// Lists them all at once; none of the store's files is opened.
    pub fn read(root: &Path, imports: &Imports) -> Result<Self, LakeError> {
        let mut found = Self::default();
        for table in Table::ALL {
            for (_, path) in list_all(root, table)? {
                if let Some(name) = import_of(&path).filter(|name| !imports.names.contains(*name)) {
                    found.0.entry(name.to_owned()).or_default().push(path);
                }
            }
        }
        Ok(found)
    }

    /// Removes the files of the import of that name, so that it may be tried again.
    pub fn remove(&self, name: &str) -> Result<(), LakeError> {
        for path in self.0.get(name).into_iter().flatten() {
            match fs::remove_file(path) {
                // The same content may have come under two names.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(LakeError::io(path))?,
            }
        }
        Ok(())
    }
}

/// The import that a file of the store is of, by the file's name.
pub(super) fn import_of(path: &Path) -> Option<&str> {
    let (name, _flush) = path.file_stem()?.to_str()?.rsplit_once('-')?;
    name.starts_with(PREFIX).then_some(name)
}

impl Imports {
    /// Reads the records of a store; a store without imports has none.
    pub fn read(root: &Path) -> Result<Self, LakeError> {
        let folder = root.join(FOLDER);
        let mut imports = Self::default();
        if !folder.is_dir() {
            return Ok(imports);
        }
        for entry in fs::read_dir(&folder).map_err(LakeError::io(&folder))? {
            let path = entry.map_err(LakeError::io(&folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read(&path).map_err(LakeError::io(&path))?;
            let record: ImportRecord =
                serde_json::from_slice(&text).map_err(|error| LakeError::broken(&path, &error))?;
            imports.add(record);
        }
        Ok(imports)
    }

    /// Adds a record.
    pub fn add(&mut self, record: ImportRecord) {
        self.names.insert(record.name.clone());
        self.records.insert((record.bytes, record.digest.clone()), record);
    }

    /// The record of a content of that length and digest.
    pub fn find(&self, bytes: u64, digest: &Digest) -> Option<&ImportRecord> {
        self.records.get(&(bytes, digest.text()))
    }

    /// Whether there is a record of an import of that name.
    pub(super) fn is_recorded(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether a file of the store is of no import, or of one that is recorded.
    pub(super) fn is_settled(&self, path: &Path) -> bool {
        import_of(path).is_none_or(|name| self.names.contains(name))
    }

    /// Records of inputs that broke off, and that nothing continues: what follows in them is missing.
    pub fn broken_off(&self) -> impl Iterator<Item = &ImportRecord> {
        let continued: BTreeSet<(u64, &str)> =
            self.records.values().filter_map(|record| Some((record.from, record.continues.as_deref()?))).collect();
        // Of an input of which nothing could be read nothing is known but its name.
        let whole: BTreeSet<&str> =
            self.records.values().filter(|record| record.bytes > 0).map(|record| record.input.as_str()).collect();
        self.records.values().filter(move |record| {
            let is_replaced = record.bytes == 0 && whole.contains(record.input.as_str());
            record.problem.is_some() && !is_replaced && !continued.contains(&(record.bytes, &*record.digest))
        })
    }

    /// All records, in the order of their inputs; a problem only of those that are [`Self::broken_off`].
    pub fn told(&self) -> Vec<ImportRecord> {
        let missing: BTreeSet<(u64, &str)> =
            self.broken_off().map(|record| (record.bytes, record.digest.as_str())).collect();
        let told = |record: &ImportRecord| ImportRecord {
            problem: record.problem.clone().filter(|_| missing.contains(&(record.bytes, record.digest.as_str()))),
            ..record.clone()
        };
        self.records().into_iter().map(told).collect()
    }

    /// Lengths at which a known content ends, ascending.
    pub fn lengths(&self) -> Vec<u64> {
        let mut lengths: Vec<u64> = self.records.keys().map(|(bytes, _)| *bytes).collect();
        lengths.dedup();
        lengths
    }

    /// All records, in the order of their inputs.
    pub fn records(&self) -> Vec<&ImportRecord> {
        let mut records: Vec<&ImportRecord> = self.records.values().collect();
        records.sort_by(|one, two| (&one.input, one.from, one.bytes).cmp(&(&two.input, two.from, two.bytes)));
        records
    }
}
