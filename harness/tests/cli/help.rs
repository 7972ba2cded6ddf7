//! What there is, and how to ask for it: help, lists, manual pages, completions; and what is
//! printed where nobody has a terminal.

use std::process::Command;

use crate::{HEAPS, WORKLOADS, harness};

#[test]
fn help_teaches() {
    let help = harness(&["--help"]).expect(0).stdout;
    for part in [
        "Examples:",
        "Exit status:",
        "harness run binary-trees:depth=18",
        "--timeout",
        "list",
        "run",
        "minheap",
        "sweep",
        "compare",
        "doctor",
        "--peer",
        "--resume",
        "130",
    ] {
        assert!(help.contains(part), "no '{part}' in:\n{help}");
    }
    assert!(!help.contains("child"));
    let help = harness(&["run", "--help"]).expect(0).stdout;
    for part in [
        "cycle",
        "switch-interval",
        "[default: 5ms]",
        "depth",
        "64M",
        "--heap-size",
    ] {
        assert!(help.contains(part), "no '{part}' in:\n{help}");
    }
    assert!(
        harness(&["--version"])
            .expect(0)
            .stdout
            .starts_with("harness ")
    );
}

#[test]
fn list_names_everything() {
    let list = harness(&["list"]).expect(0).stdout;
    for name in WORKLOADS.iter().chain(&HEAPS) {
        assert!(
            list.contains(&format!("\n  {name} ")),
            "no {name} in:\n{list}"
        );
    }
}

/// A reader that goes away early is no error.
#[test]
fn output_may_be_cut_short() {
    let command = format!("'{}' list | head -n 1", env!("CARGO_BIN_EXE_harness"));
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = harness(&["completions", shell]).expect(0).stdout;
        for part in ["minheap", "sweep", "budget"] {
            assert!(script.contains(part), "no '{part}' for {shell}");
        }
    }
    let page = harness(&["man"]).expect(0).stdout;
    assert!(
        page.contains(".TH harness 1") && page.contains("Exit status") && page.contains("doctor"),
        "{page}"
    );
    let page = harness(&["man", "sweep"]).expect(0).stdout;
    assert!(
        page.contains(".TH harness-sweep 1") && page.contains("multiples"),
        "{page}"
    );
    harness(&["man", "swep"]).expect_refusal(&["unknown command 'swep'", "did you mean 'sweep'"]);
    harness(&["completions", "nosuch"]).expect_refusal(&["nosuch", "bash"]);
}

/// Escape sequences are for terminals only, and not for those who want none.
#[test]
fn pipes_get_no_colours() {
    for arguments in [
        &["--help"][..],
        &["run", "list", "--size=tiny", "--invocations=2"],
    ] {
        let run = harness(arguments).expect(0);
        assert!(
            !run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'),
            "{}",
            run.stdout
        );
    }
}
