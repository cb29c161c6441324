//! What is too large for one rule or one object of a dialect is split, and nothing gets lost on the way.

use std::collections::BTreeSet;

use egress_atlas::model::Protocol;
use egress_atlas::policy::draft::{Dialect, Manifest, bundle};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Connection, End, Evaluator, Names, Prepared};
use egress_atlas::summary::Peer;
use serde_json::Value;

use super::round_trip::ENFORCERS;
use super::schema::refused;
use crate::admission::{draft_of, edge, named, workload};

const PORTS: std::ops::Range<u16> = 8_000..8_060;
const NAMES: u16 = 130;
const SUBNETS: u8 = 250;

/// Every list below a key of that name.
fn lists<'v>(value: &'v Value, key: &str) -> Vec<&'v Vec<Value>> {
    let mut found = Vec::new();
    let mut waiting = vec![value];
    while let Some(next) = waiting.pop() {
        match next {
            Value::Array(items) => waiting.extend(items),
            Value::Object(entries) => {
                found.extend(entries.get(key).and_then(Value::as_array));
                waiting.extend(entries.values());
            }
            _ => {}
        }
    }
    found
}

#[test]
#[expect(clippy::too_many_lines, reason = "every bound of every dialect on one draft")]
fn large_drafts_are_split_and_whole() {
    let db = Peer::Workload { cluster: "".into(), namespace: "shop".into(), workload: workload("db") };
    let mut edges: Vec<_> = PORTS.map(|port| edge(db.clone(), (Protocol::TCP, port), &["10.0.0.9"])).collect();
    for number in 0..NAMES {
        let address = format!("203.0.{}.{}", number / 100, number % 100 + 1);
        edges.push(named(&format!("host-{number}.vendor-{number}.example"), (Protocol::TCP, 443), &[&address]));
    }
    edges.push(named("bank.example", (Protocol::TCP, 5432), &["192.0.7.1"]));
    let subnets: Vec<String> = (0..SUBNETS).map(|number| format!("\"192.0.{number}.0/25\"")).collect();
    let settings = format!(
        "[draft]\npod_to_pod = false\nstable_days = 1\n[[draft.database]]\nname = \"bank\"\nsubnets = [{}]\nports = [5432]\n",
        subnets.join(", ")
    );
    for (dialect, profile) in ENFORCERS {
        let draft = draft_of(edges.clone(), &settings, dialect, "");
        let manifests = bundle(&draft).unwrap().manifests;
        let mut names = BTreeSet::new();
        for manifest in &manifests {
            let object = manifest.json();
            assert_eq!(refused(dialect, &object), None, "{dialect} {}", manifest.name);
            assert!(names.insert(manifest.name.clone()), "{dialect}: {} twice", manifest.name);
            let most = |key: &str| lists(&object, key).into_iter().map(Vec::len).max().unwrap_or(0);
            let bounds: &[(&str, usize)] = match dialect {
                Dialect::Kubernetes => &[("ports", 24)],
                Dialect::Cilium => &[("ports", 40)],
                Dialect::Antrea => &[],
                Dialect::Calico => &[("ports", 50), ("nets", 256)],
                Dialect::ClusterNetworkPolicy => &[
                    ("egress", 25),
                    ("ingress", 25),
                    ("to", 25),
                    ("protocols", 25),
                    ("networks", 25),
                    ("domainNames", 25),
                ],
            };
            for (key, bound) in bounds {
                assert!(most(key) <= *bound, "{dialect} {}: {} in `{key}`", manifest.name, most(key));
            }
        }
        let texts: Vec<String> = manifests.iter().map(Manifest::yaml).collect();
        let sources: Vec<PolicySource<'_>> =
            texts.iter().map(|text| PolicySource { file: "p", text, cluster: None }).collect();
        let set = PolicySet::parse(&sources).unwrap();
        let evaluator = Evaluator::new(&set, profile);
        let pod = |app: &str, address: &str| {
            let mut end = End::pod("shop", &[("app", app)]);
            end.address = Some(address.parse().unwrap());
            evaluator.prepare(end)
        };
        let (web, db) = (pod("web", "10.0.0.1"), pod("db", "10.0.0.9"));
        let passes = |server: &Prepared, port: u16, name: &str| {
            let names = if name.is_empty() { Names::default() } else { Names::own(name) };
            let connection = Connection {
                client: &web,
                server,
                port,
                client_port: 0,
                icmp: None,
                protocol: Protocol::TCP,
                names: &names,
                guessed: false,
            };
            evaluator.judge(&connection).denial().is_none_or(|(way, _)| way.as_str() == "ingress")
        };
        let outside = |address: &str| evaluator.prepare(End::outside(address.parse().unwrap()));
        assert!(PORTS.into_iter().all(|port| passes(&db, port, "")), "{dialect}: a port got lost");
        assert!(!passes(&db, 7_999, "") && !passes(&db, 8_060, ""), "{dialect}: a port too many");
        for number in 0..SUBNETS {
            assert!(passes(&outside(&format!("192.0.{number}.5")), 5432, "x.example"), "{dialect}: a subnet got lost");
            assert!(!passes(&outside(&format!("192.0.{number}.200")), 5432, "x.example"), "{dialect}");
        }
        for number in 0..NAMES {
            let address = format!("203.0.{}.{}", number / 100, number % 100 + 1);
            let name = format!("host-{number}.vendor-{number}.example");
            assert!(passes(&outside(&address), 443, &name), "{dialect}: {name} got lost");
        }
        assert!(!passes(&outside("203.0.113.250"), 443, "other.example"), "{dialect}");
    }
}
