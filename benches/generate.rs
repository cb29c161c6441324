//! Writes a random cluster to disk, for benchmarks and evaluation.
//!
//! In: `--out DIR`, and optionally `--flows N`, `--seed N`, `--preset bench|fixed|easy|hard`, `--zstd`. Out:
//! `flows-<node>.ndjson` (`.zst`), `dns.fstrm`, `kube.json`, `truth.csv`. Without `--out`, as `cargo bench` and `cargo test` call it, it does nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

/// A log, as it is or compressed.
enum Log {
    Plain(BufWriter<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl Log {
    fn create(folder: &Path, node: usize, is_zstd: bool) -> io::Result<Self> {
        if is_zstd {
            let file = File::create(folder.join(format!("flows-{node}.ndjson.zst")))?;
            return zstd::stream::write::Encoder::new(file, 1).map(Self::Zstd);
        }
        let file = File::create(folder.join(format!("flows-{node}.ndjson")))?;
        Ok(Self::Plain(BufWriter::with_capacity(1 << 20, file)))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(line),
            Self::Zstd(file) => file.write_all(line),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Zstd(file) => file.finish().map(|_| ()),
        }
    }
}

struct Files {
    folder: PathBuf,
    is_zstd: bool,
    flows: BTreeMap<usize, Log>,
    dns: BufWriter<File>,
    truth: BufWriter<File>,
    buffer: Vec<u8>,
    counts: [u64; 3],
    bytes: [u64; 2],
    error: Option<io::Error>,
}

impl Files {
    fn create(folder: PathBuf, is_zstd: bool) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let open = |name: &str| File::create(folder.join(name)).map(|file| BufWriter::with_capacity(1 << 20, file));
        let (mut dns, mut truth) = (open("dns.fstrm")?, open("truth.csv")?);
        let mut start = Vec::new();
        dnstap::start(&mut start);
        dns.write_all(&start)?;
        truth.write_all(b"flow_id,name\n")?;
        Ok(Self {
            folder,
            is_zstd,
            flows: BTreeMap::new(),
            dns,
            truth,
            buffer: Vec::new(),
            counts: [0; 3],
            bytes: [0; 2],
            error: None,
        })
    }

    fn finish(mut self) -> io::Result<([u64; 3], [u64; 2])> {
        self.buffer.clear();
        dnstap::stop(&mut self.buffer);
        self.dns.write_all(&self.buffer)?;
        self.dns.flush()?;
        self.truth.flush()?;
        for log in self.flows.into_values() {
            log.finish()?;
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.counts, self.bytes)),
        }
    }

    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    fn flow(&mut self, node: usize, line: &[u8]) -> io::Result<()> {
        if !self.flows.contains_key(&node) {
            self.flows.insert(node, Log::create(&self.folder, node, self.is_zstd)?);
        }
        self.flows.get_mut(&node).map_or(Ok(()), |log| log.write(line))
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Sink for Files {
    fn flow_line(&mut self, node: usize, line: &[u8]) {
        self.counts[0] += 1;
        self.bytes[0] += length(line);
        let result = self.flow(node, line);
        self.keep(result);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        self.counts[1] += 1;
        self.bytes[1] += length(payload) + 4;
        self.buffer.clear();
        dnstap::frame(&mut self.buffer, payload);
        let result = self.dns.write_all(&self.buffer);
        self.keep(result);
    }

    fn truth(&mut self, flow_id: &str, name: Option<&str>) {
        self.counts[2] += 1;
        let result = writeln!(self.truth, "{flow_id},{}", name.unwrap_or_default());
        self.keep(result);
    }

    fn kube(&mut self, json: &[u8]) {
        let result = std::fs::write(self.folder.join("kube.json"), json);
        self.keep(result);
    }
}

fn option(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

fn number(arguments: &[String], name: &str, default: u64) -> io::Result<u64> {
    option(arguments, name).map_or(Ok(default), |text| {
        text.replace('_', "").parse().map_err(|_| io::Error::other(format!("`{name}` needs a number, not `{text}`")))
    })
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = option(&arguments, "--out") else { return Ok(()) };
    let seed = number(&arguments, "--seed", 1)?;
    let preset = option(&arguments, "--preset").unwrap_or_else(|| "bench".to_owned());
    let mut scenario = match preset.as_str() {
        "bench" => Scenario::bench(seed),
        "fixed" => Scenario::fixed(seed),
        "easy" => Scenario::easy(seed),
        "hard" => Scenario::hard(seed),
        "skewed" => Scenario::skewed(seed),
        other => {
            return Err(io::Error::other(format!("`--preset` is bench, fixed, easy, hard or skewed, not `{other}`")));
        }
    };
    scenario.flows = number(&arguments, "--flows", scenario.flows)?;
    let is_zstd = arguments.iter().any(|argument| argument == "--zstd");
    let mut files = Files::create(PathBuf::from(&folder), is_zstd)?;
    generate(&scenario, &mut files);
    let ([flows, messages, truths], [flow_bytes, dns_bytes]) = files.finish()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{flows} flow records, {flow_bytes} bytes")?;
    writeln!(out, "{messages} DNS messages, {dns_bytes} bytes")?;
    writeln!(out, "{truths} records with a known name or none, in {folder}")
}
