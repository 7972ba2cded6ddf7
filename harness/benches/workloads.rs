//! What whole workloads cost on each heap, side by side: the programs of the comparison, at their
//! smallest size, repeated in one process.
//!
//! Throughput is in the workload's own operations: `elem/s`. Each repetition begins on a heap that
//! was collected (the arena: reset) outside the measured time, as the iterations of the comparison
//! do. What this leaves out is what the comparison is for: fresh processes, sizes that are worth
//! collecting, pauses and memory. So these figures are for watching a change of code; `harness run`
//! is for comparing heaps.
//!
//! `cargo bench -p harness --bench workloads` runs everything in some two minutes, with
//! `-- --quick` in a quarter of one; `-- binary-trees` one group. The heap size is each workload's
//! default. A heap in which a workload does not fit is named and left out.

mod side_by_side;

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use harness::adapter::{self, Adapter, HEAPS, Settings, Visitor};
use harness::heap::Heap;
use harness::workload::{
    self, Description, Input, Size, Workload, binary_trees::BinaryTrees, churn::Churn,
    countdown::Countdown, gcbench::GcBench, list::List, lru::Lru, poll::Poll, quads::Quads,
    requests::Requests, rewire::Rewire, rings::Rings, sawtooth::Sawtooth,
    shared_graph::SharedGraph,
};

/// Takes a workload to the heap that is visited.
struct Bench<'g, 'c, W> {
    group: &'g mut BenchmarkGroup<'c, WallTime>,
    input: &'g Input,
    heap_bytes: u64,
    workload: PhantomData<W>,
}

impl<W: Workload> Visitor for Bench<'_, '_, W> {
    type Output = ();

    fn visit<A: Adapter>(self) {
        let heap =
            A::build(&Settings::new::<A>(self.heap_bytes)).expect("the defaults are in range");
        let name = A::DESCRIPTION.name;
        match W::run(&heap, self.input) {
            Ok(outcome) => {
                let operations = Throughput::Elements(outcome.operations);
                self.group.throughput(operations);
            }
            Err(full) => {
                eprintln!("{} on {name}: {full}", W::NAME);
                return;
            }
        }
        A::recycle(&heap);
        self.group
            .bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut elapsed = Duration::ZERO;
                    for _ in 0..iterations {
                        let start = Instant::now();
                        W::run(&heap, self.input).expect("it fitted before");
                        elapsed += start.elapsed();
                        // As between iterations of the comparison: the buffer of events is empty
                        // again, and so is the heap.
                        heap.take_events();
                        A::recycle(&heap);
                    }
                    elapsed
                });
            });
    }
}

/// Measures a workload on every heap, in one group.
fn on_every_heap<W: Workload>(criterion: &mut Criterion) {
    let workload = Description::of::<W>();
    let input = Input::new(&workload, Size::Tiny);
    let mut group = criterion.benchmark_group(W::NAME);
    // An iteration takes milliseconds: each sample has as many as the others.
    group.sampling_mode(SamplingMode::Flat);
    for heap in HEAPS {
        let bench = Bench {
            group: &mut group,
            input: &input,
            heap_bytes: workload.heap_bytes(&input),
            workload: PhantomData::<W>,
        };
        let settings = Settings::of(heap, bench.heap_bytes);
        adapter::visit(heap.name, &settings, bench).expect("it is in the list");
    }
    group.finish();
}

/// The function that measures these workloads, which must be all that there are.
macro_rules! workloads {
    ($($workload:ty),+ $(,)?) => {
        const NAMES: &[&str] = &[$(<$workload>::NAME),+];

        fn workloads(criterion: &mut Criterion) {
            for workload in workload::standard() {
                assert!(NAMES.contains(&workload.name), "{} is not listed here", workload.name);
            }
            $(on_every_heap::<$workload>(criterion);)+
        }
    };
}

workloads!(
    GcBench,
    BinaryTrees,
    Quads,
    List,
    Rings,
    Churn,
    Lru,
    Rewire,
    SharedGraph,
    Sawtooth,
    Requests,
    Poll,
    Countdown,
);

fn main() {
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .sample_size(15);
    side_by_side::compare(
        "What an operation of each workload costs on each heap, at the workload's smallest size and \
         its default heap size.",
        criterion,
        NAMES,
        workloads,
    );
}
