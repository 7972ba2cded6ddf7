//! One invocation: a workload run several times on one heap, in a process of its own.
//!
//! The parent describes it ([`Invocation`]), the child carries it out and answers with one [`Row`] an
//! iteration. Iteration 0 warms up: it faults memory in and trains the branch predictors, is recorded like the others, and is in no figure of the
//! table. Between iterations the heap is collected (the arena: reset) outside the measured time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::adapter::{self, Adapter, Settings};
use crate::environment::Environment;
use crate::heap::{Heap, HeapFull};
use crate::measure::pause::Pauses;
use crate::measure::space::peak_resident_bytes;
use crate::measure::throughput::Stopwatch;
use crate::workload::{Input, Outcome, Size, Workload};

/// What a child process is asked to do. Everything is resolved: no default is left to the child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// Name of the workload.
    pub workload: String,
    /// Size its parameters were taken from.
    pub size: Size,
    /// Every parameter of the workload.
    pub parameters: BTreeMap<String, u64>,
    /// Name of the heap, or of the [peer](crate::peer).
    pub heap: String,
    /// Every option of the heap; of a peer, the program that runs or compiles ours.
    pub options: BTreeMap<String, String>,
    /// Limit of the heap, in bytes. Heaps that it does not bind (the arena) have it too: it is the comparison's.
    pub heap_bytes: u64,
    /// Mutator threads.
    pub threads: usize,
    /// Where pseudo-random sequences start.
    pub seed: u64,
    /// Timed iterations, after one that warms up.
    pub iterations: u32,
    /// Which invocation of its cell this is, from 1.
    pub invocation: u32,
}

/// The version of the rows' format, raised whenever a reader of the old one would misread the new one.
pub const SCHEMA: u32 = 1;

/// One line of a result file: one iteration, or the reason why there is none.
///
/// Every quantity's name ends in its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was asked for.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// Which iteration this is: 0 warms up, timed ones count from 1.
    pub iteration: u32,
    /// How it ended.
    pub status: Status,
    /// More about the status, in words.
    pub message: Option<String>,
    /// What was measured, if it ended well.
    #[serde(flatten)]
    pub metrics: Option<Metrics>,
    /// Where it ran; filled in by the parent.
    pub environment: Option<Environment>,
}

/// How an iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It does not fit into the heap bytes.
    HeapFull,
    /// The arena would need more than the machine has.
    Skipped,
    /// It was measured, but did other work than another heap did: its figures count for nothing.
    Void,
    /// It took longer than allowed and was killed.
    Timeout,
    /// The process ended in another way; the message says how.
    Crashed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::HeapFull => "heap-full",
            Self::Skipped => "skipped",
            Self::Void => "void",
            Self::Timeout => "timeout",
            Self::Crashed => "crashed",
        })
    }
}

/// What was measured in one iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The digest of the results, in hexadecimal.
    pub checksum: String,
    /// How many operations.
    pub operations: u64,
    /// What one operation is.
    pub operation: String,
    /// Objects allocated.
    pub allocated_objects: u64,
    /// Payload bytes allocated: 8 for each field and word.
    pub allocated_payload_bytes: u64,
    /// Wall time.
    pub wall_ns: u64,
    /// Processor time of all threads of the process.
    pub cpu_ns: u64,
    /// Wall time divided by operations.
    pub wall_ns_per_operation: f64,
    /// Collections carried out.
    pub collections: u64,
    /// Stopped thread time / (threads x wall time), 0 to 1.
    pub stopped_share: f64,
    /// Pauses.
    #[serde(flatten)]
    pub pauses: Pauses,
    /// The most the heap has counted against its limit so far.
    pub peak_heap_bytes: u64,
    /// The largest resident size of the process so far; `null` where the system does not say.
    pub peak_resident_bytes: Option<u64>,
    /// What the workload saw on its way, by names that end in their units.
    #[serde(default)]
    pub observations: BTreeMap<String, u64>,
}

impl Metrics {
    /// What two heaps must agree on to have done the same work.
    pub fn work(&self) -> (&str, u64, u64, u64) {
        (
            &self.checksum,
            self.operations,
            self.allocated_objects,
            self.allocated_payload_bytes,
        )
    }
}

impl Row {
    /// A row without figures.
    pub fn without_metrics(
        invocation: &Invocation,
        iteration: u32,
        status: Status,
        message: String,
    ) -> Self {
        Self {
            schema: SCHEMA,
            invocation: invocation.clone(),
            iteration,
            status,
            message: Some(message),
            metrics: None,
            environment: None,
        }
    }
}

/// Carries an invocation out in this process and emits a row for each iteration, or for the first one that does not fit.
///
/// # Errors
///
/// A sentence, if the heap does not exist or cannot be made.
pub(crate) fn execute<W: Workload>(
    invocation: &Invocation,
    input: &Input,
    emit: &mut dyn FnMut(Row),
) -> Result<(), String> {
    let description = adapter::find(&invocation.heap)?;
    let mut settings = Settings::of(description, invocation.heap_bytes);
    for (name, value) in &invocation.options {
        settings.set(description, name, value)?;
    }
    let executor = Executor::<'_, W> {
        invocation,
        input,
        settings: &settings,
        emit,
        workload: std::marker::PhantomData,
    };
    adapter::visit(description.name, executor).expect("the heap was just found")
}

struct Executor<'e, W> {
    invocation: &'e Invocation,
    input: &'e Input,
    settings: &'e Settings,
    emit: &'e mut dyn FnMut(Row),
    workload: std::marker::PhantomData<W>,
}

impl<W: Workload> adapter::Visitor for Executor<'_, W> {
    type Output = Result<(), String>;

    fn visit<A: Adapter>(self) -> Self::Output {
        let heap = A::build(self.settings)?;
        for iteration in 0..=self.invocation.iterations {
            let row = match iterate::<W, A::Heap>(&heap, self.input) {
                Ok(metrics) => Row {
                    schema: SCHEMA,
                    invocation: self.invocation.clone(),
                    iteration,
                    status: Status::Ok,
                    message: None,
                    metrics: Some(metrics),
                    environment: None,
                },
                Err(full) => {
                    let (status, message) = if A::capabilities(self.settings).limited {
                        (Status::HeapFull, full.to_string())
                    } else {
                        let limit = format_bytes(heap.statistics().limit_bytes);
                        (
                            Status::Skipped,
                            format!(
                                "{} never frees, and would need more than {limit}",
                                self.invocation.heap
                            ),
                        )
                    };
                    (self.emit)(Row::without_metrics(
                        self.invocation,
                        iteration,
                        status,
                        message,
                    ));
                    return Ok(());
                }
            };
            (self.emit)(row);
            A::recycle(&heap);
        }
        Ok(())
    }
}

/// Runs the workload once and measures it.
fn iterate<W: Workload, H: Heap>(heap: &H, input: &Input) -> Result<Metrics, HeapFull> {
    heap.take_events();
    let before = heap.statistics();
    let stopwatch = Stopwatch::start();
    let Outcome {
        checksum,
        operations,
        observations,
    } = W::run(heap, input)?;
    let elapsed = stopwatch.elapsed();
    let after = heap.statistics();
    let pauses = Pauses::of(&heap.take_events());
    Ok(Metrics {
        checksum: format!("{checksum:016x}"),
        operations,
        operation: W::OPERATION.to_owned(),
        allocated_objects: after.allocated_objects - before.allocated_objects,
        allocated_payload_bytes: after.allocated_payload_bytes - before.allocated_payload_bytes,
        wall_ns: elapsed.wall_ns,
        cpu_ns: elapsed.cpu_ns,
        wall_ns_per_operation: elapsed.wall_ns as f64 / operations.max(1) as f64,
        collections: after.collections - before.collections,
        stopped_share: pauses.stopped_ns as f64
            / (input.threads as f64 * elapsed.wall_ns.max(1) as f64),
        pauses,
        peak_heap_bytes: after.peak_occupied_bytes,
        peak_resident_bytes: peak_resident_bytes(),
        observations: observations
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    })
}

/// Bytes in a unit that leaves three digits or fewer, such as `64 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value >= 99.95 || value.fract() == 0.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        let readable: Vec<String> = [0, 999, 4096, 64 << 20, (3 << 30) / 2, 1023 << 20]
            .map(format_bytes)
            .to_vec();
        assert_eq!(
            readable,
            ["0 B", "999 B", "4 KiB", "64 MiB", "1.5 GiB", "1.0 GiB"]
        );
    }

    #[test]
    fn rows_survive_being_written_and_read() {
        let invocation = Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::from([("nodes".to_owned(), 5)]),
            heap: "gc-rc".to_owned(),
            options: BTreeMap::from([("cycle".to_owned(), "none".to_owned())]),
            heap_bytes: 1 << 20,
            threads: 2,
            seed: 42,
            iterations: 1,
            invocation: 3,
        };
        let metrics = Metrics {
            checksum: "00ff".to_owned(),
            operations: 5,
            operation: "node".to_owned(),
            allocated_objects: 5,
            allocated_payload_bytes: 80,
            wall_ns: 1000,
            cpu_ns: 900,
            wall_ns_per_operation: 200.0,
            collections: 0,
            stopped_share: 0.0,
            pauses: Pauses::default(),
            peak_heap_bytes: 1,
            peak_resident_bytes: None,
            observations: BTreeMap::from([("resident_after_bytes".to_owned(), 4096)]),
        };
        let measured = Row {
            metrics: Some(metrics),
            status: Status::Ok,
            message: None,
            ..Row::without_metrics(&invocation, 1, Status::Ok, String::new())
        };
        let failed = Row::without_metrics(&invocation, 0, Status::HeapFull, "heap full".to_owned());
        for row in [measured, failed] {
            let text = serde_json::to_string(&row).unwrap();
            assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row, "{text}");
        }
    }
}
