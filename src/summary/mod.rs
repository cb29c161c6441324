//! What remains of the traffic: edges between workloads and destinations, workloads, coverage.
//!
//! In: attributed connections, one at a time and in any order. Out: an [`Atlas`], the finished value that everything to
//! the right judges and presents. Adding is commutative and associative, so that any slicing gives the same atlas.

mod askers;
mod atlas;
mod behaviour;
mod blind_spot;
mod build;
mod builder;
mod coverage;
mod domains;
mod edge;
mod place;
mod sizes;
mod starts;

pub use atlas::{Asked, Atlas, Cluster, Forwarder, InputAccount, Namespace, Totals, WorkloadSeen};
pub(crate) use behaviour::Watched;
pub use behaviour::{Behaviour, LONG_SECONDS};
pub use blind_spot::{BlindSpot, Blindness};
pub use build::build;
pub use builder::{Builder, is_egress};
pub use coverage::{Activity, Gap, Nodes, Share, SourceCoverage, SourceKind, minutes_of};
pub use domains::{DomainAsked, Domains};
pub use edge::{Edge, EdgeKey, EdgeSeen, LISTED_MAX, Peer};
pub use place::Networks;
pub use sizes::{SIZES_MAX, Sizes};
pub use starts::{EXACT_MAX, Histogram, Starts};
