//! The enforcement probe: its script run by a real shell, with made-up networks.

use std::path::Path;
use std::process::Command;

use crate::support::run;

/// The script and its environment, from the manifest that the command prints.
fn container(arguments: &[&str]) -> (String, Vec<(String, String)>) {
    let ran = run(&[&["probe"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let manifest: serde_json::Value = serde_saphyr::from_str(&ran.out).unwrap();
    let container = &manifest["spec"]["template"]["spec"]["containers"][0];
    let environment = container["env"].as_array().unwrap().iter();
    let pairs = environment.map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect();
    (text(&container["command"][2]), pairs)
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[cfg(unix)]
fn tool(folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the script where `nslookup` and `curl` behave as told: exit status, what it said.
#[cfg(unix)]
fn probe(arguments: &[&str], nslookup: &str, curl: &str) -> (i32, String) {
    let tools = tempfile::tempdir().unwrap();
    tool(tools.path(), "nslookup", nslookup);
    tool(tools.path(), "curl", &format!("for url; do :; done\n{curl}"));
    let (script, environment) = container(arguments);
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("PATH", tools.path())
        .env("https_proxy", "http://proxy.invalid:3128")
        .envs(environment)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[cfg(unix)]
#[test]
fn each_network_gets_its_own_answer() {
    let check = |nslookup: &str, curl: &str, status: i32, word: &str| {
        let (code, said) = probe(&[], nslookup, curl);
        assert_eq!(code, status, "{said}");
        assert!(said.contains(word), "{said}");
    };
    check(
        "exit 0",
        "echo '28 0.000000 Connection timed out after 5001 ms'; exit 28",
        0,
        "BLOCKED: 1.1.1.1:443 timed out",
    );
    check("exit 0", "echo '7 0.000000 Failed to connect: Connection refused'; exit 7", 0, "refused");
    check("exit 0", "echo '0 0.012345 '; exit 0", 1, "ARE NOT ENFORCED");
    check("exit 0", "echo '28 0.012345 Operation timed out'; exit 28", 1, "REACHABLE");
    check("exit 0", "echo '7 0.000000 Network unreachable'; exit 7", 2, "Without a route out");
    check("exit 0", "echo '6 0.000000 Could not resolve host'; exit 6", 2, "DNS has no address");
    check("exit 0", "echo '60 0.012345 certificate problem'; exit 60", 2, "a proxy or gateway");
    check("exit 0", "exit 127", 2, "CANNOT TELL");
    check("exit 1", "echo '28 0.000000 timed out'; exit 28", 2, "DNS does not answer for kubernetes.default");
    check("exit 0", "[ -z \"${https_proxy:-}\" ] && echo '28 0.000000 '; exit 28", 0, "BLOCKED");
}

#[cfg(unix)]
#[test]
fn without_its_control_nothing_is_concluded() {
    let only_canary_times_out = "case $url in
        http://ledger.payments:5432/) echo \"$CONTROL_ANSWER\";;
        *) echo '28 0.000000 timed out';;
    esac";
    let with = |answer: &str| {
        let curl = only_canary_times_out.replace("$CONTROL_ANSWER", answer);
        probe(&["--control", "ledger.payments:5432"], "exit 0", &curl)
    };
    assert_eq!(with("7 0.000000 refused").0, 2);
    assert_eq!(with("52 0.003210 empty reply").0, 0);
}

#[test]
fn an_empty_canary_disables_it() {
    let ran = run(&["probe", "--canary", ""]);
    assert_eq!((ran.status, ran.out.as_str()), (0, "# The enforcement probe is disabled: there is no canary.\n"));
}

#[test]
fn bad_values_are_refused() {
    let check = |arguments: &[&str], part: &str| {
        let ran = run(&[&["probe"], arguments].concat());
        assert!(ran.status == 2 && ran.err.contains(part), "{}", ran.err);
    };
    check(&["--image", "curl:8"], "without a digest");
    check(&["--canary", "$(reboot)"], "neither an address nor a DNS name");
    check(&["--label", "nothing"], "write KEY=VALUE");
}
