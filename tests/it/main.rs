//! The one integration test binary. A line per module says what belongs there.
#![cfg(test)]

/// How right the names are, on clusters whose truth is known.
mod accuracy;
/// Broken input: messages, statuses, what is kept.
mod bad_input;
/// Catalog, settings, reviews, categories and list findings.
mod catalog;
/// The live collector, as a process: senders, files, crashes.
mod collect;
/// The account of records over every fixture.
mod conservation;
/// The demo's documents, byte for byte.
mod demo;
/// dnstap captures.
mod dnstap;
/// Hubble JSON.
mod hubble;
/// The join, its oracle, and independence of slicing.
mod join;
/// Kubernetes objects.
mod kube;
/// The store: import, reading back, pruning.
mod lake;
/// Documents and tables.
mod report;
/// Generated data.
mod simulate;
/// Runs commands in this process.
mod support;
/// House rules.
mod tidy;
