//! `read = used + rejected + excluded` over every fixture, and the columns of `attribute`.

use crate::support::{fixture, run};

fn fixtures(folder: &str) -> Vec<String> {
    let mut waiting = vec![std::path::PathBuf::from(fixture(folder))];
    let mut found = Vec::new();
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => waiting.push(path),
                Some("ndjson" | "fstrm" | "dnstap" | "zst" | "log" | "csv" | "json" | "sse" | "ipfix") => {
                    found.push(path.display().to_string());
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_record_of_every_fixture_is_accounted_for() {
    let out = tempfile::tempdir().unwrap();
    let table = out.path().join("rows.ndjson").display().to_string();
    let mut checked = 0;
    for (flag, path) in fixtures("hubble")
        .into_iter()
        .chain(fixtures("calico"))
        .chain(fixtures("antrea"))
        .map(|path| ("--flows", path))
        .chain(fixtures("dnstap").into_iter().map(|path| ("--dns", path)))
    {
        if path.contains("fstrm-test") {
            continue;
        }
        let ran = run(&["attribute", flag, &path, "--out", &table, "--verbose"]);
        if ran.status == 2 {
            // Nothing usable in it, and the reason is told.
            assert!(ran.err.contains("no usable record"), "{path}: {}", ran.err);
            continue;
        }
        let line =
            ran.err.lines().find(|line| line.starts_with("records: ")).unwrap_or_else(|| panic!("{path}: {}", ran.err));
        let numbers: Vec<u64> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
        let [read, used, rejected, excluded] = numbers[..] else { panic!("{line}") };
        assert_eq!(read, used + rejected + excluded, "{path}");
        assert!(read > 0, "{path}");
        checked += 1;
    }
    assert!(checked > 50, "only {checked} fixtures");
}

#[test]
fn the_columns_of_attribute_are_the_contract() {
    let out = tempfile::tempdir().unwrap();
    let table = out.path().join("rows.csv").display().to_string();
    let ran = run(&["attribute", "--flows", &fixture("hubble"), "--out", &table]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&table).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        "flow_id,time,cluster,source_namespace,source_pod,source_workload,source_ip,destination_ip,destination_port,protocol,verdict,name,candidates,evidence,answered_at,answer_age_seconds,confidence"
    );
    let parquet = out.path().join("rows.parquet").display().to_string();
    assert_eq!(run(&["attribute", "--flows", &fixture("hubble"), "--out", &parquet]).status, 0);
    let bytes = std::fs::read(&parquet).unwrap();
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
}
