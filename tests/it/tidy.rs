//! The house rules, checked on the sources themselves.

use std::path::{Path, PathBuf};

/// A module may use only those before it.
const ORDER: [&str; 18] = [
    "error",
    "model",
    "catalog",
    "kube",
    "read",
    "collect",
    "lake",
    "attribute",
    "summary",
    "classify",
    "detect",
    "inquiry",
    "policy",
    "replay",
    "report",
    "simulate",
    "task",
    "cli",
];

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn module(path: &Path) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(source).ok()?.components().next()?.as_os_str().to_str()?.to_owned();
    Some(first.trim_end_matches(".rs").to_owned())
}

#[test]
fn imports_follow_the_data() {
    let rank = |module: &str| ORDER.iter().position(|known| *known == module);
    for path in sources("src") {
        let own = module(&path).unwrap();
        if matches!(own.as_str(), "lib" | "main") {
            continue;
        }
        let own_rank =
            rank(&own).unwrap_or_else(|| panic!("{}: module `{own}` has no place in the order", path.display()));
        let text = std::fs::read_to_string(&path).unwrap();
        // Tests at the end of a file may look anywhere.
        let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if let Some(used_rank) = rank(&used) {
                assert!(used_rank <= own_rank, "{}: `{own}` uses `{used}`, which stands to its right", path.display());
            }
        }
    }
}

#[test]
fn every_file_introduces_itself_and_stays_readable() {
    let mut lengths = Vec::new();
    for path in sources("src") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{}: does not open with a `//!` doc", path.display());
        let lines = text.lines().count();
        assert!(lines <= 800, "{}: {lines} lines; split it", path.display());
        lengths.push(lines);
    }
    let long = lengths.iter().filter(|lines| **lines > 500).count();
    assert!(long * 10 <= lengths.len(), "{long} of {} files have more than 500 lines", lengths.len());
}

#[test]
fn column_names_live_in_one_place() {
    for path in sources("src") {
        if path.ends_with("model/columns.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for name in ["\"answer_age_seconds\"", "\"source_workload\"", "\"peer_namespace\""] {
            // Field names of the JSON document are their own vocabulary.
            let is_json = path.components().any(|part| part.as_os_str() == "json");
            assert!(is_json || !text.contains(name), "{}: column {name} belongs in model/columns.rs", path.display());
        }
    }
}

#[test]
fn nothing_of_any_workplace_is_in_the_sources() {
    for path in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for mark in ["/ro\u{6f}t/", "/w\u{6f}rk/", "shared/\u{73}amples"] {
            assert!(!text.contains(mark), "{}: mentions `{mark}`", path.display());
        }
    }
}

/// What an operator applies is whole: every document parses strictly and says what it is, settings inside are those of the collector, and no image
/// is named by a digest that nothing has.
#[test]
fn manifests_can_be_applied() {
    let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for (manifest, settings) in [("collect/collect.yaml", 2), ("coredns/dnstap-capture.yaml", 0)] {
        let text = std::fs::read_to_string(base.join(manifest)).unwrap();
        let mut found = 0;
        for document in text.split("\n---\n") {
            let object: serde_json::Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}"));
            // A document of comments alone.
            if object.is_null() {
                continue;
            }
            for key in ["/apiVersion", "/kind", "/metadata/name"] {
                assert!(object.pointer(key).is_some_and(serde_json::Value::is_string), "{manifest}: {key}: {document}");
            }
            if let Some(toml) = object.pointer("/data/collect.toml").and_then(serde_json::Value::as_str) {
                egress_atlas::catalog::CollectSettings::parse(toml, "collect.toml").unwrap();
                found += 1;
            }
            for pod in object
                .pointer("/spec/template/spec/containers")
                .and_then(serde_json::Value::as_array)
                .into_iter()
                .flatten()
            {
                let image = pod["image"].as_str().unwrap();
                assert!(!image.contains("sha256:0000") && image.rsplit('/').next().unwrap().contains(':'), "{image}");
                assert_eq!(pod["securityContext"]["readOnlyRootFilesystem"], true, "{manifest}");
            }
        }
        assert_eq!(found, settings, "{manifest}");
    }
}
