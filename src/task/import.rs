//! `import`: files → store, each content once.
//!
//! In: input files. Out: rows in the store, a record of each import, and what became of each file. A file whose content the
//! store has is passed over; of a file that has grown since, only what is new is read. Files that begin alike are read one
//! after the other, so that one of them may turn out to be the beginning of another; all others at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::ingest::{Progress, chunks};
use crate::lake::{Digest, ImportRecord, Imports, LakeError, LakeWriter, Leftovers, Written, make_store};
use crate::model::{Account, Batch, TextId, Timestamp};
use crate::read::{
    Bytes, ChunkSource, Decoders, Format, Framing, InputError, InputFile, IpfixChunks, Layout, Opened, open,
    open_bytes, start_frame,
};

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An input is unusable.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// An input cannot be read a second time.
    #[error("`{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The store has the content as something else.
    #[error(
        "`{path}`: the store has this content already, {known}, and it is given {given} now; nothing of it was changed. If the store is wrong, import everything into a new store as it should be; if it is right, say the same again"
    )]
    Otherwise {
        /// The file.
        path: String,
        /// Cluster or format when it was imported.
        known: String,
        /// Cluster or format now.
        given: String,
    },
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The path as given.
    pub input: String,
    /// What was read; of a file that the store had already, nothing.
    pub account: Account,
    /// Why the file ended early, if it did.
    pub problem: Option<String>,
    /// How it relates to what the store had.
    pub outcome: Outcome,
    /// The first day of its rows, in days since the epoch, as far as rows have times.
    pub first_day: Option<u32>,
    /// What was written of it.
    pub written: Written,
}

/// How a file relates to what the store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// New.
    Imported,
    /// The store had this content.
    Known,
    /// The store had the beginning, up to this byte.
    Continued(u64),
    /// Of no format that can be used, in a folder that holds other files, too; `problem` says why.
    PassedOver,
}

/// The beginning by which files are told apart before they are read as a whole, in bytes.
const HEAD_BYTES: u64 = 4096;
const READ_BYTES: usize = 1 << 20;

/// What importing needs to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Worker threads.
    pub threads: usize,
    /// Times without a year are the last such date not after this; without it they are unknown.
    pub latest: Option<Timestamp>,
}

/// Imports all files into the store at `root`; what became of each, in the order of the files.
pub fn import(
    root: &Path,
    files: &[InputFile],
    options: ImportOptions,
    progress: &Progress,
) -> Result<Vec<Imported>, ImportError> {
    make_store(root)?;
    let known = Imports::read(root)?;
    let leftovers = Leftovers::read(root, &known)?;
    let known = &Store { root, known: &known, leftovers: &leftovers };
    let groups = Mutex::new(groups(files).into_values());
    let results: Vec<Result<Vec<(usize, Imported)>, ImportError>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..options.threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let next = groups.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(group) = next else { return Ok(done) };
                        let mut added = Imports::default();
                        for number in group {
                            let Some(file) = files.get(number) else { continue };
                            done.push((number, import_file(known, file, &mut added, (options, progress))?));
                        }
                    }
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result?);
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, imported)| imported).collect())
}

/// Numbers of files that begin alike, the smaller first.
fn groups(files: &[InputFile]) -> BTreeMap<Vec<u8>, Vec<usize>> {
    let mut groups: BTreeMap<Vec<u8>, Vec<(u64, usize)>> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let mut head = Vec::new();
        // What fails here fails again, and with its reason, when the file is read.
        if let Ok(bytes) = open_bytes(file) {
            drop(bytes.take(HEAD_BYTES).read_to_end(&mut head));
        }
        let bytes = std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        // A short file may be the beginning of a long one: the first line tells.
        let line = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        groups.entry(line.get(..256).unwrap_or(line).to_vec()).or_default().push((bytes, number));
    }
    let sorted = |mut group: Vec<(u64, usize)>| {
        group.sort_unstable();
        group.into_iter().map(|(_, number)| number).collect()
    };
    groups.into_iter().map(|(head, group)| (head, sorted(group))).collect()
}

/// The store as it was when the import began.
#[derive(Clone, Copy)]
struct Store<'a> {
    root: &'a Path,
    known: &'a Imports,
    leftovers: &'a Leftovers,
}

/// What the store has of a content.
struct Content {
    /// Of all of it.
    digest: Digest,
    bytes: u64,
    /// The longest beginning that the store has.
    known: u64,
    /// Its record.
    record: Option<ImportRecord>,
}

/// Reads the whole content once. A stream that breaks ends where it breaks.
fn look_up(mut bytes: Bytes, imports: [&Imports; 2]) -> Content {
    let lengths: BTreeSet<u64> = imports.iter().flat_map(|imports| imports.lengths()).collect();
    let mut lengths = lengths.into_iter().peekable();
    let mut content = Content { digest: Digest::default(), bytes: 0, known: 0, record: None };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        while lengths.next_if(|length| *length < content.bytes).is_some() {}
        if lengths.next_if(|length| *length == content.bytes).is_some()
            && let Some(record) = imports.iter().find_map(|imports| imports.find(content.bytes, &content.digest))
        {
            content.known = content.bytes;
            content.record = Some(record.clone());
        }
        let room = lengths.peek().map_or(u64::MAX, |length| length.saturating_sub(content.bytes));
        let room = usize::try_from(room).unwrap_or(usize::MAX).clamp(1, READ_BYTES);
        let Some(free) = buffer.get_mut(..room) else { return content };
        match bytes.read(free) {
            Ok(0) => return content,
            Ok(read) => {
                content.digest.add(free.get(..read).unwrap_or_default());
                content.bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return content,
        }
    }
}

fn digest_of(file: &InputFile, bytes: u64) -> Result<Digest, ImportError> {
    let mut digest = Digest::default();
    let mut limited = open_bytes(file)?.take(bytes);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let failed = |source| ImportError::Io { path: file.path.display().to_string(), source };
        let read = limited.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(digest);
        }
        digest.add(buffer.get(..read).unwrap_or_default());
    }
}

fn import_file(
    store: &Store<'_>,
    file: &InputFile,
    added: &mut Imports,
    (options, progress): (ImportOptions, &Progress),
) -> Result<Imported, ImportError> {
    let input = file.path.display().to_string();
    let empty = |outcome| Imported {
        input: input.clone(),
        account: Account::default(),
        problem: None,
        outcome,
        first_day: None,
        written: Written::default(),
    };
    let opened = match open(file) {
        Err(error) if !file.is_named && is_passed_over(&error) => {
            let problem = error.to_string();
            let problem = problem.strip_prefix(&format!("`{input}`: ")).unwrap_or(&problem).to_owned();
            return Ok(Imported { problem: Some(problem), ..empty(Outcome::PassedOver) });
        }
        opened => opened?,
    };
    let content = look_up(open_bytes(file)?, [store.known, added]);
    let (format, framing) = (opened.format, opened.framing);
    if let Some(record) = content.record.as_ref().filter(|record| record.bytes > 0) {
        expect_same(file, format, record)?;
    }
    if content.known == content.bytes && content.bytes > 0 {
        let first_day = content.record.and_then(|record| record.first_day);
        return Ok(Imported { first_day, ..empty(Outcome::Known) });
    }
    let name = content.digest.import_name(content.known);
    store.leftovers.remove(&name)?;
    let mut writer = LakeWriter::new(store.root, &name)?;
    let failed = |source| ImportError::Io { path: input.clone(), source };
    let opened = behind(opened, content.known).map_err(failed)?;
    let decoders = || Decoders::new(true, options.latest);
    let read = read_all((opened, content.known), file.cluster.as_deref(), &mut writer, decoders, progress)?;
    if read.account.used == 0 && content.known > 0 {
        // The rest of a file that breaks off: nothing new in it yet.
        return Ok(empty(Outcome::Known));
    }
    let written = writer.commit()?;
    let bytes = match framing {
        // Objects may go on in what follows, so that only the whole is known.
        Framing::Objects | Framing::Whole => content.bytes,
        Framing::Lines | Framing::Frames | Framing::Messages => read.end.min(content.bytes),
    };
    let digest = if bytes == content.bytes { content.digest } else { digest_of(file, bytes)? };
    let continues = content.record.filter(|record| record.bytes > 0).map(|record| record.digest);
    let record = ImportRecord {
        continues,
        ..record(file, format, &read, (bytes, digest), (name, content.known)).of_days(&written)
    };
    record.write(store.root)?;
    let first_day = record.first_day;
    added.add(record);
    let outcome = if content.known > 0 { Outcome::Continued(content.known) } else { Outcome::Imported };
    Ok(Imported { input, account: read.account, problem: read.problem, outcome, first_day, written })
}

/// Refuses a content that the store has as something else. Who names no cluster contradicts none.
fn expect_same(file: &InputFile, format: Format, record: &ImportRecord) -> Result<(), ImportError> {
    let path = || file.path.display().to_string();
    if format.as_str() != record.format {
        let (known, given) = (format!("as `{}`", record.format), format!("as `{format}`"));
        return Err(ImportError::Otherwise { path: path(), known, given });
    }
    match &file.cluster {
        Some(cluster) if *cluster != record.cluster => {
            let of = |cluster: &str| {
                if cluster.is_empty() { "of no named cluster".to_owned() } else { format!("of cluster `{cluster}`") }
            };
            Err(ImportError::Otherwise { path: path(), known: of(&record.cluster), given: of(cluster) })
        }
        _ => Ok(()),
    }
}

/// Whether a file in a folder may be what it is without ending the import of the others.
fn is_passed_over(error: &InputError) -> bool {
    matches!(error, InputError::Unrecognised { .. } | InputError::Io { .. }) || error.is_of_one_file()
}

fn record(
    file: &InputFile,
    format: Format,
    read: &ReadAll,
    (bytes, digest): (u64, Digest),
    (name, from): (String, u64),
) -> ImportRecord {
    let account = &read.account;
    ImportRecord {
        schema: "egress-atlas-import/1".to_owned(),
        input: file.path.display().to_string(),
        format: format.as_str().to_owned(),
        cluster: file.cluster.clone().unwrap_or_default(),
        bytes,
        digest: digest.text(),
        name,
        from,
        read: account.read,
        used: account.used,
        rejected: account.rejected.iter().map(|(reason, count)| (reason.0.to_owned(), count.records)).collect(),
        excluded: account.excluded.iter().map(|(reason, count)| (reason.0.to_owned(), *count)).collect(),
        problem: read.problem.clone(),
        continues: None,
        first_day: None,
        last_day: None,
        has_undated: false,
    }
}

/// The stream from byte `from` on. A capture of frames gets a beginning of its own again; one of messages is kept whole,
/// because what follows means nothing without the templates before it.
fn behind(mut opened: Opened, from: u64) -> io::Result<Opened> {
    if from > 0 && opened.framing != Framing::Messages {
        io::copy(&mut (&mut opened.bytes).take(from), &mut io::sink())?;
        if opened.framing == Framing::Frames {
            opened.bytes = Box::new(Cursor::new(start_frame()).chain(opened.bytes));
        }
    }
    Ok(opened)
}

/// What was read of one stream.
struct ReadAll {
    account: Account,
    problem: Option<String>,
    /// Behind the last record, in the whole stream.
    end: u64,
}

fn read_all(
    (opened, from): (Opened, u64),
    cluster: Option<&str>,
    writer: &mut LakeWriter,
    new_decoders: impl Fn() -> Decoders,
    progress: &Progress,
) -> Result<ReadAll, ImportError> {
    let (format, framing, header) = (opened.format, opened.framing, opened.header.clone());
    // Offsets count from where reading began, behind the start frame that was put there.
    let added = if from > 0 && framing == Framing::Frames { start_frame().len() as u64 } else { 0 };
    let place = |offset: u64| {
        // Those of messages count from the beginning of the stream.
        if framing == Framing::Messages { offset } else { (offset + from).saturating_sub(added) }
    };
    let mut source: Box<dyn ChunkSource> = match framing {
        Framing::Messages => Box::new(IpfixChunks::behind(opened.bytes, from)),
        _ => chunks(opened),
    };
    let (mut chunk, mut batch) = (Vec::new(), Batch::default());
    let mut decoders = new_decoders();
    let mut read = ReadAll { account: Account::default(), problem: None, end: from };
    loop {
        let mut account = Account::default();
        let offset = match source.next_chunk(&mut chunk, &mut account) {
            Ok(Some(offset)) => place(offset),
            Ok(None) => {
                read.account.absorb(&account);
                return Ok(read);
            }
            Err(error) => {
                read.account.absorb(&account);
                read.problem = Some(error.to_string());
                return Ok(read);
            }
        };
        batch.clear();
        let vocabulary = &mut writer.vocabulary;
        let layout = Layout { format, framing, header: header.as_deref(), with_cluster_ids: cluster.is_none() };
        decoders.decode(layout, (&chunk, offset), vocabulary, &mut batch, &mut account);
        let cluster = cluster.map_or(TextId::NONE, |name| writer.vocabulary.text(name));
        writer.add(&batch, cluster);
        let is_whole = framing != Framing::Lines || chunk.ends_with(b"\n") || account.rejected_total() == 0;
        if is_whole {
            read.end = offset.wrapping_add(chunk.len() as u64);
        }
        progress.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        progress.records.fetch_add(account.read, Ordering::Relaxed);
        read.account.absorb(&account);
        if writer.is_full() {
            writer.flush()?;
            // Decoders remember numbers of the vocabulary: both begin anew.
            writer.vocabulary = crate::model::Vocabulary::default();
            decoders = new_decoders();
        }
    }
}
