//! A reference used while other threads may collect.
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

fn main() {
    Heap::builder().build().unwrap().attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            let object = m.get(a).unwrap();
            let word = m.word(object, 0);
            #[cfg(any(rc, ms))]
            m.blocking(|| drop(object));
            //~[rc]^ E0502
            //~[ms]^^ E0502
            #[cfg(any(rc_twin, ms_twin))]
            m.blocking(|| drop(word));
            let _ = word;
        })
    });
}
