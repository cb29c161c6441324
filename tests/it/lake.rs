//! The store: whatever goes in comes out the same, once, and only what is asked for is read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use egress_atlas::simulate::{Scenario, demo};
use proptest::prelude::*;

use crate::recording::generated;
use crate::support::run;

/// All documents below a folder, without what tells the inputs.
fn documents(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            let text = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => {
                    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    json.as_object_mut().unwrap().remove("inputs").expect("the document tells its inputs");
                    serde_json::to_string_pretty(&json).unwrap()
                }
                Some("md") => without_inputs(&String::from_utf8(bytes).unwrap()),
                _ => format!("{bytes:?}"),
            };
            found.insert(name, text);
        }
    }
    found
}

/// What tells the inputs goes from the head of their table to the next heading.
fn without_inputs(text: &str) -> String {
    let mut inside = false;
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| {
            inside = line.starts_with("| Input ") || (inside && !line.starts_with('#'));
            !inside
        })
        .collect();
    kept.join("\n")
}

pub(crate) fn same(one: &Path, other: &Path) {
    let (one, other) = (documents(one), documents(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, text) in &one {
        if *text != other[name] {
            let differing = text
                .lines()
                .zip(other[name].lines())
                .find(|(left, right)| left != right)
                .unwrap_or(("one of them", "is longer"));
            panic!("{name} differs: {differing:?}");
        }
    }
    assert!(one.len() >= 4, "only {:?}", one.keys());
}

/// The demo's files in a folder; its arguments for flows and DNS, and for Kubernetes objects.
pub(crate) fn demo_files(folder: &Path) -> (Vec<String>, Vec<String>) {
    let (mut traffic, mut kube) = (Vec::new(), Vec::new());
    for file in &demo().files {
        let path = folder.join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &file.bytes).unwrap();
        let Some((cluster, rest)) = file.name.split_once('/') else { continue };
        let input = format!("{cluster}={}", path.display());
        if rest.starts_with("kube") {
            kube.extend(["--kube".to_owned(), input]);
        } else {
            traffic.extend([if rest.starts_with("hubble/") { "--flows" } else { "--dns" }.to_owned(), input]);
        }
    }
    (traffic, kube)
}

pub(crate) fn go(parts: &[&[String]]) -> crate::support::Ran {
    let all: Vec<&str> = parts.iter().flat_map(|part| part.iter().map(String::as_str)).collect();
    run(&all)
}

pub(crate) fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn documents_from_the_store_are_those_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (traffic, kube) = demo_files(folder.path());
    let config = words(&["--config", &at("egress-atlas.toml"), "--reviews", &at("reviews.toml")]);
    let files = go(&[&words(&["discover", "--out", &at("files")]), &traffic, &kube, &config]);
    assert_eq!(files.status, 0, "{}", files.err);
    let import = go(&[&words(&["import", "--store", &at("lake")]), &traffic]);
    assert_eq!(import.status, 0, "{}", import.err);
    assert!(import.out.contains(" files imported, 0 continued, 0 known already"), "{}", import.out);
    let store = go(&[&words(&["discover", "--store", &at("lake"), "--out", &at("store")]), &kube, &config]);
    assert_eq!(store.status, 0, "{}", store.err);
    assert!(store.err.contains(" 0 rejected"), "{}", store.err);
    same(&folder.path().join("files"), &folder.path().join("store"));
    let again = go(&[&words(&["import", "--store", &at("lake")]), &traffic]);
    assert!(again.out.starts_with("0 files imported, 0 continued, "), "{}", again.out);
    let twice = go(&[&words(&["discover", "--store", &at("lake"), "--out", &at("twice")]), &kube, &config]);
    assert_eq!(
        twice.err.lines().last().map(|line| line.replace("twice", "store")),
        store.err.lines().last().map(str::to_owned)
    );
    same(&folder.path().join("files"), &folder.path().join("twice"));
}

/// A generated cluster's files: `flows.log`, `dns.fstrm`, `kube.json`.
fn write_cluster(folder: &Path, scenario: &Scenario) {
    let cluster = generated(scenario);
    std::fs::write(folder.join("flows.log"), &cluster.flows).unwrap();
    std::fs::write(folder.join("dns.fstrm"), &cluster.dns).unwrap();
    std::fs::write(folder.join("kube.json"), &cluster.kube).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Any traffic, in any number of parts and with any threads: rows, documents and coverage are the same.
    #[test]
    fn any_command_says_the_same_of_the_store(seed in 0_u64..1_000_000, parts in 1_usize..4, threads in 1_usize..4, hard: bool) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| path(folder.path(), name);
        let scenario = if hard { Scenario::hard(seed) } else { Scenario::easy(seed) };
        write_cluster(folder.path(), &small(&scenario));
        let flows = std::fs::read(folder.path().join("flows.log")).unwrap();
        let lines: Vec<&[u8]> = flows.split_inclusive(|byte| *byte == b'\n').collect();
        for (number, part) in lines.chunks(lines.len().div_ceil(parts)).enumerate() {
            std::fs::write(folder.path().join(format!("part-{number}.log")), part.concat()).unwrap();
        }
        let threads = threads.to_string();
        let import = run(&["import", "--store", &at("lake"), "--flows", &at("part-*.log"), "--dns", &at("dns.fstrm"), "--threads", &threads]);
        prop_assert_eq!(import.status, 0, "{}", import.err);
        for (command, result) in [("attribute", "rows.ndjson"), ("discover", "docs")] {
            let (files, store) = (at(&format!("files-{result}")), at(&format!("store-{result}")));
            let one = run(&[command, "--flows", &at("flows.log"), "--dns", &at("dns.fstrm"), "--kube", &at("kube.json"), "--out", &files]);
            let two = run(&[command, "--store", &at("lake"), "--kube", &at("kube.json"), "--out", &store]);
            prop_assert_eq!(one.status, two.status, "{} {}", one.err, two.err);
            if command == "attribute" {
                prop_assert!(std::fs::read(files).unwrap() == std::fs::read(store).unwrap(), "rows differ");
            } else {
                same(Path::new(&files), Path::new(&store));
            }
        }
    }
}

/// Enough for every kind of row.
fn small(scenario: &Scenario) -> Scenario {
    Scenario { flows: 2_000, ..scenario.clone() }
}

#[test]
fn a_log_that_grows_is_rotated_and_compressed_is_imported_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    write_cluster(folder.path(), &small(&Scenario::easy(7)));
    let flows = std::fs::read(at("flows.log")).unwrap();
    let dns = std::fs::read(at("dns.fstrm")).unwrap();
    let live = at("events.log");
    let capture = at("live.fstrm");
    let import = || run(&["import", "--store", &at("lake"), "--flows", &live, "--dns", &capture, "--verbose"]);
    let mut read = 0;
    for share in [3, 5, 5, 9] {
        // In the middle of a line and of a frame.
        std::fs::write(&live, &flows[..flows.len() * share / 9]).unwrap();
        std::fs::write(&capture, &dns[..dns.len() * share / 9]).unwrap();
        let ran = import();
        assert_ne!(ran.status, 2, "{}", ran.err);
        read += ran.err.matches("from byte").count();
    }
    assert_eq!(read, 4, "both files are continued twice");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&flows).unwrap();
    std::fs::write(at("events-old.log.gz"), encoder.finish().unwrap()).unwrap();
    let ran = run(&["import", "--store", &at("lake"), "--flows", &at("events-old.log.gz")]);
    assert!(ran.out.starts_with("0 files imported, 0 continued, 1 known already"), "{}", ran.out);
    run(&["attribute", "--flows", &at("flows.log"), "--dns", &at("dns.fstrm"), "--out", &at("files.ndjson")]);
    run(&["attribute", "--store", &at("lake"), "--out", &at("store.ndjson")]);
    assert!(std::fs::read(at("files.ndjson")).unwrap() == std::fs::read(at("store.ndjson")).unwrap(), "rows differ");
}

#[test]
fn a_window_opens_only_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let line = |day: u32, hour: u32| {
        format!(
            r#"{{"flow":{{"time":"2026-03-{day:02}T{hour:02}:00:00Z","verdict":"FORWARDED","IP":{{"source":"10.0.0.{hour}","destination":"93.184.216.34","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":443,"flags":{{"SYN":true}}}}}},"source":{{"ID":1,"identity":4000,"namespace":"shop","pod_name":"web-{hour}"}},"destination":{{"identity":2,"labels":["reserved:world"]}},"Type":"L3_L4","node_name":"n1","event_type":{{"type":4,"sub_type":3}},"is_reply":false}},"node_name":"n1","time":"2026-03-{day:02}T{hour:02}:00:00Z"}}"#
        ) + "\n"
    };
    let flows: String = (1..=14).flat_map(|day| (0..24).map(move |hour| line(day, hour))).collect();
    std::fs::write(at("flows.log"), flows).unwrap();
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log")]);
    let asked = ["--since", "2026-03-10T00:00:00Z", "--until", "2026-03-11T00:00:00Z"];
    let store = run(&[&["attribute", "--store", &at("lake"), "--out", &at("store.ndjson")], &asked[..]].concat());
    run(&[&["attribute", "--flows", &at("flows.log"), "--out", &at("files.ndjson")], &asked[..]].concat());
    let rows = std::fs::read_to_string(at("store.ndjson")).unwrap();
    assert_eq!(rows, std::fs::read_to_string(at("files.ndjson")).unwrap());
    assert_eq!(rows.lines().count(), 24);
    // A day before and a day after belong to the join's window; the other eleven days are never opened.
    let files = std::fs::read_dir(folder.path().join("lake/flows/cluster=__HIVE_DEFAULT_PARTITION__")).unwrap();
    assert_eq!(files.count(), 14);
    let not_opened = store.err.split("asked window: ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(not_opened.parse::<u64>().unwrap() > 100, "{}", store.err);
    assert!(store.err.contains("excluded"), "{}", store.err);
}

#[test]
fn what_is_no_store_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["preflight", "--store", folder.path().to_str().unwrap()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("not a store; make one with `egress-atlas import"), "{}", ran.err);
}

#[test]
fn a_broken_file_of_the_store_costs_only_itself_and_the_proof() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    write_cluster(folder.path(), &small(&Scenario::easy(3)));
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log")]);
    let mut waiting = vec![folder.path().join("lake/flows")];
    let mut files = Vec::new();
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 1);
    std::fs::write(&files[0], b"PAR1 no, it is not").unwrap();
    let ran = run(&["attribute", "--store", &at("lake"), "--out", &at("rows.csv")]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(ran.err.contains("1 of its files cannot be read"), "{}", ran.err);
}

/// All Parquet files below a folder.
fn parquet(folder: &Path) -> Vec<std::path::PathBuf> {
    let (mut waiting, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn merged_files_hold_every_row_once_at_any_instant() {
    use std::time::{Duration, SystemTime};

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let lake = folder.path().join("lake");
    write_cluster(folder.path(), &small(&Scenario::easy(21)));
    let flows = std::fs::read(at("flows.log")).unwrap();
    let lines: Vec<&[u8]> = flows.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, part) in lines.chunks(lines.len().div_ceil(12)).enumerate() {
        std::fs::write(at(&format!("part-{number}.log")), part.concat()).unwrap();
    }
    // Somebody else tidies: the import leaves it to that one.
    std::fs::create_dir(&lake).unwrap();
    let lock = std::fs::File::create(lake.join("tidy.lock")).unwrap();
    lock.lock().unwrap();
    run(&["import", "--store", &at("lake"), "--flows", &at("part-*.log"), "--dns", &at("dns.fstrm")]);
    assert_eq!(egress_atlas::lake::compact(&lake, SystemTime::now()).unwrap().merged, 0);
    drop(lock);
    let rows = |name: &str| {
        let ran = run(&["attribute", "--store", &at("lake"), "--out", &at(name)]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        (
            std::fs::read_to_string(at(name)).unwrap(),
            ran.err.lines().find(|line| line.starts_with("records:")).unwrap().to_owned(),
        )
    };
    let before = (parquet(&lake), rows("before.ndjson"));
    let now = SystemTime::now();
    let tidied = egress_atlas::lake::compact(&lake, now).unwrap();
    assert!(tidied.merged > 3 && tidied.replaced >= tidied.merged * 8, "{tidied:?}");
    let after = parquet(&lake);
    assert!(after.len() * 4 < before.0.len(), "{} files, then {}", before.0.len(), after.len());
    assert!(rows("after.ndjson") == before.1);
    // A crash between the merged file and the renaming leaves both: still no row counts twice.
    let set_aside = before.0.iter().find(|file| file.with_extension("replaced").exists()).unwrap();
    std::fs::rename(set_aside.with_extension("replaced"), set_aside).unwrap();
    assert!(rows("crash.ndjson") == before.1);
    let again = egress_atlas::lake::compact(&lake, now + Duration::from_secs(4_000)).unwrap();
    assert_eq!(
        (again.merged, again.removed + 1),
        (0, tidied.replaced),
        "an hour later they are gone, but for the one just found"
    );
    assert!(rows("later.ndjson") == before.1);
    // The imports are known as before.
    let ran = run(&["import", "--store", &at("lake"), "--flows", &at("part-*.log")]);
    assert!(ran.out.starts_with("0 files imported"), "{}", ran.out);
}

#[test]
fn old_days_go_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let lake = folder.path().join("lake");
    write_cluster(folder.path(), &small(&Scenario::easy(4)));
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log"), "--dns", &at("dns.fstrm")]);
    let days: Vec<String> = std::fs::read_dir(lake.join("flows"))
        .unwrap()
        .flat_map(|cluster| std::fs::read_dir(cluster.unwrap().path()).unwrap())
        .map(|day| day.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let first = days.iter().min().unwrap().trim_start_matches("date=").to_owned();
    let time = |text: &str| egress_atlas::model::Timestamp::parse(format!("{text}T12:00:00Z").as_bytes()).unwrap();
    assert_eq!(egress_atlas::lake::retain(&lake, time(&first)).unwrap(), 0);
    let files = parquet(&lake).len() as u64;
    let after = time(&first).plus_nanos(40 * 86_400_000_000_000);
    assert_eq!(egress_atlas::lake::retain(&lake, after).unwrap(), files);
    assert!(!lake.join("flows").exists(), "empty folders go, too");
    // Nothing is left of the imports: they may come again.
    let again = run(&["import", "--store", &at("lake"), "--flows", &at("flows.log"), "--dns", &at("dns.fstrm")]);
    assert!(again.out.starts_with("2 files imported"), "{}{}", again.out, again.err);
    assert_eq!(parquet(&lake).len() as u64, files);
}

/// A flow of that time, as one line.
fn flow_at(time: &str) -> String {
    format!(
        r#"{{"flow":{{"time":"{time}","verdict":"FORWARDED","IP":{{"source":"10.0.0.1","destination":"93.184.216.34","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":443,"flags":{{"SYN":true}}}}}},"source":{{"ID":1,"identity":4000,"namespace":"shop","pod_name":"web-0"}},"destination":{{"identity":2,"labels":["reserved:world"]}},"Type":"L3_L4","node_name":"n1","event_type":{{"type":4,"sub_type":3}},"is_reply":false}},"node_name":"n1","time":"{time}"}}"#
    ) + "\n"
}

#[test]
fn what_a_collector_will_remove_is_told_at_the_import() {
    let old = [flow_at("2026-02-01T10:00:00Z"), flow_at("2026-03-02T10:00:00Z")].concat();
    let folder =
        crate::support::folder(&[("old.log", old.as_bytes()), ("new.log", flow_at("2026-03-02T11:00:00Z").as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let lake = folder.path().join("lake");
    let import = |name: &str| run(&["import", "--store", &at("lake"), "--flows", &at(name)]);
    let warning = "1 of these files have rows from before 2026-02-17, the first: `";
    assert!(!import("new.log").err.contains("warning"));
    egress_atlas::lake::note_retention(&lake, std::time::Duration::from_hours(14 * 24)).unwrap();
    let told = import("old.log");
    assert!(told.status == 0 && told.err.contains(warning), "{}", told.err);
    let time = egress_atlas::model::Timestamp::parse(b"2026-02-17T00:00:00Z").unwrap();
    assert_eq!(egress_atlas::lake::retain(&lake, time).unwrap(), 1);
    // A part of it is still there: it cannot come again, and that is told.
    let told = import("old.log");
    assert!(told.out.contains("1 known already") && told.err.contains(warning), "{}{}", told.out, told.err);
    assert!(!import("new.log").err.contains("warning"));
}

#[test]
fn many_small_files_leave_few_in_the_store() {
    let parts: Vec<(String, Vec<u8>)> = (0..60)
        .map(|second| (format!("part-{second}.log"), flow_at(&format!("2026-03-02T10:00:{second:02}Z")).into_bytes()))
        .collect();
    let files: Vec<(&str, &[u8])> = parts.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let folder = crate::support::folder(&files);
    let at = |name: &str| path(folder.path(), name);
    let ran = run(&["import", "--store", &at("lake"), "--flows", &at("part-*.log")]);
    assert!(ran.out.starts_with("60 files imported"), "{}{}", ran.out, ran.err);
    assert_eq!(parquet(&folder.path().join("lake")).len(), 1);
    run(&["attribute", "--store", &at("lake"), "--out", &at("rows.ndjson")]);
    run(&["attribute", "--flows", &at("part-*.log"), "--out", &at("files.ndjson")]);
    assert_eq!(std::fs::read(at("rows.ndjson")).unwrap(), std::fs::read(at("files.ndjson")).unwrap());
    let again = run(&["import", "--store", &at("lake"), "--flows", &at("part-*.log")]);
    assert!(again.out.contains("60 known already"), "{}", again.out);
}

#[test]
fn an_import_that_was_not_recorded_is_replaced_when_it_is_tried_again() {
    let folder = crate::support::folder(&[
        ("one.log", flow_at("2026-03-02T10:00:00Z").as_bytes()),
        ("two.log", flow_at("2026-03-02T11:00:00Z").as_bytes()),
    ]);
    let at = |name: &str| path(folder.path(), name);
    let lake = folder.path().join("lake");
    run(&["import", "--store", &at("lake"), "--flows", &at("one.log"), "--flows", &at("two.log")]);
    let files = parquet(&lake);
    assert_eq!(files.len(), 2);
    // As a crash between the rows and the record leaves it, with a piece more.
    std::fs::remove_dir_all(lake.join("imports")).unwrap();
    let extra = files[0].to_str().unwrap().replace("-0000.parquet", "-0001.parquet");
    std::fs::copy(&files[0], &extra).unwrap();
    let ran = run(&["import", "--store", &at("lake"), "--flows", &at("one.log"), "--flows", &at("two.log")]);
    assert!(ran.out.starts_with("2 files imported"), "{}", ran.out);
    assert_eq!(parquet(&lake), files);
}

#[test]
fn a_cut_file_is_a_problem_until_the_whole_one_comes() {
    let lines: String = (0..3_000)
        .map(|second| {
            flow_at(&format!("2026-03-02T{:02}:{:02}:{:02}Z", 10 + second / 3_600, second / 60 % 60, second % 60))
        })
        .collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(lines.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let folder = crate::support::folder(&[("cut.log.gz", &whole[..whole.len() / 2]), ("full.log", lines.as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let import = |name: &str| run(&["import", "--store", &at("lake"), "--flows", &at(name)]);
    let read =
        |more: &[&str]| run(&[&["attribute", "--store", &at("lake"), "--out", &at("rows.ndjson")], more].concat());
    assert_eq!(import("cut.log.gz").status, 3);
    let ran = read(&[]);
    assert!(ran.status == 3 && ran.err.contains("1 imported files broke off"), "{}", ran.err);
    // The day after may be in what is missing, a week before is not.
    assert_eq!(read(&["--since", "2026-03-03T08:00:00Z", "--until", "2026-03-03T20:00:00Z"]).status, 3);
    std::fs::write(at("early.log"), flow_at("2026-02-20T10:00:00Z")).unwrap();
    assert_eq!(import("early.log").status, 0);
    let ran = read(&["--since", "2026-02-20T00:00:00Z", "--until", "2026-02-21T00:00:00Z"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let full = import("full.log");
    assert!(full.status == 0 && full.out.contains("1 continued"), "{}{}", full.out, full.err);
    let ran = read(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    run(&["attribute", "--flows", &at("full.log"), "--flows", &at("early.log"), "--out", &at("files.ndjson")]);
    assert_eq!(std::fs::read(at("rows.ndjson")).unwrap(), std::fs::read(at("files.ndjson")).unwrap());
}

#[test]
fn a_content_is_of_one_cluster_and_one_format() {
    let folder = crate::support::folder(&[("flows.log", flow_at("2026-03-02T10:00:00Z").as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let import = |more: &[&str]| run(&[&["import", "--store", &at("lake")], more].concat());
    let flows = at("flows.log");
    assert_eq!(import(&["--flows", &flows, "--cluster", "prdo"]).status, 0);
    let refused = |ran: crate::support::Ran, part: &str| {
        assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(part) && ran.err.contains("import everything into a new store"), "{}", ran.err);
    };
    let part = "`: the store has this content already, of cluster `prdo`, and it is given of cluster `prod` now";
    refused(import(&["--flows", &flows, "--cluster", "prod"]), part);
    assert!(import(&["--flows", &flows, "--cluster", "prdo"]).out.contains("1 known already"));
    assert!(import(&["--flows", &flows]).out.contains("1 known already"));
    refused(import(&["--flows", &format!("calico:{flows}")]), "already, as `hubble`, and it is given as `calico` now");
    // What has grown is its old part and its new part.
    let grown = [flow_at("2026-03-02T10:00:00Z"), flow_at("2026-03-02T10:20:00Z")].concat();
    std::fs::write(&flows, grown).unwrap();
    refused(import(&["--flows", &flows, "--cluster", "prod"]), part);
    assert!(import(&["--flows", &flows, "--cluster", "prdo"]).out.contains("1 continued"));
}

/// A row of the ledger that says that `n1` delivered flows in that minute.
fn delivered(minute: &str) -> egress_atlas::lake::LedgerRow {
    egress_atlas::lake::LedgerRow {
        minute: egress_atlas::model::Timestamp::parse(minute.as_bytes()).unwrap(),
        cluster: String::new(),
        kind: egress_atlas::model::SourceKind::Flows,
        source: "n1".to_owned(),
        origin: "/var/log/hubble/events.log".to_owned(),
        read: 3,
        used: 3,
        rejected: 0,
        excluded: 0,
        lost: 0,
        missing_nanos: 0,
        delay_nanos: None,
    }
}

#[test]
fn when_records_arrived_is_no_coverage() {
    let flows: String = (0..50).map(|minute| flow_at(&format!("2026-01-02T10:{minute:02}:00Z"))).collect();
    let folder = crate::support::folder(&[("flows.log", flows.as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log")]);
    assert_eq!(run(&["discover", "--store", &at("lake"), "--out", &at("before")]).status, 0);
    // The collector read the file today.
    let mut writer = egress_atlas::lake::LakeWriter::new(&folder.path().join("lake"), "wal-1").unwrap();
    writer.add_ledger(&[delivered("2026-03-02T10:00:00Z"), delivered("2026-03-02T10:01:00Z")]).unwrap();
    writer.commit().unwrap();
    assert_eq!(run(&["discover", "--store", &at("lake"), "--out", &at("after")]).status, 0);
    same(Path::new(&at("before")), Path::new(&at("after")));
}

#[test]
fn a_broken_file_of_the_ledger_costs_only_the_proof() {
    let folder = crate::support::folder(&[("flows.log", flow_at("2026-03-02T10:00:00Z").as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    let lake = folder.path().join("lake");
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log")]);
    for (name, minute) in [("wal-1", "2026-03-02T10:00:00Z"), ("wal-2", "2026-03-02T10:01:00Z")] {
        let mut writer = egress_atlas::lake::LakeWriter::new(&lake, name).unwrap();
        writer.add_ledger(&[delivered(minute)]).unwrap();
        writer.commit().unwrap();
    }
    let files = parquet(&lake.join("ledger"));
    std::fs::write(&files[0], b"PAR1 no, it is not").unwrap();
    let ran = run(&["attribute", "--store", &at("lake"), "--out", &at("rows.ndjson")]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(ran.err.contains("1 of its files cannot be read") && ran.err.contains("wal-1"), "{}", ran.err);
    let options = egress_atlas::lake::ScanOptions::default();
    let ledger = egress_atlas::lake::read_ledger(&lake, &options).unwrap();
    assert_eq!((ledger.rows.len(), ledger.broken.len()), (1, 1));
}

#[test]
fn a_file_that_retention_took_since_the_listing_is_gone_and_a_merged_one_is_missed() {
    use egress_atlas::lake::{Reader, ScanOptions, scan};
    let flows = [flow_at("2026-03-01T10:00:00Z"), flow_at("2026-03-02T10:00:00Z")].concat();
    let folder = crate::support::folder(&[("flows.log", flows.as_bytes())]);
    let at = |name: &str| path(folder.path(), name);
    run(&["import", "--store", &at("lake"), "--flows", &at("flows.log")]);
    let options = ScanOptions::default();
    let plan = scan(&folder.path().join("lake"), &options).unwrap();
    let read = |number: usize| {
        let (mut vocabulary, mut batch) = Default::default();
        Reader::default().read(&plan.pieces[number], &options, &mut vocabulary, &mut batch)
    };
    for (number, is_merged) in [(0, false), (1, true)] {
        let file = &plan.pieces[number].path;
        assert!(read(number).is_ok());
        if is_merged {
            std::fs::rename(file, file.with_file_name("merged-1.parquet")).unwrap();
        } else {
            std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
        }
        assert_eq!(read(number).unwrap_err().is_gone(), !is_merged);
    }
}
