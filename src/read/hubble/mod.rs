//! Cilium Hubble flows as JSON: what the exporter, the command line, `jq` and log shippers write.
//!
//! In: chunks of whole lines or whole objects. Out: flow rows, answers of the DNS proxy, loss reports, and the account.
//! Ordinary exporter records take a strict scan (`scan`); every record that deviates in any way takes the tolerant
//! parser (`parse`); both meet in one set of facts (`facts`), so that they mean the same. Never trusts
//! `traffic_direction`, which has been wrong for deliveries into pods since Cilium 1.16.

mod cursor;
mod decoder;
mod dns;
mod endpoint;
mod facts;
mod memo;
mod objects;
mod parse;
mod recall;
mod record;
mod response;
mod rows;
mod scan;
mod sniff;

use super::json;
use super::log_line as line;

pub use decoder::HubbleDecoder;
pub use objects::whole_objects;
pub(super) use objects::{Piece, pieces};
pub use response::NodeState;
pub(super) use response::{Response, request};
pub use sniff::{Framing, sniff};
