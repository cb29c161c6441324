//! The list that `draft` leaves beside the folders of several clusters, and how `--policies` finds them again.
//!
//! In: the clusters of a baseline, or a folder that somebody points at. Out: the list, or the inputs that it stands for. A folder without it is
//! an ordinary folder: the same object twice is then a question, since nobody says that two clusters are meant.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::read::InputSpec;
use crate::report::cluster_folder;

/// Its name. Not one that is read as a policy.
pub(super) const DRAFTS_INDEX: &str = "egress-atlas-drafts.list";

const HEAD: &str = "egress-atlas-drafts/1";
/// A list longer than this is none.
const BYTES_MAX: u64 = 1 << 20;

/// The list: one cluster a line, as JSON text.
pub(super) fn drafts_index(clusters: &[String]) -> String {
    let mut lines = vec![HEAD.to_owned()];
    lines.extend(clusters.iter().map(|cluster| serde_json::Value::from(cluster.as_str()).to_string()));
    lines.join("\n") + "\n"
}

/// One input for each cluster that has a folder; `None` where `text` is no folder with a list, or names a cluster itself.
pub(super) fn drafted_clusters(text: &str) -> anyhow::Result<Option<Vec<InputSpec>>> {
    let folder = Path::new(text);
    let list = folder.join(DRAFTS_INDEX);
    let Ok(size) = std::fs::metadata(&list).map(|found| found.len()) else { return Ok(None) };
    let name = list.display().to_string();
    let broken =
        || format!("`{name}`: not the list that `draft` writes; draft again, or name each cluster as NAME=PATH");
    if size > BYTES_MAX {
        bail!("{}", broken());
    }
    let content = std::fs::read_to_string(&list).with_context(broken)?;
    let mut lines = content.lines();
    if lines.next() != Some(HEAD) {
        bail!("{}", broken());
    }
    let mut specs = Vec::new();
    for line in lines {
        let cluster: String = serde_json::from_str(line).with_context(broken)?;
        let own = folder.join(cluster_folder(&cluster));
        if own.is_dir() {
            specs.push(InputSpec { cluster: Some(cluster), format: None, path: own.display().to_string() });
        }
    }
    if specs.is_empty() {
        bail!("`{text}`: no folder of any of its clusters is there; draft again");
    }
    Ok(Some(specs))
}
