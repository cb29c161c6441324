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

use super::durable::{make_folder, sync_folder, write_atomically};
use super::journal::Journal;
use super::metrics::Metrics;
use super::record::Record;
use super::wal::wal_folder;

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
/// What is written is synced when so much waits, however long `sync` is: it is held in memory until then.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Room for the log, in bytes, and syncs that fail; for tests that need a bad disk. The default is no limit but the disk's.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    bytes: Option<Arc<AtomicU64>>,
    failures: Option<Arc<AtomicU64>>,
}

impl Quota {
    /// So many bytes and no more, until the number is raised.
    pub fn limited(bytes: Arc<AtomicU64>) -> Self {
        Self { bytes: Some(bytes), failures: None }
    }

    /// Of the next 64 syncs those fail whose bit is set, the first that of the lowest bit.
    pub fn failing(failures: Arc<AtomicU64>) -> Self {
        Self { bytes: None, failures: Some(failures) }
    }

    fn sync(&self) -> io::Result<()> {
        let Some(failures) = &self.failures else { return Ok(()) };
        let before = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |bits| Some(bits >> 1)).unwrap_or(0);
        if before & 1 == 1 { Err(io::Error::other("the test's disk is bad")) } else { Ok(()) }
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let Some(left) = &self.bytes else { return Ok(()) };
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

/// Takes note of how far a record reaches in its file, or in the time of its source, or that its file is gone.
pub(super) fn advance(positions: &mut Positions, record: &Record) {
    let (key, to) = match record {
        Record::Lines { key, from, lines, .. } => (key, from.saturating_add(lines.len() as u64)),
        Record::Messages { key, until, .. } if *until > 0 => (key, *until),
        Record::Gone { key } => {
            positions.remove(key);
            return;
        }
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
    /// Whether the last sync failed, and that was told.
    is_failing: bool,
    /// Whether positions could not be written, and that was told.
    has_no_positions: bool,
    /// Segments that go before the open one.
    done: Vec<PathBuf>,
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    since: Instant,
    unsynced_since: Option<Instant>,
    /// What was written since the last sync. After a failed one nobody knows what of it is on the disk, and a later success proves
    /// nothing (the system forgets what it could not write).
    unsynced: Vec<u8>,
    /// A sync of this file failed: what is unsynced goes to another one.
    is_suspect: bool,
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
        Self {
            options,
            metrics,
            journal,
            sealed,
            next_number,
            open: None,
            positions,
            waiting: Vec::new(),
            stopping,
            is_failing: false,
            has_no_positions: false,
            done: Vec::new(),
        }
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
        for _ in 0..4 {
            self.rotate();
            if self.open.is_none() {
                return;
            }
            std::thread::sleep(RETRY);
        }
        let left = self.open.as_ref().map_or(0, |open| open.unsynced.len());
        self.journal.warn("stopped while the log cannot be synced", &[("bytes_at_risk", &left)]);
    }

    fn is_due(&self) -> bool {
        let since = self.open.as_ref().and_then(|open| open.unsynced_since);
        since.is_some_and(|since| since.elapsed() >= self.options.sync / 2)
    }

    /// Writes one record, however long that takes.
    fn keep(&mut self, spooled: Spooled) {
        let Some(record) = spooled.record else {
            // Nothing to write: whoever asks wants to know when everything before is on the disk.
            self.waiting.extend(spooled.kept);
            return;
        };
        let bytes = record.encode();
        let mut patience = 0;
        loop {
            // Who stops has taken what is on its way here: there is no sender left that could wait.
            let is_stopping = self.stopping.load(Ordering::Relaxed);
            if self.metrics.backlog_bytes.load(Ordering::Relaxed) > self.options.backlog_bytes && !is_stopping {
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
            patience += u32::from(is_stopping);
            if patience > 6 {
                Metrics::add(&self.metrics.lost, 1);
                self.journal.warn("record lost: stopped while the log cannot be written", &[("bytes", &bytes.len())]);
                return;
            }
        }
        if self.metrics.blocked.swap(false, Ordering::Relaxed) {
            self.journal.info("taking data again", &[]);
        }
        advance(&mut self.positions, &record);
        self.waiting.extend(spooled.kept);
        if self.open.as_ref().is_some_and(|open| open.unsynced.len() >= UNSYNCED_BYTES_MAX) {
            self.sync();
        }
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
        if self.open.as_ref().is_some_and(|open| open.is_suspect) {
            self.save()?;
        }
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
        open.unsynced.extend_from_slice(bytes);
        open.unsynced_since.get_or_insert_with(Instant::now);
        Metrics::add(&self.metrics.log_bytes, bytes.len() as u64);
        Metrics::add(&self.metrics.backlog_bytes, bytes.len() as u64);
        Ok(())
    }

    fn create(&mut self) -> io::Result<Open> {
        let folder = wal_folder(&self.options.store);
        make_folder(&folder)?;
        let path = folder.join(format!("{:016x}.wal", self.next_number));
        // Whatever becomes of this file, the next try has a name of its own.
        self.next_number += 1;
        let file = File::options().write(true).create_new(true).open(&path)?;
        if let Err(error) = self.options.quota.sync().and_then(|()| sync_folder(&folder)) {
            // If it stays, it is an empty segment.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        Ok(Open {
            file,
            path,
            bytes: 0,
            since: Instant::now(),
            unsynced_since: None,
            unsynced: Vec::new(),
            is_suspect: false,
        })
    }

    /// Puts what is unsynced in a suspect segment into a new one, and hands on what the old one has on the disk.
    fn save(&mut self) -> io::Result<()> {
        let Some(suspect) = self.open.as_ref().filter(|open| open.is_suspect) else { return Ok(()) };
        let kept = suspect.bytes.saturating_sub(suspect.unsynced.len() as u64);
        let unsynced = suspect.unsynced.clone();
        // Or these records would come twice.
        suspect.file.set_len(kept)?;
        let mut fresh = self.create()?;
        let written = fresh.file.write_all(&unsynced).and_then(|()| self.options.quota.sync());
        if let Err(error) = written.and_then(|()| fresh.file.sync_data()) {
            drop(fs::remove_file(&fresh.path));
            return Err(error);
        }
        fresh.bytes = unsynced.len() as u64;
        let Some(suspect) = self.open.replace(fresh) else { return Ok(()) };
        if kept == 0 {
            // If it stays, it is an empty segment.
            drop(fs::remove_file(&suspect.path));
        } else {
            self.done.push(suspect.path);
        }
        Ok(())
    }

    /// Has everything on the disk, and tells those who wait for it; `false` when that is not so.
    fn sync(&mut self) -> bool {
        match self.try_sync() {
            Ok(()) => {
                self.is_failing = false;
                // Who asked may have gone.
                self.waiting.drain(..).for_each(|waiting| {
                    waiting.send(()).ok();
                });
                true
            }
            Err(error) => {
                Metrics::add(&self.metrics.write_failures, 1);
                if !std::mem::replace(&mut self.is_failing, true) {
                    self.journal.warn("the log cannot be synced; it is tried again", &[("error", &error)]);
                }
                false
            }
        }
    }

    fn try_sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| !open.unsynced.is_empty()) else { return Ok(()) };
        if !open.is_suspect {
            match self.options.quota.sync().and_then(|()| open.file.sync_data()) {
                Ok(()) => {
                    open.unsynced.clear();
                    open.unsynced_since = None;
                    return Ok(());
                }
                Err(_) => open.is_suspect = true,
            }
        }
        self.save()
    }

    /// Hands the open segment on.
    fn rotate(&mut self) {
        // What is not on the disk is not handed on, and no position behind it is written.
        if !self.sync() {
            return;
        }
        let Some(open) = self.open.take() else { return };
        let text = serde_json::to_string(&self.positions).unwrap_or_default();
        // The segment says the same: without this file it must stay.
        if let Err(error) = write_atomically(&positions_path(&self.options.store), text.as_bytes()) {
            if !std::mem::replace(&mut self.has_no_positions, true) {
                self.journal.warn("positions cannot be written; it is tried again", &[("error", &error)]);
            }
            self.open = Some(open);
            return;
        }
        self.has_no_positions = false;
        self.done.push(open.path);
        for path in self.done.drain(..) {
            // The receiver is gone only when the program ends; the segment is found at the next start.
            drop(self.sealed.send(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::wal::{SegmentReader, segments};
    use crate::model::Timestamp;

    fn record(number: u64) -> Record {
        Record::Frames {
            session: number,
            origin: "tcp://test".to_owned(),
            cluster: String::new(),
            arrived: Timestamp::from_nanos(1),
            frames: vec![7; 100],
        }
    }

    fn spool(store: &Path, quota: Quota, metrics: &Arc<Metrics>) -> Spool {
        let options = SpoolOptions {
            store: store.to_owned(),
            sync: Duration::from_millis(20),
            flush: Duration::from_mins(1),
            backlog_bytes: u64::MAX,
            quota,
        };
        let journal = Journal::new(std::io::sink(), || Timestamp::from_nanos(0));
        let (sealed, _segments) = blocking::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        Spool::new(options, metrics.clone(), journal, sealed, (0, Positions::new()), stopping)
    }

    /// The numbers of all segments that hold something, and their records.
    fn kept(store: &Path) -> (Vec<u64>, Vec<Record>) {
        let (mut numbers, mut found) = (Vec::new(), Vec::new());
        for segment in segments(store).unwrap() {
            let mut reader = SegmentReader::open(&segment).unwrap();
            let before = found.len();
            while let Some(record) = reader.next_record().unwrap() {
                found.push(record);
            }
            assert_eq!(reader.cut_bytes, 0);
            if found.len() > before {
                numbers.push(crate::collect::wal::segment_number(&segment).unwrap());
            }
        }
        (numbers, found)
    }

    #[test]
    fn a_failed_sync_is_proved_by_no_later_one_of_the_same_file() {
        let check = |bits: u64, expected: &[u64]| {
            let folder = tempfile::tempdir().unwrap();
            let (failures, metrics) = (Arc::new(AtomicU64::new(bits)), Arc::new(Metrics::default()));
            let mut spool = spool(folder.path(), Quota::failing(failures), &metrics);
            for number in 0..3 {
                let (told, mut answer) = oneshot::channel();
                spool.keep(Spooled { record: Some(record(number)), kept: Some(told) });
                for _ in 0..9 {
                    if spool.sync() {
                        break;
                    }
                    assert!(answer.try_recv().is_err(), "told before it was on the disk");
                }
                answer.try_recv().unwrap();
                assert_eq!(kept(folder.path()).1, (0..=number).map(record).collect::<Vec<_>>());
            }
            let (told, mut answer) = oneshot::channel();
            spool.keep(Spooled { record: None, kept: Some(told) });
            assert!(spool.sync());
            answer.try_recv().unwrap();
            assert_eq!(kept(folder.path()).0, expected, "{bits:b}");
            assert!(spool.done.iter().all(|path| path.exists()));
        };
        // Syncs in their order: the folder of the first segment, then its content, ...
        check(0, &[0]);
        check(0b1, &[1]);
        check(0b10, &[1]);
        check(0b100, &[0, 1]);
        // The new file or its folder fails, too.
        check(0b110, &[2]);
        check(0b1010, &[2]);
        check(0b11100, &[0, 3]);
    }

    #[test]
    fn what_was_taken_is_written_at_the_end_however_much_waits_for_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let mut spool = spool(folder.path(), Quota::default(), &metrics);
        spool.options.backlog_bytes = 1;
        let stopping = spool.stopping.clone();
        let (queue, mut spooled) = mpsc::channel(4);
        let running = std::thread::spawn(move || spool.run(&mut spooled));
        // The first fills the backlog; nobody ever takes a segment away.
        for number in 0..4 {
            queue.blocking_send(record(number).into()).unwrap();
        }
        while !metrics.blocked.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stopping.store(true, Ordering::Relaxed);
        drop(queue);
        running.join().unwrap();
        assert_eq!(kept(folder.path()).1, (0..4).map(record).collect::<Vec<_>>());
        assert_eq!(metrics.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_synced_once_blocks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let mut spool = spool(folder.path(), Quota::failing(Arc::new(AtomicU64::new(0b11))), &metrics);
        spool.keep(record(0).into());
        assert!(spool.sync());
        assert_eq!(kept(folder.path()), (vec![2], vec![record(0)]));
        // A file of that name, as a crash leaves it.
        let path = wal_folder(folder.path()).join(format!("{:016x}.wal", 3));
        File::create(path).unwrap();
        spool.rotate();
        spool.keep(record(1).into());
        assert!(spool.sync());
        assert_eq!(kept(folder.path()).0, [2, 4]);
    }

    #[test]
    fn a_full_disk_stops_the_taking_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let room = Arc::new(AtomicU64::new(2_000));
        let metrics = Arc::new(Metrics::default());
        let spool = spool(folder.path(), Quota::limited(room.clone()), &metrics);
        let (queue, mut spooled) = mpsc::channel(4);
        let running = std::thread::spawn(move || spool.run(&mut spooled));
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
        let (_, found) = kept(folder.path());
        assert_eq!(found, (0..60).map(record).collect::<Vec<_>>());
    }
}
