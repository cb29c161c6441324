//! Programs in Go that tests talk to: built once, from the Go module registry at pinned versions.
//!
//! Where Go or the registry is missing, the test says so and does nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says that a test did nothing, and why.
pub(crate) fn skip(what: &str, why: &str) {
    // Not `eprintln`, which the test runner keeps to itself when a test passes.
    writeln!(std::io::stderr(), "\nSKIPPED: end to end with {what}: {why}\n").unwrap();
}

/// The binary of `tests/FOLDER`; `what` names it with its version.
pub(crate) fn built(folder: &str, what: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = root.join("target").join(folder).join(what.replace(' ', "-"));
    if built.is_file() {
        return Some(built);
    }
    let Ok(version) = Command::new("go").arg("version").output() else {
        skip(what, "there is no Go");
        return None;
    };
    writeln!(std::io::stderr(), "building {what} with {}", String::from_utf8_lossy(&version.stdout)).unwrap();
    std::fs::create_dir_all(built.parent().unwrap()).unwrap();
    let unfinished = built.with_extension("unfinished");
    let modules = std::env::temp_dir().join("egress-atlas-go-modules");
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-modcacherw", "-trimpath", "-o"])
        .arg(&unfinished)
        .arg(".")
        .current_dir(root.join("tests").join(folder))
        .env("GOMODCACHE", modules)
        .output()
        .unwrap();
    if !output.status.success() {
        skip(what, &format!("it cannot be built: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    std::fs::rename(unfinished, &built).unwrap();
    Some(built)
}
