//! `soak`: the gate after a change of policy; clean, not clean, or not proven.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Context;
use super::baseline::read_baseline;
use super::replay::{Profiles, policies};
use super::traffic::{TrafficArgs, instant, say_account};
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink, attribute};
use crate::error::ExitStatus;
use crate::model::{Activity, SourceKind, Timestamp, parse_duration_nanos};
use crate::replay::{Evaluator, Feed, Outcome, Phases, ReplayFold, Resolver, SoakInput, Span, soak};
use crate::report::{soak_csv, soak_json, soak_markdown, soak_text};

/// Arguments of `soak`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 clean, 1 not clean (something is blocked, or traffic passes that the policies must have stopped), \
    2 could not be carried out, 3 not proven (a dead feed, a workload without a sign of life, a span that is not over).\n\n\
    Give the flows from before the change too: what was in use then and fell silent is only seen by comparison.\n\n\
    Examples:\n  egress-atlas soak --policies drafts/shop --since 2026-03-02T09:00:00Z --flows hubble/ --dns coredns.fstrm --kube kube.json\n  \
    egress-atlas soak --policies drafts/ --since 48h --flows hubble/ --dns dns/ --baseline discovery --format markdown"
)]
pub(super) struct SoakArgs {
    /// Policies that took effect: file, folder or glob of YAML or JSON; NAME= gives the one cluster that they are for.
    #[arg(long, value_name = "[NAME=]PATH", required = true)]
    policies: Vec<String>,
    /// How long the soak lasts.
    #[arg(long = "for", value_name = "DURATION", default_value = "48h")]
    duration: String,
    /// How long the change may take to spread; connections that began in it count as older.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    grace: String,
    /// A folder that `discover` wrote before the change: its workloads must show signs of life.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// What the CNI does where the API leaves it open; NAME= gives the cluster [default: `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE")]
    profile: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    #[command(flatten)]
    traffic: TrafficArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
    Markdown,
}

/// Sorts connections by when they began.
struct SoakSink {
    asked: Span,
    settled: Timestamp,
    before: ReplayFold,
    spanning: ReplayFold,
    after: ReplayFold,
}

impl Sink for SoakSink {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        // Without a time nobody can say on which side of the change a connection lies: it proves nothing, like an older one.
        let began = named.first;
        let compared_from =
            self.asked.from.plus_nanos(self.asked.from.nanos().saturating_sub(self.asked.until.nanos()));
        let fold = if !began.is_known() || (began < self.settled && named.last >= self.asked.from) {
            &mut self.spanning
        } else if began >= self.settled {
            &mut self.after
        } else if began >= compared_from {
            &mut self.before
        } else {
            return;
        };
        fold.connection(evidence, named);
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

pub(super) fn run(args: &SoakArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let set = policies(&args.policies)?;
    let profiles = Profiles::parse(&args.profile)?;
    let (asked, settled) = spans(args, context.now)?;
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    // What came before the change is wanted too, for comparison: only the end of the window is passed on.
    let mut traffic_args = args.traffic.clone();
    (traffic_args.since, traffic_args.until) = (None, Some(asked.until.to_string()));
    let (traffic, evidence) = traffic_args.load(false, context)?;
    let sinks = attribute(&evidence, &traffic.join, traffic.threads, || SoakSink {
        asked,
        settled,
        before: ReplayFold::default(),
        spanning: ReplayFold::default(),
        after: ReplayFold::default(),
    })?;
    let (mut before, mut spanning, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for sink in sinks {
        before.push(sink.before);
        spanning.push(sink.spanning);
        after.push(sink.after);
    }
    let resolver = Resolver::new(&traffic.inventory, traffic.pod_networks());
    let finish = |folds| ReplayFold::finish(folds, &evidence, &resolver);
    let phases = Phases { before: finish(before), spanning: finish(spanning), after: finish(after) };
    let feeds = feeds(&evidence, asked);
    drop(evidence);
    let mut evaluators: BTreeMap<Box<str>, Evaluator<'_>> = BTreeMap::new();
    for cluster in feeds.keys() {
        evaluators.insert(
            cluster.clone(),
            Evaluator::new(&set, profiles.of(cluster, &traffic.settings, &set)?).knowing(resolver.services(cluster)),
        );
    }
    let known = baseline.map(|document| workloads(&document)).unwrap_or_default();
    let input = SoakInput { asked, phases: &phases, feeds: &feeds, baseline: &known };
    let mut found = soak(&input, &set, |cluster| evaluators.get(cluster));
    found.caveats = super::replay::caveats(&set, &evaluators);
    found.caveats.extend(comparison(&phases, known.is_empty()));
    let text = match args.format {
        Form::Table => soak_text(&found, context.width),
        Form::Json => soak_json(&found)?,
        Form::Csv => soak_csv(&found)?,
        Form::Markdown => soak_markdown(&found),
    };
    write!(context.out, "{text}")?;
    say_account(&traffic, context);
    Ok(match found.outcome() {
        Outcome::Clean if traffic.is_broken() => {
            context.say("status 3: not proven: an input broke off");
            ExitStatus::NotProven
        }
        Outcome::Clean => ExitStatus::Good,
        Outcome::NotClean => ExitStatus::NotGood,
        Outcome::NotProven => ExitStatus::NotProven,
    })
}

/// The span of the soak, and when the change has spread.
fn spans(args: &SoakArgs, now: Timestamp) -> anyhow::Result<(Span, Timestamp)> {
    let Some(from) = instant(args.traffic.since.as_deref(), "--since", now)? else {
        bail!(
            "--since is missing: when did the policies take effect (2026-03-02T09:00:00Z, or `48h` for two days ago)?"
        );
    };
    let duration = |text: &str, flag: &str| {
        parse_duration_nanos(text).with_context(|| format!("{flag} `{text}`: no duration (48h, 90m, 2d)"))
    };
    let until = match instant(args.traffic.until.as_deref(), "--until", now)? {
        Some(until) => until,
        None => from.plus_nanos(duration(&args.duration, "--for")?),
    };
    let settled = from.plus_nanos(duration(&args.grace, "--grace")?);
    if settled >= until {
        bail!(
            "the soak is over before the change has spread: --grace {} is not shorter than --for {}",
            args.grace,
            args.duration
        );
    }
    Ok((Span { from, until }, settled))
}

/// What the flow sources of each cluster cover.
fn feeds(evidence: &Evidence, asked: Span) -> BTreeMap<Box<str>, Feed> {
    let mut sources: BTreeMap<Box<str>, Vec<&Activity>> = BTreeMap::new();
    for ((kind, cluster, _), activity) in &evidence.activity {
        let known = sources.entry(cluster.clone()).or_default();
        if *kind == SourceKind::Flows {
            known.push(activity);
        }
    }
    sources.into_iter().map(|(cluster, sources)| (cluster, Feed::of(sources.into_iter(), asked))).collect()
}

/// Workloads with traffic, by cluster and namespace.
fn workloads(document: &crate::report::AtlasDocument) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut known: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (cluster, content) in &document.clusters {
        for (namespace, seen) in &content.namespaces {
            let edges = seen.egress.iter().chain(&seen.ingress);
            let workloads = edges.map(|edge| match edge.workload.kind.as_str() {
                "" => edge.workload.name.clone(),
                kind => format!("{kind}/{}", edge.workload.name),
            });
            known.entry((cluster.clone(), namespace.clone())).or_default().extend(workloads);
        }
    }
    known
}

/// Whether there is anything to compare with.
fn comparison(phases: &Phases, without_baseline: bool) -> Option<String> {
    (phases.before.edges.is_empty() && without_baseline).then(|| {
        "there are no flows from before the change and no --baseline: what fell silent cannot be seen".to_owned()
    })
}
