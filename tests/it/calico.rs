//! Calico: flow logs, DNS logs, kernel log lines, Goldmane.

use egress_atlas::model::Timestamp;
use egress_atlas::model::{Account, Batch, Vocabulary};
use egress_atlas::read::calico::CalicoLogDecoder;
use egress_atlas::read::{Format, Framing};

use crate::decoding::{accounts, decode, decode_laid_out, shown};
use crate::support::fixture;

fn sample(name: &str) -> String {
    std::fs::read_to_string(fixture(&format!("calico/{name}"))).unwrap()
}

#[test]
fn records_of_every_aggregation_keep_what_they_have() {
    let outcome = decode(Format::Calico, &sample("constructed-enterprise-egress-level1-level2.ndjson"));
    accounts(&outcome, 3, &[]);
    assert_eq!(
        outcome.flows,
        [
            "2025-12-05T21:40:00Z 10.48.116.157:0 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /web-7d9c5b6f5-abcde [app=web]) > (World) names=api.example.com",
            "2025-12-05T21:40:00Z -:0 > -:443 TCP Allowed Source:Tracked (Pod shop Deployment/web [app=web]) > (World) names=api.example.com",
            "2025-12-05T21:40:00Z 10.48.116.157:0 > 203.0.113.10:443 TCP Allowed Source:Tracked (Pod shop /web-7d9c5b6f5-abcde [app=web]) > (World)",
        ]
    );
    let notes = &outcome.account.notes;
    assert_eq!(notes.iter().find(|(what, _)| what.contains("destination's address")).map(|(_, count)| *count), Some(1));
}

#[test]
fn real_records_of_2020_are_read_at_levels_2_1_and_0() {
    let outcome = decode(Format::Calico, &sample("enterprise-flows-docs-aggregation.ndjson"));
    accounts(&outcome, 7, &[]);
    let starts: Vec<&str> = outcome.flows.iter().map(|flow| flow.split(" (").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "2020-08-10T19:19:27Z -:0 > -:80 TCP Allowed Source:Tracked",
            "2020-08-11T16:58:51Z 192.168.47.9:0 > 192.168.213.223:80 TCP Allowed Source:Tracked",
            "2020-08-11T16:58:45Z 192.168.47.9:0 > 192.168.213.223:80 TCP Denied Source:Tracked",
            "2020-08-11T17:28:13Z 192.168.47.9:0 > 192.168.213.223:80 TCP Allowed Source:Tracked",
            "2020-08-11T17:27:59Z 192.168.47.9:0 > 192.168.213.223:80 TCP Allowed Source:Tracked",
            "2020-08-11T17:19:43Z 192.168.47.9:42106 > 192.168.138.79:80 TCP Allowed Source:Tracked",
            "2020-08-11T17:19:43Z 192.168.47.9:43092 > 192.168.138.79:80 TCP Allowed Source:Tracked",
        ]
    );
    assert!(outcome.flows[1].ends_with("node=bz-n8kf-kadm-node-1"), "{}", outcome.flows[1]);
    assert!(outcome.flows[0].contains("(Pod policy-demo Deployment/access [app=access,pod-template-hash=6b687c8dcb])"));
}

#[test]
fn staged_policies_and_partial_records_mean_what_they_say() {
    let staged = decode(Format::Calico, &sample("enterprise-flow-docs-level0-with-pending.ndjson"));
    assert!(staged.flows[0].contains(" Audited "), "{:?}", staged.flows);
    let partial = decode(Format::Calico, &sample("enterprise-flow-docs-forwarded-partial.ndjson"));
    assert_eq!(
        partial.flows,
        [
            "unknown 10.0.0.1:0 > 192.168.1.10:22 TCP Allowed Source:Tracked (Pod client-pods-namespace /client-pods-gkh45) > (Pod maintenance-server-namespace /maintenance-server-gkh45) node=my-host",
            "unknown 34.0.113.100:0 > 66.11.155.1:30080 TCP Allowed Source:Tracked (World) > (World) node=my-host",
        ]
    );
}

#[test]
fn null_dash_star_and_zero_are_none_and_broken_fields_reject_the_record() {
    let record = |fields: &str| {
        format!("{{\"source_name_aggr\":\"a-*\",\"dest_name_aggr\":\"pub\",\"end_time\":1764970800,{fields}}}")
    };
    let check = |fields: &str, expected: &str| {
        let outcome = decode(Format::Calico, &record(fields));
        let found =
            outcome.flows.first().cloned().or_else(|| outcome.account.rejected.keys().next().map(|r| r.0.to_owned()));
        let found = found.unwrap_or_default();
        assert!(found.contains(expected), "{fields}: {found}");
    };
    check("\"source_ip\":null,\"dest_ip\":\"-\",\"dest_port\":null", " -:0 > -:0 unknown Unknown");
    check(
        "\"source_ip\":\"10.0.0.1\",\"dest_ip\":\"fd00::1\",\"source_port\":\"-\",\"dest_port\":0,\"proto\":6",
        " 10.0.0.1:0 > fd00::1:0 TCP ",
    );
    check("\"proto\":\"icmp6\",\"action\":\"deny\"", "ICMPv6 Denied");
    check("\"dest_port\":70000", "port that is no 16-bit number");
    check("\"dest_ip\":\"host\"", "address that does not parse");
    check("\"dest_domains\":[\"-\",\"A.example.\",\"a.example\",\"bad..name\"]", "names=a.example");
    check("\"source_type\":\"hep\",\"reporter\":\"src\"", "(Host) > (World)");
    check("\"source_type\":\"hep\",\"reporter\":\"dst\"", "(RemoteNode) > (World)");
    check("\"dest_type\":\"ns\",\"dest_name_aggr\":\"partner\"", "> (World)");
    assert_eq!(decode(Format::Calico, &record("\"end_time\":\"soon\"")).account.rejected_total(), 1);
}

#[test]
fn wrappers_of_stores_and_shippers_are_looked_through() {
    let line = sample("constructed-enterprise-egress-level1-level2.ndjson").lines().next().unwrap().to_owned();
    let bare = decode(Format::Calico, &line).flows;
    let escaped = serde_json_string(&line);
    for wrapped in [
        format!("{{\"_index\":\"tigera_secure_ee_flows.x\",\"_source\":{line},\"sort\":[1]}}"),
        format!("{{\"took\":3,\"hits\":{{\"total\":1,\"hits\":[{{\"_source\":{line}}}]}}}}"),
        format!("{{\"event\":{line},\"sourcetype\":\"x\"}}"),
        format!("{{\"log\":\"{escaped}\",\"stream\":\"stdout\"}}"),
        format!("2026-02-24T08:47:58.042012383Z stdout F {line}"),
        format!("<14>1 2026-02-24T08:47:58Z node-1 tigera_secure - - - {line}"),
    ] {
        assert_eq!(decode(Format::Calico, &wrapped).flows, bare, "{wrapped}");
    }
    let pretty = format!("[\n{},\n{}\n]\n", line.replace(",\"", ",\n  \""), line.replace('{', "{\n "));
    assert_eq!(decode_laid_out(Format::Calico, Framing::Objects, None, pretty.as_bytes()).flows.len(), 2);
    let cut = decode(Format::Calico, &format!("{}\nnoise\n{{\"a\":1}}\n", line.split_once("dest_ip").unwrap().0));
    accounts(&cut, 0, &[("broken JSON", 1), ("JSON object of another shape", 1), ("line that holds no record", 1)]);
}

fn serde_json_string(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[test]
fn dns_logs_give_answers_with_the_client_that_they_name() {
    let check = |fields: &str, expected: &[&str]| {
        let line = format!(
            "{{\"start_time\":\"2025-12-05T21:35:00Z\",\"end_time\":\"2025-12-05T21:40:00Z\",\"type\":\"log\",\"count\":4,\"servers\":[{{\"ip\":\"10.96.0.10\",\"name\":\"coredns-1\",\"name_aggr\":\"coredns-*\",\"namespace\":\"kube-system\",\"labels\":null}}],\"qtype\":\"A\",\"qclass\":\"IN\",{fields},\"host\":\"n1\"}}"
        );
        let outcome = decode(Format::CalicoDns, &line);
        let mut said: Vec<String> = outcome.answers.clone();
        said.extend(outcome.account.excluded.keys().map(|reason| reason.0.to_owned()));
        said.extend(outcome.account.rejected.keys().map(|reason| reason.0.to_owned()));
        assert_eq!(said, expected, "{fields}");
    };
    let sets = "\"rcode\":\"NoError\",\"rrsets\":[{\"name\":\"api.example.com\",\"class\":\"IN\",\"type\":\"CNAME\",\"rdata\":[\"edge.example.net\"]},{\"name\":\"edge.example.net\",\"class\":\"IN\",\"type\":\"A\",\"rdata\":[\"203.0.113.10\",\"203.0.113.11\"]}]";
    check(
        &format!(
            "\"client_ip\":\"10.48.116.157\",\"client_name\":\"web-7d9c5b6f5-abcde\",\"client_name_aggr\":\"web-7d9c5b6f5-*\",\"client_namespace\":\"shop\",\"client_labels\":{{\"app\":\"web\"}},\"qname\":\"api.example.com\",{sets}"
        ),
        &[
            "2025-12-05T21:35:00Z 10.48.116.157 (Pod shop /web-7d9c5b6f5-abcde [app=web]) api.example.com = 203.0.113.10 1/2 via [edge.example.net] by coredns-1",
            "2025-12-05T21:35:00Z 10.48.116.157 (Pod shop /web-7d9c5b6f5-abcde [app=web]) api.example.com = 203.0.113.11 2/2 via [edge.example.net] by coredns-1",
        ],
    );
    check(
        "\"client_ip\":null,\"client_name\":\"-\",\"client_name_aggr\":\"web-7d9c5b6f5-*\",\"client_namespace\":\"shop\",\"qname\":\"bücher.example\",\"rcode\":\"NoError\",\"rrsets\":[{\"type\":\"AAAA\",\"class\":\"IN\",\"rdata\":[\"2001:db8::1\"]}]",
        &[
            "2025-12-05T21:35:00Z - (Pod shop Deployment/web) xn--bcher-kva.example = 2001:db8::1 1/1 via [] by coredns-1",
        ],
    );
    check(
        "\"qname\":\"example.com.shop.svc.cluster.local\",\"rcode\":0,\"rrsets\":[{\"type\":\"CNAME\",\"class\":\"IN\",\"rdata\":[\"example.com\"]},{\"type\":\"A\",\"class\":\"IN\",\"rdata\":[\"203.0.113.10\"]}]",
        &["2025-12-05T21:35:00Z - (Pod) example.com = 203.0.113.10 1/1 via [] by coredns-1"],
    );
    check("\"qname\":\"a.example\",\"rcode\":\"NXDomain\",\"rrsets\":null", &["DNS answer with an error code"]);
    check("\"qname\":\"a.example\",\"rcode\":\"NoError\",\"rrsets\":[]", &["DNS answer without an address"]);
    check("\"qname\":\"a..example\",\"rcode\":\"NoError\",\"rrsets\":[]", &["queried name that is no domain name"]);
    check("\"client_ip\":\"x\",\"qname\":\"a.example\",\"rrsets\":[]", &["client address that does not parse"]);
    let suppressed = decode(
        Format::CalicoDns,
        "{\"type\":\"UNLOGGED\",\"count\":120,\"start_time\":\"2025-12-05T21:35:00Z\",\"client_namespace\":\"shop\"}",
    );
    assert_eq!(suppressed.losses, ["2025-12-05T21:35:00Z DNS_LOG_PER_NODE_LIMIT 120"]);
    accounts(&suppressed, 0, &[("count of lookups left out by the per-node limit", 1)]);
}

#[test]
fn goldmane_is_read_in_every_dialect_and_has_no_addresses() {
    let check = |text: &str, framing: Framing, expected: &[&str]| {
        let outcome = decode_laid_out(Format::Goldmane, framing, None, text.as_bytes());
        assert_eq!(outcome.flows, expected);
    };
    let public =
        "2025-12-05T21:41:00Z -:0 > -:443 TCP Allowed Source:Tracked (Pod shop Deployment/web [app=web]) > (World)";
    check(
        &sample("constructed-goldmane-gojson-egress-pub.ndjson"),
        Framing::Lines,
        &[
            public,
            "2025-12-05T21:41:00Z -:0 > -:443 TCP Denied Source:Tracked (Pod shop Deployment/web [app=web]) > (World)",
        ],
    );
    for name in ["constructed-whisker-list.json", "constructed-whisker-stream.sse"] {
        check(&sample(name), Framing::Lines, &[public]);
    }
    let real = sample("goldmane-flow-protojson-otlp-exporter.ndjson");
    let outcome = decode(Format::Goldmane, &real);
    assert!(outcome.flows[0].starts_with("2025-12-05T21:41:00Z -:0 > -:8503 TCP Allowed Source:Tracked (Pod longhorn-system Workload/longhorn-manager ["), "{:?}", outcome.flows);
    assert!(outcome.flows[0].contains("> (Pod longhorn-system /instance-manager-318f1eac2bc7c775b7a6d2e68e9e2800 ["));
    assert_eq!(decode(Format::Goldmane, &format!("{{\"id\":7,\"flow\":{}}}", real.trim())).flows, outcome.flows);
    let key = real.split_once("{\"Key\":").unwrap().1.split_once("},\"startTime\"").unwrap().0;
    assert!(decode(Format::Goldmane, &format!("{key}}}")).flows[0].starts_with("unknown -:0 > -:8503 TCP Allowed"));
    let pending = "{\"Key\":{\"source_name\":\"a-*\",\"source_namespace\":\"s\",\"source_type\":1,\"dest_name\":\"pvt\",\"dest_type\":4,\"action\":1,\"proto\":\"tcp\",\"policies\":{\"pending_policies\":[{\"action\":3},{\"policy_index\":1,\"action\":2}]}},\"end_time\":1764970860,\"source_ips\":[\"10.0.0.1\"],\"dest_ips\":[\"192.0.2.1\",\"192.0.2.2\",\"x\"]}";
    let outcome = decode(Format::Goldmane, pending);
    assert_eq!(
        outcome.flows,
        [
            "2025-12-05T21:41:00Z 10.0.0.1:0 > 192.0.2.1:0 TCP Audited Source:Tracked (Pod s Workload/a) > (World) and 192.0.2.2"
        ]
    );
}

#[test]
fn kernel_lines_give_attempts_and_no_verdict() {
    let outcome = decode(Format::CalicoLog, &sample("oss-iptables-log.docs.log"));
    accounts(&outcome, 3, &[]);
    assert_eq!(
        outcome.flows,
        [
            "2024-11-19T20:15:03.023805000Z 172.16.193.134:45588 > 69.147.80.15:80 TCP Unknown Source:Tracked (Pod) > (Unknown) node=c1-control",
            "2024-11-19T20:15:28.648818000Z 172.16.193.134:0 > 8.8.8.8:2048 ICMPv4 Unknown Source:Tracked (Pod) > (Unknown) node=c1-control",
            "2024-11-19T20:15:02.990083000Z 172.16.193.134:42896 > 172.16.193.133:53 UDP Unknown Source:Tracked (Pod) > (Pod) node=c1-control",
        ]
    );
    assert!(outcome.account.notes.keys().any(|note| note.contains("whether the packet passed is not known")));
    let traced = decode(Format::CalicoLog, &sample("oss-ebpf-tracepipe.docs.log"));
    accounts(&traced, 3, &[]);
    assert_eq!(
        traced.flows,
        [
            "unknown 172.16.193.131:56042 > 69.147.80.12:80 TCP Allowed Source:Policy (Pod) > (Unknown)",
            "unknown 172.16.193.131:0 > 8.8.8.8:0 ICMPv4 Allowed Source:Policy (Pod) > (Unknown)",
            "unknown 172.16.193.131:36325 > 10.43.0.10:53 UDP Allowed Source:Policy (Pod) > (Unknown)",
        ]
    );
}

#[test]
fn kernel_lines_come_through_every_shipper() {
    let packet =
        "IN=cali527b0801ecb OUT=eth0 SRC=10.0.0.1 DST=192.0.2.9 LEN=60 ID=5 DF PROTO=TCP SPT=45588 DPT=443 SYN ";
    let expected = "2025-12-05T21:40:45Z 10.0.0.1:45588 > 192.0.2.9:443 TCP Unknown Source:Tracked";
    for line in [
        format!(
            "{{\"MESSAGE\":\"calico-packet: {packet}\",\"__REALTIME_TIMESTAMP\":\"1764970845000000\",\"_HOSTNAME\":\"n1\"}}"
        ),
        format!("{{\"line\":\"cut-prefix{packet}\",\"timestamp\":\"2025-12-05T21:40:45Z\",\"labels\":{{}}}}"),
        format!("{{\"log\":\"2025-12-05T21:40:45Z n1 kernel: [ 3161.662745] p: {packet}\\n\"}}"),
        format!("<5>2025-12-05T22:40:45+01:00 n1 kernel: p: {packet}"),
    ] {
        let outcome = decode(Format::CalicoLog, &line);
        assert!(outcome.flows.len() == 1 && outcome.flows[0].starts_with(expected), "{line}: {outcome:?}");
    }
    let twice = format!(
        "2025-12-05T21:40:45Z n1 kernel: p: {packet}\n2025-12-05T21:40:45Z n1 kern.log: p: {packet}\n2025-12-05T21:40:46Z n1 kernel: p: {packet}\n"
    );
    accounts(&decode(Format::CalicoLog, &twice), 2, &[("the same packet logged twice", 1)]);
    let noise = "Dec  5 21:40:45 n1 systemd-journald[1]: Suppressed 31 messages from kernel\nDec  5 21:40:45 n1 kernel: eth0: link up\n2025-12-05T21:40:45Z n1 kernel: p: IN=a OUT=b SRC=10.0.0.1 DST=1";
    let noise = decode(Format::CalicoLog, noise);
    accounts(
        &noise,
        0,
        &[
            ("line cut off before its addresses or ports", 1),
            ("line that holds no record", 1),
            ("report of suppressed log messages", 1),
        ],
    );
    assert_eq!(noise.losses, ["unknown LOG_RATE_LIMIT 31"]);
    let named = decode(Format::CalicoLog, &format!("2025-12-05T21:40:45Z n1 kernel: cp shop/allow-web: {packet}"));
    assert!(named.flows[0].contains("(Pod shop) > (Unknown)"), "{:?}", named.flows);
}

#[test]
fn a_time_without_a_year_needs_a_bound() {
    let line = "Dec  5 21:40:45 n1 kernel: p: IN=cali527b0801ecb OUT=eth0 SRC=10.0.0.1 DST=192.0.2.9 PROTO=TCP SPT=1 DPT=443\n";
    assert!(decode(Format::CalicoLog, line).flows[0].starts_with("unknown "));
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let latest = Timestamp::parse(b"2026-03-01T00:00:00Z");
    CalicoLogDecoder::new(latest).decode(line.as_bytes(), 0, &mut vocabulary, &mut batch, &mut account);
    assert!(shown(&vocabulary, &batch, account).flows[0].starts_with("2025-12-05T21:40:45Z "));
}
