//! `discover --engine spark`: plan here, run the slices as tasks of Spark, merge here.
//!
//! Spark is a child process, `spark-sql` with one statement: a script transform that starts this program once for each slice. It
//! decides where tasks run and which are tried again; partial results lie in a folder that driver and executors share.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Context;
use super::task::{merge_slices, note_name, plan_traffic};
use super::traffic::{Traffic, TrafficArgs};
use super::write::write_text;
use crate::attribute::Evidence;
use crate::catalog::BucketUrl;
use crate::task::slices::{Manifest, SLICE_ROWS, finished_slices, transform_statement};

/// Where the reading is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// In this process, with all cores.
    #[default]
    Local,
    /// As tasks of Apache Spark (3.5 or newer).
    Spark,
}

/// Which engine, and how to reach it.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SparkArgs {
    /// Where the reading is done; the documents are the same.
    #[arg(long, value_enum, value_name = "ENGINE", default_value = "local")]
    pub(super) engine: Engine,
    /// Spark's master: `spark://HOST:7077`, `yarn`, `k8s://...`, `local-cluster[2,1,1200]`.
    #[arg(long, value_name = "URL")]
    pub(super) master: Option<String>,
    /// Where Spark is [default: `spark-sql` in PATH].
    #[arg(long, value_name = "DIR", env = "SPARK_HOME", hide_env_values = true)]
    pub(super) spark_home: Option<PathBuf>,
    /// A setting of Spark, as `spark-sql --conf` takes it.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) spark_conf: Vec<String>,
    /// A folder that this machine and all executors share, for manifest and partial results [default: in the store].
    #[arg(long, value_name = "DIR")]
    pub(super) work: Option<PathBuf>,
    /// The program that executors run, if theirs is another system than this one [default: this program].
    #[arg(long, value_name = "FILE")]
    pub(super) task_binary: Option<PathBuf>,
    /// Rows of a slice, at most about so many.
    #[arg(long, value_name = "N", default_value_t = SLICE_ROWS)]
    pub(super) slice_rows: u64,
}

/// How often the folder of partial results is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What is kept of Spark's own words: their end tells why.
const TOLD_LINES_MAX: usize = 40;
const PRINTED_BYTES_MAX: u64 = 1 << 30;

/// The folder of one run; it goes when the run does.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
        // Others may have their own beside it: then it stays.
        if let Some(folder) = self.0.parent() {
            drop(std::fs::remove_dir(folder));
        }
    }
}

/// Spark as a child process; it goes when the run does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl SparkArgs {
    /// Everything that the slices say, as [`TrafficArgs::load`] gives it.
    pub(super) fn discover(
        &self,
        traffic: &TrafficArgs,
        context: &mut Context<'_>,
    ) -> anyhow::Result<(Traffic, Evidence)> {
        let Some(master) = &self.master else {
            bail!("--engine spark needs --master URL, for a try on this machine: --master 'local-cluster[2,1,1200]'");
        };
        let Some(store) = &traffic.store else {
            bail!(
                "--engine spark needs --store DIR, which executors share; put files into one with `egress-atlas import --store DIR --flows ...`"
            );
        };
        if !traffic.flows.is_empty() || !traffic.dns.is_empty() {
            bail!(
                "--engine spark reads the store alone; put the files into it with `egress-atlas import --store {} --flows ...`",
                store.display()
            );
        }
        if BucketUrl::is_meant(store) && self.work.is_none() {
            bail!(
                "--engine spark with a store in a bucket needs --work DIR, a folder that executors share; partial results go there"
            );
        }
        let manifest = plan_traffic(store, traffic, self.slice_rows, context)?;
        let folder = self.work.clone().unwrap_or_else(|| store.join("tasks"));
        let folder = std::path::absolute(&folder)?;
        let own = format!("{}-{}", manifest.plan.manifest, std::process::id());
        let work = Work(folder.join(own));
        let partials = work.0.join("partials");
        std::fs::create_dir_all(&partials).with_context(|| {
            format!("`{}`: folder of manifest and partial results; give a writable one with --work", partials.display())
        })?;
        write_text(&work.0.join("manifest.ndjson"), &manifest.text())?;
        self.submit(master, &manifest, &work.0, context)?;
        merge_slices(&manifest, &partials, traffic, context)
    }

    /// Has Spark run all slices, and makes sure that it did.
    fn submit(&self, master: &str, manifest: &Manifest, work: &Path, context: &mut Context<'_>) -> anyhow::Result<()> {
        let slices = manifest.plan.slices;
        let mut command = self.command(master, slices, work)?;
        let program = PathBuf::from(command.get_program());
        context.say(&format!(
            "{slices} slices of {} rows → {} --master {master}",
            manifest.plan.rows,
            program.display()
        ));
        let printed = work.join("printed");
        let told = work.join("told");
        command.stdin(Stdio::null()).stdout(File::create(&printed)?).stderr(File::create(&told)?);
        let child = command.spawn().with_context(|| {
            format!(
                "`{}`: Spark cannot be started; give its folder with --spark-home, or try `pip install pyspark`",
                program.display()
            )
        })?;
        let mut running = Running(child);
        let bar = context.progress.then(|| indicatif::ProgressBar::new(u64::from(slices)));
        let status = loop {
            if let Some(status) = running.0.try_wait()? {
                break status;
            }
            if let Some(bar) = &bar {
                bar.set_message("slices");
                bar.set_position(finished(&work.join("partials")));
            }
            std::thread::sleep(LOOK);
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let told = text_of(&told);
        if context.verbose {
            context.say(&told);
        }
        if !status.success() {
            bail!("{}", why(manifest, &work.join("partials"), &told, status));
        }
        let outcomes = finished_slices(&text_of(&printed), &manifest.plan.manifest, slices)?;
        let connections: u64 = outcomes.values().map(|outcome| outcome.connections).sum();
        context.say(&format!("{} slices are back: {connections} connections to join", outcomes.len()));
        Ok(())
    }

    fn command(&self, master: &str, slices: u32, work: &Path) -> anyhow::Result<Command> {
        let binary = match &self.task_binary {
            Some(path) => std::path::absolute(path)?,
            None => std::env::current_exe().context("the path of this program; give one with --task-binary")?,
        };
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let quoted = |path: &Path| shell_quoted(&path.display().to_string());
        let arguments = format!(
            "task run --manifest {} --slice-from-stdin --out {}",
            quoted(&work.join("manifest.ndjson")),
            quoted(&work.join("partials"))
        );
        // Executors of a cluster find the file in their working folder; Spark in one process leaves it where it was.
        let shipped = shell_quoted(&format!("./{name}"));
        let task = format!("test -f {shipped} && exec {shipped} {arguments} || exec {} {arguments}", quoted(&binary));
        let script = work.join("job.sql");
        write_text(&script, &transform_statement(slices, &task))?;
        let home = self.spark_home.as_deref().map(std::path::absolute).transpose()?;
        let program =
            home.as_ref().map_or_else(|| PathBuf::from("spark-sql"), |home| home.join("bin").join("spark-sql"));
        let mut command = Command::new(program);
        command.args(["--master", master, "--name", "egress-atlas"]);
        // No Hive: its own store of tables would be made in the working folder.
        for setting in ["spark.sql.catalogImplementation=in-memory", "spark.ui.showConsoleProgress=false"] {
            command.args(["--conf", setting]);
        }
        command.arg("--conf").arg(format!("spark.sql.warehouse.dir={}", work.join("warehouse").display()));
        for setting in &self.spark_conf {
            command.args(["--conf", setting]);
        }
        command.arg("--files").arg(&binary).arg("-f").arg(&script).current_dir(work);
        if let Some(home) = home {
            command.env("SPARK_HOME", home);
        }
        Ok(command)
    }
}

/// How many partial results are there.
fn finished(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "partial")).count() as u64
}

fn text_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        drop(file.take(PRINTED_BYTES_MAX).read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The failed tasks' own words, if they left any, else the end of what Spark said.
fn why(manifest: &Manifest, partials: &Path, told: &str, status: std::process::ExitStatus) -> String {
    let noted = (0..manifest.plan.slices).find_map(|slice| {
        let note = std::fs::read_to_string(partials.join(note_name(slice))).ok()?;
        Some(note.trim().to_owned())
    });
    if let Some(note) = noted {
        return format!("Spark gave up ({status}): {note}");
    }
    let lines: Vec<&str> = told.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TOLD_LINES_MAX)..).unwrap_or_default().join("\n");
    format!("Spark gave up ({status}), and no slice left a reason; the end of what Spark says:\n{tail}")
}

/// One word of a shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_stay_one_word() {
        assert_eq!(shell_quoted("a b"), "'a b'");
        assert_eq!(shell_quoted("it's; rm -rf /"), "'it'\\''s; rm -rf /'");
    }
}
