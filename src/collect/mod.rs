//! The live collector: listens and follows, and has everything on disk before it does anything else with it.
//!
//! In: connections of DNS servers and IPFIX exporters, streams of gRPC servers, files of the Hubble exporter. Out: a write-ahead log of what arrived, cut into segments,
//! which a [`Sealer`] turns into the store. The only asynchronous part of the crate. What arrives is not understood here beyond its
//! framing: dnstap cannot be asked again, and a rotated file is gone, so that is read fast, written down, and decoded later.

pub mod durable;
mod feed;
mod first_line;
mod followed;
mod grpc;
mod http;
mod ipfix;
mod journal;
mod listener;
mod metrics;
pub mod record;
mod run;
mod server;
pub mod session;
mod ship;
mod spool;
mod tail;
mod tls;
pub mod wal;

pub use journal::Journal;
pub use metrics::Metrics;
pub use run::{Clock, CollectError, Sealed, Sealer, run};
pub use ship::{Shipped, Shipper};
pub use spool::Quota;
pub use tls::TlsError;
