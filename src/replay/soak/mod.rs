//! The soak gate: is a namespace clean since its policies took effect?
//!
//! In: connections since then (and before, at the same hours, to compare with), the policies in force, what the feeds cover. Out: for each
//! namespace *clean*, *not clean* or *not proven*, with every reason. Silence is never taken for health: a dead feed, a
//! workload that did nothing, a span that is not over are *not proven*.

mod judge;
mod outcome;
mod silence;
mod usual;

pub use judge::{Phases, Scheduled, SoakInput, soak};
pub use outcome::{Blocked, Fault, Leak, Lingering, NamespaceSoak, Outcome, Quiet, Soak, Span};
pub use silence::Feed;
pub use usual::{BaselineDay, EARLIER_DAYS_MAX, EarlierDay};
