//! One target instead of all of them: what the evidence says about an address, a name, a pod, a workload or a namespace.
//!
//! In: a target as typed, and evidence. Out: every connection of the target folded into pairs of ends, a timeline, the names and
//! addresses around it, and what the same pods did before and after. Two passes over the connections: the first finds what matches, the
//! second looks around it. Memory follows what matches and is bounded; whatever is left out is counted. Nothing is judged here.

mod bounded;
mod edges;
mod ends;
mod matches;
mod moments;
mod pair;
mod place;
mod surroundings;
mod target;
mod timeline;

pub use edges::{EdgeTimes, Place, TimesByNamespace, Writer};
pub use ends::{Ends, Side};
pub use matches::{Found, InquiryOptions, Siblings, Told, inquire};
pub use moments::Moment;
pub use pair::Pair;
pub use surroundings::{Around, AroundKey, Relatives, look_around};
pub use target::{Matcher, Role, Target, TargetError};
pub use timeline::{BUCKETS_MAX, Bucket, Timeline};
