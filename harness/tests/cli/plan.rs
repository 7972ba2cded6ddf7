//! `harness plan` and `harness merge`: the lines of a run, run anywhere, and put together.

use std::fs;

use tempfile::TempDir;

use crate::common::{harness_in, shell_in};
use crate::{harness, processes, rows_of};

/// The lines of a plan run anywhere, in any order and twice; merged, they are the run.
#[test]
fn a_plan_is_run_line_by_line_and_merged() {
    let plan = [
        "plan",
        "run",
        "list",
        "--heap=gc-rc,arena",
        "--size=tiny",
        "--invocations=2",
    ];
    let lines = harness(&plan).expect(0);
    let directory = &lines.directory;
    assert_eq!(lines.stdout.lines().count(), 3 * 2, "two heaps and a twin");
    let shell = |command: &str| {
        let output = shell_in(directory.path(), command);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    for line in lines.stdout.lines().rev() {
        shell(line);
    }
    let first = directory.path().join("results/plan/000001.jsonl");
    let before = fs::read_to_string(&first).unwrap();
    shell(lines.stdout.lines().next().unwrap());
    assert_eq!(
        fs::read_to_string(&first).unwrap(),
        before,
        "it had been run"
    );

    // Its report names the lines in one.
    let report = harness_in(directory.path())
        .args([
            "merge",
            "results/plan/000001.jsonl",
            "results/plan/000002.jsonl",
        ])
        .args(["--output", "two.jsonl", "--format", "markdown"])
        .output()
        .unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    assert_eq!(report.matches("harness invoke").count(), 1, "{report}");
    assert!(report.contains("# 2 lines of harness plan"), "{report}");

    let merge = |more: &[&str]| {
        let paths = (1..=6).map(|number| format!("results/plan/{number:06}.jsonl"));
        let mut command = harness_in(directory.path());
        command.arg("merge").args(paths).args(more);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, table, said) = merge(&["--output", "all.jsonl"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(table.contains("each pair in 2 processes"), "{table}");
    let series = processes(&rows_of(&directory.path().join("all.jsonl")));
    assert!(
        series.len() == 3 && series.values().all(|numbers| *numbers == [1, 2]),
        "{series:?}"
    );

    // Under another name, too.
    let (status, _, said) = merge(&["--output", "./results/../results/plan/000001.jsonl"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("one of the files to be merged"), "{said}");
    assert_eq!(fs::read_to_string(&first).unwrap(), before);

    // As if one line had been run elsewhere.
    fs::write(
        &first,
        before.replace("\"host\":", "\"host\":\"elsewhere\",\"was\":"),
    )
    .unwrap();
    let (status, _, said) = merge(&["--output", "mixed.jsonl"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("different machines") && said.contains("--mixed-machines"),
        "{said}"
    );
    let (status, table, said) = merge(&["--output", "mixed.jsonl", "--mixed-machines"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(table.contains("Made on 2 machines"), "{table}");

    let json = harness(&[&plan[..], &["--json", "--directory", "out"]].concat()).expect(0);
    for row in json.rows() {
        assert!(
            row["argv"].as_array().unwrap().len() > 4
                && row["output"].as_str().unwrap().starts_with("out/")
        );
    }
    harness(&["invoke", "{}"]).expect_refusal(&["not a line of harness plan"]);
    for (name, number) in [
        ("threads", 0),
        ("threads", u64::MAX),
        ("iterations", u64::from(u32::MAX)),
        ("heap_bytes", 0),
        ("heap_bytes", u64::MAX),
    ] {
        let mut task = json.rows()[0]["task"].clone();
        task[name] = number.into();
        let text = number.to_string();
        harness(&["invoke", &task.to_string()]).expect_refusal(&[name, &text]);
    }
}

/// What a plan's directory lacks is told from the files, and what is wrong with them.
#[test]
fn what_is_missing_of_a_plan_is_planned_again() {
    let plan = [
        "plan",
        "run",
        "list",
        "--heap=gc-rc,arena",
        "--size=tiny",
        "--aa=none",
        "--iterations=2",
    ];
    let place = TempDir::new().unwrap();
    let run = |arguments: &[&str], status: i32| {
        let output = harness_in(place.path()).args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{errors}");
        (String::from_utf8(output.stdout).unwrap(), errors)
    };
    let planned = |more: &[&str]| run(&[&plan[..], &["--invocations=2"], more].concat(), 0).0;
    let whole = planned(&[]);
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(planned(&["--missing"]), whole);

    let shell = |line: &str| String::from_utf8(shell_in(place.path(), line).stderr).unwrap();
    for line in &lines {
        shell(line);
    }
    assert_eq!(planned(&["--missing"]), "");

    // Cut off in its last row, begun and without a row, and ended without figures.
    let file = |number: usize| place.path().join(format!("results/plan/{number:06}.jsonl"));
    let rows = |number: usize| fs::read_to_string(file(number)).unwrap();
    let cut = rows(1);
    fs::write(file(1), &cut[..cut.len() - 10]).unwrap();
    fs::write(file(2), "").unwrap();
    let crashed = rows(3).replace(r#""status":"ok""#, r#""status":"crashed""#);
    fs::write(file(3), crashed).unwrap();
    let lost: String = lines[..3].iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(planned(&["--missing"]), lost);
    // The failure is kept on request, here and by whoever runs the lines.
    let kept = planned(&["--missing", "--keep-failures"]);
    let lost_too: Vec<&str> = kept.lines().collect();
    assert_eq!(lost_too.len(), 2, "{kept}");
    for (line, number) in lost_too.iter().zip(1..) {
        let output = format!("results/plan/{number:06}.jsonl ");
        assert!(
            line.contains(&output) && line.contains(" --keep-failures "),
            "{line}"
        );
    }
    // More rounds are more lines, and what was done stays done.
    let (lost, _) = run(&[&plan[..], &["--invocations=3", "--missing"]].concat(), 0);
    assert_eq!(lost.lines().count(), 5, "{lost}");

    // What is done is done, wherever that was; what is half done is of one machine.
    let elsewhere = |text: &str| {
        let changed = text.replace(r#""cores":"#, r#""cores":77,"was":"#);
        assert_ne!(changed, text);
        changed
    };
    let done = rows(4);
    fs::write(file(4), elsewhere(&done)).unwrap();
    assert!(shell(lines[3]).contains("nothing was run"));
    let half = cut.lines().next().unwrap();
    fs::write(file(1), elsewhere(&format!("{half}\n"))).unwrap();
    assert!(shell(lines[0]).contains("another machine"));

    // A directory of another plan, or of another build, would mix the two.
    let other = [&plan[..], &["--invocations=2", "--missing", "--seed=7"]].concat();
    let (_, errors) = run(&other, 2);
    assert!(
        errors.contains("not of this plan") && errors.contains("--directory"),
        "{errors}"
    );
    let line = lines[3].replace(r#""seed":42"#, r#""seed":7"#);
    assert!(shell(&line).contains("not of this plan"));
    let rebuilt = done.replace(r#""rustc":""#, r#""rustc":"rustc 0.1, or "#);
    assert_ne!(rebuilt, done);
    fs::write(file(4), &rebuilt).unwrap();
    let (_, errors) = run(&[&plan[..], &["--invocations=2", "--missing"]].concat(), 2);
    assert!(errors.contains("another build"), "{errors}");
    assert_eq!(rows(4), rebuilt);
}
