//! Discovery in slices, for more machines than one: plan, run each slice anywhere, merge.
//!
//! In: a store. Out: what reading it on one machine gives, exactly. A slice is some row groups of the store; its partial result is
//! everything that they say, folded and not yet joined: which answer names a connection may depend on a record of any other
//! slice. No scheduler: whoever can start a process and keep a file can run slices.

mod cut;
mod manifest;
mod merge;
mod partial;
mod run;
mod spark;
mod taught;

pub use cut::{SLICE_ROWS, plan, plan_bucket};
pub use manifest::{Asked, Manifest, ManifestError, PlanLine, SliceInput, SliceLine};
pub use merge::{Merged, merge};
pub use partial::SliceError;
pub use run::{Outcome, run, run_bucket};
pub use spark::{SubmitError, finished_slices, transform_statement};
pub use taught::Taught;
