//! Precision and recall of each detector on generated days whose attacks are labelled.
//!
//! `cargo test --test it detect::evaluation -- --nocapture` prints the table, and how it changes with the main thresholds. The figures are those of
//! the generator; real traffic has habits that nobody thought of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use egress_atlas::catalog::{BEHAVIOUR_CLASSES, THRESHOLDS};
use egress_atlas::summary::Atlas;

use super::capture::judged;
use super::traffic::{Label, day};
use super::week;

const SEEDS: [u64; 2] = [11, 12];

/// What is measured: every detector of behaviour, and the list of resolvers, which finds what `own_resolver` cannot tell from HTTPS.
fn measured() -> impl Iterator<Item = &'static str> {
    BEHAVIOUR_CLASSES.into_iter().chain(["encrypted_dns"])
}

/// Right, false, missed.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Score {
    fn precision(self) -> f64 {
        self.right as f64 / (self.right + self.wrong).max(1) as f64
    }

    fn recall(self) -> f64 {
        self.right as f64 / (self.right + self.missed).max(1) as f64
    }
}

fn score(
    atlas: &Atlas,
    labels: &BTreeSet<Label>,
    (settings, classes): (&str, &[&str]),
    scores: &mut BTreeMap<String, Score>,
    log: &mut String,
) {
    let raised: BTreeSet<(String, String, String)> = (judged(atlas, settings, None).into_iter())
        .filter(|found| classes.contains(&&*found.class))
        .map(|found| (found.class, found.workload, found.subject))
        .collect();
    let wanted: BTreeSet<(String, String, String)> = labels
        .iter()
        .map(|(class, workload, subject)| ((*class).to_owned(), workload.clone(), subject.clone()))
        .collect();
    for key in &raised {
        let score = scores.entry(key.0.clone()).or_default();
        if wanted.contains(key) {
            score.right += 1;
        } else {
            score.wrong += 1;
            writeln!(log, "  false alarm: {key:?}").unwrap();
        }
    }
    for key in wanted.difference(&raised) {
        scores.entry(key.0.clone()).or_default().missed += 1;
        writeln!(log, "  missed: {key:?}").unwrap();
    }
}

fn table(scores: &BTreeMap<String, Score>) -> String {
    let mut out =
        format!("{:<24} {:>6} {:>6} {:>6} {:>10} {:>7}\n", "class", "right", "false", "missed", "precision", "recall");
    for (class, score) in scores {
        let Score { right, wrong, missed } = *score;
        writeln!(
            out,
            "{class:<24} {right:>6} {wrong:>6} {missed:>6} {:>10.3} {:>7.3}",
            score.precision(),
            score.recall()
        )
        .unwrap();
    }
    out
}

/// Labelled traffic, and the classes that it is about.
type Played = (Atlas, BTreeSet<Label>, Vec<&'static str>);

fn days() -> Vec<Played> {
    let of_a_day: Vec<&str> = measured().filter(|class| !week::CLASSES.contains(class)).collect();
    let play = |seed| {
        let day = day(seed);
        assert!(day.workloads > 90);
        (day.capture.atlas(), day.labels, of_a_day.clone())
    };
    let play_week = |seed| {
        let week = week::week(seed);
        (week.capture.atlas(), week.labels, week::CLASSES.to_vec())
    };
    SEEDS.into_iter().map(play).chain(SEEDS.into_iter().map(play_week)).collect()
}

fn run(days: &[Played], settings: &str) -> (BTreeMap<String, Score>, String) {
    let (mut scores, mut log) = (BTreeMap::new(), String::new());
    for (atlas, labels, classes) in days {
        score(atlas, labels, (settings, classes), &mut scores, &mut log);
    }
    (scores, log)
}

/// The documentation holds what is measured here: precision and recall stand in the row of the class.
#[test]
fn measured_as_documented() {
    let (scores, log) = run(&days(), "");
    println!("{}{log}", table(&scores));
    let documented = include_str!("../../../docs/detectors.md");
    // A class that nothing labelled is about would be measured by nobody.
    let unmeasured: Vec<&str> = measured().filter(|class| !scores.contains_key(*class)).collect();
    assert_eq!(unmeasured, [""; 0]);
    for (class, score) in &scores {
        let expected = format!("| {:.2} | {:.2} |", score.precision(), score.recall());
        let row = documented.lines().find(|line| line.starts_with(&format!("| `{class}` |")));
        assert!(row.is_some_and(|row| row.ends_with(&expected)), "{class}: {expected} is not in {row:?}");
    }
}

/// Every threshold is documented with its default.
#[test]
fn thresholds_as_documented() {
    let documented = include_str!("../../../docs/detectors.md");
    for threshold in THRESHOLDS {
        let row =
            format!("| `detect.{}.{}` | {} | {} |", threshold.class, threshold.key, threshold.default, threshold.what);
        assert!(documented.contains(&row), "{row}");
    }
    for class in measured() {
        assert!(documented.contains(&format!("| `{class}` |")), "{class}");
    }
}

/// How precision and recall change with the main thresholds.
#[test]
#[ignore = "prints a table for whoever chooses thresholds"]
fn sweep() {
    let days = days();
    for (class, key, values) in [
        ("beaconing", "score", vec![0.6, 0.7, 0.75, 0.8, 0.85, 0.9]),
        ("beaconing", "connections", vec![6.0, 12.0, 24.0]),
        ("dns_tunnel", "score", vec![0.5, 0.6, 0.7, 0.8, 0.9]),
        ("dns_tunnel", "names", vec![20.0, 50.0, 100.0, 200.0]),
        ("dns_tunnel", "characters", vec![8.0, 12.0, 16.0, 24.0, 32.0]),
        ("generated_name", "score", vec![0.3, 0.4, 0.5, 0.6, 0.7]),
        ("long_connection", "hours", vec![2.0, 3.0, 4.0, 6.5]),
        ("scanning", "addresses", vec![3.0, 10.0, 20.0, 30.0, 50.0]),
        ("denied_burst", "targets", vec![2.0, 3.0, 5.0, 10.0, 20.0]),
        ("rare_destination", "connections", vec![1.0, 3.0, 6.0, 12.0]),
        ("upload", "megabytes", vec![1.0, 5.0, 10.0, 50.0]),
        ("upload", "ratio", vec![2.0, 10.0, 50.0]),
    ] {
        for value in values {
            let (scores, _) = run(&days, &format!("[detect.{class}]\n{key} = {value}\n"));
            let score = scores.get(class).copied().unwrap_or_default();
            println!("{class} {key} {value}: precision {:.2}, recall {:.2}", score.precision(), score.recall());
        }
    }
}
