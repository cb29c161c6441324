//! Policy drafts: the demo's files, checks per dialect, and the round trip: a draft replayed on its own baseline.

/// Random small clusters.
mod estate;
/// Splits where a dialect's lists are bounded.
mod limits;
/// A draft replayed on its own baseline, as it is and rule by rule.
mod round_trip;
/// The schemas of API servers.
mod schema;
/// Baseline and connections of one and the same traffic.
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use egress_atlas::model::Verdict as Recording;
use egress_atlas::policy::draft::{Dialect, Manifest, bundle, check_object, explain, manifests};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Evaluator, Profile, Recorded, Verdict};
use serde_json::Value;

use self::round_trip::{ENFORCERS, small};
use self::world::{demo_world, drafts, generated, settings};
use crate::support::{folder, run};

/// Objects of every dialect, with what must never stand in one.
#[test]
fn nothing_dangerous_is_ever_written() {
    let settings = settings("pod_to_pod = false\nstable_days = 1\nstable_addresses = 64");
    let scenario = small(9);
    for world in [demo_world(&settings), generated(&scenario, &settings)] {
        for dialect in Dialect::ALL {
            for draft in drafts(&world, &settings, dialect) {
                for manifest in bundle(&draft).unwrap().manifests {
                    let object = manifest.json();
                    let text: Value = serde_saphyr::from_str(&manifest.yaml()).unwrap();
                    assert_eq!(text, object, "{dialect} {}", manifest.name);
                    look(&object, dialect, "");
                    assert_eq!(schema::refused(dialect, &object), None, "{dialect} {}", manifest.name);
                    let found = mutations(&object).into_iter().find(|(_, bad)| check_object(dialect, bad).is_ok());
                    assert_eq!(found.map(|(what, _)| what), None, "{dialect} {}: passes its checks", manifest.name);
                }
            }
        }
    }
}

/// No empty list anywhere, no `{}` in a list, no host of the other family's length.
fn look(value: &Value, dialect: Dialect, path: &str) {
    match value {
        Value::Array(items) => {
            assert!(!items.is_empty(), "{dialect} {path}");
            for (index, item) in items.iter().enumerate() {
                assert_ne!(item, &serde_json::json!({}), "{dialect} {path}");
                look(item, dialect, &format!("{path}[{index}]"));
            }
        }
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| look(value, dialect, &format!("{path}.{key}")));
        }
        Value::String(text) => {
            if let Ok(net) = text.parse::<ipnet::IpNet>() {
                assert_eq!(net.trunc(), net, "{dialect} {path}: host bits");
            }
        }
        _ => {}
    }
}

/// The object with one thing wrong, in every way that would open it or that an API server refuses.
fn mutations(object: &Value) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    let edited = |path: &str, value: Value| {
        let mut copy = object.clone();
        *copy.pointer_mut(path)? = value;
        Some(copy)
    };
    for section in ["/spec/egress", "/spec/ingress", "/specs/0/egress", "/specs/0/ingress"] {
        found.extend(edited(section, serde_json::json!([{}])).map(|bad| ("a rule `{}`", bad)));
        found.extend(edited(section, serde_json::json!([])).map(|bad| ("an empty list of rules", bad)));
        for peers in ["to", "from", "toEndpoints", "fromEndpoints", "toCIDRSet", "toFQDNs"] {
            let path = format!("{section}/0/{peers}");
            found.extend(edited(&path, serde_json::json!([])).map(|bad| ("an empty peer list", bad)));
            found.extend(edited(&path, serde_json::json!([{}])).map(|bad| ("a peer `{}`", bad)));
        }
        let wide = serde_json::json!("2600:1901:0:5e8a::/32");
        for cidr in ["to/0/ipBlock/cidr", "toCIDRSet/0/cidr", "destination/nets/0", "to/0/networks/0"] {
            found.extend(edited(&format!("{section}/0/{cidr}"), wide.clone()).map(|bad| ("/32 on IPv6", bad)));
        }
    }
    if let Some(mut copy) = edited("/metadata/name", serde_json::json!("something-else")) {
        found.push(("an unpinned name", copy.clone()));
        copy = object.clone();
        if let Some(spec) = copy.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("namspaceSelector".to_owned(), serde_json::json!({}));
            found.push(("an unknown key", copy));
        }
    }
    found
}

/// Set `UPDATE_DRAFTS=1` to write the golden files anew after a wanted change, and review the difference.
#[test]
fn the_demo_drafts_are_the_committed_ones() {
    let out = tempfile::tempdir().unwrap();
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    run(&["demo", "--out", &place("demo")]);
    for (dialect, namespace) in [
        ("kubernetes", "prod-eu/platform"),
        ("cilium", "prod-eu/shop"),
        ("antrea", "prod-us/payments"),
        ("calico", "prod-us/platform"),
        ("cluster-network-policy", "prod-eu/payments"),
    ] {
        let drafts = place(dialect);
        let ran = run(&[
            "draft",
            "--baseline",
            &place("demo/discovery"),
            "--dialect",
            dialect,
            "--out",
            &drafts,
            "--config",
            &place("demo/data/egress-atlas.toml"),
            "--reviews",
            &place("demo/data/reviews.toml"),
            "--kube",
            &format!("prod-eu={}", place("demo/data/prod-eu/kube.json")),
            "--kube",
            &format!("prod-us={}", place("demo/data/prod-us/kube.json")),
        ]);
        assert_eq!(ran.status, 1, "{}", ran.err);
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/drafts").join(dialect).join(namespace);
        let written = Path::new(&drafts).join(namespace);
        let mut names: Vec<_> = std::fs::read_dir(&written).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 8, "five policies and three documents");
        for name in names {
            let text = std::fs::read_to_string(written.join(&name)).unwrap();
            if std::env::var_os("UPDATE_DRAFTS").is_some() {
                std::fs::create_dir_all(&golden).unwrap();
                std::fs::write(golden.join(&name), &text).unwrap();
            }
            let expected = std::fs::read_to_string(golden.join(&name)).unwrap_or_default();
            assert!(text == expected, "{dialect} {namespace} {}: differs; UPDATE_DRAFTS=1", name.to_string_lossy());
        }
    }
}

/// Between two backticks-fences of shell commands behind a heading.
fn commands<'t>(readme: &'t str, heading: &str) -> Vec<&'t str> {
    let section = readme.split_once(heading).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

/// One policy of these dialects alone closes its pods to what the others open: no step of the README may leave it so.
#[test]
fn no_step_of_the_readme_breaks_more_than_the_whole_draft() {
    let settings = settings("pod_to_pod = true");
    let world = demo_world(&settings);
    for (dialect, profile) in ENFORCERS {
        for draft in drafts(&world, &settings, dialect) {
            let files = bundle(&draft).unwrap().files;
            let text = |name: &str| &files.iter().find(|file| file.name == name).unwrap().text;
            let all = manifests(&draft);
            let verdicts = |texts: &[&str]| {
                let texts: Vec<PolicySource<'_>> =
                    texts.iter().map(|text| PolicySource { file: "p", text, cluster: None }).collect();
                let set = PolicySet::parse(&texts).unwrap();
                breaks(&world.recorded, &set, profile.clone())
            };
            let yaml: Vec<String> = all.iter().map(Manifest::yaml).collect();
            let yaml: Vec<&str> = yaml.iter().map(String::as_str).collect();
            let whole = verdicts(&yaml);
            let steps = commands(text("README.md"), "## Apply");
            let mut before: Vec<&str> = Vec::new();
            for step in &steps {
                assert!(!step.contains("kubectl apply -f default") && !step.contains("-f egress"), "{step}");
                if let Some((_, rest)) = step.split_once("<<'EOF'\n") {
                    before.push(rest.split_once("EOF").unwrap().0);
                    assert_eq!(verdicts(&before), 0, "{dialect} {}: learning names closes nothing", draft.namespace);
                }
            }
            assert_eq!(steps.iter().filter(|step| step.contains("kubectl apply -k .")).count(), 1);
            assert_eq!(before.len(), usize::from(dialect == Dialect::Cilium));
            let together: Vec<&str> = before.iter().chain(&yaml).copied().collect();
            assert_eq!(verdicts(&together), whole, "{dialect} {}", draft.namespace);
            let rollback = commands(text("README.md"), "## Roll back everything");
            // One command; and where denies are rules, they are the first to go.
            let names: Vec<&str> = rollback[0].split_whitespace().collect();
            let place = |part: &str| names.iter().position(|name| name.starts_with(part));
            match dialect {
                Dialect::Antrea | Dialect::ClusterNetworkPolicy => {
                    assert!(
                        place("default-deny-ingress") < place("egress-allowlist") && rollback.len() == 1,
                        "{rollback:?}"
                    );
                    assert!(place("default-deny-ingress").is_some());
                }
                _ => assert_eq!(rollback, ["kubectl delete -k . --ignore-not-found\n"]),
            }
            // Where denies are rules, whoever applies one by one must find them last.
            let order = text("kustomization.yaml");
            let of = |part: &str| order.rfind(part).unwrap_or(0);
            assert!(of("- default-deny-egress") > of("- egress-allowlist"), "{order}");
        }
    }
}

fn breaks(recorded: &Recorded, set: &PolicySet, profile: Profile) -> usize {
    let evaluator = Evaluator::new(set, profile);
    let prepared: Vec<_> = recorded.ends.iter().map(|end| evaluator.prepare(end.clone())).collect();
    let broken = recorded.edges.iter().filter(|edge| {
        let connection = edge.connection(&prepared[edge.client], &prepared[edge.server]);
        edge.recorded != Recording::Denied && evaluator.judge(&connection).verdict == Verdict::WouldBreak
    });
    broken.count()
}

#[test]
fn an_approval_that_has_expired_admits_nothing() {
    let out = folder(&[("egress-atlas.toml", b"")]);
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    run(&["demo", "--out", &place("demo")]);
    let (baseline, reviews, config) =
        (place("demo/discovery"), place("demo/data/reviews.toml"), place("egress-atlas.toml"));
    let drafted = |more: &[&str]| {
        let drafts = place("d");
        let fixed = ["draft", "--baseline", &baseline, "--dialect", "cilium", "--out", &drafts, "--config", &config];
        let ran = run(&[&fixed, ["--cluster", "prod-eu", "--namespace", "platform"].as_slice(), more].concat());
        assert!(matches!(ran.status, 0 | 1), "{}", ran.err);
        let read = |name: &str| std::fs::read_to_string(place(&format!("d/prod-eu/platform/{name}"))).unwrap();
        (read("PENDING.md").contains("to 169.254.169.254 "), ran.err.contains("ended on 2026-08-20"), ran.status)
    };
    assert!(!drafted(&[]).0, "in force on the day of the run");
    assert!(!drafted(&["--today", "2026-08-20"]).0, "in force on its last day");
    assert_eq!(drafted(&["--today", "2026-08-21"]), (true, true, 1));
    assert_eq!(drafted(&["--today", "2026-08-21", "--reviews", &reviews]), (true, true, 1));
}

#[test]
fn a_namespace_or_cluster_that_is_not_there_is_named_with_those_that_are() {
    let out = folder(&[("egress-atlas.toml", b"")]);
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery").to_str().unwrap().to_owned();
    let check = |more: &[&str], expected: &str| {
        let (drafts, config) = (place("d"), place("egress-atlas.toml"));
        let fixed = ["draft", "--baseline", &baseline, "--dialect", "cilium", "--out", &drafts, "--config", &config];
        let ran = run(&[&fixed, more].concat());
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains(expected), "{}", ran.err);
    };
    check(
        &["--namespace", "nosuch", "--cluster", "prod-us"],
        "no namespace `nosuch` in the baseline of cluster `prod-us`; it has `kube-system`, `payments`, `platform`, `shop`",
    );
    check(&["--namespace", "nosuch"], "it has `prod-eu/kube-system`, `prod-eu/payments`, ");
    check(&["--cluster", "prod-eo"], "no cluster `prod-eo` in the baseline; it has `prod-eu`, `prod-us`");
}

#[test]
fn drafts_of_several_clusters_are_read_back_as_they_were_written() {
    let out = folder(&[("egress-atlas.toml", b"")]);
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery").to_str().unwrap().to_owned();
    let (drafts, config) = (place("d"), place("egress-atlas.toml"));
    run(&["draft", "--baseline", &baseline, "--dialect", "kubernetes", "--out", &drafts, "--config", &config]);
    let replayed = |policies: &[&str]| {
        let mut args = vec!["replay", "--baseline", &baseline, "--format", "json", "--config", &config];
        for path in policies {
            args.extend(["--policies", path]);
        }
        let ran = run(&args);
        assert!(matches!(ran.status, 1 | 3), "{}", ran.err);
        ran.out
    };
    let (eu, us) = (format!("prod-eu={drafts}/prod-eu"), format!("prod-us={drafts}/prod-us"));
    assert_eq!(replayed(&[&drafts]), replayed(&[&eu, &us]));
    let ran = run(&["audit", "--policies", &drafts, "--config", &config]);
    assert!(ran.status < 2, "{}", ran.err);
    // Without the list nobody says that two clusters are meant, and the remedy is named.
    std::fs::remove_file(place("d/egress-atlas-drafts.list")).unwrap();
    let ran = run(&["audit", "--policies", &drafts, "--config", &config]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("give each as NAME=PATH"), "{}", ran.err);
    std::fs::write(place("d/egress-atlas-drafts.list"), "something else\n").unwrap();
    let ran = run(&["audit", "--policies", &drafts, "--config", &config]);
    assert!(ran.status == 2 && ran.err.contains("not the list that `draft` writes"), "{}", ran.err);
    std::fs::create_dir(place("empty")).unwrap();
    let ran = run(&["audit", "--policies", &place("empty")]);
    assert!(ran.status == 2 && ran.err.contains("--policies takes YAML or JSON of policies"), "{}", ran.err);
}

#[test]
fn a_rule_explains_itself() {
    let settings = settings("pod_to_pod = true");
    let world = demo_world(&settings);
    let drafts = drafts(&world, &settings, Dialect::Cilium);
    let payments = drafts.iter().find(|draft| draft.namespace == "payments").unwrap();
    insta::assert_snapshot!(explain(payments, "payments/charges-api/egress/api.stripe.com"), @r#"
payments/charges-api/egress/api.stripe.com
  file      egress-allowlist.yaml
  peer      api.stripe.com
  ports     TCP/443
  evidence  18 connections, 2 pods (charges-api-7cdj2h6tk2-7nzwx, charges-api-7cdj2h6tk2-977nm), 2026-03-02
            evidence pod x 18, confidence 0.99
  edge      Deployment/charges-api and api.stripe.com at TCP/443
"#);
    assert_eq!(explain(payments, "no-such-rule"), "");
}

#[test]
fn what_is_left_out_decides_the_status() {
    let out = folder(&[("egress-atlas.toml", b"")]);
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let missing = run(&["draft", "--baseline", &place("none"), "--dialect", "cilium", "--out", &place("d")]);
    assert_eq!(missing.status, 2);
    assert!(missing.err.contains("give the folder that `discover --out` wrote"), "{}", missing.err);
    run(&["demo", "--out", &place("demo")]);
    let atlas = place("demo/discovery/atlas.json");
    let text = std::fs::read_to_string(&atlas).unwrap();
    let args = |namespace: &str| {
        run(&[
            "draft",
            "--baseline",
            &place("demo/discovery"),
            "--dialect",
            "cilium",
            "--out",
            &place("d"),
            "--cluster",
            "prod-us",
            "--namespace",
            namespace,
            "--config",
            &place("egress-atlas.toml"),
        ])
    };
    assert_eq!(args("payments").status, 0, "nothing waits for a decision");
    assert_eq!(args("shop").status, 1, "suspects wait");
    assert_eq!(args("no-such").status, 2);
    let asked = text.replacen(
        "\"since\": null,\n    \"until\": null",
        "\"since\": \"2026-02-01T00:00:00Z\",\n    \"until\": \"2026-03-03T00:00:00Z\"",
        1,
    );
    assert_ne!(asked, text);
    std::fs::write(&atlas, asked).unwrap();
    assert_eq!(args("payments").status, 3, "a month was asked for, a day was seen");
    std::fs::write(&atlas, "{}").unwrap();
    assert_eq!(args("payments").status, 2);
}

/// Settings of one draft, and what they make of the demo.
#[test]
#[expect(clippy::too_many_lines, reason = "every setting once")]
fn settings_shape_the_draft() {
    use Dialect::{Cilium, Kubernetes};
    let check = |text: &str, dialect: Dialect, namespace: &str, expected: &[&str]| {
        let settings = settings(text);
        let world = demo_world(&settings);
        let drafts = drafts(&world, &settings, dialect);
        let draft = drafts.iter().find(|draft| draft.namespace == namespace).unwrap();
        let files: BTreeMap<String, String> =
            bundle(draft).unwrap().files.into_iter().map(|file| (file.name, file.text)).collect();
        let all: String = files.into_values().collect();
        for wanted in expected {
            let found = all.contains(wanted.trim_start_matches('!'));
            assert_eq!(found, !wanted.starts_with('!'), "{text}: {wanted}\n{all}");
        }
    };
    check("ntp = \"none\"", Kubernetes, "platform", &["!port: 123", "0.pool.ntp.org UDP/123"]);
    check("ntp = [\"10.0.0.123\"]", Kubernetes, "shop", &["10.0.0.123/32", "port: 123", "!0.0.0.0/0"]);
    check(
        "harbor = \"harbor.corp.example\"",
        Cilium,
        "platform",
        &[
            "matchName: harbor.corp.example",
            "!matchName: registry.npmjs.org",
            "replaces files.pythonhosted.org, registry.npmjs.org",
            "Registries behind the proxy",
        ],
    );
    check(
        "harbor = \"harbor.corp.example\"\nharbor_addresses = [\"10.1.1.1\"]",
        Kubernetes,
        "platform",
        &["10.1.1.1/32"],
    );
    check(
        "",
        Cilium,
        "platform",
        &["matchName: registry.npmjs.org", "!matchName: pastebin.com", "pastebin.com TCP/443"],
    );
    check(
        "min_confidence = 0.97",
        Cilium,
        "shop",
        &["confidence in the name is 0.96", "!matchName: media.shop.example.com"],
    );
    check(
        "min_grade = \"pod-ambiguous\"\npod_to_pod = false",
        Cilium,
        "shop",
        &["matchName: media.shop.example.com", "!operator: Exists"],
    );
    check("stable_days = 1", Kubernetes, "payments", &["54.187.119.242/32", "stable addresses as seen"]);
    check(
        "[[draft.vendor]]\nmatch = \".stripe.com\"\nranges = [\"54.187.0.0/16\"]\nsource = \"stripe.com/ips\"\nchecked = 2026-03-01",
        Kubernetes,
        "payments",
        &[
            "54.187.0.0/16",
            "published ranges, stripe.com/ips",
            "1 address(es) outside the configured ranges: 3.18.12.63",
        ],
    );
    check(
        "[[draft.database]]\nname = \"bank\"\nsubnets = [\"93.184.215.0/24\"]\nports = [22]",
        Cilium,
        "payments",
        &["93.184.215.0/24", "!matchName: sftp.nordbank.example.net"],
    );
    check(
        "api_servers = [\"172.18.0.9\"]",
        Kubernetes,
        "platform",
        &["172.18.0.9/32", "`api_servers` in the settings"],
    );
    check("excluded = [\"10.0.0.0/8\"]", Kubernetes, "platform", &["!192.168.0.0/16", "10.0.0.0/8"]);
    check(
        "wildcard_siblings = 2",
        Cilium,
        "shop",
        &["matchPattern: \"*.shop.example.com\"", "wider than the evidence: 2 names"],
    );
    check("wildcard_siblings = 2", Dialect::Antrea, "shop", &["!*.shop", "fqdn: assets.shop.example.com"]);
}

#[test]
fn an_address_that_records_leave_out_makes_no_rule() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("discovery/atlas.json");
    let mut atlas: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let shop = &mut atlas["clusters"]["prod-eu"]["namespaces"]["shop"];
    let edge = shop["egress"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|edge| edge["peer"]["name"] == "assets.shop.example.com");
    let edge = edge.unwrap();
    edge["peer"] = serde_json::json!({"type": "address", "address": "::"});
    edge["addresses"] = serde_json::json!({});
    let folder = crate::support::folder(&[("atlas.json", atlas.to_string().as_bytes())]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for dialect in ["kubernetes", "cilium", "antrea", "calico", "cluster-network-policy"] {
        let out = at(dialect);
        let baseline = at("");
        let ran = crate::support::run(&[
            "draft",
            "--baseline",
            &baseline,
            "--dialect",
            dialect,
            "--out",
            &out,
            "--namespace",
            "shop",
        ]);
        assert_eq!(ran.status, 1, "{}", ran.err);
        let read = |name: &str| std::fs::read_to_string(format!("{out}/prod-eu/shop/{name}")).unwrap();
        assert!(read("PENDING.md").contains("the records leave the address out"), "{dialect}");
        assert!(!read("egress-allowlist.yaml").contains("\"::"), "{dialect}: {}", read("egress-allowlist.yaml"));
    }
}
