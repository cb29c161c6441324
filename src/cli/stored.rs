//! What a store adds to the files of a command: its rows, and its ledger.
//!
//! In: the folder of `--store` and the asked window. Out: folds, accounts, and what the ledger knows of coverage.

use std::collections::BTreeMap;
use std::path::Path;

use super::Context;
use crate::attribute::{Evidence, Fold};
use crate::lake::{ImportRecord, Imports, LedgerRow, Plan, ScanOptions};
use crate::model::{Activity, Gap, SourceKind, Timestamp};
use crate::summary::InputAccount;
use crate::task::{IngestOptions, Progress, read_store};

/// Everything that was read from a store.
pub(super) struct Stored {
    pub(super) folds: Vec<Fold>,
    pub(super) inputs: Vec<InputAccount>,
    pub(super) ledger: Vec<LedgerRow>,
    pub(super) imports: Vec<ImportRecord>,
    plan: Plan,
    name: String,
}

/// Where gaps that the collector knows of are counted.
const AWAY: &str = "collector: lost by the source's or its own account";

const REJECTED: &str = "record rejected when it was imported or collected";
const EXCLUDED: &str = "record left out by name when it was imported or collected";

impl Stored {
    /// Reads a store. With an asked window, what lies more than `margin` (nanoseconds) outside of it is not read: such
    /// answers are too old to name a flow, and such flows only tell who had which address.
    pub(super) fn read(root: &Path, ingest: &IngestOptions, margin: i64, progress: &Progress) -> anyhow::Result<Self> {
        let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned();
        let options = ScanOptions {
            since: ingest.limits.since.map(|since| since.plus_nanos(margin.saturating_neg())),
            until: ingest.limits.until.map(|until| until.plus_nanos(margin)),
            with_ids: ingest.keep_ids,
            ..ScanOptions::default()
        };
        let read = read_store(root, &name, &options, ingest, progress)?;
        let ledger = read.ledger;
        let known = Imports::read(root)?;
        let mut inputs = read.inputs;
        let broken: Vec<String> = (known.broken_off())
            .filter(|import| may_miss(import, ingest.limits.since, ingest.limits.until))
            .filter_map(|import| Some(format!("`{}`: {}", import.input, import.problem.as_ref()?)))
            .collect();
        if let (Some(first), Some(input)) = (broken.first(), inputs.first_mut()) {
            let told = format!("{} imported files broke off, the first: {first}", broken.len());
            input.problem = input.problem.take().or(Some(told.into()));
        }
        let imports: Vec<ImportRecord> = known.records().into_iter().cloned().collect();
        // What was left out on the way in is no row, and a reader must know of it all the same.
        if let Some(input) = inputs.first_mut() {
            let imported =
                imports.iter().map(|import| (import.rejected.values().sum(), import.excluded.values().sum()));
            let arrived = ledger.iter().map(|row| (row.rejected, row.excluded));
            for (rejected, excluded) in imported.chain(arrived) {
                let counts: [(&'static str, u64); 2] = [(REJECTED, rejected), (EXCLUDED, excluded)];
                for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                    *input.account.notes.entry(what).or_default() += count;
                }
            }
        }
        Ok(Self { folds: read.folds, inputs, ledger, imports, plan: read.plan, name })
    }

    /// Adds what the ledger knows to the coverage of the sources: that they were there and had nothing to say, that they
    /// were away, and what they lost.
    pub(super) fn teach(&self, evidence: &mut Evidence, unnamed: &str) {
        let mut known: BTreeMap<(SourceKind, Box<str>, Box<str>), Activity> = BTreeMap::new();
        for row in &self.ledger {
            let cluster = if row.cluster.is_empty() { unnamed } else { &row.cluster };
            let activity = known.entry((row.kind, cluster.into(), row.source.as_str().into())).or_default();
            if row.read > 0 {
                // When it arrived, which may be long after it happened.
                activity.alive_at.insert(row.minute.minute());
            }
            if row.lost > 0 {
                *activity.lost.entry(AWAY.into()).or_default() += row.lost;
                activity.lost_at.insert(row.minute.minute());
            }
            if row.missing_nanos > 0 {
                activity.known_gaps.insert(away(row));
            }
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
        let plan = &self.plan;
        if context.verbose || plan.files_passed_over + plan.groups_passed_over > 0 {
            context.say(&format!(
                "store `{}`: {} row groups read; outside the asked window: {} files not opened, {} row groups ({} rows) not read",
                self.name,
                plan.pieces.len(),
                plan.files_passed_over,
                plan.groups_passed_over,
                plan.rows_passed_over
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

/// The time for which a source had been away when it came back.
pub(super) fn away(row: &LedgerRow) -> Gap {
    let missing = i64::try_from(row.missing_nanos).unwrap_or(i64::MAX);
    // The minute of the return is told; the gap ends somewhere in it.
    let until = row.minute.plus_nanos(60_000_000_000);
    Gap { from: row.minute.plus_nanos(missing.saturating_neg()).max(Timestamp::from_nanos(0)), until }
}
