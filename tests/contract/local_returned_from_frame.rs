//! A local that is returned from its frame.
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
        #[cfg(any(rc, ms))]
        let a = m.frame(|_, [a]| a);
        //~[rc]^ ERROR: lifetime may not live long enough
        //~[ms]^^ ERROR: lifetime may not live long enough
        #[cfg(any(rc, ms))]
        m.get(a);
        #[cfg(any(rc_twin, ms_twin))]
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            m.get(a);
        });
    });
}
