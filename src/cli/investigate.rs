//! `investigate`: everything that the evidence says about one target.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::discover::reviews;
use super::format::Format;
use super::preflight::window_is_covered;
use super::replay::{Profiles, caveats, policies};
use super::traffic::{Traffic, TrafficArgs, say_account};
use super::write::{write_csv, write_text};
use crate::attribute::{Evidence, Passes};
use crate::catalog::{Catalog, RuleRanges};
use crate::error::ExitStatus;
use crate::inquiry::{InquiryOptions, Matcher, Target, Timeline, Writer, inquire, look_around};
use crate::model::{SourceKind, parse_duration_nanos};
use crate::policy::PolicySet;
use crate::replay::{Asked, Evaluator, Resolver};
use crate::report::{
    EnforcedView, InvestigationDocument, InvestigationView, connection_columns, investigation_document,
    investigation_markdown, investigation_page, investigation_text, nearest,
};
use crate::summary::Atlas;
use crate::task::{enforced, judge};

/// Suggestions for a target that the evidence does not know.
const NEAREST_MAX: usize = 5;
/// Lines of each list on a terminal.
const LINES: usize = 15;
/// Connections that are held one by one: for a reader, and for a program.
const MOMENTS: usize = 1_000;
const MOMENTS_OF_PROGRAMS: usize = 500_000;

/// Arguments of `investigate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 found, or nothing in time that is covered without a gap or a loss; 3 the evidence does not cover what was asked, or \
    nothing was found and there are gaps or losses.\n\n\
    Examples:\n  \
    egress-atlas investigate webhook.site --flows hubble/ --dns coredns.fstrm --kube kube.json\n  \
    egress-atlas investigate webhook.site --flows hubble/ --dns coredns.fstrm --kube kube.json --policies in-force/ --profile cilium\n  \
    egress-atlas investigate 203.0.113.0/24 --flows hubble/ --dns coredns.fstrm --since 7d --html incident.html\n  \
    egress-atlas investigate shop/Deployment/cart --in-cluster prod-eu --flows eu=eu/ --flows us=us/ --dns eu=eu.fstrm"
)]
pub(super) struct InvestigateArgs {
    /// An address, a range, a name, `*.name`, `namespace`, `namespace/pod`, `namespace/workload` or `namespace/Kind/workload`.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Only this cluster (--cluster names inputs that name none).
    #[arg(long, value_name = "NAME")]
    in_cluster: Option<String>,
    /// How far around each connection the same pods are looked at.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    around: String,
    /// Lines of each list on a terminal [default: 15]; the earliest connections one by one in JSON and CSV [default: 500,000] and on the page
    /// [default: 1,000]. What is left out is counted and told.
    #[arg(long, value_name = "N", value_parser = positive)]
    limit: Option<usize>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Also write one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The owner gate [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// Policies in force, to say whether they allow what was seen: file, folder or glob of YAML or JSON; NAME= gives the cluster.
    #[arg(long, value_name = "[NAME=]PATH")]
    policies: Vec<String>,
    /// What the CNI does where the API leaves it open; NAME= gives the cluster [default: the settings', else `generic`].
    #[arg(long, value_name = "[NAME=]PROFILE", requires = "policies")]
    profile: Vec<String>,
    #[command(flatten)]
    traffic: TrafficArgs,
}

pub(super) fn run(args: &InvestigateArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    // Typing errors are told before hours of traffic are read.
    let target = Target::parse(&args.target)?;
    let around_nanos = parse_duration_nanos(&args.around)
        .ok_or_else(|| anyhow::anyhow!("--around `{}`: write a duration such as 10m or 1h", args.around))?;
    let around_minutes = u32::try_from(around_nanos / 60_000_000_000).unwrap_or(u32::MAX);
    let options = InquiryOptions { moments_max: moments_max(args), around_minutes, ..InquiryOptions::default() };
    let reviews = reviews(args.reviews.as_deref())?;
    let set = if args.policies.is_empty() { None } else { Some(policies(&args.policies)?) };
    let profiles = Profiles::parse(&args.profile)?;
    let catalog = Catalog::embedded()?;
    let cluster = args.in_cluster.as_deref();
    let (traffic, evidence) = args.traffic.load_of(cluster, context)?;

    let matcher = Matcher::new(&target, &evidence, cluster);
    let timeline = span(&traffic, &evidence, cluster);
    let Traffic { inventory, join, threads, .. } = &traffic;
    let passes = Passes::over(&evidence, join, *threads)?;
    let found = inquire(&evidence, inventory, &passes, (&matcher, &timeline, options))?;
    let relatives = look_around(&evidence, inventory, &passes, (&matcher, &found, options))?;
    let writer = Writer { evidence: &evidence, inventory };
    let (mut atlas, times) = writer.atlas(&found, cluster, &RuleRanges::of(&catalog, &traffic.settings));
    (atlas.since, atlas.until) = (traffic.since, traffic.until);
    let has_flows = evidence
        .activity
        .keys()
        .any(|(kind, name, _)| *kind == SourceKind::Flows && cluster.is_none_or(|cluster| cluster == &**name));
    let evaluators = match &set {
        Some(set) => evaluators(set, &profiles, &atlas, &traffic)?,
        None => BTreeMap::new(),
    };
    let reasons = match &set {
        Some(set) => {
            let resolver = Resolver::new(inventory, traffic.pod_networks());
            enforced(writer, &passes, (&matcher, &found), &resolver, (&evaluators, &Asked::of(set)))?
        }
        None => BTreeMap::new(),
    };
    let enforced = set.as_ref().map(|set| EnforcedView {
        set,
        profiles: evaluators.iter().map(|(cluster, one)| (cluster.clone(), one.profile().name)).collect(),
        caveats: caveats(set, &evaluators),
        reasons: &reasons,
    });
    let view = judge(&atlas, &catalog, &traffic.settings, &reviews);
    let document = investigation_document(&InvestigationView {
        target: &target,
        cluster,
        matcher: &matcher,
        writer,
        found: &found,
        relatives: &relatives,
        around_minutes,
        view: &view,
        times: &times,
        enforced: enforced.as_ref(),
        covered: has_flows && !traffic.is_broken() && window_is_covered(&traffic, &atlas),
        nearest: if matcher.is_known() { Vec::new() } else { suggestions(&target, &evidence, cluster) },
        warnings: &traffic.warnings,
    });
    let status = status(&document, context);
    print(args, document, context)?;
    say_account(&traffic, context);
    Ok(status)
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a number of at least 1".to_owned())
}

/// How many connections are held one by one.
fn moments_max(args: &InvestigateArgs) -> usize {
    match args.format {
        Format::Json | Format::Csv => args.limit.unwrap_or(MOMENTS_OF_PROGRAMS),
        Format::Table | Format::Markdown => args.limit.unwrap_or(MOMENTS).max(MOMENTS),
    }
}

/// What was found is an answer; that there is no more of it has to be shown.
fn status(document: &InvestigationDocument, context: &mut Context<'_>) -> ExitStatus {
    let found = document.totals.connections > 0;
    let reason = match (document.covered, document.silence_proves) {
        (false, _) if found => "there may be more than was found: the evidence does not cover what was asked",
        (false, _) => "nothing was found, and the evidence does not cover what was asked",
        (true, false) if !found => "nothing was found, and there are gaps or losses in which it may have happened",
        _ => return ExitStatus::Good,
    };
    context.say(&format!("status 3: not proven: {reason}"));
    ExitStatus::NotProven
}

/// The policies, ready to judge, for each cluster of the answer.
fn evaluators<'s>(
    set: &'s PolicySet,
    profiles: &Profiles,
    atlas: &Atlas,
    traffic: &Traffic,
) -> anyhow::Result<BTreeMap<Box<str>, Evaluator<'s>>> {
    let resolver = Resolver::new(&traffic.inventory, traffic.pod_networks());
    let mut evaluators = BTreeMap::new();
    for name in atlas.clusters.keys() {
        let evaluator = Evaluator::new(set, profiles.of(name, &traffic.settings, set)?);
        evaluators.insert(name.clone(), evaluator.knowing(resolver.services(name)));
    }
    Ok(evaluators)
}

fn print(args: &InvestigateArgs, document: InvestigationDocument, context: &mut Context<'_>) -> anyhow::Result<()> {
    let left_out = document.connections_left_out();
    if left_out > 0 && matches!(args.format, Format::Csv | Format::Json) {
        let warning = format!(
            "warning: {left_out} of {} connections are NOT in the output: it holds the earliest {}; --limit N holds more",
            document.connections.total, document.connections.shown
        );
        // Who set the limit knows of it; a pipeline that did not must not take a part for the whole, however quiet it is.
        match args.limit {
            Some(_) => context.say(&warning),
            None => drop(writeln!(context.err, "{warning}")),
        }
    }
    match args.format {
        Format::Table => {
            let text = investigation_text(&document, context.width, context.paint, args.limit.unwrap_or(LINES));
            write!(context.out, "{text}")?;
        }
        Format::Json => writeln!(context.out, "{}", serde_json::to_string_pretty(&document)?)?,
        Format::Csv => write_csv(context.out, &connection_columns(&document))?,
        Format::Markdown => write!(context.out, "{}", investigation_markdown(&document))?,
    }
    if let Some(path) = &args.html {
        let document = document.with_earliest(args.limit.unwrap_or(MOMENTS).max(MOMENTS));
        write_text(path, &investigation_page(&document)?)?;
        context.say(&format!("page: {}", path.display()));
    }
    Ok(())
}

/// The asked window, else the span of the flows.
fn span(traffic: &Traffic, evidence: &Evidence, cluster: Option<&str>) -> Timeline {
    let flows = || {
        let sources = evidence.activity.iter().filter(|((kind, name, _), _)| {
            *kind == SourceKind::Flows && cluster.is_none_or(|cluster| cluster == &**name)
        });
        sources.map(|(_, activity)| activity)
    };
    let from = traffic.since.or_else(|| flows().filter_map(|activity| activity.first).min());
    let until = traffic.until.or_else(|| flows().filter_map(|activity| activity.last).max());
    Timeline::over(from, until)
}

/// What the evidence knows that looks like the target.
fn suggestions(target: &Target, evidence: &Evidence, cluster: Option<&str>) -> Vec<String> {
    let vocabulary = &evidence.vocabulary;
    let typed = target.to_string();
    let in_cluster =
        |party: &crate::attribute::Party| cluster.is_none_or(|cluster| vocabulary.text_of(party.cluster) == cluster);
    let parties = || evidence.parties.iter().map(|(_, party)| party).filter(|party| in_cluster(party));
    let known: std::collections::BTreeSet<String> = match target {
        Target::Network(_) => vocabulary.addresses.values().iter().skip(1).map(ToString::to_string).collect(),
        Target::Name(_) => vocabulary.names.values().iter().map(ToString::to_string).collect(),
        Target::Workload { .. } => parties().map(|party| format!("{}/{}", party.namespace, party.workload)).collect(),
        Target::InNamespace { .. } => parties()
            .flat_map(|party| [&*party.pod, &*party.workload.name].map(|name| format!("{}/{name}", party.namespace)))
            .filter(|name| !name.ends_with('/'))
            .collect(),
        Target::Namespace(_) => parties()
            .flat_map(|party| [party.namespace.to_string(), format!("{}/{}", party.namespace, party.workload)])
            .collect(),
    };
    nearest(&typed, known.iter().map(String::as_str), NEAREST_MAX)
}
