//! The one integration test binary. A line per module says what belongs there.
#![cfg(test)]

/// How right the names are, on clusters whose truth is known.
mod accuracy;
/// What a draft lets in, leaves out and asks.
mod admission;
/// Antrea's text forms.
mod antrea;
/// Which name a connection gets, on awkward recordings.
mod attribution;
/// Lints of policies, each with a case that fires and one that does not.
mod audit;
/// Broken input: messages, statuses, what is kept.
mod bad_input;
/// Workloads that a baseline knows nothing of.
mod blind_spots;
/// Stores in buckets.
mod bucket;
/// Calico and Goldmane.
mod calico;
/// Catalog, settings, reviews, categories and list findings.
mod catalog;
/// The live collector, as a process: senders, files, crashes.
mod collect;
/// Evidence for controls.
mod compliance;
/// The account of records over every fixture.
mod conservation;
/// What is covered, and what only seems so.
mod coverage;
/// Decodes bytes of any format.
mod damaged;
mod decoding;
/// The demo's documents, byte for byte.
mod demo;
/// Detectors of behaviour, their evaluation, and exports of findings.
mod detect;
/// dnstap captures.
mod dnstap;
/// Policy drafts: their files, their checks, and the way back through the replay.
mod draft;
/// What is new, gone or changed since a baseline.
mod drift;
/// Repeats as one row: no command can tell.
mod folding;
/// Hubble JSON.
mod hubble;
/// The same whatever the slicing, the order of files and the threads.
mod independence;
/// `investigate` on the demo.
mod investigate;
/// IPFIX messages.
mod ipfix;
/// The join, its oracle, and independence of slicing.
mod join;
/// Kubernetes objects.
mod kube;
/// The store: import, reading back, pruning.
mod lake;
/// Destinations with more addresses than an edge lists.
mod many_addresses;
/// Pages in a real browser.
mod page;
/// The rollout plan.
mod plan;
/// Policy files: what is read, what is refused and how it is said.
mod policy;
/// The enforcement probe.
mod probe;
/// Recordings made for tests.
mod recording;
/// Traffic against policies: truth tables, a second evaluator, the command.
mod replay;
/// Documents and tables.
mod report;
/// The owner gate.
mod review;
/// Generated data.
mod simulate;
/// Discovery in slices: any slicing, in any order, gives the same bytes.
mod slices;
/// The gate after a change.
mod soak;
/// Every source, end to end.
mod sources;
/// Slices as tasks of Spark: a fake one always, the real one where it is.
mod spark;
/// Every format and every command, through the store.
mod stored;
/// A rollout over simulated weeks, and the walk-through made from it.
mod story;
/// Runs commands in this process.
mod support;
/// What a terminal of 80 columns shows.
mod terminal;
/// House rules.
mod tidy;
/// Bytes, packets and numbers of connections.
mod volumes;
