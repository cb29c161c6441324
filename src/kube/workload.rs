//! Lifts a pod to the controller that a person knows: Pod → `ReplicaSet` → Deployment, Pod → Job → `CronJob`.
//!
//! In: owners and controllers of one cluster. Out: a workload. Where the object in between is missing, the template hash or
//! the name decides; never more than these two steps are taken, so that an operator's own kinds stay out of the way.

use std::collections::BTreeMap;

use super::object::ControllerObject;
use super::pod::{Owner, Pod};
use crate::model::{Workload, WorkloadKind};

/// A controller of pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Controller {
    /// `Deployment`, `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job` or `CronJob`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// How many pods it wants; `None` when it does not say.
    pub replicas: Option<u32>,
    /// Cron expression of a `CronJob`; empty for the others.
    pub schedule: Box<str>,
    /// Time zone of the schedule; empty for that of the controller manager, which is UTC nearly everywhere.
    pub time_zone: Box<str>,
    /// Whether a `CronJob` or Job is suspended.
    pub suspended: bool,
    pub(super) version: u64,
    pub(super) owner: Option<Owner>,
}

/// Controllers by kind, namespace and name.
pub(super) type Controllers = BTreeMap<(Box<str>, Box<str>, Box<str>), Controller>;

impl Controller {
    pub(super) fn from_object(kind: &'static str, object: ControllerObject, namespace: &str) -> Self {
        let ControllerObject { metadata, spec, status } = object;
        Self {
            kind,
            namespace: namespace.into(),
            name: metadata.name.into(),
            replicas: spec.replicas.or(status.desired_number_scheduled),
            schedule: spec.schedule.into(),
            time_zone: spec.time_zone.into(),
            suspended: spec.suspend,
            version: metadata.resource_version.parse().unwrap_or(0),
            owner: Owner::of(&metadata.owner_references),
        }
    }

    /// Whether no other controller owns it: what a person created.
    pub fn is_top_level(&self) -> bool {
        self.owner.is_none()
    }

    /// The workload that it is.
    pub fn workload(&self) -> Workload {
        workload(self.kind, &self.name)
    }

    pub(super) fn key(&self) -> (Box<str>, Box<str>, Box<str>) {
        (self.kind.into(), self.namespace.clone(), self.name.clone())
    }

    /// Joins another observation of the same controller, in any order.
    pub(super) fn absorb(&mut self, other: Self) {
        let rank = |own: &Self| (own.version, own.owner.clone(), own.replicas, own.schedule.clone(), own.suspended);
        if rank(&other) > rank(self) {
            *self = other;
        }
    }
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload { kind: WorkloadKind(kind.into()), name: name.into() }
}

/// The workload of a pod of the inventory.
pub(super) fn of_pod(pod: &Pod, controllers: &Controllers) -> Workload {
    let hash = pod.labels.get("pod-template-hash").map(|hash| &**hash);
    let Some(owner) = &pod.owner else {
        // Without an owner the hash can still tell, when somebody trimmed the object.
        return hash
            .and_then(|hash| name_before(&pod.name, hash))
            .map_or_else(|| workload("Pod", &pod.name), |name| workload("Deployment", name));
    };
    match &*owner.kind {
        // A static pod is owned by its node and carries the node's name behind its own.
        "Node" => workload("Pod", pod.name.strip_suffix(&format!("-{}", owner.name)).unwrap_or(&pod.name)),
        "ReplicaSet" | "Job" => {
            let key = (owner.kind.clone(), pod.namespace.clone(), owner.name.clone());
            match controllers.get(&key) {
                Some(between) => between
                    .owner
                    .as_ref()
                    .map_or_else(|| workload(&owner.kind, &owner.name), |top| workload(&top.kind, &top.name)),
                None if &*owner.kind == "Job" => of_job_name(&owner.name),
                None => hash
                    .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
                    .map_or_else(|| workload("ReplicaSet", &owner.name), |name| workload("Deployment", name)),
            }
        }
        kind => workload(kind, &owner.name),
    }
}

/// The workload of a pod that the inventory does not hold, by its name and the controllers of its namespace.
pub(super) fn of_name(namespace: &str, pod: &str, controllers: &Controllers) -> Workload {
    let guess = Workload::from_pod_name(pod);
    let known = |kind: &str, name: &str| controllers.contains_key(&(kind.into(), namespace.into(), name.into()));
    if &*guess.kind.0 != "Workload" {
        return guess;
    }
    match ["DaemonSet", "Job", "ReplicaSet"].into_iter().find(|kind| known(kind, &guess.name)) {
        Some("DaemonSet") => workload("DaemonSet", &guess.name),
        Some(kind) => {
            let key = (kind.into(), namespace.into(), guess.name.clone());
            let top = controllers.get(&key).and_then(|controller| controller.owner.as_ref());
            top.map_or_else(|| workload(kind, &guess.name), |top| workload(&top.kind, &top.name))
        }
        None => guess,
    }
}

/// `web` for `web-<hash>-<anything>`.
fn name_before<'a>(pod: &'a str, hash: &str) -> Option<&'a str> {
    let (head, _) = pod.rsplit_once('-')?;
    head.strip_suffix(hash)?.strip_suffix('-').filter(|name| !name.is_empty())
}

/// The `CronJob` controller appends the scheduled minute since the epoch to the names of its jobs.
fn of_job_name(job: &str) -> Workload {
    match job.rsplit_once('-') {
        Some((name, minute))
            if !name.is_empty()
                && (8..=10).contains(&minute.len())
                && minute.starts_with(['2', '3'])
                && minute.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            workload("CronJob", name)
        }
        _ => workload("Job", job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_without_the_object_in_between_are_lifted_by_hash_and_name() {
        let check = |name: &str, owner: &str, hash: &str, expected: &str| {
            let (kind, owner) = owner.split_once('/').unwrap_or_default();
            let text = format!(
                r#"{{"metadata":{{"name":"{name}","labels":{{"pod-template-hash":"{hash}"}},"ownerReferences":[
                    {{"kind":"{kind}","name":"{owner}","controller":true}}]}}}}"#
            );
            let pod = Pod::from_object(serde_json::from_str(&text).unwrap(), "shop");
            assert_eq!(of_pod(&pod, &Controllers::new()).to_string(), expected, "{name}");
        };
        check("web-7d4b9c-abcde", "ReplicaSet/web-7d4b9c", "7d4b9c", "Deployment/web");
        check("web-7d4b9c-abcde", "ReplicaSet/web-7d4b9c", "other", "ReplicaSet/web-7d4b9c");
        check("backup-28391040-x7k2p", "Job/backup-28391040", "", "CronJob/backup");
        check("migrate-x7k2p", "Job/migrate", "", "Job/migrate");
        check("db-0", "StatefulSet/db", "", "StatefulSet/db");
        check("kube-proxy-ab12c", "DaemonSet/kube-proxy", "", "DaemonSet/kube-proxy");
        check("kube-apiserver-n1.example", "Node/n1.example", "", "Pod/kube-apiserver");
    }
}
