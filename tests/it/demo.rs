//! The demo's documents are committed in `discovery/`; the same data must give the same bytes, whatever the threads.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::run;

fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Set `UPDATE_DISCOVERY=1` to write the documents anew after a wanted change, and review the difference.
#[test]
fn the_demo_writes_the_committed_documents() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["demo", "--out", folder.path().to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let written = files_below(&folder.path().join("discovery"));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery");
    if std::env::var_os("UPDATE_DISCOVERY").is_some() {
        if committed.exists() {
            std::fs::remove_dir_all(&committed).unwrap();
        }
        for (name, bytes) in &written {
            let path = committed.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let expected = files_below(&committed);
    assert_eq!(written.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &written {
        assert!(
            Some(bytes) == expected.get(name),
            "discovery/{name} differs from what the demo writes; look at the difference, then UPDATE_DISCOVERY=1"
        );
    }
}

#[test]
fn the_demo_tells_its_story() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["demo", "--out", folder.path().to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("discovery").join(name)).unwrap();
    assert!(ran.out.contains("documents are in"), "{}", ran.out);
    let all = ["prod-eu", "prod-us"]
        .iter()
        .flat_map(|cluster| {
            ["shop", "payments", "platform"].map(|namespace| read(&format!("{cluster}/{namespace}.md")))
        })
        .collect::<String>();
    for told in [
        "webhook.site",
        "169.254.169.254",
        "ngrok-free.app",
        "registry.npmjs.org",
        "rejected",
        "approved",
        "expired",
        "pod-ambiguous",
        "denied",
    ] {
        assert!(all.contains(told), "the documents never say `{told}`");
    }
    let index = read("index.md");
    assert!(index.contains("prod-eu/shop.md") && index.contains("prod-us/payments.md"));
}

/// What the README prints is what the program prints; `...` stands for lines left out.
#[test]
fn the_readme_shows_what_the_demo_prints() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["demo", "--out", folder.path().to_str().unwrap()]);
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split_once("It prints what needs a look:\n\n```text\n").unwrap().1.split_once("```").unwrap().0;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = ran.out.lines().map(words).collect();
    for line in shown.lines().filter(|line| *line != "...") {
        assert!(printed.contains(&words(line)), "`{line}` is not in\n{}", ran.out);
    }
}
