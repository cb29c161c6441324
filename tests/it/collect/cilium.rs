//! End to end with an observer of Cilium's own making: its schema, its reading of JSON, gRPC's own server. What comes by the stream must
//! be what the same records give from files, row by row.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::go::built;
use super::server::Certificates;
use super::{Collector, ledger, store, wait};
use crate::support::{fixture, run};

/// As in `tests/hubble/go.mod`.
const WHAT: &str = "hubble 1.19.4";

struct Observer(Child);

impl Drop for Observer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn an_observer_of_cilium_is_understood() {
    let Some(binary) = built("hubble", WHAT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&["*.hubble-relay.cilium.io"]);
    let names = [
        "2021-10-flows",
        "2021-330-dns-flows-first-60",
        "2021-400-l7-redirected-flows-first-60",
        "2021-400-udp-flows-first-60",
    ];
    let files: Vec<String> = names.iter().map(|name| fixture(&format!("hubble/hubble-otel-{name}.ndjson"))).collect();
    let mut child = Command::new(binary)
        .args(["-certificate", &certificates.path("server.crt"), "-key", &certificates.path("server.key")])
        .args(["-clients", &certificates.path("ca.crt")])
        .args(&files)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let _observer = Observer(child);
    let line = said.next().unwrap().unwrap();
    let (address, records) = line.strip_prefix("listening: ").unwrap().split_once(" records=").unwrap();
    let records: u64 = records.parse().unwrap();
    let tables = format!(
        "[[relay]]\naddress = \"tls://{address}\"\nserver_name = \"atlas.hubble-relay.cilium.io\"\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificates.path("ca.crt"),
        certificates.path("client.crt"),
        certificates.path("client.key"),
    );
    let collector = Collector::start(folder.path(), &tables);
    wait("everything is taken", || collector.metric("messages_total") == records);
    assert!(said.next().unwrap().unwrap().starts_with("asked: follow=true"));
    collector.stop();
    let rows = ledger(folder.path());
    assert_eq!(rows.iter().map(|row| row.read).sum::<u64>(), records);
    assert_eq!(rows.iter().map(|row| row.rejected).sum::<u64>(), 0);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut files_first =
        vec!["attribute".to_owned(), "--out".to_owned(), at("files.ndjson"), "--cluster".to_owned(), "test".to_owned()];
    for file in &files {
        files_first.extend(["--flows".to_owned(), file.clone()]);
    }
    let one = run(&files_first.iter().map(String::as_str).collect::<Vec<_>>());
    let two = run(&["attribute", "--store", &store(folder.path()), "--cluster", "test", "--out", &at("store.ndjson")]);
    assert_eq!((one.status, two.status), (0, 0), "{} {}", one.err, two.err);
    let [one, two] = ["files.ndjson", "store.ndjson"].map(|name| std::fs::read_to_string(at(name)).unwrap());
    assert!(one.lines().count() > 20, "{}", one.lines().count());
    assert!(one == two, "{} and {} rows differ:\n{one}\n{two}", one.lines().count(), two.lines().count());
}
