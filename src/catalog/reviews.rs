//! The user's `reviews.toml`: who answered for which suspect destination, and how.
//!
//! In: the text of the file, and questions about one destination of one namespace on one day. Out: approved,
//! rejected, expired or pending. Only an approval that is in force opens the way into a draft.

use std::fmt;
use std::net::IpAddr;

use super::date::Date;
use super::document::{Document, DocumentError, Table};
use super::pattern::Pattern;

/// What an owner decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// May be allowed.
    Approved,
    /// Must not be allowed.
    Rejected,
}

/// One `[[review]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// `destination`: a name, `*.name` (below it), `.name` (both), an address or a range.
    pub destination: Pattern,
    /// `cluster` of the workload; `None` for all of them.
    pub cluster: Option<Box<str>>,
    /// `namespace` of the workload; `None` for `*`, all of them.
    pub namespace: Option<Box<str>>,
    /// `owner`: who answers for the decision.
    pub owner: Box<str>,
    /// `decision`: `approved` or `rejected`.
    pub decision: Decision,
    /// `reason`: why.
    pub reason: Box<str>,
    /// `expires`: the last day on which the decision holds; `None` for ever.
    pub expires: Option<Date>,
}

/// What a review is asked about. A named destination is reviewed by its name: its addresses change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reviewed<'a> {
    /// A normalised name.
    Name(&'a str),
    /// The address of a destination without a name.
    Address(IpAddr),
}

/// How a destination stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewState<'r> {
    /// Nobody decided.
    Pending,
    /// An owner approved it.
    Approved(&'r Review),
    /// An owner rejected it.
    Rejected(&'r Review),
    /// Somebody decided, and the time of the decision is over.
    Expired(&'r Review),
}

impl ReviewState<'_> {
    /// Whether a draft may contain the destination.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Approved(_))
    }
}

impl fmt::Display for ReviewState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, review) = match self {
            Self::Pending => return f.write_str("pending"),
            Self::Approved(review) => ("approved", review),
            Self::Rejected(review) => ("rejected", review),
            Self::Expired(review) => ("expired", review),
        };
        write!(f, "{state} ({}: {})", review.owner, review.reason)?;
        match review.expires {
            Some(day) => write!(f, " until {day}"),
            None => Ok(()),
        }
    }
}

/// Every review of the file, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reviews {
    reviews: Vec<Review>,
}

impl Reviews {
    /// Reads the text of `file`.
    pub fn parse(text: &str, file: &str) -> Result<Self, DocumentError> {
        let document = Document::new(file, text);
        let content = document.parse()?;
        let root = document.root(&content);
        root.expect_keys(&["review"])?;
        let reviews = root.tables("review")?.iter().map(Review::read).collect::<Result<_, _>>()?;
        Ok(Self { reviews })
    }

    /// Every review, in the order of the file.
    pub fn all(&self) -> &[Review] {
        &self.reviews
    }

    /// How a destination stands for a namespace of a cluster on a day.
    ///
    /// The narrowest destination decides, then the narrower cluster, then the narrower namespace; among equals a rejection beats an approval,
    /// and both beat what has expired.
    pub fn state(&self, cluster: &str, namespace: &str, destination: Reviewed<'_>, day: Date) -> ReviewState<'_> {
        let meant = |review: &&Review| review.is_about(cluster, namespace, destination);
        let rank = |review: &Review| {
            let standing = match review.decision {
                _ if review.is_expired(day) => 0,
                Decision::Approved => 1,
                Decision::Rejected => 2,
            };
            (review.destination.specificity(), review.cluster.is_some(), review.namespace.is_some(), standing)
        };
        let Some(review) = self.reviews.iter().filter(meant).max_by_key(|review| rank(review)) else {
            return ReviewState::Pending;
        };
        match review.decision {
            _ if review.is_expired(day) => ReviewState::Expired(review),
            Decision::Approved => ReviewState::Approved(review),
            Decision::Rejected => ReviewState::Rejected(review),
        }
    }
}

impl Review {
    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&["destination", "cluster", "namespace", "owner", "decision", "reason", "expires"])?;
        let namespace = table.require("namespace")?.text()?;
        let decisions = [("approved", Decision::Approved), ("rejected", Decision::Rejected)];
        Ok(Self {
            destination: table.require("destination")?.read(Pattern::parse)?,
            cluster: table.get("cluster").map(|value| value.text().map(Into::into)).transpose()?,
            namespace: (namespace != "*").then(|| namespace.into()),
            owner: table.require("owner")?.text()?.into(),
            decision: table.require("decision")?.word(&decisions)?,
            reason: table.require("reason")?.text()?.into(),
            expires: table.get("expires").map(|value| value.date()).transpose()?,
        })
    }

    fn is_expired(&self, day: Date) -> bool {
        self.expires.is_some_and(|expires| expires < day)
    }

    fn is_about(&self, cluster: &str, namespace: &str, destination: Reviewed<'_>) -> bool {
        self.cluster.as_deref().is_none_or(|own| own == cluster)
            && self.namespace.as_deref().is_none_or(|own| own == namespace)
            && match destination {
                Reviewed::Name(name) => self.destination.matches_name(name),
                Reviewed::Address(address) => self.destination.matches_address(address),
            }
    }
}
