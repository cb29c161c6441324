//! The opinions: what a destination is for, how serious a finding is, how sure we are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a destination is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Inside: pods, services, private networks.
    Internal,
    /// Clouds, CDNs, DNS, time, certificates: what the platform itself needs.
    Infra,
    /// A product somebody bought or signed up for.
    Vendor,
    /// Container and package registries.
    Registries,
    /// The business's own customers and partners; only the user's rules can say so.
    Customer,
    /// No rule knows it.
    #[default]
    Unclassified,
}

impl Category {
    /// Every category in document order.
    pub const ALL: [Self; 6] =
        [Self::Internal, Self::Infra, Self::Vendor, Self::Registries, Self::Customer, Self::Unclassified];

    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Infra => "infra",
            Self::Vendor => "vendor",
            Self::Registries => "registries",
            Self::Customer => "customer",
            Self::Unclassified => "unclassified",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it would be if the finding is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth an owner's answer.
    Medium,
    /// Must be answered before anything is allowed.
    High,
}

impl Severity {
    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// One step less serious; `Low` stays.
    #[must_use]
    pub const fn lowered(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure we are that the finding is true. Never mixed with [`Severity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A hint.
    Low,
    /// Likely.
    Medium,
    /// As good as certain.
    High,
}

impl Confidence {
    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
