//! The join: connections × answers → connections with a name and the evidence for it.
//!
//! In: flow and answer rows of many workers, folded as they come ([`Fold`]). Records of one connection (observation
//! points, both nodes, replies, periodic repeats) become one [`Connection`]; its client is a pod for a time; its name is
//! what that very pod had asked. Out: [`Attributed`] connections. Nothing here opens an input, reads a clock or logs; the
//! only files touched are the temporary ones that bound memory.

mod answers;
mod clocks;
pub mod codec;
mod connection;
mod fold;
mod join;
pub mod oracle;
mod orientation;
mod parked;
mod partial_read;
mod partial_write;
mod parties;
mod pipeline;
mod questions;
mod rank;
mod rows;
mod spill;
mod volumes;

pub use answers::Answer;
pub use connection::Connection;
pub use fold::{Fold, FoldLimits};
pub use join::{Attributed, Candidate, JoinOptions};
pub use partial_read::PartialError;
pub use partial_write::Folded;
pub use parties::{Parties, Party, PartyId};
pub use pipeline::{Evidence, Named, Parted, Passes, Sink, attribute};
pub use questions::Questions;
pub use rows::{AttributedRow, Rows, in_order};
pub use volumes::Counts;
