//! Other runtimes beside the heaps, as a user asks for them. What is not installed here is skipped,
//! with a line that says so.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use common::{child_of, expect_to_end_together, harness_in, rows};

mod common;

/// What all runtimes have programs for.
const EVERYWHERE: [&str; 5] = ["gcbench", "binary-trees", "list", "churn", "rewire"];
/// What there are programs for in Java and in Python.
const NOT_IN_C: [&str; 6] = [
    "rings",
    "quads",
    "lru",
    "sawtooth",
    "shared-graph",
    "countdown",
];
const HOTSPOT: [&str; 5] = [
    "hotspot-serial",
    "hotspot-parallel",
    "hotspot-g1",
    "hotspot-shenandoah",
    "hotspot-z",
];
const PEERS: [&str; 6] = [
    "hotspot-serial",
    "hotspot-parallel",
    "hotspot-g1",
    "hotspot-shenandoah",
    "hotspot-z",
    "boehm",
];

fn harness(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = TempDir::new().unwrap();
    harness_in(directory.path())
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs one invocation of each pair at tiny size with these peers beside gc-marksweep; `None` where
/// a runtime is not installed.
fn beside(peers: &str, arguments: &[&str]) -> Option<(Output, Vec<Value>)> {
    let common = [
        "run",
        "--size",
        "tiny",
        "--invocations",
        "1",
        "--aa",
        "none",
        "--format",
        "json",
    ];
    let heaps = ["--heap", "gc-marksweep", "--peer", peers];
    let output = harness(&[&common[..], &heaps, arguments].concat(), &[]);
    let missing = text(&output.stderr)
        .lines()
        .find(|line| line.starts_with("note: no ") && line.contains(" here: "));
    if let Some(missing) = missing {
        eprintln!("skipped: {missing}");
        return None;
    }
    let rows = rows(&output.stdout);
    Some((output, rows))
}

fn same_work(peers: &[&str], workloads: &[&str], threads: &[u64]) {
    let numbers: Vec<String> = threads.iter().map(u64::to_string).collect();
    let numbers = numbers.join(",");
    let arguments = ["--threads", &numbers, "--heap-size", "16M"];
    // The seed is one that a signed number cannot hold.
    let seed = ["--seed", "18446744073709551615"];
    let arguments = [workloads, &arguments[..], &seed].concat();
    let Some((output, rows)) = beside(&peers.join(","), &arguments) else {
        return;
    };
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(
        rows.len(),
        workloads.len() * threads.len() * (1 + peers.len()) * 2
    );
    for &workload in workloads {
        for &threads in threads {
            let group = rows
                .iter()
                .filter(|row| row["workload"] == workload && row["threads"] == threads);
            let works: BTreeSet<String> = group
                .clone()
                .map(|row| {
                    assert_eq!(row["status"], "ok", "{row}");
                    let names = ["checksum", "operations", "operation", "allocated_objects"];
                    names.map(|name| row[name].to_string()).join(" ")
                        + &row["allocated_payload_bytes"].to_string()
                })
                .collect();
            assert_eq!(works.len(), 1, "{workload}, {threads} threads: {works:?}");
            let heaps: BTreeSet<&str> = group.map(|row| row["heap"].as_str().unwrap()).collect();
            assert_eq!(heaps.len(), 1 + peers.len(), "{heaps:?}");
        }
    }
    for row in &rows {
        let is_peer = row["heap"] != "gc-marksweep";
        let version = &row["environment"]["peer"]["version"];
        assert_eq!(version.is_string(), is_peer, "{row}");
        let moving = &row["environment"]["peer"]["moving"];
        let moves = row["heap"].as_str().unwrap().starts_with("hotspot");
        assert!(!is_peer || *moving == moves, "{row}");
    }
}

#[test]
fn hotspot_does_the_same_work() {
    // The program is the same under each collector.
    for collector in HOTSPOT {
        same_work(&[collector], &EVERYWHERE, &[2]);
    }
    same_work(&HOTSPOT[..1], &EVERYWHERE, &[1, 3]);
    same_work(&HOTSPOT[..1], &NOT_IN_C, &[1, 3]);
}

#[test]
fn boehm_does_the_same_work() {
    same_work(&["boehm"], &EVERYWHERE, &[1, 2, 3]);
}

#[test]
fn cpython_does_the_same_work() {
    same_work(&["cpython"], &EVERYWHERE, &[1, 3]);
    same_work(&["cpython"], &NOT_IN_C, &[1, 3]);
}

/// The same programs on an interpreter that says, in each row, that its lock is off.
#[test]
fn cpython_without_the_lock_does_the_same_work() {
    same_work(&["cpython-free-threaded"], &EVERYWHERE, &[1, 3]);
    same_work(&["cpython-free-threaded"], &NOT_IN_C, &[3]);
    let Some((_, rows)) = beside("cpython-free-threaded", &["list"]) else {
        return;
    };
    for row in rows.iter().filter(|row| row["heap"] != "gc-marksweep") {
        let peer = &row["environment"]["peer"];
        assert!(
            peer["version"]
                .as_str()
                .unwrap()
                .ends_with(" free-threaded"),
            "{row}"
        );
        assert_eq!(peer["details"]["lock"], "off", "{row}");
    }
}

/// CPython's heap has no limit, so that it collects by its own rule; and it does not tell of its
/// cascades, so that nothing is known of its pauses.
#[test]
fn cpython_counts_its_collections_and_has_no_figure_of_pauses() {
    let Some((_, rows)) = beside("cpython", &["binary-trees:depth=12"]) else {
        return;
    };
    let mut rows = rows.iter();
    let row = rows.find(|row| row["heap"] == "cpython" && row["iteration"] == 1);
    let row = row.unwrap();
    let number = |name: &str| {
        row[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {row}"))
    };
    assert!(number("collections") > 0, "{row}");
    assert_eq!(row["pauses_unknown"], true, "{row}");
    assert_eq!(row["pause_max_ns"], Value::Null, "{row}");
    assert!(
        number("peak_heap_bytes") > 0 && number("peak_heap_bytes") < number("peak_resident_bytes"),
        "{row}"
    );
}

/// By one rule, whatever the program: for a time at least, and over several runs.
#[test]
fn programs_in_java_warm_up_and_say_so() {
    for work in ["countdown", "list"] {
        let arguments = [work, "--size", "small", "--heap-size", "128M"];
        let Some((_, rows)) = beside("hotspot-serial", &arguments) else {
            return;
        };
        let peers = rows.iter().filter(|row| row["heap"] == "hotspot-serial");
        for row in peers {
            let seen = &row["observations"];
            assert!(
                seen["warmup_ns"].as_u64().unwrap() >= 1_000_000_000,
                "{row}"
            );
            assert!(seen["warmup_runs_count"].as_u64().unwrap() >= 1, "{row}");
        }
    }
}

/// What the heaps see in this experiment, other runtimes see as well: each claim has their figure.
#[test]
fn the_stages_of_a_pipeline_see_the_same_on_other_runtimes() {
    for peer in ["hotspot-serial", "cpython"] {
        let arguments = ["claims", "pipeline", "--size", "tiny", "--peer", peer];
        let output = harness(
            &[&arguments[..], &["--invocations", "1", "--format", "json"]].concat(),
            &[],
        );
        if text(&output.stderr).contains(" here: ") {
            eprintln!("skipped: {}", text(&output.stderr));
            continue;
        }
        let claims = rows(&output.stdout);
        assert!(claims.len() > 8, "{claims:?}");
        // Of processes that run for a moment a virtual machine knows no processor time.
        let comparable = |claim: &&Value| {
            let measured = claim["measured"].as_str().unwrap();
            !measured.starts_with("processor time")
        };
        for claim in claims.iter().filter(comparable) {
            let columns = claim["columns"].as_object().unwrap();
            assert_eq!(columns.len(), 3, "{claim}");
            let has = |column: &Value| column["figure"].is_object();
            assert!(columns.values().all(has), "{claim}");
        }
    }
}

/// A heap that is too small for the garbage, and large enough for the rest, is collected, and each
/// collection is a pause.
#[test]
fn collections_of_peers_are_pauses() {
    for peer in PEERS {
        let arguments = ["binary-trees:depth=14", "--heap-size", "16M"];
        let Some((_, rows)) = beside(peer, &arguments) else {
            continue;
        };
        let row = rows
            .iter()
            .find(|row| row["heap"] == peer && row["iteration"] == 1);
        let row = row.unwrap();
        let number = |name: &str| {
            row[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {row}"))
        };
        assert!(
            number("collections") > 0 && number("pause_count") > 0,
            "{row}"
        );
        assert!(number("pause_max_ns") < number("wall_ns"), "{row}");
        assert!(
            number("time_to_safepoint_max_ns") <= number("pause_max_ns"),
            "{row}"
        );
        assert!(number("stopped_ns") > 0, "{row}");
        // Of one short iteration nothing may be left when the host's steals are taken off.
        let processor = rows.iter().filter(|row| row["heap"] == peer);
        let processor = processor.filter_map(|row| row["cpu_ns"].as_u64());
        assert!(processor.sum::<u64>() > 0, "{rows:?}");
        // Half of the heap, and a mebibyte for the rounding of the log.
        let peak = number("peak_heap_bytes");
        assert!((3 << 20..=17 << 20).contains(&peak), "{row}");
        assert_eq!(row["events_lost"], 0, "{row}");
    }
}

#[test]
fn a_heap_too_small_for_the_work_is_a_result_on_peers_too() {
    for peer in PEERS {
        let arguments = ["list:nodes=1000000", "--heap-size", "8M"];
        let Some((output, rows)) = beside(peer, &arguments) else {
            continue;
        };
        assert_eq!(output.status.code(), Some(1));
        let row = rows.iter().find(|row| row["heap"] == peer).unwrap();
        assert_eq!(row["status"], "heap-full", "{row}");
        assert_eq!(rows.iter().filter(|row| row["heap"] == peer).count(), 1);
    }
}

/// Some virtual machines refuse before any program of ours runs.
#[test]
fn a_heap_too_small_for_the_runtime_is_the_same_result() {
    let arguments = ["rewire", "--heap-size", "512K"];
    if let Some((_, rows)) = beside("hotspot-serial", &arguments) {
        let row = rows.iter().find(|row| row["heap"] == "hotspot-serial");
        assert_eq!(row.unwrap()["status"], "heap-full", "{rows:?}");
    }
}

#[test]
fn what_is_not_installed_is_said_and_the_rest_is_run() {
    let empty = TempDir::new().unwrap();
    let path = empty.path().to_str().unwrap();
    let common = [
        "run",
        "list",
        "rings",
        "--size",
        "tiny",
        "--invocations",
        "1",
        "--aa",
        "none",
    ];
    let peers = [
        "--peer",
        "boehm,hotspot-serial,hotspot-g1",
        "--format",
        "json",
    ];
    let environment = [("PATH", path), ("CC", "no-such-compiler")];
    let output = harness(&[&common[..], &peers].concat(), &environment);
    let errors = text(&output.stderr);
    // What was asked for by name has no figures.
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(rows(&output.stdout).len(), 2 * 3 * 2);
    let notes: Vec<&str> = errors
        .lines()
        .filter(|line| line.contains(" here: "))
        .collect();
    assert_eq!(notes.len(), 2, "one line a runtime: {errors}");
    assert!(
        notes[0].contains("no boehm here") && notes[0].contains("no-such-compiler"),
        "{errors}"
    );
    assert!(
        notes[1].contains("no hotspot here") && notes[1].contains("--java PATH"),
        "{errors}"
    );

    let list = harness(&["list"], &environment);
    assert_eq!(list.status.code(), Some(0));
    for peer in PEERS {
        let (_, entry) = text(&list.stdout)
            .split_once(&format!("\n  {peer} "))
            .unwrap();
        assert!(
            entry.lines().nth(1).unwrap().contains("not found: "),
            "{entry}"
        );
    }
}

#[test]
fn mistakes_are_refused_in_one_line() {
    for (arguments, parts) in [
        (
            &["run", "list", "--peer", "hotspot-seral"][..],
            &[
                "unknown peer 'hotspot-seral'",
                "did you mean 'hotspot-serial'",
            ][..],
        ),
        (
            &[
                "run",
                "list",
                "--peer",
                "hotspot-g1",
                "--java",
                "/no/such/jdk",
            ],
            &["/no/such/jdk", "--java PATH"],
        ),
        (&["run", "list", "--java", "/usr"], &["--peer"]),
    ] {
        let output = harness(arguments, &[]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with("error: "), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "no '{part}' in: {errors}");
        }
    }
}

/// Peers must not outlive a harness that had no chance to kill them.
#[cfg(target_os = "linux")]
#[test]
fn peers_end_when_the_harness_is_killed() {
    for peer in ["boehm", "hotspot-serial", "cpython"] {
        if beside(peer, &["rewire", "--heap-size", "8M"]).is_none() {
            continue;
        }
        let directory = TempDir::new().unwrap();
        let mut parent = harness_in(directory.path())
            .args([
                "run",
                "list:nodes=1000000,rounds=10000",
                "--heap",
                "arena:limit=64K",
            ])
            .args(["--heap-size", "128M", "--peer", peer, "--invocations", "1"])
            .env("TMPDIR", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let child = child_of(&mut parent, "\0attended\0");
        expect_to_end_together(&mut parent, &child, "\0attended\0");
    }
}
