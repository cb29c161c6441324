//! Records and bytes per second of every stage, on seeded generated input.
//!
//! `cargo bench --bench throughput`. Size by the environment: `ATLAS_BENCH_FLOWS` (default 1,000,000 flow records with
//! about 318,000 DNS messages). The envelope that is aimed at stands in `benches/README.md`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop where it stands")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::Parser;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use egress_atlas::attribute::{Evidence, Fold, FoldLimits, JoinOptions, Rows, attribute};
use egress_atlas::cli::{Cli, Context};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Batch, TextId, Timestamp, Vocabulary};
use egress_atlas::read::{ChunkSource, DnstapDecoder, FrameChunks, HubbleDecoder, LineChunks};
use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

fn main() {
    divan::main();
}

/// Generated input on disk, removed at the end.
struct Input {
    folder: tempfile::TempDir,
    flows: Vec<PathBuf>,
    dns: PathBuf,
}

struct Writer {
    flows: Vec<(PathBuf, BufWriter<File>)>,
    folder: PathBuf,
    dns: BufWriter<File>,
    frame: Vec<u8>,
}

impl Sink for Writer {
    fn flow_line(&mut self, node: usize, line: &[u8]) {
        while self.flows.len() <= node {
            let path = self.folder.join(format!("flows-{}.ndjson", self.flows.len()));
            self.flows.push((path.clone(), BufWriter::with_capacity(1 << 20, File::create(path).unwrap())));
        }
        self.flows[node].1.write_all(line).unwrap();
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        self.frame.clear();
        dnstap::frame(&mut self.frame, payload);
        self.dns.write_all(&self.frame).unwrap();
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, json: &[u8]) {
        fs::write(self.folder.join("kube.json"), json).unwrap();
    }
}

fn input(flows: u64) -> Input {
    let folder = tempfile::tempdir().unwrap();
    let dns = folder.path().join("dns.fstrm");
    let mut writer = Writer {
        flows: Vec::new(),
        folder: folder.path().to_owned(),
        dns: BufWriter::with_capacity(1 << 20, File::create(&dns).unwrap()),
        frame: Vec::new(),
    };
    dnstap::start(&mut writer.frame);
    writer.dns.write_all(&writer.frame).unwrap();
    generate(&Scenario { flows, ..Scenario::bench(1) }, &mut writer);
    writer.frame.clear();
    dnstap::stop(&mut writer.frame);
    writer.dns.write_all(&writer.frame).unwrap();
    writer.dns.flush().unwrap();
    let flows = writer.flows.into_iter().map(|(path, mut file)| file.flush().map(|()| path).unwrap()).collect();
    Input { folder, flows, dns }
}

static WHOLE: LazyLock<Input> = LazyLock::new(|| {
    let flows = std::env::var("ATLAS_BENCH_FLOWS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    input(flows)
});

/// All chunks of a source, in memory.
fn chunks(mut source: impl ChunkSource) -> Vec<(u64, Vec<u8>)> {
    let (mut found, mut chunk) = (Vec::new(), Vec::new());
    while let Some(offset) = source.next_chunk(&mut chunk, &mut Account::default()).unwrap() {
        found.push((offset, chunk.clone()));
        // Enough for a steady figure.
        if found.len() > 200 {
            break;
        }
    }
    found
}

fn bytes(chunks: &[(u64, Vec<u8>)]) -> usize {
    chunks.iter().map(|(_, chunk)| chunk.len()).sum()
}

/// One core, decoding alone: exporter records → rows.
#[divan::bench(sample_count = 10)]
fn hubble_decode(bencher: Bencher<'_, '_>) {
    let chunks = chunks(LineChunks::new(File::open(&WHOLE.flows[0]).unwrap()));
    let records: usize = chunks.iter().map(|(_, chunk)| memchr::memchr_iter(b'\n', chunk).count()).sum();
    let (mut decoder, mut vocabulary, mut batch) = (HubbleDecoder::new(false), Vocabulary::default(), Batch::default());
    bencher.counter(BytesCount::new(bytes(&chunks))).counter(ItemsCount::new(records)).bench_local(|| {
        let mut account = Account::default();
        for (offset, chunk) in &chunks {
            batch.clear();
            decoder.decode_lines(chunk, *offset, &mut vocabulary, &mut batch, &mut account);
        }
        account
    });
}

/// One core: dnstap frames → answer rows → folded.
#[divan::bench(sample_count = 10)]
fn dnstap_decode_and_fold(bencher: Bencher<'_, '_>) {
    let chunks = chunks(FrameChunks::new(File::open(&WHOLE.dns).unwrap()));
    let messages = {
        let (mut account, mut vocabulary, mut batch) = (Account::default(), Vocabulary::default(), Batch::default());
        for (offset, chunk) in &chunks {
            DnstapDecoder::new().decode(chunk, *offset, &mut vocabulary, &mut batch, &mut account);
        }
        usize::try_from(account.read).unwrap()
    };
    bencher.counter(BytesCount::new(bytes(&chunks))).counter(ItemsCount::new(messages)).bench_local(|| {
        let (mut decoder, mut fold, mut batch) =
            (DnstapDecoder::new(), Fold::new(FoldLimits::default()), Batch::default());
        let mut account = Account::default();
        for (offset, chunk) in &chunks {
            batch.clear();
            decoder.decode(chunk, *offset, &mut fold.vocabulary, &mut batch, &mut account);
            fold.add(&batch, TextId::NONE).unwrap();
        }
        fold
    });
}

/// Two passes over all partitions: habits, then names for every connection.
#[divan::bench(sample_count = 5)]
fn join(bencher: Bencher<'_, '_>) {
    let mut fold = Fold::new(FoldLimits::default());
    let (mut hubble, mut dnstap) = (HubbleDecoder::new(false), DnstapDecoder::new());
    let (mut batch, mut account, mut chunk) = (Batch::default(), Account::default(), Vec::new());
    for path in &WHOLE.flows {
        let mut source = LineChunks::new(File::open(path).unwrap());
        while let Some(offset) = source.next_chunk(&mut chunk, &mut account).unwrap() {
            batch.clear();
            hubble.decode_lines(&chunk, offset, &mut fold.vocabulary, &mut batch, &mut account);
            fold.add(&batch, TextId::NONE).unwrap();
        }
    }
    let mut source = FrameChunks::new(File::open(&WHOLE.dns).unwrap());
    while let Some(offset) = source.next_chunk(&mut chunk, &mut account).unwrap() {
        batch.clear();
        dnstap.decode(&chunk, offset, &mut fold.vocabulary, &mut batch, &mut account);
        fold.add(&batch, TextId::NONE).unwrap();
    }
    let evidence = Evidence::gather(vec![fold], &Inventory::default(), "bench", 1).unwrap();
    let named = || -> usize {
        let sinks = attribute(&evidence, &JoinOptions::default(), 1, || Rows::new(|_, _| true)).unwrap();
        sinks.iter().map(|sink| sink.rows.len()).sum()
    };
    bencher.counter(ItemsCount::new(named())).bench_local(named);
}

/// Files to documents, all cores.
#[divan::bench(sample_count = 5)]
fn discover(bencher: Bencher<'_, '_>) {
    let out = WHOLE.folder.path().join("out").display().to_string();
    let mut arguments =
        vec!["egress-atlas".to_owned(), "--quiet".to_owned(), "discover".to_owned(), "--out".to_owned(), out];
    for path in &WHOLE.flows {
        arguments.extend(["--flows".to_owned(), path.display().to_string()]);
    }
    arguments.extend(["--dns".to_owned(), WHOLE.dns.display().to_string()]);
    arguments.extend(["--kube".to_owned(), WHOLE.folder.path().join("kube.json").display().to_string()]);
    let size: u64 = WHOLE.flows.iter().chain([&WHOLE.dns]).map(|path| fs::metadata(path).unwrap().len()).sum();
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let cli = Cli::try_parse_from(&arguments).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut context = Context {
            out: &mut out,
            err: &mut err,
            quiet: true,
            verbose: false,
            progress: false,
            width: 100,
            paint: egress_atlas::report::Paint(false),
            now: Timestamp::UNKNOWN,
        };
        cli.run(&mut context).unwrap()
    });
}
