//! What cannot be done is refused in one line, before anything runs.

use std::fs;

use crate::{harness, tiny};

#[test]
fn unknown_names_are_met_with_the_nearest() {
    tiny(&["ringz"]).expect_refusal(&["unknown workload 'ringz'", "did you mean 'rings'"]);
    tiny(&["rings", "--heap", "gc-cr"])
        .expect_refusal(&["unknown heap 'gc-cr'", "did you mean 'gc-rc'"]);
    tiny(&["rings:helt=3"])
        .expect_refusal(&["unknown parameter of rings 'helt'", "did you mean 'held'"]);
    tiny(&["rings", "--heap", "gc-rc:cycles=none"])
        .expect_refusal(&["option of gc-rc 'cycles'", "did you mean 'cycle'"]);
    tiny(&["rings", "--heap", "gc-rc:cycle=nun"]).expect_refusal(&[
        "cycle",
        "'nun'",
        "generational | bacon-rajan | none",
    ]);
    tiny(&["rings:held=many"]).expect_refusal(&["held", "'many'", "whole number"]);
    harness(&["runn"]).expect_refusal(&["runn", "run"]);
}

#[test]
fn impossible_numbers_are_refused() {
    tiny(&["list", "--threads", "0"]).expect_refusal(&["0", "--threads"]);
    tiny(&["list", "--heap-size", "lots"]).expect_refusal(&["lots", "64M"]);
    tiny(&["list", "--timeout", "10"]).expect_refusal(&["10", "60s"]);
    for (option, value) in [
        ("--heap-size", "99999999T"),
        ("--heap-size", "1e300"),
        ("--threads", "1025"),
        ("--threads", "18446744073709551616"),
        ("--seed", "18446744073709551616"),
        ("--timeout", "99999999999999999999y"),
        ("--heap", "gc-marksweep:nursery=0"),
        ("--heap", "gc-marksweep:marking-workers=65"),
        ("--heap", "gc-marksweep:overhead-limit=98/101"),
        ("--heap", "gc-rc:overhead-limit=255"),
    ] {
        let value_alone = value.rsplit('=').next().unwrap();
        tiny(&["list", option, value]).expect_refusal(&[value_alone]);
    }
    tiny(&["list", "--heap", "gc-marksweep", "--heap-size", "4K"]).expect_refusal(&[
        "gc-marksweep",
        "4096",
        "too small",
    ]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_runs() {
    let run = tiny(&["list", "--output", "no/such/directory/rows.jsonl"]);
    run.expect_refusal(&["cannot write no/such/directory/rows.jsonl", "--output FILE"]);
}

#[test]
fn files_that_are_no_results_are_met_with_one_line() {
    let run = tiny(&["list", "--heap=arena", "--output", "rows.jsonl"]).expect(0);
    let good = fs::read_to_string(run.directory.path().join("rows.jsonl")).unwrap();
    let compare = |text: &str| {
        let path = run.directory.path().join("other.jsonl");
        fs::write(&path, text).unwrap();
        let rows = run.directory.path().join("rows.jsonl");
        harness(&["compare", rows.to_str().unwrap(), path.to_str().unwrap()])
    };
    compare(&good).expect(0);
    for (text, reason) in [
        (format!("{good}what is this\n{good}"), "line 3"),
        (
            good.replace("\"schema\":2", "\"schema\":77"),
            "newer version",
        ),
        (String::new(), "has no rows"),
    ] {
        let refused = compare(&text).expect(2);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    // Cut short by a kill: said, and the rest is used.
    let cut = compare(&format!("{good}{}", &good[..100])).expect(0);
    assert!(cut.stdout.contains("was cut short"), "{}", cut.stdout);
    assert!(
        harness(&["compare", "none.jsonl", "none.jsonl"])
            .expect(2)
            .stderr
            .contains("there is no file none.jsonl")
    );
}
