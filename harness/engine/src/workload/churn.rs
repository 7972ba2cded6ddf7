//! `churn`: a table whose entries are replaced at random, which leaves cycles behind.
//!
//! A table t of N nodes. 20 N operations, each with random i, j and k: n = a new node that refers
//! to t\[j\] and t\[k\]; with probability 3/4 both fields of the old t\[i\] are cleared, otherwise
//! it is tied to n in a cycle (old.a = n, n.b = old); t\[i\] = n.
//!
//! **Models** the steady state of a program with a large live graph: caches, indices, object
//! databases. Lifetimes are exponential, so the weak generational hypothesis does not hold; every
//! operation stores into old objects; a part of the garbage is cyclic; and after a while neighbours
//! in the graph are strangers in memory.
//!
//! **Does not model** locality of any kind: real programs touch some objects more than others.
//!
//! A node is two references and a word. Each thread has a table of N / threads nodes of its own and
//! a generator of its own, so the checksum depends on the number of threads (and on the seed), but
//! on no schedule: it is a digest of the words seen in t\[j\] and t\[k\].
//!
//! Minimum heap (small): 12.5 MiB on gc-rc, 8.5 MiB on gc-marksweep, with one thread or two.

use super::prelude::*;

/// See the [module documentation](self).
pub struct Churn;

/// Operations for each node of the table.
const TURNS: u64 = 20;

impl Workload for Churn {
    const NAME: &'static str = "churn";
    const SUMMARY: &'static str = "random replacement in a large live graph, leaving cycles behind";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::sized("nodes", [2_000, 10_000, 1_000_000])
            .range(1, 100_000_000)
            .doc("entries of the table, N; 20 N operations follow")];

    fn heap_bytes(input: &Input) -> u64 {
        twice(130 * input.get("nodes"), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let nodes = input.get("nodes");
        let sums = on_threads(heap, input.threads, |m, number| {
            let share = share(nodes, input.threads, number);
            let length = (share.end - share.start) as usize;
            if share.is_empty() {
                return Ok(0);
            }
            let mut random = generator(input.seed, number as u64);
            m.frame(|m, [table, new, left, right]| {
                fill(m, table, share, |m, new, value| {
                    m.alloc_init(new, Flags::NONE, [left, right], [value])
                })?;
                let mut sum = 0u64;
                for turn in 0..TURNS * length as u64 {
                    let [i, j, k] = [(); 3].map(|()| below(&mut random, length));
                    let clears = random.next_u64() & 3 != 0;
                    if let Some(table) = m.get(table) {
                        for (local, index) in [(left, j), (right, k)] {
                            let node = m.load(table, index);
                            sum = sum.wrapping_add(node.map_or(0, |node| mix(m.word(node, 0))));
                            m.set(local, node);
                        }
                    }
                    m.alloc_move(new, Flags::NONE, [left, right], [nodes + turn])?;
                    replace(m, table, i, new, clears);
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        Ok(Outcome::new(
            sums.into_iter().fold(0, |sum, part| mix(sum ^ part)),
            TURNS * nodes,
        ))
    }
}

/// Puts `new` in place of the entry at `index`, which is cleared or tied to it in a cycle.
#[inline]
fn replace<M: Mutator>(m: &M, table: M::Local<'_>, index: usize, new: M::Local<'_>, clears: bool) {
    let Some(table) = m.get(table) else {
        return;
    };
    if let Some(old) = m.load(table, index) {
        if clears {
            m.store(old, 0, None);
            m.store(old, 1, None);
        } else if let Some(new) = m.get(new) {
            m.store(old, 0, Some(new));
            m.store(new, 1, Some(old));
        }
    }
    m.store_move(table, index, new);
}
