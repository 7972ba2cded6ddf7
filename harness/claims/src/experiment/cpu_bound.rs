#![doc = include_str!("cpu_bound.md")]

use std::thread;
use std::time::Duration;

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "cpu-bound",
    summary: "twenty tasks that compute, one after another and on twenty threads",
    explanation: include_str!("cpu_bound.md"),
    forms: &[
        Form::new(SEQUENTIAL, "cpu-bound", 1),
        Form::new(THREADS, "cpu-bound", 20),
    ],
    claims: &[
        Claim::new("twenty threads compute no faster than one under the lock, and faster without")
            .documents("7.90, 7.65, 7.72 s -> 7.43, 7.39, 7.31 s: 0.94 to 0.97")
            .measured("time of twenty threads / of one after another")
            .ratio(Wall, THREADS, SEQUENTIAL)
            .counting(AtLeast(0.85))
            .tracing(AtMost(0.8)),
        Claim::new("threads are a little faster even under the lock")
            .documents("0.94 to 0.97; countdown says 1.004")
            .measured("time of twenty threads / of one after another")
            .ratio(Wall, THREADS, SEQUENTIAL)
            .counting(AtMost(0.97)),
    ],
    program: Some(Program::of::<CpuBound>()),
};

const SEQUENTIAL: &str = "one after another";
const THREADS: &str = "20 threads";

/// Tasks that count, and may wait when they have counted; [`io_bound`](super::io_bound) has them
/// wait.
pub struct CpuBound;

impl Workload for CpuBound {
    const NAME: &'static str = "cpu-bound";
    const SUMMARY: &'static str =
        "tasks that count in boxed integers, and may wait when they have counted";
    const OPERATION: &'static str = "increment";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", 20)
            .range(1, 1_000_000)
            .doc("how many, over all threads"),
        Parameter::sized("increments", [1_000, 100_000, 500_000])
            .range(1, 1_000_000_000)
            .doc("how far each task counts"),
        Parameter::fixed("sleep-us", 0)
            .range(0, 60_000_000)
            .doc("how long each task waits when it has counted, in microseconds"),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Next to nothing lives. In the order of a nursery, as that of countdown.
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let (tasks, increments) = (input.get("tasks"), input.get("increments"));
        let wait = Duration::from_micros(input.get("sleep-us"));
        let sums = on_threads(heap, input.threads, |m, number| {
            let mut sum = 0u64;
            for _ in share(tasks, input.threads, number) {
                sum = sum.wrapping_add(count(m, increments)?);
                if !wait.is_zero() {
                    m.blocking(|| thread::sleep(wait));
                }
            }
            Ok(sum)
        })?;
        Ok(Outcome::new(digest(sums), tasks * increments))
    }
}

/// Counts from 0 to `increments` in boxed integers; the sum of those it left behind.
fn count<M: Mutator>(m: &mut M, increments: u64) -> Result<u64, HeapFull> {
    m.frame(|m, [count]| {
        boxed(m, count, 0)?;
        let mut sum = 0u64;
        loop {
            let value = m.get(count).map_or(increments, |count| m.word(count, 0));
            if value == increments {
                return Ok(sum);
            }
            sum = sum.wrapping_add(value);
            boxed(m, count, value + 1)?;
            m.safepoint();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("cpu-bound");
        // The documents' figures, in microseconds.
        trial.wall(SEQUENTIAL, BOTH, 7_900_000);
        trial.wall(THREADS, RC, 7_430_000);
        trial.wall(THREADS, MARKSWEEP, 4_000_000);
        trial.holds(0..2);
        // A lock that costs something.
        trial.wall(THREADS, RC, 8_500_000);
        trial.holds([0]);
        trial.fails([1]);
        // One that lets two count at once.
        trial.wall(THREADS, RC, 4_000_000);
        trial.fails([0]);
        // Threads that gain nothing where they run freely.
        trial.wall(THREADS, BOTH, 7_900_000);
        trial.fails([0]);
    }
}
