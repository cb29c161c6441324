//! Antrea's flow log, JSON records, audit log and tables: nothing panics, and every record is accounted for.
#![no_main]

use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::{Decoders, Format, Framing, Layout};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut decoders = Decoders::new(true, None);
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    for format in [Format::AntreaLog, Format::AntreaCsv] {
        for framing in [Framing::Lines, Framing::Objects] {
            let layout = Layout { format, framing, header: None, with_cluster_ids: true };
            decoders.decode(layout, (bytes, u64::MAX), &mut vocabulary, &mut batch, &mut account);
            assert!(account.is_balanced());
        }
    }
    assert_eq!(batch.records().map(<[_]>::len).sum::<usize>(), batch.flows.len());
});
