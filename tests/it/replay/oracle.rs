//! Cases of np-guard's netpol-analyzer with the connections that it expects: pods by their owner, everything outside as one peer.
//!
//! Its known faults are in the fixtures' `SOURCES.md`; what it does not answer is left out here too.

use std::collections::{BTreeMap, BTreeSet};

use egress_atlas::kube::ContainerPort;
use egress_atlas::model::Protocol;
use egress_atlas::replay::{Connection, End, Evaluator, Names, Profile};
use serde_json::Value;

use super::set;
use crate::support::fixture;

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(&format!("policy/np-guard/{name}"))).unwrap()
}

/// Objects of a list, JSON or YAML.
fn items(text: &str) -> Vec<Value> {
    let list: Value = serde_saphyr::from_str(text).unwrap();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn labels(object: &Value) -> Vec<(String, String)> {
    let labels = object["metadata"]["labels"].as_object();
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Ends by the name that the tool gives them.
fn ends(pods: &str, namespaces: &str) -> BTreeMap<String, End> {
    let namespaces: BTreeMap<String, Vec<(String, String)>> = items(namespaces)
        .iter()
        .map(|namespace| (namespace["metadata"]["name"].as_str().unwrap().to_owned(), labels(namespace)))
        .collect();
    let mut found = BTreeMap::new();
    for pod in items(pods) {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
        let owner = &pod["metadata"]["ownerReferences"][0];
        let name = match (owner["name"].as_str(), owner["kind"].as_str()) {
            (Some(name), Some(kind)) => format!("{namespace}/{name}[{kind}]"),
            _ => format!("{namespace}/{}[Pod]", pod["metadata"]["name"].as_str().unwrap()),
        };
        let own = labels(&pod);
        let own: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut end = End::pod(namespace, &own);
        let of_namespace = namespaces.get(namespace).cloned().unwrap_or_default();
        end.namespace_labels = Some(std::sync::Arc::new(
            of_namespace.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        ));
        end.address = pod["status"]["podIP"].as_str().and_then(|address| address.parse().ok());
        let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let ports = containers.iter().flat_map(|container| container["ports"].as_array().cloned().unwrap_or_default());
        end.ports = Some(
            ports
                .map(|port| ContainerPort {
                    name: port["name"].as_str().unwrap_or_default().into(),
                    port: u16::try_from(port["containerPort"].as_u64().unwrap()).unwrap(),
                    protocol: protocol(port["protocol"].as_str().unwrap_or("TCP")),
                })
                .collect(),
        );
        found.insert(name, end);
    }
    found.insert("0.0.0.0-255.255.255.255[External]".to_owned(), End::outside("203.0.113.1".parse().unwrap()));
    found
}

fn protocol(word: &str) -> Protocol {
    match word {
        "TCP" => Protocol::TCP,
        "UDP" => Protocol::UDP,
        "SCTP" => Protocol::SCTP,
        _ => panic!("{word}"),
    }
}

/// `TCP 80,443,1000-2000,UDP 53` as ranges by protocol.
fn allows(connections: &str, wanted: (u16, Protocol)) -> bool {
    if connections == "All Connections" {
        return true;
    }
    let mut current = Protocol::UNKNOWN;
    connections.split(',').any(|part| {
        let numbers = match part.trim().split_once(' ') {
            Some((word, rest)) => {
                current = protocol(word);
                rest
            }
            None => part.trim(),
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        current == wanted.1 && (first.parse().unwrap()..=last.parse().unwrap()).contains(&wanted.0)
    })
}

/// Returns how many questions were asked and how many connections were to be stopped.
fn check(policies: &str, pods: &str, namespaces: &str, expected: &str) -> (u32, u32) {
    let ends = ends(&read(pods), &read(namespaces));
    let expected: Value = serde_json::from_str(&read(expected)).unwrap();
    let expected: BTreeMap<(&str, &str), &str> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ((row["src"].as_str().unwrap(), row["dst"].as_str().unwrap()), row["conn"].as_str().unwrap()))
        .collect();
    let named: BTreeSet<&str> = expected.keys().flat_map(|(from, to)| [*from, *to]).collect();
    for name in &named {
        assert!(ends.contains_key(*name), "{name} is not among the pods");
    }
    let policies = set(&read(policies));
    let evaluator = Evaluator::new(&policies, Profile::CILIUM);
    let prepared: BTreeMap<&String, _> =
        ends.iter().map(|(name, end)| (name, evaluator.prepare(end.clone()))).collect();
    let nameless = Names::default();
    let (mut asked, mut stopped) = (0, 0);
    for (from, client) in &prepared {
        for (to, server) in &prepared {
            if from == to {
                continue;
            }
            let connections = expected.get(&(from.as_str(), to.as_str())).copied().unwrap_or_default();
            for wanted in [
                (53, Protocol::UDP),
                (80, Protocol::TCP),
                (10_053, Protocol::TCP),
                (10_053, Protocol::UDP),
                (8_082, Protocol::TCP),
                (60_000, Protocol::SCTP),
            ] {
                let judgement = evaluator.judge(&Connection {
                    client,
                    server,
                    port: wanted.0,
                    client_port: 0,
                    icmp: None,
                    protocol: wanted.1,
                    names: &nameless,
                    guessed: false,
                });
                let passes = !connections.is_empty() && allows(connections, wanted);
                assert_eq!(judgement.passes(), passes, "{from} to {to}, {wanted:?}: {connections:?}, {judgement:?}");
                asked += 1;
                stopped += u32::from(!passes);
            }
        }
    }
    (asked, stopped)
}

#[test]
fn np_guard_named_ports() {
    let folder = "test_with_named_ports";
    let (asked, stopped) = check(
        &format!("{folder}/policies.yaml"),
        &format!("{folder}/pod_list.json"),
        &format!("{folder}/ns_list.json"),
        &format!("{folder}/EXPECTED.connlist.json"),
    );
    assert!(asked > 2_000 && stopped > 100, "{asked} {stopped}");
}

#[test]
fn np_guard_port_ranges() {
    let folder = "with_end_port_example";
    let (asked, stopped) = check(
        &format!("{folder}/netpol.yaml"),
        &format!("{folder}/pods_list.yaml"),
        &format!("{folder}/ns_list.yaml"),
        &format!("{folder}/EXPECTED.connlist.json"),
    );
    assert!(asked > 2_000, "{asked} {stopped}");
}
