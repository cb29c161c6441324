//! Bytes into rows: one source of records per file, each bounded, each with an account of what became of its records.

pub mod dns;
pub mod dns_name;
pub mod dnstap;
pub mod envelope;
pub mod framestream;
mod framestream_control;
