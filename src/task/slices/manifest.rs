//! The manifest: one line for the plan, then one line for each slice, as JSON.
//!
//! In and out: text. The manifest is known by a digest of its content, which every partial result names. Whoever runs a slice needs
//! the first line and the slice's own; whoever merges reads and checks all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attribute::FoldLimits;
use crate::lake::{ImportRecord, ScanOptions, Table};
use crate::model::Timestamp;

/// The form of manifests and partial results. It changes whenever what a slice keeps does.
pub(super) const FORM: u32 = 2;

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was asked: everything that changes what a slice keeps. Lengths in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Start of the asked window, RFC 3339.
    pub since: Option<String>,
    /// End of the asked window, RFC 3339.
    pub until: Option<String>,
    /// A connection that is silent for longer than this ends.
    pub idle_nanos: i64,
    /// How far outside the asked window rows are read.
    pub margin_nanos: i64,
}

impl Asked {
    /// What is asked of a window.
    pub fn of(since: Option<Timestamp>, until: Option<Timestamp>, idle_nanos: i64, margin_nanos: i64) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self { since: text(since), until: text(until), idle_nanos, margin_nanos }
    }

    /// The asked window.
    pub fn window(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let time = |text: &Option<String>| text.as_deref().and_then(|text| Timestamp::parse(text.as_bytes()));
        (time(&self.since), time(&self.until))
    }

    /// Bounds of a fold.
    pub fn limits(&self) -> FoldLimits {
        let (since, until) = self.window();
        FoldLimits { idle_nanos: self.idle_nanos, since, until, ..FoldLimits::default() }
    }

    /// What of the store is read: the asked window and its margin.
    pub(super) fn scan(&self) -> ScanOptions {
        let (since, until) = self.window();
        ScanOptions {
            since: since.map(|since| since.plus_nanos(self.margin_nanos.saturating_neg())),
            until: until.map(|until| until.plus_nanos(self.margin_nanos)),
            ..ScanOptions::default()
        }
    }

    /// The rows of the ledger that count.
    pub(super) fn ledger(&self) -> ScanOptions {
        let (since, until) = self.window();
        ScanOptions { since, until, ..ScanOptions::default() }
    }
}

/// The first line: what holds for all slices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// Digest of all that follows and of the slices.
    pub manifest: String,
    /// The form of the manifest.
    pub form: u32,
    /// The version that planned.
    pub version: String,
    /// How many slices there are.
    pub slices: u32,
    /// Rows in all slices.
    pub rows: u64,
    /// Where the store is, for whoever runs a slice.
    pub store: PathBuf,
    /// What the user called the store.
    pub store_as_given: PathBuf,
    /// What was asked.
    pub asked: Asked,
    /// Files, row groups and rows outside of what was asked.
    pub passed_over: [u64; 3],
    /// Files that cannot be read.
    pub broken: Vec<String>,
    /// Imports that refused or left out records, or that broke off; a problem only of those that nothing continues.
    pub imports: Vec<ImportRecord>,
}

/// Row groups of one file, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceInput {
    /// The file, below the store.
    pub file: String,
    /// Its size in bytes, so that another file of that name is no input.
    pub bytes: u64,
    /// The first row.
    pub first: usize,
    /// Rows of each row group.
    pub groups: Vec<usize>,
}

/// One slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceLine {
    /// Its number, from 0.
    pub slice: u32,
    /// The cluster; empty for rows that name none.
    pub cluster: String,
    /// First and last day, both included; none for rows without a time.
    pub days: Option<(String, String)>,
    /// First and last bucket of client addresses, both included.
    pub buckets: (u8, u8),
    /// Rows.
    pub rows: u64,
    /// What to read.
    pub inputs: Vec<SliceInput>,
}

/// A whole manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What holds for all slices.
    pub plan: PlanLine,
    /// In the order of their numbers.
    pub slices: Vec<SliceLine>,
    /// Digest of each slice's line.
    pub(super) digests: Vec<String>,
}

/// Why a manifest is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {reason}; make a new manifest with `task plan`")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Another version or form.
    #[error(
        "planned by version {version} (form {form}), and this is {VERSION} (form {FORM}): plan, run and merge with one version"
    )]
    Version {
        /// The version that planned.
        version: String,
        /// Its form of manifests.
        form: u32,
    },
    /// It was changed since.
    #[error("its content does not match its digest: it was changed or cut since `task plan` wrote it; plan again")]
    Changed,
    /// There is no slice of that number.
    #[error("there is no slice {slice}: the manifest has slices 0 to {last}")]
    NoSlice {
        /// The number asked for.
        slice: u32,
        /// The last one.
        last: u32,
    },
    /// A path leads out of the store.
    #[error("`{0}` is no file of a store")]
    Path(String),
}

impl Manifest {
    /// A manifest of these slices, with its digest.
    pub(super) fn new(mut plan: PlanLine, slices: Vec<SliceLine>) -> Self {
        plan.slices = u32::try_from(slices.len()).unwrap_or(u32::MAX);
        let digests: Vec<String> = slices.iter().map(SliceLine::digest).collect();
        plan.manifest = digest_of(&plan, &digests);
        Self { plan, slices, digests }
    }

    /// As text, a line each.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string(&self.plan).unwrap_or_default();
        text.push('\n');
        for slice in &self.slices {
            text.push_str(&slice.text());
            text.push('\n');
        }
        text
    }

    /// Reads and checks all of it.
    pub fn read(input: impl BufRead) -> Result<Self, ManifestError> {
        let mut lines = input.lines().enumerate();
        let plan = plan_line(lines.next().map(|(_, line)| line).transpose()?)?;
        let mut slices = Vec::new();
        for (at, line) in lines {
            let slice: SliceLine = parsed(at, &line?)?;
            if usize::try_from(slice.slice).ok() != Some(slices.len()) {
                let reason = format!("slice {} where slice {} belongs", slice.slice, slices.len());
                return Err(ManifestError::Line { line: at + 1, reason });
            }
            slices.push(slice);
        }
        let digests: Vec<String> = slices.iter().map(SliceLine::digest).collect();
        if u32::try_from(slices.len()).ok() != Some(plan.slices) || digest_of(&plan, &digests) != plan.manifest {
            return Err(ManifestError::Changed);
        }
        Ok(Self { plan, slices, digests })
    }

    /// Reads the plan and these slices; the others are not even parsed whole.
    pub fn read_slices(
        input: impl BufRead,
        wanted: &BTreeSet<u32>,
    ) -> Result<(PlanLine, BTreeMap<u32, SliceLine>), ManifestError> {
        #[derive(Deserialize)]
        struct Number {
            slice: u32,
        }
        let mut lines = input.lines().enumerate();
        let plan = plan_line(lines.next().map(|(_, line)| line).transpose()?)?;
        let mut found = BTreeMap::new();
        for (at, line) in lines {
            let line = line?;
            let number: Number = parsed(at, &line)?;
            if wanted.contains(&number.slice) {
                found.insert(number.slice, parsed(at, &line)?);
            }
            if found.len() == wanted.len() {
                break;
            }
        }
        match wanted.iter().find(|slice| !found.contains_key(*slice)) {
            Some(slice) => Err(ManifestError::NoSlice { slice: *slice, last: plan.slices.saturating_sub(1) }),
            None => Ok((plan, found)),
        }
    }
}

fn plan_line(line: Option<String>) -> Result<PlanLine, ManifestError> {
    #[derive(Deserialize)]
    struct Form {
        form: u32,
        version: String,
    }
    let line = line.unwrap_or_default();
    let Form { form, version } = parsed(0, &line)?;
    if form != FORM || version != VERSION {
        return Err(ManifestError::Version { version, form });
    }
    parsed(0, &line)
}

fn parsed<'a, T: Deserialize<'a>>(at: usize, line: &'a str) -> Result<T, ManifestError> {
    serde_json::from_str(line).map_err(|error| ManifestError::Line { line: at + 1, reason: error.to_string() })
}

fn digest_of(plan: &PlanLine, slices: &[String]) -> String {
    let plan = PlanLine { manifest: String::new(), ..plan.clone() };
    let mut hash = Sha256::new();
    hash.update(serde_json::to_string(&plan).unwrap_or_default());
    for slice in slices {
        hash.update(slice);
    }
    hexadecimal(&hash.finalize()).chars().take(32).collect()
}

/// Bytes as hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl SliceLine {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Digest of its content.
    pub(super) fn digest(&self) -> String {
        hexadecimal(&Sha256::digest(self.text()))
    }
}

impl SliceInput {
    /// Where the file is, and which table it belongs to.
    pub(super) fn place(&self, store: &Path) -> Result<(Table, PathBuf), ManifestError> {
        let below = Path::new(&self.file);
        let mut parts = below.components();
        let table = match parts.next() {
            Some(Component::Normal(name)) => Table::ALL.into_iter().find(|table| name == table.as_str()),
            _ => None,
        };
        let is_below = parts.all(|part| matches!(part, Component::Normal(_)));
        match table {
            Some(table) if is_below => Ok((table, store.join(below))),
            _ => Err(ManifestError::Path(self.file.clone())),
        }
    }
}
