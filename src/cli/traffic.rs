//! The flags of every command that reads traffic, and the way from them to evidence.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Context;
use super::stored::Stored;
use crate::attribute::{Evidence, Fold, FoldLimits, JoinOptions};
use crate::catalog::Settings;
use crate::kube::Inventory;
use crate::model::{Account, SourceKind, Timestamp, parse_duration_nanos};
use crate::read::{Format, InputFile, InputSpec, open_bytes};
use crate::summary::{InputAccount, Networks};
use crate::task::{IngestOptions, Ingested, Progress, ingest};

/// Inputs, the same for every command that reads traffic.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct TrafficArgs {
    /// Flow records: file, folder, glob or `-`; NAME= gives the cluster of records that name none. FORMAT is recognised
    /// from the content, or one of hubble, calico, calico-log, goldmane, antrea-log, antrea-csv, ipfix.
    #[arg(long, value_name = "[NAME=][FORMAT:]PATH")]
    pub(super) flows: Vec<String>,
    /// DNS answers: dnstap captures (Frame Streams), Calico's dns.log (calico-dns), or Hubble layer 7 records.
    #[arg(long, value_name = "[NAME=][FORMAT:]PATH")]
    pub(super) dns: Vec<String>,
    /// What `import` or `collect` wrote, a folder or `s3://BUCKET/PREFIX`; instead of files, or together with them.
    #[arg(long, value_name = "DIR|URL")]
    pub(super) store: Option<PathBuf>,
    /// Kubernetes objects as `kubectl get ... -o json` or YAML prints them.
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(super) kube: Vec<String>,
    /// The cluster of inputs that name none [default: the one cluster that the flows name, else `default`].
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// Start of the asked window: RFC 3339, or a duration before now (`7d`).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// End of the asked window: RFC 3339, or a duration before now.
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Settings [default: `egress-atlas.toml` in the working folder, if there is one].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Worker threads [default: all processors].
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Nanoseconds of silence that never end a connection, whatever the settings say.
    #[arg(skip)]
    pub(super) idle_min: i64,
}

/// Everything that was read, joined on nothing yet.
pub(super) struct Traffic {
    pub(super) inventory: Inventory,
    pub(super) networks: Networks,
    pub(super) inputs: Vec<InputAccount>,
    pub(super) settings: Settings,
    pub(super) join: JoinOptions,
    pub(super) threads: usize,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) warnings: Vec<String>,
    /// What the store says beside its rows, if there is one.
    pub(super) stored: Option<Stored>,
}

impl Traffic {
    /// Whether an input broke off, so that the evidence has a hole that nobody can size.
    pub(super) fn is_broken(&self) -> bool {
        self.inputs.iter().any(|input| input.problem.is_some())
    }

    /// The ranges that the settings say pods are numbered from.
    pub(super) fn pod_networks(&self) -> crate::replay::PodNetworks {
        let shared = self.settings.networks.pods.iter().map(|net| (None, *net));
        let own = self
            .settings
            .clusters
            .iter()
            .flat_map(|(cluster, networks)| networks.pods.iter().map(move |net| (Some(cluster.clone()), *net)));
        shared.chain(own).collect()
    }

    /// Sums of what was read: records read, used, rejected, excluded.
    pub(super) fn account(&self) -> Account {
        let mut all = Account::default();
        for input in &self.inputs {
            all.absorb(&input.account);
        }
        all
    }
}

impl TrafficArgs {
    /// Reads everything.
    pub(super) fn load(&self, keep_ids: bool, context: &mut Context<'_>) -> anyhow::Result<(Traffic, Evidence)> {
        self.load_some(keep_ids, None, context)
    }

    /// Reads what concerns one cluster: of a store only its folders. What another cluster alone recorded is not known then.
    pub(super) fn load_of(
        &self,
        cluster: Option<&str>,
        context: &mut Context<'_>,
    ) -> anyhow::Result<(Traffic, Evidence)> {
        self.load_some(false, cluster, context)
    }

    fn load_some(
        &self,
        keep_ids: bool,
        cluster: Option<&str>,
        context: &mut Context<'_>,
    ) -> anyhow::Result<(Traffic, Evidence)> {
        let settings = self.settings()?;
        let (since, until) = self.window(context)?;
        let files = self.files()?;
        let threads = self.threads();
        let limits =
            FoldLimits { idle_nanos: settings.join.idle.max(self.idle_min), since, until, ..FoldLimits::default() };
        let options = IngestOptions { threads, limits, keep_ids };
        let progress = Progress::default();
        let read = with_progress(context, &progress, || ingest(&files, &options, &progress))?;
        let stored = match &self.store {
            Some(root) => Some(with_progress(context, &progress, || {
                Stored::read(root, &options, settings.join.window, cluster, &progress)
            })?),
            None => None,
        };
        self.assemble(read, &files, stored, settings, (since, until))
    }

    /// The asked window.
    pub(super) fn window(&self, context: &Context<'_>) -> anyhow::Result<(Option<Timestamp>, Option<Timestamp>)> {
        let (since, until) = (
            instant(self.since.as_deref(), "--since", context.now)?,
            instant(self.until.as_deref(), "--until", context.now)?,
        );
        // An open end is now, so that what is asked does not depend on what is found.
        let until = until.or_else(|| since.map(|_| context.now));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            bail!("the asked window is empty: --since {since} is not before --until {until}");
        }
        Ok((since, until))
    }

    /// How many threads work.
    pub(super) fn threads(&self) -> usize {
        self.threads
            .filter(|threads| *threads > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// Brings what was read together with the Kubernetes objects, ready for the join.
    pub(super) fn assemble(
        &self,
        mut read: Ingested,
        files: &[InputFile],
        mut stored: Option<Stored>,
        settings: Settings,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> anyhow::Result<(Traffic, Evidence)> {
        let mut inputs = std::mem::take(&mut read.inputs);
        if let Some(stored) = &mut stored {
            read.folds.append(&mut stored.folds);
            inputs.append(&mut stored.inputs);
        }
        let objects = self.objects()?;
        let names = shown_names(files.iter().chain(&objects));
        let (unnamed, mut warnings) = self.unnamed_cluster(&read.folds);
        let inventory = inventory(&objects, |_| Ok(unnamed.clone()), &mut inputs)?;
        for input in &mut inputs {
            if let Some(name) = names.get(&*input.name) {
                input.name = name.as_str().into();
            }
        }
        no_records(&inputs)?;
        warnings.extend(read.passed_over.iter().map(|(path, why)| {
            let name = names.get(path).unwrap_or(path);
            format!("`{name}` is passed over: {why}")
        }));
        let join = JoinOptions {
            window_nanos: settings.join.window,
            skew_nanos: settings.join.skew,
            ..JoinOptions::default()
        };
        let threads = self.threads();
        let mut evidence = Evidence::gather(read.folds, &inventory, &unnamed, threads)
            .context("temporary file; set TMPDIR to a folder with room")?;
        if let Some(stored) = &stored {
            stored.teach(&mut evidence, &unnamed);
        }
        warnings.extend(inputs.iter().filter_map(|input| {
            let problem = input.problem.as_ref()?;
            Some(format!("`{}` breaks off: {problem}; what came before is used, what follows is missing: fetch the file again if its source is whole", input.name))
        }));
        let networks = inside(&settings);
        let traffic = Traffic { inventory, networks, inputs, settings, join, threads, since, until, warnings, stored };
        Ok((traffic, evidence))
    }

    /// The Kubernetes objects alone, for commands that read no traffic.
    pub(super) fn inventory_of(&self, unnamed: &str) -> anyhow::Result<Inventory> {
        inventory(&self.objects()?, |_| Ok(unnamed.to_owned()), &mut Vec::new())
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let default = PathBuf::from("egress-atlas.toml");
        let path = match &self.config {
            Some(path) => path,
            None if default.is_file() => &default,
            None => return Ok(Settings::default()),
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            anyhow::anyhow!(
                "`{}`: the settings cannot be read ({error}); check the path given to --config",
                path.display()
            )
        })?;
        let mut settings = Settings::parse(&text, &path.display().to_string())?;
        // Errors name the path; documents name the file alone, so that they do not depend on where it lay.
        settings.file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into();
        Ok(settings)
    }

    /// All files of flows and DNS, each once.
    pub(super) fn files(&self) -> anyhow::Result<Vec<InputFile>> {
        if self.flows.is_empty() && self.dns.is_empty() && self.store.is_none() {
            bail!(
                "nothing to read: give --flows PATH (Hubble export) and --dns PATH (dnstap capture), or --store DIR, or try `egress-atlas demo`"
            );
        }
        let mut files = Vec::new();
        for text in self.flows.iter().chain(&self.dns) {
            files.extend(InputSpec::parse(text)?.files()?);
        }
        once_each(files)
    }

    /// The cluster of rows that name none.
    fn unnamed_cluster(&self, folds: &[Fold]) -> (String, Vec<String>) {
        if let Some(cluster) = &self.cluster {
            return (cluster.clone(), Vec::new());
        }
        let named =
            |kind| -> std::collections::BTreeSet<&str> { folds.iter().flat_map(|fold| fold.clusters(kind)).collect() };
        let flows = named(SourceKind::Flows);
        let mut clusters = flows.iter().filter(|name| !name.is_empty());
        match (clusters.next(), clusters.next()) {
            (Some(only), None) if !flows.contains("") => ((*only).to_owned(), Vec::new()),
            (Some(only), None) => {
                let warning = format!(
                    "some flows name cluster `{only}` and some name none: the latter count as cluster `default`; write `--flows NAME=PATH`, or --cluster NAME, to join them"
                );
                ("default".to_owned(), vec![warning])
            }
            (Some(_), Some(_)) if named(SourceKind::Dns).contains("") => {
                let warning = "some DNS inputs name no cluster while the flows name several: they count as cluster `default` and name nothing elsewhere; write `--dns NAME=PATH` for each";
                ("default".to_owned(), vec![warning.to_owned()])
            }
            _ => ("default".to_owned(), Vec::new()),
        }
    }

    fn objects(&self) -> anyhow::Result<Vec<InputFile>> {
        object_files(&self.kube)
    }
}

/// Each file once, whatever it is called; what the user said about it under any name holds.
pub(super) fn once_each(files: Vec<InputFile>) -> anyhow::Result<Vec<InputFile>> {
    let mut known: BTreeMap<PathBuf, InputFile> = BTreeMap::new();
    for file in files {
        let place = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
        let Some(first) = known.get_mut(&place) else {
            known.insert(place, file);
            continue;
        };
        if let (Some(one), Some(two)) = (&first.cluster, &file.cluster)
            && one != two
        {
            bail!("`{}` is given for cluster `{one}` and for cluster `{two}`; a file has one", file.path.display());
        }
        first.cluster = first.cluster.take().or(file.cluster);
        first.format = first.format.or(file.format);
        first.is_named |= file.is_named;
    }
    let mut files: Vec<InputFile> = known.into_values().collect();
    files.sort();
    Ok(files)
}

/// All files that `--kube` names, each once.
pub(super) fn object_files(texts: &[String]) -> anyhow::Result<Vec<InputFile>> {
    let mut files = Vec::new();
    for text in texts {
        files.extend(InputSpec::parse(text)?.files()?);
    }
    once_each(files)
}

/// Objects beyond this are no export of one cluster.
const KUBE_BYTES_MAX: u64 = 1 << 30;

/// Reads Kubernetes objects; `unnamed` tells the cluster of a file that the user gave none.
pub(super) fn inventory(
    files: &[InputFile],
    unnamed: impl Fn(&InputFile) -> anyhow::Result<String>,
    inputs: &mut Vec<InputAccount>,
) -> anyhow::Result<Inventory> {
    let mut inventory = Inventory::default();
    for file in files {
        let path = file.path.display().to_string();
        let mut bytes = Vec::new();
        let mut reader = std::io::Read::take(open_bytes(file)?, KUBE_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut reader, &mut bytes).with_context(|| format!("`{path}`: Kubernetes objects"))?;
        if bytes.len() as u64 > KUBE_BYTES_MAX {
            bail!("`{path}`: more than 1 GiB of Kubernetes objects; export fewer kinds, or one namespace to a file");
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            bail!(
                "`{path}`: the text is UTF-16, as older PowerShell writes with `>`; write it as UTF-8, as in `kubectl get ... -o json | Out-File -Encoding utf8 {path}`"
            );
        }
        let cluster = file.cluster.clone().map_or_else(|| unnamed(file), Ok)?;
        let mut account = Account::default();
        inventory.add(&cluster, &bytes, &mut account);
        if account.used == 0 && account.excluded_total() == 0 {
            bail!(
                "`{path}`: no Kubernetes objects in it; --kube takes what `kubectl get pods,services,nodes -A -o json` prints"
            );
        }
        inputs.push(InputAccount { name: path.into(), format: Format::Kube.as_str(), account, problem: None });
    }
    Ok(inventory)
}

/// Path → the path below the folder that all files share, so that outputs do not depend on where that lay.
fn shown_names<'a>(files: impl Iterator<Item = &'a InputFile> + Clone) -> BTreeMap<String, String> {
    let parent = |file: &InputFile| file.path.parent().map(PathBuf::from).unwrap_or_default();
    let mut shared = files.clone().next().map(parent).unwrap_or_default();
    for file in files.clone() {
        while !parent(file).starts_with(&shared) && shared.pop() {}
    }
    let shown = |file: &InputFile| match file.path.strip_prefix(&shared) {
        _ if file.is_stdin() => file.name(),
        Ok(below) => below.to_string_lossy().into_owned(),
        Err(_) => file.name(),
    };
    files.map(|file| (file.path.display().to_string(), shown(file))).collect()
}

/// The networks that the settings declare.
fn inside(settings: &Settings) -> Networks {
    let of = |cluster: Option<&str>, declared: &crate::catalog::Networks| -> Vec<(Option<Box<str>>, ipnet::IpNet)> {
        let all = [&declared.pods, &declared.services, &declared.nodes, &declared.internal];
        all.into_iter().flatten().map(|net| (cluster.map(Into::into), *net)).collect()
    };
    let mut inside = of(None, &settings.networks);
    for (cluster, declared) in &settings.clusters {
        inside.extend(of(Some(cluster), declared));
    }
    Networks { inside }
}

/// Refuses a run that read nothing usable at all.
fn no_records(inputs: &[InputAccount]) -> anyhow::Result<()> {
    let traffic = || inputs.iter().filter(|input| input.format != Format::Kube.as_str());
    if traffic().any(|input| input.account.used > 0 || input.account.excluded_total() > 0) {
        return Ok(());
    }
    let why = traffic()
        .map(|input| {
            let reasons: Vec<String> = input
                .account
                .rejected
                .iter()
                .map(|(reason, count)| format!("{} × {} (first at {})", count.records, reason.0, count.first))
                .chain(input.problem.iter().map(ToString::to_string))
                .collect();
            let reasons = if reasons.is_empty() { "there is no record in it".to_owned() } else { reasons.join(", ") };
            format!("`{}`: {reasons}", input.name)
        })
        .collect::<Vec<_>>()
        .join("; ");
    let remedy = if traffic().any(|input| input.problem.is_some()) {
        "fetch what is cut off or damaged again"
    } else {
        "check that the paths point at flow records or DNS captures that are not empty"
    };
    bail!("no usable record in any input: {why}; {remedy}")
}

/// An instant as users write it: RFC 3339, or a duration before now.
pub(super) fn instant(text: Option<&str>, flag: &str, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    if let Some(time) = Timestamp::parse(text.as_bytes()) {
        return Ok(Some(time));
    }
    if let Some(nanos) = parse_duration_nanos(text) {
        return Ok(Some(now.plus_nanos(-nanos)));
    }
    bail!("{flag} `{text}`: neither a time (2026-03-02T00:00:00Z) nor a duration (7d, 48h, 90m)")
}

/// Runs `work`, drawing a progress line meanwhile where there is a terminal.
pub(super) fn with_progress<T: Send>(
    context: &mut Context<'_>,
    progress: &Progress,
    work: impl FnOnce() -> T + Send,
) -> T {
    if !context.progress {
        return work();
    }
    let bar = indicatif::ProgressBar::new_spinner();
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        while !working.is_finished() {
            bar.set_message(format!(
                "{} records, {}",
                indicatif::HumanCount(progress.records.load(Ordering::Relaxed)),
                indicatif::HumanBytes(progress.bytes.load(Ordering::Relaxed))
            ));
            bar.tick();
            std::thread::sleep(Duration::from_millis(80));
        }
        bar.finish_and_clear();
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Prints the account of all records, each input's when asked for more or when something was refused.
pub(super) fn say_account(traffic: &Traffic, context: &mut Context<'_>) {
    let verbose = context.verbose;
    for input in &traffic.inputs {
        let account = &input.account;
        if verbose {
            context.say(&format!(
                "{}: {} read = {} used + {} rejected + {} excluded",
                input.name,
                account.read,
                account.used,
                account.rejected_total(),
                account.excluded_total()
            ));
        }
        for (reason, count) in &account.rejected {
            context.say(&format!(
                "rejected: `{}`: {} × {} (first at {})",
                input.name, count.records, reason.0, count.first
            ));
        }
        for (reason, count) in account.excluded.iter().filter(|_| verbose) {
            context.say(&format!("excluded: `{}`: {count} × {}", input.name, reason.0));
        }
        for (what, count) in account.notes.iter().filter(|_| verbose) {
            context.say(&format!("note: `{}`: {count} × {what}", input.name));
        }
    }
    if let Some(stored) = &traffic.stored {
        stored.say(context);
    }
    for warning in &traffic.warnings {
        context.say(&format!("warning: {warning}"));
    }
    let all = traffic.account();
    context.say(&format!(
        "records: {} read = {} used + {} rejected + {} excluded",
        all.read,
        all.used,
        all.rejected_total(),
        all.excluded_total()
    ));
    if !all.is_balanced() {
        context.say("warning: the account does not balance; please report this, with the inputs if you can");
    }
}
