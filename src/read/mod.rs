//! Bytes into rows: one source per module, every record accounted for.
//!
//! In: chunks of a log or a stream, already cut at record borders. Out: rows of the model and the account of what
//! became of each record. Nothing here opens a file or a socket, and no input can stop the reading of what follows it.

pub mod hubble;
