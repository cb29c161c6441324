//! Full load from all sides for a given time, and the account of it: what was sent is what is stored plus what is counted as lost.
//!
//! Used twice: for a few seconds among the tests, and for as long as one likes by `cargo bench --bench soak -- SECONDS`. Senders of
//! dnstap push as fast as the collector lets them, some leave in the middle of a frame; an IPFIX exporter over UDP does not wait for
//! anybody. The backlog is small, so that the collector is full for most of the time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use egress_atlas::lake::{ScanOptions, read_ledger, scan};
use egress_atlas::model::SourceKind;
use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Frames that were sent, whole or cut.
    pub(crate) frames_sent: u64,
    /// Frames in the ledger.
    pub(crate) frames_stored: u64,
    /// Frames that the ledger says were lost.
    pub(crate) frames_lost: u64,
    /// IPFIX records that were sent.
    pub(crate) flows_sent: u64,
    /// IPFIX records in the ledger.
    pub(crate) flows_stored: u64,
    /// IPFIX records that the ledger says were lost.
    pub(crate) flows_lost: u64,
    /// Anything that was rejected.
    pub(crate) rejected: u64,
    /// The largest memory of each tenth of the time, in KiB.
    pub(crate) memory_kib: Vec<u64>,
    /// The largest memory of all, in KiB.
    pub(crate) peak_kib: u64,
    /// Processor time of the collector.
    pub(crate) processor: Duration,
    /// From the first frame until everything was taken.
    pub(crate) took: Duration,
    /// Rows that everything became, repeats folded.
    pub(crate) rows: u64,
    /// Their files in bytes.
    pub(crate) bytes: u64,
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

struct Collector {
    child: Child,
    http: u16,
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Collector {
    fn start(folder: &Path, dns: u16, flows: u16) -> Self {
        let http = free_port();
        let config = folder.join("collect.toml");
        let text = format!(
            "store = \"{}\"\nhttp = \"127.0.0.1:{http}\"\nflush = \"1s\"\nbacklog_mib = 8\ncluster = \"soak\"\n\
             [[dnstap]]\nlisten = \"tcp://127.0.0.1:{dns}\"\n[[ipfix]]\nlisten = \"udp://127.0.0.1:{flows}\"\n",
            folder.join("lake").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
            .args(["collect", "--config"])
            .arg(&config)
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut collector = Self { child, http };
        let begun = Instant::now();
        while !std::fs::read_to_string(folder.join("log")).unwrap_or_default().contains("\"collecting\"") {
            assert!(collector.child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_mins(1));
            std::thread::sleep(Duration::from_millis(20));
        }
        collector
    }

    fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("egress_atlas_{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn memory_kib(&self, of: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap_or_default();
        line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// In ticks of 10 ms.
    fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Behind the name: a blank, the state, and the 12th and 13th field from there.
        let fields = stat.rsplit(')').next().unwrap_or_default().split(' ').skip(12).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success() && self.child.wait().unwrap().success());
    }
}

/// Sends until the time is over; how many frames, whole or cut.
fn push(port: u16, payloads: &[Vec<u8>], leaves: bool, until: Instant) -> u64 {
    let mut sent = 0;
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut piece = Vec::new();
        dnstap::start(&mut piece);
        let round = Instant::now();
        for payload in payloads.iter().cycle() {
            dnstap::frame(&mut piece, payload);
            sent += 1;
            let is_over = Instant::now() >= until || (leaves && round.elapsed() >= Duration::from_secs(1));
            if piece.len() >= 64 << 10 || is_over {
                if is_over && leaves {
                    piece.truncate(piece.len() - 3);
                }
                stream.write_all(&piece).unwrap();
                piece.clear();
            }
            if is_over {
                break;
            }
        }
        if !leaves {
            dnstap::stop(&mut piece);
            stream.write_all(&piece).unwrap();
            let mut finish = Vec::new();
            stream.read_to_end(&mut finish).unwrap();
            assert_eq!(finish.len(), 12, "FINISH");
            return sent;
        }
        if Instant::now() >= until {
            return sent;
        }
    }
}

fn message(sequence: u32, id: u16, set: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + 4 + set.len()).unwrap();
    let head = [[0, 10], length.to_be_bytes()].concat();
    let numbers = [1_755_900_060_u32, sequence, 1].map(u32::to_be_bytes).concat();
    [&head, &numbers, &id.to_be_bytes()[..], &u16::try_from(4 + set.len()).unwrap().to_be_bytes(), set].concat()
}

const RECORD: [u8; 10] = [10, 0, 0, 1, 192, 0, 2, 1, 1, 187];

/// Sends datagrams until the time is over, then one last when the collector has come to rest; how many records.
fn shout(port: u16, collector: &Collector, until: Instant) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let template: Vec<u8> = [256_u16, 3, 8, 4, 12, 4, 11, 2].iter().flat_map(|number| number.to_be_bytes()).collect();
    socket.send(&message(0, 2, &template)).unwrap();
    while collector.metric("messages_total") == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut sent = 0_u32;
    while Instant::now() < until {
        for _ in 0..200 {
            // The sender's own buffer may be full; then it was not sent.
            sent += u32::from(socket.send(&message(sent, 256, &RECORD)).is_ok());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // What was lost before it shows in the number of the last one.
    let mut seen = (0, Instant::now());
    while seen.1.elapsed() < Duration::from_secs(2) {
        let now = collector.metric("messages_total");
        if now != seen.0 || collector.metric("blocked") == 1 {
            seen = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    socket.send(&message(sent, 256, &RECORD)).unwrap();
    while collector.metric("messages_total") == seen.0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    u64::from(sent) + 1
}

/// Runs for so long.
pub(crate) fn overload(length: Duration) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (dns, flows) = (free_port(), free_port());
    let collector = Collector::start(folder.path(), dns, flows);
    let mut frames = Frames::default();
    generate(&Scenario { flows: 20_000, ..Scenario::bench(1) }, &mut frames);
    let (begun, until) = (Instant::now(), Instant::now() + length);
    let (frames_sent, flows_sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        for sender in 0..6 {
            let (frames, frames_sent) = (&frames.0, &frames_sent);
            scope.spawn(move || frames_sent.fetch_add(push(dns, frames, sender == 0, until), Ordering::Relaxed));
        }
        let (collector, flows_sent) = (&collector, &flows_sent);
        let shouting = scope.spawn(move || flows_sent.fetch_add(shout(flows, collector, until), Ordering::Relaxed));
        for tenth in 1..=10 {
            let end = begun + length * tenth / 10;
            let mut largest = 0;
            while Instant::now() < end {
                largest = largest.max(collector.memory_kib("VmRSS:"));
                std::thread::sleep(Duration::from_millis(50));
            }
            outcome.memory_kib.push(largest);
        }
        shouting.join().unwrap();
    });
    outcome.peak_kib = collector.memory_kib("VmHWM:");
    outcome.processor = collector.processor();
    outcome.took = begun.elapsed();
    collector.stop();
    outcome.frames_sent = frames_sent.into_inner();
    outcome.flows_sent = flows_sent.into_inner();
    let lake = folder.path().join("lake");
    let pieces = scan(&lake, &ScanOptions::default()).unwrap().pieces;
    outcome.rows = pieces.iter().map(|piece| piece.rows.1 as u64).sum();
    let files: std::collections::BTreeSet<_> = pieces.iter().map(|piece| &piece.path).collect();
    outcome.bytes = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    for row in read_ledger(&lake, &ScanOptions::default()).unwrap().rows {
        assert_eq!(row.read, row.used + row.rejected + row.excluded, "{row:?}");
        outcome.rejected += row.rejected;
        if row.kind == SourceKind::Dns {
            outcome.frames_stored += row.read;
            outcome.frames_lost += row.lost;
        } else {
            outcome.flows_stored += row.used;
            outcome.flows_lost += row.lost;
        }
    }
    outcome
}

impl Outcome {
    /// Fails unless everything that was sent is accounted for.
    pub(crate) fn check(&self) {
        assert_eq!(self.frames_sent, self.frames_stored + self.frames_lost, "{self:?}");
        assert_eq!(self.flows_sent, self.flows_stored + self.flows_lost, "{self:?}");
        assert_eq!(self.rejected, 0, "{self:?}");
    }
}
