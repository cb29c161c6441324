//! Against somebody else's idea of S3: moto, from `PyPI`, where there is Python.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{line, ran, text};
use crate::collect::{free_port, wait};
use crate::lake::path;
use crate::support::run;

const VERSION: &str = "5.2.5";

/// A virtual environment with moto, made once.
fn moto() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("moto-{VERSION}"));
    let python = folder.join("bin/python");
    if folder.join("installed").is_file() {
        return Ok(python);
    }
    let done = |command: &mut Command| {
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    };
    done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let package = format!("moto[server,s3]=={VERSION}");
    done(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", &package]))?;
    std::fs::write(folder.join("installed"), "").map_err(|error| error.to_string())?;
    Ok(python)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn import_and_read_with_moto() {
    let python = match moto() {
        Ok(python) => python,
        Err(why) => {
            let last = why.lines().last().unwrap_or_default();
            writeln!(std::io::stderr(), "SKIPPED: the bucket of moto: no Python, or moto cannot be installed: {last}")
                .unwrap();
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let port = free_port();
    let log = std::fs::File::create(at("moto.log")).unwrap();
    let child = Command::new(&python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _running = Running(child);
    wait("moto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let made = Command::new(&python)
        .args(["-c", "import boto3,sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='x', aws_secret_access_key='y').create_bucket(Bucket='flow-logs')"])
        .arg(format!("http://127.0.0.1:{port}"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
        command.envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_ALLOW_HTTP", "true")]);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")).env("AWS_REGION", "us-east-1");
        command
    };
    let lines: String = (0..20_000).map(|second| line("eu <&> ü", second, 0)).collect();
    std::fs::write(at("a.log"), lines).unwrap();
    let url = "s3://flow-logs/a/lake";
    let imported = ran(&mut command(), folder.path(), &["import", "--store", url, "--flows", "a.log"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let again = ran(&mut command(), folder.path(), &["import", "--store", url, "--flows", "a.log"]);
    assert!(text(&again.stdout).starts_with("0 files imported, 0 continued, 1 known"), "{}", text(&again.stderr));
    let read = ran(&mut command(), folder.path(), &["attribute", "--store", url, "--out", "bucket.ndjson"]);
    assert!(read.status.success(), "{}", text(&read.stderr));
    run(&["attribute", "--flows", &at("a.log"), "--out", &at("files.ndjson")]);
    let [one, two] = ["files.ndjson", "bucket.ndjson"].map(|name| std::fs::read_to_string(at(name)).unwrap());
    assert!(one == two && one.lines().count() == 20_000);
    // A day that is over, in five files: merged, where the turn is taken by a conditional request.
    for number in 0..5_u32 {
        let lines: String = (0..60).map(|second| line("eu", number * 60 + second, 1)).collect();
        std::fs::write(at(&format!("part-{number}.log")), lines).unwrap();
    }
    let imported =
        ran(&mut command(), folder.path(), &["-v", "import", "--store", "s3://flow-logs/b", "--flows", "part-*.log"]);
    assert!(text(&imported.stderr).contains("5 objects merged into 1"), "{}", text(&imported.stderr));
    let read =
        ran(&mut command(), folder.path(), &["attribute", "--store", "s3://flow-logs/b", "--out", "parts.ndjson"]);
    assert!(read.status.success(), "{}", text(&read.stderr));
    assert_eq!(std::fs::read_to_string(at("parts.ndjson")).unwrap().lines().count(), 300);
    let none = ran(&mut command(), folder.path(), &["preflight", "--store", "s3://no-such-bucket"]);
    assert!(text(&none.stderr).contains("NoSuchBucket"), "{}", text(&none.stderr));
}
