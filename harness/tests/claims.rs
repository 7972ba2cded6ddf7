//! `harness claims` as a user types it.

use std::fs;
use std::path::Path;
use std::process::Output;

use claims::{DEFERRED, EXPERIMENTS, UNLOCKED};
use serde_json::Value;
use tempfile::TempDir;

use common::{harness_in, unwrapped};

mod common;

fn harness(directory: &TempDir, arguments: &[&str]) -> Output {
    harness_in(directory.path())
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn expect(output: Output, status: i32) -> (String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(status), "{stdout}\n{stderr}");
    (stdout, stderr)
}

fn claims(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// What runs every experiment on both heaps, as small as it goes.
const ALL: [&str; 9] = [
    "claims",
    "--size",
    "tiny",
    "--invocations",
    "2",
    "--peer",
    "none",
    "--output",
    "all.jsonl",
];

#[test]
fn every_claim_has_a_figure_and_a_verdict() {
    let directory = TempDir::new().unwrap();
    let (text, _) = expect(
        harness(&directory, &[&ALL[..], &["--format", "json"]].concat()),
        0,
    );
    let judged = claims(&text);
    let expected: usize = EXPERIMENTS
        .iter()
        .map(|experiment| experiment.claims.len())
        .sum();
    assert_eq!(judged.len(), expected);
    for claim in &judged {
        for (rule, heaps) in [
            ("rule_counting", &["gc-rc"][..]),
            ("rule_tracing", &["gc-marksweep"]),
            ("rule_unlocked", UNLOCKED),
            ("rule_deferring", &[DEFERRED]),
        ] {
            // A claim may be about one way to count without the lock.
            let has_figure = |heap: &&str| {
                let figure = &claim["columns"][*heap]["figure"];
                // Processes, or the trials of a share.
                figure["value"].is_number() && figure["n"].as_u64() >= Some(2)
            };
            let is_measured = heaps.iter().any(has_figure);
            assert!(claim[rule].is_null() || is_measured, "{rule}: {claim}");
        }
        assert!(claim["verdict"].is_string(), "{claim}");
    }

    // The rows are those of experiments: a report has claims, and no comparison.
    let (_, _) = expect(harness(&directory, &["report", "all.jsonl"]), 0);
    let page = fs::read_to_string(directory.path().join("all.html")).unwrap();
    assert!(page.contains("id=\"claims\"") && !page.contains("id=\"table\""));
    let (markdown, _) = expect(
        harness(&directory, &["report", "all.jsonl", "--format", "markdown"]),
        0,
    );
    // And judged again they come out the same: after a header and a rule, a line each.
    let lines = markdown.lines().filter(|line| line.starts_with("| "));
    let lines: Vec<&str> = lines.skip(2).collect();
    assert_eq!(lines.len(), judged.len(), "{markdown}");
    for (claim, line) in judged.iter().zip(lines) {
        let verdict = claim["verdict"].as_str().unwrap();
        let name = claim["experiment"].as_str().unwrap();
        assert!(line.starts_with(&format!("| {name}: ")), "{line}");
        assert!(line.contains(&format!("| {verdict}")), "{verdict}: {line}");
    }
}

#[test]
fn a_table_has_a_column_for_each_heap_and_the_rule() {
    let directory = TempDir::new().unwrap();
    let arguments = [&["claims", "countdown"], &ALL[1..]].concat();
    let (text, stderr) = expect(harness(&directory, &arguments), 0);
    let header = text.lines().next().unwrap();
    for title in ["claim", "documents", "gc-rc", "gc-marksweep", "verdict"] {
        assert!(header.contains(title), "{text}");
    }
    assert!(text.contains("(at least 0.95)"), "{text}");
    assert!(text.contains("Results: all.jsonl"), "{text}");
    assert!(!stderr.contains("error"), "{stderr}");
}

/// Each way to count without the lock has a column where it was run, and none where it was not.
#[test]
fn ways_to_count_have_columns_where_they_are_run() {
    let directory = TempDir::new().unwrap();
    let arguments = [&["claims", "object-lock", "free-threading"], &ALL[1..]].concat();
    let (text, _) = expect(harness(&directory, &arguments), 0);
    let has_columns = |experiment: &str| {
        let (before, _) = text.split_once(&format!("\n{experiment}: ")).unwrap();
        let mut headers = before.lines().filter(|line| line.starts_with("claim "));
        let header = headers.next_back().unwrap();
        UNLOCKED.iter().all(|heap| header.contains(heap))
    };
    assert!(!has_columns("object-lock"), "{text}");
    assert!(has_columns("free-threading"), "{text}");
    // Our verdict rests on the first.
    assert!(text.contains("(at most 1.05)"), "{text}");
}

#[test]
fn one_process_decides_nothing() {
    let directory = TempDir::new().unwrap();
    let arguments = "claims countdown --size tiny --invocations 1 --peer none --format json";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (text, _) = expect(harness(&directory, &arguments), 0);
    for claim in claims(&text) {
        assert_eq!(claim["verdict"], "undecided", "{claim}");
    }
}

#[test]
fn an_experiment_is_gone_on_with() {
    let directory = TempDir::new().unwrap();
    let run = |more: &str| {
        let arguments = format!("claims countdown --size tiny --peer none --format json {more}");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        expect(harness(&directory, &arguments), 0).0
    };
    let count = || {
        let rows = fs::read_to_string(directory.path().join("c.jsonl")).unwrap();
        rows.lines().count()
    };
    run("--invocations 1 --output c.jsonl");
    let first = count();
    let text = run("--invocations 2 --resume c.jsonl");
    assert_eq!(count(), 2 * first);
    assert_eq!(claims(&text)[0]["columns"]["gc-rc"]["figure"]["n"], 2);
}

#[test]
fn explanations_run_nothing() {
    let directory = TempDir::new().unwrap();
    let (text, _) = expect(harness(&directory, &["claims", "--explain"]), 0);
    assert!(text.lines().all(|line| line.chars().count() <= 100));
    let unwrapped = unwrapped(&text);
    for experiment in EXPERIMENTS {
        assert!(text.contains(&format!("{}: {}", experiment.name, experiment.summary)));
        assert!(text.contains(experiment.explanation));
        for claim in experiment.claims {
            assert!(unwrapped.contains(claim.statement), "{}", claim.statement);
        }
    }
    assert!(text.contains("Holds if:"), "{text}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_is_not_there_is_refused_in_one_line() {
    let directory = TempDir::new().unwrap();
    for (arguments, words) in [
        ("claims countdwn", "did you mean 'countdown'"),
        ("claims object-lok", "did you mean 'object-lock'"),
        ("claims countdown --peer cpythn", "did you mean 'cpython'"),
        (
            "claims countdown --python /no/such/python",
            "/no/such/python",
        ),
        ("claims countdown --java /no/such/java", "/no/such/java"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (stdout, stderr) = expect(harness(&directory, &arguments), 2);
        assert!(stdout.is_empty());
        assert!(
            stderr.starts_with("error: ") && stderr.contains(words),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_runtime_that_is_not_here_costs_a_line() {
    let directory = TempDir::new().unwrap();
    let output = harness_in(directory.path())
        .args("claims countdown --size tiny --invocations 2".split(' '))
        .env("PATH", Path::new("/nonexistent"))
        .output()
        .unwrap();
    let (text, stderr) = expect(output, 0);
    assert!(stderr.contains("no cpython here"), "{stderr}");
    assert!(stderr.contains("no hotspot here"), "{stderr}");
    assert!(text.contains("gc-marksweep"), "{text}");
}

/// Tasks in processes of their own do what they do in threads, and the price of every process is
/// counted.
#[test]
fn processes_have_heaps_of_their_own() {
    let directory = TempDir::new().unwrap();
    let arguments = "claims processes --size tiny --invocations 1 --peer none --output p.jsonl";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    expect(harness(&directory, &arguments), 0);
    let rows = claims(&fs::read_to_string(directory.path().join("p.jsonl")).unwrap());
    for heap in ["gc-rc", "gc-marksweep"] {
        for tasks in [4u64, 20] {
            let of = |apart: u64| {
                let mut rows = rows.iter();
                let parameters = |row: &Value| row["parameters"].clone();
                rows.find(|row| {
                    let parameters = parameters(row);
                    row["heap"] == heap
                        && parameters["tasks"] == tasks
                        && parameters["apart"] == apart
                })
                .unwrap_or_else(|| panic!("no row of {tasks} tasks on {heap}, apart: {apart}"))
            };
            let (together, apart) = (of(0), of(1));
            assert_eq!(together["checksum"], apart["checksum"]);
            assert_eq!(together["operations"], apart["operations"]);
            assert_eq!(apart["allocated_objects"], tasks);
            // A process is not less than half of another one that runs the same program.
            let bytes = |row: &Value| row["observations"]["resident_bytes"].as_u64().unwrap();
            assert!(2 * bytes(apart) > tasks * bytes(together), "{apart}");
        }
    }
}

#[test]
fn a_program_that_children_need_is_named_if_it_is_missing() {
    let directory = TempDir::new().unwrap();
    let output = harness_in(directory.path())
        .args("claims subprocesses --size tiny --invocations 1 --peer none".split(' '))
        .env("PATH", Path::new("/nonexistent"))
        .output()
        .unwrap();
    let (_, stderr) = expect(output, 1);
    assert!(stderr.contains("the program 'sleep'"), "{stderr}");
}

/// Programs of other languages do the work of ours, as far as their runtimes are here: a row that
/// differs is void, and the status says so.
#[test]
fn real_runtimes_do_the_same_work() {
    let directory = TempDir::new().unwrap();
    let arguments = "claims pipeline subprocesses async processes countdown cpu-bound lost-update \
                     broken-links --size tiny --invocations 1";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    expect(harness(&directory, &arguments), 0);
}
