//! Records the revision in the program, for the results that it writes. Here and not below, so that
//! a commit has this crate built anew and no other.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    if let Some(revision) = output("git", &["describe", "--always", "--dirty", "--abbrev=12"]) {
        println!("cargo::rustc-env=HARNESS_REVISION={revision}");
    }
    // Whatever may change the revision or its `-dirty`.
    for path in [
        "build.rs",
        "src",
        "arena/src",
        "claims/src",
        "contract/src",
        "engine/src",
        "graph/src",
        "peers",
        "../gc-rc/src",
        "../gc-marksweep/src",
        "../handshake/src",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// How long a program may take to answer: `git` may have to look at every file of a cold disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program prints. It is the program that is waited for, for so long, and not its output:
/// git may leave a daemon behind, which would keep a pipe open. So it prints into a file.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let path = Path::new(&env::var_os("OUT_DIR")?).join("answer");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&path).ok()?)
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let text = fs::read_to_string(&path).ok()?.trim().to_owned();
    (status.success() && !text.is_empty()).then_some(text)
}
