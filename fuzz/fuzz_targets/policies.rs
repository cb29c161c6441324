#![no_main]

use egress_atlas::policy::{PolicySet, PolicySource};
use libfuzzer_sys::fuzz_target;

// Any text: policies, or mistakes with their places; never a panic, never without end.
fuzz_target!(|text: &str| {
    let source = PolicySource { file: "fuzz.yaml", text, cluster: None };
    match PolicySet::parse(&[source]) {
        Ok(set) => assert!(set.rules().all(|(id, _, _)| set.rule(id).is_some())),
        Err(error) => assert!(!error.problems.is_empty()),
    }
});
