//! All policies that were read, with the identity of every object and rule.

use std::collections::BTreeMap;
use std::fmt;

use super::{Action, Direction, PolicyError, Rule, Section, Selector, parse};

/// The note of a Kubernetes policy that closes ingress of its pods only because it says nothing of `policyTypes`.
pub const IMPLIED_INGRESS: &str = "closes ingress of its pods too: `policyTypes` is absent";

/// A text of policies, as [`PolicySet::parse`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct PolicySource<'a> {
    /// The name of the file in messages.
    pub file: &'a str,
    /// YAML or JSON: documents, lists, what `kubectl get -o` prints.
    pub text: &'a str,
    /// The cluster that the policies are for; `None` for every cluster.
    pub cluster: Option<&'a str>,
}

/// The language that a policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `networking.k8s.io/v1`.
    Kubernetes,
    /// `cilium.io/v2`.
    Cilium,
    /// `projectcalico.org/v3`, `crd.projectcalico.org/v1`.
    Calico,
    /// `crd.antrea.io`.
    Antrea,
    /// `policy.networking.k8s.io` (`ClusterNetworkPolicy` and its predecessors).
    ClusterNetworkPolicy,
}

impl Dialect {
    /// The word of `--dialect` and of outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Cilium => "cilium",
            Self::Calico => "calico",
            Self::Antrea => "antrea",
            Self::ClusterNetworkPolicy => "cluster-network-policy",
        }
    }
}

/// Which object a policy is, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The cluster that the source was given for; `None` for every cluster.
    pub cluster: Option<Box<str>>,
    /// `NetworkPolicy`, `CiliumNetworkPolicy`, ...
    pub kind: Box<str>,
    /// Empty for cluster-wide kinds.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// File, as the user named it.
    pub file: Box<str>,
    /// Which document of the file, from 1.
    pub document: usize,
    /// Line of the object, from 1.
    pub line: usize,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// What happens at the end of an ordered tier to what no rule of it decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TierEnd {
    /// The next tier is asked.
    Continue,
    /// Denied, if any policy of the tier selects the pod (Calico).
    DenySelected,
}

/// When a policy has its say.
#[derive(Clone, Debug, PartialEq)]
pub enum Tier {
    /// Together with all others of the tier, without order: a deny wins, an allow is enough, isolation stops the rest. Kubernetes and
    /// Cilium.
    Union,
    /// One after another; the first rule that matches decides.
    Ordered {
        /// The tier's name.
        name: Box<str>,
        /// When the tier has its turn; smaller is earlier. Kubernetes policies stand at 0, tiers of administrators before, baselines
        /// behind.
        rank: f64,
        /// The policy's place in the tier; smaller is earlier.
        order: f64,
        /// What happens at its end.
        end: TierEnd,
    },
}

/// Which pods a policy is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Of the namespace.
    pub namespaces: Selector,
    /// Of the pod.
    pub pods: Selector,
}

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which object it is.
    pub id: ObjectId,
    /// Its language.
    pub dialect: Dialect,
    /// When it has its say.
    pub tier: Tier,
    /// Which pods it is about.
    pub subject: Subject,
    /// Whether it is about anything at all: staged policies, policies for nodes and the like are kept and decide nothing.
    pub is_enforced: bool,
    /// `None` when the policy says nothing about connections that the pods begin.
    pub egress: Option<Section>,
    /// `None` when the policy says nothing about connections to the pods.
    pub ingress: Option<Section>,
    /// What of it is noted and not judged.
    pub notes: Vec<&'static str>,
}

impl Policy {
    /// The section of a direction.
    pub const fn section(&self, direction: Direction) -> Option<&Section> {
        match direction {
            Direction::Egress => self.egress.as_ref(),
            Direction::Ingress => self.ingress.as_ref(),
        }
    }
}

/// Which rule of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// Place of the policy in [`PolicySet::policies`].
    pub policy: usize,
    /// Direction.
    pub direction: Direction,
    /// Place in [`Section::rules`].
    pub rule: usize,
}

/// Something in the sources that is no error and that the user should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The object.
    pub object: ObjectId,
    /// What about it.
    pub text: &'static str,
}

/// Objects that are no policies, by kind.
pub type Passed = BTreeMap<Box<str>, u64>;

/// All policies that were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    /// By object.
    pub policies: Vec<Policy>,
    /// By object.
    pub notes: Vec<Note>,
    /// Objects of the sources that are no policies.
    pub passed: Passed,
}

impl PolicySet {
    /// Reads policies, normalises them as the API server would, and checks every key.
    ///
    /// The same object twice for one cluster is an error; so is any key that does not exist in its place.
    pub fn parse(sources: &[PolicySource<'_>]) -> Result<Self, PolicyError> {
        parse::parse(sources)
    }

    /// The policy and rule of a number.
    pub fn rule(&self, id: RuleId) -> Option<(&Policy, &Rule)> {
        let policy = self.policies.get(id.policy)?;
        Some((policy, policy.section(id.direction)?.rules.get(id.rule)?))
    }

    /// Every rule, in order.
    pub fn rules(&self) -> impl Iterator<Item = (RuleId, &Policy, &Rule)> {
        self.policies.iter().enumerate().flat_map(|(number, policy)| {
            [Direction::Egress, Direction::Ingress].into_iter().flat_map(move |direction| {
                let rules = policy.section(direction).map(|section| section.rules.as_slice()).unwrap_or_default();
                rules
                    .iter()
                    .enumerate()
                    .map(move |(rule, content)| (RuleId { policy: number, direction, rule }, policy, content))
            })
        })
    }

    /// How people refer to a rule: `NetworkPolicy shop/allow-dns egress rule 1` (counted from 1), or the rule's own name where it has
    /// one.
    pub fn rule_text(&self, id: RuleId) -> String {
        match self.rule(id) {
            Some((policy, rule)) if rule.name.is_empty() => {
                format!("{} {} rule {}", policy.id, rule.list, rule.index + 1)
            }
            Some((policy, rule)) => format!("{} {} rule {} ({})", policy.id, rule.list, rule.index + 1, rule.name),
            None => "unknown rule".to_owned(),
        }
    }

    /// Whether any rule of an enforced policy allows something.
    pub fn allows_anything(&self) -> bool {
        self.rules().any(|(_, policy, rule)| policy.is_enforced && rule.action == Action::Allow)
    }
}
