//! The order of steps: one staging namespace, all staging, one low-risk production namespace, the rest in waves.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::json::AtlasDocument;
use super::risk::{Environment, Judged, NamespaceRisk, weigh};

/// Version of the JSON form.
const SCHEMA: &str = "egress-atlas-plan/1";

/// A policy object as commands name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PolicyObject {
    /// `egress` or `ingress`.
    pub direction: &'static str,
    /// The resource as `kubectl` takes it without doubt (`networkpolicies.networking.k8s.io`).
    pub resource: String,
    /// The namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What the plan is made from.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// The baseline.
    pub baseline: &'a AtlasDocument,
    /// What (cluster, namespace) is for; absent means nobody said.
    pub environments: &'a BTreeMap<(String, String), Environment>,
    /// Objects to be applied, by (cluster, namespace).
    pub objects: BTreeMap<(String, String), Vec<PolicyObject>>,
    /// What a replay of the baseline makes of each (cluster, namespace); empty without policies.
    pub judged: BTreeMap<(String, String), Judged>,
    /// Who is called for each (cluster, namespace), in words.
    pub contacts: BTreeMap<(String, String), String>,
    /// Where the drafts lie, for the commands.
    pub drafts: &'a str,
    /// Where the baseline lies, for the commands.
    pub baseline_path: &'a str,
    /// Length of each soak in hours.
    pub hours: u32,
    /// Namespaces in one wave of the last step.
    pub wave: usize,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// From one.
    pub number: usize,
    /// What it is for.
    pub title: String,
    /// Hours of soak before the next step.
    pub soak_hours: u32,
    /// (cluster, namespace) in the order of their risk.
    pub namespaces: Vec<(String, String)>,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Version of the form.
    pub schema: &'static str,
    /// All namespaces, the riskiest last.
    pub ranking: Vec<NamespaceRisk>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Namespaces that are in no step, with the reason.
    pub left_out: Vec<(String, String, String)>,
    /// What a reader must know about the plan as a whole.
    pub notes: Vec<String>,
    /// Objects to be applied, by (cluster, namespace) in words.
    pub objects: BTreeMap<String, Vec<PolicyObject>>,
    /// What a replay of the baseline makes of each (cluster, namespace) in words; empty without policies.
    pub judged: BTreeMap<String, Judged>,
    /// Who is called, by (cluster, namespace) in words.
    pub contacts: BTreeMap<String, String>,
    /// Where the drafts lie.
    pub drafts: String,
    /// Where the baseline lies.
    pub baseline: String,
}

/// Namespaces of the cluster itself, by name or beginning.
const SYSTEM: [&str; 8] =
    ["kube-", "calico-", "tigera-", "cilium", "antrea", "openshift-", "gatekeeper-system", "kyverno"];

/// Makes the plan.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut ranking = Vec::new();
    let mut left_out = Vec::new();
    for (cluster, content) in &input.baseline.clusters {
        for (name, namespace) in &content.namespaces {
            if name.is_empty() {
                continue;
            }
            let known = input.environments.get(&(cluster.clone(), name.clone())).copied();
            let by_name = SYSTEM.iter().any(|system| name.starts_with(system)).then_some(Environment::System);
            let environment = known.or(by_name).unwrap_or(Environment::Production);
            let judged = input.judged.get(&(cluster.clone(), name.clone())).copied();
            let risk = weigh((cluster, content), (name, namespace), environment, judged);
            if environment == Environment::System {
                let why = "part of the cluster itself: everything depends on it; close it last, by hand, or not at all";
                left_out.push((cluster.clone(), name.clone(), why.to_owned()));
            }
            ranking.push(risk);
        }
    }
    ranking.sort_by(|one, two| {
        (one.points, &one.cluster, &one.namespace).cmp(&(two.points, &two.cluster, &two.namespace))
    });
    let notes = notes(input, &ranking);
    let steps = steps(input, &ranking);
    Plan {
        schema: SCHEMA,
        steps,
        left_out,
        notes,
        objects: in_words(&input.objects),
        judged: in_words(&input.judged),
        contacts: in_words(&input.contacts),
        drafts: input.drafts.to_owned(),
        baseline: input.baseline_path.to_owned(),
        ranking,
    }
}

fn in_words<T: Clone>(of: &BTreeMap<(String, String), T>) -> BTreeMap<String, T> {
    of.iter().map(|((cluster, name), value)| (format!("{cluster}/{name}"), value.clone())).collect()
}

fn notes(input: &PlanInput<'_>, ranking: &[NamespaceRisk]) -> Vec<String> {
    let mut notes = Vec::new();
    let of = |environment| ranking.iter().filter(move |risk| risk.environment == environment).count();
    if of(Environment::Staging) == 0 {
        notes.push(
            "No namespace is known to be staging: the first step is the least risky namespace of all. Say which are staging with \
             `--environment staging=PATTERN`, or with a label `environment` on the namespaces (`--kube`)."
                .to_owned(),
        );
    }
    let unknown = ranking
        .iter()
        .filter(|risk| risk.environment == Environment::Production)
        .filter(|risk| !input.environments.contains_key(&(risk.cluster.clone(), risk.namespace.clone())))
        .count();
    if unknown > 0 && of(Environment::Staging) > 0 {
        notes.push(format!("{unknown} namespaces say nothing of their environment and count as production."));
    }
    if input.objects.is_empty() {
        notes.push("No policies were given (`--policies`), so commands name the pinned names alone (a draft's README has every object), and nobody knows what a replay cannot tell.".to_owned());
    }
    notes
}

fn steps(input: &PlanInput<'_>, ranking: &[NamespaceRisk]) -> Vec<Step> {
    let of = |environment| -> Vec<(String, String)> {
        let own = ranking.iter().filter(|risk| risk.environment == environment);
        own.map(|risk| (risk.cluster.clone(), risk.namespace.clone())).collect()
    };
    let (mut staging, mut production) = (of(Environment::Staging), of(Environment::Production));
    let mut planned: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut first = |from: &mut Vec<(String, String)>, title: &str| {
        if !from.is_empty() {
            planned.push((title.to_owned(), vec![from.remove(0)]));
        }
    };
    if staging.is_empty() {
        first(&mut production, "The least risky namespace");
    } else {
        first(&mut staging, "One staging namespace");
    }
    if !staging.is_empty() {
        planned.push(("The rest of staging".to_owned(), staging));
        let mut first = |from: &mut Vec<(String, String)>| {
            if !from.is_empty() {
                planned.push(("One low-risk production namespace".to_owned(), vec![from.remove(0)]));
            }
        };
        first(&mut production);
    } else if planned.first().is_some_and(|(title, _)| title.starts_with("One staging")) && !production.is_empty() {
        planned.push(("One low-risk production namespace".to_owned(), vec![production.remove(0)]));
    }
    let waves = production.chunks(input.wave.max(1));
    let total = waves.len();
    for (index, wave) in waves.enumerate() {
        let title = if total == 1 { "The rest".to_owned() } else { format!("The rest, wave {} of {total}", index + 1) };
        planned.push((title, wave.to_vec()));
    }
    planned
        .into_iter()
        .enumerate()
        .map(|(index, (title, namespaces))| Step { number: index + 1, title, soak_hours: input.hours, namespaces })
        .collect()
}
