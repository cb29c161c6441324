//! What a terminal of 80 columns shows: every line fits, and nothing that differs looks alike.

use std::collections::BTreeSet;

use crate::support::{Ran, run, run_in};

/// Columns of the narrow terminal.
const NARROW: u16 = 80;

struct Demo(tempfile::TempDir);

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(&["demo", "--out", folder.path().to_str().unwrap()]).status, 0);
        Self(folder)
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Runs a command; `@name` is a path in the demo's folder, `TRAFFIC` the inputs of both clusters.
    fn narrow(&self, line: &str) -> Ran {
        let mut words = Vec::new();
        for word in line.split(' ') {
            match (word, word.split_once('@')) {
                ("TRAFFIC", _) => {
                    for cluster in ["prod-eu", "prod-us"] {
                        for (flag, rest) in
                            [("--flows", "hubble"), ("--dns", "dns/coredns.fstrm"), ("--kube", "kube.json")]
                        {
                            words.extend([
                                flag.to_owned(),
                                format!("{cluster}={}", self.at(&format!("data/{cluster}/{rest}"))),
                            ]);
                        }
                    }
                    words.extend(["--config".to_owned(), self.at("data/egress-atlas.toml")]);
                }
                (_, Some((head, name))) => words.push(format!("{head}{}", self.at(name))),
                _ => words.push(word.to_owned()),
            }
        }
        run_in(NARROW, &words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn every_line_fits_eighty_columns() {
    let demo = Demo::new();
    for line in [
        "discover --out @again TRAFFIC --reviews @data/reviews.toml",
        "preflight TRAFFIC",
        "draft --baseline @discovery --dialect cilium --out @drafts",
        "replay --policies prod-eu=@drafts/prod-eu --policies prod-us=@drafts/prod-us --profile cilium TRAFFIC",
        "soak --policies prod-eu=@drafts/prod-eu --profile cilium --since 2026-03-02T12:00:00Z --for 11h TRAFFIC",
        "drift --baseline @discovery TRAFFIC --since 2026-03-02T12:00:00Z",
        "investigate payments TRAFFIC --reviews @data/reviews.toml",
        "investigate webhook.site TRAFFIC --policies prod-eu=@drafts/prod-eu --profile cilium",
        "review list --baseline @discovery --reviews @data/reviews.toml",
    ] {
        let ran = demo.narrow(line);
        assert_ne!(ran.status, 2, "{line}: {}", ran.err);
        let wide: Vec<&str> = ran.out.lines().filter(|text| text.chars().count() > usize::from(NARROW)).collect();
        assert!(ran.out.lines().count() > 2 && wide.is_empty(), "{line}: {wide:#?}\n{}", ran.out);
    }
    // A path is not cut: it stands on a line of its own.
    let ran = demo.narrow("audit --policies prod-eu=@drafts/prod-eu --profile cilium");
    let wide = |text: &&str| text.chars().count() > usize::from(NARROW) && !text.trim().contains(".yaml:");
    assert!(ran.out.contains("every-pod") && !ran.out.lines().any(|text| wide(&text)), "{}", ran.out);
}

#[test]
fn two_clusters_never_look_alike() {
    let ran = Demo::new().narrow("review list --baseline @discovery --reviews @data/reviews.toml");
    // Rows may go over several lines; each begins with its state.
    let rows: Vec<String> = ran.out.lines().fold(Vec::new(), |mut rows, line| {
        match rows.last_mut() {
            Some(last) if line.starts_with(' ') => *last = format!("{last}\n{line}"),
            _ => rows.push(line.to_owned()),
        }
        rows
    });
    let distinct: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(distinct.len(), rows.len(), "{}", ran.out);
    let pastes = rows.iter().filter(|row| row.contains("paste")).count();
    assert_eq!(pastes, 2, "{}", ran.out);
}

#[test]
fn preflight_has_every_form() {
    let demo = Demo::new();
    let json: serde_json::Value = serde_json::from_str(&demo.narrow("preflight TRAFFIC --format json").out).unwrap();
    let all = |key: &str| -> usize {
        json["clusters"].as_array().unwrap().iter().map(|cluster| cluster[key].as_array().unwrap().len()).sum()
    };
    let csv = demo.narrow("preflight TRAFFIC --format csv");
    assert_eq!(csv.status, demo.narrow("preflight TRAFFIC").status);
    let head = "kind,cluster,name,outcome,detail,records,first,last,covered_percent,gaps,lost";
    assert_eq!(csv.out.lines().next(), Some(head));
    for (kind, number) in
        [("check", all("checks")), ("source", all("sources")), ("input", json["inputs"].as_array().unwrap().len())]
    {
        let rows = csv.out.lines().filter(|line| line.starts_with(&format!("{kind},"))).count();
        assert_eq!(rows, number, "{kind}: {}", csv.out);
    }
    assert!(csv.out.contains("check,prod-eu,losses,limits,"), "{}", csv.out);
    let markdown = demo.narrow("preflight TRAFFIC --format markdown").out;
    assert!(markdown.starts_with("# Pre-flight\n") && markdown.contains("## Cluster `prod-us`\n"), "{markdown}");
    assert_eq!(
        markdown.lines().filter(|line| line.starts_with("| limits")).count(),
        csv.out.matches(",limits,").count()
    );
}
