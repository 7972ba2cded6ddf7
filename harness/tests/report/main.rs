//! Reports of real runs, in every form, read as their readers read them: by another implementation
//! where there is one, by the rules of the format where there is not, and by a browser.
//!
//! What needs a program that need not be there (`python3` with the packages `hdrhistogram` and
//! `jvmind-ce`, Node with `@paulirish/trace_engine`, Chromium) says in a line that it is missing
//! and passes; with `HARNESS_TEST_TOOLS=require` it fails instead. `HARNESS_TEST_PYTHON` and
//! `HARNESS_TEST_CHROMIUM` name others than those on the path, `HARNESS_TEST_NODE_MODULES` the
//! directory of Node's packages.
//!
//! A file a form, named after the file of `engine/src/report/` that writes it. One program for all
//! of them, so that the results that they report are made once.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod hlog;
mod html;
mod table;
mod trace;
mod unified_log;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use harness::invocation::{Metrics, Row};

pub(crate) fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn succeeded(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Refused with one line that has these parts.
#[track_caller]
pub(crate) fn refused(output: Output, parts: &[&str]) {
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("error: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    assert!(output.stdout.is_empty());
}

/// A result file of real runs, made once: three heaps at two sizes, one and two threads.
pub(crate) fn sample() -> &'static Path {
    static SAMPLE: OnceLock<PathBuf> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-sample.jsonl");
        let _ = fs::remove_file(&path);
        for bytes in ["3M", "4M", "6M"] {
            let arguments = [
                "run",
                "binary-trees:depth=11",
                "churn:nodes=8000",
                "--size",
                "tiny",
                "--threads",
                "1,2",
                "--invocations",
                "2",
                "--iterations",
                "2",
                "--heap-size",
                bytes,
                "--quiet",
                "--output",
                path.to_str().unwrap(),
            ];
            let output = harness(&arguments);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        path
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let text = fs::read_to_string(sample()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn report(arguments: &[&str]) -> Output {
    let common = ["report", sample().to_str().unwrap()];
    harness(&[&common, arguments].concat())
}

/// What a form is asked for with that has one heap, one workload and one size.
pub(crate) const ONLY: [&str; 10] = [
    "--workload",
    "churn",
    "--threads",
    "2",
    "--heap-size",
    "3M",
    "--heap",
    "gc-marksweep",
    "--format",
    "unified-log",
];

/// The timed iterations that [`ONLY`] selects.
pub(crate) fn only_rows() -> Vec<Metrics> {
    rows()
        .into_iter()
        .filter(|row| {
            let invocation = &row.invocation;
            !row.twin
                && row.iteration > 0
                && invocation.workload == "churn"
                && invocation.heap == "gc-marksweep"
                && invocation.threads == 2
                && invocation.heap_bytes == 3 << 20
        })
        .filter_map(|row| row.metrics)
        .collect()
}
