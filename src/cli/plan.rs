//! `plan`: in which order to roll policies out, with every command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Context;
use super::baseline::{baseline_and_connections, read_baseline};
use super::replay::{Connections, Profiles, any_policies_of, policies, policies_of};
use super::traffic::{self, TrafficArgs, object_files};
use super::write::write_text;
use crate::catalog::Settings;
use crate::error::ExitStatus;
use crate::kube::Inventory;
use crate::policy::names::PolicyName;
use crate::policy::{Dialect, PolicySet};
use crate::read::{InputError, InputFile, InputSpec};
use crate::replay::{Asked, Evaluator, replay};
use crate::report::{
    AtlasDocument, Environment, Judged, PlanInput, PolicyObject, cluster_folder, plan, plan_json, plan_markdown,
    runbook_markdown,
};
use crate::task::of_baseline;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 done, 3 the traffic at hand does not cover what was asked. Kubernetes objects tell the environment of a namespace by its \
    label; `[plan]` in the settings tells it too, and who is called.\n\n\
    Examples:\n  egress-atlas plan --baseline discovery --environment 'staging=*-staging' > plan.md\n  \
    egress-atlas plan --baseline discovery --policies drafts --kube kube.json --runbook runbook.md --format json\n  \
    egress-atlas plan --flows hubble/ --dns coredns.fstrm --kube kube.json --since 7d > plan.md"
)]
pub(super) struct PlanArgs {
    /// The baseline: a folder that `discover` wrote.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["flows", "store"],
        conflicts_with_all = ["flows", "dns", "store", "cluster", "since", "until"])]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    traffic: TrafficArgs,
    /// The owner gate, where traffic is read [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    reviews: Option<PathBuf>,
    /// The policies to be rolled out, as `draft` wrote them; their objects are named in the rollback commands.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// What namespaces are for: `staging=PATTERN`, `production=PATTERN` or `system=PATTERN`; `*` stands for anything (repeatable, the first that fits decides).
    #[arg(long, value_name = "WHAT=PATTERN")]
    environment: Vec<String>,
    /// Label of namespaces that tells the environment.
    #[arg(long, value_name = "KEY", default_value = "environment")]
    environment_label: String,
    /// Length of each soak, in hours.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..))]
    hours: u32,
    /// Namespaces in one wave of the last step.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    wave: u16,
    /// What the CNI does where the API leaves it open, for the share that a replay cannot tell; NAME= gives the cluster [default: the
    /// settings', else `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE")]
    profile: Vec<String>,
    /// Also write the runbook: layout, rollout, rollback of each direction, escalation.
    #[arg(long, value_name = "FILE")]
    runbook: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "markdown")]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Markdown,
    Json,
}

pub(super) fn run(args: &PlanArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let (baseline, covered, connections) = evidence(args, context)?;
    let settings = args.traffic.settings()?;
    let environments = environments(args, &baseline, &settings)?;
    let (objects, judged) = match &args.policies {
        Some(path) => of_policies(path, (&baseline, &connections), &Profiles::parse(&args.profile)?, &settings)?,
        None => Default::default(),
    };
    let drafts = args.policies.as_ref().map_or_else(|| "drafts".to_owned(), |path| path.display().to_string());
    let made = plan(&PlanInput {
        baseline: &baseline,
        environments: &environments,
        objects,
        judged,
        contacts: contacts(&baseline, &settings)?,
        drafts: &drafts,
        baseline_path: &args
            .baseline
            .as_ref()
            .map_or_else(|| "discovery".to_owned(), |path| path.display().to_string()),
        hours: args.hours,
        wave: usize::from(args.wave),
    });
    if let Some(path) = &args.runbook {
        write_text(path, &runbook_markdown(&made))?;
        context.say(&format!("runbook: {}", path.display()));
    }
    let text = match args.format {
        Form::Markdown => plan_markdown(&made),
        Form::Json => plan_json(&made)?,
    };
    write!(context.out, "{text}")?;
    if covered {
        return Ok(ExitStatus::Good);
    }
    context.say("status 3: not proven: the plan stands on traffic that does not cover what was asked");
    Ok(ExitStatus::NotProven)
}

/// The baseline, whether it covers what was asked, and the connections that policies are judged by.
fn evidence(args: &PlanArgs, context: &mut Context<'_>) -> anyhow::Result<(AtlasDocument, bool, Connections)> {
    let (baseline, covered, connections) = if let Some(folder) = &args.baseline {
        (read_baseline(folder)?, true, None)
    } else {
        let asked = args.policies.as_deref().map(asked).transpose()?;
        baseline_and_connections(&args.traffic, args.reviews.as_deref(), asked.as_ref(), context)?
    };
    // A baseline has neither ports of clients nor types of ICMP, nor the services of its clusters.
    let connections = connections.unwrap_or_else(|| (of_baseline(&baseline), BTreeMap::new()));
    Ok((baseline, covered, connections))
}

/// What the policies of a folder ask of connections; whether they can be used is told before hours of traffic are read.
fn asked(path: &Path) -> anyhow::Result<Asked> {
    let error = match policies(&[path.display().to_string()]) {
        Ok(set) => return Ok(Asked::of(&set)),
        Err(error) => error,
    };
    // Folders of clusters may hold the same objects.
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|entry| entry.is_dir()).collect();
    folders.sort();
    let specs =
        folders.into_iter().map(|folder| InputSpec { cluster: None, format: None, path: folder.display().to_string() });
    let with_files = specs.filter(|spec| !matches!(spec.files(), Err(InputError::NoFiles { .. })));
    let mut sets = with_files.map(|spec| any_policies_of(&[spec])).collect::<Result<Vec<PolicySet>, _>>()?;
    sets.retain(|set| !set.policies.is_empty());
    if sets.is_empty() { Err(error) } else { Ok(Asked::of_all(&sets)) }
}

/// Who is called for each namespace: the first pattern that fits.
fn contacts(baseline: &AtlasDocument, settings: &Settings) -> anyhow::Result<BTreeMap<(String, String), String>> {
    let mut patterns = Vec::new();
    for (pattern, who) in &settings.plan.contacts {
        patterns.push((glob::Pattern::new(pattern).with_context(|| format!("[plan] contacts `{pattern}`"))?, who));
    }
    let mut contacts = BTreeMap::new();
    for (cluster, content) in &baseline.clusters {
        for name in content.namespaces.keys() {
            if let Some((_, who)) = patterns.iter().find(|(pattern, _)| pattern.matches(name)) {
                contacts.insert((cluster.clone(), name.clone()), who.to_string());
            }
        }
    }
    Ok(contacts)
}

fn environment(word: &str) -> Option<Environment> {
    match word.to_ascii_lowercase().as_str() {
        "staging" | "stage" | "stg" | "test" | "testing" | "dev" | "development" | "qa" | "sandbox" => {
            Some(Environment::Staging)
        }
        "production" | "prod" | "prd" | "live" => Some(Environment::Production),
        "system" | "infra" | "platform" => Some(Environment::System),
        _ => None,
    }
}

/// What the flags, else the labels say.
fn environments(
    args: &PlanArgs,
    baseline: &AtlasDocument,
    settings: &Settings,
) -> anyhow::Result<BTreeMap<(String, String), Environment>> {
    let mut patterns = Vec::new();
    for text in &args.environment {
        let Some((word, pattern)) = text.split_once('=') else {
            bail!("--environment `{text}`: write staging=PATTERN, production=PATTERN or system=PATTERN");
        };
        let Some(environment) = environment(word) else {
            bail!("--environment `{text}`: `{word}` is none of staging, production, system");
        };
        let pattern =
            glob::Pattern::new(pattern).with_context(|| format!("--environment `{text}`: not a usable pattern"))?;
        patterns.push((pattern, environment));
    }
    for (word, pattern) in &settings.plan.environments {
        let pattern = glob::Pattern::new(pattern).with_context(|| format!("[plan] {word} `{pattern}`"))?;
        patterns.extend(environment(word).map(|environment| (pattern, environment)));
    }
    let inventories = inventory(&args.traffic.kube, baseline)?;
    let mut known = BTreeMap::new();
    for (cluster, content) in &baseline.clusters {
        for name in content.namespaces.keys() {
            let flagged =
                patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, environment)| *environment);
            let labels = inventories.namespace(cluster, name);
            let keys = [args.environment_label.as_str(), "env", "app.kubernetes.io/environment"];
            let labelled = || keys.iter().filter_map(|key| labels?.get(*key)).find_map(|value| environment(value));
            if let Some(environment) = flagged.or_else(labelled) {
                known.insert((cluster.clone(), name.clone()), environment);
            }
        }
    }
    Ok(known)
}

fn inventory(paths: &[String], baseline: &AtlasDocument) -> anyhow::Result<Inventory> {
    let unnamed = |file: &InputFile| {
        let mut clusters = baseline.clusters.keys();
        let Some(only) = clusters.next().filter(|_| clusters.next().is_none()) else {
            let name = file.path.display();
            bail!("`{name}`: of which cluster? The baseline has several; write --kube NAME={name}");
        };
        Ok(only.clone())
    };
    traffic::inventory(&object_files(paths)?, unnamed, &mut Vec::new())
}

/// Objects of each namespace, and what a replay of the baseline makes of it.
type OfPolicies = (BTreeMap<(String, String), Vec<PolicyObject>>, BTreeMap<(String, String), Judged>);

/// Several clusters have a folder each.
fn of_policies(
    path: &Path,
    (baseline, (recorded, services)): (&AtlasDocument, &Connections),
    profiles: &Profiles,
    settings: &Settings,
) -> anyhow::Result<OfPolicies> {
    let mut found: BTreeMap<(String, String), Vec<PolicyObject>> = BTreeMap::new();
    let mut judged = BTreeMap::new();
    let several = baseline.clusters.len() > 1;
    if several && !baseline.clusters.keys().any(|cluster| path.join(cluster_folder(cluster)).is_dir()) {
        bail!(
            "`{}`: no folder of any cluster of the baseline in it; give the folder that `draft --out` wrote",
            path.display()
        );
    }
    for cluster in baseline.clusters.keys() {
        let folder = if several { path.join(cluster_folder(cluster)) } else { path.to_owned() };
        if several && !folder.is_dir() {
            continue;
        }
        let spec = InputSpec { cluster: None, format: None, path: folder.display().to_string() };
        let set = policies_of(&[spec])?;
        for (namespace, object) in named(&set) {
            found.entry((cluster.clone(), namespace)).or_default().push(object);
        }
        let known = services.get(cluster.as_str()).cloned().unwrap_or_default();
        let evaluator = Evaluator::new(&set, profiles.of(cluster, settings, &set)?).knowing(known);
        let outcome = replay(recorded, false, |own| (own == cluster).then_some(&evaluator));
        for workload in outcome.workloads.iter().filter(|workload| *workload.cluster == **cluster) {
            let sum: &mut Judged = judged.entry((cluster.clone(), workload.namespace.to_string())).or_default();
            sum.passed = sum.passed.saturating_add(workload.totals.passed());
            sum.would_break = sum.would_break.saturating_add(workload.totals.would_break);
            sum.undecidable = sum.undecidable.saturating_add(workload.totals.undecidable);
        }
    }
    for objects in found.values_mut() {
        objects.sort();
        objects.dedup();
    }
    Ok((found, judged))
}

/// Objects with a pinned name, and whose they are: cluster-wide ones lie in their namespace's folder.
fn named(set: &PolicySet) -> impl Iterator<Item = (String, PolicyObject)> {
    set.policies.iter().filter_map(|policy| {
        let pinned = PolicyName::of(&policy.id.name)?;
        let folder = Path::new(&*policy.id.file).parent()?.file_name()?.to_string_lossy().into_owned();
        let owner = if policy.id.namespace.is_empty() { folder } else { policy.id.namespace.to_string() };
        let resource = match policy.dialect {
            Dialect::Kubernetes => "networkpolicies.networking.k8s.io",
            Dialect::Cilium if policy.id.namespace.is_empty() => "ciliumclusterwidenetworkpolicies.cilium.io",
            Dialect::Cilium => "ciliumnetworkpolicies.cilium.io",
            Dialect::Calico if policy.id.namespace.is_empty() => "globalnetworkpolicies.projectcalico.org",
            Dialect::Calico => "networkpolicies.projectcalico.org",
            Dialect::Antrea if policy.id.namespace.is_empty() => "clusternetworkpolicies.crd.antrea.io",
            Dialect::Antrea => "networkpolicies.crd.antrea.io",
            Dialect::ClusterNetworkPolicy => "clusternetworkpolicies.policy.networking.k8s.io",
        };
        let direction = match pinned.direction() {
            crate::policy::Direction::Egress => "egress",
            crate::policy::Direction::Ingress => "ingress",
        };
        Some((
            owner,
            PolicyObject {
                direction,
                resource: resource.to_owned(),
                namespace: policy.id.namespace.to_string(),
                name: policy.id.name.to_string(),
            },
        ))
    })
}
