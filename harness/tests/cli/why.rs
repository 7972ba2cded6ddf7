//! `harness why`: what it says of real runs; each sentence has its tests beside its code.

use std::fs;

use crate::{harness, tiny};

#[test]
fn why_names_the_longest_pause_and_where_the_time_went() {
    let run = tiny(&[
        "rings",
        "--heap",
        "gc-rc,gc-marksweep",
        "--output",
        "rows.jsonl",
    ]);
    let run = run.expect(0);
    let path = run.directory.path().join("rows.jsonl");
    let why = harness(&["why", path.to_str().unwrap()]).expect(0);
    for words in [
        "gc-rc: ",
        "gc-marksweep: ",
        "rings: time of gc-marksweep / gc-rc",
    ] {
        assert!(why.stdout.contains(words), "{words}: {}", why.stdout);
    }
    assert!(
        why.stdout
            .contains("One process each: there is no interval")
    );
    let refused = harness(&["why", path.to_str().unwrap(), "--heap", "gc-rs"]);
    refused.expect_refusal(&["gc-rs", "gc-rc"]);

    // What a killed process leaves: all but the last row, which is named.
    let rows = fs::read_to_string(&path).unwrap();
    let cut = run.directory.path().join("cut.jsonl");
    fs::write(&cut, &rows[..rows.len() - 10]).unwrap();
    let why = harness(&["why", cut.to_str().unwrap()]).expect(0);
    assert!(
        why.stderr.contains("the last row was cut short"),
        "{}",
        why.stderr
    );

    let experiments = rows.replace("\"experiment\":false", "\"experiment\":true");
    let path = run.directory.path().join("experiments.jsonl");
    fs::write(&path, experiments).unwrap();
    let refused = harness(&["why", path.to_str().unwrap()]);
    refused.expect_refusal(&["of experiments", "harness report"]);
}
