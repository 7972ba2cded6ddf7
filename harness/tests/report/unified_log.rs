//! The log of collections, read by a parser of HotSpot's logs, by GCViewer's rules, and laid beside
//! what a JVM wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::browser::{first_that_runs, tool};
use crate::{ONLY, only_rows, report, succeeded};

/// One collection as a reader of unified logs sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Collection {
    kind: String,
    cause: String,
    kibibytes: [u64; 3],
    milliseconds: f64,
}

/// Reads a log by the rules that GCViewer's parser has: a line is decorators, the number, the type,
/// which ends at the first digit after a space, and the tail; what does not match is not silently
/// passed over, as it would be there, but fails.
pub(crate) fn parse_unified(log: &str) -> Vec<Collection> {
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
const MODEL: &str = include_str!("../data/hotspot-25.log");

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
