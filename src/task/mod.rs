//! Units of work: read, join, summarise. The same for one machine and for many.

mod ingest;

pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
