//! Follows the files of a Hubble exporter: whole lines, each once, through rotation, compression and restarts.
//!
//! In: paths and patterns. Out: records for the log. A file is known by its first line, which holds a time in nanoseconds: the name
//! changes when it is rotated, the inode when it is compressed, the first line never. A file that was cut and begun anew has
//! another first line, and is another file.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::first_line::{First, Opened};
use super::followed::{Followed, Seen, Unfinished};
use super::journal::Journal;
use super::metrics::Metrics;
use super::record::Record;
use super::run::Clock;
use super::spool::{Positions, Spooled};
use crate::catalog::HubbleFiles;
use crate::model::fnv1a;
use crate::read::LINE_BYTES_MAX;

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(250);
const READ_BYTES: usize = 1 << 20;
/// Positions of an earlier run whose files were not found again: no more are kept, however short each run is.
const UNFOUND_MAX: usize = 4096;

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
                    Err(error) => {
                        let name = path.display().to_string();
                        // A file that is still being compressed ends too early: what follows comes later.
                        if error.kind() != io::ErrorKind::UnexpectedEof && self.seen.told.insert(name.clone()) {
                            self.journal.warn("file cannot be read", &[("path", &name), ("error", &error)]);
                        }
                        self.still_there(&path);
                    }
                }
                listed.insert(path);
            }
        }
        self.seen.settled.retain(|path, _| listed.contains(path));
        self.seen.damaged.retain(|path, _| listed.contains(path));
        self.finish()?;
        self.finish_lines()?;
        self.forget_unfound()
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
            self.forget(key)?;
        }
        Ok(())
    }

    /// Sends single lines without an end whose files were rotated or removed: nobody ends them any more.
    fn finish_lines(&mut self) -> Result<(), Stopped> {
        let Seen { round, patience, .. } = self.seen;
        let is_over = |line: &Unfinished| line.round < round && line.since.elapsed() >= patience;
        let over: Vec<PathBuf> =
            (self.seen.lines.iter()).filter(|(_, line)| is_over(line)).map(|(path, _)| path.clone()).collect();
        for path in over {
            let Some(Unfinished { cluster, line, .. }) = self.seen.lines.remove(&path) else { continue };
            // As a compressed file of this one line is known.
            let key = fnv1a(&line);
            if !self.positions.contains_key(&key) {
                self.seen.found(key, &path, &cluster, None);
                self.send(key, &path, &cluster, 0, line)?;
            }
        }
        Ok(())
    }

    /// Forgets positions of earlier runs whose files did not come back.
    fn forget_unfound(&mut self) -> Result<(), Stopped> {
        let Seen { unfound, files, begun, forgotten, .. } = &mut self.seen;
        let unfound = unfound.get_or_insert_with(|| self.positions.keys().copied().collect());
        if unfound.is_empty() {
            return Ok(());
        }
        unfound.retain(|key| !files.contains_key(key));
        let kept = if begun.elapsed() >= *forgotten { 0 } else { UNFOUND_MAX };
        let mut gone = Vec::new();
        while unfound.len() > kept {
            gone.extend(unfound.pop_first());
        }
        for key in gone {
            self.forget(key)?;
        }
        Ok(())
    }

    fn forget(&mut self, key: u64) -> Result<(), Stopped> {
        self.seen.files.remove(&key);
        self.positions.remove(&key);
        self.queue.blocking_send(Record::Gone { key }.into()).map_err(|_| Stopped)
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
        let read = self.read(path, cluster, self.seen.has_stayed(path, looks))?;
        match &read {
            Ok(Some(key)) => {
                self.seen.damaged.remove(path);
                self.seen.settled.insert(path.to_owned(), (looks, *key));
            }
            Ok(None) => {}
            Err(_) => {
                let entry = self.seen.damaged.entry(path.to_owned()).or_insert((looks, Instant::now()));
                if entry.0 != looks {
                    *entry = (looks, Instant::now());
                }
            }
        }
        Ok(read.map(|_| ()))
    }

    /// Reads what is new; what the file is known by, if it was read to its end. Of a file that is damaged for good, the end is where it
    /// breaks off.
    fn read(&mut self, path: &Path, cluster: &str, is_final: bool) -> Result<io::Result<Option<u64>>, Stopped> {
        let mut opened = match Opened::at(path, is_final) {
            Ok(First::Whole(opened)) => opened,
            Ok(First::Unfinished(line)) => {
                let key = fnv1a(&line);
                if self.positions.contains_key(&key) {
                    self.seen.found(key, path, cluster, None);
                }
                self.seen.unfinished(path, cluster, line);
                return Ok(Ok(None));
            }
            Err(error) => return Ok(Err(error)),
        };
        self.seen.unfinished(path, cluster, std::mem::take(&mut opened.first));
        let mut position = self.positions.get(&opened.key).copied().unwrap_or(0);
        let skipped = opened.skip(position);
        if let Err(error) = skipped
            && !is_final
        {
            return Ok(Err(error));
        }
        let mut pending = Vec::new();
        loop {
            let before = pending.len();
            let read = (&mut opened.bytes).take(READ_BYTES as u64).read_to_end(&mut pending);
            let is_broken = read.is_err() && is_final && opened.plain.is_none();
            let ended = is_broken || (read.is_ok() && pending.len() == before);
            let whole = match memchr::memrchr(b'\n', &pending) {
                // A compressed file is whole, and so is its last line; one that is cut is rejected and counted when it is decoded.
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
                Err(error) if !is_broken => return Ok(Err(error)),
                _ if ended => {
                    if let Err(error) = read {
                        self.damaged(path, cluster, &error)?;
                    }
                    // It has an end, or more than one line.
                    self.seen.lines.remove(path);
                    self.seen.found(opened.key, path, cluster, Some((position, pending)));
                    return Ok(Ok(Some(opened.key)));
                }
                _ => {}
            }
        }
    }

    /// What follows in a damaged file is lost, and nobody knows how much it was.
    fn damaged(&mut self, path: &Path, cluster: &str, error: &io::Error) -> Result<(), Stopped> {
        let origin = path.display().to_string();
        self.journal.warn("file is damaged: what follows is lost", &[("path", &origin), ("error", error)]);
        Metrics::add(&self.metrics.lost, 1);
        let (cluster, source, at) = (cluster.to_owned(), String::new(), (self.clock)());
        let missed = Record::Missed { origin, cluster, source, at, rejected: 0, lost: 1 };
        self.queue.blocking_send(missed.into()).map_err(|_| Stopped)
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
                    Record::Missed { lost: 1, .. } => "lost".to_owned(),
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

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_single_line_without_its_end_comes_when_its_file_is_over() {
        let none = [""; 0];
        let mut test = Test::new();
        test.write("events.log", "{\"fi");
        assert_eq!(test.look(), none);
        test.write("events.log", "{\"first\":1}");
        assert_eq!(test.look(), none, "its end may come");
        // Rotated, and a new file begun: with a whole line, or without.
        std::fs::rename(test.at("events.log"), test.at("events-1.log")).unwrap();
        test.write("events.log", "{\"second\":2}\n");
        assert_eq!(test.look(), ["{\"second\":2}\n", "{\"first\":1}"]);
        std::fs::rename(test.at("events.log"), test.at("events-2.log")).unwrap();
        test.write("events.log", "{\"third\":3}");
        assert_eq!(test.look(), none);
        test.write("events.log", "other");
        assert_eq!(test.look(), ["{\"third\":3}"], "cut and begun anew");
        test.write("events.log", "other\nand more\n");
        assert_eq!(test.look(), ["other\nand more\n"]);
        // What came once comes no second time: not when the file is compressed, not when it goes, not after a restart.
        std::fs::write(test.at("events-1.log.gz"), compressed("{\"first\":1}")).unwrap();
        std::fs::remove_file(test.at("events-1.log")).unwrap();
        assert_eq!(test.look(), none);
        test.write("events-3.log", "{\"third\":3}");
        assert_eq!(test.look(), none);
        test.tail.seen = Seen { patience: Duration::ZERO, ..Seen::default() };
        assert_eq!(test.look(), none);
        std::fs::remove_file(test.at("events-3.log")).unwrap();
        assert_eq!(test.look(), none);
        test.write("events.log", "last");
        assert_eq!(test.look(), none);
        std::fs::remove_file(test.at("events.log")).unwrap();
        assert_eq!(test.look(), ["last"]);
        assert!(test.tail.seen.lines.is_empty());
    }

    #[test]
    fn a_damaged_file_gives_what_it_has_once_and_says_so() {
        let check = |text: &str, expected: &[&str]| {
            let mut test = Test::new();
            let whole = compressed(text);
            std::fs::write(test.at("events-1.log.gz"), &whole[..whole.len() - 9]).unwrap();
            let mut found = test.look();
            assert!(!found.contains(&"lost".to_owned()), "it may still be growing");
            test.tail.seen.unchanged = Duration::ZERO;
            found.extend(test.look());
            let sent = found.concat();
            assert!(expected.iter().all(|part| sent.contains(part)), "{found:?}");
            assert_eq!(found.last().map(String::as_str), Some("lost"));
            assert_eq!(test.look(), [""; 0]);
            let told = String::from_utf8(test.journal.lock().unwrap().clone()).unwrap();
            assert_eq!(told.matches("file is damaged").count(), 1, "{told}");
        };
        let noise = |from: u32| -> String {
            (from..from + 40_000)
                .map(|number| char::from(b'a' + u8::try_from(number.wrapping_mul(2_654_435_761) >> 28).unwrap()))
                .collect()
        };
        check(&format!("first\n{}\n{}", noise(1), noise(7)), &["first\n"]);
        // Its only line is cut: it is handed on, to be rejected and counted.
        check(&noise(3), &["a"]);
    }

    #[test]
    fn positions_of_earlier_runs_do_not_stay_for_ever() {
        let mut test = Test::new();
        test.write("events.log", "first\n");
        test.tail.positions = (0..UNFOUND_MAX as u64 + 3).map(|key| (key, 7)).collect();
        assert_eq!(test.look(), ["first\n", "gone", "gone", "gone"]);
        assert_eq!(test.tail.positions.len(), UNFOUND_MAX + 1);
        test.tail.seen.forgotten = Duration::ZERO;
        // The queue of the test is short.
        test.tail.seen.unfound.as_mut().unwrap().retain(|key| *key < 9);
        assert_eq!(test.look(), ["gone"; 6]);
        assert_eq!(test.look(), [""; 0]);
        assert!(test.tail.positions.contains_key(&fnv1a(b"first\n")), "what is there stays");
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
