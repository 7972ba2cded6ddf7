//! A run that somebody ended is gone on with: nothing is lost, and nothing is measured twice.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::common::{harness_in, send, shell_in};
use crate::{Run, processes, rows_of, tiny};

/// A comparison of four series of forty processes, which takes a second or two.
const LONG: [&str; 8] = [
    "run",
    "list",
    "rings",
    "--heap=gc-marksweep,arena",
    "--size=tiny",
    "--invocations=40",
    "--output",
    "rows.jsonl",
];

/// Starts the long comparison and ends it with a signal once it has written some rows.
fn interrupted(signal: &str) -> Run {
    let directory = TempDir::new().unwrap();
    let parent = harness_in(directory.path())
        .args(LONG)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let path = directory.path().join("rows.jsonl");
    while fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < 30 {
        thread::sleep(Duration::from_millis(1));
    }
    send(signal, &parent.id().to_string());
    let output = parent.wait_with_output().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        directory,
    }
}

/// Everything that the long comparison should have measured has been, once each.
#[track_caller]
fn expect_everything_once(path: &Path) {
    let processes = processes(&rows_of(path));
    assert_eq!(processes.len(), 2 * 3, "{processes:?}");
    let all: Vec<u64> = (1..=40).collect();
    for (series, numbers) in processes {
        assert_eq!(numbers, all, "{series:?}");
    }
}

/// A run that is killed half-way loses no finished process, and goes on to the same table.
#[test]
fn a_killed_run_is_gone_on_with() {
    let run = interrupted("-9");
    let path = run.directory.path().join("rows.jsonl");
    let before = fs::read_to_string(&path).unwrap();
    assert!(
        before.lines().count() < 2 * 3 * 40 * 2,
        "it was not killed in time"
    );
    // What it was writing at that moment may be there in half.
    fs::write(&path, format!("{before}{{\"schema\":2,\"workl")).unwrap();
    let resumed = |arguments: &[&str]| {
        let mut command = harness_in(run.directory.path());
        command.args(arguments).args(["--resume", "rows.jsonl"]);
        command.output().unwrap()
    };
    let output = resumed(&LONG[..6]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("was cut short, and is left out"), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("each pair in 40 processes"), "{table}");
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(&before), "what was measured is kept");
    expect_everything_once(&path);

    // Everything is there: nothing is run again, and the table is the same.
    let again = resumed(&LONG[..6]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), table);
    assert_eq!(fs::read_to_string(&path).unwrap(), after);
}

/// Ctrl-C keeps what was measured, prints the table so far, and says how to go on; what it says
/// works.
#[test]
fn an_interrupted_run_says_how_to_go_on() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let run = interrupted(signal).expect(status);
        assert!(run.stdout.contains("time / "), "{}", run.stdout);
        let (_, command) = run.stderr.split_once("Go on with:\n").unwrap();
        assert!(command.contains("--resume rows.jsonl"), "{command}");
        let output = shell_in(run.directory.path(), command);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        expect_everything_once(&run.directory.path().join("rows.jsonl"));
    }
}

#[test]
fn rows_of_another_run_are_not_gone_on_with() {
    let run = tiny(&["list", "--heap=arena", "--output", "rows.jsonl"]).expect(0);
    let path = run.directory.path().join("rows.jsonl");
    let resume = |arguments: &[&str], path: &Path| {
        tiny(&[arguments, &["--resume", path.to_str().unwrap()]].concat())
    };
    resume(&["list", "--heap=arena"], &path).expect(0);
    resume(&["rings", "--heap=arena"], &path).expect_refusal_after_notes(&[
        "rows.jsonl has rows of list on arena",
        "which this command does not run",
        "--heap=arena --output rows.jsonl",
    ]);
    resume(&["list", "--heap=arena"], Path::new("none.jsonl"))
        .expect_refusal_after_notes(&["there is no file none.jsonl"]);
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, reason) in [
        ("\"cores\":", "\"cores\":1", "begun on another machine"),
        (
            "\"revision\":\"",
            "\"revision\":\"x",
            "begun with another build",
        ),
    ] {
        let other = run.directory.path().join("other.jsonl");
        fs::write(&other, text.replace(from, to)).unwrap();
        // A build outside a repository knows no revision.
        if text.contains(from) {
            resume(&["list", "--heap=arena"], &other).expect_refusal_after_notes(&[reason]);
        }
    }
}
