//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod baseline;
mod ingest;
mod judge;

pub use baseline::known_destinations;
pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, judge_against, worst_open};
