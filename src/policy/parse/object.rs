//! The frame of every policy object: `apiVersion`, `kind`, `metadata`.

use super::fields::{Fields, Item};
use crate::policy::{ObjectId, Problem};

/// Every key of `ObjectMeta` (`k8s.io/apimachinery`, `meta/v1`).
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The names of an object.
pub(super) struct Metadata {
    /// Empty for cluster-wide kinds.
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

/// Checks the frame; `namespaced` says whether the kind lives in a namespace.
pub(super) fn frame<'a>(item: &Item<'a>, keys: &[&str], namespaced: bool) -> Result<(Fields<'a>, Metadata), Problem> {
    let known: Vec<&str> = ["apiVersion", "kind", "metadata"].iter().chain(keys).copied().collect();
    let fields = item.clone().fields(&known)?;
    let metadata = fields.require("metadata")?.fields(&METADATA)?;
    let name = match (metadata.text("name")?, metadata.text("generateName")?) {
        (Some(name), _) | (None, Some(name)) if !name.is_empty() => name,
        _ => return Err(metadata.item.refuse("needs the key `name`")),
    };
    let namespace = match metadata.text("namespace")? {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => "default",
    };
    let namespace = if namespaced { namespace } else { "" };
    for text in [name, namespace] {
        // Capitals and `_` are refused by the API server only; see `is_good_name`.
        let readable = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if text.len() > 253 || !text.bytes().all(readable) {
            let shown: String = text.chars().take(80).collect();
            return Err(metadata
                .item
                .refuse(format!("`{shown}` is no name of Kubernetes: lower case letters, digits, `-` and `.`")));
        }
    }
    Ok((fields, Metadata { namespace: namespace.into(), name: name.into() }))
}

/// Whether the API server takes an object of this name; what the policy means does not depend on it.
pub(super) fn is_good_name(id: &ObjectId) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    id.name.bytes().chain(id.namespace.bytes()).all(good)
}

/// The identity of an object.
pub(super) fn identity(item: &Item<'_>, kind: &str, metadata: &Metadata, cluster: Option<&str>) -> ObjectId {
    ObjectId {
        cluster: cluster.map(Into::into),
        kind: kind.into(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        file: item.origin.file.clone(),
        document: item.origin.document,
        line: item.node.line,
    }
}
