//! The fold of a partial result: read or refused, and what was read can be joined.
#![no_main]

use egress_atlas::attribute::{Evidence, Fold, FoldLimits};
use egress_atlas::kube::Inventory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut fold = Fold::new(FoldLimits::default());
    if fold.read(&mut &*bytes).is_ok() {
        let gathered = Evidence::gather(vec![fold], &Inventory::default(), "default", 1);
        assert!(gathered.is_ok());
    }
});
