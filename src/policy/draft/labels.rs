//! Which labels of a workload survive a rollout, and which of them select it.
//!
//! In: the labels that all pods of a workload carry. Out: a selector that is never empty, or the reason why there is none. Labels that
//! a controller, a chart or a release writes anew each time are refused, and so is anything that the API server would not take.

use std::collections::BTreeMap;
use std::fmt;

/// Labels that select pods; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector(BTreeMap<String, String>);

impl Selector {
    /// A selector of these labels; none of nothing.
    pub fn new(labels: BTreeMap<String, String>) -> Option<Self> {
        (!labels.is_empty()).then_some(Self(labels))
    }

    /// A selector of one label.
    pub fn of_one(key: &str, value: &str) -> Self {
        Self(BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    /// The labels, sorted by key.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether pods with these labels are selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Why a workload cannot be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No record and no object told its labels.
    NoLabels,
    /// Every label changes with a rollout, or is no label that the API server would take.
    NothingStable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLabels => "its pods carried no label in any record or object",
            Self::NothingStable => "all its labels change with a rollout, a job or a replica",
        })
    }
}

/// Keys that say who a workload is, best first.
pub(super) const IDENTITY: [&str; 9] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "k8s-app",
    "app",
    "component",
    "name",
    "role",
    "tier",
    "service",
];

/// Keys that narrow a selector where the others meet other workloads too, best first.
pub(super) const NARROWING: [&str; 4] =
    ["app.kubernetes.io/instance", "instance", "release", "app.kubernetes.io/part-of"];

/// Keys that are written anew by a controller, a chart, a mesh or a build.
const ROLLOUT_KEYS: [&str; 24] = [
    "apps.kubernetes.io/pod-index",
    "app.kubernetes.io/version",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "chart",
    "controller-revision-hash",
    "controller-uid",
    "helm.sh/chart",
    "heritage",
    "app.kubernetes.io/managed-by",
    "istio.io/rev",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "security.istio.io/tlsMode",
    "service.istio.io/canonical-revision",
    "serving.knative.dev/revision",
    "spark-app-selector",
    "statefulset.kubernetes.io/pod-name",
    "tekton.dev/taskRun",
    "version",
    "workflows.argoproj.io/workflow",
];

/// Words in the last part of a key that betray a changing value.
const ROLLOUT_WORDS: [&str; 21] = [
    "build",
    "checksum",
    "commit",
    "date",
    "deployment-id",
    "digest",
    "execution",
    "exec-id",
    "generation",
    "hash",
    "image",
    "index",
    "job-name",
    "ordinal",
    "pod-name",
    "replica-id",
    "revision",
    "sha",
    "timestamp",
    "uid",
    "version",
];

/// Whether a label changes with a rollout, a job, a replica or a release, or says nothing about who the workload is.
pub fn is_rollout_label(key: &str, value: &str) -> bool {
    if ROLLOUT_KEYS.contains(&key) {
        return true;
    }
    let last = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    let words: Vec<&str> = last.split(['-', '_', '.']).collect();
    ROLLOUT_WORDS
        .iter()
        .any(|word| last == *word || words.contains(word) || (word.contains('-') && last.ends_with(word)))
        || looks_generated(value)
}

/// Whether a value looks like a hash, a UUID, a release number or a time.
fn looks_generated(value: &str) -> bool {
    let hex =
        value.len() >= 7 && value.bytes().all(|b| b.is_ascii_hexdigit()) && value.bytes().any(|b| b.is_ascii_digit());
    let uuid = value.len() == 36
        && value.bytes().filter(|b| *b == b'-').count() == 4
        && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let number = value.strip_prefix('v').unwrap_or(value);
    let release = number.contains('.')
        && number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .split(['.', '-', '_'])
            .take(2)
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    // `cart-1.4.2`, as charts write it.
    let chart = value.rsplit_once('-').is_some_and(|(_, last)| {
        last.split('.').count() >= 3 && last.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_digit()))
    });
    // `web-7d4b9c8f6d`, as the ReplicaSet controller writes it: its alphabet has no vowels.
    let hashed = value.rsplit_once('-').is_some_and(|(_, last)| {
        (8..=10).contains(&last.len())
            && last.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
            && last.bytes().any(|b| b.is_ascii_digit())
    });
    hex || uuid || release || chart || hashed
}

/// Whether the API server takes a label (Kubernetes API conventions: optional prefix, 63 characters).
pub(super) fn is_valid(key: &str, value: &str) -> bool {
    let name = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let prefix = |text: &str| {
        text.len() <= 253
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    let good_key = match key.split_once('/') {
        Some((before, last)) => prefix(before) && name(last),
        None => name(key),
    };
    // An empty value would be taken, and selects whoever sets the label to nothing.
    good_key && name(value)
}

/// The labels that a selector may use.
pub(super) fn stable(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter(|(key, value)| is_valid(key, value) && !is_rollout_label(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The labels that say who a workload is: the recommended ones, else one habitual pair, else all that are stable.
pub(super) fn identity(labels: Option<&BTreeMap<String, String>>) -> Result<Selector, Refused> {
    let labels = labels.filter(|labels| !labels.is_empty()).ok_or(Refused::NoLabels)?;
    let stable = stable(labels);
    let mut chosen = BTreeMap::new();
    let mut take = |key: &str| stable.get(key).map(|value| chosen.insert(key.to_owned(), value.clone())).is_some();
    let recommended = take("app.kubernetes.io/name");
    let component = take("app.kubernetes.io/component");
    if !recommended {
        // One of these is who it is; the rest only narrows.
        let _found = ["k8s-app", "app", "name"].into_iter().any(&mut take);
        if !component {
            let _narrowed = ["component", "role", "tier"].into_iter().any(&mut take);
        }
    }
    if chosen.is_empty() {
        chosen.extend(stable.iter().filter(|(key, _)| NARROWING[..3].contains(&key.as_str())).map(own));
    }
    if chosen.is_empty() {
        chosen.extend(stable.iter().map(own));
    }
    Selector::new(chosen).ok_or(Refused::NothingStable)
}

fn own((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Narrows a selector until it no longer selects `others`, with the labels that it may still take; says whether that worked.
pub(super) fn narrow(
    selector: &mut Selector,
    labels: &BTreeMap<String, String>,
    others: &[&BTreeMap<String, String>],
) -> bool {
    let stable = stable(labels);
    let mut order: Vec<&str> = IDENTITY.into_iter().chain(NARROWING).collect();
    order.extend(stable.keys().map(String::as_str).filter(|key| !IDENTITY.contains(key) && !NARROWING.contains(key)));
    for key in order {
        let Some(value) = stable.get(key) else { continue };
        let still: Vec<&&BTreeMap<String, String>> = others.iter().filter(|other| selector.selects(other)).collect();
        if still.is_empty() {
            return true;
        }
        // Only a label that tells them apart is worth its place.
        if still.iter().any(|other| other.get(key) != Some(value)) {
            selector.0.insert(key.to_owned(), value.clone());
        }
    }
    !others.iter().any(|other| selector.selects(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
    }

    #[test]
    fn selectors_survive_a_rollout() {
        let check = |given: &str, expected: Result<&str, Refused>| {
            let found = identity(Some(&labels(given))).map(|selector| selector.to_string());
            assert_eq!(found.as_deref().map_err(|refused| *refused), expected, "{given}");
        };
        check("app=cart pod-template-hash=7d4b9c8f6d", Ok("app=cart"));
        check("app=cart app.kubernetes.io/name=cart app.kubernetes.io/part-of=shop", Ok("app.kubernetes.io/name=cart"));
        check(
            "app.kubernetes.io/name=argo app.kubernetes.io/component=server app.kubernetes.io/version=v2.4",
            Ok("app.kubernetes.io/component=server,app.kubernetes.io/name=argo"),
        );
        check("k8s-app=kube-dns pod-template-hash=6f6b679f8f", Ok("k8s-app=kube-dns"));
        check("app=redis role=leader controller-revision-hash=redis-5d5f", Ok("app=redis,role=leader"));
        check("statefulset.kubernetes.io/pod-name=db-0 apps.kubernetes.io/pod-index=0", Err(Refused::NothingStable));
        check("job-name=x controller-uid=1c2d batch.kubernetes.io/job-name=x", Err(Refused::NothingStable));
        check("helm.sh/chart=cart-1.4.2 app.kubernetes.io/managed-by=Helm", Err(Refused::NothingStable));
        check("app=cart-1.4.2 release=prod", Ok("release=prod"));
        check("app=9f86d081 team=search", Ok("team=search"));
        check("app=web-7d4b9c8f6d tier=web", Ok("tier=web"));
        check("session=3f2b8c1e-8a56-4a35-9d5b-1f4c3a2b1c0d", Err(Refused::NothingStable));
        check("my.build-id=12 commit_sha=abc git-commit=x", Err(Refused::NothingStable));
        check("bad\u{7}key=x -dash=x long=a\u{301}", Err(Refused::NothingStable));
        check("", Err(Refused::NoLabels));
    }

    #[test]
    fn a_selector_takes_what_tells_it_from_others() {
        let own = labels("app=redis app.kubernetes.io/instance=cache team=a");
        let other = labels("app=redis app.kubernetes.io/instance=queue team=a");
        let mut selector = identity(Some(&own)).unwrap();
        assert!(narrow(&mut selector, &own, &[&other]));
        assert_eq!(selector.to_string(), "app=redis,app.kubernetes.io/instance=cache");
        let same = labels("app=redis app.kubernetes.io/instance=cache team=a extra=1");
        assert!(!narrow(&mut selector, &own, &[&same]));
    }
}
