//! What probes found, read from their pods: `kubectl get pods -A -l job-name=egress-atlas-probe -o json`.
//!
//! In: JSON or YAML of pods. Out: one result for each container of a probe that has ended. Other pods are passed over; a probe that
//! still runs has found nothing yet.

use serde::{Deserialize, Serialize};

use super::probe::PROBE_NAME;
use crate::model::Timestamp;

/// What a probe said with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeAnswer {
    /// 0: what is allowed was reachable, and the canary was not.
    Blocked,
    /// 1: the canary was reachable.
    Reachable,
    /// Anything else: it cannot tell.
    CannotTell,
}

/// One probe that has ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ProbeResult {
    /// Cluster; `None` where there is only one.
    pub cluster: Option<String>,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// What it found.
    pub answer: ProbeAnswer,
    /// When it ended.
    #[serde(serialize_with = "as_text")]
    pub finished: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    time.to_string().serialize(serializer)
}

/// Why results cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeResultError {
    /// Neither JSON nor YAML of objects.
    #[error(
        "no Kubernetes objects: {0}; give what `kubectl get pods -A -l job-name=egress-atlas-probe -o json` prints"
    )]
    Form(String),
    /// Objects, and none of them is a probe that has ended.
    #[error("no pod of a probe that has ended; Jobs remove theirs an hour after (`ttlSecondsAfterFinished`)")]
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<Self>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    exit_code: i64,
    #[serde(default)]
    finished_at: String,
}

/// Reads the results of `text`, in the order of time.
pub fn probe_results(text: &str) -> Result<Vec<ProbeResult>, ProbeResultError> {
    let object: Object = serde_json::from_str(text)
        .or_else(|_| serde_saphyr::from_str(text))
        .map_err(|error| ProbeResultError::Form(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let mut results = Vec::new();
    let items = if object.items.is_empty() { vec![object] } else { object.items };
    let is_probe =
        |pod: &&Object| (pod.kind.is_empty() || pod.kind == "Pod") && pod.metadata.name.starts_with(PROBE_NAME);
    for pod in items.iter().filter(is_probe) {
        for ended in pod.status.container_statuses.iter().filter_map(|container| container.state.terminated.as_ref()) {
            let Some(finished) = Timestamp::parse(ended.finished_at.as_bytes()) else { continue };
            let answer = match ended.exit_code {
                0 => ProbeAnswer::Blocked,
                1 => ProbeAnswer::Reachable,
                _ => ProbeAnswer::CannotTell,
            };
            let (namespace, pod) = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
            results.push(ProbeResult { cluster: None, namespace, pod, answer, finished });
        }
    }
    results.sort_by(|one, two| (one.finished, one).cmp(&(two.finished, two)));
    if results.is_empty() { Err(ProbeResultError::None) } else { Ok(results) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, state: &str) -> String {
        format!(
            r#"{{"kind":"Pod","metadata":{{"name":"{name}","namespace":"shop"}},"status":{{"containerStatuses":[{{"name":"probe","state":{state}}}]}}}}"#
        )
    }

    fn ended(code: i64) -> String {
        format!(r#"{{"terminated":{{"exitCode":{code},"finishedAt":"2026-03-02T12:00:0{code}Z"}}}}"#)
    }

    #[test]
    fn exit_codes_are_answers() {
        let pods = [0, 1, 2].map(|code| pod("egress-atlas-probe-x2x4z", &ended(code))).join(",");
        let others = [pod("cart-1", &ended(0)), pod("egress-atlas-probe-a", r#"{"running":{}}"#)].join(",");
        let results = probe_results(&format!(r#"{{"kind":"List","items":[{pods},{others}]}}"#)).unwrap();
        let answers: Vec<_> = results.iter().map(|result| result.answer).collect();
        assert_eq!(answers, [ProbeAnswer::Blocked, ProbeAnswer::Reachable, ProbeAnswer::CannotTell]);
        assert_eq!(results[0].namespace, "shop");
    }

    #[test]
    fn one_pod_and_yaml_are_read_too() {
        let text = "kind: Pod\nmetadata: {name: egress-atlas-probe-1, namespace: shop}\nstatus:\n  containerStatuses:\n  - state: {terminated: {exitCode: 0, finishedAt: '2026-03-02T12:00:00Z'}}\n";
        assert_eq!(probe_results(text).unwrap().len(), 1);
        assert_eq!(probe_results(&pod("egress-atlas-probe", &ended(0))).unwrap().len(), 1);
    }

    #[test]
    fn what_says_nothing_is_refused() {
        assert_eq!(probe_results(&pod("cart-1", &ended(0))), Err(ProbeResultError::None));
        assert!(matches!(probe_results("[1"), Err(ProbeResultError::Form(_))));
    }
}
