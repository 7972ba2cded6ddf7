//! Reports of real runs, in every form, read as their readers read them: by another implementation
//! where there is one, by the rules of the format where there is not, and by a browser.
//!
//! What needs a program that need not be there (`python3` with the packages `hdrhistogram` and
//! `jvmind-ce`, Node with `@paulirish/trace_engine`, Chromium) says in a line that it is missing
//! and passes; with `HARNESS_TEST_TOOLS=require` it fails instead. `HARNESS_TEST_PYTHON` and
//! `HARNESS_TEST_CHROMIUM` name others than those on the path, `HARNESS_TEST_NODE_MODULES` the
//! directory of Node's packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use harness::invocation::{Distribution, Metrics, Row};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use common::browser::{Proxy, chromium, dump, first_that_runs, is_laid_out_well, tool};

mod common;

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn succeeded(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Refused with one line that has these parts.
#[track_caller]
fn refused(output: Output, parts: &[&str]) {
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
fn sample() -> &'static Path {
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

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(sample()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn report(arguments: &[&str]) -> Output {
    let common = ["report", sample().to_str().unwrap()];
    harness(&[&common, arguments].concat())
}

// ---- the command

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

// ---- tables

/// A result file that an earlier build has written, and what that build made of it. Warming up is
/// left out but once, and so are most logs and curves, which would make the file large.
#[test]
fn kept_results_give_the_same_tables() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let results = data.join("kept.jsonl");
    for (format, kept) in [
        ("table", "kept.table"),
        ("markdown", "kept.md"),
        ("csv", "kept.csv"),
    ] {
        let arguments = ["report", results.to_str().unwrap(), "--format", format];
        let kept = fs::read_to_string(data.join(kept)).unwrap();
        let now = succeeded(harness(&arguments));
        for (number, (now, kept)) in now.lines().zip(kept.lines()).enumerate() {
            assert_eq!(now, kept, "{format}, line {}", number + 1);
        }
        assert_eq!(now, kept, "{format}");
    }
}

#[test]
fn values_separated_by_commas_have_every_row() {
    let printed = succeeded(report(&["--format", "csv"]));
    let lines: Vec<&str> = printed.lines().collect();
    let columns = lines[0].split(',').count();
    assert!(lines.len() > 1);
    assert_eq!(lines.len() - 1, rows().len());
    for column in ["workload", "wall_ns", "peak_heap_bytes", "pause_max_ns"] {
        assert!(
            lines[0].split(',').any(|name| name == column),
            "{column} in {}",
            lines[0]
        );
    }
    assert!(columns > 30);
}

#[test]
fn markdown_is_a_table() {
    let printed = succeeded(report(&["--format", "markdown"]));
    let table: Vec<&str> = printed
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    let columns = table[0].matches(" |").count();
    assert!(table[0].contains("time / gc-rc [interval]"), "{}", table[0]);
    for line in &table {
        assert_eq!(line.matches(" |").count(), columns, "{line}");
    }
    let groups = 2 * 2 * 3;
    assert!(table.len() >= 2 + 3 * groups, "{printed}");
    assert!(
        printed.contains("\n    harness run binary-trees:depth=11 churn:nodes=8000 --size tiny"),
        "{printed}"
    );
}

// ---- distributions

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// What a tag's series should come to, from the rows.
#[derive(Default)]
struct Expected {
    intervals: u64,
    parts: Vec<Distribution>,
}

/// The distributions of the timed iterations, by what a tag says.
fn expected_tags() -> BTreeMap<String, Expected> {
    let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
    for row in rows().iter().filter(|row| row.iteration > 0) {
        let invocation = &row.invocation;
        let metrics = row.metrics.as_ref().unwrap();
        let threads = if invocation.threads == 1 {
            "1-thread"
        } else {
            "2-threads"
        };
        let twin = if row.twin { "/twin" } else { "" };
        let workload = match invocation.workload.as_str() {
            "churn" => "churn:nodes=8000",
            _ => "binary-trees:depth=11",
        };
        let prefix = format!(
            "{workload}/{threads}/{}/{}MiB{twin}",
            invocation.heap,
            invocation.heap_bytes >> 20
        );
        let mut add = |name: String, distribution: Distribution| {
            if distribution.count > 0 {
                let entry = expected.entry(format!("{prefix}/{name}")).or_default();
                entry.intervals += 1;
                entry.parts.push(distribution);
            }
        };
        add("pauses".to_owned(), metrics.pauses.distribution());
        add(
            "time-to-safepoint".to_owned(),
            metrics.time_to_safepoint.clone(),
        );
        for (cause, stalls) in &metrics.stalls {
            add(format!("stall-{cause}"), stalls.clone());
        }
        for (kind, latencies) in &metrics.latency {
            add(format!("latency-{kind}"), latencies.clone());
        }
        add(
            "reclamation-delay".to_owned(),
            metrics.reclamation_delay.clone(),
        );
        add("hiccup".to_owned(), metrics.hiccup.clone());
    }
    expected
}

/// The value at a percentile, from the rows' own histogram; the rank is rounded as that
/// implementation does it.
fn percentile(distribution: &Distribution, percentile: f64) -> u64 {
    let rank = (distribution.count as f64 * percentile / 100.0 + 0.5)
        .floor()
        .max(1.0) as u64;
    let mut seen = 0;
    for &(value, count) in &distribution.histogram_ns {
        seen += count;
        if seen >= rank {
            return value;
        }
    }
    unreachable!("the last value is at 100 %")
}

#[test]
fn interval_logs_are_read_by_another_implementation() {
    let python = first_that_runs(
        "HARNESS_TEST_PYTHON",
        &["python3", "python"],
        &["-c", "import hdrh.log"],
    );
    let Some(python) = tool(
        "python3 with the package hdrhistogram",
        "HARNESS_TEST_PYTHON",
        python,
    ) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("sample.hlog");
    fs::write(&log, succeeded(report(&["--format", "hlog"]))).unwrap();
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_hlog.py"))
        .arg(&log)
        .args(PERCENTILES.map(|percentile| percentile.to_string()))
        .output()
        .unwrap();
    let read: BTreeMap<String, Value> = serde_json::from_str(&succeeded(output)).unwrap();
    let expected = expected_tags();
    assert!(
        expected
            .keys()
            .any(|tag| tag.ends_with("/gc-marksweep/3MiB/pauses")),
        "{:?}",
        expected.keys()
    );
    let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(read.keys().collect()),
        names(expected.keys().collect())
    );
    for (tag, Expected { intervals, parts }) in &expected {
        let whole = Distribution::merge(parts);
        let read = &read[tag];
        assert_eq!(read["intervals"], *intervals, "{tag}");
        assert_eq!(read["count"], whole.count, "{tag}");
        let percentiles = PERCENTILES.map(|quantile| percentile(&whole, quantile));
        assert_eq!(read["percentiles"], serde_json::json!(percentiles), "{tag}");
        assert_eq!(
            read["recorded"],
            serde_json::json!(whole.histogram_ns),
            "{tag}"
        );
        // The maximum is kept to three digits, like every other value.
        assert_eq!(read["max"], percentiles[4], "{tag}");
    }
}

#[test]
fn interval_logs_follow_their_format() {
    let log = succeeded(report(&["--format", "hlog"]));
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n"),
        "{log}"
    );
    let interval = Regex::new(
        r"^Tag=([^,\s]+),(\d+\.\d{3}),(\d+\.\d{3}),(\d+(?:\.\d+)?),HISTFAA[A-Za-z0-9+/=]+$",
    )
    .unwrap();
    let mut last = 0.0;
    let mut intervals = 0;
    for line in log.lines().filter(|line| !line.starts_with('#')) {
        let parts = interval.captures(line).unwrap_or_else(|| panic!("{line}"));
        let start: f64 = parts[2].parse().unwrap();
        assert!(start >= last, "{line}");
        last = start;
        intervals += 1;
    }
    let expected: u64 = expected_tags().values().map(|tag| tag.intervals).sum();
    assert_eq!(intervals, expected);
}

// ---- the unified log

/// One collection as a reader of unified logs sees it.
#[derive(Debug, PartialEq)]
struct Collection {
    kind: String,
    cause: String,
    kibibytes: [u64; 3],
    milliseconds: f64,
}

/// Reads a log by the rules that GCViewer's parser has: a line is decorators, the number, the type,
/// which ends at the first digit after a space, and the tail; what does not match is not silently
/// passed over, as it would be there, but fails.
fn parse_unified(log: &str) -> Vec<Collection> {
    let line_form = Regex::new(
        r"^\[(?<uptime>\d+\.\d{3})s\]\[(?<level>info|debug)\]\[(?<tags>[a-z,]+) *\] GC\((?<number>\d+)\) (?<type>[-.a-zA-Z: ()]+?)(?: (?<tail>\d.*))?$",
    )
    .unwrap();
    let pause_form = Regex::new(r"^(\d+)K->(\d+)K\((\d+)K\) (\d+\.\d{3})ms$").unwrap();
    let phase_form = Regex::new(r"^\d+\.\d{3}ms$").unwrap();
    let type_form = Regex::new(r"^(Pause Full|Pause Young) \(([^()]+(?:\(\))?)\)$").unwrap();
    let stopped_form = Regex::new(
        r#"^\[\d+\.\d{3}s\]\[info\]\[safepoint *\] Safepoint "[A-Za-z]+", Time since last: \d+ ns, Reaching safepoint: (\d+) ns, Cleanup: 0 ns, At safepoint: (\d+) ns, Total: (\d+) ns$"#,
    )
    .unwrap();
    let mut lines = log.lines();
    let first = lines.next().unwrap();
    assert!(
        Regex::new(r"^\[\d+\.\d{3}s\]\[info\]\[gc\] Using [A-Za-z]+$")
            .unwrap()
            .is_match(first),
        "{first}"
    );
    let mut collections = Vec::new();
    let mut started: Option<String> = None;
    let mut uptime = 0.0;
    for line in lines {
        if let Some(stopped) = stopped_form.captures(line) {
            let last: &Collection = collections.last().expect("a stop follows its collection");
            let number = |index: usize| stopped[index].parse::<u64>().unwrap();
            let [reaching, at, total] = [1, 2, 3].map(number);
            let milliseconds = total as f64 / 1e6;
            assert!((milliseconds - last.milliseconds).abs() < 1e-3, "{line}");
            assert_eq!(reaching + at, total, "{line}");
            continue;
        }
        let parts = line_form.captures(line).unwrap_or_else(|| panic!("{line}"));
        let at: f64 = parts["uptime"].parse().unwrap();
        assert!(at >= uptime, "{line}");
        uptime = at;
        let kind = &parts["type"];
        let tail = parts.name("tail").map(|tail| tail.as_str());
        assert_eq!(parts["number"], collections.len().to_string(), "{line}");
        match (&parts["level"], &parts["tags"]) {
            ("info", "gc,start") => {
                assert!(
                    started.replace(kind.to_owned()).is_none() && tail.is_none(),
                    "{line}"
                );
            }
            ("info", "gc,phases") => {
                assert_eq!(kind, "Marking Phase");
                assert!(phase_form.is_match(tail.unwrap()), "{line}");
            }
            ("debug", "gc,phases") => assert!(phase_form.is_match(tail.unwrap()), "{line}"),
            ("info", "gc") => {
                assert_eq!(started.take().as_deref(), Some(kind), "{line}");
                let named = type_form.captures(kind).unwrap_or_else(|| panic!("{line}"));
                assert!(
                    harness::report::unified_log::CAUSES.contains(&&named[2]),
                    "{line}"
                );
                let sizes = pause_form
                    .captures(tail.unwrap())
                    .unwrap_or_else(|| panic!("{line}"));
                collections.push(Collection {
                    kind: named[1].to_owned(),
                    cause: named[2].to_owned(),
                    kibibytes: [1, 2, 3].map(|index| sizes[index].parse().unwrap()),
                    milliseconds: sizes[4].parse().unwrap(),
                });
            }
            _ => panic!("{line}"),
        }
    }
    assert!(started.is_none(), "a collection without an end");
    collections
}

/// What the log of one heap is asked for with.
const ONLY: [&str; 10] = [
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
fn only_rows() -> Vec<Metrics> {
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

/// That these collections are those of the rows.
fn assert_logged(collections: &[Collection]) {
    let rows = only_rows();
    let logged: Vec<_> = rows.iter().flat_map(|row| &row.collections_log).collect();
    assert!(!logged.is_empty());
    assert_eq!(collections.len(), logged.len());
    for (collection, record) in collections.iter().zip(logged) {
        let kind = if record.kind == "young" {
            "Pause Young"
        } else {
            "Pause Full"
        };
        assert_eq!(
            (collection.kind.as_str(), &collection.cause),
            (kind, &record.cause)
        );
        assert!((collection.milliseconds - record.pause_ns as f64 / 1e6).abs() < 1e-3);
        let sizes = [
            record.before_bytes,
            record.after_bytes,
            record.committed_bytes,
        ];
        assert_eq!(
            collection.kibibytes,
            sizes.map(|bytes| bytes.unwrap().div_ceil(1024))
        );
    }
}

#[test]
fn unified_logs_are_read_by_their_readers_rules() {
    assert_logged(&parse_unified(&succeeded(report(&ONLY))));
}

/// What a JVM of version 25 wrote, with `-XX:+UseParallelGC -Xlog:gc,gc+start,gc+phases,safepoint`:
/// two collections of the young, two of everything.
const MODEL: &str = include_str!("data/hotspot-25.log");

#[test]
fn unified_logs_are_read_by_another_implementation() {
    let python = first_that_runs(
        "HARNESS_TEST_PYTHON",
        &["python3", "python"],
        &[
            "-c",
            "import importlib.util as u, sys; sys.exit(u.find_spec('react_agent') is None)",
        ],
    );
    let Some(python) = tool(
        "python3 with the package jvmind-ce",
        "HARNESS_TEST_PYTHON",
        python,
    ) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let read = |name: &str, text: &str| {
        let log = directory.path().join(name);
        fs::write(&log, text).unwrap();
        let output = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_gc_log.py"))
            .arg(&log)
            .output()
            .unwrap();
        let read: Value = serde_json::from_str(&succeeded(output)).unwrap();
        let collections = read["collections"].as_array().unwrap().iter();
        collections
            .map(|collection| Collection {
                kind: format!("Pause {}", collection["kind"].as_str().unwrap()),
                cause: collection["cause"].as_str().unwrap().to_owned(),
                kibibytes: serde_json::from_value(collection["kibibytes"].clone()).unwrap(),
                milliseconds: collection["milliseconds"].as_f64().unwrap(),
            })
            .collect::<Vec<_>>()
    };
    let of_model = read("model", MODEL);
    let kinds: Vec<&str> = of_model.iter().map(|each| each.kind.as_str()).collect();
    let [young, full] = ["Pause Young", "Pause Full"];
    assert_eq!(kinds, [young, young, full, full]);
    assert_eq!(of_model[2].milliseconds, 28.155);

    let log = succeeded(report(&ONLY));
    assert_logged(&read("ours", &log));
    // It can tell: a size that is no size is not read.
    let damaged = log.replacen("K->", "->", 1);
    let sizes = |collections: &[Collection]| -> Vec<_> {
        let each = collections.iter().map(|collection| collection.kibibytes);
        each.collect()
    };
    assert_ne!(
        sizes(&read("damaged", &damaged)),
        sizes(&read("ours", &log))
    );
}

/// A line without what differs from one to the next: numbers, units, names of causes and
/// operations, the width of a field.
fn shape(line: &str) -> String {
    let replacements = [
        (r" +\]", "]"),
        (r"\d+(\.\d+)?", "N"),
        (r"N[KM]\b", "NU"),
        (r"Using \w+", "Using NAME"),
        (r"(Pause \w+) \(.*?\)( |$)", "$1 (CAUSE)$2"),
        (r#"Safepoint "\w+""#, "Safepoint NAME"),
        // What was added and taken away from version to version.
        (r" (Cleanup|Leaving safepoint): N ns,", ""),
        (r", Threads: .*", ""),
    ];
    let mut shape = line.to_owned();
    for (form, replacement) in replacements {
        let form = Regex::new(form).unwrap();
        shape = form.replace_all(&shape, replacement).into_owned();
    }
    shape
}

#[test]
fn unified_logs_look_like_those_of_a_jvm() {
    let model: BTreeSet<String> = MODEL.lines().map(shape).collect();
    let strange = |log: &str| {
        // Phases that HotSpot has no name for.
        let lines = log.lines().filter(|line| !line.contains("][debug]["));
        let shapes: BTreeSet<String> = lines.map(shape).collect();
        assert!(shapes.len() >= 5, "{shapes:?}");
        shapes.difference(&model).cloned().collect::<Vec<_>>()
    };
    let log = succeeded(report(&ONLY));
    assert_eq!(strange(&log), Vec::<String>::new());
    for (from, to) in [
        ("K(", "K ("),
        ("ms\n", "s\n"),
        ("][gc,start", "][gc,begin"),
        ("GC(0)", "GC 0"),
    ] {
        let mutant = log.replace(from, to);
        assert!(!strange(&mutant).is_empty(), "{from}");
    }
}

// ---- the trace

#[test]
fn traces_load_with_nested_slices() {
    let trace: Value = serde_json::from_str(&succeeded(report(&["--format", "trace"]))).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut named: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut processes: BTreeSet<u64> = BTreeSet::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    let mut counters = 0;
    for event in events {
        let number = |name: &str| event[name].as_u64();
        let nanoseconds = |name: &str| (event[name].as_f64().unwrap() * 1e3).round() as u64;
        let process = number("pid").unwrap();
        match event["ph"].as_str().unwrap() {
            "M" => match event["name"].as_str().unwrap() {
                "process_name" => assert!(processes.insert(process)),
                "thread_name" => assert!(named.insert((process, number("tid").unwrap()))),
                "process_sort_index" => {}
                other => panic!("{other}"),
            },
            "X" => {
                let (from, length) = (nanoseconds("ts"), nanoseconds("dur"));
                let track = (process, number("tid").unwrap());
                slices.entry(track).or_default().push((from, from + length));
                assert!(!event["name"].as_str().unwrap().is_empty());
            }
            "C" => {
                counters += 1;
                assert!(
                    event["args"]
                        .as_object()
                        .unwrap()
                        .values()
                        .all(Value::is_number)
                );
                assert!(event["ts"].is_number());
            }
            other => panic!("{other}"),
        }
    }
    assert!(!slices.is_empty() && counters > 0);
    for (track, mut spans) in slices {
        assert!(
            named.contains(&track) && processes.contains(&track.0),
            "{track:?}"
        );
        spans.sort_by_key(|&(from, until)| (from, std::cmp::Reverse(until)));
        let mut open: Vec<u64> = Vec::new();
        for (from, until) in spans {
            open.retain(|&end| end > from);
            assert!(
                open.last().is_none_or(|&end| until <= end),
                "{track:?}: {from} to {until} in {open:?}"
            );
            open.push(until);
        }
    }
}

/// A slice of a trace as another reader tells it.
#[derive(Clone, Debug, serde::Deserialize)]
struct Kept {
    process: String,
    thread: String,
    name: String,
    ts: f64,
    dur: f64,
    parent: Option<String>,
}

impl Kept {
    /// Its track, its name, and its nanoseconds.
    fn span(&self) -> (String, String, u64, u64) {
        let nanoseconds = |microseconds: f64| (microseconds * 1e3).round() as u64;
        // Further tracks of one thread are numbered.
        let thread = self.thread.split(" (").next().unwrap().to_owned();
        (
            thread,
            self.name.clone(),
            nanoseconds(self.ts),
            nanoseconds(self.dur),
        )
    }
}

#[test]
fn traces_are_read_by_another_implementation() {
    let modules = std::env::var_os("HARNESS_TEST_NODE_MODULES").map(PathBuf::from);
    let engine = modules
        .map(|modules| modules.join("@paulirish/trace_engine/models/trace/trace.js"))
        .filter(|engine| engine.is_file())
        .filter(|_| first_that_runs("HARNESS_TEST_NODE", &["node"], &["--version"]).is_some());
    let Some(engine) = tool(
        "Node with the package @paulirish/trace_engine",
        "HARNESS_TEST_NODE_MODULES",
        engine,
    ) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let read = |text: &str| {
        let path = directory.path().join("trace");
        fs::write(&path, text).unwrap();
        let output = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_trace.mjs"))
            .args([&engine, &path])
            .output()
            .unwrap();
        let mut read: Value = serde_json::from_str(&succeeded(output)).unwrap();
        let slices: Vec<Kept> = serde_json::from_value(read["slices"].take()).unwrap();
        (read["given"].as_u64().unwrap() as usize, slices)
    };
    // Of everything: what does not nest would be left out.
    let all = succeeded(report(&["--format", "trace"]));
    let (given, slices) = read(&all);
    assert_eq!(all.matches(r#""ph":"X""#).count(), given);
    assert_eq!(slices.len(), given);
    let processes: BTreeSet<&str> = slices.iter().map(|slice| slice.process.as_str()).collect();
    assert!(
        processes.contains("churn:nodes=8000 on gc-marksweep, 2 threads, 3 MiB"),
        "{processes:?}"
    );

    // Of one cell: they are those of its median iteration.
    let one = succeeded(report(&[&ONLY[..8], &["--format", "trace"]].concat()));
    let (_, slices) = read(&one);
    let mut rows = only_rows();
    rows.sort_by_key(|row| row.wall_ns);
    let metrics = &rows[(rows.len() - 1) / 2];
    let mut expected = Vec::new();
    for span in &metrics.spans {
        if span.kind != "collection" && span.kind != "stop" {
            let thread = format!("mutator {}", span.mutator);
            expected.push((thread, span.kind.clone(), span.at_ns, span.length_ns));
        }
    }
    let mut phases = 0;
    for collection in &metrics.collections_log {
        let mut push = |name: String, from: u64, length: u64| {
            expected.push(("collections".to_owned(), name, from, length));
        };
        push(
            format!("{} collection", collection.kind),
            collection.at_ns,
            collection.pause_ns,
        );
        phases += collection.phases.len();
    }
    // There is something of every sort: collections of several phases each, and mutators' spans.
    let collections = metrics.collections_log.len();
    assert!(collections > 0 && phases > collections && expected.len() > collections);
    let is_phase =
        |slice: &&Kept| slice.span().0 == "collections" && !slice.name.ends_with(" collection");
    assert_eq!(slices.iter().filter(is_phase).count(), phases);
    let mut found: Vec<_> = slices
        .iter()
        .filter(|slice| !is_phase(slice))
        .map(Kept::span)
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for slice in slices.iter().filter(is_phase) {
        let (_, name, _, length) = slice.span();
        // One without length at a collection's end lies after it.
        let parent = slice.parent.as_deref();
        let within = parent.is_some_and(|parent| parent.ends_with(" collection"));
        assert!(within || length == 0, "{slice:?}");
        let is_of = |collection: &&harness::invocation::CollectionRecord| {
            collection.phases.get(&name) == Some(&length)
        };
        let mut log = metrics.collections_log.iter();
        assert!(log.any(|collection| is_of(&collection)), "{slice:?}");
    }

    // It can tell: a slice that ends after the one that it lies in is left out.
    let late = Regex::new(r#""dur":(\d+\.\d+),("name":"mark")"#).unwrap();
    let damaged = late.replace(&one, r#""dur":${1}e6,$2"#);
    assert_ne!(damaged, one);
    let (given, slices) = read(&damaged);
    assert!(slices.len() < given, "{given}");
}

// ---- the page

#[test]
fn the_page_needs_nothing_else() {
    let page = succeeded(report(&["--html", "-"]));
    assert!(page.contains("default-src 'none'"), "no policy");
    for forbidden in [
        "<script",
        "src=",
        "@import",
        "url(",
        "<link",
        "href=\"http",
        "<iframe",
        "<object",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for link in Regex::new("href=\"([^\"]*)\"")
        .unwrap()
        .captures_iter(&page)
    {
        let target = link[1]
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{}", &link[1]));
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
    assert!(
        !page.contains("NaN") && !page.contains(">inf"),
        "a number is none"
    );
}

#[test]
fn every_figure_is_drawn_or_said_to_be_missing() {
    let page = succeeded(report(&["--html", "-"]));
    for title in [
        "Time relative to",
        "Memory relative to",
        "Collections against live heap",
        "Time against heap size",
        "Lower-bound overhead, wall time",
        "Lower-bound overhead, CPU time",
        "Pauses by percentile",
        "Minimum mutator utilisation",
        "Memory over time",
        "Latency against space",
    ] {
        assert!(
            page.contains(&format!("<h3>{title}")),
            "{title} is not drawn"
        );
    }
    // These workloads have no requests.
    assert!(page.contains("Request latency by percentile (the workload has no requests)"));
    let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
    for figure in &figures {
        assert!(
            figure.contains("class=\"mark\"") || figure.contains("class=\"curve\""),
            "{figure}"
        );
        assert!(figure.contains("n = "), "{figure}");
        assert!(
            figure.contains("<code>harness run binary-trees:depth=11 churn:nodes=8000 --size tiny"),
            "{figure}"
        );
    }
    assert!(figures.len() > 20);
}

#[test]
fn labels_are_text_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;,|\n[0.1s][info]";
    let path = directory.path().join("evil.jsonl");
    let mut text = String::new();
    for row in rows().into_iter().filter(|row| {
        row.invocation.workload == "churn"
            && row.invocation.heap == "gc-marksweep"
            && row.invocation.threads == 2
    }) {
        let mut row = row;
        row.invocation.workload = evil.to_owned();
        row.invocation.heap = evil.to_owned();
        if let Some(metrics) = &mut row.metrics {
            change(metrics, evil);
        }
        if let Some(environment) = &mut row.environment {
            environment.cpu = Some(evil.to_owned());
            environment.arguments = vec!["/path/to/harness".to_owned(), evil.to_owned()];
        }
        text.push_str(&serde_json::to_string(&row).unwrap());
        text.push('\n');
    }
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let page = succeeded(harness(&["report", path, "--html", "-"]));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("<img"));
    let markdown = succeeded(harness(&["report", path, "--format", "markdown"]));
    let table: String = markdown
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(
        !table.contains("<script") && !table.contains("<img"),
        "{table}"
    );
    let trace = succeeded(harness(&["report", path, "--format", "trace"]));
    serde_json::from_str::<Value>(&trace).unwrap();
    let log = succeeded(harness(&["report", path, "--format", "hlog"]));
    let tag = Regex::new(r"^(#.*|Tag=[^,\s]+,[^,\s]+,[^,\s]+,[^,\s]+,[^,\s]+)$").unwrap();
    assert!(log.lines().all(|line| tag.is_match(line)), "{log}");
    refused(
        harness(&["report", path, "--format", "unified-log"]),
        &["of one heap"],
    );
    let unified = succeeded(harness(&[
        "report",
        path,
        "--format",
        "unified-log",
        "--heap-size",
        "3M",
    ]));
    assert!(!parse_unified(&unified).is_empty());
}

/// Gives everything in a row that is text another text.
fn change(metrics: &mut Metrics, text: &str) {
    metrics.operation = text.to_owned();
    for collection in &mut metrics.collections_log {
        collection.cause = text.to_owned();
        collection.kind = text.to_owned();
        collection.phases.insert(text.to_owned(), 1);
    }
    for span in &mut metrics.spans {
        span.kind = text.to_owned();
    }
    metrics
        .stalls
        .insert(text.to_owned(), Distribution::of([1, 2, 3]));
}

// ---- the page in a browser

#[test]
fn the_page_is_laid_out_well_wide_and_narrow_light_and_dark() {
    let Some(chromium) = chromium() else { return };
    let page = succeeded(report(&["--html", "-"]));
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let proxy = Proxy::new();
    is_laid_out_well(&chromium, &page, &proxy, directory.path());
    // The browser asks its maker for the time and for updates, whatever it shows: only hosts that
    // are not its own were asked for by a page.
    let asked = || -> Vec<String> {
        let own = |request: &String| {
            let words: Vec<&str> = request.split([' ', '/', ':']).collect();
            let makers = ["google.com", "googleapis.com", "gvt1.com", "gstatic.com"];
            words
                .iter()
                .any(|word| makers.iter().any(|maker| word.ends_with(maker)))
        };
        proxy
            .requests
            .try_iter()
            .filter(|request| !own(request))
            .collect()
    };
    assert_eq!(asked(), [""; 0], "the page asked the network");
    // And one that does ask is caught.
    let path = directory.path().join("asks.html");
    fs::write(&path, "<img src=\"http://pixel.test/\">").unwrap();
    dump(&chromium, &path, 1280, false, &proxy, directory.path());
    assert!(
        asked().iter().any(|request| request.contains("pixel.test")),
        "the proxy was not asked"
    );
}
