//! An investigation as a document: who had to do with a target, when, how the name is known, and what else happened around it.
//!
//! In: what the two passes of [`crate::inquiry`] found, judged. Out: one [`InvestigationDocument`], and its text for a terminal, Markdown
//! and columns. Names stand in the document as they were recorded; every text escapes them.

mod columns;
mod convert;
mod enforced;
mod judged;
mod labels;
mod markdown;
mod schema;
mod spark;
mod tables;
mod text;

pub use columns::connection_columns;
pub use convert::{InvestigationView, investigation_document};
pub use enforced::{EnforcedView, ReasonsByEdge};
pub use markdown::investigation_markdown;
pub use schema::{
    AddressTold, AroundDocument, AroundRow, BucketDocument, ConnectionRow, ConnectionsDocument, INVESTIGATION_SCHEMA,
    InvestigationDocument, NameTold, PairDocument, PoliciesDocument, ReasonDocument, TargetDocument, TimelineDocument,
    TotalsOfTarget,
};
pub use text::investigation_text;
