//! What was imported already, so that nothing is imported twice.
//!
//! In: the digest of an input's decompressed content, whole and up to lengths that are known. Out: whether the store has it,
//! has a beginning of it, or has nothing. An input is known by its content, never by its name: a log that was rotated,
//! renamed or compressed is the same log, and a log that grew is its old part and its new part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::write::write_atomically;

/// The folder of records, one JSON file each.
const FOLDER: &str = "imports";

/// What the names of imported files begin with.
const PREFIX: &str = "import-";

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
}

impl ImportRecord {
    /// Whether every record is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.read == self.used + self.rejected.values().sum::<u64>() + self.excluded.values().sum::<u64>()
    }

    fn path(&self, root: &Path) -> PathBuf {
        root.join(FOLDER).join(format!("{}-{}.json", self.digest, self.bytes))
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
        self.records.insert((record.bytes, record.digest.clone()), record);
    }

    /// The record of a content of that length and digest.
    pub fn find(&self, bytes: u64, digest: &Digest) -> Option<&ImportRecord> {
        self.records.get(&(bytes, digest.text()))
    }

    /// Whether a file of the store is of no import, or of one that is recorded.
    pub(super) fn is_settled(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with(PREFIX) || self.records.values().any(|record| name.starts_with(&format!("{}-", record.name)))
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
