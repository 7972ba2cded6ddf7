//! `io-bound`: twenty tasks that compute and then wait, one after another and on a thread each.
//!
//! **The documents** had each task of [`cpu-bound`](super::cpu_bound) sleep for 0.1 s, a quarter of
//! the time that it computed: one after another 9.99, 9.93 and 10.23 s, on twenty threads 7.46,
//! 7.33 and 7.62 s. A blocked thread gives up the lock, they concluded, so that programs that wait
//! gain by threads in spite of it.
//!
//! **Here** the same program waits in a blocking region. The wait is the same on every runtime, as
//! their work is; since a step of ours takes a few nanoseconds and one of an interpreter some tens,
//! a task waits for about as long as it computes on the heaps, and for a quarter of it on CPython.
//!
//! **It shows** that waiting overlaps, and that on the counting side nothing else does: with the
//! threads' waits hidden, what is left is the computing, one task after another. *It does not show*
//! real I/O, which also costs system calls and buffers; for what a thread pays that waits often and
//! shortly see [`convoy`](super::convoy).
//!
//! Rejected: a wait in proportion to each runtime's speed, which would make rows of different
//! parameters out of one form.

use super::{Claim, Experiment, Form, Quantity, Rule, Unit};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "io-bound",
    summary: "twenty tasks that compute and wait, one after another and on twenty threads",
    explanation: "The tasks of cpu-bound wait when they have computed. One after another every wait is added to the time; on a thread each, a \
waiting thread gives up the lock, and another one computes. The first claim would be false if threads saved less than a tenth. The second says that \
waiting is all that is saved under the lock: it would be false if threads that wait took less than 0.85 of the time that the computing alone takes \
on one thread, for then some of the computing would have overlapped too. It shows nothing about many short waits, for each of which a thread must \
get the lock back.",
    forms: &[
        Form::new(SEQUENTIAL, "cpu-bound:sleep-us=100", 1).sized(SMALL, FULL),
        Form::new(THREADS, "cpu-bound:sleep-us=100", 20).sized(SMALL, FULL),
        Form::new(COMPUTING, "cpu-bound", 1).sized(COMPUTING_SMALL, ""),
    ],
    claims: &[
        Claim {
            statement: "threads gain where they wait, with the lock and without it",
            document: "9.99, 9.93, 10.23 s -> 7.46, 7.33, 7.62 s: 0.74 to 0.75",
            measured: "time of twenty threads / of one after another",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((THREADS, Quantity::Wall), (SEQUENTIAL, Quantity::Wall))
            },
            counting: Some(Rule::AtMost(0.9)),
            tracing: Some(Rule::AtMost(0.9)),
        },
        Claim {
            statement: "what they gain under the lock is the waiting alone",
            document: "7.46, 7.33, 7.62 s with the waits, 7.90, 7.65, 7.72 s without: 0.94 to 0.99",
            measured: "time of twenty threads that wait / of one after another without waits",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((THREADS, Quantity::Wall), (COMPUTING, Quantity::Wall))
            },
            counting: Some(Rule::AtLeast(0.85)),
            tracing: None,
        },
    ],
    program: None,
};

const SEQUENTIAL: &str = "one after another";
const THREADS: &str = "20 threads";
const COMPUTING: &str = "one after another without waits";
const SMALL: &str = "increments=50000,sleep-us=500";
const FULL: &str = "sleep-us=5000";
const COMPUTING_SMALL: &str = "increments=50000";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("io-bound");
        // The documents' figures, in microseconds.
        for heap in ["gc-rc", "gc-marksweep"] {
            trial.plant_wall(SEQUENTIAL, heap, 9_990_000);
            trial.plant_wall(THREADS, heap, 7_460_000);
            trial.plant_wall(COMPUTING, heap, 7_900_000);
        }
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // A lock that is kept while its holder waits.
        trial.plant_wall(THREADS, "gc-rc", 9_900_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        // One that lets two compute at once.
        trial.plant_wall(THREADS, "gc-rc", 4_000_000);
        assert_eq!(
            (trial.verdict(0), trial.verdict(1)),
            (Verdict::Holds, Verdict::Fails)
        );
    }
}
