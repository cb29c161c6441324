//! Network policies of every dialect: drafts made from evidence, and what clusters have in one compiled form.
//!
//! In: what was seen of a namespace and what the user says; texts of policy files. Out: policy documents in five dialects with the
//! list of what they leave out ([`draft`]); a [`PolicySet`], in which each policy and each rule knows the object, file and
//! line that it came from. Parsing is strict: an unknown key is an error, because a misspelt selector would select
//! everything. Nothing here opens a file, reads a clock or judges traffic (see `replay`).

mod doubt;
pub mod draft;
mod fingerprint;
pub mod kyverno;
pub mod lint;
mod name_pattern;
pub mod names;
mod parse;
pub mod probe;
mod probe_result;
mod problem;
mod rule;
mod selector;
mod set;

pub use crate::model::Direction;
pub use doubt::{Doubt, Match};
pub use fingerprint::{fingerprint, fingerprints};
pub use name_pattern::{NamePattern, Wildcard};
pub use probe_result::{ProbeAnswer, ProbeResult, ProbeResultError, probe_results};
pub use problem::{PolicyError, Problem};
pub use rule::{Action, Block, Entity, Peer, PortMatch, PortSpec, Ports, ProtocolSpec, Rule, Section, ServicePart};
pub use selector::{Key, Labelled, Selector, Value};
pub use set::{
    Dialect, IMPLIED_INGRESS, Note, ObjectId, Passed, Policy, PolicySet, PolicySource, RuleId, Subject, Tier, TierEnd,
};
