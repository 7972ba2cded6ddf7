#![doc = include_str!("fan_out.md")]

use std::thread;
use std::time::{Duration, Instant};

use super::prelude::*;
use super::processors;
use super::subprocesses;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "fan-out",
    summary: "tasks fanned out and their results gathered: four tools and their prices",
    explanation: include_str!("fan_out.md"),
    forms: &[
        processors::FORM,
        Form::new(EACH, "fan-out", 128).on(BOTH).warmed_up(),
        Form::new(POOL, "fan-out", 8).on(BOTH).warmed_up(),
        Form::new(PROCESSES, "fan-out:way=1,rounds=1", 1).on(BOTH),
        Form::new(POOL_COMPUTES, "fan-out:milliseconds=0,steps=100", 8)
            .on(COUNTING)
            .small("steps=10000")
            .full("steps=20000"),
        Form::new(POOL_COMPUTES, "fan-out:milliseconds=0,steps=100", 8)
            .on(TRACING)
            .small("steps=60000")
            .full("steps=200000"),
        Form::new(ONE_COMPUTES, "fan-out:way=2,milliseconds=0,steps=100", 1)
            .on(COUNTING)
            .small("steps=10000")
            .full("steps=20000"),
        Form::new(ONE_COMPUTES, "fan-out:way=2,milliseconds=0,steps=100", 1)
            .on(TRACING)
            .small("steps=60000")
            .full("steps=200000"),
    ],
    claims: &[
        // A tenth of a process, which holds more than threads.
        Claim::new(
            "the price of a thread for each task is memory: more than a pool of eight takes",
        )
        .judges(&["003.10"])
        .measured("peak resident bytes with 128 threads / with 8")
        .ratio(PeakResident, EACH, POOL)
        .both(AtLeast(1.1)),
        // Sixteen tasks after each other on each thread: 16 is what waiting alone would give.
        Claim::new(
            "the price of a pool is time: tasks that wait take at least twice that of threads",
        )
        .judges(&["003.10"])
        .measured("time of a task with 8 threads / with 128")
        .ratio(TIME_OF_TASK, POOL, EACH)
        .both(AtLeast(2.0)),
        Claim::new("the price of a process for each task is time: at least twice that of threads")
            .judges(&["003.10"])
            .measured("time of a task in processes / on 128 threads")
            .ratio(TIME_OF_TASK, PROCESSES, EACH)
            .both(AtLeast(2.0)),
        Claim::new("the price of one multiplexing thread is that it computes on one processor")
            .judges(&["003.10"])
            .measured("time of a task that computes on one thread / on a pool of 8")
            .ratio(TIME_OF_TASK, ONE_COMPUTES, POOL_COMPUTES)
            .controlled(&processors::TO_GAIN)
            .tracing(AtLeast(1.25)),
    ],
    programs: &[Program::of::<FanOut>()],
};

const EACH: &str = "a thread each";
const POOL: &str = "a pool of 8 threads";
const PROCESSES: &str = "a process each";
const POOL_COMPUTES: &str = "a pool of 8 threads, computing";
const ONE_COMPUTES: &str = "one thread, computing";

/// Forms differ in how often they fan out.
const TIME_OF_TASK: Quantity = Per(&Observed(WITH_THREADS), &Operations);

/// See the [module documentation](self).
pub struct FanOut;

impl Workload for FanOut {
    const NAME: &'static str = "fan-out";
    const SUMMARY: &'static str = "tasks that wait or compute, fanned out and gathered";
    const OPERATION: &'static str = "task";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", 128)
            .range(1, 10_000)
            .doc("tasks of a round, over all threads or processes"),
        Parameter::sized("rounds", [1, 2, 20])
            .range(1, 1_000_000)
            .doc("how often tasks are fanned out, and all of their results gathered"),
        Parameter::sized("milliseconds", [1, 2, 4])
            .range(0, 60_000)
            .doc("how long a task waits"),
        Parameter::fixed("steps", 0)
            .range(0, 1_000_000_000)
            .doc("how far it counts then, in boxed integers"),
        Parameter::fixed("way", 0).range(0, 2).doc(
            "0: threads take a share of the tasks each and wait for one after the other; 1: a \
             process for each task, started by one thread; 2: each thread multiplexes its share",
        ),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // The same for every number of threads.
        (16 << 20) + input.get("tasks") * (256 << 10)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let begun = Instant::now();
        let rounds = input.get("rounds");
        let mut sum = 0u64;
        for round in 0..rounds {
            let parts = on_threads(heap, input.threads, |m, thread| {
                part(m, input, round, thread)
            })?;
            sum = parts.into_iter().fold(sum, u64::wrapping_add);
        }
        Ok(Outcome::new(digest([sum]), rounds * input.get("tasks"))
            .observing([(WITH_THREADS, nanoseconds(begun.elapsed()))]))
    }
}

/// A thread's share of the tasks of a round. Returns the sum of their results.
fn part<M: Mutator>(m: &mut M, input: &Input, round: u64, thread: usize) -> Result<u64, HeapFull> {
    let wait = Duration::from_millis(input.get("milliseconds"));
    let tasks = share(input.get("tasks"), input.threads, thread);
    let number = |task: u64| round * input.get("tasks") + task;
    let mut sum = 0u64;
    match input.get("way") {
        0 => {
            for task in tasks {
                if !wait.is_zero() {
                    m.blocking(|| thread::sleep(wait));
                }
                sum = sum.wrapping_add(carry_out(m, input, number(task))?);
            }
        }
        1 => {
            let children: Vec<_> = m.blocking(|| {
                let children = tasks.clone().map(|_| subprocesses::start(wait));
                children.collect()
            });
            for (task, mut child) in tasks.zip(children) {
                m.blocking(|| subprocesses::ended(&mut child));
                sum = sum.wrapping_add(carry_out(m, input, number(task))?);
            }
        }
        _ => {
            // All of them wait from now on, and are due together.
            let due = Instant::now() + wait;
            for task in tasks {
                let left = due.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    m.blocking(|| thread::sleep(left));
                }
                sum = sum.wrapping_add(carry_out(m, input, number(task))?);
            }
        }
    }
    Ok(sum)
}

/// What is left of a task when it has waited: it counts, and its result is an object.
fn carry_out<M: Mutator>(m: &mut M, input: &Input, number: u64) -> Result<u64, HeapFull> {
    m.frame(|m, [count, result]| {
        boxed(m, count, 0)?;
        for _ in 0..input.get("steps") {
            let value = word(m, count, 0);
            boxed(m, count, value + 1)?;
            m.safepoint();
        }
        let counted = word(m, count, 0);
        let made = kept(m, result, mix(number) ^ counted)?;
        m.safepoint();
        Ok(made)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Metrics;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn verdicts_follow_the_prices() {
        fn take(metrics: &mut Metrics, per_task: u64) {
            let elapsed = per_task * metrics.operations;
            metrics
                .observations
                .insert(WITH_THREADS.to_owned(), elapsed);
        }
        let mut trial = Trial::of("fan-out");
        let mut plant = |[each, pool, processes, one]: [u64; 4]| {
            for (form, per_task) in [(EACH, each), (POOL, pool), (PROCESSES, processes)] {
                trial.plant(form, BOTH, |metrics| take(metrics, per_task));
            }
            for (form, per_task) in [(POOL_COMPUTES, 100), (ONE_COMPUTES, one)] {
                trial.plant(form, BOTH, |metrics| take(metrics, per_task));
            }
            trial.plant(EACH, BOTH, |metrics| {
                metrics.peak_resident_bytes = Some(10 * one)
            });
            trial.plant(POOL, BOTH, |metrics| {
                metrics.peak_resident_bytes = Some(1_000)
            });
            trial.clone()
        };
        plant([100, 1_000, 500, 190]).holds(0..4);
        plant([1_000, 1_000, 1_100, 100]).fails(0..4);
    }

    /// Every way gathers the same results.
    #[test]
    fn all_ways_do_the_same_work() {
        let trial = Trial::of("fan-out");
        for heap in [RC, MARKSWEEP] {
            let mut waiting = trial.rows().iter().filter(|row| {
                heap.contains(&&*row.invocation.heap) && row.invocation.parameters["steps"] == 0
            });
            let first = waiting.next().unwrap().metrics.as_ref().unwrap();
            for row in waiting {
                let metrics = row.metrics.as_ref().unwrap();
                assert_eq!(metrics.checksum, first.checksum, "{row:?}");
            }
        }
    }
}
