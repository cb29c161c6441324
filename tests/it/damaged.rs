//! Files of the store that somebody damaged: rows, or an error that names the file; and nothing else stops.

use std::path::{Path, PathBuf};

use egress_atlas::lake::{Reader, ScanOptions, read_ledger, scan};
use egress_atlas::model::{Batch, Vocabulary};

use crate::support::{fixture, run};

/// Reads everything; how many files or pieces of them could not be.
fn refused(store: &Path) -> usize {
    let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
    let plan = scan(store, &options).unwrap();
    let (mut reader, mut vocabulary, mut batch) = (Reader::default(), Vocabulary::default(), Batch::default());
    let mut refused = plan.broken;
    for piece in &plan.pieces {
        let read = reader.read(piece, &options, &mut vocabulary, &mut batch);
        refused.extend(read.err().map(|error| error.to_string()));
    }
    refused.extend(read_ledger(store, &options).unwrap().broken);
    for reason in &refused {
        assert!(reason.contains(".parquet`: "), "{reason}");
    }
    refused.len()
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [13_i32, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

fn store(folder: &Path) -> (PathBuf, Vec<PathBuf>) {
    let lake = folder.join("lake");
    let store = lake.display().to_string();
    let ran = run(&[
        "import",
        "--flows",
        &fixture("hubble"),
        "--dns",
        &fixture("dnstap/coredns-1.11.3-k8s.fstrm"),
        "--store",
        &store,
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let mut files: Vec<PathBuf> =
        scan(&lake, &ScanOptions::default()).unwrap().pieces.into_iter().map(|piece| piece.path).collect();
    files.dedup();
    assert!(files.len() > 2, "{files:?}");
    (lake, files)
}

#[test]
fn damaged_files_are_told_or_read_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, files) = store(folder.path());
    assert_eq!(refused(&lake), 0);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut told = 0;
    for turn in 0..90 {
        let path = &files[turn % files.len()];
        let good = std::fs::read(path).unwrap();
        let mut bytes = good.clone();
        let footer = u32::from_le_bytes(good[good.len() - 8..good.len() - 4].try_into().unwrap()) as usize + 8;
        // Anywhere, in the footer alone, or cut off.
        for _ in 0..=numbers.below(3) {
            let place = match turn % 3 {
                0 => good.len() - 1 - numbers.below(footer),
                _ => numbers.below(good.len()),
            };
            bytes[place] ^= [1 << numbers.below(8), 0xff][numbers.below(2)];
        }
        if turn % 7 == 0 {
            bytes.truncate(numbers.below(good.len()));
        }
        std::fs::write(path, &bytes).unwrap();
        told += refused(&lake);
        std::fs::write(path, &good).unwrap();
    }
    assert!(told > 30, "only {told}");
    assert_eq!(refused(&lake), 0);
}

/// Lengths that would ask for more memory than there is, and places that no file has.
#[test]
fn absurd_footers_are_refused() {
    use polars_parquet_format::FileMetaData;
    use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};

    let folder = tempfile::tempdir().unwrap();
    let (lake, files) = store(folder.path());
    let good = std::fs::read(&files[0]).unwrap();
    let tail = good.len() - 8;
    let start = tail - u32::from_le_bytes(good[tail..tail + 4].try_into().unwrap()) as usize;
    let mut decoder = TCompactInputProtocol::new(&good[start..tail], usize::MAX);
    let footer = FileMetaData::read_from_in_protocol(&mut decoder).unwrap();
    let check = |said: &str, footer: &[u8]| {
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        std::fs::write(&files[0], [&good[..start], footer, &length, b"PAR1"].concat()).unwrap();
        let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
        let plan = scan(&lake, &options).unwrap();
        let mut told = plan.broken;
        for piece in plan.pieces.iter().filter(|piece| piece.path == files[0]) {
            let (mut reader, mut vocabulary, mut batch) = (Reader::default(), Vocabulary::default(), Batch::default());
            told.extend(reader.read(piece, &options, &mut vocabulary, &mut batch).err().map(|error| error.to_string()));
        }
        assert!(told.iter().any(|told| told.contains(said)), "{said}: {told:?}");
    };
    let changed = |change: fn(&mut FileMetaData)| {
        let (mut changed, mut bytes) = (footer.clone(), Vec::new());
        change(&mut changed);
        changed.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes)).unwrap();
        bytes
    };
    // A list of two thousand million columns.
    check("its footer is damaged", &[0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]);
    check(
        "outside of any file",
        &changed(|footer| {
            footer.row_groups[0].columns[1].meta_data.as_mut().unwrap().data_page_offset = -1;
        }),
    );
    check(
        "does not lie within the file",
        &changed(|footer| {
            footer.row_groups[0].columns[1].meta_data.as_mut().unwrap().total_compressed_size = 1 << 40;
        }),
    );
    check("too many", &changed(|footer| footer.row_groups[0].num_rows = 1 << 40));
    check("values for", &changed(|footer| footer.row_groups[0].num_rows += 1));
    check(
        "too many columns within columns",
        &changed(|footer| {
            let mut group = footer.schema[0].clone();
            group.num_children = Some(1);
            footer.schema = vec![group; 100_000];
        }),
    );
    check(
        "is missing",
        &changed(|footer| {
            let text = footer.schema.iter_mut().find(|column| column.name == "cluster").unwrap();
            text.converted_type = None;
            text.logical_type = None;
        }),
    );
}
