//! The one integration test binary. A line per module says what belongs there.
#![cfg(test)]

/// Catalog, settings, reviews, categories and list findings.
mod catalog;
/// The demo's documents, byte for byte.
mod demo;
/// dnstap captures.
mod dnstap;
/// Hubble JSON.
mod hubble;
/// Kubernetes objects.
mod kube;
/// Documents and tables.
mod report;
/// Generated data.
mod simulate;
/// Runs commands in this process.
mod support;
/// House rules.
mod tidy;
