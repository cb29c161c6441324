//! egress-atlas: from Kubernetes flow logs and DNS captures to a map of every destination that workloads talk to.
//!
//! Bytes become rows of two kinds, flows and DNS answers. The rows meet in one join, which gives each connection the
//! name that its own pod had resolved. Named connections are folded into edges between workloads and destinations, the
//! edges are judged, and the judged edges are written down. Data goes one way through the modules below, and so do
//! imports: a module uses only those before it in this order (a test reads the sources and checks it).
//!
//! ```text
//!  files          kube · read       attribute           summary      catalog · classify · detect      report
//!  Hubble, Calico bytes → rows,     flows × answers     edges,       category, findings,              documents,
//!  Antrea, dnstap→ broken ones    → = name, grade,    → coverage   → state of the review            → tables, JSON
//!  kubectl -o     counted           confidence
//! ```
//!
//! # The map, in the order of the data
//!
//! - [`error`]: how a command ends, the four exit statuses.
//! - [`model`]: what things are: flow and answer rows, endpoints, names, times, grades, accounts, and the vocabulary
//!   that turns repeated values into small numbers. No input or output, no clock.
//! - [`catalog`]: what the world is known to be: embedded lists of names, address ranges and ports, with the source of
//!   every row; the user's settings and reviews.
//! - [`kube`]: which pod, service or node an address belonged to, *and when*, from Kubernetes objects.
//! - [`read`]: bytes to rows, one source per file; everything in it distrusts its input.
//! - [`collect`]: live sources to a write-ahead log: dnstap senders, files of the exporter. The only asynchronous part.
//! - [`lake`]: the store: rows as Parquet in folders by cluster, day and client, and the ledger of what sources delivered.
//! - [`attribute`]: records to connections, connections to names: direction, de-duplication, the as-of join, ranking.
//! - [`summary`]: what remains of the traffic: edges, workloads, coverage. Adding is commutative and associative.
//! - [`classify`]: destination to category, with the rule that decided.
//! - [`detect`]: destination to findings, each with reason, severity, confidence and remedy.
//! - [`inquiry`]: one target instead of all: who talked to it, when, how the name is known, what else they did.
//! - [`policy`]: parsers of five dialects into one compiled form, and drafts from what was seen and what owners decided.
//! - [`replay`]: recorded connections against policies: passes, would break, cannot be told; and the soak gate.
//! - [`report`]: finished values in, text out: documents, index, JSON, the columns of tables.
//! - [`simulate`]: data that we make ourselves: the demo, and random clusters whose truth is known. Its encoders share
//!   nothing with the decoders of [`read`], so that each checks the other.
//! - [`task`]: units of work: read everything with all cores; judge everything; the same in slices on many machines.
//! - [`cli`]: one file per command. The only place with a clock, with a terminal, and with data frames.
//!
//! # What always holds
//!
//! 1. Every record that was read is used, rejected with a reason and a place, or excluded by name:
//!    `read = used + rejected + excluded`. See [`model::Account`].
//! 2. A flow without a name stays, as a destination known by its address.
//! 3. The same input gives the same bytes, whatever the number of threads and the order of files.
//! 4. Memory follows what is distinct (names, endpoints, edges) and the size of one partition, not the number of
//!    records. The table with one row per connection (`attribute` on the command line) is the exception.
//! 5. Addresses of different clusters never meet, and an address belongs to a pod only for a time.
//! 6. The time of an event decides, never that of its arrival.
//! 7. Everything from [`attribute`] to [`report`] is a function of its arguments, but for the temporary files that
//!    bound the memory of the join.
//!
//! # Where to begin
//!
//! [`task::ingest()`] and `cli::traffic` show how the parts are put together; [`attribute::attribute()`] is the heart;
//! `tests/it/demo.rs` runs all of it. `ARCHITECTURE.md` says why things are as they are.

pub mod attribute;
pub mod catalog;
pub mod classify;
pub mod cli;
pub mod collect;
pub mod detect;
pub mod error;
pub mod inquiry;
pub mod kube;
pub mod lake;
pub mod model;
pub mod policy;
pub mod read;
pub mod replay;
pub mod report;
pub mod simulate;
pub mod summary;
pub mod task;
