//! `harness explain`: the collectors step by step.

use std::fs;

use crate::harness;

#[test]
fn collectors_are_explained_step_by_step() {
    let list = harness(&["explain"]).expect(0).stdout;
    for (topic, step) in [
        (
            "counting",
            "A comes off the pending list with count 0: it dies",
        ),
        ("biased", "B: one 1, others 0 -> one 1, others -1"),
        ("cycles", "one is taken from F: 1 -> 0"),
        (
            "marking",
            "not marked yet: the bits of its 4 granules are set",
        ),
    ] {
        assert!(
            list.contains(&format!("harness explain {topic} ")),
            "{list}"
        );
        let run = harness(&["explain", topic]).expect(0);
        assert!(run.stdout.contains(step), "{}", run.stdout);
        assert_eq!(run.stderr, "");
        // Nothing is measured, and nothing left behind.
        assert_eq!(fs::read_dir(run.directory.path()).unwrap().count(), 0);
        let script = harness(&["completions", "bash"]).expect(0).stdout;
        assert!(script.contains(topic), "{topic} cannot be completed");
    }
    let refused = harness(&["explain", "markng"]);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    refused.expect_refusal(&["unknown topic 'markng'", "did you mean 'marking'"]);
    harness(&["explain", "marking", "counting"]).expect_refusal(&["counting"]);
}
