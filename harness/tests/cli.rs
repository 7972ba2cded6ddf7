//! The command as a user types it, good and bad.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const WORKLOADS: [&str; 13] = [
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

    /// The same; notes may come first.
    #[track_caller]
    fn expect_refusal_after_notes(mut self, parts: &[&str]) {
        let error = self.stderr.find("error: ").unwrap_or(0);
        self.stderr.drain(..error);
        self.expect_refusal(parts);
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

/// One process for each pair, and nothing twice.
fn tiny(arguments: &[&str]) -> Run {
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
        "sweep",
        "compare",
        "doctor",
        "--peer",
        "--resume",
        "130",
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

/// Every workload does the same work on every heap, and whatever the number of threads where it
/// says so.
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
    let mut processor: BTreeMap<String, u64> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row["status"], "ok", "{row}");
        assert_eq!(row["schema"], 2);
        let number = |name: &str| {
            row[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {row}"))
        };
        for name in ["wall_ns", "peak_heap_bytes"] {
            assert!(number(name) > 0, "{name} is 0 in {row}");
        }
        // A guest's kernel takes off what the host stole: of one iteration nothing may be left.
        *processor
            .entry(row["heap"].as_str().unwrap().to_owned())
            .or_default() += number("cpu_ns");
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
    assert!(processor.values().all(|&ns| ns > 0), "{processor:?}");
    for (key, works) in &checksums {
        assert_eq!(works.len(), 1, "{key:?}: {works:?}");
    }
    // Those whose threads have parts of their own say that their checksum depends on the number of
    // threads.
    let by_threads = ["churn", "lru", "poll"];
    for workload in WORKLOADS
        .iter()
        .filter(|workload| !by_threads.contains(workload))
    {
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
    for (option, value) in [
        ("--heap-size", "99999999T"),
        ("--heap-size", "1e300"),
        ("--threads", "1025"),
        ("--threads", "18446744073709551616"),
        ("--seed", "18446744073709551616"),
        ("--timeout", "99999999999999999999y"),
        ("--heap", "gc-marksweep:nursery=0"),
        ("--heap", "gc-marksweep:marking-workers=65"),
        ("--heap", "gc-marksweep:overhead-limit=98/101"),
        ("--heap", "gc-rc:overhead-limit=255"),
    ] {
        let value_alone = value.rsplit('=').next().unwrap();
        tiny(&["list", option, value]).expect_refusal(&[value_alone]);
    }
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
        // Reading its environment starts short-lived processes too; the one to kill carries an
        // invocation.
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
    let budget = ["--budget", "500000000000y", "--invocations", "2"];
    harness(&[&["run", "list", "--heap=arena", "--size=tiny"], &budget[..]].concat()).expect(0);
}

/// A reader that goes away early is no error.
#[test]
fn why_names_the_longest_pause_and_where_the_time_went() {
    let run = tiny(&[
        "rings",
        "--heap",
        "gc-rc,gc-marksweep",
        "--output",
        "rows.jsonl",
    ]);
    let run = run.expect(0);
    let path = run.directory.path().join("rows.jsonl");
    let why = harness(&["why", path.to_str().unwrap()]).expect(0);
    for words in [
        "gc-rc: ",
        "gc-marksweep: ",
        "rings: time of gc-marksweep / gc-rc",
    ] {
        assert!(why.stdout.contains(words), "{words}: {}", why.stdout);
    }
    assert!(
        why.stdout
            .contains("One process each: there is no interval")
    );
    let refused = harness(&["why", path.to_str().unwrap(), "--heap", "gc-rs"]);
    refused.expect_refusal(&["gc-rs", "gc-rc"]);

    // What a killed process leaves: all but the last row, which is named.
    let rows = fs::read_to_string(&path).unwrap();
    let cut = run.directory.path().join("cut.jsonl");
    fs::write(&cut, &rows[..rows.len() - 10]).unwrap();
    let why = harness(&["why", cut.to_str().unwrap()]).expect(0);
    assert!(
        why.stderr.contains("the last row was cut short"),
        "{}",
        why.stderr
    );

    let experiments = rows.replace("\"experiment\":false", "\"experiment\":true");
    let path = run.directory.path().join("experiments.jsonl");
    fs::write(&path, experiments).unwrap();
    let refused = harness(&["why", path.to_str().unwrap()]);
    refused.expect_refusal(&["of experiments", "harness report"]);
}

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
        "--aa",
        "none",
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
    let probed = ["sawtooth:probes=1", "--output", "rows.jsonl"];
    let run = tiny(&[&probed, &heaps[..]].concat()).expect(0);
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

/// The smallest heap is found: it completes, and a tenth less does not. Asked again, nothing is run
/// again.
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
    // What completes slowly completes; and what is so of every attempt is no part of a heap's name.
    assert!(rows.contains(r#""overhead-limit":"off""#));
    assert!(!rows.contains(r#""overhead-limit":"98/2""#));
    assert!(!first.stdout.contains("overhead-limit"), "{}", first.stdout);
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

/// Without line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rows of a result file; each must be whole.
fn rows_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    rows.collect()
}

/// For each series (heap, and whether it is the second of its heap) the numbers of the processes
/// that have all their rows, in order.
fn processes(rows: &[Value]) -> BTreeMap<(String, String, bool), Vec<u64>> {
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
    use std::process::Stdio;
    use std::thread;
    use std::time::Duration;

    let directory = TempDir::new().unwrap();
    let parent = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(LONG)
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let path = directory.path().join("rows.jsonl");
    while fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < 30 {
        thread::sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill")
        .args([signal, &parent.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
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
        Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .args(["--resume", "rows.jsonl"])
            .current_dir(run.directory.path())
            .output()
            .unwrap()
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
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(run.directory.path())
            .output()
            .unwrap();
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

#[test]
fn files_that_are_no_results_are_met_with_one_line() {
    let run = tiny(&["list", "--heap=arena", "--output", "rows.jsonl"]).expect(0);
    let good = fs::read_to_string(run.directory.path().join("rows.jsonl")).unwrap();
    let compare = |text: &str| {
        let path = run.directory.path().join("other.jsonl");
        fs::write(&path, text).unwrap();
        let rows = run.directory.path().join("rows.jsonl");
        harness(&["compare", rows.to_str().unwrap(), path.to_str().unwrap()])
    };
    compare(&good).expect(0);
    for (text, reason) in [
        (format!("{good}what is this\n{good}"), "line 3"),
        (
            good.replace("\"schema\":2", "\"schema\":77"),
            "newer version",
        ),
        (String::new(), "has no rows"),
    ] {
        let refused = compare(&text).expect(2);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    // Cut short by a kill: said, and the rest is used.
    let cut = compare(&format!("{good}{}", &good[..100])).expect(0);
    assert!(cut.stdout.contains("was cut short"), "{}", cut.stdout);
    assert!(
        harness(&["compare", "none.jsonl", "none.jsonl"])
            .expect(2)
            .stderr
            .contains("there is no file none.jsonl")
    );
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
    let text = words(&run.stdout);
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

/// Minima, then every heap at the same multiples of the largest; resumed and planned from what is
/// known.
#[test]
fn a_sweep_finds_minima_and_measures_at_their_multiples() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sweep.jsonl");
    let file = path.to_str().unwrap();
    let chosen = [
        "list:nodes=100000",
        "--heap=gc-rc,gc-marksweep",
        "--size=tiny",
        "--multiples=1.5,3",
    ];
    let more = ["--invocations=2", "--output", file];
    let run = harness(&[&["sweep"], &chosen[..], &more[..]].concat()).expect(0);
    for part in [
        "minimum heap",
        "(1.5",
        "(3.0",
        "A/A",
        "for equal time",
        "cross",
    ] {
        assert!(run.stdout.contains(part), "no '{part}' in:\n{}", run.stdout);
    }
    let rows = rows_of(&path);
    let measured = rows.iter().filter(|row| row["invocation"] != 0);
    let sizes: BTreeSet<_> = measured
        .map(|row| {
            let number = |name: &str| row[name].as_u64().unwrap();
            (number("minimum_heap_bytes"), number("heap_bytes"))
        })
        .collect();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    for (minimum, bytes) in &sizes {
        let multiple = *bytes as f64 / *minimum as f64;
        assert!((1.5..3.2).contains(&multiple), "{sizes:?}");
    }

    // Resumed, it has nothing left to do.
    let before = fs::read_to_string(&path).unwrap();
    let again = harness(
        &[
            &["sweep"],
            &chosen[..],
            &["--invocations=2", "--resume", file],
        ]
        .concat(),
    )
    .expect(0);
    assert_eq!(again.stdout, run.stdout);
    assert_eq!(fs::read_to_string(&path).unwrap(), before);

    // Its minima serve a plan; without them there is none.
    let plan = harness(
        &[
            &["plan", "sweep"],
            &chosen[..],
            &["--invocations=2", "--minima", file],
        ]
        .concat(),
    )
    .expect(0);
    assert_eq!(plan.stdout.lines().count(), 2 * 3 * 2, "{}", plan.stdout);
    // Of a file that a killed process left, what is missing is said.
    let torn = directory.path().join("torn.jsonl");
    fs::write(&torn, format!("{before}{{\"schema\":2,")).unwrap();
    let minima = ["--invocations=2", "--minima", torn.to_str().unwrap()];
    let of_torn = harness(&[&["plan", "sweep"], &chosen[..], &minima].concat()).expect(0);
    assert_eq!(of_torn.stdout.lines().count(), 2 * 3 * 2);
    assert!(of_torn.stderr.contains("cut short"), "{}", of_torn.stderr);
    harness(&[&["plan", "sweep"], &chosen[..]].concat())
        .expect_refusal(&["harness minheap", "--minima"]);
    harness(&["sweep", "list", "--multiples", "0.5"]).expect_refusal(&["0.5", "1.25"]);
}

/// The lines of a plan run anywhere, in any order and twice; merged, they are the run.
#[test]
fn a_plan_is_run_line_by_line_and_merged() {
    let plan = [
        "plan",
        "run",
        "list",
        "--heap=gc-rc,arena",
        "--size=tiny",
        "--invocations=2",
    ];
    let lines = harness(&plan).expect(0);
    let directory = &lines.directory;
    assert_eq!(lines.stdout.lines().count(), 3 * 2, "two heaps and a twin");
    let shell = |command: &str| {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    for line in lines.stdout.lines().rev() {
        shell(line);
    }
    let first = directory.path().join("results/plan/000001.jsonl");
    let before = fs::read_to_string(&first).unwrap();
    shell(lines.stdout.lines().next().unwrap());
    assert_eq!(
        fs::read_to_string(&first).unwrap(),
        before,
        "it had been run"
    );

    // Its report names the lines in one.
    let report = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args([
            "merge",
            "results/plan/000001.jsonl",
            "results/plan/000002.jsonl",
        ])
        .args(["--output", "two.jsonl", "--format", "markdown"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    assert_eq!(report.matches("harness invoke").count(), 1, "{report}");
    assert!(report.contains("# 2 lines of harness plan"), "{report}");

    let merge = |more: &[&str]| {
        let paths = (1..=6).map(|number| format!("results/plan/{number:06}.jsonl"));
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .arg("merge")
            .args(paths)
            .args(more)
            .current_dir(directory.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, table, said) = merge(&["--output", "all.jsonl"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(table.contains("each pair in 2 processes"), "{table}");
    let series = processes(&rows_of(&directory.path().join("all.jsonl")));
    assert!(
        series.len() == 3 && series.values().all(|numbers| *numbers == [1, 2]),
        "{series:?}"
    );

    // Under another name, too.
    let (status, _, said) = merge(&["--output", "./results/../results/plan/000001.jsonl"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("one of the files to be merged"), "{said}");
    assert_eq!(fs::read_to_string(&first).unwrap(), before);

    // As if one line had been run elsewhere.
    fs::write(
        &first,
        before.replace("\"host\":", "\"host\":\"elsewhere\",\"was\":"),
    )
    .unwrap();
    let (status, _, said) = merge(&["--output", "mixed.jsonl"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("different machines") && said.contains("--mixed-machines"),
        "{said}"
    );
    let (status, table, said) = merge(&["--output", "mixed.jsonl", "--mixed-machines"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(table.contains("Made on 2 machines"), "{table}");

    let json = harness(&[&plan[..], &["--json", "--directory", "out"]].concat()).expect(0);
    for row in json.rows() {
        assert!(
            row["argv"].as_array().unwrap().len() > 4
                && row["output"].as_str().unwrap().starts_with("out/")
        );
    }
    harness(&["invoke", "{}"]).expect_refusal(&["not a line of harness plan"]);
    for (name, number) in [
        ("threads", 0),
        ("threads", u64::MAX),
        ("iterations", u64::from(u32::MAX)),
        ("heap_bytes", 0),
        ("heap_bytes", u64::MAX),
    ] {
        let mut task = json.rows()[0]["task"].clone();
        task[name] = number.into();
        let text = number.to_string();
        harness(&["invoke", &task.to_string()]).expect_refusal(&[name, &text]);
    }
}

/// What a plan's directory lacks is told from the files, and what is wrong with them.
#[test]
fn what_is_missing_of_a_plan_is_planned_again() {
    let plan = [
        "plan",
        "run",
        "list",
        "--heap=gc-rc,arena",
        "--size=tiny",
        "--aa=none",
        "--iterations=2",
    ];
    let place = TempDir::new().unwrap();
    let run = |arguments: &[&str], status: i32| {
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .current_dir(place.path())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{errors}");
        (String::from_utf8(output.stdout).unwrap(), errors)
    };
    let planned = |more: &[&str]| run(&[&plan[..], &["--invocations=2"], more].concat(), 0).0;
    let whole = planned(&[]);
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(planned(&["--missing"]), whole);

    let shell = |line: &str| {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(place.path())
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    for line in &lines {
        shell(line);
    }
    assert_eq!(planned(&["--missing"]), "");

    // Cut off in its last row, begun and without a row, and ended without figures.
    let file = |number: usize| place.path().join(format!("results/plan/{number:06}.jsonl"));
    let rows = |number: usize| fs::read_to_string(file(number)).unwrap();
    let cut = rows(1);
    fs::write(file(1), &cut[..cut.len() - 10]).unwrap();
    fs::write(file(2), "").unwrap();
    let crashed = rows(3).replace(r#""status":"ok""#, r#""status":"crashed""#);
    fs::write(file(3), crashed).unwrap();
    let lost: String = lines[..3].iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(planned(&["--missing"]), lost);
    // The failure is kept on request, here and by whoever runs the lines.
    let kept = planned(&["--missing", "--keep-failures"]);
    let lost_too: Vec<&str> = kept.lines().collect();
    assert_eq!(lost_too.len(), 2, "{kept}");
    for (line, number) in lost_too.iter().zip(1..) {
        let output = format!("results/plan/{number:06}.jsonl ");
        assert!(
            line.contains(&output) && line.contains(" --keep-failures "),
            "{line}"
        );
    }
    // More rounds are more lines, and what was done stays done.
    let (lost, _) = run(&[&plan[..], &["--invocations=3", "--missing"]].concat(), 0);
    assert_eq!(lost.lines().count(), 5, "{lost}");

    // What is done is done, wherever that was; what is half done is of one machine.
    let elsewhere = |text: &str| {
        let changed = text.replace(r#""cores":"#, r#""cores":77,"was":"#);
        assert_ne!(changed, text);
        changed
    };
    let done = rows(4);
    fs::write(file(4), elsewhere(&done)).unwrap();
    assert!(shell(lines[3]).contains("nothing was run"));
    let half = cut.lines().next().unwrap();
    fs::write(file(1), elsewhere(&format!("{half}\n"))).unwrap();
    assert!(shell(lines[0]).contains("another machine"));

    // A directory of another plan, or of another build, would mix the two.
    let other = [&plan[..], &["--invocations=2", "--missing", "--seed=7"]].concat();
    let (_, errors) = run(&other, 2);
    assert!(
        errors.contains("not of this plan") && errors.contains("--directory"),
        "{errors}"
    );
    let line = lines[3].replace(r#""seed":42"#, r#""seed":7"#);
    assert!(shell(&line).contains("not of this plan"));
    let rebuilt = done.replace(r#""rustc":""#, r#""rustc":"rustc 0.1, or "#);
    assert_ne!(rebuilt, done);
    fs::write(file(4), &rebuilt).unwrap();
    let (_, errors) = run(&[&plan[..], &["--invocations=2", "--missing"]].concat(), 2);
    assert!(errors.contains("another build"), "{errors}");
    assert_eq!(rows(4), rebuilt);
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

#[test]
fn two_files_are_compared() {
    let run =
        |file: &str| tiny(&["list", "rings", "--heap=gc-rc,arena", "--output", file]).expect(0);
    let (a, b) = (run("a.jsonl"), run("b.jsonl"));
    let path = |run: &Run, name: &str| run.directory.path().join(name).to_str().unwrap().to_owned();
    let text = harness(&["compare", &path(&a, "a.jsonl"), &path(&b, "b.jsonl")])
        .expect(0)
        .stdout;
    for part in [
        "Same machine, build and settings.",
        "B / A",
        "list",
        "rings",
        "geometric mean of B / A over 2 pairs",
        "not interleaved",
    ] {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

#[test]
fn the_doctor_says_how_far_results_can_be_trusted() {
    let run = harness(&["doctor"]).expect(0);
    for part in [
        "Machine",
        "governor",
        "huge pages",
        "Runtimes",
        "python3",
        "sleeper",
        "A/A",
        "Times: ",
        "Pauses: ",
    ] {
        assert!(run.stdout.contains(part), "no '{part}' in:\n{}", run.stdout);
    }
}

#[test]
fn a_study_of_equal_things_that_is_too_short_says_so() {
    let run = harness(&["doctor", "--aa", "1ms"]).expect(2);
    assert!(
        run.stderr.contains("error: 1ms is too short: 0 rounds"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn collectors_are_explained_step_by_step() {
    let list = harness(&["explain"]).expect(0).stdout;
    for (topic, step) in [
        (
            "counting",
            "A comes off the pending list with count 0: it dies",
        ),
        ("biased", "B: one 1, others 0 -> one 1, others -1"),
        ("cycles", "one is taken from F: 1 -> 0"),
        (
            "marking",
            "not marked yet: the bits of its 4 granules are set",
        ),
    ] {
        assert!(
            list.contains(&format!("harness explain {topic} ")),
            "{list}"
        );
        let run = harness(&["explain", topic]).expect(0);
        assert!(run.stdout.contains(step), "{}", run.stdout);
        assert_eq!(run.stderr, "");
        // Nothing is measured, and nothing left behind.
        assert_eq!(fs::read_dir(run.directory.path()).unwrap().count(), 0);
        let script = harness(&["completions", "bash"]).expect(0).stdout;
        assert!(script.contains(topic), "{topic} cannot be completed");
    }
    let refused = Run::of(
        Path::new(env!("CARGO_BIN_EXE_harness")),
        &["explain", "markng"],
    );
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    refused.expect_refusal(&["unknown topic 'markng'", "did you mean 'marking'"]);
    harness(&["explain", "marking", "counting"]).expect_refusal(&["counting"]);
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = harness(&["completions", shell]).expect(0).stdout;
        for part in ["minheap", "sweep", "budget"] {
            assert!(script.contains(part), "no '{part}' for {shell}");
        }
    }
    let page = harness(&["man"]).expect(0).stdout;
    assert!(
        page.contains(".TH harness 1") && page.contains("Exit status") && page.contains("doctor"),
        "{page}"
    );
    let page = harness(&["man", "sweep"]).expect(0).stdout;
    assert!(
        page.contains(".TH harness-sweep 1") && page.contains("multiples"),
        "{page}"
    );
    harness(&["man", "swep"]).expect_refusal(&["unknown command 'swep'", "did you mean 'sweep'"]);
    harness(&["completions", "nosuch"]).expect_refusal(&["nosuch", "bash"]);
}

/// Escape sequences are for terminals only, and not for those who want none.
#[test]
fn pipes_get_no_colours() {
    for arguments in [
        &["--help"][..],
        &["run", "list", "--size=tiny", "--invocations=2"],
    ] {
        let run = harness(arguments).expect(0);
        assert!(
            !run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'),
            "{}",
            run.stdout
        );
    }
}
