//! `demo`: the main job on the small data set inside the binary.
//!
//! The data are written to a folder first and then read like anybody's own, so that the commands can be repeated by hand.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Context;
use super::discover::{self, DiscoverArgs};
use super::spark::SparkArgs;
use super::traffic::TrafficArgs;
use super::write::write_file;
use crate::error::ExitStatus;
use crate::simulate::{STORY_STEPS, demo, story};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where data and documents go.
    #[arg(long, value_name = "DIR", default_value = "atlas-demo")]
    out: PathBuf,
    /// Write the recorded weeks of a rollout instead (about 15 MB), and print the commands that tell its story.
    #[arg(long)]
    story: bool,
}

pub(super) fn run(args: &DemoArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    if args.story {
        return tell(&args.out, context);
    }
    let data = args.out.join("data");
    let files = demo().files;
    for file in &files {
        write_file(&data.join(&file.name), |out| Ok(out.write_all(&file.bytes)?))?;
    }
    let path = |name: &str| data.join(name).display().to_string();
    let mut traffic = TrafficArgs { config: Some(data.join("egress-atlas.toml")), ..TrafficArgs::default() };
    for file in &files {
        let Some((cluster, rest)) = file.name.split_once('/') else { continue };
        let input = format!("{cluster}={}", path(&file.name));
        let list = match rest {
            _ if rest.starts_with("hubble/") => &mut traffic.flows,
            _ if rest.starts_with("kube") => &mut traffic.kube,
            _ => &mut traffic.dns,
        };
        list.push(input);
    }
    let documents = args.out.join("discovery");
    let discover = DiscoverArgs {
        traffic,
        spark: SparkArgs::default(),
        out: documents.clone(),
        reviews: Some(data.join("reviews.toml")),
        fail_on: None,
        baseline: None,
        sarif: None,
        events: None,
        html: None,
        format: super::format::Format::Table,
    };
    let status = discover::run(&discover, context)?;
    writeln!(
        context.out,
        "\nThe data that this read is in {}; the documents are in {}.",
        data.display(),
        documents.display()
    )?;
    writeln!(context.out, "Do the same with your own: see \"Your own data\" in the README.")?;
    Ok(status)
}

/// Writes the inputs of the story. Its commands are for the reader to run: each answers a question that comes up on its own day.
fn tell(out: &Path, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    for file in story() {
        write_file(&out.join(&file.name), |to| Ok(to.write_all(&file.bytes)?))?;
    }
    writeln!(context.out, "# The inputs are in {}. Go there, and type:", out.display())?;
    for step in STORY_STEPS {
        writeln!(context.out, "\n# {} (status {})\n{}", step.title, step.status, step.command)?;
    }
    Ok(ExitStatus::Good)
}
