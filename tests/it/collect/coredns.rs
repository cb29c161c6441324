//! End to end with the real CoreDNS, built from the Go module registry at a pinned version: it serves a zone, we ask it from several
//! addresses, and `discover` must name every flow. Between two rounds the collector is killed; what was asked meanwhile
//! is lost, and the ledger must say for how long.
//!
//! Where Go or the registry is missing, the test says so and does nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use egress_atlas::model::Timestamp;
use egress_atlas::simulate::dns_message::{QueryType, Question, query};

use super::go::built;
use super::{Collector, free_port, ledger, store, wait};
use crate::support::run;

/// As in `tests/coredns/go.mod`.
const WHAT: &str = "coredns 1.14.7";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_parts(since.as_secs(), since.subsec_nanos()).unwrap()
}

/// Asks for a name from an address; the address in the answer.
fn ask(port: u16, client: Ipv4Addr, name: &str) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((client, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut message = Vec::new();
    query(&mut message, Question { id: 7, name, query_type: QueryType::A });
    socket.send_to(&message, (Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    // The last record is the address.
    let octets: [u8; 4] = answer[..length].last_chunk().copied()?;
    Some(octets.into())
}

/// One flow of a pod, as Hubble writes it.
fn flow(client: Ipv4Addr, port: u16, server: IpAddr) -> String {
    let time = now();
    let pod = client.octets()[3];
    format!(
        r#"{{"flow":{{"time":"{time}","uuid":"{client}-{port}","verdict":"FORWARDED","IP":{{"source":"{client}","destination":"{server}","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{port},"destination_port":443,"flags":{{"SYN":true}}}}}},"source":{{"ID":1,"identity":4000,"namespace":"shop","pod_name":"web-{pod}"}},"destination":{{"identity":2,"labels":["reserved:world"]}},"Type":"L3_L4","node_name":"n1","event_type":{{"type":4,"sub_type":3}},"is_reply":false}},"node_name":"n1","time":"{time}"}}"#
    ) + "\n"
}

struct Stage {
    ports: [u16; 2],
    events: PathBuf,
    next_port: u16,
}

impl Stage {
    /// Every client asks each server for names of its own and connects to what it was told.
    fn round(&mut self, names: &[String]) -> usize {
        let mut lines = String::new();
        for (number, name) in names.iter().enumerate() {
            let client = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 5 + 10).unwrap());
            let mut told = None;
            wait("CoreDNS answers", || {
                told = ask(self.ports[number % 2], client, name);
                told.is_some()
            });
            self.next_port += 1;
            lines.write_str(&flow(client, self.next_port, told.unwrap().into())).unwrap();
        }
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.events)
            .unwrap()
            .write_all(lines.as_bytes())
            .unwrap();
        names.len()
    }
}

#[test]
fn every_flow_is_named_through_a_real_coredns() {
    let Some(binary) = built("coredns", WHAT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (tap, socket) = (free_port(), folder.path().join("dnstap.sock"));
    let ports = [free_port(), free_port()];
    let names =
        |round: &str| -> Vec<String> { (0..20).map(|number| format!("{round}-{number}.example.com")).collect() };
    let (first, lost, second) = (names("first"), names("lost"), names("second"));
    let mut hosts = String::new();
    for (number, name) in first.iter().chain(&lost).chain(&second).enumerate() {
        writeln!(hosts, "192.0.2.{} {name}", number + 1).unwrap();
    }
    hosts += "192.0.2.99 probe.example.com\n";
    std::fs::write(folder.path().join("hosts"), hosts).unwrap();
    let block = |port: u16, target: &str| {
        format!(
            ".:{port} {{\n errors\n dnstap {target} full {{\n identity node-{port}\n }}\n hosts {}/hosts\n}}\n",
            folder.path().display()
        )
    };
    let corefile =
        block(ports[0], &format!("tcp://127.0.0.1:{tap}")) + &block(ports[1], &format!("unix://{}", socket.display()));
    std::fs::write(folder.path().join("Corefile"), corefile).unwrap();
    let tables = format!(
        "[[dnstap]]\nlisten = \"tcp://127.0.0.1:{tap}\"\n[[dnstap]]\nlisten = \"unix://{}\"\n[[hubble]]\npath = \"{}/events*.log\"\n",
        socket.display(),
        folder.path().display()
    );
    let collector = Collector::start(folder.path(), &tables);
    let server = Command::new(binary)
        .args(["-conf", "Corefile"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("coredns.log")).unwrap())
        .spawn()
        .unwrap();
    let _server = Server(server);
    let mut stage = Stage { ports, events: folder.path().join("events.log"), next_port: 40_000 };
    let mut flows = stage.round(&first);
    // A query and a response for each; a lookup that was repeated gives more.
    wait("CoreDNS has delivered", || collector.metric("frames_total") >= 40);
    std::thread::sleep(Duration::from_millis(300));
    collector.kill();
    let away = now();
    flows += stage.round(&lost);
    std::thread::sleep(Duration::from_secs(2));
    let collector = Collector::start(folder.path(), &tables);
    let back = now();
    // CoreDNS finds out that nobody listens when it has something to say, and dials again within ten seconds.
    wait("both taps are connected again", || {
        for port in ports {
            ask(port, Ipv4Addr::new(127, 0, 1, 99), "probe.example.com");
        }
        collector.metric("connections") == 2
    });
    flows += stage.round(&second);
    let before = collector.metric("frames_total");
    wait("CoreDNS has delivered", || collector.metric("frames_total") >= before.max(40));
    // It flushes once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    wait("the flows are read", || collector.metric("file_bytes_total") > 0);
    std::thread::sleep(Duration::from_millis(500));
    collector.stop();

    check(folder.path(), flows, &[&first, &second], u64::try_from(back.nanos() - away.nanos()).unwrap());
}

/// All flows are in the store, those of the rounds are named, and the outage is told.
fn check(folder: &Path, flows: usize, rounds: &[&Vec<String>], outage: u64) {
    let rows = folder.join("rows.csv").display().to_string();
    let ran = run(&["attribute", "--store", &store(folder), "--out", &rows]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&rows).unwrap();
    let hits = |round: &str| {
        text.lines().filter(|line| line.contains(&format!(",{round}-")) && line.contains(",pod,")).count()
    };
    assert_eq!(text.lines().count() - 1, flows, "{text}");
    assert_eq!((hits("first"), hits("second")), (20, 20), "{text}");
    assert_eq!(hits("lost"), 0, "nobody was there to hear it");
    let documents = folder.join("docs").display().to_string();
    let ran = run(&["discover", "--store", &store(folder), "--out", &documents]);
    assert_ne!(ran.status, 2, "{}", ran.err);
    let shop = std::fs::read_to_string(format!("{documents}/shop.md")).unwrap();
    for name in rounds.iter().copied().flatten() {
        assert!(shop.contains(name.as_str()), "{name} is in no document");
    }
    let missing: Vec<u64> = ledger(folder).iter().map(|row| row.missing_nanos).filter(|nanos| *nanos > 0).collect();
    assert_eq!(missing.len(), 2, "both taps were away once: {missing:?}");
    assert!(missing.iter().all(|nanos| *nanos >= outage), "{missing:?} for an outage of {outage}");
}
