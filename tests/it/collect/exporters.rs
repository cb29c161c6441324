//! IPFIX exporters over UDP, TCP and TLS, and DNS servers over TLS.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use egress_atlas::lake::LedgerRow;
use egress_atlas::model::SourceKind;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::server::Certificates;
use super::{Collector, capture, cluster, free_port, ledger, send, store, wait};
use crate::support::{fixture, run};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(fixture(&format!("antrea/{name}.ipfix"))).unwrap()
}

/// A message of version 10 with these sets.
fn message(sequence: u32, domain: u32, sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let body: Vec<u8> = sets
        .iter()
        .flat_map(|(id, set)| {
            [id.to_be_bytes().to_vec(), u16::try_from(set.len() + 4).unwrap().to_be_bytes().to_vec(), set.clone()]
                .concat()
        })
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut bytes = vec![0, 10];
    bytes.extend(u16::try_from(body.len() + 16).unwrap().to_be_bytes());
    for number in [u32::try_from(now.as_secs()).unwrap(), sequence, domain] {
        bytes.extend(number.to_be_bytes());
    }
    [bytes, body].concat()
}

/// Both IPv4 addresses and the destination's port.
fn template(id: u16) -> (u16, Vec<u8>) {
    (2, [id, 3, 8, 4, 12, 4, 11, 2].iter().flat_map(|number| number.to_be_bytes()).collect())
}

fn record(id: u16, last: u8) -> (u16, Vec<u8>) {
    (id, vec![10, 0, 0, 1, 192, 0, 2, last, 1, 187])
}

fn sums(rows: &[LedgerRow]) -> [u64; 4] {
    let sum = |of: fn(&LedgerRow) -> u64| rows.iter().map(of).sum();
    [sum(|row| row.read), sum(|row| row.used), sum(|row| row.rejected), sum(|row| row.lost)]
}

#[test]
fn exporters_over_tcp_are_cut_anywhere_and_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let tables = format!("[[ipfix]]\nlisten = \"tcp://127.0.0.1:{port}\"\n");
    let (templates, data) =
        (sample("constructed-v2.7-aggregate-ipv4.template"), sample("constructed-v2.7-aggregate-ipv4.data"));
    let collector = Collector::start(folder.path(), &tables);
    let mut one = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // Byte by byte; another exporter has other templates under the same numbers.
    let mut other = TcpStream::connect(("127.0.0.1", port)).unwrap();
    other.write_all(&message(0, 1, &[template(256)])).unwrap();
    for byte in [templates.as_slice(), &data].concat() {
        one.write_all(&[byte]).unwrap();
    }
    for number in 0..5 {
        other.write_all(&message(u32::from(number), 1, &[record(256, number)])).unwrap();
    }
    wait("all messages are taken", || collector.metric("messages_total") == 8);
    wait("the templates' segment is in the store", || collector.metric("flow_rows_total") >= 5);
    // Data without their template, in a segment of its own: the collector knows the template from before.
    other.write_all(&message(5, 1, &[record(256, 5)])).unwrap();
    wait("one more", || collector.metric("messages_total") == 9);
    std::thread::sleep(Duration::from_millis(250));
    collector.kill();
    let collector = Collector::start(folder.path(), &tables);
    let mut third = TcpStream::connect(("127.0.0.1", port)).unwrap();
    third.write_all(&message(9, 1, &[template(256), record(256, 9)])).unwrap();
    // A gap of three records, a data set nobody knows, and a cut message.
    third.write_all(&message(13, 1, &[record(256, 13)])).unwrap();
    third.write_all(&message(14, 2, &[record(300, 1)])).unwrap();
    third.write_all(&message(15, 1, &[record(256, 1)])[..20]).unwrap();
    drop(third);
    let mut garbage = TcpStream::connect(("127.0.0.1", port)).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    assert_eq!(garbage.read(&mut [0; 1]).unwrap_or(0), 0, "closed");
    wait("all are gone", || collector.get("/metrics").contains("ended_total{reason=\"closed by exporter\"} 1"));
    wait("the cut message is counted", || collector.metric("lost_total") >= 1);
    collector.stop();
    let rows = ledger(folder.path());
    assert!(rows.iter().all(|row| row.kind == SourceKind::Flows && row.read == row.used + row.rejected + row.excluded));
    let fixture_records = 2;
    // The unknown data set and the stranger are rejected; three records of a gap and the cut message are lost.
    assert_eq!(sums(&rows), [8 + fixture_records + 2, 8 + fixture_records, 2, 4], "{rows:?}");
    assert!(rows.iter().any(|row| row.source == "127.0.0.1" && row.missing_nanos > 0), "away while it was dead");
}

#[test]
fn exporters_over_udp_lose_what_their_numbers_tell() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let tables = format!("[[ipfix]]\nlisten = \"udp://127.0.0.1:{port}\"\nexporters = 2\n");
    let collector = Collector::start(folder.path(), &tables);
    let exporter = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket
    };
    let (one, two, three) = (exporter(), exporter(), exporter());
    let taken = |count: u64| wait("it is taken", || collector.metric("messages_total") == count);
    one.send(&message(0, 7, &[template(256)])).unwrap();
    two.send(&message(0, 7, &[template(300)])).unwrap();
    taken(2);
    for number in (0..100).filter(|number| !(20..25).contains(number)) {
        one.send(&message(number, 7, &[record(256, u8::try_from(number).unwrap())])).unwrap();
    }
    taken(97);
    // Another exporter's template of that number is none of its own.
    two.send(&message(0, 7, &[record(256, 1)])).unwrap();
    two.send(b"nonsense").unwrap();
    three.send(&message(0, 7, &[template(256)])).unwrap();
    wait("the rest is refused", || {
        let text = collector.get("/metrics");
        text.contains("ended_total{reason=\"datagram is no IPFIX\"} 1")
            && text.contains("ended_total{reason=\"too many exporters\"} 1")
    });
    taken(98);
    collector.stop();
    // 95 records came, 5 are missing; a set without a template, a datagram that is none, and a stranger are rejected.
    assert_eq!(sums(&ledger(folder.path())), [98, 95, 3, 5]);
    let ran = run(&["preflight", "--store", &store(folder.path())]);
    assert!(ran.out.contains("udp://127.0.0.1"), "{}", ran.out);
}

/// A client of TLS, with or without a certificate.
fn client(port: u16, certificates: &Certificates, shows: bool) -> StreamOwned<ClientConnection, TcpStream> {
    let read = |name: &str| std::fs::read(certificates.path(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.crt")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = if shows {
        let chain = vec![CertificateDer::from_pem_slice(&read("client.crt")).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&read("client.key")).unwrap()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let connection = ClientConnection::new(Arc::new(config), "atlas.example".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port)).unwrap())
}

fn listening(certificates: &Certificates, asks: bool) -> String {
    let pair = format!(
        "certificate = \"{}\"\nkey = \"{}\"\n",
        certificates.path("server.crt"),
        certificates.path("server.key")
    );
    if asks { format!("{pair}client_ca = \"{}\"\n", certificates.path("ca.crt")) } else { pair }
}

#[test]
fn dnstap_within_tls_is_kept_and_strangers_keep_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&["atlas.example"]);
    let (open, closed, flows) = (free_port(), free_port(), free_port());
    let tables = format!(
        "[[dnstap]]\nlisten = \"tls://127.0.0.1:{open}\"\nhandshake = \"1s\"\n{}\
         [[dnstap]]\nlisten = \"tls://127.0.0.1:{closed}\"\n{}\
         [[ipfix]]\nlisten = \"tls://127.0.0.1:{flows}\"\n{}",
        listening(&certificates, false),
        listening(&certificates, true),
        listening(&certificates, true),
    );
    let collector = Collector::start(folder.path(), &tables);
    // They say nothing, or no TLS.
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", open)).unwrap()).collect();
    TcpStream::connect(("127.0.0.1", open)).unwrap().write_all(&capture(&[])).unwrap();
    let all = cluster(4, 1_000).payloads;
    let (one, two) = all.split_at(all.len() / 2);
    send(&mut client(open, &certificates, false), &capture(one), true, 1);
    send(&mut client(closed, &certificates, true), &capture(two), false, 2);
    let mut nameless = client(closed, &certificates, false);
    drop(nameless.write_all(&capture(two)));
    assert!(nameless.read(&mut [0; 1]).is_err(), "no certificate, no entry");
    let mut exporter = client(flows, &certificates, true);
    exporter.write_all(&message(0, 1, &[template(256), record(256, 1)])).unwrap();
    wait("it is taken", || collector.metric("messages_total") == 1);
    wait("silent clients are let go", || {
        collector.get("/metrics").contains("ended_total{reason=\"no TLS handshake\"} 20")
    });
    assert!(collector.get("/metrics").contains("ended_total{reason=\"TLS refused\"} 2"));
    drop(silent);
    // New certificates of a new authority, as a mount brings them; the listener shows them to whoever comes next.
    let renewed = Certificates::new(&["atlas.example"]);
    for name in ["server.crt", "server.key"] {
        std::fs::copy(renewed.path(name), certificates.path(name)).unwrap();
    }
    send(&mut client(open, &renewed, false), &capture(one), true, 3);
    std::fs::write(certificates.path("server.crt"), "broken").unwrap();
    send(&mut client(open, &renewed, false), &capture(one), true, 3);
    let log = collector.stop();
    assert!(log.contains("changed certificate cannot be used; the old one stays"), "{log}");
    let rows = ledger(folder.path());
    let dns: Vec<LedgerRow> = rows.into_iter().filter(|row| row.kind == SourceKind::Dns).collect();
    assert_eq!(sums(&dns)[0], (all.len() + 2 * one.len()) as u64);
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("dns.fstrm"), capture(&all)).unwrap();
    std::fs::write(at("flows.log"), cluster(4, 1_000).flows).unwrap();
    let ran = run(&["import", "--store", &store(folder.path()), "--flows", &at("flows.log"), "--cluster", "test"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let antrea = run(&["attribute", "--store", &store(folder.path()), "--out", &at("all.ndjson")]);
    assert_eq!(antrea.status, 0, "{}", antrea.err);
    assert!(std::fs::read_to_string(at("all.ndjson")).unwrap().contains("192.0.2.1"), "the exporter's flow");
}

#[test]
fn certificates_that_cannot_be_used_are_told_before_anything_begins() {
    let certificates = Certificates::new(&["atlas.example"]);
    let other = Certificates::new(&["atlas.example"]);
    let check = |pair: [&str; 2], told: &str| {
        let text = format!(
            "store = \"{}\"\n[[dnstap]]\nlisten = \"tls://127.0.0.1:{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
            certificates.path("lake"),
            free_port(),
            pair[0],
            pair[1]
        );
        std::fs::write(certificates.path("collect.toml"), text).unwrap();
        let ran = run(&["collect", "--config", &certificates.path("collect.toml")]);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    };
    let (good, key) = (certificates.path("server.crt"), certificates.path("server.key"));
    check(["/nowhere/tls.crt", &key], "`/nowhere/tls.crt`: No such file");
    check([&key, &key], "it holds no certificate; PEM is expected");
    check([&good, &good], "PEM is expected, and the collector must be allowed to read it");
    check([&good, &other.path("server.key")], "do certificate and key belong together?");
}
