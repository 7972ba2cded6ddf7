//! `countdown`: counting down in boxed integers.
//!
//! A counter goes down by one until it reaches its end; each step allocates a new integer and drops
//! the old one.
//!
//! **Models** pure computation in a language whose numbers are objects. It is the experiment that
//! shows what a global lock does to threads: the same total, split over two, takes as long as on
//! one, because only the lock's holder counts. Without such a lock it takes half.
//!
//! **Does not model** an interpreter: there is nothing here but the allocation, the drop and the
//! poll, so the figures are one or two orders of magnitude below those of CPython, which spends the
//! rest on its bytecode.
//!
//! An integer is one word. The threads split the total; each counts through its own part of the
//! numbers, so that the checksum (of all numbers seen) does not depend on how many there are. It
//! polls at the loop's back-edge, as CPython does.
//!
//! Minimum heap: 0.25 MiB on gc-rc, 0.31 MiB on gc-marksweep, which is the least either can be made
//! with. The default is not twice that but 16 MiB, in the order of a production runtime's nursery:
//! less would measure how fast threads can be stopped.

use super::prelude::*;

/// See the [module documentation](self).
pub struct Countdown;

impl Workload for Countdown {
    const NAME: &'static str = "countdown";
    const SUMMARY: &'static str = "boxed integers counted down: what threads gain without sharing";
    const OPERATION: &'static str = "decrement";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::sized("total", [100_000, 3_000_000, 50_000_000])
            .range(1, 1_000_000_000_000)
            .doc("decrements, over all threads")];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let total = input.get("total");
        let sums = on_threads(heap, input.threads, |m, number| {
            let part = share(total, input.threads, number);
            m.frame(|m, [count]| {
                m.alloc_init(count, Flags::NONE, [], [part.end])?;
                let mut sum = 0u64;
                loop {
                    let value = m.get(count).map_or(part.start, |count| m.word(count, 0));
                    if value == part.start {
                        return Ok(sum);
                    }
                    sum = sum.wrapping_add(value);
                    m.alloc_init(count, Flags::NONE, [], [value - 1])?;
                    m.safepoint();
                }
            })
        })?;
        Ok(Outcome::new(digest(sums), total))
    }
}
