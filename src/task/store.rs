//! Reads a store with all cores: pieces of bounded size are handed to whichever worker is free.
//!
//! In: the folder and what is asked for. Out: folds as reading the original files gives them, one per worker, and an
//! account in rows. What a worker gets depends on chance; what comes out after the merge does not.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ingest::{IngestOptions, Progress, exclude_outside};
use crate::attribute::{Fold, FoldLimits};
use crate::lake::{IDLE_MIN_NANOS, LakeError, LedgerRow, Piece, Plan, Reader, ScanOptions, Table, read_ledger, scan};
use crate::model::{Account, Batch, Place, Rejected, TextId};
use crate::summary::InputAccount;

/// Everything that was read from a store.
pub struct StoreRead {
    /// One per worker.
    pub folds: Vec<Fold>,
    /// One for each table.
    pub inputs: Vec<InputAccount>,
    /// What the ledger has of the asked window.
    pub ledger: Vec<LedgerRow>,
    /// What was read and what was passed over.
    pub plan: Plan,
}

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store itself.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The temporary folder is full or not writable.
    #[error("temporary file: {0}; set TMPDIR to a folder with room")]
    Park(io::Error),
}

pub(super) const BROKEN_ROW: Rejected = Rejected("row of the store with an address that does not parse");

/// Reads the store at `root`, which outputs call `name`.
pub fn read_store(
    root: &Path,
    name: &str,
    options: &ScanOptions,
    ingest: &IngestOptions,
    progress: &Progress,
) -> Result<StoreRead, StoreError> {
    let mut plan = scan(root, options)?;
    let next = AtomicUsize::new(0);
    let broken: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let workers: Vec<Result<PieceReader, StoreError>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..ingest.threads.max(1))
            .map(|_| scope.spawn(|| work(&plan, &next, options, ingest, progress, &broken)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut folds = Vec::new();
    let mut accounts: BTreeMap<Table, Account> = BTreeMap::new();
    for worker in workers {
        let worker = worker?;
        folds.push(worker.fold);
        for (table, part) in worker.accounts {
            accounts.entry(table).or_default().absorb(&part);
        }
    }
    let asked = ScanOptions { since: ingest.limits.since, until: ingest.limits.until, ..ScanOptions::default() };
    let ledger = read_ledger(root, &asked)?;
    plan.broken.extend(ledger.broken);
    plan.broken.extend(broken.into_inner().unwrap_or_else(PoisonError::into_inner));
    plan.broken.sort();
    let inputs = inputs_of(accounts, &plan.broken, name);
    Ok(StoreRead { folds, inputs, ledger: ledger.rows, plan })
}

/// One input for each table, as outputs tell them.
pub(super) fn inputs_of(mut accounts: BTreeMap<Table, Account>, broken: &[String], name: &str) -> Vec<InputAccount> {
    for table in [Table::Flows, Table::Answers] {
        accounts.entry(table).or_default();
    }
    let mut problem =
        broken.first().map(|first| format!("{} of its files cannot be read, the first: {first}", broken.len()));
    accounts
        .into_iter()
        .filter(|(table, account)| account.read > 0 || matches!(table, Table::Flows | Table::Answers))
        .map(|(table, account)| InputAccount {
            name: format!("{name}/{}", table.as_str()).into(),
            format: "store",
            account,
            problem: problem.take().map(Into::into),
        })
        .collect()
}

fn work(
    plan: &Plan,
    next: &AtomicUsize,
    options: &ScanOptions,
    ingest: &IngestOptions,
    progress: &Progress,
    broken: &Mutex<Vec<String>>,
) -> Result<PieceReader, StoreError> {
    let mut reader = PieceReader::new(ingest.limits);
    while let Some(piece) = plan.pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
        match reader.read(piece, options) {
            Ok(rows) => {
                progress.records.fetch_add(rows, Ordering::Relaxed);
            }
            // Retention took it away since the store was listed.
            Err(StoreError::Lake(error)) if error.is_gone() => {}
            Err(StoreError::Lake(error @ LakeError::Folded)) => return Err(error.into()),
            Err(StoreError::Lake(error)) => {
                broken.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reader)
}

/// Reads pieces of a store into a fold, and keeps account of their rows.
pub(super) struct PieceReader {
    pub(super) fold: Fold,
    pub(super) accounts: BTreeMap<Table, Account>,
    limits: FoldLimits,
    reader: Reader,
    batch: Batch,
}

impl PieceReader {
    pub(super) fn new(limits: FoldLimits) -> Self {
        Self {
            fold: Fold::new(limits),
            accounts: BTreeMap::new(),
            limits,
            reader: Reader::default(),
            batch: Batch::default(),
        }
    }

    /// Folds the rows of a piece; how many there were. A piece that cannot be read changes nothing.
    pub(super) fn read(&mut self, piece: &Piece, options: &ScanOptions) -> Result<u64, StoreError> {
        let Self { fold, accounts, limits, reader, batch } = self;
        batch.clear();
        let unreadable = reader.read(piece, options, &mut fold.vocabulary, batch)?;
        if options.with_ids && reader.has_repeats() && limits.idle_nanos < IDLE_MIN_NANOS {
            return Err(LakeError::Folded.into());
        }
        let account = accounts.entry(piece.table).or_default();
        for _ in 0..unreadable {
            account.reject(BROKEN_ROW, Place::Byte(0));
        }
        let records = batch.records().count();
        let rows = (records + batch.answers.len() + batch.questions.len() + batch.losses.len()) as u64;
        account.read += rows;
        account.used += rows;
        // Here a question is a row of its own.
        let questions = batch.questions.iter().filter(|row| !limits.asks_for(row.time)).count();
        exclude_outside(batch, limits, questions, account);
        fold.add(batch, TextId::NONE).map_err(StoreError::Park)?;
        Ok(rows)
    }
}
