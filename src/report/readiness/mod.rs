//! Whether inputs can carry the job: the checks, and their forms.
//!
//! In: an atlas. Out: [`Readiness`], and its text for a terminal, JSON, columns and Markdown.

mod checks;
mod forms;
mod text;

pub use checks::{COVERAGE_OF_FLOWS, Check, ClusterReadiness, InputRow, Outcome, Readiness, SourceRow, readiness};
pub use forms::{readiness_columns, readiness_json, readiness_markdown};
pub(super) use text::hanging;
pub use text::readiness_text;
