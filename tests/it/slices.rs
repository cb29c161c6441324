//! Discovery in slices: any slicing, merged in any order, gives the same bytes; what does not fit together is refused.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use egress_atlas::attribute::{Answer, Evidence, Fold, FoldLimits, JoinOptions, Named, PartyId, Sink, attribute};
use egress_atlas::kube::Inventory;
use egress_atlas::lake::{LakeWriter, LedgerRow};
use egress_atlas::model::{
    AddressId, AnswerKind, AnswerRow, Batch, Certainty, ChainId, Endpoint, EndpointId, FlowRow, IdentityKind,
    Initiator, Loss, Protocol, QuestionRow, RecordId, SourceKind, TextId, Timestamp, Verdict,
};
use egress_atlas::simulate::Scenario;
use proptest::prelude::*;

use crate::lake::{demo_files, go, path, words};
use crate::recording::{Generated, generated};
use crate::support::{Ran, fixture, run};

/// All files below a folder, byte for byte.
pub(crate) fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub(crate) fn assert_same(one: &Path, other: &Path, what: &str) {
    let (one, other) = (bytes(one), bytes(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{what}");
    for (name, content) in &one {
        if *content != other[name] {
            let (left, right) = (String::from_utf8_lossy(content), String::from_utf8_lossy(&other[name]));
            let line = left.lines().zip(right.lines()).find(|(left, right)| left != right);
            panic!("{what}: {name} differs: {line:?}");
        }
    }
    assert!(one.len() >= 4, "{what}: only {:?}", one.keys());
}

fn outcomes(ran: &Ran) -> usize {
    ran.out.lines().filter(|line| line.starts_with("{\"slice\":")).count()
}

/// Plans, runs all slices in an order of their own, and merges.
pub(crate) fn sliced(
    folder: &Path,
    store: &str,
    name: &str,
    slice_rows: u64,
    asked: &[String],
    more: &[String],
) -> (u32, Ran) {
    let at = |end: &str| path(folder, &format!("{name}-{slice_rows}-{end}"));
    let rows = slice_rows.to_string();
    let plan =
        go(&[&words(&["task", "plan", "--store", store, "--out", &at("manifest"), "--slice-rows", &rows]), asked]);
    assert_eq!(plan.status, 0, "{}", plan.err);
    let slices: u32 = plan.out.split(' ').next().unwrap().parse().unwrap();
    for turn in 0..slices {
        let slice = (slices - 1 - turn).to_string();
        let ran = run(&["task", "run", "--manifest", &at("manifest"), "--slice", &slice, "--out", &at("partials")]);
        assert_eq!((ran.status, outcomes(&ran)), (0, 1), "{}", ran.err);
    }
    let config: Vec<String> = asked.windows(2).filter(|pair| pair[0] == "--config").flatten().cloned().collect();
    let merge = words(&["task", "merge", "--manifest", &at("manifest"), "--partials", &at("partials"), "--out"]);
    let merged = go(&[&merge, &[at("documents")], &config, more]);
    (slices, merged)
}

/// The law: for every slicing, what is merged is what `discover` writes of the store.
fn holds(folder: &Path, store: &str, name: &str, asked: &[String], more: &[String]) {
    let whole = path(folder, &format!("{name}-whole"));
    let discover = go(&[&words(&["discover", "--store", store, "--out", &whole]), asked, more]);
    assert_ne!(discover.status, 2, "{name}: {}", discover.err);
    let mut counts = Vec::new();
    for slice_rows in [1, 900, u64::MAX] {
        let (slices, merged) = sliced(folder, store, name, slice_rows, asked, more);
        assert_eq!(merged.status, discover.status, "{name}: {}{}", merged.err, discover.err);
        let documents = path(folder, &format!("{name}-{slice_rows}-documents"));
        assert_same(Path::new(&whole), Path::new(&documents), &format!("{name} in {slices} slices"));
        assert_eq!(merged.out, discover.out, "{name}");
        assert_eq!(merged.err.replace(&documents, &whole), discover.err, "{name}");
        counts.push(slices);
    }
    assert!(counts[0] > counts[2], "{name}: {counts:?}");
}

/// The demo as a store; the flags of its objects and settings.
pub(crate) fn demo_store(folder: &Path) -> (String, Vec<String>, Vec<String>) {
    let at = |name: &str| path(folder, name);
    let (traffic, kube) = demo_files(folder);
    let import = go(&[&words(&["import", "--store", &at("lake")]), &traffic]);
    assert_eq!(import.status, 0, "{}", import.err);
    let more = [kube, words(&["--reviews", &at("reviews.toml")])].concat();
    (at("lake"), words(&["--config", &at("egress-atlas.toml")]), more)
}

#[test]
fn the_demo_in_slices() {
    let folder = tempfile::tempdir().unwrap();
    let (store, config, more) = demo_store(folder.path());
    holds(folder.path(), &store, "all", &config, &more);
    let first = folder.path().join("all-whole").join("atlas.json");
    let times: Vec<String> = std::fs::read_to_string(first)
        .unwrap()
        .split('"')
        .filter(|text| Timestamp::parse(text.as_bytes()).is_some())
        .map(str::to_owned)
        .collect();
    let middle = |part: usize| {
        let mut times = times.clone();
        times.sort();
        times[times.len() * part / 10].clone()
    };
    let window = [config, words(&["--since", &middle(3), "--until", &middle(7)])].concat();
    holds(folder.path(), &store, "window", &window, &more);
}

#[test]
fn a_hard_cluster_in_slices() {
    let Generated { flows, dns: frames, kube } =
        &generated(&Scenario { connections: 6_000, flows: u64::MAX, ..Scenario::hard(5) });
    let folder = crate::support::folder(&[("flows.log", flows), ("dns.fstrm", frames), ("kube.json", kube)]);
    let at = |name: &str| path(folder.path(), name);
    let import = run(&["import", "--store", &at("lake"), "--flows", &at("flows.log"), "--dns", &at("dns.fstrm")]);
    assert_eq!(import.status, 0, "{}", import.err);
    holds(folder.path(), &at("lake"), "bare", &[], &[]);
    let more = if kube.is_empty() { Vec::new() } else { words(&["--kube", &at("kube.json")]) };
    holds(folder.path(), &at("lake"), "named", &words(&["--since", "9000d", "--until", "1h"]), &more);
}

#[test]
fn all_sources_with_a_ledger_in_slices() {
    let folder = tempfile::tempdir().unwrap();
    let store = path(folder.path(), "lake");
    let of = |pattern: &str| words(&["--flows", &fixture(pattern)]);
    let all = [
        ["calico/*.ndjson", "calico/*.json", "calico/*.sse", "calico/*.log", "antrea/*.csv", "antrea/*.log"]
            .map(of)
            .concat(),
        ["antrea/*.ndjson", "antrea/*.json", "hubble/*.ndjson"].map(of).concat(),
        words(&["--dns", &fixture("dnstap/coredns-*.fstrm")]),
    ]
    .concat();
    let import = go(&[&words(&["import", "--store", &store]), &all]);
    assert_eq!(import.status, 0, "{}", import.err);
    let row = |minute: i64, lost: u64, missing_nanos: u64| LedgerRow {
        minute: Timestamp::from_nanos(minute * 60_000_000_000),
        cluster: if minute % 2 == 0 { String::new() } else { "other".to_owned() },
        kind: if minute % 3 == 0 { SourceKind::Dns } else { SourceKind::Flows },
        source: format!("node-{}", minute % 4),
        origin: "tcp".to_owned(),
        read: 7,
        used: 5,
        rejected: 1,
        excluded: 1,
        lost,
        missing_nanos,
        delay_nanos: None,
    };
    for part in 0..3 {
        let mut writer = LakeWriter::new(Path::new(&store), &format!("wal-{part}")).unwrap();
        let rows: Vec<LedgerRow> = (0..40)
            .map(|minute| row(29_540_000 + part * 1_440 + minute, u64::from(minute == 9), u64::from(minute == 11) * 90))
            .collect();
        writer.add_ledger(&rows).unwrap();
        writer.commit().unwrap();
    }
    holds(folder.path(), &store, "everything", &[], &words(&["--kube", &fixture("kube/objects.json")]));
    holds(folder.path(), &store, "named", &[], &words(&["--cluster", "other", "--threads", "2"]));
    // A file that is no Parquet is told in the same words.
    let broken = Path::new(&store).join("flows/cluster=x/date=2026-03-02/bucket=01");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("import-x.parquet"), "no Parquet").unwrap();
    holds(folder.path(), &store, "broken", &[], &[]);
}

#[test]
fn a_slice_is_the_same_bytes_whenever_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let (store, config, _) = demo_store(folder.path());
    let at = |name: &str| path(folder.path(), name);
    go(&[&words(&["task", "plan", "--store", &store, "--out", &at("m"), "--slice-rows", "1000"]), &config]);
    let text = std::fs::read_to_string(at("m")).unwrap();
    let slices = text.lines().count() - 1;
    assert!(slices > 3, "{text}");
    // One process by one, one process for all, from the numbers on standard input: the same files.
    let mut child = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
        .args(["task", "run", "--manifest", &at("m"), "--slice-from-stdin", "--out", &at("at-once")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for slice in (0..slices).rev() {
        writeln!(input, "{slice}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), slices);
    for _ in 0..2 {
        for slice in 0..slices {
            let slice = slice.to_string();
            run(&["task", "run", "--manifest", &at("m"), "--slice", &slice, "--out", &at("one-by-one")]);
        }
    }
    assert_same(Path::new(&at("at-once")), Path::new(&at("one-by-one")), "partial results");
    assert_eq!(bytes(Path::new(&at("at-once"))).len(), slices);
    let again = at("again");
    go(&[&words(&["task", "plan", "--store", &store, "--out", &again, "--slice-rows", "1000"]), &config]);
    assert_eq!(text, std::fs::read_to_string(again).unwrap(), "the manifest of a store is one");
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, config, _) = demo_store(folder.path());
    let at = |name: &str| path(folder.path(), name);
    let plan = |out: &str, rows: &str| {
        go(&[&words(&["task", "plan", "--store", &store, "--out", out, "--slice-rows", rows]), &config])
    };
    plan(&at("m"), "1000");
    let slices = std::fs::read_to_string(at("m")).unwrap().lines().count() - 1;
    let slice = |manifest: &str, number: usize, out: &str| {
        run(&["task", "run", "--manifest", manifest, "--slice", &number.to_string(), "--out", out])
    };
    let merge = || {
        let merge = words(&["task", "merge", "--manifest", &at("m"), "--partials", &at("p"), "--out", &at("out")]);
        go(&[&merge, &config])
    };
    let refused = |expected: &str| {
        let ran = merge();
        assert!(ran.status == 2 && ran.err.contains(expected), "not `{expected}`: {}", ran.err);
        assert!(!Path::new(&at("out")).exists());
    };
    let file = |number: usize| at(&format!("p/slice-{number:06}.partial"));
    refused("No such file");
    std::fs::create_dir(at("p")).unwrap();
    refused(&format!("{slices} of {slices} slices are missing"));
    for number in 1..slices {
        slice(&at("m"), number, &at("p"));
    }
    refused(&format!("1 of {slices} slices are missing in `{}`: 0; run each with", at("p")));
    slice(&at("m"), 0, &at("p"));
    std::fs::copy(file(1), at("p/copy.partial")).unwrap();
    refused("slice 1 is there twice");
    std::fs::remove_file(at("p/copy.partial")).unwrap();
    // Of another manifest of the same store.
    plan(&at("other"), "1");
    slice(&at("other"), 0, &at("q"));
    let own = std::fs::read(file(0)).unwrap();
    std::fs::copy(at("q/slice-000000.partial"), file(0)).unwrap();
    refused("is of another manifest");
    let other_version = String::from_utf8_lossy(&own[16..]).find("\"version\":\"").unwrap() + 16 + 11;
    let mut changed = own.clone();
    changed[other_version] = b'9';
    std::fs::write(file(0), &changed).unwrap();
    refused("plan, run and merge with one version");
    // Damaged at any place: never a panic, never a result.
    for place in (0..own.len()).step_by(own.len() / 37).chain([own.len() - 1, 8, 9, 15]) {
        let mut damaged = own.clone();
        damaged[place] ^= 0x41;
        std::fs::write(file(0), &damaged).unwrap();
        let ran = merge();
        assert_eq!(ran.status, 2, "byte {place}: {}", ran.err);
    }
    for length in [0, 7, 8, 20, 40, own.len() / 2, own.len() - 1] {
        std::fs::write(file(0), &own[..length]).unwrap();
        assert_eq!(merge().status, 2, "{length} bytes");
    }
    std::fs::write(file(0), &own).unwrap();
    let ran = run(&["task", "merge", "--manifest", &at("m"), "--partials", &at("p"), "--out", &at("out")]);
    let is_default = std::fs::read_to_string(at("egress-atlas.toml")).unwrap().contains("[join]");
    assert_eq!(ran.status == 2, is_default, "{}", ran.err);
    std::fs::remove_dir_all(at("out")).unwrap_or(());
    let toml = folder.path().join("other.toml");
    std::fs::write(&toml, "[join]\nidle = \"5s\"\n").unwrap();
    let toml = toml.display().to_string();
    let ran =
        run(&["task", "merge", "--manifest", &at("m"), "--partials", &at("p"), "--out", &at("out"), "--config", &toml]);
    assert!(ran.err.contains("the settings differ from those of the plan"), "{}", ran.err);
    assert_eq!(merge().status, 0);
}

#[test]
fn what_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (store, config, _) = demo_store(folder.path());
    let at = |name: &str| path(folder.path(), name);
    go(&[&words(&["task", "plan", "--store", &store, "--out", &at("m"), "--slice-rows", "1000"]), &config]);
    let failed = |manifest: &str, slice: &str, expected: &str| {
        let ran = run(&["task", "run", "--manifest", manifest, "--slice", slice, "--out", &at("p")]);
        assert!(ran.status == 2 && ran.err.contains(expected), "not `{expected}`: {}", ran.err);
    };
    failed(&at("m"), "4000", "there is no slice 4000");
    failed(&at("none"), "0", "manifest: No such file");
    let text = std::fs::read_to_string(at("m")).unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(at("changed"), text.replacen(from, to, 1)).unwrap();
        failed(&at("changed"), "0", expected);
    };
    check("\"version\":\"", "\"version\":\"0.0.", "plan, run and merge with one version");
    check("\"form\":2", "\"form\":7", "plan, run and merge with one version");
    check("\"slice\":0", "\"slice\":\"0\"", "line 2: ");
    check("\"file\":\"", "\"file\":\"../", "is no file of a store");
    check("\"file\":\"", "\"file\":\"/", "is no file of a store");
    std::fs::write(at("changed"), text.replacen("\"rows\":", "\"rows\":1", 2)).unwrap();
    let ran = run(&["task", "merge", "--manifest", &at("changed"), "--partials", &at("p"), "--out", &at("out")]);
    assert!(ran.err.contains("its content does not match its digest"), "{}", ran.err);
    // What went wrong lies beside the partial results until it goes right.
    let file = text.split("\"file\":\"").nth(1).unwrap().split('"').next().unwrap();
    let file = Path::new(&store).join(file);
    let own = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&own[..], b"x"].concat()).unwrap();
    failed(&at("m"), "0", "the store has changed; plan again");
    let note = folder.path().join("p").join("slice-000000.failed");
    assert!(std::fs::read_to_string(&note).unwrap().contains("the store has changed"));
    std::fs::remove_file(&file).unwrap();
    failed(&at("m"), "0", "No such file");
    std::fs::write(&file, &own).unwrap();
    let ran = run(&["task", "run", "--manifest", &at("m"), "--slice", "0", "--out", &at("p")]);
    assert!(ran.status == 0 && !note.exists(), "{}", ran.err);
    let empty = run(&["task", "plan", "--store", &store, "--out", &at("e"), "--until", "2001-01-01T00:00:00Z"]);
    assert!(empty.status == 0 || empty.err.contains("no rows in the asked window"), "{}", empty.err);
    let ran = run(&["task", "plan", "--store", &at("p"), "--out", &at("e")]);
    assert!(ran.status == 2 && ran.err.contains("not a store"), "{}", ran.err);
}

/// A record of a made-up source: who, by which name, when.
#[derive(Clone, Debug)]
struct Seen {
    second: i64,
    /// Which pod the client's end names; none leaves it open.
    pod: Option<u8>,
    server_pod: Option<u8>,
    address: u8,
    server: u8,
    port: u16,
    reply: bool,
    verdict: u8,
    certainty: u8,
}

fn seen() -> impl Strategy<Value = Seen> {
    let pods = || prop::option::weighted(0.8, 0..3_u8);
    let what = (0..3_u8, 0..3_u8, prop::sample::select(vec![0_u16, 40_000, 40_001]));
    (0..3_000_i64, pods(), prop::option::weighted(0.2, 0..2_u8), what, any::<bool>(), 0..5_u8, 0..5_u8).prop_map(
        |(second, pod, server_pod, (address, server, port), reply, verdict, certainty)| Seen {
            second,
            pod,
            server_pod,
            address,
            server,
            port,
            reply,
            verdict,
            certainty,
        },
    )
}

const START: i64 = 1_772_409_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_nanos((START + second) * 1_000_000_000)
}

fn add_flow(fold: &mut Fold, seen: &Seen) {
    let words = &mut fold.vocabulary;
    let end = |pod: Option<u8>, prefix: &str| Endpoint {
        namespace: if pod.is_some() { "shop".into() } else { "".into() },
        pod: pod.map(|pod| format!("{prefix}-7d9c5b6f5-abcd{pod}").into()).unwrap_or_default(),
        identity: if pod.is_some() { IdentityKind::Pod } else { IdentityKind::World },
        local: seen.second % 2 == 0,
        ..Endpoint::default()
    };
    let client = words.endpoint(end(seen.pod, "web"));
    let server = words.endpoint(end(seen.server_pod, "api"));
    let client_address = words.address(IpAddr::from([10, 0, 0, seen.address]));
    let server_address = if seen.server == 0 && seen.server_pod.is_none() {
        let name = words.name("named.example.com");
        let chain = words.chain(&[name]);
        AddressId::unrecorded_but_named(chain)
    } else {
        words.address(IpAddr::from([93, 184, 216, seen.server]))
    };
    let (source, destination) = if seen.reply { (server, client) } else { (client, server) };
    let (source_address, destination_address) =
        if seen.reply { (server_address, client_address) } else { (client_address, server_address) };
    let verdicts = [Verdict::Unknown, Verdict::Allowed, Verdict::Audited, Verdict::Denied, Verdict::Failed];
    let certainties = [Certainty::None, Certainty::Guess, Certainty::Flags, Certainty::Tracked, Certainty::Policy];
    let row = FlowRow {
        time: if seen.second == 7 { Timestamp::UNKNOWN } else { at(seen.second) },
        cluster: TextId::NONE,
        node: words.text(if seen.second % 2 == 0 { "node-a" } else { "node-b" }),
        source,
        destination,
        source_address,
        destination_address,
        source_port: if seen.reply { 443 } else { seen.port },
        destination_port: if seen.reply { seen.port } else { 443 },
        protocol: Protocol::TCP,
        verdict: verdicts[usize::from(seen.verdict)],
        initiator: match seen.certainty {
            0 => Initiator::Unknown,
            _ if seen.reply => Initiator::Destination,
            _ => Initiator::Source,
        },
        certainty: certainties[usize::from(seen.certainty)],
        reported: ChainId::NONE,
        id: RecordId::NONE,
    };
    fold.add(&Batch { flows: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
}

fn add_dns(fold: &mut Fold, second: i64, client: u8, name: u8, server: u8) {
    let words = &mut fold.vocabulary;
    let target = words.name("edge.example.net");
    let chain = if name == 2 { words.chain(&[target]) } else { ChainId::NONE };
    let row = AnswerRow {
        time: at(second),
        cluster: TextId::NONE,
        client: words.address(IpAddr::from([10, 0, 0, client])),
        client_hint: EndpointId::NONE,
        name: words.name(&format!("n{name}.example.com")),
        address: words.address(IpAddr::from([93, 184, 216, server])),
        chain,
        ttl_seconds: 60 * u32::from(name),
        position: u16::from(name % 2),
        addresses: 2,
        kind: AnswerKind::Address,
        resolver: words.text("dns-1"),
    };
    let question = QuestionRow {
        time: at(second + 1),
        cluster: TextId::NONE,
        client: row.client,
        client_hint: EndpointId::NONE,
        domain: words.name("example.org"),
        kind: 16 + u16::from(name),
        is_missing: name == 1,
        start: 0,
        end: 14,
    };
    let loss = Loss {
        time: at(second),
        cluster: TextId::NONE,
        node: words.text("node-a"),
        place: words.text("RING_BUFFER"),
        events: u64::from(name),
    };
    let batch = Batch {
        answers: vec![row],
        questions: vec![question],
        question_text: format!("q{}.example.org", client % 3),
        losses: if name == 0 { vec![loss] } else { Vec::new() },
        ..Batch::default()
    };
    fold.add(&batch, TextId::NONE).unwrap();
}

/// Everything that is handed over, as lines.
#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        let words = &evidence.vocabulary;
        let pod = |party: Option<PartyId>| {
            party.and_then(|party| evidence.parties.get(party)).map_or("-", |party| &*party.pod).to_owned()
        };
        let candidates: Vec<String> = (named.attributed.candidates.iter())
            .map(|candidate| format!("{}@{}", words.name_of(candidate.name), candidate.answered_at))
            .collect();
        self.0.push(format!(
            "{} {} {} {} → {} {} {} {:?} {} {} {:?} {:.9} {}",
            named.first,
            named.last,
            pod(named.client),
            words.address_of(named.client_address),
            pod(named.server),
            words.address_of(named.server_address),
            named.client_port,
            named.verdict,
            named.guessed,
            named.attributed.grade,
            candidates,
            named.attributed.confidence,
            words.text_of(named.cluster),
        ));
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>) {
        let pod = client.and_then(|party| evidence.parties.get(party)).map_or("-", |party| &*party.pod);
        self.0.push(format!("answer {} {pod} {}", answer.time, evidence.vocabulary.name_of(answer.name)));
    }
}

fn told(folds: Vec<Fold>, threads: usize) -> Vec<String> {
    let evidence = Evidence::gather(folds, &Inventory::default(), "c", threads).unwrap();
    let options = JoinOptions::default();
    let parts = attribute(&evidence, &options, threads, Lines::default).unwrap();
    let mut lines: Vec<String> = parts.into_iter().flat_map(|part| part.0).collect();
    lines.extend(evidence.activity.iter().map(|source| format!("{source:?}")));
    evidence.questions.each_of_pods(&evidence.vocabulary, &evidence.parties, |_, party, domain, asking| {
        let pod = &evidence.parties.get(party).unwrap().pod;
        lines.push(format!("{pod} {} {asking:?}", evidence.vocabulary.name_of(domain)));
    });
    lines.sort();
    lines
}

fn written(fold: Fold) -> Vec<u8> {
    let mut bytes = Vec::new();
    fold.write(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Rows in any order, in any slices, folded with any bounds, written, and read in any order: the same as all at once. Clients whose
    /// pod is left open, pods that share an address, connections without a port: all in one key.
    #[test]
    fn any_slicing_of_rows_says_the_same(
        flows in prop::collection::vec(seen(), 1..40),
        answers in prop::collection::vec((0..3_000_i64, 0..3_u8, 0..3_u8, 0..3_u8), 0..12),
        slices in prop::collection::vec(0..5_usize, 60),
        open_max in prop::sample::select(vec![0_usize, 2, 1_000]),
    ) {
        let limits = FoldLimits::default();
        let mut whole = Fold::new(limits);
        let mut parts: Vec<Fold> =
            (0..5).map(|_| Fold::new(FoldLimits { open_connections_max: open_max, parked_rows_max: 3, ..limits })).collect();
        for (seen, slice) in flows.iter().zip(&slices) {
            add_flow(&mut whole, seen);
            add_flow(&mut parts[*slice], seen);
        }
        for ((second, client, name, server), slice) in answers.iter().zip(slices.iter().rev()) {
            add_dns(&mut whole, *second, *client, *name, *server);
            add_dns(&mut parts[*slice], *second, *client, *name, *server);
        }
        let mut into = [Fold::new(limits), Fold::new(limits)];
        for (at, part) in parts.into_iter().enumerate().rev() {
            into[at % 2].read(&mut written(part).as_slice()).unwrap();
        }
        let mut backwards = Fold::new(limits);
        flows.iter().rev().for_each(|seen| add_flow(&mut backwards, seen));
        for (second, client, name, server) in &answers {
            add_dns(&mut backwards, *second, *client, *name, *server);
        }
        let whole = told(vec![whole], 1);
        prop_assert_eq!(&told(into.into(), 2), &whole);
        prop_assert_eq!(&told(vec![backwards], 1), &whole);
    }

    /// A fold from anywhere is refused or read, and what was read can be joined.
    #[test]
    fn forged_folds_harm_nothing(
        flows in prop::collection::vec(seen(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        is_cut in any::<bool>(),
    ) {
        let mut fold = Fold::new(FoldLimits::default());
        for seen in &flows {
            add_flow(&mut fold, seen);
        }
        add_dns(&mut fold, 5, 1, 2, 1);
        let mut bytes = written(fold);
        let facts = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        // Beyond the facts all is compressed: change the rows themselves.
        let mut rows = zstd_decoded(&bytes[facts..]);
        for (place, value) in &changes {
            let place = place.index(facts - 8 + rows.len());
            match place.checked_sub(facts - 8) {
                Some(place) => rows[place] = *value,
                None => bytes[8 + place] = *value,
            }
        }
        if is_cut {
            rows.truncate(rows.len() / 2);
        }
        bytes.truncate(facts);
        bytes.extend(zstd_encoded(&rows));
        let mut read = Fold::new(FoldLimits::default());
        if read.read(&mut bytes.as_slice()).is_ok() {
            told(vec![read], 1);
        }
    }
}

fn zstd_decoded(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::decode_all(bytes).unwrap()
}

fn zstd_encoded(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}
