//! What discovery in slices costs: each slice, each flow, and the merge by the number of partial results.
//!
//! `cargo bench --bench distributed`. Every step is a process of its own, as a scheduler would start it; its processor time and its
//! largest memory are the system's. `ATLAS_BENCH_FLOWS` is a list of sizes (default 1,000,000), `ATLAS_BENCH_SLICE_ROWS` one of rows in a
//! slice (default several). `discover` on the same store is measured beside them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop where it stands, and prints a table"
)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

/// Flows and answers of one cluster, to files.
struct Files {
    flows: BufWriter<File>,
    frames: Vec<u8>,
}

impl Sink for Files {
    fn flow_line(&mut self, _: usize, line: &[u8]) {
        self.flows.write_all(line).unwrap();
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.frames, payload);
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, _: &[u8]) {}
}

/// What a process took.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    cpu_seconds: f64,
    peak_mib: f64,
}

impl Cost {
    /// Waits for a process, looking at it meanwhile: the system forgets what it took once it is gone.
    fn of(mut child: Child) -> Self {
        let begun = Instant::now();
        let (mut ticks, mut peak) = (0_u64, 0_u64);
        let read = |id: u32, name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        let status = loop {
            let stat = read(child.id(), "stat");
            let fields: Vec<u64> =
                stat.rsplit(')').next().unwrap_or_default().split(' ').filter_map(|field| field.parse().ok()).collect();
            ticks = ticks.max(fields.iter().skip(10).take(2).sum());
            let status = read(child.id(), "status");
            let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            peak = peak.max(memory.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        assert!(status.success(), "{status}");
        Self { wall: begun.elapsed(), cpu_seconds: ticks as f64 / 100.0, peak_mib: peak as f64 / 1024.0 }
    }

    fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu_seconds += other.cpu_seconds;
        self.peak_mib = self.peak_mib.max(other.peak_mib);
    }
}

fn atlas(arguments: &[&str]) -> Cost {
    let binary = env!("CARGO_BIN_EXE_egress-atlas");
    let child = Command::new(binary).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Cost::of(child)
}

fn numbers(variable: &str, default: &[u64]) -> Vec<u64> {
    let given = std::env::var(variable).unwrap_or_default();
    let given: Vec<u64> = given.split(',').filter_map(|text| text.trim().parse().ok()).collect();
    if given.is_empty() { default.to_vec() } else { given }
}

fn store(folder: &Path, flows: u64) -> PathBuf {
    let (log, capture, store) = (folder.join("flows.log"), folder.join("dns.fstrm"), folder.join("lake"));
    let mut files = Files { flows: BufWriter::new(File::create(&log).unwrap()), frames: Vec::new() };
    dnstap::start(&mut files.frames);
    generate(&Scenario { flows, ..Scenario::bench(1) }, &mut files);
    dnstap::stop(&mut files.frames);
    files.flows.flush().unwrap();
    std::fs::write(&capture, &files.frames).unwrap();
    let text = |path: &Path| path.display().to_string();
    atlas(&["import", "--store", &text(&store), "--flows", &text(&log), "--dns", &text(&capture)]);
    std::fs::remove_file(log).unwrap();
    store
}

fn size_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn say(what: &str, rows: u64, cost: Cost, more: &str) {
    println!(
        "| {what} | {:.1} | {:.2} | {:.2} | {:.0} | {more} |",
        cost.wall.as_secs_f64(),
        cost.cpu_seconds,
        cost.cpu_seconds * 1e6 / rows as f64,
        cost.peak_mib
    );
}

fn measure(flows: u64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let store = store(folder.path(), flows).display().to_string();
    println!(
        "\n{flows} flows\n\n| step | wall s | CPU s | CPU µs per row | peak MiB | |\n|---|---:|---:|---:|---:|---|"
    );
    let whole = atlas(&["discover", "--store", &store, "--out", &at("whole")]);
    let mut whole = Some(whole);
    for slice_rows in numbers("ATLAS_BENCH_SLICE_ROWS", &[4_000_000, 1_000_000, 250_000, 60_000]) {
        let (manifest, partials) = (at(&format!("{slice_rows}.ndjson")), at(&format!("{slice_rows}.partials")));
        let planned =
            atlas(&["task", "plan", "--store", &store, "--out", &manifest, "--slice-rows", &slice_rows.to_string()]);
        let text = std::fs::read_to_string(&manifest).unwrap();
        let slices = text.lines().count() - 1;
        let counts = |line: &str| line.split("\"rows\":").nth(1)?.split(',').next()?.parse::<u64>().ok();
        let rows = text.lines().next().and_then(counts).unwrap();
        if let Some(whole) = whole.take() {
            say("discover", rows, whole, "one process");
        }
        say(&format!("plan, {slices} slices"), rows, planned, "");
        let (mut all, mut most) = (Cost::default(), 0.0_f64);
        for slice in 0..slices {
            let cost =
                atlas(&["task", "run", "--manifest", &manifest, "--slice", &slice.to_string(), "--out", &partials]);
            most = most.max(cost.cpu_seconds);
            all.add(cost);
        }
        let size = size_of(Path::new(&partials));
        let more = format!("one by one; longest {most:.2} s CPU; {:.1} bytes kept per row", size as f64 / rows as f64);
        say(&format!("run, {slices} slices"), rows, all, &more);
        let merged =
            atlas(&["task", "merge", "--manifest", &manifest, "--partials", &partials, "--out", &at("merged")]);
        say(&format!("merge, {slices} partials"), rows, merged, "");
        let [one, other] = ["whole/atlas.json", "merged/atlas.json"].map(|name| std::fs::read(at(name)).unwrap());
        assert!(one == other, "the atlas differs");
    }
}

fn main() {
    for flows in numbers("ATLAS_BENCH_FLOWS", &[1_000_000]) {
        measure(flows);
    }
}
