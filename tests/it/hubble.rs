//! Hubble JSON: the account of every fixture, the meaning of every shape, and the scan against the parser.
#![cfg(test)]

mod scan;

use std::fmt::Write;

use egress_atlas::model::{Account, Batch, EndpointId, Vocabulary};
use egress_atlas::read::hubble::{Framing, HubbleDecoder, sniff};
use egress_atlas::read::{Decoders, Format, Layout};

/// What a decoding gave, in texts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    flows: Vec<String>,
    answers: Vec<String>,
    losses: Vec<String>,
    account: Account,
}

fn end(vocabulary: &Vocabulary, id: EndpointId) -> String {
    let end = vocabulary.endpoint_of(id).unwrap();
    let mut text = format!("{:?}", end.identity);
    for (name, value) in [("", &end.namespace), ("/", &end.pod), ("@", &end.cluster)] {
        if !value.is_empty() {
            write!(text, " {name}{value}").unwrap();
        }
    }
    if let Some(workload) = &end.workload {
        write!(text, " {workload}").unwrap();
    }
    write!(text, " [{}]{}", end.labels.join(","), if end.local { " local" } else { "" }).unwrap();
    text
}

fn resolve(vocabulary: &Vocabulary, batch: &Batch, account: Account) -> Outcome {
    let names = |id| vocabulary.chain_of(id).iter().map(|name| vocabulary.name_of(*name)).collect::<Vec<_>>().join(",");
    let text = |id| vocabulary.text_of(id);
    let flows = batch.flows.iter().map(|row| {
        format!(
            "{:?} {}/{} {}:{} > {}:{} {} {} {:?}:{:?} ({}) > ({}) names={} id={}",
            row.time,
            text(row.cluster),
            text(row.node),
            vocabulary.address_of(row.source_address),
            row.source_port,
            vocabulary.address_of(row.destination_address),
            row.destination_port,
            row.protocol,
            format!("{:?}", row.verdict).to_lowercase(),
            row.initiator,
            row.certainty,
            end(vocabulary, row.source),
            end(vocabulary, row.destination),
            names(row.reported),
            vocabulary.record_id_text(row.id),
        )
    });
    let answers = batch.answers.iter().map(|row| {
        format!(
            "{:?} {} {} ({}) {} = {} {}/{} via [{}] ttl {} by {}",
            row.time,
            text(row.cluster),
            vocabulary.address_of(row.client),
            end(vocabulary, row.client_hint),
            vocabulary.name_of(row.name),
            vocabulary.address_of(row.address),
            row.position + 1,
            row.addresses,
            names(row.chain),
            row.ttl_seconds,
            text(row.resolver),
        )
    });
    let losses = batch.losses.iter().map(|loss| {
        format!("{:?} {}/{} {} {}", loss.time, text(loss.cluster), text(loss.node), text(loss.place), loss.events)
    });
    Outcome { flows: flows.collect(), answers: answers.collect(), losses: losses.collect(), account }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Lines,
    Objects,
}

fn decode_with(decoder: &mut HubbleDecoder, framing: As, content: &[u8]) -> Outcome {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    match framing {
        As::Lines => decoder.decode_lines(content, 0, &mut vocabulary, &mut batch, &mut account),
        As::Objects => decoder.decode_objects(content, 0, &mut vocabulary, &mut batch, &mut account),
    }
    assert!(account.is_balanced());
    assert_eq!(account.used, batch.flows.len() as u64);
    resolve(&vocabulary, &batch, account)
}

/// Decodes both ways, which must agree.
fn decode(content: &str) -> Outcome {
    let scanned = decode_with(&mut HubbleDecoder::new(true), As::Lines, content.as_bytes());
    assert_eq!(scanned, decode_with(&mut HubbleDecoder::parser_only(true), As::Lines, content.as_bytes()));
    scanned
}

/// The account as one line: used, then the others by name.
fn told(account: &Account) -> String {
    let mut text = format!("used {}", account.used);
    for (reason, count) in &account.rejected {
        write!(text, "; rejected {} {} at {}", count.records, reason.0, count.first).unwrap();
    }
    for (reason, count) in &account.excluded {
        write!(text, "; excluded {count} {}", reason.0).unwrap();
    }
    for (what, count) in &account.notes {
        write!(text, "; note {count} {what}").unwrap();
    }
    text
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/hubble/", $name, ".ndjson"))
    };
}

const TEN: &str = fixture!("hubble-otel-2021-10-flows");
const MASKED: &str = fixture!("cilium-docs-2023-exporter-fieldmask");
const UNITS: &str = fixture!("cilium-exporter-unit-fixtures");
const ICMP: &str = fixture!("hubble-otel-2021-400-icmpv4-flows");
const DNS: &str = fixture!("hubble-otel-2021-330-dns-flows-first-60");
const HTTP: &str = fixture!("hubble-otel-2021-348-http-flows-first-60");
const REDIRECTED: &str = fixture!("hubble-otel-2021-400-l7-redirected-flows-first-60");
const TCP: &str = fixture!("hubble-otel-2021-400-tcp-flows-first-60");
const UDP: &str = fixture!("hubble-otel-2021-400-udp-flows-first-60");
const FRAGMENT: &str = fixture!("cilium-cfp-26438-policy-correlation-fragment");
const SHAPES: &str = fixture!("handwritten-shapes");

#[test]
fn every_record_of_every_fixture_is_accounted_for() {
    let check = |content: &str, expected: &str| assert_eq!(told(&decode(content).account), expected);
    check(TEN, "used 10");
    check(MASKED, "used 2");
    check(
        UNITS,
        "used 0; excluded 1 agent event; excluded 1 debug event; excluded 4 flow without addresses (field mask); \
         excluded 2 lost events report",
    );
    check(FRAGMENT, "used 0; excluded 1 JSON object of no known Hubble shape");
    check(ICMP, "used 0; excluded 18 cilium-health probe");
    check(DNS, "used 60");
    check(HTTP, "used 60");
    check(REDIRECTED, "used 60");
    check(
        TCP,
        "used 50; excluded 1 cilium-health probe; excluded 9 proxy leg (a node's address with a pod's identity)",
    );
    check(UDP, "used 60");
}

#[test]
fn ordinary_exporter_records_take_the_scan() {
    for content in [TEN, MASKED, ICMP, DNS, HTTP, REDIRECTED, TCP, UDP] {
        let mut decoder = HubbleDecoder::new(false);
        decode_with(&mut decoder, As::Lines, content.as_bytes());
        assert_eq!(decoder.scanned(), content.lines().count() as u64);
    }
}

#[test]
fn real_records_mean_what_they_meant() {
    insta::assert_snapshot!(decode(MASKED).flows.join("\n"), @r"
    2023-08-21T12:12:13.517394084Z kind-kind/kind-worker fe80::64d8:8aff:fe72:fc14:0 > ff02::2:34048 ICMPv6 failed Unknown:None (Unknown []) > (Unknown []) names= id=
    2023-08-21T12:12:18.510175415Z kind-kind/kind-worker 10.244.1.60:44916 > 10.244.1.5:80 TCP denied Source:Flags (Pod default /xwing []) > (Pod default /deathstar-7848d6c4d5-th9v2 []) names= id=
    ");
    insta::assert_snapshot!(decode(TEN).flows.iter().take(3).cloned().collect::<Vec<_>>().join("\n"), @r"
    2021-06-16T16:52:13.136834446Z /gke-ilya-otel-demo-1-ilya-otel-demo-1-6114bb84-zr1l 10.0.2.16:15020 > 10.0.2.1:42044 TCP allowed Destination:Guess (Pod bookinfo /reviews-v1-545db77b95-s6jb8 [app=reviews,security.istio.io/tlsMode=istio,version=v1] local) > (Host []) names= id=
    2021-06-16T16:52:13.136893596Z /gke-ilya-otel-demo-1-ilya-otel-demo-1-6114bb84-zr1l 10.0.2.1:42044 > 10.0.2.16:15020 TCP allowed Unknown:None (Host []) > (Pod bookinfo /reviews-v1-545db77b95-s6jb8 [app=reviews,security.istio.io/tlsMode=istio,version=v1] local) names= id=
    2021-06-16T16:52:13.142581500Z /gke-ilya-otel-demo-1-ilya-otel-demo-1-6114bb84-zr1l 10.0.1.4:58698 > 10.0.2.16:15090 TCP allowed Unknown:None (Pod istio-system /prometheus-6655946b9f-hx9ln [app=prometheus,release=istio]) > (Pod bookinfo /reviews-v1-545db77b95-s6jb8 [app=reviews,security.istio.io/tlsMode=istio,version=v1] local) names= id=
    ");
    insta::assert_snapshot!(decode(UNITS).losses.join("\n"), @r"
    1970-01-01T00:00:04Z /my-node UNKNOWN_LOST_EVENT_SOURCE 0
    unknown / HUBBLE_RING_BUFFER 1
    ");
    let dns = decode(DNS);
    assert_eq!(dns.answers.len(), 16);
    insta::assert_snapshot!(dns.answers.first().unwrap(), @r"2021-10-04T11:22:26.599010651Z  10.156.2.2 (Pod kube-system /node-local-dns-88zrp [k8s-app=node-local-dns] local) istiod-istio-1611.istio-system.svc.cluster.local = 10.160.0.203 1/1 via [] ttl 30 by 10.156.2.3");
}

#[test]
fn shapes_without_a_public_record_are_read_by_the_schema() {
    let shapes = decode(SHAPES);
    insta::assert_snapshot!(told(&shapes.account).replace("; ", "\n"), @r"
    used 12
    rejected 1 broken JSON at byte 7816
    excluded 1 JSON object of no known Hubble shape
    excluded 1 flow without addresses (field mask)
    excluded 1 lost events report
    excluded 1 node status
    excluded 4 not a Hubble record
    excluded 1 socket translation event
    note 1 aggregated record (one stands for several events)
    note 2 record with unknown fields
    note 1 record without a time
    ");
    insta::assert_snapshot!(shapes.flows.join("\n"), @r"
    2026-01-02T03:04:05.000000002Z / 10.0.1.5:0 > 192.0.2.7:0 unknown allowed Unknown:None (Pod shop []) > (Unknown []) names= id=aggregate
    2026-01-02T03:04:05.000000003Z /node-a 2001:db8::5:5000 > 2001:db8:1::7:3868 SCTP allowed Source:Tracked (Pod diameter /relay-0 StatefulSet/relay [app=relay] local) > (World []) names= id=sctp
    2026-01-02T03:04:05.000000004Z /node-a 10.0.1.5:40000 > 192.0.2.7:443 TCP allowed Source:Flags (Pod shop /web-0 [] local) > (World []) names= id=numbers
    2026-01-02T03:04:05.000000005Z east/node-a 10.0.1.5:40000 > 192.0.2.7:443 TCP allowed Source:Tracked (Pod shop /web-0 @east StatefulSet/web [app=web] local) > (World []) names=api.example.com id=camel
    2026-01-02T03:04:05.000000006Z east/node-a 10.0.1.5:0 > 192.0.2.7:0 unknown allowed Source:Tracked (Pod shop [] local) > (World []) names=api.example.com,b.example.com id=cri
    2026-01-02T03:04:05.000000007Z east/node-a 192.0.2.7:0 > 10.0.1.5:0 unknown allowed Destination:Tracked (World []) > (Pod shop [] local) names=api.example.com id=docker
    2026-01-02T03:04:05.000000008Z /node-a 10.0.1.5:0 > 192.0.2.7:2048 ICMPv4 denied Source:Guess (Pod shop [app=web] local) > (KubeApiserver []) names= id=bare
    2026-01-02T03:04:05.000000009Z /node-a 10.0.0.10:53 > 10.0.1.5:40001 UDP unknown Destination:Tracked (Pod kube-system /coredns-0 []) > (Pod shop /web-0 []) names= id=retina-answer
    2026-01-02T03:04:05.000000010Z /node-a 192.0.2.7:443 > 10.0.1.5:40000 TCP allowed Destination:Flags (Unknown []) > (Pod shop /web-0 []) names= id=retina-syn-ack
    2026-01-02T03:04:05.000000011Z east/node-a 10.0.0.10:53 > 10.0.1.5:40002 UDP allowed Destination:Tracked (Pod kube-system /coredns-0 []) > (Pod shop /web-0 [] local) names= id=autopath
    2026-01-02T03:04:05.000000013Z / 10.0.1.5:0 > 192.0.2.7:0 VRRP allowed Unknown:None (KubeApiserver []) > (RemoteNode []) names= id=tunnel
    unknown / 10.0.1.5:0 > 192.0.2.7:0 IGMP audited Unknown:None (Unknown []) > (Unknown []) names= id=no-time
    ");
    insta::assert_snapshot!(shapes.answers.join("\n"), @r"
    2026-01-02T03:04:05.000000009Z  10.0.1.5 (Pod shop /web-0 []) api.example.com = 192.0.2.7 1/2 via [] ttl 0 by 10.0.0.10
    2026-01-02T03:04:05.000000009Z  10.0.1.5 (Pod shop /web-0 []) api.example.com = 192.0.2.8 2/2 via [] ttl 0 by 10.0.0.10
    2026-01-02T03:04:05.000000011Z east 10.0.1.5 (Pod shop /web-0 [] local) www.example.com = 192.0.2.9 1/2 via [cdn.example.net] ttl 0 by 10.0.0.10
    2026-01-02T03:04:05.000000011Z east 10.0.1.5 (Pod shop /web-0 [] local) www.example.com = 2001:db8::9 2/2 via [cdn.example.net] ttl 0 by 10.0.0.10
    ");
    insta::assert_snapshot!(shapes.losses.join("\n"), @r"2026-01-02T03:04:05.000000014Z /node-a HUBBLE_RING_BUFFER 17");
}

/// One flow with the given members beside its addresses.
fn flow(members: &str) -> String {
    format!(
        r#"{{"flow":{{"time":"2026-01-02T03:04:05Z","IP":{{"source":"10.0.0.1","destination":"192.0.2.7"}},{members}}}}}"#
    )
}

#[test]
fn verdicts_follow_the_reason_of_the_drop() {
    let check = |members: &str, expected: &str| {
        let outcome = decode(&flow(members));
        let verdict = outcome.flows.first().and_then(|flow| flow.split(' ').nth(6)).unwrap_or("none");
        assert_eq!(verdict, expected, "{members}");
    };
    check(r#""verdict":"FORWARDED""#, "allowed");
    check(r#""verdict":"REDIRECTED""#, "allowed");
    check(r#""verdict":"AUDIT""#, "audited");
    check(r#""verdict":"ERROR""#, "failed");
    check(r#""verdict":2,"drop_reason":133"#, "denied");
    check(r#""verdict":"DROPPED","drop_reason":181,"drop_reason_desc":"POLICY_DENY""#, "denied");
    check(r#""verdict":"DROPPED","drop_reason":169,"drop_reason_desc":"FIB_LOOKUP_FAILED""#, "failed");
    check(r#""verdict":"DROPPED","drop_reason_desc":181"#, "denied");
    check(r#""verdict":"DROPPED","drop_reason_desc":"DROP_REASON_UNKNOWN""#, "denied");
    check(r#""verdict":"DROPPED","event_type":{"type":5},"drop_reason_desc":"SOMETHING_NEW""#, "denied");
    check(r#""verdict":"DROPPED""#, "denied");
    check(r#""verdict":15"#, "unknown");
    check(r#""verdict":"BRAND_NEW""#, "unknown");
    check(r#""verdict":{}"#, "unknown");
}

#[test]
fn the_initiator_follows_the_best_evidence_and_never_the_direction() {
    let check = |members: &str, expected: &str| {
        for direction in ["", r#","traffic_direction":"INGRESS""#, r#","traffic_direction":"EGRESS""#] {
            let outcome = decode(&flow(&format!("{members}{direction}")));
            let initiator = outcome.flows.first().and_then(|flow| flow.split(' ').nth(7)).unwrap_or("none");
            assert_eq!(initiator, expected, "{members}");
        }
    };
    let tcp = |flags: &str| format!(r#""l4":{{"TCP":{{"source_port":1,"destination_port":2,"flags":{{{flags}}}}}}}"#);
    check(r#""event_type":{"type":5},"is_reply":false"#, "Source:Policy");
    check(r#""verdict":"DROPPED","event_type":{"type":5}"#, "Source:Policy");
    check(r#""event_type":{"type":4},"is_reply":true"#, "Destination:Tracked");
    check(r#""event_type":{"type":4},"is_reply":false"#, "Source:Tracked");
    check(&format!(r#"{},"event_type":{{"type":4}}"#, tcp(r#""SYN":true"#)), "Source:Flags");
    check(&format!(r#"{},"event_type":{{"type":4}}"#, tcp(r#""SYN":true,"ACK":true"#)), "Destination:Flags");
    check(&format!(r#"{},"event_type":{{"type":4}}"#, tcp(r#""ACK":true"#)), "Unknown:None");
    check(r#""reply":true,"event_type":{"type":4}"#, "Destination:Guess");
    check(r#""Type":"L7","l7":{"type":"RESPONSE"},"event_type":{"type":129}"#, "Destination:Tracked");
    check(r#""Type":"L7","l7":{"type":1},"event_type":{"type":129}"#, "Source:Tracked");
    check(r#""verdict":"DROPPED","source":{"ID":7},"event_type":{"type":1}"#, "Source:Guess");
    check(r#""verdict":"DROPPED","event_type":{"type":1}"#, "Unknown:None");
}

#[test]
fn broken_records_are_rejected_where_they_stand() {
    let check = |line: &[u8], reason: &str| {
        let content = [b"\n\n".as_slice(), line, b"\n", flow(r#""verdict":1"#).as_bytes()].concat();
        let expected = format!("used 1; rejected 1 {reason} at byte 2");
        for mut decoder in [HubbleDecoder::new(false), HubbleDecoder::parser_only(false)] {
            assert_eq!(told(&decode_with(&mut decoder, As::Lines, &content).account), expected);
        }
    };
    let addresses = r#""IP":{"source":"10.0.0.1","destination":"10.0.0.2"}"#;
    check(br#"{"flow":{"#, "broken JSON");
    check(b"{\"flow\":{\"uuid\":\"\xff\"}}", "invalid UTF-8");
    check(b"level=info \xff", "invalid UTF-8");
    check(br#"{"flow":{"IP":{"source":"10.0.0.256","destination":"10.0.0.1"}}}"#, "address that does not parse");
    check(br#"{"flow":{"IP":{"source":7,"destination":"10.0.0.1"}}}"#, "address that does not parse");
    for time in [r#""2262-04-12T00:00:00Z""#, r#""1969-12-31T23:59:59Z""#, r#""yesterday""#, "17"] {
        check(format!(r#"{{"flow":{{"time":{time},{addresses}}}}}"#).as_bytes(), "time that does not parse or fit");
    }
    for port in ["65536", r#""http""#, "-1"] {
        let l4 = format!(r#"{{"flow":{{{addresses},"l4":{{"TCP":{{"destination_port":{port}}}}}}}}}"#);
        check(l4.as_bytes(), "port that is no 16-bit number");
    }
    check(b"2026-02-24T08:47:58Z stdout P {\"flow\":{", "line that the container runtime split");
}

#[test]
fn objects_in_any_layout_read_like_lines() {
    let lines = decode(DNS);
    let pretty: Vec<String> = DNS
        .lines()
        .map(|line| serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(line).unwrap()).unwrap())
        .collect();
    let list = format!("[\n{}\n]\n", pretty.join(",\n"));
    for content in [pretty.join("\n"), list, DNS.to_owned(), format!("[{}]", DNS.trim().replace('\n', ","))] {
        assert_eq!(decode_with(&mut HubbleDecoder::new(true), As::Objects, content.as_bytes()), lines);
        let framing = sniff(content.get(..content.len().min(65_536)).unwrap().as_bytes());
        assert_eq!(framing, Some(if content == DNS { Framing::Lines } else { Framing::Objects }));
    }
    let broken = format!("{}\n{{\n  \"flow\": {{\n{}\n{{\"flow\"", pretty[0], pretty[1]);
    let outcome = decode_with(&mut HubbleDecoder::new(true), As::Objects, broken.as_bytes());
    assert_eq!(told(&outcome.account), format!("used 2; rejected 2 broken JSON at byte {}", pretty[0].len() + 1));
}

#[test]
fn content_is_recognised_by_its_keys() {
    let check = |head: &str, expected: Option<Framing>| assert_eq!(sniff(head.as_bytes()), expected, "{head}");
    for fixture in [TEN, MASKED, UNITS, ICMP, DNS, HTTP, REDIRECTED, TCP, UDP] {
        check(fixture, Some(Framing::Lines));
        check(fixture.get(..400).unwrap(), Some(Framing::Lines));
    }
    for line in SHAPES.lines().filter(|line| line.contains("flow") && line.contains("verdict")) {
        check(line, Some(Framing::Lines));
    }
    check(&format!("level=info msg=\"starting\"\n{{\"level\":\"info\"}}\n{TEN}"), Some(Framing::Lines));
    check("{\"lost_events\":{}}", Some(Framing::Lines));
    check("{\n  \"flow\": {\n    \"verdict\": \"FORWARDED\",\n    \"IP\": {", Some(Framing::Objects));
    for other in [
        "",
        "\n",
        "level=info msg=x",
        "{}",
        "[]",
        r#"{"flow":{"Key":{"source_name":"a"},"start_time":"1"}}"#,
        r#"{"start_time":1,"dest_ip":"10.0.0.1","action":"allow"}"#,
        r#"{"log":"level=info msg=x\n","stream":"stdout"}"#,
        "{\n  \"apiVersion\": \"v1\"\n}",
    ] {
        check(other, None);
    }
}

#[test]
fn a_decoder_that_meets_another_vocabulary_starts_afresh() {
    let mut decoder = HubbleDecoder::new(true);
    let first = decode_with(&mut decoder, As::Lines, TCP.as_bytes());
    assert_eq!(decode_with(&mut decoder, As::Lines, TCP.as_bytes()), first);
}

/// A response of Cilium's DNS proxy to pod `cart` for a name, with this rest of its `dns` object.
fn dns_response(name: &str, rest: &str) -> String {
    format!(
        r#"{{"flow":{{"time":"2026-03-02T10:00:00Z","verdict":"FORWARDED","IP":{{"source":"10.0.0.53","destination":"10.0.1.5","ipVersion":"IPv4"}},"l4":{{"UDP":{{"source_port":53,"destination_port":40000}}}},"source":{{"identity":9,"namespace":"kube-system","pod_name":"coredns-x"}},"destination":{{"identity":4001,"namespace":"shop","pod_name":"cart-7d9f6b5c4d-x2x4z","labels":["k8s:app=cart"],"workloads":[{{"name":"cart","kind":"Deployment"}}]}},"Type":"L7","node_name":"node-a","l7":{{"type":"RESPONSE","dns":{{"query":"{name}","observation_source":"proxy"{rest}}}}},"event_type":{{"type":129}},"traffic_direction":"EGRESS","is_reply":true}},"node_name":"node-a","time":"2026-03-02T10:00:00Z"}}
"#
    )
}

/// Responses without an address are questions that got none, as they are in dnstap: the name does not exist, or has no such record.
#[test]
fn responses_without_addresses_are_questions() {
    let check = |name: &str, rest: &str, expected: Option<(&str, u16, bool)>| {
        let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
        let line = dns_response(name, rest);
        let framing = egress_atlas::read::Framing::Lines;
        let layout = Layout { format: Format::Hubble, framing, header: None, with_cluster_ids: true };
        Decoders::new(false, None).decode(layout, (line.as_bytes(), 0), &mut vocabulary, &mut batch, &mut account);
        assert_eq!((account.used, batch.flows.len()), (1, 1), "{account:?}");
        let seen: Vec<(String, u16, bool, String)> = batch
            .questions
            .iter()
            .map(|row| {
                let name = batch.question_text.get(row.start as usize..row.end as usize).unwrap();
                let client = vocabulary.address_of(row.client).to_string();
                (name.to_owned(), row.kind, row.is_missing, client)
            })
            .collect();
        let expected: Vec<_> = expected
            .map(|(name, kind, is_missing)| (name.to_owned(), kind, is_missing, "10.0.1.5".to_owned()))
            .into_iter()
            .collect();
        assert_eq!(seen, expected, "{name} {rest}");
    };
    let no_ttl = r#","ttl":4294967295"#;
    check(
        "Kx3.Tunnel.example.org.",
        &format!(r#"{no_ttl},"rcode":3,"qtypes":["A"]"#),
        Some(("kx3.tunnel.example.org", 1, true)),
    );
    check("kx3.example.org.", r#","rcode":"3","qtypes":["TXT"]"#, Some(("kx3.example.org", 16, true)));
    check("api.example.org.", &format!(r#"{no_ttl},"qtypes":["AAAA"]"#), Some(("api.example.org", 28, false)));
    check(
        "api.example.org.",
        r#","cnames":["edge.example.net."],"qtypes":["HTTPS"]"#,
        Some(("api.example.org", 65, false)),
    );
    check("api.example.org.", r#","qtypes":["TYPE65399"]"#, Some(("api.example.org", 65_399, false)));
    // A refusal says nothing about the name; search paths, reverse lookups and broken names are no questions.
    check("api.example.org.", r#","rcode":2,"qtypes":["A"]"#, None);
    check("api.github.com.shop.svc.cluster.local.", r#","rcode":3,"qtypes":["A"]"#, None);
    check("4.3.2.1.in-addr.arpa.", r#","rcode":3,"qtypes":["PTR"]"#, None);
    check("", r#","rcode":3"#, None);
    check("api.example.org.", r#","ips":["203.0.113.9"],"ttl":30,"qtypes":["A"]"#, None);
}

#[test]
fn a_tunnel_shows_in_records_of_the_dns_proxy() {
    let mut lines = String::new();
    let mut state = 7_u64;
    for _ in 0..60 {
        let label: String = (0..44)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::try_from(state >> 59).unwrap()])
            })
            .collect();
        lines += &dns_response(&format!("{label}.t.carrier.example.net."), r#","rcode":3,"qtypes":["TXT"]"#);
    }
    let folder = crate::support::folder(&[("flows.json", lines.as_bytes())]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let ran = crate::support::run(&["discover", "--flows", &at("flows.json"), "--out", &at("out"), "--format", "json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let atlas = std::fs::read_to_string(at("out/atlas.json")).unwrap();
    assert!(atlas.contains("dns_tunnel") && atlas.contains("carrier.example.net"), "{}", ran.out);
    let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let shop = summary["namespaces"].as_array().unwrap().iter().find(|row| row["namespace"] == "shop").unwrap();
    assert!(shop["open_suspects"].as_u64() > Some(0), "{summary}");
}
