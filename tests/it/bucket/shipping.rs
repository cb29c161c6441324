//! From a collector to a bucket: nothing is lost and nothing doubled, whatever the bucket does meanwhile.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use egress_atlas::catalog::BucketAccess;
use egress_atlas::collect::Shipper;
use egress_atlas::lake::{Bucket, BucketShipper, Patience, ShipOptions};
use egress_atlas::model::Timestamp;

use super::server::{self, Fault, Server};
use super::{line, ran, text};
use crate::collect::{Cluster, Collector, capture, cluster, free_port, send, wait};
use crate::lake::path;
use crate::support::run;

/// Files of tables below a folder.
fn parquet(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(next) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The table of a collector that ships to this server. The days of the data are long past.
fn tables(server: &Server, dnstap: u16, logs: &str) -> String {
    format!(
        "retention = \"9000d\"\n[bucket]\nurl = \"s3://{}/lake\"\nendpoint = \"http://127.0.0.1:{}\"\nallow_http = true\nevery = \"100ms\"\n\
         [[dnstap]]\nlisten = \"tcp://127.0.0.1:{dnstap}\"\n[[hubble]]\npath = \"{logs}\"\n",
        server::BUCKET,
        server.port
    )
}

/// The rows of `attribute` from files and from the bucket.
fn same_rows(server: &Server, folder: &Path, all: &Cluster) {
    let at = |name: &str| path(folder, name);
    std::fs::write(at("dns.fstrm"), capture(&all.payloads)).unwrap();
    std::fs::write(at("flows.ndjson"), &all.flows).unwrap();
    let (flows, dns) = (at("flows.ndjson"), at("dns.fstrm"));
    let one = run(&["attribute", "--cluster", "test", "--out", &at("files.ndjson"), "--flows", &flows, "--dns", &dns]);
    assert_eq!(one.status, 0, "{}", one.err);
    let url = format!("s3://{}/lake", server::BUCKET);
    let two = ran(
        &mut server.command(),
        folder,
        &["attribute", "--cluster", "test", "--out", "bucket.ndjson", "--store", &url],
    );
    assert!(two.status.success(), "{}", text(&two.stderr));
    let [one, two] = ["files.ndjson", "bucket.ndjson"].map(|name| std::fs::read_to_string(at(name)).unwrap());
    assert!(one == two, "rows differ: {} and {}", one.lines().count(), two.lines().count());
    assert!(one.lines().count() > 200);
}

/// What was read, by the ledger in the bucket.
fn frames_in_ledger(server: &Server, folder: &Path) -> u64 {
    let copy = folder.join("ledger-copy");
    for key in server.keys().iter().filter(|key| key.starts_with("lake/ledger/") && key.ends_with(".parquet")) {
        let path = copy.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, server.content(key)).unwrap();
    }
    let ledger =
        egress_atlas::lake::read_ledger(&copy.join("lake"), &egress_atlas::lake::ScanOptions::default()).unwrap();
    assert_eq!(ledger.broken, [""; 0]);
    ledger.rows.iter().filter(|row| row.origin.starts_with("tcp")).map(|row| row.read).sum()
}

#[test]
fn everything_arrives_through_faults_and_an_outage() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (server, port, all) = (Server::start(), free_port(), cluster(21, 3_000));
    let tables = tables(&server, port, &at("events.log"));
    let (early, late) = all.payloads.split_at(all.payloads.len() / 2);
    let lines: Vec<&[u8]> = all.flows.split_inclusive(|byte| *byte == b'\n').collect();
    let (first, rest) = lines.split_at(lines.len() / 2);
    server.fail(&[
        Fault::Status(500),
        Fault::CutRequest,
        Fault::Status(503),
        Fault::CutAnswer,
        Fault::CutRequest,
        Fault::CutAnswer,
    ]);
    std::fs::write(at("events.log"), first.concat()).unwrap();
    let collector = Collector::start_with(folder.path(), &tables, &server.variables());
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(early), true, 1);
    wait("files are shipped", || {
        collector.metric("answer_rows_total") > 0
            && collector.metric("flow_rows_total") > 0
            && collector.metric("ship_failures_total") > 0
            && collector.metric("shipped_files_total") > 0
            && collector.metric("unshipped_bytes") == 0
    });
    assert!(collector.log().contains("files cannot be shipped; they stay, and are tried again"));
    // The bucket is gone for a while: what comes meanwhile stays, and nobody is kept waiting.
    server.down(true);
    let shipped = collector.metric("shipped_files_total");
    let full = [first, rest].concat().concat();
    std::fs::File::options().append(true).open(at("events.log")).unwrap().write_all(&rest.concat()).unwrap();
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(late), true, 2);
    wait("files wait here", || {
        collector.metric("unshipped_bytes") > 0 && collector.metric("file_bytes_total") == full.len() as u64
    });
    assert_eq!(collector.metric("blocked"), 0);
    assert_eq!(collector.metric("shipped_files_total"), shipped);
    assert!(!parquet(&folder.path().join("lake")).is_empty());
    server.down(false);
    wait("the bucket is back", || collector.log().contains("files are shipped again"));
    collector.stop();
    assert!(parquet(&folder.path().join("lake")).is_empty(), "nothing is left here");
    assert_eq!(frames_in_ledger(&server, folder.path()), all.payloads.len() as u64);
    same_rows(&server, folder.path(), &all);
}

#[test]
fn a_killed_collector_ships_each_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (server, port, all) = (Server::start(), free_port(), cluster(22, 3_000));
    let tables = tables(&server, port, &at("events.log"));
    std::fs::write(at("events.log"), &all.flows).unwrap();
    let mut sent = 0;
    for (round, part) in all.payloads.chunks(all.payloads.len().div_ceil(4)).enumerate() {
        // Objects that arrive, and are not known to have arrived when the collector dies.
        server.fail(&[Fault::CutAnswer, Fault::CutAnswer]);
        let collector = Collector::start_with(folder.path(), &tables, &server.variables());
        send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(part), true, 3);
        sent += part.len();
        // In the log is what `sync` promises; then at another moment each time.
        std::thread::sleep(Duration::from_millis(250 + 150 * round as u64));
        collector.kill();
    }
    assert_eq!(sent, all.payloads.len());
    let collector = Collector::start_with(folder.path(), &tables, &server.variables());
    wait("the file is read", || collector.log().contains("segment sealed") && collector.metric("backlog_bytes") == 0);
    collector.stop();
    assert!(parquet(&folder.path().join("lake")).is_empty(), "nothing is left here");
    assert_eq!(frames_in_ledger(&server, folder.path()), sent as u64);
    same_rows(&server, folder.path(), &all);
}

#[test]
fn copies_stay_as_long_as_they_are_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (server, port, all) = (Server::start(), free_port(), cluster(23, 1_000));
    let logs = path(folder.path(), "none.log");
    let tables = tables(&server, port, &logs).replace("every =", "keep = \"1h\"\nevery =");
    let collector = Collector::start_with(folder.path(), &tables, &server.variables());
    send(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), &capture(&all.payloads), true, 1);
    collector.stop();
    let copies = parquet(&folder.path().join("lake/shipped"));
    assert!(!copies.is_empty());
    assert_eq!(parquet(&folder.path().join("lake")), copies);
    let there = server.keys().iter().filter(|key| key.ends_with(".parquet")).count();
    assert_eq!(there, copies.len());
}

static NOW: AtomicI64 = AtomicI64::new(NOON);

/// A clock that one test sets.
fn now() -> Timestamp {
    Timestamp::from_nanos(NOW.load(Ordering::Relaxed) * 1_000_000_000)
}

fn noon() -> Timestamp {
    Timestamp::from_nanos(NOON * 1_000_000_000)
}

/// 2026-03-02T12:00:00Z, the noon of the day that the lines are of.
const NOON: i64 = 1_772_452_800;
const HOUR: i64 = 3_600;

fn shipper(server: &Server, store: &Path, clock: fn() -> Timestamp) -> BucketShipper {
    shipper_with(server, store, clock, None)
}

fn shipper_with(server: &Server, store: &Path, clock: fn() -> Timestamp, folds: Option<bool>) -> BucketShipper {
    let url = format!("s3://{}/lake", server::BUCKET);
    let access = BucketAccess::of_store(Path::new(&url), &server.variables().into_iter().collect()).unwrap();
    let bucket = Bucket::open(&access, Patience::None).unwrap();
    let options = ShipOptions {
        keep: Duration::ZERO,
        tidy: Duration::from_mins(10),
        retention: Duration::from_hours(14 * 24),
        folds,
        clock,
    };
    BucketShipper::new(store, bucket, options).unwrap()
}

/// Lays sealed files into a store, each with the flows of some minutes, as segments `first` and on.
fn seal(folder: &Path, store: &Path, cluster: &str, first: usize, count: usize) -> String {
    std::fs::create_dir_all(store.join("state")).unwrap();
    std::fs::write(store.join("state/sealed"), "ff\n").unwrap();
    let mut all = String::new();
    for number in first..first + count {
        let lines: String =
            (0..60).map(|second| line(cluster, u32::try_from(number).unwrap() * 60 + second, 5)).collect();
        let made = folder.join(format!("made-{cluster}-{number}"));
        std::fs::create_dir_all(&made).unwrap();
        std::fs::write(made.join("x.log"), &lines).unwrap();
        let (lake, log) = (path(&made, "lake"), path(&made, "x.log"));
        assert_eq!(run(&["import", "--store", &lake, "--flows", &log]).status, 0);
        for file in parquet(Path::new(&lake)) {
            let below = file.strip_prefix(&lake).unwrap();
            let sealed = store.join(below).with_file_name(format!("wal-{number:016x}-0000.parquet"));
            std::fs::create_dir_all(sealed.parent().unwrap()).unwrap();
            std::fs::rename(file, sealed).unwrap();
        }
        all += &lines;
    }
    all
}

fn rows_of_bucket(server: &Server, folder: &Path) -> String {
    let url = format!("s3://{}/lake", server::BUCKET);
    let ran = ran(&mut server.command(), folder, &["attribute", "--out", "bucket.ndjson", "--store", &url]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    std::fs::read_to_string(folder.join("bucket.ndjson")).unwrap()
}

fn rows_of_lines(folder: &Path, lines: &str) -> String {
    std::fs::write(folder.join("all.log"), lines).unwrap();
    let ran = run(&["attribute", "--flows", &path(folder, "all.log"), "--out", &path(folder, "files.ndjson")]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    std::fs::read_to_string(folder.join("files.ndjson")).unwrap()
}

fn count(server: &Server, part: &str) -> usize {
    server.keys().iter().filter(|key| key.contains(part)).count()
}

#[test]
fn two_collectors_share_a_bucket_and_each_tidies_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let set = |seconds: i64| {
        NOW.store(seconds, Ordering::Relaxed);
        server.time(seconds);
    };
    set(NOON);
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let mut lines = seal(folder.path(), &one, "eu", 0, 9);
    // The same segment numbers, other rows: 60 minutes later.
    let others = seal(folder.path(), &two, "eu", 60, 3);
    for file in parquet(&two) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let number = usize::from_str_radix(name.split('-').nth(1).unwrap(), 16).unwrap() - 60;
        std::fs::rename(&file, file.with_file_name(format!("wal-{number:016x}-0000.parquet"))).unwrap();
    }
    lines += &others;
    let (mut first, mut second) = (shipper(&server, &one, now), shipper(&server, &two, now));
    for shipper in [&mut first, &mut second] {
        let shipped = shipper.ship();
        assert_eq!((shipped.failed, shipped.waiting_bytes), (None, 0));
    }
    assert_eq!((parquet(&one).len(), parquet(&two).len()), (0, 0));
    assert_eq!(count(&server, "/wal-"), 12, "no file took another's place: {:?}", server.keys());
    let expected = rows_of_lines(folder.path(), &lines);
    assert_eq!(expected.lines().count(), 720);
    assert!(rows_of_bucket(&server, folder.path()) == expected);
    // Nine small files of one are merged, three of the other are not worth it.
    let wal: Vec<String> = server.keys().into_iter().filter(|key| key.contains("/wal-")).collect();
    let contents: Vec<(String, Vec<u8>)> = wal.iter().map(|key| (key.clone(), server.content(key))).collect();
    assert_eq!(first.tidy().unwrap().as_deref(), Some("9 objects merged into 1, 0 objects removed"));
    assert_eq!(second.tidy().unwrap(), None);
    assert_eq!((count(&server, "/merged-"), count(&server, ".replaced")), (1, 9));
    assert_eq!(count(&server, "/wal-") - count(&server, ".replaced"), 3);
    assert!(rows_of_bucket(&server, folder.path()) == expected);
    // A crash between the merged object and what it stands for: all are there, and each row counts once.
    for (key, content) in &contents {
        server.put(key, content);
    }
    assert!(rows_of_bucket(&server, folder.path()) == expected, "no row twice");
    set(NOON + HOUR / 2);
    drop(first);
    let mut first = shipper(&server, &one, now);
    assert_eq!(first.tidy().unwrap().as_deref(), Some("9 objects merged into 0, 0 objects removed"));
    assert!(rows_of_bucket(&server, folder.path()) == expected);
    // Set aside for an hour, then gone; whoever listed them before found them till then.
    set(NOON + 2 * HOUR);
    assert_eq!(second.tidy().unwrap().as_deref(), Some("0 objects merged into 0, 9 objects removed"));
    assert_eq!(count(&server, ".replaced"), 0);
    assert!(rows_of_bucket(&server, folder.path()) == expected);
}

#[test]
fn old_days_of_its_own_clusters_go_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let store = folder.path().join("one");
    let lines = seal(folder.path(), &store, "eu", 0, 2);
    let mut shipper = shipper(&server, &store, noon);
    assert_eq!(shipper.ship().failed, None);
    let own = server.keys().into_iter().find(|key| key.contains("/wal-")).unwrap();
    let old = own.replace("date=2026-03-02", "date=2026-01-01");
    let content = server.content(&own);
    server.put(&old, &content);
    // Of a cluster that somebody else writes.
    let other = old.replace("cluster=eu", "cluster=us").replace("/wal-w", "/wal-wx");
    server.put(&other, &content);
    assert_eq!(shipper.tidy().unwrap().as_deref(), Some("0 objects merged into 0, 1 objects removed"));
    assert_eq!(count(&server, "cluster=eu/date=2026-01-01"), 0);
    assert_eq!(count(&server, "cluster=us/date=2026-01-01"), 1);
    server.remove(&other);
    assert!(rows_of_bucket(&server, folder.path()) == rows_of_lines(folder.path(), &lines));
}

#[test]
fn half_a_segment_is_not_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let store = folder.path().join("one");
    seal(folder.path(), &store, "eu", 0, 3);
    std::fs::write(store.join("state/sealed"), "1\n").unwrap();
    let mut shipper = shipper(&server, &store, noon);
    assert_eq!(shipper.ship().failed, None);
    assert_eq!((count(&server, "/wal-"), parquet(&store).len()), (2, 1));
    std::fs::write(store.join("state/sealed"), "2\n").unwrap();
    assert_eq!(shipper.ship().files, 1);
}

#[test]
fn a_reader_that_listed_before_a_merge_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let store = folder.path().join("one");
    let lines = seal(folder.path(), &store, "eu", 0, 2);
    assert_eq!(shipper(&server, &store, noon).ship().failed, None);
    let expected = rows_of_lines(folder.path(), &lines);
    // Listed under its own name, and renamed before it is fetched.
    let key = server.keys().into_iter().find(|key| key.contains("/wal-")).unwrap();
    server.rename_when_listed(&key, &key.replace(".parquet", ".replaced"));
    assert!(rows_of_bucket(&server, folder.path()) == expected);
    assert_eq!(count(&server, ".replaced"), 1, "it was renamed");
}

/// The same file with rows that do not parse: two columns of texts change names, and `also_to` is no list of addresses any more.
fn unreadable_rows(content: &[u8]) -> Vec<u8> {
    let (body, tail) = content.split_at(content.len() - 8);
    let length = usize::try_from(u32::from_le_bytes(*tail.first_chunk().unwrap())).unwrap();
    let (pages, footer) = body.split_at(body.len() - length);
    let mut footer = footer.to_vec();
    let mut swapped = 0;
    for at in 0..footer.len() - 7 {
        let other: &[u8] = match &footer[at..at + 7] {
            b"also_to" => b"cluster",
            b"cluster" => b"also_to",
            _ => continue,
        };
        footer[at..at + 7].copy_from_slice(other);
        swapped += 1;
    }
    assert!(swapped >= 4, "names in the schema and at the columns: {swapped}");
    [pages, &footer, tail].concat()
}

#[test]
fn an_object_with_a_row_that_does_not_parse_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let store = folder.path().join("one");
    seal(folder.path(), &store, "eu", 0, 9);
    let mut shipper = shipper(&server, &store, noon);
    assert_eq!(shipper.ship().failed, None);
    let broken = server.keys().into_iter().filter(|key| key.contains("/wal-")).nth(4).unwrap();
    let content = unreadable_rows(&server.content(&broken));
    server.put(&broken, &content);
    assert_eq!(shipper.tidy().unwrap().as_deref(), Some("8 objects merged into 1, 0 objects removed"));
    assert_eq!((count(&server, "/merged-"), count(&server, ".replaced")), (1, 8));
    assert_eq!(server.content(&broken), content);
}

#[test]
fn a_bucket_remembers_that_nothing_is_folded() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    seal(folder.path(), &one, "eu", 0, 1);
    seal(folder.path(), &two, "eu", 7, 1);
    let server = Server::start();
    let is_noted = || count(&server, "lake/state/unfolded") == 1;
    // Told by this store's own past; kept to by another collector; taken back by who has a say in it.
    std::fs::write(one.join("state/unfolded"), "so it was\n").unwrap();
    assert_eq!(shipper(&server, &one, noon).ship().failed, None);
    assert!(is_noted());
    assert_eq!(shipper(&server, &two, noon).ship().failed, None);
    assert!(is_noted() && two.join("state/unfolded").exists());
    assert_eq!(shipper_with(&server, &two, noon, Some(true)).ship().failed, None);
    assert!(!is_noted());
}
