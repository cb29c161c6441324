//! Calico: flow and DNS logs of Enterprise and Cloud, kernel log lines of any Calico, Goldmane's flows.
//!
//! In: chunks of lines or objects. Out: flow rows and answers. Each source has its own holes, and none is filled:
//! aggregated records lack addresses, Goldmane has none, log lines lack verdicts and pods.

mod counts;
mod dns;
mod ends;
mod flows;
mod goldmane;
mod goldmane_wire;
mod kernel_line;
mod log;

pub use dns::CalicoDnsDecoder;
pub(super) use dns::NO_CLIENT;
pub use flows::CalicoDecoder;
pub(super) use flows::NO_DESTINATION_ADDRESS;
pub use goldmane::GoldmaneDecoder;
pub(super) use goldmane_wire::{Piece as GoldmanePiece, request as goldmane_request};
pub use log::CalicoLogDecoder;
pub(super) use log::{NO_VERDICT, is_log_line};
