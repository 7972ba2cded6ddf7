//! What comes and goes leaves nothing behind: the allocator of this process counts the bytes that
//! were taken from it and not given back. The one test of this binary has it for itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;

use gc_marksweep::{Flags, Heap};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static TAKEN: AtomicIsize = AtomicIsize::new(0);

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Everything that a client can leave to the heap when it goes.
fn visit(heap: &Heap) {
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

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    const VISITS: isize = 1000;
    let heap = Heap::builder().limit(64 << 20).build().unwrap();
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
    let before = TAKEN.load(Ordering::Relaxed);
    visits(VISITS);
    let left = TAKEN.load(Ordering::Relaxed) - before;
    assert!(left < VISITS, "{VISITS} visits left {left} bytes");
    visits(1);
    drop(heap);
}
