//! What the operations of a mutator cost, each beside what it is compared with: `cargo bench -p
//! gc-marksweep --bench operations`, half a minute; with `-- --quick` some seconds.
//!
//! | group | against |
//! |---|---|
//! | store | a release store into a plain struct: what is more is the barrier, the check of the index, and the unrooting of the object |
//! | poll | nothing: an empty loop of the same form |
//! | frame | an array of null pointers on the stack, and nothing |
//! | allocate | `bumpalo`, reset when it has used as much as the heap may |
//!
//! Operations are done [`BATCH`] at a time, and times are for one: a loop of one would measure the
//! loop. Ratios within a group are what is comparable; the operations of one group run one after
//! the other in the same process.

use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use bumpalo::Bump;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use gc_marksweep::{Flags, Heap, Mutator, Shape};

const BATCH: u64 = 1024;
/// Memory for the heap and for the arena: stays within the second-level cache of most machines.
const MEMORY: usize = 1 << 20;

fn heap(limit: usize) -> Heap {
    let heap = Heap::builder().limit(limit).event_capacity(0).build();
    heap.expect("a valid configuration")
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .throughput(Throughput::Elements(BATCH))
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group
}

/// A plain object: a word where the header would be, two fields.
#[repr(C)]
struct Plain {
    header: u64,
    fields: [AtomicPtr<Plain>; 2],
}

impl Plain {
    fn new() -> Box<Self> {
        Box::new(Self {
            header: 2,
            fields: [const { AtomicPtr::new(null_mut()) }; 2],
        })
    }
}

fn store(c: &mut Criterion) {
    let mut group = group(c, "store");
    let (object, value) = (Plain::new(), Box::into_raw(Plain::new()));
    group.bench_function("plain struct, release", |b| {
        b.iter(|| {
            for field in 0..BATCH {
                let object = black_box(&*object);
                object.fields[field as usize % 2].store(black_box(value), Ordering::Release);
            }
        });
    });
    // SAFETY: made by `Box::into_raw` above; the last use of the pointer is behind us.
    drop(unsafe { Box::from_raw(value) });
    black_box(object.header);

    for (name, old) in [("young object", false), ("old object", true)] {
        heap(MEMORY).attach(|m| {
            m.frame(|m, [object, value]| {
                m.alloc(object, Shape::new(2, 0)).expect("room");
                if old {
                    m.collect();
                }
                // Young in both cases: a store of such into an old object is what a barrier is for.
                m.alloc(value, Shape::new(2, 0)).expect("room");
                let (object, value) = (m.get(object).expect("made"), m.get(value));
                group.bench_function(name, |b| {
                    b.iter(|| {
                        for field in 0..BATCH {
                            m.store(black_box(object), field as usize % 2, black_box(value));
                        }
                    });
                });
            });
        });
    }
    group.finish();
}

fn poll(c: &mut Criterion) {
    let mut group = group(c, "poll");
    group.bench_function("nothing", |b| {
        b.iter(|| (0..BATCH).for_each(|i| _ = black_box(i)))
    });
    heap(MEMORY).attach(|m| {
        group.bench_function("safepoint", |b| {
            b.iter(|| {
                for i in 0..BATCH {
                    black_box(i);
                    m.safepoint();
                }
            });
        });
    });
    group.finish();
}

fn frame(c: &mut Criterion) {
    /// Not inlined, as the functions of a program that have frames are not.
    #[inline(never)]
    fn with_frame<const N: usize>(m: &mut Mutator<'_>) {
        m.frame(|_, locals: [_; N]| _ = black_box(locals));
    }
    #[inline(never)]
    fn with_array<const N: usize>() {
        let array = [const { AtomicPtr::<u64>::new(null_mut()) }; N];
        black_box(array.each_ref());
    }
    #[inline(never)]
    fn with_nothing() {
        black_box(());
    }

    let mut group = group(c, "frame");
    group.bench_function("nothing", |b| {
        b.iter(|| (0..BATCH).for_each(|_| with_nothing()))
    });
    group.bench_function("array of 2", |b| {
        b.iter(|| (0..BATCH).for_each(|_| with_array::<2>()))
    });
    group.bench_function("array of 8", |b| {
        b.iter(|| (0..BATCH).for_each(|_| with_array::<8>()))
    });
    heap(MEMORY).attach(|m| {
        group.bench_function("frame of 2", |b| {
            b.iter(|| (0..BATCH).for_each(|_| with_frame::<2>(m)));
        });
        group.bench_function("frame of 8", |b| {
            b.iter(|| (0..BATCH).for_each(|_| with_frame::<8>(m)));
        });
    });
    group.finish();
}

/// Objects of `8 * (WORDS + 1)` bytes: in the heap a header and `WORDS` words, in the arena as many
/// words.
fn allocate_size<const WORDS: usize>(group: &mut BenchmarkGroup<'_, WallTime>) {
    let bytes = Shape::new(0, WORDS as u32).size();
    let mut arena = Bump::with_capacity(MEMORY);
    group.bench_function(format!("bumpalo, {bytes} bytes"), |b| {
        b.iter(|| {
            if arena.chunk_capacity() < BATCH as usize * bytes {
                arena.reset();
            }
            for word in 0..BATCH {
                black_box(arena.alloc((WORDS as u64, [word; WORDS])));
            }
        });
    });
    // Dead objects only: what is measured is the bump, the search for holes, and a collection every
    // few thousand objects.
    heap(MEMORY).attach(|m| {
        m.frame(|m, [object]| {
            group.bench_function(format!("heap, {bytes} bytes"), |b| {
                b.iter(|| {
                    for word in 0..BATCH {
                        m.alloc_init(object, Flags::NONE, [], [word; WORDS])
                            .expect("room");
                    }
                });
            });
        });
    });
}

fn allocate(c: &mut Criterion) {
    let mut group = group(c, "allocate");
    allocate_size::<1>(&mut group);
    allocate_size::<3>(&mut group);
    allocate_size::<7>(&mut group);
    allocate_size::<31>(&mut group);
    group.finish();
}

fn main() {
    println!(
        "\nWhat operations of gc-marksweep cost, on one thread: each group has the operation and \
         what it is compared with. Times are for {BATCH} operations, `thrpt` is in operations.\n"
    );
    let mut criterion = Criterion::default().configure_from_args();
    for measure in [store, poll, frame, allocate] {
        measure(&mut criterion);
    }
    criterion.final_summary();
}
