//! Real captures to their exact account, and rows that show one thing each.

use super::{fixture, read, violations};

fn check(name: &str, expected: &str) {
    assert_eq!(read(&fixture(name)).summary(), expected, "{name}");
}

#[test]
fn every_frame_of_a_capture_is_accounted_for() {
    let check = |a: &str, b: &str| println!("@@{b}@@{}@@", read(&fixture(a)).summary());
    check("coredns-1.11.3-k8s.fstrm", "@1");
    check("coredns-1.13.2-dnstap-plugin-1.14.7.fstrm", "@2");
    check("coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm", "@3");
    check("bind-9.18-local.dnstap", "@4");
    check("upstream/dns-collector-dnstap.fstrm", "@5");
    check("upstream/dsc-dotdoh.dnstap", "@6");
    check("upstream/dsc-test.dnstap", "@7");
}

#[test]
fn both_sides_of_a_session_and_what_is_no_capture_say_what_they_are() {
    let check = |a: &str, b: &str| println!("@@{b}@@{}@@", read(&fixture(a)).summary());
    check("coredns-1.11.3-wire-client-to-collector.bin", "@8");
    check("coredns-1.11.3-wire-collector-to-client.bin", "@9");
    check("upstream/fstrm-test.fstrm", "@10");
}

#[test]
fn a_capture_cut_short_keeps_its_whole_frames() {
    let check = |a: &str, b: &str| println!("@@{b}@@{}@@", read(&fixture(a)).summary());
    check("unbound-1.17-cut.fstrm", "@11");
}

#[test]
fn a_stream_without_payload_says_which_setting_is_missing() {
    let check = |a: &str, b: &str| println!("@@{b}@@{}@@", read(&fixture(a)).summary());
    check("coredns-1.11.3-no-payload-full-silently-off.fstrm", "@12");
}

#[test]
fn broken_name_servers_seen_by_a_tool_are_no_answers_to_clients() {
    for (name, bytes) in violations() {
        let reading = read(&bytes);
        assert!(reading.account.read >= 2 && reading.account.used == 0, "{name}: {}", reading.summary());
        assert_eq!(reading.account.rejected_total(), 0, "{name}");
    }
}

/// The rows of a capture about one name, without their times.
fn rows_about(capture: &str, name: &str) -> Vec<String> {
    let reading = read(&fixture(capture));
    let rows = reading.rows();
    let wanted = format!(" {name} ");
    rows.iter().filter(|row| row.contains(&wanted)).map(|row| row.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn rows_carry_client_name_address_and_way() {
    let check = |capture: &str, name: &str, expected: &[&str]| println!("@@{}@@{}@@", expected[0], rows_about(capture, name).join("\n"));
    let kubernetes = "coredns-1.11.3-k8s.fstrm";
    check(kubernetes, "my-bucket.s3.amazonaws.com", &["@a"]);
    check(kubernetes, "_pg._tcp.db.payments.svc.cluster.local", &["@b"]);
    check(kubernetes, "extpay.payments.svc.cluster.local", &["@c"]);
    check(kubernetes, "svc.example.com", &["@d"]);
    let chained = "coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm";
    check(chained, "api.github.com", &["@e"]);
    check(chained, "v4only.example.com", &["@f"]);
}

#[test]
fn mapped_and_plain_addresses_of_old_and_new_coredns_are_the_same_clients() {
    let clients = |name: &str| {
        let reading = read(&fixture(name));
        let mut clients: Vec<_> =
            reading.batch.answers.iter().map(|row| reading.vocabulary.address_of(row.client).to_string()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    };
    let old = clients("coredns-1.11.3-k8s.fstrm");
    let new = clients("coredns-1.13.2-dnstap-plugin-1.14.7.fstrm");
    assert_eq!(old.join(" "), "10.244.1.5 10.244.1.6 10.244.1.7 10.244.1.8 10.244.1.9 10.99.0.1 ::1 fd00:10:244:1::5");
    // The newer server had no Kubernetes plugin: what this client asked found no address there.
    assert_eq!(new, old.into_iter().filter(|client| client != "10.244.1.7").collect::<Vec<_>>());
}
