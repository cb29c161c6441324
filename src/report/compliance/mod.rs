//! Compliance evidence: what policies in force and results of the gates show for three controls, namespace by namespace.
//!
//! In: the policies as given, their lints, results of `soak` and `replay`, a baseline. Out: *met*, *not met* or *not proven* with the
//! evidence named, as Markdown and JSON. A control is met only when everything it asks for is shown; an intention, a policy without a
//! denial, or a result about other policies is *not proven*. Nothing here is an auditor's opinion.

mod control;
mod evidence;
mod judge;
mod text;

pub use control::Control;
pub use evidence::{EvidenceError, GateEvidence};
pub use judge::{Compliance, ComplianceInput, ControlRow, Standing, compliance};
pub use text::{compliance_json, compliance_markdown};
