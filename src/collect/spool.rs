//! Everything that arrives, to the write-ahead log: one thread, one file at a time.
//!
//! In: records from all connections and files, over a bounded queue. Out: segments on disk, handed on when they are full or old.
//! When the disk is full, or too much waits for the store, nothing is taken: the queue fills, and whoever fills it has to wait.
//! What was taken is never dropped for want of room.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::durable::{sync_folder, write_atomically};
use super::journal::Journal;
use super::metrics::Metrics;
use super::wal::{Record, wal_folder};

/// A record on its way to the log.
pub(super) struct Spooled {
    /// What arrived; none to look at the clock.
    pub(super) record: Option<Record>,
    /// Told when the record is on the disk.
    pub(super) kept: Option<oneshot::Sender<()>>,
}

impl From<Record> for Spooled {
    fn from(record: Record) -> Self {
        Self { record: Some(record), kept: None }
    }
}

impl Spooled {
    /// A look at the clock.
    pub(super) const TICK: Self = Self { record: None, kept: None };
}

/// The longest segment.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Room for the log, in bytes; for tests that need a full disk. The default is no limit but the disk's.
#[derive(Clone, Debug, Default)]
pub struct Quota(Option<Arc<AtomicU64>>);

impl Quota {
    /// So many bytes and no more, until the number is raised.
    pub fn limited(bytes: Arc<AtomicU64>) -> Self {
        Self(Some(bytes))
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let Some(left) = &self.0 else { return Ok(()) };
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| io::ErrorKind::StorageFull.into())
    }
}

/// How the log behaves.
#[derive(Clone, Debug)]
pub(super) struct SpoolOptions {
    pub(super) store: PathBuf,
    pub(super) sync: Duration,
    pub(super) flush: Duration,
    pub(super) backlog_bytes: u64,
    pub(super) quota: Quota,
}

/// Where each followed file was read to, in bytes, and each gRPC source, in nanoseconds of its events, as far as it is on disk.
pub(super) type Positions = BTreeMap<u64, u64>;

/// Takes note of how far a record reaches in its file, or in the time of its source.
pub(super) fn advance(positions: &mut Positions, record: &Record) {
    let (key, to) = match record {
        Record::Lines { key, from, lines, .. } => (key, from.saturating_add(lines.len() as u64)),
        Record::Messages { key, until, .. } if *until > 0 => (key, *until),
        _ => return,
    };
    let end = positions.entry(*key).or_default();
    *end = (*end).max(to);
}

/// The file that holds positions of segments that are gone.
pub(super) fn positions_path(store: &Path) -> PathBuf {
    store.join("state").join("positions.json")
}

/// The thread's state.
pub(super) struct Spool {
    options: SpoolOptions,
    metrics: Arc<Metrics>,
    journal: Journal,
    sealed: blocking::Sender<PathBuf>,
    next_number: u64,
    open: Option<Open>,
    positions: Positions,
    waiting: Vec<oneshot::Sender<()>>,
    stopping: Arc<AtomicBool>,
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    since: Instant,
    unsynced_since: Option<Instant>,
}

impl Spool {
    pub(super) fn new(
        options: SpoolOptions,
        metrics: Arc<Metrics>,
        journal: Journal,
        sealed: blocking::Sender<PathBuf>,
        (next_number, positions): (u64, Positions),
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { options, metrics, journal, sealed, next_number, open: None, positions, waiting: Vec::new(), stopping }
    }

    /// How often the clock must be looked at.
    pub(super) fn tick(&self) -> Duration {
        (self.options.sync / 4).clamp(Duration::from_millis(1), Duration::from_millis(250))
    }

    /// Writes until every sender is gone. Runs on a thread of its own.
    pub(super) fn run(mut self, queue: &mut mpsc::Receiver<Spooled>) {
        while let Some(spooled) = queue.blocking_recv() {
            self.keep(spooled);
            // What waits already is written before anything is synced.
            for _ in 0..64 {
                match queue.try_recv() {
                    Ok(more) => self.keep(more),
                    Err(_) => break,
                }
            }
            if !self.waiting.is_empty() || self.is_due() {
                self.sync();
            }
            if self.open.as_ref().is_some_and(|open| open.since.elapsed() >= self.options.flush) {
                self.rotate();
            }
        }
        self.sync();
        self.rotate();
    }

    fn is_due(&self) -> bool {
        let since = self.open.as_ref().and_then(|open| open.unsynced_since);
        since.is_some_and(|since| since.elapsed() >= self.options.sync / 2)
    }

    /// Writes one record, however long that takes.
    fn keep(&mut self, spooled: Spooled) {
        let Some(record) = spooled.record else { return };
        let bytes = record.encode();
        let mut patience = 0;
        loop {
            if self.metrics.backlog_bytes.load(Ordering::Relaxed) > self.options.backlog_bytes {
                self.block("the backlog is full: the store does not take segments", &"");
            } else {
                match self.write(&bytes) {
                    Ok(()) => break,
                    Err(error) => {
                        Metrics::add(&self.metrics.write_failures, 1);
                        self.block("the log cannot be written", &error);
                    }
                }
            }
            // Whoever stops a collector that cannot write gets its end, and the loss in the journal.
            patience += u32::from(self.stopping.load(Ordering::Relaxed));
            if patience > 6 {
                self.journal.warn("record lost: stopped while the log cannot be written", &[("bytes", &bytes.len())]);
                return;
            }
        }
        if self.metrics.blocked.swap(false, Ordering::Relaxed) {
            self.journal.info("taking data again", &[]);
        }
        advance(&mut self.positions, &record);
        self.waiting.extend(spooled.kept);
        if self.open.as_ref().is_some_and(|open| open.bytes >= SEGMENT_BYTES_MAX) {
            self.rotate();
        }
    }

    fn block(&mut self, why: &str, error: &dyn std::fmt::Display) {
        if !self.metrics.blocked.swap(true, Ordering::Relaxed) {
            self.journal.warn("taking no data", &[("why", &why), ("error", error)]);
        }
        // A segment that waits for the store makes room when it has gone there.
        self.sync();
        if self.open.as_ref().is_some_and(|open| open.bytes > 0 && open.since.elapsed() >= RETRY) {
            self.rotate();
        }
        std::thread::sleep(RETRY);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.options.quota.take(bytes.len() as u64)?;
        if self.open.is_none() {
            self.open = Some(self.create()?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Err(error) = open.file.write_all(bytes) {
            // A part of a record would hide what follows it.
            open.file.set_len(open.bytes)?;
            io::Seek::seek(&mut open.file, io::SeekFrom::Start(open.bytes))?;
            return Err(error);
        }
        open.bytes += bytes.len() as u64;
        open.unsynced_since.get_or_insert_with(Instant::now);
        Metrics::add(&self.metrics.log_bytes, bytes.len() as u64);
        Metrics::add(&self.metrics.backlog_bytes, bytes.len() as u64);
        Ok(())
    }

    fn create(&mut self) -> io::Result<Open> {
        let folder = wal_folder(&self.options.store);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{:016x}.wal", self.next_number));
        let file = File::options().write(true).create_new(true).open(&path)?;
        sync_folder(&folder)?;
        self.next_number += 1;
        Ok(Open { file, path, bytes: 0, since: Instant::now(), unsynced_since: None })
    }

    fn sync(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.unsynced_since.is_none() && self.waiting.is_empty() {
            return;
        }
        match open.file.sync_data() {
            Ok(()) => {
                open.unsynced_since = None;
                // Who asked may have gone.
                self.waiting.drain(..).for_each(|waiting| {
                    waiting.send(()).ok();
                });
            }
            Err(error) => self.journal.warn("the log cannot be synced", &[("error", &error)]),
        }
    }

    /// Hands the open segment on.
    fn rotate(&mut self) {
        self.sync();
        let Some(open) = self.open.take() else { return };
        let text = serde_json::to_string(&self.positions).unwrap_or_default();
        // The segment says the same: without this file it must stay.
        if let Err(error) = write_atomically(&positions_path(&self.options.store), text.as_bytes()) {
            self.journal.warn("positions cannot be written", &[("error", &error)]);
            self.open = Some(open);
            return;
        }
        // The receiver is gone only when the program ends; the segment is found at the next start.
        drop(self.sealed.send(open.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::wal::{SegmentReader, segments};
    use crate::model::Timestamp;

    #[test]
    fn a_full_disk_stops_the_taking_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let room = Arc::new(AtomicU64::new(2_000));
        let options = SpoolOptions {
            store: folder.path().to_owned(),
            sync: Duration::from_millis(20),
            flush: Duration::from_mins(1),
            backlog_bytes: u64::MAX,
            quota: Quota::limited(room.clone()),
        };
        let metrics = Arc::new(Metrics::default());
        let journal = Journal::new(std::io::sink(), || Timestamp::from_nanos(0));
        let (sealed, _segments) = blocking::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let spool = Spool::new(options, metrics.clone(), journal, sealed, (0, Positions::new()), stopping);
        let (queue, mut spooled) = mpsc::channel(4);
        let running = std::thread::spawn(move || spool.run(&mut spooled));
        let record = |number: u64| Record::Frames {
            session: number,
            origin: "tcp://test".to_owned(),
            cluster: String::new(),
            arrived: Timestamp::from_nanos(1),
            frames: vec![7; 100],
        };
        let mut refused = 0;
        for number in 0..60 {
            let mut next = Spooled::from(record(number));
            while let Err(error) = queue.try_send(next) {
                // The sender is told to wait; nothing is thrown away.
                next = match error {
                    mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back) => back,
                };
                refused += 1;
                std::thread::sleep(Duration::from_millis(10));
                if refused == 30 {
                    assert!(metrics.blocked.load(Ordering::Relaxed) && !metrics.is_ready());
                    room.store(1 << 20, Ordering::SeqCst);
                }
            }
        }
        drop(queue);
        running.join().unwrap();
        assert!(refused >= 30, "the disk was never full");
        assert!(!metrics.blocked.load(Ordering::Relaxed));
        let mut found = Vec::new();
        for segment in segments(folder.path()).unwrap() {
            let mut reader = SegmentReader::open(&segment).unwrap();
            while let Some(record) = reader.next_record().unwrap() {
                found.push(record);
            }
            assert_eq!(reader.cut_bytes, 0);
        }
        assert_eq!(found, (0..60).map(record).collect::<Vec<_>>());
    }
}
