//! Documents and tables: finished values in, text out.
//!
//! In: an [`AtlasView`], the atlas together with what was judged about its edges. Out: the Markdown document of each
//! namespace, the index, `atlas.json`, the columns of the two tables, and the summary for a terminal. Everything here is
//! a function of its arguments: no file, no clock, and the same bytes for the same view.

mod collected;
mod coverage;
mod digest;
mod document;
mod escape;
mod index;
pub mod json;
mod namespace;
mod path;
mod peer;
mod readiness;
mod review_block;
mod row;
mod summary_text;
mod table;
mod tables;
mod view;
mod wording;

pub use collected::{CollectedRow, collected, collected_text};
pub use index::index_document;
pub use json::{ATLAS_SCHEMA, AtlasDocument, atlas_document, atlas_json};
pub use namespace::{documents, namespace_document};
pub use path::document_path;
pub use readiness::{
    Check, ClusterReadiness, InputRow, Outcome, Readiness, SourceRow, readiness, readiness_json, readiness_text,
};
pub use summary_text::summary_text;
pub use tables::{Column, Columns, egress_columns, ingress_columns};
pub use view::{AtlasView, FindingView, Judgement, ReviewView};
