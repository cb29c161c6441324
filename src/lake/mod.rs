//! The store: rows in Parquet, laid out so that any reader can list them and so that a reader of a window opens little.
//!
//! In: batches of rows from `import` and `collect`. Out: the same rows, in batches again, and the ledger of what the sources
//! delivered. Files appear whole or not at all. There is no index and no manifest: the folder is the truth. Repeats are folded on the way in
//! and unfolded on the way out. Nothing here judges rows or reads a clock.

mod answer_rows;
mod bucket;
mod codec;
mod compact;
mod count_columns;
mod error;
mod flow_rows;
mod frame;
mod imports;
mod layout;
mod ledger;
mod parquet;
mod repeats;
mod retention;
mod rows;
mod scan;
mod write;

pub use bucket::{Bucket, BucketError, BucketShipper, Importing, Mirror, Object, Patience, ShipOptions, Wanted};
pub use compact::{Tidied, compact};
pub use error::LakeError;
pub(crate) use frame::{Columns, Frame};
pub use imports::{Digest, ImportRecord, Imports, Leftovers};
pub use layout::{BUCKETS, Partition, Table, bucket_of, is_store};
pub use ledger::{Ledger, LedgerRow, ledger_pieces, read_ledger, read_ledger_file};
pub(crate) use parquet::FrameWriter;
pub use repeats::IDLE_MIN_NANOS;
pub use retention::{folds, note_folding, note_retention, retain, retention};
pub use scan::{Piece, Plan, Reader, ScanOptions, file_bytes, scan};
pub use write::{LakeWriter, Written, make_store, write_atomically};
