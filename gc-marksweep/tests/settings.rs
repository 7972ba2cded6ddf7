//! Every setting over its whole range: what a builder takes makes a heap on which a program runs
//! with a bounded number of collections, or a clear error.
//!
//! The values are the ends of each range, what lies beside them, and what overflows when it is
//! multiplied. Overflow checks are on in tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gc_marksweep::{
    BuildError, Builder, Event, Flags, FullCause, Generations, Heap, HeapFull, Listener, Local,
    Mutator, OverheadLimit, Shape, Sizing,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Settings {
    limit: usize,
    generations: Generations,
    nursery: usize,
    sizing: Sizing,
    release_after: Option<Duration>,
    watchdog: Option<Duration>,
    stress: bool,
    poison: bool,
    listeners: usize,
    event_capacity: usize,
    prefetch_depth: usize,
    marking_workers: Option<usize>,
    mark_stack_limit: usize,
    overhead_limit: Option<OverheadLimit>,
}

struct Deaf;

impl Listener for Deaf {
    fn event(&self, _event: &Event) {}
}

impl Settings {
    fn build(&self) -> Result<Heap, BuildError> {
        let mut builder = Heap::builder()
            .limit(self.limit)
            .generations(self.generations)
            .nursery(self.nursery)
            .sizing(self.sizing)
            .release_after(self.release_after)
            .watchdog(self.watchdog)
            .stress(self.stress)
            .poison(self.poison)
            .event_capacity(self.event_capacity)
            .prefetch_depth(self.prefetch_depth)
            .mark_stack_limit(self.mark_stack_limit)
            .overhead_limit(self.overhead_limit);
        if let Some(workers) = self.marking_workers {
            builder = builder.marking_workers(workers);
        }
        for _ in 0..self.listeners {
            builder = builder.listener(Arc::new(Deaf));
        }
        builder.build()
    }

    /// The most collections that so many allocations of so many bytes in all may take, some that
    /// are asked for apart.
    fn most_collections(&self, allocations: u64, bytes: usize) -> u64 {
        if self.stress {
            return allocations + 100;
        }
        // Half of what may be allocated between two: there is always some that lives, or that lies
        // in holes that are too small.
        let between = self.nursery.min(self.limit / 4).min(MIB / 2);
        100 + (bytes / between) as u64
    }
}

/// Whole numbers: the ends of the range of `usize`, powers of two and what lies beside them, and
/// what is usual.
fn numbers(usual: &'static [usize]) -> impl Strategy<Value = usize> {
    let powers = (0..usize::BITS, -1..=1_isize)
        .prop_map(|(bit, beside)| (1_usize << bit).wrapping_add_signed(beside));
    let ends = select(&[0, 1, usize::MAX, usize::MAX - 1, usize::MAX / 3][..]);
    prop_oneof![14 => select(usual), 1 => ends, 1 => powers, 1 => any::<usize>()]
}

fn factors() -> impl Strategy<Value = f64> {
    let extreme = [
        0.0,
        -0.0,
        -1.0,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::EPSILON,
        1e-300,
        1e-30,
        0.2,
        1.0 - f64::EPSILON,
        1.0,
        1.0 + f64::EPSILON,
        1.000_000_1,
        2.0,
        1e6,
        1e18,
        1e19,
        1e30,
        1e300,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    prop_oneof![3 => select(extreme.to_vec()), 1 => any::<f64>()]
}

fn durations() -> impl Strategy<Value = Option<Duration>> {
    let extreme = [0, 1, 1_000_000_000, u64::MAX].map(Duration::from_nanos);
    let endless = [Duration::MAX, Duration::from_secs(u64::MAX)];
    select([&extreme[..], &endless].concat())
        .prop_map(Some)
        .boxed()
        .prop_union(Just(None).boxed())
}

fn overhead_limits() -> impl Strategy<Value = Option<OverheadLimit>> {
    let percentages = || select(&[0, 2, 98, 100, 101, 255][..]);
    let limits =
        (percentages(), percentages()).prop_map(|(time_percent, free_percent)| OverheadLimit {
            time_percent,
            free_percent,
        });
    prop_oneof![
        6 => Just(Some(OverheadLimit::default())),
        1 => Just(None),
        3 => limits.prop_map(Some),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let least = Builder::MINIMUM_LIMIT;
    let limits = vec![least, least + 1, MIB, 64 * MIB, 1 << 40];
    let limits = prop_oneof![6 => select(limits), 1 => numbers(&[Builder::MINIMUM_LIMIT])];
    let generations = [Generations::Off, Generations::On, Generations::Auto];
    let sizings = prop_oneof![
        Just(Sizing::Fixed),
        factors().prop_map(Sizing::Multiplier),
        factors().prop_map(Sizing::MemBalancer),
    ];
    (
        (limits, select(generations.to_vec()), sizings),
        numbers(&[64 * KIB, MIB, 16 * MIB, usize::MAX]),
        (durations(), durations()),
        (proptest::bool::weighted(0.1), any::<bool>()),
        (0..3_usize, numbers(&[0, 1, 64, 65_536])),
        numbers(&[0, 1, 16, Builder::MAX_PREFETCH_DEPTH]),
        proptest::option::of(numbers(&[1, 2, 3, Builder::MAX_MARKING_WORKERS])),
        (numbers(&[0, 32 * KIB, usize::MAX]), overhead_limits()),
    )
        .prop_map(
            |(
                (limit, generations, sizing),
                nursery,
                (release_after, watchdog),
                (stress, poison),
                (listeners, event_capacity),
                prefetch_depth,
                marking_workers,
                (mark_stack_limit, overhead_limit),
            )| Settings {
                limit,
                generations,
                nursery,
                sizing,
                release_after,
                watchdog,
                stress,
                poison,
                listeners,
                event_capacity,
                prefetch_depth,
                marking_workers,
                mark_stack_limit,
                overhead_limit,
            },
        )
}

/// Some short-lived objects of all sizes, and a list of `kept` nodes that is found whole at the
/// end.
fn allocate(m: &mut Mutator<'_>, rounds: u64, kept: u64) -> Result<(), HeapFull> {
    m.frame(|m, [list, short]| {
        for round in 0..rounds {
            if round < kept {
                m.alloc_move(list, Flags::NONE, [list], [round])?;
            }
            m.alloc_init(short, Flags::NONE, [list], [round; 6])?;
            if round % 64 == 0 {
                m.alloc(short, Shape::new(40, 60))?;
            }
            if round % 512 == 0 {
                m.alloc(short, Shape::new(700, 700).with(Flags::FINALIZE))?;
                m.set(short, None);
                while m.finalizable(short) {}
            }
            m.safepoint();
        }
        m.set(short, None);
        assert_eq!(length(m, list), kept.min(rounds));
        Ok(())
    })
}

fn length<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) -> u64 {
    let mut length = 0;
    let mut node = m.get(list);
    while let Some(object) = node {
        length += 1;
        node = m.load(object, 0);
    }
    length
}

const ROUNDS: u64 = 20_000;

/// Allocations, collections, a blocking region, a second thread.
fn script(heap: &Heap, rounds: u64) -> Result<(), HeapFull> {
    drop(heap.take_events());
    heap.attach(|m| {
        let first = allocate(m, rounds, 500);
        m.collect();
        let other = m.blocking(|| {
            thread::scope(|scope| {
                let other = || heap.attach(|m| allocate(m, rounds / 4, 100));
                scope.spawn(other).join().unwrap()
            })
        });
        let last = allocate(m, rounds / 4, 500);
        m.collect();
        m.verify();
        first.and(other).and(last)
    })
}

fn try_settings(settings: &Settings) {
    let heap = match settings.build() {
        Ok(heap) => heap,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.contains(": "), "{text}");
            return;
        }
    };
    let rounds = if settings.stress { 600 } else { ROUNDS };
    if let Err(full) = script(&heap, rounds) {
        // Its heap is nearly full in the eyes of this limit alone.
        let strict = settings
            .overhead_limit
            .is_some_and(|limit| limit.free_percent > 2);
        assert!(full.cause == FullCause::Overhead && strict, "{full}");
    }
    let statistics = heap.statistics();
    let bytes = 8 * statistics.allocated_objects + statistics.allocated_payload_bytes;
    let most = settings.most_collections(statistics.allocated_objects, bytes as usize);
    let collections = statistics.collections;
    assert!(collections <= most, "{collections} collections, not {most}");
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_settings_make_a_heap_that_works_or_a_clear_error(settings in settings()) {
        let tried = catch_unwind(AssertUnwindSafe(|| try_settings(&settings)));
        prop_assert!(tried.is_ok(), "{settings:?}");
    }
}

fn usual() -> Settings {
    Settings {
        limit: 64 * MIB,
        generations: Generations::default(),
        nursery: 16 * MIB,
        sizing: Sizing::Fixed,
        release_after: Some(Duration::from_secs(4)),
        watchdog: None,
        stress: false,
        poison: false,
        listeners: 0,
        event_capacity: 64,
        prefetch_depth: 16,
        marking_workers: Some(1),
        mark_stack_limit: usize::MAX,
        overhead_limit: Some(OverheadLimit::default()),
    }
}

/// A heap that may become as large as there is room collects no more often than one whose size is
/// fixed to that, but for the first collection, which finds out what is live.
#[test]
fn a_factor_without_measure_is_as_a_fixed_size() {
    let collections = |sizing| {
        let settings = Settings {
            sizing,
            generations: Generations::Off,
            ..usual()
        };
        let heap = settings.build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [list, short]| {
                for word in 0..10_000 {
                    m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                }
                m.collect();
                for word in 0..1_700_000 {
                    m.alloc_init(short, Flags::NONE, [], [word; 4]).unwrap();
                }
            });
        });
        heap.statistics().collections
    };
    let fixed = collections(Sizing::Fixed);
    assert!((2..4).contains(&fixed), "{fixed}");
    for factor in [1e6, 1e12, 1e18, 1e19, 1e30, 1e300, f64::MAX] {
        let multiplied = collections(Sizing::Multiplier(factor));
        assert!(multiplied <= fixed + 1, "{factor:e}: {multiplied}");
        let balanced = collections(Sizing::MemBalancer(1.0 / factor));
        assert!(balanced <= fixed + 1, "1 / {factor:e}: {balanced}");
    }
}

/// What no heap can be made with is refused by name.
#[test]
fn senseless_factors_are_refused_in_words() {
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -2.0, -0.0, 0.0] {
        for sizing in [Sizing::Multiplier(factor), Sizing::MemBalancer(factor)] {
            let text = Settings { sizing, ..usual() }
                .build()
                .unwrap_err()
                .to_string();
            assert!(text.contains(&factor.to_string()), "{text}");
            assert!(text.contains("choose"), "{text}");
        }
    }
}
