//! Stores in buckets: whatever a command says of a folder it says of a bucket, and it fetches no more than it needs.

use std::path::Path;
use std::process::{Command, Output};

use crate::lake::{demo_files, path};
use crate::slices::{assert_same, bytes};
use crate::support::run;

mod moto;
mod server;
mod shipping;

use server::{Fault, Server};

/// What a command said, with the folder that it ran in.
pub(crate) fn ran(command: &mut Command, folder: &Path, arguments: &[&str]) -> Output {
    std::fs::create_dir_all(folder).unwrap();
    command.current_dir(folder).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command on the local store and on the same in a bucket: the same status, the same words, the same files.
fn says_the_same(server: &Server, folder: &Path, lake: &str, name: &str, arguments: &[&str]) {
    let [here, there] = ["here", "there"].map(|place| folder.join(place).join(name));
    let url = format!("s3://{}/team/lake", server::BUCKET);
    let one = ran(&mut server.command(), &here, &[arguments, &["--store", lake]].concat());
    let two = ran(&mut server.command(), &there, &[arguments, &["--store", &url]].concat());
    assert_eq!(one.status.code(), two.status.code(), "{name}: {}{}", text(&one.stderr), text(&two.stderr));
    assert!(one.status.code() != Some(2), "{name}: {}", text(&one.stderr));
    assert_eq!(text(&one.stdout), text(&two.stdout), "{name}");
    assert_eq!(text(&one.stderr), text(&two.stderr), "{name}");
    assert!(bytes(&here) == bytes(&there), "{name}: files differ");
}

#[test]
fn every_command_says_of_a_bucket_what_it_says_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (traffic, kube) = demo_files(folder.path());
    let traffic: Vec<&str> = traffic.iter().map(String::as_str).collect();
    let kube: Vec<&str> = kube.iter().map(String::as_str).collect();
    let lake = at("lake");
    assert_eq!(run(&[&["import", "--store", &lake], traffic.as_slice()].concat()).status, 0);
    let server = Server::start();
    server.put_folder(Path::new(&lake), "team/lake");
    server.put("team/lake-2/flows/cluster=x/date=2026-03-02/bucket=01/import-y.parquet", b"of another store");
    server.pages_of(7);
    let check = |name: &str, arguments: &[&str]| says_the_same(&server, folder.path(), &lake, name, arguments);
    let (config, reviews) = (at("egress-atlas.toml"), at("reviews.toml"));
    let settings = ["--config", &config, "--reviews", &reviews];
    check("discover", &[&["discover", "--out", "out"], kube.as_slice(), &settings].concat());
    let window = ["--since", "2026-03-02T08:00:00Z", "--until", "2026-03-02T09:30:00Z"];
    check("window", &[&["discover", "--out", "out", "--config", &config], kube.as_slice(), &window].concat());
    check("preflight", &[&["preflight", "--config", &config], window.as_slice()].concat());
    check("attribute", &["attribute", "--out", "rows.ndjson"]);
    check("plan", &["-v", "attribute", "--out", "rows.parquet", "--since", "2026-03-02T00:00:00Z"]);
    let asked = server.asked();
    assert!(asked.iter().all(|asked| ["GET", "HEAD"].contains(&asked.method.as_str())), "a reader only reads");
    assert!(asked.iter().all(|asked| asked.status < 300 && !asked.key.starts_with("team/lake-2")), "{asked:?}");
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.file_name()?.to_str()?.starts_with("egress-atlas-bucket-").then_some(path)
    });
    // Other tests may be at work: their folders are locked.
    for folder in left {
        if let Ok(lock) = std::fs::File::options().write(true).open(folder.join("in-use")) {
            assert!(lock.try_lock().is_err(), "{} is left", folder.display());
        }
    }
}

/// A flow of one client, as one line.
fn line(cluster: &str, second: u32, number: u32) -> String {
    let time = format!("2026-03-02T{:02}:{:02}:{:02}.{number:03}Z", second / 3_600, second / 60 % 60, second % 60);
    let port = 1_024 + (second * 7 + number) % 60_000;
    format!(
        r#"{{"flow":{{"time":"{time}","uuid":"{cluster}-{second}-{number}","verdict":"FORWARDED","IP":{{"source":"10.0.0.1","destination":"93.184.216.{}","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{port},"destination_port":443,"flags":{{"SYN":true}}}}}},"source":{{"ID":1,"identity":4000,"cluster_name":"{cluster}","namespace":"shop","pod_name":"web-0"}},"destination":{{"identity":2,"labels":["reserved:world"]}},"Type":"L3_L4","node_name":"{cluster}/n1","event_type":{{"type":4,"sub_type":3}},"is_reply":false}},"node_name":"{cluster}/n1","time":"{time}"}}"#,
        second % 250
    ) + "\n"
}

#[test]
fn a_window_fetches_only_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    // One bucket of one day with three row groups; another cluster; another day.
    let busy: String = (0..86_400).map(|second| line("eu", second, 0)).collect();
    let other: String = (0..100).map(|second| line("us", second, 0)).collect();
    let later: String = (0..100).map(|second| line("eu", second, 1).replace("2026-03-02", "2026-03-09")).collect();
    std::fs::write(at("busy.log"), busy).unwrap();
    std::fs::write(at("other.log"), other + &later).unwrap();
    let lake = at("lake");
    let imported = run(&["import", "--store", &lake, "--flows", &at("busy.log"), "--flows", &at("other.log")]);
    assert_eq!(imported.status, 0, "{}", imported.err);
    let server = Server::start();
    server.put_folder(Path::new(&lake), "team/lake");
    std::fs::write(at("c.toml"), "[join]\nwindow = \"1h\"\n").unwrap();
    let config = at("c.toml");
    let hour = ["--since", "2026-03-02T10:00:00Z", "--until", "2026-03-02T11:00:00Z", "--config", &config];
    says_the_same(
        &server,
        folder.path(),
        &lake,
        "hour",
        &[&["attribute", "--out", "rows.ndjson"], hour.as_slice()].concat(),
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("there/hour/rows.ndjson")).unwrap().lines().count(), 3_600);
    let asked = server.asked();
    let of_parquet = |asked: Vec<server::Asked>| -> Vec<server::Asked> {
        asked.into_iter().filter(|asked| asked.key.ends_with(".parquet")).collect()
    };
    let day = of_parquet(asked);
    assert!(day.iter().all(|asked| asked.key.contains("/date=2026-03-02/")), "{day:?}");
    // Of one cluster its folders only: the footer, and one row group of three.
    let of_one = [&["investigate", "93.184.216.10", "--in-cluster", "eu"], hour.as_slice()].concat();
    says_the_same(&server, folder.path(), &lake, "cluster", &of_one);
    let fetched = of_parquet(server.asked());
    assert!(fetched.iter().all(|asked| asked.key.contains("flows/cluster=eu/date=2026-03-02")), "{fetched:?}");
    let whole = server.content(&fetched[0].key).len() as u64;
    let ranges: Vec<(u64, u64)> = fetched.iter().map(|asked| asked.range.expect("a range")).collect();
    let bytes: u64 = ranges.iter().map(|(from, to)| to - from + 1).sum();
    assert_eq!(fetched.len(), 2, "{fetched:?}");
    assert!(bytes < whole * 7 / 10, "{bytes} of {whole}");
    // The same question in slices: each fetches its own rows and no others.
    let (manifest, url) = (at("manifest"), format!("s3://{}/team/lake", server::BUCKET));
    let plan = ["task", "plan", "--slice-rows", "30000", "--out", &manifest, "--store", &url, "--config", &config];
    let planned = ran(&mut server.command(), folder.path(), &plan);
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    let asked = server.asked();
    let rows = |asked: &[server::Asked]| -> u64 {
        let big = asked.iter().filter(|asked| asked.key.contains("date=2026-03-02/") && asked.key.contains("=eu/"));
        big.filter_map(|asked| asked.range).map(|(from, to)| to - from + 1).sum()
    };
    assert!(rows(&asked) < whole / 4, "a plan reads footers: {} of {whole}", rows(&asked));
    let partials = format!("s3://{}/team/partials", server::BUCKET);
    let slices = std::fs::read_to_string(&manifest).unwrap().lines().count() - 1;
    assert!(slices >= 4, "{slices}");
    for slice in 0..slices {
        let slice = slice.to_string();
        let one = ran(
            &mut server.command(),
            folder.path(),
            &["task", "run", "--manifest", &manifest, "--slice", &slice, "--out", &partials],
        );
        assert!(one.status.success(), "{}", text(&one.stderr));
        assert!(rows(&server.asked()) < whole * 7 / 10, "slice {slice}");
    }
    let merge = ["task", "merge", "--manifest", &manifest, "--partials", &partials, "--config", &config];
    let merged = ran(&mut server.command(), folder.path(), &[merge.as_slice(), &["--out", "merged"]].concat());
    let direct = ran(
        &mut server.command(),
        folder.path(),
        &["discover", "--store", &lake, "--config", &config, "--out", "direct"],
    );
    assert_eq!(merged.status.code(), direct.status.code(), "{}{}", text(&merged.stderr), text(&direct.stderr));
    assert_same(&folder.path().join("merged"), &folder.path().join("direct"), "slices of a bucket");
}

#[test]
fn an_import_into_a_bucket_is_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let lines: Vec<String> = (0..900).map(|second| line("eu", second, 0)).collect();
    std::fs::write(at("a.log"), lines[..500].concat()).unwrap();
    let server = Server::start();
    let url = format!("s3://{}/team/lake", server::BUCKET);
    let go = |arguments: &[&str]| {
        let ran = ran(&mut server.command(), folder.path(), arguments);
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    let import = |file: &str| go(&["import", "--store", &url, "--flows", file]);
    let rows = || {
        let (status, _, told) = go(&["attribute", "--store", &url, "--out", "there.ndjson"]);
        assert_eq!(status, Some(0), "{told}");
        std::fs::read_to_string(at("there.ndjson")).unwrap()
    };
    let expected = |file: &str| {
        run(&["attribute", "--flows", &at(file), "--out", &at("here.ndjson")]);
        std::fs::read_to_string(at("here.ndjson")).unwrap()
    };
    // Begun and not finished: rows are there, and no record of them.
    server.fail(&[Fault::Status(500); 3]);
    let (status, out, told) = import("a.log");
    assert_eq!(status, Some(0), "what passes is tried again: {told}");
    assert_eq!(out, format!("1 files imported, 0 continued, 0 known already → {url}\n"));
    let records: Vec<String> = server.keys().into_iter().filter(|key| key.contains("/imports/")).collect();
    assert_eq!(records.len(), 1);
    server.remove(&records[0]);
    let orphan = server.keys().into_iter().find(|key| key.ends_with("-0000.parquet")).unwrap();
    let content = server.content(&orphan);
    server.put(&orphan.replace("-0000.parquet", "-0007.parquet"), &content);
    let (_, out, told) = import("a.log");
    assert!(out.starts_with("1 files imported"), "{out}{told}");
    assert_eq!(rows(), expected("a.log"));
    // Grown since, then known.
    std::fs::write(at("a.log"), lines.concat()).unwrap();
    assert!(import("a.log").1.starts_with("0 files imported, 1 continued"));
    assert!(import("a.log").1.starts_with("0 files imported, 0 continued, 1 known"));
    assert_eq!(rows(), expected("a.log"));
    assert_eq!(rows().lines().count(), 900);
}

/// Files `first` and on, of a minute each.
fn minutes(folder: &Path, first: u32, count: u32) -> Vec<String> {
    let write = |number: u32| {
        let name = format!("minute-{number}.log");
        let lines: String = (0..60).map(|second| line("eu", number * 60 + second, 0)).collect();
        std::fs::write(folder.join(&name), lines).unwrap();
        ["--flows".to_owned(), name]
    };
    (first..first + count).flat_map(write).collect()
}

#[test]
fn objects_of_imports_are_merged_one_import_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let url = format!("s3://{}/lake", server::BUCKET);
    let import = |files: &[String]| {
        let mut command = server.command();
        let ran = ran(command.args(["-v", "import", "--store", &url]).args(files), folder.path(), &[]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        (text(&ran.stdout), text(&ran.stderr))
    };
    let count = |part: &str| server.keys().iter().filter(|key| key.contains(part)).count();
    let rows = || {
        let ran = ran(&mut server.command(), folder.path(), &["attribute", "--store", &url, "--out", "there.ndjson"]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        std::fs::read_to_string(folder.path().join("there.ndjson")).unwrap()
    };
    let expected = |minutes: u32| {
        let lines: String = (0..minutes * 60).map(|second| line("eu", second, 0)).collect();
        std::fs::write(folder.path().join("all.log"), lines).unwrap();
        let (all, here) = (path(folder.path(), "all.log"), path(folder.path(), "here.ndjson"));
        assert_eq!(run(&["attribute", "--flows", &all, "--out", &here]).status, 0);
        std::fs::read_to_string(here).unwrap()
    };
    // Two of a day that is over are not worth it; with three more they are.
    import(&minutes(folder.path(), 0, 2));
    assert_eq!((count("/import-"), count("/merged-")), (2, 0));
    let contents: Vec<(String, Vec<u8>)> = (server.keys().into_iter().filter(|key| key.contains("/import-")))
        .map(|key| (key.clone(), server.content(&key)))
        .collect();
    let (_, told) = import(&minutes(folder.path(), 2, 3));
    assert!(told.contains("5 objects merged into 1"), "{told}");
    assert_eq!((count("/merged-import-"), count(".replaced"), count("state/merging-imports")), (1, 5, 0));
    assert!(rows() == expected(5));
    // What was imported is known, whatever its object is called now; and what was replaced an hour ago goes.
    let (out, _) = import(&minutes(folder.path(), 0, 5));
    assert!(out.starts_with("0 files imported, 0 continued, 5 known"), "{out}");
    assert_eq!((count("/merged-import-"), count(".replaced"), count("/import-")), (1, 0, 0));
    // A crash between the merged object and what it stands for.
    for (key, content) in &contents {
        server.put(key, content);
    }
    assert!(rows() == expected(5), "no row twice");
    // While another import merges, nobody else does: for an hour.
    server.time(i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap());
    server.put("lake/state/merging-imports", b"somebody else\n");
    import(&minutes(folder.path(), 5, 4));
    assert_eq!((count("/import-"), count("/merged-import-"), count("merging-imports")), (6, 1, 1));
    server.time(1_772_400_000);
    server.put("lake/state/merging-imports", b"somebody who was killed\n");
    import(&minutes(folder.path(), 0, 1));
    assert_eq!((count("/import-"), count("merging-imports")), (6, 0));
    let (_, told) = import(&minutes(folder.path(), 9, 1));
    assert!(told.contains("8 objects merged into 1"), "{told}");
    assert!(rows() == expected(10));
}

#[test]
fn a_bucket_keeps_every_record_a_row_once_it_was_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let url = format!("s3://{}/lake", server::BUCKET);
    for (name, second) in [("a.log", 0), ("b.log", 60)] {
        // One connection, again and again within a minute.
        let again = |at: u32| line("eu", second, 0).replace(":00.000Z", &format!(":{at:02}.000Z"));
        std::fs::write(folder.path().join(name), (0..20).map(again).collect::<String>()).unwrap();
    }
    let import = |arguments: &[&str]| {
        let ran = ran(&mut server.command(), folder.path(), &[&["import", "--store", &url], arguments].concat());
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        text(&ran.stderr)
    };
    let told = import(&["--no-fold", "--flows", "a.log"]);
    assert!(told.contains("20 flow records, 0 answers, 0 questions in 20 rows"), "{told}");
    assert!(server.keys().contains(&"lake/state/unfolded".to_owned()));
    let told = import(&["--flows", "b.log"]);
    assert!(told.contains("20 flow records, 0 answers, 0 questions in 20 rows"), "{told}");
}

#[test]
fn what_is_wrong_is_said_with_the_url_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let good = format!("s3://{}/lake", server::BUCKET);
    let check = |url: &str, variables: &[(&str, &str)], parts: &[&str]| {
        let mut command = server.command();
        command.envs(variables.iter().copied());
        let ran = ran(&mut command, folder.path(), &["preflight", "--store", url]);
        let told = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{told}");
        assert_eq!(told.lines().count(), 1, "one message: {told}");
        assert!(told.starts_with(&format!("error: `{url}`: ")), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{told} has not all of {parts:?}");
        assert!(!told.contains("test/secret"), "{told}");
    };
    check(&good, &[], &["not a store; make one with `egress-atlas import --store s3://"]);
    check("s3://no-such-bucket/x", &[], &["NoSuchBucket", "check the URL and the region, or make the bucket"]);
    check(&good, &[("AWS_ACCESS_KEY_ID", "OTHER")], &["InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"]);
    check(&good, &[("AWS_SECRET_ACCESS_KEY", "x")], &["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"]);
    check(
        &good,
        &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")],
        &["no credentials; set AWS_ACCESS_KEY_ID"],
    );
    check(&good, &[("AWS_ALLOW_HTTP", "no")], &["in the clear", "AWS_ALLOW_HTTP=true"]);
    check(&good, &[("AWS_CA_BUNDLE", "missing.pem")], &["`missing.pem`: No such file", "PEM is expected"]);
    check(&good, &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], &["cannot be reached; check AWS_ENDPOINT_URL"]);
    check("s3://x", &[], &["write `s3://BUCKET` or `s3://BUCKET/PREFIX`"]);
}

#[test]
fn a_bucket_within_tls_is_believed_by_its_authority_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(at("ca.pem"), certificate.pem()).unwrap();
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let server = Server::start_tls(std::sync::Arc::new(config));
    std::fs::write(at("a.log"), line("eu", 1, 1)).unwrap();
    let url = format!("s3://{}/lake", server::BUCKET);
    let import = ["import", "--store", &url, "--flows", "a.log"];
    let refused = ran(&mut server.command(), folder.path(), &import);
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("the certificate's authority"), "{told}");
    let trusting = |arguments: &[&str]| {
        let ran = ran(server.command().env("AWS_CA_BUNDLE", at("ca.pem")), folder.path(), arguments);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
    };
    trusting(&import);
    trusting(&["attribute", "--store", &url, "--out", "rows.ndjson"]);
    assert_eq!(std::fs::read_to_string(at("rows.ndjson")).unwrap().lines().count(), 1);
}

#[test]
fn help_names_the_url() {
    for command in ["discover", "import", "preflight"] {
        let help = Command::new(env!("CARGO_BIN_EXE_egress-atlas")).args([command, "--help"]).output().unwrap();
        assert!(text(&help.stdout).contains("s3://BUCKET/PREFIX"), "{command}: {}", text(&help.stdout));
    }
}
