//! Workloads do the same work on every heap; one's own is compared like those that are here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{HEAPS, Run, WORKLOADS, tiny};

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
    let run = |arguments: &[&str]| {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(directory.path());
        Run::from_output(command.output().unwrap(), directory).expect(0)
    };
    let rows = run(&arguments).rows();
    let mine: Vec<_> = rows
        .iter()
        .filter(|row| row["workload"] == "stack")
        .collect();
    assert_eq!(mine.len(), 3 * 3 * 2);
    assert!(rows.iter().all(|row| row["status"] == "ok"));
    assert!(run(&["list"]).stdout.contains("stack"));
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
