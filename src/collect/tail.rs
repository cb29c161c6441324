//! Follows the files of a Hubble exporter: whole lines, each once, through rotation, compression and restarts.
//!
//! In: paths and patterns. Out: records for the log. A file is known by its first line, which holds a time in nanoseconds: the name
//! changes when it is rotated, the inode when it is compressed, the first line never. A file that was cut and begun anew has
//! another first line, and is another file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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

/// How long an unfinished last line waits for its end, once its file is rotated or gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the position of a file that is gone is kept: it may come back with a folder that was away.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// What the thread needs.
pub(super) struct Tail {
    pub(super) files: Vec<HubbleFiles>,
    pub(super) queue: mpsc::Sender<Spooled>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) positions: Positions,
    pub(super) seen: Seen,
}

/// What was seen of the files in this run.
pub(super) struct Seen {
    /// Path → what it looked like when it was read to its end, and what the file is known by.
    settled: BTreeMap<PathBuf, (Looks, u64)>,
    /// By what they are known by.
    files: BTreeMap<u64, Followed>,
    /// Patterns without files that were told.
    told: BTreeSet<String>,
    round: u64,
    patience: Duration,
    forgotten: Duration,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            settled: BTreeMap::new(),
            files: BTreeMap::new(),
            told: BTreeSet::new(),
            round: 0,
            patience: PATIENCE,
            forgotten: FORGOTTEN,
        }
    }
}

type Looks = (u64, Option<SystemTime>);

/// One file, under whatever name.
struct Followed {
    cluster: String,
    /// Where it was first: what is found elsewhere only is rotated.
    origin: PathBuf,
    path: PathBuf,
    /// The round that found it last, and whether that was where it was first.
    round: u64,
    is_at_origin: bool,
    /// Behind the last newline: where it begins, and what it is.
    rest: (u64, Vec<u8>),
    /// When the rest changed, or the file was found last, whichever is later.
    since: Instant,
}

/// The collector is stopping.
struct Stopped;

impl Tail {
    /// Follows until the collector stops. Runs on a thread of its own.
    pub(super) fn run(mut self) {
        while !*self.stop.borrow() {
            if self.look_at_all().is_err() {
                return;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Looks at every file once.
    fn look_at_all(&mut self) -> Result<(), Stopped> {
        self.seen.round += 1;
        let mut listed = BTreeSet::new();
        for files in self.files.clone() {
            let found = paths(&files.path);
            if found.is_empty() && self.seen.told.insert(files.path.clone()) {
                self.journal.warn("no file matches; it is looked for again and again", &[("pattern", &files.path)]);
            }
            for path in found {
                match self.look(&path, &files.cluster)? {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    // A file that is still being compressed ends too early: what follows comes later.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.still_there(&path),
                    Err(error) => {
                        let fields: [(&str, &dyn std::fmt::Display); 2] =
                            [("path", &path.display()), ("error", &error)];
                        self.journal.warn("file cannot be read", &fields);
                        self.still_there(&path);
                    }
                }
                listed.insert(path);
            }
        }
        self.seen.settled.retain(|path, _| listed.contains(path));
        self.finish()
    }

    /// What cannot be read is not gone.
    fn still_there(&mut self, path: &Path) {
        let round = self.seen.round;
        for followed in self.seen.files.values_mut().filter(|followed| followed.path == path) {
            (followed.round, followed.is_at_origin, followed.since) = (round, true, Instant::now());
        }
    }

    /// Sends what stands behind the last newline of files that nobody writes any more, and forgets those that are long gone.
    fn finish(&mut self) -> Result<(), Stopped> {
        let Seen { round, patience, forgotten, .. } = self.seen;
        let is_over = |followed: &Followed| {
            (followed.round < round || !followed.is_at_origin)
                && !followed.rest.1.is_empty()
                && followed.since.elapsed() >= patience
        };
        let over: Vec<u64> =
            (self.seen.files.iter()).filter(|(_, followed)| is_over(followed)).map(|(key, _)| *key).collect();
        for key in over {
            let Some(followed) = self.seen.files.get_mut(&key) else { continue };
            let (from, rest) = std::mem::take(&mut followed.rest);
            let (path, cluster) = (followed.path.clone(), followed.cluster.clone());
            self.send(key, &path, &cluster, from, rest)?;
        }
        let is_gone = |followed: &Followed| followed.round < round && followed.since.elapsed() >= forgotten;
        let gone: Vec<u64> =
            (self.seen.files.iter()).filter(|(_, followed)| is_gone(followed)).map(|(key, _)| *key).collect();
        for key in gone {
            self.seen.files.remove(&key);
            self.positions.remove(&key);
            self.queue.blocking_send(Record::Gone { key }.into()).map_err(|_| Stopped)?;
        }
        Ok(())
    }

    fn look(&mut self, path: &Path, cluster: &str) -> Result<io::Result<()>, Stopped> {
        let looks = match std::fs::metadata(path) {
            Ok(metadata) => (metadata.len(), metadata.modified().ok()),
            Err(error) => return Ok(Err(error)),
        };
        let settled = self.seen.settled.get(path).filter(|(before, _)| *before == looks).map(|(_, key)| *key);
        if let Some(key) = settled {
            self.seen.found(key, path, cluster, None);
            return Ok(Ok(()));
        }
        let read = self.read(path, cluster)?;
        if let Ok(Some(key)) = read {
            self.seen.settled.insert(path.to_owned(), (looks, key));
        }
        Ok(read.map(|_| ()))
    }

    /// Reads what is new; what the file is known by, if it was read to its end.
    fn read(&mut self, path: &Path, cluster: &str) -> Result<io::Result<Option<u64>>, Stopped> {
        let mut opened = match Opened::new(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Ok(None)),
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
            let ended = read.is_ok() && pending.len() == before;
            let whole = match memchr::memrchr(b'\n', &pending) {
                // A compressed file is whole, and so is its last line.
                _ if ended && opened.plain.is_none() => pending.len(),
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
                Ok(_) if ended => {
                    self.seen.found(opened.key, path, cluster, Some((position, pending)));
                    return Ok(Ok(Some(opened.key)));
                }
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

impl Seen {
    /// Takes note of a file that was found, and of what stands behind its last newline if that was looked at.
    fn found(&mut self, key: u64, path: &Path, cluster: &str, rest: Option<(u64, Vec<u8>)>) {
        let round = self.round;
        let followed = self.files.entry(key).or_insert_with(|| Followed {
            cluster: cluster.to_owned(),
            origin: path.to_owned(),
            path: path.to_owned(),
            round,
            is_at_origin: true,
            rest: (0, Vec::new()),
            since: Instant::now(),
        });
        let is_at_origin = followed.origin == path;
        // A copy beside it may be shorter.
        followed.is_at_origin = is_at_origin || (followed.round == round && followed.is_at_origin);
        followed.round = round;
        path.clone_into(&mut followed.path);
        if let Some(rest) = rest.filter(|rest| *rest != followed.rest) {
            (followed.rest, followed.since) = (rest, Instant::now());
        }
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
        let is_cut = !line.ends_with(b"\n") && (line.len() as u64) < FIRST_LINE_MAX;
        if read.is_err() || line.is_empty() || (is_cut && !compressed) {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Test {
        folder: tempfile::TempDir,
        tail: Tail,
        records: mpsc::Receiver<Spooled>,
        journal: Arc<std::sync::Mutex<Vec<u8>>>,
        _stop: watch::Sender<bool>,
    }

    struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Test {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (queue, records) = mpsc::channel(64);
            let (stop, stopped) = watch::channel(false);
            let told = Arc::new(std::sync::Mutex::new(Vec::new()));
            let tail = Tail {
                files: vec![HubbleFiles {
                    path: folder.path().join("events*.log*").display().to_string(),
                    cluster: String::new(),
                }],
                queue,
                metrics: Arc::new(Metrics::default()),
                journal: Journal::new(Shared(told.clone()), || crate::model::Timestamp::from_nanos(0)),
                clock: || crate::model::Timestamp::from_nanos(0),
                stop: stopped,
                positions: Positions::new(),
                seen: Seen { patience: Duration::ZERO, ..Seen::default() },
            };
            Self { folder, tail, records, journal: told, _stop: stop }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.at(name), text).unwrap();
        }

        /// What one look at all files sends.
        fn look(&mut self) -> Vec<String> {
            assert!(self.tail.look_at_all().is_ok());
            let mut found = Vec::new();
            while let Ok(spooled) = self.records.try_recv() {
                found.push(match spooled.record.unwrap() {
                    Record::Lines { lines, .. } => String::from_utf8(lines).unwrap(),
                    Record::Gone { .. } => "gone".to_owned(),
                    other => panic!("{other:?}"),
                });
            }
            found
        }
    }

    #[test]
    fn a_last_line_without_its_end_comes_when_the_file_is_rotated_or_removed() {
        let none = [""; 0];
        let mut test = Test::new();
        test.write("events.log", "first\nsec");
        assert_eq!(test.look(), ["first\n"]);
        assert_eq!(test.look(), none, "its end may come");
        test.write("events.log", "first\nsecond");
        assert_eq!(test.look(), none);
        std::fs::rename(test.at("events.log"), test.at("events-1.log")).unwrap();
        test.write("events.log", "third\nfourth");
        assert_eq!(test.look(), ["third\n", "second"]);
        std::fs::remove_file(test.at("events.log")).unwrap();
        assert_eq!(test.look(), ["fourth"]);
        // A compressed file is whole; what was sent of it comes no second time.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"first\nsecond\nfifth").unwrap();
        std::fs::remove_file(test.at("events-1.log")).unwrap();
        std::fs::write(test.at("events-1.log.gz"), encoder.finish().unwrap()).unwrap();
        assert_eq!(test.look().concat(), "\nfifth");
        assert_eq!(test.look(), none);
    }

    #[test]
    fn positions_go_with_their_files() {
        let mut test = Test::new();
        test.write("events.log", "first\n");
        assert_eq!(test.look(), ["first\n"]);
        assert_eq!(test.tail.positions.len(), 1);
        std::fs::remove_file(test.at("events.log")).unwrap();
        assert_eq!(test.look(), [""; 0], "it may come back");
        test.tail.seen.forgotten = Duration::ZERO;
        assert_eq!(test.look(), ["gone"]);
        assert!(test.tail.positions.is_empty() && test.tail.seen.files.is_empty() && test.tail.seen.settled.is_empty());
    }

    #[test]
    fn a_pattern_without_files_is_told_once() {
        let mut test = Test::new();
        for _ in 0..3 {
            assert_eq!(test.look(), [""; 0]);
        }
        let told = String::from_utf8(test.journal.lock().unwrap().clone()).unwrap();
        assert_eq!(told.matches("no file matches").count(), 1, "{told}");
    }
}
