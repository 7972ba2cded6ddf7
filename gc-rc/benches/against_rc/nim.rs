//! Nim's programs (`harness/peers/nim/counting.nim`), if there is a Nim.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Run, Work, candidate};

/// Nim's own version of the programs.
const SOURCE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../harness/peers/nim/counting.nim"
);

/// The works it has; a long list overflows its stack.
const WORKS: [&str; 4] = ["binary-trees", "rewire", "churn", "rings"];

/// Them, compiled.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Compiles them. The sentence says what is missing.
    pub(crate) fn build() -> Result<Self, String> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = directory.join("counting-nim");
        let output = Command::new("nim")
            .args(["c", "--gc:orc", "-d:danger", "--hints:off"])
            .arg(format!(
                "--nimcache:{}",
                directory.join("nimcache").display()
            ))
            .arg(format!("--out:{}", program.display()))
            .arg(SOURCE)
            .output()
            .map_err(|error| format!("nim cannot be run ({error}); install Nim 1.6 or later"))?;
        if output.status.success() {
            Ok(Self(program))
        } else {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("its programs do not compile: {}", words.trim()))
        }
    }

    /// Adds a candidate to each work that there is a program for.
    pub(crate) fn join(&self, works: &mut [Work]) {
        for (name, _, candidates) in works {
            if WORKS.contains(name) {
                let (program, name) = (self.0.clone(), *name);
                let run = move || run(&program, name);
                candidates.push(candidate("Nim ORC", run));
            }
        }
    }
}

/// Runs one work in a process of its own, which prints its checksum and the processor time of the
/// second of two runs.
fn run(program: &Path, work: &str) -> Run {
    let output = Command::new(program).arg(work).output();
    let output = output.expect("the program has just been compiled");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(checksum)), Some(Ok(nanoseconds))) => {
            (checksum, Duration::from_nanos(nanoseconds))
        }
        _ => panic!("Nim's {work} has failed: {text}{output:?}"),
    }
}
