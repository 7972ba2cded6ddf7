//! Tables: for a terminal, as Markdown, as values separated by commas.

use std::fs;
use std::path::Path;

use crate::{harness, report, rows, succeeded};

/// A result file that an earlier build has written, and what that build made of it. Warming up is
/// left out but once, and so are most logs and curves, which would make the file large.
#[test]
fn kept_results_give_the_same_tables() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let results = data.join("kept.jsonl");
    for (format, kept) in [
        ("table", "kept.table"),
        ("markdown", "kept.md"),
        ("csv", "kept.csv"),
    ] {
        let arguments = ["report", results.to_str().unwrap(), "--format", format];
        let kept = fs::read_to_string(data.join(kept)).unwrap();
        let now = succeeded(harness(&arguments));
        for (number, (now, kept)) in now.lines().zip(kept.lines()).enumerate() {
            assert_eq!(now, kept, "{format}, line {}", number + 1);
        }
        assert_eq!(now, kept, "{format}");
    }
}

#[test]
fn values_separated_by_commas_have_every_row() {
    let printed = succeeded(report(&["--format", "csv"]));
    let lines: Vec<&str> = printed.lines().collect();
    let columns = lines[0].split(',').count();
    assert!(lines.len() > 1);
    assert_eq!(lines.len() - 1, rows().len());
    for column in ["workload", "wall_ns", "peak_heap_bytes", "pause_max_ns"] {
        assert!(
            lines[0].split(',').any(|name| name == column),
            "{column} in {}",
            lines[0]
        );
    }
    assert!(columns > 30);
}

#[test]
fn markdown_is_a_table() {
    let printed = succeeded(report(&["--format", "markdown"]));
    let table: Vec<&str> = printed
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    let columns = table[0].matches(" |").count();
    assert!(table[0].contains("time / gc-rc [interval]"), "{}", table[0]);
    for line in &table {
        assert_eq!(line.matches(" |").count(), columns, "{line}");
    }
    let groups = 2 * 2 * 3;
    assert!(table.len() >= 2 + 3 * groups, "{printed}");
    assert!(
        printed.contains("\n    harness run binary-trees:depth=11 churn:nodes=8000 --size tiny"),
        "{printed}"
    );
}
