//! `harness minheap` and `harness sweep`: minima, and heaps at their multiples.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::{harness, rows_of};

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
