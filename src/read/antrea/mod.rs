//! Antrea: the aggregator's flow log, S3 and `ClickHouse` exports, its JSON records, and the policy audit log of nodes.
//!
//! In: chunks of lines or objects. Out: flow rows. Every form is brought into one [`record`], which alone decides what a
//! record means; IPFIX messages end there too.

mod audit;
mod csv;
mod decoder;
mod flow_log;
pub(super) mod message;
pub(super) mod record;

pub(super) use audit::{PARTIAL, is_audit_line};
pub(super) use csv::{is_header, is_row};
pub use decoder::{AntreaCsvDecoder, AntreaLogDecoder};
pub(super) use flow_log::is_flow_log_line;
