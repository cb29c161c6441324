//! The same results whatever the slicing, the order of files and the number of threads: generated traffic of a hard cluster beside
//! the other sources, dealt out to files at random, read as files and through a store.

use std::io::Write as _;
use std::path::Path;

use egress_atlas::simulate::{Scenario, dnstap};
use proptest::prelude::*;

use crate::lake::{go, path, same, words};
use crate::recording::{Generated, generated};
use crate::support::fixture;

/// The payloads of a capture.
fn frames(capture: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), capture);
    while let Some((length, behind)) = rest.split_first_chunk() {
        match usize::try_from(u32::from_be_bytes(*length)).unwrap() {
            // A control frame.
            0 => {
                let length = usize::try_from(u32::from_be_bytes(*behind.first_chunk().unwrap())).unwrap();
                rest = &behind[4 + length..];
            }
            length => {
                frames.push(&behind[..length]);
                rest = &behind[length..];
            }
        }
    }
    frames
}

/// How traffic is dealt out.
#[derive(Clone, Debug)]
struct Deal {
    files: usize,
    captures: usize,
    /// Decides which file takes which record, and in which order a file holds them.
    seed: u64,
    compressed: bool,
    backwards: bool,
    threads: usize,
}

fn deals() -> impl Strategy<Value = Deal> {
    (1..5_usize, 1..4_usize, any::<u64>(), any::<bool>(), any::<bool>(), 1..5_usize).prop_map(
        |(files, captures, seed, compressed, backwards, threads)| Deal {
            files,
            captures,
            seed,
            compressed,
            backwards,
            threads,
        },
    )
}

/// Deals `all` out to `count` piles in an order of their own.
fn dealt<'a>(all: &[&'a [u8]], count: usize, seed: u64) -> Vec<Vec<&'a [u8]>> {
    let mut piles = vec![Vec::new(); count];
    let mut state = seed | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for one in all {
        let pile: &mut Vec<&[u8]> = &mut piles[draw() % count];
        let place = pile.len().saturating_sub(draw() % 40);
        pile.insert(place, one);
    }
    piles
}

/// Writes the traffic as dealt; the flags that read it.
fn write(folder: &Path, made: &Generated, deal: &Deal) -> Vec<String> {
    let mut inputs = Vec::new();
    let lines: Vec<&[u8]> = made.flows.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, pile) in dealt(&lines, deal.files, deal.seed).iter().enumerate() {
        let file = folder.join(format!("flows-{number}.log"));
        let mut content = pile.concat();
        if deal.compressed && number % 2 == 0 {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&content).unwrap();
            content = encoder.finish().unwrap();
        }
        std::fs::write(&file, content).unwrap();
        inputs.push(words(&["--flows", &file.display().to_string()]));
    }
    for (number, pile) in dealt(&frames(&made.dns), deal.captures, deal.seed).iter().enumerate() {
        let file = folder.join(format!("dns-{number}.fstrm"));
        let mut content = Vec::new();
        dnstap::start(&mut content);
        for payload in pile {
            dnstap::frame(&mut content, payload);
        }
        dnstap::stop(&mut content);
        std::fs::write(&file, content).unwrap();
        inputs.push(words(&["--dns", &file.display().to_string()]));
    }
    for other in ["calico/enterprise-flow-docs-level0-with-pending.ndjson", "antrea/flowlogger-v2.7.0.numeric.log"] {
        inputs.push(words(&["--flows", &format!("other={}", fixture(other))]));
    }
    if deal.backwards {
        inputs.reverse();
    }
    inputs.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_dealing_gives_the_same_rows_and_documents(
        seed in 0_u64..1_000_000,
        one in deals(),
        other in deals(),
        is_skewed: bool,
    ) {
        let scenario = if is_skewed { Scenario::skewed(seed) } else { Scenario::hard(seed) };
        let made = generated(&Scenario { flows: 2_500, ..scenario });
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| path(folder.path(), name);
        std::fs::write(at("kube.json"), &made.kube).unwrap();
        let mut told = Vec::new();
        for (name, deal) in [("one", &one), ("other", &other)] {
            std::fs::create_dir(at(name)).unwrap();
            let files = write(Path::new(&at(name)), &made, deal);
            let import = go(&[&words(&["import", "--store", &at(&format!("{name}/lake"))]), &files]);
            prop_assert_eq!(import.status, 0, "{}", import.err);
            let store = words(&["--store", &at(&format!("{name}/lake"))]);
            let how = words(&["--kube", &at("kube.json"), "--threads", &deal.threads.to_string()]);
            for (input, inputs) in [("files", &files), ("store", &store)] {
                let (rows, documents) = (at(&format!("{name}/{input}.ndjson")), at(&format!("{name}/{input}")));
                let attribute = go(&[&words(&["attribute", "--out", &rows]), inputs, &how]);
                let discover = go(&[&words(&["discover", "--out", &documents]), inputs, &how]);
                told.push((attribute.status, discover.status, std::fs::read(rows).unwrap(), documents));
            }
        }
        for next in &told[1..] {
            prop_assert_eq!((next.0, next.1), (told[0].0, told[0].1));
            prop_assert!(next.2 == told[0].2, "rows of {} differ", next.3);
            same(Path::new(&told[0].3), Path::new(&next.3));
        }
    }
}
