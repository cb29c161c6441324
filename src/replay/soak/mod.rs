//! The soak gate: is a namespace clean since its policies took effect?
//!
//! In: connections since then (and before, to compare with), the policies in force, what the feeds cover. Out: for each
//! namespace *clean*, *not clean* or *not proven*, with every reason. Silence is never taken for health: a dead feed, a
//! workload that did nothing, a span that is not over are *not proven*.

mod judge;
mod outcome;
mod silence;

pub use judge::{Phases, SoakInput, soak};
pub use outcome::{Blocked, Fault, Leak, NamespaceSoak, Outcome, Quiet, Soak, Span};
pub use silence::Feed;
