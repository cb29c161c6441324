//! Recorded traffic against policies that are not in force yet: what would pass, what would break, what cannot be told.
//!
//! In: a [`PolicySet`](crate::policy::PolicySet) and connections with both ends described. Out: one [`Judgement`] per distinct
//! connection, and a [`Replay`] that sums them up. What the evidence or the API leaves open is a doubt with its code and never
//! a guess. Nothing here opens a file or reads a clock.

mod asked;
mod compiled;
mod end;
mod evaluator;
mod fold;
mod matching;
mod miss;
mod plan;
mod profile;
mod reasons;
mod resolve;
mod services;
mod soak;
mod stages;
mod tally;
mod told;
mod verdict;

pub use asked::{Asked, ClientPorts};
pub use end::{Behind, End, EndKind, NameEvidence, Names, ToldBy};
pub use evaluator::{Connection, Evaluator, Prepared};
pub use fold::{Observed, Recorded, ReplayEdge, ReplayFold, Seen};
pub use profile::{Profile, ServiceView};
pub use reasons::{Because, Reasoned, reasons};
pub use resolve::{PodNetworks, Resolver, ServiceNames};
pub use soak::{
    BaselineDay, Blocked, EARLIER_DAYS_MAX, EarlierDay, Fault, Feed, Leak, Lingering, NamespaceSoak, Outcome, Phases,
    Quiet, Scheduled, Soak, SoakInput, Span, soak,
};
pub use tally::{Break, Passed, Replay, ReplayWorkload, RuleUse, Totals, Undecided, Window, replay};
pub use told::namespaces_told;
pub use verdict::{Citation, Denial, Judgement, Miss, NearestMiss, Side, Verdict};
