//! Network policies of every dialect, in one compiled form.
//!
//! In: texts of policy files. Out: a [`PolicySet`], in which each policy and each rule knows the object, file and line that it
//! came from. Parsing is strict: an unknown key is an error, because a misspelt selector would select everything. Nothing
//! here opens a file or judges traffic.

mod doubt;
mod name_pattern;
mod parse;
mod problem;
mod rule;
mod selector;
mod set;

pub use doubt::{Doubt, Match};
pub use name_pattern::{NamePattern, Wildcard};
pub use problem::{PolicyError, Problem};
pub use rule::{Action, Block, Direction, Entity, Peer, PortMatch, PortSpec, Ports, ProtocolSpec, Rule, Section};
pub use selector::{Key, Labelled, Selector, Value};
pub use set::{Dialect, Note, ObjectId, Passed, Policy, PolicySet, PolicySource, RuleId, Subject, Tier, TierEnd};
