//! The judged form of an atlas that every writer takes.
//!
//! In: an [`Atlas`] and, for each edge of egress, one [`Judgement`]. Out: the two walked side by side. Nothing is decided
//! here; an edge without a judgement reads as unclassified.

use std::collections::BTreeMap;

use super::clock_offset::clock_offset;
use crate::model::{Category, Confidence, Severity, Workload};
use crate::summary::{Atlas, Edge};

/// What was decided about one edge of egress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What the destination is for.
    pub category: Category,
    /// The rule that decided the category.
    pub rule: String,
    /// The destination's product or owner, where the rule knows it.
    pub label: Option<String>,
    /// What is suspect about it.
    pub findings: Vec<FindingView>,
    /// Where the owner's review stands.
    pub review: ReviewView,
}

/// One reason to suspect a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingView {
    /// The rule that raised it.
    pub rule: String,
    /// The class of suspicion (`tunnel`, `cloud_metadata`, ...).
    pub class: String,
    /// How bad it would be if true.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// What of the destination matched.
    pub matched: String,
    /// Why that is suspect.
    pub why: String,
    /// The innocent reading.
    pub false_positive: Option<String>,
    /// MITRE ATT&CK technique ids.
    pub attack: Vec<String>,
    /// What to do about it.
    pub advice: String,
    /// Why it is not held against this edge, if it is not.
    pub exempted: Option<String>,
}

impl Judgement {
    /// How serious it is that somebody still has to act; `None` when nobody has to. Where a decision ran out or is ignored and nothing is held
    /// against the destination otherwise, that is low.
    pub fn unanswered(&self) -> Option<Severity> {
        let held = self.findings.iter().filter(|finding| finding.exempted.is_none());
        self.review.is_unanswered().then(|| held.map(|finding| finding.severity).max().unwrap_or(Severity::Low))
    }
}

/// One reason to suspect a workload as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadFinding {
    /// The workload.
    pub workload: Workload,
    /// The name that it is about as well; empty when there is none.
    pub subject: String,
    /// The finding.
    pub finding: FindingView,
    /// Where the owner's review stands.
    pub review: ReviewView,
}

impl WorkloadFinding {
    /// Whether somebody has to decide, or to end what was rejected.
    pub const fn is_unanswered(&self) -> bool {
        self.finding.exempted.is_none() && self.review.is_unanswered()
    }
}

/// Where the owner's review of a suspect edge stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReviewView {
    /// Nobody has decided.
    Pending,
    /// An owner vouches for it.
    Approved {
        /// Who decided.
        owner: String,
        /// Why.
        reason: String,
        /// Until when, as written in the review.
        expires: Option<String>,
    },
    /// An owner says that it must not be.
    Rejected {
        /// Who decided.
        owner: String,
        /// Why.
        reason: String,
        /// Until when, as written in the review.
        expires: Option<String>,
    },
    /// An approval that has run out.
    Expired {
        /// Who decided.
        owner: String,
        /// Why.
        reason: String,
        /// When it ran out.
        expires: Option<String>,
    },
    /// Nothing about it is suspect.
    #[default]
    NotNeeded,
}

impl ReviewView {
    /// The word used in every output.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Expired { .. } => "expired",
            Self::Rejected { .. } => "rejected",
            Self::Approved { .. } => "approved",
            Self::NotNeeded => "not needed",
        }
    }

    /// Whether somebody still has to decide: pending, or a decision that has run out.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Expired { .. })
    }

    /// Whether an owner ruled it out.
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// Whether somebody has to act: decide, or end what an owner has rejected and is in use all the same. This is what `--fail-on` asks.
    pub const fn is_unanswered(&self) -> bool {
        self.is_open() || self.is_rejected()
    }

    /// Most urgent first.
    pub(super) const fn urgency(&self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Expired { .. } => 1,
            Self::Rejected { .. } => 2,
            Self::Approved { .. } => 3,
            Self::NotNeeded => 4,
        }
    }
}

/// An atlas with what was judged about it.
#[derive(Clone, Debug)]
pub struct AtlasView<'a> {
    /// The atlas.
    pub atlas: &'a Atlas,
    /// By cluster and namespace: one judgement for each edge of `Namespace::egress`, in the same order.
    pub judgements: BTreeMap<(&'a str, &'a str), Vec<Judgement>>,
    /// By cluster and namespace: findings about workloads as a whole.
    pub workload_findings: BTreeMap<(&'a str, &'a str), Vec<WorkloadFinding>>,
    /// By cluster: sentences on the clocks of its sources.
    pub clock_notes: BTreeMap<&'a str, Vec<String>>,
}

static UNJUDGED: Judgement = Judgement {
    category: Category::Unclassified,
    rule: String::new(),
    label: None,
    findings: Vec::new(),
    review: ReviewView::NotNeeded,
};

impl<'a> AtlasView<'a> {
    /// A view of `atlas` in which nothing is judged yet.
    pub fn new(atlas: &'a Atlas) -> Self {
        let told = atlas.clusters.iter().filter_map(|(name, cluster)| Some((name, cluster.dns_ahead_nanos?)));
        let clock_notes = told.map(|(name, ahead_nanos)| (&**name, vec![clock_offset(ahead_nanos)])).collect();
        Self { atlas, judgements: BTreeMap::new(), workload_findings: BTreeMap::new(), clock_notes }
    }

    /// The findings about workloads of a namespace as a whole.
    pub fn workload_findings<'s>(&'s self, cluster: &'s str, namespace: &'s str) -> &'s [WorkloadFinding] {
        self.workload_findings.get(&(cluster, namespace)).map_or(&[][..], Vec::as_slice)
    }

    /// The egress edges of a namespace, each with its judgement; none when there is no such namespace.
    pub fn judged_egress<'s>(
        &'s self,
        cluster: &str,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a Edge, &'s Judgement)> + use<'s, 'a> {
        let atlas: &'a Atlas = self.atlas;
        let found = atlas.clusters.get_key_value(cluster).and_then(|(cluster, seen)| {
            let (namespace, seen) = seen.namespaces.get_key_value(namespace)?;
            Some((&**cluster, &**namespace, seen.egress.as_slice()))
        });
        let (cluster, namespace, edges) = found.unwrap_or_default();
        let judgements = self.judgements.get(&(cluster, namespace)).map_or(&[][..], Vec::as_slice);
        edges.iter().enumerate().map(|(index, edge)| (edge, judgements.get(index).unwrap_or(&UNJUDGED)))
    }
}
