//! Every setting over its whole range: what a builder takes makes a heap on which a program runs
//! with a bounded number of collections, or a clear error.
//!
//! The values are the ends of each range, what lies beside them, and what overflows when it is
//! multiplied. Overflow checks are on in tests.

#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gc_rc::{
    BuildError, Cycle, Event, Flags, Free, FullCause, Gil, Heap, HeapFull, Listener, Local,
    Mutator, OverheadLimit, Shape,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

const MIB: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Settings {
    limit: usize,
    overhead_limit: Option<OverheadLimit>,
    stress: bool,
    poison: bool,
    watchdog: Option<Duration>,
    event_capacity: usize,
    listeners: usize,
    lock_hold_times: bool,
    gil: Gil,
    switch_interval: Duration,
    cycle: Cycle,
    thresholds: [usize; 3],
    oldest_growth: usize,
    prefetch: bool,
    possible_roots: usize,
    free: Free,
    release_after: Option<Duration>,
}

struct Deaf;

impl Listener for Deaf {
    fn event(&self, _event: &Event) {}
}

impl Settings {
    fn build(&self) -> Result<Heap, BuildError> {
        let mut builder = Heap::builder()
            .limit(self.limit)
            .overhead_limit(self.overhead_limit)
            .stress(self.stress)
            .poison(self.poison)
            .watchdog(self.watchdog)
            .event_capacity(self.event_capacity)
            .lock_hold_times(self.lock_hold_times)
            .gil(self.gil)
            .switch_interval(self.switch_interval)
            .cycle(self.cycle)
            .thresholds(self.thresholds)
            .oldest_growth(self.oldest_growth)
            .prefetch(self.prefetch)
            .possible_roots(self.possible_roots)
            .free(self.free)
            .release_after(self.release_after);
        for _ in 0..self.listeners {
            builder = builder.listener(Arc::new(Deaf));
        }
        builder.build()
    }

    /// The most collections that so many allocations of so many bytes in all may take, with those
    /// that are asked for.
    fn most_collections(&self, allocations: u64, bytes: u64) -> u64 {
        let between = match self.cycle {
            _ if self.stress => 1,
            Cycle::Generational if self.thresholds[0] > 0 => self.thresholds[0] as u64,
            // The heap has to double between two, or to lose half of what it had.
            Cycle::BaconRajan => (self.possible_roots as u64 / 2).min(500),
            _ => u64::MAX,
        };
        // At the limit, an eighth of it is free after each, or there are few of them.
        let full = bytes / (self.limit as u64 / 8);
        100 + allocations / between.max(1) + full
    }
}

/// Whole numbers: the ends of the range of `usize`, powers of two and what lies beside them, and
/// what is usual.
fn numbers(usual: &'static [usize]) -> impl Strategy<Value = usize> {
    let powers = (0..usize::BITS, -1..=1_isize)
        .prop_map(|(bit, beside)| (1_usize << bit).wrapping_add_signed(beside));
    let ends = select(&[0, 1, usize::MAX, usize::MAX - 1, usize::MAX / 3][..]);
    prop_oneof![6 => select(usual), 2 => ends, 2 => powers, 1 => any::<usize>()]
}

fn durations() -> impl Strategy<Value = Duration> {
    let extreme = [0, 1, 5_000_000, 1_000_000_000, u64::MAX].map(Duration::from_nanos);
    let endless = [Duration::MAX, Duration::from_secs(u64::MAX)];
    select([&extreme[..], &endless].concat())
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
    let limits = [
        gc_rc::Builder::MINIMUM_LIMIT,
        gc_rc::Builder::MINIMUM_LIMIT + 1,
        4 * MIB,
        64 * MIB,
        usize::MAX - 1,
        usize::MAX,
    ];
    let limits = prop_oneof![6 => select(limits.to_vec()), 1 => numbers(&[MIB])];
    let cycles = [Cycle::Generational, Cycle::BaconRajan, Cycle::None];
    let thresholds = || numbers(&[1, 10, 2000]);
    (
        (limits, overhead_limits(), select(cycles.to_vec())),
        (proptest::bool::weighted(0.1), any::<bool>(), any::<bool>()),
        (any::<bool>(), any::<bool>(), any::<bool>()),
        (0..3_usize, numbers(&[0, 1, 64, 65_536])),
        (
            proptest::option::of(durations()),
            durations(),
            proptest::option::of(durations()),
        ),
        [thresholds(), thresholds(), thresholds()],
        (numbers(&[25, 100]), numbers(&[10, 10_000])),
    )
        .prop_map(
            |(
                (limit, overhead_limit, cycle),
                (stress, poison, prefetch),
                (lock_hold_times, fair, lazy),
                (listeners, event_capacity),
                (watchdog, switch_interval, release_after),
                thresholds,
                (oldest_growth, possible_roots),
            )| Settings {
                limit,
                overhead_limit,
                stress,
                poison,
                watchdog,
                event_capacity,
                listeners,
                lock_hold_times,
                gil: if fair { Gil::Fair } else { Gil::Cpython },
                switch_interval,
                cycle,
                thresholds,
                oldest_growth,
                prefetch,
                possible_roots,
                free: if lazy { Free::Lazy } else { Free::Eager },
                release_after,
            },
        )
}

/// Some short-lived objects of several sizes, every tenth a cycle, and a list of `kept` nodes that
/// is found whole at the end.
fn allocate(m: &mut Mutator<'_>, rounds: u64, kept: u64) -> Result<(), HeapFull> {
    m.frame(|m, [list, short]| {
        for round in 0..rounds {
            if round < kept {
                m.alloc_move(list, Flags::NONE, [list], [round])?;
            }
            m.alloc_init(short, Flags::NONE, [list], [round; 2])?;
            if round % 10 == 0 {
                m.store(m.get(short).unwrap(), 0, m.get(short));
            }
            if round % 512 == 0 {
                m.alloc(short, Shape::new(700, 4000).with(Flags::FINALIZE))?;
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

/// Allocations and blocking regions beside another thread that does the same.
fn share(m: &mut Mutator<'_>) -> Result<(), HeapFull> {
    for _ in 0..20 {
        allocate(m, 20, 5)?;
        m.blocking(|| ());
    }
    Ok(())
}

/// Allocations, collections, a blocking region, a second thread in it and one beside.
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
        let both = thread::scope(|scope| {
            let other = scope.spawn(|| heap.attach(share));
            let mine = share(m);
            mine.and(m.blocking(|| other.join().unwrap()))
        });
        let last = allocate(m, rounds / 4, 500);
        m.collect();
        m.verify();
        first.and(other).and(both).and(last)
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
    let rounds = if settings.stress { 300 } else { 8_000 };
    if let Err(full) = script(&heap, rounds) {
        let fine = match full.cause {
            // A block for each size, and some cycles that nobody collects.
            FullCause::Limit => {
                settings.limit < MIB || settings.cycle == Cycle::None && settings.limit < 4 * MIB
            }
            // Its heap is nearly full in the eyes of this limit alone.
            FullCause::Overhead => {
                settings.limit < MIB || settings.overhead_limit.unwrap().free_percent > 2
            }
            _ => false,
        };
        assert!(fine, "{full}");
    }
    let statistics = heap.statistics();
    let bytes = 16 * statistics.allocated_objects + statistics.allocated_payload_bytes;
    let most = settings.most_collections(statistics.allocated_objects, bytes);
    let collections = statistics.collections;
    assert!(collections <= most, "{collections} collections, not {most}");
}

proptest! {
    #![proptest_config(Config { cases: 192, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_settings_make_a_heap_that_works_or_a_clear_error(settings in settings()) {
        let tried = catch_unwind(AssertUnwindSafe(|| try_settings(&settings)));
        prop_assert!(tried.is_ok(), "{settings:?}");
    }
}
