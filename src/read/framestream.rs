//! Frame Streams captures: bytes in, chunks of whole data frames out.
//!
//! The format is that of the fstrm library: a big-endian length before each data frame, and a length of zero before
//! each control frame. A capture is START, data, STOP; one taken from a connection begins with READY; several may
//! follow each other in one file. A capture cut short is read to its last whole frame. Memory is bounded by the frame
//! cap and never reserved from a length that was not checked. What is in a frame is none of this file's business.

use std::io::{ErrorKind, Read};

use super::framestream_control::{CONTROL_BYTES_MAX, Control, LENGTH_BYTES, check_content_types, u32_at};

/// The usual cap on one data frame, in bytes. A dnstap frame of a DNS message of full size stays below 128 KiB.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The only content type that is read.
pub const CONTENT_TYPE: &str = "protobuf:dnstap.Dnstap";

/// About how many bytes of frames one chunk holds.
const CHUNK_BYTES: usize = 1 << 20;
/// The least that one read asks for.
const READ_BYTES_MIN: usize = 1 << 14;
/// How many times the cap a frame may have and still be skipped; beyond it, the length itself is taken for garbage.
const SKIP_FACTOR: u64 = 16;

/// Why a Frame Streams capture cannot be read (further). Offsets count bytes of the uncompressed stream.
///
/// After [`FrameStreamError::FrameTooLong`] the capture can be read on; every other error ends it. All frames before
/// an error have been delivered before the error is.
#[derive(Debug, thiserror::Error)]
pub enum FrameStreamError {
    /// The capture carries something else than dnstap.
    #[error("the capture holds `{found}` at byte {offset}, not `{CONTENT_TYPE}`")]
    ContentType {
        /// The content type that was found, control characters escaped.
        found: String,
        /// Where its control frame begins.
        offset: u64,
    },
    /// Frames without a START before them.
    #[error("{found} at byte {offset} comes before any START frame: is this one side of a session, or no capture?")]
    NoStart {
        /// What was found instead.
        found: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// A control frame that does not keep to the format.
    #[error("broken control frame at byte {offset}: {fault}")]
    BrokenControl {
        /// What is wrong with it.
        fault: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// A data frame above the cap. It was skipped; the capture can be read on.
    #[error("the frame at byte {offset} has {length} bytes, more than the limit of {limit}")]
    FrameTooLong {
        /// Its length in bytes.
        length: u32,
        /// The cap in bytes.
        limit: usize,
        /// Where it begins.
        offset: u64,
    },
    /// A length that no capture has: the framing is lost.
    #[error("broken frame length {length} at byte {offset}: the rest of the capture cannot be read")]
    BrokenLength {
        /// The length that was read.
        length: u32,
        /// Where it stands.
        offset: u64,
    },
    /// The source failed.
    #[error("reading failed at byte {offset}")]
    Io {
        /// How many bytes were read before.
        offset: u64,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
}

impl FrameStreamError {
    /// Whether [`FrameSplitter::next_chunk`] goes on behind this error.
    pub const fn can_continue(&self) -> bool {
        matches!(self, Self::FrameTooLong { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before START: at the beginning, or behind READY.
    Handshake,
    /// Between START and STOP.
    Data,
    /// Behind STOP: the end, or the next capture.
    Stopped,
    /// At the end, or behind an error.
    Finished,
}

/// Splits a Frame Streams capture (unidirectional START… or bidirectional READY/ACCEPT/START…, concatenated captures
/// too) into chunks of whole data frames.
pub struct FrameSplitter<R> {
    reader: R,
    frame_bytes_max: usize,
    buffer: Vec<u8>,
    // What is read and not yet handed out lies at `start..end` of the buffer.
    start: usize,
    end: usize,
    // Stream offset of `start`.
    offset: u64,
    state: State,
    truncated: bool,
    failure: Option<std::io::Error>,
    at_end: bool,
}

impl<R: Read> FrameSplitter<R> {
    /// Splits what `reader` gives (uncompressed). A data frame above `frame_bytes_max` bytes is an error.
    pub fn new(reader: R, frame_bytes_max: usize) -> Self {
        Self {
            reader,
            frame_bytes_max,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            state: State::Handshake,
            truncated: false,
            failure: None,
            at_end: false,
        }
    }

    /// Whether the capture, or one of several, ended without STOP or inside a frame. Normal after a crash.
    pub fn was_truncated(&self) -> bool {
        self.truncated
    }

    /// Clears and fills `chunk` with several whole data frames (each: u32 big-endian length and payload), about
    /// 1 MiB in all; returns the stream offset of the first one, `None` at the end.
    ///
    /// The frames of a chunk lie next to each other in the stream, so that offset and position give the place of
    /// each. A frame above the cap is skipped and returned as an error once, and the next call goes on behind it:
    /// the caller, who keeps the account, counts it. When its length is more than sixteen times the cap, the framing
    /// is taken for lost, and the capture ends there.
    pub fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> Result<Option<u64>, FrameStreamError> {
        chunk.clear();
        let result = self.advance(chunk);
        match &result {
            Ok(Some(_)) => {}
            Err(error) if error.can_continue() => {}
            Ok(None) | Err(_) => self.state = State::Finished,
        }
        result
    }

    fn advance(&mut self, chunk: &mut Vec<u8>) -> Result<Option<u64>, FrameStreamError> {
        while self.state != State::Finished {
            self.fill(LENGTH_BYTES);
            let Some(length) = u32_at(self.available(), 0) else {
                return self.finish();
            };
            if length == 0 {
                if !self.control()? {
                    return self.finish();
                }
                continue;
            }
            match self.state {
                State::Data => return self.data(length, chunk),
                _ => return Err(FrameStreamError::NoStart { found: "a data frame", offset: self.offset }),
            }
        }
        Ok(None)
    }

    /// Hands out the whole frames that lie next to each other, the first of which is `first_length` long.
    fn data(&mut self, first_length: u32, chunk: &mut Vec<u8>) -> Result<Option<u64>, FrameStreamError> {
        if !self.fits(first_length) {
            return Err(self.refuse_length(first_length));
        }
        let first_bytes = frame_bytes(first_length);
        self.fill(first_bytes.max(CHUNK_BYTES));
        let available = self.available();
        let mut taken = 0;
        while let Some(length) = u32_at(available, taken) {
            let end = taken.saturating_add(frame_bytes(length));
            if length == 0 || !self.fits(length) || end > available.len() || (taken > 0 && end > CHUNK_BYTES) {
                break;
            }
            taken = end;
        }
        let Some(frames) = available.get(..taken).filter(|frames| !frames.is_empty()) else {
            return self.finish();
        };
        chunk.extend_from_slice(frames);
        let first = self.offset;
        self.consume(taken);
        Ok(Some(first))
    }

    fn fits(&self, length: u32) -> bool {
        usize::try_from(length).is_ok_and(|length| length <= self.frame_bytes_max)
    }

    fn refuse_length(&mut self, length: u32) -> FrameStreamError {
        let offset = self.offset;
        let limit = self.frame_bytes_max;
        if u64::from(length) > (limit as u64).saturating_mul(SKIP_FACTOR) {
            return FrameStreamError::BrokenLength { length, offset };
        }
        self.skip(frame_bytes(length));
        FrameStreamError::FrameTooLong { length, limit, offset }
    }

    fn skip(&mut self, bytes: usize) {
        let mut left = bytes;
        loop {
            let step = left.min(self.end - self.start);
            self.consume(step);
            left -= step;
            if left == 0 {
                return;
            }
            self.fill(left.min(CHUNK_BYTES));
            if self.start == self.end {
                // The end came first: what follows finds no bytes and reports the cut.
                self.truncated = true;
                return;
            }
        }
    }

    /// Reads one control frame; `false` when the capture ends inside it.
    fn control(&mut self) -> Result<bool, FrameStreamError> {
        let offset = self.offset;
        let broken = |fault| FrameStreamError::BrokenControl { fault, offset };
        self.fill(2 * LENGTH_BYTES);
        let Some(length) = u32_at(self.available(), LENGTH_BYTES).map(|length| length as usize) else {
            return Ok(false);
        };
        if length > CONTROL_BYTES_MAX {
            return Err(broken("it is longer than 512 bytes"));
        }
        if length < LENGTH_BYTES {
            return Err(broken("it is too short to have a type"));
        }
        let bytes = 2 * LENGTH_BYTES + length;
        self.fill(bytes);
        let Some(payload) = self.available().get(2 * LENGTH_BYTES..bytes) else {
            return Ok(false);
        };
        let control = u32_at(payload, 0).map_or(Control::Unknown, Control::from_number);
        let fields = payload.get(LENGTH_BYTES..).unwrap_or_default();
        let next = match (control, self.state) {
            (Control::Start, _) => {
                check_content_types(fields, Some(1), offset)?;
                State::Data
            }
            (Control::Ready, _) | (Control::Accept, State::Handshake) => {
                check_content_types(fields, None, offset)?;
                State::Handshake
            }
            (Control::Stop, State::Data) => State::Stopped,
            (Control::Stop | Control::Finish, State::Handshake) => {
                return Err(FrameStreamError::NoStart { found: control.name(), offset });
            }
            (Control::Unknown, State::Handshake) => return Err(broken("its type is unknown")),
            // The other side of a session, or a later version of the format.
            (_, state) => state,
        };
        // A new capture begins before the last one was closed.
        self.truncated |= self.state == State::Data && matches!(control, Control::Start | Control::Ready);
        self.state = next;
        self.consume(bytes);
        Ok(true)
    }

    /// The end of what can be read: of the capture, or of the source by a failure.
    fn finish(&mut self) -> Result<Option<u64>, FrameStreamError> {
        if let Some(source) = self.failure.take() {
            return Err(FrameStreamError::Io { offset: self.offset + (self.end - self.start) as u64, source });
        }
        self.truncated |= self.state != State::Stopped || self.start != self.end;
        Ok(None)
    }

    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads until `wanted` bytes are available, the source ends, or it fails (then `failure` says why).
    fn fill(&mut self, wanted: usize) {
        if self.end - self.start >= wanted || self.at_end {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < wanted {
            // Bytes that arrived pay for more room, a length alone does not.
            let room = self.end + self.end.clamp(READ_BYTES_MIN, CHUNK_BYTES);
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            let Some(free) = self.buffer.get_mut(self.end..) else {
                return;
            };
            match self.reader.read(free) {
                Ok(0) => {
                    self.at_end = true;
                    return;
                }
                // A reader that claims more than it was given is not believed.
                Ok(bytes) => self.end = (self.end + bytes).min(self.buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    self.at_end = true;
                    return;
                }
            }
        }
    }
}

/// Whether the first bytes of an input are those of a Frame Streams capture (of any content type); 12 bytes suffice.
pub fn sniff(head: &[u8]) -> bool {
    let (Some(0), Some(length), Some(control)) = (u32_at(head, 0), u32_at(head, 4), u32_at(head, 8)) else {
        return false;
    };
    (LENGTH_BYTES..=CONTROL_BYTES_MAX).contains(&(length as usize)) && Control::from_number(control) != Control::Unknown
}

/// Length prefix and payload.
const fn frame_bytes(length: u32) -> usize {
    (length as usize).saturating_add(LENGTH_BYTES)
}
