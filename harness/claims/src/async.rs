//! `async`: many tasks that wait, on one thread that multiplexes them and on a thread each.
//!
//! The documents say, without a figure, that for work that mostly waits one thread with an event
//! loop beats many threads: it takes no longer, needs less memory, and hands the processor over
//! less often.
//!
//! Five hundred tasks wait for something several times, for 10 ms on average (4 at small size, 2 at
//! tiny), and make a response of it. A thread serves its share of the tasks from a heap of timers:
//! it sleeps until the first one is due, serves that task, and sets its next timer. With one thread
//! that is an event loop; with as many threads as tasks it is a thread that sleeps, works, and
//! sleeps. So the program is the same, and what differs is who multiplexes: the program or the
//! system. Waits are drawn from the seed, so that tasks are not due together.
//!
//! Hand-overs are counted as the system counts them: context switches of the process, those of the
//! harness's own sampler (some thousand a second, most of them when it goes to sleep) included on
//! both sides. What the process holds of memory includes each thread's stack as far as it was
//! touched, what the heap keeps for each thread that is attached, and everything that was there
//! before.
//!
//! It shows what threads cost that mostly wait. It does not show the sockets and files of real
//! servers, nor programs written against an event loop, where one task that computes keeps all
//! others waiting.
//!
//! CPython's program uses `asyncio` and `threading`; Java's a `PriorityQueue` of timers on each
//! thread, as here, and does not know its context switches, of which there is no figure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "async",
    summary: "tasks that wait, on one thread that multiplexes them and on a thread each",
    explanation: "Five hundred tasks wait several times for some milliseconds and make a small object after each wait. Either one thread serves \
all of them from a heap of timers, or each has a thread of its own that sleeps. The claim would be false if the one thread took more than 5 % \
longer, if the process were not smaller by a tenth, or if the system did not switch between threads half as often. It shows what threads cost that \
mostly wait, which is mostly the system's price and not the heap's. It does not show sockets or files, nor what happens when a task computes for \
long: then one thread is as slow as one processor.",
    forms: &[Form::new(ONE, "async", 1), Form::new(MANY, "async", 500)],
    claims: &[
        Claim {
            statement: "for waiting work one multiplexing thread is no slower than many",
            document: "no figure",
            measured: "time of one thread / of 500",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((ONE, Quantity::Wall), (MANY, Quantity::Wall)),
            counting: Some(Rule::AtMost(1.05)),
            tracing: Some(Rule::AtMost(1.05)),
        },
        Claim {
            statement: "and needs less memory",
            document: "no figure",
            measured: "peak resident bytes with one thread / with 500",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (ONE, Quantity::PeakResident),
                    (MANY, Quantity::PeakResident),
                )
            },
            counting: Some(Rule::AtMost(0.9)),
            tracing: Some(Rule::AtMost(0.9)),
        },
        Claim {
            statement: "and fewer hand-overs",
            document: "no figure",
            measured: "context switches with one thread / with 500",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((ONE, SWITCHES), (MANY, SWITCHES)),
            counting: Some(Rule::AtMost(0.5)),
            tracing: Some(Rule::AtMost(0.5)),
        },
    ],
    program: Some(program::<Async>),
};

const ONE: &str = "one thread";
const MANY: &str = "500 threads";

const SWITCHES: Quantity = Quantity::Observed("context_switches_count");

/// How often a response is mixed: the work of a task between two waits.
const ROUNDS: usize = 10;

/// See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Async;

impl Workload for Async {
    const NAME: &'static str = "async";
    const SUMMARY: &'static str =
        "tasks that wait, each thread serving its share from a heap of timers";
    const OPERATION: &'static str = "wait";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", "tasks, over all threads", 500, (1, 1_000_000)),
        Parameter {
            name: "waits",
            doc: "how often each task waits",
            tiny: 1,
            small: 4,
            full: 10,
            range: (1, 1_000_000),
        },
        Parameter {
            name: "microseconds",
            doc: "how long it waits on average: from half of that to half as long again",
            tiny: 2_000,
            small: 4_000,
            full: 10_000,
            range: (1, 1_000_000_000),
        },
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // For as many threads as there are tasks, whatever their number: both forms have the same
        // heap.
        (16 << 20) + input.get("tasks") * (256 << 10)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let tasks = input.get("tasks");
        let waits = Waits {
            each: input.get("waits"),
            mean_ns: 1_000 * input.get("microseconds"),
            seed: input.seed,
        };
        let before = context_switches();
        let sums = on_threads(heap, input.threads, |m, thread| {
            serve(m, share(tasks, input.threads, thread), waits)
        })?;
        let switches = context_switches().zip(before);
        Ok(Outcome {
            checksum: mix(sums.into_iter().fold(0, u64::wrapping_add)),
            operations: tasks * waits.each,
            observations: switches
                .map(|(after, before)| ("context_switches_count", after - before))
                .into_iter()
                .collect(),
            ..Outcome::default()
        })
    }
}

/// How often and how long each task waits.
#[derive(Clone, Copy, Debug)]
struct Waits {
    each: u64,
    mean_ns: u64,
    seed: u64,
}

impl Waits {
    /// The length of a task's wait.
    fn length(self, task: u64, round: u64) -> Duration {
        let draw = mix(self.seed.wrapping_add(task * self.each + round));
        Duration::from_nanos(self.mean_ns / 2 + draw % self.mean_ns)
    }
}

/// Serves these tasks to their ends, on one thread.
fn serve<M: Mutator>(m: &mut M, tasks: Range<u64>, waits: Waits) -> Result<u64, HeapFull> {
    m.frame(|m, [responses, response]| {
        // The last response to each task.
        m.alloc(responses, Shape::new((tasks.end - tasks.start) as u32, 0))?;
        let begun = Instant::now();
        let mut timers: BinaryHeap<_> = tasks
            .clone()
            .map(|task| Reverse((begun + waits.length(task, 0), task, 0)))
            .collect();
        let mut sum = 0u64;
        while let Some(&Reverse((due, task, round))) = timers.peek() {
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                m.blocking(|| thread::sleep(left));
                continue;
            }
            timers.pop();
            m.alloc_init(response, Flags::NONE, [], [task, round])?;
            if let (Some(responses), Some(response)) = (m.get(responses), m.get(response)) {
                m.store(responses, (task - tasks.start) as usize, Some(response));
                let word = m.word(response, 0) * waits.each + m.word(response, 1);
                sum = sum.wrapping_add((0..ROUNDS).fold(word, |word, _| mix(word)));
            }
            if round + 1 < waits.each {
                let due = Instant::now() + waits.length(task, round + 1);
                timers.push(Reverse((due, task, round + 1)));
            }
            m.safepoint();
        }
        Ok(sum)
    })
}

/// How often this process's threads, also those that have ended, have given up a processor or lost
/// it; `None` where the system does not say.
fn context_switches() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
    u64::try_from(switches).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BOTH, Verdict, trial::Trial};

    #[test]
    fn verdicts_follow_time_memory_and_switches() {
        let mut trial = Trial::of("async");
        for (one, expected) in [(400, Verdict::Holds), (1_100, Verdict::Fails)] {
            for heap in BOTH {
                for (form, value) in [(ONE, one), (MANY, 1_000)] {
                    trial.plant(form, heap, |metrics| {
                        metrics.wall_ns = value;
                        metrics.peak_resident_bytes = Some(value);
                    });
                    trial.plant_observed(form, heap, "context_switches_count", value);
                }
            }
            assert_eq!([0, 1, 2].map(|claim| trial.verdict(claim)), [expected; 3]);
        }
    }

    #[test]
    fn waits_have_the_mean_they_should() {
        let waits = Waits {
            each: 10,
            mean_ns: 1_000_000,
            seed: 42,
        };
        let lengths =
            || (0..1_000).flat_map(|task| (0..10).map(move |round| waits.length(task, round)));
        assert!(lengths().all(|length| (500_000..1_500_000).contains(&length.as_nanos())));
        let mean = lengths().sum::<Duration>() / 10_000;
        assert!((970_000..1_030_000).contains(&mean.as_nanos()), "{mean:?}");
    }
}
