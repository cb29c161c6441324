//! Repeats become one row of the store, and no command can tell: whatever is asked of a folded store is what an unfolded one says.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use egress_atlas::lake::{ScanOptions, scan};
use egress_atlas::model::Timestamp;
use egress_atlas::simulate::{Scenario, Sink, dns_message as dns, dnstap, generate};
use polars_parquet_format::FileMetaData;
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
use proptest::prelude::*;

use crate::lake::{go, path, words};
use crate::slices::{assert_same, sliced};
use crate::support::run;

const SECOND: i64 = 1_000_000_000;
/// 2026-03-02T10:00:00Z.
const BASE: i64 = 1_772_445_600 * SECOND;

/// Gaps on both sides of everything that tells times apart: the same instant, clocks, the idle time, its tenth, minutes.
const GAPS: [i64; 12] = [
    0,
    1,
    200_000_000,
    5 * SECOND,
    6 * SECOND,
    6 * SECOND + 1,
    30 * SECOND,
    60 * SECOND - 1,
    60 * SECOND,
    61 * SECOND,
    299 * SECOND,
    601 * SECOND,
];

/// Where in its minute something begins.
const STARTS: [i64; 6] = [0, 1, 29 * SECOND + 7, 54 * SECOND, 59 * SECOND, 60 * SECOND - 1];

/// One server by address, one by name, and everything else closed.
const POLICIES: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cart, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cart}}
  policyTypes: [Egress]
  egress:
    - to: [{ipBlock: {cidr: 203.0.113.10/32}}]
      ports: [{port: 443, protocol: TCP}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: cart}}
  egress:
    - toFQDNs: [{matchName: api1.example.com}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"#;

/// When something is seen, by minute, place within it, and gaps from there.
#[derive(Clone, Debug)]
struct Times {
    minute: i64,
    start: usize,
    gaps: Vec<usize>,
}

impl Times {
    fn all(&self) -> Vec<i64> {
        let mut time = BASE + self.minute * 60 * SECOND + STARTS[self.start];
        let mut all = vec![time];
        for gap in &self.gaps {
            time += GAPS[*gap];
            all.push(time);
        }
        all
    }
}

fn times() -> impl Strategy<Value = Times> {
    (0_i64..25, 0..STARTS.len(), prop::collection::vec(0..GAPS.len(), 0..12)).prop_map(|(minute, start, gaps)| Times {
        minute,
        start,
        gaps,
    })
}

/// One thing that a node reports again and again.
#[derive(Clone, Debug)]
struct Seen {
    pod: u8,
    server: u8,
    /// None for ICMP.
    port: u16,
    is_reply: bool,
    node: u8,
    verdict: u8,
    /// Whether records have ids.
    has_id: bool,
    /// Whether some records come twice, byte for byte.
    twice: bool,
    times: Times,
}

fn seen() -> impl Strategy<Value = Seen> {
    let shape = (any::<bool>(), 0_u8..2, 0_u8..3, prop::bool::weighted(0.8), prop::bool::weighted(0.2));
    (0_u8..3, 0_u8..3, 0_u16..3, shape, times()).prop_map(
        |(pod, server, port, (is_reply, node, verdict, has_id, twice), times)| Seen {
            pod,
            server,
            port,
            is_reply,
            node,
            verdict,
            has_id,
            twice,
            times,
        },
    )
}

fn server(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 10 + number)
}

impl Seen {
    fn write(&self, number: usize, lines: &mut Vec<String>) {
        let (pod, verdict) = (self.pod, ["FORWARDED", "DROPPED", "AUDIT"][usize::from(self.verdict)]);
        let workload = format!(
            r#"{{"identity":400{pod},"namespace":"shop","pod_name":"cart-{pod}","labels":["k8s:app=cart"],"workloads":[{{"name":"cart","kind":"Deployment"}}]}}"#
        );
        let world = r#"{"identity":2,"labels":["reserved:world"]}"#;
        let (client, server) = (format!("10.0.1.{}", 5 + pod), server(self.server).to_string());
        let ports = (40_000 + self.port, 443);
        let (from, to, ends, ports) = if self.is_reply {
            (&server, &client, (world, &*workload), (ports.1, ports.0))
        } else {
            (&client, &server, (&*workload, world), ports)
        };
        let layer = match self.port {
            0 => r#"{"ICMPv4":{"type":8}}"#.to_owned(),
            _ => format!(
                r#"{{"TCP":{{"source_port":{},"destination_port":{},"flags":{{"ACK":true}}}}}}"#,
                ports.0, ports.1
            ),
        };
        for (place, time) in self.times.all().into_iter().enumerate() {
            let time = Timestamp::from_nanos(time);
            let id = if self.has_id {
                // Not in the order of time.
                let [number, place] = [number, place].map(|number| number.wrapping_mul(0x9e37_79b1) & 0xffff_ffff);
                format!(r#""uuid":"{number:08x}-0000-4000-8000-{place:012x}","#)
            } else {
                String::new()
            };
            let line = format!(
                r#"{{"flow":{{"time":"{time}",{id}"verdict":"{verdict}","IP":{{"source":"{from}","destination":"{to}","ipVersion":"IPv4"}},"l4":{layer},"source":{},"destination":{},"Type":"L3_L4","node_name":"node-{}","traffic_direction":"EGRESS","is_reply":{}}},"node_name":"node-{}","time":"{time}"}}"#,
                ends.0, ends.1, self.node, self.is_reply, self.node
            );
            if self.twice && place % 3 == 0 {
                lines.push(line.clone());
            }
            lines.push(line);
        }
    }
}

/// One name that a pod asks for again and again.
#[derive(Clone, Debug)]
struct Asked {
    pod: u8,
    name: u8,
    is_missing: bool,
    /// Whether the server shuffles, and its cache counts down.
    rotates: bool,
    times: Times,
}

fn asked() -> impl Strategy<Value = Asked> {
    (0_u8..3, 0_u8..3, prop::bool::weighted(0.3), any::<bool>(), times())
        .prop_map(|(pod, name, is_missing, rotates, times)| Asked { pod, name, is_missing, rotates, times })
}

impl Asked {
    fn write(&self, frames: &mut Vec<Vec<u8>>) {
        let resolver =
            dnstap::Resolver { identity: "coredns".into(), version: "CoreDNS-1.14.7".into(), mapped_addresses: false };
        for (place, time) in self.times.all().into_iter().enumerate() {
            let name = if self.is_missing {
                format!("a{}.t.carrier.example.net", self.name)
            } else {
                format!("api{}.example.com", self.name)
            };
            let question = dns::Question { id: 7, name: &name, query_type: dns::QueryType::A };
            let mut addresses: Vec<IpAddr> =
                [self.name, (self.name + 1) % 3].map(|number| server(number).into()).into();
            if self.rotates && place % 2 == 1 {
                addresses.reverse();
            }
            let ttl = if self.rotates { 30 - u32::try_from(place % 30).unwrap() } else { 30 };
            let rcode = if self.is_missing { 3 } else { 0 };
            let addresses = if self.is_missing { &[][..] } else { &addresses };
            let answer = dns::Answer { rcode, aliases: &[], addresses, ttl, authoritative: false, compressed: false };
            let (mut message, mut payload) = (Vec::new(), Vec::new());
            dns::response(&mut message, question, &answer);
            let at = Timestamp::from_nanos(time);
            let client = IpAddr::from([10, 0, 1, 5 + self.pod]);
            let (query_time, response_time) = (at, Some(at));
            let tap = dnstap::Tap { client, port: 40_000, query_time, response_time, message: &message, extra: "" };
            resolver.write(&mut payload, &tap);
            frames.push(payload);
        }
    }
}

/// Writes the traffic to files of about equal size; the arguments that name them.
fn write(folder: &Path, seen: &[Seen], asked: &[Asked], parts: usize) -> Vec<String> {
    let (mut lines, mut frames) = (Vec::new(), Vec::new());
    for (number, seen) in seen.iter().enumerate() {
        seen.write(number, &mut lines);
    }
    for asked in asked {
        asked.write(&mut frames);
    }
    // Dealt out, so that every file has records of every minute.
    let mut arguments = Vec::new();
    for part in 0..parts {
        let own: Vec<&String> = lines.iter().skip(part).step_by(parts).collect();
        let mut text = String::new();
        for line in own {
            writeln!(text, "{line}").unwrap();
        }
        let mut capture = Vec::new();
        dnstap::start(&mut capture);
        frames.iter().skip(part).step_by(parts).for_each(|frame| dnstap::frame(&mut capture, frame));
        dnstap::stop(&mut capture);
        for (flag, name, content) in [
            ("--flows", format!("flows-{part}.log"), text.as_bytes()),
            ("--dns", format!("dns-{part}.fstrm"), &capture),
        ] {
            // Nothing but the frames of a beginning and an end.
            if content.is_empty() || (flag == "--dns" && frames.len() <= part) {
                continue;
            }
            std::fs::write(folder.join(&name), content).unwrap();
            arguments.extend([flag.to_owned(), path(folder, &name)]);
        }
    }
    arguments
}

/// The folder of the folded store and that of the other.
fn stores(folder: &Path, traffic: &[String]) -> [PathBuf; 2] {
    [("folded", None), ("whole", Some("--no-fold"))].map(|(name, flag)| {
        let own = folder.join(name);
        std::fs::create_dir(&own).unwrap();
        let store = words(&["import", "--cluster", "test", "--store", &path(&own, "lake")]);
        let flag: Vec<String> = flag.into_iter().map(str::to_owned).collect();
        let ran = go(&[&store, &flag, traffic]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        own
    })
}

/// Runs a command on both stores. Output, and whatever it writes to `--out`, must be the same.
fn same_of_both(folders: &[PathBuf; 2], command: &[&str], out: Option<&str>, more: &[String]) {
    let ran = folders.each_ref().map(|folder| {
        let mut all = words(command);
        all.extend(words(&["--store", &path(folder, "lake")]));
        if let Some(name) = out {
            all.extend(words(&["--out", &path(folder, name)]));
        }
        let ran = go(&[&all, more]);
        // A window may hold nothing at all; that is an error, and must be the same one.
        let is_empty = ran.status == 2 && ran.err.contains("there is no record in it");
        assert!(ran.status != 2 || is_empty, "{command:?}: {}", ran.err);
        let error = is_empty.then_some(ran.err);
        (ran.status, ran.out.replace(&folder.display().to_string(), ""), error)
    });
    assert_eq!(ran[0], ran[1], "{command:?} {more:?}");
    if ran[0].0 == 2 {
        return;
    }
    let [one, two] = folders.each_ref().map(|folder| folder.join(out.unwrap_or("nothing")));
    if one.is_dir() {
        assert_same(&one, &two, &format!("{command:?} {more:?}"));
    } else if one.is_file() {
        let [one, two] = [one, two].map(|file| std::fs::read_to_string(file).unwrap());
        let differing = one.lines().zip(two.lines()).find(|(one, two)| one != two);
        assert!(one == two, "{command:?} {more:?}: {differing:?}");
    }
}

fn rows_and_bytes(store: &Path) -> (usize, u64) {
    let pieces = scan(store, &ScanOptions::default()).unwrap().pieces;
    let files: std::collections::BTreeSet<&PathBuf> = pieces.iter().map(|piece| &piece.path).collect();
    let bytes = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    (pieces.iter().map(|piece| piece.rows.1).sum(), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_command_can_tell_a_folded_store(
        seen in prop::collection::vec(seen(), 1..14),
        asked in prop::collection::vec(asked(), 0..8),
        parts in prop::sample::select(vec![1_usize, 3, 10]),
        idle in prop::sample::select(vec!["1m", "5m", "10m"]),
        window in prop::sample::select(vec!["1s", "2m", "24h"]),
        since in (0_i64..20, 0..STARTS.len(), -1_i64..2),
        length in 0..GAPS.len(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let traffic = write(folder.path(), &seen, &asked, parts);
        let config = folder.path().join("egress-atlas.toml");
        std::fs::write(&config, format!("[join]\nidle = \"{idle}\"\nwindow = \"{window}\"\n")).unwrap();
        let config = words(&["--config", &config.display().to_string()]);
        let both = stores(folder.path(), &traffic);
        let begin = BASE + since.0 * 60 * SECOND + STARTS[since.1] + since.2;
        let end = begin + GAPS[length].max(1);
        let [begin, end] = [begin, end].map(|time| Timestamp::from_nanos(time).to_string());
        let asked = words(&["--since", &begin, "--until", &end]);
        let half = words(&["--since", &begin]);
        for (number, times) in [vec![], half, asked].into_iter().enumerate() {
            let more = [config.clone(), times].concat();
            same_of_both(&both, &["attribute"], Some(&format!("rows-{number}.ndjson")), &more);
            same_of_both(&both, &["discover"], Some(&format!("documents-{number}")), &more);
            same_of_both(&both, &["investigate", "shop", "--format", "json"], None, &more);
            same_of_both(&both, &["preflight", "--format", "json"], None, &more);
        }
        // Policies in force, a change an hour ago, and a baseline of an earlier evening: nobody can tell either.
        let policies = path(folder.path(), "policies.yaml");
        std::fs::write(&policies, POLICIES).unwrap();
        let judged = words(&["--policies", &policies, "--profile", "cilium", "--format", "json"]);
        same_of_both(&both, &["replay"], None, &[config.clone(), judged.clone()].concat());
        same_of_both(&both, &["replay"], None, &[config.clone(), judged.clone(), words(&["--since", &begin])].concat());
        for length in ["2m", "30m"] {
            let soaked = words(&["--since", &begin, "--for", length, "--grace", "10s"]);
            same_of_both(&both, &["soak"], None, &[config.clone(), judged.clone(), soaked].concat());
        }
        let approved = path(folder.path(), "approved");
        let whole = words(&["discover", "--store", &path(&both[1], "lake"), "--out", &approved]);
        let before = go(&[&whole, &config, &words(&["--until", &begin])]);
        if before.status == 2 {
            prop_assert_ne!(go(&[&whole, &config]).status, 2);
        }
        for times in [vec![], words(&["--since", &begin])] {
            let drifted = [config.clone(), words(&["--baseline", &approved, "--format", "json"]), times].concat();
            same_of_both(&both, &["drift"], None, &drifted);
        }
        // Slices of a folded store are those of the whole.
        let (_, merged) = sliced(&both[0], &path(&both[0], "lake"), "sliced", 1, &config, &[]);
        prop_assert_ne!(merged.status, 2, "{}", merged.err);
        assert_same(&both[0].join("sliced-1-documents"), &both[1].join("documents-0"), "slices");
    }
}

#[derive(Default)]
struct Cluster {
    flows: Vec<u8>,
    dns: Vec<u8>,
}

impl Sink for Cluster {
    fn flow_line(&mut self, _: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.dns, payload);
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, _: &[u8]) {}
}

/// Files of a small busy cluster; the arguments that name them.
fn busy(folder: &Path) -> Vec<String> {
    let mut cluster = Cluster::default();
    dnstap::start(&mut cluster.dns);
    let scenario = Scenario { flows: 4_000, long_connections: 0.5, reuse: 0.0, ..Scenario::bench(3) };
    generate(&scenario, &mut cluster);
    dnstap::stop(&mut cluster.dns);
    std::fs::write(folder.join("flows.log"), &cluster.flows).unwrap();
    std::fs::write(folder.join("dns.fstrm"), &cluster.dns).unwrap();
    words(&["--flows", &path(folder, "flows.log"), "--dns", &path(folder, "dns.fstrm")])
}

#[test]
fn repeats_take_less_room_and_import_says_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = busy(folder.path());
    let both = stores(folder.path(), &traffic);
    let [few, all] = both.each_ref().map(|folder| rows_and_bytes(&folder.join("lake")));
    assert!(few.0 < all.0 && few.1 < all.1, "{few:?} {all:?}");
    let again = tempfile::tempdir().unwrap();
    let said = go(&[&words(&["import", "--store", &path(again.path(), "lake")]), &traffic]).err;
    let line = said.lines().find(|line| line.starts_with("stored: ")).unwrap();
    assert!(line.contains(&format!(" in {} rows (", few.0)), "{line}");
    same_of_both(&both, &["discover"], Some("documents"), &[]);
}

/// A store as versions wrote it that did not fold: without the columns of repeats. Their bytes remain in the files; no footer names them.
fn without_columns(store: &Path) {
    let is_later = |name: &str| ["records", "last", "repeats"].contains(&name);
    for piece in scan(store, &ScanOptions::default()).unwrap().pieces {
        let mut bytes = std::fs::read(&piece.path).unwrap();
        let tail = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
        let start = tail - length;
        let mut decoder = TCompactInputProtocol::new(&bytes[start..tail], usize::MAX);
        let mut footer = FileMetaData::read_from_in_protocol(&mut decoder).unwrap();
        footer.schema.retain(|column| !is_later(&column.name));
        footer.schema[0].num_children = i32::try_from(footer.schema.len() - 1).ok();
        footer.column_orders = None;
        footer.key_value_metadata = None;
        for group in &mut footer.row_groups {
            group.columns.retain(|column| !is_later(&column.meta_data.as_ref().unwrap().path_in_schema[0]));
        }
        bytes.truncate(start);
        footer.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes)).unwrap();
        let length = u32::try_from(bytes.len() - start).unwrap();
        bytes.extend(length.to_le_bytes());
        bytes.extend(b"PAR1");
        std::fs::write(&piece.path, &bytes).unwrap();
    }
}

#[test]
fn older_stores_are_read_and_merged_with_newer_ones() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = busy(folder.path());
    let both = stores(folder.path(), &traffic);
    without_columns(&both[1].join("lake"));
    same_of_both(&both, &["discover"], Some("documents"), &[]);
    // More files by a version that folds, until the small ones are merged.
    let seen = Seen {
        pod: 1,
        server: 2,
        port: 1,
        is_reply: false,
        node: 0,
        verdict: 0,
        has_id: true,
        twice: true,
        times: Times { minute: 3, start: 0, gaps: vec![1; 30] },
    };
    let ten = tempfile::tempdir().unwrap();
    let more = write(ten.path(), &[seen], &[], 10);
    std::fs::remove_file(both[1].join("lake/state/unfolded")).unwrap();
    let rows = both.each_ref().map(|folder| {
        let ran = go(&[&words(&["import", "--store", &path(folder, "lake")]), &more]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        rows_and_bytes(&folder.join("lake")).0
    });
    assert!(rows[0] <= rows[1], "{rows:?}");
    same_of_both(&both, &["discover"], Some("more"), &[]);
    same_of_both(&both, &["attribute"], Some("rows.ndjson"), &[]);
}

#[test]
fn ids_of_connections_that_folding_cannot_tell_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = busy(folder.path());
    let both = stores(folder.path(), &traffic);
    std::fs::write(folder.path().join("short.toml"), "[join]\nidle = \"59s\"\n").unwrap();
    let [refused, told] = both.map(|own| {
        let config = path(folder.path(), "short.toml");
        run(&["attribute", "--store", &path(&own, "lake"), "--config", &config, "--out", &path(&own, "rows.ndjson")])
    });
    assert_eq!((refused.status, told.status), (2, 0), "{}{}", refused.err, told.err);
    assert!(refused.err.contains("give `idle` a minute or more"), "{}", refused.err);
}
