//! What the operations cost: `cargo bench -p gc-rc --bench operations`, some forty seconds; with
//! `-- --quick` some ten.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use gc_rc::{Cycle, Flags, Heap, Local, Mutator, Shape};

const NODE: Shape = Shape::new(2, 1);

/// Links `nodes` objects into a list, each with a second field that refers to a random one before
/// it if `shuffled`.
fn build<'h>(m: &mut Mutator<'h>, table: Local<'_, 'h>, nodes: u32, shuffled: bool) {
    m.alloc(table, Shape::new(nodes, 0)).expect("no limit");
    m.frame(|m, [node]| {
        let mut random = 1u64;
        for index in 0..nodes as usize {
            m.alloc(node, NODE).expect("no limit");
            let (all, this) = (m.get(table).expect("made"), m.get(node).expect("made"));
            m.store(all, index, Some(this));
            if index > 0 {
                m.store(this, 0, m.load(all, index - 1));
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let other = if shuffled {
                    (random >> 33) as usize % index
                } else {
                    index / 2
                };
                m.store(this, 1, m.load(all, other));
            }
        }
    });
}

fn operations(c: &mut Criterion) {
    let heap = Heap::builder()
        .cycle(Cycle::None)
        .build()
        .expect("a valid configuration");
    heap.attach(|m| {
        m.frame(|m, [a, b, c2]| {
            m.alloc(b, NODE).expect("no limit");
            m.alloc(c2, NODE).expect("no limit");
            c.bench_function("alloc and free", |x| x.iter(|| m.alloc(a, NODE)));
            c.bench_function("alloc_init and free", |x| {
                x.iter(|| m.alloc_init(a, Flags::NONE, [b, b], [1]))
            });
            c.bench_function("two-field object, allocated and freed", |x| {
                x.iter(|| m.alloc_init(a, Flags::NONE, [b, b], []))
            });
            c.bench_function(
                "two-field object, allocated and freed: no fields to count",
                |x| x.iter(|| m.alloc(a, Shape::new(2, 0))),
            );
            c.bench_function("one increment, one decrement", |x| {
                x.iter(|| {
                    m.set(a, black_box(m.get(b)));
                    m.set(a, None);
                });
            });
            c.bench_function("safepoint", |x| x.iter(|| m.safepoint()));
            c.bench_function("frame of two", |x| {
                x.iter(|| m.frame(|_, [x, y]| _ = black_box((x, y))))
            });
            m.alloc(a, NODE).expect("no limit");
            c.bench_function("load", |x| {
                x.iter(|| m.load(m.get(a).expect("made"), black_box(0)))
            });
            c.bench_function("set: one increment, one decrement", |x| {
                let mut turn = false;
                x.iter(|| {
                    turn = !turn;
                    m.set(a, m.get(if turn { b } else { c2 }));
                });
            });
            m.set(a, None);
            m.alloc(a, NODE).expect("no limit");
            c.bench_function("store: one increment, one decrement", |x| {
                let mut turn = false;
                x.iter(|| {
                    turn = !turn;
                    m.store(m.get(a).expect("made"), 0, m.get(if turn { b } else { c2 }));
                });
            });
            c.bench_function("blocking", |x| x.iter(|| m.blocking(|| ())));
            let object = m.global(m.get(a).expect("made"));
            c.bench_function("global, made and released", |x| {
                x.iter(|| {
                    drop(m.global(m.open(&object)));
                    m.safepoint();
                });
            });
        });
    });
}

fn collections(c: &mut Criterion) {
    const NODES: u32 = 1_000_000;
    let mut group = c.benchmark_group("full collection of 1,000,000 live objects");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(u64::from(NODES)));
    for (name, shuffled) in [("older neighbours", false), ("random older objects", true)] {
        for prefetch in [false, true] {
            // What it takes to examine an object: without the filter, which spares all of these.
            let heap = Heap::builder()
                .prefetch(prefetch)
                .cycle_filter(false)
                .build()
                .expect("a valid configuration");
            let name = if prefetch {
                format!("{name}, prefetch")
            } else {
                name.into()
            };
            heap.attach(|m| {
                m.frame(|m, [table]| {
                    build(m, table, NODES, shuffled);
                    group.bench_function(name, |x| x.iter(|| m.collect()));
                });
            });
        }
    }
    let heap = Heap::builder()
        .cycle(Cycle::BaconRajan)
        .build()
        .expect("a valid configuration");
    heap.attach(|m| {
        m.frame(|m, [table, root]| {
            build(m, table, NODES, false);
            m.collect();
            // Everything is reached from one possible root.
            group.bench_function("Bacon-Rajan, from the table", |x| {
                x.iter(|| {
                    m.set(root, m.get(table));
                    m.set(root, None);
                    m.collect();
                })
            });
        });
    });
    group.finish();
    c.bench_function("a ring of 1,000 dies in a young collection", |x| {
        let heap = Heap::new();
        heap.attach(|m| {
            m.frame(|m, [first, last]| {
                x.iter_batched(
                    || (),
                    |()| {
                        m.alloc(first, NODE).expect("no limit");
                        m.set(last, m.get(first));
                        for _ in 0..999 {
                            m.alloc_init(last, Flags::NONE, [last, last], [0])
                                .expect("no limit");
                        }
                        m.store(m.get(first).expect("made"), 0, m.get(last));
                        m.safepoint();
                    },
                    BatchSize::SmallInput,
                );
            });
        });
    });
}

fn main() {
    println!("\nWhat each operation of gc-rc costs, under the global lock and on one thread.\n");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    operations(&mut criterion);
    collections(&mut criterion);
    criterion.final_summary();
}
