//! Real captures to their exact account, and rows that show one thing each.

use super::{fixture, read, violations};

fn check(name: &str, expected: &str) {
    assert_eq!(read(&fixture(name)).summary(), expected, "{name}");
}

#[test]
fn every_frame_of_a_capture_is_accounted_for() {
    check(
        "coredns-1.11.3-k8s.fstrm",
        "read 237, used 44, rows 314\n\
         excluded 8 DNS answer NXDOMAIN\n\
         excluded 1 DNS answer SERVFAIL\n\
         excluded 1 DNS answer about the root\n\
         excluded 1 DNS answer of a class other than IN\n\
         excluded 11 DNS answer without an address\n\
         excluded 69 dnstap CLIENT_QUERY\n\
         excluded 63 dnstap FORWARDER_QUERY\n\
         excluded 39 dnstap FORWARDER_RESPONSE\n\
         noted 2 truncated DNS answer: part of its addresses",
    );
    check(
        "coredns-1.13.2-dnstap-plugin-1.14.7.fstrm",
        "read 265, used 34, rows 300\n\
         excluded 19 DNS answer NXDOMAIN\n\
         excluded 1 DNS answer SERVFAIL\n\
         excluded 1 DNS answer about the root\n\
         excluded 1 DNS answer of a class other than IN\n\
         excluded 8 DNS answer without an address\n\
         excluded 67 dnstap CLIENT_QUERY\n\
         excluded 79 dnstap FORWARDER_QUERY\n\
         excluded 55 dnstap FORWARDER_RESPONSE\n\
         noted 2 truncated DNS answer: part of its addresses",
    );
    check(
        "coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm",
        "read 40, used 11, rows 11\n\
         excluded 1 DNS answer NXDOMAIN\n\
         excluded 12 dnstap CLIENT_QUERY\n\
         excluded 8 dnstap FORWARDER_QUERY\n\
         excluded 8 dnstap FORWARDER_RESPONSE",
    );
    check(
        "bind-9.18-local.dnstap",
        "read 110, used 25, rows 138\n\
         excluded 19 DNS answer NXDOMAIN\n\
         excluded 1 DNS answer SERVFAIL\n\
         excluded 1 DNS answer about the root\n\
         excluded 1 DNS answer of a class other than IN\n\
         excluded 8 DNS answer without an address\n\
         excluded 1 dnstap AUTH_QUERY\n\
         excluded 54 dnstap CLIENT_QUERY\n\
         noted 1 truncated DNS answer: part of its addresses",
    );
    check(
        "upstream/dns-collector-dnstap.fstrm",
        "read 2, used 1, rows 1\n\
         excluded 1 dnstap CLIENT_QUERY",
    );
    check(
        "upstream/dsc-dotdoh.dnstap",
        "read 7, used 3, rows 3\n\
         excluded 4 dnstap CLIENT_QUERY",
    );
    check(
        "upstream/dsc-test.dnstap",
        "read 2, used 0, rows 0\n\
         excluded 1 dnstap TOOL_QUERY\n\
         excluded 1 dnstap TOOL_RESPONSE",
    );
}

#[test]
fn a_storm_of_forwarded_questions_hides_no_answer() {
    let path = crate::support::fixture("dnstap/coredns-1.11.3-k8s-untrimmed-forward-storm.fstrm.zst");
    let out = tempfile::tempdir().unwrap();
    let table = out.path().join("o.csv").display().to_string();
    let ran = crate::support::run(&["attribute", "--dns", &path, "--out", &table, "--verbose"]);
    for told in ["33452 read = 44 used + 0 rejected + 33408 excluded", "33278 × dnstap FORWARDER_QUERY"] {
        assert!(ran.err.contains(told), "no `{told}`: {}", ran.err);
    }
}

#[test]
fn both_sides_of_a_session_and_what_is_no_capture_say_what_they_are() {
    check(
        "coredns-1.11.3-wire-client-to-collector.bin",
        "read 20, used 10, rows 10\n\
         excluded 10 dnstap CLIENT_QUERY",
    );
    check(
        "coredns-1.11.3-wire-collector-to-client.bin",
        "read 0, used 0, rows 0\n\
         a FINISH frame at byte 42 comes before any START frame: is this one side of a session, or no capture?",
    );
    check(
        "upstream/fstrm-test.fstrm",
        "read 0, used 0, rows 0\n\
         the capture holds `test:hello` at byte 0, not `protobuf:dnstap.Dnstap`",
    );
}

#[test]
fn a_capture_cut_short_keeps_its_whole_frames() {
    check(
        "unbound-1.17-cut.fstrm",
        "read 282, used 79, rows 271\n\
         excluded 22 DNS answer NXDOMAIN\n\
         excluded 2 DNS answer with another error code\n\
         excluded 26 DNS answer without an address\n\
         excluded 131 dnstap CLIENT_QUERY\n\
         excluded 5 dnstap FORWARDER_QUERY\n\
         excluded 5 dnstap FORWARDER_RESPONSE\n\
         excluded 6 dnstap RESOLVER_QUERY\n\
         excluded 6 dnstap RESOLVER_RESPONSE\n\
         truncated",
    );
}

#[test]
fn a_stream_without_payload_says_which_setting_is_missing() {
    check(
        "coredns-1.11.3-no-payload-full-silently-off.fstrm",
        "read 202, used 0, rows 0\n\
         excluded 77 dnstap CLIENT_QUERY\n\
         excluded 24 dnstap FORWARDER_QUERY\n\
         excluded 24 dnstap FORWARDER_RESPONSE\n\
         excluded 77 dnstap response without payload (is \"full\" set in the Corefile?)",
    );
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
    let check = |capture: &str, name: &str, expected: &[&str]| assert_eq!(rows_about(capture, name), expected);
    let kubernetes = "coredns-1.11.3-k8s.fstrm";
    check(
        kubernetes,
        "my-bucket.s3.amazonaws.com",
        &[
            "10.244.1.8 payments/fraud-66c8-qq1 my-bucket.s3.amazonaws.com 203.0.113.103 Address ttl 5 0/1 [s3-1-w.amazonaws.com s3-w.us-east-1.amazonaws.com] vm",
        ],
    );
    check(
        kubernetes,
        "_pg._tcp.db.payments.svc.cluster.local",
        &[
            "10.244.1.7 payments/checkout-0 _pg._tcp.db.payments.svc.cluster.local 10.244.1.8 Additional ttl 30 0/2 [] vm",
            "10.244.1.7 payments/checkout-0 _pg._tcp.db.payments.svc.cluster.local 10.244.1.7 Additional ttl 30 1/2 [] vm",
        ],
    );
    check(
        kubernetes,
        "extpay.payments.svc.cluster.local",
        &[
            "10.244.1.7 payments/checkout-0 extpay.payments.svc.cluster.local 198.51.100.40 Address ttl 20 0/2 [api.stripe.com api.stripe.com.edgekey.net e1234.a.akamaiedge.net] vm",
            "10.244.1.7 payments/checkout-0 extpay.payments.svc.cluster.local 198.51.100.41 Address ttl 20 1/2 [api.stripe.com api.stripe.com.edgekey.net e1234.a.akamaiedge.net] vm",
            "10.244.1.7 payments/checkout-0 extpay.payments.svc.cluster.local 2001:db8:aa::40 Address ttl 20 0/1 [api.stripe.com api.stripe.com.edgekey.net e1234.a.akamaiedge.net] vm",
        ],
    );
    check(
        kubernetes,
        "svc.example.com",
        &[
            "10.244.1.9 ml/train-job-9-zz svc.example.com 203.0.113.20 Hint ttl 30 0/3 [] vm",
            "10.244.1.9 ml/train-job-9-zz svc.example.com 203.0.113.21 Hint ttl 30 1/3 [] vm",
            "10.244.1.9 ml/train-job-9-zz svc.example.com 2001:db8:5::20 Hint ttl 30 2/3 [] vm",
        ],
    );
    let chained = "coredns-1.11.3-autopath-dns64-nodelocal-chain.fstrm";
    check(chained, "api.github.com", &["10.244.1.5 / api.github.com 198.51.100.10 Address ttl 30 0/1 [] vm"]);
    check(
        chained,
        "v4only.example.com",
        &[
            "10.244.1.6 / v4only.example.com 203.0.113.66 Address ttl 300 0/1 [] dns64",
            "10.244.1.6 / v4only.example.com 64:ff9b::cb00:7142 Address ttl 30 0/1 [] dns64",
        ],
    );
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
