//! What a store adds to the files of a command: its rows, and its ledger.
//!
//! In: the folder of `--store` and the asked window. Out: folds, accounts, and what the ledger knows of coverage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Context;
use super::bucket::bucket_of;
use crate::attribute::{Evidence, Fold};
use crate::lake::{ImportRecord, Imports, LedgerRow, Mirror, ScanOptions, Wanted};
use crate::model::{Activity, SourceKind, Timestamp};
use crate::summary::InputAccount;
use crate::task::slices::{Manifest, Merged, Taught};
use crate::task::{IngestOptions, Progress, read_store};

/// Everything that was read from a store.
pub(super) struct Stored {
    pub(super) folds: Vec<Fold>,
    pub(super) inputs: Vec<InputAccount>,
    pub(super) ledger: Vec<LedgerRow>,
    pub(super) imports: Vec<ImportRecord>,
    taught: Taught,
    /// Row groups that were read.
    pieces: u64,
    /// Files, row groups and rows outside of what was asked.
    passed_over: [u64; 3],
    name: String,
}

const REJECTED: &str = "record rejected when it was imported or collected";
const EXCLUDED: &str = "record left out by name when it was imported or collected";

impl Stored {
    /// Reads a store: a folder, or as much of a bucket as is asked for. With an asked window, what lies more than `margin` (nanoseconds) outside of it is not read: such
    /// answers are too old to name a flow, and such flows only tell who had which address.
    /// Only the folders of `cluster` are opened, if one is given.
    pub(super) fn read(
        root: &Path,
        ingest: &IngestOptions,
        margin: i64,
        cluster: Option<&str>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let name = name_of(root);
        let options = ScanOptions {
            since: ingest.limits.since.map(|since| since.plus_nanos(margin.saturating_neg())),
            until: ingest.limits.until.map(|until| until.plus_nanos(margin)),
            clusters: cluster.map(|name| BTreeSet::from([name.to_owned()])),
            with_ids: ingest.keep_ids,
            ..ScanOptions::default()
        };
        let ledger = ScanOptions { since: ingest.limits.since, until: ingest.limits.until, ..ScanOptions::default() };
        let bucket = bucket_of(root)?;
        let mirror =
            bucket.map(|bucket| Mirror::of(&bucket, Wanted { scan: &options, ledger: &ledger })).transpose()?;
        let root = mirror.as_ref().map_or(root, Mirror::root);
        let mut read = read_store(root, &name, &options, ingest, progress)?;
        let imports = Imports::read(root)?.told();
        if let Some(mirror) = &mirror {
            read.plan.files_passed_over += mirror.passed_over;
            for input in &mut read.inputs {
                input.problem = input.problem.take().map(|problem| mirror.retold(&problem).into());
            }
        }
        let ledger = read.ledger;
        let mut taught = Taught::default();
        for row in &ledger {
            taught.add(row);
        }
        let plan = read.plan;
        let mut stored = Self {
            folds: read.folds,
            inputs: read.inputs,
            ledger,
            imports,
            taught,
            pieces: plan.pieces.len() as u64,
            passed_over: [plan.files_passed_over, plan.groups_passed_over, plan.rows_passed_over],
            name,
        };
        stored.note_arrivals(ingest.limits.since, ingest.limits.until);
        Ok(stored)
    }

    /// The same of slices that were read elsewhere. The rows of the ledger itself are not among them.
    pub(super) fn of_slices(manifest: &Manifest, merged: Merged) -> Self {
        let mut stored = Self {
            folds: merged.folds,
            inputs: merged.inputs,
            ledger: Vec::new(),
            imports: manifest.plan.imports.clone(),
            taught: merged.taught,
            pieces: merged.pieces,
            passed_over: manifest.plan.passed_over,
            name: name_of(&manifest.plan.store_as_given),
        };
        let (since, until) = manifest.plan.asked.window();
        stored.note_arrivals(since, until);
        stored
    }

    /// Notes what happened to records before they were rows.
    fn note_arrivals(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        let broken: Vec<String> = (self.imports.iter())
            .filter(|import| may_miss(import, since, until))
            .filter_map(|import| Some(format!("`{}`: {}", import.input, import.problem.as_ref()?)))
            .collect();
        let Some(input) = self.inputs.first_mut() else { return };
        if let Some(first) = broken.first() {
            let told = format!("{} imported files broke off, the first: {first}", broken.len());
            input.problem = input.problem.take().or(Some(told.into()));
        }
        // What was left out on the way in is no row, and a reader must know of it all the same.
        let imported =
            self.imports.iter().map(|import| (import.rejected.values().sum(), import.excluded.values().sum()));
        for (rejected, excluded) in imported.chain([(self.taught.rejected, self.taught.excluded)]) {
            let counts: [(&'static str, u64); 2] = [(REJECTED, rejected), (EXCLUDED, excluded)];
            for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                *input.account.notes.entry(what).or_default() += count;
            }
        }
    }

    /// Adds what the ledger knows to the coverage of the sources: that they were there and had nothing to say, that they
    /// were away, and what they lost.
    pub(super) fn teach(&self, evidence: &mut Evidence, unnamed: &str) {
        let mut known: BTreeMap<(SourceKind, Box<str>, Box<str>), Activity> = BTreeMap::new();
        for ((kind, cluster, source), activity) in &self.taught.activity {
            let cluster = if cluster.is_empty() { unnamed.into() } else { cluster.clone() };
            known.entry((*kind, cluster, source.clone())).or_default().absorb(activity.clone());
        }
        for (source, activity) in known {
            // To have been connected is no event.
            if evidence.activity.contains_key(&source) || !activity.lost.is_empty() || !activity.known_gaps.is_empty() {
                evidence.activity.entry(source).or_default().absorb(activity);
            }
        }
    }

    /// Says what was not read, and what was refused when it was imported.
    pub(super) fn say(&self, context: &mut Context<'_>) {
        let [files, groups, rows] = self.passed_over;
        if context.verbose || files + groups > 0 {
            context.say(&format!(
                "store `{}`: {} row groups read; outside the asked window: {files} files not opened, {groups} row groups ({rows} rows) not read",
                self.name, self.pieces
            ));
        }
        for import in &self.imports {
            for (reason, records) in &import.rejected {
                context.say(&format!(
                    "rejected when imported: `{}`: {records} of {} × {reason}",
                    import.input, import.read
                ));
            }
        }
    }
}

/// Whether what an import that broke off does not have may lie between `since` and `until`. What follows its last row is missing; a log
/// is rotated at least daily, so that this reaches no further than the day after.
fn may_miss(import: &ImportRecord, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    let Some((first, last)) = import.first_day.zip(import.last_day).filter(|_| !import.has_undated) else {
        return true;
    };
    let day = |day: u32| Timestamp::from_nanos(i64::from(day).saturating_mul(86_400_000_000_000));
    let asked = ScanOptions { since, until, ..ScanOptions::default() };
    asked.asks_for(day(first), day(last.saturating_add(2)).plus_nanos(-1))
}

/// What outputs call a store.
pub(super) fn name_of(root: &Path) -> String {
    root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned()
}
