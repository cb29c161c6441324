//! Reads the baseline that `discover` wrote.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::report::{ATLAS_SCHEMA, AtlasDocument};

/// The atlas of a folder that `discover --out` wrote, or of an `atlas.json` itself.
pub(super) fn read_baseline(path: &Path) -> anyhow::Result<AtlasDocument> {
    let file = if path.is_dir() { path.join("atlas.json") } else { path.to_owned() };
    let name = file.display();
    let bytes = std::fs::read(&file)
        .with_context(|| format!("`{name}`: baseline; give the folder that `discover --out` wrote"))?;
    let atlas: AtlasDocument = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{name}`: not a baseline; write it anew with `discover --out`"))?;
    if atlas.schema != ATLAS_SCHEMA {
        bail!(
            "`{name}`: has the form `{}`, and this version reads `{ATLAS_SCHEMA}`; write it anew with `discover --out`",
            atlas.schema
        );
    }
    Ok(atlas)
}
