//! `rings`: cyclic garbage beside cyclic data that stays.
//!
//! A number of rings of nodes is built and kept in a table; then many more are built and dropped
//! one by one. `cyclic` per cent of them are closed to a ring, evenly spread; the others stay
//! chains.
//!
//! **Models** what counting alone cannot reclaim: each dropped ring leaks until a cycle collector
//! finds it, and finding it means looking at what lives as well. Tracing does not care. Long rings
//! cost a cycle collector as much as short ones, node for node; few cyclic ones among many chains
//! are the common case in practice.
//!
//! **Does not model** cycles that hold large acyclic structures, or garbage cycles reachable from
//! each other.
//!
//! A node is a reference and a word. The threads split both kinds of rings, each with a table of
//! its own; the checksum does not depend on how many there are.
//!
//! Minimum heap (small): 34 MiB on both collectors, with one thread or two: the rings that are
//! kept.

use super::prelude::*;

/// See the [module documentation](self).
pub struct Rings;

/// Nodes visited between polls, at least; a ring is followed to its end if it is no longer than
/// this.
const STRETCH: u64 = 1024;

impl Workload for Rings {
    const NAME: &'static str = "rings";
    const SUMMARY: &'static str = "cyclic garbage beside cyclic data that stays";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("ring", 10)
            .range(1, 1_000_000)
            .doc("nodes of a ring"),
        Parameter::sized("held", [200, 10_000, 200_000])
            .range(0, 100_000_000)
            .doc("rings kept to the end"),
        Parameter::sized("dropped", [20_000, 200_000, 1_800_000])
            .range(0, 1_000_000_000)
            .doc("rings dropped as soon as they are built"),
        Parameter::fixed("cyclic", 100)
            .range(0, 100)
            .doc("per cent of rings that are closed; the others are chains"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let ring = 34 * input.get("ring");
        twice(input.get("held") * (ring + 8) + ring, input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let ring = input.get("ring");
        let held = input.get("held");
        let dropped = input.get("dropped");
        let cyclic = input.get("cyclic");
        // Bresenham's way to spread `cyclic` per cent evenly.
        let is_closed = |index: u64| (index + 1) * cyclic / 100 != index * cyclic / 100;

        let sums = on_threads(heap, input.threads, |m, number| {
            let kept = share(held, input.threads, number);
            m.frame(|m, [table, head]| {
                fill(m, table, kept.clone(), |m, head, index| {
                    build(m, head, index * ring, ring, is_closed(index))
                })?;
                let mut sum = 0u64;
                for index in share(dropped, input.threads, number) {
                    let index = held + index;
                    build(m, head, index * ring, ring, is_closed(index))?;
                    sum = sum.wrapping_add(mix(word(m, head, 0)));
                    m.set(head, None);
                    m.safepoint();
                }
                for (slot, index) in kept.enumerate() {
                    m.set(head, field(m, table, slot));
                    sum = sum.wrapping_add(walk(m, head, ring, is_closed(index)));
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        Ok(Outcome::new(total(sums), (held + dropped) * ring))
    }
}

/// Builds a ring (or chain) of `length` nodes whose words count from `first`; `head` is the last
/// one built.
fn build<M: Mutator>(
    m: &mut M,
    head: M::Local<'_>,
    first: u64,
    length: u64,
    closed: bool,
) -> Result<(), HeapFull> {
    m.frame(|m, [tail]| {
        m.set(head, None);
        for position in 0..length {
            m.alloc_move(head, Flags::NONE, [head], [first + position])?;
            if position == 0 {
                m.set(tail, m.get(head));
            }
            m.safepoint();
        }
        if closed && let Some(tail) = m.get(tail) {
            m.store(tail, 0, m.get(head));
        }
        Ok(())
    })
}

/// A digest of a ring's words, and of whether it comes back to where it began.
fn walk<M: Mutator>(m: &mut M, head: M::Local<'_>, length: u64, closed: bool) -> u64 {
    m.frame(|m, [cursor]| {
        m.set(cursor, m.get(head));
        let mut sum = 0u64;
        let mut left = length;
        while left > 0 {
            let stretch = left.min(STRETCH);
            let mut node = m.get(cursor);
            for _ in 0..stretch {
                let Some(inner) = node else { return 0 };
                sum = sum.wrapping_add(mix(m.word(inner, 0)));
                node = m.load(inner, 0);
            }
            left -= stretch;
            m.set(cursor, node);
            if left > 0 {
                m.safepoint();
            }
        }
        let returns = m.get(cursor).is_some() && m.get(cursor) == m.get(head);
        sum.wrapping_add(u64::from(returns == closed))
    })
}
