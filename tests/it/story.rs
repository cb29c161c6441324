//! A rollout over simulated weeks, with the commands that `demo --story` prints; the documents of every step are committed below
//! `docs/story`, and the walk-through `docs/story.md` is made from them.
//!
//! Set `UPDATE_STORY=1` to write both anew after a wanted change, and review the difference.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use egress_atlas::simulate::{STORY_STEPS, StoryStep};

mod walk;

use walk::{KEPT, walk_through};

/// What a command printed, by its title.
type Said = BTreeMap<&'static str, String>;

/// Words of a command line; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let mut words: Vec<String> = Vec::new();
    for (place, part) in parts {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Runs a step in `folder` as a reader would type it.
fn step(folder: &Path, step: &StoryStep) -> String {
    let (line, file) = step.command.split_once(" > ").map_or((step.command, None), |(line, file)| (line, Some(file)));
    let all = words(line);
    assert_eq!(all[0], "egress-atlas");
    let output = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
        .args(&all[1..])
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let status = output.status.code();
    assert_eq!(status, Some(i32::from(step.status)), "{}\n{}\n{said}{complained}", step.title, step.command);
    if let Some(file) = file {
        std::fs::write(folder.join(file), &said).unwrap();
    }
    said
}

fn play(folder: &Path) -> Said {
    let demo = Command::new(env!("CARGO_BIN_EXE_egress-atlas"))
        .args(["demo", "--story", "--out", folder.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(demo.status.success());
    let printed = String::from_utf8(demo.stdout).unwrap();
    let mut said = Said::new();
    for one in STORY_STEPS {
        assert!(printed.contains(one.command), "`demo --story` does not print: {}", one.command);
        said.insert(one.title, step(folder, one));
    }
    said
}

#[test]
fn the_weeks_of_a_rollout_give_the_committed_documents() {
    let folder = tempfile::tempdir().unwrap();
    let said = play(folder.path());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mut expected: BTreeMap<String, String> =
        KEPT.iter().map(|name| (format!("docs/story/{name}"), read(name))).collect();
    expected.insert("docs/story.md".to_owned(), walk_through(&said, &read));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_STORY").is_some() {
        let _ignored = std::fs::remove_dir_all(root.join("docs/story"));
        for (name, text) in &expected {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    for (name, text) in &expected {
        let committed = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        assert!(
            *text == committed,
            "{name} differs from what the story writes; look at it, then UPDATE_STORY=1\n{text}"
        );
    }
    let size: usize = expected.values().map(String::len).sum();
    assert!(size < 300_000, "{size} bytes of committed documents are too many to review");
    the_story_is_what_it_says(&read);
}

/// What must be true of the story, whatever the documents look like.
fn the_story_is_what_it_says(read: &impl Fn(&str) -> String) {
    let holds = |name: &str, parts: &[&str]| {
        let text = read(name).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(text.contains(part), "{name} does not say `{part}`:\n{}", read(name));
        }
    };
    // The baseline knows what it cannot know, and the plan passes it on.
    holds("discovery/orders-staging.md", &["schedule `0 4 10 * *` did not come round. Next run: 2026-03-10 04:00"]);
    holds("plan.md", &["CronJob/settlement: its schedule did not come round; next run 2026-03-10 04:00 UTC"]);
    holds(
        "soak-1.txt",
        &[
            "NOT CLEAN",
            "CronJob/settlement to sftp.nordbank.example.net 22/TCP: 3 connections denied, new, last 2026-03-10 04:0",
            "allow sftp.nordbank.example.net at 22/TCP",
            "proven",
        ],
    );
    assert!(!read("drafts/orders-staging/egress-allowlist.yaml").contains("nordbank"));
    assert!(read("drafts-2/orders-staging/egress-allowlist.yaml").contains("sftp.nordbank.example.net"));
    for clean in ["soak-2.txt", "soak-3.txt", "soak-4.txt"] {
        assert!(read(clean).starts_with("clean: "), "{}", read(clean));
    }
    holds("soak-4.txt", &["CronJob/settlement was not due; its next run is 2026-04-10 04:00:00 UTC"]);
    holds(
        "drift.md",
        &["webhook.site", "every connection was denied", "o450777.ingest.sentry.io", "## Gone", "## Silent"],
    );
    // What came once in nine days is not gone because a week did not have it.
    let drift = read("drift.md");
    let gone = drift.split("## Gone").nth(1).unwrap().split("\n## ").next().unwrap();
    assert!(gone.contains("sentry") && !gone.contains("nordbank"), "{drift}");
    holds("compliance.md", &["not proven", "a denial on ingress: nothing shows that it is enforced"]);
}
