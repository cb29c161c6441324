//! The forms for machines: JSON and tables.

use std::collections::BTreeMap;

use egress_atlas::report::{AtlasDocument, Column, atlas_document, atlas_json, egress_columns, ingress_columns};

use super::build::{atlas, shop, view};

#[test]
fn the_json_form_reads_back_and_every_field_is_described() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let view = view(&atlas, "shop", judgements);
    let text = atlas_json(&view).unwrap();
    assert_eq!(serde_json::from_str::<AtlasDocument>(&text).unwrap(), atlas_document(&view));
    assert!(text.starts_with("{\n  \"schema\": \"egress-atlas/1\",\n  \"window\": {"), "{text}");

    let described = include_str!("../../../docs/atlas-json.md");
    let mut open = vec![serde_json::from_str::<serde_json::Value>(&text).unwrap()];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Array(values) => open.extend(values),
            serde_json::Value::Object(fields) => {
                for (field, value) in fields {
                    let is_field = field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                    let is_data = ["prod", "shop", "coredns"].contains(&field.as_str()) || field.is_empty();
                    assert!(
                        !is_field || is_data || described.contains(&format!("`{field}`")),
                        "{field} is not described"
                    );
                    open.push(value);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_edge_is_a_row_of_its_table() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let view = view(&atlas, "shop", judgements);
    for (columns, rows) in [(egress_columns(&view), 10), (ingress_columns(&view), 3)] {
        assert!(columns.iter().all(|(name, column)| column.len() == rows && !name.is_empty()));
    }
    let egress: BTreeMap<_, _> = egress_columns(&view).into_iter().collect();
    assert_eq!(egress.len(), egress_atlas::model::columns::EGRESS.len());
    assert_eq!(ingress_columns(&view).len(), egress_atlas::model::columns::INGRESS.len());
    let text = |name: &str, row: usize| match &egress[name] {
        Column::Text(values) => values[row].clone(),
        Column::Texts(values) => values[row].join(";"),
        other => format!("{other:?}"),
    };
    assert_eq!([text("peer_type", 7), text("peer", 7)], ["name", "ab12.ngrok-free.app"]);
    assert_eq!([text("suspect", 7), text("severity", 7), text("review", 7)], ["tunnel", "high", "pending"]);
    assert_eq!(
        [text("candidates", 5), text("evidence", 5)],
        ["fonts.example-assets.net;img.example-assets.net", "pod-ambiguous"]
    );
    assert_eq!([text("addresses", 8), text("category", 8)], ["203.0.113.9", "unclassified"]);
}
