//! Every source end to end: recognised from content, accounted for, joined with DNS, told about by preflight.

use std::fmt::Write;

use egress_atlas::read::{Format, Framing, InputFile, open};
use proptest::prelude::*;

use crate::recording::{Told, capture};
use crate::support::{Ran, fixture, folder, run};

#[test]
fn content_decides_what_a_file_is() {
    let check = |path: &str, format: Format, framing: Framing| {
        let file = InputFile { path: fixture(path).into(), cluster: None, format: None, is_named: true };
        let opened = open(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((opened.format, opened.framing), (format, framing), "{path}");
    };
    check("calico/constructed-enterprise-egress-level1-level2.ndjson", Format::Calico, Framing::Lines);
    check("calico/enterprise-flows-docs-aggregation.ndjson", Format::Calico, Framing::Lines);
    check("calico/enterprise-flow-docs-forwarded-partial.ndjson", Format::Calico, Framing::Lines);
    check("calico/constructed-goldmane-gojson-egress-pub.ndjson", Format::Goldmane, Framing::Lines);
    check("calico/goldmane-flow-protojson-otlp-exporter.ndjson", Format::Goldmane, Framing::Lines);
    check("calico/constructed-whisker-list.json", Format::Goldmane, Framing::Lines);
    check("calico/constructed-whisker-stream.sse", Format::Goldmane, Framing::Lines);
    check("calico/oss-iptables-log.docs.log", Format::CalicoLog, Framing::Lines);
    check("calico/oss-ebpf-tracepipe.docs.log", Format::CalicoLog, Framing::Lines);
    check("antrea/antctl-flowrecords-v2.7.json", Format::AntreaLog, Framing::Objects);
    check("antrea/constructed-v2.7-ipfix-json-mode.ndjson", Format::AntreaLog, Framing::Lines);
    check("antrea/np-audit.log", Format::AntreaLog, Framing::Lines);
    for version in ["1.12.0", "1.13.0", "1.15.0", "2.0.0", "2.6.0", "2.7.0"] {
        check(&format!("antrea/flowlogger-v{version}.pretty.log"), Format::AntreaLog, Framing::Lines);
        check(&format!("antrea/flowlogger-v{version}.numeric.log"), Format::AntreaLog, Framing::Lines);
    }
    for version in ["1.9.0", "1.10.0", "1.13.0", "1.15.0", "2.0.0", "2.6.0", "2.7.0"] {
        check(&format!("antrea/s3-v{version}.csv"), Format::AntreaCsv, Framing::Lines);
    }
    check("antrea/constructed-v2.7-aggregate-ipv4.template.ipfix", Format::Ipfix, Framing::Messages);
    check("hubble/handwritten-shapes.ndjson", Format::Hubble, Framing::Lines);
    check("dnstap/coredns-1.11.3-k8s.fstrm", Format::Dnstap, Framing::Frames);
}

#[test]
fn what_cannot_carry_the_job_is_refused_with_the_reason() {
    let folder = folder(&[
        (
            "bind.log",
            b"03-Mar-2026 client @0x7f 10.0.0.1#4711 (example.com): query: example.com IN A +E(0)K (10.0.0.2)\n",
        ),
        ("dnsmasq.log", b"Mar  3 10:00:00 dnsmasq[1]: query[A] example.com from 10.0.0.1\n"),
        ("dump.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0"),
    ]);
    let out = folder.path().join("o.csv").display().to_string();
    let check = |path: String, part: &str| {
        let ran = run(&["attribute", "--flows", &path, "--out", &out]);
        assert!(ran.status == 2 && ran.err.contains(part), "{path}: {}", ran.err);
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    check(path("bind.log"), "holds no answers");
    check(path("dnsmasq.log"), "holds no answers");
    check(path("dump.pcap"), "packet capture");
    check(fixture("calico/enterprise-flow-legacy-space-delimited.txt"), "space-delimited");
    check(fixture("antrea/antctl-flowrecords-table.txt"), "antctl get flowrecords -o json");
    let wrong = format!("ipfix:{}", fixture("calico/oss-iptables-log.docs.log"));
    check(wrong, "no IPFIX message at byte 0");
    let wrong = format!("calico:{}", fixture("calico/oss-iptables-log.docs.log"));
    let ran = run(&["preflight", "--flows", &wrong]);
    assert!(ran.out.contains("FAILS") && ran.out.contains("line that holds no record"), "{}\n{}", ran.out, ran.err);
}

/// `discover`, and the document of the namespace `shop`.
fn discovered(arguments: &[&str]) -> (Ran, String) {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().display().to_string();
    let mut all = vec!["discover", "--out", &path];
    all.extend(arguments);
    let ran = run(&all);
    let mut found = String::new();
    let mut waiting = vec![out.path().to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.file_name().is_some_and(|name| name == "shop.md") {
                write!(found, "{}", std::fs::read_to_string(&path).unwrap()).unwrap();
            }
        }
    }
    assert!(ran.status <= 1, "{}", ran.err);
    (ran, found)
}

/// Rows of `attribute`: pod, destination, port, verdict, name, grade.
fn attributed(arguments: &[&str]) -> Vec<String> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("o.csv").display().to_string();
    let mut all = vec!["attribute", "--out", &path];
    all.extend(arguments);
    let ran = run(&all);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            [3, 4, 5, 7, 8, 10, 11, 13].map(|at| fields[at]).join(" ")
        })
        .collect();
    rows.sort();
    rows
}

fn calico_flow(name: &str, ip: &str, destination: &str, domains: &str) -> String {
    format!(
        "{{\"start_time\":1772445300,\"end_time\":1772445600,\"source_ip\":{ip},\"source_name\":\"{name}\",\"source_name_aggr\":\"web-7d9c5b6f5-*\",\"source_namespace\":\"shop\",\"source_port\":null,\"source_type\":\"wep\",\"source_labels\":{{\"labels\":[\"app=web\"]}},\"dest_ip\":{destination},\"dest_name\":\"-\",\"dest_name_aggr\":\"pub\",\"dest_namespace\":\"-\",\"dest_port\":443,\"dest_type\":\"net\",\"dest_domains\":{domains},\"proto\":\"tcp\",\"action\":\"allow\",\"reporter\":\"src\",\"bytes_in\":1,\"bytes_out\":1,\"num_flows\":2,\"host\":\"n1\"}}\n"
    )
}

#[test]
fn calico_flows_are_named_by_its_dns_log_and_by_what_it_reports() {
    let pod = "web-7d9c5b6f5-bcdfg";
    let flows = [
        calico_flow(pod, "\"10.48.0.7\"", "\"203.0.113.10\"", "[\"other.example.com\"]"),
        calico_flow(pod, "\"10.48.0.7\"", "\"203.0.113.20\"", "[\"reported.example.com\"]"),
        calico_flow(pod, "\"10.48.0.7\"", "\"203.0.113.30\"", "null"),
        calico_flow(pod, "\"10.48.0.7\"", "\"203.0.113.40\"", "null"),
        calico_flow("-", "null", "null", "[\"aggregated.example.com\"]"),
        calico_flow("-", "null", "null", "null"),
    ]
    .concat();
    let answer = |client: &str, name: &str, address: &str| {
        format!(
            "{{\"start_time\":\"2026-03-02T09:55:00Z\",\"end_time\":\"2026-03-02T10:00:00Z\",\"type\":\"log\",\"count\":1,{client},\"client_name_aggr\":\"web-7d9c5b6f5-*\",\"client_namespace\":\"shop\",\"qname\":\"{name}\",\"qtype\":\"A\",\"qclass\":\"IN\",\"rcode\":\"NoError\",\"rrsets\":[{{\"name\":\"{name}\",\"class\":\"IN\",\"type\":\"A\",\"rdata\":[\"{address}\"]}}]}}\n"
        )
    };
    let named = format!("\"client_ip\":\"10.48.0.7\",\"client_name\":\"{pod}\"");
    let aggregated = "\"client_ip\":null,\"client_name\":\"-\"";
    let dns = [
        answer(&named, "api.example.com", "203.0.113.10"),
        answer(aggregated, "workload.example.com", "203.0.113.30"),
        // What blockers answer is no address that a record left out.
        answer(aggregated, "blocked.example.com", "::").replace("\"A\"", "\"AAAA\""),
    ]
    .concat();
    let folder = folder(&[("flows.log", flows.as_bytes()), ("dns.log", dns.as_bytes())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["--flows", &path("flows.log"), "--dns", &path("dns.log")];
    assert_eq!(
        attributed(&arguments),
        [
            "shop  web  443 allowed  none",
            "shop  web  443 allowed aggregated.example.com reported",
            "shop web-7d9c5b6f5-bcdfg web 203.0.113.10 443 allowed api.example.com pod",
            "shop web-7d9c5b6f5-bcdfg web 203.0.113.20 443 allowed reported.example.com reported",
            "shop web-7d9c5b6f5-bcdfg web 203.0.113.30 443 allowed workload.example.com workload",
            "shop web-7d9c5b6f5-bcdfg web 203.0.113.40 443 allowed  none",
        ]
    );
    let (_, document) = discovered(&arguments);
    for name in [
        "api.example.com",
        "reported.example.com",
        "workload.example.com",
        "aggregated.example.com",
        "address not recorded",
    ] {
        assert!(document.contains(name), "{name}:\n{document}");
    }
    assert!(!document.contains("::/128"), "{document}");
    let ran = run(&["preflight", "--flows", &path("flows.log"), "--dns", &path("dns.log")]);
    assert!(ran.out.contains("flowLogsFileAggregationKindForAllowed"), "{}", ran.out);
    assert!(ran.out.contains("dnsLogsFileAggregationKind"), "{}", ran.out);
}

/// A dnstap capture of answers (client, name, address) at this time, in seconds since 1970.
fn dnstap(answers: &[(&str, &str, &str)], seconds: i64) -> Vec<u8> {
    let addresses: Vec<[&str; 1]> = answers.iter().map(|(.., address)| [*address]).collect();
    let time = egress_atlas::model::Timestamp::from_nanos(seconds * 1_000_000_000);
    let told = answers.iter().zip(&addresses);
    let told = told.map(|((client, name, _), addresses)| Told { time, client, name, addresses, ..Told::default() });
    capture(&told.collect::<Vec<_>>())
}

#[test]
fn kernel_lines_are_named_through_objects_and_dnstap() {
    let mut log = String::new();
    for (source, destination) in
        [("10.48.0.7", "203.0.113.10"), ("10.48.0.8", "203.0.113.10"), ("10.48.0.9", "203.0.113.11")]
    {
        writeln!(
            log,
            "2026-03-02T10:00:00Z n1 kernel: calico-packet: IN=cali527b0801ecb OUT=eth0 SRC={source} DST={destination} LEN=60 ID=7 DF PROTO=TCP SPT=40000 DPT=443 SYN "
        )
        .unwrap();
    }
    let pod = |name: &str, ip: &str| {
        format!(
            "{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"shop\",\"creationTimestamp\":\"2026-03-01T00:00:00Z\"}},\"spec\":{{\"nodeName\":\"n1\"}},\"status\":{{\"podIP\":\"{ip}\",\"podIPs\":[{{\"ip\":\"{ip}\"}}],\"startTime\":\"2026-03-01T00:00:00Z\",\"phase\":\"Running\"}}}}"
        )
    };
    let kube = format!(
        "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{},{}]}}",
        pod("web-0", "10.48.0.7"),
        pod("web-1", "10.48.0.8")
    );
    let capture = dnstap(&[("10.48.0.7", "api.example.com", "203.0.113.10")], 1_772_445_590);
    let folder = folder(&[("kern.log", log.as_bytes()), ("kube.json", kube.as_bytes()), ("dns.fstrm", &capture)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["--flows", &path("kern.log"), "--dns", &path("dns.fstrm"), "--kube", &path("kube.json")];
    assert_eq!(
        attributed(&arguments),
        [
            "   203.0.113.11 443 unknown  none",
            "shop web-0 web-0 203.0.113.10 443 unknown api.example.com pod",
            "shop web-1 web-1 203.0.113.10 443 unknown api.example.com cluster",
        ]
    );
    let (_, document) = discovered(&arguments);
    assert!(document.contains("api.example.com"), "{document}");
}

#[test]
fn antrea_tables_are_named_by_dnstap_from_the_start_of_the_connection() {
    let row = |start: u64, destination: &str| {
        format!(
            "{start},{},{},{},2,10.10.1.23,{destination},43210,443,6,42,5120,42,5120,40,81920,40,81920,checkout-7d9f7c6b5d-x2x9k,shop,worker-1,,,,,,0,,,,,0,0,,,,0,0,ESTABLISHED,3,'{{\"app\":\"checkout\"}}','',1,1,0,0,0,0,6ba7b810-9dad-11d1-80b4-00c04fd430c8,1,,,\n",
            start + 7_200,
            start + 7_200,
            start + 7_200
        )
    };
    let table = [row(1_772_445_600, "203.0.113.10"), row(1_772_445_600, "203.0.113.11")].concat();
    // The second name was asked for an hour after its connection had begun: a record's end must not decide.
    let mut capture = dnstap(&[("10.10.1.23", "api.example.com", "203.0.113.10")], 1_772_445_599);
    capture.truncate(capture.len() - 12);
    let later = dnstap(&[("10.10.1.23", "later.example.com", "203.0.113.11")], 1_772_445_600 + 1_800);
    let folder = folder(&[("records.csv", table.as_bytes()), ("a.fstrm", &capture), ("b.fstrm", &later)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["--flows", &path("records.csv"), "--dns", &path("a.fstrm"), "--dns", &path("b.fstrm")];
    assert_eq!(
        attributed(&arguments),
        [
            "shop checkout-7d9f7c6b5d-x2x9k checkout 203.0.113.10 443 allowed api.example.com pod",
            "shop checkout-7d9f7c6b5d-x2x9k checkout 203.0.113.11 443 allowed later.example.com pod-later",
        ]
    );
    // A connection that began before the asked window and lasts into it stays.
    let since =
        attributed(&[&arguments[..], &["--since", "2026-03-02T11:00:00Z", "--until", "2026-03-02T11:30:00Z"]].concat());
    assert_eq!(since.len(), 2, "{since:?}");
    let (_, document) = discovered(&arguments);
    assert!(document.contains("api.example.com"), "{document}");
}

#[test]
fn goldmane_alone_gives_edges_and_says_that_it_names_nothing() {
    let flow = |reporter: u8, name: &str, namespace: &str, kind: u8, port: u16| {
        format!(
            "{{\"Key\":{{\"source_name\":\"web-7d9c5b6f5-*\",\"source_namespace\":\"shop\",\"source_type\":1,\"dest_name\":\"{name}\",\"dest_namespace\":\"{namespace}\",\"dest_type\":{kind},\"dest_port\":{port},\"proto\":\"tcp\",\"reporter\":{reporter},\"action\":1}},\"start_time\":1772445585,\"end_time\":1772445600,\"source_labels\":[\"app=web\"],\"num_connections_started\":1}}\n"
        )
    };
    let flows = [
        flow(1, "pub", "-", 4, 443),
        flow(1, "pvt", "-", 4, 5432),
        flow(1, "api-5c9d8b7f6c-*", "backend", 1, 8080),
        flow(2, "api-5c9d8b7f6c-*", "backend", 1, 8080),
    ]
    .concat();
    let folder = folder(&[("goldmane.ndjson", flows.as_bytes())]);
    let path = folder.path().join("goldmane.ndjson").display().to_string();
    assert_eq!(
        attributed(&["--flows", &path]),
        ["shop  web  443 allowed  none", "shop  web  5432 allowed  none", "shop  web  8080 allowed  none",]
    );
    let (_, document) = discovered(&["--flows", &path]);
    assert!(document.contains("backend/Deployment/api"), "{document}");
    let ran = run(&["preflight", "--flows", &path]);
    assert!(ran.out.replace('\n', " ").contains("Goldmane"), "{}", ran.out);
    assert!(ran.out.contains("addresses") && ran.out.contains("FAILS"), "{}", ran.out);
    // An address that nobody recorded lies in no range, not even in the widest.
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: '::/0'}}, {ipBlock: {cidr: 0.0.0.0/0}}]}]}\n";
    let policies = folder.path().join("policy.yaml").display().to_string();
    std::fs::write(&policies, policy).unwrap();
    let ran = run(&["replay", "--policies", &policies, "--flows", &path]);
    assert!(ran.status == 3 && ran.out.starts_with("0 of"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_folder_may_hold_every_source_and_threads_change_nothing() {
    let folder = folder(&[("README.md", b"notes\n")]);
    for source in ["calico", "antrea"] {
        for entry in std::fs::read_dir(fixture(source)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_none_or(|extension| extension != "md") {
                std::fs::copy(&path, folder.path().join(format!("{source}-{name}"))).unwrap();
            }
        }
    }
    let path = folder.path().display().to_string();
    let one = run(&["preflight", "--flows", &path, "--threads", "1"]);
    let four = run(&["preflight", "--flows", &path, "--threads", "4"]);
    assert_eq!((one.out.as_str(), one.status), (four.out.as_str(), four.status));
    for name in
        ["README.md", "calico-enterprise-flow-legacy-space-delimited.txt", "antrea-antctl-flowrecords-table.txt"]
    {
        assert!(one.err.contains(&format!("`{name}` is passed over")), "{name}: {}", one.err);
    }
    let line = one.err.lines().find(|line| line.starts_with("records: "));
    assert!(line.is_some_and(|line| line.contains("read = ")), "{}", one.err);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any piece of any sample with any bytes in it: nothing panics, and every record is accounted for.
    #[test]
    fn broken_records_of_any_format_are_accounted_for(
        format in 0_usize..6,
        start in 0_usize..3_000,
        length in 0_usize..3_000,
        broken in prop::collection::vec((0_usize..3_000, any::<u8>()), 0..4),
        objects: bool,
    ) {
        let (format, name) = [
            (Format::Calico, "calico/enterprise-flows-docs-aggregation.ndjson"),
            (Format::CalicoDns, "calico/enterprise-flows-docs-aggregation.ndjson"),
            (Format::CalicoLog, "calico/oss-iptables-log.docs.log"),
            (Format::Goldmane, "calico/constructed-goldmane-gojson-egress-pub.ndjson"),
            (Format::AntreaLog, "antrea/np-audit.log"),
            (Format::AntreaCsv, "antrea/s3-v2.7.0.csv"),
        ][format];
        let bytes = std::fs::read(fixture(name)).unwrap();
        let start = start.min(bytes.len());
        let mut piece = bytes[start..(start + length).min(bytes.len())].to_vec();
        for (at, byte) in broken {
            if let Some(place) = piece.get_mut(at) {
                *place = byte;
            }
        }
        let framing = if objects { Framing::Objects } else { Framing::Lines };
        // Checks the balance.
        crate::decoding::decode_laid_out(format, framing, None, &piece);
    }
}
