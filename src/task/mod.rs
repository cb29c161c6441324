//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod ingest;
mod judge;

pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, judge_against, worst_open};
