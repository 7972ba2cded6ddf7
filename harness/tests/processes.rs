//! Processes that misbehave: runtimes that leave others behind, hang, say too much or too little;
//! systems that refuse. A runtime here is a shell script, which takes the place of a program that a
//! C compiler of ours has made.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod common;
use common::{copy, harness_in, rows, script, send};

/// Asked for of whatever must not be waited for, in seconds.
const LONG: u64 = 181;

/// What a command did.
struct Run {
    status: i32,
    rows: Vec<Value>,
    errors: String,
    directory: TempDir,
}

impl Run {
    /// The rows of the runtime: how each ended.
    fn statuses(&self) -> Vec<&str> {
        let rows = self.rows.iter().filter(|row| row["heap"] == "boehm");
        rows.map(|row| row["status"].as_str().unwrap()).collect()
    }

    /// What the last row of the runtime says.
    fn message(&self) -> &str {
        let mut rows = self.rows.iter().filter(|row| row["heap"] == "boehm");
        rows.next_back().unwrap()["message"].as_str().unwrap_or("")
    }
}

/// The work that every heap does: one row of it.
fn work() -> Value {
    let directory = TempDir::new().unwrap();
    let output = harness_in(directory.path())
        .args(["run", "list", "--size", "tiny", "--heap", "arena"])
        .args(["--aa", "none", "--invocations", "1", "--format", "json"])
        .output()
        .unwrap();
    rows(&output.stdout).remove(0)
}

/// What a program prints for an iteration that did this work.
fn line(work: &Value, iteration: u32) -> String {
    let same = |name: &str| work[name].clone();
    let runtime = json!({
        "name": "Boehm-Demers-Weiser collector", "version": "8.2.2", "program": "/no/such/libgc.so",
    });
    json!({
        "runtime": runtime,
        "iteration": iteration,
        "checksum": same("checksum"),
        "operations": same("operations"),
        "allocated_objects": same("allocated_objects"),
        "allocated_payload_bytes": same("allocated_payload_bytes"),
        "allocated_bytes": u64::MAX / 2,
        "from_ns": 1000, "until_ns": 2000, "wall_ns": 1000, "cpu_ns": 1000,
        "heap_bytes": 4096, "resident_bytes": null, "pauses": [], "pauses_lost": 0,
    })
    .to_string()
}

/// Makes `directory/cc` a compiler, all of whose programs are this script.
fn compiler(directory: &Path, program: &str) {
    script(&directory.join("program"), program);
    script(
        &directory.join("cc"),
        r#"# Left behind with every pipe that it was given.
        sleep 181 &
        case "$*" in
        "-E "*) cat > /dev/null; echo 'version 8 2 2' ;;
        *)
            while [ $# -gt 0 ]; do
                [ "$1" = -o ] && out=$2
                shift
            done
            cp "${0%cc}program" "$out"
            ;;
        esac"#,
    );
}

/// Runs the workload on the arena and on a runtime that is this script, in which `@0` and `@1`
/// print the rows of the two iterations.
fn beside(program: &str, timeout: &str) -> Run {
    let directory = TempDir::new().unwrap();
    let work = work();
    let print = |iteration| format!("printf '%s\\n' '{}'", line(&work, iteration));
    let program = program.replace("@0", &print(0)).replace("@1", &print(1));
    compiler(directory.path(), &program);
    let arguments = ["--heap", "arena", "--peer", "boehm", "--timeout", timeout];
    let Output {
        status,
        stdout,
        stderr,
    } = harness_in(directory.path())
        .args(["run", "list", "--size", "tiny", "--aa", "none"])
        .args(["--invocations", "1", "--iterations", "1"])
        .args(["--format", "json", "--output", "rows.jsonl"])
        .args(arguments)
        .env("CC", directory.path().join("cc"))
        .env("LEFT", directory.path().join("left"))
        .output()
        .unwrap();
    Run {
        status: status.code().expect("it ended by itself"),
        rows: rows(&stdout),
        errors: String::from_utf8(stderr).unwrap(),
        directory,
    }
}

/// Whether a process runs, and has not merely not been waited for.
fn is_alive(pid: &str) -> bool {
    Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .is_ok_and(|output| !output.stdout.is_empty() && !output.stdout.starts_with(b"Z"))
}

/// Neither is what a runtime leaves behind waited for, nor does it stay.
#[test]
fn a_grandchild_that_keeps_the_pipe_costs_no_time_and_no_row() {
    let began = Instant::now();
    let run = beside("@0; @1; sleep 181 & echo $! > \"$LEFT\"", "120s");
    assert_eq!(run.statuses(), ["ok", "ok"], "{}", run.errors);
    assert_eq!(run.status, 0, "{}", run.errors);
    let left = fs::read_to_string(run.directory.path().join("left")).unwrap();
    while is_alive(left.trim()) {
        assert!(
            began.elapsed() < Duration::from_secs(LONG - 10),
            "{left} goes on"
        );
        thread::sleep(Duration::from_millis(5));
    }
    assert!(began.elapsed() < Duration::from_secs(LONG - 10));
}

/// Each script, the statuses of its rows, and words of the last one's message or of a note.
const HANGING: [(&str, &[&str], &str); 6] = [
    // It has been measured: what it does then is its own affair.
    (
        "@0; @1; exec >&- 2>&-; sleep 181",
        &["ok", "ok"],
        "had written every row and did not end",
    ),
    (
        "@0; exec >&-; sleep 181; @1",
        &["ok", "timeout"],
        "killed after 2s",
    ),
    (
        "@0; while :; do echo and so on; done",
        &["ok", "timeout"],
        "killed after 2s",
    ),
    (
        "@0; while :; do printf 'no end' >&2; done",
        &["ok", "timeout"],
        "killed after 2s",
    ),
    (
        "trap '' TERM INT HUP; @0; while :; do sleep 1; done",
        &["ok", "timeout"],
        "killed after 2s",
    ),
    (
        "@0; printf '{\"iteration\":1,\"che'; sleep 181",
        &["ok", "timeout"],
        "killed after 2s",
    ),
];

#[test]
fn a_timeout_is_one_whatever_hangs_and_what_is_complete_is_kept() {
    let began = Instant::now();
    thread::scope(|scope| {
        for (program, statuses, words) in HANGING {
            scope.spawn(move || {
                let run = beside(program, "2s");
                assert_eq!(run.statuses(), statuses, "{program}: {}", run.errors);
                let said = format!("{}\n{}", run.message(), run.errors);
                assert!(said.contains(words), "{program}: {said}");
            });
        }
    });
    assert!(began.elapsed() < Duration::from_secs(LONG - 10));
}

/// Each script, the statuses of its rows, and words of the last one's message.
const ODD: [(&str, &[&str], &str); 6] = [
    // A row of each iteration, in order.
    (
        "@0; @0",
        &["ok", "crashed"],
        "before it had written every row",
    ),
    // Out of its group, out of reach; but not waited for.
    (
        "@0; @1; setsid sh -c 'sleep 2; while :; do echo more; done' &",
        &["ok", "ok"],
        "",
    ),
    (
        "printf 'caf\\351 ouvert\\n'; @0; printf '\\377\\n'; @1",
        &["ok", "ok"],
        "",
    ),
    (
        "@0; printf '{\"iteration\":1,\"checks'",
        &["ok", "crashed"],
        "before it had written every row",
    ),
    (
        "@0; printf 'no caf\\351\\n' >&2; exit 3",
        &["ok", "crashed"],
        "exit status 3: no caf\u{fffd}",
    ),
    (
        "@0; @1; while :; do echo more; done | head -c 1000000",
        &["ok", "ok"],
        "",
    ),
];

#[test]
fn lines_are_bytes_and_only_whole_rows_count() {
    thread::scope(|scope| {
        for (program, statuses, words) in ODD {
            scope.spawn(move || {
                let run = beside(program, "120s");
                assert_eq!(run.statuses(), statuses, "{program}: {}", run.errors);
                assert!(
                    run.message().contains(words),
                    "{program}: {}",
                    run.message()
                );
            });
        }
    });
}

/// Starts a comparison with the runtime that this script is, in `directory`.
fn starting(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = harness_in(directory);
    command
        .args([
            "run", "list", "--size", "tiny", "--heap", "arena", "--peer", "boehm",
        ])
        .args(["--aa", "none", "--invocations", "1", "--iterations", "1"])
        .args(arguments)
        .env("CC", directory.join("cc"))
        .env("LEFT", directory.join("left"));
    command
}

/// Waits until `what` is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(LONG - 10),
            "never: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// A build, or an update, puts another program in the place of the one that is running.
#[test]
fn a_run_goes_on_when_its_program_is_replaced() {
    let directory = TempDir::new().unwrap();
    let program = directory.path().join("harness");
    copy(Path::new(env!("CARGO_BIN_EXE_harness")), &program);
    let path = directory.path().join("rows.jsonl");
    let mut run = Command::new(&program)
        .args([
            "run",
            "list",
            "--size",
            "tiny",
            "--heap",
            "gc-rc,arena",
            "--aa",
            "none",
        ])
        .args([
            "--invocations",
            "12",
            "--iterations",
            "1",
            "--quiet",
            "--output",
        ])
        .arg(&path)
        .current_dir(directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = || fs::read_to_string(&path).map_or(0, |text| text.lines().count());
    until("some rows", || lines() >= 4);
    let other = directory.path().join("other");
    script(&other, "echo 'another program'; exit 7");
    fs::rename(&other, &program).unwrap();
    let at_once = lines();
    assert!(run.wait().unwrap().success());
    let rows = rows(&fs::read(&path).unwrap());
    assert!(at_once < rows.len(), "it was not replaced in time");
    assert_eq!(rows.len(), 2 * 12 * 2);
    assert!(rows.iter().all(|row| row["status"] == "ok"), "{rows:?}");
}

#[test]
fn what_failed_is_run_again_when_a_run_is_gone_on_with() {
    let directory = TempDir::new().unwrap();
    let work = work();
    let program = format!(
        "[ -e \"$LEFT\" ] || {{ echo 'not yet' >&2; exit 3; }}\nprintf '%s\\n' '{}' '{}'",
        line(&work, 0),
        line(&work, 1)
    );
    compiler(directory.path(), &program);
    let path = directory.path().join("rows.jsonl");
    let run = |arguments: &[&str]| {
        let output = starting(directory.path(), arguments).output().unwrap();
        let rows = rows(&fs::read(&path).unwrap());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), rows.len(), said)
    };
    let (status, rows, said) = run(&["--output", "rows.jsonl"]);
    assert_eq!((status, rows), (Some(1), 3), "{said}");
    assert!(said.contains("exit status 3: not yet"), "{said}");
    fs::write(directory.path().join("left"), "").unwrap();
    let (status, rows, said) = run(&["--resume", "rows.jsonl", "--keep-failures"]);
    assert_eq!((status, rows), (Some(1), 3), "{said}");
    assert!(said.contains("crashed"), "{said}");
    let (status, rows, said) = run(&["--resume", "rows.jsonl"]);
    assert_eq!((status, rows), (Some(0), 5), "{said}");
    assert!(
        said.contains("1 process that had failed was run again"),
        "{said}"
    );
    assert!(!said.contains("crashed"), "{said}");
    // Once is enough.
    let (status, rows, said) = run(&["--resume", "rows.jsonl"]);
    assert_eq!((status, rows), (Some(0), 5), "{said}");
}

/// Whether this process was started with hangups ignored (`nohup`), and so are those that it
/// starts.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 != 0)
}

/// Whatever ends a run, its temporary directories and its children go, and what was measured stays.
#[test]
fn no_signal_leaves_anything_behind() {
    let mut signals = vec![("INT", 2), ("TERM", 15), ("QUIT", 3), ("USR1", 10)];
    if ignores_hangups() {
        println!("skipped: SIGHUP, which is ignored here");
    } else {
        signals.push(("HUP", 1));
    }
    // While it measures, and while programs are compiled.
    let scripts = ["echo $$ > \"$LEFT\"; sleep 181", "@cc"];
    thread::scope(|scope| {
        for (name, number) in signals {
            for program in scripts {
                scope.spawn(move || interrupted(name, number, program));
            }
        }
    });
}

fn interrupted(name: &str, number: i32, program: &str) {
    let directory = TempDir::new().unwrap();
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    if program == "@cc" {
        script(
            &directory.path().join("cc"),
            "case \"$*\" in \"-E \"*) cat > /dev/null; echo 'version 8 2 2'; exit ;; esac
            echo $$ > \"$LEFT\"; sleep 181",
        );
    } else {
        compiler(directory.path(), program);
    }
    let mut run = starting(directory.path(), &["--output", "rows.jsonl"])
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let left = directory.path().join("left");
    until("its beginning", || {
        let has_begun = fs::read_to_string(&left).is_ok_and(|pid| pid.ends_with('\n'));
        if !has_begun && run.try_wait().unwrap().is_some() {
            let mut errors = String::new();
            let mut stderr = run.stderr.take().unwrap();
            stderr.read_to_string(&mut errors).unwrap();
            panic!("{name}: ended before it began: {errors}");
        }
        has_begun
    });
    send(&format!("-{name}"), &run.id().to_string());
    let output = run.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(128 + number), "{name}: {errors}");
    assert!(errors.contains("interrupted"), "{name}: {errors}");
    let remains: Vec<_> = fs::read_dir(&temporary).unwrap().collect();
    assert!(remains.is_empty(), "{name}: {remains:?}");
    let child = fs::read_to_string(&left).unwrap();
    until("its child's end", || !is_alive(child.trim()));
}

/// A batch system ends every process at once; the child's end is then no crash.
#[test]
fn a_child_that_is_interrupted_with_its_parent_has_not_crashed() {
    let directory = TempDir::new().unwrap();
    for end in ["kill -TERM $$; sleep 181", "exit 143"] {
        compiler(directory.path(), &format!("kill -TERM $PPID; {end}"));
        let arguments = ["--output", "rows.jsonl"];
        let output = starting(directory.path(), &arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(143), "{errors}");
        let path = directory.path().join("rows.jsonl");
        let rows = rows(&fs::read(&path).unwrap());
        assert!(
            rows.iter().all(|row| row["status"] == "ok"),
            "{end}: {errors}"
        );
        fs::remove_file(path).unwrap();
    }
}

/// The reason is named where the program that was made may not be run, and where nothing can be
/// made.
#[test]
fn directories_for_temporary_files_that_will_not_do_are_named() {
    let directory = TempDir::new().unwrap();
    compiler(directory.path(), "");
    let text = fs::read_to_string(directory.path().join("cc")).unwrap();
    let unfit = text.replace("\"$out\"", "\"$out\"; chmod -x \"$out\"");
    fs::write(directory.path().join("cc"), unfit).unwrap();
    let output = starting(directory.path(), &["--format", "json"])
        .output()
        .unwrap();
    let rows = rows(&output.stdout);
    let message = rows.last().unwrap()["message"].as_str().unwrap();
    assert!(
        message.contains("noexec") && message.contains("TMPDIR"),
        "{message}"
    );

    let output = starting(directory.path(), &[])
        .env("TMPDIR", "/no/such/place")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("/no/such/place") && errors.contains("in TMPDIR"),
        "{errors}"
    );

    // No room: a limit of nothing for every file, at which the system sends a signal too.
    let limited = Command::new("sh")
        .args([
            "-c",
            "ulimit -f 0 && exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_harness"),
        ])
        .args(starting(directory.path(), &["--quiet"]).get_args())
        .env("CC", directory.path().join("cc"))
        .current_dir(directory.path())
        .output()
        .unwrap();
    let errors = String::from_utf8(limited.stderr).unwrap();
    assert!(
        limited.status.code().is_some(),
        "{:?}: {errors}",
        limited.status
    );
    assert!(
        errors.contains("TMPDIR") || errors.contains("cannot write"),
        "{errors}"
    );
}

/// Nothing is divided by a time of nothing.
#[test]
fn an_iteration_that_took_no_time_is_void() {
    let work = work();
    let timeless = line(&work, 1).replace("\"wall_ns\":1000", "\"wall_ns\":0");
    // A clock that goes backwards is no better.
    let backwards = timeless.replace("\"until_ns\":2000", "\"until_ns\":0");
    for last in [timeless, backwards] {
        let run = beside(&format!("@0; printf '%s\\n' '{last}'"), "120s");
        assert_eq!(run.statuses(), ["ok", "void"], "{}", run.errors);
        assert!(run.message().contains("took 0 ns"), "{}", run.message());
        assert_eq!(run.status, 1);
        for format in ["table", "csv", "markdown", "json"] {
            let arguments = ["report", "rows.jsonl", "--format", format];
            let report = harness_in(run.directory.path())
                .args(arguments)
                .output()
                .unwrap();
            let text = String::from_utf8(report.stdout).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            for word in words {
                assert!(
                    !["NaN", "nan", "inf", "Infinity"].contains(&word),
                    "{format}: {text}"
                );
            }
        }
    }
}

/// A control group of its own, for what is started with it.
struct Group {
    path: std::path::PathBuf,
}

impl Group {
    /// One in which `file` (named in version 1, or in version 2) has this value; `None`, with a
    /// line, where there can be none.
    fn new(name: &str, controller: &str, files: [&str; 2], value: &str) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let version_1 = root.join(controller);
        let (parent, file) = if version_1.is_dir() {
            (version_1, files[0])
        } else {
            (root.to_owned(), files[1])
        };
        let path = parent.join(format!("harness-{name}-{}", std::process::id()));
        if fs::create_dir(&path).is_err() {
            println!("skipped: no control group can be made here");
            return None;
        }
        let group = Self { path };
        if fs::write(group.path.join(file), value).is_err() {
            println!("skipped: no control group can be limited here");
            return None;
        }
        Some(group)
    }

    /// Runs the harness in it.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let directory = TempDir::new().unwrap();
        let output = Command::new("sh")
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.path.join("cgroup.procs"))
            .arg(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .args(["--invocations", "1", "--quiet", "--output", "rows.jsonl"])
            .current_dir(directory.path())
            .output()
            .unwrap();
        let rows = rows(&fs::read(directory.path().join("rows.jsonl")).unwrap_or_default());
        (
            output.status.code(),
            rows,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The system may need a moment to notice that everybody has ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Threads that cannot be started end the experiment at once, and are the reason in its row.
#[test]
fn a_thread_that_cannot_be_started_is_the_reason_at_once() {
    let Some(group) = Group::new("threads", "pids", ["pids.max", "pids.max"], "30") else {
        return;
    };
    // Some of the threads can be had, and would wait at a barrier for the others. A runtime has
    // none: there each thread is at work for longer than it takes to start them all.
    let arguments = [
        "--threads",
        "60",
        "--size",
        "tiny",
        "--timeout",
        "120s",
        "--aa",
        "none",
    ];
    let peers = ["--peer", "hotspot-serial,cpython"];
    let (_, rows, errors) =
        group.run(&[&["run", "list:nodes=8000000"], &arguments[..], &peers[..]].concat());
    assert!(rows.len() >= 3, "{errors}");
    for row in rows {
        let heap = row["heap"].as_str().unwrap();
        let message = row["message"].as_str().unwrap_or("");
        println!("{heap}: {}: {message}", row["status"]);
        // Its threads may have ended before the next one begins.
        if !(heap == "cpython" && row["status"] == "ok") {
            assert_eq!(row["status"], "crashed", "{heap}: {message}");
            assert!(message.contains("cannot start a "), "{heap}: {message}");
        }
    }
    fs::write(group.path.join("pids.max"), "8").unwrap();
    let claims = [
        "claims",
        "lost-update",
        "contention",
        "--peer",
        "none",
        "--size",
        "tiny",
    ];
    let (_, rows, errors) = group.run(&[&claims[..], &["--timeout", "120s"]].concat());
    let refused = |row: &&Value| {
        row["message"]
            .as_str()
            .is_some_and(|text| text.contains("cannot start a thread"))
    };
    assert!(rows.iter().filter(refused).count() > 3, "{errors}");
    assert!(
        rows.iter().all(|row| row["status"] != "timeout"),
        "{errors}"
    );
}

/// What a container allows is what the arena takes into account, wherever the limit is.
#[test]
fn an_arena_that_a_control_group_leaves_no_room_is_skipped() {
    let files = ["memory.limit_in_bytes", "memory.max"];
    let Some(outer) = Group::new("memory", "memory", files, "96M") else {
        return;
    };
    let path = outer.path.join("inner");
    if fs::create_dir(&path).is_err() {
        println!("skipped: no nested control group can be made here");
        return;
    }
    // Its own limit is none.
    let inner = Group { path };
    let work = ["run", "binary-trees:depth=16"];
    let (status, rows, errors) =
        inner.run(&[&work[..], &["--heap", "arena", "--timeout", "10m"]].concat());
    assert_eq!(rows.len(), 1, "{errors}");
    assert_eq!(rows[0]["status"], "skipped", "{}", rows[0]);
    let message = rows[0]["message"].as_str().unwrap();
    assert!(message.contains("MiB"), "{message}");
    assert_eq!(rows[0]["environment"]["cgroup_memory_bytes"], 96 << 20);
    assert_eq!(status, Some(0), "{errors}");
    drop(inner);
}
