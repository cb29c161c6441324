//! Results of the gates, read back from the JSON that `soak` and `replay` printed.
//!
//! In: a text. Out: what it shows about namespaces. An unknown form is an error; a field that is missing counts as nothing shown.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Why a result cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// No JSON.
    #[error("no JSON: {0}; give what `soak --format json` or `replay --format json` printed")]
    Json(#[from] serde_json::Error),
    /// JSON of something else.
    #[error("`schema` is `{0}`; evidence is what `soak --format json` or `replay --format json` printed")]
    Schema(String),
}

/// One result.
#[derive(Clone, Debug, PartialEq)]
pub struct GateEvidence {
    /// How the reader finds it.
    pub name: String,
    pub(super) result: GateResult,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum GateResult {
    Soak(SoakSeen),
    Replay(ReplaySeen),
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct SoakSeen {
    pub(super) asked: SpanSeen,
    pub(super) policies: BTreeMap<String, String>,
    pub(super) namespaces: Vec<NamespaceSeen>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct SpanSeen {
    pub(super) from: String,
    pub(super) until: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct NamespaceSeen {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) explained_denials: u64,
    pub(super) explained_on_ingress: u64,
    pub(super) leaks: Vec<LeakSeen>,
    pub(super) doubts: Vec<String>,
    pub(super) probes: Vec<ProbeSeen>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct LeakSeen {
    pub(super) side: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ProbeSeen {
    pub(super) pod: String,
    pub(super) answer: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ReplaySeen {
    pub(super) policies: BTreeMap<String, String>,
    pub(super) profiles: Vec<ClusterSeen>,
    pub(super) rules: Vec<RuleSeen>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ClusterSeen {
    pub(super) cluster: String,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct RuleSeen {
    pub(super) rule: String,
    pub(super) namespace: String,
    pub(super) direction: String,
    pub(super) connections: u64,
}

impl GateEvidence {
    /// Reads a result.
    pub fn parse(name: &str, text: &str) -> Result<Self, EvidenceError> {
        let value: Value = serde_json::from_str(text)?;
        let schema = value.get("schema").and_then(Value::as_str).unwrap_or_default();
        let result = match schema {
            "egress-atlas-soak/1" => GateResult::Soak(serde_json::from_value(value)?),
            "egress-atlas-replay/1" => GateResult::Replay(serde_json::from_value(value)?),
            other => return Err(EvidenceError::Schema(other.to_owned())),
        };
        Ok(Self { name: name.to_owned(), result })
    }
}
