//! What the operations of the contract cost on each heap, side by side.
//!
//! Throughput is in operations: `elem/s`. What is measured through a `&mut` operation includes its
//! checks for pending work; collections that fall due while allocating are included, as they are in
//! life.
//!
//! `cargo bench -p harness --bench operations` runs everything in about a minute, with `-- --quick`
//! in some seconds; `-- store` one group.

mod side_by_side;

use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use harness::adapter::{self, Adapter, HEAPS, Settings, Visitor};
use harness::heap::{Flags, Heap, HeapFull, Mutator, Shape};

/// Objects allocated before the heap is recycled: the arena has to hold them all.
const BATCH: u64 = 1 << 16;
/// Fields read or written in one go.
const FIELDS: usize = 256;
/// Live objects in the collection benchmark.
const LIVE: u64 = 100_000;

/// One operation's measurement, on any heap.
trait Measure {
    /// Whether there is anything to measure on a heap that reclaims nothing.
    const ON_ARENA: bool = true;

    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap);
}

/// Takes a measurement to the heap that is visited.
struct Bench<'g, 'c, F> {
    group: &'g mut BenchmarkGroup<'c, WallTime>,
    operation: PhantomData<F>,
}

impl<F: Measure> Visitor for Bench<'_, '_, F> {
    type Output = ();

    fn visit<A: Adapter>(self) {
        let settings = settings::<A>();
        if A::capabilities(&settings).reclaims || F::ON_ARENA {
            let heap = A::build(&settings).expect("the defaults are in range");
            F::measure::<A>(self.group, &heap);
        }
    }
}

fn settings<A: Adapter>() -> Settings {
    Settings::new::<A>(64 << 20)
}

/// Measures an operation on every heap, in one group.
fn on_every_heap<F: Measure>(criterion: &mut Criterion, name: &str, operations: u64) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(operations));
    for heap in HEAPS {
        let bench = Bench {
            group: &mut group,
            operation: PhantomData::<F>,
        };
        let settings = Settings::of(heap, 64 << 20);
        adapter::visit(heap.name, &settings, bench).expect("it is in the list");
    }
    group.finish();
}

/// Measures `batch`, which does `BATCH` allocations, attaching anew each time so that the arena can
/// be reset in between.
fn allocations<A: Adapter>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    heap: &A::Heap,
    batch: impl for<'h> Fn(&mut <A::Heap as Heap>::Mutator<'h>) -> Result<(), HeapFull>,
) {
    group.bench_function(
        BenchmarkId::from_parameter(A::DESCRIPTION.name),
        |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..iterations {
                    elapsed += heap.attach(|m| {
                        let start = Instant::now();
                        batch(m).expect("a batch fits");
                        start.elapsed()
                    });
                    // Reclaims the arena's memory; on the collectors the batch's garbage is its
                    // own.
                    if !A::capabilities(&settings::<A>()).reclaims {
                        A::recycle(heap);
                    }
                }
                elapsed
            });
        },
    );
}

struct Allocate;

impl Measure for Allocate {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        allocations::<A>(group, heap, |m| {
            m.frame(|m, [object]| {
                for _ in 0..BATCH {
                    m.alloc(object, Shape::new(2, 1))?;
                    m.safepoint();
                }
                Ok(())
            })
        });
    }
}

struct Initialise;

impl Measure for Initialise {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        allocations::<A>(group, heap, |m| {
            m.frame(|m, [object, left, right]| {
                m.alloc(left, Shape::new(0, 1))?;
                m.alloc(right, Shape::new(0, 1))?;
                for word in 0..BATCH {
                    m.alloc_init(object, Flags::NONE, [left, right], [word])?;
                    m.safepoint();
                }
                Ok(())
            })
        });
    }
}

struct InitialiseMoved;

impl Measure for InitialiseMoved {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        allocations::<A>(group, heap, |m| {
            m.frame(|m, [list]| {
                for word in 0..BATCH {
                    m.alloc_move(list, Flags::NONE, [list], [word])?;
                    if word.is_multiple_of(64) {
                        m.set(list, None);
                    }
                    m.safepoint();
                }
                Ok(())
            })
        });
    }
}

/// Makes an object of `FIELDS` fields that refer to as many others, and measures what `body` does
/// with it.
fn with_fields<A: Adapter>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    heap: &A::Heap,
    body: impl for<'m, 'h> Fn(
        &'m <A::Heap as Heap>::Mutator<'h>,
        <<A::Heap as Heap>::Mutator<'h> as Mutator>::Ref<'m>,
    ),
) {
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(FIELDS as u32, 0))
                .expect("it fits");
            for field in 0..FIELDS {
                m.alloc(object, Shape::new(0, 1)).expect("it fits");
                if let Some(table) = m.get(table) {
                    m.store(table, field, m.get(object));
                }
            }
            group.bench_function(
                BenchmarkId::from_parameter(A::DESCRIPTION.name),
                |bencher| {
                    bencher.iter(|| {
                        if let Some(table) = m.get(table) {
                            body(m, table);
                        }
                        m.safepoint();
                    });
                },
            );
        });
    });
}

struct Load;

impl Measure for Load {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        with_fields::<A>(group, heap, |m, table| {
            for field in 0..FIELDS {
                black_box(m.load(black_box(table), field).is_some());
            }
        });
    }
}

struct Store;

impl Measure for Store {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        with_fields::<A>(group, heap, |m, table| {
            let value = m.load(table, 0);
            // Field 0 stays as it is, so no object ever dies.
            for field in 1..FIELDS {
                m.store(black_box(table), field, value);
            }
        });
    }
}

struct Frame;

impl Measure for Frame {
    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        heap.attach(|m| {
            m.frame(|m, [object]| {
                m.alloc(object, Shape::new(0, 1)).expect("it fits");
                group.bench_function(
                    BenchmarkId::from_parameter(A::DESCRIPTION.name),
                    |bencher| {
                        bencher.iter(|| {
                            m.frame(|m, [inner, other]| {
                                m.set(inner, m.get(object));
                                black_box(m.get(other).is_none());
                            });
                        });
                    },
                );
            });
        });
    }
}

struct Poll;

impl Measure for Poll {
    const ON_ARENA: bool = false;

    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        heap.attach(|m| {
            group.bench_function(
                BenchmarkId::from_parameter(A::DESCRIPTION.name),
                |bencher| {
                    bencher.iter(|| {
                        for _ in 0..FIELDS {
                            m.safepoint();
                        }
                    });
                },
            );
        });
    }
}

struct Collect;

impl Measure for Collect {
    const ON_ARENA: bool = false;

    fn measure<A: Adapter>(group: &mut BenchmarkGroup<'_, WallTime>, heap: &A::Heap) {
        heap.attach(|m| {
            m.frame(|m, [table, object]| {
                m.alloc(table, Shape::new(LIVE as u32, 0)).expect("it fits");
                for field in 0..LIVE {
                    m.alloc(object, Shape::new(2, 1)).expect("it fits");
                    if let Some(table) = m.get(table) {
                        m.store(table, field as usize, m.get(object));
                    }
                    m.safepoint();
                }
                group.bench_function(
                    BenchmarkId::from_parameter(A::DESCRIPTION.name),
                    |bencher| {
                        bencher.iter(|| m.collect());
                    },
                );
            });
        });
    }
}

/// The name of each group, how many operations an iteration has, and how it is measured.
type Group = (&'static str, u64, fn(&mut Criterion, &str, u64));

const GROUPS: [Group; 8] = [
    ("allocate", BATCH, on_every_heap::<Allocate>),
    ("initialise", BATCH, on_every_heap::<Initialise>),
    (
        "initialise, operands moved",
        BATCH,
        on_every_heap::<InitialiseMoved>,
    ),
    ("load", FIELDS as u64, on_every_heap::<Load>),
    ("store", FIELDS as u64 - 1, on_every_heap::<Store>),
    ("frame of two locals", 1, on_every_heap::<Frame>),
    ("poll", FIELDS as u64, on_every_heap::<Poll>),
    ("collect, per live object", LIVE, on_every_heap::<Collect>),
];

fn main() {
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30);
    side_by_side::compare(
        "What an operation of the contract costs on each heap, one thread.",
        criterion,
        &GROUPS.map(|(name, ..)| name),
        |criterion| {
            for (name, operations, measure) in GROUPS {
                measure(criterion, name, operations);
            }
        },
    );
}
