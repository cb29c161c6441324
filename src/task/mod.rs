//! Units of work: read, join, summarise, judge. The same for one machine and for many.

mod import;
mod ingest;
mod judge;
mod seal;
mod store;

pub use import::{ImportError, Imported, Outcome, import};
pub use ingest::{IngestError, IngestOptions, Ingested, Progress, ingest};
pub use judge::{judge, worst_open};
pub use seal::StoreSealer;
pub use store::{StoreError, StoreRead, read_store};
