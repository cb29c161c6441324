//! Runs commands in this process, as the binary does.

use clap::Parser;
use egress_atlas::cli::{Cli, Context};
use egress_atlas::error::ExitStatus;
use egress_atlas::model::Timestamp;

/// What a command said and how it ended.
pub(crate) struct Ran {
    pub(crate) status: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `egress-atlas` with these arguments at a fixed time.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_in(100, arguments)
}

/// The same on a terminal of so many columns.
pub(crate) fn run_in(width: u16, arguments: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::try_parse_from(std::iter::once("egress-atlas").chain(arguments.iter().copied()))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut context = Context {
        out: &mut out,
        err: &mut err,
        quiet: cli.quiet(),
        verbose: cli.verbose(),
        progress: false,
        width,
        paint: egress_atlas::report::Paint(false),
        now: Timestamp::parse(b"2026-03-03T00:00:00Z").unwrap(),
    };
    let status = match cli.run(&mut context) {
        Ok(status) => status,
        Err(error) => {
            err.extend(format!("error: {error:#}\n").into_bytes());
            ExitStatus::Failed
        }
    };
    Ran { status: status.code(), out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// A temporary folder with these files.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// The fixture of that name.
pub(crate) fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
