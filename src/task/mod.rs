//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod audit;
mod baseline;
mod draft;
mod feeds;
mod import;
mod ingest;
mod judge;
mod known;
mod seal;
mod store;

pub use audit::lint_cluster;
pub use baseline::of_baseline;
pub use draft::{baselines, unproven};
pub use import::{ImportError, ImportOptions, Imported, Outcome, import};
pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, judge_against, worst_open};
pub use known::known_destinations;
pub use seal::StoreSealer;
pub use store::{StoreError, StoreRead, read_store};
