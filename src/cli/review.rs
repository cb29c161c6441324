//! `review`: the owner gate, listed and decided. Decisions live in `reviews.toml`, under version control.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::Context;
use super::baseline::read_baseline;
use super::discover::reviews;
use super::format::Format;
use super::write::{write_csv, write_text};
use crate::catalog::{Date, Decision, Pattern, Review, record_review};
use crate::error::ExitStatus;
use crate::model::{Severity, Timestamp};
use crate::report::{
    DestinationUse, destination_use, review_columns, review_list, review_list_markdown, review_list_text,
};

const DAY_NANOS: i64 = 86_400_000_000_000;
/// Days that an approval holds unless it says otherwise: half a year, or a month when the finding is of severity high.
const APPROVAL_DAYS: i64 = 180;
const APPROVAL_DAYS_HIGH: i64 = 30;

/// Arguments of `review`.
#[derive(Debug, Args)]
pub(super) struct ReviewArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is open, approved, rejected and expired.
    #[command(after_help = "Examples:\n  egress-atlas review list --baseline discovery\n  \
        egress-atlas review list --baseline discovery --format markdown > open.md")]
    List(ListArgs),
    /// Vouch for a destination: it may be allowed.
    #[command(
        after_help = "Example:\n  egress-atlas review approve hooks.vendor.example --namespace shop --owner team-shop \\\n    \
        --reason 'order confirmations' --baseline discovery"
    )]
    Approve(DecideArgs),
    /// Rule a destination out: it must not be allowed.
    #[command(
        after_help = "Example:\n  egress-atlas review reject webhook.site --owner team-payments --reason 'left over from debugging'"
    )]
    Reject(DecideArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The folder that `discover` wrote: tells what is open, and where everything is in use.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    /// The decisions [default: `reviews.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// A name, `*.name` (below it), `.name` (both), an address or a range.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Who answers for it: a person or a team.
    #[arg(long)]
    owner: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// The last day of the decision, `YYYY-MM-DD`, or `never` [default: approvals hold 180 days, 30 when the baseline says high;
    /// rejections do not end].
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// The namespace that it holds for [default: all].
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// The cluster that it holds for [default: all].
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The file of decisions; made when there is none.
    #[arg(long, value_name = "FILE", default_value = "reviews.toml")]
    reviews: PathBuf,
    /// The folder that `discover` wrote: tells whether the destination is in use, and how serious it is.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
}

pub(super) fn run(args: &ReviewArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    match &args.action {
        Action::List(args) => print_list(args, context),
        Action::Approve(args) => decide(args, Decision::Approved, context),
        Action::Reject(args) => decide(args, Decision::Rejected, context),
    }
}

fn print_list(args: &ListArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let decisions = reviews(args.reviews.as_deref())?;
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let found = review_list(&decisions, baseline.as_ref(), Date::of(context.now));
    match args.format {
        Format::Table => {
            let text = review_list_text(&found, context.width, context.paint);
            write!(context.out, "{text}")?;
            if baseline.is_none() {
                context.say("where they are in use is not known without --baseline DIR, nor what is pending");
            }
        }
        Format::Markdown => write!(context.out, "{}", review_list_markdown(&found))?,
        Format::Csv => write_csv(context.out, &review_columns(&found))?,
        Format::Json => writeln!(context.out, "{}", serde_json::to_string_pretty(&found)?)?,
    }
    Ok(ExitStatus::Good)
}

fn decide(args: &DecideArgs, decision: Decision, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let destination =
        Review::destination_of(&args.target).map_err(|reason| anyhow::anyhow!("`{}`: {reason}", args.target))?;
    for (flag, text) in [("--owner", &args.owner), ("--reason", &args.reason)] {
        if text.trim().is_empty() {
            bail!("{flag} is empty: a decision that nobody answers for is none");
        }
    }
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let namespace = args.namespace.as_deref().filter(|namespace| *namespace != "*");
    let used = baseline.as_ref().map(|atlas| destination_use(atlas, &destination, args.cluster.as_deref(), namespace));
    if let Some(used) = &used {
        say_use(&destination, used, namespace, context);
    }
    let is_high = used.as_ref().is_some_and(|used| used.severity == Some(Severity::High));
    if is_high && decision == Decision::Approved && namespace.is_none() {
        bail!(
            "`{destination}` is a suspect of severity high; an approval needs --namespace, so that it does not vouch for everybody"
        );
    }
    let review = Review {
        expires: expiry(args.expires.as_deref(), decision, is_high, context.now)?,
        destination,
        cluster: args.cluster.as_deref().map(Into::into),
        namespace: namespace.map(Into::into),
        owner: args.owner.trim().into(),
        decision,
        reason: args.reason.trim().into(),
    };
    let written = write_decision(&args.reviews, &review)?;
    let word = if decision == Decision::Approved { "approved" } else { "rejected" };
    let until = review.expires.map_or_else(|| "does not end".to_owned(), |day| format!("holds until {day}"));
    let place = namespace.map_or_else(|| "all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
    let was = written.map(|old| format!("; it replaces a decision by {}", old.owner)).unwrap_or_default();
    writeln!(context.out, "{word}: {} for {place}, {until}{was} → {}", review.destination, args.reviews.display())?;
    Ok(ExitStatus::Good)
}

/// Says whether the baseline knows the destination.
fn say_use(destination: &Pattern, used: &DestinationUse, namespace: Option<&str>, context: &mut Context<'_>) {
    let meant = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(", ")) }
    };
    if let Some(name) = namespace.filter(|_| used.namespace_is_unknown) {
        context.say(&format!(
            "warning: the baseline has no namespace `{}`{}",
            name.escape_debug(),
            meant(&used.nearest_namespaces)
        ));
    }
    if !used.workloads.is_empty() {
        let shown: Vec<&str> = used.workloads.iter().take(5).map(String::as_str).collect();
        let more = used.workloads.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        context.say(&format!("in use by {}{more}", shown.join(", ")));
        return;
    }
    let rest = if used.elsewhere.is_empty() {
        meant(&used.nearest)
    } else {
        let shown: Vec<&str> = used.elsewhere.iter().take(3).map(String::as_str).collect();
        format!("; elsewhere it is in use by {}", shown.join(", "))
    };
    context.say(&format!("warning: nothing in the baseline talks to `{destination}` there{rest}"));
}

fn expiry(text: Option<&str>, decision: Decision, is_high: bool, now: Timestamp) -> anyhow::Result<Option<Date>> {
    let today = Date::of(now);
    match (text, decision) {
        (Some("never"), _) | (None, Decision::Rejected) => Ok(None),
        (None, Decision::Approved) => {
            let days = if is_high { APPROVAL_DAYS_HIGH } else { APPROVAL_DAYS };
            Ok(Some(Date::of(now.plus_nanos(days * DAY_NANOS))))
        }
        (Some(text), _) => {
            let Some(day) = Date::parse(text) else {
                bail!("--expires `{text}`: write a day as `YYYY-MM-DD`, or `never`")
            };
            if day < today {
                bail!("--expires {day} is over: today is {today}; a decision that has run out decides nothing");
            }
            Ok(Some(day))
        }
    }
}

/// Adds or changes one decision, the file as a whole or not at all.
fn write_decision(path: &Path, review: &Review) -> anyhow::Result<Option<Review>> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "# Decisions of owners about suspect destinations. Everything that is not listed is pending.\n".to_owned()
        }
        Err(error) => {
            return Err(error).with_context(|| format!("`{name}`: reviews; check the path given to --reviews"));
        }
    };
    let recorded = record_review(&text, &name, review)?;
    write_text(path, &recorded.text)?;
    Ok(recorded.replaced)
}
