//! `replay`: recorded traffic against policies; what would break, before anything is applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::Context;
use super::baseline::read_baseline;
use super::drafts_index::drafted_clusters;
use super::format::Format;
use super::preflight::is_covered;
use super::traffic::{Traffic, TrafficArgs, say_account};
use super::write::write_csv;
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink, attribute};
use crate::catalog::{RuleRanges, Settings};
use crate::error::ExitStatus;
use crate::policy::{Policy, PolicySet, PolicySource};
use crate::read::{InputError, InputSpec};
use crate::replay::{
    Asked, Evaluator, Profile, Recorded, Replay, ReplayFold, Resolver, ServiceNames, namespaces_told, replay,
};
use crate::report::{ReplayView, replay_columns, replay_json, replay_markdown, replay_text};
use crate::summary::{Builder, build};
use crate::task::{of_baseline, unproven};

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 every recorded connection passes for certain, 1 something would break, \
    2 the policies or the inputs cannot be used, 3 nothing breaks for certain, but some connections cannot be told, an input \
    broke off or does not cover the asked window, there is no traffic, or some of the policies are not judged. Connections that \
    were denied when they were recorded count for none of these; they are reported apart.\n\n\
    Examples:\n  egress-atlas replay --policies drafts/ --flows 'hubble/*.log*' --dns coredns.fstrm --kube kube.json --profile cilium\n  \
    egress-atlas replay --policies prod-eu=eu.yaml --policies shared/ --flows eu/ --dns eu.fstrm --kube eu.json --format json")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    /// Replay what `discover` wrote instead of traffic. It keeps less of each connection (labels that all pods of a workload share, at
    /// most 64 addresses of a peer, no container ports, no direction that was guessed), so that more cannot be told.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["flows", "dns", "kube", "since", "until"])]
    baseline: Option<PathBuf>,
    /// Policies: file, folder or glob of YAML or JSON; NAME= gives the one cluster that they are for.
    #[arg(long, value_name = "[NAME=]PATH", required = true)]
    policies: Vec<String>,
    /// What the CNI does where the API leaves it open; NAME= gives the cluster [default: the settings', else that of the CNI
    /// whose own policies are among --policies, else `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE")]
    profile: Vec<String>,
    /// Judge staged policies (Calico) as if they were enforced; without it they decide nothing.
    #[arg(long)]
    staged: bool,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Takes edges for the replay and, where coverage was asked for, the summary that tells it.
struct ReplaySink<'a> {
    fold: ReplayFold,
    builder: Option<Builder<'a>>,
}

impl Sink for ReplaySink<'_> {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        self.fold.connection(evidence, named);
        if let Some(builder) = &mut self.builder {
            builder.connection(evidence, named);
        }
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>) {
        if let Some(builder) = &mut self.builder {
            builder.answer(evidence, answer, client);
        }
    }
}

pub(super) fn run(args: &ReplayArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    // Policies are read before the traffic: a typing error should not cost an hour.
    let mut set = policies(&args.policies)?;
    if args.staged {
        set.enforce_staged();
    }
    let set = set;
    let profiles = Profiles::parse(&args.profile)?;
    let input = match &args.baseline {
        Some(folder) => of_folder(folder, args)?,
        None => of_traffic(args, &set, context)?,
    };
    let recorded = &input.recorded;
    let mut clusters: Vec<Box<str>> = recorded.ends.iter().map(|end| end.cluster.clone()).collect();
    clusters.sort();
    clusters.dedup();
    let mut evaluators: BTreeMap<Box<str>, Evaluator<'_>> = BTreeMap::new();
    for cluster in &clusters {
        let profile = profiles.of(cluster, &input.settings, &set)?;
        let known = input.services.get(cluster).cloned().unwrap_or_default();
        evaluators.insert(cluster.clone(), Evaluator::new(&set, profile).knowing(known));
    }
    let outcome = replay(recorded, args.format == Format::Json, |cluster| evaluators.get(cluster));
    let unjudged = caveats(&set, &evaluators);
    let mut view = ReplayView {
        replay: &outcome,
        set: &set,
        profiles: evaluators.iter().map(|(cluster, one)| (cluster.clone(), one.profile().name)).collect(),
        caveats: input.caveats.iter().chain(&unjudged).cloned().collect(),
    };
    view.caveats.extend(namespaces_told(recorded, &set));
    view.caveats.extend(set.notes.iter().map(|note| format!("{}: {}", note.object, note.text)));
    print(&view, args.format, context)?;
    if let Some(traffic) = &input.traffic {
        say_account(traffic, context);
    }
    Ok(status(&outcome, input.is_covered, unjudged.is_empty(), context))
}

/// What is replayed.
struct Input {
    recorded: Recorded,
    settings: Settings,
    /// By cluster: namespace and name of its services.
    services: BTreeMap<Box<str>, ServiceNames>,
    /// `None` for a baseline.
    traffic: Option<Traffic>,
    is_covered: bool,
    caveats: Vec<String>,
}

fn of_traffic(args: &ReplayArgs, set: &PolicySet, context: &mut Context<'_>) -> anyhow::Result<Input> {
    let asked = Asked::of(set);
    let (traffic, evidence) = args.traffic.load(false, context)?;
    let (inventory, networks) = (&traffic.inventory, &traffic.networks);
    let sinks = attribute(&evidence, &traffic.join, traffic.threads, || ReplaySink {
        fold: ReplayFold::asking(asked.clone()),
        builder: traffic.since.map(|_| Builder::new(inventory, networks)),
    })?;
    let (folds, builders): (Vec<_>, Vec<_>) = sinks.into_iter().map(|sink| (sink.fold, sink.builder)).unzip();
    let resolver = Resolver::new(inventory, traffic.pod_networks());
    let recorded = ReplayFold::finish(folds, &evidence, &resolver);
    let services = inventory.clusters().map(|cluster| (cluster.into(), resolver.services(cluster))).collect();
    let builders: Vec<_> = builders.into_iter().flatten().collect();
    let window_is_covered = traffic.since.is_none() || {
        let mut atlas = build(&evidence, inventory, &RuleRanges::default(), builders);
        (atlas.since, atlas.until) = (traffic.since, traffic.until);
        is_covered(&traffic, &atlas)
    };
    drop(evidence);
    Ok(Input {
        recorded,
        services,
        settings: traffic.settings.clone(),
        is_covered: window_is_covered && !traffic.is_broken(),
        traffic: Some(traffic),
        caveats: Vec::new(),
    })
}

/// Distinct connections of traffic, and the services of its clusters, by namespace and name.
pub(super) type Connections = (Recorded, BTreeMap<Box<str>, ServiceNames>);

/// Joins traffic to judge policies by it, with what their rules ask of each connection.
pub(super) fn connections(traffic: &Traffic, evidence: &Evidence, asked: &Asked) -> anyhow::Result<Connections> {
    let new = || ReplayFold::asking(asked.clone());
    let folds = attribute(evidence, &traffic.join, traffic.threads, new)?;
    let inventory = &traffic.inventory;
    let resolver = Resolver::new(inventory, traffic.pod_networks());
    let services = inventory.clusters().map(|cluster| (cluster.into(), resolver.services(cluster))).collect();
    Ok((ReplayFold::finish(folds, evidence, &resolver), services))
}

fn of_folder(folder: &Path, args: &ReplayArgs) -> anyhow::Result<Input> {
    let atlas = read_baseline(folder)?;
    let unproven = unproven(&atlas);
    let caveat = "a baseline keeps less of each connection than the traffic: edges with denied and other connections count as not denied, and no direction is known to be guessed";
    Ok(Input {
        recorded: of_baseline(&atlas),
        services: BTreeMap::new(),
        settings: args.traffic.settings()?,
        traffic: None,
        is_covered: unproven.is_empty(),
        caveats: std::iter::once(caveat.to_owned()).chain(unproven).collect(),
    })
}

fn print(view: &ReplayView<'_>, format: Format, context: &mut Context<'_>) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => replay_text(view, context.width),
        Format::Markdown => replay_markdown(view),
        Format::Json => replay_json(view)?,
        Format::Csv => return write_csv(context.out, &replay_columns(view)),
    };
    write!(context.out, "{text}")?;
    Ok(())
}

fn status(outcome: &Replay, is_covered: bool, all_judged: bool, context: &mut Context<'_>) -> ExitStatus {
    let totals = &outcome.totals;
    let judged = totals.passed() + totals.would_break + totals.undecidable;
    if totals.would_break > 0 {
        return ExitStatus::NotGood;
    }
    let why = if judged == 0 {
        "there is no connection of a pod in the traffic"
    } else if totals.undecidable > 0 {
        "nothing breaks for certain, but some connections cannot be told"
    } else if !is_covered {
        "an input broke off, or the flows do not cover the asked window"
    } else if !all_judged {
        "some of the policies are not judged"
    } else {
        return ExitStatus::Good;
    };
    context.say(&format!("status 3: not proven: {why}"));
    ExitStatus::NotProven
}

/// What of the policies has no part in the verdicts.
pub(super) fn caveats(set: &PolicySet, evaluators: &BTreeMap<Box<str>, Evaluator<'_>>) -> Vec<String> {
    let mut caveats = Vec::new();
    for (cluster, evaluator) in evaluators {
        let mut names: Vec<String> = evaluator.not_enforced().map(|policy| policy.id.to_string()).collect();
        names.sort();
        if let Some(first) = names.first() {
            let profile = evaluator.profile().name;
            caveats.push(format!(
                "cluster {cluster}: profile {profile} does not enforce {} of the policies ({first}{}); they are left out",
                names.len(),
                if names.len() > 1 { ", ..." } else { "" }
            ));
        }
    }
    // What is staged decides nothing on the cluster either; only where there is nothing else is there no answer.
    let nothing_in_force = set.policies.iter().all(|policy| !policy.is_enforced);
    let idle = set.policies.iter().filter(|policy| !policy.is_enforced && (nothing_in_force || !policy.is_staged));
    caveats.extend(idle.map(|policy| {
        let remedy = if policy.is_staged { "; --staged judges it as if it were enforced" } else { "" };
        format!("{} is not judged: see its notes{remedy}", policy.id)
    }));
    caveats
}

/// Reads all policies; files of a folder that are no YAML or JSON by name are passed over.
pub(super) fn policies(paths: &[String]) -> anyhow::Result<PolicySet> {
    let mut specs = Vec::new();
    for path in paths {
        match drafted_clusters(path)? {
            Some(clusters) => specs.extend(clusters),
            None => specs.push(InputSpec::parse(path)?),
        }
    }
    policies_of(&specs)
}

/// The same, of inputs that are named already.
pub(super) fn policies_of(specs: &[InputSpec]) -> anyhow::Result<PolicySet> {
    let set = any_policies_of(specs)?;
    if set.policies.is_empty() {
        let kinds: Vec<&str> = set.passed.keys().map(|kind| &**kind).collect();
        let found = if kinds.is_empty() { "no object".to_owned() } else { format!("only {}", kinds.join(", ")) };
        bail!(
            "no network policy in --policies: {found}; give YAML or JSON of policies, as `kubectl get networkpolicies -A -o yaml` prints"
        );
    }
    Ok(set)
}

/// The same; that there is none is no error.
pub(super) fn any_policies_of(specs: &[InputSpec]) -> anyhow::Result<PolicySet> {
    /// Policies beyond this are no policies.
    const BYTES_MAX: u64 = 64 << 20;
    let mut texts = Vec::new();
    for spec in specs {
        for file in spec.files().map_err(no_policies)? {
            let name = file.path.display().to_string();
            let known = ["yaml", "yml", "json"];
            let extension = file.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let is_kustomization = file.path.file_stem().is_some_and(|stem| stem == "kustomization");
            if !file.is_named && (!known.contains(&extension) || is_kustomization) {
                continue;
            }
            let size = std::fs::metadata(&file.path).with_context(|| format!("`{name}`: policies"))?.len();
            if size > BYTES_MAX {
                bail!("`{name}`: more than 64 MiB; this is no policy file");
            }
            let text = std::fs::read_to_string(&file.path).with_context(|| format!("`{name}`: policies"))?;
            texts.push((name, text, file.cluster.clone()));
        }
    }
    texts.sort();
    texts.dedup();
    let sources: Vec<PolicySource<'_>> =
        texts.iter().map(|(file, text, cluster)| PolicySource { file, text, cluster: cluster.as_deref() }).collect();
    PolicySet::parse(&sources).context("these policies cannot be used")
}

/// What holds no file is no folder of an exporter here.
fn no_policies(error: InputError) -> anyhow::Error {
    match error {
        InputError::NoFiles { path } => {
            anyhow::anyhow!(
                "`{path}`: no files in it; --policies takes YAML or JSON of policies, or the folder that `draft --out` wrote"
            )
        }
        other => other.into(),
    }
}

/// Profiles as given: of one cluster, and of all others.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    shared: Option<Profile>,
    own: BTreeMap<String, Profile>,
}

impl Profiles {
    pub(super) fn parse(texts: &[String]) -> anyhow::Result<Self> {
        let mut profiles = Self::default();
        for text in texts {
            match text.split_once('=') {
                Some((cluster, name)) => {
                    profiles.own.insert(cluster.to_owned(), profile(name)?);
                }
                None => profiles.shared = Some(profile(text)?),
            }
        }
        Ok(profiles)
    }

    /// The profile of a cluster; without any word of the user, that of the CNI that reads such policies.
    pub(super) fn of(&self, cluster: &str, settings: &Settings, set: &PolicySet) -> anyhow::Result<Profile> {
        if let Some(given) = self.own.get(cluster).or(self.shared.as_ref()) {
            return Ok(given.clone());
        }
        if let Some(name) = settings.profiles.get(cluster) {
            return profile(name).with_context(|| format!("settings, `[clusters.{cluster}]`"));
        }
        let of_cluster = |policy: &&Policy| policy.id.cluster.as_deref().is_none_or(|own| own == cluster);
        Ok(Profile::of_policies(set.policies.iter().filter(of_cluster)).unwrap_or(Profile::GENERIC))
    }
}

fn profile(name: &str) -> anyhow::Result<Profile> {
    match Profile::named(name) {
        Some(profile) => Ok(profile),
        None => bail!("`{name}` is no profile; profiles are {}", Profile::NAMES.join(", ")),
    }
}
