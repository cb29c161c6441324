//! Broken input gets one clear line with file, record and remedy; good records beside it are kept; the account balances.

use std::io::Write;

use crate::support::{Ran, fixture, folder, run};

/// Two connections of one pod, as an exporter writes them.
const GOOD: &str = concat!(
    r#"{"flow":{"time":"2026-03-02T10:00:00Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"93.184.216.34","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40000,"destination_port":443,"flags":{"SYN":true}}},"source":{"ID":1,"identity":4000,"namespace":"shop","pod_name":"web-0"},"destination":{"identity":2,"labels":["reserved:world"]},"Type":"L3_L4","node_name":"n1","event_type":{"type":4,"sub_type":3},"is_reply":false},"node_name":"n1","time":"2026-03-02T10:00:00Z"}"#,
    "\n",
    r#"{"flow":{"time":"2026-03-02T10:01:00Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"93.184.216.35","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40001,"destination_port":443,"flags":{"SYN":true}}},"source":{"ID":1,"identity":4000,"namespace":"shop","pod_name":"web-0"},"destination":{"identity":2,"labels":["reserved:world"]},"Type":"L3_L4","node_name":"n1","event_type":{"type":4,"sub_type":3},"is_reply":false},"node_name":"n1","time":"2026-03-02T10:01:00Z"}"#,
    "\n"
);

fn attribute(files: &[(&str, &[u8])], more: &[&str]) -> (Ran, Vec<String>) {
    let folder = folder(files);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let out = path("out.csv");
    let flows = path(files[0].0);
    let mut arguments = vec!["attribute", "--flows", &flows, "--out", &out];
    arguments.extend(more);
    let ran = run(&arguments);
    let rows = std::fs::read_to_string(&out).map(|text| text.lines().skip(1).map(str::to_owned).collect());
    (ran, rows.unwrap_or_default())
}

#[track_caller]
fn says(ran: &Ran, status: u8, parts: &[&str]) {
    assert_eq!(ran.status, status, "{}", ran.err);
    for part in parts {
        assert!(ran.err.contains(part), "nothing says `{part}`:\n{}", ran.err);
    }
    let errors = ran.err.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, usize::from(status == 2), "{}", ran.err);
}

#[test]
fn good_records_survive_broken_neighbours() {
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes.extend(b"{\"flow\":{\"time\":\"2026-03-02T10:02:00Z\",\n");
    bytes.extend(b"{\"flow\":{\"time\":\"2262-12-01T00:00:00Z\",\"IP\":{\"source\":\"10.0.0.1\",\"destination\":\"1.1.1.1\"}}}\n");
    bytes.extend(b"{\"flow\":{\"time\":\"-1-01-01\",\"IP\":{\"source\":\"10.0.0.1\",\"destination\":\"1.1.1.1\"}}}\n");
    bytes.extend(
        b"{\"flow\":{\"node_name\":\"\xff\xfe\",\"IP\":{\"source\":\"10.0.0.1\",\"destination\":\"1.1.1.1\"}}}\n",
    );
    bytes.extend(GOOD.replace("40000", "41000").replace("40001", "41001").as_bytes());
    let (ran, rows) = attribute(&[("events.log", &bytes)], &[]);
    says(&ran, 0, &["rejected: `events.log`", "(first at byte ", "8 read = 4 used + 4 rejected + 0 excluded"]);
    assert_eq!(rows.len(), 4);
}

#[test]
fn a_line_without_end_is_skipped_without_being_held() {
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 9 << 20));
    bytes.push(b'\n');
    bytes.extend(GOOD.replace("4000", "4200").as_bytes());
    let (ran, rows) = attribute(&[("events.log", &bytes)], &[]);
    says(&ran, 0, &["line longer than 4 MiB (first at byte "]);
    assert_eq!(rows.len(), 4);
}

#[test]
fn a_truncated_gzip_keeps_what_came_before_and_is_not_proven() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for at in 0..2_000 {
        encoder.write_all(GOOD.replace("40000", &format!("{}", 10_000 + at)).as_bytes()).unwrap();
    }
    let whole = encoder.finish().unwrap();
    let (ran, rows) = attribute(&[("events.log.gz", &whole[..whole.len() * 3 / 4])], &[]);
    says(&ran, 3, &["`events.log.gz` breaks off", "what came before is used"]);
    assert!(rows.len() > 1_000, "{}", rows.len());
}

#[test]
fn unusable_inputs_end_with_status_2_and_one_line() {
    let check = |arguments: &[&str], parts: &[&str]| says(&run(arguments), 2, parts);
    let folder = folder(&[
        ("empty/.keep", b""),
        ("prose.txt", b"hello\nworld\n"),
        ("other.fstrm", b""),
        (
            "queries.log",
            b"[INFO] 10.244.0.5:43210 - 12345 \"A IN example.com. udp 41 false 512\" NOERROR qr,rd,ra 100 0.01s\n",
        ),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let out = path("out.csv");
    check(
        &["attribute", "--flows", "no/such/file", "--out", &out],
        &["`no/such/file`", "no such file", "check the path"],
    );
    check(&["attribute", "--flows", &path("empty"), "--out", &out], &["no files in it", "point at the folder"]);
    check(
        &["attribute", "--flows", &path("prose.txt"), "--out", &out],
        &["prose.txt", "neither Hubble JSON nor a dnstap capture"],
    );
    check(
        &["attribute", "--dns", &path("queries.log"), "--out", &out],
        &["queries.log", "no answers", "dnstap with `full`"],
    );
    check(&["attribute", "--out", &out], &["nothing to read", "--flows PATH", "demo"]);
    check(
        &["attribute", "--flows", &format!("foo:{}", path("prose.txt")), "--out", &out],
        &["unknown format `foo`", "`hubble`, `calico`", "`dnstap`"],
    );
    check(&["attribute", "--flows", "calico:x.log", "--out", &out], &["`x.log`", "no such file"]);
    check(
        &["attribute", "--dns", &fixture("dnstap/upstream/fstrm-test.fstrm"), "--out", &out],
        &["fstrm-test.fstrm", "test:hello"],
    );
    check(
        &["attribute", "--flows", &path("other.fstrm"), "--out", &out],
        &["other.fstrm", "there is no record in it", "not empty"],
    );
    check(
        &["attribute", "--flows", &path("prose.txt"), "--since", "yesterday", "--out", &out],
        &["--since `yesterday`", "7d"],
    );
}

#[test]
fn an_unknown_extension_is_refused_with_the_known_ones() {
    let folder = folder(&[("events.log", GOOD.as_bytes())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ran = run(&["attribute", "--flows", &path("events.log"), "--out", &path("out.xlsx")]);
    says(&ran, 2, &["out.xlsx", ".parquet, .csv or .ndjson"]);
}

#[test]
fn a_misspelt_setting_is_named_with_line_and_remedy() {
    let files: [(&str, &[u8]); 2] =
        [("events.log", GOOD.as_bytes()), ("atlas.toml", b"[join]\nwindow = \"24h\"\nskwe = \"2s\"\n")];
    let folder = folder(&files);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ran =
        run(&["attribute", "--flows", &path("events.log"), "--config", &path("atlas.toml"), "--out", &path("out.csv")]);
    says(&ran, 2, &["atlas.toml", "line 3", "`skwe`", "`skew`"]);
}

#[test]
fn a_broken_length_ends_a_capture_with_its_offset_and_keeps_the_rest() {
    let capture = std::fs::read(fixture("dnstap/coredns-1.11.3-k8s.fstrm")).unwrap();
    let mut broken = capture[..capture.len() / 2].to_vec();
    broken.extend([0xff; 4_096]);
    let (ran, _) = attribute(&[("events.log", GOOD.as_bytes()), ("dns.fstrm", &broken)], &[]);
    says(&ran, 0, &[]);
    let folder = folder(&[("dns.fstrm", &broken)]);
    let dns = folder.path().join("dns.fstrm").display().to_string();
    let out = folder.path().join("o.csv").display().to_string();
    let ran = run(&["attribute", "--dns", &dns, "--out", &out]);
    says(&ran, 3, &["`dns.fstrm` breaks off", "byte ", "what came before is used"]);
}

#[test]
fn objects_that_are_none_are_refused() {
    let folder = folder(&[("events.log", GOOD.as_bytes()), ("kube.json", b"<html>")]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ran =
        run(&["attribute", "--flows", &path("events.log"), "--kube", &path("kube.json"), "--out", &path("o.csv")]);
    says(&ran, 2, &["kube.json", "kubectl get"]);
}

#[test]
fn a_gzip_whose_checksum_is_wrong_is_not_proven() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(GOOD.as_bytes()).unwrap();
    let mut whole = encoder.finish().unwrap();
    let checksum = whole.len() - 6;
    whole[checksum] ^= 0xff;
    let (ran, rows) = attribute(&[("events.log.gz", &whole)], &[]);
    says(&ran, 3, &["`events.log.gz` breaks off"]);
    assert_eq!(rows.len(), 2);
}

#[test]
fn evidence_that_does_not_reach_the_asked_window_is_not_proven() {
    let folder = folder(&[("events.log", GOOD.as_bytes())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (flows, out) = (path("events.log"), path("out"));
    let discover = |more: &[&str]| {
        let mut arguments = vec!["discover", "--flows", &flows, "--out", &out];
        arguments.extend(more);
        run(&arguments)
    };
    assert_eq!(discover(&[]).status, 0);
    says(&discover(&["--since", "2026-03-01T00:00:00Z", "--until", "2026-03-02T12:00:00Z"]), 3, &["not proven"]);
    says(&discover(&["--since", "2026-03-02T23:00:00Z"]), 3, &["0 used + 0 rejected + 2 excluded"]);
}

#[test]
fn preflight_refuses_a_capture_without_payload_with_the_reason() {
    let capture = fixture("dnstap/coredns-1.11.3-no-payload-full-silently-off.fstrm");
    let ran = run(&["preflight", "--dns", &capture]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("FAILS") && words.contains("is \"full\" set in the Corefile?"), "{words}");
    let ran = run(&["preflight", "--dns", &capture, "--format", "json"]);
    assert!(ran.out.contains("\"outcome\": \"fails\""), "{}", ran.out);
}

#[test]
fn losses_belong_to_the_cluster_of_the_node_that_reports_them() {
    let lost = r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"},"node_name":"n1","time":"2026-03-02T10:00:30Z"}"#;
    let named = GOOD.replace("\"node_name\":\"n1\"", "\"node_name\":\"prod/n1\"");
    let other = GOOD.replace("\"node_name\":\"n1\"", "\"node_name\":\"test/n9\"");
    let flows = format!("{named}{lost}\n");
    let folder = folder(&[("a.log", flows.as_bytes()), ("b.log", other.as_bytes())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ran = run(&["preflight", "--flows", &path("a.log"), "--flows", &path("b.log")]);
    assert!(!ran.out.contains("Cluster default"), "{}", ran.out);
    assert!(ran.out.contains("7 events lost"), "{}", ran.out);
}

#[test]
fn a_file_has_one_cluster_however_often_it_is_named() {
    let folder = folder(&[("a.log", GOOD.as_bytes())]);
    let path = folder.path().join("a.log").display().to_string();
    let out = folder.path().join("o.csv").display().to_string();
    let ran = run(&["attribute", "--flows", &format!("eu={path}"), "--flows", &format!("us={path}"), "--out", &out]);
    says(&ran, 2, &["cluster `eu`", "cluster `us`"]);
    let ran = run(&["attribute", "--flows", &path, "--flows", &format!("eu={path}"), "--out", &out]);
    says(&ran, 0, &["2 read = 2 used"]);
    assert!(std::fs::read_to_string(&out).unwrap().contains(",eu,shop,web-0,"));
}

#[test]
fn objects_are_no_traffic() {
    let folder = folder(&[("kube.json", br#"{"kind":"List","items":[]}"#)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (kube, out) = (format!("kube:{}", path("kube.json")), path("out.csv"));
    let remedy = "Kubernetes objects hold neither flows nor DNS answers; give them with `--kube ";
    for flag in ["--flows", "--dns"] {
        says(&run(&["attribute", flag, &kube, "--out", &out]), 2, &[remedy]);
        says(&run(&["import", "--store", &path("lake"), flag, &kube]), 2, &[remedy]);
    }
}

#[test]
fn a_folder_of_a_pattern_that_cannot_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = folder(&[("a/flows.log", GOOD.as_bytes()), ("b/flows.log", GOOD.as_bytes())]);
    let (closed, pattern) = (folder.path().join("b"), folder.path().join("*/*.log"));
    let allow = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(folder.path(), 0o755);
    allow(&closed, 0o000);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
    // Nothing is closed to the superuser.
    if std::fs::read_dir(&closed).is_ok() {
        command.uid(65_534);
    }
    let ran = command.args(["attribute", "--flows", pattern.to_str().unwrap(), "--out", "/dev/null"]).output();
    allow(&closed, 0o755);
    let Ok(ran) = ran else {
        let told =
            writeln!(std::io::stderr(), "SKIPPED: unreadable folders: the program cannot be run as another user");
        return drop(told);
    };
    let told = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("`{}`: ", closed.display())), "{told}");
}

#[test]
fn objects_in_utf_16_and_missing_settings_say_what_to_do() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("{\"kind\": \"List\"}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let folder = crate::support::folder(&[("kube.json", &utf16), ("flows.log", b"{}\n")]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ran = crate::support::run(&["preflight", "--flows", &at("flows.log"), "--kube", &at("kube.json")]);
    assert!(ran.status == 2 && ran.err.contains("UTF-16") && ran.err.contains("utf8"), "{}", ran.err);
    let ran = crate::support::run(&["preflight", "--flows", &at("flows.log"), "--config", &at("nope.toml")]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("nope.toml`: the settings cannot be read") && ran.err.contains("--config"), "{}", ran.err);
}

#[test]
fn absurd_times_cost_their_record_alone() {
    let of = |time: &str| GOOD.lines().next().unwrap().replace("2026-03-02T10:00:00Z", time) + "\n";
    let absurd = ["2262-12-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"];
    let broken = ["yesterday", "2026-02-30T00:00:00Z", "2026-03-02T25:00:00Z", "2026-03-02T10:00:00+25:00", "-5"];
    let bytes: String = absurd.iter().chain(&broken).map(|time| of(time)).chain([GOOD.to_owned()]).collect();
    let (ran, rows) = attribute(&[("events.log", bytes.as_bytes())], &[]);
    says(
        &ran,
        0,
        &["9 × time that does not parse or fit (first at byte 0)", "11 read = 2 used + 9 rejected + 0 excluded"],
    );
    assert_eq!(rows.len(), 2);
}

#[test]
fn broken_messages_in_a_capture_cost_themselves_alone() {
    use crate::recording::{Told, at, capture};
    let good = capture(&[Told { time: at(0.0), client: "10.0.0.1", addresses: &["93.184.216.34"], ..Told::default() }]);
    let start = u32::from_be_bytes(good[4..8].try_into().unwrap()) as usize + 8;
    let frame = |payload: &[u8]| [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat();
    // The frame of the answer, with a compression pointer to itself for a question, and times beyond any clock.
    let stop = good.len() - 12;
    let mut looped = good[start..stop].to_vec();
    let name = looped.windows(4).position(|bytes| bytes == b"\x03api").unwrap();
    looped[name..name + 2].copy_from_slice(&[0xc0, 12]);
    let broken = [&looped[..], &frame(&[0xff; 40]), &frame(b"\x72\x02\x08\x06\x78\x01")].concat();
    let bytes = [&good[..start], &broken, &good[start..]].concat();
    let folder = folder(&[("events.log", GOOD.as_bytes()), ("dns.fstrm", &bytes)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let out = path("o.csv");
    let ran = run(&["attribute", "--flows", &path("events.log"), "--dns", &path("dns.fstrm"), "--out", &out]);
    says(&ran, 0, &["1 × broken DNS question (first at byte 42)", "1 × broken protobuf", "rejected: `dns.fstrm`"]);
    assert!(std::fs::read_to_string(out).unwrap().contains(",api.example.com,api.example.com,pod,"));
}

#[test]
fn a_window_of_words_in_settings_is_refused_with_the_line() {
    for (setting, parts) in [
        ("[join]\nwindow = 24\n", ["line 2", "`window`", "text in quotes"]),
        ("[join]\nwindow = \"-1h\"\n", ["line 2", "`-1h`", "`24h`"]),
        ("[joim]\nwindow = \"1h\"\n", ["line 1", "`joim`", "`join`"]),
        ("[join\n", ["line 1", "atlas.toml", "]"]),
    ] {
        let folder = folder(&[("events.log", GOOD.as_bytes()), ("atlas.toml", setting.as_bytes())]);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (flows, config, out) = (path("events.log"), path("atlas.toml"), path("o.csv"));
        says(&run(&["attribute", "--flows", &flows, "--config", &config, "--out", &out]), 2, &parts);
    }
}

/// The atlas says which documents a later run has to remove, and must not forget one that is still there.
#[test]
fn a_baseline_that_cannot_be_written_leaves_the_atlas_of_the_former() {
    for threads in ["1", "2"] {
        let folder = folder(&[("flows.log", GOOD.as_bytes())]);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (flows, out) = (path("flows.log"), path("out"));
        let discover = || run(&["discover", "--flows", &flows, "--out", &out, "--threads", threads]);
        assert_ne!(discover().status, 2);
        let atlas = folder.path().join("out/atlas.json");
        let former = std::fs::read_to_string(&atlas).unwrap().replace("shop.md", "gone.md");
        std::fs::write(&atlas, &former).unwrap();
        std::fs::write(folder.path().join("out/gone.md"), "gone").unwrap();
        // Nothing takes the place of a folder.
        std::fs::remove_file(folder.path().join("out/index.md")).unwrap();
        std::fs::create_dir_all(folder.path().join("out/index.md/in-the-way")).unwrap();
        says(&discover(), 2, &["index.md"]);
        assert_eq!(std::fs::read_to_string(&atlas).unwrap(), former);
        std::fs::remove_dir_all(folder.path().join("out/index.md")).unwrap();
        assert_ne!(discover().status, 2);
        assert!(!folder.path().join("out/gone.md").exists());
        assert!(std::fs::read_to_string(&atlas).unwrap().contains("shop.md"));
    }
}
