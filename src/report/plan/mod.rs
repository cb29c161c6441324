//! The rollout plan: namespaces by blast radius, the staged schedule with its gates and rollback commands, and the runbook.
//!
//! In: a baseline, the environment of each namespace, the policies to be applied. Out: Markdown and JSON. The order is an opinion,
//! so every point that a namespace gets comes with its reason.

mod commands;
mod risk;
mod runbook;
mod schedule;
mod text;

pub use risk::{Environment, Judged, NamespaceRisk, Reason};
pub use runbook::runbook_markdown;
pub use schedule::{Plan, PlanInput, PolicyObject, Step, plan};
pub use text::{plan_json, plan_markdown};
