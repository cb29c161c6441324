//! The answer for one connection, side by side.

use crate::model::IcmpMessage;
use crate::policy::{Direction, Doubt, PolicySet, RuleId};

/// Which element of which rule let something through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Citation {
    /// The rule.
    pub rule: RuleId,
    /// Place among its peers; `None`: the rule is for anybody.
    pub peer: Option<usize>,
    /// Place among its ports; `None`: the rule is for every port.
    pub port: Option<usize>,
}

/// What one change would let a denied connection through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Miss {
    /// This rule denies it.
    Denied,
    /// The peer fits, the port does not.
    Port,
    /// The peer and the number fit, the protocol does not.
    Protocol,
    /// The peer fits, this message of ICMP does not.
    Message(IcmpMessage),
    /// Port and pod labels fit, the namespace does not; the condition that is not met.
    Namespace(String),
    /// Port and namespace fit, the pod's labels do not; the condition that is not met.
    Labels(String),
    /// Port and range fit, but the address lies in a hole of the range.
    Hole(String),
    /// Port fits, the name does not; the pattern.
    Name(String),
    /// The name fits, but no rule lets the DNS proxy serve it.
    NoDnsRule(String),
    /// Port and range would fit, but this CNI does not match ranges on pods or nodes.
    BlockOnCluster,
}

/// The rule that came closest, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NearestMiss {
    /// The rule.
    pub rule: RuleId,
    /// What it lacks.
    pub miss: Miss,
}

impl NearestMiss {
    /// As a sentence; `wanted` is the connection's port and protocol, such as `8443/TCP`.
    pub fn describe(&self, set: &PolicySet, wanted: &str) -> String {
        let rule = set.rule_text(self.rule);
        match &self.miss {
            Miss::Denied => format!("{rule} denies it"),
            Miss::Port => format!("{rule} allows this peer at another port: add {wanted}"),
            Miss::Protocol => format!("{rule} allows this peer and port with another protocol: add {wanted}"),
            Miss::Message(IcmpMessage { kind, code }) => {
                format!("{rule} allows this peer, but not this message: add {wanted} type {kind} code {code}")
            }
            Miss::Namespace(unmet) => format!("{rule} allows such pods in another namespace: it asks for {unmet}"),
            Miss::Labels(unmet) => format!("{rule} allows other pods there: it asks for {unmet}"),
            Miss::Hole(hole) => format!("{rule} leaves the address out: except {hole}"),
            Miss::Name(pattern) => format!("{rule} allows another name: {pattern}"),
            Miss::NoDnsRule(name) => format!("{rule} allows {name}, but no rule with `rules.dns` serves that name"),
            Miss::BlockOnCluster => {
                format!(
                    "{rule} has a range that covers the address, which this CNI does not match with what is in the cluster"
                )
            }
        }
    }
}

/// Why a side stops a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denial {
    /// The rule that denies it; `None` when nothing allows it.
    pub by: Option<RuleId>,
    /// The policies that isolate the pod, by place in the set.
    pub isolated_by: Vec<usize>,
    /// What comes closest.
    pub nearest: Option<NearestMiss>,
}

/// What the policies on one end say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end is no pod that policies are applied to, or the connection is exempt (a node to its own pods).
    NotSubject,
    /// No policy isolates it in this direction.
    NotIsolated,
    /// Allowed; every rule that does so for certain, in order.
    Allowed(Vec<Citation>),
    /// Stopped.
    Denied(Denial),
    /// Cannot be told.
    Undecidable(Doubt),
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// No policy has anything to say.
    NotIsolated,
    /// Passes on both ends, and a rule says so on one of them.
    Allowed,
    /// Stopped on one of the ends.
    WouldBreak,
    /// Cannot be told, and no end stops it for certain.
    Undecidable,
}

impl Verdict {
    /// The word in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIsolated => "not-isolated",
            Self::Allowed => "allowed",
            Self::WouldBreak => "would-break",
            Self::Undecidable => "undecidable",
        }
    }
}

/// The answer for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// In one word.
    pub verdict: Verdict,
    /// The policies of the client.
    pub egress: Side,
    /// The policies of the server.
    pub ingress: Side,
}

impl Judgement {
    pub(super) fn of(egress: Side, ingress: Side) -> Self {
        let verdict = match (&egress, &ingress) {
            (Side::Denied(_), _) | (_, Side::Denied(_)) => Verdict::WouldBreak,
            (Side::Undecidable(_), _) | (_, Side::Undecidable(_)) => Verdict::Undecidable,
            (Side::Allowed(_), _) | (_, Side::Allowed(_)) => Verdict::Allowed,
            _ => Verdict::NotIsolated,
        };
        Self { verdict, egress, ingress }
    }

    /// Whether it passes for certain.
    pub const fn passes(&self) -> bool {
        matches!(self.verdict, Verdict::NotIsolated | Verdict::Allowed)
    }

    /// The rules that let it through, both ends.
    pub fn citations(&self) -> impl Iterator<Item = &Citation> {
        [&self.egress, &self.ingress].into_iter().flat_map(|side| match side {
            Side::Allowed(citations) => citations.as_slice(),
            _ => &[],
        })
    }

    /// Why and where it is stopped; the client's end first.
    pub const fn denial(&self) -> Option<(Direction, &Denial)> {
        match (&self.egress, &self.ingress) {
            (Side::Denied(denial), _) => Some((Direction::Egress, denial)),
            (_, Side::Denied(denial)) => Some((Direction::Ingress, denial)),
            _ => None,
        }
    }

    /// Why it cannot be told; the client's end first.
    pub const fn doubt(&self) -> Option<(Direction, Doubt)> {
        match (&self.egress, &self.ingress) {
            (Side::Undecidable(doubt), _) => Some((Direction::Egress, *doubt)),
            (_, Side::Undecidable(doubt)) => Some((Direction::Ingress, *doubt)),
            _ => None,
        }
    }
}
