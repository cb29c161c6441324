//! The dialect-neutral draft of one namespace: subjects, rules with evidence, and what stays out.
//!
//! In: built by `plan`. Out: read by the writers, the documents and the round-trip tests. Values are plain and sorted; every edge
//! of the baseline is cited by a rule or listed as pending.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::dialect::Dialect;
use super::labels::Selector;
use crate::model::{Grade, Protocol, Workload};
use crate::policy::Direction;
use crate::policy::names::PolicyName;
use crate::summary::Peer;

/// The draft of one namespace in one dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The dialect that it was planned for.
    pub dialect: Dialect,
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Rules for every pod of the namespace.
    pub baseline: Vec<Rule>,
    /// Rules for the pods of one template.
    pub subjects: Vec<Subject>,
    /// What stays out, and open questions.
    pub pending: Vec<Pending>,
}

impl Draft {
    /// Every rule with the policy that it stands in.
    pub fn rules(&self) -> impl Iterator<Item = (PolicyName, &Rule)> {
        let baseline = self.baseline.iter().map(|rule| (PolicyName::EgressBaselineAllow, rule));
        let own = self.subjects.iter().flat_map(|subject| {
            let egress = subject.egress.iter().map(|rule| (PolicyName::EgressAllowlist, rule));
            egress.chain(subject.ingress.iter().map(|rule| (PolicyName::IngressAllowlist, rule)))
        });
        baseline.chain(own)
    }

    /// How many flows of the baseline were left out and wait for somebody's decision.
    pub fn decisions(&self) -> usize {
        self.pending.iter().filter(|pending| pending.kind.needs_decision()).count()
    }
}

/// The pods of one template, and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its name, fit for the name of an object.
    pub name: String,
    /// What selects its pods.
    pub selector: Selector,
    /// The workloads behind it.
    pub workloads: BTreeSet<Workload>,
    /// Where they connect to.
    pub egress: Vec<Rule>,
    /// Who connects to them.
    pub ingress: Vec<Rule>,
}

/// One peer at some ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What people call it: unique within its namespace.
    pub id: String,
    /// The other side.
    pub peer: RulePeer,
    /// Ports; empty for all of them.
    pub ports: Ports,
    /// Whether DNS questions pass here, which a proxy has to read where names are enforced.
    pub is_dns: bool,
    /// Where it comes from.
    pub evidence: Evidence,
    /// What a reader has to know, sentence by sentence.
    pub remarks: Vec<String>,
}

/// Transport and port.
pub type Ports = BTreeSet<(Protocol, u16)>;

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RulePeer {
    /// Pods of a namespace.
    Pods {
        /// Their cluster; empty for the same one.
        cluster: String,
        /// Their namespace.
        namespace: String,
        /// What selects them.
        selector: Selector,
    },
    /// Every pod of the cluster.
    EveryPod,
    /// A name, or a pattern of names.
    Name(NamePattern),
    /// Address ranges.
    Blocks(Vec<Block>),
    /// The Kubernetes API server; its addresses, where the dialect has no word for it.
    ApiServer(Vec<Block>),
    /// Nodes and host-network pods; their ranges, where the dialect has no word for them.
    Nodes(Vec<Block>),
    /// The gateway of the network plugin.
    Gateway,
}

/// An address range with holes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// The range.
    pub range: IpNet,
    /// What is not meant; strictly inside the range.
    pub except: Vec<IpNet>,
}

impl Block {
    /// Whether an address is meant.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.range.contains(&address) && !self.except.iter().any(|hole| hole.contains(&address))
    }
}

/// Which names are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamePattern {
    /// This name.
    Exact(String),
    /// One label in front of this name.
    OneLabelBelow(String),
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::OneLabelBelow(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// An edge of the baseline that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// Egress or ingress of the namespace.
    pub direction: Direction,
    /// The namespace's side.
    pub workload: Workload,
    /// The other side.
    pub peer: Peer,
    /// Port.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Where a rule comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The edges.
    pub cites: BTreeSet<Citation>,
    /// Connections that passed.
    pub connections: u64,
    /// Connections that a policy in force denied.
    pub denied: u64,
    /// Connections that a policy in audit mode would have denied.
    pub audited: u64,
    /// Pods of the namespace's side.
    pub pods: BTreeSet<String>,
    /// First event.
    pub first: Option<String>,
    /// Last event.
    pub last: Option<String>,
    /// Days with traffic.
    pub days: BTreeSet<String>,
    /// Connections by grade; empty where no name is concerned.
    pub grades: BTreeMap<Grade, u64>,
    /// The lowest confidence in a name, in thousandths; `None` where no name is concerned.
    pub confidence: Option<u16>,
    /// The names or addresses that were seen, where the rule says something else.
    pub seen_as: BTreeSet<String>,
}

/// Why something is not in the draft, or has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PendingKind {
    /// A suspect that nobody approved.
    Suspect,
    /// The dialect cannot say it.
    NotExpressible,
    /// The evidence is too weak.
    WeakEvidence,
    /// Nothing stable selects the pods.
    NoSelector,
    /// Something has to be known that no record tells.
    Unknown,
    /// A registry that the proxy replaces.
    Replaced,
    /// A policy in force denies it already.
    Denied,
    /// In the draft, or needed by nobody seen; somebody should confirm it.
    Question,
}

impl PendingKind {
    /// All kinds in the order of the document.
    pub const ALL: [Self; 8] = [
        Self::Suspect,
        Self::NotExpressible,
        Self::WeakEvidence,
        Self::NoSelector,
        Self::Unknown,
        Self::Replaced,
        Self::Denied,
        Self::Question,
    ];

    /// Whether traffic was left out that somebody has to decide on.
    pub const fn needs_decision(self) -> bool {
        !matches!(self, Self::Replaced | Self::Denied | Self::Question)
    }

    /// Whether traffic of the baseline is not allowed by the draft.
    pub const fn is_left_out(self) -> bool {
        !matches!(self, Self::Question)
    }

    /// One word for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::NotExpressible => "not expressible",
            Self::WeakEvidence => "weak evidence",
            Self::NoSelector => "no selector",
            Self::Unknown => "unknown",
            Self::Replaced => "replaced",
            Self::Denied => "denied already",
            Self::Question => "question",
        }
    }
}

/// Something that stays out, or an open question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending {
    /// Why.
    pub kind: PendingKind,
    /// Who is concerned, `Deployment/cart`; empty for the namespace.
    pub who: String,
    /// What, `pastebin.com TCP/443`.
    pub what: String,
    /// Connections that the draft does not allow.
    pub connections: u64,
    /// Last event.
    pub last: Option<String>,
    /// Why, in words.
    pub why: String,
    /// What would admit it.
    pub admit: String,
    /// The edge, where it is one.
    pub edge: Option<Citation>,
}
