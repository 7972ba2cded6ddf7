//! Every workload does the same work on every heap, however it is split and whatever it is told
//! that is not part of the work.

use std::collections::BTreeMap;

use harness::adapter::{self, Adapter, Settings, Visitor};
use harness::heap::Heap;
use harness::invocation::{self, Metrics};
use harness::measure::timeline::Timeline;
use harness::plan;
use harness::workload::{
    Description, Input, Outcome, Size, Workload, binary_trees::BinaryTrees, churn::Churn,
    countdown::Countdown, gcbench::GcBench, list::List, lru::Lru, poll::Poll, quads::Quads,
    requests::Requests, rewire::Rewire, rings::Rings, sawtooth::Sawtooth,
    shared_graph::SharedGraph, standard,
};

/// What heaps must agree on, and what only some workloads have.
struct Done {
    work: (u64, u64, u64, u64),
    outcome: Outcome,
    metrics: Metrics,
}

/// Runs a workload on the heap it is called with.
struct Run<'i, W> {
    input: &'i Input,
    settings: &'i Settings,
    workload: std::marker::PhantomData<W>,
}

impl<W: Workload> Visitor for Run<'_, W> {
    type Output = Done;

    fn visit<A: Adapter>(self) -> Done {
        let heap = A::build(self.settings).unwrap();
        let outcome = W::run(&heap, self.input).unwrap();
        let statistics = heap.statistics();
        let log = heap.take_events();
        Done {
            work: (
                outcome.checksum,
                outcome.operations,
                statistics.allocated_objects,
                statistics.allocated_payload_bytes,
            ),
            outcome,
            metrics: invocation::of_events(&Timeline::of(&log), 0..1, self.input.threads),
        }
    }
}

fn run<W: Workload>(heap: &str, threads: usize, parameters: &[(&str, &str)]) -> Done {
    let workload = Description::of::<W>();
    let mut input = Input::new(&workload, Size::Tiny);
    input.threads = threads;
    for (name, value) in parameters {
        input.set(&workload, name, value).unwrap();
    }
    // A heap of the list, or one with an option: `NAME:OPTION=VALUE`.
    let (name, options) = plan::split(heap).unwrap();
    let heap = adapter::HEAPS.iter().find(|heap| heap.name == name);
    let heap = heap.expect("a heap of the list");
    let mut settings = Settings::of(heap, workload.heap_bytes(&input));
    for (option, value) in options {
        settings.set(heap, option, value).unwrap();
    }
    let visitor = Run::<W> {
        input: &input,
        settings: &settings,
        workload: std::marker::PhantomData,
    };
    adapter::visit(name, &settings, visitor).expect("a heap of the list")
}

/// The work on every heap, which must be the same; at the heap size that the workload asks for.
fn same_on_every_heap<W: Workload>(threads: usize, parameters: &[(&str, &str)]) -> Done {
    let mut first: Option<Done> = None;
    let heaps = adapter::HEAPS.iter().map(|heap| heap.name);
    let unlocked = ["atomic", "object-lock", "biased", "deferred"]
        .map(|regime| format!("gc-rc:regime={regime}"));
    for heap in heaps.chain(unlocked.iter().map(String::as_str)) {
        let done = run::<W>(heap, threads, parameters);
        let expected = first.as_ref().map_or(done.work, |first| first.work);
        let context = format!("{} on {heap}, {threads} threads, {parameters:?}", W::NAME);
        assert_eq!(done.work, expected, "{context}");
        assert!(done.work.1 > 0, "{context}");
        first.get_or_insert(done);
    }
    first.expect("there are heaps")
}

/// Expands to a test for each workload, and one that none is missing.
macro_rules! workloads {
    ($($test:ident: $workload:ty, $independent:literal;)+) => {
        $(
            #[test]
            fn $test() {
                let alone = same_on_every_heap::<$workload>(1, &[]);
                let pair = same_on_every_heap::<$workload>(2, &[]);
                assert_eq!(alone.work.1, pair.work.1, "operations");
                // Where each thread has a generator of its own, what it sees depends on how many
                // there are.
                assert_eq!(alone.work.0 == pair.work.0, $independent, "checksums of one thread and two");
            }
        )+

        #[test]
        fn every_workload_is_tested() {
            let tested = [$(<$workload>::NAME),+];
            for workload in standard() {
                assert!(tested.contains(&workload.name), "{}", workload.name);
            }
        }
    };
}

workloads! {
    gcbench: GcBench, true;
    binary_trees: BinaryTrees, true;
    quads: Quads, true;
    list: List, true;
    rings: Rings, true;
    churn: Churn, false;
    lru: Lru, true;
    rewire: Rewire, true;
    shared_graph: SharedGraph, true;
    sawtooth: Sawtooth, true;
    requests: Requests, true;
    poll: Poll, true;
    countdown: Countdown, true;
}

#[test]
fn locals_are_no_part_of_the_work() {
    let rooted = same_on_every_heap::<SharedGraph>(2, &[("rooted", "1")]);
    let unrooted = same_on_every_heap::<SharedGraph>(2, &[("rooted", "0")]);
    assert_eq!(rooted.work, unrooted.work);
    let rooted = same_on_every_heap::<Lru>(1, &[("rooted", "1")]);
    let unrooted = same_on_every_heap::<Lru>(1, &[("rooted", "0")]);
    assert_eq!(rooted.work, unrooted.work);
}

/// Eight caches, of which one thread serves all, and each of eight threads one.
#[test]
fn caches_of_different_sizes_do_their_own_share() {
    let alone = same_on_every_heap::<Lru>(1, &[("entries", "500")]);
    let apart = same_on_every_heap::<Lru>(8, &[("entries", "500")]);
    assert_eq!(alone.work.0, apart.work.0);
    // Besides its caches, a thread makes an array of them.
    assert_eq!(alone.work.2 + 7, apart.work.2);
    assert_eq!(alone.work.3, apart.work.3);
}

#[test]
fn the_load_decides_when_requests_come_and_not_which() {
    let loads = ["50", "70", "90"]
        .map(|load| same_on_every_heap::<Requests>(2, &[("rate", "0"), ("load", load)]));
    assert!(loads.iter().all(|done| done.work == loads[0].work));
    let rate = same_on_every_heap::<Requests>(1, &[("rate", "200000")]);
    assert_eq!(rate.work.0, loads[0].work.0);
}

#[test]
fn requests_are_timed() {
    for heap in ["gc-rc", "gc-marksweep", "arena"] {
        let parameters = [("requests", "2000"), ("sessions", "1")];
        let Done { outcome, .. } = run::<Requests>(heap, 2, &parameters);
        assert_eq!(outcome.requests.len(), 2000);
        for request in &outcome.requests {
            assert!(request.intended <= request.start && request.start <= request.end);
        }
        // Of 8,000 requests each 256th is watched; the first find nothing to replace.
        assert!(
            (28..=32).contains(&outcome.deaths.len()),
            "{:?}",
            outcome.deaths
        );
        let found = outcome
            .deaths
            .iter()
            .filter(|death| death.identified.is_some());
        match heap {
            "gc-rc" => assert_eq!(found.count(), outcome.deaths.len()),
            "arena" => assert_eq!(found.count(), 0),
            _ => {}
        }
    }
}

/// A stop waits for the thread that computes, and for none that waits in a blocking region.
#[test]
fn polls_are_waited_for() {
    let parameters = [("allocations", "1000000"), ("computing", "100000")];
    let metrics = run::<Poll>("gc-marksweep", 1, &parameters).metrics;
    let collections = metrics.pause_parts["mark"].count;
    assert!(collections > 0);
    // The allocating thread asked for every stop, so that none waited for it; the third thread was
    // in a blocking region.
    let arrivals = metrics.time_to_safepoint.count;
    assert!(
        (1..=collections).contains(&arrivals),
        "{arrivals} of {collections}"
    );
}

#[test]
fn names_are_unique() {
    let mut names = BTreeMap::new();
    for workload in standard() {
        assert_eq!(names.insert(workload.name, ()), None, "{}", workload.name);
        assert!(!workload.summary.ends_with('.'), "{}", workload.name);
    }
}
