//! `list`: long singly linked lists, pushed, walked and dropped.
//!
//! Each round pushes `nodes` nodes onto the front of a list, walks it, and drops it, either at once
//! or (`keep`) when all rounds are over.
//!
//! **Models** the worst case of both ways to manage memory. For counting, the drop: one decrement
//! sets off a cascade over the whole list, in which each step depends on the one before. For
//! tracing, the mark: a list has no breadth, so there is nothing to prefetch and nothing for a
//! second marker to do, and its depth is what overflows a recursive one's stack.
//!
//! **Does not model** anything a program would keep in a list this long. The nodes are neighbours
//! in memory as long as the heap is empty to begin with.
//!
//! A node is a reference and a word. The threads split each list into one of their own each; words
//! are numbered over all of them, so that the checksum does not depend on how many there are.
//!
//! Minimum heap (small): 66 MiB on both collectors, with one thread or two: one list of 2,000,000
//! nodes of 32 bytes.

use super::prelude::*;

/// See the [module documentation](self).
pub struct List;

impl Workload for List {
    const NAME: &'static str = "list";
    const SUMMARY: &'static str = "long linked lists pushed, walked and dropped";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("nodes", [10_000, 50_000, 5_000_000])
            .range(1, 1_000_000_000)
            .doc("length of the list"),
        Parameter::sized("rounds", [3, 40, 5])
            .range(1, 10_000)
            .doc("lists built, one after another"),
        Parameter::fixed("keep", 0)
            .range(0, 1)
            .doc("0: drop each list before the next; 1: keep all to the end"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let lists = match input.get("keep") {
            1 => input.get("rounds"),
            _ => 1,
        };
        twice(34 * input.get("nodes") * lists, input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let nodes = input.get("nodes");
        let rounds = input.get("rounds");
        let keep = input.get("keep") == 1;
        let sums = on_threads(heap, input.threads, |m, number| {
            let values = share(nodes, input.threads, number);
            m.frame(|m, [kept, list, cursor]| {
                m.alloc(kept, Shape::new(rounds as u32, 0))?;
                let mut sum = 0u64;
                for round in 0..rounds {
                    for value in values.clone() {
                        m.alloc_move(list, Flags::NONE, [list], [value + round * nodes])?;
                        m.safepoint();
                    }
                    m.set(cursor, m.get(list));
                    sum = sum.wrapping_add(walk(m, cursor));
                    if keep {
                        set_field(m, kept, round as usize, m.get(list));
                    }
                    m.set(list, None);
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        Ok(Outcome::new(total(sums), nodes * rounds))
    }
}
