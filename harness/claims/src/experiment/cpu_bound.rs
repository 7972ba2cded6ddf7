#![doc = include_str!("cpu_bound.md")]

use std::thread;
use std::time::{Duration, Instant};

use super::prelude::*;
use super::processors;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "cpu-bound",
    summary: "twenty tasks that compute, one after another and on twenty threads",
    explanation: include_str!("cpu_bound.md"),
    forms: &[
        processors::FORM,
        Form::new(IN_TURNS, "cpu-bound:turns=2", 20)
            .with_heaps(COUNTING)
            .small("increments=150000"),
        Form::new(IN_TURNS, "cpu-bound:turns=4", 20)
            .on(TRACING)
            .small("increments=600000")
            .full("increments=2500000"),
        Form::new(FOUR, "cpu-bound:tasks=4", 4)
            .small("increments=6000000")
            .full("increments=15000000")
            .with_heaps(&["gc-rc:switch-interval=100us"]),
    ],
    claims: &[
        // A hand-over cannot explain 0.85, and two processors that count at once would.
        Claim::new("under the lock twenty threads compute no faster than one")
            .judges(&["000.2", "001.1"])
            .documents("7.90, 7.65, 7.72 s -> 7.43, 7.39, 7.31 s: 0.94 to 0.97")
            .measured(MEASURED)
            .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
            .controlled(&processors::TO_LOSE)
            .counting(AtLeast(0.85)),
        // A tenth: the documents call differences of three to six in a hundred hardly any.
        Claim::new(
            "under the lock it makes hardly a difference whether twenty tasks that compute have a \
             thread each",
        )
        .judges(&["004.2"])
        .documents("7.90, 7.65, 7.72 s -> 7.43, 7.39, 7.31 s: 0.94 to 0.97")
        .measured(MEASURED)
        .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
        .controlled(&processors::TO_RUN)
        .counting(Within(0.9, 1.1)),
        // Nearly: within a tenth.
        Claim::new("threads are treated fairly: the run times of four come out nearly equal")
            .judges(&["003.6"])
            .measured("time of the thread that ended first / of the last, switches every 0.1 ms")
            .value(Per(&Observed(SHORTEST), &Observed(LONGEST)), FOUR)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(0.9)),
        Claim::new("where threads run freely twenty of them compute faster than one")
            .judges(&["001.8"])
            .measured(FASTEST)
            .value(ALL_TO_ONE, IN_TURNS)
            .controlled(&processors::TO_GAIN)
            .tracing(AtMost(0.8)),
    ],
    programs: &[Program::of::<CpuBound>()],
};

const MEASURED: &str = "time of twenty threads / of one after another";
const FASTEST: &str = "time of twenty threads / of one after another, fastest turns";

const IN_TURNS: &str = "20 tasks on one thread and on twenty, in turns";
const FOUR: &str = "4 tasks on four threads";

const SHORTEST: &str = "shortest_run_ns";
const LONGEST: &str = "longest_run_ns";

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
        TURNS,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Next to nothing lives. In the order of a nursery, as that of countdown.
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, carry_out)
    }
}

/// Every task, on so many threads.
fn carry_out<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
    let (tasks, increments) = (input.get("tasks"), input.get("increments"));
    let wait = Duration::from_micros(input.get("sleep-us"));
    let parts = on_threads(heap, input.threads, |m, number| {
        let begun = Instant::now();
        let mut sum = 0u64;
        for _ in share(tasks, input.threads, number) {
            sum = sum.wrapping_add(count(m, increments)?);
            if !wait.is_zero() {
                m.blocking(|| thread::sleep(wait));
            }
        }
        Ok((sum, nanoseconds(begun.elapsed())))
    })?;
    let (sums, times): (Vec<u64>, Vec<u64>) = parts.into_iter().unzip();
    let observed = [
        (SHORTEST, times.iter().min().copied()),
        (LONGEST, times.iter().max().copied()),
    ];
    Ok(Outcome::new(digest(sums), tasks * increments).observing(observed))
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
        // The documents' figures, in milliseconds.
        trial.turns(IN_TURNS, RC, 7_900, 7_430);
        trial.turns(IN_TURNS, MARKSWEEP, 7_900, 4_000);
        trial.observed(FOUR, RC, SHORTEST, 3_900);
        trial.observed(FOUR, RC, LONGEST, 4_000);
        trial.holds(0..4);
        // A lock that costs something.
        trial.turns(IN_TURNS, RC, 7_900, 9_500);
        trial.holds([0]);
        trial.fails([1]);
        // One that lets two count at once.
        trial.turns(IN_TURNS, RC, 7_900, 4_000);
        trial.fails(0..2);
        // One that lets one thread finish before the next.
        trial.observed(FOUR, RC, SHORTEST, 1_000);
        trial.fails([2]);
        // Threads that gain nothing where they run freely.
        trial.turns(IN_TURNS, MARKSWEEP, 7_900, 7_900);
        trial.fails([3]);
    }
}
