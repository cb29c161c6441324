//! What things are: flows, answers, endpoints, names, times and the account of what was read.
//!
//! Plain values only. Nothing here opens a file, reads a clock or knows a wire format; every other
//! module may import this one, and it imports none of them.

mod account;
mod address;
mod batch;
mod category;
pub mod columns;
mod coverage;
mod distinct;
mod endpoint;
mod flow;
mod grade;
mod name;
mod question;
mod record_id;
mod time;
mod vocabulary;
mod volume;

pub use account::{Account, Excluded, Place, RejectCount, Rejected};
pub use address::{is_link_local, is_local, is_private, is_shared, is_special, translated, unwrap_embedded};
pub use batch::{AnswerKind, AnswerRow, Batch, FlowRow, Loss};
pub use category::{Category, Confidence, Severity};
pub use coverage::{Activity, Gap, SourceKind, minutes_within};
pub use distinct::{Distinct, fnv1a, stable_hash};
pub use endpoint::{
    ACCOUNT_CONTEXT, Endpoint, IdentityKind, LabelList, NAMESPACE_CONTEXT, Workload, WorkloadKind, is_context,
};
pub use flow::{Certainty, Direction, IcmpMessage, Initiator, Protocol, Verdict};
pub use grade::Grade;
pub use name::{DomainName, NameError, is_below_platform, is_plain, is_search_expansion, registrable, within};
pub use question::{Asking, OTHER_TYPES, QuestionRow, entropy_millibits, left_of};
pub use record_id::RecordId;
pub use time::{Timestamp, parse_duration_nanos};
pub use vocabulary::{AddressId, ChainId, EndpointId, Interner, NameId, StandIn, TextId, Vocabulary, VocabularyMap};
pub use volume::{Bytes, COUNTER_MAX, Counter, Opened, Volume};
