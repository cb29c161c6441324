//! The control frames of Frame Streams: their types, and the content types they offer.
//!
//! In: the payload of one control frame, already bounded. Out: what it is, or the fault. The framing itself is the
//! splitter's business.

use super::framestream::{CONTENT_TYPE, FrameStreamError};

/// The limit of the fstrm library for a control frame, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 512;
/// The size of every number of the format.
pub(crate) const LENGTH_BYTES: usize = 4;
const FIELD_CONTENT_TYPE: u32 = 1;

/// The control frames of the format; anything else is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Accept,
    Start,
    Stop,
    Ready,
    Finish,
    Unknown,
}

impl Control {
    pub(crate) const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Accept,
            2 => Self::Start,
            3 => Self::Stop,
            4 => Self::Ready,
            5 => Self::Finish,
            _ => Self::Unknown,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accept => "an ACCEPT frame",
            Self::Start => "a START frame",
            Self::Stop => "a STOP frame",
            Self::Ready => "a READY frame",
            Self::Finish => "a FINISH frame",
            Self::Unknown => "an unknown control frame",
        }
    }
}

/// A whole control frame of that type, with the content type of dnstap where the format wants one.
pub(crate) fn control_frame(control: Control) -> Vec<u8> {
    let (number, has_content): (u32, bool) = match control {
        Control::Accept => (1, true),
        Control::Start => (2, true),
        Control::Stop => (3, false),
        Control::Ready => (4, true),
        Control::Finish => (5, false),
        Control::Unknown => (0, false),
    };
    let mut payload = number.to_be_bytes().to_vec();
    if has_content {
        let bytes = CONTENT_TYPE.as_bytes();
        payload.extend(FIELD_CONTENT_TYPE.to_be_bytes());
        payload.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        payload.extend(bytes);
    }
    let mut frame = 0_u32.to_be_bytes().to_vec();
    frame.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
    frame.extend(payload);
    frame
}

/// The control frame that begins a capture.
pub fn start_frame() -> Vec<u8> {
    control_frame(Control::Start)
}

/// Checks the fields of START, READY or ACCEPT: dnstap is among the content types, or none is named.
pub(crate) fn check_content_types(
    mut fields: &[u8],
    at_most: Option<usize>,
    offset: u64,
) -> Result<(), FrameStreamError> {
    let broken = |fault| FrameStreamError::BrokenControl { fault, offset };
    let mut first = None;
    let mut count = 0;
    let mut found = false;
    while !fields.is_empty() {
        let (Some(field), Some(length)) = (u32_at(fields, 0), u32_at(fields, LENGTH_BYTES)) else {
            return Err(broken("a field is cut short"));
        };
        let rest = fields.get(2 * LENGTH_BYTES..).unwrap_or_default();
        let Some((value, next)) = rest.split_at_checked(length as usize) else {
            return Err(broken("a field is longer than the frame"));
        };
        if field != FIELD_CONTENT_TYPE {
            return Err(broken("a field is of an unknown type"));
        }
        count += 1;
        found |= value == CONTENT_TYPE.as_bytes();
        first = first.or(Some(value));
        fields = next;
    }
    if at_most.is_some_and(|most| count > most) {
        return Err(broken("it names more than one content type"));
    }
    match first {
        Some(other) if !found => {
            let found = String::from_utf8_lossy(other).escape_debug().to_string();
            Err(FrameStreamError::ContentType { found, offset })
        }
        _ => Ok(()),
    }
}

/// The number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
