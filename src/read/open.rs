//! Opening a file: decompression and format by content, never by file name.
//!
//! In: an [`InputFile`]. Out: its format and a stream of decompressed bytes. Decompression is streamed, so a bomb costs time and no
//! memory; the window of zstd is bounded.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use super::input::{Format, InputError, InputFile};
use super::recognise::{Unusable, framing, header, recognise, unusable};

/// How much of the decompressed content is looked at to recognise a format.
const HEAD_BYTES: u64 = 64 << 10;
/// The largest window that zstd may ask for, as a power of two: 128 MiB, what `zstd -d` itself allows.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A stream of decompressed bytes.
pub type Bytes = Box<dyn Read + Send>;

/// How the records of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One record a line.
    Lines,
    /// Multi-line JSON objects.
    Objects,
    /// Frame Streams.
    Frames,
    /// IPFIX messages.
    Messages,
    /// The whole stream is one document.
    Whole,
}

/// An opened input.
pub struct Opened {
    /// What it holds.
    pub format: Format,
    /// How its records are told apart.
    pub framing: Framing,
    /// The first line, when it names the columns of a table.
    pub header: Option<String>,
    /// Its decompressed bytes, from the beginning.
    pub bytes: Bytes,
}

/// The beginning that was looked at, then what made reading it fail if anything did, then the rest.
struct Reread {
    head: Cursor<Vec<u8>>,
    failed: Option<io::Error>,
    rest: Bytes,
}

impl Read for Reread {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 if !buffer.is_empty() => match self.failed.take() {
                Some(error) => Err(error),
                None => self.rest.read(buffer),
            },
            count => Ok(count),
        }
    }
}

/// Looks at the beginning of a stream without losing it.
fn look(mut rest: Bytes, bytes: u64) -> (Vec<u8>, Bytes) {
    let mut head = Vec::new();
    let failed = (&mut rest).take(bytes).read_to_end(&mut head).err();
    (head.clone(), Box::new(Reread { head: Cursor::new(head), failed, rest }))
}

fn decompressed(raw: Bytes) -> io::Result<Bytes> {
    let (magic, raw) = look(raw, 4);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 18, raw))),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::stream::read::Decoder::new(raw)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        _ => raw,
    })
}

/// Opens a file's decompressed bytes.
pub fn open_bytes(file: &InputFile) -> Result<Bytes, InputError> {
    let failed = |source| InputError::Io { path: file.path.display().to_string(), source };
    let raw: Bytes =
        if file.is_stdin() { Box::new(io::stdin()) } else { Box::new(File::open(&file.path).map_err(failed)?) };
    decompressed(raw).map_err(failed)
}

/// Opens a file of flows or DNS messages and recognises what it holds.
pub fn open(file: &InputFile) -> Result<Opened, InputError> {
    let path = || file.path.display().to_string();
    if file.format == Some(Format::Kube) {
        return Err(InputError::Objects { path: path() });
    }
    let (head, bytes) = look(open_bytes(file)?, HEAD_BYTES);
    let (format, framing) = match file.format {
        Some(format) => (format, framing(format, &head)),
        None => match recognise(&head) {
            Some(found) => found,
            None if begins_with_object(&head) || head.iter().all(u8::is_ascii_whitespace) => {
                (Format::Hubble, framing(Format::Hubble, &head))
            }
            None => {
                return Err(match unusable(&head) {
                    Some(Unusable::QueryLog) => InputError::QueryLog { path: path() },
                    Some(Unusable::OldCalico) => InputError::OldCalico { path: path() },
                    Some(Unusable::Packets) => InputError::Packets { path: path() },
                    Some(Unusable::Table) => InputError::Table { path: path() },
                    None => InputError::Unrecognised { path: path() },
                });
            }
        },
    };
    let header = header(format, &head);
    Ok(Opened { format, framing, header, bytes })
}

/// Whether the first line is a JSON object of whatever kind: its records are counted and excluded by name.
fn begins_with_object(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.iter().all(u8::is_ascii_whitespace));
    line.is_some_and(|line| line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok())
}
