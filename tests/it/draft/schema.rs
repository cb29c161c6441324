//! Objects against the schemas that API servers have of them.
//!
//! In: an object and its dialect. Out: the first place that does not fit. Knows what the schemas use: types, required and known keys, words,
//! bounds, alternatives. Patterns are left to the checks of the drafts themselves, and so are the rules in CEL.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use egress_atlas::policy::draft::Dialect;
use serde_json::Value;

static SCHEMAS: LazyLock<BTreeMap<&str, Value>> = LazyLock::new(|| {
    [
        ("kubernetes", include_str!("../../fixtures/policy/schemas/kubernetes.json")),
        ("cilium", include_str!("../../fixtures/policy/schemas/cilium.json")),
        ("calico", include_str!("../../fixtures/policy/schemas/calico.json")),
        ("antrea", include_str!("../../fixtures/policy/schemas/antrea.json")),
        ("cluster-network-policy", include_str!("../../fixtures/policy/schemas/cluster-network-policy.json")),
    ]
    .map(|(name, text)| (name, serde_json::from_str(text).unwrap()))
    .into()
});

/// The first place of an object that its schema refuses.
pub(super) fn refused(dialect: Dialect, object: &Value) -> Option<String> {
    let schema = &SCHEMAS[dialect.to_string().as_str()];
    Schema { root: schema, whole: true }.misfit(object, schema, "")
}

#[derive(Clone, Copy)]
struct Schema<'s> {
    root: &'s Value,
    /// Whether keys that are not listed are wrong; not so within alternatives, which list some only.
    whole: bool,
}

impl Schema<'_> {
    fn misfit(self, value: &Value, schema: &Value, path: &str) -> Option<String> {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
            return self.misfit(value, self.root.pointer(name).unwrap(), path);
        }
        let wrong = |what: String| Some(format!("{path}: {what}"));
        let is_either = schema["x-kubernetes-int-or-string"] == true && (value.is_string() || value.is_i64());
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !is_either && !types.is_empty() && !types.iter().any(|wanted| is_of(wanted, value)) {
            return wrong(format!("{value} is no {types:?}"));
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return wrong(format!("{value} is none of {}", schema["enum"]));
        }
        let part = Self { whole: false, ..self };
        let fits = |other: &Value| part.misfit(value, other, path).is_none();
        let alternatives = |key: &str| schema[key].as_array().map(|all| all.iter().filter(|one| fits(one)).count());
        if alternatives("anyOf") == Some(0) || alternatives("oneOf").is_some_and(|count| count != 1) {
            return wrong(format!("{value} fits none or too many of the alternatives"));
        }
        if alternatives("allOf").is_some_and(|count| count != schema["allOf"].as_array().map_or(0, Vec::len)) {
            return wrong("does not fit all that it has to".to_owned());
        }
        if schema["not"].is_object() && fits(&schema["not"]) {
            return wrong("fits what it must not".to_owned());
        }
        match value {
            Value::Object(entries) => self.object(entries, schema, path),
            Value::Array(items) => {
                let within = |key: &str, fits: &dyn Fn(u64) -> bool| schema[key].as_u64().is_none_or(fits);
                let count = items.len() as u64;
                if !within("minItems", &|least| count >= least) || !within("maxItems", &|most| count <= most) {
                    return wrong(format!("{count} elements"));
                }
                let inner = &schema["items"];
                items.iter().enumerate().find_map(|(at, item)| self.misfit(item, inner, &format!("{path}[{at}]")))
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap();
                let inside = schema["minimum"].as_f64().is_none_or(|least| number >= least)
                    && schema["maximum"].as_f64().is_none_or(|most| number <= most);
                if inside { None } else { wrong(format!("{number} is out of bounds")) }
            }
            Value::String(text) => {
                let length = text.chars().count() as u64;
                let inside = schema["minLength"].as_u64().is_none_or(|least| length >= least)
                    && schema["maxLength"].as_u64().is_none_or(|most| length <= most);
                if inside { None } else { wrong(format!("{length} characters")) }
            }
            _ => None,
        }
    }

    fn object(self, entries: &serde_json::Map<String, Value>, schema: &Value, path: &str) -> Option<String> {
        let count = entries.len() as u64;
        if schema["minProperties"].as_u64().is_some_and(|least| count < least)
            || schema["maxProperties"].as_u64().is_some_and(|most| count > most)
        {
            return Some(format!("{path}: {count} keys"));
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|key| !entries.contains_key(*key)) {
            return Some(format!("{path}: `{missing}` is missing"));
        }
        entries.iter().find_map(|(key, value)| {
            // What every object has, whether its schema says so or not.
            let is_head = path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&key.as_str());
            let path = format!("{path}.{key}");
            match (schema["properties"].get(key), &schema["additionalProperties"]) {
                (Some(inner), _) | (None, inner @ Value::Object(_)) => self.misfit(value, inner, &path),
                _ if !is_head && self.whole && schema["properties"].is_object() => {
                    Some(format!("{path}: an unknown key"))
                }
                _ => None,
            }
        })
    }
}

fn is_of(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}

#[test]
fn schemas_refuse_what_api_servers_refuse() {
    let check = |dialect: Dialect, text: &str, expected: Option<&str>| {
        let object = serde_saphyr::from_str(text).unwrap();
        let found = refused(dialect, &object);
        match expected {
            None => assert_eq!(found, None, "{text}"),
            Some(part) => assert!(found.as_ref().is_some_and(|what| what.contains(part)), "{found:?} {text}"),
        }
    };
    let k8s = |spec: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: x}}, spec: {spec}}}"
        )
    };
    check(Dialect::Kubernetes, &k8s("{podSelector: {}, egress: [{ports: [{port: 53}]}]}"), None);
    check(Dialect::Kubernetes, &k8s("{podSelector: {}, egress: [{too: []}]}"), Some("an unknown key"));
    check(Dialect::Kubernetes, &k8s("{podSelector: {}, egress: [{to: [{ipBlock: {}}]}]}"), Some("`cidr` is missing"));
    let cilium = |spec: &str| {
        format!(
            "{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p, namespace: x}}, spec: {spec}}}"
        )
    };
    check(Dialect::Cilium, &cilium("{endpointSelector: {}, egress: [{toEntities: [world]}]}"), None);
    check(Dialect::Cilium, &cilium("{endpointSelector: {}, egress: [{toEntities: [wrold]}]}"), Some("is none of"));
    check(
        Dialect::Cilium,
        &cilium("{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: 80}]}]}]}"),
        Some("is no [\"string\"]"),
    );
}
