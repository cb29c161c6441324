//! IPFIX (RFC 7011), as Antrea's flow exporters and aggregator send it and as files of messages keep it.
//!
//! In: bytes of a capture, of a connection, or datagrams. Out: flow rows, losses by sequence numbers, the account.
//! Fields are read by their number and never by position, and unknown ones are skipped by length, so that every
//! version and option of an exporter is read alike. Structured data is skipped.

mod chunks;
mod decoder;
mod elements;
mod relay;
mod session;
mod template;

pub use chunks::IpfixChunks;
pub use decoder::IpfixDecoder;
pub use relay::IpfixRelay;
pub use session::{Lost, sniff};
