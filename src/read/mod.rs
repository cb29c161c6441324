//! Bytes → rows: one source per file, every record accounted for.
//!
//! In: files and streams of any origin, all of it untrusted. Out: flow rows, answer rows, losses, and an account. Everything that can
//! be wrong about the outside world is dealt with here; the modules to the right see only rows.

mod ability;
pub mod antrea;
pub mod calico;
mod chunks;
mod decoders;
pub mod dns;
pub mod dns_name;
pub mod dnstap;
pub mod envelope;
pub mod feed;
mod fields;
mod frames;
pub mod framestream;
mod framestream_control;
pub mod hubble;
mod input;
pub mod ipfix;
mod json;
mod json_records;
mod lines;
mod log_line;
mod objects;
mod open;
mod recognise;
mod unanswered;

pub use ability::limit;
pub use chunks::ChunkSource;
pub use decoders::{Decoders, Layout};
pub use dnstap::DnstapDecoder;
pub use frames::FrameChunks;
pub use framestream_control::start_frame;
pub(crate) use framestream_control::{CONTROL_BYTES_MAX, Control, check_content_types, control_frame, u32_at};
pub use hubble::HubbleDecoder;
pub use input::{Format, InputError, InputFile, InputSpec};
pub use ipfix::{IpfixChunks, IpfixDecoder, IpfixRelay};
pub use lines::{LINE_BYTES_MAX, LineChunks};
pub use objects::ObjectChunks;
pub use open::{Bytes, Framing, Opened, open, open_bytes};
