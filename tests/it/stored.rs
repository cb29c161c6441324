//! Every format and every command, through the store: what comes out is what the files say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use egress_atlas::cli::Cli;
use egress_atlas::lake::{Imports, LakeWriter, Reader, ScanOptions, scan};
use egress_atlas::model::{
    AddressId, Batch, Bytes, Certainty, ChainId, Counter, Endpoint, EndpointId, FlowRow, Initiator, Opened, Protocol,
    QuestionRow, RecordId, TextId, Timestamp, Verdict, Vocabulary, Volume,
};
use proptest::prelude::*;

use crate::lake::{demo_files, go, path, same, words};
use crate::recording::{Told, at, capture};
use crate::support::{Ran, fixture, folder, run};

/// One line of Calico's DNS log for a client whose address is kept or left out.
fn dns_log(client_ip: &str) -> String {
    format!(
        "{{\"start_time\":\"2026-03-02T09:59:00Z\",\"type\":\"log\",\"count\":1,\"client_name\":\"-\",\"client_name_aggr\":\"web-7d9c5b6f5-*\",\"client_namespace\":\"shop\",\"client_ip\":{client_ip},\"servers\":[{{\"name\":\"coredns-1\",\"name_aggr\":\"coredns-*\",\"namespace\":\"kube-system\",\"ip\":\"10.96.0.10\"}}],\"qname\":\"api.example.com\",\"qclass\":\"IN\",\"qtype\":\"A\",\"rcode\":\"NoError\",\"rrsets\":[{{\"name\":\"api.example.com\",\"class\":\"IN\",\"type\":\"A\",\"rdata\":[\"203.0.113.10\"]}}]}}\n"
    )
}

/// All files below a folder of fixtures.
fn files(folder: &str) -> Vec<PathBuf> {
    let (mut waiting, mut found) = (vec![PathBuf::from(fixture(folder))], Vec::new());
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Runs `attribute` and `discover` on files and on the store that they were imported into; both must say the same. Whether
/// there was anything to say.
fn survives(traffic: &[String], more: &[String], what: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let store = words(&["--store", &at("lake")]);
    let rows = go(&[&words(&["attribute", "--out", &at("files.ndjson")]), traffic, more]);
    let import = go(&[&words(&["import"]), &store, traffic]);
    if rows.status == 2 || import.err.contains(" = 0 used") {
        assert!(rows.status == 2 || !import.out.is_empty(), "{what}: {}", import.err);
        return false;
    }
    let again = go(&[&words(&["attribute", "--out", &at("store.ndjson")]), &store, more]);
    assert_eq!(rows.status, again.status, "{what}: {}{}", rows.err, again.err);
    assert!(std::fs::read(at("files.ndjson")).unwrap() == std::fs::read(at("store.ndjson")).unwrap(), "{what}: rows");
    let one = go(&[&words(&["discover", "--out", &at("files")]), traffic, more]);
    let two = go(&[&words(&["discover", "--out", &at("store")]), &store, more]);
    assert_eq!(one.status, two.status, "{what}: {}{}", one.err, two.err);
    let has_documents = std::fs::read_dir(at("files")).unwrap().count() >= 4;
    if has_documents {
        same(Path::new(&at("files")), Path::new(&at("store")));
    }
    // The same input adds nothing.
    let twice = go(&[&words(&["import"]), &store, traffic]);
    assert!(twice.out.starts_with("0 files imported, 0 continued"), "{what}: {}", twice.out);
    true
}

#[test]
fn every_fixture_alone_says_the_same_through_the_store() {
    let (mut survived, mut formats) = (0, BTreeSet::new());
    for source in ["hubble", "calico", "antrea", "dnstap"] {
        for file in files(source) {
            let name = file.display().to_string();
            if survives(&words(&["--flows", &name]), &[], &name) {
                survived += 1;
                formats.insert(format_of(&name));
            }
        }
    }
    let messages = [
        std::fs::read(fixture("antrea/constructed-v2.7-aggregate-ipv4.template.ipfix")).unwrap(),
        std::fs::read(fixture("antrea/constructed-v2.7-aggregate-ipv4.data.ipfix")).unwrap(),
    ];
    let capture = folder(&[("session.ipfix", &messages.concat())]);
    let name = path(capture.path(), "session.ipfix");
    assert!(survives(&words(&["--flows", &name]), &[], &name));
    formats.insert(format_of(&name));
    assert!(survived >= 50, "only {survived} fixtures have records");
    let wanted = ["antrea-csv", "antrea-log", "calico", "calico-log", "dnstap", "goldmane", "hubble", "ipfix"];
    assert_eq!(formats, wanted.iter().map(ToString::to_string).collect());
}

fn format_of(file: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    run(&["import", "--store", &path(folder.path(), "lake"), "--flows", file]);
    Imports::read(&folder.path().join("lake")).unwrap().records()[0].format.clone()
}

#[test]
fn all_sources_together_say_the_same_through_the_store() {
    let dns = [dns_log("\"10.48.0.7\""), dns_log("null"), dns_log("\"10.48.0.8\"")].concat();
    let flow = |ip: &str, destination: &str, domains: &str| {
        format!(
            "{{\"start_time\":1772445540,\"end_time\":1772445600,\"source_ip\":{ip},\"source_name\":\"-\",\"source_name_aggr\":\"web-7d9c5b6f5-*\",\"source_namespace\":\"shop\",\"source_port\":null,\"source_type\":\"wep\",\"dest_ip\":{destination},\"dest_name\":\"-\",\"dest_name_aggr\":\"pub\",\"dest_namespace\":\"-\",\"dest_port\":443,\"dest_type\":\"net\",\"dest_domains\":{domains},\"proto\":\"tcp\",\"action\":\"allow\",\"reporter\":\"src\",\"num_flows\":1}}\n"
        )
    };
    let flows = [
        flow("\"10.48.0.7\"", "\"203.0.113.10\"", "null"),
        flow("null", "\"203.0.113.10\"", "null"),
        flow("null", "null", "[\"one.example.com\",\"two.example.com\"]"),
        flow("null", "null", "[\"three.example.com\"]"),
        flow("null", "null", "null"),
    ]
    .concat();
    let folder = folder(&[("flows.log", flows.as_bytes()), ("dns.log", dns.as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let own = words(&["--flows", &at("flows.log"), "--dns", &at("dns.log")]);
    assert!(survives(&own, &[], "Calico with what its records leave out"));
    // What is passed over in a folder is told of the folder, and no part of the store.
    let of = |pattern: &str| words(&["--flows", &fixture(pattern)]);
    let all = [
        own,
        ["calico/*.ndjson", "calico/*.json", "calico/*.sse", "calico/*.log", "antrea/*.csv", "antrea/*.log"]
            .map(of)
            .concat(),
        ["antrea/*.ndjson", "antrea/*.json", "hubble/*.ndjson"].map(of).concat(),
        words(&["--dns", &fixture("dnstap/coredns-*.fstrm")]),
    ]
    .concat();
    let kube = words(&["--kube", &fixture("kube/objects.json"), "--threads", "2"]);
    assert!(survives(&all, &kube, "everything"));
}

#[test]
fn times_without_a_year_are_dated_when_they_are_imported() {
    let line = |second: u32| {
        format!(
            "Mar  2 10:00:{second:02} n1 kernel: calico-packet: IN=cali527b0801ecb OUT=eth0 SRC=10.48.0.7 DST=203.0.113.{second} LEN=60 ID={second} DF PROTO=TCP SPT=40000 DPT=443 SYN \n"
        )
    };
    let log: String = (1..=9).map(line).collect();
    let folder = folder(&[("kern.log", log.as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let until = ["--until", "2026-03-03T00:00:00Z"];
    run(&[&["attribute", "--flows", &at("kern.log"), "--out", &at("files.ndjson")], &until[..]].concat());
    run(&[&["import", "--flows", &at("kern.log"), "--store", &at("lake")], &until[..]].concat());
    run(&[&["attribute", "--store", &at("lake"), "--out", &at("store.ndjson")], &until[..]].concat());
    let rows = std::fs::read_to_string(at("files.ndjson")).unwrap();
    assert!(rows.contains("2026-03-02T10:00:01Z"), "{rows}");
    assert_eq!(rows, std::fs::read_to_string(at("store.ndjson")).unwrap());
}

#[test]
fn growing_files_of_every_format_are_continued() {
    let read = |name: &str| std::fs::read(fixture(name)).unwrap();
    let csv = |rows: u32| -> Vec<u8> {
        let mut table = "flowEndSeconds,sourceIP,destinationIP,sourceTransportPort,destinationTransportPort,protocolIdentifier,flowStartSeconds\n".to_owned();
        for row in 0..rows {
            writeln!(table, "{},10.10.1.23,203.0.113.{row},43210,443,6,{}", 1_772_445_600 + row, 1_772_440_000)
                .unwrap();
        }
        table.into_bytes()
    };
    let template = read("antrea/constructed-v2.7-aggregate-ipv4.template.ipfix");
    let data = read("antrea/constructed-v2.7-aggregate-ipv4.data.ipfix");
    let messages = [template.clone(), data.clone(), data.clone(), data].concat();
    let check = |whole: &[u8], cuts: &[usize], what: &str| {
        let folder = folder(&[("whole", whole)]);
        let at = |name: &str| path(folder.path(), name);
        for (number, cut) in cuts.iter().chain([&whole.len()]).enumerate() {
            std::fs::write(at("live"), &whole[..*cut]).unwrap();
            let ran = run(&["import", "--store", &at("lake"), "--flows", &at("live")]);
            let expected = if number == 0 { "1 files imported" } else { "0 files imported, 1 continued" };
            assert!(ran.out.starts_with(expected), "{what} at {cut}: {}{}", ran.out, ran.err);
        }
        let one = run(&["attribute", "--flows", &at("whole"), "--out", &at("files.ndjson")]);
        let two = run(&["attribute", "--store", &at("lake"), "--out", &at("store.ndjson")]);
        assert_eq!((one.status, two.status), (0, 0), "{what}: {}{}", one.err, two.err);
        let rows = std::fs::read_to_string(at("files.ndjson")).unwrap();
        assert!(!rows.is_empty(), "{what}");
        assert_eq!(rows, std::fs::read_to_string(at("store.ndjson")).unwrap(), "{what}");
        let last = |ran: &Ran| ran.err.lines().find(|line| line.starts_with("records:")).map(str::to_owned);
        assert_eq!(last(&one).is_some(), last(&two).is_some());
        let twice = run(&["import", "--store", &at("lake"), "--flows", &at("whole")]);
        assert!(twice.out.contains("1 known already"), "{what}: {}", twice.out);
    };
    let line_end = |bytes: &[u8], from: usize| from + bytes[from..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let table = csv(9);
    check(&table, &[line_end(&table, 200), line_end(&table, 300)], "table with a header");
    check(&messages, &[messages.len() / 2, messages.len() - 5], "messages, cut within");
    let calico = read("calico/enterprise-flows-docs-aggregation.ndjson");
    check(&calico, &[calico.len() / 2, calico.len() - 5], "Calico, cut within");
    let log = read("antrea/flowlogger-v2.7.0.numeric.log");
    if line_end(&log, 0) < log.len() {
        check(&log, &[line_end(&log, 0)], "Antrea's flow log");
    }
}

const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: payments}
spec: {podSelector: {}, policyTypes: [Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: payments}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
";

#[test]
fn commands_on_traffic_say_the_same_of_the_demo_in_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (traffic, kube) = demo_files(folder.path());
    std::fs::write(at("policies.yaml"), POLICIES).unwrap();
    let store = words(&["--store", &at("lake")]);
    assert_eq!(go(&[&words(&["import"]), &store, &traffic]).status, 0);
    let config = words(&["--config", &at("egress-atlas.toml")]);
    let reviews = words(&["--reviews", &at("reviews.toml")]);
    go(&[&words(&["discover", "--out", &at("baseline"), "--until", "2026-03-02T12:00:00Z"]), &traffic, &kube, &config]);
    let policies = at("policies.yaml");
    let soak = ["soak", "--policies", &policies, "--profile", "cilium", "--since", "2026-03-02T12:00:00Z"];
    let check = |command: &[&str], more: &[String], statuses: &[u8]| {
        let command = words(command);
        let files = go(&[&command, &traffic, &kube, &config, more]);
        let stored = go(&[&command, &store, &kube, &config, more]);
        assert_eq!(files.out, stored.out, "{command:?}: {}", stored.err);
        assert_eq!(files.status, stored.status, "{command:?}: {}{}", files.err, stored.err);
        assert!(statuses.contains(&files.status) && files.out.len() > 200, "{command:?}: {}{}", files.out, files.err);
    };
    check(&["drift", "--baseline", &at("baseline"), "--format", "json"], &reviews, &[1]);
    check(&["drift", "--baseline", &at("baseline"), "--since", "2026-03-02T12:00:00Z"], &reviews, &[1]);
    check(&["replay", "--policies", &policies, "--profile", "cilium", "--format", "json"], &[], &[1, 3]);
    check(&[&soak[..], &["--for", "6h", "--format", "json"]].concat(), &[], &[1, 3]);
    check(&[&soak[..], &["--until", "2026-03-02T20:00:00Z"]].concat(), &[], &[1, 3]);
    check(&["investigate", "payments", "--format", "json"], &reviews, &[0]);
    // Its end is not covered: what was found is not all there may be.
    check(&["investigate", "payments", "--since", "2026-03-02T18:00:00Z"], &reviews, &[3]);
}

#[test]
fn a_folder_is_compared_without_traffic() {
    let parsed = |more: &[&str]| {
        Cli::try_parse_from([&["egress-atlas", "drift", "--baseline", "a", "--current", "b"], more].concat())
    };
    assert!(parsed(&[]).is_ok());
    for flag in ["--store", "--flows", "--dns", "--kube"] {
        assert!(parsed(&[flag, "x"]).is_err_and(|error| error.to_string().contains(flag)), "{flag}");
    }
}

/// Everything that the rows of a batch say, record by record, in texts.
fn told(batch: &Batch, vocabulary: &Vocabulary) -> Vec<String> {
    let address = |id: AddressId| match vocabulary.stand_in(id) {
        Some(stand_in) => format!("{stand_in:?}"),
        None => vocabulary.address_of(id).to_string(),
    };
    let end = |id: EndpointId| format!("{:?}", vocabulary.endpoint_of(id));
    let names =
        |id: ChainId| -> Vec<&str> { vocabulary.chain_of(id).iter().map(|id| vocabulary.name_of(*id)).collect() };
    let flow = |row: &FlowRow| {
        let ends =
            [end(row.source), address(row.source_address), end(row.destination), address(row.destination_address)];
        let rest = (row.source_port, row.destination_port, row.protocol, row.verdict, row.initiator, row.certainty);
        let texts = ([row.cluster, row.node].map(|id| vocabulary.text_of(id)), vocabulary.record_id_text(row.id));
        format!("{:?} {ends:?} {rest:?} {texts:?} {:?}", row.time, names(row.reported))
    };
    let mut place = 0;
    let record = |rows: &[FlowRow]| {
        let counted = batch.volume_at(place);
        place += rows.len();
        format!("{} {counted:?}", rows.iter().map(flow).collect::<Vec<_>>().join(" and "))
    };
    let mut told: Vec<String> = batch.records().map(record).collect();
    told.extend(batch.questions.iter().map(|row| {
        let name = batch.question_text.get(row.start as usize..row.end as usize).unwrap();
        let texts = (vocabulary.text_of(row.cluster), vocabulary.name_of(row.domain), name);
        format!(
            "{:?} {texts:?} {} {} {} {}",
            row.time,
            address(row.client),
            end(row.client_hint),
            row.kind,
            row.is_missing
        )
    }));
    told.sort();
    told
}

/// Counters of every kind.
fn counted(shape: u8, number: u8, since: Timestamp) -> Volume {
    let count = u64::from(number);
    let bytes = Bytes { sent: count, received: count * 7, packets_sent: 1, packets_received: u64::from(u32::MAX) + 1 };
    Volume {
        bytes: (shape & 1 == 0).then_some(bytes),
        counter: [Counter::Unknown, Counter::Source, Counter::Destination][usize::from(shape % 3)],
        since,
        is_total: shape & 2 != 0,
        connections: (shape & 4 != 0).then(|| Opened { began: number.into(), open: u32::MAX }),
    }
}

/// Records of every shape: one row, a beginning, further destinations, addresses left out.
fn shaped(records: &[(u8, u8, i64, Vec<u8>)], vocabulary: &mut Vocabulary) -> Batch {
    let mut batch = Batch::default();
    for (shape, number, time, also) in records {
        let time = if shape & 64 == 0 { Timestamp::from_nanos(time * 1_000_000_000) } else { Timestamp::UNKNOWN };
        let pod = |pod: String| Endpoint { namespace: "shop".into(), pod: pod.into(), ..Endpoint::default() };
        let (source, destination) =
            (vocabulary.endpoint(pod(format!("web-{number}"))), vocabulary.endpoint(pod(format!("api, {number}\\"))));
        let name = vocabulary.name(&format!("n{number}.example.com"));
        let reported = if shape & 1 == 0 { ChainId::NONE } else { vocabulary.chain(&[name]) };
        let mut address = |last: u8| vocabulary.address(std::net::IpAddr::from([10, 0, 0, last]));
        let row = FlowRow {
            time,
            cluster: TextId::NONE,
            node: TextId::NONE,
            source,
            destination,
            source_address: if shape & 2 == 0 { address(*number) } else { AddressId::unrecorded(source) },
            destination_address: match (shape & 4, reported.is_none()) {
                (0, _) => address(200),
                (_, true) => AddressId::unrecorded(destination),
                (_, false) => AddressId::unrecorded_but_named(reported),
            },
            source_port: u16::from(*number),
            destination_port: 443,
            protocol: Protocol::TCP,
            verdict: Verdict::Allowed,
            initiator: if shape & 8 == 0 { Initiator::Source } else { Initiator::Destination },
            certainty: Certainty::Tracked,
            reported,
            id: RecordId::NONE,
        };
        if shape & 128 != 0 {
            batch.count_next(counted(*shape, *number, time));
        }
        batch.flows.push(row);
        if shape & 16 != 0 && time.is_known() {
            batch.push_further(FlowRow { time: time.plus_nanos(-200_000_000_000_000), ..row });
        } else if shape & 4 == 0 {
            for last in also {
                batch.push_further(FlowRow { destination_address: address(*last), ..row });
            }
        }
        let start = u32::try_from(batch.question_text.len()).unwrap();
        write!(batch.question_text, "x{number}.example.com").unwrap();
        let end = u32::try_from(batch.question_text.len()).unwrap();
        let (client, domain) = (row.source_address, vocabulary.name("example.com"));
        let (client_hint, kind, is_missing) = (source, u16::from(*shape), shape & 32 != 0);
        let cluster = TextId::NONE;
        batch.questions.push(QuestionRow { time, cluster, client, client_hint, domain, kind, is_missing, start, end });
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_of_every_shape_come_back(
        records in prop::collection::vec(
            (any::<u8>(), 0_u8..20, 1_772_000_000_i64..1_772_400_000, prop::collection::vec(0_u8..200, 0..3)), 1..60),
        parts in 1_usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = Vocabulary::default();
        let expected = told(&shaped(&records, &mut whole), &whole);
        for (number, part) in records.chunks(records.len().div_ceil(parts)).enumerate() {
            let mut writer = LakeWriter::new(folder.path(), &format!("part-{number}")).unwrap();
            let batch = shaped(part, &mut writer.vocabulary);
            writer.add(&batch, TextId::NONE);
            let written = writer.commit().unwrap();
            prop_assert_eq!((written.flows, written.questions), (part.len() as u64, part.len() as u64));
        }
        egress_atlas::lake::compact(folder.path(), std::time::SystemTime::now()).unwrap();
        let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
        let (mut reader, mut vocabulary, mut batch) = (Reader::default(), Vocabulary::default(), Batch::default());
        for piece in &scan(folder.path(), &options).unwrap().pieces {
            prop_assert_eq!(reader.read(piece, &options, &mut vocabulary, &mut batch).unwrap(), 0);
        }
        prop_assert_eq!(told(&batch, &vocabulary), expected);
    }
}

/// A store of sources that count nothing has no columns for counts, as older ones have none; where such files are merged with
/// others, nothing is lost.
#[test]
fn files_with_and_without_counts_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let part = |number: u8| {
        vec![(if number.is_multiple_of(2) { 128 } else { 0 }, 7, 1_772_000_000 + i64::from(number), vec![])]
    };
    let all: Vec<_> = (0..10).flat_map(part).collect();
    let mut whole = Vocabulary::default();
    let expected = told(&shaped(&all, &mut whole), &whole);
    for number in 0..10 {
        let mut writer = LakeWriter::new(folder.path(), &format!("part-{number}")).unwrap();
        let batch = shaped(&part(number), &mut writer.vocabulary);
        writer.add(&batch, TextId::NONE);
        writer.commit().unwrap();
    }
    let read = || {
        let options = ScanOptions { with_ids: true, ..ScanOptions::default() };
        let (mut reader, mut vocabulary, mut batch) = (Reader::default(), Vocabulary::default(), Batch::default());
        let pieces = scan(folder.path(), &options).unwrap().pieces;
        for piece in &pieces {
            assert_eq!(reader.read(piece, &options, &mut vocabulary, &mut batch).unwrap(), 0);
        }
        let columns = pieces.iter().filter(|piece| {
            let bytes = std::fs::read(&piece.path).unwrap();
            bytes.windows(13).any(|window| window == b"bytes_forward")
        });
        (columns.count(), told(&batch, &vocabulary))
    };
    assert_eq!(read(), (5, expected.clone()));
    let tidied = egress_atlas::lake::compact(folder.path(), std::time::SystemTime::now()).unwrap();
    assert!(tidied.merged > 0, "{tidied:?}");
    assert_eq!(read(), (1, expected));
}

/// A capture of one pod that asks 200 long names below one domain, which have no addresses.
fn tunnel() -> Vec<u8> {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::try_from(state >> 59).unwrap()])
    };
    let names: Vec<String> =
        (0..200).map(|_| format!("{}.t.carrier.example.net", (0..52).map(|_| letter()).collect::<String>())).collect();
    let told = (0_i32..).zip(&names).map(|(second, name)| Told {
        time: at(second.into()),
        name,
        addresses: &[],
        ttl: 0,
        ..Told::default()
    });
    capture(&told.collect::<Vec<_>>())
}

#[test]
fn a_tunnel_is_found_in_a_store_too() {
    let flow = r#"{"flow":{"time":"2026-03-02T10:00:00Z","verdict":"FORWARDED","IP":{"source":"10.0.1.5","destination":"203.0.113.9","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40001,"destination_port":443,"flags":{"SYN":true}}},"source":{"identity":4001,"namespace":"shop","pod_name":"cart-7d9f6b5c4d-x2x4z","labels":["k8s:app=cart"],"workloads":[{"name":"cart","kind":"Deployment"}]},"destination":{"identity":2,"labels":["reserved:world"]},"Type":"L3_L4","node_name":"node-a","traffic_direction":"EGRESS","is_reply":false},"node_name":"node-a","time":"2026-03-02T10:00:00Z"}"#;
    let folder = folder(&[("flows.json", flow.as_bytes()), ("dns.fstrm", &tunnel())]);
    let at = |name: &str| path(folder.path(), name);
    let traffic = words(&["--flows", &at("flows.json"), "--dns", &at("dns.fstrm")]);
    let store = words(&["--store", &at("lake")]);
    assert_eq!(go(&[&words(&["import"]), &store, &traffic]).status, 0);
    for (input, out) in [(&traffic, "files"), (&store, "stored")] {
        let ran = go(&[&words(&["discover", "--out", &at(out)]), input]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let atlas = std::fs::read_to_string(at(&format!("{out}/atlas.json"))).unwrap();
        assert!(atlas.contains("carrier.example.net") && atlas.contains("dns_tunnel"), "{out}: {}", ran.out);
    }
    same(Path::new(&at("files")), Path::new(&at("stored")));
}

#[test]
fn a_question_outside_the_window_is_used_neither_of_files_nor_of_stores() {
    let folder = folder(&[("dns.fstrm", &tunnel())]);
    let at = |name: &str| path(folder.path(), name);
    assert_eq!(run(&["import", "--store", &at("lake"), "--dns", &at("dns.fstrm")]).status, 0);
    let account = |input: &[&str]| {
        let asked = ["--since", "2026-03-02T10:01:40Z", "--until", "2026-03-02T11:00:00Z", "--out"];
        let ran = run(&[&["attribute"], input, &asked, &[&at("rows.ndjson")]].concat());
        ran.err.lines().find(|line| line.starts_with("records:")).map(str::to_owned).unwrap_or(ran.err)
    };
    // In a file it is of a record that gives no address, and left out for that.
    let files = account(&["--dns", &at("dns.fstrm")]);
    assert_eq!(files, "records: 200 read = 0 used + 0 rejected + 200 excluded");
    let store = account(&["--store", &at("lake")]);
    assert_eq!(store, "records: 200 read = 100 used + 0 rejected + 100 excluded");
}
