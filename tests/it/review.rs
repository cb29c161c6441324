//! `review`: what is open, and decisions that keep the file of the people who wrote it.

use std::path::Path;

use crate::support::{folder, run};

/// The demo's folder; its baseline is in `discovery`, its decisions in `data/reviews.toml`.
fn demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["demo", "--out", folder.path().to_str().unwrap()]).status, 0);
    folder
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_list_shows_what_is_open_first() {
    let folder = demo();
    let (baseline, reviews) = (text(&folder.path().join("discovery")), text(&folder.path().join("data/reviews.toml")));
    let ran = run(&["review", "list", "--baseline", &baseline, "--reviews", &reviews]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.out, @r#"
STATE     DESTINATION              WHERE         OWNER         EXPIRES     SUSPECT       IN USE BY
pending   169.254.169.254          prod-us:shop  -             -           high cloud_   cart
                                                                           metadata +1
pending   pastebin.com             prod-eu:      -             -           high paste    build-
                                   platform                                              runner
pending   pastebin.com             prod-us:      -             -           high paste    build-
                                   platform                                              runner
pending   stock-cam.ddns.net       prod-eu:shop  -             -           high          search
                                                                           beaconing +1
pending   8.8.8.8                  prod-eu:      -             -           medium own_   build-
                                   platform                                resolver +1   runner
pending   8.8.8.8                  prod-us:      -             -           medium own_   build-
                                   platform                                resolver +1   runner
pending   44.208.254.194           prod-eu:(no   -             -           low ip_only   node
                                   namespace)
pending   44.208.254.194           prod-us:(no   -             -           low ip_only   node
                                   namespace)
pending   93.184.216.77            prod-eu:shop  -             -           low ip_only   search
pending   93.184.216.77            prod-us:shop  -             -           low ip_only   search
expired   a1b2c3d4.ngrok-free.app  platform      team-..tform  2026-02-14  high tunnel   build-
                                                                                         runner
rejected  webhook.site             payments      team-..ments  2026-03-26  high          settlement-
                                                                           webhook_      worker
                                                                           receiver
approved  169.254.169.254          platform      team-..tform  2026-08-20  high cloud_   telemetry-
                                                                           metadata      agent

13 destinations: 10 pending, 1 expired, 1 rejected (1 still in use), 1 approved, as of 2026-03-03.
"#);
    let ran = run(&["review", "list", "--reviews", &reviews, "--format", "csv"]);
    assert!(
        ran.out.starts_with("state,destination,cluster,namespace,owner,expires,severity,class,in_use,reason\n"),
        "{}",
        ran.out
    );
    let ran = run(&["review", "list", "--baseline", &baseline, "--reviews", &reviews, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["schema"], "egress-atlas-reviews/1");
    assert!(
        json["reviews"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["state"] == "rejected" && row["in_use"][0].is_string())
    );
    assert!(run(&["review", "list", "--baseline", &baseline, "--format", "markdown"]).out.starts_with("| State"));
}

#[test]
fn a_decision_is_written_and_obeyed() {
    let folder = demo();
    let (baseline, reviews) = (text(&folder.path().join("discovery")), text(&folder.path().join("data/reviews.toml")));
    let decide = |arguments: &[&str]| {
        let fixed =
            ["--owner", "team-shop", "--reason", "camera at the dock", "--baseline", &baseline, "--reviews", &reviews];
        run(&[&["review"], arguments, &fixed].concat())
    };
    let high = decide(&["approve", "stock-cam.ddns.net"]);
    assert_eq!(high.status, 2);
    assert!(high.err.contains("needs --namespace"), "{}", high.err);
    let before = std::fs::read_to_string(&reviews).unwrap();
    let approved = decide(&["approve", "stock-cam.ddns.net", "--namespace", "shop"]);
    assert_eq!(approved.status, 0, "{}", approved.err);
    insta::assert_snapshot!(approved.out.replace(&reviews, "reviews.toml"), @r#"
approved: stock-cam.ddns.net for namespace shop, holds until 2026-04-02 → reviews.toml
"#);
    assert!(approved.err.contains("in use by prod-eu:shop/Deployment/search"), "{}", approved.err);
    let after = std::fs::read_to_string(&reviews).unwrap();
    assert!(after.starts_with(&before) && after.contains("expires = \"2026-04-02\""), "{after}");
    let list = run(&["review", "list", "--baseline", &baseline, "--reviews", &reviews]).out;
    assert!(list.lines().any(|line| line.starts_with("approved  stock-cam.ddns.net")), "{list}");

    let unknown = decide(&["reject", "webhok.site"]);
    assert_eq!(unknown.status, 0);
    assert!(unknown.err.contains("did you mean `webhook.site`?"), "{}", unknown.err);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let folder = folder(&[("reviews.toml", b"# ours\n")]);
    let file = text(&folder.path().join("reviews.toml"));
    let check = |arguments: &[&str], expected: &str| {
        let fixed = ["--reviews", &file];
        let ran = run(&[&["review", "approve"], arguments, &fixed].concat());
        assert_eq!(ran.status, 2, "{arguments:?}");
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
        assert_eq!(std::fs::read(&file).unwrap(), b"# ours\n");
    };
    let good = ["--owner", "me", "--reason", "because"];
    check(&[&["https://a.example/"][..], &good].concat(), "neither a name nor an address");
    check(&[&["*.github.io"][..], &good].concat(), "Public Suffix List");
    check(
        &[&["a.example", "--expires", "2026-03-02"][..], &good].concat(),
        "--expires 2026-03-02 is over: today is 2026-03-03",
    );
    check(&[&["a.example", "--expires", "soon"][..], &good].concat(), "write a day as `YYYY-MM-DD`");
    check(&["a.example", "--owner", " ", "--reason", "b"], "--owner is empty");
    check(&[&["a.example", "--baseline", &file][..], &good].concat(), "not an atlas.json");
}

#[test]
fn an_approval_for_a_namespace_that_is_not_there_is_noticed() {
    let folder = demo();
    let (baseline, file) = (text(&folder.path().join("discovery")), text(&folder.path().join("own.toml")));
    let said = |namespace: &str| {
        let ran = run(&[
            "review",
            "approve",
            "pastebin.com",
            "--namespace",
            namespace,
            "--owner",
            "o",
            "--reason",
            "r",
            "--baseline",
            &baseline,
            "--reviews",
            &file,
        ]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.err
    };
    let wrong = said("platfrom");
    assert!(wrong.contains("the baseline has no namespace `platfrom`; did you mean `platform`?"), "{wrong}");
    assert!(wrong.contains("elsewhere it is in use by prod-eu:platform/"), "{wrong}");
    assert!(!wrong.contains("did you mean `pastebin.com`"), "{wrong}");
    let other = said("shop");
    assert!(other.contains("nothing in the baseline talks to `pastebin.com` there; elsewhere"), "{other}");
    assert!(!other.contains("no namespace"), "{other}");
    assert!(!said("platform").contains("warning"));
}

/// What an owner rejected is decided, and so not open; it is in use all the same, and the gate says so until it is gone. All places agree.
#[test]
fn a_rejected_suspect_is_not_open_and_fails_the_gate() {
    let folder = demo();
    let at = |name: &str| text(&folder.path().join(name));
    let listed = run(&[
        "review",
        "list",
        "--baseline",
        &at("discovery"),
        "--format",
        "json",
        "--reviews",
        &at("data/reviews.toml"),
    ]);
    let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    let rows = listed["reviews"].as_array().unwrap();
    let destinations: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row["destination"].as_str().unwrap()).collect();
    assert!(destinations.contains("webhook.site") && destinations.len() > 5, "{destinations:?}");
    let discover = |decision: &str| {
        let review = |destination: &&str| {
            let decision = if *destination == "webhook.site" { decision } else { "approved" };
            format!(
                "[[review]]\ndestination = \"{destination}\"\nnamespace = \"*\"\nowner = \"a\"\nreason = \"b\"\ndecision = \"{decision}\"\n"
            )
        };
        std::fs::write(at("all.toml"), destinations.iter().map(review).collect::<String>()).unwrap();
        let mut words =
            vec!["discover".to_owned(), "--out".to_owned(), at("again"), "--format".to_owned(), "json".to_owned()];
        for cluster in ["prod-eu", "prod-us"] {
            for (flag, rest) in [("--flows", "hubble"), ("--dns", "dns/coredns.fstrm"), ("--kube", "kube.json")] {
                words.extend([flag.to_owned(), format!("{cluster}={}", at(&format!("data/{cluster}/{rest}")))]);
            }
        }
        for (flag, value) in
            [("--config", at("data/egress-atlas.toml")), ("--reviews", at("all.toml")), ("--fail-on", "low".to_owned())]
        {
            words.extend([flag.to_owned(), value]);
        }
        let ran = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let sum = |key: &str| -> u64 {
            summary["namespaces"].as_array().unwrap().iter().map(|row| row[key].as_u64().unwrap()).sum()
        };
        let index = std::fs::read_to_string(at("again/index.md")).unwrap();
        let payments = index.lines().find(|line| line.contains("prod-eu/payments.md")).unwrap().to_owned();
        (ran.status, sum("open_suspects"), sum("rejected_in_use"), payments)
    };
    let (status, open, rejected, row) = discover("rejected");
    assert_eq!((status, open, rejected), (1, 0, 1), "{row}");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[5..7], ["0", "1"], "{row}");
    let document = std::fs::read_to_string(folder.path().join("again/prod-eu/payments.md")).unwrap();
    assert!(document.contains("1 rejected suspect still in use") && !document.contains("open suspect"), "{document}");
    let (status, open, rejected, _) = discover("approved");
    assert_eq!((status, open, rejected), (0, 0, 0));
}
