//! The collector as a whole: sockets, followers, the log, and the way into the store.
//!
//! In: settings, a clock, a journal, and a [`Sealer`]. Out: a store that grows, until somebody asks it to stop. What an earlier run
//! left in the log goes into the store first of all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::feed::{feed_key, follow};
use super::followed::Seen;
use super::journal::Journal;
use super::listener::{Bound, bind};
use super::metrics::Metrics;
use super::record::Record;
use super::server::{Shared, serve};
use super::ship::{Shipper, Shipping};
use super::spool::{Positions, Quota, Spool, SpoolOptions, Spooled, advance, positions_path};
use super::tail::Tail;
use super::tls::{TlsError, TlsServer, check};
use super::wal::{SegmentReader, segment_number, segments};
use super::{http, ipfix};
use crate::catalog::{CollectSettings, Listen, ServerTls};
use crate::model::Timestamp;

/// Tells the time.
pub type Clock = fn() -> Timestamp;

/// Puts segments into the store.
pub trait Sealer: Send {
    /// Puts a segment into the store, whole or not at all. A segment that is there already may come again.
    fn seal(&mut self, segment: &Path) -> Result<Sealed, String>;
    /// The number of the last segment that is in the store.
    fn through(&self) -> Option<u64>;
    /// Merges small files, removes old days; what was done, in words, if anything.
    fn tidy(&mut self) -> Result<Option<String>, String>;
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Flow records.
    pub flows: u64,
    /// Answers: pairs of name and address.
    pub answers: u64,
    /// Questions without an address.
    pub questions: u64,
    /// Rows that these became, repeats folded.
    pub rows: u64,
    /// Records that were broken.
    pub rejected: u64,
    /// Events that the records themselves say are lost, and one for a damaged segment.
    pub lost: u64,
    /// Bytes behind the last whole record: a crash cut them.
    pub cut_bytes: u64,
    /// Whether there are whole records behind the first that cannot be read: no crash leaves that.
    pub is_damaged: bool,
}

/// Why the collector cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Another one writes the same store.
    #[error("`{store}`: another collector writes this store; stop it, or give this one a store of its own")]
    Locked {
        /// The store.
        store: String,
    },
    /// A socket.
    #[error("`{listen}`: cannot listen: {source}; is another program there, or is the address not of this machine?")]
    Listen {
        /// The socket as configured.
        listen: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store's folder.
    #[error("`{path}`: {source}; check the folder's permissions and free space")]
    Store {
        /// Where.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file that tells how far files were read.
    #[error(
        "`{path}`: {reason}; it tells how far the followed files were read. Put it right, or remove it: then they are read from their beginnings, and what the store has of them comes twice"
    )]
    Positions {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The runtime.
    #[error("cannot begin: {0}")]
    Runtime(std::io::Error),
}

/// Records that wait for the log, at most; each is at most about a quarter of a MiB, or a MiB of lines.
const QUEUE: usize = 32;
/// How often the store is tidied.
const TIDY: Duration = Duration::from_mins(10);
/// How long connections may take to end when the collector stops. Kubernetes kills after 30 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long to wait before a segment that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Collects until SIGTERM or SIGINT. What is in the store is shipped on, if there is a shipper.
pub fn run(
    settings: &CollectSettings,
    sealer: Box<dyn Sealer>,
    shipper: Option<Box<dyn Shipper>>,
    journal: &Journal,
    clock: Clock,
    quota: Quota,
) -> Result<(), CollectError> {
    let store = &settings.store;
    let failed = |source| CollectError::Store { path: store.display().to_string(), source };
    std::fs::create_dir_all(store).map_err(failed)?;
    let lock = std::fs::File::create(store.join("collect.lock")).map_err(failed)?;
    if lock.try_lock().is_err() {
        return Err(CollectError::Locked { store: store.display().to_string() });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CollectError::Runtime)?;
    let metrics = Arc::new(Metrics::default());
    let left = segments(store).map_err(failed)?;
    let positions = positions(store)?;
    let resumed = resume((positions, sealer.through()), &left, &metrics).map_err(failed)?;
    let (segment_out, segment_in) = blocking::channel();
    for segment in left {
        drop(segment_out.send(segment));
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let sealing = {
        let (metrics, journal, stopping) = (metrics.clone(), journal.clone(), stopping.clone());
        std::thread::spawn(move || seal_all(sealer, &segment_in, &metrics, &journal, &stopping))
    };
    let every = settings.bucket.as_ref().map_or(RETRY, |bucket| bucket.every);
    let shipping = shipper.map(|shipper| Shipping::begin(shipper, every, &metrics, journal));
    let (queue, mut spooled) = mpsc::channel(QUEUE);
    let options = SpoolOptions {
        store: store.clone(),
        sync: settings.sync,
        flush: settings.flush,
        backlog_bytes: settings.backlog_bytes,
        quota,
    };
    let begin = (resumed.next_number, resumed.positions.clone());
    let spool = Spool::new(options, metrics.clone(), journal.clone(), segment_out, begin, stopping.clone());
    // The clock of the log ends with the last sender.
    let (ticks, tick) = (queue.downgrade(), spool.tick());
    std::thread::spawn(move || {
        while let Some(queue) = ticks.upgrade() {
            // A full queue needs no reminder.
            queue.try_send(Spooled::TICK).ok();
            drop(queue);
            std::thread::sleep(tick);
        }
    });
    let spooling = std::thread::spawn(move || spool.run(&mut spooled));
    let begin = (resumed.positions, &*stopping);
    let outcome = runtime.block_on(listen(settings, begin, queue, &metrics, journal, clock));
    stopping.store(true, Ordering::Relaxed);
    // Every sender is gone with the tasks that had one: the log ends, and then the way into the store.
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(spooling.join());
    drop(sealing.join());
    shipping.into_iter().for_each(Shipping::end);
    journal.info("stopped", &[]);
    drop(lock);
    outcome
}

/// How far files were read in an earlier run, as far as its segments do not tell.
fn positions(store: &Path) -> Result<Positions, CollectError> {
    let path = positions_path(store);
    let broken = |reason: String| CollectError::Positions { path: path.display().to_string(), reason };
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| broken(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(broken(error.to_string())),
    }
}

struct Resumed {
    next_number: u64,
    positions: Positions,
}

/// Where an earlier run left off.
fn resume(
    (mut positions, through): (Positions, Option<u64>),
    left: &[PathBuf],
    metrics: &Metrics,
) -> std::io::Result<Resumed> {
    // A segment whose number was in the store before would be taken for that one.
    let mut next_number = through.map_or(0, |last| last.saturating_add(1));
    for segment in left {
        next_number = next_number.max(segment_number(segment).map_or(0, |number| number.saturating_add(1)));
        Metrics::add(&metrics.backlog_bytes, std::fs::metadata(segment)?.len());
        let mut reader = SegmentReader::open(segment)?;
        while let Some(record) = reader.next_record()? {
            advance(&mut positions, &record);
        }
    }
    Ok(Resumed { next_number, positions })
}

/// Puts segments into the store as they come, and tidies it between them.
fn seal_all(
    mut sealer: Box<dyn Sealer>,
    segments: &blocking::Receiver<PathBuf>,
    metrics: &Metrics,
    journal: &Journal,
    stopping: &AtomicBool,
) {
    let mut tidied: Option<Instant> = None;
    loop {
        match segments.recv_timeout(Duration::from_millis(500)) {
            Ok(segment) => {
                if !seal_one(&mut *sealer, &segment, metrics, journal, stopping) {
                    return;
                }
            }
            Err(blocking::RecvTimeoutError::Disconnected) => return,
            Err(blocking::RecvTimeoutError::Timeout) if tidied.is_none_or(|at| at.elapsed() >= TIDY) => {
                tidied = Some(Instant::now());
                match sealer.tidy() {
                    Ok(Some(done)) => journal.info("store tidied", &[("done", &done)]),
                    Ok(None) => {}
                    Err(error) => journal.warn("store cannot be tidied", &[("error", &error)]),
                }
            }
            Err(blocking::RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Tries until the segment is in the store; `false` when the collector stops before that.
fn seal_one(
    sealer: &mut dyn Sealer,
    segment: &Path,
    metrics: &Metrics,
    journal: &Journal,
    stopping: &AtomicBool,
) -> bool {
    let bytes = std::fs::metadata(segment).map_or(0, |metadata| metadata.len());
    let mut tries = 0_u32;
    let done = loop {
        match sealer.seal(segment) {
            Ok(done) => break done,
            Err(error) => {
                Metrics::add(&metrics.seal_failures, 1);
                if tries.is_multiple_of(60) {
                    let fields: [(&str, &dyn std::fmt::Display); 2] =
                        [("segment", &segment.display()), ("error", &error)];
                    journal.warn("segment cannot be put into the store; it stays, and is tried again", &fields);
                }
                tries += 1;
                if stopping.load(Ordering::Relaxed) && tries > 2 {
                    return false;
                }
                std::thread::sleep(RETRY);
            }
        }
    };
    if done.is_damaged {
        let fields: [(&str, &dyn std::fmt::Display); 2] =
            [("segment", &segment.display()), ("unread_bytes", &done.cut_bytes)];
        journal.warn("segment is damaged: what can be read is in the store, the file is set aside", &fields);
    }
    let cleared = if done.is_damaged {
        std::fs::rename(segment, segment.with_extension("damaged"))
    } else {
        std::fs::remove_file(segment)
    };
    if let Err(error) = cleared {
        journal.warn("segment is in the store and cannot be removed", &[("error", &error)]);
    }
    let freed = metrics.backlog_bytes.load(Ordering::Relaxed).min(bytes);
    metrics.backlog_bytes.fetch_sub(freed, Ordering::Relaxed);
    Metrics::add(&metrics.flow_rows, done.flows);
    Metrics::add(&metrics.answer_rows, done.answers);
    Metrics::add(&metrics.question_rows, done.questions);
    Metrics::add(&metrics.rows, done.rows);
    Metrics::add(&metrics.rejected, done.rejected);
    Metrics::add(&metrics.lost, done.lost);
    let fields: [(&str, &dyn std::fmt::Display); 7] = [
        ("segment", &segment.file_name().unwrap_or_default().to_string_lossy()),
        ("flows", &done.flows),
        ("answers", &done.answers),
        ("questions", &done.questions),
        ("rows", &done.rows),
        ("rejected", &done.rejected),
        ("cut_bytes", &done.cut_bytes),
    ];
    journal.info("segment sealed", &fields);
    true
}

/// A listener that is bound and has its certificate.
type Ready = (Bound, Option<Arc<TlsServer>>);

async fn ready(listen: &Listen, tls: Option<&ServerTls>, journal: &Journal) -> Result<Ready, CollectError> {
    let tls = tls.map(|tls| TlsServer::new(tls, journal).map(Arc::new)).transpose()?;
    let failed = |source| CollectError::Listen { listen: listen.to_string(), source };
    Ok((bind(listen).await.map_err(failed)?, tls))
}

/// Binds every listener, and has each wait for its turn.
async fn bind_all(settings: &CollectSettings, shared: &Shared) -> Result<Vec<Serving>, CollectError> {
    let mut all: Vec<Serving> = Vec::new();
    for listener in &settings.dnstap {
        let (bound, tls) = ready(&listener.listen, listener.tls.as_ref(), &shared.journal).await?;
        all.push(Box::pin(serve(bound, tls, listener.clone(), shared.clone())));
    }
    for listener in &settings.ipfix {
        if let Listen::Udp(address) = &listener.listen {
            let failed = |source| CollectError::Listen { listen: listener.listen.to_string(), source };
            let socket = UdpSocket::bind(address).await.map_err(failed)?;
            all.push(Box::pin(ipfix::receive(socket, listener.clone(), shared.clone())));
        } else {
            let (bound, tls) = ready(&listener.listen, listener.tls.as_ref(), &shared.journal).await?;
            all.push(Box::pin(ipfix::serve(bound, tls, listener.clone(), shared.clone())));
        }
    }
    Ok(all)
}

/// A task that waits for its turn.
type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Binds everything, then waits for the signal.
async fn listen(
    settings: &CollectSettings,
    (mut positions, stopping): (Positions, &AtomicBool),
    queue: mpsc::Sender<Spooled>,
    metrics: &Arc<Metrics>,
    journal: &Journal,
    clock: Clock,
) -> Result<(), CollectError> {
    let (stop, stopped) = watch::channel(false);
    let shared = Shared {
        queue,
        metrics: metrics.clone(),
        journal: journal.clone(),
        clock,
        sessions: Arc::new(AtomicU64::new(session_base(clock()))),
        stop: stopped.clone(),
    };
    let mut serving = bind_all(settings, &shared).await?;
    for feed in &settings.feeds {
        check(feed)?;
        // What is left are files, and streams that nobody asks for any more.
        let before = positions.remove(&feed_key(feed));
        serving.push(Box::pin(follow(feed.clone(), before, shared.clone())));
    }
    if let Some(address) = settings.http {
        let failed = |source| CollectError::Listen { listen: format!("http {address}"), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tokio::spawn(http::serve(listener, metrics.clone()));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(CollectError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CollectError::Runtime)?;
    drop(shared.queue.send(Record::Started { at: clock() }.into()).await);
    let tasks: Vec<_> = serving.into_iter().map(tokio::spawn).collect();
    let tailing = (!settings.hubble.is_empty()).then(|| {
        let tail = Tail {
            files: settings.hubble.clone(),
            queue: shared.queue.clone(),
            metrics: metrics.clone(),
            journal: journal.clone(),
            clock,
            stop: stopped,
            positions,
            seen: Seen::default(),
        };
        std::thread::spawn(move || tail.run())
    });
    metrics.listening.store(true, Ordering::Relaxed);
    let listeners = settings.dnstap.len() + settings.ipfix.len();
    let counts: [(&str, &dyn std::fmt::Display); 3] =
        [("listeners", &listeners), ("files", &settings.hubble.len()), ("streams", &settings.feeds.len())];
    journal.info("collecting", &counts);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    journal.info("stopping", &[]);
    // From here on the log takes what was read from sockets, however much waits for the store.
    stopping.store(true, Ordering::Relaxed);
    metrics.listening.store(false, Ordering::Relaxed);
    // Nobody may be listening any more.
    stop.send_replace(true);
    for task in tasks {
        drop(task.await);
    }
    // Connections drain what has arrived and close.
    let patience = Instant::now();
    while metrics.connections.load(Ordering::Relaxed) > 0 && patience.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let open = metrics.connections.load(Ordering::Relaxed);
    if open > 0 {
        journal.warn("stopped before connections ended: what they read last is lost", &[("connections", &open)]);
    }
    drop(shared);
    if let Some(tailing) = tailing {
        drop(tokio::task::spawn_blocking(move || tailing.join()).await);
    }
    Ok(())
}

/// Sessions of different runs have different numbers.
fn session_base(now: Timestamp) -> u64 {
    now.nanos().cast_unsigned()
}
