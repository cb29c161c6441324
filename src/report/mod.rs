//! Documents and tables: finished values in, text out.
//!
//! In: an [`AtlasView`], the atlas together with what was judged about its edges. Out: the Markdown document of each
//! namespace, the index, `atlas.json`, the columns of the two tables, and the summary for a terminal. Everything here is
//! a function of its arguments: no file, no clock, and the same bytes for the same view.

mod coverage;
mod digest;
mod document;
mod escape;
mod html;
mod index;
pub mod investigation;
pub mod json;
mod namespace;
mod nearest;
mod paint;
mod path;
mod peer;
mod readiness;
mod review_block;
mod review_list;
mod row;
mod summary_text;
mod table;
mod tables;
mod view;
mod wording;

pub use html::{atlas_page, investigation_page};
pub use index::index_document;
pub use investigation::{
    INVESTIGATION_SCHEMA, InvestigationDocument, InvestigationView, connection_columns, investigation_document,
    investigation_markdown, investigation_text,
};
pub use json::{ATLAS_SCHEMA, AtlasDocument, atlas_document, atlas_json};
pub use namespace::{documents, namespace_document};
pub use nearest::nearest;
pub use paint::Paint;
pub use path::document_path;
pub use readiness::{
    Check, ClusterReadiness, InputRow, Outcome, Readiness, SourceRow, readiness, readiness_json, readiness_text,
};
pub use review_list::{
    DestinationUse, REVIEW_LIST_SCHEMA, ReviewList, ReviewRow, ReviewStanding, destination_use, review_columns,
    review_list, review_list_markdown, review_list_text,
};
pub use summary_text::summary_text;
pub use tables::{Column, Columns, egress_columns, ingress_columns};
pub use view::{AtlasView, FindingView, Judgement, ReviewView};
