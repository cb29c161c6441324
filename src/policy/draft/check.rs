//! The checks that every object of a draft passes before anybody sees it.
//!
//! In: an object as JSON. Out: nothing, or the first thing that is wrong. First the shape, then what the CRDs say in their CEL rules and the
//! API servers in code, then what is valid everywhere and never meant: a rule without a peer, a selector that lost its labels.

use ipnet::IpNet;
use serde_json::Value;

use super::dialect::Dialect;
use super::shape::{self, misfit};
use crate::policy::names::PolicyName;

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{object}`: {what}")]
pub struct CheckError {
    /// The object's name.
    pub object: String,
    /// Where and what.
    pub what: String,
}

/// Checks one object of a dialect.
pub fn check_object(dialect: Dialect, object: &Value) -> Result<(), CheckError> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let wrong = |what: String| Err(CheckError { object: name.to_owned(), what });
    let shape = match dialect {
        Dialect::Kubernetes => &shape::KUBERNETES,
        Dialect::Cilium => &shape::CILIUM,
        Dialect::Antrea => &shape::ANTREA,
        Dialect::Calico => &shape::CALICO,
        Dialect::ClusterNetworkPolicy => &shape::CLUSTER_POLICY,
    };
    if let Some(what) = misfit(object, shape, "") {
        return wrong(what);
    }
    let Some(policy) = PolicyName::of(name) else {
        return wrong("not behind a pinned name".to_owned());
    };
    let found = match dialect {
        Dialect::Kubernetes => kubernetes(object, policy, name),
        Dialect::Cilium => cilium(object, policy),
        Dialect::Antrea => antrea(object, policy),
        Dialect::Calico => calico(object, policy),
        Dialect::ClusterNetworkPolicy => cluster_policy(object, policy),
    };
    match found.or_else(|| holes(object)) {
        Some(what) => wrong(what),
        None => Ok(()),
    }
}

const fn section(policy: PolicyName) -> &'static str {
    policy.direction().as_str()
}

const fn other(policy: PolicyName) -> &'static str {
    match policy.direction() {
        crate::policy::Direction::Egress => "ingress",
        crate::policy::Direction::Ingress => "egress",
    }
}

const fn is_deny(policy: PolicyName) -> bool {
    matches!(policy, PolicyName::DefaultDenyEgress | PolicyName::DefaultDenyIngress)
}

const fn is_of_template(policy: PolicyName) -> bool {
    matches!(policy, PolicyName::EgressAllowlist | PolicyName::IngressAllowlist)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn keys(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn is_empty(value: Option<&Value>) -> bool {
    value.is_none_or(|value| keys(value) == 0)
}

fn kubernetes(object: &Value, policy: PolicyName, name: &str) -> Option<String> {
    let spec = object.get("spec")?;
    let own = spec.get(section(policy));
    if spec.get(other(policy)).is_some() {
        return Some("rules for a direction that it does not isolate".to_owned());
    }
    if spec.pointer("/policyTypes/0").and_then(Value::as_str) != Some(policy.policy_type()) {
        return Some("it isolates another direction than its name says".to_owned());
    }
    if is_deny(policy) != own.is_none() {
        return Some("a default deny holds no rule, and everything else holds one".to_owned());
    }
    let whole = is_empty(spec.get("podSelector"));
    if whole == is_of_template(policy) {
        return Some("an allow-list selects a template, everything else the namespace".to_owned());
    }
    if is_of_template(policy) && name == policy.as_str() {
        return Some("an allow-list carries the name of its template".to_owned());
    }
    list(spec, section(policy)).iter().find_map(|rule| peers(rule, "to").or_else(|| peers(rule, "from")))
}

/// Peers of the Kubernetes form: an `ipBlock` alone, or selectors that are not empty.
fn peers(rule: &Value, side: &str) -> Option<String> {
    list(rule, side).iter().find_map(|peer| {
        let alone = |key: &str| peer.get(key).is_some() && keys(peer) != 1;
        if keys(peer) == 0 {
            return Some("a peer without content means everybody".to_owned());
        }
        if alone("ipBlock") || alone("fqdn") {
            return Some("`ipBlock` and `fqdn` stand alone in their peer".to_owned());
        }
        let empty = |key: &str| peer.get(key).is_some() && is_empty(peer.get(key));
        (empty("podSelector") || empty("namespaceSelector"))
            .then(|| "an empty selector in a peer means every pod".to_owned())
    })
}

fn cilium(object: &Value, policy: PolicyName) -> Option<String> {
    let (one, many) = (object.get("spec"), list(object, "specs"));
    if one.is_some() != many.is_empty() {
        return Some("either `spec` or `specs`".to_owned());
    }
    one.into_iter().chain(many).find_map(|spec| cilium_spec(spec, policy))
}

fn cilium_spec(spec: &Value, policy: PolicyName) -> Option<String> {
    if spec.get(other(policy)).is_some() || spec.get(section(policy)).is_none() {
        return Some("a section decides which direction is isolated; exactly the named one has to stand".to_owned());
    }
    if is_empty(spec.get("endpointSelector")) == is_of_template(policy) {
        return Some("an allow-list selects a template, everything else the namespace".to_owned());
    }
    list(spec, section(policy)).iter().find_map(|rule| {
        let peers = keys(rule).saturating_sub(usize::from(rule.get("toPorts").is_some()));
        if peers != 1 {
            return Some(format!("{peers} kinds of peer in one rule; without one, everybody is meant"));
        }
        let empty = ["toEndpoints", "fromEndpoints"].iter().flat_map(|key| list(rule, key)).any(|peer| keys(peer) == 0);
        if empty {
            return Some("`{}` as an endpoint means every pod of the namespace".to_owned());
        }
        let nobody = |key: &str| list(rule, key).iter().any(|entity| entity == "none");
        if is_deny(policy) != (nobody("toEntities") || nobody("fromEntities")) {
            return Some("`none` stands in a default deny, and nowhere else".to_owned());
        }
        let proxied = list(rule, "toPorts").iter().any(|ports| ports.get("rules").is_some());
        (proxied && policy != PolicyName::EgressBaselineAllow)
            .then(|| "the DNS proxy belongs to the baseline".to_owned())
    })
}

fn antrea(object: &Value, policy: PolicyName) -> Option<String> {
    let spec = object.get("spec")?;
    if spec.get(other(policy)).is_some() || spec.get(section(policy)).is_none() {
        return Some("rules of exactly the named direction have to stand".to_owned());
    }
    let action = if is_deny(policy) { "Drop" } else { "Allow" };
    list(spec, section(policy)).iter().find_map(|rule| {
        if rule.get("action").and_then(Value::as_str) != Some(action) {
            return Some(format!("`{action}` is the action of this policy"));
        }
        let has_peer = rule.get("to").is_some() || rule.get("from").is_some();
        if has_peer == is_deny(policy) {
            return Some("a rule without a peer means everybody; only the final drop is one".to_owned());
        }
        let wide = list(rule, "appliedTo").iter().any(|applied| is_empty(applied.get("podSelector")));
        if wide == is_of_template(policy) {
            return Some("an allow-list applies to a template, everything else to the namespace".to_owned());
        }
        if rule.pointer("/from/0/fqdn").is_some() {
            return Some("`fqdn` is for egress".to_owned());
        }
        peers(rule, "to").or_else(|| peers(rule, "from"))
    })
}

fn calico(object: &Value, policy: PolicyName) -> Option<String> {
    let spec = object.get("spec")?;
    let types = list(spec, "types");
    if types.len() != 1 || types.first().and_then(Value::as_str) != Some(policy.policy_type()) {
        return Some("`types` names exactly the direction of the policy".to_owned());
    }
    if spec.get(other(policy)).is_some() || is_deny(policy) != spec.get(section(policy)).is_none() {
        return Some("a default deny holds no rule; everything else holds rules of its direction".to_owned());
    }
    let (own, far) = match policy.direction() {
        crate::policy::Direction::Egress => ("source", "destination"),
        crate::policy::Direction::Ingress => ("destination", "source"),
    };
    list(spec, section(policy)).iter().find_map(|rule| {
        if rule.pointer("/destination/ports").is_some() && rule.get("protocol").is_none() {
            return Some("ports need a protocol".to_owned());
        }
        let entity = |side: &str, key: &str| rule.get(side).and_then(|side| side.get(key)).is_some();
        let peer = ["selector", "namespaceSelector", "nets"].iter().any(|key| entity(far, key));
        if !peer {
            return Some("a rule without a peer means everybody".to_owned());
        }
        if entity(far, "nets") && entity(far, "selector") {
            return Some("ranges and selectors in one peer are both required of it".to_owned());
        }
        (is_of_template(policy) != entity(own, "selector"))
            .then(|| "a rule of an allow-list is bound to its template, others are not".to_owned())
    })
}

fn cluster_policy(object: &Value, policy: PolicyName) -> Option<String> {
    let spec = object.get("spec")?;
    if spec.get(other(policy)).is_some() || spec.get(section(policy)).is_none() {
        return Some("rules of exactly the named direction have to stand".to_owned());
    }
    if spec.pointer("/subject/pods").is_some() != is_of_template(policy) {
        return Some("an allow-list selects pods of a template, everything else a namespace".to_owned());
    }
    let chosen = |path: &str| spec.pointer(path).is_some() && is_empty(spec.pointer(path));
    if chosen("/subject/namespaces") || chosen("/subject/pods/podSelector") || chosen("/subject/pods/namespaceSelector")
    {
        return Some("an empty subject means every pod of the cluster".to_owned());
    }
    let action = if is_deny(policy) { "Deny" } else { "Accept" };
    list(spec, section(policy)).iter().find_map(|rule| {
        if rule.get("action").and_then(Value::as_str) != Some(action) {
            return Some(format!("`{action}` is the action of this policy"));
        }
        let peers = list(rule, "to").iter().chain(list(rule, "from"));
        let mut empty = peers.filter(|peer| {
            let empty = |path: &str| peer.pointer(path).is_some() && is_empty(peer.pointer(path));
            empty("/namespaces") || empty("/pods/podSelector") || empty("/pods/namespaceSelector")
        });
        empty.next().map(|_| "an empty selector in a peer means every pod".to_owned())
    })
}

/// Holes of ranges lie strictly inside, in the same family, wherever they stand.
fn holes(object: &Value) -> Option<String> {
    let mut waiting = vec![object];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(entries) => {
                waiting.extend(entries.values());
                let ranges: Vec<IpNet> = match (value.get("cidr"), value.get("nets")) {
                    (Some(Value::String(range)), _) => range.parse().into_iter().collect(),
                    (_, Some(Value::Array(nets))) => nets.iter().filter_map(|net| net.as_str()?.parse().ok()).collect(),
                    _ => continue,
                };
                let except = list(value, "except").iter().chain(list(value, "notNets"));
                for hole in except.filter_map(|hole| hole.as_str()?.parse::<IpNet>().ok()) {
                    let inside =
                        ranges.iter().any(|range| range.contains(&hole) && range.prefix_len() < hole.prefix_len());
                    if !inside {
                        return Some(format!("{hole} is not strictly inside its range"));
                    }
                }
            }
            _ => {}
        }
    }
    None
}
