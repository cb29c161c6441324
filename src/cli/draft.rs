//! `draft`: network policies from a baseline, checked, with everything that they leave out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Context;
use super::baseline::read_baseline;
use super::discover::reviews;
use super::drafts_index::{DRAFTS_INDEX, drafts_index};
use super::format::Format;
use super::traffic::TrafficArgs;
use super::write::{write_csv, write_text};
use crate::catalog::{Catalog, Date, Reviews, Settings};
use crate::error::ExitStatus;
use crate::kube::Inventory;
use crate::model::Timestamp;
use crate::policy::draft::{Baseline, Dialect, Draft, DraftInput, bundle, explain, plan};
use crate::report::{AtlasDocument, DraftRow, cluster_folder, draft_columns, draft_json, draft_markdown, draft_text};
use crate::task::{baselines, unproven};

/// Arguments of `draft`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 everything that passed is drafted, 1 traffic was left out that needs somebody's decision \
    (see PENDING.md), 2 could not be carried out, 3 the baseline does not cover what was asked of it.\n\n\
    Examples:\n  egress-atlas draft --baseline discovery --dialect cilium --out drafts\n  \
    egress-atlas draft --baseline discovery --dialect kubernetes --kube kube.json --namespace shop --out drafts\n  \
    egress-atlas draft --baseline discovery --dialect cilium --explain shop/cart/egress/api.stripe.com"
)]
pub(super) struct DraftArgs {
    /// What `discover` wrote.
    #[arg(long, value_name = "DIR")]
    baseline: PathBuf,
    /// The policy language.
    #[arg(long, value_enum, value_name = "NAME")]
    dialect: DialectName,
    /// Where the drafts go: `DIR/<namespace>/`, or `DIR/<cluster>/<namespace>/` with several clusters.
    #[arg(long, value_name = "DIR", required_unless_present = "explain")]
    out: Option<PathBuf>,
    /// Only this namespace; may be repeated.
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Only this cluster; also the cluster of Kubernetes objects that name none.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Kubernetes objects as `kubectl get ... -o json` or YAML prints them: services, endpointslices, pods.
    #[arg(long, value_name = "[NAME=]FILE")]
    kube: Vec<String>,
    /// Settings [default: `egress-atlas.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reviews newer than the baseline [default: `reviews.toml` in the working folder; else those of the baseline].
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// The day that decides which approvals have expired, `YYYY-MM-DD` [default: today, or the last day of the baseline if that is later].
    #[arg(long, value_name = "DATE", value_parser = day)]
    today: Option<Date>,
    /// Print the evidence of one rule instead of writing files; ids stand in the comments of the drafts.
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
    /// How to print the summary.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DialectName {
    Kubernetes,
    Cilium,
    Antrea,
    Calico,
    ClusterNetworkPolicy,
}

impl DialectName {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Kubernetes => Dialect::Kubernetes,
            Self::Cilium => Dialect::Cilium,
            Self::Antrea => Dialect::Antrea,
            Self::Calico => Dialect::Calico,
            Self::ClusterNetworkPolicy => Dialect::ClusterNetworkPolicy,
        }
    }
}

/// The drafts of all clusters, and the namespaces without one.
struct Drafted {
    drafts: Vec<Draft>,
    skipped: BTreeMap<String, String>,
    /// All clusters of the baseline, drafted or not.
    clusters: Vec<String>,
}

pub(super) fn run(args: &DraftArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let traffic = TrafficArgs { kube: args.kube.clone(), config: args.config.clone(), ..TrafficArgs::default() };
    let settings = traffic.settings()?;
    let newer = newer_reviews(args.reviews.as_deref())?;
    let mut document = read_baseline(&args.baseline)?;
    let today = args.today.unwrap_or_else(|| Date::of(context.now).max(last_day(&document)));
    for expired in expire(&mut document, today) {
        context.say(&format!("warning: {expired}"));
    }
    let known: Vec<Baseline> = baselines(&document);
    let unnamed = args.cluster.clone().unwrap_or_else(|| match known.as_slice() {
        [only] => only.cluster.clone(),
        _ => "default".to_owned(),
    });
    let inventory = traffic.inventory_of(&unnamed)?;
    let drafted = draft_all(args, &known, &inventory, &settings, newer.as_ref().map(|own| (own, today)))?;
    if let Some(rule) = &args.explain {
        return explain_rule(&drafted, rule, context);
    }
    let Some(out) = &args.out else { bail!("--out DIR says where the drafts go") };
    let rows = write_drafts(&drafted, out)?;
    let text = match args.format {
        Format::Json => draft_json(&rows)?,
        Format::Table => draft_text(&rows, context.width),
        Format::Markdown => draft_markdown(&rows),
        Format::Csv => {
            write_csv(context.out, &draft_columns(&rows))?;
            String::new()
        }
    };
    write!(context.out, "{text}")?;
    for (namespace, why) in &drafted.skipped {
        context.say(&format!(
            "no draft for {}: {why}",
            namespace
                .strip_suffix('/')
                .map_or_else(|| namespace.clone(), |cluster| format!("{cluster}, traffic without a namespace"))
        ));
    }
    Ok(status(&drafted, &unproven(&document), context))
}

/// Reviews of a file; none when no file is named and there is none of the usual name.
fn newer_reviews(path: Option<&Path>) -> anyhow::Result<Option<Reviews>> {
    if path.is_none() && !Path::new("reviews.toml").is_file() {
        return Ok(None);
    }
    reviews(path).map(Some)
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "write a day as `YYYY-MM-DD`".to_owned())
}

/// Takes back the approvals that were in force when the baseline was made and are no longer; says which, each once.
fn expire(document: &mut AtlasDocument, today: Date) -> BTreeSet<String> {
    let mut expired = BTreeSet::new();
    for (cluster, content) in &mut document.clusters {
        for (namespace, seen) in &mut content.namespaces {
            for review in seen.egress.iter_mut().filter_map(|edge| Some(&mut edge.judgement.as_mut()?.review)) {
                let over = review.expires.as_deref().and_then(Date::parse).filter(|last| *last < today);
                if review.state == "approved"
                    && let Some(last) = over
                {
                    "expired".clone_into(&mut review.state);
                    let owner = review.owner.as_deref().unwrap_or("nobody").escape_debug();
                    expired.insert(format!(
                        "{}/{}: an approval of {owner} ended on {last}; it admits nothing any more",
                        cluster.escape_debug(),
                        namespace.escape_debug()
                    ));
                }
            }
        }
    }
    expired
}

fn last_day(document: &AtlasDocument) -> Date {
    let sources = document.clusters.values().flat_map(|cluster| &cluster.coverage);
    let times = sources.filter_map(|source| Timestamp::parse(source.last.as_deref()?.as_bytes()));
    Date::of(times.max().unwrap_or(Timestamp::from_nanos(0)))
}

fn draft_all(
    args: &DraftArgs,
    known: &[Baseline],
    inventory: &Inventory,
    settings: &Settings,
    reviews: Option<(&Reviews, Date)>,
) -> anyhow::Result<Drafted> {
    let catalog = Catalog::embedded()?;
    let clusters = known.iter().map(|baseline| baseline.cluster.clone()).collect();
    let mut drafted = Drafted { drafts: Vec::new(), skipped: BTreeMap::new(), clusters };
    let chosen = |baseline: &&Baseline| args.cluster.as_ref().is_none_or(|own| *own == baseline.cluster);
    for baseline in known.iter().filter(chosen) {
        let input =
            DraftInput { baseline, inventory, settings, catalog: &catalog, reviews, dialect: args.dialect.dialect() };
        let planned = plan(&input, &args.namespace);
        drafted.drafts.extend(planned.drafts);
        let several = known.len() > 1;
        for (namespace, why) in planned.skipped {
            let name = if several { format!("{}/{namespace}", baseline.cluster) } else { namespace };
            if args.namespace.is_empty() {
                drafted.skipped.insert(name, why);
            }
        }
    }
    if drafted.drafts.is_empty() {
        bail!("nothing to draft: {}", why_nothing(args, known));
    }
    Ok(drafted)
}

/// What the baseline has instead of what was asked for, each once.
fn why_nothing(args: &DraftArgs, known: &[Baseline]) -> String {
    let shown = |name: &str| format!("`{}`", name.escape_debug());
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let clusters = || list(known.iter().map(|baseline| shown(&baseline.cluster)).collect());
    if let Some(cluster) = args.cluster.as_deref().filter(|own| !known.iter().any(|known| known.cluster == **own)) {
        return format!("no cluster {} in the baseline; it has {}", shown(cluster), clusters());
    }
    let chosen = || known.iter().filter(|own| args.cluster.as_ref().is_none_or(|cluster| *cluster == own.cluster));
    let names = chosen().flat_map(|own| {
        let several = chosen().count() > 1;
        let named = own.namespaces.keys().filter(|name| !name.is_empty());
        named.map(move |name| if several { shown(&format!("{}/{name}", own.cluster)) } else { shown(name) })
    });
    let names = list(names.collect());
    let asked = list(args.namespace.iter().map(|name| shown(name)).collect());
    match (args.namespace.is_empty(), names.is_empty()) {
        (_, true) => "the baseline has no namespace at all".to_owned(),
        (true, false) => format!("every namespace is skipped ({names}); `--namespace` drafts one all the same"),
        (false, false) => {
            let place = args.cluster.as_deref().map(|cluster| format!(" of cluster {}", shown(cluster)));
            format!("no namespace {asked} in the baseline{}; it has {names}", place.unwrap_or_default())
        }
    }
}

fn explain_rule(drafted: &Drafted, rule: &str, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let found: Vec<String> =
        drafted.drafts.iter().map(|draft| explain(draft, rule)).filter(|text| !text.is_empty()).collect();
    if found.is_empty() {
        bail!("no rule `{rule}` in these drafts; ids stand in the first comment line of each rule");
    }
    write!(context.out, "{}", found.join("\n"))?;
    Ok(ExitStatus::Good)
}

fn write_drafts(drafted: &Drafted, out: &Path) -> anyhow::Result<Vec<DraftRow>> {
    // Every draft is checked before the first file is written.
    let mut bundles = Vec::new();
    for draft in &drafted.drafts {
        let checked = bundle(draft).with_context(|| {
            format!("namespace `{}`: the draft fails its own checks; please report this", draft.namespace)
        })?;
        bundles.push((draft, checked));
    }
    let index = out.join(DRAFTS_INDEX);
    if drafted.clusters.len() > 1 {
        write_text(&index, &drafts_index(&drafted.clusters))?;
    } else if index.is_file() {
        std::fs::remove_file(&index).with_context(|| format!("`{}`: of an older draft", index.display()))?;
    }
    let mut rows = Vec::new();
    for (draft, checked) in bundles {
        let folder = folder(out, draft, drafted.clusters.len());
        for file in &checked.files {
            write_text(&folder.join(&file.name), &file.text)?;
        }
        rows.push(DraftRow::new(draft, checked.manifests.len()));
    }
    Ok(rows)
}

/// The folder of a draft; the name of a cluster comes from outside and may hold anything.
fn folder(out: &Path, draft: &Draft, clusters: usize) -> PathBuf {
    if clusters < 2 {
        out.join(&draft.namespace)
    } else {
        out.join(cluster_folder(&draft.cluster)).join(&draft.namespace)
    }
}

fn status(drafted: &Drafted, unproven: &[String], context: &mut Context<'_>) -> ExitStatus {
    let decisions: usize = drafted.drafts.iter().map(Draft::decisions).sum();
    if decisions > 0 {
        context.say(&format!(
            "{decisions} entries wait for a decision: read PENDING.md of each namespace before you apply"
        ));
    }
    if !unproven.is_empty() {
        context.say(&format!("status 3: not proven: {}", unproven.join("; ")));
        return ExitStatus::NotProven;
    }
    if decisions > 0 {
        context.say("status 1: traffic was left out that needs a decision");
        return ExitStatus::NotGood;
    }
    ExitStatus::Good
}
