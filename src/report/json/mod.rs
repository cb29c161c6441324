//! `atlas.json`: everything that the documents say, in machine form.
//!
//! In: an [`AtlasView`](super::AtlasView). Out: pretty-printed JSON with a version, whose fields keep their order and whose
//! maps are sorted; and the types to read it back. `docs/atlas-json.md` describes every field.

mod convert;
mod schema;

pub use convert::{atlas_document, atlas_json};
pub(super) use convert::{edge_document, peer_document, rfc3339, source_document, workload_name};
pub use schema::{
    ATLAS_SCHEMA, AskedDocument, AtlasDocument, BlindSpotDocument, BytesDocument, ClusterDocument, EdgeDocument,
    FindingDocument, Input, JudgementDocument, NamespaceDocument, PeerDocument, RejectedRecords, ReviewDocument,
    Source, TotalsDocument, Window, WorkloadDocument, WorkloadFindingDocument, WorkloadName,
};
