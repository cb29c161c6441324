//! What is known of the files that are followed: what they are known by, where they were first, what stands behind their last newline.
//!
//! In: what each round finds. Out: which files are new, rotated, damaged or gone. Nothing is read or sent here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::model::fnv1a;

/// How long an unfinished last line waits for its end, once its file is rotated or gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a compressed file that breaks off must have stayed as it is, before it is taken for damaged and not for unfinished.
const DAMAGED: Duration = Duration::from_mins(1);
/// How long the position of a file that is gone is kept: it may come back with a folder that was away.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// What was seen of the files in this run.
pub(super) struct Seen {
    /// Path → what it looked like when it was read to its end, and what the file is known by.
    pub(super) settled: BTreeMap<PathBuf, (Looks, u64)>,
    /// By what they are known by.
    pub(super) files: BTreeMap<u64, Followed>,
    /// Files that hold one line, whose end has not come.
    pub(super) lines: BTreeMap<PathBuf, Unfinished>,
    /// Compressed files that break off: what they look like, and since when.
    pub(super) damaged: BTreeMap<PathBuf, (Looks, Instant)>,
    /// Positions of earlier runs whose files were not found yet.
    pub(super) unfound: Option<BTreeSet<u64>>,
    pub(super) begun: Instant,
    /// Patterns without files, and files that cannot be read, that were told.
    pub(super) told: BTreeSet<String>,
    pub(super) round: u64,
    pub(super) patience: Duration,
    pub(super) unchanged: Duration,
    pub(super) forgotten: Duration,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            settled: BTreeMap::new(),
            files: BTreeMap::new(),
            lines: BTreeMap::new(),
            damaged: BTreeMap::new(),
            unfound: None,
            begun: Instant::now(),
            told: BTreeSet::new(),
            round: 0,
            patience: PATIENCE,
            unchanged: DAMAGED,
            forgotten: FORGOTTEN,
        }
    }
}

pub(super) type Looks = (u64, Option<SystemTime>);

/// One file, under whatever name.
pub(super) struct Followed {
    pub(super) cluster: String,
    /// Where it was first: what is found elsewhere only is rotated.
    pub(super) origin: PathBuf,
    pub(super) path: PathBuf,
    /// The round that found it last, and whether that was where it was first.
    pub(super) round: u64,
    pub(super) is_at_origin: bool,
    /// Behind the last newline: where it begins, and what it is.
    pub(super) rest: (u64, Vec<u8>),
    /// When the rest changed, or the file was found last, whichever is later.
    pub(super) since: Instant,
}

/// A file that holds one line without its end.
pub(super) struct Unfinished {
    pub(super) cluster: String,
    pub(super) line: Vec<u8>,
    /// The round that found it last.
    pub(super) round: u64,
    pub(super) since: Instant,
}

impl Seen {
    /// Whether a file that broke off has looked the same for long enough to be taken for damaged.
    pub(super) fn has_stayed(&self, path: &Path, looks: Looks) -> bool {
        let known = self.damaged.get(path).filter(|(before, _)| *before == looks);
        known.is_some_and(|(_, since)| since.elapsed() >= self.unchanged)
    }

    /// Takes note of how a file begins that may hold one line, or the beginning of one.
    pub(super) fn unfinished(&mut self, path: &Path, cluster: &str, line: Vec<u8>) {
        let (round, since) = (self.round, Instant::now());
        if let Some(mut known) = self.lines.remove(path) {
            if known.line == line {
                known.round = round;
                self.lines.insert(path.to_owned(), known);
                return;
            }
            if !line.starts_with(&known.line) {
                // Another file took its place: what was here is over, and waits under a name of its own.
                let mut aside = path.as_os_str().to_owned();
                aside.push(format!("#{:016x}", fnv1a(&known.line)));
                self.lines.insert(aside.into(), known);
            }
        }
        if !line.is_empty() {
            let known = Unfinished { cluster: cluster.to_owned(), line, round, since };
            self.lines.insert(path.to_owned(), known);
        }
    }

    /// Takes note of a file that was found, and of what stands behind its last newline if that was looked at.
    pub(super) fn found(&mut self, key: u64, path: &Path, cluster: &str, rest: Option<(u64, Vec<u8>)>) {
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
