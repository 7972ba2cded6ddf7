//! `harness run`: what reaches the children, what is printed, and what the result file holds.

use std::fs;

use tempfile::TempDir;

use crate::common::unwrapped;
use crate::{harness, processes, rows_of, tiny};

#[test]
fn the_table_shows_every_pair_and_names_the_results() {
    let run = tiny(&["list", "countdown"]).expect(0);
    for part in [
        "list",
        "countdown",
        "gc-rc",
        "gc-marksweep",
        "arena",
        "time / gc-rc",
        "peak heap",
        "resident",
    ] {
        assert!(run.stdout.contains(part), "no '{part}' in:\n{}", run.stdout);
    }
    let path = run
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Results: "))
        .unwrap();
    let rows = fs::read_to_string(run.directory.path().join(path)).unwrap();
    assert_eq!(rows.lines().count(), 2 * 3 * 2);
    let page = run
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Report:  "))
        .unwrap();
    let page = fs::read_to_string(run.directory.path().join(page)).unwrap();
    assert!(page.contains("<html") && page.contains("countdown"));
}

#[test]
fn parameters_and_options_reach_the_child() {
    let run = tiny(&[
        "list:nodes=77,rounds=2",
        "--heap",
        "gc-rc:cycle=none,gil=fair",
        "--format",
        "json",
    ])
    .expect(0);
    let row = &run.rows()[0];
    assert_eq!(
        (&row["parameters"]["nodes"], &row["operations"]),
        (&77.into(), &154.into())
    );
    assert_eq!(
        (&row["options"]["cycle"], &row["options"]["gil"]),
        (&"none".into(), &"fair".into())
    );
    assert_eq!(row["options"]["switch-interval"], "5ms");
}

#[test]
fn output_holds_what_json_prints_and_is_appended_to() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rows.jsonl");
    let arguments = [
        "list",
        "--heap",
        "arena",
        "--format",
        "json",
        "--output",
        path.to_str().unwrap(),
    ];
    let first = tiny(&arguments).expect(0).stdout;
    let second = tiny(&arguments).expect(0).stdout;
    assert_eq!(fs::read_to_string(&path).unwrap(), first + &second);
}

#[test]
fn csv_has_a_header_and_a_line_for_each_row() {
    let run = tiny(&["list", "rings", "--format", "csv"]).expect(0);
    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert!(
        header.iter().any(|name| name == "wall_ns")
            && header.iter().any(|name| name == "pause_p99_ns")
    );
    // The reader refuses lines whose length differs.
    assert_eq!(reader.records().map(Result::unwrap).count(), 2 * 3 * 2);
}

/// A time that no clock can hold is as good as none.
#[test]
fn an_enormous_timeout_is_no_limit() {
    tiny(&["list", "--heap", "arena", "--timeout", "500000000000y"]).expect(0);
    let budget = ["--budget", "500000000000y", "--invocations", "2"];
    harness(&[&["run", "list", "--heap=arena", "--size=tiny"], &budget[..]].concat()).expect(0);
}

#[test]
fn one_heap_is_run_twice_and_the_conclusion_says_what_that_shows() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rows.jsonl");
    let output = path.to_str().unwrap();
    let run = harness(&[
        "run",
        "list",
        "--size",
        "tiny",
        "--invocations",
        "2",
        "--output",
        output,
        "--verbose",
    ])
    .expect(0);
    assert!(
        run.stdout
            .contains("A/A: the ratio of two equal things is known to "),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("gc-marksweep against gc-rc, at equal memory: "),
        "{}",
        run.stdout
    );
    let series: Vec<_> = processes(&rows_of(&path)).into_keys().collect();
    assert_eq!(series.iter().filter(|(_, _, twin)| *twin).count(), 1);
    assert_eq!(series.len(), 4);
    assert!(
        run.stderr
            .contains("list on gc-rc (again), process 2, iteration 1: "),
        "{}",
        run.stderr
    );
    let run = tiny(&["list"]).expect(0);
    let text = unwrapped(&run.stdout);
    assert!(
        text.contains("undecided in 1 of 1"),
        "one process proves nothing: {text}"
    );
}

#[test]
fn a_budget_bounds_the_time_and_says_what_it_left_out() {
    let run = harness(&[
        "run",
        "list",
        "rings",
        "countdown",
        "--heap=gc-marksweep,arena",
        "--size=tiny",
        "--budget=10ms",
    ])
    .expect(0);
    // Two processes of the first comparison take longer than that.
    assert!(
        run.stdout
            .contains("Budget of 10ms: 2 processes for each pair; left out: rings, countdown"),
        "{}",
        run.stdout
    );
    let run = harness(&[
        "run",
        "list",
        "--heap=arena",
        "--size=tiny",
        "--budget=1h",
        "--invocations=4",
    ]);
    assert!(
        run.expect(0)
            .stdout
            .contains("4 processes for each pair, nothing left out")
    );
}

/// Iteration 0 warms up, unless no other is asked for: then it is what is timed.
#[test]
fn the_first_iteration_itself_is_timed_if_no_other_is() {
    let list = ["list", "--heap=gc-rc", "--iterations=0"];
    let rows = tiny(&[&list[..], &["--format=json"]].concat())
        .expect(0)
        .rows();
    let numbers: Vec<_> = rows.iter().map(|row| row["iteration"].clone()).collect();
    assert_eq!(numbers, [0]);
    let table = tiny(&list).expect(0).stdout;
    assert!(table.contains("1 timed iteration, cold"), "{table}");
    assert!(table.contains("nodes/s"), "{table}");
}
