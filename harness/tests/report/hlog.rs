//! Interval logs of HdrHistogram, read by its Python implementation, and by the format's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::invocation::Distribution;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::browser::{first_that_runs, tool};
use crate::{report, rows, succeeded};

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
