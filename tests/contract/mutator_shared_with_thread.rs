//! A mutator used by two threads.
//@revisions: rc ms rc_twin ms_twin
//@[rc_twin] check-pass
//@[ms_twin] check-pass
//@no-rustfix
//@require-annotations-for-level: ICE

#[cfg(any(ms, ms_twin))]
use gc_marksweep as gc;
#[cfg(any(rc, rc_twin))]
use gc_rc as gc;

use gc::Heap;

fn main() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.blocking(|| ());
        std::thread::scope(|scope| {
            #[cfg(any(rc, ms))]
            scope.spawn(|| m.frame(|m, [a]| m.get(a).is_some()));
            //~[rc]^ E0277
            //~[ms]^^ E0277
            #[cfg(any(rc_twin, ms_twin))]
            scope.spawn(|| heap.attach(|n| n.frame(|n, [a]| n.get(a).is_some())));
        });
    });
}
