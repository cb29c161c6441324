//! The files of a draft: the five pinned ones, `kustomization.yaml`, `PENDING.md` and `README.md`.
//!
//! In: a draft. Out: names and contents, checked; or the first object that fails a check. Every pinned file is there, even when no
//! rule is meant for it, so that a review sees five names in every namespace.

use super::check::{CheckError, check_object};
use super::manifest::{Manifest, manifests};
use super::model::Draft;
use super::yaml::{list, map};
use super::{pending, readme};
use crate::policy::names::PolicyName;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The files of one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Sorted by name, documents last.
    pub files: Vec<DraftFile>,
    /// The objects in them.
    pub manifests: Vec<Manifest>,
}

/// Writes and checks the files of a draft.
pub fn bundle(draft: &Draft) -> Result<Bundle, CheckError> {
    let manifests = manifests(draft);
    for manifest in &manifests {
        check_object(draft.dialect, &manifest.json())?;
    }
    let mut files = Vec::new();
    let mut resources = Vec::new();
    for policy in PolicyName::ALL {
        let own: Vec<String> =
            manifests.iter().filter(|manifest| manifest.policy == policy).map(Manifest::yaml).collect();
        let text = if own.is_empty() {
            format!("# {policy}: nothing of the baseline needs a rule here, so there is no object of this name.\n")
        } else {
            resources.push(policy.file());
            own.join("---\n")
        };
        files.push(DraftFile { name: policy.file(), text });
    }
    // What opens before what closes: where denies are rules of their own, the order of application matters.
    resources.sort_by_key(|file| file.starts_with("default-deny"));
    let kustomization = map([
        ("apiVersion", "kustomize.config.k8s.io/v1beta1".into()),
        ("kind", "Kustomization".into()),
        ("sortOptions", map([("order", "fifo".into())])),
        ("resources", list(resources.into_iter().map(Into::into))),
    ]);
    files.push(DraftFile { name: "kustomization.yaml".to_owned(), text: kustomization.document(&[]) });
    files.push(DraftFile { name: "PENDING.md".to_owned(), text: pending::document(draft) });
    files.push(DraftFile { name: "README.md".to_owned(), text: readme::document(draft, &manifests) });
    Ok(Bundle { files, manifests })
}
