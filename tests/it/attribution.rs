//! Which name a connection gets, on recordings with one difficulty each: what the fact sheets of sources and clocks warn of.

use crate::recording::{Seen, Told, at, capture, lines};
use crate::support::{folder, run};

/// `pod name grade` of every row of `attribute`, in order of time.
#[track_caller]
fn named(seen: &[Seen<'_>], told: &[Told<'_>]) -> Vec<String> {
    rows(lines(seen.iter().copied()).as_bytes(), &capture(told))
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            format!("{} {} {}", text("source_pod"), text("name"), text("evidence"))
        })
        .collect()
}

#[track_caller]
fn rows(flows: &[u8], dns: &[u8]) -> Vec<serde_json::Value> {
    let folder = folder(&[("flows.log", flows), ("dns.fstrm", dns)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ran =
        run(&["attribute", "--flows", &path("flows.log"), "--dns", &path("dns.fstrm"), "--out", &path("o.ndjson")]);
    assert_ne!(ran.status, 2, "{}", ran.err);
    let text = std::fs::read_to_string(path("o.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn web(seconds: f64) -> Seen<'static> {
    Seen { time: at(seconds), pod: "web-0", ..Seen::default() }
}

fn told(seconds: f64, name: &str) -> Told<'_> {
    Told { time: at(seconds), name, ..Told::default() }
}

#[test]
fn the_last_answer_before_a_connection_names_it() {
    assert_eq!(
        named(&[web(10.5)], &[told(20.0, "b.example.com"), told(9.0, "a.example.com")]),
        ["web-0 a.example.com pod"]
    );
    assert_eq!(named(&[web(10.5)], &[told(600.0, "later.example.com")]), ["web-0 later.example.com pod-later"]);
    assert_eq!(named(&[web(90_000.0)], &[told(5.0, "old.example.com")]), ["web-0 old.example.com pod-stale"]);
    assert_eq!(
        named(&[web(10.5)], &[Told { addresses: &["9.9.9.9"], ..told(5.0, "other.example.com") }]),
        ["web-0  none"]
    );
}

#[test]
fn an_answer_that_is_stamped_a_moment_after_its_connection_counts() {
    let late = [told(5.0, "old.example.com"), told(100.05, "new.example.com")];
    assert_eq!(named(&[web(100.001)], &late), ["web-0 new.example.com pod-ambiguous"]);
    // A second is no moment.
    let later = [told(5.0, "old.example.com"), told(101.0, "new.example.com")];
    assert_eq!(named(&[web(100.001)], &later), ["web-0 old.example.com pod"]);
    // Sources that tell whole seconds leave up to one out.
    let within = [told(5.0, "old.example.com"), told(100.8, "new.example.com")];
    assert_eq!(named(&[web(100.0)], &within), ["web-0 new.example.com pod-ambiguous"]);
}

#[test]
fn names_have_one_spelling() {
    let spelt = |name: &str| {
        let reported = [name];
        let seen = Seen { reported: &reported, ..web(10.5) };
        let of_cni = named(&[seen], &[]);
        let of_answer = named(&[web(10.5)], &[told(9.0, name)]);
        (of_answer[0].clone(), of_cni[0].clone())
    };
    let both = |name: &str| (format!("web-0 {name} pod"), format!("web-0 {name} reported"));
    assert_eq!(spelt("WwW.ExAmple.COM"), both("www.example.com"));
    assert_eq!(spelt("xn--Bcher-kva.example.com"), both("xn--bcher-kva.example.com"));
    assert_eq!(spelt("*.example.com"), both("*.example.com"));
    assert_eq!(spelt("_srv.a b.example.com"), both("_srv.a\\032b.example.com"));
    let unicode = Seen { reported: &["BÜCHER.example.com."], ..web(10.5) };
    assert_eq!(named(&[unicode], &[]), ["web-0 xn--bcher-kva.example.com reported"]);
}

#[test]
fn the_queried_name_counts_and_a_search_suffix_does_not() {
    let aliased = Told { aliases: &["a.cdn.example.net", "b.cdn.example.net"], ..told(9.0, "www.example.com") };
    assert_eq!(named(&[web(10.5)], &[aliased]), ["web-0 www.example.com pod"]);
    let expanded = Told { aliases: &["api.example.org"], ..told(9.0, "api.example.org.shop.svc.cluster.local") };
    assert_eq!(named(&[web(10.5)], &[expanded]), ["web-0 api.example.org pod"]);
}

#[test]
fn who_chases_an_alias_did_not_mean_it() {
    let asked = |seconds: f64| Told { aliases: &["edge.cdn.example.net"], ..told(seconds, "www.example.com") };
    for after in [0.0, 0.05, 0.2] {
        let chased = [asked(9.0), told(9.0 + after, "edge.cdn.example.net")];
        assert_eq!(named(&[web(10.5)], &chased), ["web-0 www.example.com pod-ambiguous"], "{after}");
    }
    // Long after it was asked for itself, and meant if the connection follows at once.
    let own = [asked(1.0), told(9.0, "edge.cdn.example.net")];
    assert_eq!(named(&[web(9.01)], &own), ["web-0 edge.cdn.example.net pod-ambiguous"]);
    assert_eq!(named(&[web(30.5)], &own), ["web-0 www.example.com pod-ambiguous"]);
}

#[test]
fn all_addresses_of_a_pod_are_one_client() {
    let v6 = Seen { source: "fd00::5", destination: "2606:2800::1", ..web(10.5) };
    let six = Told { addresses: &["2606:2800::1"], ..told(9.0, "six.example.com") };
    assert_eq!(named(&[web(1.5), v6], &[six]), ["web-0  none", "web-0 six.example.com pod"]);
    let mapped = Seen { source: "::ffff:10.0.1.5", destination: "::ffff:93.184.215.14", ..web(10.5) };
    let client = Told { client: "::ffff:10.0.1.5", ..told(9.0, "api.example.com") };
    assert_eq!(named(&[mapped], &[client]), ["web-0 api.example.com pod"]);
}

#[test]
fn both_sides_of_a_nat64_are_one_address() {
    let through = Seen { source: "fd00::5", destination: "64:ff9b::5db8:d70e", ..web(10.5) };
    let plain = Told { client: "fd00::5", ..told(9.0, "four.example.com") };
    assert_eq!(named(&[through], &[plain]), ["web-0 four.example.com pod"]);
    let made = Told { client: "fd00::5", addresses: &["64:ff9b::5db8:d70e"], ..told(9.0, "six.example.com") };
    assert_eq!(named(&[through], &[made]), ["web-0 six.example.com pod"]);
    assert_eq!(named(&[web(10.5)], &[Told { client: "10.0.1.5", ..made }]), ["web-0 six.example.com pod"]);
}

#[test]
fn an_address_is_a_pods_for_a_time() {
    let old = |seconds: f64| Seen { pod: "old-0", workload: "old", ..web(seconds) };
    let new = |seconds: f64| Seen { pod: "new-0", workload: "new", ..web(seconds) };
    let elsewhere = |seen: Seen<'static>| Seen { destination: "198.51.100.7", ..seen };
    // Four seconds between the last sign of the one and the first of the other.
    let seen = [elsewhere(old(3.5)), old(10.5), new(14.5), elsewhere(new(20.5))];
    let answers = [told(9.9, "a.example.com"), told(14.4, "b.example.com")];
    assert_eq!(
        named(&seen, &answers),
        ["old-0  none", "old-0 a.example.com pod", "new-0 b.example.com pod", "new-0  none"]
    );
}

#[test]
fn flows_without_times_are_their_pods_all_the_same() {
    let line = lines([web(10.5)]).replace(&format!("\"time\":\"{}\",", at(10.5)), "");
    let line = line.replace(&format!(",\"time\":\"{}\"", at(10.5)), "");
    assert!(!line.contains("time\":"), "{line}");
    let rows = rows(line.as_bytes(), &capture(&[told(9.0, "api.example.com")]));
    assert_eq!((&rows[0]["name"], &rows[0]["evidence"]), (&"api.example.com".into(), &"pod-stale".into()), "{rows:?}");
}

#[test]
fn equal_addresses_of_two_clusters_never_meet() {
    let folder = folder(&[
        ("east.log", lines([web(10.5)]).as_bytes()),
        ("west.log", lines([Seen { pod: "api-0", ..web(10.5) }]).as_bytes()),
        ("east.fstrm", &capture(&[told(9.0, "east.example.com")])),
        ("west.fstrm", &capture(&[told(9.0, "west.example.com")])),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [east, west] = ["east", "west"].map(|name| {
        [format!("{name}={}", path(&format!("{name}.log"))), format!("{name}={}", path(&format!("{name}.fstrm")))]
    });
    let ran = run(&[
        "attribute",
        "--flows",
        &east[0],
        "--dns",
        &east[1],
        "--flows",
        &west[0],
        "--dns",
        &west[1],
        "--out",
        &path("o.csv"),
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let table = std::fs::read_to_string(path("o.csv")).unwrap();
    assert!(table.contains(",east,shop,web-0,") && table.contains(",west,shop,api-0,"), "{table}");
    for line in table.lines().skip(1) {
        let cluster = if line.contains(",east,shop") { "east" } else { "west" };
        assert!(line.contains(&format!("{cluster}.example.com,{cluster}.example.com,pod,")), "{line}");
    }
}

#[test]
fn weaker_grades_follow_in_order() {
    let other =
        |pod: &'static str, workload, source| Seen { pod, workload, source, destination: "198.51.100.7", ..web(1.5) };
    let of = |client: &'static str| Told { client, ..told(9.0, "api.example.com") };
    let check = |seen: Seen<'static>, told: Told<'static>, expected: &str| {
        let found = named(&[web(10.5), seen], &[told]);
        assert!(found.contains(&format!("web-0 api.example.com {expected}")), "{expected}: {found:?}");
    };
    check(other("web-1", "web", "10.0.1.6"), of("10.0.1.6"), "workload");
    check(other("", "", "192.168.0.1"), of("192.168.0.1"), "node");
    check(other("api-0", "api", "10.0.1.7"), of("10.0.1.7"), "cluster");
    check(other("api-0", "api", "10.0.1.7"), of("172.18.250.53"), "cluster");
}

#[test]
fn what_extra_claims_counts_only_where_the_address_agrees() {
    let api = Seen { pod: "api-0", workload: "api", source: "10.0.1.7", ..web(10.5) };
    let claimed = |extra| Told { extra, ..told(9.0, "api.example.com") };
    assert_eq!(named(&[web(10.5)], &[claimed("ns=shop pod=web-0")]), ["web-0 api.example.com pod"]);
    // The address is another pod's.
    let found = named(&[web(10.5), api], &[claimed("ns=shop pod=api-0")]);
    assert_eq!(found, ["web-0 api.example.com pod", "api-0 api.example.com cluster"]);
}

/// Lookups of four names that share an address, each followed by its connection.
fn shifted(ahead: f64) -> Vec<serde_json::Value> {
    let names = ["a.example.com", "b.example.com", "c.example.com", "d.example.com"];
    let turns =
        || (0..40_u32).map(|turn| (f64::from(turn) * 97.3 + f64::from(turn * turn % 31), names[turn as usize % 4]));
    let answers: Vec<_> = turns().map(|(seconds, name)| Told { ttl: 5, ..told(seconds + ahead, name) }).collect();
    let delays = (0..40_u32).map(|turn| f64::from(turn * 7 % 60) / 1_000.0);
    let seen = turns().zip(delays).map(|((seconds, _), delay)| web(seconds + 0.001 + delay));
    rows(lines(seen).as_bytes(), &capture(&answers))
}

#[test]
fn clocks_that_differ_are_told_and_allowed_for() {
    let right = shifted(0.0);
    let names = |rows: &[serde_json::Value]| -> Vec<String> {
        rows.iter().map(|row| format!("{} {}", row["name"], row["evidence"])).collect()
    };
    for ahead in [40.0, -40.0, 3.0] {
        let found = shifted(ahead);
        assert_eq!(names(&found), names(&right), "{ahead}");
        for (found, right) in found.iter().zip(&right) {
            let ages = [found, right].map(|row| row["answer_age_seconds"].as_f64().unwrap());
            assert!((ages[0] - ages[1]).abs() < 0.1, "{ahead}: {ages:?}");
        }
    }
}

/// What `preflight` says of a recording, in this form.
fn checked(seen: &[Seen<'_>], told: &[Told<'_>], format: &str) -> String {
    let folder = folder(&[("flows.log", lines(seen.iter().copied()).as_bytes()), ("dns.fstrm", &capture(told))]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    run(&["preflight", "--flows", &path("flows.log"), "--dns", &path("dns.fstrm"), "--format", format]).out
}

#[test]
fn who_asks_for_all_others_is_told() {
    let seen: Vec<Seen<'_>> = (0..60_u32).map(|turn| web(f64::from(turn) * 31.0 + 0.02)).collect();
    let of = |client: &'static str| -> Vec<Told<'static>> {
        (0..60_u32)
            .map(|turn| Told { client, ..told(f64::from(turn) * 31.0, "api.example.com") })
            .chain([told(1.0, "api.example.com")])
            .collect()
    };
    let found = checked(&seen, &of("172.18.250.53"), "csv");
    assert!(found.contains("172.18.250.53 alone got 98 %") && found.contains("DNS clients,limits"), "{found}");
    // Who connects asks for itself.
    let own = checked(&seen, &of("10.0.1.5"), "markdown");
    assert!(own.contains("DNS clients") && !own.contains("alone got"), "{own}");
}

#[test]
fn an_offset_of_clocks_is_told() {
    let seen: Vec<Seen<'_>> =
        (0..60_u32).map(|turn| web(f64::from(turn * 31 + turn * turn % 17) + f64::from(turn % 9) / 100.0)).collect();
    let told_at = |ahead: f64| -> Vec<Told<'static>> {
        (0..60_u32)
            .map(|turn| told(f64::from(turn * 31 + turn * turn % 17) + ahead - 0.001, "api.example.com"))
            .collect()
    };
    let ahead = checked(&seen, &told_at(12.5), "csv");
    assert!(ahead.contains("clocks,limits,DNS answers are stamped 12.") && ahead.contains("s later than"), "{ahead}");
    let behind = checked(&seen, &told_at(-12.5), "csv");
    assert!(behind.contains("clocks,limits") && behind.contains("s earlier than"), "{behind}");
    assert!(checked(&seen, &told_at(0.0), "csv").contains("clocks,passes,"));
}

#[test]
fn rows_are_the_connections_of_the_documents() {
    for (flags, fixtures) in [
        (["--flows", "--dns"], ["hubble", "dnstap/coredns-1.11.3-k8s.fstrm"]),
        (["--flows", "--flows"], ["antrea", "hubble"]),
    ] {
        let folder = folder(&[]);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let [one, two] = fixtures.map(crate::support::fixture);
        let inputs = [flags[0], &one, flags[1], &two];
        let rows = run(&[&["attribute"], &inputs[..], &["--out", &path("rows.ndjson")]].concat());
        let documents = run(&[&["discover"], &inputs[..], &["--out", &path("docs")]].concat());
        assert!(rows.status != 2 && documents.status != 2, "{}{}", rows.err, documents.err);
        let rows = std::fs::read_to_string(path("rows.ndjson")).unwrap().lines().count();
        let atlas: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path("docs/atlas.json")).unwrap()).unwrap();
        let connections: u64 = atlas["clusters"]
            .as_object()
            .unwrap()
            .values()
            .map(|cluster| cluster["totals"]["egress_connections"].as_u64().unwrap())
            .sum();
        assert!(rows > 20);
        assert_eq!(rows as u64, connections, "{fixtures:?}");
    }
}
