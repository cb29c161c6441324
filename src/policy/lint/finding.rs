//! A finding of a lint, and the list of all rules with what they stand for.

use crate::model::Severity;
use crate::policy::ObjectId;

/// A rule of the audit.
#[derive(Debug, PartialEq, Eq)]
pub struct LintRule {
    /// Its id in every output; does not change.
    pub id: &'static str,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Its highest severity.
    pub severity: Severity,
    /// Why that matters.
    pub why: &'static str,
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $why:literal;)*) => {
        $(pub(super) static $name: LintRule =
            LintRule { id: $id, title: $title, severity: Severity::$severity, why: $why };)*
        /// Every rule, in the order of the documentation.
        pub static LINT_RULES: &[&LintRule] = &[$(&$name),*];
    };
}

rules! {
    ANY_DESTINATION = "any-destination", High, "egress to any destination", "a pod that may reach everything can send data anywhere";
    ANY_SOURCE = "any-source", Medium, "ingress from anywhere", "callers from outside the cluster get in as well";
    WORLD = "world", High, "egress to the whole world", "`world` and `all` include every address outside, metadata services too";
    WHOLE_INTERNET = "whole-internet", High, "a range over every address", "without exceptions the range holds private networks and metadata services";
    PUBLIC_INTERNET = "public-internet", Low, "the public internet, with exceptions", "any public server can be reached; names or subnets are narrower";
    WIDE_RANGE = "wide-range", Medium, "a very wide range", "few destinations need a range of a million addresses";
    METADATA_REACHABLE = "metadata-reachable", High, "a metadata service can be reached", "it hands out the node's cloud credentials";
    EVERY_POD = "every-pod", Low, "every pod of every namespace", "one taken pod reaches all others";
    ANY_NAME = "any-name", High, "every DNS name", "the rule allows every name there is";
    WILDCARD_SHARED = "wildcard-shared-suffix", High, "a wildcard below a shared suffix", "anybody can put a server below such a suffix";
    SELECTOR_FOR_INTERNET = "selector-for-internet", Medium, "selectors meant for the internet", "selectors mean pods: nothing outside the cluster is reached";
    SELECTS_NOBODY = "selects-nobody", Medium, "a rule that means nobody", "it allows nothing, whatever it was written for";
    NO_SUCH_POD = "no-such-pod", Medium, "a selector without pods", "a policy that selects no pod protects none";
    NAME_WITHOUT_DNS = "name-without-dns", High, "a name that no DNS rule serves", "Cilium learns addresses of names from its DNS proxy alone";
    BLOCK_ON_PODS = "block-on-cluster-addresses", Medium, "a range of addresses inside the cluster", "pods and services are judged by identity or after translation";
    LIST_WITHOUT_DENY = "allow-list-without-deny", High, "an allow-list that closes nothing", "without a deny everything else passes too";
    UNENFORCED_KIND = "unenforced-kind", High, "a kind that the CNI does not enforce", "the object is accepted and does nothing";
    NOT_IN_FORCE = "not-in-force", Low, "a policy that decides nothing yet", "staged policies and policies for nodes protect no pod";
    SHADOWED = "shadowed-rule", Medium, "a rule that another one covers", "it changes nothing, and misleads whoever reads it";
    DENY_UNDONE = "deny-undone", High, "an allow that undoes a deny", "the deny looks as if it protected and does not";
    HOLE_UNDONE = "except-undone", Medium, "an allow that fills an exception", "an address in `except` is not denied: any other rule may allow it";
    DENY_MISSING = "default-deny-missing", Medium, "no default-deny", "pods that no policy selects may reach everything";
    DENY_WEAK = "default-deny-ineffective", High, "a default-deny that does not close the namespace", "its name promises what it does not do";
    DENY_RENAMED = "default-deny-other-name", Low, "a default-deny under another name", "rollback commands go by the pinned name";
    INGRESS_IMPLIED = "ingress-implied", Medium, "ingress closed without a word", "without `policyTypes` a list of egress alone closes all ingress of its pods too";
    DRIFTED_NAME = "drifted-name", Medium, "a name close to a pinned one", "rollback commands and checks go by the exact name";
    DNS_CLOSED = "dns-closed", Medium, "egress closed without DNS", "names no longer resolve, and everything that uses names breaks";
    DNS_WITHOUT_TCP = "dns-one-transport", Low, "DNS over one transport only", "large answers need TCP, ordinary questions UDP";
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// Which rule.
    pub rule: &'static LintRule,
    /// How bad it is here.
    pub severity: Severity,
    /// Cluster; `None` where it holds in every cluster of the policy.
    pub cluster: Option<Box<str>>,
    /// Kind of the object; `Namespace` for what is missing in one.
    pub kind: Box<str>,
    /// Namespace; empty for cluster-wide kinds.
    pub namespace: Box<str>,
    /// Name; that of the namespace for `Namespace`.
    pub name: Box<str>,
    /// The file; empty when no file holds the object.
    pub file: Box<str>,
    /// Line, from 1; 0 without a file.
    pub line: usize,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl LintFinding {
    /// A finding about an object.
    pub(super) fn new(
        rule: &'static LintRule,
        severity: Severity,
        object: &ObjectId,
        line: usize,
        (message, fix): (String, String),
    ) -> Self {
        Self {
            rule,
            severity,
            cluster: object.cluster.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            file: object.file.clone(),
            line,
            message,
            fix,
        }
    }

    /// `NetworkPolicy shop/allow-dns`, `Namespace shop`.
    pub fn object(&self) -> String {
        match &*self.namespace {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }

    /// What findings are sorted by: the worst first, then by place.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (
            std::cmp::Reverse(self.severity),
            self.file.clone(),
            self.line,
            self.rule.id,
            (self.cluster.clone(), self.object(), self.message.clone()),
        )
    }
}
