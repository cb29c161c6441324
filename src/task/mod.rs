//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod audit;
mod baseline;
mod draft;
mod enforced;
mod feeds;
mod import;
mod ingest;
mod judge;
mod known;
mod seal;
pub mod slices;
mod store;

pub use audit::lint_cluster;
pub use baseline::{of_baseline, of_baseline_days};
pub use draft::{baselines, unproven};
pub use enforced::enforced;
pub use import::{ImportError, ImportOptions, Imported, Outcome, import};
pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, judge_against, worst_open};
pub use known::known_destinations;
pub use seal::StoreSealer;
pub use store::{StoreError, StoreRead, read_store};
