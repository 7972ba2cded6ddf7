//! A reference that a helper keeps borrowed while other threads may collect.
//@revisions: rc ms rc_twin ms_twin
//@[rc_twin] check-pass
//@[ms_twin] check-pass
//@no-rustfix
//@require-annotations-for-level: ICE

#[cfg(any(ms, ms_twin))]
use gc_marksweep as gc;
#[cfg(any(rc, rc_twin))]
use gc_rc as gc;

use gc::{Heap, Shape};

/// What a scoped thread-local does: `f` can reach what `_kept` points to by another way.
fn with<T, R>(_kept: &T, f: impl FnOnce() -> R) -> R {
    f()
}

fn main() {
    Heap::builder().build().unwrap().attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            let object = m.get(a).unwrap();
            #[cfg(any(rc, ms))]
            with(&object, || m.blocking(|| ()));
            //~[rc]^ E0500
            //~[ms]^^ E0500
            #[cfg(any(rc_twin, ms_twin))]
            with(&object, || m.word(object, 0));
        })
    });
}
