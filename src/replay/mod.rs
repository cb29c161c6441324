//! Recorded traffic against policies that are not in force yet: what would pass, what would break, what cannot be told.
//!
//! In: a [`PolicySet`](crate::policy::PolicySet) and connections with both ends described. Out: one [`Judgement`] per distinct
//! connection, and a [`Replay`] that sums them up. What the evidence or the API leaves open is a doubt with its code and never
//! a guess. Nothing here opens a file or reads a clock.

mod end;
mod evaluator;
mod fold;
mod matching;
mod miss;
mod plan;
mod profile;
mod reasons;
mod resolve;
mod soak;
mod tally;
mod verdict;

pub use end::{End, EndKind, NameEvidence, Names};
pub use evaluator::{Connection, Evaluator, Prepared};
pub use fold::{Observed, Recorded, ReplayEdge, ReplayFold, Seen};
pub use profile::{Profile, ServiceView};
pub use reasons::{Because, Reasoned, reasons};
pub use resolve::{PodNetworks, Resolver};
pub use soak::{
    BaselineDay, Blocked, EARLIER_DAYS_MAX, EarlierDay, Fault, Feed, Leak, Lingering, NamespaceSoak, Outcome, Phases,
    Quiet, Scheduled, Soak, SoakInput, Span, soak,
};
pub use tally::{Break, Replay, ReplayWorkload, RuleUse, Totals, Undecided, Window, replay};
pub use verdict::{Citation, Denial, Judgement, Miss, NearestMiss, Side, Verdict};
