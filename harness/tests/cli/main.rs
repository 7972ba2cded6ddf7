//! The command as a user types it, good and bad: a file a subject, named after the file of
//! `src/command/` where there is one.
//!
//! One program for all of them: it is linked once.

#[path = "../common/mod.rs"]
mod common;

mod compare;
mod doctor;
mod explain;
mod failure;
mod help;
mod plan;
mod refusal;
mod resume;
mod run;
mod sweep;
mod why;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use common::harness_in;

pub(crate) const WORKLOADS: [&str; 13] = [
    "gcbench",
    "binary-trees",
    "quads",
    "list",
    "rings",
    "churn",
    "lru",
    "shared-graph",
    "rewire",
    "sawtooth",
    "requests",
    "poll",
    "countdown",
];
pub(crate) const HEAPS: [&str; 3] = ["gc-rc", "gc-marksweep", "arena"];

/// What a command did.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) directory: TempDir,
}

impl Run {
    pub(crate) fn from_output(output: Output, directory: TempDir) -> Self {
        Self {
            status: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            directory,
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Refused with one line that contains these parts, and nothing run.
    #[track_caller]
    pub(crate) fn expect_refusal(self, parts: &[&str]) {
        let run = self.expect(2);
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "no '{part}' in: {}", run.stderr);
        }
        assert_eq!(run.stdout, "");
    }

    /// The same; notes may come first.
    #[track_caller]
    pub(crate) fn expect_refusal_after_notes(mut self, parts: &[&str]) {
        let error = self.stderr.find("error: ").unwrap_or(0);
        self.stderr.drain(..error);
        self.expect_refusal(parts);
    }

    /// The rows on standard output.
    pub(crate) fn rows(&self) -> Vec<Value> {
        common::rows(self.stdout.as_bytes())
    }
}

pub(crate) fn harness(arguments: &[&str]) -> Run {
    let directory = TempDir::new().unwrap();
    let output = harness_in(directory.path()).args(arguments).output();
    Run::from_output(output.unwrap(), directory)
}

/// One process for each pair, and nothing twice.
pub(crate) fn tiny(arguments: &[&str]) -> Run {
    let common = [
        "run",
        "--size",
        "tiny",
        "--invocations",
        "1",
        "--aa",
        "none",
    ];
    harness(&[&common, arguments].concat())
}

/// Rows of a result file; each must be whole.
pub(crate) fn rows_of(path: &Path) -> Vec<Value> {
    common::rows(&fs::read(path).unwrap())
}

/// For each series (heap, and whether it is the second of its heap) the numbers of the processes
/// that have all their rows, in order.
pub(crate) fn processes(rows: &[Value]) -> BTreeMap<(String, String, bool), Vec<u64>> {
    let mut processes: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row["iteration"] == row["iterations"])
    {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let key = (text("workload"), text("heap"), row["twin"] == true);
        let number = row["invocation"].as_u64().unwrap();
        processes.entry(key).or_default().push(number);
    }
    for numbers in processes.values_mut() {
        numbers.sort_unstable();
    }
    processes
}
