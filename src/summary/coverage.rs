//! The coverage of one source in one cluster, as documents show it.

pub use crate::model::{Activity, Gap, SourceKind};

/// The coverage of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCoverage {
    /// What it delivers.
    pub kind: SourceKind,
    /// The node (flows) or resolver (DNS); empty when the records do not name it.
    pub name: Box<str>,
    /// When it spoke.
    pub activity: Activity,
}
