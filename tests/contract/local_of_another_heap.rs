//! A local of one heap used with a mutator of another.
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
    let (one, two) = (Heap::builder().build().unwrap(), Heap::builder().build().unwrap());
    one.attach(|m| {
        m.frame(|m, [a]| {
            two.attach(|n| {
                n.frame(|n, [b]| {
                    #[cfg(any(rc, ms))]
                    n.alloc(a, Shape::new(1, 0)).unwrap();
                    //~[rc]^ E0521
                    //~[ms]^^ E0521
                    #[cfg(any(rc_twin, ms_twin))]
                    n.alloc(b, Shape::new(1, 0)).unwrap();
                    n.set(b, None);
                });
            });
            m.set(a, None);
        });
    });
}
