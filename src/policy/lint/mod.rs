//! Lints of policies in force: what is too wide, what has no effect, what is missing.
//!
//! In: a [`PolicySet`] and what is known of the clusters it is for. Out: findings with severity, object, file, line and remedy, and a
//! list of checks that could not be made for want of facts. Nothing here judges traffic, and nothing is guessed: a finding rests
//! on the documents alone or on the given pods.

mod block;
mod cover;
mod default_deny;
mod dns;
mod facts;
mod finding;
mod ground;
mod idle;
mod list;
mod metadata;
mod names;
mod order;
mod reach;
mod undone;

pub use default_deny::closing;
pub use facts::{LintCluster, LintPod, PodKnowledge};
pub use finding::{LINT_RULES, LintFinding, LintRule};
pub use ground::{Lint, lint};
