//! The file of a partial result: what it is, what it holds, and a checksum over both.
//!
//! In and out: one file. It begins with a mark and a header in JSON, then what the ledger says, then the fold; it ends with SHA-256 of
//! all before. It is written beside its place and moved there when it is on disk, so that whoever runs a slice twice, or
//! at once in two places, leaves one file. Reading distrusts it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::manifest::{FORM, ManifestError, VERSION};
use super::taught::Taught;
use crate::attribute::codec::{Decoder, Encoder, Malformed};
use crate::attribute::{Fold, Folded, PartialError};
use crate::collect::durable::sync_folder;
use crate::lake::{LakeError, Table};
use crate::model::{Account, Place};
use crate::task::ingest::OUTSIDE_WINDOW;
use crate::task::store::BROKEN_ROW;

/// What every partial result begins with.
const MARK: &[u8; 8] = b"EGATLASP";
/// The ending of its name.
pub(super) const ENDING: &str = "partial";
const CHECKSUM_BYTES: u64 = 32;
/// Headers hold a few numbers, and the names of files that cannot be read.
const HEADER_BYTES_MAX: u64 = 1 << 28;

/// Why a slice cannot be run, or its partial result not be used.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// The manifest.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The store.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The store, in a bucket.
    #[error("{0}")]
    Remote(String),
    /// A file of the store is not the one that was planned.
    #[error("`{path}` has {found} bytes, and {planned} when this was planned: the store has changed; plan again")]
    OtherFile {
        /// Which.
        path: String,
        /// Its size now.
        found: u64,
        /// Its size then.
        planned: u64,
    },
    /// The temporary folder is full or not writable.
    #[error("temporary file: {0}; set TMPDIR to a folder with room")]
    Park(io::Error),
    /// A partial result cannot be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// Which.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A partial result is not what `task run` writes.
    #[error("`{path}`: {reason}; run its slice again")]
    Broken {
        /// Which.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Partial results do not fit the manifest.
    #[error("{0}")]
    Unfit(String),
}

/// What a partial result says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) form: u32,
    pub(super) version: String,
    pub(super) manifest: String,
    pub(super) slice: u32,
    /// Digest of the slice's line.
    pub(super) line: String,
    /// By table.
    pub(super) accounts: BTreeMap<String, Rows>,
    /// Files that cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// What became of the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    read: u64,
    used: u64,
    broken: u64,
    outside: u64,
}

impl Rows {
    pub(super) fn of(account: &Account) -> Self {
        Self {
            read: account.read,
            used: account.used,
            broken: account.rejected_total(),
            outside: account.excluded_total(),
        }
    }

    fn account(self) -> Account {
        let mut account = Account { read: self.read, used: self.used, ..Account::default() };
        if self.broken > 0 {
            let count = crate::model::RejectCount { records: self.broken, first: Place::Byte(0) };
            account.rejected.insert(BROKEN_ROW, count);
        }
        if self.outside > 0 {
            account.excluded.insert(OUTSIDE_WINDOW, self.outside);
        }
        account
    }

    fn is_sound(self) -> bool {
        let parts = [self.used, self.broken, self.outside];
        [self.read, self.used, self.broken, self.outside].iter().all(|count| *count < 1 << 56)
            && parts.iter().sum::<u64>() == self.read
    }
}

impl Header {
    pub(super) fn new(manifest: &str, slice: u32, line: String) -> Self {
        Self {
            form: FORM,
            version: VERSION.to_owned(),
            manifest: manifest.to_owned(),
            slice,
            line,
            accounts: BTreeMap::new(),
            unreadable: Vec::new(),
        }
    }

    /// The accounts by table.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (Table, Account)> + '_ {
        let table = |name: &str| Table::ALL.into_iter().find(|table| table.as_str() == name);
        self.accounts.iter().filter_map(move |(name, rows)| Some((table(name)?, rows.account())))
    }
}

/// The name of a slice's file.
pub(super) fn file_name(slice: u32) -> String {
    format!("slice-{slice:06}.{ENDING}")
}

/// Counts and digests what goes through it.
struct Checked<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a partial result to its place in `folder`; its size, and what the fold held.
pub(super) fn write(
    folder: &Path,
    header: &Header,
    taught: &Taught,
    fold: Fold,
) -> Result<(PathBuf, u64, Folded), SliceError> {
    let path = folder.join(file_name(header.slice));
    let failed = |source| SliceError::Io { path: path.display().to_string(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(folder).map_err(failed)?;
    let (size, held) = write_content(file.as_file_mut(), header, taught, fold).map_err(failed)?;
    readable_by_all(file.as_file()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    sync_folder(folder).map_err(failed)?;
    Ok((path, size, held))
}

fn write_content(file: &mut File, header: &Header, taught: &Taught, fold: Fold) -> io::Result<(u64, Folded)> {
    let mut out = Checked { out: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    let header = serde_json::to_vec(header)?;
    let mut ledger = Encoder::default();
    taught.write(&mut ledger);
    out.write_all(MARK)?;
    for part in [&header, &ledger.0] {
        out.write_all(&(part.len() as u64).to_le_bytes())?;
        out.write_all(part)?;
    }
    let folded = fold.write(&mut out)?;
    let checksum = out.hash.finalize();
    out.out.write_all(&checksum)?;
    out.out.flush()?;
    Ok((out.bytes + CHECKSUM_BYTES, folded))
}

/// Whoever merges may be another user than whoever ran.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &File) -> io::Result<()> {
    Ok(())
}

/// A partial result that is open: its header is read, the rest is not.
pub(super) struct Opened {
    pub(super) header: Header,
    path: PathBuf,
    rest: io::Take<BufReader<File>>,
}

/// Opens a partial result and reads its header.
pub(super) fn open(path: &Path) -> Result<Opened, SliceError> {
    let failed = |source| SliceError::Io { path: path.display().to_string(), source };
    let broken = |reason: &str| SliceError::Broken { path: path.display().to_string(), reason: reason.to_owned() };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let Some(content) = bytes.checked_sub(CHECKSUM_BYTES) else { return Err(broken("it ends early")) };
    let mut rest = BufReader::new(file).take(content);
    let mut mark = [0; 8];
    rest.read_exact(&mut mark).map_err(|_| broken("it ends early"))?;
    if mark != *MARK {
        return Err(broken("it is no partial result"));
    }
    let header = section(&mut rest).map_err(failed)?.ok_or_else(|| broken("it ends early"))?;
    let header: Header =
        serde_json::from_slice(&header).map_err(|error| broken(&format!("its header is damaged: {error}")))?;
    if !header.accounts.values().all(|rows| rows.is_sound()) {
        return Err(broken("its account does not balance"));
    }
    Ok(Opened { header, path: path.to_owned(), rest })
}

/// A length and as many bytes; `None` when there are fewer.
fn section(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    if length > HEADER_BYTES_MAX {
        return Ok(None);
    }
    input.take(length).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == length).then_some(bytes))
}

impl Opened {
    /// Checks the checksum, then adds everything to a fold and to what the ledger says.
    pub(super) fn add_to(self, fold: &mut Fold, taught: &mut Taught) -> Result<(), SliceError> {
        let path = self.path.display().to_string();
        let failed = |source| SliceError::Io { path: path.clone(), source };
        let broken = |reason: String| SliceError::Broken { path: path.clone(), reason };
        if !is_whole(&self.path).map_err(failed)? {
            return Err(broken("its checksum is wrong: it was cut or damaged".to_owned()));
        }
        let mut rest = self.rest;
        let ledger = section(&mut rest).map_err(failed)?.ok_or_else(|| broken("it ends early".to_owned()))?;
        let mut ledger = Decoder(&ledger);
        let read = |ledger: &mut Decoder<'_>| -> Result<Taught, Malformed> {
            let taught = Taught::read(ledger)?;
            ledger.end()?;
            Ok(taught)
        };
        taught.absorb(read(&mut ledger).map_err(|error| broken(error.to_string()))?);
        fold.read(&mut rest).map_err(|error| match error {
            PartialError::Io(source) => failed(source),
            PartialError::Malformed(reason) => broken(reason.to_string()),
        })
    }
}

/// Whether the last bytes of a file are the checksum of the others.
fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let Some(content) = bytes.checked_sub(CHECKSUM_BYTES) else { return Ok(false) };
    let mut hash = Sha256::new();
    let mut input = (&mut file).take(content);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    file.seek(SeekFrom::Start(content))?;
    let mut checksum = Vec::new();
    file.read_to_end(&mut checksum)?;
    Ok(hash.finalize().as_slice() == checksum.as_slice())
}
