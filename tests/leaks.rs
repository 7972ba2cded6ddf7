//! What comes and goes leaves nothing behind in the allocator of the process. The one test of this
//! binary has that for itself.

use std::alloc::System;
use std::thread;

use harness::heap::{Flags, Heap, Mutator};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tests::{MIB, Variant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Everything that a client can leave to the heap when it goes.
fn visit<H: Heap>(heap: &H) {
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            for word in 0..10 {
                m.alloc_init(a, Flags::FINALIZE, [a, b], [word]).unwrap();
                m.store(m.get(a).unwrap(), 1, m.get(a));
                let global = m.global(m.get(a).unwrap());
                let weak = m.downgrade(m.get(a).unwrap());
                drop((global.clone(), global, weak.clone(), weak));
            }
        });
        m.collect();
        m.frame(|m, [a]| while m.finalizable(a) {});
        m.collect();
        while m.cleared().is_some() {}
    });
}

fn leaves_nothing_behind<V: Variant>() {
    const VISITS: isize = 1000;
    let heap = V::heap(64 * MIB);
    let visits = |number| {
        for _ in 0..number {
            visit(&heap);
            thread::scope(|s| {
                s.spawn(|| visit(&heap)).join().unwrap();
            });
        }
    };
    // Until what is kept for reuse is there.
    visits(VISITS / 10);
    let region = Region::new(ALLOCATOR);
    visits(VISITS);
    let change = region.change();
    let left = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    let name = std::any::type_name::<V>();
    assert!(left < VISITS, "{name}: {VISITS} visits left {left} bytes");
    visits(1);
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    leaves_nothing_behind::<tests::gc_rc>();
    leaves_nothing_behind::<tests::gc_rc_fair>();
    leaves_nothing_behind::<tests::gc_rc_lazy>();
    leaves_nothing_behind::<tests::gc_rc_bacon_rajan>();
    leaves_nothing_behind::<tests::gc_rc_atomic>();
    leaves_nothing_behind::<tests::gc_rc_object_lock>();
    leaves_nothing_behind::<tests::gc_rc_biased>();
    leaves_nothing_behind::<tests::gc_rc_deferred>();
    leaves_nothing_behind::<tests::gc_marksweep>();
    leaves_nothing_behind::<tests::gc_marksweep_generations>();
    leaves_nothing_behind::<tests::gc_marksweep_workers>();
}
