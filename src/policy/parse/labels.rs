//! Kubernetes label selectors (`matchLabels`, `matchExpressions`), as every dialect but one writes them.
//!
//! A null `matchLabels` is the same as none. Keys and values are checked as the API server does.

use super::fields::Item;
use crate::policy::{Key, Problem, Selector};

/// Operators of `matchExpressions` (`k8s.io/apimachinery`, `LabelSelectorOperator`).
#[derive(Clone, Copy, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Reads a selector; `key` says what a label key of it looks at.
pub(super) fn selector(item: Item<'_>, key: &impl Fn(&str) -> Key) -> Result<Selector, Problem> {
    let fields = item.fields(&["matchLabels", "matchExpressions"])?;
    let mut conditions = Vec::new();
    if let Some(labels) = fields.get("matchLabels") {
        for (name, value) in labels.entries()? {
            check_key(&value, name)?;
            let text = value.text()?;
            check_value(&value, text)?;
            conditions.push(Selector::In(key(name), vec![text.into()]));
        }
    }
    for expression in fields.items("matchExpressions")? {
        conditions.push(self::expression(expression, key)?);
    }
    Ok(Selector::All(conditions))
}

fn expression(item: Item<'_>, key: &impl Fn(&str) -> Key) -> Result<Selector, Problem> {
    let fields = item.fields(&["key", "operator", "values"])?;
    let name_item = fields.require("key")?;
    let name = name_item.text()?;
    check_key(&name_item, name)?;
    let operator = fields.require("operator")?.word(&[
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
    ])?;
    let mut values: Vec<Box<str>> = Vec::new();
    for value in fields.items("values")? {
        let text = value.text()?;
        check_value(&value, text)?;
        values.push(text.into());
    }
    let wants_values = matches!(operator, Operator::In | Operator::NotIn);
    if wants_values && values.is_empty() {
        return Err(fields.item.refuse("`values` must not be empty with `In` and `NotIn`"));
    }
    if !wants_values && !values.is_empty() {
        return Err(fields.item.refuse("`values` must be empty with `Exists` and `DoesNotExist`"));
    }
    let key = key(name);
    Ok(match operator {
        Operator::In => Selector::In(key, values),
        Operator::NotIn => Selector::Not(Box::new(Selector::In(key, values))),
        Operator::Exists => Selector::Has(key),
        Operator::DoesNotExist => Selector::Not(Box::new(Selector::Has(key))),
    })
}

/// A qualified name: an optional DNS prefix and `/`, then 1 to 63 characters (`k8s.io/apimachinery`, `IsQualifiedName`).
fn check_key(item: &Item<'_>, key: &str) -> Result<(), Problem> {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    // Cilium writes the source of a label before it.
    let prefix = prefix.rsplit_once(':').map_or(prefix, |(_, rest)| rest);
    let good = !name.is_empty() && name.len() <= 63 && prefix.len() <= 253 && !prefix.contains('/');
    if good {
        return Ok(());
    }
    let shown: String = key.chars().take(80).collect();
    Err(item.refuse(format!("`{shown}` is no label key; write `name` or `prefix.example/name`")))
}

/// At most 63 characters (`k8s.io/apimachinery`, `IsValidLabelValue`).
fn check_value(item: &Item<'_>, value: &str) -> Result<(), Problem> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    if bytes.len() <= 63 && bytes.iter().copied().all(inner) && ends(bytes.first()) && ends(bytes.last()) {
        return Ok(());
    }
    let shown: String = value.chars().take(80).collect();
    Err(item.refuse(format!("`{shown}` is no label value: at most 63 letters, digits, `-`, `_` and `.`")))
}
