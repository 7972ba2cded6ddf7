//! A reference held across an operation that may collect.
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
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            let object = m.get(a).unwrap();
            #[cfg(any(rc, ms))]
            m.alloc(b, Shape::new(0, 1)).unwrap();
            //~[rc]^ E0502
            //~[ms]^^ E0502
            #[cfg(any(rc_twin, ms_twin))]
            m.set(b, Some(object));
            m.word(object, 0);
        })
    });
}
