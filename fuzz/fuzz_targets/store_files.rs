//! Files of a store that somebody else wrote, under every table: rows or an error that names the file.
#![no_main]

use egress_atlas::lake::{Imports, Partition, Reader, ScanOptions, Table, make_store, read_ledger, scan};
use egress_atlas::model::{Batch, Vocabulary};
use libfuzzer_sys::fuzz_target;

/// The store catches panics of polars' decoders and tells them as damage; libfuzzer would stop at them. It still stops at one that gets out.
static QUIET: std::sync::Once = std::sync::Once::new();

fuzz_target!(|bytes: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let root = std::env::temp_dir().join(format!("egress-atlas-fuzz-store-{}", std::process::id()));
    if make_store(&root).is_err() {
        return;
    }
    for table in Table::ALL {
        let partition = Partition { table, cluster: "a".to_owned(), day: Some(20_000), bucket: 0 };
        let folder = root.join(partition.folder());
        assert_eq!(Partition::of_folder(&partition.folder()), Some(partition));
        if std::fs::create_dir_all(&folder).is_err() || std::fs::write(folder.join("x.parquet"), bytes).is_err() {
            return;
        }
    }
    let imports = root.join("imports");
    if std::fs::create_dir_all(&imports).is_err() || std::fs::write(imports.join("x.json"), bytes).is_err() {
        return;
    }
    let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
    let Ok(plan) = scan(&root, &options) else { return };
    assert!(plan.broken.iter().all(|problem| problem.contains("x.parquet")));
    let (mut reader, mut vocabulary, mut batch) = (Reader::default(), Vocabulary::default(), Batch::default());
    for piece in &plan.pieces {
        if let Err(error) = reader.read(piece, &options, &mut vocabulary, &mut batch) {
            assert!(error.to_string().contains("x.parquet"));
        }
    }
    if let Ok(ledger) = read_ledger(&root, &options) {
        assert!(ledger.broken.len() <= 1);
    }
    if let Err(error) = Imports::read(&root) {
        assert!(error.to_string().contains("x.json"));
    }
});
