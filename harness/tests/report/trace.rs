//! Traces, read by the engine of a browser's profiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::browser::{first_that_runs, tool};
use crate::{ONLY, only_rows, report, succeeded};

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
