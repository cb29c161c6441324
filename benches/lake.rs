//! dnstap messages per second into the store, and out of it.
//!
//! `cargo bench --bench lake`. `collect` is the whole way: a process that is sent a capture over a Unix socket and answers FINISH when
//! all of it is on disk; its CPU time is printed, since the sender shares the machine. `seal` is what comes behind the log.
//! `investigate` asks a store of a week and three hundred namespaces: for one name, for one namespace, and for one day of it.
//! Size by the environment: `ATLAS_BENCH_MESSAGES` (default 1,000,000), `ATLAS_BENCH_WEEK` (flow records of the week, default 1,000,000).

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a benchmark may stop where it stands, and says what divan cannot count"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use egress_atlas::attribute::FoldLimits;
use egress_atlas::collect::Sealer;
use egress_atlas::collect::record::Record;
use egress_atlas::collect::session::{Event, Session};
use egress_atlas::lake::{ScanOptions, scan};
use egress_atlas::model::Timestamp;
use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};
use egress_atlas::task::{IngestOptions, Progress, StoreSealer, read_store};

fn main() {
    divan::main();
}

#[derive(Default)]
struct Frames(Vec<Vec<u8>>);

impl Sink for Frames {
    fn flow_line(&mut self, _: usize, _: &[u8]) {}

    fn dns_frame(&mut self, payload: &[u8]) {
        self.0.push(payload.to_vec());
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, _: &[u8]) {}
}

fn messages() -> usize {
    std::env::var("ATLAS_BENCH_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// A capture of that many messages: different ones, repeated.
static CAPTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut frames = Frames::default();
    generate(&Scenario { flows: 100_000, ..Scenario::bench(1) }, &mut frames);
    let mut bytes = Vec::new();
    dnstap::start(&mut bytes);
    for payload in frames.0.iter().cycle().take(messages()) {
        dnstap::frame(&mut bytes, payload);
    }
    dnstap::stop(&mut bytes);
    bytes
});

fn clock() -> Timestamp {
    Timestamp::from_nanos(1_772_000_000_000_000_000)
}

struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Collector {
    fn start(folder: &Path) -> Self {
        let (config, socket) = (folder.join("collect.toml"), folder.join("dnstap.sock"));
        let text = format!(
            "store = \"{}\"\nflush = \"5s\"\n[[dnstap]]\nlisten = \"unix://{}\"\n",
            folder.join("lake").display(),
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
            .args(["collect", "--config"])
            .arg(config)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while UnixStream::connect(&socket).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(child)
    }

    /// Processor time in clock ticks of 10 ms, and the largest memory in KiB.
    fn cost(&self) -> (u64, u64) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap_or_default();
        let stat = read("stat");
        // Behind the name: a blank, the state, and the 12th and 13th field from there.
        let fields = stat.rsplit(')').next().unwrap_or_default().split(' ').skip(12).take(2);
        let ticks = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        let status = read("status");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let peak = memory.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        (ticks, peak)
    }
}

/// The whole way, over a Unix socket, until FINISH.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn collect(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(folder.path());
    let begun = Instant::now();
    bencher.counter(ItemsCount::new(messages())).counter(BytesCount::new(CAPTURE.len())).bench_local(|| {
        let mut stream = UnixStream::connect(folder.path().join("dnstap.sock")).unwrap();
        stream.write_all(&CAPTURE).unwrap();
        let mut finish = Vec::new();
        stream.read_to_end(&mut finish).unwrap();
        assert_eq!(finish.len(), 12);
    });
    let (ticks, peak) = collector.cost();
    eprintln!("collector: {} ms of processor time in {:?}, at most {} MiB", ticks * 10, begun.elapsed(), peak >> 10);
}

/// Framing and the log's form, without disk and sockets.
#[divan::bench(sample_count = 10)]
fn frame_and_encode(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(messages())).counter(BytesCount::new(CAPTURE.len())).bench(|| {
        let mut session = Session::default();
        let mut bytes = 0;
        for piece in CAPTURE.chunks(64 << 10) {
            session.push(piece);
            while let Some(event) = session.next_event().unwrap() {
                let Event::Frames(frames) = event else { continue };
                let (origin, cluster) = ("unix:///dnstap.sock".to_owned(), String::new());
                bytes += Record::Frames { session: 1, origin, cluster, arrived: clock(), frames }.encode().len();
            }
        }
        bytes
    });
}

fn segment(folder: &Path) -> std::path::PathBuf {
    let mut session = Session::default();
    let mut bytes = Vec::new();
    for piece in CAPTURE.chunks(64 << 10) {
        session.push(piece);
        while let Some(event) = session.next_event().unwrap() {
            let Event::Frames(frames) = event else { continue };
            let (origin, cluster) = ("unix:///dnstap.sock".to_owned(), String::new());
            bytes.extend(Record::Frames { session: 1, origin, cluster, arrived: clock(), frames }.encode());
        }
    }
    let path = folder.join("0000000000000001.wal");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// From the log to Parquet.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn seal(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let segment = segment(folder.path());
    bencher.counter(ItemsCount::new(messages())).with_inputs(|| tempfile::tempdir().unwrap()).bench_local_values(
        |store| {
            StoreSealer::new(store.path(), Duration::from_hours(24), clock).seal(&segment).unwrap();
            store
        },
    );
}

/// From Parquet to rows, on one thread.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let sealed = StoreSealer::new(&folder.path().join("lake"), Duration::from_hours(24), clock)
        .seal(&segment(folder.path()))
        .unwrap();
    let rows = usize::try_from(sealed.answers).unwrap();
    let options = IngestOptions { threads: 1, limits: FoldLimits::default(), keep_ids: false };
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        read_store(&folder.path().join("lake"), "lake", &ScanOptions::default(), &options, &Progress::default())
            .unwrap()
    });
}

/// A week in a store, as files of one node each that were imported.
struct Week {
    folder: tempfile::TempDir,
    /// A name that somebody connected to.
    name: String,
}

#[derive(Default)]
struct Logs {
    flows: Vec<Vec<u8>>,
    dns: Vec<u8>,
    kube: Vec<u8>,
    name: String,
}

impl Sink for Logs {
    fn flow_line(&mut self, node: usize, line: &[u8]) {
        if self.flows.len() <= node {
            self.flows.resize_with(node + 1, Vec::new);
        }
        self.flows.get_mut(node).unwrap().extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.dns, payload);
    }

    fn truth(&mut self, _: &str, name: Option<&str>) {
        if self.name.is_empty() {
            name.unwrap_or_default().clone_into(&mut self.name);
        }
    }

    fn kube(&mut self, json: &[u8]) {
        self.kube.extend_from_slice(json);
    }
}

static WEEK: LazyLock<Week> = LazyLock::new(|| {
    let flows: u64 = std::env::var("ATLAS_BENCH_WEEK").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let mut logs = Logs::default();
    dnstap::start(&mut logs.dns);
    let week_nanos = 7 * 86_400_000_000_000_i64;
    // A connection makes about five records.
    let interval = week_nanos / i64::try_from(flows / 5).unwrap().max(1);
    let scenario = Scenario {
        flows,
        interval,
        nodes: 12,
        namespaces: 300,
        workloads_per_namespace: 4,
        pods_per_workload: 2,
        names: 2_000,
        ..Scenario::bench(7)
    };
    generate(&scenario, &mut logs);
    dnstap::stop(&mut logs.dns);
    let at = |name: &str| folder.path().join(name);
    let mut import = Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
    import.arg("import").arg("--store").arg(at("lake")).arg("--dns").arg(at("dns.fstrm"));
    std::fs::write(at("dns.fstrm"), &logs.dns).unwrap();
    std::fs::write(at("kube.json"), &logs.kube).unwrap();
    for (node, log) in logs.flows.iter().enumerate() {
        let path = at(&format!("flows-{node}.ndjson"));
        std::fs::write(&path, log).unwrap();
        import.arg("--flows").arg(path);
    }
    assert!(import.stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
    Week { folder, name: logs.name }
});

/// Rows and bytes of flows, answers and questions in a store.
fn size(store: &Path) -> (usize, u64) {
    let pieces = scan(store, &ScanOptions::default()).unwrap().pieces;
    let files: std::collections::BTreeSet<_> = pieces.iter().map(|piece| &piece.path).collect();
    let bytes = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    (pieces.iter().map(|piece| piece.rows.1).sum(), bytes)
}

/// A busy hour into a store, repeats folded and not; what that saves is printed.
#[divan::bench(args = [true, false], sample_count = 3, sample_size = 1)]
fn import(bencher: Bencher<'_, '_>, folds: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut logs = Logs::default();
    dnstap::start(&mut logs.dns);
    generate(&Scenario { flows: 200_000, long_connections: 0.3, ..Scenario::bench(7) }, &mut logs);
    dnstap::stop(&mut logs.dns);
    let (flows, dns) = (folder.path().join("flows.log"), folder.path().join("dns.fstrm"));
    std::fs::write(&flows, logs.flows.concat()).unwrap();
    std::fs::write(&dns, &logs.dns).unwrap();
    let store = folder.path().join("lake");
    bencher.bench_local(|| {
        drop(std::fs::remove_dir_all(&store));
        let mut import = Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
        import.arg("import").arg("--store").arg(&store).arg("--flows").arg(&flows).arg("--dns").arg(&dns);
        if !folds {
            import.arg("--no-fold");
        }
        assert!(import.stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
    });
    let (rows, bytes) = size(&store);
    eprintln!("folded: {folds}; {rows} rows, {bytes} bytes");
}

/// What is asked, and in which window.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Name,
    Namespace,
    NameOfOneDay,
}

/// The command as a user starts it, from the store to the answer.
#[divan::bench(args = [Asked::Name, Asked::Namespace, Asked::NameOfOneDay], sample_count = 5, sample_size = 1)]
fn investigate(bencher: Bencher<'_, '_>, asked: Asked) {
    let week = &*WEEK;
    let at = |name: &str| week.folder.path().join(name);
    // Days of the store by the names of their folders.
    let days = || -> Option<Vec<String>> {
        let cluster = std::fs::read_dir(at("lake").join("flows")).ok()?.next()?.ok()?.path();
        let mut days: Vec<String> =
            std::fs::read_dir(cluster).ok()?.filter_map(|day| day.ok()?.file_name().into_string().ok()).collect();
        days.sort();
        Some(days)
    };
    let day = days().and_then(|days| Some(days.get(days.len() / 2)?.trim_start_matches("date=").to_owned())).unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
        let target = if matches!(asked, Asked::Namespace) { "ns-0" } else { &*week.name };
        command.args(["investigate", target, "--format", "json", "--quiet", "--store"]).arg(at("lake"));
        command.arg("--kube").arg(at("kube.json"));
        if matches!(asked, Asked::NameOfOneDay) {
            command.args(["--since", &format!("{day}T00:00:00Z"), "--until", &format!("{day}T23:59:59Z")]);
        }
        command.output().unwrap()
    };
    let answer = run();
    assert!(answer.stdout.starts_with(b"{"), "{}", String::from_utf8_lossy(&answer.stderr));
    let found = String::from_utf8_lossy(&answer.stdout);
    let connections = found.lines().find(|line| line.trim_start().starts_with("\"connections\":")).unwrap_or_default();
    eprintln!("{asked:?}: {}", connections.trim());
    bencher.bench_local(run);
}
