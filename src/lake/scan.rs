//! From a store to batches of rows: which files, which row groups of them, then the rows.
//!
//! In: the folder and what is asked for. Out: pieces of bounded size, to be read in any order by any number of threads.
//! What lies outside the asked window is passed over by the name of its folder, else by the statistics of its row group,
//! and counted. Time-sorted row groups make that worth while.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use polars_parquet::parquet::metadata::{FileMetadata, RowGroupMetadata};
use polars_parquet::parquet::statistics::Statistics;

use super::error::LakeError;
use super::frame::Frame;
use super::layout::{Partition, Table, bucket_of, is_store};
use super::parquet::StoredFile;
use super::repeats::MINUTE_NANOS;
use super::rows::{RowReader, losses};
use crate::model::columns::{END_PREFIXES, STORED_END, STORED_FLOWS};
use crate::model::{Batch, Timestamp, Vocabulary};

/// The key in the footer of a compacted file under which it names the files that it stands for.
pub(super) const REPLACES: &str = "egress-atlas.replaces";
/// The ending of files that a compacted one stands for, until nobody can be reading them.
pub(super) const REPLACED: &str = "replaced";

/// What the names of compacted files begin with.
pub(super) const COMPACTED: &str = "merged-";

/// What to read. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Rows before this are not needed.
    pub since: Option<Timestamp>,
    /// Rows from this on are not needed.
    pub until: Option<Timestamp>,
    /// Only these clusters; those of rows that name none are always read.
    pub clusters: Option<BTreeSet<String>>,
    /// Only rows whose client may have this address.
    pub client: Option<IpAddr>,
    /// Only flows that may have an end in this namespace.
    pub namespace: Option<String>,
    /// Whether the sources' own record ids are wanted.
    pub with_ids: bool,
}

impl ScanOptions {
    /// Whether anything from `first` to `last` is asked for; what has no time always is.
    pub fn asks_for(&self, first: Timestamp, last: Timestamp) -> bool {
        !first.is_known()
            || (self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until))
    }

    /// Whether rows from `first` to `last` may have to be read: all of the minutes that hold the ends of the window are, since a row stands for
    /// its repeats within a minute. What is read does not depend on how rows lie in files.
    fn reads_any(&self, first: Timestamp, last: Timestamp) -> bool {
        let minute = |time: Timestamp| time.nanos().div_euclid(MINUTE_NANOS);
        !first.is_known()
            || (self.since.is_none_or(|since| minute(last) >= minute(since))
                && self.until.is_none_or(|until| first < until || minute(first) == minute(until.plus_nanos(-1))))
    }

    /// Whether a row of this time is read.
    pub(super) fn reads(&self, time: Timestamp) -> bool {
        self.reads_any(time, time)
    }

    pub(super) fn asks_for_partition(&self, partition: &Partition) -> bool {
        let day = |day: u32| Timestamp::from_nanos(i64::from(day).saturating_mul(86_400_000_000_000));
        let in_window =
            partition.day.is_none_or(|own| self.asks_for(day(own), day(own.saturating_add(1)).plus_nanos(-1)));
        let in_cluster = partition.cluster.is_empty()
            || self.clusters.as_ref().is_none_or(|clusters| clusters.contains(&partition.cluster));
        let has_client = matches!(partition.table, Table::Flows | Table::Answers | Table::Questions);
        // A flow's bucket is that of one end only, so that it cannot be asked for by address.
        let in_bucket = !has_client
            || partition.table == Table::Flows
            || self.client.is_none_or(|client| bucket_of(client) == partition.bucket);
        in_window && in_cluster && in_bucket
    }
}

/// Successive row groups of one file that are read together.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What they hold.
    pub table: Table,
    /// The file.
    pub path: PathBuf,
    /// The first row in the file, and how many.
    pub rows: (usize, usize),
}

/// What is to be read, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Pieces, in the order of their paths.
    pub pieces: Vec<Piece>,
    /// Files whose folder was outside what was asked for: never opened.
    pub files_passed_over: u64,
    /// Row groups outside what was asked for: only their statistics were read.
    pub groups_passed_over: u64,
    /// Rows of these.
    pub rows_passed_over: u64,
    /// Files that cannot be read, with the reason.
    pub broken: Vec<String>,
}

/// All files of a table, sorted; those that a compacted file stands for are left out.
pub(super) fn files(root: &Path, table: Table) -> Result<Vec<(Partition, PathBuf)>, LakeError> {
    // A file may be replaced while the folder is listed: two equal lists are one that held at some instant.
    let mut listed = list(root, table)?;
    for _ in 0..8 {
        let again = list(root, table)?;
        if again == listed {
            break;
        }
        listed = again;
    }
    Ok(listed)
}

fn list(root: &Path, table: Table) -> Result<Vec<(Partition, PathBuf)>, LakeError> {
    let mut found = list_all(root, table)?;
    let mut replaced = BTreeSet::new();
    for (_, path) in found.iter().filter(|(_, path)| is_compacted(path)) {
        if let (Ok(metadata), Some(folder)) = (metadata(path), path.parent()) {
            replaced.extend(replaces(&metadata).iter().map(|name| folder.join(name)));
        }
    }
    found.retain(|(_, path)| !replaced.contains(path));
    Ok(found)
}

/// All files of a table, sorted, also those that a compacted one stands for. None is opened.
pub(super) fn list_all(root: &Path, table: Table) -> Result<Vec<(Partition, PathBuf)>, LakeError> {
    let mut found = Vec::new();
    let mut waiting = vec![root.join(table.as_str())];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            // Retention may take a folder away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(LakeError::io(&folder))?,
        };
        for entry in entries {
            let path = entry.map_err(LakeError::io(&folder))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet")
                && let Some(partition) =
                    path.parent().and_then(|folder| Partition::of_folder(folder.strip_prefix(root).ok()?))
            {
                found.push((partition, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file's name says that it stands for others.
pub(super) fn is_compacted(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(COMPACTED))
}

/// The names of the files that a file stands for.
pub(super) fn replaces(metadata: &FileMetadata) -> Vec<String> {
    let noted = metadata.key_value_metadata.iter().flatten().find(|entry| entry.key == REPLACES);
    noted.and_then(|entry| entry.value.as_deref()).map_or_else(Vec::new, super::codec::split_list)
}

/// The footer of a file.
pub(super) fn metadata(path: &Path) -> Result<FileMetadata, LakeError> {
    parquet(path).map(StoredFile::into_footer)
}

/// A file, or what it was renamed to when a compacted one took its place.
fn open(path: &Path) -> Result<File, LakeError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(path.with_extension(REPLACED)).map_err(LakeError::io(path))
        }
        opened => opened.map_err(LakeError::io(path)),
    }
}

fn parquet(path: &Path) -> Result<StoredFile, LakeError> {
    StoredFile::new(open(path)?).map_err(|error| LakeError::unreadable(path, error))
}

/// The size of a file of the store in bytes; a file that a compacted one stands for counts as there while it lasts.
pub fn file_bytes(path: &Path) -> Result<u64, LakeError> {
    open(path)?.metadata().map(|metadata| metadata.len()).map_err(LakeError::io(path))
}

/// Reads a whole file, a row group at a time.
pub(super) fn frames(path: &Path) -> Result<impl Iterator<Item = Result<Frame, LakeError>>, LakeError> {
    Ok(parquet(path)?
        .frames(0..usize::MAX, None)
        .map(|frame| frame.map_err(|error| LakeError::unreadable(path, error))))
}

/// Plans the reading of flows, answers, questions and losses.
pub fn scan(root: &Path, options: &ScanOptions) -> Result<Plan, LakeError> {
    if !is_store(root) {
        return Err(LakeError::NotAStore { path: root.display().to_string() });
    }
    let mut plan = Plan::default();
    for table in [Table::Flows, Table::Answers, Table::Questions, Table::Losses] {
        for (partition, path) in files(root, table)? {
            if !options.asks_for_partition(&partition) {
                plan.files_passed_over += 1;
                continue;
            }
            match metadata(&path) {
                Ok(metadata) => add_groups(&mut plan, table, &path, &metadata, options),
                // Retention took it away since the folder was listed.
                Err(error) if error.is_gone() => {}
                Err(error) => plan.broken.push(error.to_string()),
            }
        }
    }
    Ok(plan)
}

fn add_groups(plan: &mut Plan, table: Table, path: &Path, metadata: &FileMetadata, options: &ScanOptions) {
    let mut first = 0;
    for group in &metadata.row_groups {
        let rows = group.num_rows();
        if group_is_asked_for(group, &metadata.footer_buf, table, options) {
            plan.pieces.push(Piece { table, path: path.to_owned(), rows: (first, rows) });
        } else {
            plan.groups_passed_over += 1;
            plan.rows_passed_over += rows as u64;
        }
        first += rows;
    }
}

/// Whether the statistics of a row group leave room for a row that is asked for. Without statistics they do.
pub(super) fn group_is_asked_for(group: &RowGroupMetadata, footer: &[u8], table: Table, options: &ScanOptions) -> bool {
    let [time, ..] = STORED_FLOWS;
    let in_window = match statistics(group, footer, time) {
        Some(Statistics::Int64(bounds)) if bounds.null_count == Some(0) => match (bounds.min_value, bounds.max_value) {
            (Some(first), Some(last)) => options.reads_any(Timestamp::from_nanos(first), Timestamp::from_nanos(last)),
            _ => true,
        },
        _ => true,
    };
    let in_namespace = match (&options.namespace, table) {
        (Some(wanted), Table::Flows) => {
            let [namespace, ..] = STORED_END;
            END_PREFIXES.iter().take(2).any(|prefix| match statistics(group, footer, &format!("{prefix}{namespace}")) {
                Some(Statistics::Binary(bounds)) => {
                    bounds.min_value.is_none_or(|least| least.as_slice() <= wanted.as_bytes())
                        && bounds.max_value.is_none_or(|most| most.as_slice() >= wanted.as_bytes())
                }
                _ => true,
            })
        }
        _ => true,
    };
    in_window && in_namespace
}

fn statistics(group: &RowGroupMetadata, footer: &[u8], column: &str) -> Option<Statistics> {
    let chunk = group.columns_under_root_iter(column)?.next()?;
    chunk.statistics(footer)?.ok()
}

/// Reads pieces into batches. Use one with one vocabulary.
#[derive(Default)]
pub struct Reader {
    rows: RowReader,
}

impl Reader {
    /// Whether flows were read that stand for several records: all but the first of each have lost their ids.
    pub fn has_repeats(&self) -> bool {
        self.rows.has_repeats
    }

    /// Adds the records of a piece to a batch; how many rows could not be read.
    pub fn read(
        &mut self,
        piece: &Piece,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> Result<u64, LakeError> {
        let [.., id] = STORED_FLOWS;
        // Ids are different in every row: nothing costs more to read.
        let without = (piece.table == Table::Flows && !options.with_ids).then_some(id);
        let (first, rows) = piece.rows;
        let mut broken = 0;
        for frame in parquet(&piece.path)?.frames(first..first.saturating_add(rows), without) {
            let frame = frame.map_err(|error| LakeError::unreadable(&piece.path, error))?;
            let read = match piece.table {
                Table::Flows => self.rows.flows(&frame, options, vocabulary, batch),
                Table::Answers => self.rows.answers(&frame, options, vocabulary, batch),
                Table::Questions => self.rows.questions(&frame, options, vocabulary, batch),
                Table::Losses => losses(&frame, vocabulary, batch).map(|()| 0),
                Table::Ledger => Ok(0),
            };
            broken += read.map_err(|error| LakeError::broken(&piece.path, &error))?;
        }
        Ok(broken)
    }
}
