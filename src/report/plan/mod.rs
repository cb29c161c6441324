//! The rollout plan: namespaces by blast radius, and the staged schedule with its gates and rollback commands.
//!
//! In: a baseline, the environment of each namespace, the policies to be applied. Out: Markdown and JSON. The order is an opinion,
//! so every point that a namespace gets comes with its reason.

mod risk;
mod schedule;
mod text;

pub use risk::{Environment, NamespaceRisk, Reason};
pub use schedule::{Plan, PlanInput, PolicyObject, Step, plan};
pub use text::{plan_json, plan_markdown};
