//! `harness doctor`: how far this machine can be trusted.

use crate::harness;

#[test]
fn the_doctor_says_how_far_results_can_be_trusted() {
    let run = harness(&["doctor"]).expect(0);
    for part in [
        "Machine",
        "governor",
        "huge pages",
        "Runtimes",
        "python3",
        "sleeper",
        "A/A",
        "Times: ",
        "Pauses: ",
    ] {
        assert!(run.stdout.contains(part), "no '{part}' in:\n{}", run.stdout);
    }
}

#[test]
fn a_study_of_equal_things_that_is_too_short_says_so() {
    let run = harness(&["doctor", "--aa", "1ms"]).expect(2);
    assert!(
        run.stderr.contains("error: 1ms is too short: 0 rounds"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
}
