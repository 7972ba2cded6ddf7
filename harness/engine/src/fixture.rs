//! Rows that nobody measured, for tests on this floor and on those above.

use std::collections::BTreeMap;

use crate::invocation::{Invocation, Metrics, Row};
use crate::workload::Size;

/// One made iteration.
pub fn row(heap: &str, invocation: u32, iteration: u32, wall_ns: u64) -> Row {
    let asked = Invocation {
        workload: "list".to_owned(),
        size: Size::Tiny,
        parameters: BTreeMap::from([("nodes".to_owned(), 77)]),
        file: None,
        heap: heap.to_owned(),
        options: BTreeMap::new(),
        heap_bytes: 8 << 20,
        threads: 1,
        seed: 42,
        iterations: 1,
        invocation,
    };
    let metrics = Metrics {
        checksum: "00ff".to_owned(),
        operations: 10,
        operation: "node".to_owned(),
        wall_ns,
        ..Metrics::default()
    };
    Row::measured(&asked, iteration, metrics)
}

/// Whole processes of a heap that took these times, each after an iteration that warms up.
pub fn processes(heap: &str, times: &[u64]) -> Vec<Row> {
    (1..)
        .zip(times)
        .flat_map(|(number, &time)| [row(heap, number, 0, time * 2), row(heap, number, 1, time)])
        .collect()
}
