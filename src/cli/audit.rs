//! `audit`: lints of policies in force, and the Kyverno policies that keep default-deny in place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::Context;
use super::baseline::read_baseline;
use super::replay::{Profiles, policies};
use super::traffic::TrafficArgs;
use super::write::{write_csv, write_text};
use crate::catalog::Catalog;
use crate::error::ExitStatus;
use crate::model::Severity;
use crate::policy::lint::{Lint, LintCluster, lint};
use crate::policy::{PolicySet, kyverno};
use crate::report::{
    AtlasDocument, AuditView, ComplianceInput, GateEvidence, audit_columns, audit_json, audit_markdown, audit_sarif,
    audit_text, compliance, compliance_json, compliance_markdown,
};
use crate::task::lint_cluster;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 nothing at or above --fail-on, 1 findings, 2 the policies cannot be used.\n\n\
    Examples:\n  kubectl get networkpolicies,ciliumnetworkpolicies -A -o yaml > policies.yaml\n  \
    egress-atlas audit --policies policies.yaml --kube kube.json --profile cilium\n  \
    egress-atlas audit --policies policies/ --format sarif --fail-on high > audit.sarif\n  \
    egress-atlas audit --kyverno kyverno/\n  \
    egress-atlas audit --policies policies.yaml --kube kube.json --evidence soak.json --evidence replay.json --compliance controls.md")]
pub(super) struct AuditArgs {
    /// Policies: file, folder or glob of YAML or JSON; NAME= gives the one cluster that they are for.
    #[arg(long, value_name = "[NAME=]PATH", required_unless_present = "kyverno")]
    policies: Vec<String>,
    /// Kubernetes objects as `kubectl get pods,services,nodes,namespaces -A -o json` prints them.
    #[arg(long, value_name = "[NAME=]FILE")]
    kube: Vec<String>,
    /// What `discover` wrote: namespaces and workloads, where there are no objects.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// What the CNI does; NAME= gives the cluster [default: the settings', else `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE")]
    profile: Vec<String>,
    /// Settings [default: `egress-atlas.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: AuditFormat,
    /// The least severity that makes the status 1.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "medium")]
    fail_on: FailOn,
    /// Also write evidence for NIST 800-53 SC-7 (5), CIS Kubernetes 5.3.2 and PCI DSS 1.3; JSON where the name ends in `.json`, else Markdown.
    #[arg(long, value_name = "FILE", requires = "policies")]
    compliance: Option<PathBuf>,
    /// What `soak --format json` or `replay --format json` printed, for --compliance (repeatable).
    #[arg(long, value_name = "FILE", requires = "compliance")]
    evidence: Vec<PathBuf>,
    /// Also write Kyverno policies that flag namespaces without both default-deny policies, with their test.
    #[arg(long, value_name = "DIR")]
    kyverno: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AuditFormat {
    Table,
    Json,
    Csv,
    Markdown,
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Low,
    Medium,
    High,
}

impl FailOn {
    const fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
        }
    }
}

pub(super) fn run(args: &AuditArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    if let Some(folder) = &args.kyverno {
        write_kyverno(folder, context)?;
        if args.policies.is_empty() {
            return Ok(ExitStatus::Good);
        }
    }
    let set = policies(&args.policies)?;
    let named = set.policies.iter().filter_map(|policy| policy.id.cluster.as_deref().map(str::to_owned)).collect();
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let clusters = clusters(args, named, baseline.as_ref())?;
    let catalog = Catalog::embedded()?;
    let found = lint(&set, &clusters, &catalog);
    if let Some(path) = &args.compliance {
        write_compliance(path, args, (&set, &clusters, &found, baseline.as_ref()), context)?;
    }
    let mut notes: Vec<String> = set.notes.iter().map(|note| format!("{}: {}", note.object, note.text)).collect();
    notes.sort();
    notes.dedup();
    let view = AuditView { lint: &found, policies: set.policies.len(), notes };
    let text = match args.format {
        AuditFormat::Table => audit_text(&view, context.width, context.paint),
        AuditFormat::Markdown => audit_markdown(&view),
        AuditFormat::Json => audit_json(&view)?,
        AuditFormat::Sarif => audit_sarif(&view)?,
        AuditFormat::Csv => {
            write_csv(context.out, &audit_columns(&view))?;
            String::new()
        }
    };
    write!(context.out, "{text}")?;
    let least = args.fail_on.severity();
    let fails = found.findings.iter().any(|finding| finding.severity >= least);
    Ok(if fails { ExitStatus::NotGood } else { ExitStatus::Good })
}

/// Every cluster that anything names; without any, one that nobody named.
fn clusters(
    args: &AuditArgs,
    mut names: BTreeSet<String>,
    baseline: Option<&AtlasDocument>,
) -> anyhow::Result<Vec<LintCluster>> {
    let traffic = TrafficArgs { kube: args.kube.clone(), config: args.config.clone(), ..TrafficArgs::default() };
    let settings = traffic.settings()?;
    let profiles = Profiles::parse(&args.profile)?;
    let seen = baseline.iter().flat_map(|atlas| atlas.clusters.keys().cloned());
    names.extend(seen);
    let unnamed = match (names.len(), names.first()) {
        (1, Some(only)) => only.clone(),
        _ => "default".to_owned(),
    };
    let inventory = traffic.inventory_of(&unnamed)?;
    names.extend(inventory.clusters().map(str::to_owned));
    if names.is_empty() {
        names.insert(String::new());
    }
    let cluster = |name: &String| Ok(lint_cluster(name, &profiles.of(name, &settings)?, &inventory, baseline));
    names.iter().map(cluster).collect()
}

fn write_compliance(
    path: &Path,
    args: &AuditArgs,
    (set, clusters, lint, baseline): (&PolicySet, &[LintCluster], &Lint, Option<&AtlasDocument>),
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    let mut gates = Vec::new();
    for file in &args.evidence {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("`{name}`: evidence"))?;
        gates.push(GateEvidence::parse(&name, &text).with_context(|| format!("`{name}`"))?);
    }
    let made = compliance(&ComplianceInput { set, lint, clusters, gates: &gates, baseline });
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    write_text(path, &if is_json { compliance_json(&made)? } else { compliance_markdown(&made) })?;
    context.say(&format!("evidence for controls: {}", path.display()));
    Ok(())
}

fn write_kyverno(folder: &Path, context: &mut Context<'_>) -> anyhow::Result<()> {
    for (name, text) in kyverno::files() {
        write_text(&folder.join(name), &text)?;
    }
    context.say(&format!("Kyverno policies and their test are in `{}`", folder.display()));
    Ok(())
}
