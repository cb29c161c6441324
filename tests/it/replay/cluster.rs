//! A small cluster as files: Hubble records, Kubernetes objects and policies, and the command's answer for each connection.

use serde_json::{Value, json};

use crate::support::{folder, run};

/// Name, address, node, labels, container ports.
type Pod = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static [Port]);
type Port = (&'static str, u16, &'static str);

const WEB: &[Port] = &[("web", 80, "TCP"), ("dns", 53, "UDP")];
const PG: &[Port] = &[("pg", 5_432, "TCP")];
const PODS: [Pod; 6] = [
    ("x/a", "10.0.0.1", "n1", &[("app", "a"), ("tier", "front")], WEB),
    ("x/b", "10.0.0.2", "n2", &[("app", "b")], WEB),
    ("y/a", "10.0.1.1", "n1", &[("app", "a")], WEB),
    ("y/db", "10.0.1.2", "n2", &[("app", "db")], PG),
    ("kube-system/dns", "10.0.2.1", "n2", &[("k8s-app", "kube-dns")], &[("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")]),
    ("y/on-host", "192.168.1.2", "n2", &[("app", "on-host")], &[]),
];
const NAMESPACES: [(&str, &[(&str, &str)]); 3] =
    [("x", &[("ns", "x"), ("team", "red")]), ("y", &[("ns", "y"), ("team", "blue")]), ("kube-system", &[])];
const NODES: [(&str, &str, &str); 2] = [("n1", "192.168.1.1", "db"), ("n2", "192.168.1.2", "web")];

fn labels(of: &[(&str, &str)]) -> Value {
    of.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect::<serde_json::Map<_, _>>().into()
}

fn objects() -> Value {
    let mut items = Vec::new();
    for (name, own) in NAMESPACES {
        let mut all = labels(own);
        all["kubernetes.io/metadata.name"] = name.into();
        items.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": all}}));
    }
    for (name, address, role) in NODES {
        items.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"role": role}},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}}));
    }
    for (pod, address, node, own, ports) in PODS {
        let (namespace, name) = pod.split_once('/').unwrap();
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, port, protocol)| json!({"name": name, "containerPort": port, "protocol": protocol}))
            .collect();
        let account = if pod == "x/b" { "builder" } else { "default" };
        items.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels(own), "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node, "serviceAccountName": account, "hostNetwork": name == "on-host", "containers": [{"name": "c", "ports": ports}]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}));
    }
    for (namespace, name, address, port, target) in [
        ("y", "db", "10.96.0.10", 5_000, 5_432),
        ("y", "no-slice", "10.96.0.11", 5_000, 5_432),
        ("default", "kubernetes", "10.96.0.1", 443, 6_443),
    ] {
        let selector = if name == "kubernetes" { json!({}) } else { json!({"app": "db"}) };
        items.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": if name == "db" { json!({"team": "data"}) } else { json!({}) }},
            "spec": {"clusterIP": address, "clusterIPs": if name == "no-slice" { vec![address, "fd00::11"] } else { vec![address] }, "type": "ClusterIP", "selector": selector,
                "ports": [{"name": "p", "port": port, "targetPort": target, "protocol": "TCP"}]}}));
    }
    for (namespace, name, endpoint, port) in [
        (
            "y",
            "db",
            json!({"addresses": ["10.0.1.2"], "targetRef": {"kind": "Pod", "namespace": "y", "name": "db"}}),
            5_432,
        ),
        ("default", "kubernetes", json!({"addresses": ["203.0.113.7"]}), 6_443),
    ] {
        items.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [endpoint], "ports": [{"name": "p", "port": port, "protocol": "TCP"}]}));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// `x/a` is a pod, `node n1` a node, `api ADDRESS` the API server, `ip ADDRESS` an address of which the record says nothing; any
/// other address is outside.
fn end(name: &str) -> (Value, String, String) {
    if let Some((_, address, _, own, _)) = PODS.iter().find(|(pod, ..)| *pod == name) {
        let (namespace, pod) = name.split_once('/').unwrap();
        let mut all: Vec<String> = own.iter().map(|(key, value)| format!("k8s:{key}={value}")).collect();
        all.push(format!("k8s:io.kubernetes.pod.namespace={namespace}"));
        let record = json!({"identity": 1_000, "namespace": namespace, "pod_name": pod, "labels": all});
        return (record, (*address).to_owned(), format!("{namespace}/Pod/{pod}"));
    }
    if let Some(node) = name.strip_prefix("node ") {
        let (_, address, _) = NODES.iter().find(|(known, ..)| *known == node).unwrap();
        return (json!({"identity": 6, "labels": ["reserved:remote-node"]}), (*address).to_owned(), name.to_owned());
    }
    if let Some(address) = name.strip_prefix("api ") {
        let record = json!({"identity": 7, "labels": ["reserved:kube-apiserver"]});
        return (record, address.to_owned(), "kube-apiserver".to_owned());
    }
    if let Some(address) = name.strip_prefix("ip ") {
        let shown = match address {
            "10.96.0.10" => "service y/db",
            "10.96.0.11" => "service y/no-slice",
            "10.96.0.1" => "service default/kubernetes",
            other => other,
        };
        return (json!({}), address.to_owned(), shown.to_owned());
    }
    let shown = name.parse::<std::net::IpAddr>().unwrap().to_canonical().to_string();
    (json!({"identity": 2, "labels": ["reserved:world"]}), name.to_owned(), shown)
}

/// `x/a > 203.0.113.5 443/TCP [api.example.com] = pass`; `?` in front: the record does not say who began. `0/ICMP:3:1`: type and code.
struct Line<'a> {
    is_oriented: bool,
    client: &'a str,
    server: &'a str,
    port: u16,
    protocol: &'a str,
    /// As Hubble writes it: what is 0 is left out.
    icmp: Value,
    name: &'a str,
    expected: &'a str,
}

fn line(text: &str) -> Line<'_> {
    let (question, expected) = text.split_once(" = ").unwrap();
    let (question, name) = question.split_once(" [").unwrap_or((question, ""));
    let is_oriented = !question.starts_with("? ");
    let (client, rest) = question.trim_start_matches("? ").split_once(" > ").unwrap();
    let (server, port) = rest.rsplit_once(' ').unwrap();
    let (port, protocol) = port.split_once('/').unwrap();
    let (protocol, message) = protocol.split_once(':').unwrap_or((protocol, "8"));
    let (kind, code) = message.split_once(':').unwrap_or((message, "0"));
    let mut icmp = json!({"type": kind.parse::<u8>().unwrap(), "code": code.parse::<u8>().unwrap()});
    icmp.as_object_mut().unwrap().retain(|_, byte| *byte != 0);
    Line {
        is_oriented,
        client,
        server,
        port: port.parse().unwrap(),
        protocol,
        icmp,
        name: name.trim_end_matches(']'),
        expected,
    }
}

fn record(line: &Line<'_>, number: usize) -> Value {
    let ((source, from, _), (destination, to, _)) = (end(line.client), end(line.server));
    let l4 = match line.protocol {
        "ICMP" => json!({"ICMPv4": line.icmp}),
        "ICMPv6" => json!({"ICMPv6": line.icmp}),
        protocol => {
            let mut l4 = json!({});
            l4[protocol] = json!({"source_port": 40_000 + number, "destination_port": line.port});
            l4
        }
    };
    let names: Vec<&str> = Some(line.name).filter(|name| !name.is_empty()).into_iter().collect();
    let mut record = json!({"node_name": "n1", "time": format!("2026-03-01T00:00:{number:02}Z"), "flow": {
        "time": format!("2026-03-01T00:00:{number:02}Z"), "uuid": format!("u{number}"), "verdict": "FORWARDED", "is_reply": false,
        "IP": {"source": from, "destination": to, "ipVersion": "IPv4"}, "l4": l4, "source": source, "destination": destination,
        "Type": "L3_L4", "node_name": "n1", "destination_names": names, "event_type": {"type": 4, "sub_type": 3}}});
    if !line.is_oriented {
        record["flow"].as_object_mut().unwrap().remove("is_reply");
    }
    record
}

/// The cluster's files, and the arguments that name them: flows and objects, then policies.
fn files(policies: &str, lines: &[Line<'_>]) -> (tempfile::TempDir, [String; 6]) {
    let flows: Vec<String> = lines.iter().enumerate().map(|(number, line)| record(line, number).to_string()).collect();
    let flows = flows.join("\n");
    let files = folder(&[
        ("flows.ndjson", flows.as_bytes()),
        ("kube.json", objects().to_string().as_bytes()),
        ("policies.yaml", policies.as_bytes()),
    ]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let flows = format!("hubble:{}", path("flows.ndjson"));
    let [as_flows, as_kube, as_policies] = ["--flows", "--kube", "--policies"].map(str::to_owned);
    let named = [as_flows, flows, as_kube, path("kube.json"), as_policies, path("policies.yaml")];
    (files, named)
}

/// What another command says of these lines.
pub(super) fn told(command: &[&str], policies: &str, lines: &[&str], arguments: &[&str]) -> Value {
    let lines: Vec<Line<'_>> = lines.iter().map(|text| line(text)).collect();
    let (_files, named) = files(policies, &lines);
    let named = named.iter().map(String::as_str);
    let all: Vec<&str> = command.iter().copied().chain(named).chain(arguments.iter().copied()).collect();
    let ran = run(&[&all[..], &["--format", "json"]].concat());
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{policies}", ran.err))
}

/// Asks the command about each line; returns its exit status.
pub(super) fn check(policies: &str, lines: &[&str], arguments: &[&str]) -> u8 {
    let lines: Vec<Line<'_>> = lines.iter().map(|text| line(text)).collect();
    let (_files, named) = files(policies, &lines);
    let all = ["replay", "--format", "json"].into_iter().chain(named.iter().map(String::as_str));
    let ran = run(&all.chain(arguments.iter().copied()).collect::<Vec<_>>());
    assert!(!ran.out.is_empty(), "{policies}\n{}", ran.err);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    for line in &lines {
        assert_eq!(found(&answer, line), line.expected, "{} > {} {}\n{policies}", line.client, line.server, line.port);
    }
    ran.status
}

fn found(answer: &Value, line: &Line<'_>) -> String {
    let is_pod = |name: &str| PODS.iter().any(|(pod, ..)| *pod == name);
    let (way, owner, peer) = if is_pod(line.client) {
        ("egress", line.client, if line.name.is_empty() { end(line.server).2 } else { line.name.to_owned() })
    } else {
        ("ingress", line.server, end(line.client).2)
    };
    for workload in answer["workloads"].as_array().unwrap() {
        if format!("{}/{}", workload["namespace"].as_str().unwrap(), workload["workload"].as_str().unwrap()) != owner {
            continue;
        }
        for verdict in ["would_break", "undecidable", "passed"] {
            for row in workload[verdict].as_array().unwrap() {
                let is_it = row["way"] == way && row["peer"] == *peer && row["port"] == line.port;
                if is_it && row["protocol"].as_str().unwrap().starts_with(line.protocol) {
                    let word = match verdict {
                        "would_break" => "break",
                        "undecidable" => row["reason"].as_str().unwrap(),
                        _ => "pass",
                    };
                    return word.to_owned();
                }
            }
        }
    }
    // A node and the outside are judged by no policy.
    "nobody".to_owned()
}
