//! Antrea: flow log, table exports, JSON records, audit log.

use egress_atlas::read::{Format, Framing};

use crate::decoding::{accounts, decode, decode_laid_out};
use crate::support::fixture;

fn sample(name: &str) -> String {
    std::fs::read_to_string(fixture(&format!("antrea/{name}"))).unwrap()
}

const LOGGED: &str = "2021-11-23T22:36:13Z 10.10.0.79:44752 > 10.10.0.80:5201 TCP Denied Source:Tracked (Pod antrea-test /perftest-a) > (Pod antrea-test-b /perftest-b) node=k8s-node-control-plane since 2021-11-23T22:36:01Z";

#[test]
fn every_layout_of_the_flow_log_means_the_same() {
    for (version, layout) in [
        ("1.12", "v1.12"),
        ("1.13", "v1.13 and v1.14"),
        ("1.15", "v1.15"),
        ("2.0", "v2.0 to v2.5"),
        ("2.6", "v2.6"),
        ("2.7", "v2.7"),
    ] {
        for form in ["pretty", "numeric"] {
            let outcome = decode(Format::AntreaLog, &sample(&format!("flowlogger-v{version}.0.{form}.log")));
            accounts(&outcome, 1, &[]);
            assert_eq!(outcome.flows, [LOGGED], "{version} {form}");
            let note = format!("flow log layout of {layout}");
            assert!(outcome.account.notes.contains_key(note.as_str()), "{version} {form}: {:?}", outcome.account.notes);
        }
    }
    let commas = sample("flowlogger-v2.0.0.numeric.log").replace("mockHttpString", "{\"0\":{\"a\":1,\"b\":2}}");
    assert_eq!(decode(Format::AntreaLog, &commas).flows, [LOGGED]);
    let outcome = decode(Format::AntreaLog, &sample("constructed-flowlogger-v2.7-to-external.log"));
    assert_eq!(
        outcome.flows,
        [
            "2025-08-22T22:01:00Z 10.10.1.23:43210 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /checkout-7d9f7c6b5d-x2x9k) > (Unknown) node=worker-1 since 2025-08-22T22:00:00Z",
            "2025-08-22T22:01:00Z 10.10.1.23:43210 > 198.51.100.7:25 TCP Denied Source:Tracked (Pod shop /checkout-7d9f7c6b5d-x2x9k) > (Unknown) node=worker-1 since 2025-08-22T22:00:00Z",
        ]
    );
    let cut = decode(Format::AntreaLog, "1,2,3\n");
    accounts(&cut, 0, &[("flow log line with an unknown number of columns", 1)]);
}

#[test]
fn every_layout_of_the_tables_means_the_same() {
    let labels = |app: &str, e2e: &str| format!("[antrea-e2e={e2e},app={app}]");
    for (version, app) in [
        ("1.9", "perftool"),
        ("1.10", "perftool"),
        ("1.13", "iperf"),
        ("1.15", "iperf"),
        ("2.0", "iperf"),
        ("2.6", "iperf"),
        ("2.7", "iperf"),
    ] {
        let outcome = decode(Format::AntreaCsv, &sample(&format!("s3-v{version}.0.csv")));
        accounts(&outcome, 2, &[]);
        let expected = |source: &str, destination: &str| {
            format!(
                "2021-11-23T22:36:13Z {source}:44752 > {destination}:5201 TCP Denied Source:Tracked (Pod antrea-test /perftest-a {}) > (Pod antrea-test-b /perftest-b {}) node=k8s-node-control-plane cluster=7f7f7f7f-0000-4000-8000-000000000001 since 2021-11-23T22:36:01Z",
                labels(app, "perftest-a"),
                labels(app, "perftest-b")
            )
        };
        assert_eq!(
            outcome.flows,
            [expected("10.10.0.79", "10.10.0.80"), expected("2001:0:3238:dfe1:63::fefb", "2001:0:3238:dfe1:63::fefc")],
            "{version}"
        );
    }
    let outcome = decode(Format::AntreaCsv, &sample("constructed-s3-v2.7-to-external.csv"));
    assert!(
        outcome.flows[0].contains("Allowed") && outcome.flows[0].contains("> (World) node=worker-1"),
        "{:?}",
        outcome.flows
    );
    assert!(outcome.flows[1].contains("Denied") && outcome.flows[1].contains("[app=checkout]"), "{:?}", outcome.flows);
}

#[test]
fn tables_with_a_header_go_by_its_names() {
    let header = "destinationIP,sourceIP,sourceTransportPort,destinationTransportPort,protocolIdentifier,flowEndSeconds,flowStartSeconds,sourcePodName,sourcePodNamespace,sourcePodLabels,flowType,trusted";
    let row = "\"203.0.113.10\",\"10.10.1.23\",43210,443,6,\"2025-08-22 22:01:00\",\"2025-08-22 22:00:00\",\"checkout-0\",\"shop\",\"{\"\"app\"\":\"\"checkout\"\",\"\"a\"\":\"\"b\"\"}\",3,0";
    let expected = "2025-08-22T22:01:00Z 10.10.1.23:43210 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /checkout-0 [a=b,app=checkout]) > (World) since 2025-08-22T22:00:00Z";
    let text = format!("{header}\n{row}\n{row},1\n");
    let outcome = decode_laid_out(Format::AntreaCsv, Framing::Lines, Some(header), text.as_bytes());
    accounts(&outcome, 1, &[("table line with other columns than its header", 1)]);
    assert_eq!(outcome.flows, [expected]);
    let json = "{\"destinationIP\":\"203.0.113.10\",\"sourceIP\":\"10.10.1.23\",\"sourceTransportPort\":43210,\"destinationTransportPort\":443,\"protocolIdentifier\":6,\"flowEndSeconds\":\"2025-08-22 22:01:00\",\"flowStartSeconds\":\"2025-08-22 22:00:00\",\"sourcePodName\":\"checkout-0\",\"sourcePodNamespace\":\"shop\",\"sourcePodLabels\":\"{\\\"app\\\":\\\"checkout\\\",\\\"a\\\":\\\"b\\\"}\",\"flowType\":3,\"octetDeltaCount\":\"18446744073709551615\"}";
    for format in [Format::AntreaCsv, Format::AntreaLog] {
        assert_eq!(decode(format, json).flows, [expected]);
    }
}

#[test]
fn json_records_are_read_from_lines_and_lists() {
    let outcome = decode(Format::AntreaLog, &sample("constructed-v2.7-ipfix-json-mode.ndjson"));
    accounts(&outcome, 2, &[]);
    assert!(outcome.flows[0].starts_with("2025-08-22T22:01:00Z 10.10.1.23:43210 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /checkout-7d9f7c6b5d-x2x9k [app=checkout,"), "{:?}", outcome.flows);
    assert!(
        outcome.flows[0].ends_with(
            "> (World) node=worker-1 cluster=6ba7b810-9dad-11d1-80b4-00c04fd430c8 since 2025-08-22T22:00:00Z"
        )
    );
    assert!(outcome.flows[1].contains("198.51.100.7:25 TCP Denied"));
    let list =
        decode_laid_out(Format::AntreaLog, Framing::Objects, None, sample("antctl-flowrecords-v2.7.json").as_bytes());
    accounts(&list, 1, &[]);
    assert!(list.flows[0].starts_with("2021-10-29T22:34:53Z 10.10.0.1:50497 > 10.10.1.2:53 UDP Allowed Source:Tracked (Unknown) > (Pod kube-system /coredns-78fcd69978-x2twv)"), "{:?}", list.flows);
}

#[test]
fn traps_of_records_are_named() {
    let record = |fields: &str| {
        format!(
            "{{\"ipfix\":{{\"sourceIPv4Address\":\"10.0.0.1\",\"destinationIPv4Address\":\"192.0.2.1\",{fields}}}}}"
        )
    };
    let check = |fields: &str, expected: &str| {
        let outcome = decode(Format::AntreaLog, &record(fields));
        let said = format!("{:?} {:?}", outcome.flows, outcome.account);
        assert!(said.contains(expected), "{fields}: {said}");
    };
    check("\"flowEndSeconds\":0", "record without a time");
    check("\"flowStartSeconds\":1755900060,\"flowEndSeconds\":1755900000", "record that ends before it starts");
    check("\"sourceTransportPort\":\"x\"", "port that is no 16-bit number");
    check("\"destinationIPv4Address\":\"0.0.0.0\",\"destinationIPv6Address\":\"::\"", "192.0.2.1");
    check("\"destinationIPv4Address\":\"name\"", "address that does not parse");
    check("\"sourcePodLabels\":\"{}\",\"sourcePodName\":\"a\"", "(Pod /a) >");
    check("\"sourcePodLabels\":\"{broken\",\"sourcePodName\":\"a\"", "(Pod /a) >");
    check("\"flowType\":4,\"destinationPodName\":\"b\"", "(World) > (Pod /b)");
    check("\"ingressNetworkPolicyRuleAction\":3", "Denied");
    check("\"egressNetworkPolicyRuleAction\":1", "Allowed");
    accounts(
        &decode(Format::AntreaLog, "{\"ipfix\":{\"sourceIPv4Address\":\"10.0.0.1\"}}"),
        0,
        &[("flow record without both addresses", 1)],
    );
    accounts(
        &decode(Format::AntreaLog, "{\"ipfix\":{\"x\":1}}\n{}\nhello\n"),
        0,
        &[("JSON object of another shape", 2), ("line that holds no record", 1)],
    );
}

#[test]
fn the_audit_log_names_the_pod_that_the_policy_applies_to() {
    let outcome = decode(Format::AntreaLog, &sample("np-audit.log"));
    accounts(&outcome, 5, &[]);
    assert_eq!(
        outcome.flows,
        [
            "2023-07-04T12:45:21.804416000Z 10.10.1.7:53646 > 10.10.1.14:80 TCP Denied Source:Tracked (Unknown) > (Pod default /nettoolv3)",
            "2023-07-03T23:24:36.422233000Z 10.10.1.7:0 > 10.10.2.3:0 ICMPv4 Denied Source:Tracked (Pod default /nettool) > (Unknown)",
            "2023-07-03T23:24:37.424024000Z 10.10.1.7:0 > 10.10.2.3:0 ICMPv4 Denied Source:Tracked (Pod default /nettool) > (Unknown)",
            "2023-07-04T12:31:02.801442000Z 10.10.1.13:57050 > 10.10.1.7:80 TCP Allowed Source:Tracked (Unknown) > (Pod default /nettool)",
            "2023-07-04T12:33:26.221413000Z 10.10.1.13:0 > 10.10.1.7:0 ICMPv4 Denied Source:Tracked (Unknown) > (Pod default /nettool)",
        ]
    );
}
