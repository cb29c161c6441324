//! Findings for programs: columns, JSON, and SARIF 2.1.0 (OASIS) with the line of each object.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::AuditView;
use crate::model::columns;
use crate::policy::lint::{LINT_RULES, LintFinding};
use crate::report::sarif::{level, log, security_severity};
use crate::report::tables::{Column, Columns};

/// As columns.
pub fn audit_columns(view: &AuditView<'_>) -> Columns {
    let findings = &view.lint.findings;
    let texts = |of: &dyn Fn(&LintFinding) -> String| Column::Text(findings.iter().map(of).collect());
    let values = [
        texts(&|finding| finding.severity.to_string()),
        texts(&|finding| finding.rule.id.to_owned()),
        texts(&|finding| finding.cluster.as_deref().unwrap_or_default().to_owned()),
        texts(&|finding| finding.kind.to_string()),
        texts(&|finding| finding.namespace.to_string()),
        texts(&|finding| finding.name.to_string()),
        texts(&|finding| finding.file.to_string()),
        Column::Count(findings.iter().map(|finding| finding.line as u64).collect()),
        texts(&|finding| finding.message.clone()),
        texts(&|finding| finding.fix.clone()),
    ];
    columns::AUDIT.into_iter().zip(values).collect()
}

/// As JSON, ended by one newline.
pub fn audit_json(view: &AuditView<'_>) -> Result<String, serde_json::Error> {
    let finding = |finding: &LintFinding| {
        json!({
            "rule": finding.rule.id,
            "severity": finding.severity,
            "cluster": finding.cluster,
            "kind": finding.kind,
            "namespace": finding.namespace,
            "name": finding.name,
            "file": finding.file,
            "line": finding.line,
            "message": finding.message,
            "fix": finding.fix,
        })
    };
    let document = json!({
        "schema": "egress-atlas/audit/v1",
        "policies": view.policies,
        "findings": view.lint.findings.iter().map(finding).collect::<Vec<_>>(),
        "not_checked": view.lint.unchecked,
        "notes": view.notes,
    });
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

/// As SARIF, ended by one newline.
pub fn audit_sarif(view: &AuditView<'_>) -> Result<String, serde_json::Error> {
    let rules = LINT_RULES.iter().map(|rule| {
        json!({
            "id": rule.id,
            "shortDescription": { "text": rule.title },
            "fullDescription": { "text": rule.why },
            "defaultConfiguration": { "level": level(rule.severity) },
            "properties": { "tags": ["security", "network-policy"], "security-severity": security_severity(rule.severity) },
        })
    });
    let index: BTreeMap<&str, usize> = LINT_RULES.iter().enumerate().map(|(place, rule)| (rule.id, place)).collect();
    let results = view.lint.findings.iter().map(|finding| result(finding, index.get(finding.rule.id).copied()));
    log(&rules.collect::<Vec<_>>(), &results.collect::<Vec<_>>())
}

fn result(finding: &LintFinding, index: Option<usize>) -> Value {
    let cluster = finding.cluster.as_deref().unwrap_or_default();
    let qualified = [cluster, &finding.namespace, &finding.kind, &finding.name].join("/");
    let logical = json!([{ "fullyQualifiedName": qualified, "kind": "resource" }]);
    let mut location = json!({ "logicalLocations": logical });
    if let (false, Some(fields)) = (finding.file.is_empty(), location.as_object_mut()) {
        let physical = json!({
            "artifactLocation": { "uri": uri(&finding.file) },
            "region": { "startLine": finding.line.max(1) },
        });
        fields.insert("physicalLocation".to_owned(), physical);
    }
    // The message names the rule of the object, so that the same finding keeps its fingerprint when lines move.
    let print =
        [finding.rule.id, cluster, &finding.kind, &finding.namespace, &finding.name, &finding.message].join("/");
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": format!("{}: {}. Fix: {}.", finding.object(), finding.message, finding.fix) },
        "locations": [location],
        "partialFingerprints": { "egressAtlas/v1": print },
        "properties": { "severity": finding.severity },
    })
}

/// A path as a relative reference (RFC 3986): what is not plain is written in percent form.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let encoded: String = path.bytes().map(part).collect();
    if encoded.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
