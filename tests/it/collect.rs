//! The collector as its users run it: a process that is talked to, killed, and started again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

use crate::support::run;

mod cilium;
mod coredns;
mod exporters;
mod go;
mod overload;
mod server;
mod streams;
mod wire;

const PATIENCE: Duration = Duration::from_mins(1);

/// A collector of its own folder; killed when it is dropped.
pub(crate) struct Collector {
    child: Child,
    log: PathBuf,
    pub(crate) http: u16,
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The store of a test's folder.
pub(crate) fn store(folder: &Path) -> String {
    folder.join("lake").display().to_string()
}

impl Collector {
    /// Starts one with these tables behind the common keys, and waits until it listens.
    pub(crate) fn start(folder: &Path, tables: &str) -> Self {
        Self::start_with(folder, tables, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn start_with(folder: &Path, tables: &str, variables: &[(String, String)]) -> Self {
        let http = free_port();
        let config = folder.join("collect.toml");
        let text = format!(
            "store = \"{}\"\nhttp = \"127.0.0.1:{http}\"\nflush = \"300ms\"\nsync = \"100ms\"\ncluster = \"test\"\n{tables}",
            store(folder)
        );
        std::fs::write(&config, text).unwrap();
        let log = folder.join(format!("log-{http}"));
        let child = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
            .args(["collect", "--config"])
            .arg(&config)
            .envs(variables.iter().cloned())
            .stderr(std::fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut collector = Self { child, log, http };
        wait("the collector listens", || {
            assert!(collector.child.try_wait().unwrap().is_none(), "it ended: {}", collector.log());
            collector.log().contains("\"collecting\"")
        });
        collector
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// A counter of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(&format!("egress_atlas_{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// As the kernel's out-of-memory killer does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Kubernetes does; the journal.
    pub(crate) fn stop(mut self) -> String {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }

    fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) flows: Vec<u8>,
    pub(crate) payloads: Vec<Vec<u8>>,
    kube: Vec<u8>,
}

impl Sink for Cluster {
    fn flow_line(&mut self, _node: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        self.payloads.push(payload.to_vec());
    }

    fn truth(&mut self, _flow_id: &str, _name: Option<&str>) {}

    fn kube(&mut self, json: &[u8]) {
        self.kube.extend_from_slice(json);
    }
}

pub(crate) fn cluster(seed: u64, flows: u64) -> Cluster {
    let mut cluster = Cluster::default();
    generate(&Scenario { flows, ..Scenario::easy(seed) }, &mut cluster);
    cluster
}

pub(crate) fn capture(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    dnstap::start(&mut bytes);
    for payload in payloads {
        dnstap::frame(&mut bytes, payload);
    }
    dnstap::stop(&mut bytes);
    bytes
}

/// The READY frame, by hand.
fn ready(content_type: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content_type.len()).unwrap();
    let mut bytes: Vec<u8> = [0, 12 + length, 4, 1, length].iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    bytes.extend(content_type);
    bytes
}

const DNSTAP: &[u8] = b"protobuf:dnstap.Dnstap";

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn read_control(stream: &mut dyn Stream) -> u32 {
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0);
    let mut rest = vec![0; word(4) as usize - 4];
    stream.read_exact(&mut rest).unwrap();
    word(8)
}

/// Sends a capture in pieces of changing size; waits for FINISH when it greeted with READY.
pub(crate) fn send(stream: &mut dyn Stream, bytes: &[u8], greets: bool, seed: u64) {
    if greets {
        stream.write_all(&ready(DNSTAP)).unwrap();
        assert_eq!(read_control(stream), 1, "ACCEPT");
    }
    let (mut rest, mut state) = (bytes, seed | 1);
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = usize::try_from(state >> 33).unwrap() % 3_000 + 1;
        let (piece, next) = rest.split_at(size.min(rest.len()));
        stream.write_all(piece).unwrap();
        rest = next;
    }
    assert_eq!(read_control(stream), 5, "FINISH");
    let mut end = [0; 1];
    assert_eq!(stream.read(&mut end).unwrap(), 0, "closed behind FINISH");
}

/// The rows of `attribute` from files and from the store.
fn same_rows(folder: &Path, files: &[&str]) -> usize {
    let at = |name: &str| folder.join(name).display().to_string();
    let one = run(&[&["attribute", "--cluster", "test", "--out", &at("files.ndjson")], files].concat());
    let two = run(&["attribute", "--store", &store(folder), "--cluster", "test", "--out", &at("store.ndjson")]);
    assert_eq!((one.status, two.status), (0, 0), "{} {}", one.err, two.err);
    let (one, two) =
        (std::fs::read_to_string(at("files.ndjson")).unwrap(), std::fs::read_to_string(at("store.ndjson")).unwrap());
    assert!(one == two, "rows differ: {} and {}", one.lines().count(), two.lines().count());
    one.lines().count()
}

fn ledger(folder: &Path) -> Vec<egress_atlas::lake::LedgerRow> {
    let all = egress_atlas::lake::ScanOptions::default();
    let ledger = egress_atlas::lake::read_ledger(&folder.join("lake"), &all).unwrap();
    assert_eq!(ledger.broken, [""; 0]);
    ledger.rows
}

#[test]
fn many_senders_in_any_fragments_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (port, socket) = (free_port(), folder.path().join("run/dnstap.sock"));
    let tables = format!(
        "[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\nhandshake = \"400ms\"\n[[dnstap]]\nlisten = \"unix://{}\"\n",
        socket.display()
    );
    let collector = Collector::start(folder.path(), &tables);
    assert!(collector.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(collector.get("/readyz").contains("ready"));
    // Whoever says nothing, or something else, keeps nobody waiting.
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let mut foreign = TcpStream::connect(("127.0.0.1", port)).unwrap();
    foreign.write_all(&ready(b"protobuf:other.Thing")).unwrap();
    assert_eq!(foreign.read(&mut [0; 8]).unwrap(), 0, "refused");
    let all = cluster(11, 3_000).payloads;
    std::thread::scope(|scope| {
        for (number, part) in all.chunks(all.len().div_ceil(12)).enumerate() {
            let socket = &socket;
            scope.spawn(move || {
                let mut stream: Box<dyn Stream> = if number % 2 == 0 {
                    Box::new(TcpStream::connect(("127.0.0.1", port)).unwrap())
                } else {
                    Box::new(UnixStream::connect(socket).unwrap())
                };
                send(&mut *stream, &capture(part), number % 3 != 0, number as u64);
            });
        }
    });
    wait("silent clients are let go", || collector.get("/metrics").contains("ended_total{reason=\"no handshake\"} 20"));
    drop(silent);
    assert_eq!(collector.metric("frames_total"), all.len() as u64);
    assert!(collector.get("/metrics").contains("ended_total{reason=\"framing lost\"} 1"));
    collector.stop();
    let rows = ledger(folder.path());
    assert_eq!(rows.iter().map(|row| row.read).sum::<u64>(), all.len() as u64);
    assert!(rows.iter().all(|row| row.read == row.used + row.rejected + row.excluded));
    std::fs::write(folder.path().join("dns.fstrm"), capture(&all)).unwrap();
    std::fs::write(folder.path().join("flows.log"), cluster(11, 3_000).flows).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    run(&["import", "--store", &store(folder.path()), "--flows", &at("flows.log"), "--cluster", "test"]);
    assert!(same_rows(folder.path(), &["--flows", &at("flows.log"), "--dns", &at("dns.fstrm")]) > 200);
}

#[test]
fn a_killed_collector_loses_nothing_that_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let tables =
        format!("[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\n[[hubble]]\npath = \"{}\"\n", at("events*.log*"));
    let all = cluster(5, 3_000);
    let lines: Vec<&[u8]> = all.flows.split_inclusive(|byte| *byte == b'\n').collect();
    let (half, rest) = lines.split_at(lines.len() / 2);
    let (early, late) = all.payloads.split_at(all.payloads.len() / 2);
    std::fs::write(at("events.log"), half.concat()).unwrap();
    let mut sent = 0;
    // Killed at different moments: behind FINISH, and in the middle of a stream.
    for (round, part) in early.chunks(early.len().div_ceil(3)).enumerate() {
        let collector = Collector::start(folder.path(), &tables);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        if round == 1 {
            let bytes = capture(part);
            stream.write_all(&bytes[..bytes.len() - 12]).unwrap();
            wait("everything is taken", || collector.metric("frames_total") == part.len() as u64);
        } else {
            send(&mut stream, &capture(part), true, 3);
        }
        sent += part.len();
        wait("the file is read", || round > 0 || collector.metric("file_bytes_total") == half.concat().len() as u64);
        // Taken is: in the log. Give the queue the time that `sync` promises.
        std::thread::sleep(Duration::from_millis(150));
        collector.kill();
        for segment in egress_atlas::collect::wal::segments(&folder.path().join("lake")).unwrap() {
            // As a crash in the middle of a write leaves it.
            std::fs::File::options().append(true).open(segment).unwrap().write_all(&[0, 0, 1, 0, 9, 9]).unwrap();
        }
    }
    // Rotated and compressed while nobody looked; the new file has begun.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&half.concat()).unwrap();
    encoder.write_all(&rest[..rest.len() / 2].concat()).unwrap();
    std::fs::write(at("events-2026-03-02.log.gz"), encoder.finish().unwrap()).unwrap();
    std::fs::write(at("events.log"), rest[rest.len() / 2..].concat()).unwrap();
    let collector = Collector::start(folder.path(), &tables);
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(late), true, 4);
    sent += late.len();
    wait("all files are read", || collector.metric("file_bytes_total") == rest.concat().len() as u64);
    collector.stop();
    assert_eq!(sent, all.payloads.len());
    let rows = ledger(folder.path());
    let dns: u64 = rows.iter().filter(|row| row.origin.starts_with("tcp")).map(|row| row.read).sum();
    assert_eq!(dns, sent as u64, "frames in the ledger");
    assert!(rows.iter().any(|row| row.missing_nanos > 0), "the collector was away, and says so");
    assert!(egress_atlas::collect::wal::segments(&folder.path().join("lake")).unwrap().is_empty());
    std::fs::write(at("dns.fstrm"), capture(&all.payloads)).unwrap();
    std::fs::write(at("flows.ndjson"), &all.flows).unwrap();
    assert!(same_rows(folder.path(), &["--flows", &at("flows.ndjson"), "--dns", &at("dns.fstrm")]) > 200);
}

#[test]
fn overload_waits_and_counts_and_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    // A backlog of one MiB is full at once: senders wait for the store.
    let tables = format!("backlog_mib = 1\n[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\n");
    let collector = Collector::start(folder.path(), &tables);
    let payloads = cluster(2, 2_000).payloads;
    let (senders, rounds) = (8, 6);
    let bytes = capture(&payloads.iter().cycle().take(payloads.len() * rounds).cloned().collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for seed in 0..senders {
            let bytes = &bytes;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                // Cut frames are lost, and the loss is counted: the last sender leaves in the middle of one.
                if seed == senders - 1 {
                    stream.write_all(&bytes[..bytes.len() - 20]).unwrap();
                } else {
                    send(&mut stream, bytes, true, seed);
                }
            });
        }
    });
    let expected = payloads.len() as u64 * rounds as u64 * senders - 1;
    wait("everything is taken", || collector.metric("frames_total") == expected);
    wait("the cut frame is counted", || collector.metric("lost_total") == 1);
    let peak = collector.memory_peak_kib();
    collector.stop();
    let rows = ledger(folder.path());
    assert_eq!(rows.iter().map(|row| row.read).sum::<u64>(), expected);
    assert_eq!(rows.iter().map(|row| row.lost).sum::<u64>(), 1, "loss reported is loss caused");
    assert!(peak < 600 << 10, "{peak} KiB");
}

#[test]
fn a_short_overload_ends_with_an_exact_account() {
    let seconds = std::env::var("ATLAS_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let outcome = overload::overload(Duration::from_secs(seconds));
    if seconds > 10 {
        writeln!(std::io::stderr(), "{outcome:#?}").unwrap();
    }
    outcome.check();
    assert!(outcome.frames_sent > 1_000 && outcome.flows_sent > 1_000, "{outcome:?}");
    assert!(outcome.frames_lost > 0, "the sender that leaves in the middle of a frame");
    assert!(outcome.peak_kib < 700 << 10, "{outcome:?}");
    assert!(outcome.rows > 0 && outcome.bytes > 0, "{outcome:?}");
}

#[test]
fn a_store_that_cannot_be_written_keeps_the_log_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    // A file where a folder should be: rows cannot go anywhere.
    std::fs::create_dir(folder.path().join("lake")).unwrap();
    std::fs::write(folder.path().join("lake/answers"), b"in the way").unwrap();
    let collector = Collector::start(folder.path(), &format!("[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\n"));
    let payloads = cluster(9, 500).payloads;
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(&payloads), true, 1);
    wait("a failure is counted", || collector.metric("seal_failures_total") > 0);
    assert!(collector.log().contains("segment cannot be put into the store; it stays"), "{}", collector.log());
    std::fs::remove_file(folder.path().join("lake/answers")).unwrap();
    wait("it recovers by itself", || collector.metric("answer_rows_total") > 0);
    collector.stop();
    assert_eq!(ledger(folder.path()).iter().map(|row| row.read).sum::<u64>(), payloads.len() as u64);
}

#[test]
fn a_segment_that_no_state_file_knows_of_is_never_taken_for_a_sealed_one() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    // As a crash between the writing of the two state files leaves it, with no segment behind it.
    let state = folder.path().join("lake/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("senders.json"), r#"{"through":5,"sessions":{},"known":{}}"#).unwrap();
    std::fs::write(state.join("sealed"), "4\n").unwrap();
    let collector = Collector::start(folder.path(), &format!("[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\n"));
    let payloads = cluster(9, 300).payloads;
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(&payloads), true, 1);
    collector.stop();
    assert_eq!(ledger(folder.path()).iter().map(|row| row.read).sum::<u64>(), payloads.len() as u64);
}

#[test]
fn a_damaged_segment_is_told_and_set_aside() {
    use egress_atlas::collect::record::Record;
    use egress_atlas::model::Timestamp;
    let folder = tempfile::tempdir().unwrap();
    let wal = folder.path().join("lake/wal");
    std::fs::create_dir_all(&wal).unwrap();
    let line = |second: u32| Record::Lines {
        key: 1,
        origin: "/var/log/hubble/events.log".to_owned(),
        cluster: "test".to_owned(),
        arrived: Timestamp::parse(b"2026-03-02T10:00:00Z").unwrap(),
        from: 0,
        lines: format!("{{\"time\":\"2026-03-02T10:00:{second:02}Z\"}}\n").into_bytes(),
    };
    let parts: Vec<Vec<u8>> = (0..3).map(|second| line(second).encode()).collect();
    let mut bytes = parts.concat();
    bytes[parts[0].len() + 20] ^= 1;
    std::fs::write(wal.join("0000000000000007.wal"), &bytes).unwrap();
    let port = free_port();
    let collector = Collector::start(folder.path(), &format!("[[dnstap]]\nlisten = \"tcp://127.0.0.1:{port}\"\n"));
    wait("it is set aside", || wal.join("0000000000000007.damaged").exists());
    wait("the loss is counted", || collector.metric("lost_total") == 1);
    let log = collector.stop();
    assert!(log.contains("segment is damaged") && log.contains("\"warn\""), "{log}");
    assert_eq!(std::fs::read(wal.join("0000000000000007.damaged")).unwrap(), bytes);
    assert!(folder.path().join("lake/losses").is_dir(), "the store tells the loss, too");
    assert_eq!(ledger(folder.path()).iter().map(|row| row.read).sum::<u64>(), 1);
}

#[test]
fn what_cannot_be_followed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collect.toml");
    let pattern = folder.path().join("events*.log").display().to_string();
    let text = format!("store = \"{}\"\n[[hubble]]\npath = \"{pattern}\"\n", store(folder.path()));
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let check = || run(&["collect", "--check", "--config", &config]);
    let told = check();
    assert!(
        told.status == 0 && told.err.contains(&format!("warning: no file matches `{pattern}` now")),
        "{}",
        told.err
    );
    std::fs::write(folder.path().join("events.log"), "").unwrap();
    assert_eq!(check().err, "");
    let state = folder.path().join("lake/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("positions.json"), "{\"1\":").unwrap();
    let ran = run(&["collect", "--config", &config]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("positions.json`: ") && ran.err.contains("or remove it"), "{}", ran.err);
}

#[test]
fn mistakes_are_told_before_anything_begins() {
    let folder = crate::support::folder(&[("bad.toml", b"store = \"x\"\n[[dnstap]]\nlisten = \"tcp://here:1\"\n")]);
    let ran = run(&["collect", "--config", &folder.path().join("bad.toml").display().to_string()]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("bad.toml line 3: `listen` cannot be `tcp://here:1`: write address and port"),
        "{}",
        ran.err
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!("store = \"{}\"\n[[dnstap]]\nlisten = \"tcp://{address}\"\n", store(folder.path()));
    std::fs::write(folder.path().join("taken.toml"), text).unwrap();
    let ran = run(&["collect", "--config", &folder.path().join("taken.toml").display().to_string()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("cannot listen") && ran.err.contains("is another program there"), "{}", ran.err);
}

/// Help is wrapped to the terminal, and a comment that is wrapped is no comment.
#[test]
fn the_settings_that_help_prints_can_be_loaded() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
        .args(["collect", "--help"])
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let example = help.split_once("A complete collect.toml:\n").unwrap().1;
    let folder = crate::support::folder(&[("collect.toml", example.as_bytes())]);
    let file = folder.path().join("collect.toml");
    let ran = crate::support::run(&["collect", "--config", file.to_str().unwrap(), "--check"]);
    assert_eq!(ran.status, 0, "{}\n{help}", ran.err);
    for line in example.lines() {
        assert!(line.chars().count() < 80, "{line}");
    }
}
