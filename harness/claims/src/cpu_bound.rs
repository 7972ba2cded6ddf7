//! `cpu-bound`: twenty tasks that only compute, one after another and on a thread each.
//!
//! **The documents** counted to 10,000,000 in twenty tasks: one after another in 7.90, 7.65 and
//! 7.72 s, on twenty threads in 7.43, 7.39 and 7.31 s, and concluded that threads are of no use to
//! such programs. Elsewhere they found two threads to be slower than one (see
//! [`countdown`](super::countdown)). The two do not agree on whether handing the lock round costs
//! something or gains something.
//!
//! **Here** a task counts in boxed integers, each step allocating a new one and dropping the old
//! one, and polls at the loop's back-edge. Twenty tasks as there, with a twentieth of the steps at
//! full size, so that a task still lasts about a switch interval or longer.
//!
//! **It shows** what threads gain where nobody waits: nothing under a lock, and as many times as
//! there are processors without one. *It does not show* what a hand-over costs: on one processor it
//! is a context switch, on several the caches of the other one are cold as well, and neither is the
//! lock's doing.
//!
//! Rejected: expecting the documents' 0.94 to 0.97 of the first claim, since it is a difference
//! between two loops of theirs (the sequential one ran in the main thread), and what the claim is
//! about is whether threads run at once; it has a claim of its own.

use std::thread;
use std::time::Duration;

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "cpu-bound",
    summary: "twenty tasks that compute, one after another and on twenty threads",
    explanation: "Twenty tasks count in boxed integers: one after another on one thread, and on a thread each. Under a global lock only its holder \
counts, so twenty threads take as long as one; where threads run freely they take as long as the processors need. The first claim would be false if \
twenty threads took less than 0.85 of the time under the lock, which a hand-over of it cannot explain and two processors that count at once would, \
or more than 0.8 without it. The second is what the documents measured here and the opposite of what they measured elsewhere. It does not show what \
the lock does to programs that wait.",
    forms: &[
        Form::new(SEQUENTIAL, "cpu-bound", 1),
        Form::new(THREADS, "cpu-bound", 20),
    ],
    claims: &[
        Claim {
            statement: "twenty threads compute no faster than one under the lock, and faster without",
            document: "7.90, 7.65, 7.72 s -> 7.43, 7.39, 7.31 s: 0.94 to 0.97",
            measured: "time of twenty threads / of one after another",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((THREADS, Quantity::Wall), (SEQUENTIAL, Quantity::Wall))
            },
            counting: Some(Rule::AtLeast(0.85)),
            tracing: Some(Rule::AtMost(0.8)),
        },
        Claim {
            statement: "threads are a little faster even under the lock",
            document: "0.94 to 0.97; countdown says 1.004",
            measured: "time of twenty threads / of one after another",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((THREADS, Quantity::Wall), (SEQUENTIAL, Quantity::Wall))
            },
            counting: Some(Rule::AtMost(0.97)),
            tracing: None,
        },
    ],
    program: Some(program::<CpuBound>),
};

const SEQUENTIAL: &str = "one after another";
const THREADS: &str = "20 threads";

/// Tasks that count, and may wait when they have counted; [`io_bound`](super::io_bound) has them
/// wait.
#[derive(Clone, Copy, Debug)]
pub struct CpuBound;

impl Workload for CpuBound {
    const NAME: &'static str = "cpu-bound";
    const SUMMARY: &'static str =
        "tasks that count in boxed integers, and may wait when they have counted";
    const OPERATION: &'static str = "increment";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", "how many, over all threads", 20, (1, 1_000_000)),
        Parameter {
            name: "increments",
            doc: "how far each task counts",
            tiny: 1_000,
            small: 100_000,
            full: 500_000,
            range: (1, 1_000_000_000),
        },
        Parameter::fixed(
            "sleep-us",
            "how long each task waits when it has counted, in microseconds",
            0,
            (0, 60_000_000),
        ),
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
        Ok(Outcome {
            checksum: mix(sums.into_iter().fold(0, u64::wrapping_add)),
            operations: tasks * increments,
            ..Outcome::default()
        })
    }
}

/// Counts from 0 to `increments` in boxed integers; the sum of those it left behind.
fn count<M: Mutator>(m: &mut M, increments: u64) -> Result<u64, HeapFull> {
    m.frame(|m, [count]| {
        m.alloc_init(count, Flags::NONE, [], [0])?;
        let mut sum = 0u64;
        loop {
            let value = m.get(count).map_or(increments, |count| m.word(count, 0));
            if value == increments {
                return Ok(sum);
            }
            sum = sum.wrapping_add(value);
            m.alloc_init(count, Flags::NONE, [], [value + 1])?;
            m.safepoint();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("cpu-bound");
        // The documents' figures, in microseconds.
        trial.plant_wall(SEQUENTIAL, "gc-rc", 7_900_000);
        trial.plant_wall(THREADS, "gc-rc", 7_430_000);
        trial.plant_wall(SEQUENTIAL, "gc-marksweep", 7_900_000);
        trial.plant_wall(THREADS, "gc-marksweep", 4_000_000);
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // A lock that costs something.
        trial.plant_wall(THREADS, "gc-rc", 8_500_000);
        assert_eq!(
            (trial.verdict(0), trial.verdict(1)),
            (Verdict::Holds, Verdict::Fails)
        );
        // One that lets two count at once.
        trial.plant_wall(THREADS, "gc-rc", 4_000_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        // Threads that gain nothing where they run freely.
        trial.plant_wall(THREADS, "gc-rc", 7_900_000);
        trial.plant_wall(THREADS, "gc-marksweep", 7_900_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
    }
}
