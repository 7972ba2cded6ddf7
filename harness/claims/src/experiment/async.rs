#![doc = include_str!("async.md")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "async",
    summary: "tasks that wait, on one thread that multiplexes them and on a thread each",
    explanation: include_str!("async.md"),
    forms: &[Form::new(ONE, "async", 1), Form::new(MANY, "async", 500)],
    claims: &[
        // Far more: at least twice.
        Claim::new(
            "where tasks mostly wait one multiplexing thread is at least twice as fast as many",
        )
        .judges(&["000.11"])
        .measured("time of one thread / of 500, starting them included")
        .ratio(Observed(WITH_THREADS), ONE, MANY)
        .both(AtMost(0.5)),
        Claim::new("one multiplexing thread needs less memory than a thread for each task")
            .ours()
            .measured("peak resident bytes with one thread / with 500")
            .ratio(PeakResident, ONE, MANY)
            .both(AtMost(0.9)),
        Claim::new(
            "with one multiplexing thread the system switches half as often between threads",
        )
        .ours()
        .measured("context switches with one thread / with 500")
        .ratio(Observed(SWITCHES), ONE, MANY)
        .both(AtMost(0.5)),
    ],
    programs: &[Program::of::<Async>()],
};

const ONE: &str = "one thread";
const MANY: &str = "500 threads";

const SWITCHES: &str = "context_switches_count";

/// How often a response is mixed: the work of a task between two waits.
const ROUNDS: usize = 10;

/// See the [module documentation](self).
pub struct Async;

impl Workload for Async {
    const NAME: &'static str = "async";
    const SUMMARY: &'static str =
        "tasks that wait, each thread serving its share from a heap of timers";
    const OPERATION: &'static str = "wait";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", 500)
            .range(1, 1_000_000)
            .doc("tasks, over all threads"),
        Parameter::sized("waits", [1, 4, 10])
            .range(1, 1_000_000)
            .doc("how often each task waits"),
        Parameter::sized("microseconds", [2_000, 4_000, 10_000])
            .range(1, 1_000_000_000)
            .doc("how long it waits on average: from half of that to half as long again"),
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
        let begun = Instant::now();
        let before = context_switches();
        let sums = on_threads(heap, input.threads, |m, thread| {
            serve(m, share(tasks, input.threads, thread), waits)
        })?;
        let switches = context_switches().zip(before);
        let switches = switches.map(|(after, before)| after - before);
        let elapsed = Some(nanoseconds(begun.elapsed()));
        Ok(Outcome::new(digest(sums), tasks * waits.each)
            .observing([(SWITCHES, switches), (WITH_THREADS, elapsed)]))
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
            if let Some(responses) = m.get(responses) {
                m.store(responses, (task - tasks.start) as usize, m.get(response));
            }
            let made = word(m, response, 0) * waits.each + word(m, response, 1);
            sum = sum.wrapping_add((0..ROUNDS).fold(made, |word, _| mix(word)));
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
    use crate::trial::Trial;

    #[test]
    fn verdicts_follow_time_memory_and_switches() {
        let mut trial = Trial::of("async");
        let mut plant = |one| {
            for (form, value) in [(ONE, one), (MANY, 1_000)] {
                trial.observed(form, BOTH, WITH_THREADS, value);
                trial.observed(form, BOTH, SWITCHES, value);
                trial.plant(form, BOTH, |row| row.peak_resident_bytes = Some(value));
            }
            trial.clone()
        };
        plant(400).holds(0..3);
        plant(1_100).fails(0..3);
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
