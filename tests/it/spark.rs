//! Slices as tasks of Spark: a fake one always, the real one where it is.
//!
//! The real one is where `ATLAS_SPARK_HOME` says (the folder `pyspark` of `pip install pyspark==4.3.0` will do); without it these tests say
//! loudly that they were skipped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use egress_atlas::attribute::{Answer, Evidence, FoldLimits, JoinOptions, Named, PartyId, Sink, attribute};
use egress_atlas::kube::Inventory;
use egress_atlas::lake::ScanOptions;
use egress_atlas::model::Grade;
use egress_atlas::simulate::{Scenario, dnstap, generate};
use egress_atlas::task::{IngestOptions, Progress, read_store};

use crate::lake::{go, path, words};
use crate::slices::{assert_same, bytes, demo_store};
use crate::support::Ran;

const BINARY: &str = env!("CARGO_BIN_EXE_egress-atlas");

fn script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A `spark-sql` that runs the tasks one after another, each in a folder with the shipped file, up to four times each. `AFTER` is done with
/// each line of output, in `$line`.
const FAKE: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    -f) sql=$2 ;;
    --files) files=$2 ;;
    --conf|--master|--name) ;;
    *) echo "unknown option $1" >&2; exit 9 ;;
  esac
  shift 2
done
task=$(sed -n "s/^SELECT TRANSFORM(id) USING '\(.*\)' AS (line STRING)$/\1/p" "$sql" | sed "s/\\\\'/'/g")
count=$(sed -n 's/^FROM (SELECT id FROM range(0, \([0-9]*\), 1, [0-9]*));$/\1/p' "$sql")
[ -n "$task" ] && [ -n "$count" ] || { echo 'not the statement of a transform' >&2; exit 9; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cp "$files" "$home" && cd "$home" || exit 9
id=0
while [ $id -lt $count ]; do
  tries=1
  until line=$(echo $id | bash -c "$task" 2>error); do
    if [ $tries -ge 4 ]; then
      echo "Job aborted: task $id failed 4 times: $(cat error)" >&2
      exit 1
    fi
    tries=$((tries + 1))
  done
  AFTER
  id=$((id + 1))
done
echo "Time taken: 1 seconds" >&2
"#;

fn fake(home: &Path, after: &str) {
    script(&home.join("bin").join("spark-sql"), &FAKE.replace("AFTER", after));
}

/// A program that does what `before` says when it gets a slice, in `$slice`, and then is the real one.
fn task(place: &Path, before: &str) {
    let text = format!("#!/bin/sh\nread slice\n{before}\necho \"$slice\" | '{BINARY}' \"$@\"\n");
    script(place, &text);
}

struct Store {
    folder: tempfile::TempDir,
    lake: String,
    flags: Vec<String>,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, config, more) = demo_store(folder.path());
        let flags = [config, more].concat();
        let local = path(folder.path(), "local");
        let ran = go(&[&words(&["discover", "--store", &store, "--out", &local]), &flags]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        Self { folder, lake: store, flags }
    }

    fn at(&self, name: &str) -> String {
        path(self.folder.path(), name)
    }

    fn discover(&self, home: &str, binary: &str, master: &str, more: &[&str]) -> Ran {
        let spark = words(&[
            "discover",
            "--engine",
            "spark",
            "--store",
            &self.lake,
            "--master",
            master,
            "--spark-home",
            home,
            "--task-binary",
            binary,
            "--slice-rows",
            "1000",
            "--out",
            &self.at("spark"),
        ]);
        go(&[&spark, &self.flags, &words(more)])
    }

    /// The documents are those of one machine, and nothing else is left.
    fn is_the_same(&self, ran: &Ran) {
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert_same(Path::new(&self.at("local")), Path::new(&self.at("spark")), "local and Spark");
        assert!(!Path::new(&self.lake).join("tasks").exists(), "the work folder is left");
    }

    fn fails(&self, ran: &Ran, expected: &str) {
        assert!(ran.status == 2 && ran.err.contains(expected), "not `{expected}`: {}", ran.err);
        assert!(!Path::new(&self.at("spark")).exists(), "documents of a failed run");
        assert!(!Path::new(&self.lake).join("tasks").exists(), "the work folder is left");
    }
}

#[test]
fn a_fake_spark_gives_what_one_machine_gives() {
    let store = Store::new();
    let home = store.folder.path().join("a spark's home");
    let run = |binary: &str| store.discover(&home.display().to_string(), binary, "fake://", &[]);
    fake(&home, "echo \"$line\"");
    store.is_the_same(&run(BINARY));
    // A task that fails twice, and one that runs twice at once, change nothing.
    let marks = store.at("marks");
    std::fs::create_dir(&marks).unwrap();
    let flaky = store.folder.path().join("flaky");
    task(
        &flaky,
        &format!(
            "if [ $slice = 1 ]; then for try in 1 2; do if mkdir {marks}/$try 2>/dev/null; then echo made to fail >&2; exit 3; fi; done; fi"
        ),
    );
    fake(&home, "echo $id | bash -c \"$task\" >/dev/null || exit 8\n  echo \"$line\"");
    store.is_the_same(&run(&flaky.display().to_string()));
    assert!(Path::new(&marks).join("2").exists(), "it did not fail twice");
}

#[test]
fn what_goes_wrong_in_spark_is_told() {
    let store = Store::new();
    let home = store.folder.path().join("home");
    let text = home.display().to_string();
    let run = |binary: &str| store.discover(&text, binary, "fake://", &[]);
    store.fails(&run(BINARY), "Spark cannot be started; give its folder with --spark-home");
    fake(&home, "[ $id = 2 ] || echo \"$line\"");
    store.fails(&run(BINARY), "slices did not come back, the first: 2");
    fake(&home, "echo \"$line\"; [ $id != 2 ] || echo \"$line\"");
    store.fails(&run(BINARY), "Spark returned slice 2 more than once");
    fake(&home, "echo '{\"slice\":0}'");
    store.fails(&run(BINARY), "is of no slice of this manifest");
    // The task's own words come first; where it left none, Spark's do.
    fake(&home, "echo \"$line\"");
    let dead = store.folder.path().join("dead");
    task(&dead, "if [ $slice = 1 ]; then echo gone for good >&2; exit 3; fi");
    store.fails(&run(&dead.display().to_string()), "task 1 failed 4 times: gone for good");
    let file = bytes(&Path::new(&store.lake).join("flows")).into_keys().next().unwrap();
    let file = Path::new(&store.lake).join("flows").join(file);
    let changing = store.folder.path().join("changing");
    task(&changing, &format!("printf x >> '{}'", file.display()));
    store.fails(&run(&changing.display().to_string()), "the store has changed; plan again");
    let bad = |arguments: &[&str], expected: &str| {
        let ran = go(&[&words(&["discover", "--engine", "spark", "--out", &store.at("spark")]), &words(arguments)]);
        store.fails(&ran, expected);
    };
    bad(&["--store", &store.lake], "--engine spark needs --master URL");
    bad(&["--master", "local", "--flows", "x"], "--engine spark needs --store DIR");
    bad(&["--master", "local", "--store", &store.lake, "--flows", "x"], "reads the store alone");
}

/// Where the real Spark is.
fn spark_home() -> Option<PathBuf> {
    std::env::var_os("ATLAS_SPARK_HOME").map(PathBuf::from).filter(|home| home.join("bin/spark-sql").is_file())
}

/// Says so where everybody sees it, and is counted by whoever reads the output: nothing was tested.
fn skipped(what: &str) {
    let told = writeln!(
        std::io::stderr(),
        "SKIPPED: {what}: no Spark here (needs Java 17; pip install pyspark==4.3.0, then ATLAS_SPARK_HOME=.../site-packages/pyspark)"
    );
    drop(told);
}

#[test]
fn a_real_spark_gives_what_one_machine_gives_whatever_dies() {
    let Some(home) = spark_home() else { return skipped("a_real_spark_gives_what_one_machine_gives_whatever_dies") };
    let store = Store::new();
    let marks = store.at("marks");
    std::fs::create_dir(&marks).unwrap();
    // One task fails twice; one takes its executor with it.
    let flaky = store.folder.path().join("egress-atlas-task");
    task(
        &flaky,
        &format!(
            "if [ $slice = 1 ]; then for try in 1 2; do if mkdir {marks}/$try 2>/dev/null; then echo made to fail >&2; exit 3; fi; done; fi\n\
             if [ $slice = 3 ] && grep -q CoarseGrainedExecutor /proc/$PPID/cmdline && mkdir {marks}/killed 2>/dev/null; then kill -9 $PPID; sleep 9; fi"
        ),
    );
    let home = home.display().to_string();
    let ran = store.discover(
        &home,
        &flaky.display().to_string(),
        "local-cluster[2,1,1200]",
        &["--spark-conf", "spark.ui.enabled=false", "--verbose"],
    );
    store.is_the_same(&ran);
    for mark in ["1", "2", "killed"] {
        assert!(Path::new(&marks).join(mark).exists(), "nothing died: {mark}\n{}", ran.err);
    }
}

/// What the latest-answer rule says of each connection: of the names that its own client was told within the window, the one told
/// last; of several told at once, the smallest.
struct Latest(Vec<String>);

fn csv(text: &[&dyn std::fmt::Display]) -> String {
    text.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Sink for Latest {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        let words = &evidence.vocabulary;
        let told = matches!(named.attributed.grade, Grade::Pod | Grade::PodAmbiguous);
        let candidates = named.attributed.candidates.iter().filter(|_| told);
        let best = candidates
            .map(|name| (std::cmp::Reverse(name.answered_at), words.name_of(name.name)))
            .min()
            .map_or((-1, ""), |(time, name)| (time.0.nanos(), name));
        let ends: [IpAddr; 2] = [words.address_of(named.client_address), words.address_of(named.server_address)];
        self.0.push(csv(&[&words.text_of(named.cluster), &ends[0], &ends[1], &named.first.nanos(), &best.1, &best.0]));
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

#[derive(Default)]
struct Cluster {
    flows: Vec<u8>,
    frames: Vec<u8>,
}

impl egress_atlas::simulate::Sink for Cluster {
    fn flow_line(&mut self, _: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.frames, payload);
    }

    fn truth(&mut self, _: &str, _: Option<&str>) {}

    fn kube(&mut self, _: &[u8]) {}
}

/// Two clusters with the same addresses, names that share addresses, answers far older than the window.
fn shared_addresses(folder: &Path) -> String {
    let store = path(folder, "lake");
    // The made-up flows name their cluster themselves.
    for (cluster, seed) in [("made-eu", 3), ("made-us", 4)] {
        let mut made = Cluster::default();
        dnstap::start(&mut made.frames);
        let scenario = Scenario { shared_edges: 0.5, rotation: 0.5, ..Scenario::easy(seed) };
        generate(&Scenario { connections: 5_000, flows: u64::MAX, ..scenario }, &mut made);
        dnstap::stop(&mut made.frames);
        let [flows, dns] = ["flows.log", "dns.fstrm"].map(|name| path(folder, &format!("{cluster}-{name}")));
        let text = String::from_utf8(made.flows).unwrap();
        assert!(text.contains("made-up"));
        std::fs::write(&flows, text.replace("made-up", cluster)).unwrap();
        std::fs::write(&dns, &made.frames).unwrap();
        let dns = format!("{cluster}={dns}");
        // The query takes a row for one answer.
        let ran = go(&[&words(&["import", "--no-fold", "--store", &store, "--flows", &flows, "--dns", &dns])]);
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
    store
}

/// A window that cuts through the data, in nanoseconds.
const WINDOW: i64 = 120_000_000_000;

fn latest(store: &str) -> Vec<String> {
    let ingest = IngestOptions { threads: 2, limits: FoldLimits::default(), keep_ids: false };
    let read = read_store(Path::new(store), "lake", &ScanOptions::default(), &ingest, &Progress::default()).unwrap();
    let evidence = Evidence::gather(read.folds, &Inventory::default(), "none", 2).unwrap();
    let options = JoinOptions { window_nanos: WINDOW, skew_nanos: 0, later_nanos: 0 };
    let parts = attribute(&evidence, &options, 2, || Latest(Vec::new())).unwrap();
    let mut rows: Vec<String> = parts.into_iter().flat_map(|part| part.0).collect();
    rows.sort();
    rows
}

/// Spark 4.3 over the same store: an answer counts while it is in the window, or its time to live (and half a minute) is not over.
fn asof(store: &str, flows: &str) -> String {
    format!(
        "SELECT concat_ws(',', f.cluster, f.client, f.server, f.ts, coalesce(a.name, ''), coalesce(a.told, -1))\n\
         FROM (SELECT cluster, client, server, CAST(ts AS BIGINT) AS ts FROM csv.`{flows}` AS (cluster, client, server, ts)) f\n\
         LEFT ASOF JOIN (\n\
           SELECT cluster, client, address, CAST(time AS BIGINT) AS told, min(name) AS name\n\
           FROM parquet.`{store}/answers` GROUP BY cluster, client, address, time) a\n\
         MATCH_CONDITION (f.ts >= a.told)\n\
         ON f.cluster = a.cluster AND f.client = a.client AND f.server = a.address;\n"
    )
}

#[test]
fn sparks_own_join_names_what_ours_names() {
    let Some(home) = spark_home() else { return skipped("sparks_own_join_names_what_ours_names") };
    let folder = tempfile::tempdir().unwrap();
    let store = shared_addresses(folder.path());
    let ours = latest(&store);
    let flows = path(folder.path(), "flows.csv");
    let ends: Vec<String> = ours.iter().map(|row| row.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    std::fs::write(&flows, ends.join("\n") + "\n").unwrap();
    let sql = path(folder.path(), "asof.sql");
    std::fs::write(&sql, asof(&store, &flows)).unwrap();
    let output = Command::new(home.join("bin/spark-sql"))
        .args(["--master", "local[2]", "-f", &sql])
        .args(["--conf", "spark.sql.catalogImplementation=in-memory", "--conf", "spark.ui.enabled=false"])
        .args(["--conf", "spark.sql.join.asofJoin.enabled=true", "--conf", "spark.sql.shuffle.partitions=4"])
        .args(["--conf", "spark.sql.legacy.parquet.nanosAsLong=true"])
        .env("SPARK_HOME", &home)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut theirs: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            // The window is ours to apply: Spark's join has none.
            let mut fields: Vec<&str> = line.split(',').collect();
            let [flow, told] = [3, 5].map(|at| fields[at].parse::<i64>().unwrap());
            if told >= 0 && flow - told > WINDOW {
                (fields[4], fields[5]) = ("", "-1");
            }
            fields.join(",")
        })
        .collect();
    theirs.sort();
    let named = ours.iter().filter(|row| !row.ends_with(",,-1")).count();
    let old = ours.len() - named;
    assert!(ours.len() > 5_000 && named > 1_000 && old > 100, "{named} named, {old} not: too few to compare");
    assert_eq!(ours.len(), theirs.len());
    let differing: BTreeMap<_, _> = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).collect();
    assert!(differing.is_empty(), "{} rows differ, the first: {:?}", differing.len(), differing.iter().next());
}
