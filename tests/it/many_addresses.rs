//! Destinations with more addresses than an edge lists: none of them hides what rules say of it, in any order and any slicing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::LazyLock;

use egress_atlas::catalog::{Catalog, Date, RuleRanges, Settings};
use egress_atlas::classify::{Destination, Rules, classify};
use egress_atlas::detect::findings;
use egress_atlas::model::{Protocol, Timestamp, is_special};
use egress_atlas::summary::{EdgeSeen, LISTED_MAX};
use proptest::prelude::*;

use crate::lake::{go, path, words};
use crate::recording::{Seen, Told, at, capture, line};
use crate::slices::{assert_same, sliced};

const SETTINGS: &str = r#"
[networks]
pods = ["45.3.0.0/16"]
[clusters.prod.networks]
internal = ["45.4.0.0/24"]
[[category]]
category = "vendor"
match = ["45.2.0.0/16"]
[[suspect]]
match = ["45.1.0.0/16", "2001:db9::/48"]
severity = "high"
class = "c2"
why = "seen in an incident"
[[exempt]]
match = ["45.1.2.0/28"]
class = ["c2"]
owner = "team-web"
reason = "our honeypot"
expires = 2030-01-01
"#;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());
static PARSED: LazyLock<Settings> = LazyLock::new(|| Settings::parse(SETTINGS, "egress-atlas.toml").unwrap());

/// Addresses that rules tell apart, among many that they do not.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = |octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets));
    let marked = [
        "169.254.169.254",
        "169.254.1.1",
        "1.1.1.1",
        "8.8.8.8",
        "9.9.9.9",
        "10.1.2.3",
        "192.0.2.5",
        "198.51.100.7",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::2d01:203",
        "64:ff9b::2d09:203",
        "2002:a01:203::1",
        "2001:db8::1",
        "2001:db9::1",
        "2606:4700:4700::1111",
        "fd00:ec2::254",
        "fe80::1",
    ];
    prop_oneof![
        6 => any::<[u8; 2]>().prop_map(move |[high, low]| v4([45, 9, high, low])),
        1 => (1_u8..5, 0_u8..4, any::<u8>()).prop_map(move |(second, third, last)| v4([45, second, third, last])),
        1 => any::<u16>().prop_map(|last| IpAddr::V6(Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, last))),
        1 => prop::sample::select(marked.to_vec()).prop_map(|text| text.parse().unwrap()),
    ]
}

proptest! {
    /// What the rules say of all addresses, they say of those that an edge keeps.
    #[test]
    fn what_is_kept_tells_what_all_tell(
        (addresses, shuffled) in prop::collection::vec(address(), 1..260)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        parts in 1_usize..6,
        port in prop::sample::select(vec![Some(80_u16), Some(443), Some(53), None]),
        is_named: bool,
    ) {
        let ranges = RuleRanges::of(&CATALOG, &PARSED);
        let keep = |addresses: &[IpAddr]| {
            let seen = EdgeSeen { addresses: addresses.iter().map(|address| (*address, 1)).collect(), ..EdgeSeen::default() };
            let mut kept = EdgeSeen::default();
            kept.absorb_with(seen, &ranges);
            kept
        };
        let mut sliced = EdgeSeen::default();
        for part in shuffled.chunks(shuffled.len().div_ceil(parts)) {
            sliced.absorb_with(keep(part), &ranges);
        }
        let whole = keep(&addresses);
        prop_assert_eq!((whole.addresses.keys().collect::<Vec<_>>(), &whole.beyond), (sliced.addresses.keys().collect(), &sliced.beyond));
        prop_assert!(whole.addresses.len() <= LISTED_MAX);

        let rules = Rules { catalog: &CATALOG, settings: &PARSED, cluster_domain: "cluster.local" };
        let day = Date::of(Timestamp::parse(b"2026-03-02T10:00:00Z").unwrap());
        let all: Vec<IpAddr> = addresses.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let kept = sliced.telling_addresses();
        let say = |addresses: &[IpAddr]| {
            let name = is_named.then_some("files.example.com");
            let destination = Destination { cluster: "prod", namespace: "shop", workload: "web", name, addresses, port, protocol: Protocol::TCP, ..Destination::default() };
            (classify(&destination, &rules), findings(&destination, &rules, day), addresses.iter().all(|address| is_special(*address)))
        };
        prop_assert_eq!(say(&kept), say(&all));
    }
}

/// 45.9.0.0 and so many.
fn plain(number: u32) -> String {
    Ipv4Addr::from(0x2d09_0000 + number).to_string()
}

/// A pod that looks one name up, gets these addresses and connects to each, dealt out to files in an order of `seed`; the flags that read them.
fn write(folder: &Path, addresses: &[String], files: usize, seed: u64) -> Vec<String> {
    std::fs::create_dir_all(folder).unwrap();
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|number| egress_atlas::model::stable_hash(&format!("{seed} {number}")));
    let mut inputs = Vec::new();
    for file in 0..files {
        let own = || order.iter().skip(file).step_by(files).copied();
        let connected = |number: usize| {
            let source_port = 20_000 + u16::try_from(number).unwrap();
            let time = at(60.0 + f64::from(source_port - 20_000) / 100.0);
            line(&Seen { time, source_port, destination: &addresses[number], ..Seen::default() })
        };
        let answered: Vec<&str> = own().map(|number| addresses[number].as_str()).collect();
        let told =
            answered.chunks(10).map(|addresses| Told { name: "files.example.com", addresses, ..Told::default() });
        let flows = format!("flows-{file}.log");
        let answers = format!("dns-{file}.fstrm");
        std::fs::write(folder.join(&flows), own().map(connected).collect::<String>()).unwrap();
        std::fs::write(folder.join(&answers), capture(&told.collect::<Vec<_>>())).unwrap();
        inputs.extend(words(&["--flows", &path(folder, &flows), "--dns", &path(folder, &answers)]));
    }
    inputs
}

#[test]
fn no_suspect_hides_among_many_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let mut addresses: Vec<String> = (0..300).map(plain).collect();
    // Behind all the others in every order that a list may have.
    addresses.push("203.0.113.200".into());
    let rule = "[[suspect]]\nmatch = [\"203.0.113.200\"]\nseverity = \"high\"\nclass = \"c2\"\nwhy = \"incident\"\n";
    std::fs::write(folder.path().join("egress-atlas.toml"), rule).unwrap();
    let config = words(&["--config", &at("egress-atlas.toml")]);
    let discover = |inputs: &[String], out: &str| {
        let ran = go(&[&words(&["discover", "--cluster", "test", "--out", &at(out)]), &config, inputs]);
        assert_eq!(ran.status, 0, "{}", ran.err);
    };
    for (turn, files) in [1, 3, 4].into_iter().enumerate() {
        let input = folder.path().join(format!("in-{turn}"));
        let inputs = write(&input, &addresses, files, turn as u64);
        let store = at(&format!("turn-{turn}/lake"));
        assert_eq!(go(&[&words(&["import", "--cluster", "test", "--store", &store]), &inputs]).status, 0);
        discover(&words(&["--store", &store]), &format!("stored-{turn}"));
        let (slices, merged) = sliced(folder.path(), &store, &format!("sliced-{turn}"), 60, &config, &[]);
        assert!(slices > 1 && merged.status == 0, "{slices} {}", merged.err);
        let stored = folder.path().join(format!("stored-{turn}"));
        assert_same(&stored, &folder.path().join(format!("sliced-{turn}-60-documents")), "slices");
        assert_same(&folder.path().join("stored-0"), &stored, "order");
        discover(&inputs, &format!("files-{turn}"));
    }
    for name in ["stored-2", "files-0", "files-1", "files-2"] {
        let text = std::fs::read_to_string(folder.path().join(name).join("atlas.json")).unwrap();
        let atlas: serde_json::Value = serde_json::from_str(&text).unwrap();
        let edge = &atlas["clusters"]["test"]["namespaces"]["shop"]["egress"][0];
        assert_eq!(edge["addresses"].as_object().unwrap().len(), LISTED_MAX);
        let found: Vec<&str> = (edge["judgement"]["findings"].as_array().unwrap().iter())
            .map(|finding| finding["rule"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["suspect/c2", "suspect/reserved-range"], "{name}");
    }
}

#[test]
fn an_investigation_holds_the_same_of_many_addresses_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut addresses: Vec<String> = (0..4_400).map(plain).collect();
    addresses.push("169.254.169.254".into());
    let mut answers = (0_usize..3).map(|turn| {
        let inputs = write(&folder.path().join(turn.to_string()), &addresses, 1 + turn, turn as u64);
        let threads = (1 + turn).to_string();
        let asked = words(&[
            "investigate",
            "files.example.com",
            "--cluster",
            "test",
            "--format",
            "json",
            "--threads",
            &threads,
        ]);
        let ran = go(&[&asked, &inputs]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()
    });
    let first = answers.next().unwrap();
    let pair = &first["pairs"][0];
    assert_eq!(pair["addresses_total"], 4_401);
    let listed: Vec<&String> = pair["edge"]["addresses"].as_object().unwrap().keys().collect();
    let mut smallest: Vec<String> = (0..64).map(plain).collect();
    smallest.sort();
    assert_eq!(listed, smallest.iter().collect::<Vec<_>>());
    let rules = pair["edge"]["judgement"]["findings"].to_string();
    assert!(rules.contains("cloud-metadata") || rules.contains("cloud_metadata"), "{rules}");
    let notes = first["notes"].to_string();
    assert!(notes.contains("over 1 pair that leaves out 4,337 addresses and 0 pods"), "{notes}");
    for other in answers {
        assert_eq!(first, other);
    }
}

#[test]
fn an_investigation_says_when_a_pair_has_more_names_than_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let check = |names: u16, expected: bool| {
        let all: Vec<String> = (0..names).map(|number| format!("n{number}.example.net")).collect();
        let connected = (0_u16..).zip(&all).map(|(number, name)| {
            let time = at(60.0 + f64::from(number) / 100.0);
            line(&Seen { time, source_port: 20_000 + number, reported: &[name], ..Seen::default() })
        });
        let told = Told { name: "files.example.com", addresses: &["93.184.215.14"], ..Told::default() };
        std::fs::write(folder.path().join("flows.log"), connected.collect::<String>()).unwrap();
        std::fs::write(folder.path().join("dns.fstrm"), capture(&[told])).unwrap();
        let asked = words(&["investigate", "files.example.com", "--cluster", "test", "--format", "json"]);
        let inputs = words(&["--flows", &path(folder.path(), "flows.log"), "--dns", &path(folder.path(), "dns.fstrm")]);
        let ran = go(&[&asked, &inputs]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["pairs"].as_array().unwrap().len(), 1);
        assert_eq!(document["pairs"][0]["edge"]["names"].as_object().unwrap().len(), LISTED_MAX);
        assert_eq!(document["notes"].to_string().contains("There are more names"), expected, "{}", document["notes"]);
    };
    // And the name that the target is.
    check(4_095, false);
    check(4_096, true);
}
