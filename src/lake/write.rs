//! Rows to files: buffered by partition, sorted by time, repeats folded, each file whole or not at all.
//!
//! In: batches with their vocabulary. Out: files whose names begin with the writer's own, so that the same rows written
//! again replace themselves. Nothing is visible before [`LakeWriter::commit`]; dropped without it, a writer leaves nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::answer_rows::{Answered, Asked, answer_frame, question_frame};
use super::error::LakeError;
use super::flow_rows::{FlowRecord, flow_frame};
use super::frame::{Frame, FrameError};
use super::layout::{Partition, Table, bucket_of, mark};
use super::ledger::{LedgerRow, ledger_frame};
use super::parquet::FrameWriter;
use super::repeats::{Repeating, fold};
use super::retention::folds;
use super::rows::loss_frame;
use crate::collect::durable::{self, UNFINISHED, make_folder};
use crate::model::{AnswerRow, Batch, Initiator, Loss, QuestionRow, TextId, Timestamp, Vocabulary};

/// Rows of a row group: small enough that a reader of an hour skips most of a busy day.
pub(super) const GROUP_ROWS: usize = 1 << 15;
/// Records of a row group, on average: what a reader of one row group gets to hold.
pub(super) const GROUP_RECORDS: usize = 1 << 17;
/// Rows that are held before they go to files.
const HELD_ROWS_MAX: usize = 1 << 19;

/// What a writer put down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files.
    pub files: u64,
    /// Flow records.
    pub flows: u64,
    /// Answers: pairs of name and address.
    pub answers: u64,
    /// Questions without an address.
    pub questions: u64,
    /// Rows that flow records, answers and questions became: fewer, since repeats are folded.
    pub rows: u64,
    /// Losses.
    pub losses: u64,
    /// The first and the last day of rows with a time, in days since the epoch.
    pub days: Option<(u32, u32)>,
    /// Whether some rows have no time.
    pub has_undated: bool,
}

/// A folder of a table, in numbers of the writer's vocabulary.
type Place = (TextId, Option<u32>, u8);

/// Collects rows and writes them.
pub struct LakeWriter {
    root: PathBuf,
    name: String,
    /// The numbers of all rows. Empty it only right after [`LakeWriter::flush`].
    pub vocabulary: Vocabulary,
    flows: BTreeMap<Place, Vec<FlowRecord>>,
    answers: BTreeMap<Place, Vec<Answered>>,
    questions: BTreeMap<Place, Vec<Asked>>,
    losses: BTreeMap<Place, Vec<Loss>>,
    held: usize,
    flushes: u32,
    unfinished: Vec<(PathBuf, PathBuf)>,
    written: Written,
    folds: bool,
}

impl LakeWriter {
    /// A writer of the store at `root`, which is made if it is not there. Its files are named after `name`.
    pub fn new(root: &Path, name: &str) -> Result<Self, LakeError> {
        make_store(root)?;
        Ok(Self {
            root: root.to_owned(),
            name: name.to_owned(),
            vocabulary: Vocabulary::default(),
            flows: BTreeMap::new(),
            answers: BTreeMap::new(),
            questions: BTreeMap::new(),
            losses: BTreeMap::new(),
            held: 0,
            flushes: 0,
            unfinished: Vec::new(),
            written: Written::default(),
            folds: folds(root),
        })
    }

    /// Takes the rows of a batch. Rows that name no cluster get `cluster`.
    pub fn add(&mut self, batch: &Batch, cluster: TextId) {
        let named = |own: TextId| if own.is_none() { cluster } else { own };
        let mut place = 0;
        let records = batch.records().flat_map(|rows| {
            let volume = batch.volume_at(place);
            place += rows.len();
            FlowRecord::all(rows, volume)
        });
        for mut record in records {
            record.row.cluster = named(record.row.cluster);
            let row = record.row;
            // The end that this record alone takes for the client; the bucket is a help for readers, no promise.
            let client = match row.initiator {
                Initiator::Destination => row.destination_address,
                Initiator::Source | Initiator::Unknown => row.source_address,
            };
            let bucket = bucket_of(self.vocabulary.address_of(client));
            self.flows.entry((row.cluster, day(row.time), bucket)).or_default().push(record);
        }
        for row in &batch.answers {
            let row = AnswerRow { cluster: named(row.cluster), ..*row };
            let bucket = bucket_of(self.vocabulary.address_of(row.client));
            self.answers.entry((row.cluster, day(row.time), bucket)).or_default().push(row.into());
        }
        for asked in Asked::all(batch) {
            let row = QuestionRow { cluster: named(asked.row.cluster), ..asked.row };
            let bucket = bucket_of(self.vocabulary.address_of(row.client));
            self.questions.entry((row.cluster, day(row.time), bucket)).or_default().push(Asked { row, ..asked });
        }
        for row in &batch.losses {
            let row = Loss { cluster: named(row.cluster), ..row.clone() };
            self.losses.entry((row.cluster, day(row.time), 0)).or_default().push(row);
        }
        self.held += batch.flows.len() + batch.answers.len() + batch.questions.len() + batch.losses.len();
    }

    /// Whether enough rows are held for a flush.
    pub fn is_full(&self) -> bool {
        self.held >= HELD_ROWS_MAX
    }

    /// Writes what is held to files that nobody sees yet.
    pub fn flush(&mut self) -> Result<(), LakeError> {
        for (place, records) in std::mem::take(&mut self.flows) {
            self.written.flows += records.len() as u64;
            let records = sorted(records, self.folds, &self.vocabulary);
            self.written.rows += records.len() as u64;
            let frame = flow_frame(&records, &self.vocabulary);
            self.put(Table::Flows, place, &frame, group_rows(&records))?;
        }
        for (place, rows) in std::mem::take(&mut self.answers) {
            self.written.answers += rows.len() as u64;
            let rows = sorted(rows, self.folds, &self.vocabulary);
            self.written.rows += rows.len() as u64;
            let frame = answer_frame(&rows, &self.vocabulary);
            self.put(Table::Answers, place, &frame, group_rows(&rows))?;
        }
        for (place, rows) in std::mem::take(&mut self.questions) {
            self.written.questions += rows.len() as u64;
            let rows = sorted(rows, self.folds, &self.vocabulary);
            self.written.rows += rows.len() as u64;
            let frame = question_frame(&rows, &self.vocabulary);
            self.put(Table::Questions, place, &frame, group_rows(&rows))?;
        }
        for (place, mut rows) in std::mem::take(&mut self.losses) {
            rows.sort_by_key(|row| row.time);
            self.written.losses += rows.len() as u64;
            let frame = loss_frame(&rows, &self.vocabulary);
            self.put(Table::Losses, place, &frame, GROUP_ROWS)?;
        }
        self.held = 0;
        self.flushes += 1;
        Ok(())
    }

    /// Writes rows of the ledger, one file for each cluster and day.
    pub fn add_ledger(&mut self, rows: &[LedgerRow]) -> Result<(), LakeError> {
        let mut by_day: BTreeMap<(&str, Option<u32>), Vec<&LedgerRow>> = BTreeMap::new();
        for row in rows {
            by_day.entry((&row.cluster, day(row.minute))).or_default().push(row);
        }
        for ((cluster, day), mut rows) in by_day {
            rows.sort();
            let partition = Partition { table: Table::Ledger, cluster: cluster.to_owned(), day, bucket: 0 };
            self.put_at(&partition, &ledger_frame(&rows), GROUP_ROWS)?;
        }
        Ok(())
    }

    fn put(&mut self, table: Table, place: Place, frame: &Frame, group_rows: usize) -> Result<(), LakeError> {
        let (cluster, day, bucket) = place;
        match day {
            Some(day) => {
                let (first, last) = self.written.days.unwrap_or((day, day));
                self.written.days = Some((first.min(day), last.max(day)));
            }
            None => self.written.has_undated = true,
        }
        let partition = Partition { table, cluster: self.vocabulary.text_of(cluster).to_owned(), day, bucket };
        self.put_at(&partition, frame, group_rows)
    }

    fn put_at(&mut self, partition: &Partition, frame: &Frame, group_rows: usize) -> Result<(), LakeError> {
        let folder = self.root.join(partition.folder());
        let path = folder.join(format!("{}-{:04}.parquet", self.name, self.flushes));
        make_folder(&folder).map_err(LakeError::io(&folder))?;
        let unfinished = path.with_extension(UNFINISHED);
        // On the list first: a file that was begun is removed whatever happens to it.
        self.unfinished.push((unfinished.clone(), path));
        write_frame(&unfinished, frame, Vec::new(), group_rows)
    }

    /// Makes everything visible. Files of the same name from an earlier try are replaced.
    pub fn commit(mut self) -> Result<Written, LakeError> {
        self.flush()?;
        let finished = std::mem::take(&mut self.unfinished);
        let mut folders = std::collections::BTreeSet::new();
        let mut result = Ok(());
        for (unfinished, path) in &finished {
            result = result.and_then(|()| fs::rename(unfinished, path).map_err(LakeError::io(path)));
            folders.extend(folders_below(&self.root, path));
        }
        for folder in folders {
            result = result.and_then(|()| sync_folder(folder));
        }
        if result.is_err() {
            self.unfinished = finished;
            return result.map(|()| self.written);
        }
        self.written.files = finished.len() as u64;
        Ok(self.written)
    }
}

impl Drop for LakeWriter {
    fn drop(&mut self) {
        for (unfinished, _) in &self.unfinished {
            // What cannot be removed now is passed over by readers and removed by the next tidying.
            drop(fs::remove_file(unfinished));
        }
    }
}

/// The folders that must be on the disk for a file to be found after a crash: its own and all above it, down to the root of the store.
fn folders_below<'a>(root: &Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    path.ancestors().skip(1).take_while(move |folder| folder.starts_with(root))
}

fn day(time: Timestamp) -> Option<u32> {
    time.is_known().then(|| time.day())
}

/// Makes the folder of a store with its mark, if it is not there.
pub fn make_store(root: &Path) -> Result<(), LakeError> {
    let (name, content) = mark();
    if root.join(name).is_file() {
        return Ok(());
    }
    make_folder(root).map_err(LakeError::io(root))?;
    write_atomically(&root.join(name), content.as_bytes())
}

/// Rows in the order of their times, folded where that is wanted.
pub(super) fn sorted<R: Repeating>(mut rows: Vec<R>, folds: bool, vocabulary: &Vocabulary) -> Vec<R> {
    rows.sort_by_key(Repeating::time);
    if folds { fold(rows, vocabulary) } else { rows }
}

/// Rows of each row group of a file with these rows: fewer than usual where they stand for many records.
pub(super) fn group_rows<R: Repeating>(rows: &[R]) -> usize {
    let records: usize = rows.iter().map(Repeating::records).sum();
    (GROUP_RECORDS * rows.len() / records.max(1)).clamp(GROUP_ROWS / 32, GROUP_ROWS)
}

/// Writes a frame to a file, so many rows to a row group, and syncs it. `notes` go into the footer.
pub(super) fn write_frame(
    path: &Path,
    frame: &Frame,
    notes: Vec<(String, String)>,
    group_rows: usize,
) -> Result<(), LakeError> {
    let file = File::create(path).map_err(LakeError::io(path))?;
    let mut noticed = Noticed { out: BufWriter::new(&file), failed: None };
    let written = write_groups(&mut noticed, frame, notes, group_rows);
    if let Some(error) = noticed.failed.take() {
        return Err(LakeError::io(path)(error));
    }
    written.map_err(|error| LakeError::broken(path, &error))?;
    noticed.out.flush().map_err(LakeError::io(path))?;
    drop(noticed);
    file.sync_all().map_err(LakeError::io(path))
}

/// Writes a frame in row groups of one size, of which the last may be a little larger.
fn write_groups(
    out: &mut impl Write,
    frame: &Frame,
    notes: Vec<(String, String)>,
    group_rows: usize,
) -> Result<(), FrameError> {
    let mut writer = FrameWriter::new(out, frame, notes)?;
    let groups = (frame.rows() / group_rows.max(1)).max(1);
    let rows = frame.rows() / groups;
    for group in 0..groups {
        let rows_of_last = frame.rows() - rows * group;
        writer.write(&frame.part(rows * group, if group + 1 == groups { rows_of_last } else { rows }))?;
    }
    writer.finish()
}

/// Keeps the system's own word for a failed write, which the encoder turns into text.
struct Noticed<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Noticed<W> {
    fn notice<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let kept = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            self.failed.get_or_insert(kept);
        }
        result
    }
}

impl<W: Write> Write for Noticed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let result = self.out.write(buffer);
        self.notice(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.notice(result)
    }
}

/// Writes a small file through a temporary one beside it, and syncs file and folder.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), LakeError> {
    durable::write_atomically(path, content).map_err(LakeError::io(path))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), LakeError> {
    durable::sync_folder(folder).map_err(LakeError::io(folder))
}

/// Whether a file is one that somebody did not finish.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == UNFINISHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_on_the_disk_when_all_folders_above_it_are() {
        let root = Path::new("/store");
        let file = root.join("flows/cluster=a/date=2026-03-02/bucket=00/x.parquet");
        let folders: Vec<&str> = folders_below(root, &file).filter_map(Path::to_str).collect();
        assert_eq!(
            folders,
            [
                "/store/flows/cluster=a/date=2026-03-02/bucket=00",
                "/store/flows/cluster=a/date=2026-03-02",
                "/store/flows/cluster=a",
                "/store/flows",
                "/store",
            ]
        );
    }
}
