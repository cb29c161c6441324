//! The inventory, from files as `kubectl` prints them and from files that somebody broke.

use std::fmt::Write as _;
use std::net::IpAddr;

use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Excluded, Place, Rejected, Timestamp};
use proptest::prelude::*;

const OBJECTS: &[u8] = include_bytes!("../fixtures/kube/objects.json");
const WORKLOADS: &[u8] = include_bytes!("../fixtures/kube/workloads.yaml");

fn read(inputs: &[(&str, &[u8])]) -> (Inventory, Account) {
    let (mut inventory, mut account) = (Inventory::default(), Account::default());
    for (cluster, bytes) in inputs {
        inventory.add(cluster, bytes, &mut account);
    }
    assert!(account.is_balanced(), "{account:?}");
    (inventory, account)
}

fn read_one(text: &str) -> (Inventory, Account) {
    read(&[("prod", text.as_bytes())])
}

fn time(text: &str) -> Timestamp {
    if text.is_empty() {
        return Timestamp::UNKNOWN;
    }
    let Some(time) = Timestamp::parse(text.as_bytes()) else { panic!("`{text}` is no time") };
    time
}

fn ip(text: &str) -> IpAddr {
    let Ok(address) = text.parse() else { panic!("`{text}` is no address") };
    address
}

fn pod_at(inventory: &Inventory, address: &str, at: &str) -> String {
    let found = inventory.pod_at("prod", ip(address), time(at));
    found.map_or("-".into(), |pod| format!("{}/{}", pod.namespace, pod.name))
}

fn pod(name: &str, address: &str, start: &str, phase: &str, end: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"namespace":"shop","name":"{name}","uid":"{name}{start}"}},
        "status":{{"phase":"{phase}","startTime":"{start}","podIP":"{address}","containerStatuses":[
        {{"state":{{"terminated":{{"finishedAt":"{end}"}}}}}}]}}}}"#
    )
}

#[test]
fn a_cluster_is_read_as_kubectl_prints_it() {
    let (inventory, account) = read(&[("prod", OBJECTS), ("prod", WORKLOADS)]);
    assert_eq!(account.rejected_total(), 0, "{account:?}");
    assert_eq!(account.excluded.get(&Excluded("NetworkPolicy")), Some(&1));
    let mut shown = String::new();
    for pod in inventory.pods("prod") {
        let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
        let host = if pod.host_network { " host" } else { "" };
        let (workload, ended) = (&pod.workload, pod.ended.map(|end| end.to_string()).unwrap_or_default());
        writeln!(shown, "{}/{} {workload} [{}]{host} {ended}", pod.namespace, pod.name, addresses.join(" ")).unwrap();
    }
    for controller in inventory.controllers("prod") {
        let replicas = controller.replicas.map(|count| count.to_string()).unwrap_or_default();
        writeln!(shown, "{} {} {replicas} {}", controller.kind, controller.name, controller.schedule).unwrap();
    }
    for network in inventory.pod_networks("prod") {
        writeln!(shown, "{network}").unwrap();
    }
    let shown = shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shown, @r"
    kube-system/coredns-789c5fbdb4-vb8r9 Deployment/coredns [10.244.1.3]
    kube-system/kube-apiserver-node-a Pod/kube-apiserver [192.0.2.11] host
    kube-system/node-local-dns-88zrp DaemonSet/node-local-dns [192.0.2.11] host
    shop/checkout-5c6d7f8b9d-zzv6w Rollout/checkout [10.244.2.40] 2026-08-04T12:00:30Z
    shop/invoice-29762400-bcd5f CronJob/invoice [10.244.1.44] 2026-08-04T00:03:40Z
    shop/orders-0 StatefulSet/orders [10.244.1.44]
    shop/web-6f7c9d8b54-q4tr9 Deployment/web [10.244.1.20 fd00:10:244:1::14]
    shop/web-6f7c9d8b54-x7k2p Deployment/web [10.244.2.31 fd00:10:244:2::1f]
    CronJob invoice  */30 2 * * 1
    DaemonSet node-local-dns 2
    Deployment web 2
    Job invoice-29762400
    ReplicaSet checkout-5c6d7f8b9d 1
    ReplicaSet web-6f7c9d8b54 2
    10.244.1.0/24
    10.244.2.0/24
    fd00:10:244:1::/64
    fd00:10:244:2::/64
    ");
    assert_eq!(inventory.namespace("prod", "shop").and_then(|labels| labels.get("team")).map(|l| &**l), Some("store"));
    assert_eq!(
        inventory.namespaces("prod").map(|(name, _)| name).collect::<Vec<_>>(),
        ["default", "kube-system", "shop"]
    );
}

#[test]
fn an_address_belongs_to_a_pod_only_for_a_time() {
    let (inventory, _) = read(&[("prod", OBJECTS)]);
    let check = |address: &str, at: &str, expected: &str| {
        assert_eq!(pod_at(&inventory, address, at), expected, "{address} {at}");
    };
    // Both pods are in the file, and the finished one still states the address.
    check("10.244.1.44", "2026-08-04T00:02:00Z", "shop/invoice-29762400-bcd5f");
    check("10.244.1.44", "2026-08-04T00:03:43Z", "shop/invoice-29762400-bcd5f");
    check("10.244.1.44", "2026-08-04T00:05:00Z", "-");
    check("10.244.1.44", "2026-08-04T00:10:00Z", "shop/orders-0");
    check("10.244.1.44", "2026-08-03T00:00:00Z", "-");
    check("10.244.1.44", "", "-");
    check("10.244.1.20", "", "shop/web-6f7c9d8b54-q4tr9");
    check("fd00:10:244:2::1f", "2026-08-05T00:00:00Z", "shop/web-6f7c9d8b54-x7k2p");
    check("::ffff:10.244.2.31", "2026-08-05T00:00:00Z", "shop/web-6f7c9d8b54-x7k2p");
    check("10.244.2.40", "2026-08-04T11:59:59Z", "shop/checkout-5c6d7f8b9d-zzv6w");
    check("10.244.2.40", "2026-08-04T12:01:00Z", "-");
    // The node's address is no host-network pod's.
    check("192.0.2.11", "2026-08-05T00:00:00Z", "-");
    assert_eq!(inventory.node_at("prod", ip("192.0.2.11")).map(|node| &*node.name), Some("node-a"));
    assert_eq!(inventory.node_at("prod", ip("10.244.2.1")).map(|node| &*node.name), Some("node-b"));
}

#[test]
fn a_pod_whose_end_nobody_saw_yields_to_the_next_one() {
    let early = pod("one", "10.0.0.1", "2026-01-01T00:00:00Z", "Running", "");
    let late = pod("two", "10.0.0.1", "2026-01-02T00:00:00Z", "Running", "");
    for order in [[&early, &late], [&late, &early]] {
        let (inventory, _) = read(&[("prod", order[0].as_bytes()), ("prod", order[1].as_bytes())]);
        assert_eq!(pod_at(&inventory, "10.0.0.1", "2026-01-01T23:00:00Z"), "shop/one");
        assert_eq!(pod_at(&inventory, "10.0.0.1", "2026-01-02T00:00:00Z"), "shop/two");
        assert_eq!(pod_at(&inventory, "10.0.0.1", ""), "-");
    }
}

#[test]
fn a_stateful_pod_keeps_its_name_but_not_its_address() {
    let text = [
        pod("db-0", "10.0.0.1", "2026-01-01T00:00:00Z", "Failed", "2026-01-01T12:00:00Z"),
        pod("db-0", "10.0.0.2", "2026-01-01T12:00:10Z", "Running", ""),
    ]
    .join("\n");
    let (inventory, account) = read_one(&text);
    assert_eq!(account.used, 2);
    let latest = inventory.pod("prod", "shop", "db-0").expect("known");
    assert_eq!(latest.addresses, [ip("10.0.0.2")]);
    assert_eq!(pod_at(&inventory, "10.0.0.1", "2026-01-01T06:00:00Z"), "shop/db-0");
    assert_eq!(pod_at(&inventory, "10.0.0.1", "2026-01-01T13:00:00Z"), "-");
}

#[test]
fn clusters_with_the_same_addresses_never_meet() {
    let (east, west) = (
        pod("east", "10.0.0.1", "2026-01-01T00:00:00Z", "Running", ""),
        pod("west", "10.0.0.1", "2026-01-01T00:00:00Z", "Running", ""),
    );
    let (inventory, _) = read(&[("east", east.as_bytes()), ("west", west.as_bytes())]);
    for cluster in ["east", "west"] {
        let found = inventory.pod_at(cluster, ip("10.0.0.1"), Timestamp::UNKNOWN).expect("unique in its cluster");
        assert_eq!(&*found.name, cluster);
        assert_eq!(inventory.pods(cluster).count(), 1);
    }
    assert!(inventory.pod_at("north", ip("10.0.0.1"), Timestamp::UNKNOWN).is_none());
    assert_eq!(inventory.clusters().collect::<Vec<_>>(), ["east", "west"]);
}

#[test]
fn services_are_found_by_the_address_that_is_theirs_alone() {
    let (inventory, _) = read(&[("prod", OBJECTS)]);
    let at = |address: &str| inventory.service_at("prod", ip(address)).map_or("-", |service| &*service.name);
    assert_eq!(at("10.96.14.7"), "web");
    assert_eq!(at("10.96.0.10"), "kube-dns");
    assert_eq!(at("198.51.100.20"), "-");
    assert_eq!(inventory.services_at("prod", ip("198.51.100.20")).count(), 2);
    let shared = inventory.service_at_port("prod", ip("198.51.100.20"), 443);
    assert_eq!(shared.map(|service| &*service.name), Some("checkout"));
    assert!(inventory.service_at_port("prod", ip("198.51.100.20"), 8443).is_none());
    assert_eq!(inventory.service("prod", "shop", "payments").map(|s| &*s.external_name), Some("api.payments.example"));
    for (address, expected) in [("10.96.0.1", true), ("192.0.2.11", true), ("192.0.2.12", false), ("10.96.0.10", false)]
    {
        assert_eq!(inventory.is_api_server("prod", ip(address)), expected, "{address}");
    }
    let behind: Vec<_> = inventory.backends_at("prod", ip("10.244.2.31")).collect();
    assert_eq!(behind.len(), 1);
    assert_eq!(&*behind[0].service, "web");
    assert_eq!(inventory.service_addresses("prod").len(), 4);
}

#[test]
fn workloads_of_unknown_pods_are_named_by_what_is_known() {
    let (inventory, _) = read(&[("prod", OBJECTS), ("prod", WORKLOADS)]);
    let check = |namespace: &str, name: &str, expected: &str| {
        let found = inventory.workload_of("prod", namespace, name).map(|workload| workload.to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{namespace}/{name}");
    };
    check("shop", "web-6f7c9d8b54-q4tr9", "Deployment/web");
    check("shop", "checkout-5c6d7f8b9d-zzv6w", "Rollout/checkout");
    check("shop", "invoice-29762400-bcd5f", "CronJob/invoice");
    check("kube-system", "kube-apiserver-node-a", "Pod/kube-apiserver");
    // Gone before the file was written.
    check("kube-system", "node-local-dns-zz9xk", "DaemonSet/node-local-dns");
    check("shop", "node-local-dns-zz9xk", "Workload/node-local-dns");
    check("shop", "search-7b8c9d5f46-bcdfg", "Deployment/search");
    check("shop", "", "");
}

#[test]
fn typed_lists_and_every_arrangement_of_objects_are_read() {
    let check = |text: &str, used: u64, rejected: u64| {
        let (_, account) = read_one(text);
        assert_eq!((account.used, account.rejected_total()), (used, rejected), "{text}\n{account:?}");
    };
    let one = r#"{"metadata":{"name":"a","namespace":"shop"}}"#;
    check(&format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{one},{one}]}}"#), 2, 0);
    check(&format!(r#"{{"items":[{one}],"kind":"PodList","apiVersion":"v1"}}"#), 1, 0);
    check(r#"{"kind":"PodList","apiVersion":"v1","items":null}"#, 0, 0);
    check(&format!(r#"{{"items":[{one}]}}"#), 0, 1);
    check(r#"[{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}}]"#, 1, 0);
    check("items:\n- metadata: {name: a}\n- metadata: {name: b}\nkind: PodList\napiVersion: v1\n", 2, 0);
    check("apiVersion: v1\nkind: PodList\nitems: null\n", 0, 0);
    check("{apiVersion: v1, kind: Namespace, metadata: {name: a}}", 1, 0);
    check("- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- 7\n", 1, 1);
    check(&format!(r#"{{"kind":"List","items":[{{"kind":"PodList","apiVersion":"v1","items":[{one}]}}]}}"#), 1, 0);
    check("kind: List\nitems:\n- kind: PodList\n  apiVersion: v1\n  items: [{metadata: {name: a}}]\n", 1, 0);
    check("\u{feff}{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"}}", 1, 0);
    check("apiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  name: a\r\n---\r\n\r\n---\r\n# nothing\r\n", 1, 0);
    check("---\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"a\"}}\n", 1, 0);
}

#[test]
fn one_broken_object_does_not_cost_the_others() {
    let good = pod("good", "10.0.0.1", "2026-01-01T00:00:00Z", "Running", "");
    let check = |text: String, used: u64, reason: &'static str, place: u64| {
        let (_, account) = read_one(&text);
        assert_eq!(account.used, used, "{text}\n{account:?}");
        let first = account.rejected.get(&Rejected(reason)).map(|count| count.first);
        assert_eq!(first, Some(Place::Byte(place)), "{text}\n{account:?}");
    };
    let broken = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":7}}"#;
    check(format!(r#"{{"items":[{broken},{good}],"kind":"List"}}"#), 1, "not a valid `Pod`", 10);
    check(format!(r#"{{"items":[{{"kind":"Pod" x}},{good}],"kind":"List"}}"#), 1, "not valid JSON", 10);
    check(format!("{{\"kind\":\n{good}"), 1, "not valid JSON", 0);
    let cut = format!(r#"{{"items":[{good},{{"kind":"Po"#);
    // The string that was never closed.
    check(cut, 1, "not valid JSON", 19 + good.len() as u64);
    let document = "kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n";
    check(format!("{document}---\nkind: [\n---\n{document}"), 2, "not valid YAML", document.len() as u64);
    check(
        format!("{document}---\nkind: Pod\nmetadata:\n\tname: a\n\tnamespace: b\n---\n{document}"),
        2,
        "not valid YAML",
        document.len() as u64,
    );
    check("error: You must be logged in to the server\n".into(), 0, "not a Kubernetes object", 0);
    check("No resources found\n".into(), 0, "not a Kubernetes object", 0);
    let traversal = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"../../etc"}}"#;
    check(traversal.into(), 0, "object without a valid Kubernetes name", 0);
}

#[test]
fn text_that_is_not_utf8_says_what_to_do() {
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let (_, account) = read(&[("prod", &wide)]);
    assert!(account.rejected.keys().any(|reason| reason.0.contains("save the file as UTF-8")), "{account:?}");
    let mut bytes = b"kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n---\n".to_vec();
    bytes.extend([0xc3, 0x28]);
    let (_, account) = read(&[("prod", &bytes)]);
    assert_eq!((account.used, account.rejected_total()), (1, 1), "{account:?}");
    let (_, account) = read(&[("prod", b"")]);
    assert_eq!(account.notes.get("file without Kubernetes objects"), Some(&1));
}

#[test]
fn bombs_are_refused_and_the_documents_around_them_kept() {
    let good = "---\nkind: Namespace\napiVersion: v1\nmetadata: {name: a}\n";
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{},", level - 1).repeat(9);
        writeln!(aliases, "a{level}: &a{level} [{before}]").unwrap();
    }
    let deep_flow = format!("a: {}{}\n", "[".repeat(50_000), "]".repeat(50_000));
    let deep_block = (0..3_000).map(|level| " ".repeat(level) + "a:\n").collect::<String>();
    for bomb in [aliases, deep_flow, deep_block] {
        let (inventory, account) = read_one(&format!("{good}---\n{bomb}{good}"));
        assert_eq!(account.used, 2, "{account:?}");
        assert_eq!(account.rejected.get(&Rejected("not valid YAML")).map(|count| count.records), Some(1));
        assert_eq!(inventory.namespaces("prod").count(), 1);
    }
    let deep_json = format!("{{\"kind\":\"Pod\",\"spec\":{}{}}}\n", "[".repeat(200_000), "]".repeat(200_000));
    let lists = format!("{}{}", r#"{"kind":"List","items":["#.repeat(50_000), "]}".repeat(50_000));
    let arrays = format!("[{{}},{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    for bomb in [deep_json, lists, arrays] {
        let (_, account) = read_one(&bomb);
        assert_eq!(account.used, 0);
        assert!(account.rejected_total() >= 1);
    }
}

#[test]
fn a_list_without_items_is_told() {
    let check = |text: &str, rejected: u64, excluded: u64| {
        let (_, account) = read_one(text);
        assert_eq!(
            (account.read, account.rejected_total(), account.excluded_total()),
            (rejected + excluded, rejected, excluded),
            "{text}"
        );
    };
    check(r#"{"apiVersion":"v1","kind":"List"}"#, 1, 0);
    check(r#"{"apiVersion":"v1","kind":"List","items":[]}"#, 0, 0);
    check(r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List"}]}"#, 1, 0);
    check(r#"{"apiVersion":"v1","kind":"PodList"}"#, 0, 1);
    check("apiVersion: v1\nkind: List\n", 1, 0);
    check("apiVersion: v1\nkind: PodList\n", 1, 0);
    check("apiVersion: v1\nkind: List\nitems: []\n", 0, 0);
    check("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n", 1, 0);
    check("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items: null\n", 0, 0);
}

#[test]
fn a_large_yaml_list_is_within_the_limits() {
    // More nodes than the parser allows by default, as a cluster of two thousand pods has them.
    let text = format!(
        "apiVersion: v1\nitems:\n- {{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{x: [{}]}}}}\nkind: List\n",
        "0,".repeat(260_000)
    );
    let (_, account) = read_one(&text);
    assert_eq!((account.used, account.rejected_total()), (1, 0), "{account:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_and_yaml_of_any_cut_never_panic_and_add_up(cut in 0..30_000_usize, noise in proptest::collection::vec(any::<u8>(), 0..40)) {
        for source in [OBJECTS, WORKLOADS] {
            let mut bytes = source[..cut.min(source.len())].to_vec();
            bytes.extend(&noise);
            bytes.extend(&source[cut.min(source.len())..]);
            let mut account = Account::default();
            let mut inventory = Inventory::default();
            inventory.add("prod", &bytes, &mut account);
            prop_assert!(account.is_balanced());
        }
    }

    #[test]
    fn at_most_one_pod_holds_an_address_and_it_lived_then(
        lives in proptest::collection::vec((0..100_i64, proptest::option::of(0..100_i64)), 1..8),
        at in 0..200_i64,
    ) {
        let stamp = |seconds: i64| Timestamp::from_nanos(1_700_000_000_000_000_000 + seconds * 60_000_000_000).to_string();
        let text: Vec<String> = lives.iter().enumerate().map(|(number, (start, length))| {
            let phase = if length.is_some() { "Succeeded" } else { "Running" };
            pod(&format!("p{number}"), "10.0.0.1", &stamp(*start), phase, &length.map(|l| stamp(start + l)).unwrap_or_default())
        }).collect();
        let (forward, _) = read_one(&text.join("\n"));
        let (backward, _) = read_one(&text.iter().rev().cloned().collect::<Vec<_>>().join("\n"));
        let now = time(&stamp(at));
        let found = forward.pod_at("prod", ip("10.0.0.1"), now);
        prop_assert_eq!(found, backward.pod_at("prod", ip("10.0.0.1"), now));
        let latest = lives.iter().filter(|(start, length)| *start <= at && length.is_none_or(|l| at <= start + l)).map(|(start, _)| *start).max();
        prop_assert_eq!(found.map(|pod| pod.started), latest.map(|start| time(&stamp(start))));
    }
}
