//! One connection that speaks Frame Streams, without the connection: bytes in, events out.
//!
//! Accepts senders that begin with READY (bidirectional) and with START (unidirectional). Memory is bounded by the frame cap and
//! one read. A frame above the cap is skipped and counted; a length that no sender means ends the session, and so does every other
//! fault: framing that is lost cannot be found again. What is in a frame is none of this file's business.

use crate::read::framestream::{FRAME_BYTES_MAX, FrameStreamError};
use crate::read::{CONTROL_BYTES_MAX, Control, check_content_types, control_frame, u32_at};

/// What a session asks its owner to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes.
    Reply(Vec<u8>),
    /// Keep these whole data frames (each: big-endian length and payload).
    Frames(Vec<u8>),
    /// The sender has ended: when everything is kept, send these bytes and close.
    Stop(Vec<u8>),
}

/// Why a session must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else than dnstap is offered.
    #[error("content type is not dnstap")]
    ContentType,
    /// A control frame that does not keep to the format.
    #[error("broken control frame")]
    Control,
    /// Data before START.
    #[error("data before START")]
    NoStart,
    /// A length that no sender means.
    #[error("broken frame length")]
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Data,
    Stopped,
}

/// Lengths beyond this many times the cap are garbage.
const SKIP_FACTOR: usize = 16;
/// About how many bytes of frames one event holds.
const CHUNK_BYTES: usize = 256 << 10;

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    buffer: Vec<u8>,
    start: usize,
    skip: usize,
    /// Data frames so far.
    pub frames: u64,
    /// Frames above the cap.
    pub too_long: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self { state: State::Opening, buffer: Vec::new(), start: 0, skip: 0, frames: 0, too_long: 0 }
    }
}

impl Session {
    /// Takes bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// Whether the handshake is over.
    pub fn has_begun(&self) -> bool {
        self.state != State::Opening
    }

    /// Bytes of a frame whose end has not arrived.
    pub fn is_inside_frame(&self) -> bool {
        self.start < self.buffer.len() || self.skip > 0
    }

    /// The next event; `None` until more bytes arrive.
    pub fn next_event(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            let available = self.buffer.get(self.start..).unwrap_or_default();
            let Some(length) = u32_at(available, 0).map(|length| length as usize) else { return Ok(None) };
            if self.state == State::Stopped {
                return Ok(None);
            }
            if length == 0 {
                match self.control()? {
                    Step::Wait => return Ok(None),
                    Step::Went => {}
                    Step::Event(event) => return Ok(Some(event)),
                }
                continue;
            }
            if self.state != State::Data {
                return Err(Fault::NoStart);
            }
            if length > FRAME_BYTES_MAX {
                if length > FRAME_BYTES_MAX.saturating_mul(SKIP_FACTOR) {
                    return Err(Fault::Length);
                }
                let here = available.len().min(length + 4);
                self.start += here;
                self.skip = length + 4 - here;
                self.too_long += 1;
                continue;
            }
            return Ok(self.data());
        }
    }

    /// Whole frames that lie next to each other.
    fn data(&mut self) -> Option<Event> {
        let available = self.buffer.get(self.start..).unwrap_or_default();
        let (mut taken, mut frames) = (0, 0);
        while let Some(length) = u32_at(available.get(taken..).unwrap_or_default(), 0).map(|length| length as usize) {
            let end = taken + 4 + length;
            if length == 0 || length > FRAME_BYTES_MAX || end > available.len() || (taken > 0 && end > CHUNK_BYTES) {
                break;
            }
            taken = end;
            frames += 1;
        }
        let chunk = available.get(..taken).filter(|chunk| !chunk.is_empty())?.to_vec();
        self.start += taken;
        self.frames += frames;
        Some(Event::Frames(chunk))
    }

    fn control(&mut self) -> Result<Step, Fault> {
        let available = self.buffer.get(self.start..).unwrap_or_default();
        let Some(length) = u32_at(available, 4).map(|length| length as usize) else { return Ok(Step::Wait) };
        if !(4..=CONTROL_BYTES_MAX).contains(&length) {
            return Err(Fault::Control);
        }
        let Some(payload) = available.get(8..8 + length) else { return Ok(Step::Wait) };
        let fields = payload.get(4..).unwrap_or_default();
        let check = |most| match check_content_types(fields, most, 0) {
            Ok(()) => Ok(()),
            Err(FrameStreamError::ContentType { .. }) => Err(Fault::ContentType),
            Err(_) => Err(Fault::Control),
        };
        let control = u32_at(payload, 0).map_or(Control::Unknown, Control::from_number);
        let step = match (control, self.state) {
            (Control::Ready, State::Opening) => {
                check(None)?;
                Step::Event(Event::Reply(control_frame(Control::Accept)))
            }
            (Control::Start, State::Opening) => {
                check(Some(1))?;
                self.state = State::Data;
                Step::Went
            }
            (Control::Stop, State::Data) => {
                self.state = State::Stopped;
                Step::Event(Event::Stop(control_frame(Control::Finish)))
            }
            // Types that are not known yet are to be passed over once data flow.
            (Control::Unknown, State::Data) => Step::Went,
            _ => return Err(Fault::Control),
        };
        self.start += 8 + length;
        Ok(step)
    }
}

enum Step {
    Wait,
    Went,
    Event(Event),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(payloads: &[Vec<u8>], with_ready: bool) -> Vec<u8> {
        let mut bytes = if with_ready { control_frame(Control::Ready) } else { Vec::new() };
        bytes.extend(control_frame(Control::Start));
        for payload in payloads {
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(payload);
        }
        bytes.extend(control_frame(Control::Stop));
        bytes
    }

    fn drain(session: &mut Session, kept: &mut Vec<u8>, others: &mut Vec<Event>) -> Result<(), Fault> {
        while let Some(event) = session.next_event()? {
            match event {
                Event::Frames(frames) => kept.extend(frames),
                other => others.push(other),
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_fragmentation_gives_the_same_frames(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
            cuts in prop::collection::vec(1_usize..90, 1..60),
            with_ready: bool,
        ) {
            let bytes = stream(&payloads, with_ready);
            let (mut session, mut kept, mut others) = (Session::default(), Vec::new(), Vec::new());
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, next) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                session.push(piece);
                drain(&mut session, &mut kept, &mut others).unwrap();
                rest = next;
            }
            let expected: Vec<u8> = payloads.iter().flat_map(|payload| {
                [u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec(), payload.clone()].concat()
            }).collect();
            prop_assert_eq!(kept, expected);
            prop_assert_eq!(session.frames, payloads.len() as u64);
            prop_assert_eq!(others.len(), 1 + usize::from(with_ready));
        }

        #[test]
        fn no_bytes_panic_or_are_kept_for_ever(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)) {
            let mut session = Session::default();
            for piece in &pieces {
                session.push(piece);
                if drain(&mut session, &mut Vec::new(), &mut Vec::new()).is_err() {
                    break;
                }
            }
            prop_assert!(session.buffer.len() <= 64 * 40);
        }
    }

    #[test]
    fn faults_end_a_session_and_long_frames_do_not() {
        let fault = |bytes: &[u8]| {
            let mut session = Session::default();
            session.push(bytes);
            drain(&mut session, &mut Vec::new(), &mut Vec::new()).unwrap_err()
        };
        assert_eq!(fault(&[0, 0, 0, 5, 1, 2, 3, 4, 5]), Fault::NoStart);
        assert_eq!(fault(&[0, 0, 0, 0, 0, 0, 3, 0]), Fault::Control);
        let mut foreign = control_frame(Control::Start);
        *foreign.last_mut().unwrap() = b'?';
        assert_eq!(fault(&foreign), Fault::ContentType);
        let mut garbage = control_frame(Control::Start);
        garbage.extend([0xff; 4]);
        assert_eq!(fault(&garbage), Fault::Length);
        let mut session = Session::default();
        let long = vec![7; FRAME_BYTES_MAX + 1];
        let bytes = stream(&[vec![1], long, vec![2]], false);
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(1 << 16) {
            session.push(piece);
            drain(&mut session, &mut kept, &mut others).unwrap();
        }
        assert_eq!(kept, [0, 0, 0, 1, 1, 0, 0, 0, 1, 2]);
        assert_eq!((session.frames, session.too_long), (2, 1));
    }
}
