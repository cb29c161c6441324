//! Findings as events for a SIEM, one JSON object a line: Elastic Common Schema 8, or OCSF 1.3 detection findings.
//!
//! In: a view. Out: lines in the order cluster, namespace, destination. The time of an event is that of the last connection, never that of the
//! run, so that the same input gives the same lines; `event.id` and `finding_info.uid` name the same finding in every run.

use serde_json::{Map, Value, json};

use super::finding_list::{Listed, all};
use super::view::AtlasView;
use crate::model::{Confidence, Severity, Timestamp};
use crate::summary::Peer;

/// The form of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// Elastic Common Schema.
    Ecs,
    /// Open Cybersecurity Schema Framework, class 2004.
    Ocsf,
}

/// Renders the findings, one a line.
///
/// # Errors
///
/// Only if memory for the text cannot be had.
pub fn events(view: &AtlasView<'_>, form: EventForm) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    for found in all(view) {
        let event = match form {
            EventForm::Ecs => ecs(&found),
            EventForm::Ocsf => ocsf(&found),
        };
        out.push_str(&serde_json::to_string(&without_nulls(event))?);
        out.push('\n');
    }
    Ok(out)
}

/// What is not known is left out: neither schema has a null. Our values are three levels deep, and none of them comes from outside.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// A technique, or a sub-technique with the technique that it belongs to.
fn attack(id: &str) -> Value {
    match id.split_once('.') {
        Some((technique, _)) => {
            json!({ "version": "14.1", "technique": { "uid": technique }, "sub_technique": { "uid": id } })
        }
        None => json!({ "version": "14.1", "technique": { "uid": id } }),
    }
}

/// The time of the last event; the epoch when no record carried a time, since both schemas demand one.
fn time(found: &Listed<'_>) -> Timestamp {
    found.last.or(found.first).unwrap_or(Timestamp::from_nanos(0))
}

/// Severity as ECS leaves it to the source, on the scale of risk scores from 0 to 100.
const fn risk(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
    }
}

fn ecs(found: &Listed<'_>) -> Value {
    let finding = found.finding;
    let mut event = json!({
        "@timestamp": time(found).to_string(),
        "ecs": { "version": "8.11.0" },
        "message": found.message(),
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection", "network"],
            "type": ["info"],
            "module": env!("CARGO_PKG_NAME"),
            "dataset": "egress-atlas.finding",
            "id": found.fingerprint(),
            "severity": risk(finding.severity),
            "risk_score": risk(finding.severity),
            "reason": finding.matched,
            "start": found.first.map(|first| first.to_string()),
            "end": found.last.map(|last| last.to_string()),
        },
        "rule": { "id": finding.rule, "name": finding.class, "category": "egress", "description": finding.why },
        "orchestrator": {
            "type": "kubernetes",
            "cluster": { "name": found.cluster },
            "namespace": found.namespace,
            "resource": { "type": found.workload.kind.0, "name": found.workload.name },
        },
        "observer": { "vendor": "egress-atlas", "product": "egress-atlas", "version": env!("CARGO_PKG_VERSION") },
        "egress_atlas": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "review": found.review.as_str(),
            "answered": found.answered(),
            "advice": finding.advice,
            "innocent_reading": finding.false_positive,
            "document": found.document,
            "connections": found.edge.map(|edge| edge.seen.connections()),
        },
    });
    if let Some(fields) = event.as_object_mut() {
        if !finding.attack.is_empty() {
            fields.insert(
                "threat".to_owned(),
                json!({ "framework": "MITRE ATT&CK", "technique": { "id": finding.attack } }),
            );
        }
        if let Some(destination) = destination(found) {
            fields.insert("destination".to_owned(), destination);
        }
        if let Some(edge) = found.edge {
            let transport = edge.key.protocol.to_string().to_lowercase();
            fields.insert("network".to_owned(), json!({ "transport": transport, "direction": "egress" }));
        }
    }
    event
}

fn destination(found: &Listed<'_>) -> Option<Value> {
    if found.subject.is_empty() {
        return None;
    }
    let mut fields = Map::new();
    fields.insert("address".to_owned(), json!(found.subject));
    match found.edge.map(|edge| &edge.key.peer) {
        Some(Peer::Address(address)) => fields.insert("ip".to_owned(), json!(address.to_string())),
        _ => fields.insert("domain".to_owned(), json!(found.subject)),
    };
    if let Some(port) = found.edge.map(|edge| edge.key.port).filter(|port| *port != 0) {
        fields.insert("port".to_owned(), json!(port));
    }
    Some(Value::Object(fields))
}

/// The destination as an OCSF `network_endpoint`.
fn endpoint(found: &Listed<'_>) -> Option<Value> {
    let edge = found.edge?;
    let name = match &edge.key.peer {
        Peer::Address(address) => ("ip", address.to_string()),
        Peer::Name(name) => ("hostname", name.to_string()),
        _ => return None,
    };
    let mut fields = Map::from_iter([(name.0.to_owned(), json!(name.1))]);
    if edge.key.port != 0 {
        fields.insert("port".to_owned(), json!(edge.key.port));
    }
    Some(Value::Object(fields))
}

/// Class 2004, activity 1 (create): <https://schema.ocsf.io/1.3.0/classes/detection_finding>.
fn ocsf(found: &Listed<'_>) -> Value {
    let finding = found.finding;
    let millis = |time: Timestamp| time.nanos() / 1_000_000;
    let severity = match finding.severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
    };
    let confidence = match finding.confidence {
        Confidence::Low => 1,
        Confidence::Medium => 2,
        Confidence::High => 3,
    };
    let attacks: Vec<Value> = finding.attack.iter().map(|id| attack(id)).collect();
    let kind = &*found.workload.kind.0;
    let status = if found.answered().is_some() { (3, "Suppressed") } else { (1, "New") };
    json!({
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "time": millis(time(found)),
        "severity_id": severity,
        "severity": match finding.severity { Severity::Low => "Low", Severity::Medium => "Medium", Severity::High => "High" },
        "confidence_id": confidence,
        "status_id": status.0,
        "status": status.1,
        "message": found.message(),
        "metadata": {
            "version": "1.3.0",
            "product": { "name": "egress-atlas", "vendor_name": "egress-atlas", "version": env!("CARGO_PKG_VERSION") },
        },
        "finding_info": {
            "uid": found.fingerprint(),
            "title": finding.class,
            "desc": finding.why,
            "types": [finding.rule],
            "first_seen_time": found.first.map(millis),
            "last_seen_time": found.last.map(millis),
            "attacks": attacks,
            "analytic": { "type_id": 1, "uid": finding.rule, "name": finding.class },
        },
        "remediation": { "desc": finding.advice },
        "resources": [{
            "type": if kind.is_empty() { "Kubernetes".to_owned() } else { format!("Kubernetes {kind}") },
            "name": found.workload.name,
            "namespace": found.namespace,
            "group": { "name": found.cluster },
        }],
        "evidences": endpoint(found).map(|endpoint| json!([{ "dst_endpoint": endpoint }])),
        "unmapped": {
            "destination": found.subject,
            "port": found.edge.map(|edge| edge.key.port),
            "protocol": found.edge.map(|edge| edge.key.protocol.to_string()),
            "measured": finding.matched,
            "innocent_reading": finding.false_positive,
            "review": found.review.as_str(),
            "document": found.document,
        },
    })
}
