//! Documents and tables: finished values in, text out.
//!
//! In: an [`AtlasView`], the atlas together with what was judged about its edges. Out: the Markdown document of each
//! namespace, the index, `atlas.json`, the columns of the two tables, and the summary for a terminal. Everything here is
//! a function of its arguments: no file, no clock, and the same bytes for the same view.

mod audit;
mod clock_offset;
mod collected;
mod compliance;
mod coverage;
mod digest;
mod document;
mod draft;
mod drift;
mod escape;
mod events;
mod finding_list;
mod html;
mod index;
pub mod investigation;
pub mod json;
mod namespace;
mod nearest;
mod paint;
mod path;
mod peer;
mod plan;
mod readiness;
mod replay;
mod review_block;
mod review_list;
mod row;
mod sarif;
mod soak;
mod summary_rows;
mod summary_text;
mod table;
mod tables;
mod view;
mod wording;

pub use audit::{AuditView, audit_columns, audit_json, audit_markdown, audit_sarif, audit_text};
pub use clock_offset::clock_offset;
pub use collected::{CollectedRow, collected, collected_text};
pub use compliance::{
    Compliance, ComplianceInput, Control, ControlRow, EvidenceError, GateEvidence, Standing, compliance,
    compliance_json, compliance_markdown,
};
pub use draft::{DraftRow, draft_columns, draft_json, draft_markdown, draft_text};
pub use drift::{
    Change, ChangeKind, CoverageChange, DRIFT_SCHEMA, Drift, drift, drift_csv, drift_json, drift_markdown, drift_text,
};
pub use escape::csv_text;
pub use events::{EventForm, events};
pub use html::{atlas_page, investigation_page};
pub use index::index_document;
pub use investigation::{
    EnforcedView, INVESTIGATION_SCHEMA, InvestigationDocument, InvestigationView, ReasonsByEdge, connection_columns,
    investigation_document, investigation_markdown, investigation_text,
};
pub use json::{
    ATLAS_SCHEMA, AtlasDocument, ClusterDocument, EdgeDocument, JudgementDocument, NamespaceDocument, PeerDocument,
    WorkloadDocument, WorkloadName, atlas_document, atlas_json,
};
pub use namespace::{documents, namespace_document};
pub use nearest::nearest;
pub use paint::Paint;
pub use path::{cluster_folder, document_path};
pub use plan::{
    Environment, Judged, NamespaceRisk, Plan, PlanInput, PolicyObject, Reason, Step, plan, plan_json, plan_markdown,
    runbook_markdown,
};
pub use readiness::{
    COVERAGE_OF_FLOWS, Check, ClusterReadiness, InputRow, Outcome, Readiness, SourceRow, readiness, readiness_columns,
    readiness_json, readiness_markdown, readiness_text,
};
pub use replay::{ReplayView, replay_columns, replay_json, replay_markdown, replay_text};
pub use review_list::{
    DestinationUse, REVIEW_LIST_SCHEMA, ReviewList, ReviewRow, ReviewStanding, destination_use, review_columns,
    review_list, review_list_markdown, review_list_text,
};
pub use sarif::sarif;
pub use soak::{soak_csv, soak_json, soak_markdown, soak_text};
pub use summary_rows::{
    SUMMARY_SCHEMA, SummaryDocument, SummaryRow, summary_columns, summary_document, summary_markdown,
};
pub use summary_text::summary_text;
pub use tables::{Column, Columns, egress_columns, ingress_columns};
pub use view::{AtlasView, FindingView, Judgement, ReviewView, WorkloadFinding};
