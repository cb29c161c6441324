//! How a followed file begins: plain or compressed, and with which line, since a file is known by its first line.
//!
//! In: a path. Out: the file's bytes and what it is known by; or its only line, whose end has not come. Nothing is remembered here.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::model::fnv1a;
use crate::read::{Bytes, InputFile, open_bytes};

/// A first line that is longer is cut here: it is unique long before.
const FIRST_LINE_MAX: u64 = 64 << 10;
/// Zstandard and gzip.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// How a file begins.
pub(super) enum First {
    /// With a whole line.
    Whole(Opened),
    /// With a line that has no end, and nothing else.
    Unfinished(Vec<u8>),
}

/// A file that has at least one whole line.
pub(super) struct Opened {
    pub(super) bytes: Bytes,
    /// What the file is known by.
    pub(super) key: u64,
    pub(super) first: Vec<u8>,
    /// Its path, unless it is compressed.
    pub(super) plain: Option<PathBuf>,
}

impl Opened {
    /// Opens a file. With `is_final`, a compressed one that breaks off in its first line has that as its line.
    pub(super) fn at(path: &Path, is_final: bool) -> io::Result<First> {
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
        let is_whole = line.ends_with(b"\n") || line.len() as u64 >= FIRST_LINE_MAX;
        if let Err(error) = read
            && !(is_final && compressed && !line.is_empty())
        {
            return Err(error);
        }
        if line.is_empty() || (!is_whole && !compressed) {
            return Ok(First::Unfinished(line));
        }
        let (key, plain) = (fnv1a(&line), (!compressed).then(|| path.to_owned()));
        Ok(First::Whole(Self { bytes: open()?, key, first: line, plain }))
    }

    /// Passes over the beginning.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
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
