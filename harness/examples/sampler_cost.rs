//! What measuring costs: a workload with the sampler beside it against the same without,
//! interleaved.
//!
//! `cargo run --release -p harness --example sampler_cost [ROUNDS]`
//!
//! The sampler wakes a thousand times a second, and at every fifth wake reads counters and the
//! resident size. Each round runs both ways on each heap, in the order that it did not have last
//! time; printed is the median over the rounds of the ratio of the two times, and the middle half
//! of the ratios.

use std::time::Instant;

use harness::adapter::{Adapter, Settings, gc_marksweep::GcMarksweep, gc_rc::GcRc};
use harness::heap::Heap;
use harness::measure::sampler::Sampler;
use harness::workload::{Input, Size, Workload, binary_trees::BinaryTrees, churn::Churn};

fn main() {
    let rounds = match std::env::args_os()
        .nth(1)
        .map(|text| text.to_string_lossy().parse())
    {
        None => 15,
        Some(Ok(rounds @ 1..=1000)) => rounds,
        Some(_) => {
            eprintln!("usage: sampler_cost [ROUNDS], from 1 to 1000");
            std::process::exit(2);
        }
    };
    println!("with the sampler / without, {rounds} rounds");
    for threads in [1, 2] {
        measure::<GcRc, BinaryTrees>(threads, rounds);
        measure::<GcMarksweep, BinaryTrees>(threads, rounds);
        measure::<GcRc, Churn>(threads, rounds);
        measure::<GcMarksweep, Churn>(threads, rounds);
    }
}

fn measure<A: Adapter, W: Workload>(threads: usize, rounds: usize) {
    let mut input = Input::of::<W>(Size::Small);
    input.threads = threads;
    let heap = A::build(&Settings::new::<A>(W::heap_bytes(&input))).expect("these settings exist");
    let run = |sampled: bool| {
        A::recycle(&heap);
        let sampler = sampled.then(|| Sampler::start(&heap));
        let begun = Instant::now();
        W::run(&heap, &input).expect("the heap is large enough");
        let length = begun.elapsed();
        sampler.map(Sampler::stop);
        heap.take_events();
        length.as_secs_f64()
    };
    run(false);
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                let with = run(true);
                with / run(false)
            } else {
                let without = run(false);
                run(true) / without
            }
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((rounds - 1) as f64 * share).round() as usize];
    println!(
        "{:>14} {:<14} {threads} threads: {:.4} ({:.4} to {:.4})",
        A::DESCRIPTION.name,
        W::NAME,
        at(0.5),
        at(0.25),
        at(0.75)
    );
}
