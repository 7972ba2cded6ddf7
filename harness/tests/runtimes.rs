//! Runtimes that are not what their name says: shims, replaced files, settings from outside,
//! greetings in other encodings, no compiler. All of them are small shell scripts, so that nothing
//! needs to be installed; where real ones are, they are asked as well.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

mod common;
use common::{harness_in, rows, script};

/// A directory with fake runtimes, and what they print.
struct Place {
    directory: TempDir,
    /// What a process prints after the runtime that it is: two iterations of `list` at tiny size,
    /// measured by the harness itself.
    iterations: [String; 2],
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let arguments = ["--heap", "gc-rc", "--invocations", "1"];
        let output = harness(directory.path(), &arguments, &[]);
        let row = rows(&output.stdout).remove(0);
        let iterations = [0, 1].map(|iteration| {
            format!(
                r#","iteration":{iteration},"checksum":{},"operations":{},"allocated_objects":{},"allocated_payload_bytes":{},"allocated_bytes":999999999,"from_ns":1,"until_ns":1001,"wall_ns":1000,"cpu_ns":1000,"heap_bytes":1,"resident_bytes":null}}"#,
                row["checksum"],
                row["operations"],
                row["allocated_objects"],
                row["allocated_payload_bytes"]
            )
        });
        Self {
            directory,
            iterations,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a script. By another process: a file that this one had open could be open still in a
    /// child of another test, and not be run.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        script(&path, body);
        path
    }

    /// A Python interpreter that says that it is of this version, in a file of its own, and does
    /// the work of `list`. `hook` is run first.
    fn python(&self, name: &str, version: &str, hook: &str) -> PathBuf {
        let [first, second] = &self.iterations;
        let body = format!(
            r#"{hook}
version={version}
say() {{ printf '{{"runtime":{{"name":"CPython","version":"%s","program":"%s"}}%s\n' "$version" "$0" "$1"; }}
if [ "$3" = -c ]; then say '}}'; else say '{first}'; say '{second}'; fi
"#
        );
        self.script(name, &body)
    }

    /// A Java virtual machine, as far as it is asked: the same. Its home is the directory above its
    /// own.
    fn java(&self, name: &str, version: &str, hook: &str) -> PathBuf {
        let [first, second] = &self.iterations;
        let body = format!(
            r#"home=$(dirname "$(dirname "$0")")
version={version}
flags=
for argument; do case "$argument" in -XX:+Use*) flags="$flags ${{argument#-XX:+}}";; esac; done
{hook}
say() {{ printf '{{"runtime":{{"name":"OpenJDK 64-Bit Server VM","version":"%s","program":"%s","details":{{"flags":"%s"}}}}%s\n' "$version" "$0" "$flags" "$1"; }}
case "$*" in
*jdk.compiler*) echo "javac $version";;
*-XshowSettings*) printf 'java.version = %s\njava.vm.name = OpenJDK 64-Bit Server VM\njava.vm.version = %s\njava.home = %s\n' "$version" "$version" "$home" >&2;;
*-version*) ;;
*) say '{first}'; say '{second}';;
esac
"#
        );
        self.script(name, &body)
    }

    /// Runs `list` on gc-rc and on peers, in this directory of the place.
    fn run(&self, directory: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let directory = self.path(directory);
        fs::create_dir_all(&directory).unwrap();
        let arguments = [&["--heap", "gc-rc"], arguments].concat();
        harness(&directory, &arguments, environment)
    }
}

fn harness(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    harness_in(directory)
        .args(["run", "list", "--size", "tiny", "--aa", "none"])
        .args(["--format", "json"])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// The rows of a peer.
fn of(output: &Output, peer: &str) -> Vec<Value> {
    let mut rows = rows(&output.stdout);
    rows.retain(|row| row["heap"] == peer);
    assert!(!rows.is_empty(), "no rows of {peer}: {}", errors(output));
    rows
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What these rows say that they were measured on: version and file.
fn measured(rows: &[Value]) -> Vec<(&str, &str, &str)> {
    rows.iter()
        .map(|row| {
            let peer = &row["environment"]["peer"];
            let text = |value: &'static str| peer[value].as_str().unwrap();
            (
                row["status"].as_str().unwrap(),
                text("version"),
                text("program"),
            )
        })
        .collect()
}

#[test]
fn a_shim_that_chooses_by_directory_is_asked_where_the_user_stands() {
    let place = Place::new();
    let one = place.python("one/bin/python3", "3.12.1", "");
    place.python("two/bin/python3", "3.13.0", "");
    let shim = place.script(
        "shims/python3",
        &format!(
            "case \"$PWD\" in */here) exec {0}/one/bin/python3 \"$@\";; *) exec {0}/two/bin/python3 \"$@\";; esac\n",
            place.directory.path().display()
        ),
    );
    let path = format!("{}:/usr/bin:/bin", place.text("shims"));
    let one = one.to_str().unwrap();
    let expected = vec![("ok", "CPython 3.12.1", one); 4];
    let common = ["--peer", "cpython", "--invocations", "2"];
    // Named, and found on PATH.
    let named = [&common[..], &["--python", shim.to_str().unwrap()]].concat();
    for (arguments, path) in [
        (named.as_slice(), "/usr/bin:/bin"),
        (&common, path.as_str()),
    ] {
        let output = place.run("here", arguments, &[("PATH", path)]);
        let rows = of(&output, "cpython");
        assert_eq!(measured(&rows), expected, "{}", errors(&output));
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert_eq!(rows[0]["environment"]["peer"]["confirmed"], true);
        assert_eq!(rows[0]["options"]["program"], one);
    }
}

/// Interpreters with the global lock and without are two peers, and each takes those of its kind
/// among what is named.
#[test]
fn interpreters_are_told_apart_by_their_lock() {
    let place = Place::new();
    let locked = place.python("locked/bin/python3", "3.13.0", "");
    let free = place.python("free/bin/python3.14t", "'3.14.0 free-threaded'", "");
    let (locked, free) = (locked.to_str().unwrap(), free.to_str().unwrap());
    let both = [
        "--peer",
        "cpython,cpython-free-threaded",
        "--invocations",
        "1",
    ];
    let named = [&both[..], &["--python", locked, "--python", free]].concat();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        place.text("locked/bin"),
        place.text("free/bin")
    );
    for (arguments, path) in [(named.as_slice(), "/usr/bin:/bin"), (&both, path.as_str())] {
        let output = place.run("here", arguments, &[("PATH", path)]);
        for (peer, version, program) in [
            ("cpython", "CPython 3.13.0", locked),
            (
                "cpython-free-threaded",
                "CPython 3.14.0 free-threaded",
                free,
            ),
        ] {
            let rows = of(&output, peer);
            let expected = vec![("ok", version, program); 2];
            assert_eq!(measured(&rows), expected, "{}", errors(&output));
        }
    }
    for (peer, python, words) in [
        ("cpython", free, "is the peer cpython-free-threaded"),
        ("cpython-free-threaded", locked, "has the global lock"),
    ] {
        let output = place.run("here", &["--peer", peer, "--python", python], &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains(words), "{}", errors(&output));
    }
}

#[test]
fn a_java_shim_that_chooses_by_directory_is_asked_where_the_user_stands() {
    let place = Place::new();
    let one = place.java("one/bin/java", "17.0.1", "");
    place.java("two/bin/java", "21.0.2", "");
    let shim = place.script(
        "shims/java",
        &format!(
            "case \"$PWD\" in */here) exec {0}/one/bin/java \"$@\";; *) exec {0}/two/bin/java \"$@\";; esac\n",
            place.directory.path().display()
        ),
    );
    let arguments = ["--peer", "hotspot-serial", "--java", shim.to_str().unwrap()];
    let arguments = [&arguments[..], &["--invocations", "1"]].concat();
    let output = place.run("here", &arguments, &[]);
    let rows = of(&output, "hotspot-serial");
    let version = "OpenJDK 64-Bit Server VM 17.0.1";
    let one = one.to_str().unwrap();
    assert_eq!(
        measured(&rows),
        [("ok", version, one); 2],
        "{}",
        errors(&output)
    );
}

#[test]
fn a_shim_that_hides_what_it_starts_is_refused() {
    let place = Place::new();
    let by_directory = r#"case "$PWD" in */here) one=3.12.1;; *) one=3.13.0;; esac"#;
    let python = place.python("python3", "$one", by_directory);
    let by_directory = r#"case "$PWD" in */here) version=17.0.1;; *) version=21.0.2;; esac"#;
    let java = place.java("jdk/bin/java", "17", by_directory);
    for (peer, option, program, versions) in [
        ("cpython", "--python", python, ["3.12.1", "3.13.0"]),
        ("hotspot-g1", "--java", java, ["17.0.1", "21.0.2"]),
    ] {
        let arguments = ["--peer", peer, option, program.to_str().unwrap()];
        let output = place.run("here", &arguments, &[]);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        for part in versions.iter().chain(&[option]) {
            assert!(errors.contains(part), "no {part} in {errors}");
        }
    }
}

#[test]
fn a_runtime_that_is_replaced_during_the_run_is_void_from_then_on() {
    let place = Place::new();
    // The first process that is measured is still what was planned, and the second is not.
    let hook = format!(
        r#"now=$(cat {0}); [ "$3" = -c ] || echo 3.13.0 > {0}"#,
        place.text("version")
    );
    fs::write(place.path("version"), "3.12.1").unwrap();
    let python = place.python("python3", "$now", &hook);
    let python = python.to_str().unwrap();
    let arguments = ["--peer", "cpython", "--python", python];
    let arguments = [&arguments[..], &["--invocations", "2"]].concat();
    let output = place.run(".", &arguments, &[]);
    let rows = of(&output, "cpython");
    let (before, after) = (
        ("ok", "CPython 3.12.1", python),
        ("void", "CPython 3.13.0", python),
    );
    assert_eq!(measured(&rows)[..2], [before; 2]);
    assert_eq!(measured(&rows)[2], after);
    let message = rows[2]["message"].as_str().unwrap();
    assert!(message.contains("CPython 3.12.1") && message.contains("CPython 3.13.0"));
    assert_eq!(message.lines().count(), 1);
    assert!(errors(&output).contains(message), "{}", errors(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_virtual_machine_that_drops_its_flags_is_void() {
    let place = Place::new();
    let java = place.java("jdk/bin/java", "25", "flags=UseG1GC");
    let java = java.to_str().unwrap();
    let peers = "hotspot-serial,hotspot-g1,hotspot-g1-compact";
    let output = place.run(
        ".",
        &["--peer", peers, "--java", java, "--invocations", "1"],
        &[],
    );
    let status = |peer| of(&output, peer)[0]["status"].as_str().unwrap().to_owned();
    assert_eq!(status("hotspot-g1"), "ok");
    for (peer, flag) in [
        ("hotspot-serial", "UseSerialGC"),
        ("hotspot-g1-compact", "UseCompactObjectHeaders"),
    ] {
        assert_eq!(status(peer), "void");
        let message = of(&output, peer)[0]["message"].to_string();
        assert!(message.contains(flag), "{message}");
    }
}

/// In a row of each iteration, and a mark where a process never became steady.
#[test]
fn how_a_runtime_warmed_up_is_recorded() {
    for (steady, marks) in [(true, 0), (false, 1)] {
        let mut place = Place::new();
        for line in &mut place.iterations {
            *line = format!(r#","warmup":{{"ns":7000,"runs":12,"steady":{steady}}}{line}"#);
        }
        let java = place.java("jdk/bin/java", "17.0.1", "");
        let java = java.to_str().unwrap();
        let arguments = ["--peer", "hotspot-serial", "--java", java];
        let output = place.run(".", &arguments, &[]);
        for row in of(&output, "hotspot-serial") {
            let seen = &row["observations"];
            assert_eq!(seen["warmup_ns"], 7000, "{row}");
            assert_eq!(seen["warmup_runs_count"], 12, "{row}");
            assert_eq!(row["noisy"].as_array().unwrap().len(), marks, "{row}");
        }
    }
}

/// CPython tells of its cycle collections, and not of its cascades: a figure of the former alone
/// would be too good, in rows of today and in a file that was kept.
#[test]
fn pauses_of_a_runtime_that_does_not_tell_of_all_are_no_figure() {
    let mut place = Place::new();
    for line in &mut place.iterations {
        *line = line.replace(
            r#","wall_ns""#,
            r#","pauses_lost":0,"pauses":[[101,101,90000,90000]],"wall_ns""#,
        );
    }
    let python = place.python("python3", "3.12.1", "");
    let arguments = ["--peer", "cpython", "--python", python.to_str().unwrap()];
    let output = place.run(".", &arguments, &[]);
    for row in of(&output, "cpython") {
        assert_eq!(row["pauses_unknown"], true, "{row}");
        assert_eq!(row["pause_max_ns"], Value::Null, "{row}");
    }
    let kept = place.path("kept.jsonl");
    let lines = rows(&output.stdout).into_iter().map(|mut row| {
        let fields = row.as_object_mut().unwrap();
        fields.remove("pauses_unknown");
        fields.insert("pause_max_ns".to_owned(), 777_000_000.into());
        fields.insert(
            "pause_histogram_ns".to_owned(),
            serde_json::json!([[777_000_000, 1]]),
        );
        format!("{row}\n")
    });
    fs::write(&kept, lines.collect::<String>()).unwrap();
    let report = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["report", "--format", "table", "--verbose"])
        .arg(&kept)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let mut lines = text.lines().filter(|line| line.contains("777 ms"));
    assert!(lines.clone().any(|line| line.contains("gc-rc")), "{text}");
    assert!(lines.all(|line| !line.contains("cpython")), "{text}");
}

/// A launcher's greeting, in an encoding of its own, costs nothing but itself.
#[test]
fn a_line_that_is_no_text_costs_itself_alone() {
    let place = Place::new();
    let greeting = r"case $* in *' -cp '*) printf 'Ausf\374hrung\n';; esac";
    let java = place.java("jdk/bin/java", "17.0.1", greeting);
    let java = java.to_str().unwrap();
    let arguments = ["--peer", "hotspot-serial", "--java", java];
    let output = place.run(".", &arguments, &[]);
    let rows = of(&output, "hotspot-serial");
    assert_eq!(rows.len(), 3 * 2);
    assert!(rows.iter().all(|row| row["status"] == "ok"), "{rows:?}");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[test]
fn paths_may_be_relative_and_need_not_be_text() {
    let place = Place::new();
    let version = |name: &str| format!("17.0.{}", name.len());
    for name in ["jdk", "jdk-b"] {
        place.java(&format!("{name}/bin/java"), &version(name), "");
    }
    place.python("py/bin/python3", "3.12.1", "");
    let common = ["--peer", "hotspot-serial,cpython", "--invocations", "1"];
    for (java, python) in [
        ("jdk", "py"),
        ("./jdk/bin/java", "./py/bin/python3"),
        ("../place/jdk-b", "py/../py/bin/python3"),
    ] {
        let java = java.replace(
            "place",
            place
                .directory
                .path()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap(),
        );
        let paths = ["--java", &java, "--python", python];
        let output = place.run(".", &[&common[..], &paths].concat(), &[]);
        assert_eq!(output.status.code(), Some(0), "{java}: {}", errors(&output));
        for peer in ["hotspot-serial", "cpython"] {
            let rows = of(&output, peer);
            assert!(rows.iter().all(|row| row["status"] == "ok"), "{rows:?}");
            let program = rows[0]["environment"]["peer"]["program"].as_str().unwrap();
            assert!(Path::new(program).is_absolute(), "{program}");
        }
    }

    // A virtual machine in a directory whose name is no text, which it cannot say.
    let strange = |name: &[u8]| OsString::from_vec(name.to_vec());
    let home = place.path("jdk").with_file_name(strange(b"j\xff"));
    let java = fs::read_to_string(place.path("jdk/bin/java")).unwrap();
    let body = java.strip_prefix("#!/bin/sh\n").unwrap();
    script(&home.join("bin/java"), body);
    let output_name = strange(b"r\xff.jsonl");
    let output = harness_in(place.directory.path())
        .args(["run", "list", "--size", "tiny", "--aa", "none", "--heap"])
        .args(["gc-rc", "--invocations", "1", "--peer", "hotspot-serial"])
        .arg("--java")
        .arg(&home)
        .arg("--output")
        .arg(&output_name)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let rows = fs::read_to_string(place.directory.path().join(&output_name)).unwrap();
    let ok = rows.lines().filter(|row| row.contains(r#""status":"ok""#));
    assert_eq!(ok.count(), 4, "{rows}");

    // What has to be text is refused in one line.
    let plan = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["plan", "run", "list", "--heap", "arena", "--directory"])
        .arg(&output_name)
        .output()
        .unwrap();
    assert_eq!(plan.status.code(), Some(2));
    assert_eq!(errors(&plan).lines().count(), 1, "{}", errors(&plan));
    assert!(errors(&plan).contains("--directory"), "{}", errors(&plan));
}

/// What is set for every virtual machine of a site, every interpreter of a shell, and every
/// process.
const OUTSIDE: [(&str, &str); 9] = [
    ("JAVA_TOOL_OPTIONS", "-Xint"),
    ("_JAVA_OPTIONS", "-XX:+UseG1GC"),
    ("JDK_JAVA_OPTIONS", "-Xmx1m"),
    ("JDK_JAVAC_OPTIONS", "--release 8"),
    ("PYTHONMALLOC", "debug"),
    ("PYTHONHASHSEED", "1"),
    ("PYTHON_GIL", "0"),
    ("GC_MARKERS", "1"),
    ("MALLOC_ARENA_MAX", "1"),
];

#[test]
fn settings_from_outside_are_cleared_or_recorded_and_never_silent() {
    let place = Place::new();
    let hook = format!("env >> {}", place.text("seen"));
    let java = place.java("jdk/bin/java", "17.0.1", &hook);
    let python = place.python("python3", "3.12.1", &hook);
    let peers = ["--peer", "hotspot-serial,cpython", "--invocations", "1"];
    let paths = ["--java", java.to_str().unwrap(), "--python"];
    let arguments = [&peers[..], &paths, &[python.to_str().unwrap()]].concat();
    let output = place.run(
        ".",
        &[&arguments[..], &["--output", "r.jsonl"]].concat(),
        &OUTSIDE,
    );
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));

    let seen = fs::read_to_string(place.path("seen")).unwrap();
    let kept = "MALLOC_ARENA_MAX";
    for (name, _) in OUTSIDE {
        let is_seen = seen
            .lines()
            .any(|line| line.starts_with(&format!("{name}=")));
        assert_eq!(is_seen, name == kept, "{name}");
    }
    for row in rows(&output.stdout) {
        assert_eq!(row["environment"]["outside"][kept], "1", "{row}");
    }
    let cleared = |peer| {
        let peer = of(&output, peer)[0]["environment"]["peer"].clone();
        let names = peer["cleared"].as_array().unwrap().clone();
        let names = names
            .into_iter()
            .map(|name| name.as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let java: Vec<&str> = OUTSIDE[..4].iter().map(|(name, _)| *name).collect();
    for name in &java {
        assert!(
            cleared("hotspot-serial").iter().any(|one| one == name),
            "{name}"
        );
    }
    assert!(
        !cleared("hotspot-serial")
            .iter()
            .any(|one| one.starts_with("PYTHON"))
    );
    assert!(cleared("cpython").iter().any(|one| one == "PYTHONMALLOC"));

    // Said at the beginning, and in each report that is made of the rows.
    let report = |format: &str| {
        let output = harness_in(place.directory.path())
            .args(["report", "r.jsonl", "--format", format])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let page = || {
        let output = harness_in(place.directory.path())
            .args(["report", "r.jsonl", "--html", "r.html"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        fs::read_to_string(place.path("r.html")).unwrap()
    };
    let said = [errors(&output), report("table"), report("markdown"), page()];
    for (index, text) in said.iter().enumerate() {
        // Markdown has backslashes before some characters.
        let text = text.replace('\\', "");
        for name in java.iter().chain(&["PYTHONMALLOC"]) {
            assert!(text.contains(name), "{index}: no {name} in {text}");
        }
        assert!(index == 0 || text.contains("MALLOC_ARENA_MAX=1"), "{text}");
    }
}

#[test]
fn a_run_is_not_gone_on_with_under_other_settings() {
    let place = Place::new();
    let output = place.run(".", &["--invocations", "1", "--output", "r.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let resume = ["--invocations", "2", "--resume", "r.jsonl"];
    let output = place.run(".", &resume, &[("MALLOC_ARENA_MAX", "1")]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(
        errors(&output).contains("MALLOC_ARENA_MAX=1"),
        "{}",
        errors(&output)
    );
    let output = place.run(".", &resume, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

/// A runtime that is another one since then is another one, though it lies in the same place.
#[test]
fn a_run_is_not_gone_on_with_on_another_version() {
    let place = Place::new();
    place.python("python3", "3.12.1", "");
    let run = |arguments: &[&str]| {
        let common = ["--peer", "cpython", "--python", "./python3"];
        place.run(".", &[&common[..], arguments].concat(), &[])
    };
    let output = run(&["--invocations", "1", "--output", "r.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    place.python("python3", "3.13.0", "");
    let resume = ["--invocations", "2", "--resume", "r.jsonl"];
    let output = run(&resume);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    place.python("python3", "3.12.1", "");
    assert_eq!(run(&resume).status.code(), Some(0));
}

#[test]
fn what_was_asked_for_by_name_and_cannot_run_is_in_the_exit_status() {
    let place = Place::new();
    place.python("python3", "3.12.1", "");
    place.script("missing/cc", "exit 1");
    let environment = [("PATH", place.text("missing")), ("CC", "cc".to_owned())];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let output = place.run(
        ".",
        &["--peer", "boehm", "--invocations", "1"],
        &environment,
    );
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(
        errors(&output).contains("no boehm here"),
        "{}",
        errors(&output)
    );
    assert!(rows(&output.stdout).iter().all(|row| row["status"] == "ok"));

    let of_command = |arguments: &[&str]| {
        harness_in(place.directory.path())
            .args(arguments)
            .envs(environment)
            .output()
            .unwrap()
    };
    // A plan says it too, and so does a search for minima.
    let plan = ["plan", "run", "list", "--heap", "gc-rc", "--size", "tiny"];
    let output = of_command(&[&plan[..], &["--peer", "boehm"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("no boehm here"),
        "{}",
        errors(&output)
    );
    let search = ["minheap", "list", "--heap", "gc-rc", "--size", "tiny"];
    let output = of_command(&[&search[..], &["--peer", "boehm"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));

    // A runtime that has no program for a workload runs the others; one that has none for any has
    // run nothing.
    let cpython = ["--peer", "cpython", "--python", "./python3", "--quiet"];
    let common = ["--size", "tiny", "--invocations", "1", "--heap", "gc-rc"];
    for (workloads, status) in [(&["list", "poll"][..], 0), (&["poll"], 1)] {
        let arguments = [&["run"], workloads, &cpython, &common].concat();
        let output = of_command(&arguments);
        assert_eq!(output.status.code(), Some(status), "{}", errors(&output));
    }
}

/// A runtime environment runs what another one's compiler has made for the older of the two.
#[test]
fn a_runtime_without_a_compiler_runs_what_another_compiles() {
    let without = "case $* in *jdk.compiler*) echo 'java.lang.module.FindException: Module jdk.compiler not found' >&2; exit 1;; esac";
    for (runtime, compiler, release) in [
        ("25.0.2", "17.0.1", Some("17")),
        ("17.0.1", "25", Some("17")),
        ("21.0.3", "21.0.2", None),
    ] {
        let place = Place::new();
        let java = place.java("jre/bin/java", runtime, without);
        let record = format!(
            "case $* in -version) ;; *) echo \"$@\" >> {};; esac\necho javac {compiler}\n",
            place.text("asked")
        );
        place.script("home/bin/javac", &record);
        let arguments = ["--peer", "hotspot-serial", "--invocations", "1", "--java"];
        let arguments = [&arguments[..], &[java.to_str().unwrap()]].concat();
        let home = place.text("home");
        let output = place.run(".", &arguments, &[("JAVA_HOME", &home)]);
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        let version = format!("OpenJDK 64-Bit Server VM {runtime}");
        let rows = of(&output, "hotspot-serial");
        assert!(
            measured(&rows)
                .iter()
                .all(|row| row.0 == "ok" && row.1 == version)
        );
        let asked = fs::read_to_string(place.path("asked")).unwrap();
        let words: Vec<&str> = asked.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "--release");
        assert_eq!(at.map(|at| words[at + 1]), release, "{asked}");
        assert!(words.contains(&"LinkedLists.java"), "{asked}");
    }

    // One that was chosen besides comes first.
    let place = Place::new();
    let jre = place.java("jre/bin/java", "25.0.2", without);
    let note = format!(
        "case $* in *jdk.compiler*) echo \"$@\" >> {};; esac",
        place.text("asked")
    );
    let jdk = place.java("jdk/bin/java", "21.0.2", &note);
    let javas = [
        "--java",
        jre.to_str().unwrap(),
        "--java",
        jdk.to_str().unwrap(),
    ];
    let arguments = [
        &["--peer", "hotspot-serial", "--invocations", "1"],
        &javas[..],
    ]
    .concat();
    let output = place.run(".", &arguments, &[("JAVA_HOME", "/no/such/home")]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let asked = fs::read_to_string(place.path("asked")).unwrap();
    assert!(asked.contains("--release 21"), "{asked}");
}

/// Every virtual machine that packages have installed, as far as it has the flag: the same work,
/// and the flag in force.
#[test]
fn compact_object_headers_do_the_same_work() {
    let place = Place::new();
    let installed = fs::read_dir("/usr/lib/jvm").map(|entries| {
        let entries = entries.filter_map(Result::ok);
        let programs = entries.map(|entry| entry.path().join("bin/java"));
        programs
            .filter(|program| program.is_file())
            .collect::<Vec<_>>()
    });
    let has_flag = |java: &PathBuf| {
        let flags = [
            "-XX:+UnlockExperimentalVMOptions",
            "-XX:+UseCompactObjectHeaders",
        ];
        let output = Command::new(java).args(flags).arg("-version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(java) = installed.unwrap_or_default().into_iter().find(has_flag) else {
        eprintln!("skipped: no virtual machine here has compact object headers");
        return;
    };
    let peers = "hotspot-serial,hotspot-serial-compact,hotspot-g1-compact";
    let arguments = ["--peer", peers, "--heap-size", "16M", "--invocations", "1"];
    let arguments = [&arguments[..], &["--java", java.to_str().unwrap()]].concat();
    let output = place.run(".", &arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    for peer in peers.split(',') {
        for row in of(&output, peer) {
            assert_eq!(row["status"], "ok", "{row}");
            let flags = row["environment"]["peer"]["details"]["flags"].to_string();
            let is_compact = flags.contains("UseCompactObjectHeaders");
            assert_eq!(is_compact, peer.ends_with("-compact"), "{row}");
        }
    }
}
