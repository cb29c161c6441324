//! The `egress-atlas` binary.

fn main() {}
