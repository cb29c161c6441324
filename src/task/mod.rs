//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod baseline;
mod draft;
mod ingest;
mod judge;
mod known;

pub use baseline::of_baseline;
pub use draft::{BaselineError, baselines, read_atlas, unproven};
pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, judge_against, worst_open};
pub use known::known_destinations;
