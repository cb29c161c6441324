//! The shapes of the objects that drafts consist of: which keys, of which type, how many.
//!
//! In: an object as JSON. Out: the first place that does not fit. Every key that is not listed is an error, since the API server
//! prunes or ignores some of them, and a rule without its peer is a different rule. The tables follow the CRDs and the Kubernetes
//! schema, reduced to what drafts use; the limits are theirs. Lists are never empty.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

/// What a value has to look like.
pub(super) enum Shape {
    Text(fn(&str) -> bool),
    OneOf(&'static [&'static str]),
    Number(i64, i64),
    /// From one element to so many.
    List(&'static Self, usize),
    /// Keys; the flag says whether a key is required.
    Map(&'static [(&'static str, bool, &'static Self)]),
    /// Exactly one of these keys.
    One(&'static [(&'static str, bool, &'static Self)]),
    /// Labels; empty only where the flag says so.
    Labels,
}

use Shape::{Labels, List, Map, Number, One, OneOf, Text};

/// The first place where a value does not have its shape.
pub(super) fn misfit(value: &Value, shape: &Shape, path: &str) -> Option<String> {
    let wrong = |what: &str| Some(format!("{path}: {what}"));
    match (shape, value) {
        (Text(good), Value::String(text)) => (!good(text)).then(|| format!("{path}: `{text}` cannot stand here")),
        (OneOf(words), Value::String(text)) => {
            (!words.contains(&text.as_str())).then(|| format!("{path}: `{text}` is none of {}", words.join(", ")))
        }
        (Number(least, most), Value::Number(number)) => {
            let fits = number.as_i64().is_some_and(|number| (*least..=*most).contains(&number));
            if fits { None } else { wrong(&format!("{number} is not between {least} and {most}")) }
        }
        (List(_, most), Value::Array(items)) if items.is_empty() || items.len() > *most => {
            wrong(&format!("{} elements, allowed are 1 to {most}", items.len()))
        }
        (List(inner, _), Value::Array(items)) => {
            items.iter().enumerate().find_map(|(index, item)| misfit(item, inner, &format!("{path}[{index}]")))
        }
        (Map(fields) | One(fields), Value::Object(entries)) => {
            if let Some(key) = entries.keys().find(|key| !fields.iter().any(|(name, ..)| name == key)) {
                return wrong(&format!("unknown key `{key}`"));
            }
            if let Some((name, ..)) =
                fields.iter().find(|(name, required, _)| *required && !entries.contains_key(*name))
            {
                return wrong(&format!("`{name}` is missing"));
            }
            if matches!(shape, One(_)) && entries.len() != 1 {
                return wrong(&format!("{} keys where exactly one has to stand", entries.len()));
            }
            fields.iter().find_map(|(name, _, inner)| misfit(entries.get(*name)?, inner, &format!("{path}.{name}")))
        }
        (Labels, Value::Object(entries)) if entries.is_empty() => wrong("no labels: every pod would be meant"),
        (Labels, Value::Object(entries)) => entries.iter().find_map(|(key, value)| match value {
            Value::String(value) if is_label(key, value) => None,
            _ => Some(format!("{path}: `{key}` is no label")),
        }),
        _ => wrong("of the wrong type"),
    }
}

fn any(_: &str) -> bool {
    true
}

/// A DNS subdomain, as names of objects are (RFC 1123).
fn object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(dns_label)
}

fn dns_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A label; Cilium writes its source in front of the key.
fn is_label(key: &str, value: &str) -> bool {
    super::labels::is_valid(key.strip_prefix("k8s:").unwrap_or(key), value)
}

/// A range without host bits: `2600:1901:0:5e8a::/32`, the host length of the other family, is none.
pub(super) fn cidr(text: &str) -> bool {
    text.parse::<IpNet>().is_ok_and(|net| net.trunc() == net && net.to_string() == text)
}

fn name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// `*.` in front of a name of at least two labels.
fn pattern(text: &str) -> bool {
    text == "*" || text.strip_prefix("*.").is_some_and(name)
}

/// A name as the pattern of the `ClusterNetworkPolicy` CRD has it: labels begin and end with letters or digits.
fn domain(text: &str) -> bool {
    name(text) && text.split('.').all(|label| !label.starts_with(['-', '_']) && !label.ends_with(['-', '_']))
}

fn port_text(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn calico_selector(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1_024 && !text.contains("global(")
}

const NAME: Shape = Text(object_name);
const CIDR: Shape = Text(cidr);
const CIDRS: Shape = List(&CIDR, 4_096);
const PORT: Shape = Number(1, 65_535);
const TRANSPORT: Shape = OneOf(&["TCP", "UDP", "SCTP"]);
const METADATA: Shape = Map(&[("name", true, &NAME), ("namespace", true, &Text(dns_label))]);
const EVERY: Shape = Map(&[("key", true, &Text(any)), ("operator", true, &OneOf(&["Exists"]))]);
/// Labels, or the words for every namespace, or nothing at all.
const SELECTOR: Shape = Map(&[("matchLabels", false, &Labels), ("matchExpressions", false, &List(&EVERY, 1))]);
const IP_BLOCK: Shape = Map(&[("cidr", true, &CIDR), ("except", false, &CIDRS)]);

const K8S_PEER: Shape =
    Map(&[("ipBlock", false, &IP_BLOCK), ("namespaceSelector", false, &SELECTOR), ("podSelector", false, &SELECTOR)]);
const K8S_PEERS: Shape = List(&K8S_PEER, 4_096);
const NUMBERED_PORTS: Shape = List(&Map(&[("protocol", true, &TRANSPORT), ("port", true, &PORT)]), 4_096);
const DIRECTIONS: Shape = List(&OneOf(&["Ingress", "Egress"]), 2);

pub(super) const KUBERNETES: Shape = Map(&[
    ("apiVersion", true, &OneOf(&["networking.k8s.io/v1"])),
    ("kind", true, &OneOf(&["NetworkPolicy"])),
    ("metadata", true, &METADATA),
    (
        "spec",
        true,
        &Map(&[
            ("podSelector", true, &SELECTOR),
            ("policyTypes", true, &List(&OneOf(&["Ingress", "Egress"]), 1)),
            ("egress", false, &List(&Map(&[("to", true, &K8S_PEERS), ("ports", false, &NUMBERED_PORTS)]), 4_096)),
            ("ingress", false, &List(&Map(&[("from", true, &K8S_PEERS), ("ports", false, &NUMBERED_PORTS)]), 4_096)),
        ]),
    ),
]);

const CILIUM_PORTS: Shape = List(
    &Map(&[
        ("ports", true, &List(&Map(&[("port", true, &Text(port_text)), ("protocol", true, &TRANSPORT)]), 40)),
        ("rules", false, &Map(&[("dns", true, &List(&Map(&[("matchPattern", true, &Text(pattern))]), 1))])),
    ]),
    4_096,
);
const ENDPOINTS: Shape = List(&SELECTOR, 4_096);
const ENTITIES: Shape = List(&OneOf(&["host", "remote-node", "kube-apiserver", "ingress", "none"]), 5);
const CIDR_SET: Shape = List(&IP_BLOCK, 4_096);
const FQDNS: Shape = List(&One(&[("matchName", false, &Text(name)), ("matchPattern", false, &Text(pattern))]), 4_096);
const CILIUM_SPEC: Shape = Map(&[
    ("endpointSelector", true, &SELECTOR),
    (
        "egress",
        false,
        &List(
            &Map(&[
                ("toEndpoints", false, &ENDPOINTS),
                ("toEntities", false, &ENTITIES),
                ("toCIDRSet", false, &CIDR_SET),
                ("toFQDNs", false, &FQDNS),
                ("toPorts", false, &CILIUM_PORTS),
            ]),
            4_096,
        ),
    ),
    (
        "ingress",
        false,
        &List(
            &Map(&[
                ("fromEndpoints", false, &ENDPOINTS),
                ("fromEntities", false, &ENTITIES),
                ("fromCIDRSet", false, &CIDR_SET),
                ("toPorts", false, &CILIUM_PORTS),
            ]),
            4_096,
        ),
    ),
]);

pub(super) const CILIUM: Shape = Map(&[
    ("apiVersion", true, &OneOf(&["cilium.io/v2"])),
    ("kind", true, &OneOf(&["CiliumNetworkPolicy"])),
    ("metadata", true, &METADATA),
    ("spec", false, &CILIUM_SPEC),
    ("specs", false, &List(&CILIUM_SPEC, 4_096)),
]);

const APPLIED: Shape = List(&Map(&[("podSelector", true, &SELECTOR)]), 4_096);
const ANTREA_PEERS: Shape = List(
    &Map(&[
        ("ipBlock", false, &IP_BLOCK),
        ("namespaceSelector", false, &SELECTOR),
        ("podSelector", false, &SELECTOR),
        ("fqdn", false, &Text(name)),
    ]),
    4_096,
);
const ANTREA_RULES: Shape = List(
    &Map(&[
        ("name", true, &Text(any)),
        ("action", true, &OneOf(&["Allow", "Drop"])),
        ("appliedTo", true, &APPLIED),
        ("to", false, &ANTREA_PEERS),
        ("from", false, &ANTREA_PEERS),
        ("ports", false, &NUMBERED_PORTS),
    ]),
    4_096,
);

pub(super) const ANTREA: Shape = Map(&[
    ("apiVersion", true, &OneOf(&["crd.antrea.io/v1beta1"])),
    ("kind", true, &OneOf(&["NetworkPolicy"])),
    ("metadata", true, &METADATA),
    (
        "spec",
        true,
        &Map(&[
            ("tier", true, &OneOf(&["application"])),
            ("priority", true, &Number(1, 10_000)),
            ("egress", false, &ANTREA_RULES),
            ("ingress", false, &ANTREA_RULES),
        ]),
    ),
]);

const ENTITY: Shape = Map(&[
    ("namespaceSelector", false, &Text(calico_selector)),
    ("selector", false, &Text(calico_selector)),
    ("nets", false, &List(&CIDR, 256)),
    ("notNets", false, &List(&CIDR, 256)),
    ("ports", false, &List(&PORT, 50)),
]);
const CALICO_RULES: Shape = List(
    &Map(&[
        ("action", true, &OneOf(&["Allow"])),
        ("protocol", false, &TRANSPORT),
        ("source", false, &ENTITY),
        ("destination", false, &ENTITY),
    ]),
    1_024,
);

pub(super) const CALICO: Shape = Map(&[
    ("apiVersion", true, &OneOf(&["projectcalico.org/v3"])),
    ("kind", true, &OneOf(&["NetworkPolicy"])),
    ("metadata", true, &METADATA),
    (
        "spec",
        true,
        &Map(&[
            ("order", true, &Number(0, 100_000)),
            ("selector", true, &Text(calico_selector)),
            ("types", true, &DIRECTIONS),
            ("egress", false, &CALICO_RULES),
            ("ingress", false, &CALICO_RULES),
        ]),
    ),
]);

const PORT_OF: Shape = Map(&[("destinationPort", true, &One(&[("number", true, &PORT)]))]);
const PROTOCOLS: Shape =
    List(&One(&[("tcp", false, &PORT_OF), ("udp", false, &PORT_OF), ("sctp", false, &PORT_OF)]), 25);
const POD_PEER: Shape = Map(&[("namespaceSelector", true, &SELECTOR), ("podSelector", true, &SELECTOR)]);
const RULE_NAME: Shape = Text(|text| !text.is_empty() && text.len() <= 100);
const ACTION: Shape = OneOf(&["Accept", "Deny"]);

pub(super) const CLUSTER_POLICY: Shape = Map(&[
    ("apiVersion", true, &OneOf(&["policy.networking.k8s.io/v1alpha2"])),
    ("kind", true, &OneOf(&["ClusterNetworkPolicy"])),
    ("metadata", true, &Map(&[("name", true, &NAME)])),
    (
        "spec",
        true,
        &Map(&[
            ("tier", true, &OneOf(&["Admin", "Baseline"])),
            ("priority", true, &Number(0, 1_000)),
            ("subject", true, &One(&[("namespaces", false, &SELECTOR), ("pods", false, &POD_PEER)])),
            (
                "egress",
                false,
                &List(
                    &Map(&[
                        ("name", true, &RULE_NAME),
                        ("action", true, &ACTION),
                        (
                            "to",
                            true,
                            &List(
                                &One(&[
                                    ("namespaces", false, &SELECTOR),
                                    ("pods", false, &POD_PEER),
                                    ("networks", false, &List(&CIDR, 25)),
                                    ("domainNames", false, &List(&Text(domain), 25)),
                                ]),
                                25,
                            ),
                        ),
                        ("protocols", false, &PROTOCOLS),
                    ]),
                    25,
                ),
            ),
            (
                "ingress",
                false,
                &List(
                    &Map(&[
                        ("name", true, &RULE_NAME),
                        ("action", true, &ACTION),
                        (
                            "from",
                            true,
                            &List(&One(&[("namespaces", false, &SELECTOR), ("pods", false, &POD_PEER)]), 25),
                        ),
                        ("protocols", false, &PROTOCOLS),
                    ]),
                    25,
                ),
            ),
        ]),
    ),
]);
