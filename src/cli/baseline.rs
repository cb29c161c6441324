//! The machine form of a baseline: what `discover` wrote earlier, or what it would write of the traffic at hand.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::Context;
use super::discover::reviews;
use super::preflight::{is_covered, summarise};
use super::replay::{Connections, connections};
use super::traffic::{TrafficArgs, say_account};
use crate::catalog::{Catalog, RuleRanges};
use crate::replay::Asked;
use crate::report::{ATLAS_SCHEMA, AtlasDocument, atlas_document};
use crate::task::judge;

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

/// What `discover` would write of this traffic, and whether the evidence covers what was asked.
pub(super) fn baseline_of_traffic(
    traffic: &TrafficArgs,
    reviewed: Option<&Path>,
    context: &mut Context<'_>,
) -> anyhow::Result<(AtlasDocument, bool)> {
    let (document, covered, _) = baseline_and_connections(traffic, reviewed, None, context)?;
    Ok((document, covered))
}

/// The same, and the connections themselves with what rules ask of them, where policies are to be judged by them.
pub(super) fn baseline_and_connections(
    traffic: &TrafficArgs,
    reviewed: Option<&Path>,
    asked: Option<&Asked>,
    context: &mut Context<'_>,
) -> anyhow::Result<(AtlasDocument, bool, Option<Connections>)> {
    let reviews = reviews(reviewed)?;
    let catalog = Catalog::embedded()?;
    let (traffic, evidence) = traffic.load(false, context)?;
    let connections = asked.map(|asked| connections(&traffic, &evidence, asked)).transpose()?;
    let atlas = summarise(&traffic, evidence, &RuleRanges::of(&catalog, &traffic.settings))?;
    let document = atlas_document(&judge(&atlas, &catalog, &traffic.settings, &reviews));
    say_account(&traffic, context);
    Ok((document, is_covered(&traffic, &atlas), connections))
}
