//! One invocation: a workload run several times on one heap, in a process of its own.
//!
//! The parent describes it ([`Invocation`]), the child carries it out and answers with one [`Row`]
//! an iteration. Iteration 0 warms up: it faults memory in and trains the branch predictors, is
//! recorded like the others, and is in no figure of the table, unless no other was asked for.
//! Between iterations the machine's memory is [probed](crate::measure::probe), and the arena is
//! reset. A heap that collects is left as it is where workloads are compared
//! ([`Between::Nothing`]): a collection before the timer would take away what the timed iteration
//! has to pay for, a tenth of its collections or more, and for a tracing heap only.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::thread;

pub use contract::row::*;
pub use contract::units::format_bytes;

use crate::adapter::{self, Adapter, Settings};
use crate::heap::{FullCause, Heap, HeapFull, Statistics};
use crate::measure::hiccup::{self, Interference};
use crate::measure::probe::Probe;
use crate::measure::sampler::{Sampled, Sampler};
use crate::measure::space::peak_resident_bytes;
use crate::measure::throughput::{Elapsed, Stopwatch};
use crate::measure::timeline::Timeline;
use crate::measure::{
    cpu, floating, latency, pause, reclamation, record, safepoint, space, stall, utilisation,
};
use contract::event::EventLog;
use contract::threads;
use contract::workload::{Input, Outcome, Workload};

/// Everything that events alone tell of an iteration that lasted from `iteration.start` to its end,
/// in the time of the events, on `threads` threads where these do not say; the rest is empty.
pub fn of_events(timeline: &Timeline<'_>, iteration: Range<u64>, threads: usize) -> Metrics {
    let (collections_log, collections_unlogged) = record::collections(timeline, &iteration);
    let (spans, spans_left_out) = record::spans(timeline, &iteration);
    let used = utilisation::of(timeline, iteration, threads);
    Metrics {
        stopped_share: used.stopped_share(),
        mutator_ns: Some(used.active_ns),
        pauses: Pauses {
            stopped_ns: used.stopped_ns,
            ..pause::of(timeline)
        },
        collector_cpu_ns: cpu::collector_ns(timeline),
        pause_parts: pause::parts(timeline),
        time_to_safepoint: safepoint::arrivals(timeline),
        stalls: stall::of(timeline),
        utilisation: used.curve,
        collections_log,
        collections_unlogged,
        spans,
        spans_left_out,
        ..Metrics::default()
    }
}

/// What comes between two iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing: what one leaves to be freed, the next one pays for, as it leaves as much itself.
    Nothing,
    /// A collection, whose time is nobody's: each iteration finds the heap as the first did.
    Collection,
}

/// Carries an invocation out in this process and emits a row for each iteration, or for the first
/// one that does not fit.
///
/// # Errors
///
/// A sentence, if the heap does not exist or cannot be made.
pub fn execute<W: Workload>(
    invocation: &Invocation,
    input: &Input,
    between: Between,
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
        between,
        settings: &settings,
        emit,
        workload: std::marker::PhantomData,
    };
    adapter::visit(description.name, &settings, executor).expect("the heap was just found")
}

struct Executor<'e, W> {
    invocation: &'e Invocation,
    input: &'e Input,
    between: Between,
    settings: &'e Settings,
    emit: &'e mut dyn FnMut(Row),
    workload: std::marker::PhantomData<W>,
}

impl<W: Workload> adapter::Visitor for Executor<'_, W> {
    type Output = Result<(), String>;

    fn visit<A: Adapter>(self) -> Self::Output {
        let heap = A::build(self.settings)?;
        let limited = A::capabilities(self.settings).limited;
        // Experiments are many and short, and compare forms whose memory is their own.
        let probe = (self.between == Between::Nothing).then(Probe::new);
        let lap_ns = || probe.as_ref().map(Probe::lap_ns);
        // What comes between two iterations is short: one lap stands for both sides of it.
        let mut before = lap_ns();
        for iteration in 0..=self.invocation.iterations {
            let iterated = threads::unless_refused(|| iterate::<W, A::Heap>(&heap, self.input));
            let after = lap_ns();
            let iterated = iterated.map(|iterated| {
                iterated.map(|(metrics, noisy)| {
                    let probed = Metrics {
                        probe_before_ns: before,
                        probe_after_ns: after,
                        ..metrics
                    };
                    (probed, noisy)
                })
            });
            before = after;
            let limit = || heap.statistics().limit_bytes;
            let (row, goes_on) = row(self.invocation, iteration, iterated, limited, &limit);
            (self.emit)(row);
            if !goes_on {
                return Ok(());
            }
            // What frees nothing by itself has no steady state.
            if !limited || self.between == Between::Collection {
                A::recycle(&heap);
            }
        }
        Ok(())
    }
}

/// The row of an iteration, and whether another can follow. `limited`: the heap collects within a
/// limit, which `limit` asks it for.
fn row(
    invocation: &Invocation,
    iteration: u32,
    iterated: Result<Result<(Metrics, Vec<String>), HeapFull>, String>,
    limited: bool,
    limit: &dyn Fn() -> u64,
) -> (Row, bool) {
    let without = |status, message| {
        (
            Row::without_metrics(invocation, iteration, status, message),
            false,
        )
    };
    match iterated {
        Err(refused) => without(Status::Crashed, refused),
        Ok(Ok((mut metrics, noisy))) => {
            if iteration < invocation.first_timed() {
                metrics.forget_details();
            }
            let measured = Row::measured(invocation, iteration, metrics);
            (Row { noisy, ..measured }, true)
        }
        // Neither a small heap nor the arena's own limit.
        Ok(Err(full)) if full.cause == FullCause::System => {
            without(Status::Crashed, full.to_string())
        }
        Ok(Err(full)) if limited => without(Status::HeapFull, full.to_string()),
        Ok(Err(_)) => {
            let limit = format_bytes(limit());
            let message = format!(
                "{} never frees, and would need more than {limit}",
                invocation.heap
            );
            without(Status::Skipped, message)
        }
    }
}

/// Runs the workload once and measures it; also says what disturbed it.
fn iterate<W: Workload, H: Heap>(
    heap: &H,
    input: &Input,
) -> Result<(Metrics, Vec<String>), HeapFull> {
    heap.take_events();
    let before = heap.statistics();
    let sampler = Sampler::start(heap);
    let interference = Interference::read();
    let start = heap.origin().elapsed();
    let stopwatch = Stopwatch::start();
    let outcome = W::run(heap, input);
    let elapsed = stopwatch.elapsed();
    let interference = Interference::read().since(interference);
    let sampled = sampler.stop();
    let outcome = outcome?;
    let observed = Observed {
        operation: W::OPERATION,
        threads: input.threads,
        start: start.as_nanos() as u64,
        elapsed,
        before,
        after: heap.statistics(),
        log: heap.take_events(),
        sampled,
        interference,
    };
    Ok(observed.metrics(outcome))
}

/// What was read before, during and after an iteration: all that [`iterate`] knows of the workload
/// and the heap. What follows from it is compiled once and not for every pair of these.
struct Observed {
    operation: &'static str,
    threads: usize,
    /// When it began, in nanoseconds since the heap was made.
    start: u64,
    elapsed: Elapsed,
    before: Statistics,
    after: Statistics,
    log: EventLog,
    sampled: Sampled,
    interference: Interference,
}

impl Observed {
    /// The figures of the iteration, and what disturbed it.
    fn metrics(self, outcome: Outcome) -> (Metrics, Vec<String>) {
        let Self {
            start,
            elapsed,
            before,
            after,
            sampled,
            interference,
            ..
        } = self;
        let Outcome {
            checksum,
            operations,
            observations,
            requests,
            deaths,
        } = outcome;
        let timeline = Timeline::of(&self.log);
        let readings = &sampled.readings;
        let reachable = floating::reachable(readings, &timeline);
        let reachable = reachable.as_deref();
        let delays = reclamation::of(&deaths, &timeline);
        let mut observations: BTreeMap<String, u64> = observations
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if !deaths.is_empty() {
            observations.insert("deaths_not_found_count".to_owned(), delays.pending);
            let identified = delays.identified.percentile(0.5);
            observations.extend(identified.map(|ns| ("identified_p50_ns".to_owned(), ns)));
        }
        let mut metrics = Metrics {
            checksum: format!("{checksum:016x}"),
            operations,
            operation: self.operation.to_owned(),
            allocated_objects: after.allocated_objects - before.allocated_objects,
            allocated_payload_bytes: after.allocated_payload_bytes - before.allocated_payload_bytes,
            wall_ns: elapsed.wall_ns,
            // The sampler is no part of what is measured.
            cpu_ns: elapsed.cpu_ns.saturating_sub(sampled.cpu_ns),
            wall_ns_per_operation: elapsed.wall_ns as f64 / operations.max(1) as f64,
            collections: after.collections - before.collections,
            peak_heap_bytes: after.peak_occupied_bytes,
            peak_resident_bytes: peak_resident_bytes(),
            observations,
            latency: latency::of(&requests),
            reclamation_delay: delays.reusable,
            floating_byte_seconds: reachable
                .map(|reachable| floating::byte_seconds(readings, reachable)),
            space: space::of(readings, reachable),
            timeline: space::timeline(readings, reachable, start, MAX_SAMPLES),
            hiccup: Distribution::of(sampled.oversleeps),
            involuntary_switches: interference.involuntary_switches,
            steal_ns: interference.steal_ns,
            ..of_events(&timeline, start..start + elapsed.span_ns, self.threads)
        };
        for record in &mut metrics.collections_log {
            record.limit_bytes = (after.limit_bytes > 0).then_some(after.limit_bytes);
        }
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let noisy = hiccup::marks(&metrics.hiccup, interference, elapsed.span_ns, processors);
        (metrics, noisy)
    }
}
