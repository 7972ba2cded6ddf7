//! Heaps without room, children that die, disks that are full: said, and the rest goes on.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::common::{child_of, expect_to_end_together, harness_in, rows as rows_in, send};
use crate::{Run, tiny};

#[test]
fn a_heap_too_small_for_the_workload_is_a_result_and_the_rest_goes_on() {
    let run = tiny(&[
        "list:nodes=1000000",
        "countdown",
        "--heap-size",
        "4M",
        "--format",
        "json",
    ])
    .expect(1);
    let status = |workload: &str, heap: &str| {
        let rows = run.rows();
        let row = rows
            .iter()
            .find(|row| row["workload"] == workload && row["heap"] == heap);
        row.unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("list", "gc-rc"), "heap-full");
    assert_eq!(status("list", "gc-marksweep"), "heap-full");
    assert_eq!(status("list", "arena"), "ok");
    assert_eq!(status("countdown", "gc-rc"), "ok");
    assert!(
        run.stderr
            .contains("list:nodes=1000000 on gc-rc: heap-full")
            && run.stderr.contains("--heap-size")
    );
}

#[test]
fn cycles_fill_the_heap_without_a_cycle_collector_only() {
    let run = tiny(&[
        "rings",
        "--heap",
        "gc-rc",
        "--heap",
        "gc-rc:cycle=none",
        "--heap",
        "gc-marksweep",
    ])
    .expect(1);
    assert!(
        run.stdout.contains("rings on gc-rc:cycle=none: heap-full"),
        "{}",
        run.stdout
    );
    let failed = run
        .stdout
        .lines()
        .filter(|line| line.contains("heap-full"))
        .count();
    assert_eq!(
        failed, 2,
        "one line of the table and one note: {}",
        run.stdout
    );
}

/// The arena never frees; where it would need more than there is, the pair is skipped, which is no
/// failure.
#[test]
fn an_arena_without_room_is_skipped() {
    let run = tiny(&["list", "--heap", "arena:limit=64K", "--heap", "gc-rc"]).expect(0);
    let line = run
        .stdout
        .lines()
        .find(|line| line.contains(" arena:limit=64K "));
    assert!(line.unwrap().ends_with("skipped"), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("never frees, and would need more than 64 KiB")
    );
    tiny(&["list", "--heap", "arena:limit=1"]).expect_refusal(&["arena", "too small"]);
}

#[test]
fn a_child_that_takes_too_long_is_killed_and_the_rest_goes_on() {
    let run = tiny(&[
        "countdown:total=1000000000000",
        "list",
        "--heap",
        "gc-rc",
        "--timeout",
        "2s",
        "--format",
        "json",
    ])
    .expect(1);
    let rows = run.rows();
    assert_eq!(rows[0]["status"], "timeout", "{}", rows[0]);
    assert!(rows[0]["message"].as_str().unwrap().contains("2s"));
    assert!(rows[1..].iter().all(|row| row["status"] == "ok") && rows.len() == 3);
}

/// A child that works off an invocation.
#[cfg(target_os = "linux")]
const INVOCATION: &str = "child\0{";

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_is_killed_is_reported_and_the_rest_goes_on() {
    let directory = TempDir::new().unwrap();
    let mut parent = harness_in(directory.path())
        .args([
            "run",
            "countdown:total=1000000000000",
            "list",
            "--heap",
            "gc-marksweep",
        ])
        .args(["--size", "tiny", "--invocations", "1", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    send("-9", &child_of(&mut parent, INVOCATION));
    let run = Run::from_output(parent.wait_with_output().unwrap(), directory).expect(1);
    let rows = run.rows();
    assert_eq!(
        (&rows[0]["status"], &rows[0]["message"]),
        (&"crashed".into(), &"signal 9".into())
    );
    assert!(rows[1..].iter().all(|row| row["status"] == "ok") && rows.len() == 3);
}

/// Children must not outlive a parent that had no chance to kill them.
#[cfg(target_os = "linux")]
#[test]
fn children_end_when_their_parent_is_killed() {
    let directory = TempDir::new().unwrap();
    let mut parent = harness_in(directory.path())
        .args(["run", "countdown:total=1000000000000", "--heap", "gc-rc"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = child_of(&mut parent, INVOCATION);
    expect_to_end_together(&mut parent, &child, INVOCATION);
}

/// The disk may fill up half-way: what has been measured is printed instead, and the exit status
/// does not say that nothing was run.
#[cfg(target_os = "linux")]
#[test]
fn rows_that_cannot_be_written_are_printed() {
    let run = tiny(&["list", "rings", "--heap", "gc-rc", "--output", "/dev/full"]).expect(3);
    assert!(run.stdout.contains("nodes/s"), "{}", run.stdout);
    // A note on how the binary was built may come first.
    let error = run.stderr.find("error: ").unwrap();
    let (message, rows) = run.stderr[error..].split_once('\n').unwrap();
    assert!(
        message.starts_with("error: cannot write /dev/full: ") && message.contains("4 rows"),
        "{message}"
    );
    let rows = rows_in(rows.as_bytes());
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["status"] == "ok"));

    let run = tiny(&["list", "--format", "json", "--output", "/dev/full"]).expect(3);
    assert_eq!(run.rows().len(), 6);
    let said = run
        .stderr
        .lines()
        .filter(|line| !line.starts_with("note: "));
    assert_eq!(said.count(), 1, "{}", run.stderr);
}

/// Standard output and standard error may be files on a full disk, too.
#[cfg(target_os = "linux")]
#[test]
fn full_disks_are_met_with_words_and_lose_nothing() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["list"][..], &["--help"], &["--version"]] {
        let mut command = harness_in(Path::new("."));
        let output = command.args(arguments).stdout(full()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {message}");
        assert!(
            message.contains("cannot write to standard output"),
            "{message}"
        );
    }

    let rings = ["run", "rings", "--size", "tiny", "--invocations", "1"];
    let arguments = [
        "--aa",
        "none",
        "--heap",
        "gc-rc:cycle=none",
        "--heap",
        "arena",
        "--output",
        "rows.jsonl",
    ];
    for (format, status) in [("table", 1), ("json", 3)] {
        let directory = TempDir::new().unwrap();
        let mut command = harness_in(directory.path());
        command
            .args(rings)
            .args(arguments)
            .args(["--format", format])
            .stderr(full());
        if status == 3 {
            command.stdout(full());
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{format}");
        let rows = fs::read_to_string(directory.path().join("rows.jsonl")).unwrap();
        assert_eq!(rows.lines().count(), 3, "{rows}");
    }

    let mut command = harness_in(Path::new("."));
    let status = command.args(["run", "nosuch"]).stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(2));
}
