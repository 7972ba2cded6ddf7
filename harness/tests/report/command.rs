//! `harness report`: which rows, in which form, and where it is written.

use std::fs;

use harness::invocation::Row;
use tempfile::TempDir;

use crate::{harness, refused, report, rows, sample, succeeded};

#[test]
fn the_page_is_written_beside_the_results() {
    let directory = TempDir::new().unwrap();
    let results = directory.path().join("some.jsonl");
    fs::copy(sample(), &results).unwrap();
    let output = harness(&["report", results.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    succeeded(output);
    let page = directory.path().join("some.html");
    assert_eq!(message, format!("Report: {}\n", page.display()));
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
    // And on standard output, the same.
    let printed = succeeded(harness(&[
        "report",
        results.to_str().unwrap(),
        "--html",
        "-",
    ]));
    assert_eq!(printed, fs::read_to_string(&page).unwrap());
}

#[test]
fn results_are_never_replaced() {
    let directory = TempDir::new().unwrap();
    let results = directory.path().join("some.html");
    fs::copy(sample(), &results).unwrap();
    let before = fs::read(&results).unwrap();
    let path = results.to_str().unwrap();
    refused(
        harness(&["report", path]),
        &["would replace the results", "--html FILE"],
    );
    assert_eq!(fs::read(&results).unwrap(), before);
}

#[test]
fn mistakes_are_one_line() {
    refused(
        harness(&["report", "/nowhere/x.jsonl"]),
        &["/nowhere/x.jsonl"],
    );
    refused(
        report(&["--workload", "binary-tree"]),
        &["did you mean 'binary-trees'"],
    );
    refused(report(&["--heap", "gcrc"]), &["did you mean 'gc-rc'"]);
    refused(report(&["--threads", "7"]), &["no row is of that choice"]);
    refused(
        report(&["--format", "unified-log"]),
        &["of one heap", "--heap-size"],
    );
    refused(report(&["--output", "x"]), &["--html FILE"]);
    refused(
        report(&[
            "--format",
            "unified-log",
            "--workload",
            "churn",
            "--heap",
            "arena",
            "--threads",
            "1",
            "--heap-size",
            "3M",
        ]),
        &["no collection of churn:nodes=8000 on arena"],
    );
    let directory = TempDir::new().unwrap();
    let empty = directory.path().join("empty.jsonl");
    fs::write(&empty, "").unwrap();
    refused(
        harness(&["report", empty.to_str().unwrap()]),
        &["nothing to report", "empty.jsonl"],
    );
    let output = report(&[
        "--html",
        directory.path().join("none/x.html").to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(3));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("--html FILE") && message.lines().count() == 1,
        "{message}"
    );
}

#[test]
fn rows_can_be_chosen() {
    let printed = succeeded(report(&[
        "--format",
        "json",
        "--workload",
        "churn",
        "--heap",
        "gc-rc,arena",
        "--threads",
        "2",
        "--heap-size",
        "3M",
    ]));
    let chosen: Vec<Row> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Two heaps, two processes, each a warm-up and two timed iterations.
    assert_eq!(chosen.iter().filter(|row| !row.twin).count(), 2 * 2 * 3);
    let expected: Vec<Row> = rows()
        .into_iter()
        .filter(|row| {
            let invocation = &row.invocation;
            invocation.workload == "churn"
                && invocation.heap != "gc-marksweep"
                && invocation.threads == 2
                && invocation.heap_bytes == 3 << 20
        })
        .collect();
    for row in &chosen {
        assert!(expected.contains(row), "{row:?}");
    }
    assert_eq!(chosen.len(), expected.len());
}
