//! The command as a user types it, good and bad.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const WORKLOADS: [&str; 8] = [
    "gcbench",
    "binary-trees",
    "list",
    "rings",
    "churn",
    "rewire",
    "sawtooth",
    "countdown",
];
const HEAPS: [&str; 3] = ["gc-rc", "gc-marksweep", "arena"];

/// What a command did.
struct Run {
    status: i32,
    stdout: String,
    stderr: String,
    directory: TempDir,
}

impl Run {
    fn of(program: &Path, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let output = Command::new(program)
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap();
        Self::from_output(output, directory)
    }

    fn from_output(output: Output, directory: TempDir) -> Self {
        Self {
            status: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            directory,
        }
    }

    #[track_caller]
    fn expect(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Refused with one line that contains these parts, and nothing run.
    #[track_caller]
    fn expect_refusal(self, parts: &[&str]) {
        let run = self.expect(2);
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "no '{part}' in: {}", run.stderr);
        }
        assert_eq!(run.stdout, "");
    }

    /// The rows on standard output.
    fn rows(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

fn harness(arguments: &[&str]) -> Run {
    Run::of(Path::new(env!("CARGO_BIN_EXE_harness")), arguments)
}

fn tiny(arguments: &[&str]) -> Run {
    let common = ["run", "--size", "tiny", "--invocations", "1"];
    harness(&[&common, arguments].concat())
}

#[test]
fn help_teaches() {
    let help = harness(&["--help"]).expect(0).stdout;
    for part in [
        "Examples:",
        "Exit status:",
        "harness run binary-trees:depth=18",
        "--timeout",
        "list",
        "run",
        "minheap",
        "--peer",
    ] {
        assert!(help.contains(part), "no '{part}' in:\n{help}");
    }
    assert!(!help.contains("child"));
    let help = harness(&["run", "--help"]).expect(0).stdout;
    for part in [
        "cycle",
        "switch-interval",
        "[default: 5ms]",
        "depth",
        "64M",
        "--heap-size",
    ] {
        assert!(help.contains(part), "no '{part}' in:\n{help}");
    }
    assert!(
        harness(&["--version"])
            .expect(0)
            .stdout
            .starts_with("harness ")
    );
}

#[test]
fn list_names_everything() {
    let list = harness(&["list"]).expect(0).stdout;
    for name in WORKLOADS.iter().chain(&HEAPS) {
        assert!(
            list.contains(&format!("\n  {name} ")),
            "no {name} in:\n{list}"
        );
    }
}

/// Checksum, operations, objects, payload bytes.
type Work = (String, u64, u64, u64);

/// Every workload does the same work on every heap, and whatever the number of threads where it says so.
#[test]
fn every_workload_agrees_on_every_heap() {
    let run = tiny(&[
        "--threads",
        "1,2,3",
        "--format",
        "json",
        "--iterations",
        "2",
    ])
    .expect(0);
    let rows = run.rows();
    assert_eq!(rows.len(), WORKLOADS.len() * HEAPS.len() * 3 * 3);
    let mut checksums: BTreeMap<(String, u64), BTreeSet<Work>> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row["status"], "ok", "{row}");
        assert_eq!(row["schema"], 1);
        let number = |name: &str| {
            row[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {row}"))
        };
        assert!(number("wall_ns") > 0 && number("cpu_ns") > 0 && number("peak_heap_bytes") > 0);
        let work = (
            row["checksum"].as_str().unwrap().to_owned(),
            number("operations"),
            number("allocated_objects"),
            number("allocated_payload_bytes"),
        );
        let workload = row["workload"].as_str().unwrap().to_owned();
        checksums
            .entry((workload, number("threads")))
            .or_default()
            .insert(work);
        if row["heap"] != "arena" {
            assert!(number("peak_heap_bytes") <= number("heap_bytes"), "{row}");
        }
        assert!(
            row["environment"]["rustc"]
                .as_str()
                .unwrap()
                .starts_with("rustc ")
        );
    }
    for (key, works) in &checksums {
        assert_eq!(works.len(), 1, "{key:?}: {works:?}");
    }
    for workload in WORKLOADS.iter().filter(|&&workload| workload != "churn") {
        let by_threads: BTreeSet<_> = (1..=3)
            .map(|threads| {
                checksums[&((*workload).to_owned(), threads)]
                    .first()
                    .unwrap()
                    .0
                    .clone()
            })
            .collect();
        assert_eq!(by_threads.len(), 1, "{workload}: {by_threads:?}");
    }
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let checksum = |seed| {
        let run = tiny(&[
            "churn",
            "--heap",
            "gc-marksweep",
            "--format",
            "json",
            "--seed",
            seed,
        ])
        .expect(0);
        run.rows()[0]["checksum"].clone()
    };
    assert_eq!(checksum("1"), checksum("1"));
    assert_ne!(checksum("1"), checksum("2"));
}

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

#[test]
fn unknown_names_are_met_with_the_nearest() {
    tiny(&["ringz"]).expect_refusal(&["unknown workload 'ringz'", "did you mean 'rings'"]);
    tiny(&["rings", "--heap", "gc-cr"])
        .expect_refusal(&["unknown heap 'gc-cr'", "did you mean 'gc-rc'"]);
    tiny(&["rings:helt=3"])
        .expect_refusal(&["unknown parameter of rings 'helt'", "did you mean 'held'"]);
    tiny(&["rings", "--heap", "gc-rc:cycles=none"])
        .expect_refusal(&["option of gc-rc 'cycles'", "did you mean 'cycle'"]);
    tiny(&["rings", "--heap", "gc-rc:cycle=nun"]).expect_refusal(&[
        "cycle",
        "'nun'",
        "generational | bacon-rajan | none",
    ]);
    tiny(&["rings:held=many"]).expect_refusal(&["held", "'many'", "whole number"]);
    harness(&["runn"]).expect_refusal(&["runn", "run"]);
}

#[test]
fn impossible_numbers_are_refused() {
    tiny(&["list", "--threads", "0"]).expect_refusal(&["0", "--threads"]);
    tiny(&["list", "--heap-size", "lots"]).expect_refusal(&["lots", "64M"]);
    tiny(&["list", "--timeout", "10"]).expect_refusal(&["10", "60s"]);
    tiny(&["list", "--heap", "gc-marksweep", "--heap-size", "4K"]).expect_refusal(&[
        "gc-marksweep",
        "4096",
        "too small",
    ]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_runs() {
    let run = tiny(&["list", "--output", "no/such/directory/rows.jsonl"]);
    run.expect_refusal(&["cannot write no/such/directory/rows.jsonl", "--output FILE"]);
}

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

/// The arena never frees; where it would need more than there is, the pair is skipped, which is no failure.
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

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_is_killed_is_reported_and_the_rest_goes_on() {
    use std::process::Stdio;
    use std::thread;
    use std::time::Duration;

    let directory = TempDir::new().unwrap();
    let parent = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args([
            "run",
            "countdown:total=1000000000000",
            "list",
            "--heap",
            "gc-marksweep",
        ])
        .args(["--size", "tiny", "--invocations", "1", "--format", "json"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let child = loop {
        let children = fs::read_to_string(&children).unwrap();
        // Reading its environment starts short-lived processes too; the one to kill carries an invocation.
        let is_invocation = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains("child\0{"))
        };
        match children.split_whitespace().find(is_invocation) {
            Some(pid) => break pid.to_owned(),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(
        Command::new("kill")
            .args(["-9", &child])
            .status()
            .unwrap()
            .success()
    );
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
    use std::process::Stdio;
    use std::thread;
    use std::time::{Duration, Instant};

    let directory = TempDir::new().unwrap();
    let mut parent = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["run", "countdown:total=1000000000000", "--heap", "gc-rc"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_invocation = |pid: &str| {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("child\0{"))
    };
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let child = loop {
        let children = fs::read_to_string(&children).unwrap();
        match children.split_whitespace().find(|pid| is_invocation(pid)) {
            Some(pid) => break pid.to_owned(),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_invocation(&child) {
        assert!(Instant::now() < deadline, "process {child} goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The disk may fill up half-way: what has been measured is printed instead, and the exit status does not say that nothing was run.
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
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
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
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .stdout(full())
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {message}");
        assert!(
            message.contains("cannot write to standard output"),
            "{message}"
        );
    }

    let rings = ["run", "rings", "--size", "tiny", "--invocations", "1"];
    let arguments = [
        "--heap",
        "gc-rc:cycle=none",
        "--heap",
        "arena",
        "--output",
        "rows.jsonl",
    ];
    for (format, status) in [("table", 1), ("json", 3)] {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command
            .args(rings)
            .args(arguments)
            .args(["--format", format])
            .current_dir(directory.path())
            .stderr(full());
        if status == 3 {
            command.stdout(full());
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{format}");
        let rows = fs::read_to_string(directory.path().join("rows.jsonl")).unwrap();
        assert_eq!(rows.lines().count(), 3, "{rows}");
    }

    let status = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["run", "nosuch"])
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}

/// A time that no clock can hold is as good as none.
#[test]
fn an_enormous_timeout_is_no_limit() {
    tiny(&["list", "--heap", "arena", "--timeout", "500000000000y"]).expect(0);
}

/// A reader that goes away early is no error.
#[test]
fn output_may_be_cut_short() {
    let command = format!("'{}' list | head -n 1", env!("CARGO_BIN_EXE_harness"));
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

/// The example of a workload of one's own has the whole command line, with the workload in it.
#[test]
fn a_workload_of_ones_own_is_compared_like_the_others() {
    // Cargo builds examples before it runs tests, beside the directory of this program.
    let program: PathBuf = std::env::current_exe()
        .unwrap()
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/own_workload");
    let arguments = [
        "run",
        "stack:depth=50",
        "list",
        "--size",
        "tiny",
        "--threads",
        "2",
        "--format",
        "json",
    ];
    let run = Run::of(&program, &arguments).expect(0);
    let rows = run.rows();
    let mine: Vec<_> = rows
        .iter()
        .filter(|row| row["workload"] == "stack")
        .collect();
    assert_eq!(mine.len(), 3 * 3 * 2);
    assert!(rows.iter().all(|row| row["status"] == "ok"));
    assert!(
        Run::of(&program, &["list"])
            .expect(0)
            .stdout
            .contains("stack")
    );
}

/// What a workload sees on its way is in its rows, and in the table.
#[test]
fn sawtooth_shows_what_survivors_hold_on_to() {
    let heaps = ["--heap", "gc-rc,gc-marksweep", "--threads", "1,2"];
    let run = tiny(&[&["sawtooth", "--output", "rows.jsonl"], &heaps[..]].concat()).expect(0);
    assert!(
        run.stdout.contains("peak occupied over live "),
        "{}",
        run.stdout
    );
    let rows = fs::read_to_string(run.directory.path().join("rows.jsonl")).unwrap();
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let seen = |name: &str| row["observations"][name].as_u64().unwrap();
        // What lives is occupied; and of what random survivors are strewn over, much.
        assert!(seen("peak_occupied_over_live_percent") >= 100, "{row}");
        assert!(seen("fall_occupied_over_live_percent") >= 100, "{row}");
        if cfg!(target_os = "linux") {
            assert!(
                seen("calm_resident_bytes") > 0 && seen("peak_resident_bytes") > 0,
                "{row}"
            );
        }
    }
}

/// The smallest heap is found: it completes, and a tenth less does not. Asked again, nothing is run again.
#[test]
fn minheap_finds_the_smallest_heap_and_goes_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("minima.jsonl");
    let arguments = [
        "minheap",
        "list:nodes=100000",
        "--size",
        "tiny",
        "--heap",
        "gc-rc,gc-marksweep,arena",
        "--output",
        path.to_str().unwrap(),
    ];
    let first = harness(&arguments).expect(0);
    for part in [
        "gc-rc",
        "gc-marksweep",
        "three times",
        "needs most",
        "--heap-size",
    ] {
        assert!(
            first.stdout.contains(part),
            "no '{part}' in:\n{}",
            first.stdout
        );
    }
    assert!(
        first.stderr.contains("arena has no limit"),
        "{}",
        first.stderr
    );
    let rows = fs::read_to_string(&path).unwrap();
    for heap in ["gc-rc", "gc-marksweep"] {
        let sizes = |ended: &str| {
            let rows = rows
                .lines()
                .map(|row| serde_json::from_str::<Value>(row).unwrap());
            let of_heap = rows.filter(|row| row["heap"] == heap && row["status"] == ended);
            of_heap
                .map(|row| row["heap_bytes"].as_u64().unwrap())
                .collect::<Vec<_>>()
        };
        let (completed, failed) = (sizes("ok"), sizes("heap-full"));
        let (least, most) = (
            completed.iter().min().unwrap(),
            failed.iter().max().unwrap(),
        );
        // 100,000 nodes of at least 24 bytes.
        assert!(
            most < least && *least >= 2_400_000,
            "{heap}: {failed:?} {completed:?}"
        );
        assert!(
            least - most <= least / 10,
            "{heap}: {failed:?} {completed:?}"
        );
    }

    let again = harness(&arguments).expect(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), rows);
    assert_eq!(again.stdout, first.stdout);

    let interrupted: String = rows
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, &interrupted).unwrap();
    let resumed = harness(&arguments).expect(0);
    assert_eq!(resumed.stdout, first.stdout);
    assert!(fs::read_to_string(&path).unwrap().starts_with(&interrupted));
}
