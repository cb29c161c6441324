//! `soak`: the gate after a change of policy; clean, not clean, or not proven.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Context;
use super::baseline::read_baseline;
use super::format::Format;
use super::replay::{Profiles, policies};
use super::traffic::{Traffic, TrafficArgs, instant, say_account};
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink, attribute};
use crate::error::ExitStatus;
use crate::kube::{Inventory, Schedule};
use crate::model::{Activity, SourceKind, Timestamp, parse_duration_nanos};
use crate::policy::{ProbeResult, probe_results};
use crate::read::{InputSpec, open_bytes};
use crate::replay::{
    Asked, EARLIER_DAYS_MAX, EarlierDay, Evaluator, Feed, Outcome, Phases, ReplayFold, Resolver, Scheduled, Soak,
    SoakInput, Span, soak,
};
use crate::report::{soak_csv, soak_json, soak_markdown, soak_text};
use crate::summary::Nodes;
use crate::task::of_baseline_days;

const DAY_NANOS: i64 = 86_400_000_000_000;
/// Silence within one connection: a little more than TCP's usual keep-alive of two hours.
const IDLE_MIN: i64 = 7_500_000_000_000;

/// Arguments of `soak`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 clean, 1 not clean (something is blocked, or traffic passes that the policies must have stopped), \
    2 could not be carried out, 3 not proven (a dead feed, a workload without a sign of life, a span that is not over).\n\n\
    Give the flows from before the change too, a week or more: what was in use at these hours of these weekdays and fell silent is \
    only seen by comparison.\n\n\
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
    /// A folder that `discover` wrote before the change: its workloads must show signs of life, and what it saw daily must come again.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// What probes found: `kubectl get pods -A -l job-name=egress-atlas-probe -o json`.
    #[arg(long, value_name = "[NAME=]FILE")]
    probe: Vec<String>,
    /// What the CNI does where the API leaves it open; NAME= gives the cluster [default: `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE")]
    profile: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    traffic: TrafficArgs,
}

/// Sorts connections by when they began.
struct SoakSink {
    asked: Span,
    settled: Timestamp,
    /// Day by day before the change; each at the hours of the soak's last, incomplete day, and at the others.
    earlier: Vec<[ReplayFold; 2]>,
    before: ReplayFold,
    spanning: ReplayFold,
    lingering: ReplayFold,
    after: ReplayFold,
}

impl SoakSink {
    fn new(asked: Span, settled: Timestamp, by_rules: &Asked) -> Self {
        let fold = || ReplayFold::asking(by_rules.clone());
        Self {
            asked,
            settled,
            earlier: (0..EARLIER_DAYS_MAX).map(|_| [fold(), fold()]).collect(),
            before: fold(),
            spanning: fold(),
            lingering: fold(),
            after: fold(),
        }
    }

    /// Where what was over before the change belongs.
    fn earlier(&mut self, evidence: &Evidence, named: &Named<'_>) {
        let length = self.asked.until.nanos().saturating_sub(self.asked.from.nanos());
        let age = self.asked.from.nanos().saturating_sub(named.first.nanos());
        // The day before the change ends where the change begins.
        let day = age.saturating_sub(1) / DAY_NANOS;
        let since_start = (day + 1).saturating_mul(DAY_NANOS).saturating_sub(age);
        let hours = usize::from(since_start >= length % DAY_NANOS);
        let fold =
            usize::try_from(day).ok().and_then(|day| self.earlier.get_mut(day)).and_then(|day| day.get_mut(hours));
        if let Some(fold) = fold {
            fold.connection(evidence, named);
        }
        if age <= length {
            self.before.connection(evidence, named);
        }
    }
}

impl Sink for SoakSink {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        let (began, last) = (named.first, named.last);
        let grace = self.settled.nanos().saturating_sub(self.asked.from.nanos());
        // Without a time nobody can say on which side of the change a connection lies: it proves nothing, like an older one.
        if !began.is_known() {
            self.spanning.connection(evidence, named);
        } else if began >= self.settled {
            self.after.connection(evidence, named);
        } else if last < self.asked.from {
            self.earlier(evidence, named);
        } else if last > self.settled.plus_nanos(grace) {
            self.lingering.connection(evidence, named);
        } else {
            self.spanning.connection(evidence, named);
        }
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

pub(super) fn run(args: &SoakArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let set = policies(&args.policies)?;
    let profiles = Profiles::parse(&args.profile)?;
    let (asked, settled) = spans(args, context.now)?;
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    // What came before the change is wanted too, for comparison; and a connection that speaks once an hour is one connection, or
    // its later words would count as new ones that no policy stopped.
    let mut traffic_args = args.traffic.clone();
    let compared = asked.from.plus_nanos(-i64::from(EARLIER_DAYS_MAX).saturating_mul(DAY_NANOS));
    (traffic_args.since, traffic_args.until) = (Some(compared.to_string()), Some(asked.until.to_string()));
    traffic_args.idle_min = IDLE_MIN;
    let (traffic, evidence) = traffic_args.load(false, context)?;
    let by_rules = Asked::of(&set);
    let sinks = attribute(&evidence, &traffic.join, traffic.threads, || SoakSink::new(asked, settled, &by_rules))?;
    let phases = phases(sinks, &evidence, &traffic, asked);
    let feeds = feeds(&evidence, &traffic.inventory, asked);
    drop(evidence);
    let resolver = Resolver::new(&traffic.inventory, traffic.pod_networks());
    let mut evaluators: BTreeMap<Box<str>, Evaluator<'_>> = BTreeMap::new();
    for cluster in feeds.keys() {
        evaluators.insert(
            cluster.clone(),
            Evaluator::new(&set, profiles.of(cluster, &traffic.settings, &set)?).knowing(resolver.services(cluster)),
        );
    }
    let days = baseline.as_ref().map(of_baseline_days).unwrap_or_default();
    let schedules = schedules(&traffic.inventory, settled, asked.until);
    let probes = probes(&args.probe, feeds.len())?;
    let (of_soak, others): (Vec<ProbeResult>, Vec<ProbeResult>) =
        probes.into_iter().partition(|probe| (asked.from..=asked.until).contains(&probe.finished));
    let input =
        SoakInput { asked, phases: &phases, feeds: &feeds, baseline: &days, schedules: &schedules, probes: &of_soak };
    let mut found = soak(&input, &set, |cluster| evaluators.get(cluster));
    found.caveats = super::replay::caveats(&set, &evaluators);
    if found.namespaces.iter().all(|namespace| namespace.compared_with.is_empty()) {
        let nothing = "there are no flows from before the change and no --baseline: what fell silent cannot be seen";
        found.caveats.push(nothing.to_owned());
    }
    found.caveats.extend(unused_probes(&of_soak, &others, &found));
    let text = match args.format {
        Format::Table => soak_text(&found, context.width),
        Format::Json => soak_json(&found)?,
        Format::Csv => soak_csv(&found)?,
        Format::Markdown => soak_markdown(&found),
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
fn feeds(evidence: &Evidence, inventory: &Inventory, asked: Span) -> BTreeMap<Box<str>, Feed> {
    let mut sources: BTreeMap<Box<str>, BTreeMap<&str, &Activity>> = BTreeMap::new();
    for ((kind, cluster, name), activity) in &evidence.activity {
        let known = sources.entry(cluster.clone()).or_default();
        if *kind == SourceKind::Flows {
            known.insert(name, activity);
        }
    }
    let feed = |(cluster, sources): (Box<str>, BTreeMap<&str, &Activity>)| {
        let feed = Feed::of(&sources, &Nodes::of(inventory, &cluster), asked);
        (cluster, feed)
    };
    sources.into_iter().map(feed).collect()
}

/// What each phase recorded.
fn phases(sinks: Vec<SoakSink>, evidence: &Evidence, traffic: &Traffic, asked: Span) -> Phases {
    let mut folds: [Vec<ReplayFold>; 4] = Default::default();
    let mut days: Vec<[Vec<ReplayFold>; 2]> = (0..EARLIER_DAYS_MAX).map(|_| Default::default()).collect();
    for sink in sinks {
        for (all, one) in folds.iter_mut().zip([sink.before, sink.spanning, sink.lingering, sink.after]) {
            all.push(one);
        }
        for (all, day) in days.iter_mut().zip(sink.earlier) {
            for (all, one) in all.iter_mut().zip(day) {
                all.push(one);
            }
        }
    }
    let resolver = Resolver::new(&traffic.inventory, traffic.pod_networks());
    let finish = |folds| ReplayFold::finish(folds, evidence, &resolver);
    let earlier = days.into_iter().zip(1..).map(|([within, beyond], before)| EarlierDay {
        before,
        within: finish(within),
        beyond: finish(beyond),
        covered: covered(evidence, &traffic.inventory, asked, before),
    });
    let earlier = earlier.collect();
    let [before, spanning, lingering, after] = folds.map(finish);
    Phases { earlier, before, spanning, lingering, after }
}

/// Clusters whose flows cover the hours of the soak on the day `before` days before the change.
fn covered(evidence: &Evidence, inventory: &Inventory, asked: Span, before: u16) -> BTreeSet<Box<str>> {
    let from = asked.from.plus_nanos(-i64::from(before).saturating_mul(DAY_NANOS));
    let length = asked.until.nanos().saturating_sub(asked.from.nanos()).min(DAY_NANOS);
    let hours = Span { from, until: from.plus_nanos(length) };
    feeds(evidence, inventory, hours)
        .into_iter()
        .filter(|(_, feed)| feed.covers())
        .map(|(cluster, _)| cluster)
        .collect()
}

/// When jobs run: those due within the soak, and the next run of the others.
fn schedules(
    inventory: &Inventory,
    from: Timestamp,
    until: Timestamp,
) -> BTreeMap<(Box<str>, Box<str>), Vec<Scheduled>> {
    let mut all: BTreeMap<(Box<str>, Box<str>), Vec<Scheduled>> = BTreeMap::new();
    for cluster in inventory.clusters() {
        let jobs = inventory.controllers(cluster).filter(|controller| controller.kind == "CronJob");
        for job in jobs.filter(|job| job.is_top_level() && !job.suspended) {
            let is_utc = matches!(&*job.time_zone, "" | "UTC" | "Etc/UTC");
            let schedule = Schedule::parse(&job.schedule).filter(|_| is_utc);
            let due = schedule.and_then(|schedule| schedule.next_after(from)).filter(|due| *due < until);
            let next = schedule.and_then(|schedule| schedule.next_after(until));
            let one = Scheduled { workload: job.workload().to_string(), due, next };
            all.entry((cluster.into(), job.namespace.clone())).or_default().push(one);
        }
    }
    all
}

/// Probes that prove nothing here, and why.
fn unused_probes(of_soak: &[ProbeResult], others: &[ProbeResult], found: &Soak) -> Vec<String> {
    let name = |probe: &ProbeResult| format!("the probe {}/{}", probe.namespace, probe.pod);
    let governed = |probe: &&ProbeResult| found.namespaces.iter().any(|one| one.probes.contains(probe));
    let late = others.iter().map(|probe| {
        format!("{} ended at {}, outside of the soak, and proves nothing here", name(probe), probe.finished.to_second())
    });
    let elsewhere = of_soak.iter().filter(|probe| !governed(probe)).map(|probe| {
        format!("{} ran in a namespace that is not under these policies, and proves nothing here", name(probe))
    });
    late.chain(elsewhere).collect()
}

/// Results of probes.
fn probes(paths: &[String], clusters: usize) -> anyhow::Result<Vec<ProbeResult>> {
    /// Pods beyond this are not those of probes.
    const BYTES_MAX: u64 = 64 << 20;
    let mut all = Vec::new();
    for path in paths {
        for file in InputSpec::parse(path)?.files()? {
            let name = file.path.display().to_string();
            if file.cluster.is_none() && clusters > 1 {
                bail!("`{name}`: of which cluster? The flows have several; write --probe NAME={name}");
            }
            let mut text = String::new();
            let mut bytes = std::io::Read::take(open_bytes(&file)?, BYTES_MAX);
            std::io::Read::read_to_string(&mut bytes, &mut text)
                .with_context(|| format!("`{name}`: pods of probes"))?;
            let found = probe_results(&text).with_context(|| format!("`{name}`"))?;
            all.extend(found.into_iter().map(|probe| ProbeResult { cluster: file.cluster.clone(), ..probe }));
        }
    }
    Ok(all)
}
