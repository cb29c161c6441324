//! Findings as SARIF and as events, and the baseline, from the command line.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::run;

/// Writes the demo, then everything that can be exported from its data; (folder, standard error).
fn exported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(run(&["demo", "--out", &at("demo")]).status, 0);
    for (events, out) in [(at("ecs.ndjson"), at("one")), (format!("ocsf:{}", at("ocsf.ndjson")), at("two"))] {
        let ran = run(&[
            "discover",
            "--flows",
            &format!("prod-eu={}", at("demo/data/prod-eu/hubble")),
            "--dns",
            &format!("prod-eu={}", at("demo/data/prod-eu/dns/coredns.fstrm")),
            "--config",
            &at("demo/data/egress-atlas.toml"),
            "--reviews",
            &at("demo/data/reviews.toml"),
            "--out",
            &out,
            "--sarif",
            &at("findings.sarif"),
            "--events",
            &events,
        ]);
        assert!(ran.status <= 3 && ran.status != 2, "{}", ran.err);
    }
    folder
}

#[test]
fn every_finding_is_in_every_form() {
    let folder = exported();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let atlas: Value = serde_json::from_str(&read("one/atlas.json")).unwrap();
    let mut expected = 0;
    for namespace in atlas["clusters"]["prod-eu"]["namespaces"].as_object().unwrap().values() {
        expected += namespace["workload_findings"].as_array().unwrap().len();
        for edge in namespace["egress"].as_array().unwrap() {
            expected += edge["judgement"]["findings"].as_array().unwrap().len();
        }
    }
    assert!(expected > 5);

    let log: Value = serde_json::from_str(&read("findings.sarif")).unwrap();
    assert_eq!((&log["version"], log["runs"].as_array().unwrap().len()), (&Value::from("2.1.0"), 1));
    let run = &log["runs"][0];
    let rules: Vec<&str> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), expected);
    let mut prints = BTreeSet::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index], result["ruleId"].as_str().unwrap());
        assert!(result["message"]["text"].as_str().is_some_and(|text| text.len() > 20));
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(folder.path().join("one").join(uri).is_file(), "{uri}");
        prints.insert(result["partialFingerprints"]["egressAtlas/v1"].as_str().unwrap().to_owned());
    }
    assert_eq!(prints.len(), expected, "two findings with one fingerprint");
    assert!(results.iter().any(|result| !result["suppressions"].is_null()), "the demo has approvals");

    let lines =
        |name: &str| -> Vec<Value> { read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let (ecs, ocsf) = (lines("ecs.ndjson"), lines("ocsf.ndjson"));
    assert_eq!((ecs.len(), ocsf.len()), (expected, expected));
    for event in &ecs {
        assert!(event["@timestamp"].as_str().unwrap().starts_with("20"), "{event}");
        assert_eq!((&event["event"]["kind"], &event["ecs"]["version"]), (&"alert".into(), &"8.11.0".into()));
        assert!(prints.contains(event["event"]["id"].as_str().unwrap()));
        assert!(event["rule"]["id"].is_string() && event["orchestrator"]["cluster"]["name"] == "prod-eu");
    }
    for event in &ocsf {
        assert_eq!(
            (event["class_uid"].as_u64(), event["category_uid"].as_u64(), event["type_uid"].as_u64()),
            (Some(2_004), Some(2), Some(200_401))
        );
        assert!(event["time"].as_u64().unwrap() > 1_700_000_000_000 && event["severity_id"].as_u64().unwrap() >= 2);
        assert!(event["metadata"]["version"].is_string() && event["metadata"]["product"]["vendor_name"].is_string());
        assert!(
            prints.contains(event["finding_info"]["uid"].as_str().unwrap())
                && event["finding_info"]["title"].is_string()
        );
    }
}

/// Fails on a field that is none of the schema's, on a null, and on a required one that is missing (marked with `!`).
fn only(what: &str, value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("{what}: {value}"));
    for (field, content) in object {
        let known = fields.iter().any(|known| known.trim_start_matches('!') == field);
        assert!(known && !content.is_null(), "{what}.{field}: {content}");
    }
    for required in fields.iter().filter_map(|field| field.strip_prefix('!')) {
        assert!(object.contains_key(required), "{what} has no {required}: {value}");
    }
}

/// The shape of SARIF 2.1.0 (sections 3.13 to 3.52) as far as we use it; fields that a schema does not know are errors, or go unseen.
#[test]
fn the_log_has_the_fields_of_its_schema() {
    let folder = exported();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let log: Value = serde_json::from_str(&read("findings.sarif")).unwrap();
    only("sarifLog", &log, &["$schema", "!version", "!runs"]);
    let run = &log["runs"][0];
    only("run", run, &["!tool", "columnKind", "results"]);
    only("toolComponent", &run["tool"]["driver"], &["!name", "version", "semanticVersion", "rules"]);
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        let fields =
            ["!id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"];
        only("reportingDescriptor", rule, &fields);
        only("multiformatMessageString", &rule["help"], &["!text"]);
    }
    for result in run["results"].as_array().unwrap() {
        let fields = ["ruleId", "ruleIndex", "level", "!message", "locations", "partialFingerprints", "suppressions"];
        let own = &result["properties"];
        assert!(own.is_object());
        only("result", result, &[&fields[..], &["properties"]].concat());
        only("location", &result["locations"][0], &["physicalLocation", "logicalLocations"]);
        for suppression in result["suppressions"].as_array().into_iter().flatten() {
            only("suppression", suppression, &["!kind", "status", "justification"]);
            assert!(["inSource", "external"].contains(&suppression["kind"].as_str().unwrap()));
        }
    }
}

/// The shapes of ECS 8.11 and OCSF 1.3.0, likewise.
#[test]
fn events_have_the_fields_of_their_schemas() {
    let folder = exported();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let lines =
        |name: &str| -> Vec<Value> { read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    for event in lines("ecs.ndjson") {
        let sets = ["!@timestamp", "!ecs", "message", "event", "rule", "orchestrator", "observer", "egress_atlas"];
        only("ecs", &event, &[&sets[..], &["threat", "destination", "network"]].concat());
        let fields = ["!kind", "!category", "!type", "module", "dataset", "id", "severity", "risk_score", "reason"];
        only("ecs.event", &event["event"], &[&fields[..], &["start", "end"]].concat());
        only("ecs.orchestrator", &event["orchestrator"], &["type", "cluster", "namespace", "resource"]);
        if event["destination"].is_object() {
            only("ecs.destination", &event["destination"], &["!address", "ip", "domain", "port"]);
        }
    }
    for event in lines("ocsf.ndjson") {
        let required = [
            "!class_uid",
            "!category_uid",
            "!activity_id",
            "!type_uid",
            "!time",
            "!severity_id",
            "!metadata",
            "!finding_info",
        ];
        let others = [
            "class_name",
            "category_name",
            "activity_name",
            "severity",
            "confidence_id",
            "status_id",
            "status",
            "message",
        ];
        only(
            "ocsf",
            &event,
            &[&required[..], &others[..], &["remediation", "resources", "evidences", "unmapped"]].concat(),
        );
        only("ocsf.metadata", &event["metadata"], &["!version", "!product"]);
        only("ocsf.product", &event["metadata"]["product"], &["name", "!vendor_name", "version"]);
        let finding = ["!uid", "!title", "desc", "types", "first_seen_time", "last_seen_time", "attacks", "analytic"];
        only("ocsf.finding_info", &event["finding_info"], &finding);
        only("ocsf.analytic", &event["finding_info"]["analytic"], &["!type_id", "uid", "name"]);
        for attack in event["finding_info"]["attacks"].as_array().unwrap() {
            only("ocsf.attack", attack, &["!technique", "sub_technique", "version"]);
            assert!(!attack["technique"]["uid"].as_str().unwrap().contains('.'), "{attack}");
        }
        only("ocsf.resource_details", &event["resources"][0], &["type", "name", "namespace", "group"]);
        for evidence in event["evidences"].as_array().into_iter().flatten() {
            only("ocsf.network_endpoint", &evidence["dst_endpoint"], &["ip", "hostname", "port"]);
        }
    }
}

#[test]
fn a_baseline_is_read_and_checked() {
    let folder = exported();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let discover = |baseline: &str| {
        run(&[
            "discover",
            "--flows",
            &format!("prod-eu={}", at("demo/data/prod-eu/hubble")),
            "--dns",
            &format!("prod-eu={}", at("demo/data/prod-eu/dns/coredns.fstrm")),
            "--out",
            &at("three"),
            "--baseline",
            baseline,
        ])
    };
    let new = || {
        std::fs::read_to_string(folder.path().join("three/atlas.json")).unwrap().matches("behaviour/first-seen").count()
    };
    assert_ne!(discover(&at("one/atlas.json")).status, 2);
    assert_eq!(new(), 0, "nothing is new against itself");
    let text = std::fs::read_to_string(folder.path().join("one/atlas.json")).unwrap();
    std::fs::write(folder.path().join("older.json"), text.replace("stock-cam.ddns.net", "other.example.net")).unwrap();
    assert_ne!(discover(&at("older.json")).status, 2);
    assert_eq!(new(), 1);
    std::fs::write(folder.path().join("broken.json"), "{}").unwrap();
    let ran = discover(&at("broken.json"));
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("broken.json") && ran.err.contains("atlas.json"), "{}", ran.err);
}
