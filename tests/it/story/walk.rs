//! The walk-through: a text between the commands, and what they printed.

use std::fmt::Write as _;
use std::path::Path;

use egress_atlas::simulate::{STORY_STEPS, StoryStep};

use super::Said;

/// Documents that are kept for comparison, by their path in the folder of the story.
pub(super) const KEPT: &[&str] = &[
    "discovery/orders-staging.md",
    "drafts/orders-staging/egress-allowlist.yaml",
    "drafts/orders-staging/default-deny-egress.yaml",
    "replay.txt",
    "plan.md",
    "runbook.md",
    "soak-1.txt",
    "drafts-2/orders-staging/egress-allowlist.yaml",
    "replay-2.txt",
    "soak-2.txt",
    "soak-3.txt",
    "soak-4.txt",
    "drift.md",
    "audit.txt",
    "compliance.md",
];

/// What is shown of a step.
enum Show {
    /// What it printed.
    Printed,
    /// A file that it wrote.
    File(&'static str),
    /// One section of a Markdown file, by its heading.
    Section(&'static str, &'static str),
    /// Lines of the second file that the first does not have.
    Added(&'static str, &'static str),
    /// Nothing but the status.
    Nothing,
}

/// The text before each command, and what is shown behind it.
const TELLING: &[(&str, Show)] = &[
    (
        "Monday, 9 March 2026. The namespaces `orders-staging`, `orders` and `reports` of cluster `eu-1` have been recorded for a week: flows by Hubble, DNS answers by \
         CoreDNS. The settings in `egress-atlas.toml` say that the bank is a customer and who is called; the labels of the namespaces say what is staging.\n\n\
         Before anybody draws conclusions, the document of a namespace says what a week cannot show:",
        Show::Section("discovery/orders-staging.md", "## What this baseline cannot know"),
    ),
    (
        "The exporter of `reports` connects so regularly that it looks like a beacon. Nothing suspect enters a policy before somebody answers for it:",
        Show::Printed,
    ),
    (
        "Now the drafts. They hold what passed in that week and nothing else:",
        Show::File("drafts/orders-staging/egress-allowlist.yaml"),
    ),
    ("Would these policies have broken anything in the week that they were made from?", Show::File("replay.txt")),
    (
        "In which order? One staging namespace first. The plan repeats the warning of the baseline; it is easy to overlook. The runbook is for whoever is on call, \
         with the commands of this very rollout. Both are written in one go: [the plan](story/plan.md), [the runbook](story/runbook.md).",
        Show::Section("plan.md", "## Namespaces by blast radius"),
    ),
    (
        "The policies of `orders-staging` are applied on Monday at nine, and the probe runs (`egress-atlas probe`). On Tuesday, the tenth, at four in the morning, the \
         settlement job wants to send its files to the bank, for the first time since anybody looked. Wednesday at nine the gate is asked:",
        Show::File("soak-1.txt"),
    ),
    (
        "Not clean: the gate names the workload, the destination and what would let it through, and says that it was not in use before: the week of the baseline \
         had no tenth. The probe's denial is counted as proof that the policies are enforced, and not as damage.\n\n\
         On call rolls back with the commands of the runbook, and at eleven the job is run again by hand (`kubectl create job --from=cronjob/settlement`). It passes, and it is recorded. \
         In production, which no policy governs yet, the tenth was recorded too. So the baseline is made again, from all days until Wednesday afternoon:",
        Show::Section("discovery-2/orders-staging.md", "## What this baseline cannot know"),
    ),
    (
        "The new draft differs in what was missing:",
        Show::Added("drafts/orders-staging/egress-allowlist.yaml", "drafts-2/orders-staging/egress-allowlist.yaml"),
    ),
    ("The replay now has the failure in it. What was denied on Tuesday would pass:", Show::File("replay-2.txt")),
    (
        "Thursday at nine the new policies are applied, and the job is run by hand once more, under them. The gate compares with the same hours of the same weekdays, as far as \
         flows cover them. Saturday at nine:",
        Show::File("soak-2.txt"),
    ),
    ("Next week the low-risk namespace of production, from Monday to Wednesday:", Show::File("soak-3.txt")),
    (
        "And the last one, from Wednesday to Friday. The settlement job of production is not due in these days. The gate says so, instead of taking its silence for health:",
        Show::File("soak-4.txt"),
    ),
    (
        "A month later, somebody's job of the month is to compare. A release in April has dropped the crash reports, and brought a debugging aid along that nobody asked for. \
         The policies stop it, and the comparison, written for a pull request, says what is new, what is gone, and of what nothing is proven: a week cannot say \
         that a monthly job has ended.",
        Show::File("drift.md"),
    ),
    (
        "For the auditors, the gate judges a whole week under all policies. It is not clean, for somebody is being stopped; for this purpose that is good news.",
        Show::Nothing,
    ),
    ("Which rules did that week need?", Show::Nothing),
    (
        "And what does all of it show? The audit itself finds nothing serious ([audit.txt](story/audit.txt)). The evidence claims no more than was seen: nobody has been stopped on the way into these namespaces, so nothing proves that ingress is enforced.",
        Show::Section("compliance.md", "## Controls"),
    ),
];

/// A command as a document shows it: broken before flags.
fn shown(command: &str) -> String {
    let mut lines = vec![String::new()];
    for word in command.split(' ') {
        let is_flag = word.starts_with("--") || word == ">";
        let line = lines.last_mut().unwrap();
        if line.len() + word.len() > 100 && is_flag {
            line.push_str(" \\");
            lines.push(format!("    {word}"));
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn section(text: &str, heading: &str) -> String {
    let (_, behind) = text.split_once(heading).unwrap_or_else(|| panic!("no section `{heading}` in\n{text}"));
    behind.split("\n## ").next().unwrap_or_default().trim().to_owned()
}

fn block(out: &mut String, language: &str, text: &str) {
    let text = text.trim_end();
    if !text.is_empty() {
        let _unfailing = writeln!(out, "```{language}\n{text}\n```\n");
    }
}

/// Headings of a document inside another one go below its own.
fn quoted(text: &str) -> String {
    text.lines().flat_map(|line| [if line.is_empty() { ">" } else { "> " }, line, "\n"]).collect()
}

fn is_of(name: &str, kind: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == kind)
}

fn show(out: &mut String, step: &StoryStep, show: &Show, said: &Said, read: &impl Fn(&str) -> String) {
    match show {
        Show::Nothing => {}
        Show::Printed => block(out, "text", &said[step.title]),
        Show::File(name) if is_of(name, "md") => {
            let _unfailing = writeln!(out, "{}", quoted(read(name).trim_end()));
        }
        Show::File(name) => block(out, if is_of(name, "yaml") { "yaml" } else { "text" }, &read(name)),
        Show::Section(name, heading) => {
            let _unfailing = writeln!(out, "{}", quoted(&section(&read(name), heading)));
        }
        Show::Added(old, new) => {
            let (old, new) = (read(old), read(new));
            let known: Vec<&str> = old.lines().collect();
            let added = new.lines().filter(|line| !known.contains(line));
            block(out, "diff", &added.flat_map(|line| ["+", line, "\n"]).collect::<String>());
        }
    }
}

/// The whole document.
pub(super) fn walk_through(said: &Said, read: &impl Fn(&str) -> String) -> String {
    assert_eq!(TELLING.len(), STORY_STEPS.len(), "every step needs its text");
    let mut out = "# The story of a rollout\n\nFrom the first recorded week to the review of a month later, on made-up data that is the same on every machine. Nothing here needs a cluster: the \
         recorded weeks are in the binary, and every command below can be typed as it stands.\n\n\
         ```sh\negress-atlas demo --story --out story && cd story\n```\n\n\
         The outputs on this page are not written by hand. A test runs these commands and compares what they print with this page and with the documents in [story/](story).\n\n"
        .to_owned();
    for (step, (text, shown_behind)) in STORY_STEPS.iter().zip(TELLING) {
        let _unfailing = writeln!(out, "## {}\n\n{text}\n", step.title);
        block(&mut out, "sh", &shown(step.command));
        let _unfailing = writeln!(out, "Status {}.\n", step.status);
        show(&mut out, step, shown_behind, said, read);
    }
    out.trim_end().to_owned() + "\n"
}
