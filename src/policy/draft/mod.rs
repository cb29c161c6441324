//! From a baseline to policy drafts in five dialects.
//!
//! In: what was seen of the namespaces of one cluster ([`Baseline`]), Kubernetes objects if there are any, the user's settings
//! and the embedded catalog. First a dialect-neutral [`Draft`] for each namespace: who is selected, which peers at which ports,
//! with which evidence, and what stays out and why. Then one writer for each dialect, and checks on every document. It never
//! writes a file, never widens a rule without saying so, and never leaves a flow out without listing it.

mod antrea;
mod baseline;
mod blocks;
mod bundle;
mod calico;
mod callers;
mod check;
mod cilium;
mod closed;
mod cluster_policy;
mod destination;
mod dialect;
mod evidence;
mod explain;
mod gate;
mod growing;
mod infrastructure;
mod inside;
mod kubernetes;
mod labels;
mod manifest;
mod model;
mod pending;
mod plan;
mod readme;
mod shape;
mod subjects;
mod through;
mod time;
mod wildcard;
mod yaml;

pub use baseline::{Baseline, SeenEdge, SeenFinding, SeenJudgement, SeenNamespace, SeenReview, SeenWorkload};
pub use bundle::{Bundle, DraftFile, bundle};
pub use check::{CheckError, check_object};
pub use dialect::Dialect;
pub use explain::explain;
pub use labels::{Refused, Selector, is_rollout_label};
pub use manifest::{Manifest, manifests};
pub use model::{Block, Citation, Draft, Evidence, NamePattern, Pending, PendingKind, Ports, Rule, RulePeer, Subject};
pub use plan::{DraftInput, Planned, plan};
