//! egress-atlas: from flow logs and DNS captures to a map of every destination that workloads talk to.
pub mod model;
pub mod simulate;
