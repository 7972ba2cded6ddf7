//! Rows with pauses that nobody measured, for the tests of the files beside this one.

use super::reasons;
use engine::fixture::processes;
use engine::invocation::{CollectionRecord, Pauses, Row, SpanRecord};
use engine::results::Results;

/// One process of `list`, whose one pause is of this length.
pub(super) fn row(heap: &str, length: u64) -> Row {
    let mut rows = processes(heap, &[100]);
    let mut row = rows.pop().expect("the timed iteration");
    let metrics = row.metrics.as_mut().unwrap();
    metrics.pauses = Pauses {
        pause_count: 1,
        pause_max_ns: Some(length),
        stopped_ns: length,
        ..Pauses::default()
    };
    row
}

pub(super) fn span(mutator: u32, at_ns: u64, length_ns: u64, kind: &str) -> SpanRecord {
    SpanRecord {
        mutator,
        at_ns,
        length_ns,
        kind: kind.to_owned(),
    }
}

/// What is said of rows, without line breaks.
pub(super) fn explained(rows: Vec<Row>) -> String {
    let text = reasons(&Results::of_rows(rows));
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Searches of the same size, of which the last is the pause.
pub(super) fn searches(lengths: &[u64]) -> Row {
    let mut row = row("gc-rc", *lengths.last().unwrap());
    let metrics = row.metrics.as_mut().unwrap();
    for (at_ns, &length) in (1..).zip(lengths) {
        metrics.collections_log.push(CollectionRecord {
            at_ns,
            pause_ns: length,
            kind: "cycle".to_owned(),
            examined_objects: Some(2_000),
            unreachable_objects: Some(10),
            ..CollectionRecord::default()
        });
        metrics
            .spans
            .push(span(1, at_ns, length, "cycle-collection"));
    }
    row
}
