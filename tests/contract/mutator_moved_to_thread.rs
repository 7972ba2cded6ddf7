//! A mutator handed over to another thread.
//@revisions: rc ms rc_twin ms_twin
//@[rc_twin] check-pass
//@[ms_twin] check-pass
//@no-rustfix
//@require-annotations-for-level: ICE

#[cfg(any(ms, ms_twin))]
use gc_marksweep as gc;
#[cfg(any(rc, rc_twin))]
use gc_rc as gc;

use gc::{Heap, Mutator};

fn send<T: Send>(_: T) {}

fn main() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m: &mut Mutator<'_>| {
        #[cfg(any(rc, ms))]
        send(m);
        //~[rc]^ E0277
        //~[ms]^^ E0277
        #[cfg(any(rc_twin, ms_twin))]
        {
            m.safepoint();
            send(heap.clone());
        }
    });
}
