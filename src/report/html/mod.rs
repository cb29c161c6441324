//! Pages to look at: one self-contained file each, which needs no network and asks nobody.
//!
//! In: finished documents. Out: HTML with its own style, script and data. A strict content security policy names the hashes of exactly this
//! style and this script; the data are an inert block of JSON in which no text can end the block. Scripts write text, never markup.

mod atlas;
mod page;

pub use atlas::atlas_page;

use super::investigation::InvestigationDocument;
use page::page;

/// The page of an investigation.
///
/// # Errors
///
/// Only if memory for the text cannot be had.
pub fn investigation_page(document: &InvestigationDocument) -> Result<String, serde_json::Error> {
    let script = concat!(include_str!("shared.js"), include_str!("investigation.js"));
    page("Investigation", script, document)
}
