//! A local that is kept in a variable outside its frame.
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
            let mut kept = None;
            m.frame(|m, [b]| {
                m.alloc(b, Shape::new(0, 1)).unwrap();
                #[cfg(any(rc, ms))]
                {
                    kept = Some(b);
                    //~[rc]^ E0521
                    //~[ms]^^ E0521
                }
                #[cfg(any(rc_twin, ms_twin))]
                {
                    kept = Some(a);
                }
            });
            m.get(kept.unwrap_or(a));
        });
    });
}
