//! Workloads to templates: who shares a policy, and what selects each peer.
//!
//! In: the workloads of all namespaces with their labels, and the objects of the cluster where a record told no labels. Out: for each
//! namespace its templates; for each workload its selector, or why it has none. Two templates never share a name.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::{Baseline, SeenNamespace};
use super::labels::{self, Refused, Selector};
use crate::kube::Inventory;
use crate::model::Workload;

/// From so many workloads of one identity on, their further labels are taken for names of instances of one template.
const FLEET: usize = 8;

/// Workloads that one selector stands for.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) selector: Selector,
    pub(super) workloads: BTreeSet<Workload>,
    /// Workloads outside it that the selector selects too, because no label tells them apart.
    pub(super) also: BTreeSet<Workload>,
}

/// The templates of one cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Templates {
    by_namespace: BTreeMap<String, Vec<Template>>,
    refused: BTreeMap<(String, Workload), Refused>,
}

type Labels = BTreeMap<String, String>;

impl Templates {
    pub(super) fn new(baseline: &Baseline, inventory: &Inventory) -> Self {
        let mut templates = Self::default();
        for (namespace, seen) in &baseline.namespaces {
            let known = known_labels(baseline, namespace, seen, inventory);
            let found = templates.group(namespace, &known);
            templates.by_namespace.insert(namespace.clone(), found);
        }
        templates
    }

    pub(super) fn of_namespace(&self, namespace: &str) -> &[Template] {
        self.by_namespace.get(namespace).map_or(&[], Vec::as_slice)
    }

    pub(super) fn of_workload(&self, namespace: &str, workload: &Workload) -> Result<&Template, Refused> {
        let mut own = self.of_namespace(namespace).iter();
        own.find(|template| template.workloads.contains(workload)).ok_or_else(|| {
            let key = (namespace.to_owned(), workload.clone());
            self.refused.get(&key).copied().unwrap_or(Refused::NoLabels)
        })
    }

    fn group(&mut self, namespace: &str, known: &BTreeMap<Workload, Option<Labels>>) -> Vec<Template> {
        let mut groups: BTreeMap<Selector, Vec<(&Workload, &Labels)>> = BTreeMap::new();
        for (workload, labels) in known {
            match (labels::identity(labels.as_ref()), labels) {
                (Ok(selector), Some(labels)) => groups.entry(selector).or_default().push((workload, labels)),
                (Err(refused), _) => {
                    self.refused.insert((namespace.to_owned(), workload.clone()), refused);
                }
                (Ok(_), None) => {}
            }
        }
        let mut found: Vec<Template> = Vec::new();
        for (selector, members) in groups {
            found.extend(split(&selector, &members));
        }
        for template in &mut found {
            settle(template, known);
        }
        name_all(&mut found);
        found.sort_by(|one, two| one.name.cmp(&two.name));
        found
    }
}

/// What records and objects know of the labels of a namespace's workloads.
fn known_labels(
    baseline: &Baseline,
    namespace: &str,
    seen: &SeenNamespace,
    inventory: &Inventory,
) -> BTreeMap<Workload, Option<Labels>> {
    let mut known: BTreeMap<Workload, Option<Labels>> =
        seen.workloads.iter().map(|workload| (workload.workload.clone(), workload.labels.clone())).collect();
    // Workloads that only an edge names.
    for edge in seen.egress.iter().chain(&seen.ingress) {
        known.entry(edge.workload.clone()).or_default();
    }
    for edge in baseline.namespaces.values().flat_map(|other| other.egress.iter().chain(&other.ingress)) {
        if let crate::summary::Peer::Workload { cluster, namespace: own, workload } = &edge.peer
            && cluster.is_empty()
            && **own == *namespace
        {
            known.entry(workload.clone()).or_default();
        }
    }
    for pod in inventory.pods(&baseline.cluster).filter(|pod| *pod.namespace == *namespace && !pod.host_network) {
        let object: Labels = pod.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        if let Some(labels) = known.get_mut(&pod.workload) {
            match labels {
                Some(labels) => labels.retain(|key, value| object.get(key) == Some(value)),
                None => *labels = Some(object),
            }
        }
    }
    known
}

/// One template for a group, or one for each member where few members can be told apart.
fn split(selector: &Selector, members: &[(&Workload, &Labels)]) -> Vec<Template> {
    let shared = Template {
        name: String::new(),
        selector: selector.clone(),
        workloads: members.iter().map(|(workload, _)| (*workload).clone()).collect(),
        also: BTreeSet::new(),
    };
    let transient = |workload: &Workload| matches!(&*workload.kind.0, "Job" | "Pod" | "Workload");
    if members.len() < 2 || members.len() > FLEET || members.iter().any(|(workload, _)| transient(workload)) {
        return vec![shared];
    }
    let mut single = Vec::new();
    for (workload, labels) in members {
        let others: Vec<&Labels> =
            members.iter().filter(|(other, _)| other != workload).map(|(_, labels)| *labels).collect();
        let mut own = selector.clone();
        if !labels::narrow(&mut own, labels, &others) {
            return vec![shared];
        }
        single.push(Template { selector: own, workloads: BTreeSet::from([(*workload).clone()]), ..shared.clone() });
    }
    single
}

/// Narrows a template's selector against the namespace's other workloads; remembers those it selects all the same.
fn settle(template: &mut Template, known: &BTreeMap<Workload, Option<Labels>>) {
    let members = known.iter().filter(|(workload, _)| template.workloads.contains(*workload));
    let mut common: Option<Labels> = None;
    for (_, labels) in members {
        let Some(labels) = labels else { continue };
        match &mut common {
            Some(common) => common.retain(|key, value| labels.get(key) == Some(value)),
            None => common = Some(labels.clone()),
        }
    }
    let others: Vec<(&Workload, &Labels)> = known
        .iter()
        .filter(|(workload, _)| !template.workloads.contains(*workload))
        .filter_map(|(workload, labels)| Some((workload, labels.as_ref()?)))
        .collect();
    let labels: Vec<&Labels> = others.iter().map(|(_, labels)| *labels).collect();
    let _told_apart = labels::narrow(&mut template.selector, &common.unwrap_or_default(), &labels);
    template.also = others
        .into_iter()
        .filter(|(_, labels)| template.selector.selects(labels))
        .map(|(workload, _)| workload.clone())
        .collect();
}

/// Gives every template a name that fits an object and that no other has.
fn name_all(templates: &mut [Template]) {
    let mut taken = BTreeSet::new();
    for template in templates {
        let first = template.workloads.first();
        let wanted = match (template.workloads.len(), first) {
            (1, Some(workload)) => object_name(&workload.name),
            _ => template.selector.labels().values().next().map_or_else(String::new, |value| object_name(value)),
        };
        let kind = first.map(|workload| object_name(&workload.kind.0)).unwrap_or_default();
        let mut name = if wanted.is_empty() { "workload".to_owned() } else { wanted };
        if taken.contains(&name) {
            name = format!("{name}-{kind}");
        }
        let base = name.clone();
        let mut number = 2_u32;
        while !taken.insert(name.clone()) {
            name = format!("{base}-{number}");
            number = number.saturating_add(1);
        }
        template.name = name;
    }
}

/// Lower-case letters, digits and hyphens; at most 60 characters, the end replaced by a digest of what was cut.
fn object_name(text: &str) -> String {
    const LENGTH: usize = 60;
    let mut name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    if name.len() > LENGTH {
        name = name.chars().take(LENGTH - 9).collect();
        name.push('-');
        name.push_str(&digest(text));
    }
    name.trim_matches('-').to_owned()
}

/// Eight hexadecimal digits that follow a text (FNV-1a, 32 bits).
pub(super) fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::super::baseline::SeenWorkload;
    use super::*;
    use crate::model::WorkloadKind;

    fn workload(kind: &str, name: &str, labels: &str) -> SeenWorkload {
        let labels: Labels = labels
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        SeenWorkload {
            workload: Workload { kind: WorkloadKind(kind.into()), name: name.into() },
            pods: Vec::new(),
            labels: Some(labels),
        }
    }

    fn check(workloads: Vec<SeenWorkload>, expected: &[&str]) {
        let seen = SeenNamespace { workloads, ..SeenNamespace::default() };
        let baseline = Baseline { cluster: "c".into(), namespaces: BTreeMap::from([("shop".into(), seen)]) };
        let templates = Templates::new(&baseline, &Inventory::default());
        let found: Vec<String> = templates
            .of_namespace("shop")
            .iter()
            .map(|t| format!("{}: {} ({}, also {})", t.name, t.selector, t.workloads.len(), t.also.len()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn workloads_of_one_template_share_a_policy() {
        let fleet =
            (0..20).map(|n| workload("Deployment", &format!("box-{n}"), &format!("app=sandbox user=u{n}"))).collect();
        check(fleet, &["sandbox: app=sandbox (20, also 0)"]);
        let jobs = vec![workload("Job", "a1", "app=etl job-name=a1"), workload("Job", "a2", "app=etl job-name=a2")];
        check(jobs, &["etl: app=etl (2, also 0)"]);
    }

    #[test]
    fn workloads_that_differ_are_told_apart() {
        check(
            vec![
                workload("StatefulSet", "cache", "app=redis app.kubernetes.io/instance=cache"),
                workload("StatefulSet", "queue", "app=redis app.kubernetes.io/instance=queue"),
            ],
            &[
                "cache: app=redis,app.kubernetes.io/instance=cache (1, also 0)",
                "queue: app=redis,app.kubernetes.io/instance=queue (1, also 0)",
            ],
        );
        check(
            vec![workload("Deployment", "web", "app=web"), workload("CronJob", "web", "app=web task=clean")],
            &["web: app=web (2, also 0)"],
        );
        check(
            vec![workload("Deployment", "web", "team=a"), workload("Deployment", "api", "team=a app=api")],
            &["api: app=api (1, also 0)", "web: team=a (1, also 1)"],
        );
    }
}
