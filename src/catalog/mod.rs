//! What the world is known to be: the embedded catalog, the user's settings, and the reviews.
//!
//! In: the data files of this folder, and the texts of `egress-atlas.toml` and `reviews.toml`. Out: answers to
//! "what is this destination for" and "what is suspicious about it". Nothing here opens a file, reads a clock
//! or asks the network.

mod bucket;
mod collect_settings;
mod collect_sources;
mod date;
mod document;
mod embedded;
mod expansion;
mod hit;
mod lookup;
mod names;
mod pattern;
mod prefixes;
mod reviews;
mod reviews_edit;
mod row;
mod rule_ranges;
mod settings;
pub mod settings_detect;
mod settings_draft;
mod settings_plan;
mod settings_rules;

pub use bucket::{AccessError, BucketAccess, BucketSettings, BucketUrl, Credentials, Variables};
pub use collect_settings::{CollectSettings, DnstapListener, HubbleFiles};
pub use collect_sources::{ClientTls, Feed, FeedKind, IpfixListener, Listen, ServerTls};
pub use date::Date;
pub(crate) use document::edits;
pub(crate) use document::suggestion;
pub use document::{DocumentError, Line};
pub use embedded::{CatalogError, Source};
pub use expansion::strip_search_path;
pub use lookup::{Catalog, CategoryMatch, FlagMatch, Subject, severity_via_chain};
pub use pattern::{Pattern, PatternError, PortRange};
pub use reviews::{Decision, Review, ReviewState, Reviewed, Reviews};
pub use reviews_edit::{RecordError, Recorded, record_review};
pub use row::Scope;
pub use rule_ranges::{AddressClass, RuleRanges};
pub use settings::{Join, Networks, Settings};
pub use settings_detect::{Detect, THRESHOLDS, Threshold};
pub use settings_draft::{Database, DraftSettings, Harbor, Ntp, Profile, PublicAccess, VendorRanges};
pub use settings_plan::PlanSettings;
pub use settings_rules::{BEHAVIOUR_CLASSES, CATALOG_CLASSES, CategoryRule, Exemption, Reach, SuspectRule};
