//! One workload on one heap: its rows, what it is called, and what its processes measured.

use std::collections::BTreeMap;

use super::attempt::attempts;
use super::label::{Programs, heap_label, is_limited, workload_label};
use crate::environment::Environment;
use crate::invocation::{Invocation, Metrics, Row, Status};
use crate::peer;

/// The rows of one cell.
#[derive(Clone, Debug)]
pub struct CellResults {
    /// In order, attempt after attempt; each attempt's iterations ascend. Never empty.
    pub rows: Vec<Row>,
    workload_label: String,
    heap_label: String,
    limited: bool,
}

impl CellResults {
    /// Of these rows, which are not none.
    pub(super) fn of(rows: Vec<Row>, programs: &Programs) -> Self {
        let first = &rows[0];
        Self {
            workload_label: workload_label(first),
            heap_label: heap_label(first, programs),
            limited: is_limited(first),
            rows,
        }
    }

    /// The workload, with the parameters that differ from the defaults of its size; every one if it
    /// is not a workload that comes with the harness.
    pub fn workload_label(&self) -> &str {
        &self.workload_label
    }

    /// The heap, with the options that differ from their defaults; of a peer, what tells it from
    /// others of its name.
    pub fn heap_label(&self) -> &str {
        &self.heap_label
    }

    /// What it is: the workload on the heap.
    pub fn name(&self) -> String {
        format!("{} on {}", self.workload_label, self.heap_label)
    }

    /// How many threads, to be said after a name; nothing of one.
    pub fn and_threads(&self) -> String {
        match self.threads() {
            1 => String::new(),
            threads => format!(", {threads} threads"),
        }
    }

    /// What was asked for, in its first process.
    pub fn invocation(&self) -> &Invocation {
        &self.rows[0].invocation
    }

    /// Mutator threads.
    pub fn threads(&self) -> usize {
        self.invocation().threads
    }

    /// Limit of the heap, in bytes.
    pub fn heap_bytes(&self) -> u64 {
        self.invocation().heap_bytes
    }

    /// The least heap at which every heap of the comparison completes, if it was looked for.
    pub fn minimum_heap_bytes(&self) -> Option<u64> {
        self.rows.iter().find_map(|row| row.minimum_heap_bytes)
    }

    /// The heap bytes as a multiple of the minimum, if that is known.
    pub fn multiple(&self) -> Option<f64> {
        let minimum = self.minimum_heap_bytes().filter(|&minimum| minimum > 0)?;
        Some(self.heap_bytes() as f64 / minimum as f64)
    }

    /// Whether it is the second series of a heap, run to learn how much two equal things differ.
    pub fn is_twin(&self) -> bool {
        self.rows[0].twin
    }

    /// Whether the limit applies to it: the arena has none.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether it is a runtime whose collector moves objects: a difference in kind.
    pub fn is_moving(&self) -> bool {
        let environment = self.rows.iter().find_map(|row| row.environment.as_ref());
        environment
            .and_then(|environment| environment.peer.as_ref())
            .is_some_and(|peer| peer.moving)
    }

    /// Whether it is another runtime.
    pub fn is_peer(&self) -> bool {
        peer::describe(&self.invocation().heap).is_ok()
    }

    /// What one operation is, once something was measured.
    pub fn operation(&self) -> Option<&str> {
        let metrics = self.rows.iter().find_map(|row| row.metrics.as_ref());
        metrics.map(|metrics| metrics.operation.as_str())
    }

    /// The iterations that count: measured, and not for warming up.
    pub fn measured(&self) -> impl Iterator<Item = &Metrics> {
        self.measured_rows().filter_map(|row| row.metrics.as_ref())
    }

    /// The rows of [`Self::measured`].
    pub fn measured_rows(&self) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter();
        rows.filter(|row| is_timed(row) && row.metrics.is_some())
    }

    /// The processes, each with the rows of its iterations.
    pub fn attempts(&self) -> impl Iterator<Item = &[Row]> {
        attempts(&self.rows)
    }

    /// For each process that has any, the nanoseconds of its timed iterations.
    pub fn times(&self) -> Vec<Vec<f64>> {
        self.samples(|metrics| Some(metrics.time_ns()))
    }

    /// For each process that has any, the values of its timed iterations.
    pub fn samples(&self, value: impl Fn(&Metrics) -> Option<f64>) -> Vec<Vec<f64>> {
        let value = |row: &Row| value(row.metrics.as_ref()?);
        let processes = self.attempts();
        let processes = processes.map(|rows| {
            let timed = rows.iter().filter(|row| is_timed(row));
            timed.filter_map(value).collect()
        });
        processes
            .filter(|values: &Vec<f64>| !values.is_empty())
            .collect()
    }

    /// The mean over each process's timed iterations, by round; a file to which several runs were
    /// appended has several processes of a round, told apart by a second number.
    pub fn rounds(&self, value: impl Fn(&Metrics) -> Option<f64>) -> BTreeMap<(u32, usize), f64> {
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        let processes = self.attempts().filter_map(|rows| {
            let round = rows.first()?.invocation.invocation;
            let number = seen.entry(round).or_default();
            *number += 1;
            Some(((round, *number), mean_of_process(rows, &value)?))
        });
        processes.collect()
    }

    /// Why it has no figures, or not as many as it should, or none that count.
    pub fn failure(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.status != Status::Ok)
    }

    /// Whether `other` is the same heap with the same options, whatever the work.
    pub fn is_same_heap(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.invocation(), other.invocation());
        mine.heap == theirs.heap && mine.options == theirs.options
    }

    /// Whether `other` is the same work, whatever the heap, its size and the machine.
    pub fn is_same_work(&self, other: &Self) -> bool {
        let key = |cell: &Self| WorkKey {
            machine: String::new(),
            ..cell.work_key()
        };
        key(self) == key(other)
    }

    pub(super) fn work_key(&self) -> WorkKey {
        WorkKey::of(&self.rows[0])
    }
}

/// What a process counts by: the mean over its timed iterations. `None` if none has a value.
pub fn mean_of_process(rows: &[Row], value: impl Fn(&Metrics) -> Option<f64>) -> Option<f64> {
    let timed = rows.iter().filter(|row| is_timed(row));
    let values = timed.filter_map(|row| value(row.metrics.as_ref()?));
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn is_timed(row: &Row) -> bool {
    row.status == Status::Ok && row.is_timed()
}

/// Everything that the work depends on, and the machine that did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WorkKey {
    workload: String,
    parameters: BTreeMap<String, u64>,
    file: Option<String>,
    threads: usize,
    seed: u64,
    /// Whether it was timed without warming up.
    cold: bool,
    machine: String,
}

impl WorkKey {
    pub(super) fn of(row: &Row) -> Self {
        let invocation = &row.invocation;
        let environment = row.environment.as_ref();
        Self {
            workload: invocation.workload.clone(),
            parameters: invocation.parameters.clone(),
            file: invocation.file.clone(),
            threads: invocation.threads,
            seed: invocation.seed,
            cold: invocation.iterations == 0,
            machine: environment.map_or(String::new(), Environment::machine),
        }
    }
}

/// What tells one cell from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellKey {
    work: WorkKey,
    heap: String,
    options: BTreeMap<String, String>,
    heap_bytes: u64,
    twin: bool,
    pub(super) experiment: bool,
}

impl CellKey {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            work: WorkKey::of(row),
            heap: row.invocation.heap.clone(),
            options: row.invocation.options.clone(),
            heap_bytes: row.invocation.heap_bytes,
            twin: row.twin,
            experiment: row.experiment,
        }
    }

    /// The same of every size.
    pub(super) fn of_any_size(row: &Row) -> Self {
        Self {
            heap_bytes: 0,
            ..Self::of(row)
        }
    }
}
