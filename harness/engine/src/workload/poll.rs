//! `poll`: a thread that seldom polls beside threads that allocate, and one that waits outside.
//!
//! The allocating threads replace objects in a small table, so that there are many short
//! collections. One more thread computes and polls after every `interval`. And one more attaches,
//! makes an object, and waits in a blocking region until the others are done.
//!
//! **Models** what a program's longest stretch without a poll does to everybody else. On a
//! stop-the-world heap each collection waits for the computing thread, half an interval on average:
//! time-to-safepoint, which no tuning of a collector makes shorter. On a heap behind a lock the
//! computing thread gives the lock up at a poll at the earliest. The thread in the blocking region
//! must keep nobody waiting on any heap.
//!
//! **Does not model** stretches of different lengths in one program: run it with several intervals.
//!
//! An interval is a fixed amount of computing, some 500 multiplications for each microsecond, so
//! that the work does not depend on the clock: how long it takes depends on the machine. The
//! computing and the waiting thread come on top of the `threads` that allocate, so on two cores the
//! computation and one allocating thread fill the machine. What is measured is `time_to_safepoint`,
//! and waits for the lock; the wall time is the longer one of computing and allocating, or their
//! sum behind a lock.
//!
//! An object is a reference and three words. The allocations are split over the threads; the
//! checksum is a digest of all that was allocated and of the computation, and depends on no
//! schedule and no number of threads.
//!
//! Nominal (small, one allocating thread): 305 MiB allocated; minimum heap 0.4 MiB on both
//! collectors. The default is ten times that, for some hundred collections. On two cores of an
//! EPYC: 0.5 GB/s and 40 % of the time in pauses, nearly all of it waits for the lock, on gc-rc;
//! 0.6 GB/s and 19 % on gc-marksweep.

use std::sync::mpsc;
use std::thread;

use super::prelude::*;
use crate::threads::start_scoped;

/// See the [module documentation](self).
pub struct Poll;

/// Entries of each allocating thread's table.
const TABLE: usize = 4096;
/// Steps of the computation that take about a microsecond.
const STEPS: u64 = 250;
/// What the waiting thread's object holds.
const WAITING: u64 = 0x5afe;

impl Workload for Poll {
    const NAME: &'static str = "poll";
    const SUMMARY: &'static str = "a thread that seldom polls beside threads that allocate";
    const OPERATION: &'static str = "allocation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("interval", [100, 100, 1_000])
            .range(1, 1_000_000)
            .doc("microseconds of computing between two polls, nominally"),
        Parameter::sized("computing", [2_000, 40_000, 5_000_000])
            .range(0, 10_000_000_000)
            .doc("microseconds of computing in all, nominally"),
        Parameter::sized("allocations", [20_000, 1_600_000, 200_000_000])
            .range(0, 1_000_000_000_000)
            .doc("objects allocated, over all allocating threads"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        twice(
            60 * (TABLE * input.threads) as u64 + (1 << 19),
            input.threads + 2,
        )
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let allocations = input.get("allocations");
        let (done, is_done) = mpsc::channel::<()>();
        let (allocated, computed, waited) = thread::scope(|scope| {
            let computing = start_scoped(scope, || {
                heap.attach(|m| compute(m, input.get("interval"), input.get("computing")))
            });
            // Ends with the sender, which this closure owns.
            let waiting = start_scoped(scope, move || heap.attach(|m| wait(m, &is_done)));
            let allocated = on_threads(heap, input.threads, |m, number| {
                allocate(m, share(allocations, input.threads, number))
            });
            let computed = joined(computing.join());
            drop(done);
            (allocated, computed, joined(waiting.join()))
        });
        let sum = total(allocated?).wrapping_add(computed);
        Ok(Outcome::new(mix(sum ^ waited?), allocations))
    }
}

/// What a thread returned; its panic goes on here.
fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Computes for nominally `microseconds`, polling after each `interval` of them.
fn compute<M: Mutator>(m: &mut M, interval: u64, microseconds: u64) -> u64 {
    let mut value = 1;
    let mut left = microseconds;
    while left > 0 {
        let stretch = interval.min(left);
        for _ in 0..stretch * STEPS {
            // Each needs the one before, so that no compiler shortens it.
            value = mix(value);
        }
        left -= stretch;
        m.safepoint();
    }
    value
}

/// Waits in a blocking region until everybody else is done; then its object must still be there.
fn wait<M: Mutator>(m: &mut M, is_done: &mpsc::Receiver<()>) -> Result<u64, HeapFull> {
    m.frame(|m, [object]| {
        m.set(object, None);
        m.alloc_init(object, Flags::NONE, [object], [WAITING])?;
        m.blocking(|| {
            // Nothing is sent: this ends when the sender is dropped.
            let _ = is_done.recv();
        });
        Ok(word(m, object, 0))
    })
}

/// Replaces objects in a table, in a fixed order that looks random.
fn allocate<M: Mutator>(m: &mut M, numbers: std::ops::Range<u64>) -> Result<u64, HeapFull> {
    m.frame(|m, [table, none, object]| {
        m.alloc(table, Shape::new(TABLE as u32, 0))?;
        let mut sum = 0u64;
        for number in numbers {
            m.alloc_init(object, Flags::NONE, [none], [number, 0, 0])?;
            let slot = mix(number) as usize % TABLE;
            if let Some(table) = m.get(table) {
                let old = m.load(table, slot);
                sum = sum.wrapping_add(old.map_or(0, |old| mix(m.word(old, 0))));
                m.store_move(table, slot, object);
            }
            m.safepoint();
        }
        // With what is left at the end, every object counts once, whoever made it.
        for slot in 0..TABLE {
            let left = field(m, table, slot);
            sum = sum.wrapping_add(left.map_or(0, |left| mix(m.word(left, 0))));
            m.safepoint();
        }
        Ok(sum)
    })
}
