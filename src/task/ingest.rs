//! Reads all inputs with all cores: chunks of whole records are handed to whichever worker is free.
//!
//! In: opened inputs. Out: one [`Fold`] per worker and the account of every input. What a worker gets depends on chance; what
//! comes out after the merge does not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::attribute::{Fold, FoldLimits};
use crate::model::{Account, Batch, Excluded, FlowRow, TextId};
use crate::read::{
    ChunkSource, Decoders, Format, FrameChunks, Framing, InputError, InputFile, IpfixChunks, Layout, LineChunks,
    ObjectChunks, Opened, open,
};
use crate::summary::InputAccount;

/// What reading needs to know.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Worker threads.
    pub threads: usize,
    /// Memory bounds, idle time, asked window.
    pub limits: FoldLimits,
    /// Keep the sources' own record ids.
    pub keep_ids: bool,
}

/// What is read so far, for a progress display in another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Decompressed bytes.
    pub bytes: AtomicU64,
    /// Records.
    pub records: AtomicU64,
}

/// Everything that was read.
#[derive(Default)]
pub struct Ingested {
    /// One per worker.
    pub folds: Vec<Fold>,
    /// In the order of the files.
    pub inputs: Vec<InputAccount>,
    /// Files in folders that cannot be used (a README beside the logs), with the reason.
    pub passed_over: Vec<(String, String)>,
}

/// Why reading stopped altogether.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// An input is unusable.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The temporary folder is full or not writable.
    #[error(
        "temporary file: {0}; connections beyond the memory bound are parked in the system's temporary folder (set TMPDIR to one with room)"
    )]
    Park(io::Error),
}

/// An input that workers are reading together.
struct Shared {
    number: usize,
    format: Format,
    framing: Framing,
    header: Option<String>,
    cluster: Option<String>,
    source: Mutex<Box<dyn ChunkSource>>,
}

pub(super) const OUTSIDE_WINDOW: Excluded = Excluded("outside the asked window");

/// One worker: decoders, a fold, and the accounts of what it read.
struct Worker<'a> {
    options: &'a IngestOptions,
    progress: &'a Progress,
    fold: Fold,
    batch: Batch,
    chunk: Vec<u8>,
    decoders: Decoders,
    accounts: BTreeMap<usize, Settled>,
}

/// What became of an input, as far as one worker has seen it.
#[derive(Debug)]
struct Settled {
    format: Format,
    account: Account,
    problem: Option<String>,
}

impl<'a> Worker<'a> {
    fn new(options: &'a IngestOptions, progress: &'a Progress) -> Self {
        Self {
            options,
            progress,
            fold: Fold::new(options.limits),
            batch: Batch::default(),
            chunk: Vec::new(),
            decoders: Decoders::new(options.keep_ids, options.limits.until),
            accounts: BTreeMap::new(),
        }
    }

    /// Takes chunks of one input until it ends.
    fn read(&mut self, input: &Shared) -> io::Result<()> {
        let cluster = input.cluster.as_deref().map_or(TextId::NONE, |name| self.fold.vocabulary.text(name));
        loop {
            let mut account = Account::default();
            let taken = {
                let mut source = input.source.lock().unwrap_or_else(PoisonError::into_inner);
                source.next_chunk(&mut self.chunk, &mut account)
            };
            let offset = match taken {
                Ok(Some(offset)) => offset,
                Ok(None) => {
                    self.settle(input, &account, None);
                    return Ok(());
                }
                Err(error) => {
                    self.settle(input, &account, Some(error.to_string()));
                    return Ok(());
                }
            };
            self.decode(input, offset, &mut account);
            self.count_window(&mut account);
            self.fold.add(&self.batch, cluster)?;
            self.progress.bytes.fetch_add(self.chunk.len() as u64, Ordering::Relaxed);
            self.progress.records.fetch_add(account.read, Ordering::Relaxed);
            self.settle(input, &account, None);
        }
    }

    fn decode(&mut self, input: &Shared, offset: u64, account: &mut Account) {
        self.batch.clear();
        let layout = Layout {
            format: input.format,
            framing: input.framing,
            header: input.header.as_deref(),
            with_cluster_ids: input.cluster.is_none(),
        };
        let (vocabulary, batch) = (&mut self.fold.vocabulary, &mut self.batch);
        self.decoders.decode(layout, (&self.chunk, offset), vocabulary, batch, account);
    }

    fn count_window(&self, account: &mut Account) {
        // A question is of a record that is left out already, for want of an address in its answer.
        exclude_outside(&self.batch, &self.options.limits, 0, account);
    }

    fn settle(&mut self, input: &Shared, account: &Account, problem: Option<String>) {
        let empty = || Settled { format: input.format, account: Account::default(), problem: None };
        let settled = self.accounts.entry(input.number).or_insert_with(empty);
        settled.account.absorb(account);
        settled.problem = settled.problem.take().or(problem);
    }
}

/// Takes flows outside the asked window out of those that are used, and names them; so with `further` records outside of it. Such flows
/// still tell who had which address, and answers from outside may name flows inside.
pub(super) fn exclude_outside(batch: &Batch, limits: &FoldLimits, further: usize, account: &mut Account) {
    let asked = |row: &FlowRow| limits.asks_for(row.time);
    let flows = batch.records().filter(|rows| !rows.iter().any(asked)).count();
    let outside = (flows + further) as u64;
    if outside > 0 {
        account.used = account.used.saturating_sub(outside);
        *account.excluded.entry(OUTSIDE_WINDOW).or_default() += outside;
    }
}

/// The chunks of an opened input.
pub(super) fn chunks(opened: Opened) -> Box<dyn ChunkSource> {
    match opened.framing {
        Framing::Frames => Box::new(FrameChunks::new(opened.bytes)),
        Framing::Objects => Box::new(ObjectChunks::new(opened.bytes)),
        Framing::Messages => Box::new(IpfixChunks::new(opened.bytes)),
        Framing::Lines | Framing::Whole => Box::new(LineChunks::new(opened.bytes)),
    }
}

/// The inputs, as workers take them.
struct Queue<'a> {
    files: &'a [InputFile],
    next: AtomicU64,
    active: Mutex<Vec<Arc<Shared>>>,
    passed_over: Mutex<Vec<(String, String)>>,
}

impl Queue<'_> {
    /// A file that nobody reads yet, else one that somebody reads and that may have chunks left.
    fn take(&self, done: &[usize]) -> Result<Option<Arc<Shared>>, InputError> {
        loop {
            let number = usize::try_from(self.next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(file) = self.files.get(number) else { break };
            let opened = match open(file) {
                Err(InputError::Unrecognised { path }) if !file.is_named => {
                    self.passed_over
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((path, "it is of no known format of flows or DNS answers".to_owned()));
                    continue;
                }
                Err(error) if !file.is_named && error.is_of_one_file() => {
                    let path = file.path.display().to_string();
                    let reason = error.to_string();
                    let reason = reason.strip_prefix(&format!("`{path}`: ")).unwrap_or(&reason).to_owned();
                    self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).push((path, reason));
                    continue;
                }
                Err(InputError::Io { path, source }) if !file.is_named => {
                    self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).push((path, source.to_string()));
                    continue;
                }
                opened => opened?,
            };
            let shared = Arc::new(Shared {
                number,
                format: opened.format,
                framing: opened.framing,
                header: opened.header.clone(),
                cluster: file.cluster.clone(),
                source: Mutex::new(chunks(opened)),
            });
            self.active.lock().unwrap_or_else(PoisonError::into_inner).push(shared.clone());
            return Ok(Some(shared));
        }
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(active.iter().find(|shared| !done.contains(&shared.number)).cloned())
    }

    fn finished(&self, number: usize) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).retain(|shared| shared.number != number);
    }
}

/// Reads all files.
///
/// Every file is opened before the first is read to its end, as far as threads go; an input that cannot be opened ends everything.
pub fn ingest(files: &[InputFile], options: &IngestOptions, progress: &Progress) -> Result<Ingested, IngestError> {
    let queue =
        Queue { files, next: AtomicU64::new(0), active: Mutex::new(Vec::new()), passed_over: Mutex::new(Vec::new()) };
    let workers: Vec<Result<Worker<'_>, IngestError>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..options.threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut worker = Worker::new(options, progress);
                    let mut done = Vec::new();
                    while let Some(input) = queue.take(&done)? {
                        worker.read(&input).map_err(IngestError::Park)?;
                        queue.finished(input.number);
                        done.push(input.number);
                    }
                    Ok(worker)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut accounts: BTreeMap<usize, Settled> = BTreeMap::new();
    let mut folds = Vec::new();
    for worker in workers {
        let worker = worker?;
        for (number, part) in worker.accounts {
            match accounts.entry(number) {
                Entry::Vacant(entry) => {
                    entry.insert(part);
                }
                Entry::Occupied(mut entry) => {
                    let settled = entry.get_mut();
                    settled.account.absorb(&part.account);
                    settled.problem = settled.problem.take().or(part.problem);
                }
            }
        }
        folds.push(worker.fold);
    }
    let inputs = accounts
        .into_iter()
        .filter_map(|(number, settled)| {
            Some(InputAccount {
                name: files.get(number)?.path.display().to_string().into(),
                format: settled.format.as_str(),
                account: settled.account,
                problem: settled.problem.map(Into::into),
            })
        })
        .collect();
    let mut passed_over = queue.passed_over.into_inner().unwrap_or_else(PoisonError::into_inner);
    passed_over.sort();
    Ok(Ingested { folds, inputs, passed_over })
}
