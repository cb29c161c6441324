//! egress-atlas: from flow logs and DNS captures to a map of every destination that workloads talk to.
pub mod attribute;
pub mod catalog;
pub mod classify;
pub mod cli;
pub mod detect;
pub mod error;
pub mod kube;
pub mod model;
pub mod read;
pub mod report;
pub mod simulate;
pub mod summary;
pub mod task;
