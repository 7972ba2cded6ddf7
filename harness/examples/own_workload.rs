//! A workload of your own, compared on every heap.
//!
//! In a crate of your own this file is `src/main.rs`, beside a `Cargo.toml` with
//!
//! ```toml
//! [dependencies]
//! harness = { path = "../path/to/harness" }
//! ```
//!
//! The heaps' fast paths are inlined into your loop: no setting of the profile is needed.
//!
//! The program has the whole command line of `harness`, with your workload among the others:
//!
//! ```text
//! cargo run --release --example own_workload -- run stack
//! cargo run --release --example own_workload -- run stack:depth=1000 --heap gc-rc,gc-marksweep
//! ```

use std::process::ExitCode;

use harness::Harness;
use harness::heap::{Flags, Heap, HeapFull, Mutator};
use harness::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// An undo stack: pushes a few entries, takes some back, over and over.
struct Stack;

impl Workload for Stack {
    const NAME: &'static str = "stack";
    const SUMMARY: &'static str = "an undo stack that grows and shrinks";
    const OPERATION: &'static str = "push";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("pushes", [10_000, 10_000_000, 100_000_000])
            .range(1, 1_000_000_000)
            .doc("entries pushed, over all threads"),
        Parameter::sized("depth", [100, 10_000, 10_000])
            .range(1, 1_000_000)
            .doc("entries at most"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        2 * 32 * input.get("depth") * input.threads as u64 + (8 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let pushes = input.get("pushes");
        let depth = input.get("depth");
        let sums = on_threads(heap, input.threads, |m, number| {
            m.frame(|m, [top]| {
                let mut sum = 0u64;
                let mut height = 0;
                for value in share(pushes, input.threads, number) {
                    // The new entry takes the reference out of `top` and is then put there.
                    m.alloc_move(top, Flags::NONE, [top], [value])?;
                    height += 1;
                    // Undo one time in four, and everything at the limit.
                    while height == depth || (height > 0 && mix(value + height).is_multiple_of(4)) {
                        if let Some(entry) = m.get(top) {
                            sum = sum.wrapping_add(mix(m.word(entry, 0)));
                            m.set(top, m.load(entry, 0));
                        }
                        height -= 1;
                    }
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        Ok(Outcome::new(
            sums.into_iter().fold(0, u64::wrapping_add),
            pushes,
        ))
    }
}

fn main() -> ExitCode {
    Harness::standard().with::<Stack>().main()
}
