//! Objects: the draft in its dialect, with the pinned file that each one belongs to.
//!
//! In: a draft. Out: objects in the order of the pinned names, each a tree with comments. A template without rules in a direction gets no
//! object: the default deny holds it closed.

use super::dialect::Dialect;
use super::evidence::printable;
use super::model::{Draft, Subject};
use super::yaml::{Node, map};
use super::{antrea, calico, cilium, cluster_policy, kubernetes};
use crate::policy::names::PolicyName;

/// One object of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The pinned name that it belongs to.
    pub policy: PolicyName,
    /// Its own name.
    pub name: String,
    /// The template that it selects; empty for the whole namespace, or for several.
    pub subject: String,
    pub(super) comments: Vec<String>,
    pub(super) tree: Node,
}

impl Manifest {
    /// The object as YAML with comments.
    pub fn yaml(&self) -> String {
        self.tree.document(&self.comments)
    }

    /// The object as JSON.
    pub fn json(&self) -> serde_json::Value {
        self.tree.json()
    }
}

/// The objects of a draft.
pub fn manifests(draft: &Draft) -> Vec<Manifest> {
    match draft.dialect {
        Dialect::Kubernetes => kubernetes::manifests(draft),
        Dialect::Cilium => cilium::manifests(draft),
        Dialect::Antrea => antrea::manifests(draft),
        Dialect::Calico => calico::manifests(draft),
        Dialect::ClusterNetworkPolicy => cluster_policy::manifests(draft),
    }
}

/// An object of a dialect.
pub(super) fn object(dialect: Dialect, namespace: Option<&str>, name: &str, spec: (&str, Node)) -> Node {
    let mut metadata = vec![super::yaml::entry("name", name.into())];
    if let Some(namespace) = namespace {
        metadata.push(super::yaml::entry("namespace", namespace.into()));
    }
    map([
        ("apiVersion", dialect.api_version().into()),
        ("kind", dialect.kind().into()),
        ("metadata", Node::Map(metadata)),
        spec,
    ])
}

/// What an object is for, as its opening comment.
pub(super) fn purpose(policy: PolicyName, subject: Option<&Subject>) -> Vec<String> {
    let what = match policy {
        PolicyName::DefaultDenyEgress => {
            "Closes every way out of every pod of the namespace; the other files open what is needed."
        }
        PolicyName::DefaultDenyIngress => {
            "Closes every way into every pod of the namespace; the other files open what is needed."
        }
        PolicyName::EgressBaselineAllow => "What every pod of the namespace needs.",
        PolicyName::EgressAllowlist => "Where these pods connect to.",
        PolicyName::IngressAllowlist => "Who connects to these pods.",
    };
    let mut lines = vec![what.to_owned()];
    if let Some(subject) = subject {
        lines.push(selected(subject));
    }
    lines
}

/// Whom a subject stands for.
pub(super) fn selected(subject: &Subject) -> String {
    let workloads: Vec<String> =
        subject.workloads.iter().take(6).map(|workload| printable(&workload.to_string())).collect();
    let more = subject.workloads.len().saturating_sub(workloads.len());
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} by {}: {}{rest}.", subject.name, subject.selector, workloads.join(", "))
}

/// The name of an object of one template; the plain pinned name where there is no template.
pub(super) fn object_name(policy: PolicyName, subject: Option<&Subject>) -> String {
    subject.map_or_else(|| policy.as_str().to_owned(), |subject| format!("{policy}-{}", subject.name))
}
