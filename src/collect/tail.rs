//! Follows the files of a Hubble exporter: whole lines, each once, through rotation, compression and restarts.
//!
//! In: paths and patterns. Out: records for the log. A file is known by its first line, which holds a time in nanoseconds: the name
//! changes when it is rotated, the inode when it is compressed, the first line never. A file that was cut and begun anew has
//! another first line, and is another file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};

use super::journal::Journal;
use super::metrics::Metrics;
use super::run::Clock;
use super::spool::{Positions, Spooled};
use super::wal::Record;
use crate::catalog::HubbleFiles;
use crate::model::fnv1a;
use crate::read::{Bytes, InputFile, LINE_BYTES_MAX, open_bytes};

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(250);
const READ_BYTES: usize = 1 << 20;
/// A first line that is longer is cut here: it is unique long before.
const FIRST_LINE_MAX: u64 = 64 << 10;
/// Zstandard and gzip.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// What the thread needs.
pub(super) struct Tail {
    pub(super) files: Vec<HubbleFiles>,
    pub(super) queue: mpsc::Sender<Spooled>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) positions: Positions,
    /// Path → what it looked like when it was read to its end.
    pub(super) settled: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
}

/// The collector is stopping.
struct Stopped;

impl Tail {
    /// Follows until the collector stops. Runs on a thread of its own.
    pub(super) fn run(mut self) {
        while !*self.stop.borrow() {
            for files in self.files.clone() {
                for path in paths(&files.path) {
                    match self.look(&path, &files.cluster) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                        // A file that is still being compressed ends too early: what follows comes later.
                        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                        Ok(Err(error)) => {
                            let fields: [(&str, &dyn std::fmt::Display); 2] =
                                [("path", &path.display()), ("error", &error)];
                            self.journal.warn("file cannot be read", &fields);
                        }
                        Err(Stopped) => return,
                    }
                }
            }
            std::thread::sleep(POLL);
        }
    }

    fn look(&mut self, path: &Path, cluster: &str) -> Result<io::Result<()>, Stopped> {
        let looks = match std::fs::metadata(path) {
            Ok(metadata) => (metadata.len(), metadata.modified().ok()),
            Err(error) => return Ok(Err(error)),
        };
        if self.settled.get(path) == Some(&looks) {
            return Ok(Ok(()));
        }
        let read = self.read(path, cluster)?;
        if matches!(read, Ok(true)) {
            self.settled.insert(path.to_owned(), looks);
        }
        Ok(read.map(|_| ()))
    }

    /// Reads what is new; whether the file was read to its end.
    fn read(&mut self, path: &Path, cluster: &str) -> Result<io::Result<bool>, Stopped> {
        let mut opened = match Opened::new(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Ok(false)),
            Err(error) => return Ok(Err(error)),
        };
        let mut position = self.positions.get(&opened.key).copied().unwrap_or(0);
        if let Err(error) = opened.skip(position) {
            return Ok(Err(error));
        }
        let mut pending = Vec::new();
        loop {
            let before = pending.len();
            let read = (&mut opened.bytes).take(READ_BYTES as u64).read_to_end(&mut pending);
            let ended = pending.len() == before;
            let whole = match memchr::memrchr(b'\n', &pending) {
                Some(newline) => newline + 1,
                // A line beyond any bound goes on as it is, and is rejected and counted when it is decoded.
                None if pending.len() > LINE_BYTES_MAX => pending.len(),
                None => 0,
            };
            if whole > 0 {
                let rest = pending.split_off(whole);
                let lines = std::mem::replace(&mut pending, rest);
                self.send(opened.key, path, cluster, position, lines)?;
                position += whole as u64;
            }
            match read {
                Err(error) => return Ok(Err(error)),
                Ok(_) if ended => return Ok(Ok(true)),
                Ok(_) => {}
            }
        }
    }

    fn send(&mut self, key: u64, path: &Path, cluster: &str, from: u64, lines: Vec<u8>) -> Result<(), Stopped> {
        let bytes = lines.len() as u64;
        let record = Record::Lines {
            key,
            origin: path.display().to_string(),
            cluster: cluster.to_owned(),
            arrived: (self.clock)(),
            from,
            lines,
        };
        self.queue.blocking_send(record.into()).map_err(|_| Stopped)?;
        Metrics::add(&self.metrics.file_bytes, bytes);
        self.positions.insert(key, from + bytes);
        if *self.stop.borrow() { Err(Stopped) } else { Ok(()) }
    }
}

/// A file that has at least one whole line.
struct Opened {
    bytes: Bytes,
    key: u64,
    plain: Option<PathBuf>,
}

impl Opened {
    fn new(path: &Path) -> io::Result<Option<Self>> {
        let mut magic = [0; 4];
        let read = File::open(path)?.read(&mut magic)?;
        let begin = magic.get(..read).unwrap_or_default();
        let compressed = COMPRESSED.iter().any(|known| begin.starts_with(known));
        let open = || -> io::Result<Bytes> {
            if !compressed {
                return Ok(Box::new(File::open(path)?));
            }
            let file = InputFile { path: path.to_owned(), cluster: None, format: None, is_named: true };
            open_bytes(&file).map_err(io::Error::other)
        };
        let mut line = Vec::new();
        let read = io::BufRead::read_until(&mut io::BufReader::new(open()?.take(FIRST_LINE_MAX)), b'\n', &mut line);
        if !line.ends_with(b"\n") && (line.len() as u64) < FIRST_LINE_MAX {
            return read.map(|_| None);
        }
        Ok(Some(Self { bytes: open()?, key: fnv1a(&line), plain: (!compressed).then(|| path.to_owned()) }))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        if let Some(path) = &self.plain {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(bytes))?;
            self.bytes = Box::new(file);
            return Ok(());
        }
        io::copy(&mut (&mut self.bytes).take(bytes), &mut io::sink()).map(|_| ())
    }
}

/// The files of a pattern, oldest first as far as their times tell.
fn paths(pattern: &str) -> Vec<PathBuf> {
    let Ok(found) = glob::glob(pattern) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
    paths.sort_by_key(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok());
    paths
}
