//! Findings as SARIF 2.1.0 (OASIS), for code scanning and for editors.
//!
//! In: a view. Out: one log with one run. A result points to the namespace's document, since code scanning wants a file; the same finding has the same
//! fingerprint in every run. What an owner answers for is a suppressed result, not a missing one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::finding_list::{Listed, all};
use super::view::AtlasView;
use crate::model::Severity;

/// Renders the findings as SARIF, ended by one newline.
///
/// # Errors
///
/// Only if memory for the text cannot be had.
pub fn sarif(view: &AtlasView<'_>) -> Result<String, serde_json::Error> {
    let listed = all(view);
    let mut rules: BTreeMap<&str, &Listed<'_>> = BTreeMap::new();
    for found in &listed {
        let known = rules.entry(&found.finding.rule).or_insert(found);
        if known.finding.severity < found.finding.severity {
            *known = found;
        }
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, rule)| (*rule, index)).collect();
    let results: Vec<Value> = listed.iter().map(|found| result(found, &index)).collect();
    let rules: Vec<Value> = rules.values().map(|found| rule(found)).collect();
    log(&rules, &results)
}

/// One log with one run of this program.
pub(super) fn log(rules: &[Value], results: &[Value]) -> Result<String, serde_json::Error> {
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log)?;
    text.push('\n');
    Ok(text)
}

/// Code scanning sorts by this number, 0 to 10, as in CVSS: above 7 is high, above 4 medium.
pub(super) const fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "8.0",
        Severity::Medium => "5.0",
        Severity::Low => "2.0",
    }
}

pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn rule(found: &Listed<'_>) -> Value {
    let finding = found.finding;
    let tags =
        ["security".to_owned()].into_iter().chain(finding.attack.iter().map(|id| format!("external/attack/{id}")));
    let reading =
        finding.false_positive.as_ref().map_or_else(String::new, |text| format!(" Innocent reading: {text}."));
    json!({
        "id": finding.rule,
        "name": finding.class,
        "shortDescription": { "text": finding.class.replace('_', " ") },
        "fullDescription": { "text": finding.why },
        "help": { "text": format!("{}{reading}", finding.advice) },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": { "tags": tags.collect::<Vec<_>>(), "security-severity": security_severity(finding.severity) },
    })
}

fn result(found: &Listed<'_>, index: &BTreeMap<&str, usize>) -> Value {
    let finding = found.finding;
    let place = [found.cluster, found.namespace, &found.workload.to_string(), &found.subject].join("/");
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": index.get(&*finding.rule).copied().unwrap_or(0),
        "level": level(finding.severity),
        "message": { "text": found.message() },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": found.document },
                "region": { "startLine": 1 },
            },
            "logicalLocations": [{ "fullyQualifiedName": place, "kind": "resource" }],
        }],
        "partialFingerprints": { "egressAtlas/v1": found.fingerprint() },
        "properties": {
            "cluster": found.cluster,
            "namespace": found.namespace,
            "workload": found.workload.to_string(),
            "destination": found.subject,
            "port": found.edge.map(|edge| edge.key.port),
            "severity": finding.severity,
            "confidence": finding.confidence,
            "review": found.review.as_str(),
        },
    });
    if let (Some(why), Some(fields)) = (found.answered(), result.as_object_mut()) {
        let suppression = json!([{ "kind": "external", "status": "accepted", "justification": why }]);
        fields.insert("suppressions".to_owned(), suppression);
    }
    result
}
