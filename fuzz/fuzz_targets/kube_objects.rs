//! Kubernetes objects as JSON or YAML: every object is accounted for, and a second look at a file adds no pod.
#![no_main]

use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut inventory, mut account) = (Inventory::default(), Account::default());
    inventory.add("one", bytes, &mut account);
    assert!(account.is_balanced());
    let pods = inventory.pods("one").count();
    inventory.add("one", bytes, &mut account);
    assert_eq!(pods, inventory.pods("one").count());
    for pod in inventory.pods("one") {
        for address in &pod.addresses {
            let _holder = inventory.pod_at("one", *address, pod.started);
            let _without_time = inventory.pod_at("one", *address, Timestamp::UNKNOWN);
            assert!(inventory.pod_at("another", *address, pod.started).is_none());
        }
    }
});
