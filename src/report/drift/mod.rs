//! Drift: what changed between an approved baseline and traffic seen since.
//!
//! In: two [`AtlasDocument`](super::AtlasDocument)s. Out: destinations that are new, gone or changed, those that fell silent
//! without proof that they are gone, and the differences of coverage that decide between the two; as text, Markdown, CSV or
//! JSON. It never reads a file, and never calls a destination gone that nobody could have seen.

mod change;
mod compare;
mod destination;
mod reach;
mod text;

pub use change::{Change, ChangeKind, CoverageChange, DRIFT_SCHEMA, Drift};
pub use compare::drift;
pub use text::{drift_csv, drift_json, drift_markdown, drift_text};
