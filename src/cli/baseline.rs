//! Reads what `discover` wrote earlier: the machine form of a baseline.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::report::{ATLAS_SCHEMA, AtlasDocument};

#[derive(serde::Deserialize)]
struct Versioned {
    schema: String,
}

/// The `atlas.json` of a folder (or that file itself).
pub(super) fn read_baseline(path: &Path) -> anyhow::Result<AtlasDocument> {
    let file = if path.is_dir() { path.join("atlas.json") } else { path.to_owned() };
    let name = file.display().to_string();
    let text = std::fs::read(&file)
        .with_context(|| format!("`{name}`: baseline; give the folder that `discover --out` wrote"))?;
    // The version is looked at before the fields: another form must not be reported as a broken file.
    let version: Versioned = serde_json::from_slice(&text)
        .with_context(|| format!("`{name}`: not an atlas.json; give the folder that `discover --out` wrote"))?;
    if version.schema != ATLAS_SCHEMA {
        bail!(
            "`{name}`: its form is `{}`, this version reads `{ATLAS_SCHEMA}`; run `discover` again on the same inputs",
            version.schema
        );
    }
    serde_json::from_slice(&text)
        .with_context(|| format!("`{name}`: broken baseline; run `discover` again on the same inputs"))
}
